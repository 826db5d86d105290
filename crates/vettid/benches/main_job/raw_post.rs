//! What a message costs the broker alone: a record of 1 KB goes into the file stream of another account until it is acknowledged,
//! and that account's durable pull consumer has it and acknowledges it. Same server, same TLS; the client library is used bare.

use crate::figures::Samples;
use crate::raw::{Account, connect};
use crate::stack::Stack;
use anyhow::{Context as _, Result, anyhow, ensure};
use async_nats::jetstream::consumer::{Consumer, pull};
use async_nats::{Client, jetstream};
use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use vettid_core::grants::broker::Stream;
use vettid_nats::clock;
use vettid_wire::event::{EventRow as _, MemberRevoked};
use vettid_wire::id::ConnectionId;
use vettid_wire::subject::Subject;

/// Bytes of a record.
const RECORD_BYTES: usize = 1024;
/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who waits for which record.
type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Instant>>>>;

/// Two accounts, each with somebody who writes to it.
pub(crate) struct RawPost([Lane; 2]);

/// The way into one account.
struct Lane {
    writer: Client,
    subject: String,
    waiting: Waiting,
    written: AtomicU64,
    consuming: JoinHandle<()>,
}

impl RawPost {
    /// Makes the accounts and their consumers.
    pub(crate) async fn open(stack: &Stack) -> Result<Self> {
        Ok(Self([Lane::open(stack, "raw-there").await?, Lane::open(stack, "raw-back").await?]))
    }

    /// So many records to one of them, one after the other.
    pub(crate) async fn one_way(&self, times: usize) -> Result<Samples> {
        let [there, _] = &self.0;
        Ok(Samples::in_turn(there.in_turn(times).await?))
    }

    /// So many records, half of them each way, with `at_once` under way.
    pub(crate) async fn both_ways(&self, times: usize, at_once: usize) -> Result<Samples> {
        let begin = Instant::now();
        let lanes = self.0.iter().cycle().take(at_once);
        let each = try_join_all(lanes.map(|lane| lane.in_turn(times / at_once))).await?;
        Ok(Samples::overlapping(each.concat(), begin.elapsed()))
    }

    /// Ends what consumes.
    pub(crate) async fn close(self) {
        for lane in self.0 {
            lane.consuming.abort();
            let _ = lane.consuming.await;
        }
    }
}

impl Lane {
    async fn open(stack: &Stack, name: &str) -> Result<Self> {
        let account = Account::open(stack, name).await?;
        let id = ConnectionId::v7(clock::now(), [2; 10]);
        let subject = Subject::ForOwner(account.guid, id, MemberRevoked::ROW.event_type()).to_string();
        let (writer, reader) = (connect(stack, account.user(id)?).await?, connect(stack, account.home()?).await?);
        let records = consumer(&reader, &account.guid.to_string()).await?;
        let waiting = Waiting::default();
        let consuming = tokio::spawn(consume(reader, records, waiting.clone()));
        Ok(Self { writer, subject, waiting, written: AtomicU64::new(0), consuming })
    }

    async fn in_turn(&self, times: usize) -> Result<Vec<Duration>> {
        let mut each = Vec::with_capacity(times);
        for _ in 0..times {
            each.push(tokio::time::timeout(PATIENCE, self.one()).await.context("a raw message was lost")??);
        }
        Ok(each)
    }

    /// Writes one record. Gives how long it took until it was acknowledged and the reader had it.
    async fn one(&self) -> Result<Duration> {
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let (arrived, arrival) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(number, arrived);
        let mut record = vec![b'x'; RECORD_BYTES];
        record.splice(..8, number.to_be_bytes());
        let begin = Instant::now();
        let stored = self.writer.request(self.subject.clone(), record.into()).await?;
        let acknowledged = Instant::now();
        let stored: serde_json::Value = serde_json::from_slice(&stored.payload)?;
        ensure!(stored.get("seq").is_some(), "a raw message was not stored: {stored}");
        Ok(arrival.await.context("nobody reads raw messages")?.max(acknowledged).duration_since(begin))
    }
}

/// The account's one durable pull consumer, named like its user.
async fn consumer(reader: &Client, name: &str) -> Result<Consumer<pull::Config>> {
    let config = serde_json::json!({
        "name": name, "durable_name": name, "deliver_policy": "all", "ack_policy": "explicit",
        "max_ack_pending": 2_000, "replay_policy": "instant",
    });
    let request = serde_json::json!({ "stream_name": Stream::Inbox.name(), "config": config });
    let made = reader.request(Stream::Inbox.consumer_create(name), serde_json::to_vec(&request)?.into()).await?;
    let made: serde_json::Value = serde_json::from_slice(&made.payload)?;
    ensure!(made.get("error").is_none(), "no raw consumer: {made}");
    let context = jetstream::new(reader.clone());
    let found = context.get_consumer_from_stream(name, Stream::Inbox.name()).await;
    found.map_err(|error| anyhow!("no raw consumer: {error}"))
}

/// Reads and acknowledges, and tells who waits for a record that it is there.
async fn consume(_reader: Client, records: Consumer<pull::Config>, waiting: Waiting) {
    let Ok(mut records) = records.stream().max_messages_per_batch(256).messages().await else { return };
    while let Some(Ok(record)) = records.next().await {
        let arrived = Instant::now();
        let number = record.payload.first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
        let waits = number.and_then(|number| waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&number));
        // Whoever gave up does not wait any more.
        let _ = waits.map(|waits| waits.send(arrived));
        if record.ack().await.is_err() {
            return;
        }
    }
}

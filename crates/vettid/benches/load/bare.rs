//! What a read cannot do without, done by the client library alone: a question through the broker to somebody else, who writes a
//! synced record there, and answers once it is acknowledged. It comes at the same random times as the reads beside which it
//! stands, so how long its slowest percent takes is what this machine and this broker add at that rate.

use crate::drive;
use crate::figures::Samples;
use crate::raw::{Account, connect};
use crate::stack::Stack;
use anyhow::{Context as _, Result, ensure};
use async_nats::{Client, Subscriber};
use futures_util::StreamExt as _;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::bytes::Bytes;
use vettid_nats::clock;
use vettid_wire::event::{DataResponse, EventRow as _, MemberRevoked};
use vettid_wire::id::ConnectionId;
use vettid_wire::subject::Subject;

/// Bytes of a question and of its answer, of the size that sealed ones have.
const QUESTION_BYTES: usize = 2048;
/// Bytes of a record.
const RECORD: Bytes = Bytes::from_static(&[b'x'; 1024]);
/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Whoever asks is no member; there are so many of them.
const PEOPLE: usize = 1;

/// Whom an answer is for.
type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<()>>>>;

/// One who asks and one who writes and answers.
pub(crate) struct Bare {
    asker: Arc<Asker>,
    // Dropping the set ends them.
    _working: JoinSet<()>,
}

struct Asker {
    client: Client,
    subject: String,
    waiting: Waiting,
    asked: AtomicU64,
}

impl Bare {
    /// An account with a stream of its own, and everybody connected.
    pub(crate) async fn open(stack: &Stack) -> Result<Self> {
        let account = Account::open(stack, "bare").await?;
        let [id, writing] = [1, 2].map(|last| ConnectionId::v7(clock::now(), [last; 10]));
        let subject = Subject::ForOwner(account.guid, id, DataResponse::ROW.event_type()).to_string();
        let record = Subject::ForOwner(account.guid, writing, MemberRevoked::ROW.event_type()).to_string();
        let answer = Subject::OwnerProfile(account.guid).to_string();
        let (client, home) = (connect(stack, account.user(id)?).await?, connect(stack, account.home()?).await?);
        let writer = connect(stack, account.user(writing)?).await?;
        let (answers, questions) = (client.subscribe(answer.clone()).await?, home.subscribe(subject.clone()).await?);
        let (waiting, mut working) = (Waiting::default(), JoinSet::new());
        working.spawn(tell(answers, Arc::clone(&waiting)));
        working.spawn(serve(questions, Served { home, writer, record, answer }));
        let asker = Arc::new(Asker { client, subject, waiting, asked: AtomicU64::new(0) });
        let bare = Self { asker, _working: working };
        bare.until_heard().await?;
        Ok(bare)
    }

    /// The other side listens once it answers.
    async fn until_heard(&self) -> Result<()> {
        for _ in 0..50 {
            if tokio::time::timeout(PATIENCE / 100, self.asker.ask()).await.is_ok_and(|answered| answered.is_ok()) {
                return Ok(());
            }
        }
        anyhow::bail!("nobody answers bare questions")
    }

    /// So many a second on average, at random times.
    pub(crate) async fn coming(&self, per_second: f64, lasting: Duration) -> Result<Samples> {
        let asker = Arc::clone(&self.asker);
        drive::open(PEOPLE, per_second, lasting, move |_| {
            let asker = Arc::clone(&asker);
            async move { tokio::time::timeout(PATIENCE, asker.ask()).await.context("no bare answer")? }
        })
        .await
    }
}

impl Asker {
    async fn ask(&self) -> Result<()> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let (answered, answer) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(number, answered);
        let mut question = vec![b'x'; QUESTION_BYTES];
        question.splice(..8, number.to_be_bytes());
        self.client.publish(self.subject.clone(), question.into()).await?;
        answer.await.context("a bare question was refused")
    }
}

/// Tells whoever waits.
async fn tell(mut answers: Subscriber, waiting: Waiting) {
    while let Some(answer) = answers.next().await {
        let number = answer.payload.first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
        let waits = number.and_then(|number| waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&number));
        // Whoever gave up does not wait any more.
        let _ = waits.map(|waits| waits.send(()));
    }
}

/// Who answers.
#[derive(Clone)]
struct Served {
    home: Client,
    writer: Client,
    record: String,
    answer: String,
}

/// Serves questions side by side.
async fn serve(mut questions: Subscriber, served: Served) {
    let mut serving = JoinSet::new();
    while let Some(question) = questions.next().await {
        let served = served.clone();
        serving.spawn(async move { served.one(question.payload).await });
        while serving.try_join_next().is_some() {}
    }
}

impl Served {
    /// Writes a record and answers with the question's bytes. Of a record that is not stored no answer comes, which ends the run.
    async fn one(&self, question: Bytes) -> Result<()> {
        let stored = self.writer.request(self.record.clone(), RECORD).await?;
        let stored: serde_json::Value = serde_json::from_slice(&stored.payload)?;
        ensure!(stored.get("seq").is_some(), "a bare record was not stored: {stored}");
        Ok(self.home.publish(self.answer.clone(), question).await?)
    }
}

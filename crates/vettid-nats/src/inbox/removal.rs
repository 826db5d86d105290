//! Takes events that are done out of the stream: a moment later and several in a row. Where the stream begins with events that are all done
//! here, they go together (docs/decisions/0226). Any other is removed by itself: the server syncs each removal, and holds up what
//! arrives meanwhile, so among arriving events removals keep their distance (docs/decisions/0202), but none waits long: to remove an
//! old event is much dearer than a young one (docs/decisions/0224). The dearest is that of the stream's last event. Must never
//! remove an event that is not done.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::HeaderMap;
use futures_util::future::join_all;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use vettid_core::grants::broker::Stream;

use crate::api::{ApiError, Done, MESSAGE_NOT_FOUND};
use crate::connection::{Connection, REQUEST_TIMEOUT, RequestError};

/// After so long without another event the removal begins.
const QUIET: Duration = Duration::from_millis(50);
/// It begins at the latest so long after the first event of a row.
const LONGEST: Duration = Duration::from_millis(100);
/// It begins at the latest with so many events in a row, and does not pause as long as there are as many.
const MOST: usize = 4_096;
/// Removals under way at once.
const AT_ONCE: usize = 4;
/// A row does not pause any more after so long: its events are to be gone before a second is over.
const PAUSES_END: Duration = Duration::from_millis(300);
/// While events arrive, removals are followed by pauses that are so many times as long as they took.
const PAUSES: u32 = 3;
/// The timer knows no shorter pause: until so much is due, one removal follows the other.
const LEAST_PAUSE: Duration = Duration::from_millis(2);
/// However long a removal took: whoever asks meanwhile is heard after this.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);
/// Where events go together, one that is done waits at most so long for those before it.
const TOGETHER: Duration = Duration::from_millis(300);
/// Events that may wait for their place in a row.
const QUEUE: usize = 1_024;
/// Fewer are removed one by one.
const FEWEST_TOGETHER: u64 = 2;
/// Matches every subject.
const EVERYTHING: &str = ">";
/// Header by which the server tells the place of a message.
const PLACE: &str = "Nats-Sequence";

/// What an earlier process may have left behind: it told the server that an event is done and ended before the removal.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// The subjects of the consumer.
    pub(super) subjects: Vec<String>,
    /// Every event of these subjects is done that does not lie behind this place.
    pub(super) floor: u64,
}

/// The way to the task that removes. The task ends after the last of them is gone and what was done is removed.
#[derive(Debug, Clone)]
pub(super) struct Remover(mpsc::Sender<Ask>);

#[derive(Debug)]
enum Ask {
    /// This event is done.
    Done(u64),
    /// All that is done is to be removed now.
    Now(oneshot::Sender<()>),
}

/// Why a row ended.
enum Ended {
    Quiet,
    Long,
    Asked(oneshot::Sender<()>),
    Over,
}

impl Remover {
    /// Starts the task; it begins with what was left behind.
    pub(super) fn start(connection: Connection, left: Left) -> Self {
        let (asks, waiting) = mpsc::channel(QUEUE);
        let removal = Removal { connection, waiting, done: BTreeMap::new(), goes_together: true, askers: Vec::new() };
        tokio::spawn(removal.run(left));
        Self(asks)
    }

    /// This event is done.
    pub(super) async fn done(&self, sequence: u64) {
        // Without the task the event stays until the next opening.
        let _ = self.0.send(Ask::Done(sequence)).await;
    }

    /// Waits until everything that was done before is removed, or cannot be at the moment.
    pub(super) async fn now(&self) {
        let (removed, until) = oneshot::channel();
        if self.0.send(Ask::Now(removed)).await.is_ok() {
            let _ = until.await;
        }
    }
}

struct Removal {
    connection: Connection,
    waiting: mpsc::Receiver<Ask>,
    /// The places of what is done, and since when.
    done: BTreeMap<u64, Instant>,
    /// Whether the server takes out several events at once.
    goes_together: bool,
    /// They wait until everything that was done before is removed.
    askers: Vec<oneshot::Sender<()>>,
}

impl Removal {
    async fn run(mut self, left: Left) {
        if let Err(error) = self.tidy(&left).await {
            tracing::warn!(%error, "events that were done before stay in the inbox stream for now");
        }
        loop {
            match self.row().await {
                Ended::Quiet => self.sweep(false).await,
                Ended::Long => self.sweep(true).await,
                Ended::Asked(asker) => self.askers.push(asker),
                Ended::Over => return self.sweep(false).await,
            }
            while !self.askers.is_empty() {
                let askers = std::mem::take(&mut self.askers);
                self.sweep(false).await;
                for asker in askers {
                    // Whoever asked may have gone.
                    let _ = asker.send(());
                }
            }
        }
    }

    /// Collects until it is time to remove.
    async fn row(&mut self) -> Ended {
        let mut longest = (!self.done.is_empty()).then(|| Instant::now() + LONGEST);
        while self.done.len() < MOST {
            let next = match longest {
                None => self.waiting.recv().await,
                Some(longest) => match timeout_at(longest.min(Instant::now() + QUIET), self.waiting.recv()).await {
                    Ok(next) => next,
                    Err(_) if Instant::now() < longest => return Ended::Quiet,
                    Err(_) => return Ended::Long,
                },
            };
            match next {
                Some(Ask::Done(sequence)) => self.done.insert(sequence, Instant::now()),
                Some(Ask::Now(asker)) => return Ended::Asked(asker),
                None => return Ended::Over,
            };
            longest.get_or_insert_with(|| Instant::now() + LONGEST);
        }
        Ended::Long
    }

    /// Removes what is done, in order; while events arrive, all but the last, and with pauses. What cannot be removed is tried again.
    async fn sweep(&mut self, is_busy: bool) {
        let mut row = std::mem::take(&mut self.done);
        let last = row.pop_last();
        if self.remove_together(&mut row).await && is_busy {
            // Those before them may be done by the next time.
            self.done.extend(row.extract_if(.., |_, since| since.elapsed() < TOGETHER));
        }
        if is_busy {
            self.done.extend(last);
        } else {
            row.extend(last);
        }
        let (mut due, pauses_end) = (Duration::ZERO, Instant::now() + PAUSES_END);
        while !row.is_empty() {
            let begin = Instant::now();
            let removals = row.keys().take(AT_ONCE).map(|sequence| async { (*sequence, self.remove(*sequence).await) });
            let mut failed = None;
            for (sequence, outcome) in join_all(removals).await {
                match outcome {
                    Ok(()) => _ = row.remove(&sequence),
                    Err(error) => failed = Some(error),
                }
            }
            if let Some(error) = failed {
                tracing::debug!(%error, "an event that is done stays in the inbox stream for now");
                break;
            }
            self.take_in();
            due += begin.elapsed() * PAUSES;
            let may_pause = is_busy && self.askers.is_empty() && row.len() + self.done.len() < MOST;
            if may_pause && due >= LEAST_PAUSE && Instant::now() < pauses_end {
                tokio::time::sleep(std::mem::take(&mut due).min(LONGEST_PAUSE)).await;
            }
        }
        self.done.append(&mut row);
    }

    /// Removes those of a row with which the stream begins, without a gap, with one request. What the stream holds before the first of them, or
    /// between them, may be somebody else's or not done yet. Gives whether there were any.
    async fn remove_together(&mut self, row: &mut BTreeMap<u64, Instant>) -> bool {
        if !self.goes_together || row.is_empty() {
            return false;
        }
        match self.purge_begin(row).await {
            Ok(gone) => gone,
            Err(ApiError::Refused { number, description }) => {
                tracing::info!(number, description, "the inbox stream lets no events be removed together");
                self.goes_together = false;
                false
            }
            Err(error) => {
                tracing::debug!(%error, "events that are done could not be removed together; they are removed one by one");
                false
            }
        }
    }

    async fn purge_begin(&self, row: &mut BTreeMap<u64, Instant>) -> Result<bool, ApiError> {
        // Asked for each time: a store that was put back holds earlier events again.
        let Some(first) = self.next(EVERYTHING, 1).await? else { return Ok(false) };
        let end = end_of_run(row, first);
        if end - first < FEWEST_TOGETHER {
            return Ok(false);
        }
        self.connection.api::<Done>(&Stream::Inbox.purge(), &json!({ "seq": end })).await?;
        *row = row.split_off(&end);
        Ok(true)
    }

    /// What was said while a row is being removed belongs to the next one.
    fn take_in(&mut self) {
        while let Ok(ask) = self.waiting.try_recv() {
            match ask {
                Ask::Done(sequence) => _ = self.done.insert(sequence, Instant::now()),
                Ask::Now(asker) => self.askers.push(asker),
            }
        }
    }

    /// Removes what an earlier process left behind.
    async fn tidy(&self, left: &Left) -> Result<(), ApiError> {
        for subject in &left.subjects {
            let mut place = 1;
            while let Some(found) = self.next(subject, place).await?.filter(|found| *found <= left.floor) {
                self.remove(found).await?;
                place = found + 1;
            }
        }
        Ok(())
    }

    /// The place of the next event of a subject, from a place on.
    async fn next(&self, subject: &str, from: u64) -> Result<Option<u64>, RequestError> {
        let body = json!({ "seq": from, "next_by_subj": subject }).to_string();
        let api = Stream::Inbox.direct_get();
        let found = self.connection.exchange(&api, HeaderMap::new(), body.into(), REQUEST_TIMEOUT).await?;
        let place = found.headers.as_ref().and_then(|headers| headers.get(PLACE));
        Ok(place.and_then(|place| place.as_str().parse().ok()))
    }

    async fn remove(&self, sequence: u64) -> Result<(), ApiError> {
        remove(&self.connection, sequence).await
    }
}

/// The first place from `begin` on that is not in the row.
fn end_of_run(row: &BTreeMap<u64, Instant>, begin: u64) -> u64 {
    let run = row.range(begin..).zip(begin..).take_while(|((place, _), expected)| *place == expected);
    begin + u64::try_from(run.count()).unwrap_or(0)
}

/// Removes one event. One that is not there is removed.
pub(super) async fn remove(connection: &Connection, sequence: u64) -> Result<(), ApiError> {
    let body = json!({ "seq": sequence, "no_erase": true });
    match connection.api::<Done>(&Stream::Inbox.message_delete(), &body).await {
        Err(error) if error.number() != Some(MESSAGE_NOT_FOUND) => Err(error),
        _ => Ok(()),
    }
}

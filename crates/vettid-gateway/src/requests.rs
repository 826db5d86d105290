//! The open requests to members and what became of them. Bounded; forgets what ended. Holds values of members only as long
//! as a program of the service may come for them.

use crate::question::{Answer, Judgement, NotAnAnswer, Outcome, Question};
use crate::view::RequestView;
use serde_json::Value;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use vettid_crypto::authorisation::Answerer;
use vettid_wire::envelope::InReplyTo;
use vettid_wire::id::{ConnectionId, EventId, RequestId};
use vettid_wire::time::Timestamp;

/// How far a request is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Asked; no answer yet.
    Asked,
    /// The member is being asked.
    Pending,
    /// It ended then, with this outcome.
    Done(Timestamp, Outcome),
}

/// One request.
#[derive(Debug)]
pub(crate) struct Request {
    question: Question,
    /// Later than the question's own, once the member is being asked.
    expires_at_ms: AtomicI64,
    /// When something on its way named it last.
    named_at_ms: AtomicI64,
    progress: watch::Sender<Progress>,
    /// The answer as the member's vault signed it.
    evidence: Mutex<Option<Value>>,
    stored: AtomicBool,
    turn: tokio::sync::Mutex<()>,
}

impl Request {
    fn new(question: Question, stored: bool) -> Self {
        Self {
            expires_at_ms: AtomicI64::new(question.expires_at.unix_ms()),
            question,
            named_at_ms: AtomicI64::new(0),
            progress: watch::Sender::new(Progress::Asked),
            evidence: Mutex::default(),
            stored: AtomicBool::new(stored),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// The question as it was asked.
    #[must_use]
    pub(crate) fn question(&self) -> &Question {
        &self.question
    }

    /// The question with the present end of its time, to be stored.
    #[must_use]
    pub(crate) fn to_store(&self) -> Question {
        Question { expires_at: self.expires_at(), ..self.question.clone() }
    }

    /// An answer after that does not count.
    #[must_use]
    pub(crate) fn expires_at(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.expires_at_ms.load(Ordering::Acquire))
    }

    /// Decides what an answer says. `answerer` is the member of the connection.
    ///
    /// # Errors
    /// [`NotAnAnswer`] if it does not count.
    pub(crate) fn judge(
        &self,
        now: Timestamp,
        answer: Answer,
        in_reply_to: Option<&InReplyTo>,
        answerer: &Answerer,
    ) -> Result<Judgement, NotAnAnswer> {
        if now > self.expires_at() {
            return Err(NotAnAnswer::Time);
        }
        self.question.judge(now, answer, in_reply_to, answerer)
    }

    /// How far it is, and how that changes.
    #[must_use]
    pub(crate) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Whether it ended.
    #[must_use]
    pub(crate) fn is_done(&self) -> bool {
        matches!(*self.progress.borrow(), Progress::Done(..))
    }

    /// Takes what an answer said. An end is final: later answers change nothing.
    pub(crate) fn take(&self, now: Timestamp, judgement: Judgement) {
        let next = match judgement {
            Judgement::Pending(until) => {
                self.expires_at_ms.store(until.unix_ms(), Ordering::Release);
                Progress::Pending
            }
            Judgement::Done(outcome) => Progress::Done(now, outcome),
        };
        self.progress.send_if_modified(|progress| {
            let changes = !matches!(progress, Progress::Done(..)) && *progress != next;
            if changes {
                *progress = next;
            }
            changes
        });
    }

    /// Held while the request is stored or ended, so that its end is stored if it is.
    pub(crate) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Keeps the answer that ended it.
    pub(crate) fn set_evidence(&self, evidence: Option<Value>) {
        *lock(&self.evidence) = evidence;
    }

    /// The answer that ended it, as the member's vault signed it.
    pub(crate) fn evidence(&self) -> Option<Value> {
        lock(&self.evidence).clone()
    }

    /// Whether it holds a value that may not be kept any longer.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        matches!(&*self.progress.borrow(), Progress::Done(_, outcome) if outcome.is_over(now))
    }

    /// Whether it holds a value of a member.
    pub(crate) fn holds_value(&self) -> bool {
        matches!(&*self.progress.borrow(), Progress::Done(_, outcome) if outcome.holds_value())
    }

    /// Since when it ended, or should have.
    fn over_since(&self) -> Timestamp {
        match &*self.progress.borrow() {
            Progress::Done(at, _) => *at,
            Progress::Asked | Progress::Pending => self.expires_at(),
        }
    }

    fn kept_since(&self) -> Timestamp {
        self.over_since().max(Timestamp::from_unix_ms(self.named_at_ms.load(Ordering::Acquire)))
    }

    fn holds_value_of(&self, connection: ConnectionId) -> bool {
        self.question.connection_id == connection && self.holds_value()
    }

    /// Whether the sealed state holds it.
    #[must_use]
    pub(crate) fn is_stored(&self) -> bool {
        self.stored.load(Ordering::Acquire)
    }

    /// The sealed state holds it from now on.
    pub(crate) fn set_stored(&self) {
        self.stored.store(true, Ordering::Release);
    }
}

/// More requests are open than the configuration allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many requests are open")]
pub(crate) struct TooManyOpen;

/// All requests that are open or ended a short time ago.
#[derive(Debug)]
pub(crate) struct Requests {
    table: Mutex<Table>,
    most: usize,
}

/// Most requests that are kept although a program has their end already.
const MOST_TOLD: usize = 1024;

#[derive(Debug, Default)]
struct Table {
    requests: HashMap<RequestId, Arc<Request>>,
    events: HashMap<EventId, RequestId>,
    /// Those whose end was told by the very call that asked, the oldest first. They take no room from others.
    told: VecDeque<RequestId>,
    /// Those whose end is stored for a program that repeats its call. They take no room from others either.
    kept: HashSet<RequestId>,
    /// Those that gave way and are still stored.
    gone: Vec<Arc<Request>>,
}

impl Table {
    fn remove(&mut self, id: RequestId) {
        if let Some(request) = self.requests.remove(&id) {
            self.events.remove(&request.question.event_id);
            if request.is_stored() {
                self.gone.push(request);
            }
        }
    }
}

impl Requests {
    /// An empty table for at most `most` requests.
    #[must_use]
    pub(crate) fn new(most: usize) -> Self {
        Self { table: Mutex::default(), most }
    }

    /// Whether there is room for one more.
    ///
    /// # Errors
    /// [`TooManyOpen`].
    pub(crate) fn check_room(&self) -> Result<(), TooManyOpen> {
        let table = lock(&self.table);
        let taken = table.requests.len().saturating_sub(table.told.len() + table.kept.len());
        if taken < self.most { Ok(()) } else { Err(TooManyOpen) }
    }

    /// Adds a request. `stored` says that the sealed state holds it.
    pub(crate) fn add(&self, question: Question, stored: bool) -> Arc<Request> {
        let (request_id, event_id) = (question.request_id, question.event_id);
        let request = Arc::new(Request::new(question, stored));
        let mut table = lock(&self.table);
        table.events.insert(event_id, request_id);
        table.requests.insert(request_id, Arc::clone(&request));
        request
    }

    /// The request of this id.
    #[must_use]
    pub(crate) fn get(&self, id: RequestId) -> Option<Arc<Request>> {
        lock(&self.table).requests.get(&id).cloned()
    }

    /// The request whose question is this event.
    #[must_use]
    pub(crate) fn of_event(&self, event: EventId) -> Option<Arc<Request>> {
        let table = lock(&self.table);
        table.events.get(&event).and_then(|id| table.requests.get(id)).cloned()
    }

    /// The call that asked has told the end of this request: it can still be looked up, until it is swept or many others
    /// came after it.
    pub(crate) fn told(&self, id: RequestId) {
        let mut table = lock(&self.table);
        table.told.push_back(id);
        let surplus = table.told.len().saturating_sub(MOST_TOLD);
        let oldest: Vec<_> = table.told.drain(..surplus).collect();
        oldest.into_iter().for_each(|id| table.remove(id));
    }

    /// Every request of a connection.
    #[must_use]
    pub(crate) fn of_connection(&self, id: ConnectionId) -> Vec<RequestView> {
        let requests: Vec<_> = lock(&self.table).requests.values().cloned().collect();
        let own = requests.iter().filter(|request| request.question.connection_id == id);
        own.map(|request| RequestView::new(&request.question, request.expires_at(), &request.progress.borrow()))
            .collect()
    }

    /// The end of this request is stored for a program that repeats its call.
    pub(crate) fn kept(&self, id: RequestId) {
        lock(&self.table).kept.insert(id);
    }

    /// Every open request of a connection.
    #[must_use]
    pub(crate) fn open_of(&self, connection: ConnectionId) -> Vec<Arc<Request>> {
        let table = lock(&self.table);
        let of = |request: &&Arc<Request>| request.question.connection_id == connection && !request.is_done();
        table.requests.values().filter(of).cloned().collect()
    }

    /// Every request that is open or ended a short time ago.
    #[must_use]
    pub(crate) fn all(&self) -> Vec<Arc<Request>> {
        lock(&self.table).requests.values().cloned().collect()
    }

    /// Every request of a connection that holds a value.
    #[must_use]
    pub(crate) fn with_values(&self, connection: ConnectionId) -> Vec<Arc<Request>> {
        let table = lock(&self.table);
        let all = table.requests.values().chain(&table.gone);
        all.filter(|request| request.holds_value_of(connection)).cloned().collect()
    }

    /// Forgets the values that were had on a connection. The state does not have them any more.
    pub(crate) fn let_go(&self, connection: ConnectionId) {
        let Table { requests, events, told, kept, gone } = &mut *lock(&self.table);
        gone.retain(|request| !request.holds_value_of(connection));
        for (_, request) in requests.extract_if(|_, request| request.holds_value_of(connection)) {
            events.remove(&request.question.event_id);
        }
        told.retain(|id| requests.contains_key(id));
        kept.retain(|id| requests.contains_key(id));
    }

    fn take_out(&self, is_out: impl Fn(&Request) -> bool) -> Vec<Arc<Request>> {
        let requests: Vec<_> = lock(&self.table).requests.values().cloned().collect();
        let mut old: Vec<_> = requests.into_iter().filter(|request| is_out(request)).collect();
        let mut table = lock(&self.table);
        old.append(&mut table.gone);
        for request in &old {
            table.remove(request.question.request_id);
        }
        table.gone.clear();
        let Table { requests, told, kept, .. } = &mut *table;
        told.retain(|id| requests.contains_key(id));
        kept.retain(|id| requests.contains_key(id));
        old
    }

    /// Takes out what ended more than `keep_ms` ago, was to be answered until then and was not, or holds a value whose time is
    /// over. Nothing of `kept` is too old.
    pub(crate) fn sweep(&self, now: Timestamp, keep_ms: i64, kept: &HashSet<RequestId>) -> Vec<Arc<Request>> {
        self.take_out(|request| {
            let is_kept = kept.contains(&request.question.request_id);
            (now.since_ms(request.kept_since()) > keep_ms && !is_kept) || request.is_over(now)
        })
    }

    /// Something on its way names these requests: those that ended are kept as if that had been now. What is kept for longer
    /// than `keep_ms` takes no room from others.
    pub(crate) fn named(&self, now: Timestamp, keep_ms: i64, named: &HashSet<RequestId>) {
        for request in named.iter().filter_map(|id| self.get(*id)).filter(|request| request.is_done()) {
            if now.since_ms(request.over_since()) > keep_ms {
                self.kept(request.question.request_id);
            }
            request.named_at_ms.store(now.unix_ms(), Ordering::Release);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::question::Kind;
    use crate::random;
    use vettid_crypto::identity::SigningKey;
    use vettid_wire::base64::{Base64, Base64Url};
    use vettid_wire::data::{DataOutcome, DataResponse, Keep};
    use vettid_wire::id::{Fingerprint, MemberId};
    use vettid_wire::refusal::RefusalCode;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_000_000 + ms)
    }

    fn question(number: u8) -> Question {
        Question {
            request_id: RequestId::from_bytes([number; 16]),
            event_id: EventId::from_bytes([number; 16]),
            connection_id: ConnectionId::from_bytes([number % 2; 16]),
            member: MemberId::from_bytes([0; 16]),
            body_hash: Base64Url::new([0; 32]),
            kind: Kind::Data { field: "address".to_owned() },
            envelope: Base64::default(),
            asked_at: at(0),
            expires_at: at(1_000),
        }
    }

    #[test]
    fn an_end_is_final() {
        let requests = Requests::new(4);
        let request = requests.add(question(1), false);
        let refused = |code| Outcome::Refused { code, retry_at: None };
        request.take(at(1), Judgement::Pending(at(5_000)));
        assert_eq!((request.expires_at(), request.is_done()), (at(5_000), false));
        request.take(at(2), Judgement::Done(refused(RefusalCode::Denied)));
        request.take(at(3), Judgement::Pending(at(9_000)));
        request.take(at(3), Judgement::Done(refused(RefusalCode::Expired)));
        assert_eq!(*request.progress().borrow(), Progress::Done(at(2), refused(RefusalCode::Denied)));
    }

    #[test]
    fn an_answer_counts_until_the_end_of_the_request_and_pending_moves_that_end() {
        let requests = Requests::new(4);
        let request = requests.add(question(1), false);
        let signing = SigningKey::random(&mut random::system());
        let key = Answerer { member: Fingerprint::from_bytes([2; 32]), pairwise: signing.verifying_key() };
        let to = InReplyTo { event_id: EventId::from_bytes([1; 16]), body_hash: Base64Url::new([0; 32]) };
        let answer = || {
            let outcome = DataOutcome::Refused { code: RefusalCode::Denied };
            let response = DataResponse { request_id: RequestId::from_bytes([1; 16]), outcome, proof: None };
            let unsigned = serde_json::to_value(response).unwrap();
            let signed = vettid_core::answer::prove(at(1), &signing, question(1).connection_id, to.clone(), unsigned);
            Answer::Data(serde_json::from_value(signed.unwrap()).unwrap())
        };
        let denied = Ok(Judgement::Done(Outcome::Refused { code: RefusalCode::Denied, retry_at: None }));
        assert_eq!(request.judge(at(1_000), answer(), Some(&to), &key), denied);
        assert_eq!(request.judge(at(1_001), answer(), Some(&to), &key), Err(NotAnAnswer::Time));
        request.take(at(900), Judgement::Pending(at(5_000)));
        assert_eq!(request.judge(at(5_000), answer(), Some(&to), &key), denied);
        assert_eq!(request.judge(at(5_001), answer(), Some(&to), &key), Err(NotAnAnswer::Time));
        assert_eq!(request.to_store().expires_at, at(5_000));
    }

    #[test]
    fn room_is_bounded_and_comes_back() {
        let requests = Requests::new(2);
        for number in 1..=2 {
            requests.check_room().unwrap();
            requests.add(question(number), false);
        }
        assert_eq!(requests.check_room(), Err(TooManyOpen));
        let ended = requests.get(RequestId::from_bytes([1; 16])).unwrap();
        ended.take(at(0), Judgement::Done(Outcome::Expired));
        assert_eq!(requests.check_room(), Err(TooManyOpen), "its end was not told yet");
        requests.sweep(at(101), 100, &HashSet::new());
        assert!(requests.of_event(EventId::from_bytes([1; 16])).is_none());
        assert_eq!(requests.check_room(), Ok(()));
    }

    /// Request, event and connection of this number, its end told by the call that asked.
    fn told(requests: &Requests, number: u16) -> RequestId {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        let (request_id, event_id) = (RequestId::from_bytes(bytes), EventId::from_bytes(bytes));
        let request = requests.add(Question { request_id, event_id, ..question(0) }, false);
        request.take(at(500), Judgement::Done(Outcome::Expired));
        requests.told(request_id);
        request_id
    }

    #[test]
    fn what_was_told_is_found_takes_no_room_and_is_bounded() {
        let requests = Requests::new(1);
        let first = told(&requests, 0);
        assert_eq!(requests.check_room(), Ok(()));
        assert!(requests.get(first).is_some_and(|request| request.is_done()));
        let last = (1..=MOST_TOLD).map(|number| told(&requests, u16::try_from(number).unwrap())).last().unwrap();
        assert!(requests.get(first).is_none() && requests.of_event(EventId::from_bytes([0; 16])).is_none());
        assert!(requests.get(last).is_some());
        assert_eq!(requests.sweep(at(601), 100, &HashSet::new()).len(), MOST_TOLD);
        assert!(requests.get(last).is_none());
        requests.add(question(1), false);
        assert_eq!(requests.check_room(), Err(TooManyOpen), "what was swept counts no more on either side");
    }

    #[test]
    fn what_ended_long_ago_or_was_never_answered_is_swept() {
        let requests = Requests::new(4);
        requests.add(question(1), false).take(at(500), Judgement::Done(Outcome::Expired));
        requests.add(question(2), false);
        assert!(requests.sweep(at(600), 100, &HashSet::new()).is_empty());
        assert_eq!(requests.sweep(at(601), 100, &HashSet::new()).len(), 1);
        assert_eq!(requests.sweep(at(1_101), 100, &HashSet::new()).len(), 1);
        assert!(requests.get(RequestId::from_bytes([2; 16])).is_none());
    }

    #[test]
    fn what_somebody_is_still_to_be_told_of_is_kept_as_long_as_its_value_and_takes_no_room() {
        let requests = Requests::new(1);
        let named = HashSet::from([RequestId::from_bytes([1; 16])]);
        let keep = Keep::TimeLimited { until: at(9_000) };
        let served = Outcome::Served { field: "address".to_owned(), value: "Elm 1".into(), keep };
        requests.add(question(1), true).take(at(500), Judgement::Done(served));
        requests.named(at(600), 100, &named);
        assert_eq!(requests.check_room(), Err(TooManyOpen), "as fresh as any other");
        requests.named(at(700), 100, &named);
        assert_eq!(requests.check_room(), Ok(()));
        assert!(requests.sweep(at(800), 100, &HashSet::new()).is_empty(), "it was named a short time ago");
        requests.named(at(8_999), 100, &named);
        assert!(requests.sweep(at(8_999), 100, &HashSet::new()).is_empty());
        assert_eq!(requests.sweep(at(9_000), 100, &HashSet::new()).len(), 1, "a value ends with its time");
        requests.add(question(2), true).take(at(500), Judgement::Done(Outcome::Expired));
        requests.named(at(900), 100, &HashSet::from([RequestId::from_bytes([2; 16])]));
        assert_eq!(requests.sweep(at(1_001), 100, &HashSet::new()).len(), 1, "nothing names it any more");
    }

    #[test]
    fn a_value_is_forgotten_when_its_time_is_over_and_with_its_connection() {
        let requests = Requests::new(8);
        let served = |keep| Outcome::Served { field: "address".to_owned(), value: "Elm 1".into(), keep };
        let keeps = [Keep::Session { until: at(60) }, Keep::UntilRevoked, Keep::TimeLimited { until: at(90) }];
        for (number, keep) in keeps.into_iter().enumerate() {
            let request = requests.add(question(u8::try_from(number).unwrap()), false);
            request.take(at(1), Judgement::Done(served(keep)));
        }
        let left = || (0..3).filter(|n| requests.get(RequestId::from_bytes([*n; 16])).is_some()).collect::<Vec<u8>>();
        requests.sweep(at(59), 10_000, &HashSet::new());
        assert_eq!(left(), [0, 1, 2]);
        requests.sweep(at(60), 10_000, &HashSet::new());
        assert_eq!(left(), [1, 2]);
        let ended = ConnectionId::from_bytes([1; 16]);
        assert_eq!(requests.with_values(ended).len(), 1);
        requests.let_go(ended);
        assert!(requests.with_values(ended).is_empty());
        assert_eq!(left(), [2]);
        requests.sweep(at(90), 10_000, &HashSet::new());
        assert!(left().is_empty());
    }

    #[test]
    fn the_open_requests_of_a_connection_are_its_own() {
        let requests = Requests::new(4);
        let (one, _) = (requests.add(question(1), false), requests.add(question(2), false));
        requests.add(question(3), false).take(at(1), Judgement::Done(Outcome::Expired));
        let open = requests.open_of(ConnectionId::from_bytes([1; 16]));
        assert_eq!(open.iter().map(|open| open.question.request_id).collect::<Vec<_>>(), [one.question.request_id]);
    }
}

//! Asking a member: the question is sealed and sent, sent again when no answer comes, and waited for. On the way of a
//! question that is answered at once nothing is written to the disk; a question whose id is told to a program is stored
//! before.

use super::{Shared, ended_key, lock, put_channel, request_key};
use crate::clock;
use crate::once;
use crate::peers::{PeerAddress, PeerError};
use crate::question::{Ask, Asker, Judgement, Kind, Outcome, Question, QuestionError};
use crate::random;
use crate::requests::{Progress, Request};
use crate::revocation::NoticeFailed;
use crate::state::{Draft, StateError};
use crate::view::{RequestView, Status};
use crate::webhook::{Event, EventKind};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex as SyncMutex};
use std::time::Duration;
use vettid_core::channel::Channel;
use vettid_wire::connection::ConnectionState;
use vettid_wire::id::{ConnectionId, EventId};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

/// While a member is being asked, the question is sent again this seldom: an answer that got lost is had that way. A question that no
/// inbox keeps is sent this often at least until there is an answer: a vault that was not there may be there by now.
const PENDING_PAUSE: Duration = Duration::from_secs(20);
/// Longest pause between two times.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Why a member is not asked.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// There is no such connection.
    #[error("there is no such connection")]
    UnknownConnection,
    /// The connection is not active.
    #[error("the connection is not active")]
    NotConnected,
    /// As many requests are open as the configuration allows.
    #[error("too many requests are open")]
    TooManyOpen,
    /// A login by a number where those are off.
    #[error("number: logins by a number are off (`numbers` in `[login]` of the configuration)")]
    NoNumbers,
    /// Larger than a question may be, or no vault would take it.
    #[error(transparent)]
    Unsound(QuestionError),
    /// The question could not be made.
    #[error(transparent)]
    Question(QuestionError),
    /// A notice could not be made.
    #[error(transparent)]
    Sign(#[from] NoticeFailed),
    /// It could not be stored.
    #[error(transparent)]
    State(#[from] StateError),
}

impl From<QuestionError> for RequestError {
    fn from(error: QuestionError) -> Self {
        match error {
            QuestionError::TooLarge
            | QuestionError::Unsound(_)
            | QuestionError::UnsoundMessage
            | QuestionError::UnsoundBatch => Self::Unsound(error),
            other => Self::Question(other),
        }
    }
}

pub(super) async fn ask(
    shared: &Arc<Shared>,
    id: ConnectionId,
    ask: Ask,
    wait: Duration,
) -> Result<RequestView, RequestError> {
    // What the configuration does not allow is not even asked.
    if matches!(&ask, Ask::Login(login) if login.number.is_some() && !shared.config.login.numbers) {
        return Err(RequestError::NoNumbers);
    }
    shared.requests.check_room().map_err(|_| RequestError::TooManyOpen)?;
    let Sealed { question, address, runs_low } = seal(shared, id, ask).await?;
    let stored = must_store(&question);
    let request = shared.requests.add(question, stored);
    spawn(shared, Arc::clone(&request), Some(address));
    let view = wait_for(shared, &request, wait).await;
    if runs_low {
        shared.tasks.spawn(reserve_ahead(Arc::clone(shared), id));
    }
    if view.status.is_open() {
        keep(shared, &request).await?;
        return Ok(present(&request));
    }
    if request.is_stored() {
        shared.requests.kept(view.request_id);
    } else {
        shared.requests.told(view.request_id);
    }
    Ok(view)
}

/// Whether a question is stored before it is sent: its call may be repeated, nobody may give a word to a service that forgets
/// having asked for it, and what became of a message is told.
fn must_store(question: &Question) -> bool {
    once::is_named() || matches!(question.kind, Kind::Authorisation(_) | Kind::Message { .. })
}

/// A question that may leave.
struct Sealed {
    question: Question,
    address: Arc<PeerAddress>,
    /// Few sequences are left before the channel is to be stored again.
    runs_low: bool,
}

/// Stores the channel before a question has to wait for that.
async fn reserve_ahead(shared: Arc<Shared>, id: ConnectionId) {
    let Some(mut live) = shared.lock_live(id).await else { return };
    if !live.channel.as_mut().is_some_and(Channel::reserve_ahead) {
        return;
    }
    let mut draft = shared.state.draft();
    let stored = match put_channel(&mut draft, id, &mut live) {
        Ok(()) => shared.commit(draft).await,
        unwritten => unwritten,
    };
    if let Err(error) = stored {
        tracing::error!(%error, "a channel could not be stored ahead");
    }
}

/// Seals a question. The lock on the connection is held over the commit, if one is due, so that no sequence leaves that
/// the stored channel does not cover.
async fn seal(shared: &Shared, id: ConnectionId, ask: Ask) -> Result<Sealed, RequestError> {
    let mut live = shared.lock_live(id).await.ok_or(RequestError::UnknownConnection)?;
    let service_id = &shared.presentation.service_id;
    let address = live.address(service_id).map_err(|_| RequestError::NotConnected)?;
    let live = &mut *live;
    let channel = live.channel.as_mut().ok_or(RequestError::NotConnected)?;
    let question = {
        let identity = shared.identity();
        let asker = Asker {
            service_id,
            signing: identity.signing_key(),
            key_record: identity.key_record().record(),
            member: live.record.member.guid,
            connection_id: id,
            contract_hash: &live.record.contract_hash,
        };
        Question::seal(clock::now(), &mut random::system(), asker, channel, ask)?
    };
    let runs_low = channel.runs_low();
    let mut draft = shared.state.draft();
    if channel.must_store() {
        put_channel(&mut draft, id, live)?;
    }
    if must_store(&question) {
        draft.put(request_key(question.request_id), &question)?;
    }
    if once::is_named() {
        once::request(&mut draft, question.request_id)?;
    }
    shared.commit(draft).await?;
    Ok(Sealed { question, address, runs_low })
}

/// Stores a request before its id is told to anybody. One that ended meanwhile is told as ended.
async fn keep(shared: &Shared, request: &Request) -> Result<(), StateError> {
    let _turn = request.turn().await;
    if request.is_done() {
        return Ok(());
    }
    let question = request.to_store();
    let mut draft = shared.state.draft();
    draft.put(request_key(question.request_id), &question)?;
    request.set_stored();
    shared.commit(draft).await
}

/// Stores the new end of a request that is stored.
pub(super) async fn keep_again(shared: &Shared, request: &Request) {
    if request.is_stored()
        && let Err(error) = keep(shared, request).await
    {
        tracing::error!(%error, "a pending request could not be stored");
    }
}

/// Waits until a request ends or the gateway stops, at most `wait`.
pub(super) async fn wait_for(shared: &Shared, request: &Request, wait: Duration) -> RequestView {
    let mut progress = request.progress();
    let ended = progress.wait_for(|progress| matches!(progress, Progress::Done(..)));
    tokio::select! {
        _ = ended => {}
        () = tokio::time::sleep(wait) => {}
        () = shared.stop.cancelled() => {}
    }
    present(request)
}

/// How far a request is now.
pub(super) fn present(request: &Request) -> RequestView {
    let seen = request.progress().borrow().clone();
    let view = RequestView::new(request.question(), request.expires_at(), &seen);
    RequestView { evidence: request.evidence(), ..view }
}

/// The end of a request that is stored. `Serialize` is for the sealed state alone.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ended {
    /// When.
    pub at: Timestamp,
    /// How.
    pub outcome: Outcome,
    /// The answer as the member's vault signed it.
    #[serde(default)]
    pub evidence: Option<Value>,
}

/// Ends a request; a later end changes nothing. The end of one that is stored is durable, together with what webhooks are
/// told of it, before anybody sees it.
pub(super) async fn conclude(shared: &Shared, request: &Request, outcome: Outcome) {
    let _turn = request.turn().await;
    if request.is_done() {
        return;
    }
    let now = clock::now();
    if request.is_stored()
        && let Err(error) = store_end(shared, now, request, &outcome).await
    {
        return tracing::error!(%error, "the end of a request could not be stored");
    }
    request.take(now, Judgement::Done(outcome));
}

async fn store_end(shared: &Shared, now: Timestamp, request: &Request, outcome: &Outcome) -> Result<(), StateError> {
    let question = request.question();
    let evidence = request.evidence().filter(|_| !outcome.is_over(now));
    let ended = Ended { at: now, outcome: outcome.without_over(now), evidence };
    let mut draft = shared.state.draft();
    draft.put(ended_key(question.request_id), &ended)?;
    let done = Progress::Done(now, outcome.clone());
    shared.tell(&mut draft, now, &answered(&RequestView::new(question, request.expires_at(), &done)))?;
    shared.commit(draft).await
}

/// Takes requests out of the state; a value that one of them holds is then nowhere on the disk.
pub(super) async fn forget(shared: &Shared, requests: Vec<Arc<Request>>) {
    let mut draft = shared.state.draft();
    let held_value = leave_out(&mut draft, &requests);
    let removed = if held_value { shared.purge(draft).await } else { shared.commit(draft).await };
    if let Err(error) = removed {
        tracing::error!(%error, "old requests could not be removed");
    }
}

/// Takes those of these requests that are stored out of the state; `true` if one of them holds a value.
pub(super) fn leave_out(draft: &mut Draft, requests: &[Arc<Request>]) -> bool {
    let mut held_value = false;
    for request in requests.iter().filter(|request| request.is_stored()) {
        draft.remove(request_key(request.question().request_id));
        draft.remove(ended_key(request.question().request_id));
        held_value |= request.holds_value();
    }
    held_value
}

/// What webhooks are told of the end of a request.
fn answered(view: &RequestView) -> Event {
    if view.kind == "message" {
        return of_message(view);
    }
    let mut answer = json!(view);
    if let Some(answer) = answer.as_object_mut() {
        // Values are had by a call, for as long as they may be kept; they do not lie in queues.
        answer.remove("value");
        let fields = answer.get_mut("fields").and_then(Value::as_array_mut);
        for field in fields.into_iter().flatten().filter_map(Value::as_object_mut) {
            field.remove("value");
        }
        answer.remove("result");
        answer.remove("evidence");
        answer.remove("record");
    }
    let body = json!({"request_id": view.request_id, "kind": view.kind, "status": view.status.name()});
    Event { answer: Some(answer), ..Event::of(EventKind::RequestAnswered, view.connection_id, body) }
}

/// What webhooks are told of a message: that the vault took it, or why not and when there is room again.
fn of_message(view: &RequestView) -> Event {
    let (kind, mut body) = match &view.status {
        Status::Accepted { accepted_at } => (EventKind::MessageAccepted, json!({"accepted_at": accepted_at})),
        Status::Refused { code, retry_at: Some(at) } => {
            (EventKind::MessageRefused, json!({"code": code, "retry_at": at}))
        }
        Status::Refused { code, retry_at: None } => (EventKind::MessageRefused, json!({"code": code})),
        _ => (EventKind::MessageRefused, json!({})),
    };
    if let Some(body) = body.as_object_mut() {
        body.insert("request_id".to_owned(), json!(view.request_id));
        body.insert("status".to_owned(), json!(view.status.name()));
    }
    Event::of(kind, view.connection_id, body)
}

/// Sends a question until it is answered or its time is over.
pub(super) fn spawn(shared: &Arc<Shared>, request: Arc<Request>, address: Option<Arc<PeerAddress>>) {
    let (owner, address) = (Arc::clone(shared), SyncMutex::new(address));
    shared.tasks.insist("a question", move || {
        // One that begins anew looks for the address again, as after a restart.
        let (owner, request, address) = (Arc::clone(&owner), Arc::clone(&request), lock(&address).take());
        async move {
            let stop = owner.stop.clone();
            stop.run_until_cancelled(drive(&owner, &request, address)).await;
        }
    });
}

async fn drive(shared: &Shared, request: &Request, address: Option<Arc<PeerAddress>>) {
    // After a restart the question may have been sent before: the inbox must not take it for a repetition.
    let mut times = u32::from(address.is_none());
    let Some(address) = or_present(shared, request, address).await else {
        return conclude(shared, request, Outcome::Refused { code: RefusalCode::NotConnected, retry_at: None }).await;
    };
    let mut pause = Duration::from_millis(shared.config.limits.ask_again_ms);
    while !request.is_done() && clock::now() <= request.expires_at() {
        let is_pending = *request.progress().borrow() == Progress::Pending;
        let is_best_effort = request.question().is_best_effort();
        if is_pending || is_best_effort || times < shared.config.limits.ask_times {
            match send(shared, request, &address, times).await {
                Ok(()) => times += 1,
                Err(error) if error.is_passing() => {
                    tracing::info!(%error, "a question could not be delivered yet")
                }
                Err(error) => {
                    tracing::warn!(%error, "a question cannot be delivered");
                    let outcome = Outcome::Refused { code: RefusalCode::NotConnected, retry_at: None };
                    return conclude(shared, request, outcome).await;
                }
            }
        }
        pause_for(request, pause).await;
        let (least, longest) = match *request.progress().borrow() {
            Progress::Pending => (PENDING_PAUSE, LONGEST_PAUSE),
            _ if is_best_effort => (pause, PENDING_PAUSE.max(pause)),
            _ => (pause, LONGEST_PAUSE),
        };
        pause = (pause * 2).max(least).min(longest);
    }
    conclude(shared, request, Outcome::Expired).await;
}

/// The address that was found when the question was sealed, or the present one after a restart.
async fn or_present(shared: &Shared, request: &Request, address: Option<Arc<PeerAddress>>) -> Option<Arc<PeerAddress>> {
    if address.is_some() {
        return address;
    }
    let mut live = shared.lock_live(request.question().connection_id).await?;
    let service_id = &shared.presentation.service_id;
    live.address(service_id).ok()
}

/// Sends the same bytes each time. Of a durable question the event names the message the first time, so that the inbox stores it once even if its
/// acknowledgement gets lost; later on the message is a new one, so that the question reaches the vault again.
async fn send(shared: &Shared, request: &Request, address: &PeerAddress, times: u32) -> Result<(), PeerError> {
    let question = request.question();
    let message = if times == 0 { question.event_id } else { EventId::v7(clock::now(), random::bytes()) };
    let subject = question.subject(&shared.presentation.service_id);
    let payload = Bytes::copy_from_slice(question.envelope.as_bytes());
    if question.is_best_effort() {
        return shared.peers.tell(question.connection_id, address, &subject, payload).await;
    }
    shared.peers.deliver(question.connection_id, address, &subject, message, payload).await
}

/// Waits until the request ends or the pause is over, at most until the time of the request is over.
async fn pause_for(request: &Request, pause: Duration) {
    let left_ms = request.expires_at().since_ms(clock::now()).saturating_add(1);
    let left = Duration::from_millis(u64::try_from(left_ms).unwrap_or(0));
    let mut progress = request.progress();
    let ended = progress.wait_for(|progress| matches!(progress, Progress::Done(..)));
    let _ = tokio::time::timeout(pause.min(left), ended).await;
}

/// Forgets requests that ended long ago.
pub(super) async fn sweep(shared: &Shared) {
    let (now, keep_ms) = (clock::now(), shared.config.limits.keep_finished_ms);
    shared.requests.named(now, keep_ms, &shared.hooks.requests());
    let old = shared.requests.sweep(now, keep_ms, &shared.calls.requests());
    forget(shared, old).await;
    let mut draft = shared.state.draft();
    shared.calls.sweep(clock::now()).into_iter().for_each(|key| draft.remove(key));
    if let Err(error) = shared.commit(draft).await {
        tracing::error!(%error, "old calls could not be removed");
    }
    forget_expired_invitations(shared).await;
    end_expired_handshakes(shared).await;
}

async fn forget_expired_invitations(shared: &Shared) {
    let now = clock::now();
    let expired: Vec<_> = lock(&shared.invitations)
        .extract_if(|_, invitation| invitation.responder.expire(now))
        .map(|(id, _)| id)
        .collect();
    let mut draft = shared.state.draft();
    expired.into_iter().for_each(|id| draft.remove(super::invitation_key(id)));
    if let Err(error) = shared.commit(draft).await {
        tracing::error!(%error, "expired invitations could not be removed");
    }
}

/// Members who never answered the second message.
async fn end_expired_handshakes(shared: &Shared) {
    let now = clock::now();
    let all: Vec<_> = lock(&shared.connections).all.values().cloned().collect();
    for live in all {
        // Whoever holds it is at work on it.
        let Ok(mut live) = live.try_lock() else {
            continue;
        };
        if live.record.state == ConnectionState::Requested && live.record.responder.expire(now) {
            live.end(ConnectionState::Expired, None);
            live.record.member.forget_credential();
            if let Err(error) = shared.store(&mut live).await {
                tracing::error!(%error, "an expired handshake could not be ended");
            }
        }
    }
}

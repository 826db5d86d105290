//! Asking a member: the question is sealed and sent, sent again when no answer comes, and waited for. On the way of a
//! question that is answered at once nothing is written to the disk; a question whose id is told to a program is stored
//! before.

use super::{Shared, lock, put_channel, request_key};
use crate::clock;
use crate::peers::{PeerAddress, PeerError};
use crate::question::{Ask, Asker, Judgement, Kind, Outcome, Question, QuestionError};
use crate::random;
use crate::requests::{Progress, Request};
use crate::revocation::NoticeFailed;
use crate::state::StateError;
use crate::view::RequestView;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use vettid_wire::connection::ConnectionState;
use vettid_wire::id::{ConnectionId, EventId};
use vettid_wire::refusal::RefusalCode;

/// While a member is being asked, the question is sent again this seldom: an answer that got lost is had that way.
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
    /// Larger than a question may be.
    #[error("the request is too large")]
    Invalid,
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
            QuestionError::TooLarge | QuestionError::Unsound(_) => Self::Invalid,
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
    shared.requests.check_room().map_err(|_| RequestError::TooManyOpen)?;
    let (question, address) = seal(shared, id, ask).await?;
    // Nobody gives a word to a service that may forget having asked for it.
    let must_last = matches!(question.kind, Kind::Authorisation(_));
    let request = shared.requests.add(question, false);
    if must_last {
        keep(shared, &request).await?;
    }
    spawn(shared, Arc::clone(&request), Some(address));
    let view = wait_for(shared, &request, wait).await;
    if view.status.is_open() && !must_last {
        keep(shared, &request).await?;
    } else if !view.status.is_open() && !must_last {
        shared.requests.told(view.request_id);
    }
    Ok(view)
}

/// Seals a question. The lock on the connection is held over the commit, if one is due, so that no sequence leaves that
/// the stored channel does not cover.
async fn seal(shared: &Shared, id: ConnectionId, ask: Ask) -> Result<(Question, Arc<PeerAddress>), RequestError> {
    let mut live = shared.lock_live(id).await.ok_or(RequestError::UnknownConnection)?;
    let service_id = &shared.presentation.offer.contract.service_id;
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
    if channel.must_store() {
        let mut draft = shared.state.draft();
        put_channel(&mut draft, id, live)?;
        shared.commit(draft).await?;
    }
    Ok((question, address))
}

/// Stores a request before its id is told to anybody.
async fn keep(shared: &Shared, request: &Request) -> Result<(), StateError> {
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
    let seen = request.progress().borrow().clone();
    let view = RequestView::new(request.question(), request.expires_at(), &seen);
    RequestView { evidence: request.evidence(), ..view }
}

/// Sends a question until it is answered or its time is over.
pub(super) fn spawn(shared: &Arc<Shared>, request: Arc<Request>, address: Option<Arc<PeerAddress>>) {
    let owner = Arc::clone(shared);
    shared.tasks.spawn(async move {
        let stop = owner.stop.clone();
        tokio::select! {
            () = stop.cancelled() => {}
            () = drive(&owner, &request, address) => {}
        }
    });
}

async fn drive(shared: &Shared, request: &Request, address: Option<Arc<PeerAddress>>) {
    // After a restart the question may have been sent before: the inbox must not take it for a repetition.
    let mut times = u32::from(address.is_none());
    let Some(address) = or_present(shared, request, address).await else {
        return end(request, Outcome::Refused { code: RefusalCode::NotConnected });
    };
    let mut pause = Duration::from_millis(shared.config.limits.ask_again_ms);
    while !request.is_done() && clock::now() <= request.expires_at() {
        let is_pending = *request.progress().borrow() == Progress::Pending;
        if is_pending || times < shared.config.limits.ask_times {
            match send(shared, request, &address, times).await {
                Ok(()) => times += 1,
                Err(error) if error.is_passing() => {
                    tracing::info!(%error, "a question could not be delivered yet")
                }
                Err(error) => {
                    tracing::warn!(%error, "a question cannot be delivered");
                    return end(request, Outcome::Refused { code: RefusalCode::NotConnected });
                }
            }
        }
        pause_for(request, pause).await;
        let least = if *request.progress().borrow() == Progress::Pending { PENDING_PAUSE } else { pause };
        pause = (pause * 2).max(least).min(LONGEST_PAUSE);
    }
    end(request, Outcome::Expired);
}

/// The address that was found when the question was sealed, or the present one after a restart.
async fn or_present(shared: &Shared, request: &Request, address: Option<Arc<PeerAddress>>) -> Option<Arc<PeerAddress>> {
    if address.is_some() {
        return address;
    }
    let mut live = shared.lock_live(request.question().connection_id).await?;
    let service_id = &shared.presentation.offer.contract.service_id;
    live.address(service_id).ok()
}

/// Sends the same bytes each time. The first time the event names the message, so that the inbox stores it once even if its
/// acknowledgement gets lost; later on the message is a new one, so that the question reaches the vault again.
async fn send(shared: &Shared, request: &Request, address: &PeerAddress, times: u32) -> Result<(), PeerError> {
    let question = request.question();
    let message = if times == 0 { question.event_id } else { EventId::v7(clock::now(), random::bytes()) };
    let subject = question.subject(&shared.presentation.offer.contract.service_id);
    let payload = Bytes::copy_from_slice(question.envelope.as_bytes());
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

fn end(request: &Request, outcome: Outcome) {
    request.take(clock::now(), Judgement::Done(outcome));
}

/// Forgets requests that ended long ago.
pub(super) async fn sweep(shared: &Shared) {
    let old = shared.requests.sweep(clock::now(), shared.config.limits.keep_finished_ms);
    let mut draft = shared.state.draft();
    for request in old.iter().filter(|request| request.is_stored()) {
        draft.remove(request_key(request.question().request_id));
    }
    if let Err(error) = shared.commit(draft).await {
        tracing::error!(%error, "old requests could not be removed");
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

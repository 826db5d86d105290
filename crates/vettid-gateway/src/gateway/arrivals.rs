//! What arrives: handshake messages and notices through the inbox, one after the other, each done only after its commit;
//! answers by subscription. Nothing that arrives is believed before it was opened or verified.

use super::ending::EndedBy;
use super::{
    Shared, asking, invitation_key, lock, logins, posts, put, put_acceptance, put_channel, records, upkeep, values,
};
use crate::arrival::{self, Arrived, Mark};
use crate::clock;
use crate::connection::{Live, OpenInvitation, Post, Refused};
use crate::handshake::{self, Answered, Continued};
use crate::question::{Answer, Judgement};
use crate::random;
use crate::revocation;
use crate::state::StateError;
use crate::tasks::{Fault, caught};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Semaphore;
use vettid_nats::connection::{Incoming, Subscription};
use vettid_nats::inbox::{Inbox, InboxMessage};
use vettid_wire::connection::ConnectionState;
use vettid_wire::envelope::InReplyTo;
use vettid_wire::id::{ConnectionId, InviteId};
use vettid_wire::subject::Subject;

/// Answers that are opened at the same time.
const AT_ONCE: usize = 256;
/// An event that could not be stored is taken up again after this time.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// The longest time before an event over which the program fell is taken up again.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// Between two attempts to open the inbox again.
const REOPEN_PAUSE: Duration = Duration::from_secs(1);

/// Takes durable events, until the gateway stops.
pub(super) async fn serve_inbox(shared: Arc<Shared>, mut inbox: Inbox) {
    loop {
        let next = tokio::select! {
            () = shared.stop.cancelled() => return,
            next = inbox.next() => next,
        };
        match next {
            Ok(message) => {
                lock(&shared.hearing).heard();
                take_durable(&shared, message).await;
            }
            Err(error) => {
                tracing::warn!(%error, "the inbox failed and is opened again");
                lock(&shared.hearing).failed(clock::now());
                let Some(opened) = reopened(&shared).await else {
                    return;
                };
                inbox = opened;
            }
        }
    }
}

async fn reopened(shared: &Shared) -> Option<Inbox> {
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => return None,
            () = tokio::time::sleep(REOPEN_PAUSE) => {}
        }
        match shared.home.inbox().await {
            Ok(inbox) => {
                lock(&shared.hearing).opened(clock::now());
                return Some(inbox);
            }
            Err(error) => tracing::info!(%error, "the inbox cannot be opened yet"),
        }
    }
}

async fn take_durable(shared: &Arc<Shared>, message: InboxMessage) {
    let taken = match &message.subject {
        Subject::Invite(_, invite_id) => take_handshake(shared, *invite_id, &message.payload).await,
        Subject::ForOwner(_, id, _) => take_event(shared, *id, &message.subject, &message.payload).await,
        _ => {
            shared.count_dropped();
            Ok(())
        }
    };
    let told = match taken {
        Ok(()) => message.done_soon().await,
        Err(NotTaken::State(error)) => {
            tracing::error!(%error, "an event could not be stored");
            message.later(AGAIN_AFTER).await
        }
        Err(NotTaken::Fault) => {
            let pause = pause_after(message.deliveries);
            tracing::error!(?pause, "the program fell over an event; it comes again after a pause");
            message.later(pause).await
        }
    };
    if let Err(error) = told {
        tracing::debug!(%error, "the broker was not told of an event; it comes again");
    }
}

/// Before an event over which the program fell comes again. It is kept until its time in the inbox is over: the next program may
/// know what to do with it.
fn pause_after(deliveries: u64) -> Duration {
    let doublings = u32::try_from(deliveries.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
    (AGAIN_AFTER * 2_u32.pow(doublings)).min(LONGEST_PAUSE)
}

/// Why an event is not done.
enum NotTaken {
    /// It could not be stored.
    State(StateError),
    /// The program fell over it. Others are not held up by that.
    Fault,
}

/// What came of taking an event, whatever the program met on the way.
async fn taken(taking: impl Future<Output = Result<(), StateError>>) -> Result<(), NotTaken> {
    match caught(taking).await {
        Ok(outcome) => outcome.map_err(NotTaken::State),
        Err(Fault) => Err(NotTaken::Fault),
    }
}

async fn take_handshake(shared: &Arc<Shared>, invite_id: InviteId, bytes: &[u8]) -> Result<(), NotTaken> {
    let open = lock(&shared.invitations).remove(&invite_id);
    if let Some(invitation) = open {
        let copy = invitation.duplicate();
        let outcome = taken(answer(shared, invitation, bytes)).await;
        if let (Err(_), Ok(copy)) = (&outcome, copy) {
            put_back(shared, copy);
        }
        return outcome;
    }
    let known = lock(&shared.connections).by_invitation.get(&invite_id).copied();
    match known {
        Some(id) => taken(go_on(shared, id, bytes)).await,
        None if shared.is_known(came_back(invite_id)) => {
            let subject = Subject::Invite(shared.identity().guid, invite_id);
            take_event(shared, came_back(invite_id), &subject, bytes).await
        }
        None => {
            shared.count_dropped();
            Ok(())
        }
    }
}

/// An invitation whose answer could not be handled is open again, unless a connection came of it.
fn put_back(shared: &Shared, invitation: OpenInvitation) {
    if !lock(&shared.connections).by_invitation.contains_key(&invitation.invite_id) {
        lock(&shared.invitations).insert(invitation.invite_id, invitation);
    }
}

/// The connection whose way back has this name.
fn came_back(name: InviteId) -> ConnectionId {
    ConnectionId::from_bytes(name.to_bytes())
}

/// A message under an invitation that nobody has answered.
async fn answer(shared: &Arc<Shared>, invitation: OpenInvitation, bytes: &[u8]) -> Result<(), StateError> {
    tracing::debug!("an answer to an invitation is taken up");
    let invite_id = invitation.invite_id;
    let answered = {
        let identity = shared.identity();
        let (now, own) = (clock::now(), shared.own(&identity));
        handshake::answer_invitation(now, &mut random::system(), own, invitation, bytes, |id| shared.is_known(id))
    };
    let mut draft = shared.state.draft();
    match answered {
        Ok(Answered::Open { invitation, counted }) => {
            if counted {
                draft.put(invitation_key(invite_id), &*invitation)?;
            }
            lock(&shared.invitations).insert(invite_id, *invitation);
            shared.commit(draft).await
        }
        Ok(Answered::Connection(record)) => {
            let mut live = Live::new(*record, None);
            draft.remove(invitation_key(invite_id));
            put(&mut draft, &mut live)?;
            shared.commit(draft).await?;
            let (id, outbox) = (live.record.connection_id, live.record.outbox.clone());
            shared.add(live);
            send_all(shared, id, outbox);
            Ok(())
        }
        Ok(Answered::Over) => {
            draft.remove(invitation_key(invite_id));
            shared.commit(draft).await
        }
        Err(error) => {
            tracing::error!(%error, "a handshake could not be answered");
            draft.remove(invitation_key(invite_id));
            shared.commit(draft).await
        }
    }
}

/// A further message of a handshake under way.
async fn go_on(shared: &Arc<Shared>, id: ConnectionId, bytes: &[u8]) -> Result<(), StateError> {
    let Some(mut live) = shared.lock_live(id).await else {
        return Ok(());
    };
    let before = live.record.outbox.clone();
    let continued = {
        let identity = shared.identity();
        let own = shared.own(&identity);
        handshake::continue_handshake(clock::now(), &mut random::system(), own, &mut live, bytes)
    };
    let mut draft = shared.state.draft();
    match continued {
        Ok(Continued::Nothing) => return Ok(()),
        Ok(Continued::Changed) => {}
        Ok(Continued::Active) => shared.tell_active(&mut draft, &live)?,
        Err(error) => {
            tracing::error!(%error, "a handshake could not be finished");
            live.end(ConnectionState::Aborted, None);
            live.record.member.forget_credential();
        }
    }
    put(&mut draft, &mut live)?;
    put_acceptance(&mut draft, &live)?;
    shared.commit(draft).await?;
    let outbox = live.record.outbox.iter().filter(|post| !before.contains(post)).cloned().collect();
    drop(live);
    send_all(shared, id, outbox);
    Ok(())
}

fn send_all(shared: &Arc<Shared>, id: ConnectionId, outbox: Vec<Post>) {
    for post in outbox {
        posts::spawn(shared, id, post);
    }
}

/// Takes answers, until the gateway stops.
pub(super) async fn serve_subscription(shared: Arc<Shared>, mut subscription: Subscription) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let next = tokio::select! {
            () = shared.stop.cancelled() => return,
            next = subscription.next() => next,
        };
        match next {
            Some(Ok(incoming)) => {
                let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                    return;
                };
                let owner = Arc::clone(&shared);
                shared.tasks.spawn(async move {
                    take_answer(&owner, incoming).await;
                    drop(place);
                });
            }
            Some(Err(denial)) => {
                tracing::error!(%denial, "the broker does not let the gateway receive answers");
                return shared.healthy.store(false, std::sync::atomic::Ordering::Release);
            }
            None => return,
        }
    }
}

async fn take_answer(shared: &Arc<Shared>, incoming: Incoming) {
    let Subject::ForOwner(_, id, _) = &incoming.subject else {
        return shared.count_dropped();
    };
    match take_event(shared, *id, &incoming.subject, &incoming.payload).await {
        Ok(()) => {}
        Err(NotTaken::State(error)) => tracing::error!(%error, "an event could not be stored"),
        Err(NotTaken::Fault) => tracing::error!("the program fell over an answer"),
    }
}

/// An event of a connected member. One that could not be handled counts as not seen when it comes again.
async fn take_event(shared: &Arc<Shared>, id: ConnectionId, subject: &Subject, payload: &[u8]) -> Result<(), NotTaken> {
    let seen = OnceLock::new();
    let outcome = taken(take_up(shared, id, subject, payload, &seen)).await;
    if let (Err(_), Some(mark)) = (&outcome, seen.get()) {
        take_back(shared, id, *mark).await;
    }
    outcome
}

/// Takes a mark back, in the state too: whoever used the connection meanwhile may have stored it.
async fn take_back(shared: &Shared, id: ConnectionId, mark: Mark) {
    let Some(mut live) = shared.lock_live(id).await else { return };
    let Some(channel) = &mut live.channel else { return };
    mark.take_back(channel);
    let mut draft = shared.state.draft();
    let stored = match put_channel(&mut draft, id, &mut live) {
        Ok(()) => shared.commit(draft).await,
        unwritten => unwritten,
    };
    if let Err(error) = stored {
        tracing::error!(%error, "that an event is to come again could not be stored");
    }
}

async fn take_up(
    shared: &Arc<Shared>,
    id: ConnectionId,
    subject: &Subject,
    payload: &[u8],
    seen: &OnceLock<Mark>,
) -> Result<(), StateError> {
    let Some(mut live) = shared.lock_live(id).await else {
        shared.count_dropped();
        return Ok(());
    };
    let opened = arrival::open(&mut live, subject, payload).map(|(arrived, mark)| {
        seen.get_or_init(|| mark);
        tracing::debug!("an event of a member is taken up");
        arrived
    });
    match opened {
        Ok(Arrived::Answer(answer, in_reply_to)) if matches!(*answer, Answer::Authorisation(_)) => {
            records::take(shared, live, *answer, in_reply_to.as_ref()).await
        }
        Ok(Arrived::Withdrawal(body)) => records::withdrawn(shared, live, body).await,
        Ok(Arrived::Answer(answer, in_reply_to)) => {
            match weigh(shared, &mut live, *answer, in_reply_to.as_ref()) {
                Some((request, Judgement::Done(outcome))) => asking::conclude(shared, &request, outcome).await,
                Some((request, pending)) => {
                    request.take(clock::now(), pending);
                    asking::keep_again(shared, &request).await;
                }
                None => {}
            }
            upkeep::keep_up(shared, live).await
        }
        Ok(Arrived::Snapshot(snapshot)) => {
            if !values::take(shared, &live, snapshot).await? {
                shared.count_dropped();
            }
            upkeep::keep_up(shared, live).await
        }
        Ok(Arrived::LoginOpened(opened)) => {
            let member = live.record.member.guid;
            upkeep::keep_up(shared, live).await?;
            logins::opened(shared, (id, member), &opened).await;
            Ok(())
        }
        Ok(Arrived::Credential(event, body)) => upkeep::credential(shared, live, event, body).await,
        Ok(Arrived::Accepted(body)) => upkeep::accepted(shared, live, body).await,
        Ok(Arrived::Profile(body)) => upkeep::profile(shared, live, body).await,
        Ok(Arrived::Rekey(body)) => upkeep::rekey(shared, live, body).await,
        Ok(Arrived::Notice(notice)) => {
            if revocation::receive(&mut live, notice).is_err() {
                shared.count_dropped();
                return Ok(());
            }
            shared.store_end(&mut live, EndedBy::Member).await?;
            drop(live);
            shared.end_requests(id).await;
            shared.peers.close(id).await;
            Ok(())
        }
        Err(dropped) => {
            tracing::debug!(%dropped, "an event was dropped");
            shared.count_dropped();
            Ok(())
        }
    }
}

/// Holds an answer against its question; gives back what it says if it counts.
fn weigh(
    shared: &Shared,
    live: &mut Live,
    answer: Answer,
    in_reply_to: Option<&InReplyTo>,
) -> Option<(Arc<crate::requests::Request>, Judgement)> {
    let now = clock::now();
    let request = answer.question(in_reply_to).and_then(|event| shared.requests.of_event(event));
    let request = request.filter(|request| request.question().connection_id == live.record.connection_id);
    let Some(request) = request else {
        note_refusal(live, answer);
        shared.count_dropped();
        return None;
    };
    let Ok(answerer) = live.record.member.answerer() else {
        return None;
    };
    let evidence = answer.evidence();
    match request.judge(now, answer, in_reply_to, &answerer) {
        Ok(judgement) => {
            if matches!(judgement, Judgement::Done(_)) && !request.is_done() {
                request.set_evidence(evidence);
            }
            Some((request, judgement))
        }
        Err(reason) => {
            tracing::warn!(%reason, "an answer does not count");
            shared.count_dropped();
            None
        }
    }
}

/// Remembers the refusal of an event that was no open request, such as the counter-signature.
fn note_refusal(live: &mut Live, answer: Answer) {
    if let Answer::Refused(refused) = answer {
        tracing::warn!(event_type = %refused.event_type, code = %refused.code, "a member's vault refused an event");
        live.record.last_refusal = Some(Refused {
            event_id: refused.event_id,
            event_type: refused.event_type.to_string(),
            code: refused.code,
            at: clock::now(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_over_which_the_program_falls_comes_less_and_less_often() {
        let pauses: Vec<_> = [1, 2, 3, 10, 11, u64::MAX].map(|deliveries| pause_after(deliveries).as_secs()).into();
        assert_eq!(pauses, [5, 10, 20, 2560, 3600, 3600]);
    }
}

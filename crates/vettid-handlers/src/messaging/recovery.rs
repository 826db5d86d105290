//! A conversation after one side came back from an earlier state: the other side sends again what is not there, and gives back
//! what the restored side wrote itself. In the end both have the same; no message is there twice, and no number is used twice.

mod peer;
mod record;

pub(super) use peer::resume;
pub(super) use record::{is_settled, revision_floor};

use super::conversation::{self, Kept, find, store, update};
use super::{disappear, encode, member, reaction, settings, text, tidy};
use record::Recovery;
use vettid_handler::event::Context;
use vettid_handler::feed::FeedNote;
use vettid_handler::handler::Outcome;
use vettid_handler::host::Host;
use vettid_handler::reply::HandlerError;
use vettid_wire::event::{EventRow, MessagingResume, MessagingText, Nothing};
use vettid_wire::feed::{Outcome as FeedOutcome, Severity};
use vettid_wire::id::ConnectionId;
use vettid_wire::messaging::{
    BeginRecovery, Direction, RecoverConversation, ResumeConversation, ResumedConversation, ReturnedMessage,
    TextMessage,
};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

/// What one piece of a file adds to its message, in bytes.
const PIECE_BYTES: usize = 48;
/// Most places of a conversation that one event looks at.
const LOOK_AT: u64 = 100;
/// Most messages that one event sends: a handler may send 16 events for one.
const AT_ONCE: usize = 10;
/// And most late ones beside them.
const LATE_AT_ONCE: usize = 4;
/// What is given back later than this after a restore is not taken, in milliseconds (30 days).
const TAKE_BACK_MS: i64 = 30 * 24 * 3600 * 1000;
/// And most bytes of text.
const MAX_BYTES: usize = 128 * 1024;

/// `messaging.recover`: what the vault has done after a restore, its own or that of a peer.
pub(super) fn recover(
    host: &mut dyn Host,
    context: &Context,
    request: RecoverConversation,
) -> Result<Outcome<Nothing>, HandlerError> {
    match request {
        RecoverConversation::Begin(wanted) => begin(host, context, &wanted)?,
        RecoverConversation::Late(late) => peer::give_back_late(host, *late)?,
    }
    Ok(Outcome::Reply(Nothing {}))
}

/// This vault was restored: says what is here, and asks for the rest.
fn begin(host: &mut dyn Host, context: &Context, wanted: &BeginRecovery) -> Result<(), HandlerError> {
    let id = wanted.connection_id;
    let sent_up_to = conversation::last_number(host, id)?;
    let recovery = Recovery::begun(context.occurred_at, wanted.incarnation, sent_up_to);
    record::put(host, id, &recovery)?;
    ask(host, id, &recovery, Some(0))
}

fn ask(host: &mut dyn Host, id: ConnectionId, recovery: &Recovery, after: Option<u64>) -> Result<(), HandlerError> {
    let received = conversation::arrivals(host, id)?.numbers();
    let asked = ResumeConversation { received, sent_up_to: recovery.sent_up_to, after };
    host.send(id, &MessagingResume::ROW.event_type(), &encode(&asked)?)?;
    Ok(())
}

/// `messaging.resumed`: the peer went through a stretch. Own numbers are known to be free from the first one on.
pub(super) fn resumed(
    host: &mut dyn Host,
    context: &Context,
    resumed: ResumedConversation,
) -> Result<Outcome<Nothing>, HandlerError> {
    let id = member(context)?.connection_id;
    let Some(mut recovery) = record::get(host, id)?.filter(|recovery| !recovery.is_over) else {
        return Ok(Outcome::Done);
    };
    let highest = recovery.highest.unwrap_or(0).max(resumed.highest);
    recovery.highest = Some(highest);
    conversation::number_above(host, id, highest)?;
    let mut is_through = send_undelivered(host, context, id, &mut recovery, &resumed)?;
    let late = record::take_late(host, id, LATE_AT_ONCE)?;
    is_through &= late.len() < LATE_AT_ONCE;
    for message in late {
        send_late(host, context, id, message)?;
    }
    recovery.is_over = is_through && resumed.next.is_none();
    record::put(host, id, &recovery)?;
    // While own messages are left to be sent, the peer is asked on beyond its end: it has nothing more to look at there.
    let after = resumed.next.or_else(|| (!is_through).then_some(u64::MAX >> 11));
    ask(host, id, &recovery, after)?;
    Ok(Outcome::Done)
}

/// Own messages that nobody confirmed before the restore: what the peer has had is delivered, what it has not is sent again
/// under its number. `false` if there are more.
fn send_undelivered(
    host: &mut dyn Host,
    context: &Context,
    id: ConnectionId,
    recovery: &mut Recovery,
    peer: &ResumedConversation,
) -> Result<bool, HandlerError> {
    let (last, mut left) = (conversation::last_place(host, id)?, Budget::default());
    let end = last.min(recovery.looked_at.saturating_add(LOOK_AT));
    for place in recovery.looked_at.saturating_add(1)..=end {
        if let Some((key, mut kept)) = conversation::keyed_at_place(host, id, place)?
            && is_open(&kept, recovery.sent_up_to)
        {
            if peer.received.has(kept.view.number) {
                delivered(host, id, &mut kept, context.occurred_at)?;
                update(host, &key, &kept)?;
            } else if left.take(&kept) {
                host.send(id, &MessagingText::ROW.event_type(), &encode(&kept.into_message())?)?;
            } else {
                return Ok(false);
            }
        }
        recovery.looked_at = place;
    }
    Ok(end == last)
}

fn is_open(kept: &Kept, sent_up_to: u64) -> bool {
    let view = &kept.view;
    view.direction == Direction::Sent && view.delivered_at.is_none() && view.number <= sent_up_to
}

fn delivered(host: &mut dyn Host, id: ConnectionId, kept: &mut Kept, at: Timestamp) -> Result<(), HandlerError> {
    tidy::await_no_receipt(host, id, &kept.view)?;
    kept.view.delivered_at = Some(at);
    kept.view.failed_at = None;
    disappear::begin(host, id, kept, at)
}

/// `messaging.returned`: a message that this side wrote and lost. It is the peer's word, and is marked so.
pub(super) fn returned(
    host: &mut dyn Host,
    context: &Context,
    returned: ReturnedMessage,
) -> Result<Outcome<Nothing>, HandlerError> {
    let peer = member(context)?;
    let id = peer.connection_id;
    text::check(&returned.message)?;
    let mut recovery = record::get(host, id)?.ok_or(RefusalCode::NotAllowed)?;
    if context.occurred_at.since_ms(recovery.begun_at) > TAKE_BACK_MS {
        return Err(RefusalCode::Expired.into());
    }
    if let Some((_, known)) = find(host, id, returned.message.message_id)? {
        // What was sent again meanwhile, or came twice.
        let is_own = known.view.direction == Direction::Sent;
        return if is_own { Ok(Outcome::Done) } else { Err(RefusalCode::Conflict.into()) };
    }
    let Some(received_at) = returned.received_at else {
        match recovery.highest {
            Some(_) => send_late(host, context, id, returned.message)?,
            None => record::put_late(host, id, &returned.message)?,
        }
        return Ok(Outcome::Done);
    };
    if returned.message.number <= recovery.sent_up_to {
        // Removed here before the state was kept that this vault came back from.
        return Ok(Outcome::Done);
    }
    if recovery.highest.is_some_and(|highest| returned.message.number > highest) {
        return Err(RefusalCode::InvalidRequest.into());
    }
    take_back(host, context, id, returned, received_at)?;
    if std::mem::replace(&mut recovery.has_told, true) {
        return Ok(Outcome::Done);
    }
    record::put(host, id, &recovery)?;
    host.feed(&FeedNote {
        severity: Severity::Info,
        outcome: FeedOutcome::Done,
        summary: format!(
            "{} gives back what you wrote and your vault had lost",
            crate::shown::name(&peer.display_name)
        ),
        request_id: None,
    })?;
    Ok(Outcome::Done)
}

fn take_back(
    host: &mut dyn Host,
    context: &Context,
    id: ConnectionId,
    returned: ReturnedMessage,
    received_at: Timestamp,
) -> Result<(), HandlerError> {
    let ReturnedMessage { message, read_at, reaction, .. } = returned;
    let (number, written_at) = (message.number, message.sent_at.min(context.occurred_at));
    let own_after_s = settings::chosen(host, id)?.own_after_s;
    let mut kept = Kept::new(message, Direction::Sent, Some(received_at));
    kept.view.disappear_after_s = kept.view.disappear_after_s.filter(|_| kept.view.disappear_after_s == own_after_s);
    kept.view.is_returned = true;
    kept.view.read_at = read_at;
    if let Some(reaction) = reaction.filter(|reaction| reaction::check(reaction.symbol.as_deref()).is_ok()) {
        reaction::take(&mut kept, reaction);
    }
    reaction::catch_up(host, id, &mut kept)?;
    disappear::begin(host, id, &mut kept, received_at.min(context.occurred_at))?;
    conversation::number_above(host, id, number)?;
    store(host, id, written_at, kept)
}

/// A message of the former incarnation that the peer did not take: it is sent anew, under a number of its own.
fn send_late(
    host: &mut dyn Host,
    context: &Context,
    id: ConnectionId,
    message: TextMessage,
) -> Result<(), HandlerError> {
    if find(host, id, message.message_id)?.is_some() {
        return Ok(());
    }
    let number = conversation::next_number(host, id)?;
    let message = TextMessage { number, ..message };
    host.send(id, &MessagingText::ROW.event_type(), &encode(&message)?)?;
    let (message_id, sent_at) = (message.message_id, message.sent_at);
    let mut kept = Kept::new(message, Direction::Sent, None);
    kept.view.is_returned = true;
    store(host, id, sent_at.min(context.occurred_at), kept)?;
    tidy::await_receipt(host, id, message_id, sent_at)
}

/// What one event may still send.
struct Budget {
    messages: usize,
    bytes: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { messages: AT_ONCE, bytes: MAX_BYTES }
    }
}

impl Budget {
    /// `false` if this message has to wait for the next event.
    fn take(&mut self, kept: &Kept) -> bool {
        let pieces = kept.file.as_ref().map_or(0, |file| file.pieces.len());
        let bytes = kept.view.text.len().saturating_add(pieces.saturating_mul(PIECE_BYTES));
        let left = self.messages.checked_sub(1).zip(self.bytes.checked_sub(bytes));
        if let Some((messages, bytes)) = left {
            (self.messages, self.bytes) = (messages, bytes);
        }
        left.is_some()
    }
}

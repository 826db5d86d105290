//! The side that lost nothing: sends its messages again, and gives back those of the restored side.

use super::{Budget, LOOK_AT, delivered};
use crate::messaging::conversation::{self, Kept, find, update};
use crate::messaging::{encode, member, settings, text};
use vettid_handler::event::Context;
use vettid_handler::handler::Outcome;
use vettid_handler::host::Host;
use vettid_handler::reply::HandlerError;
use vettid_wire::event::{EventRow, MessagingResumed, MessagingReturned, MessagingText, Nothing};
use vettid_wire::id::ConnectionId;
use vettid_wire::messaging::{
    Direction, LateMessage, Reaction, ResumeConversation, ResumedConversation, ReturnedMessage,
};

/// `messaging.resume`: goes through a stretch of the conversation, and says how far it came.
pub(in crate::messaging) fn resume(
    host: &mut dyn Host,
    context: &Context,
    asked: ResumeConversation,
) -> Result<Outcome<Nothing>, HandlerError> {
    let id = member(context)?.connection_id;
    let Some(after) = asked.after else {
        // The other side has sent again everything that it has.
        conversation::close_gaps(host, id)?;
        return Ok(Outcome::Done);
    };
    let next = go_through(host, context, id, &asked, after)?;
    let arrived = conversation::arrivals(host, id)?;
    let resumed = ResumedConversation { highest: arrived.highest, received: arrived.numbers(), next };
    host.send(id, &MessagingResumed::ROW.event_type(), &encode(&resumed)?)?;
    Ok(Outcome::Done)
}

/// Gives where to go on.
fn go_through(
    host: &mut dyn Host,
    context: &Context,
    id: ConnectionId,
    asked: &ResumeConversation,
    after: u64,
) -> Result<Option<u64>, HandlerError> {
    let (last, mut left) = (conversation::last_place(host, id)?, Budget::default());
    let end = last.min(after.saturating_add(LOOK_AT));
    for place in after.saturating_add(1)..=end {
        let Some((key, mut kept)) = conversation::keyed_at_place(host, id, place)? else { continue };
        let is_lost = match kept.view.direction {
            Direction::Sent => !asked.received.has(kept.view.number),
            Direction::Received => kept.view.number > asked.sent_up_to,
        };
        if is_lost && !left.take(&kept) {
            return Ok(Some(place.saturating_sub(1)));
        }
        if is_lost {
            send_lost(host, id, kept)?;
        } else if kept.view.direction == Direction::Sent && kept.view.delivered_at.is_none() {
            // It is there, and the receipt was lost.
            delivered(host, id, &mut kept, context.occurred_at)?;
            update(host, &key, &kept)?;
        }
    }
    Ok((end < last).then_some(end))
}

fn send_lost(host: &mut dyn Host, id: ConnectionId, kept: Kept) -> Result<(), HandlerError> {
    if kept.view.direction == Direction::Sent {
        host.send(id, &MessagingText::ROW.event_type(), &encode(&kept.into_message())?)?;
        return Ok(());
    }
    let lets_know = settings::chosen(host, id)?.has_read_receipts();
    let reaction = (kept.own_revision > 0).then(|| Reaction {
        message_id: kept.view.message_id,
        symbol: kept.view.own_reaction.clone(),
        revision: kept.own_revision,
    });
    let returned = ReturnedMessage {
        received_at: kept.view.delivered_at,
        read_at: kept.view.read_at.filter(|_| lets_know),
        reaction,
        message: kept.into_message(),
    };
    give_back(host, id, &returned)
}

/// A message of the peer's former incarnation: it is not taken as it is, for its number may be in use again.
pub(super) fn give_back_late(host: &mut dyn Host, late: LateMessage) -> Result<(), HandlerError> {
    let LateMessage { connection_id, message } = late;
    text::check(&message)?;
    if find(host, connection_id, message.message_id)?.is_some() {
        return Ok(());
    }
    give_back(host, connection_id, &ReturnedMessage { message, received_at: None, read_at: None, reaction: None })
}

fn give_back(host: &mut dyn Host, id: ConnectionId, returned: &ReturnedMessage) -> Result<(), HandlerError> {
    host.send(id, &MessagingReturned::ROW.event_type(), &encode(returned)?)?;
    Ok(())
}

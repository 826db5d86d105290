//! How far messages came: receipts of the peer's vault, receipts of its owner, and what our owner lets the peer know.

use super::conversation::{self, Kept, find, update};
use super::{disappear, encode, member, settings, tidy};
use vettid_handler::event::Context;
use vettid_handler::handler::Outcome;
use vettid_handler::host::{Host, HostError};
use vettid_handler::reply::HandlerError;
use vettid_wire::event::{EventRow, MessagingSeen, Nothing};
use vettid_wire::id::{ConnectionId, EventId};
use vettid_wire::messaging::{Direction, MAX_READ_AT_ONCE, MarkRead, MarkedRead, ReadReceipt, Receipt};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

/// `messaging.receipt`: the peer has stored a message of ours.
pub(super) fn receipt(
    host: &mut dyn Host,
    context: &Context,
    receipt: Receipt,
) -> Result<Outcome<Nothing>, HandlerError> {
    let peer = member(context)?;
    let (key, mut kept) = sent(host, peer.connection_id, receipt.message_id)?.ok_or(RefusalCode::NotFound)?;
    if kept.view.delivered_at.is_none() {
        delivered(host, context, peer.connection_id, &mut kept, receipt.received_at)?;
        update(host, &key, &kept)?;
    }
    Ok(Outcome::Done)
}

/// `messaging.seen`: the peer's owner has read messages of ours. Whoever read one has stored it.
pub(super) fn seen(
    host: &mut dyn Host,
    context: &Context,
    seen: ReadReceipt,
) -> Result<Outcome<Nothing>, HandlerError> {
    let peer = member(context)?;
    if !(1..=MAX_READ_AT_ONCE).contains(&seen.message_ids.len()) {
        return Err(RefusalCode::InvalidRequest.into());
    }
    for message_id in &seen.message_ids {
        let found = sent(host, peer.connection_id, *message_id)?;
        let Some((key, mut kept)) = found.filter(|(_, kept)| kept.view.read_at.is_none()) else {
            continue;
        };
        if kept.view.delivered_at.is_none() {
            delivered(host, context, peer.connection_id, &mut kept, seen.read_at)?;
        }
        kept.view.read_at = Some(seen.read_at);
        update(host, &key, &kept)?;
    }
    Ok(Outcome::Done)
}

/// `messaging.read`: marks received messages as read, and lets the peer know unless the owner does not want that.
pub(super) fn read(
    host: &mut dyn Host,
    context: &Context,
    request: MarkRead,
) -> Result<Outcome<MarkedRead>, HandlerError> {
    let id = request.connection_id;
    let (message_ids, has_more) = chosen_unread(host, &request)?;
    for message_id in &message_ids {
        let (key, mut kept) = find(host, id, *message_id)?.ok_or(RefusalCode::NotFound)?;
        kept.view.read_at = Some(context.occurred_at);
        update(host, &key, &kept)?;
        host.delete(&conversation::unread_key(id, *message_id))?;
    }
    let marked = u64::try_from(message_ids.len()).unwrap_or(u64::MAX);
    if marked > 0 && settings::chosen(host, id)?.has_read_receipts() {
        let receipt = ReadReceipt { message_ids, read_at: context.occurred_at };
        match host.send(id, &MessagingSeen::ROW.event_type(), &encode(&receipt)?) {
            // Whoever is gone is told nothing.
            Ok(_) | Err(HostError::NotConnected) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Outcome::Reply(MarkedRead { marked, has_more }))
}

/// The unread ones among what the owner means, and whether there are more than fit into one receipt.
fn chosen_unread(host: &mut dyn Host, request: &MarkRead) -> Result<(Vec<EventId>, bool), HandlerError> {
    let id = request.connection_id;
    if let Some(message_id) = request.message_id {
        let (_, kept) = find(host, id, message_id)?.ok_or(RefusalCode::NotFound)?;
        let is_unread = kept.view.direction == Direction::Received && kept.view.read_at.is_none();
        return Ok((if is_unread { vec![message_id] } else { vec![] }, false));
    }
    let most = u32::try_from(MAX_READ_AT_ONCE).unwrap_or(u32::MAX);
    let mut unread = conversation::unread(host, id, most.saturating_add(1))?;
    let has_more = unread.len() > MAX_READ_AT_ONCE;
    unread.truncate(MAX_READ_AT_ONCE);
    Ok((unread, has_more))
}

/// A message of ours is delivered: it waits for nothing any more, and may begin to disappear.
fn delivered(
    host: &mut dyn Host,
    context: &Context,
    connection_id: ConnectionId,
    kept: &mut Kept,
    at: Timestamp,
) -> Result<(), HandlerError> {
    tidy::await_no_receipt(host, connection_id, &kept.view)?;
    kept.view.delivered_at = Some(at);
    kept.view.failed_at = None;
    // A receiver whose clock is ahead gains no time.
    disappear::begin(host, connection_id, kept, at.min(context.occurred_at))
}

/// A message of ours.
fn sent(
    host: &mut dyn Host,
    connection_id: ConnectionId,
    message_id: EventId,
) -> Result<Option<(String, Kept)>, HandlerError> {
    let found = find(host, connection_id, message_id)?;
    Ok(found.filter(|(_, kept)| kept.view.direction == Direction::Sent))
}

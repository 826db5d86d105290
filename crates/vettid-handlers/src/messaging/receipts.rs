//! How far messages came: receipts of the peer's vault, receipts of its owner, and what our owner lets the peer know.

use super::conversation::{self, Kept, find, update};
use super::{encode, member, tidy};
use serde::{Deserialize, Serialize};
use vettid_handler::event::Context;
use vettid_handler::handler::Outcome;
use vettid_handler::host::{Host, HostError};
use vettid_handler::reply::HandlerError;
use vettid_wire::event::{EventRow, MessagingSeen, Nothing};
use vettid_wire::id::{ConnectionId, EventId};
use vettid_wire::messaging::{
    Direction, MAX_READ_AT_ONCE, MarkRead, MarkedRead, MessagingSettings, ReadReceipt, Receipt, SetMessaging,
};
use vettid_wire::refusal::RefusalCode;

/// What the owner chose for a connection; what was never chosen is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Chosen {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    read_receipts: Option<bool>,
}

/// `messaging.receipt`: the peer has stored a message of ours.
pub(super) fn receipt(
    host: &mut dyn Host,
    context: &Context,
    receipt: Receipt,
) -> Result<Outcome<Nothing>, HandlerError> {
    let peer = member(context)?;
    let (key, mut kept) = sent(host, peer.connection_id, receipt.message_id)?.ok_or(RefusalCode::NotFound)?;
    if kept.view.delivered_at.is_none() {
        tidy::await_no_receipt(host, peer.connection_id, &kept.view)?;
        kept.view.delivered_at = Some(receipt.received_at);
        kept.view.failed_at = None;
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
            tidy::await_no_receipt(host, peer.connection_id, &kept.view)?;
            kept.view.delivered_at = Some(seen.read_at);
            kept.view.failed_at = None;
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
    if marked > 0 && chosen(host, id)?.read_receipts.unwrap_or(true) {
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

/// `messaging.settings`: reads or changes what holds for one connection.
pub(super) fn settings(
    host: &mut dyn Host,
    _: &Context,
    request: SetMessaging,
) -> Result<Outcome<MessagingSettings>, HandlerError> {
    let before = chosen(host, request.connection_id)?;
    let now = Chosen { read_receipts: request.read_receipts.or(before.read_receipts) };
    if now != before {
        host.put(&chosen_key(request.connection_id), &encode(&now)?)?;
    }
    Ok(Outcome::Reply(MessagingSettings { read_receipts: now.read_receipts.unwrap_or(true) }))
}

fn chosen(host: &mut dyn Host, connection_id: ConnectionId) -> Result<Chosen, HandlerError> {
    Ok(conversation::read(host, &chosen_key(connection_id))?.unwrap_or_default())
}

fn chosen_key(connection_id: ConnectionId) -> String {
    format!("settings/{connection_id}")
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

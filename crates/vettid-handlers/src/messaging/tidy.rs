//! What time ends: messages that nobody confirmed, and those that disappear. The vault asks for it when something is due; the owner is told by the
//! vault, which knows the names.

use super::conversation::{find, update};
use super::{damaged, disappear};
use vettid_handler::event::Context;
use vettid_handler::handler::Outcome;
use vettid_handler::host::Host;
use vettid_handler::reply::HandlerError;
use vettid_wire::event::Nothing;
use vettid_wire::id::{ConnectionId, EventId};
use vettid_wire::messaging::{MessageRef, MessageView, Tidied, UNDELIVERED_AFTER_MS};
use vettid_wire::time::Timestamp;

const OPEN: &str = "open/";
/// Most messages that one call ends.
const AT_ONCE: u32 = 32;

/// `messaging.tidy`: ends what is over, a bounded number at once, and says when something is over next.
pub(super) fn tidy(host: &mut dyn Host, context: &Context, _: Nothing) -> Result<Outcome<Tidied>, HandlerError> {
    let now = context.occurred_at;
    let (undelivered, next_failure) = fail(host, now)?;
    let (removed, next_end) = disappear::end(host, now, AT_ONCE)?;
    let next_at = [next_failure, next_end].into_iter().flatten().min();
    Ok(Outcome::Reply(Tidied { undelivered, removed, next_at }))
}

/// Messages that nobody confirmed in time have failed.
fn fail(host: &mut dyn Host, now: Timestamp) -> Result<(Vec<MessageRef>, Option<Timestamp>), HandlerError> {
    let mut undelivered = Vec::new();
    for key in host.list_keys(OPEN, AT_ONCE + 1)? {
        let (sent_at, message) = timed(OPEN, &key).ok_or_else(damaged)?;
        let due = sent_at.plus_ms(UNDELIVERED_AFTER_MS);
        if due > now || undelivered.len() == usize::try_from(AT_ONCE).unwrap_or(usize::MAX) {
            return Ok((undelivered, Some(due)));
        }
        host.delete(&key)?;
        if let Some((key, mut kept)) = find(host, message.connection_id, message.message_id)? {
            kept.view.failed_at = Some(now);
            disappear::begin(host, message.connection_id, &mut kept, now)?;
            update(host, &key, &kept)?;
            undelivered.push(message);
        }
    }
    Ok((undelivered, None))
}

/// A message of ours waits for its receipt.
pub(super) fn await_receipt(
    host: &mut dyn Host,
    connection_id: ConnectionId,
    message_id: EventId,
    sent_at: Timestamp,
) -> Result<(), HandlerError> {
    Ok(host.put(&open_key(connection_id, message_id, sent_at), b"1")?)
}

/// It waits no more.
pub(super) fn await_no_receipt(
    host: &mut dyn Host,
    connection_id: ConnectionId,
    view: &MessageView,
) -> Result<(), HandlerError> {
    Ok(host.delete(&open_key(connection_id, view.message_id, view.sent_at))?)
}

fn open_key(connection_id: ConnectionId, message_id: EventId, sent_at: Timestamp) -> String {
    timed_key(OPEN, connection_id, message_id, sent_at)
}

/// A key of a message, ordered by a time.
pub(super) fn timed_key(prefix: &str, connection_id: ConnectionId, message_id: EventId, at: Timestamp) -> String {
    format!("{prefix}{:020}/{connection_id}/{message_id}", at.unix_ms().max(0))
}

/// The time and the message of such a key.
pub(super) fn timed(prefix: &str, key: &str) -> Option<(Timestamp, MessageRef)> {
    let mut parts = key.strip_prefix(prefix)?.split('/');
    let (at, connection_id, message_id) = (parts.next()?, parts.next()?, parts.next()?);
    let message = MessageRef { connection_id: connection_id.parse().ok()?, message_id: message_id.parse().ok()? };
    Some((Timestamp::from_unix_ms(at.parse().ok()?), message))
}

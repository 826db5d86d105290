//! Messages that go: at their time, or because the owner removes them. What goes leaves nothing in the store.

use super::conversation::{self, Kept, find};
use super::{damaged, tidy};
use vettid_handler::event::Context;
use vettid_handler::handler::Outcome;
use vettid_handler::host::Host;
use vettid_handler::reply::HandlerError;
use vettid_wire::event::Nothing;
use vettid_wire::id::ConnectionId;
use vettid_wire::messaging::{Direction, MessageRef, RemovedMessage};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

const END: &str = "end/";

/// `messaging.remove`: the owner removes a message, on this side alone.
pub(super) fn remove(host: &mut dyn Host, _: &Context, request: MessageRef) -> Result<Outcome<Nothing>, HandlerError> {
    let (key, kept) = find(host, request.connection_id, request.message_id)?.ok_or(RefusalCode::NotFound)?;
    erase(host, request.connection_id, &key, &kept)?;
    Ok(Outcome::Reply(Nothing {}))
}

/// The time of a message that is to disappear begins, unless it has begun.
pub(super) fn begin(
    host: &mut dyn Host,
    connection_id: ConnectionId,
    kept: &mut Kept,
    from: Timestamp,
) -> Result<(), HandlerError> {
    let Some(after_s) = kept.view.disappear_after_s.filter(|_| kept.view.disappears_at.is_none()) else {
        return Ok(());
    };
    let end = from.plus_ms(i64::from(after_s) * 1000);
    kept.view.disappears_at = Some(end);
    Ok(host.put(&tidy::timed_key(END, connection_id, kept.view.message_id, end), b"1")?)
}

/// Removes messages whose time is over, at most so many, and says when the next one's is.
pub(super) fn end(
    host: &mut dyn Host,
    now: Timestamp,
    at_once: u32,
) -> Result<(Vec<RemovedMessage>, Option<Timestamp>), HandlerError> {
    let mut removed = Vec::new();
    for key in host.list_keys(END, at_once.saturating_add(1))? {
        let (end, message) = tidy::timed(END, &key).ok_or_else(damaged)?;
        if end > now || removed.len() == usize::try_from(at_once).unwrap_or(usize::MAX) {
            return Ok((removed, Some(end)));
        }
        let MessageRef { connection_id, message_id } = message;
        let Some((stored, kept)) = find(host, connection_id, message_id)? else {
            host.delete(&key)?;
            continue;
        };
        erase(host, connection_id, &stored, &kept)?;
        let told_at = match kept.view.direction {
            Direction::Sent => kept.view.sent_at,
            Direction::Received => kept.view.delivered_at.unwrap_or(kept.view.sent_at),
        };
        removed.push(RemovedMessage { connection_id, message_id, told_at });
    }
    Ok((removed, None))
}

fn erase(host: &mut dyn Host, connection_id: ConnectionId, key: &str, kept: &Kept) -> Result<(), HandlerError> {
    conversation::forget(host, connection_id, key, kept)?;
    if let Some(end) = kept.view.disappears_at {
        host.delete(&tidy::timed_key(END, connection_id, kept.view.message_id, end))?;
    }
    if kept.view.direction == Direction::Sent && kept.view.delivered_at.is_none() {
        tidy::await_no_receipt(host, connection_id, &kept.view)?;
    }
    Ok(())
}

//! Text messages between connected members. A message is stored once, whatever the network repeats or reorders, and its
//! sender gets a receipt. Texts never go into the feed or the log.

use crate::shown;
use std::borrow::Cow;
use vettid_handler::event::{Context, Peer};
use vettid_handler::feed::FeedNote;
use vettid_handler::handler::Outcome;
use vettid_handler::handlers::HandlersBuilder;
use vettid_handler::host::Host;
use vettid_handler::manifest::{FieldScope, HostCall, Manifest};
use vettid_handler::reply::{Fault, HandlerError};
use vettid_wire::event::{EventRow, MessagingList, MessagingReceipt, MessagingSend, MessagingText, Nothing};
use vettid_wire::feed::{Outcome as FeedOutcome, Severity};
use vettid_wire::id::{ConnectionId, EventId};
use vettid_wire::json;
use vettid_wire::messaging::{
    Direction, ListMessages, MAX_TEXT_BYTES, MessageList, MessageView, Receipt, SendText, Sent, TextMessage,
};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

/// What the handlers may do.
pub const MANIFEST: Manifest = Manifest::linked(
    "messaging",
    &[HostCall::Store, HostCall::Send, HostCall::Feed],
    &[Cow::Borrowed(MessagingText::ROW.name), Cow::Borrowed(MessagingReceipt::ROW.name)],
    FieldScope::NONE,
);

/// Largest stored message in canonical bytes: escapes may make a text longer than it looks.
pub const MAX_MESSAGE_BYTES: usize = 56 * 1024;
/// Most messages in one list.
pub const MAX_LISTED: u32 = 200;
/// The messages of one list have at most this many canonical bytes, so that the list fits into a reply.
pub const MAX_LIST_BYTES: usize = 60 * 1024;

/// Adds the handlers of this file.
#[must_use]
pub fn add(handlers: HandlersBuilder) -> HandlersBuilder {
    handlers
        .on::<MessagingSend>(&MANIFEST, send)
        .on::<MessagingList>(&MANIFEST, list)
        .on::<MessagingText>(&MANIFEST, text)
        .on::<MessagingReceipt>(&MANIFEST, receipt)
}

/// `messaging.send`: stores the text and puts it into the outbox. The command's event id names the message, so a repeated
/// command sends nothing new.
pub fn send(host: &mut dyn Host, context: &Context, request: SendText) -> Result<Outcome<Sent>, HandlerError> {
    let (connection_id, message_id) = (request.connection_id, context.event_id);
    if let Some((_, known)) = find(host, connection_id, message_id)? {
        let is_same = known.direction == Direction::Sent && known.text == request.text;
        return if is_same { Ok(Outcome::Reply(Sent { message_id })) } else { Err(RefusalCode::Conflict.into()) };
    }
    let number = next_number(host, connection_id)?;
    let message = TextMessage { message_id, number, text: request.text, sent_at: context.occurred_at };
    check(&message)?;
    host.send(connection_id, &MessagingText::ROW.event_type(), &encode(&message)?)?;
    store(host, connection_id, context.occurred_at, &view(message, Direction::Sent, None))?;
    Ok(Outcome::Reply(Sent { message_id }))
}

/// `messaging.list`: the newest messages of a connection that fit into a reply, oldest first.
pub fn list(host: &mut dyn Host, _: &Context, request: ListMessages) -> Result<Outcome<MessageList>, HandlerError> {
    let mut messages = Vec::new();
    let mut room = MAX_LIST_BYTES;
    for key in host.list_keys(&text_prefix(request.connection_id), MAX_LISTED)? {
        let bytes = host.get(&key)?.ok_or_else(damaged)?;
        let Some(left) = room.checked_sub(bytes.len() + 1) else {
            break;
        };
        room = left;
        messages.push(json::read(&bytes).map_err(|_| damaged())?);
    }
    messages.reverse();
    Ok(Outcome::Reply(MessageList { messages }))
}

/// `messaging.text`: stores a peer's message, once, and sends a receipt, each time.
pub fn text(host: &mut dyn Host, context: &Context, message: TextMessage) -> Result<Outcome<Nothing>, HandlerError> {
    let peer = member(context)?;
    check(&message)?;
    let receipt = match find(host, peer.connection_id, message.message_id)? {
        Some((_, known)) => repeated(&message, &known)?,
        None => first(host, context, peer, message)?,
    };
    host.send(peer.connection_id, &MessagingReceipt::ROW.event_type(), &encode(&receipt)?)?;
    Ok(Outcome::Done)
}

/// `messaging.receipt`: the peer has stored a message of ours.
pub fn receipt(host: &mut dyn Host, context: &Context, receipt: Receipt) -> Result<Outcome<Nothing>, HandlerError> {
    let peer = member(context)?;
    let (key, mut known) = find(host, peer.connection_id, receipt.message_id)?.ok_or(RefusalCode::NotFound)?;
    if known.direction != Direction::Sent {
        return Err(RefusalCode::NotFound.into());
    }
    if known.delivered_at.is_none() {
        known.delivered_at = Some(receipt.received_at);
        host.put(&key, &encode(&known)?)?;
    }
    Ok(Outcome::Done)
}

/// Messages come from members, not from services.
fn member(context: &Context) -> Result<&Peer, RefusalCode> {
    context.peer.as_ref().filter(|peer| peer.service.is_none()).ok_or(RefusalCode::NotAllowed)
}

fn check(message: &TextMessage) -> Result<(), RefusalCode> {
    let is_text = (1..=MAX_TEXT_BYTES).contains(&message.text.len()) && message.number > 0;
    let is_small = json::canonical(message).is_ok_and(|bytes| bytes.len() <= MAX_MESSAGE_BYTES);
    if is_text && is_small { Ok(()) } else { Err(RefusalCode::InvalidRequest) }
}

fn first(host: &mut dyn Host, context: &Context, peer: &Peer, message: TextMessage) -> Result<Receipt, HandlerError> {
    let received_at = context.occurred_at;
    let receipt = Receipt { message_id: message.message_id, received_at };
    let written_at = message.sent_at.min(received_at);
    store(host, peer.connection_id, written_at, &view(message, Direction::Received, Some(received_at)))?;
    host.feed(&FeedNote {
        severity: Severity::Notice,
        outcome: FeedOutcome::Done,
        summary: format!("New message from {}", shown::name(&peer.display_name)),
        request_id: None,
    })?;
    Ok(receipt)
}

/// The receipt of a message that is stored already; another message under the same id is a conflict.
fn repeated(message: &TextMessage, known: &MessageView) -> Result<Receipt, RefusalCode> {
    let again = view(message.clone(), Direction::Received, known.delivered_at);
    match known.delivered_at {
        Some(received_at) if again == *known => Ok(Receipt { message_id: message.message_id, received_at }),
        _ => Err(RefusalCode::Conflict),
    }
}

fn view(message: TextMessage, direction: Direction, delivered_at: Option<Timestamp>) -> MessageView {
    let TextMessage { message_id, number, text, sent_at } = message;
    MessageView { message_id, direction, number, text, sent_at, delivered_at }
}

/// Keys count down, so that the first keys of a listing are those of the newest messages.
fn store(
    host: &mut dyn Host,
    connection_id: ConnectionId,
    at: Timestamp,
    view: &MessageView,
) -> Result<(), HandlerError> {
    let age = u64::MAX - u64::try_from(at.unix_ms()).unwrap_or(0);
    let key = format!("{}{age:020}/{:020}/{}", text_prefix(connection_id), u64::MAX - view.number, view.message_id);
    host.put(&key, &encode(view)?)?;
    host.put(&id_key(connection_id, view.message_id), key.as_bytes())?;
    Ok(())
}

/// A stored message and its key.
fn find(
    host: &mut dyn Host,
    connection_id: ConnectionId,
    message_id: EventId,
) -> Result<Option<(String, MessageView)>, HandlerError> {
    let Some(key) = host.get(&id_key(connection_id, message_id))? else {
        return Ok(None);
    };
    let key = String::from_utf8(key).map_err(|_| damaged())?;
    let bytes = host.get(&key)?.ok_or_else(damaged)?;
    let view = json::read(&bytes).map_err(|_| damaged())?;
    Ok(Some((key, view)))
}

fn next_number(host: &mut dyn Host, connection_id: ConnectionId) -> Result<u64, HandlerError> {
    let key = format!("sent/{connection_id}");
    let last = match host.get(&key)? {
        Some(bytes) => json::read::<u64>(&bytes).map_err(|_| damaged())?,
        None => 0,
    };
    host.put(&key, &encode(&(last + 1))?)?;
    Ok(last + 1)
}

fn text_prefix(connection_id: ConnectionId) -> String {
    format!("text/{connection_id}/")
}

fn id_key(connection_id: ConnectionId, message_id: EventId) -> String {
    format!("id/{connection_id}/{message_id}")
}

fn encode(value: &impl serde::Serialize) -> Result<Vec<u8>, HandlerError> {
    json::canonical(value).map_err(|_| HandlerError::Fault(Fault::Reply))
}

fn damaged() -> HandlerError {
    HandlerError::Retry("the store of messages is damaged".to_owned())
}

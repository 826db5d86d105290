//! Texts on their way: sending one, and taking in one of a peer.

use super::conversation::{self, Kept, find, store};
use super::{disappear, encode, member, reaction, recovery, settings, tidy};
use crate::shown;
use vettid_handler::event::{Context, Peer};
use vettid_handler::feed::FeedNote;
use vettid_handler::handler::Outcome;
use vettid_handler::host::Host;
use vettid_handler::reply::HandlerError;
use vettid_wire::event::{EventRow, MessagingReceipt, MessagingText, Nothing};
use vettid_wire::feed::{Outcome as FeedOutcome, Severity};
use vettid_wire::file::FileManifest;
use vettid_wire::json;
use vettid_wire::messaging::{Direction, MAX_TEXT_BYTES, MessageView, Receipt, SendText, Sent, TextMessage};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

/// Largest stored message in canonical bytes: escapes may make a text longer than it looks.
pub const MAX_MESSAGE_BYTES: usize = 56 * 1024;

/// `messaging.send`: stores the text and puts it into the outbox. The command's event id names the message, so a repeated
/// command sends nothing new.
pub(super) fn send(host: &mut dyn Host, context: &Context, request: SendText) -> Result<Outcome<Sent>, HandlerError> {
    let (connection_id, message_id) = (request.connection_id, context.event_id);
    if let Some((_, known)) = find(host, connection_id, message_id)? {
        let (known, file) = (known.view, request.file.as_ref().map(FileManifest::summary));
        let is_same = (known.direction, &known.text, known.reply_to, &known.file)
            == (Direction::Sent, &request.text, request.reply_to, &file);
        return if is_same { Ok(Outcome::Reply(Sent { message_id })) } else { Err(RefusalCode::Conflict.into()) };
    }
    if let Some(answered) = request.reply_to {
        find(host, connection_id, answered)?.ok_or(RefusalCode::NotFound)?;
    }
    if !recovery::is_settled(host, connection_id)? {
        return Err(RefusalCode::Unavailable.into());
    }
    let number = conversation::next_number(host, connection_id)?;
    let disappear_after_s = settings::chosen(host, connection_id)?.agreed_s();
    let (SendText { text, reply_to, file, .. }, sent_at) = (request, context.occurred_at);
    let message = TextMessage { message_id, number, text, sent_at, reply_to, disappear_after_s, file };
    check(&message)?;
    host.send(connection_id, &MessagingText::ROW.event_type(), &encode(&message)?)?;
    store(host, connection_id, context.occurred_at, Kept::new(message, Direction::Sent, None))?;
    tidy::await_receipt(host, connection_id, message_id, context.occurred_at)?;
    Ok(Outcome::Reply(Sent { message_id }))
}

/// `messaging.text`: stores a peer's message, once, and sends a receipt, each time.
pub(super) fn text(
    host: &mut dyn Host,
    context: &Context,
    message: TextMessage,
) -> Result<Outcome<Nothing>, HandlerError> {
    let peer = member(context)?;
    check(&message)?;
    let receipt = match find(host, peer.connection_id, message.message_id)? {
        Some((_, known)) => repeated(&message, &known.view)?,
        None => first(host, context, peer, message)?,
    };
    host.send(peer.connection_id, &MessagingReceipt::ROW.event_type(), &encode(&receipt)?)?;
    Ok(Outcome::Done)
}

pub(super) fn check(message: &TextMessage) -> Result<(), RefusalCode> {
    settings::check(message.disappear_after_s)?;
    let least = usize::from(message.file.is_none());
    let is_text = (least..=MAX_TEXT_BYTES).contains(&message.text.len()) && message.number > 0;
    let is_file = message.file.as_ref().is_none_or(FileManifest::is_sound);
    let is_small = json::canonical(message).is_ok_and(|bytes| bytes.len() <= MAX_MESSAGE_BYTES);
    if is_text && is_file && is_small { Ok(()) } else { Err(RefusalCode::InvalidRequest) }
}

fn first(host: &mut dyn Host, context: &Context, peer: &Peer, message: TextMessage) -> Result<Receipt, HandlerError> {
    let received_at = context.occurred_at;
    let (id, message_id, number) = (peer.connection_id, message.message_id, message.number);
    let what = if message.file.is_some() { "file" } else { "message" };
    let written_at = message.sent_at.min(received_at);
    let mut kept = Kept::new(message, Direction::Received, Some(received_at));
    reaction::catch_up(host, id, &mut kept)?;
    // Nobody makes anything disappear here that the owner did not want so.
    let own_after_s = settings::chosen(host, id)?.own_after_s;
    kept.view.disappear_after_s = kept.view.disappear_after_s.filter(|_| kept.view.disappear_after_s == own_after_s);
    disappear::begin(host, id, &mut kept, received_at)?;
    store(host, id, written_at, kept)?;
    conversation::arrived(host, context, id, number)?;
    host.put(&conversation::unread_key(id, message_id), b"1")?;
    host.feed(&FeedNote {
        severity: Severity::Notice,
        outcome: FeedOutcome::Done,
        summary: format!("New {what} from {}", shown::name(&peer.display_name)),
        request_id: None,
    })?;
    Ok(Receipt { message_id, received_at })
}

/// The receipt of a message that is stored already; another message under the same id is a conflict.
fn repeated(message: &TextMessage, known: &MessageView) -> Result<Receipt, RefusalCode> {
    let again = TextMessage { disappear_after_s: None, ..message.clone() };
    let again = view(again, Direction::Received, known.delivered_at);
    let same = MessageView {
        read_at: None,
        own_reaction: None,
        peer_reaction: None,
        disappear_after_s: None,
        disappears_at: None,
        ..known.clone()
    };
    match known.delivered_at {
        Some(received_at) if again == same => Ok(Receipt { message_id: message.message_id, received_at }),
        _ => Err(RefusalCode::Conflict),
    }
}

pub(super) fn view(message: TextMessage, direction: Direction, delivered_at: Option<Timestamp>) -> MessageView {
    let TextMessage { message_id, number, text, sent_at, reply_to, disappear_after_s, file } = message;
    MessageView {
        message_id,
        direction,
        number,
        text,
        sent_at,
        delivered_at,
        read_at: None,
        failed_at: None,
        reply_to,
        disappear_after_s,
        disappears_at: None,
        own_reaction: None,
        peer_reaction: None,
        is_returned: false,
        file: file.as_ref().map(FileManifest::summary),
    }
}

//! The store of messages: one record for each, found by its id and in the order of a conversation, and what is known of
//! the numbers that arrived. Nothing here is sent.

use super::{damaged, encode, text};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use vettid_handler::event::Context;
use vettid_handler::handler::Outcome;
use vettid_handler::host::Host;
use vettid_handler::reply::HandlerError;
use vettid_wire::file::FileManifest;
use vettid_wire::id::{ConnectionId, EventId};
use vettid_wire::json;
use vettid_wire::messaging::{
    Direction, ExportMessages, ListMessages, MISSING_AFTER_MS, MOST_ABOVE, MessageList, MessageRef, MessageStretch,
    MessageView, ReceivedNumbers, TextMessage,
};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

/// Most messages in one list.
const MAX_LISTED: u32 = 200;
/// The messages of one list have at most this many canonical bytes, so that the list fits into a reply.
const MAX_LIST_BYTES: usize = 60 * 1024;
/// Most unread messages that a list counts.
const MAX_COUNTED: u32 = 1000;

/// A message as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    /// What the owner sees of it.
    pub(super) view: MessageView,
    /// Its place in the conversation, from 1.
    pub(super) place: u64,
    /// Revision of the owner's reaction.
    #[serde(default)]
    pub(super) own_revision: u64,
    /// Revision of the peer's reaction.
    #[serde(default)]
    pub(super) peer_revision: u64,
    /// What it takes to fetch and open the file that it carries; goes along when the message is sent again after a restore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<FileManifest>,
}

impl Kept {
    /// A message that nobody reacted to, before it has its place.
    pub(super) fn new(message: TextMessage, direction: Direction, delivered_at: Option<Timestamp>) -> Self {
        let file = message.file.clone();
        let view = text::view(message, direction, delivered_at);
        Self { view, place: 0, own_revision: 0, peer_revision: 0, file }
    }

    /// As it travels.
    pub(super) fn into_message(self) -> TextMessage {
        let MessageView { message_id, number, text, sent_at, reply_to, disappear_after_s, .. } = self.view;
        TextMessage { message_id, number, text, sent_at, reply_to, disappear_after_s, file: self.file }
    }
}

/// Which numbers of the peer arrived.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Arrived {
    /// So many messages.
    count: u64,
    /// The highest number.
    pub(super) highest: u64,
    /// Since when a number is passed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gap_since: Option<Timestamp>,
    /// The numbers themselves; absent in what was stored before they were kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    numbers: Option<ReceivedNumbers>,
}

impl Arrived {
    /// The numbers that are known to have arrived.
    pub(super) fn numbers(&self) -> ReceivedNumbers {
        let is_whole = self.count == self.highest;
        let counted = ReceivedNumbers { up_to: if is_whole { self.highest } else { 0 }, above: BTreeSet::new() };
        self.numbers.clone().unwrap_or(counted)
    }

    /// Takes a number in; `false` if it was counted before.
    fn add(&mut self, number: u64) -> bool {
        let mut numbers = self.numbers();
        if numbers.has(number) {
            return false;
        }
        self.count += 1;
        self.highest = self.highest.max(number);
        // A peer that leaps does not make this grow: what is not remembered is asked for once more after a restore.
        if numbers.above.len() < MOST_ABOVE || number == numbers.up_to + 1 {
            numbers.above.insert(number);
        }
        while numbers.above.remove(&(numbers.up_to + 1)) {
            numbers.up_to += 1;
        }
        self.numbers = Some(numbers);
        true
    }

    /// What is missing by now will not come any more: its sender has lost it.
    fn close(&mut self) {
        let up_to = self.highest;
        self.numbers = Some(ReceivedNumbers { up_to, above: BTreeSet::new() });
        (self.count, self.gap_since) = (self.highest, None);
    }
}

/// `messaging.list`: the newest messages of a connection that fit into a reply, oldest first.
pub(super) fn list(
    host: &mut dyn Host,
    context: &Context,
    request: ListMessages,
) -> Result<Outcome<MessageList>, HandlerError> {
    let id = request.connection_id;
    let mut messages = Vec::new();
    let mut room = MAX_LIST_BYTES;
    for key in host.list_keys(&text_prefix(id), MAX_LISTED)? {
        let kept: Kept = read(host, &key)?.ok_or_else(damaged)?;
        let Some(left) = room.checked_sub(encode(&kept.view)?.len() + 1) else {
            break;
        };
        room = left;
        messages.push(kept.view);
    }
    messages.reverse();
    let (missing, unread) = (missing(host, context, id)?, unread(host, id, MAX_COUNTED)?.len());
    Ok(Outcome::Reply(MessageList {
        messages: in_order(messages),
        missing,
        unread: u64::try_from(unread).unwrap_or(u64::MAX),
    }))
}

/// `messaging.get`: one message.
pub(super) fn get(host: &mut dyn Host, _: &Context, request: MessageRef) -> Result<Outcome<MessageView>, HandlerError> {
    let (_, kept) = find(host, request.connection_id, request.message_id)?.ok_or(RefusalCode::NotFound)?;
    Ok(Outcome::Reply(kept.view))
}

/// `messaging.export`: as many messages from a place on as fit into a reply.
pub(super) fn export(
    host: &mut dyn Host,
    _: &Context,
    request: ExportMessages,
) -> Result<Outcome<MessageStretch>, HandlerError> {
    let id = request.connection_id;
    let (first, last) = (request.from.max(1), last_place(host, id)?);
    let (mut messages, mut room) = (Vec::new(), MAX_LIST_BYTES);
    let end = last.min(first.saturating_add(u64::from(MAX_LISTED) - 1));
    for place in first..=end {
        let Some(kept) = at_place(host, id, place)? else { continue };
        let Some(left) = room.checked_sub(encode(&kept.view)?.len() + 1) else {
            return Ok(Outcome::Reply(MessageStretch { messages, next: Some(place) }));
        };
        room = left;
        messages.push(kept.view);
    }
    Ok(Outcome::Reply(MessageStretch { messages, next: (end < last).then(|| end.saturating_add(1)) }))
}

/// The message of a place, unless it was removed.
pub(super) fn at_place(
    host: &mut dyn Host,
    connection_id: ConnectionId,
    place: u64,
) -> Result<Option<Kept>, HandlerError> {
    Ok(keyed_at_place(host, connection_id, place)?.map(|(_, kept)| kept))
}

/// The same with its key.
pub(super) fn keyed_at_place(
    host: &mut dyn Host,
    connection_id: ConnectionId,
    place: u64,
) -> Result<Option<(String, Kept)>, HandlerError> {
    let Some(key) = host.get(&place_key(connection_id, place))? else {
        return Ok(None);
    };
    let key = String::from_utf8(key).map_err(|_| damaged())?;
    let kept = read(host, &key)?.ok_or_else(damaged)?;
    Ok(Some((key, kept)))
}

pub(super) fn last_place(host: &mut dyn Host, connection_id: ConnectionId) -> Result<u64, HandlerError> {
    Ok(read(host, &last_place_key(connection_id))?.unwrap_or(0))
}

/// The same messages, those of each side in the order of their numbers: a clock that was set back changes no order.
fn in_order(messages: Vec<MessageView>) -> Vec<MessageView> {
    let sides: Vec<Direction> = messages.iter().map(|message| message.direction).collect();
    let (mut sent, mut received): (Vec<_>, Vec<_>) =
        messages.into_iter().partition(|message| message.direction == Direction::Sent);
    sent.sort_by_key(|message| std::cmp::Reverse(message.number));
    received.sort_by_key(|message| std::cmp::Reverse(message.number));
    let next = |side: &Direction| if *side == Direction::Sent { sent.pop() } else { received.pop() };
    sides.iter().filter_map(next).collect()
}

/// Stores a new message. Keys count down, so that the first keys of a listing are those of the newest messages.
pub(super) fn store(
    host: &mut dyn Host,
    connection_id: ConnectionId,
    at: Timestamp,
    mut kept: Kept,
) -> Result<(), HandlerError> {
    let (number, message_id) = (kept.view.number, kept.view.message_id);
    kept.place = last_place(host, connection_id)? + 1;
    host.put(&last_place_key(connection_id), &encode(&kept.place)?)?;
    let age = u64::MAX - u64::try_from(at.unix_ms()).unwrap_or(0);
    let key = format!("{}{age:020}/{:020}/{message_id}", text_prefix(connection_id), u64::MAX - number);
    host.put(&key, &encode(&kept)?)?;
    host.put(&place_key(connection_id, kept.place), key.as_bytes())?;
    Ok(host.put(&id_key(connection_id, message_id), key.as_bytes())?)
}

/// Removes a message and everything by which it is found.
pub(super) fn forget(
    host: &mut dyn Host,
    connection_id: ConnectionId,
    key: &str,
    kept: &Kept,
) -> Result<(), HandlerError> {
    let message_id = kept.view.message_id;
    host.delete(key)?;
    host.delete(&id_key(connection_id, message_id))?;
    host.delete(&place_key(connection_id, kept.place))?;
    Ok(host.delete(&unread_key(connection_id, message_id))?)
}

/// Stores a known message anew.
pub(super) fn update(host: &mut dyn Host, key: &str, kept: &Kept) -> Result<(), HandlerError> {
    Ok(host.put(key, &encode(kept)?)?)
}

/// A stored message and its key.
pub(super) fn find(
    host: &mut dyn Host,
    connection_id: ConnectionId,
    message_id: EventId,
) -> Result<Option<(String, Kept)>, HandlerError> {
    let Some(key) = host.get(&id_key(connection_id, message_id))? else {
        return Ok(None);
    };
    let key = String::from_utf8(key).map_err(|_| damaged())?;
    let kept = read(host, &key)?.ok_or_else(damaged)?;
    Ok(Some((key, kept)))
}

/// The number of the next message of ours on this connection.
pub(super) fn next_number(host: &mut dyn Host, connection_id: ConnectionId) -> Result<u64, HandlerError> {
    let next = last_number(host, connection_id)? + 1;
    host.put(&sent_key(connection_id), &encode(&next)?)?;
    Ok(next)
}

/// Notes that a message of the peer arrived for the first time.
pub(super) fn arrived(
    host: &mut dyn Host,
    context: &Context,
    connection_id: ConnectionId,
    number: u64,
) -> Result<(), HandlerError> {
    let mut arrived = arrivals(host, connection_id)?;
    if !arrived.add(number) {
        return Ok(());
    }
    let has_gap = arrived.highest > arrived.count;
    arrived.gap_since = has_gap.then(|| arrived.gap_since.unwrap_or(context.occurred_at));
    Ok(host.put(&arrived_key(connection_id), &encode(&arrived)?)?)
}

/// Which numbers of the peer arrived.
pub(super) fn arrivals(host: &mut dyn Host, connection_id: ConnectionId) -> Result<Arrived, HandlerError> {
    Ok(read(host, &arrived_key(connection_id))?.unwrap_or_default())
}

/// Nothing below the highest number is missing any more: the peer was restored and has lost what did not arrive.
pub(super) fn close_gaps(host: &mut dyn Host, connection_id: ConnectionId) -> Result<(), HandlerError> {
    let mut arrived = arrivals(host, connection_id)?;
    arrived.close();
    Ok(host.put(&arrived_key(connection_id), &encode(&arrived)?)?)
}

/// The number of our last message.
pub(super) fn last_number(host: &mut dyn Host, connection_id: ConnectionId) -> Result<u64, HandlerError> {
    Ok(read(host, &sent_key(connection_id))?.unwrap_or(0))
}

/// Our next message gets a higher number than this one.
pub(super) fn number_above(host: &mut dyn Host, connection_id: ConnectionId, used: u64) -> Result<(), HandlerError> {
    let last = last_number(host, connection_id)?.max(used);
    Ok(host.put(&sent_key(connection_id), &encode(&last)?)?)
}

/// So many messages of the peer were passed over, long enough ago not to be merely late.
fn missing(host: &mut dyn Host, context: &Context, connection_id: ConnectionId) -> Result<u64, HandlerError> {
    let arrived = arrivals(host, connection_id)?;
    let is_old = |since: Timestamp| context.occurred_at.since_ms(since) >= MISSING_AFTER_MS;
    let is_missing = arrived.gap_since.is_some_and(is_old);
    Ok(if is_missing { arrived.highest.saturating_sub(arrived.count) } else { 0 })
}

/// Received messages that the owner has not read, at most so many.
pub(super) fn unread(
    host: &mut dyn Host,
    connection_id: ConnectionId,
    limit: u32,
) -> Result<Vec<EventId>, HandlerError> {
    let prefix = format!("unread/{connection_id}/");
    let keys = host.list_keys(&prefix, limit)?;
    keys.iter().map(|key| key.strip_prefix(&prefix).and_then(|id| id.parse().ok()).ok_or_else(damaged)).collect()
}

/// The place that says of a received message that it was not read.
pub(super) fn unread_key(connection_id: ConnectionId, message_id: EventId) -> String {
    format!("unread/{connection_id}/{message_id}")
}

/// Reads a value of the store.
pub(super) fn read<T: DeserializeOwned>(host: &mut dyn Host, key: &str) -> Result<Option<T>, HandlerError> {
    host.get(key)?.map(|bytes| json::read(&bytes).map_err(|_| damaged())).transpose()
}

fn text_prefix(connection_id: ConnectionId) -> String {
    format!("text/{connection_id}/")
}

fn id_key(connection_id: ConnectionId, message_id: EventId) -> String {
    format!("id/{connection_id}/{message_id}")
}

fn place_key(connection_id: ConnectionId, place: u64) -> String {
    format!("at/{connection_id}/{place:020}")
}

fn last_place_key(connection_id: ConnectionId) -> String {
    format!("places/{connection_id}")
}

fn sent_key(connection_id: ConnectionId) -> String {
    format!("sent/{connection_id}")
}

fn arrived_key(connection_id: ConnectionId) -> String {
    format!("arrived/{connection_id}")
}

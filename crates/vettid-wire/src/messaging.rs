//! Messages between connected members, and what each side is told of them.

use crate::file::{FileManifest, FileSummary};
use crate::id::{ConnectionId, EventId};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Longest text in bytes.
pub const MAX_TEXT_BYTES: usize = 32 * 1024;

/// Owner's command: send a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendText {
    /// To whom.
    pub connection_id: ConnectionId,
    /// The text; may be empty beside a file.
    pub text: String,
    /// The message of the same connection that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<EventId>,
    /// A file whose pieces the vault has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileManifest>,
}

impl SendText {
    /// A text that answers no other message.
    #[must_use]
    pub fn new(connection_id: ConnectionId, text: impl Into<String>) -> Self {
        Self { connection_id, text: text.into(), reply_to: None, file: None }
    }
}

/// The message is in the vault's outbox for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sent {
    /// Names the message on both sides.
    pub message_id: EventId,
}

/// A text on its way to a peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextMessage {
    /// Names the message on both sides.
    pub message_id: EventId,
    /// Counts the messages of this sender on this connection, from 1.
    pub number: u64,
    /// The text.
    pub text: String,
    /// When the sender wrote it.
    pub sent_at: Timestamp,
    /// The message that it answers; the receiver may not have that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<EventId>,
    /// It disappears so many seconds after its delivery, as both sides wanted when it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disappear_after_s: Option<u32>,
    /// The file that it carries, to be fetched from the sender's vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileManifest>,
}

/// Longest reaction in bytes.
pub const MAX_REACTION_BYTES: usize = 32;

/// Owner's command: react to a message, or take the reaction back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct React {
    /// The connection.
    pub connection_id: ConnectionId,
    /// The message.
    pub message_id: EventId,
    /// One short symbol, at most [`MAX_REACTION_BYTES`]; absent takes the reaction back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
}

/// The sender's reaction to a message of this connection; the one with the highest revision holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reaction {
    /// The message.
    pub message_id: EventId,
    /// The symbol; absent takes the reaction back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
    /// Counts the sender's reactions to this message, from 1.
    pub revision: u64,
}

/// Most messages that one read receipt names.
pub const MAX_READ_AT_ONCE: usize = 100;

/// The peer has stored a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The message.
    pub message_id: EventId,
    /// When it was stored.
    pub received_at: Timestamp,
}

/// The peer's owner has read these messages of ours, and lets us know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadReceipt {
    /// 1 to [`MAX_READ_AT_ONCE`] messages.
    pub message_ids: Vec<EventId>,
    /// When they were marked as read.
    pub read_at: Timestamp,
}

/// Most numbers of single messages in [`ResumeConversation`] and [`ResumedConversation`].
pub const MOST_ABOVE: usize = 256;

/// Which messages of the other side are here, by their numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceivedNumbers {
    /// Everything up to this number was here once.
    pub up_to: u64,
    /// And these above it, at most [`MOST_ABOVE`].
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub above: BTreeSet<u64>,
}

impl ReceivedNumbers {
    /// Whether the message of this number was here.
    #[must_use]
    pub fn has(&self, number: u64) -> bool {
        number <= self.up_to || self.above.contains(&number)
    }
}

/// A restored vault asks its peer to go through their conversation: to send again what is not here, and to give back what this
/// side wrote and has lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResumeConversation {
    /// What is here of the peer's messages.
    pub received: ReceivedNumbers,
    /// The number of the last own message that is here.
    pub sent_up_to: u64,
    /// Go on after this place of the peer's own order, 0 at first; absent: nothing is wanted any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

/// The peer went through a stretch of the conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResumedConversation {
    /// The highest number that it ever saw of the restored vault's messages.
    pub highest: u64,
    /// Which of them it has had.
    pub received: ReceivedNumbers,
    /// There is more after this place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// A message that its writer has lost, given back by the one who received it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReturnedMessage {
    /// As it was received.
    pub message: TextMessage,
    /// When it was stored; absent: it came after its writer was restored and was not taken, so it is to be sent anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_at: Option<Timestamp>,
    /// When it was read, if its writer is to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_at: Option<Timestamp>,
    /// How its receiver reacted to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reaction: Option<Reaction>,
}

/// What the vault has its handler of messages do after a restore, its own or that of a peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecoverConversation {
    /// This vault was restored, and has new keys with this connection.
    Begin(BeginRecovery),
    /// A message of the peer's former incarnation came after the peer was restored.
    Late(LateMessage),
}

/// The conversation to bring together again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BeginRecovery {
    /// The connection.
    pub connection_id: ConnectionId,
    /// The incarnation that this vault is now.
    pub incarnation: u64,
}

/// A message that came too late to be taken as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LateMessage {
    /// The connection.
    pub connection_id: ConnectionId,
    /// The message.
    pub message: TextMessage,
}

/// Owner's command: mark received messages as read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarkRead {
    /// The connection.
    pub connection_id: ConnectionId,
    /// This message alone; without it every unread one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<EventId>,
}

/// What was marked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarkedRead {
    /// So many messages were unread and are read now.
    pub marked: u64,
    /// There are more: the command marks a bounded number at once.
    pub has_more: bool,
}

/// Owner's command: what holds for the messages of one connection; what is absent stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetMessaging {
    /// The connection.
    pub connection_id: ConnectionId,
    /// Whether the peer is told what the owner has read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_receipts: Option<bool>,
    /// After how many seconds the owner wants messages to disappear, [`MIN_DISAPPEAR_S`] to [`MAX_DISAPPEAR_S`]; 0 switches it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disappear_after_s: Option<u32>,
}

/// Shortest time after which messages disappear, in seconds (five minutes).
pub const MIN_DISAPPEAR_S: u32 = 300;
/// Longest time after which messages disappear, in seconds (a year).
pub const MAX_DISAPPEAR_S: u32 = 365 * 24 * 3600;

/// After how long the sender's owner wants messages to disappear. They do while both sides want the same; the wish with the
/// highest revision holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disappearing {
    /// Seconds from delivery; absent switches it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_s: Option<u32>,
    /// Counts the sender's wishes on this connection, from 1.
    pub revision: u64,
}

/// What holds for the messages of one connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessagingSettings {
    /// Whether the peer is told what the owner has read.
    pub read_receipts: bool,
    /// After how many seconds the owner wants messages to disappear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disappear_after_s: Option<u32>,
    /// After how many seconds the peer wants that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_disappear_after_s: Option<u32>,
    /// Both want the same, so messages disappear.
    pub is_disappearing: bool,
}

/// Names one message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageRef {
    /// The connection.
    pub connection_id: ConnectionId,
    /// The message.
    pub message_id: EventId,
}

/// A message that disappeared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemovedMessage {
    /// The connection.
    pub connection_id: ConnectionId,
    /// The message.
    pub message_id: EventId,
    /// When this vault got or wrote it, and its feed told of it.
    pub told_at: Timestamp,
}

/// What time ended among the messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tidied {
    /// Messages that were not delivered for [`UNDELIVERED_AFTER_MS`] and count as failed now.
    pub undelivered: Vec<MessageRef>,
    /// Messages that disappeared.
    pub removed: Vec<RemovedMessage>,
    /// When something ends next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
}

/// A message that the peer did not confirm for this long has failed, in milliseconds (30 days).
pub const UNDELIVERED_AFTER_MS: i64 = 30 * 24 * 3600 * 1000;

/// Numbers that are passed over for this long count as missing, in milliseconds.
pub const MISSING_AFTER_MS: i64 = 60_000;

/// Asks for the messages of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListMessages {
    /// The connection.
    pub connection_id: ConnectionId,
}

/// The messages of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageList {
    /// Oldest first.
    pub messages: Vec<MessageView>,
    /// So many messages of the peer did not arrive although later ones did.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missing: u64,
    /// So many received messages the owner has not read.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unread: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Asks for a stretch of a conversation, from its beginning on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportMessages {
    /// The connection.
    pub connection_id: ConnectionId,
    /// Place of the first message; places count from 1, in the order in which this vault got or wrote the messages.
    pub from: u64,
}

/// A stretch of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageStretch {
    /// In the order of their places.
    pub messages: Vec<MessageView>,
    /// Where to go on; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// One message as kept by the vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageView {
    /// Names the message on both sides.
    pub message_id: EventId,
    /// Who wrote it.
    pub direction: Direction,
    /// Counts the messages of this direction, from 1.
    pub number: u64,
    /// The text.
    pub text: String,
    /// When it was written, by the writer's clock.
    pub sent_at: Timestamp,
    /// When the receiver's vault stored it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<Timestamp>,
    /// When its receiver marked it as read; of sent messages only if the receiver lets us know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_at: Option<Timestamp>,
    /// Since when a sent message counts as undelivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<Timestamp>,
    /// The message that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<EventId>,
    /// It disappears so many seconds after its delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disappear_after_s: Option<u32>,
    /// When it disappears; absent until it is delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disappears_at: Option<Timestamp>,
    /// How the owner reacted to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_reaction: Option<String>,
    /// How the peer reacted to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_reaction: Option<String>,
    /// The vault had lost it in a restore, and the peer gave it back: what it says is the peer's word.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_returned: bool,
    /// The file that it carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileSummary>,
}

/// How far a message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MessageState {
    /// Not delivered in time.
    Failed,
    /// On its way.
    Sent,
    /// The receiver's vault has it.
    Delivered,
    /// Its receiver has read it.
    Read,
}

impl MessageView {
    /// How far it came, by what is known here.
    #[must_use]
    pub fn state(&self) -> MessageState {
        match (self.read_at, self.delivered_at, self.failed_at) {
            (Some(_), ..) => MessageState::Read,
            (None, Some(_), _) => MessageState::Delivered,
            (None, None, Some(_)) => MessageState::Failed,
            (None, None, None) => MessageState::Sent,
        }
    }
}

/// Who wrote a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The owner of this vault.
    Sent,
    /// The peer.
    Received,
}

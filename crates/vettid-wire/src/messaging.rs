//! Text messages between connected members.

use crate::id::{ConnectionId, EventId};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Longest text in bytes.
pub const MAX_TEXT_BYTES: usize = 32 * 1024;

/// Owner's command: send a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendText {
    /// To whom.
    pub connection_id: ConnectionId,
    /// The text.
    pub text: String,
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
}

/// The peer has stored a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The message.
    pub message_id: EventId,
    /// When it was stored.
    pub received_at: Timestamp,
}

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

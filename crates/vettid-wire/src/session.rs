//! The app's session with its vault: handshake events, fresh NATS credentials and the vault's health.

use crate::event::{
    CredentialChallenge, CredentialConfirm, CredentialReplenish, CredentialUse, EventRow, EventType, VaultRestore,
};
use crate::handshake::HandshakeMessage;
use crate::id::{DeviceId, EventId};
use crate::lock::LockSettings;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// An app replaces a session after this time, in milliseconds (spec 2.5.2).
pub const MAX_AGE_MS: i64 = 24 * 3600 * 1000;

/// A handshake message of an app, outside any envelope: what `forVault.app.bootstrap`, `session.start` and
/// `session.finish` carry. The answer carries the same `event_id`, on `forApp.{event}.{event_id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandshakeEvent {
    /// Names the event; the answer quotes it.
    pub event_id: EventId,
    /// When it was sent.
    pub timestamp: Timestamp,
    /// The message; absent in an answer that completes the handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handshake: Option<HandshakeMessage>,
}

/// Asks for a fresh NATS credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefreshRequest {
    /// Names the private inbox of the app.
    pub device: DeviceId,
    /// The app's own public NKey; the private half never travels.
    pub nkey_pub: String,
}

/// A NATS credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefreshReply {
    /// User JWT, bound to the NKey of the request.
    pub jwt: String,
    /// From then on the server refuses it.
    pub expires_at: Timestamp,
}

/// How the vault is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultHealth {
    /// The vault's clock.
    pub now: Timestamp,
    /// Counts restores; never falls.
    pub incarnation: u64,
    /// Commits in the journal.
    pub journal_sequence: u64,
    /// Entries in the audit chain.
    pub audit_size: u64,
    /// Events that could not be opened or had no place to go, since the vault started.
    pub dropped_events: u64,
    /// Messages waiting for a peer's acknowledgement.
    pub outbox_size: u64,
    /// Active connections.
    pub connections: u64,
    /// The lock of the vault at rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<LockSettings>,
    /// It was put back to an earlier state and does nothing before its owner's word: `vault.restore`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub awaits_restore: bool,
    /// Connections with which keys are being made anew after a restore.
    #[serde(default, skip_serializing_if = "is_none")]
    pub reconciling: u64,
}

fn is_none(count: &u64) -> bool {
    *count == 0
}

/// Whether an event goes through a limited session, which neither side could tie to an earlier one: only the credential
/// does, and its password ends the limit (spec 2.4). Transaction keys belong to it: without one there is no way to show a
/// password (spec 2.8). A vault that was put back cannot know the session before, so the word that lets it go on, which the app
/// signs, passes as well; where there is a credential its password has to follow.
#[must_use]
pub fn is_open_to_limited(event_type: &EventType) -> bool {
    let open = [
        CredentialChallenge::ROW.name,
        CredentialUse::ROW.name,
        CredentialConfirm::ROW.name,
        CredentialReplenish::ROW.name,
        VaultRestore::ROW.name,
    ];
    open.contains(&event_type.as_str())
}

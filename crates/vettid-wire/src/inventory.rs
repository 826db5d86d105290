//! What the owner sees of keys and of the upkeep of connections. Never holds anything of a private key.

use crate::connection::PeerKind;
use crate::id::ConnectionId;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Owner's command: how connections are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskHealth {
    /// This connection; absent: active ones in the order of their ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<ConnectionId>,
    /// Only those after this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<ConnectionId>,
}

/// How connections are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthReport {
    /// In the order of their ids.
    pub connections: Vec<ConnectionHealth>,
    /// There are more after the last one.
    pub more: bool,
}

/// How one active connection is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionHealth {
    /// The connection.
    pub connection_id: ConnectionId,
    /// Its name.
    pub display_name: String,
    /// Member or service.
    pub kind: PeerKind,
    /// The running epoch.
    pub epoch: u64,
    /// When its keys were made; absent in the first moments of an epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys_since: Option<Timestamp>,
    /// The suite of its keys.
    pub suite: String,
    /// Messages under these keys, both directions; after a restart some that were never sent count, too.
    pub messages: u64,
    /// When new keys are made at the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_rotation: Option<Timestamp>,
    /// The other side did not answer the rotation that was begun then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub straggles_since: Option<Timestamp>,
    /// Earlier epochs that wait for messages.
    pub open_epochs: u64,
    /// When something was sealed for the other side, as far as it is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sent: Option<Timestamp>,
    /// When something of the other side was opened, as far as it is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_received: Option<Timestamp>,
    /// Until when the other side's broker lets this vault in; absent if it does not now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_until: Option<Timestamp>,
    /// Until when the other side's profile holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_until: Option<Timestamp>,
}

/// Owner's command: the keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskKeys {
    /// Only those of connections after this one; absent: the vault's own keys, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<ConnectionId>,
}

/// Owner's command: new keys for signing the credentials of apps, connections and services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotateSigning {
    /// Credentials under the keys that sign now end at once, instead of with the next rotation.
    pub cuts_off: bool,
}

/// The keys are made; they sign as soon as the broker knows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SigningKeysMade {
    /// When they were made.
    pub since: Timestamp,
}

/// Key pairs, without their private halves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyInventory {
    /// The vault's own ones, then those of the connections in the order of their ids.
    pub keys: Vec<KeyView>,
    /// The last connection that is listed, if there are more after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more_after: Option<ConnectionId>,
}

/// One key pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyView {
    /// Key id, or the public key of an NKey.
    pub id: String,
    /// What it is for.
    pub role: KeyUse,
    /// Of this connection; absent: the vault's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<ConnectionId>,
    /// When it was made; absent if that is not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When another one takes its place.
    pub policy: KeyPolicy,
    /// The time of that; absent if it does not happen by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_rotation: Option<Timestamp>,
}

/// What a key pair is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyUse {
    /// Says who the vault is, and signs for it.
    Identity,
    /// To which apps seal the first message of a session.
    Session,
    /// Names the broker account of the owner's lane.
    OwnerAccount,
    /// Signs credentials of apps.
    AppSigning,
    /// Names the broker account of connections and services.
    MessageAccount,
    /// Signs credentials of connected members.
    ConnectionSigning,
    /// Signs credentials of connected services.
    ServiceSigning,
    /// Signs tokens of invitations.
    ClaimSigning,
    /// To which the other side of a connection seals.
    Epoch,
    /// Signs for one connection.
    Pairwise,
    /// The user at the other side's broker.
    BrokerUser,
}

/// When another key takes the place of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyPolicy {
    /// After seven days or 1,000 messages, and at the owner's command.
    Epoch,
    /// It lives as long as its connection.
    Connection,
    /// After ninety days, and at the owner's command.
    Signing,
    /// It lives as long as the vault; nothing rotates it today.
    Vault,
}

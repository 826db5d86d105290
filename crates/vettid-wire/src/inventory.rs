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

/// Keys, without anything that is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyInventory {
    /// The vault's own ones, then those of the connections in the order of their ids.
    pub keys: Vec<KeyView>,
    /// The last connection that is listed, if there are more after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more_after: Option<ConnectionId>,
}

/// One key pair, or one symmetric key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyView {
    /// Key id, the public key of an NKey, or what a symmetric key is called. Tells nothing of a secret.
    pub id: String,
    /// What it is for.
    pub role: KeyUse,
    /// Who has the private half, or the symmetric key.
    pub holder: KeyHolder,
    /// Pair or symmetric.
    pub kind: KeyKind,
    /// Its algorithm or suite.
    pub suite: String,
    /// Of this connection; absent: of no single one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<ConnectionId>,
    /// When it was made; absent if that is not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When another one takes its place.
    pub policy: KeyPolicy,
    /// The time of that at the latest; absent if no time brings it about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_rotation: Option<Timestamp>,
}

/// Who has the private half of a key pair, or a symmetric key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyHolder {
    /// The vault.
    Vault,
    /// The app on this device.
    App,
    /// The app and its other side: the vault, or services where it is about their credential.
    Both,
    /// The host that runs the vault.
    Host,
    /// The operator's services.
    Services,
    /// A service's gateway.
    Gateway,
}

/// Pair or symmetric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    /// A private half that stays, and a public one.
    Pair,
    /// One secret.
    Symmetric,
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyUse {
    /// Says who the vault or the service is, and signs for it.
    Identity,
    /// To which apps or members seal the first message of a session or connection.
    Session,
    /// Names the broker account of the owner's lane.
    OwnerAccount,
    /// Signs credentials of apps.
    AppSigning,
    /// Names the broker account of connections and services.
    MessageAccount,
    /// Signs the credential of the gateway's own user.
    VaultSigning,
    /// Signs credentials of connected members.
    ConnectionSigning,
    /// Signs credentials of connected services.
    ServiceSigning,
    /// Signs tokens of invitations.
    ClaimSigning,
    /// Under which both sides of a connection seal, or to which the other side does.
    Epoch,
    /// Signs for one connection.
    Pairwise,
    /// The user at a broker: the other side's, or for an app the own one.
    BrokerUser,
    /// Seals the state of vault or gateway where it is stored.
    Storage,
    /// Takes attempts to unlock a locked vault.
    UnlockLane,
    /// Says who the app is, and signs for it.
    AppIdentity,
    /// In the app's key record, for what is sealed to the app outside of sessions.
    AppSealing,
    /// The running session of app and vault.
    AppSession,
    /// Ties the next session to the one before.
    Resumption,
    /// Seals the state of the app on this device.
    AppStore,
    /// To which a credential is sealed (CEK).
    Credential,
    /// Proves to the app that the issuer of a credential is genuine (LAT).
    IssuerToken,
    /// Carries one password proof to the issuer of a credential.
    Transaction,
    /// The app's half of what opens a credential or the lock.
    DeviceSecret,
    /// Seals the recovery container.
    Recovery,
    /// Opens one secret for one kind of operation, for a while.
    Grant,
}

/// When another key takes the place of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyPolicy {
    /// After seven days or 1,000 messages, and at the owner's command, by both sides of the connection.
    Epoch,
    /// It lives as long as its connection.
    Connection,
    /// After ninety days, and at the owner's command, by the vault or the gateway.
    Signing,
    /// It lives as long as the vault or the service; nothing rotates it today.
    Vault,
    /// It lives as long as the app on this device; nothing rotates it today.
    App,
    /// After a day or 1,000 messages, by the app.
    Session,
    /// Each use of the credential, by its issuer.
    EachUse,
    /// Used once, and never after thirty days; the issuer makes more when few are left.
    Once,
    /// With the password, by the app.
    Password,
    /// With the recovery phrase, by the app.
    Phrase,
    /// It ends, and nothing takes its place.
    Ends,
    /// The host's matter; of a gateway's, its operator's.
    Host,
    /// With each start of the program.
    Start,
}

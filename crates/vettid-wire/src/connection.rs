//! Connections: the owner's commands, what the owner sees, and the events between the two sides.

use crate::base64::Base64;
use crate::contract::{Contract, CounterSignature};
use crate::feed::Tag;
use crate::id::{ConnectionId, EventId, Fingerprint, InviteId, KeyId, MemberId, ServiceId};
use crate::profile::SignedProfile;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Longest own name of a connection in characters.
pub const MAX_LABEL_CHARS: usize = 60;
/// Most tags of one connection.
pub const MAX_TAGS: usize = 16;
/// Most connections in one answer.
pub const PAGE: usize = 200;

/// Owner's command: make an invitation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invite {
    /// A note for the owner's own list, such as "Bob, from work".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Life of the invitation in seconds: at most 600 shown as a QR code, at most 86,400 as a link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub life_seconds: Option<u32>,
}

/// A new invitation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invited {
    /// Names the invitation.
    pub invite_id: InviteId,
    /// The link, also the text of the QR code. Whoever holds it can answer it once.
    pub link: String,
    /// When it dies.
    pub expires_at: Timestamp,
}

/// An invitation that nobody has answered yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenInvitation {
    /// The invitation.
    pub invite_id: InviteId,
    /// The owner's note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// When it was made.
    pub made_at: Timestamp,
    /// When it dies.
    pub expires_at: Timestamp,
}

/// The invitations that can still be answered, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InvitationList {
    /// At most [`MAX_LISTED_INVITATIONS`].
    pub invitations: Vec<OpenInvitation>,
}

/// Most invitations in one list.
pub const MAX_LISTED_INVITATIONS: usize = 200;

/// Names an invitation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InvitationRef {
    /// The invitation.
    pub invite_id: InviteId,
}

/// Owner's command: answer an invitation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcceptInvitation {
    /// The link or the text of the QR code.
    pub link: String,
    /// Whether it was scanned in person, which makes the connection verified.
    #[serde(default)]
    pub in_person: bool,
}

/// Names a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionRef {
    /// The connection.
    pub connection_id: ConnectionId,
}

/// Owner's command: list connections. Everything given has to fit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListConnections {
    /// Stands in its name, its label or one of its tags, in whatever case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Has all of these.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<Tag>,
    /// Stands there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ConnectionState>,
    /// Comes after this one, when an answer did not hold them all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<ConnectionId>,
    /// At most so many, from 1 to [`PAGE`]; absent: as many as there may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Owner's command: give a connection a name of one's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelConnection {
    /// The connection.
    pub connection_id: ConnectionId,
    /// At most [`MAX_LABEL_CHARS`]; absent: none any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// Owner's command: put tags on a connection, or take them off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagConnection {
    /// The connection.
    pub connection_id: ConnectionId,
    /// To put on.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub add: BTreeSet<Tag>,
    /// To take off.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub remove: BTreeSet<Tag>,
}

/// Owner's command: accept or reject a connection under review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decide {
    /// The connection.
    pub connection_id: ConnectionId,
    /// Accept or reject.
    pub accept: bool,
    /// Of a service's contract: the optional fields that are agreed to.
    #[serde(default)]
    pub optional_fields: Vec<String>,
}

/// Owner's command: end a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoke {
    /// The connection.
    pub connection_id: ConnectionId,
    /// Told to the peer.
    pub reason: RevocationReason,
}

/// Owner's command: new epoch keys at once, for instance because keys may be known to somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotateKeys {
    /// On this connection; absent: on every active one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<ConnectionId>,
}

/// What became of a command to rotate keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotationReport {
    /// Rotations that are under way now; each ends when the other side has answered.
    pub begun: Vec<ConnectionId>,
    /// Connections that did not answer an earlier rotation yet, the longest waiting first.
    pub stragglers: Vec<Straggler>,
    /// More connections are to be rotated than one command takes: repeat it.
    pub more: bool,
}

/// A connection whose other side did not answer a rotation yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Straggler {
    /// The connection.
    pub connection_id: ConnectionId,
    /// Its name.
    pub display_name: String,
    /// Since when the rotation waits.
    pub since: Timestamp,
}

/// Why a connection was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevocationReason {
    /// The owner wished so.
    UserRequested,
    /// Keys may be known to others.
    KeyCompromise,
    /// The contract was rejected.
    ContractRejected,
}

/// What kind of party is on the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerKind {
    /// A member.
    Member,
    /// A service.
    Service,
}

/// Where a connection stands (spec 2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionState {
    /// The invitation was answered; the other side has not reacted yet.
    Requested,
    /// This owner has to review and decide.
    Review,
    /// This owner accepted; the other side has to decide.
    Accepted,
    /// Both accepted, keys are made.
    Active,
    /// This vault came back from an earlier state; new keys are being made with the other side.
    Reconciling,
    /// One side said no.
    Rejected,
    /// Nobody decided in time.
    Expired,
    /// The handshake failed; nothing of it is used.
    Aborted,
    /// One side ended it.
    Revoked,
}

/// Whether the owner knows that the peer is who it seems to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verification {
    /// The invitation came through a channel that others may read or change.
    Unverified,
    /// In person, or the safety number was compared.
    Verified,
}

/// One connection as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionView {
    /// The connection.
    pub connection_id: ConnectionId,
    /// Member or service.
    pub kind: PeerKind,
    /// Where it stands.
    pub state: ConnectionState,
    /// Known to be the right one or not.
    pub verification: Verification,
    /// Name to show.
    pub display_name: String,
    /// The owner's own name for it; the other side never sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The owner's own tags; the other side never sees them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<Tag>,
    /// The peer's own id, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<MemberId>,
    /// The service's id, for services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_id: Option<ServiceId>,
    /// The peer's fingerprint, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_fingerprint: Option<Fingerprint>,
    /// Sixty digits, the same on both sides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safety_number: Option<String>,
    /// Seven symbols (indices below 64), the same on both sides of one handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbols: Option<Vec<u8>>,
    /// The peer's profile, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<SignedProfile>,
    /// The peer's profile ran out, or the peer went back to an earlier one: it may not be what the peer says today.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub profile_stale: bool,
    /// The contract under review or in force, for services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<Contract>,
    /// Fields of the contract for which the vault holds no value yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_fields: Vec<String>,
    /// When the connection began.
    pub created_at: Timestamp,
    /// How it ended, if one side ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
}

/// How a connection was ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ending {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: RevokedBy,
    /// Why, as far as the notice told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<RevocationReason>,
}

/// Connections, in short: without profile, contract, safety number and symbols.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionList {
    /// Oldest first, at most [`PAGE`].
    pub connections: Vec<ConnectionView>,
    /// There are more after the last one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// Key confirmation: the first message under the new keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ready {
    /// The connection.
    pub connection_id: ConnectionId,
    /// The service's counter-signature under the member's acceptance, for services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter_signature: Option<CounterSignature>,
}

/// A fresh NATS credential for the other side of a connection, sent at half life of the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionCredential {
    /// User JWT in the sender's account, for the key that the receiver named in the handshake.
    pub jwt: String,
    /// Token for the one subject on which the receiver can come back after `jwt` ran out.
    pub way_back: String,
    /// The sender's own credential ran out: it needs a fresh one.
    pub asks: bool,
}

/// A signed notice that a connection ended (ctx `vettid/revocation/1`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevocationNotice {
    /// Always `connection_revocation`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Names this notice.
    pub notice_id: EventId,
    /// The connection.
    pub connection_id: ConnectionId,
    /// When it ended.
    pub revoked_at: Timestamp,
    /// Why.
    pub reason: RevocationReason,
    /// The sender's signing key.
    pub key_id: KeyId,
    /// Over everything else.
    pub signature: Base64,
}

/// What is kept of a connection that ended (spec 2.5.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tombstone {
    /// The connection.
    pub connection_id: ConnectionId,
    /// Whose it was.
    pub guid: MemberId,
    /// The last known name.
    pub display_name: String,
    /// When it ended.
    pub revoked_at: Timestamp,
    /// Who ended it.
    pub revoked_by: RevokedBy,
    /// Why, as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<RevocationReason>,
}

/// Who ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevokedBy {
    /// The owner of this vault.
    Owner,
    /// The other side.
    Peer,
}

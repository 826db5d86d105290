//! Connections as the vault keeps them. The record says who the peer is and how to reach it; keys of the running
//! epoch stand in its channel, the contract of a service beside it.

use crate::projection::{Draft, UnreadableState};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use vettid_core::contract::{AcceptedContract, Buckets, Spent};
use vettid_crypto::identity::SigningKey;
use vettid_crypto::secret::Secret32;
use vettid_crypto::stored;
use vettid_wire::connection::{ConnectionState, PeerKind, Tombstone, Verification};
use vettid_wire::contract::Contract;
use vettid_wire::handshake::{Claim, SpaceUri};
use vettid_wire::id::{ConnectionId, Fingerprint, HandshakeId, InviteId, MemberId, ServiceId, SessionKeyId};
use vettid_wire::key::TypedKey;
use vettid_wire::profile::SignedProfile;
use vettid_wire::time::Timestamp;

/// Which side of the invitation this vault was on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// It made the invitation (responder).
    Inviter,
    /// It answered one (initiator).
    Invited,
}

/// The other party, once its handshake message was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its identity.
    pub fingerprint: Fingerprint,
    /// Signs its handshake, notices and, for a service, its requests.
    pub signing_key: TypedKey,
    /// Signs for this connection alone.
    pub pairwise_key: Option<TypedKey>,
    /// Its verified profile.
    pub profile: SignedProfile,
}

/// One connection.
#[derive(Debug, Serialize, Deserialize)]
pub struct Connection {
    /// The connection.
    pub connection_id: ConnectionId,
    /// The handshake that makes or made it.
    pub handshake_id: HandshakeId,
    /// Which side of the invitation this vault was on.
    pub side: Side,
    /// Member or service.
    pub kind: PeerKind,
    /// Where it stands.
    pub state: ConnectionState,
    /// Known to be the right one or not.
    pub verification: Verification,
    /// Name to show; a hint until the profile is verified.
    pub display_name: String,
    /// When it began.
    pub created_at: Timestamp,
    /// Where the peer's space is.
    pub space: SpaceUri,
    /// The peer, once known.
    pub peer: Option<Peer>,
    /// Symbols to compare, once the handshake is through.
    pub symbols: Option<Vec<u8>>,
    /// Seed of this vault's user in the peer's account.
    #[serde(with = "stored")]
    pub nkey_seed: Secret32,
    /// What the peer issued for that user.
    pub jwt: Option<String>,
    /// What handshake messages to the peer are delivered with.
    pub claim: Option<Claim>,
    /// The invitation or handshake that the claim is for.
    pub claim_id: Option<InviteId>,
    /// The peer's user in this vault's account.
    pub peer_nkey: Option<String>,
    /// Signs for this connection alone.
    #[serde(with = "stored")]
    pub pairwise: SigningKey,
    /// The contract under review.
    pub offered: Option<Contract>,
    /// Names the keys of the running epoch.
    pub key_id: Option<SessionKeyId>,
}

/// A user of one of this vault's accounts that must not get in any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutOff {
    /// Public NKey of the account.
    pub account_nkey: String,
    /// Public NKey of the user.
    pub user_nkey: String,
    /// From when on.
    pub revoked_at: Timestamp,
}

impl Connection {
    /// The peer's space.
    #[must_use]
    pub fn peer_guid(&self) -> MemberId {
        self.space.guid()
    }

    /// The service's id, if the peer is a service with a verified profile.
    #[must_use]
    pub fn service_id(&self) -> Option<&ServiceId> {
        // What a member's profile may say about a service gives it nothing.
        let profile = &self.peer.as_ref().filter(|_| self.kind == PeerKind::Service)?.profile;
        profile.service.as_ref().map(|service| &service.service_id)
    }

    /// Whether this side has made the keys and waits for the other side to confirm them.
    #[must_use]
    pub fn awaits_ready(&self) -> bool {
        self.state == ConnectionState::Accepted && self.side == Side::Invited && self.key_id.is_some()
    }

    /// Whether its handshake is under way and may still end without keys in use.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        matches!(self.state, ConnectionState::Requested | ConnectionState::Review | ConnectionState::Accepted)
    }

    /// Whether it is active or may become so.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.is_under_way() || self.is_active() || self.state == ConnectionState::Reconciling
    }

    /// Takes away who the other side was and what was made for it, but not what the notice of its end leaves with.
    pub fn strip(&mut self) {
        self.peer = None;
        self.symbols = None;
        self.offered = None;
        self.pairwise = SigningKey::from_seed(&Secret32::from_bytes([0; 32]));
    }

    /// Takes away what the notice of its end left with.
    pub fn strip_ways(&mut self) {
        self.nkey_seed = Secret32::from_bytes([0; 32]);
        self.jwt = None;
        self.claim = None;
        self.claim_id = None;
    }

    /// Whether events are exchanged on it.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.state == ConnectionState::Active
    }
}

const PREFIX: &str = "connection/";
/// Keys that are looked up at once where only the first few connections may be wanted.
const KEYS_AT_ONCE: usize = 16;

/// The connection of this id.
pub fn get(draft: &Draft<'_>, id: ConnectionId) -> Result<Option<Connection>, UnreadableState> {
    draft.get(&key(id))
}

/// The same for whoever only looks at it: while it stays as it is, it is read out of the state once.
pub fn shared(draft: &Draft<'_>, id: ConnectionId) -> Result<Option<Arc<Connection>>, UnreadableState> {
    draft.shared(&key(id))
}

/// Stores a connection.
pub fn put(draft: &mut Draft<'_>, connection: &Connection) -> Result<(), UnreadableState> {
    draft.put(key(connection.connection_id), connection)
}

/// Every connection, oldest first.
pub fn all(draft: &Draft<'_>) -> Result<Vec<Connection>, UnreadableState> {
    draft.values(PREFIX)
}

/// The connections made after this one, oldest first; each is read when it is asked for.
pub fn later<'d>(
    draft: &'d Draft<'_>,
    after: Option<ConnectionId>,
) -> impl Iterator<Item = Result<Connection, UnreadableState>> + 'd {
    let mut first = after.map_or_else(|| PREFIX.to_owned(), |after| key(after) + "\0");
    let mut keys = Vec::new().into_iter();
    let next_key = std::iter::from_fn(move || {
        if keys.len() == 0 {
            let more = draft.keys_from(PREFIX, &first, KEYS_AT_ONCE);
            first = format!("{}\0", more.last()?);
            keys = more.into_iter();
        }
        keys.next()
    });
    next_key.filter_map(|key| draft.get(&key).transpose())
}

fn key(id: ConnectionId) -> String {
    format!("{PREFIX}{id}")
}

/// Remembers which connection uses these keys.
pub fn index(draft: &mut Draft<'_>, key_id: SessionKeyId, id: ConnectionId) -> Result<(), UnreadableState> {
    draft.put(format!("by_key/{key_id}"), &id)
}

/// The connection that uses these keys.
pub fn by_key(draft: &Draft<'_>, key_id: SessionKeyId) -> Result<Option<ConnectionId>, UnreadableState> {
    draft.get(&format!("by_key/{key_id}"))
}

/// Forgets which connection used these keys.
pub fn forget_key(draft: &mut Draft<'_>, key_id: SessionKeyId) {
    draft.remove(&format!("by_key/{key_id}"));
}

/// The contract in force.
pub fn contract(draft: &Draft<'_>, id: ConnectionId) -> Result<Option<AcceptedContract>, UnreadableState> {
    draft.get(&contract_key(id))
}

/// The same for whoever only looks at it, as [`shared`].
pub fn shared_contract(draft: &Draft<'_>, id: ConnectionId) -> Result<Option<Arc<AcceptedContract>>, UnreadableState> {
    draft.shared(&contract_key(id))
}

fn contract_key(id: ConnectionId) -> String {
    format!("contract/{id}")
}

/// Stores the contract in force.
pub fn put_contract(
    draft: &mut Draft<'_>,
    id: ConnectionId,
    contract: &AcceptedContract,
) -> Result<(), UnreadableState> {
    draft.put(contract_key(id), contract)
}

/// What is left of each rate.
pub fn buckets(draft: &Draft<'_>, id: ConnectionId) -> Result<Buckets, UnreadableState> {
    Ok(draft.get(&format!("buckets/{id}"))?.unwrap_or_default())
}

/// Stores what is left of each rate.
pub fn put_buckets(draft: &mut Draft<'_>, id: ConnectionId, buckets: &Buckets) -> Result<(), UnreadableState> {
    draft.put(format!("buckets/{id}"), buckets)
}

/// Forgets the rates of a connection that ended, and what it was given once.
pub fn forget_buckets(draft: &mut Draft<'_>, id: ConnectionId) {
    draft.remove(&format!("buckets/{id}"));
    draft.remove(&format!("spent/{id}"));
}

/// What was handed out and is so only once.
pub fn spent(draft: &Draft<'_>, id: ConnectionId) -> Result<Spent, UnreadableState> {
    Ok(draft.get(&format!("spent/{id}"))?.unwrap_or_default())
}

/// Stores what was handed out.
pub fn put_spent(draft: &mut Draft<'_>, id: ConnectionId, spent: &Spent) -> Result<(), UnreadableState> {
    draft.put(format!("spent/{id}"), spent)
}

/// Whether a connection ended.
#[must_use]
pub fn is_buried(draft: &Draft<'_>, id: ConnectionId) -> bool {
    draft.has(&format!("tombstone/{id}"))
}

/// What remains of a connection that ended.
pub fn tombstone(draft: &Draft<'_>, id: ConnectionId) -> Result<Option<Tombstone>, UnreadableState> {
    draft.get(&format!("tombstone/{id}"))
}

/// Keeps what remains of a connection that ended.
pub fn bury(draft: &mut Draft<'_>, tombstone: &Tombstone) -> Result<(), UnreadableState> {
    draft.put(format!("tombstone/{}", tombstone.connection_id), tombstone)
}

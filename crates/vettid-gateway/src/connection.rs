//! A connection with a member as the gateway keeps it: who the member is, how to reach the member's vault, what was
//! agreed, what still has to be delivered. Keys of the running epoch stand in the channel beside it.

use crate::acquaintance::{Known, Told};
use crate::peers::PeerAddress;
use crate::view::{ConnectionView, ProfileView, RefusalView};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use vettid_core::channel::Channel;
use vettid_core::contract::AcceptedContract;
use vettid_core::handshake::{Peer, Responder};
use vettid_crypto::authorisation::Answerer;
use vettid_crypto::identity::{IdentityError, VerifyingKey};
use vettid_crypto::nats::key::{InvalidKey, UserKey};
use vettid_crypto::nats::token::UserJwt;
use vettid_crypto::secret::{Secret32, SecretBytes};
use vettid_crypto::stored;
use vettid_wire::base64::{Base64, Base64Url};
use vettid_wire::connection::{ConnectionState, Tombstone};
use vettid_wire::contract::Contract;
use vettid_wire::handshake::{Claim, SpaceUri};
use vettid_wire::id::{ConnectionId, EventId, Fingerprint, HandshakeId, InviteId, MemberId, ServiceId};
use vettid_wire::key::TypedKey;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::subject::Subject;
use vettid_wire::time::Timestamp;

/// Room for the stored form of an invitation, so that it is not moved while it grows.
const INVITATION_CAPACITY_BYTES: usize = 64 * 1024;

/// An invitation that nobody has answered yet. `Serialize` is for the sealed state alone.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OpenInvitation {
    /// Names it.
    pub invite_id: InviteId,
    /// Waits for the first message.
    pub responder: Responder,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whether a page made it that anybody may open.
    #[serde(default)]
    pub for_anybody: bool,
}

impl OpenInvitation {
    /// A copy, made as the sealed state would; its secrets have no `Clone`.
    ///
    /// # Errors
    /// If it has no stored form, which one that is stored has.
    pub(crate) fn duplicate(&self) -> Result<Self, serde_json::Error> {
        let mut bytes = Vec::with_capacity(INVITATION_CAPACITY_BYTES);
        let written = serde_json::to_writer(&mut bytes, self);
        let plain = SecretBytes::new(bytes);
        written.and_then(|()| serde_json::from_slice(plain.expose()))
    }
}

/// One connection. `Serialize` is for the sealed state alone.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Connection {
    /// The connection.
    pub connection_id: ConnectionId,
    /// The invitation that it came from; the member's handshake messages arrive under its name.
    pub invite_id: InviteId,
    /// The handshake; also answers repeated messages of it.
    pub responder: Responder,
    /// Where it stands.
    pub state: ConnectionState,
    /// When the invitation was answered.
    pub created_at: Timestamp,
    /// The member.
    pub member: Member,
    /// What the member was offered first, then what the member accepted last.
    pub contract: Contract,
    /// Its hash.
    pub contract_hash: Base64Url,
    /// What the member agreed to; there from when the connection is active.
    pub accepted: Option<AcceptedContract>,
    /// The newest version that was offered after that.
    #[serde(default)]
    pub offered_version: Option<u64>,
    /// What still has to be delivered, oldest first.
    pub outbox: Vec<Post>,
    /// When the member's credential was issued last.
    #[serde(default)]
    pub credential_issued_at: Option<Timestamp>,
    /// What the member was told of the service last.
    #[serde(default)]
    pub told: Option<Told>,
    /// The last event that the member's vault refused and that was no open request.
    pub last_refusal: Option<Refused>,
    /// What is kept of it after its end.
    pub tombstone: Option<Tombstone>,
    /// Keys of browsers that the member made known, the oldest first.
    #[serde(default)]
    pub browsers: Vec<TypedKey>,
}

/// The other side.
#[derive(Serialize, Deserialize)]
pub(crate) struct Member {
    /// The member's vault.
    pub guid: MemberId,
    /// The member's identity.
    pub fingerprint: Fingerprint,
    /// Signs acceptances and notices.
    pub signing_key: TypedKey,
    /// Signs answers to logins on this connection.
    pub pairwise_key: TypedKey,
    /// The name that the member shows.
    pub display_name: String,
    /// Where the member's space is.
    pub space: SpaceUri,
    /// What the second handshake message is delivered with; later on, the way back after the credential ran out.
    pub claim: Option<Claim>,
    /// Seed of this service's user in the member's account; gone after the end.
    #[serde(with = "stored")]
    pub nkey_seed: Option<Secret32>,
    /// What the member's vault minted for that user.
    pub jwt: Option<String>,
    /// The event that brought it; `None` for the one of the handshake.
    #[serde(default)]
    pub jwt_brought_by: Option<EventId>,
    /// The member's user in this service's account.
    #[serde(default)]
    pub nkey: Option<String>,
    /// What the member shows this service of itself.
    #[serde(default)]
    pub profile: Option<Known>,
}

/// A sealed message that is sent, byte for byte the same, until the member's inbox has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Post {
    /// Keeps repetitions of this post from being stored twice.
    pub message: EventId,
    /// By which way.
    pub route: Route,
    /// Where to.
    pub subject: Subject,
    /// The message.
    pub bytes: Base64,
    /// Given up after that.
    pub give_up_at: Timestamp,
}

/// By which way a message leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Route {
    /// Under the claim of the first handshake message.
    Claim,
    /// As the service's user in the member's account.
    Service,
}

/// An event that had no effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refused {
    /// The event.
    pub event_id: EventId,
    /// Its type.
    pub event_type: String,
    /// Why.
    pub code: RefusalCode,
    /// When the refusal arrived.
    pub at: Timestamp,
}

/// A connection in memory: the record, and its channel while it is active.
#[derive(Debug)]
pub(crate) struct Live {
    /// The record.
    pub record: Connection,
    /// The keys of the running epoch.
    pub channel: Option<Channel>,
    /// How the member's space is reached, once it was needed.
    address: Option<Arc<PeerAddress>>,
}

/// The service has no valid credential for the member's space (any more).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no credential for the member's space")]
pub(crate) struct NoCredential;

impl From<InvalidKey> for NoCredential {
    fn from(_: InvalidKey) -> Self {
        Self
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Member({})", self.guid)
    }
}

impl Member {
    /// The member as the first handshake message shows it; `None` if something that a service needs is missing or
    /// contradicts itself.
    #[must_use]
    pub(crate) fn of(peer: &Peer, nkey_seed: Secret32) -> Option<Self> {
        let claim = peer.claim.clone()?;
        let space = claim.messagespace_uri.clone();
        if space.guid() != peer.guid() {
            return None;
        }
        let display_name = peer.profile.as_ref().map(|profile| profile.public.first_name.clone());
        Some(Self {
            guid: peer.guid(),
            fingerprint: peer.fingerprint(),
            signing_key: peer.key_record.signing().typed(),
            pairwise_key: peer.pairwise_key.clone()?,
            display_name: display_name.unwrap_or_default(),
            space,
            claim: Some(claim),
            nkey_seed: Some(nkey_seed),
            jwt: None,
            jwt_brought_by: None,
            nkey: None,
            profile: peer.profile.clone().map(|profile| Known { profile, is_stale: false }),
        })
    }

    /// The key that signs acceptances and notices.
    ///
    /// # Errors
    /// [`IdentityError`] for another kind of key; the handshake took none.
    pub(crate) fn signing(&self) -> Result<VerifyingKey, IdentityError> {
        VerifyingKey::from_typed(&self.signing_key)
    }

    /// Who answers: the member's identity, and the key of the connection that signs answers and logins.
    ///
    /// # Errors
    /// [`IdentityError`] for another kind of key; the handshake took none.
    pub(crate) fn answerer(&self) -> Result<Answerer, IdentityError> {
        Ok(Answerer { member: self.fingerprint, pairwise: VerifyingKey::from_typed(&self.pairwise_key)? })
    }

    /// How the member's space is reached as this service.
    ///
    /// # Errors
    /// [`NoCredential`] before the handshake is through and after the end.
    pub(crate) fn address(&self, service_id: &ServiceId) -> Result<PeerAddress, NoCredential> {
        let seed = self.nkey_seed.as_ref().ok_or(NoCredential)?;
        let jwt = self.jwt.clone().ok_or(NoCredential)?;
        Ok(PeerAddress {
            space: self.space.clone(),
            service_id: service_id.clone(),
            key: Arc::new(UserKey::from_secret(seed.duplicate())?),
            jwt: UserJwt::unchecked(jwt),
        })
    }

    /// Wipes what the member's space was reached with.
    pub(crate) fn forget_credential(&mut self) {
        self.claim = None;
        self.nkey_seed = None;
        self.jwt = None;
    }
}

impl Connection {
    /// Whether events are exchanged on it.
    #[must_use]
    pub(crate) fn is_active(&self) -> bool {
        self.state == ConnectionState::Active
    }

    /// The handshake that made it.
    #[must_use]
    pub(crate) fn hs_id(&self) -> HandshakeId {
        HandshakeId::from_bytes(self.connection_id.to_bytes())
    }

    /// What programs of the service see.
    #[must_use]
    pub(crate) fn view(&self) -> ConnectionView {
        let acceptance = self.accepted.as_ref().map(|accepted| &accepted.acceptance);
        ConnectionView {
            connection_id: self.connection_id,
            invite_id: self.invite_id,
            state: self.state,
            member: self.member.guid,
            member_fingerprint: self.member.fingerprint,
            display_name: self.member.display_name.clone(),
            contract_version: self.contract.contract_version,
            offered_version: self.offered_version,
            optional_fields_accepted: acceptance
                .map(|signed| signed.optional_fields_accepted.clone())
                .unwrap_or_default(),
            created_at: self.created_at,
            profile: self.member.profile.as_ref().map(ProfileView::of),
            last_refusal: self.last_refusal.as_ref().map(|refused| RefusalView {
                event_id: refused.event_id,
                event_type: refused.event_type.clone(),
                code: refused.code,
                at: refused.at,
            }),
        }
    }
}

impl Live {
    /// A connection as it was made or stored.
    #[must_use]
    pub(crate) fn new(record: Connection, channel: Option<Channel>) -> Self {
        Self { record, channel, address: None }
    }

    /// How the member's space is reached as this service while the connection is active.
    ///
    /// # Errors
    /// [`NoCredential`] at any other time.
    pub(crate) fn address(&mut self, service_id: &ServiceId) -> Result<Arc<PeerAddress>, NoCredential> {
        if !self.record.is_active() {
            return Err(NoCredential);
        }
        match &self.address {
            Some(address) => Ok(Arc::clone(address)),
            None => {
                let address = Arc::new(self.record.member.address(service_id)?);
                self.address = Some(Arc::clone(&address));
                Ok(address)
            }
        }
    }

    /// The member's space is reached with another credential from now on.
    pub(crate) fn forget_address(&mut self) {
        self.address = None;
    }

    /// Ends the connection: no keys, nothing more to deliver. What stands in the outbox afterwards is the caller's matter.
    pub(crate) fn end(&mut self, state: ConnectionState, tombstone: Option<Tombstone>) {
        self.channel = None;
        self.address = None;
        self.record.state = state;
        self.record.tombstone = tombstone;
        self.record.outbox.clear();
        self.record.accepted = None;
        self.record.member.profile = None;
        self.record.told = None;
    }
}

//! The gateway's part of the handshake (spec 2.4, role `service`): invitation, first message, third message. Pure: each
//! function takes time, randomness, own keys and a message, and gives what is to be stored and then sent.

use crate::acquaintance::Told;
use crate::connection::{Connection, Live, Member, OpenInvitation, Post, Route};
use crate::identity::Identity;
use crate::peers::Brokers;
use crate::profile::{self, Presentation, ProfileFailed};
use crate::question::MAX_SKEW_MS;
use crate::versions::Versions;
use rand_core::CryptoRng;
use std::collections::HashSet;
use vettid_core::channel::{Channel, ChannelError};
use vettid_core::contract::AcceptedContract;
use vettid_core::grants::mint::{self, MemberIdentity};
use vettid_core::handshake::{Answer, HandshakeFailure, InvitationTerms, Party, Phase, Reaction, invite};
use vettid_crypto::kdf::h256;
use vettid_crypto::nats::key::{InvalidKey, UserKey, UserPublic};
use vettid_crypto::nats::token::{TokenError, UserJwt};
use vettid_crypto::nats::user::UserClaims;
use vettid_crypto::secret::Secret32;
use vettid_crypto::signature::{Context, SignatureError, check, sign_object};
use vettid_wire::base64::{Base64, Base64Url};
use vettid_wire::connection::{ConnectionState, Ready};
use vettid_wire::contract::{Acceptance, Contract, CounterSignature, Tier};
use vettid_wire::envelope::Content;
use vettid_wire::event::{EventRow as _, ServiceReady};
use vettid_wire::handshake::{InvalidInvitation, InvitationKind, SpaceUri};
use vettid_wire::id::{ConnectionId, EventId};
use vettid_wire::json::{self, JsonError};
use vettid_wire::subject::Subject;
use vettid_wire::time::Timestamp;

/// What is sent to a member is tried for this long, in milliseconds (30 days, spec §3 R11).
pub(crate) const GIVE_UP_AFTER_MS: i64 = 30 * 24 * 3600 * 1000;

/// The own side.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Own<'a> {
    /// The keys.
    pub identity: &'a Identity,
    /// What members see.
    pub presentation: &'a Presentation,
    /// Every version of the contract.
    pub contracts: &'a Versions,
    /// The sequence of the profile.
    pub profile_sequence: u64,
    /// Where the own space is.
    pub space: &'a SpaceUri,
    /// The brokers that may be used.
    pub brokers: &'a Brokers,
}

/// A step of the gateway itself failed; the message comes again.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeFailed {
    /// The state machine does not take the step.
    #[error(transparent)]
    Step(#[from] HandshakeFailure),
    /// The profile cannot be made.
    #[error(transparent)]
    Profile(#[from] ProfileFailed),
    /// An NKey cannot be used.
    #[error(transparent)]
    Key(#[from] InvalidKey),
    /// A credential cannot be minted.
    #[error("a broker credential cannot be made")]
    Token(#[from] TokenError),
    /// The invitation does not fit into a code.
    #[error(transparent)]
    Invitation(#[from] InvalidInvitation),
    /// The counter-signature cannot be made.
    #[error("the counter-signature cannot be made")]
    Sign(#[from] SignatureError),
    /// A value has no canonical form.
    #[error("a value has no canonical form")]
    Form(#[from] JsonError),
    /// The first message under the new keys cannot be sealed.
    #[error(transparent)]
    Channel(#[from] ChannelError),
}

/// What a message to an open invitation led to.
#[derive(Debug)]
pub(crate) enum Answered {
    /// The invitation is still open; `counted` if an attempt was counted, which has to be stored.
    Open {
        /// As it stands now.
        invitation: Box<OpenInvitation>,
        /// Whether it changed.
        counted: bool,
    },
    /// The invitation is over.
    Over,
    /// The member is welcome: the connection, with the second message in its outbox.
    Connection(Box<Connection>),
}

/// Makes an invitation and its text.
///
/// # Errors
/// See [`HandshakeFailed`].
pub(crate) fn new_invitation(
    now: Timestamp,
    rng: &mut dyn CryptoRng,
    own: Own<'_>,
    life_ms: i64,
    page: Option<&str>,
) -> Result<(OpenInvitation, String), HandshakeFailed> {
    let terms = InvitationTerms {
        space: own.space.clone(),
        expires_at: now.plus_ms(life_ms),
        inviter_hint: hint(&own.presentation.name),
        enrolment: None,
    };
    let invited = invite(now, rng, &own.party(), InvitationKind::Service, terms)?;
    let mut invitation = invited.invitation;
    let holder = UserKey::random(rng)?;
    // The claim outlives the invitation: it also carries the third message, after the member has read the contract.
    let (account, signing) = (own.identity.account()?, own.identity.claim_signing()?);
    let who = MemberIdentity::Claim(invitation.invite_id);
    let minted = mint::member(&who, holder.public(), account.public(), &signing, now)?;
    invitation.token = minted.jwt.as_str().to_owned();
    let link = match page {
        Some(page) => invitation.to_link(page)?,
        None => invitation.to_text()?,
    };
    let (invite_id, responder) = (invitation.invite_id, invited.responder);
    Ok((OpenInvitation { invite_id, responder, created_at: now, for_anybody: false }, link))
}

/// The name, cut to what an invitation has room for.
fn hint(name: &str) -> String {
    const MOST_BYTES: usize = 60;
    let end = (0..=MOST_BYTES.min(name.len())).rev().find(|&end| name.is_char_boundary(end)).unwrap_or(0);
    name.get(..end).unwrap_or_default().to_owned()
}

/// Takes a message that arrived under an open invitation. A valid first message is accepted at once: whoever was invited
/// is welcome; it is the member who decides about the contract. `is_known` says whether a connection id is in use.
///
/// # Errors
/// See [`HandshakeFailed`]; the invitation is over.
pub(crate) fn answer_invitation(
    now: Timestamp,
    rng: &mut dyn CryptoRng,
    own: Own<'_>,
    mut invitation: OpenInvitation,
    bytes: &[u8],
    is_known: impl Fn(ConnectionId) -> bool,
) -> Result<Answered, HandshakeFailed> {
    let reaction = invitation.responder.receive(now, bytes);
    log(&reaction);
    match invitation.responder.phase() {
        Phase::Invited => {
            return Ok(Answered::Open { invitation: Box::new(invitation), counted: reaction.changed });
        }
        Phase::Hs1Received => {}
        _ => return Ok(Answered::Over),
    }
    let seed = Secret32::random(rng);
    let Some((member, member_nkey)) = welcome(own, &invitation, seed.duplicate(), is_known) else {
        tracing::info!("a first handshake message lacks what a service needs, or names a broker that is not allowed");
        return Ok(Answered::Over);
    };
    invitation.responder.accept(now)?;
    connect(now, rng, own, invitation, member, &member_nkey, seed).map(Box::new).map(Answered::Connection)
}

/// The member of a valid first message and its NKey, if everything is there.
fn welcome(
    own: Own<'_>,
    invitation: &OpenInvitation,
    seed: Secret32,
    is_known: impl Fn(ConnectionId) -> bool,
) -> Option<(Member, UserPublic)> {
    let hs_id = invitation.responder.hs_id()?;
    let peer = invitation.responder.peer()?;
    let member = Member::of(peer, seed).filter(|member| own.brokers.address_of(&member.space).is_some())?;
    let nkey = peer.nkey_pub.as_ref()?.parse().ok()?;
    if is_known(hs_id.connection_id()) { None } else { Some((member, nkey)) }
}

/// Makes the second message, with the credential for the member, and the connection.
fn connect(
    now: Timestamp,
    rng: &mut dyn CryptoRng,
    own: Own<'_>,
    mut invitation: OpenInvitation,
    member: Member,
    member_nkey: &UserPublic,
    seed: Secret32,
) -> Result<Connection, HandshakeFailed> {
    let hs_id = invitation.responder.hs_id().ok_or(HandshakeFailure::NotDue(invitation.responder.phase()))?;
    let connection_id = hs_id.connection_id();
    let newest = own.contracts.newest();
    let (contract, contract_hash) = (newest.contract.clone(), newest.contract_hash.clone());
    let (account, signing) = (own.identity.account()?, own.identity.connection_signing()?);
    let minted =
        mint::member(&MemberIdentity::Connection(connection_id), member_nkey, account.public(), &signing, now)?;
    let profile = profile::signed(now, own.identity, own.presentation, &contract, own.profile_sequence)?;
    let told = Some(Told::by(&profile)?);
    let content = Answer {
        profile: Some(profile),
        jwt: Some(minted.jwt.as_str().to_owned()),
        nkey_pub: Some(UserKey::from_secret(seed)?.public().to_string()),
        contract: Some(contract.clone()),
        incarnation: (own.identity.incarnation != 1).then_some(own.identity.incarnation),
        ..Answer::default()
    };
    let reaction = invitation.responder.answer(now, rng, &own.party(), &content)?;
    let give_up_at = invitation.responder.expires_at();
    let member = Member { nkey: Some(member_nkey.to_string()), ..member };
    let mut connection = Connection {
        connection_id,
        invite_id: invitation.invite_id,
        responder: invitation.responder,
        state: ConnectionState::Requested,
        created_at: now,
        member,
        contract,
        contract_hash,
        accepted: None,
        offered_version: None,
        outbox: Vec::new(),
        credential_issued_at: Some(now),
        told,
        last_refusal: None,
        tombstone: None,
        browsers: Vec::new(),
    };
    post_handshake(now, rng, &mut connection, reaction, give_up_at);
    Ok(connection)
}

/// Puts the second message into the outbox, unless it still lies there.
fn post_handshake(
    now: Timestamp,
    rng: &mut dyn CryptoRng,
    connection: &mut Connection,
    reaction: Reaction,
    give_up_at: Timestamp,
) -> bool {
    let waits = connection.outbox.iter().any(|post| post.route == Route::Claim);
    let Some(bytes) = reaction.send.filter(|_| !waits && connection.member.claim.is_some()) else {
        return false;
    };
    connection.outbox.push(Post {
        message: EventId::v7(now, random(rng)),
        route: Route::Claim,
        subject: Subject::handshake(connection.member.guid, connection.hs_id()),
        bytes: Base64::new(bytes),
        give_up_at,
    });
    true
}

/// What a further handshake message of a member led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Continued {
    /// Nothing to store.
    Nothing,
    /// To be stored; the outbox may hold something new.
    Changed,
    /// To be stored: the connection is active.
    Active,
}

/// Takes a handshake message of a member who is known already: a repeated first message, or the third one.
///
/// # Errors
/// See [`HandshakeFailed`].
pub(crate) fn continue_handshake(
    now: Timestamp,
    rng: &mut dyn CryptoRng,
    own: Own<'_>,
    live: &mut Live,
    bytes: &[u8],
) -> Result<Continued, HandshakeFailed> {
    if !matches!(live.record.state, ConnectionState::Requested | ConnectionState::Active) {
        return Ok(Continued::Nothing);
    }
    let reaction = live.record.responder.receive(now, bytes);
    log(&reaction);
    let changed = if reaction.changed { Continued::Changed } else { Continued::Nothing };
    match live.record.responder.phase() {
        Phase::Hs2Sent | Phase::Active if !reaction.changed => {
            let give_up_at = live.record.responder.expires_at();
            let posted = post_handshake(now, rng, &mut live.record, reaction, give_up_at);
            Ok(if posted { Continued::Changed } else { changed })
        }
        Phase::Active => finish(now, rng, own, live),
        Phase::Expired => {
            live.end(ConnectionState::Expired, None);
            Ok(changed)
        }
        Phase::Aborted | Phase::Rejected => {
            live.end(ConnectionState::Aborted, None);
            Ok(changed)
        }
        _ => Ok(changed),
    }
}

/// After a valid third message: checks what the member agreed to, and confirms the keys with the counter-signature.
fn finish(
    now: Timestamp,
    rng: &mut dyn CryptoRng,
    own: Own<'_>,
    live: &mut Live,
) -> Result<Continued, HandshakeFailed> {
    let Some(outcome) = live.record.responder.take_outcome() else {
        return Ok(Continued::Changed);
    };
    let (keys, peer) = outcome.into_keys(own.identity.incarnation);
    let jwt = peer.jwt.filter(|jwt| is_ours(now, own, &live.record.member, jwt));
    let accepted = peer.acceptance.filter(|acceptance| agrees(now, own, &live.record, acceptance));
    let (Some(jwt), Some(acceptance)) = (jwt, accepted) else {
        tracing::warn!("a third handshake message carries no acceptance or credential that fits");
        live.end(ConnectionState::Aborted, None);
        live.record.member.forget_credential();
        return Ok(Continued::Changed);
    };
    let counter_signature = countersign(now, own, live.record.connection_id, &acceptance)?;
    let mut channel = Channel::new(keys);
    // The age of the epoch is stored with it, not by the first request.
    channel.pass_time(now);
    let post = ready(now, rng, own, &live.record, &mut channel, counter_signature.clone())?;
    let record = &mut live.record;
    record.member.jwt = Some(jwt);
    record.member.claim = None;
    record.outbox = vec![post];
    record.accepted = Some(AcceptedContract {
        contract: record.contract.clone(),
        contract_hash: record.contract_hash.clone(),
        acceptance,
        counter_signature: Some(counter_signature),
    });
    record.state = ConnectionState::Active;
    live.channel = Some(channel);
    Ok(Continued::Active)
}

/// Whether a credential is about this service's key of this connection. Who may issue it, the member's broker knows.
pub(crate) fn is_ours(now: Timestamp, own: Own<'_>, member: &Member, jwt: &str) -> bool {
    let key = member.nkey_seed.as_ref().and_then(|seed| UserKey::from_secret(seed.duplicate()).ok());
    let claims = UserClaims::received(&UserJwt::unchecked(jwt.to_owned()), now);
    let name = MemberIdentity::Service(own.presentation.service_id.clone()).name();
    matches!((key, claims), (Some(key), Ok(claims)) if claims.user == *key.public() && claims.name == name)
}

/// Whether a signed acceptance is the member's, for this connection and exactly what was offered (spec 2.14).
fn agrees(now: Timestamp, own: Own<'_>, connection: &Connection, acceptance: &Acceptance) -> bool {
    let signed =
        connection.member.signing().is_ok_and(|key| check(Context::ContractAccept, &key, acceptance.clone()).is_ok());
    signed
        && acceptance.contract_hash == connection.contract_hash
        && acceptance.contract_version == connection.contract.contract_version
        && acceptance.service_id == connection.contract.service_id
        && acceptance.service_fp == own.identity.fingerprint()
        && acceptance.member_fp == connection.member.fingerprint
        && acceptance.connection_id == connection.connection_id
        && acceptance.sequence == 1
        && acceptance.accepted_at <= now.plus_ms(MAX_SKEW_MS)
        && are_optional(&connection.contract, &acceptance.optional_fields_accepted)
}

/// Whether each name is an optional field of the contract and stands once.
fn are_optional(contract: &Contract, names: &[String]) -> bool {
    let distinct: HashSet<_> = names.iter().collect();
    let optional = |name: &String| contract.field(name).is_some_and(|field| field.tier == Tier::Optional);
    distinct.len() == names.len() && names.iter().all(optional)
}

/// The service's signature under an acceptance (ctx `vettid/contract-counter/1`).
pub(crate) fn countersign(
    now: Timestamp,
    own: Own<'_>,
    connection_id: ConnectionId,
    acceptance: &Acceptance,
) -> Result<CounterSignature, HandshakeFailed> {
    let key = own.identity.signing_key();
    let unsigned = CounterSignature {
        acceptance_hash: Base64Url::new(h256(&json::canonical(acceptance)?)),
        connection_id,
        countersigned_at: now,
        key_id: key.key_id(),
        signature: Base64::default(),
    };
    Ok(json::from_value(sign_object(Context::ContractCounter, key, &unsigned)?)?)
}

/// The first message under the new keys.
fn ready(
    now: Timestamp,
    rng: &mut dyn CryptoRng,
    own: Own<'_>,
    connection: &Connection,
    channel: &mut Channel,
    counter_signature: CounterSignature,
) -> Result<Post, HandshakeFailed> {
    let event_type = ServiceReady::ROW.event_type();
    let service_id = own.presentation.service_id.clone();
    let subject = Subject::FromService(connection.member.guid, service_id, event_type.clone());
    let body = Ready { connection_id: connection.connection_id, counter_signature: Some(counter_signature) };
    let to_incarnation = channel.peer_incarnation();
    let content = Content { body, to_incarnation, in_reply_to: None, expires_at: None };
    let event_id = EventId::v7(now, random(rng));
    let bytes = channel.seal(now, rng, &subject, event_id, &event_type, &content)?;
    let give_up_at = now.plus_ms(GIVE_UP_AFTER_MS);
    Ok(Post { message: event_id, route: Route::Service, subject, bytes: Base64::new(bytes), give_up_at })
}

impl Own<'_> {
    fn party(&self) -> Party<'_> {
        Party { key_record: self.identity.key_record(), signing: self.identity.signing_key() }
    }
}

fn log(reaction: &Reaction) {
    match reaction.refusal {
        Some(refusal) if reaction.alarm => {
            tracing::warn!(%refusal, "somebody tampers with a handshake")
        }
        Some(refusal) => tracing::info!(%refusal, "a handshake message was refused"),
        None => {}
    }
}

fn random(rng: &mut dyn CryptoRng) -> [u8; 10] {
    let mut bytes = [0; 10];
    rng.fill_bytes(&mut bytes);
    bytes
}

//! Making connections: invitations, handshake messages, and the two decisions of the two owners. Keys exist only after
//! both said yes; a connection that is not active opens nothing.

use crate::channels::ChannelName;
use crate::connection::{self, Connection, Peer as KnownPeer, Side};
use crate::failure::Failure;
use crate::feed::Note;
use crate::outbox::Route;
use crate::peer::actor;
use crate::profile::sync;
use crate::service::snapshot;
use crate::step::Step;
use crate::{outbox, peer, profile, resync, revocation, send, upkeep, view};
use serde_json::{Value, json};
use std::sync::Arc;
use vettid_core::channel::Channel;
use vettid_core::grants::credential::Credential;
use vettid_core::grants::mint::{self, MemberIdentity};
use vettid_core::handshake::{Closing, Initiator, MAX_LINK_LIFE_MS, Opening, Outcome, Peer, Phase, Reaction, Target};
use vettid_crypto::identity::SigningKey;
use vettid_crypto::nats::key::{UserKey, UserPublic};
use vettid_crypto::nats::token::UserJwt;
use vettid_crypto::secret::Secret32;
use vettid_wire::audit::Outcome as AuditOutcome;
use vettid_wire::connection::{
    AcceptInvitation, ConnectionState, ConnectionView, Decide, PeerKind, Ready, Verification,
};
use vettid_wire::event::{self, ConnectionHandshake, Delivery, EventRow, EventType};
use vettid_wire::feed::{Outcome as FeedOutcome, Severity};
use vettid_wire::handshake::{Claim, HandshakeMessage, Invitation, InvitationKind, SpaceUri, Step as Message};
use vettid_wire::id::{ConnectionId, EventId, HandshakeId, InviteId};
use vettid_wire::json as vjson;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::subject::Subject;
use vettid_wire::time::Timestamp;

mod agreement;
mod inviter;

pub(crate) use inviter::abandon;
pub use inviter::{invitations, invite, uninvite};

use agreement::{agree, countersigned, service_fits};
use inviter::{accept_request, invitation_of, receive_request};

type Answered<T> = Result<Result<T, RefusalCode>, Failure>;

fn invite_key(id: InviteId) -> String {
    format!("invite/{id}")
}

fn alarm_key(id: InviteId) -> String {
    format!("alarm/{id}")
}

fn handshake_key(id: HandshakeId) -> String {
    format!("handshake/{id}")
}

/// A bearer token for one handshake subject in this vault's space.
fn claim_token(step: &mut Step<'_>, id: InviteId, expires_at: Timestamp) -> Result<ClaimToken, Failure> {
    // The holder needs no key of its own; the token names one that nobody has.
    let nobody = UserKey::random(step.rng)?;
    let account = step.identity.message_account()?;
    let signing = step.identity.claim_signing()?;
    let identity = MemberIdentity::Claim(id);
    let minted = mint::member_until(&identity, nobody.public(), account.public(), &signing, step.now, expires_at)?;
    Ok(ClaimToken { token: minted.jwt.as_str().to_owned(), user_nkey: nobody.public().as_str().to_owned() })
}

/// A bearer token, and the user that the broker takes its holder for.
struct ClaimToken {
    token: String,
    user_nkey: String,
}

/// Owner's command: answer an invitation of a member or a service.
pub fn accept(step: &mut Step<'_>, asked: &AcceptInvitation) -> Answered<ConnectionView> {
    let Ok(invitation) = Invitation::read(&asked.link) else {
        return Ok(Err(RefusalCode::InvalidRequest));
    };
    let own = invitation.space.guid() == step.identity.guid;
    if invitation.kind == InvitationKind::Enroll || own {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    if invitation.expires_at < step.now {
        return Ok(Err(RefusalCode::Expired));
    }
    let Ok(target) = Target::invitation(&invitation) else {
        return Ok(Err(RefusalCode::InvalidRequest));
    };
    let (nkey_seed, pairwise) = (Secret32::random(step.rng), SigningKey::random(step.rng));
    let opening = Opening {
        profile: Some(profile::signed(step, None)?),
        nkey_pub: Some(UserKey::from_secret(nkey_seed.duplicate())?.public().as_str().to_owned()),
        pairwise_key: Some(pairwise.verifying_key().typed()),
        incarnation: (step.identity.incarnation != 1).then_some(step.identity.incarnation),
        ..Opening::default()
    };
    let (initiator, first) = start(step, target, opening)?;
    let connection = begun(step, asked, invitation, &initiator, nkey_seed, pairwise);
    connection::put(&mut step.draft, &connection)?;
    sync::for_handshake(step, connection.connection_id)?;
    step.draft.put(handshake_key(connection.handshake_id), &initiator)?;
    post_handshake(step, &connection, first)?;
    let summary = format!("You answered an invitation of {}", connection.display_name);
    tell(step, "connection.accept", Some(connection.connection_id), FeedOutcome::Done, Severity::Info, summary)?;
    Ok(Ok(view::changed(step, &connection)?))
}

/// The first message carries the claim for the second, and the claim is named by the handshake: the id is drawn first.
fn start(step: &mut Step<'_>, target: Target, opening: Opening) -> Result<(Initiator, Reaction), Failure> {
    let hs_id = HandshakeId::v7(step.now, step.random());
    let claim_id = InviteId::from_bytes(hs_id.to_bytes());
    let expires_at = step.now.plus_ms(MAX_LINK_LIFE_MS);
    let ClaimToken { token, .. } = claim_token(step, claim_id, expires_at)?;
    let messagespace_uri = SpaceUri::new(step.endpoint, step.identity.guid)?;
    let opening = Opening { claim: Some(Claim { messagespace_uri, token }), ..opening };
    Ok(Initiator::start_as(hs_id, step.now, step.rng, &step.identity.party(), target, &opening)?)
}

fn begun(
    step: &Step<'_>,
    asked: &AcceptInvitation,
    invitation: Invitation,
    initiator: &Initiator,
    nkey_seed: Secret32,
    pairwise: SigningKey,
) -> Connection {
    let kind = if invitation.kind == InvitationKind::Service { PeerKind::Service } else { PeerKind::Member };
    Connection {
        connection_id: initiator.hs_id().connection_id(),
        handshake_id: initiator.hs_id(),
        side: Side::Invited,
        kind,
        state: ConnectionState::Requested,
        verification: if asked.in_person { Verification::Verified } else { Verification::Unverified },
        display_name: invitation.inviter_hint,
        created_at: step.now,
        space: invitation.space.clone(),
        peer: None,
        symbols: None,
        nkey_seed,
        jwt: None,
        claim: Some(Claim { messagespace_uri: invitation.space, token: invitation.token }),
        claim_id: Some(invitation.invite_id),
        peer_nkey: None,
        pairwise,
        offered: None,
        key_id: None,
    }
}

/// Posts a handshake message, if the step made one.
fn post_handshake(step: &mut Step<'_>, connection: &Connection, reaction: Reaction) -> Result<(), Failure> {
    let (Some(bytes), Some(claim_id)) = (reaction.send, connection.claim_id) else {
        return Ok(());
    };
    let subject = Subject::Invite(connection.peer_guid(), claim_id);
    let event_id = EventId::v7(step.now, step.random());
    let post = send::post(step, Route::Claim(connection.connection_id), subject, event_id, Delivery::Durable, bytes);
    Ok(step.post(post)?)
}

/// Takes up a handshake message on an invitation's subject.
pub fn receive(step: &mut Step<'_>, id: InviteId, bytes: &[u8]) -> Result<(), Failure> {
    let Ok(message) = HandshakeMessage::read(bytes) else {
        let subject = Subject::Invite(step.identity.guid, id);
        if peer::receive_by_way_back(step, &subject, bytes)? != peer::Opened::Yes {
            step.dropped += 1;
        }
        return Ok(());
    };
    match &message.step {
        // The second message comes with the claim that this vault made for this handshake, on its subject and no other.
        Message::Hs2(_) if id.to_bytes() == message.hs_id.to_bytes() => receive_answer(step, message.hs_id, bytes),
        Message::Hs2(_) => {
            step.dropped += 1;
            Ok(())
        }
        Message::Hs1(_) | Message::Hs3(_) => receive_request(step, id, bytes),
    }
}

/// A message that was refused is logged; one that shows tampering is told to the owner, once for each subject.
fn note_reaction(
    step: &mut Step<'_>,
    reaction: &Reaction,
    subject: InviteId,
    connection: Option<ConnectionId>,
) -> Result<(), Failure> {
    let Some(refusal) = reaction.refusal else {
        return Ok(());
    };
    step.dropped += 1;
    tracing::info!(%refusal, "a handshake message had no effect");
    let alarmed = alarm_key(subject);
    if reaction.alarm && !step.draft.has(&alarmed) {
        step.draft.put(alarmed, &step.now)?;
        let code = FeedOutcome::Refused(RefusalCode::Conflict);
        let summary = "Somebody may be tampering with an invitation".to_owned();
        tell(step, ConnectionHandshake::ROW.name, connection, code, Severity::Alarm, summary)?;
    }
    Ok(())
}

fn name_of(peer: &Peer) -> String {
    let name = peer.profile.as_ref().map_or("", |profile| profile.public.first_name.as_str());
    name.chars().filter(|c| !c.is_control()).take(60).collect()
}

fn known(peer: &Peer) -> Option<KnownPeer> {
    Some(KnownPeer {
        fingerprint: peer.fingerprint(),
        signing_key: peer.key_record.signing().typed(),
        pairwise_key: peer.pairwise_key.clone(),
        profile: peer.profile.clone()?,
    })
}

/// The invited side: hs2.
fn receive_answer(step: &mut Step<'_>, hs_id: HandshakeId, bytes: &[u8]) -> Result<(), Failure> {
    let key = handshake_key(hs_id);
    let found = step.draft.get::<Initiator>(&key)?.zip(connection::get(&step.draft, hs_id.connection_id())?);
    let Some((mut initiator, mut connection)) = found else {
        step.dropped += 1;
        return Ok(());
    };
    let before = initiator.phase();
    let reaction = initiator.receive(step.now, bytes);
    note_reaction(step, &reaction, InviteId::from_bytes(hs_id.to_bytes()), Some(connection.connection_id))?;
    match (before, initiator.phase()) {
        (Phase::Hs1Sent, Phase::Hs2Received) => {
            let fits = answered(step.now, &mut connection, &initiator).is_some();
            if fits && !poses_as_another(step, &connection)? {
                connection::put(&mut step.draft, &connection)?;
                let summary = format!("{} accepted your answer; please review", connection.display_name);
                let id = Some(connection.connection_id);
                tell(step, ConnectionHandshake::ROW.name, id, FeedOutcome::Pending, Severity::Notice, summary)?;
            } else {
                ended(step, connection.connection_id, Phase::Aborted)?;
            }
        }
        (_, Phase::Aborted | Phase::Expired) if before != initiator.phase() => {
            ended(step, connection.connection_id, initiator.phase())?;
        }
        _ => {}
    }
    if reaction.changed {
        step.draft.put(key, &initiator)?;
    }
    post_handshake(step, &connection, reaction)
}

/// Takes over what the inviter says about itself. `None` if something is missing that the connection cannot do without.
fn answered(now: Timestamp, connection: &mut Connection, initiator: &Initiator) -> Option<()> {
    let peer = initiator.peer()?;
    let profile_fits = match connection.kind {
        PeerKind::Member => peer.profile.as_ref()?.service.is_none() && peer.contract.is_none(),
        PeerKind::Service => service_fits(peer),
    };
    if !profile_fits {
        return None;
    }
    connection.peer = Some(known(peer)?);
    connection.display_name = name_of(peer);
    connection.symbols = initiator.symbols().map(|symbols| symbols.to_vec());
    connection.jwt = Some(usable_jwt(now, connection, peer)?);
    connection.peer_nkey = Some(peer.nkey_pub.clone()?);
    connection.offered = peer.contract.clone();
    connection.state = ConnectionState::Review;
    Some(())
}

/// The credential that the peer issued, if it is one for this vault's own key, under the name of this connection.
fn usable_jwt(now: Timestamp, connection: &Connection, peer: &Peer) -> Option<String> {
    peer.jwt.clone().filter(|jwt| is_usable(now, connection, jwt))
}

/// Whether a credential is one for this vault's own key, under the name of this connection.
pub(crate) fn is_usable(now: Timestamp, connection: &Connection, jwt: &str) -> bool {
    let Ok(key) = UserKey::from_secret(connection.nkey_seed.duplicate()) else {
        return false;
    };
    let (identity, jwt) = (MemberIdentity::Connection(connection.connection_id), UserJwt::unchecked(jwt.to_owned()));
    Credential::member(&identity, connection.peer_guid(), Arc::new(key), jwt, now).is_ok()
}

/// Whether another live connection has the same name at the broker and is not the same party: the same service id under
/// another identity, or the same user. The credential of one would reach what belongs to the other.
fn poses_as_another(step: &Step<'_>, new: &Connection) -> Result<bool, Failure> {
    let Some(peer) = &new.peer else { return Ok(true) };
    let others = connection::all(&step.draft)?;
    let mut others = others.iter().filter(|other| other.connection_id != new.connection_id && other.is_live());
    Ok(others.any(|other| {
        let same_service = new.service_id().is_some() && other.service_id() == new.service_id();
        let same_party = other.peer.as_ref().is_some_and(|known| known.fingerprint == peer.fingerprint);
        (same_service && !same_party) || (other.peer_nkey.is_some() && other.peer_nkey == new.peer_nkey)
    }))
}

/// Owner's command: accept or reject.
pub fn decide(step: &mut Step<'_>, asked: &Decide) -> Answered<ConnectionView> {
    let Some(mut connection) = connection::get(&step.draft, asked.connection_id)? else {
        return Ok(Err(RefusalCode::NotFound));
    };
    if connection.state != ConnectionState::Review {
        return Ok(Err(RefusalCode::NotAllowed));
    }
    let decided = match (asked.accept, connection.side) {
        (false, _) => reject(step, &mut connection)?,
        (true, Side::Inviter) => accept_request(step, &mut connection)?,
        (true, Side::Invited) => accept_answer(step, &mut connection, &asked.optional_fields)?,
    };
    if let Err(code) = decided {
        return Ok(Err(code));
    }
    connection::put(&mut step.draft, &connection)?;
    let (outcome, word) =
        if asked.accept { (FeedOutcome::Approved, "accepted") } else { (FeedOutcome::Denied, "rejected") };
    let summary = format!("You {word} the connection with {}", connection.display_name);
    tell(step, "connection.decide", Some(connection.connection_id), outcome, Severity::Info, summary)?;
    Ok(Ok(view::changed(step, &connection)?))
}

fn reject(step: &mut Step<'_>, connection: &mut Connection) -> Answered<()> {
    match connection.side {
        Side::Inviter => {
            let Some((key, mut responder)) = invitation_of(step, connection.connection_id)? else {
                return Ok(Err(RefusalCode::NotFound));
            };
            responder.reject()?;
            step.draft.put(key, &responder)?;
        }
        Side::Invited => {
            let key = handshake_key(connection.handshake_id);
            let Some(mut initiator) = step.draft.get::<Initiator>(&key)? else {
                return Ok(Err(RefusalCode::NotFound));
            };
            initiator.reject()?;
            step.draft.remove(&key);
        }
    }
    connection.state = ConnectionState::Rejected;
    connection.peer_nkey = None;
    connection.claim = None;
    Ok(Ok(()))
}

/// The invited side said yes: the third message goes out, with the signed acceptance if there is a contract.
fn accept_answer(step: &mut Step<'_>, connection: &mut Connection, optional: &[String]) -> Answered<()> {
    let key = handshake_key(connection.handshake_id);
    let Some(mut initiator) = step.draft.get::<Initiator>(&key)? else {
        return Ok(Err(RefusalCode::NotFound));
    };
    if initiator.accept(step.now).is_err() {
        return Ok(Err(RefusalCode::Expired));
    }
    let acceptance = match agree(step, connection, optional)? {
        Ok(acceptance) => acceptance,
        Err(code) => return Ok(Err(code)),
    };
    let Some(jwt) = credential_for(step, connection)? else {
        return Ok(Err(RefusalCode::InvalidRequest));
    };
    let closing = Closing { jwt: Some(jwt), acceptance, device_sig: None };
    let reaction = initiator.finish(step.now, step.rng, &step.identity.party(), &closing)?;
    let Some(outcome) = initiator.take_outcome() else {
        return Ok(Err(RefusalCode::Unavailable));
    };
    open_channel(step, connection, outcome)?;
    connection.state = ConnectionState::Accepted;
    connection.offered = None;
    step.draft.put(key, &initiator)?;
    post_handshake(step, connection, reaction)?;
    Ok(Ok(()))
}

/// The user credential for the peer in this vault's own account.
pub(crate) fn credential_for(step: &Step<'_>, connection: &Connection) -> Result<Option<String>, Failure> {
    let Some(user) = connection.peer_nkey.as_ref().and_then(|text| text.parse::<UserPublic>().ok()) else {
        return Ok(None);
    };
    let account = step.identity.message_account()?;
    let (identity, signing) = match connection.service_id() {
        Some(service) => (MemberIdentity::Service(service.clone()), step.identity.service_signing()?),
        None => (MemberIdentity::Connection(connection.connection_id), step.identity.connection_signing()?),
    };
    let minted = mint::member(&identity, &user, account.public(), &signing, step.now)?;
    Ok(Some(minted.jwt.as_str().to_owned()))
}

fn open_channel(step: &mut Step<'_>, connection: &mut Connection, outcome: Outcome) -> Result<(), Failure> {
    connection.symbols = Some(outcome.symbols().to_vec());
    resync::keep(&mut step.draft, connection.connection_id, outcome.resume())?;
    let (keys, _) = outcome.into_keys(step.identity.incarnation);
    connection.key_id = Some(keys.key_id);
    connection::index(&mut step.draft, keys.key_id, connection.connection_id)?;
    step.channels.add(&mut step.draft, ChannelName::Connection(connection.connection_id), Channel::new(keys))?;
    Ok(())
}

/// The peer answered the last handshake message, so it has it, whatever its broker acknowledged.
fn arrived(step: &mut Step<'_>, connection: &mut Connection) -> Result<(), Failure> {
    connection.claim = None;
    Ok(outbox::withdraw_claims(&mut step.draft, connection.connection_id)?)
}

fn connected(step: &mut Step<'_>, connection: &Connection) -> Result<(), Failure> {
    upkeep::look_soon_at(&mut step.draft, step.now, connection.connection_id)?;
    let event_type = event::ConnectionReady::ROW.event_type();
    step.audit(
        &actor(connection),
        &event_type,
        AuditOutcome::Success,
        json!({"connection_id": connection.connection_id}),
    )?;
    let summary = format!("You are connected with {}", connection.display_name);
    tell(step, event_type.as_str(), Some(connection.connection_id), FeedOutcome::Done, Severity::Notice, summary)
}

/// The peer's first envelope opened: the keys are confirmed, on this side too.
pub fn ready(step: &mut Step<'_>, connection: &Connection, body: Value) -> Answered<()> {
    let Ok(ready) = vjson::from_value::<Ready>(body) else {
        return Ok(Err(RefusalCode::InvalidRequest));
    };
    if ready.connection_id != connection.connection_id {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    if connection.state == ConnectionState::Active {
        return Ok(Ok(()));
    }
    if connection.kind == PeerKind::Service
        && let Err(code) = countersigned(step, connection, ready.counter_signature)?
    {
        return Ok(Err(code));
    }
    let Some(mut connection) = connection::get(&step.draft, connection.connection_id)? else {
        return Ok(Err(RefusalCode::NotConnected));
    };
    connection.state = ConnectionState::Active;
    arrived(step, &mut connection)?;
    connection::put(&mut step.draft, &connection)?;
    step.draft.remove(&handshake_key(connection.handshake_id));
    connected(step, &connection)?;
    snapshot::follow(step, connection.connection_id)?;
    snapshot::flush(step)?;
    Ok(Ok(()))
}

/// A handshake ended without keys.
fn ended(step: &mut Step<'_>, id: ConnectionId, phase: Phase) -> Result<(), Failure> {
    let under_way = connection::get(&step.draft, id)?.filter(Connection::is_under_way);
    let Some(mut connection) = under_way else {
        return Ok(());
    };
    let (state, code) = match phase {
        Phase::Expired => (ConnectionState::Expired, RefusalCode::Expired),
        _ => (ConnectionState::Aborted, RefusalCode::NotAllowed),
    };
    // The second message may have carried a credential for the peer.
    revocation::cut_off(step, &mut connection)?;
    connection.state = state;
    connection.claim = None;
    connection::put(&mut step.draft, &connection)?;
    let summary = format!("The connection with {} was not made ({code})", connection.display_name);
    tell(step, ConnectionHandshake::ROW.name, Some(id), FeedOutcome::Refused(code), Severity::Warning, summary)
}

/// Ends handshakes and invitations that are past their time, and forgets finished ones that nobody can repeat any more.
pub fn expire(step: &mut Step<'_>) -> Result<(), Failure> {
    for key in step.draft.keys("handshake/", usize::MAX) {
        let Some(mut initiator) = step.draft.get::<Initiator>(&key)? else {
            continue;
        };
        let expired = initiator.expire(step.now);
        if expired {
            ended(step, initiator.hs_id().connection_id(), Phase::Expired)?;
        }
        let over = matches!(initiator.phase(), Phase::Expired | Phase::Rejected | Phase::Aborted);
        if expired || (over && step.now > initiator.expires_at()) {
            step.draft.remove(&key);
            step.draft.remove(&alarm_key(InviteId::from_bytes(initiator.hs_id().to_bytes())));
        }
    }
    inviter::expire(step)
}

fn tell(
    step: &mut Step<'_>,
    event_type: &str,
    connection_id: Option<ConnectionId>,
    outcome: FeedOutcome,
    severity: Severity,
    summary: String,
) -> Result<(), Failure> {
    let Ok(event_type) = event_type.parse::<EventType>() else {
        return Ok(());
    };
    step.tell(Note { event_type, connection_id, request_id: None, severity, outcome, summary })?;
    Ok(())
}

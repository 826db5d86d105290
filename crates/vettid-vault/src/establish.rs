//! Making connections: invitations, handshake messages, and the two decisions of the two owners. Keys exist only after
//! both said yes; a connection that is not active opens nothing.

use crate::channels::ChannelName;
use crate::connection::{self, Connection, Peer as KnownPeer, Side};
use crate::failure::Failure;
use crate::feed::Note;
use crate::outbox::Route;
use crate::peer::actor;
use crate::step::Step;
use crate::{profile, send, view};
use serde_json::{Value, json};
use vettid_core::channel::Channel;
use vettid_core::contract::{AcceptedContract, contract_hash};
use vettid_core::grants::mint::{self, MemberIdentity};
use vettid_core::handshake::{
    Answer, Closing, Initiator, InvitationTerms, MAX_LINK_LIFE_MS, MAX_SCREEN_LIFE_MS, Opening,
    Outcome, Peer, Phase, Reaction, Responder, Target, invite as make_invitation,
};
use vettid_crypto::identity::{SigningKey, VerifyingKey};
use vettid_crypto::nats::key::{UserKey, UserPublic};
use vettid_crypto::secret::Secret32;
use vettid_crypto::signature::{Context, open as open_signed, sign_object};
use vettid_wire::audit::Outcome as AuditOutcome;
use vettid_wire::base64::Base64;
use vettid_wire::connection::{
    AcceptInvitation, ConnectionState, ConnectionView, Decide, Invite, Invited, PeerKind, Ready,
    Verification,
};
use vettid_wire::contract::{Acceptance, Contract, CounterSignature, Tier};
use vettid_wire::event::{self, ConnectionHandshake, Delivery, EventRow, EventType};
use vettid_wire::feed::{Outcome as FeedOutcome, Severity};
use vettid_wire::handshake::{
    Claim, HandshakeMessage, Invitation, InvitationKind, SpaceUri, Step as Message,
};
use vettid_wire::id::{ConnectionId, EventId, Fingerprint, HandshakeId, InviteId};
use vettid_wire::json as vjson;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::subject::Subject;

type Answered<T> = Result<Result<T, RefusalCode>, Failure>;

fn invite_key(id: InviteId) -> String {
    format!("invite/{id}")
}

fn handshake_key(id: HandshakeId) -> String {
    format!("handshake/{id}")
}

/// Owner's command: make an invitation.
pub fn invite(step: &mut Step<'_>, asked: &Invite) -> Answered<Invited> {
    let life_ms = asked
        .life_seconds
        .map_or(MAX_SCREEN_LIFE_MS, |seconds| i64::from(seconds) * 1000);
    if !(1..=MAX_LINK_LIFE_MS).contains(&life_ms) {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    let expires_at = step.now.plus_ms(life_ms);
    let hint: String = profile::view(&step.draft)?
        .public
        .map_or_else(String::new, |public| public.first_name);
    let terms = InvitationTerms {
        space: SpaceUri::new(step.endpoint, step.identity.guid)?,
        expires_at,
        inviter_hint: hint.chars().take(30).collect(),
        enrolment: None,
    };
    let made = make_invitation(
        step.now,
        step.rng,
        &step.identity.party(),
        InvitationKind::Connect,
        terms,
    )?;
    let mut invitation = made.invitation;
    let invite_id = invitation.invite_id;
    invitation.token = claim_token(step, invite_id, expires_at)?;
    step.draft.put(invite_key(invite_id), &made.responder)?;
    let link = invitation.to_link("https://vettid.dev/connect")?;
    tell(
        step,
        "connection.invite",
        None,
        FeedOutcome::Done,
        Severity::Info,
        "You made an invitation".into(),
    )?;
    Ok(Ok(Invited {
        invite_id,
        link,
        expires_at,
    }))
}

/// A bearer token for one handshake subject in this vault's space.
fn claim_token(
    step: &mut Step<'_>,
    id: InviteId,
    expires_at: vettid_wire::time::Timestamp,
) -> Result<String, Failure> {
    // The holder needs no key of its own; the token names one that nobody has.
    let nobody = UserKey::random(step.rng)?;
    let account = step.identity.message_account()?;
    let signing = step.identity.claim_signing()?;
    let identity = MemberIdentity::Claim(id);
    let minted = mint::member_until(
        &identity,
        nobody.public(),
        account.public(),
        &signing,
        step.now,
        expires_at,
    )?;
    Ok(minted.jwt.as_str().to_owned())
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
        profile: Some(profile::signed(step)?),
        nkey_pub: Some(
            UserKey::from_secret(nkey_seed.duplicate())?
                .public()
                .as_str()
                .to_owned(),
        ),
        pairwise_key: Some(pairwise.verifying_key().typed()),
        incarnation: (step.identity.incarnation != 1).then_some(step.identity.incarnation),
        ..Opening::default()
    };
    let (initiator, first) = start(step, target, opening)?;
    let connection = begun(step, asked, invitation, &initiator, nkey_seed, pairwise);
    connection::put(&mut step.draft, &connection)?;
    step.draft
        .put(handshake_key(connection.handshake_id), &initiator)?;
    post_handshake(step, &connection, first)?;
    let summary = format!("You answered an invitation of {}", connection.display_name);
    tell(
        step,
        "connection.accept",
        Some(connection.connection_id),
        FeedOutcome::Done,
        Severity::Info,
        summary,
    )?;
    Ok(Ok(view::of(step, &connection)?))
}

/// The first message carries the claim for the second, and the claim is named by the handshake: the id is drawn first.
fn start(
    step: &mut Step<'_>,
    target: Target,
    opening: Opening,
) -> Result<(Initiator, Reaction), Failure> {
    let hs_id = HandshakeId::v7(step.now, step.random());
    let claim_id = InviteId::from_bytes(hs_id.to_bytes());
    let expires_at = step.now.plus_ms(MAX_LINK_LIFE_MS);
    let token = claim_token(step, claim_id, expires_at)?;
    let messagespace_uri = SpaceUri::new(step.endpoint, step.identity.guid)?;
    let opening = Opening {
        claim: Some(Claim {
            messagespace_uri,
            token,
        }),
        ..opening
    };
    Ok(Initiator::start_as(
        hs_id,
        step.now,
        step.rng,
        &step.identity.party(),
        target,
        &opening,
    )?)
}

fn begun(
    step: &Step<'_>,
    asked: &AcceptInvitation,
    invitation: Invitation,
    initiator: &Initiator,
    nkey_seed: Secret32,
    pairwise: SigningKey,
) -> Connection {
    let kind = if invitation.kind == InvitationKind::Service {
        PeerKind::Service
    } else {
        PeerKind::Member
    };
    Connection {
        connection_id: initiator.hs_id().connection_id(),
        handshake_id: initiator.hs_id(),
        side: Side::Invited,
        kind,
        state: ConnectionState::Requested,
        verification: if asked.in_person {
            Verification::Verified
        } else {
            Verification::Unverified
        },
        display_name: invitation.inviter_hint,
        created_at: step.now,
        space: invitation.space.clone(),
        peer: None,
        symbols: None,
        nkey_seed,
        jwt: None,
        claim: Some(Claim {
            messagespace_uri: invitation.space,
            token: invitation.token,
        }),
        claim_id: Some(invitation.invite_id),
        peer_nkey: None,
        pairwise,
        offered: None,
        key_id: None,
    }
}

/// Posts a handshake message, if the step made one.
fn post_handshake(
    step: &mut Step<'_>,
    connection: &Connection,
    reaction: Reaction,
) -> Result<(), Failure> {
    let (Some(bytes), Some(claim_id)) = (reaction.send, connection.claim_id) else {
        return Ok(());
    };
    let subject = Subject::Invite(connection.peer_guid(), claim_id);
    let event_id = EventId::v7(step.now, step.random());
    let post = send::post(
        step,
        Route::Claim(connection.connection_id),
        subject,
        event_id,
        Delivery::Durable,
        bytes,
    );
    Ok(step.post(post)?)
}

/// Takes up a handshake message on an invitation's subject.
pub fn receive(step: &mut Step<'_>, id: InviteId, bytes: &[u8]) -> Result<(), Failure> {
    let Ok(message) = HandshakeMessage::read(bytes) else {
        step.dropped += 1;
        return Ok(());
    };
    match &message.step {
        Message::Hs2(_) => receive_answer(step, message.hs_id, bytes),
        Message::Hs1(_) | Message::Hs3(_) => receive_request(step, id, &message, bytes),
    }
}

/// The inviter's side: hs1 and hs3.
fn receive_request(
    step: &mut Step<'_>,
    id: InviteId,
    message: &HandshakeMessage,
    bytes: &[u8],
) -> Result<(), Failure> {
    let key = invite_key(id);
    let Some(mut responder) = step.draft.get::<Responder>(&key)? else {
        step.dropped += 1;
        return Ok(());
    };
    let before = responder.phase();
    let reaction = responder.receive(step.now, bytes);
    note_reaction(step, &reaction, message.hs_id)?;
    match (before, responder.phase()) {
        (Phase::Invited, Phase::Hs1Received) => requested(step, id, &responder)?,
        (Phase::Hs2Sent, Phase::Active) => {
            if let Some(outcome) = responder.take_outcome() {
                inviter_active(step, outcome)?;
            }
        }
        (_, Phase::Aborted | Phase::Expired) if before != responder.phase() => {
            ended(step, message.hs_id.connection_id(), responder.phase())?;
        }
        _ => {}
    }
    if reaction.changed {
        step.draft.put(key, &responder)?;
    }
    if reaction.send.is_some() {
        if let Some(connection) = connection::get(&step.draft, message.hs_id.connection_id())? {
            post_handshake(step, &connection, reaction)?;
        }
    }
    Ok(())
}

/// A message that was refused is logged; one that shows tampering is told to the owner.
fn note_reaction(
    step: &mut Step<'_>,
    reaction: &Reaction,
    hs_id: HandshakeId,
) -> Result<(), Failure> {
    let Some(refusal) = reaction.refusal else {
        return Ok(());
    };
    step.dropped += 1;
    tracing::info!(%refusal, "a handshake message had no effect");
    if reaction.alarm {
        let code = FeedOutcome::Refused(RefusalCode::Conflict);
        let id = Some(hs_id.connection_id());
        tell(
            step,
            ConnectionHandshake::ROW.name,
            id,
            code,
            Severity::Alarm,
            "Somebody may be tampering with an invitation".into(),
        )?;
    }
    Ok(())
}

/// Somebody answered an invitation: the owner has to decide.
fn requested(step: &mut Step<'_>, id: InviteId, responder: &Responder) -> Result<(), Failure> {
    let (Some(peer), Some(handshake_id)) = (responder.peer(), responder.hs_id()) else {
        return Ok(());
    };
    let Some(claim) = peer.claim.clone() else {
        return Ok(());
    };
    if connection::get(&step.draft, handshake_id.connection_id())?.is_some() {
        return Ok(());
    }
    let space = claim.messagespace_uri.clone();
    let connection = Connection {
        connection_id: handshake_id.connection_id(),
        handshake_id,
        side: Side::Inviter,
        kind: PeerKind::Member,
        state: ConnectionState::Review,
        verification: Verification::Unverified,
        display_name: name_of(peer),
        created_at: step.now,
        space,
        peer: known(peer),
        symbols: None,
        nkey_seed: Secret32::random(step.rng),
        jwt: None,
        claim: Some(claim),
        claim_id: Some(InviteId::from_bytes(handshake_id.to_bytes())),
        peer_nkey: peer.nkey_pub.clone(),
        pairwise: SigningKey::random(step.rng),
        offered: None,
        key_id: None,
    };
    if connection.peer.is_none() || peer.guid() != connection.space.guid() {
        return Ok(());
    }
    step.draft
        .put(format!("invite_of/{}", connection.connection_id), &id)?;
    connection::put(&mut step.draft, &connection)?;
    let summary = format!("{} wants to connect with you", connection.display_name);
    tell(
        step,
        ConnectionHandshake::ROW.name,
        Some(connection.connection_id),
        FeedOutcome::Pending,
        Severity::Notice,
        summary,
    )
}

fn name_of(peer: &Peer) -> String {
    let name = peer
        .profile
        .as_ref()
        .map_or("", |profile| profile.public.first_name.as_str());
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
    let found = step
        .draft
        .get::<Initiator>(&key)?
        .zip(connection::get(&step.draft, hs_id.connection_id())?);
    let Some((mut initiator, mut connection)) = found else {
        step.dropped += 1;
        return Ok(());
    };
    let before = initiator.phase();
    let reaction = initiator.receive(step.now, bytes);
    note_reaction(step, &reaction, hs_id)?;
    match (before, initiator.phase()) {
        (Phase::Hs1Sent, Phase::Hs2Received) => {
            if answered(&mut connection, &initiator).is_some() {
                connection::put(&mut step.draft, &connection)?;
                let summary = format!(
                    "{} accepted your answer; please review",
                    connection.display_name
                );
                let id = Some(connection.connection_id);
                tell(
                    step,
                    ConnectionHandshake::ROW.name,
                    id,
                    FeedOutcome::Pending,
                    Severity::Notice,
                    summary,
                )?;
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
fn answered(connection: &mut Connection, initiator: &Initiator) -> Option<()> {
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
    connection.jwt = Some(peer.jwt.clone()?);
    connection.peer_nkey = Some(peer.nkey_pub.clone()?);
    connection.offered = peer.contract.clone();
    connection.state = ConnectionState::Review;
    Some(())
}

/// A service offers the contract of its own signed profile, and that contract is sound.
fn service_fits(peer: &Peer) -> bool {
    let profile = peer
        .profile
        .as_ref()
        .and_then(|profile| profile.service.as_ref());
    let Some((profile, contract)) = profile.zip(peer.contract.as_ref()) else {
        return false;
    };
    contract.validate().is_ok()
        && contract.service_id == profile.service_id
        && *contract == profile.contract
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
    let (outcome, word) = if asked.accept {
        (FeedOutcome::Approved, "accepted")
    } else {
        (FeedOutcome::Denied, "rejected")
    };
    let summary = format!("You {word} the connection with {}", connection.display_name);
    tell(
        step,
        "connection.decide",
        Some(connection.connection_id),
        outcome,
        Severity::Info,
        summary,
    )?;
    Ok(Ok(view::of(step, &connection)?))
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

fn invitation_of(
    step: &Step<'_>,
    id: ConnectionId,
) -> Result<Option<(String, Responder)>, Failure> {
    let Some(invite_id) = step.draft.get::<InviteId>(&format!("invite_of/{id}"))? else {
        return Ok(None);
    };
    let key = invite_key(invite_id);
    Ok(step
        .draft
        .get::<Responder>(&key)?
        .map(|responder| (key, responder)))
}

/// The inviter said yes: the second message goes out.
fn accept_request(step: &mut Step<'_>, connection: &mut Connection) -> Answered<()> {
    let Some((key, mut responder)) = invitation_of(step, connection.connection_id)? else {
        return Ok(Err(RefusalCode::NotFound));
    };
    if responder.accept(step.now).is_err() {
        return Ok(Err(RefusalCode::Expired));
    }
    let Some(jwt) = credential_for(step, connection)? else {
        return Ok(Err(RefusalCode::InvalidRequest));
    };
    let content = Answer {
        profile: Some(profile::signed(step)?),
        jwt: Some(jwt),
        nkey_pub: Some(
            UserKey::from_secret(connection.nkey_seed.duplicate())?
                .public()
                .as_str()
                .to_owned(),
        ),
        pairwise_key: Some(connection.pairwise.verifying_key().typed()),
        incarnation: (step.identity.incarnation != 1).then_some(step.identity.incarnation),
        ..Answer::default()
    };
    let reaction = responder.answer(step.now, step.rng, &step.identity.party(), &content)?;
    step.draft.put(key, &responder)?;
    connection.state = ConnectionState::Accepted;
    post_handshake(step, connection, reaction)?;
    Ok(Ok(()))
}

/// The invited side said yes: the third message goes out, with the signed acceptance if there is a contract.
fn accept_answer(
    step: &mut Step<'_>,
    connection: &mut Connection,
    optional: &[String],
) -> Answered<()> {
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
    let closing = Closing {
        jwt: Some(jwt),
        acceptance,
        device_sig: None,
    };
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
fn credential_for(step: &Step<'_>, connection: &Connection) -> Result<Option<String>, Failure> {
    let Some(user) = connection
        .peer_nkey
        .as_ref()
        .and_then(|text| text.parse::<UserPublic>().ok())
    else {
        return Ok(None);
    };
    let account = step.identity.message_account()?;
    let (identity, signing) = match connection.service_id() {
        Some(service) => (
            MemberIdentity::Service(service.clone()),
            step.identity.service_signing()?,
        ),
        None => (
            MemberIdentity::Connection(connection.connection_id),
            step.identity.connection_signing()?,
        ),
    };
    let minted = mint::member(&identity, &user, account.public(), &signing, step.now)?;
    Ok(Some(minted.jwt.as_str().to_owned()))
}

/// Signs the acceptance of the offered contract, if there is one, and keeps it as the contract in force.
fn agree(
    step: &mut Step<'_>,
    connection: &Connection,
    optional: &[String],
) -> Answered<Option<Acceptance>> {
    let Some(contract) = connection.offered.clone() else {
        return Ok(if optional.is_empty() {
            Ok(None)
        } else {
            Err(RefusalCode::InvalidRequest)
        });
    };
    let Some(peer) = &connection.peer else {
        return Ok(Err(RefusalCode::NotConnected));
    };
    let is_optional = |name: &String| {
        contract
            .field(name)
            .is_some_and(|field| field.tier == Tier::Optional)
    };
    if !optional.iter().all(is_optional) {
        return Ok(Err(RefusalCode::NotInContract));
    }
    let acceptance = sign_acceptance(
        step,
        connection.connection_id,
        &contract,
        peer.fingerprint,
        optional,
    )?;
    let accepted = AcceptedContract {
        contract_hash: contract_hash(&contract)?,
        contract,
        acceptance: acceptance.clone(),
        counter_signature: None,
    };
    connection::put_contract(&mut step.draft, connection.connection_id, &accepted)?;
    Ok(Ok(Some(acceptance)))
}

fn sign_acceptance(
    step: &Step<'_>,
    connection_id: ConnectionId,
    contract: &Contract,
    service_fp: Fingerprint,
    optional: &[String],
) -> Result<Acceptance, Failure> {
    let signing = step.identity.signing_key();
    let mut optional_fields_accepted = optional.to_vec();
    optional_fields_accepted.sort();
    optional_fields_accepted.dedup();
    let acceptance = Acceptance {
        contract_hash: contract_hash(contract)?,
        contract_version: contract.contract_version,
        service_id: contract.service_id.clone(),
        service_fp,
        member_fp: step.identity.fingerprint(),
        connection_id,
        optional_fields_accepted,
        accepted_at: step.now,
        sequence: 1,
        key_id: signing.key_id(),
        signature: Base64::default(),
    };
    Ok(vjson::from_value(sign_object(
        Context::ContractAccept,
        signing,
        &acceptance,
    )?)?)
}

/// The third message came: this side has the keys and says so with the first envelope.
fn inviter_active(step: &mut Step<'_>, outcome: Outcome) -> Result<(), Failure> {
    let id = outcome.hs_id().connection_id();
    let Some(mut connection) = connection::get(&step.draft, id)? else {
        return Ok(());
    };
    connection.jwt = outcome.peer().jwt.clone();
    open_channel(step, &mut connection, outcome)?;
    connection.state = ConnectionState::Active;
    connection::put(&mut step.draft, &connection)?;
    if let Some(row) = send::row_to(connection.kind, &event::ConnectionReady::ROW.event_type()) {
        send::to_peer(
            step,
            &connection,
            row,
            Ready {
                connection_id: id,
                counter_signature: None,
            },
            None,
        )?;
    }
    connected(step, &connection)
}

fn open_channel(
    step: &mut Step<'_>,
    connection: &mut Connection,
    outcome: Outcome,
) -> Result<(), Failure> {
    connection.symbols = Some(outcome.symbols().to_vec());
    let (keys, _) = outcome.into_keys(step.identity.incarnation);
    connection.key_id = Some(keys.key_id);
    connection::index(&mut step.draft, keys.key_id, connection.connection_id)?;
    step.channels.add(
        &mut step.draft,
        ChannelName::Connection(connection.connection_id),
        Channel::new(keys),
    )?;
    Ok(())
}

fn connected(step: &mut Step<'_>, connection: &Connection) -> Result<(), Failure> {
    let event_type = event::ConnectionReady::ROW.event_type();
    step.audit(
        &actor(connection),
        &event_type,
        AuditOutcome::Success,
        json!({"connection_id": connection.connection_id}),
    )?;
    let summary = format!("You are connected with {}", connection.display_name);
    tell(
        step,
        event_type.as_str(),
        Some(connection.connection_id),
        FeedOutcome::Done,
        Severity::Notice,
        summary,
    )
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
    if connection.kind == PeerKind::Service {
        if let Err(code) = countersigned(step, connection, ready.counter_signature)? {
            return Ok(Err(code));
        }
    }
    let Some(mut connection) = connection::get(&step.draft, connection.connection_id)? else {
        return Ok(Err(RefusalCode::NotConnected));
    };
    connection.state = ConnectionState::Active;
    connection.claim = None;
    connection::put(&mut step.draft, &connection)?;
    step.draft.remove(&handshake_key(connection.handshake_id));
    connected(step, &connection)?;
    Ok(Ok(()))
}

/// A service's counter-signature is over the very acceptance that this vault signed.
fn countersigned(
    step: &mut Step<'_>,
    connection: &Connection,
    counter: Option<CounterSignature>,
) -> Answered<()> {
    let accepted = connection::contract(&step.draft, connection.connection_id)?;
    let Some((mut accepted, peer)) = accepted.zip(connection.peer.as_ref()) else {
        return Ok(Err(RefusalCode::NotInContract));
    };
    let Some(counter) = counter else {
        return Ok(Err(RefusalCode::NotInContract));
    };
    let Ok(key) = VerifyingKey::from_typed(&peer.signing_key) else {
        return Ok(Err(RefusalCode::NotAllowed));
    };
    let hash = vettid_core::channel::body_hash(&accepted.acceptance)?;
    let value = serde_json::to_value(&counter).map_err(vjson::JsonError::Shape)?;
    let genuine = open_signed::<CounterSignature>(Context::ContractCounter, &key, value).is_ok();
    if !genuine
        || counter.acceptance_hash != hash
        || counter.connection_id != connection.connection_id
    {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    accepted.counter_signature = Some(counter);
    connection::put_contract(&mut step.draft, connection.connection_id, &accepted)?;
    Ok(Ok(()))
}

/// A handshake ended without keys.
fn ended(step: &mut Step<'_>, id: ConnectionId, phase: Phase) -> Result<(), Failure> {
    let Some(mut connection) = connection::get(&step.draft, id)? else {
        return Ok(());
    };
    let (state, code) = match phase {
        Phase::Expired => (ConnectionState::Expired, RefusalCode::Expired),
        _ => (ConnectionState::Aborted, RefusalCode::NotAllowed),
    };
    connection.state = state;
    connection.claim = None;
    connection::put(&mut step.draft, &connection)?;
    let summary = format!(
        "The connection with {} was not made ({code})",
        connection.display_name
    );
    tell(
        step,
        ConnectionHandshake::ROW.name,
        Some(id),
        FeedOutcome::Refused(code),
        Severity::Warning,
        summary,
    )
}

/// Ends handshakes and invitations that are past their time.
pub fn expire(step: &mut Step<'_>) -> Result<(), Failure> {
    for key in step.draft.keys("handshake/", usize::MAX) {
        let Some(mut initiator) = step.draft.get::<Initiator>(&key)? else {
            continue;
        };
        if initiator.expire(step.now) {
            step.draft.remove(&key);
            ended(step, initiator.hs_id().connection_id(), Phase::Expired)?;
        }
    }
    for key in step.draft.keys("invite/", usize::MAX) {
        let Some(mut responder) = step.draft.get::<Responder>(&key)? else {
            continue;
        };
        let id = responder.hs_id().map(HandshakeId::connection_id);
        if responder.expire(step.now) {
            step.draft.remove(&key);
            if let Some(id) = id {
                ended(step, id, Phase::Expired)?;
            }
        }
    }
    Ok(())
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
    step.tell(Note {
        event_type,
        connection_id,
        request_id: None,
        severity,
        outcome,
        summary,
    })?;
    Ok(())
}

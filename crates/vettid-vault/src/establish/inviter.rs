//! The inviter's side: the invitation, the request of whoever answers it, and the owner's yes.

use super::{
    Answered, ClaimToken, alarm_key, arrived, claim_token, connected, credential_for, ended, invite_key, known,
    name_of, note_reaction, open_channel, poses_as_another, post_handshake, tell, usable_jwt,
};
use crate::connection::{self, Connection, CutOff, Side};
use crate::failure::Failure;
use crate::profile::sync;
use crate::step::Step;
use crate::{card, profile, revocation, send};
use serde::{Deserialize, Serialize};
use vettid_core::handshake::{
    Answer, InvitationTerms, MAX_LINK_LIFE_MS, MAX_SCREEN_LIFE_MS, Outcome, Phase, Responder, invite as make_invitation,
};
use vettid_crypto::identity::SigningKey;
use vettid_crypto::nats::key::UserKey;
use vettid_crypto::secret::Secret32;
use vettid_wire::connection::{
    ConnectionState, InvitationList, InvitationRef, Invite, Invited, MAX_LISTED_INVITATIONS, OpenInvitation, PeerKind,
    Ready, Verification,
};
use vettid_wire::event::{self, ConnectionHandshake, ConnectionUninvite, EventRow, Nothing};
use vettid_wire::feed::{Outcome as FeedOutcome, Severity};
use vettid_wire::handshake::{InvitationKind, SpaceUri};
use vettid_wire::id::{ConnectionId, HandshakeId, InviteId};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

/// Owner's command: make an invitation.
pub fn invite(step: &mut Step<'_>, asked: &Invite) -> Answered<Invited> {
    let life_ms = asked.life_seconds.map_or(MAX_SCREEN_LIFE_MS, |seconds| i64::from(seconds) * 1000);
    if !(1..=MAX_LINK_LIFE_MS).contains(&life_ms) {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    if asked.label.as_deref().is_some_and(|label| !card::is_label(label)) {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    let expires_at = step.now.plus_ms(life_ms);
    let hint: String = profile::view(&step.draft)?.public.map_or_else(String::new, |public| public.first_name);
    let terms = InvitationTerms {
        space: SpaceUri::new(step.endpoint, step.identity.guid)?,
        expires_at,
        inviter_hint: hint.chars().take(30).collect(),
        enrolment: None,
    };
    let made = make_invitation(step.now, step.rng, &step.identity.party(), InvitationKind::Connect, terms)?;
    let mut invitation = made.invitation;
    let invite_id = invitation.invite_id;
    // The claim also carries the last message, which may come after a long review; a first one that is late is refused.
    let ClaimToken { token, user_nkey } = claim_token(step, invite_id, step.now.plus_ms(MAX_LINK_LIFE_MS))?;
    invitation.token = token;
    step.draft.put(open_key(invite_id), &Open { made_at: step.now, expires_at, user_nkey })?;
    step.draft.put(invite_key(invite_id), &made.responder)?;
    if let Some(label) = &asked.label {
        step.draft.put(label_key(invite_id), label)?;
    }
    let link = invitation.to_link("https://vettid.dev/connect")?;
    tell(step, "connection.invite", None, FeedOutcome::Done, Severity::Info, "You made an invitation".into())?;
    Ok(Ok(Invited { invite_id, link, expires_at }))
}

/// What is kept of an invitation as long as nobody has answered it.
#[derive(Serialize, Deserialize)]
struct Open {
    made_at: Timestamp,
    expires_at: Timestamp,
    /// The user that the broker takes its holder for.
    user_nkey: String,
}

/// Owner's command: which invitations can still be answered.
pub fn invitations(step: &Step<'_>) -> Answered<InvitationList> {
    let mut invitations = Vec::new();
    for key in step.draft.keys(OPEN, usize::MAX) {
        let id = key.strip_prefix(OPEN).and_then(|id| id.parse::<InviteId>().ok());
        let Some((invite_id, open)) = id.zip(step.draft.get::<Open>(&key)?) else { continue };
        if step.now <= open.expires_at {
            let label = step.draft.get(&label_key(invite_id))?;
            let Open { made_at, expires_at, .. } = open;
            invitations.push(OpenInvitation { invite_id, label, made_at, expires_at });
        }
    }
    invitations.sort_by_key(|invitation| (invitation.made_at, invitation.expires_at));
    invitations.truncate(MAX_LISTED_INVITATIONS);
    Ok(Ok(InvitationList { invitations }))
}

/// Owner's command: take an invitation back. Its link leads nowhere, and services cut its holder off from the broker.
pub fn uninvite(step: &mut Step<'_>, asked: &InvitationRef) -> Answered<Nothing> {
    let id = asked.invite_id;
    let Some(open) = step.draft.get::<Open>(&open_key(id))? else {
        return Ok(Err(RefusalCode::NotFound));
    };
    for key in [invite_key(id), open_key(id), label_key(id), alarm_key(id)] {
        step.draft.remove(&key);
    }
    let account_nkey = step.identity.message_account()?.public().as_str().to_owned();
    let cut_off = CutOff { account_nkey, user_nkey: open.user_nkey, revoked_at: step.now };
    revocation::ask_to_cut_off(&mut step.draft, &cut_off)?;
    tell(
        step,
        ConnectionUninvite::ROW.name,
        None,
        FeedOutcome::Done,
        Severity::Info,
        "You took an invitation back".into(),
    )?;
    Ok(Ok(Nothing {}))
}

/// The inviter's side: hs1 and hs3.
pub(super) fn receive_request(step: &mut Step<'_>, id: InviteId, bytes: &[u8]) -> Result<(), Failure> {
    let key = invite_key(id);
    let Some(mut responder) = step.draft.get::<Responder>(&key)? else {
        step.dropped += 1;
        return Ok(());
    };
    let (before, begun) = (responder.phase(), responder.hs_id().map(HandshakeId::connection_id));
    let reaction = responder.receive(step.now, bytes);
    // Which connection this is about, the invitation says, never the message.
    let own = begun.or_else(|| responder.hs_id().map(HandshakeId::connection_id));
    note_reaction(step, &reaction, id, own)?;
    match (before, responder.phase()) {
        (Phase::Invited, Phase::Hs1Received) if !requested(step, id, &responder)? => {
            responder.reject()?;
        }
        (Phase::Hs2Sent, Phase::Active) => {
            if let Some(outcome) = responder.take_outcome() {
                inviter_active(step, outcome)?;
            }
        }
        (_, Phase::Aborted | Phase::Expired) if before != responder.phase() => {
            if let Some(begun) = begun {
                ended(step, begun, responder.phase())?;
            }
        }
        _ => {}
    }
    if reaction.changed {
        step.draft.put(key, &responder)?;
    }
    if before == Phase::Invited && responder.phase() != before {
        step.draft.remove(&open_key(id));
    }
    if let Some(begun) = begun.filter(|_| reaction.send.is_some())
        && let Some(connection) = connection::get(&step.draft, begun)?.filter(Connection::is_live)
    {
        post_handshake(step, &connection, reaction)?;
    }
    Ok(())
}

/// Somebody answered an invitation: the owner has to decide. `false` if it is nobody to decide about.
fn requested(step: &mut Step<'_>, id: InviteId, responder: &Responder) -> Result<bool, Failure> {
    let (Some(peer), Some(handshake_id)) = (responder.peer(), responder.hs_id()) else {
        return Ok(false);
    };
    let Some(claim) = peer.claim.clone() else {
        return Ok(false);
    };
    // The initiator chose the id: it must not be one that stands for something else already.
    if connection::get(&step.draft, handshake_id.connection_id())?.is_some() {
        return Ok(false);
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
    let is_member = peer.profile.as_ref().is_some_and(|profile| profile.service.is_none());
    let is_other = peer.guid() != step.identity.guid && peer.guid() == connection.space.guid();
    if !is_member || !is_other || poses_as_another(step, &connection)? {
        return Ok(false);
    }
    step.draft.put(invite_of_key(connection.connection_id), &id)?;
    connection::put(&mut step.draft, &connection)?;
    if let Some(label) = step.draft.get::<String>(&label_key(id))? {
        card::put_label(&mut step.draft, connection.connection_id, label)?;
        step.draft.remove(&label_key(id));
    }
    let summary = format!("{} wants to connect with you", connection.display_name);
    tell(
        step,
        ConnectionHandshake::ROW.name,
        Some(connection.connection_id),
        FeedOutcome::Pending,
        Severity::Notice,
        summary,
    )?;
    Ok(true)
}

/// The inviter said yes: the second message goes out.
pub(super) fn accept_request(step: &mut Step<'_>, connection: &mut Connection) -> Answered<()> {
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
        profile: Some(sync::for_handshake(step, connection.connection_id)?),
        jwt: Some(jwt),
        nkey_pub: Some(UserKey::from_secret(connection.nkey_seed.duplicate())?.public().as_str().to_owned()),
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

/// The third message came: this side has the keys and says so with the first envelope. A connection that its owner ended
/// meanwhile stays ended.
fn inviter_active(step: &mut Step<'_>, outcome: Outcome) -> Result<(), Failure> {
    let id = outcome.hs_id().connection_id();
    let accepted = |connection: &Connection| connection.state == ConnectionState::Accepted;
    let Some(mut connection) = connection::get(&step.draft, id)?.filter(accepted) else {
        return Ok(());
    };
    let Some(jwt) = usable_jwt(step.now, &connection, outcome.peer()) else {
        return ended(step, id, Phase::Aborted);
    };
    connection.jwt = Some(jwt);
    open_channel(step, &mut connection, outcome)?;
    connection.state = ConnectionState::Active;
    arrived(step, &mut connection)?;
    connection::put(&mut step.draft, &connection)?;
    if let Some(row) = send::row_to(connection.kind, &event::ConnectionReady::ROW.event_type()) {
        send::to_peer(step, &connection, row, Ready { connection_id: id, counter_signature: None }, None)?;
    }
    connected(step, &connection)
}

/// Ends invitations and their handshakes, and forgets those that are over when nobody can repeat their messages any more.
pub(super) fn expire(step: &mut Step<'_>) -> Result<(), Failure> {
    for key in step.draft.keys("invite/", usize::MAX) {
        let Some(mut responder) = step.draft.get::<Responder>(&key)? else {
            continue;
        };
        let id = responder.hs_id().map(HandshakeId::connection_id);
        if responder.expire(step.now)
            && let Some(id) = id
        {
            ended(step, id, Phase::Expired)?;
        }
        if step.now > responder.expires_at() {
            step.draft.remove(&key);
            step.draft.remove(&key.replacen("invite/", "alarm/", 1));
            step.draft.remove(&key.replacen("invite/", "invite_label/", 1));
            step.draft.remove(&key.replacen("invite/", OPEN, 1));
            if let Some(id) = id {
                step.draft.remove(&invite_of_key(id));
            }
        }
    }
    Ok(())
}

/// The owner ended the connection: its handshake must not make it again.
pub(crate) fn abandon(step: &mut Step<'_>, id: ConnectionId) -> Result<(), Failure> {
    if let Some((key, _)) = invitation_of(step, id)? {
        step.draft.remove(&key);
    }
    step.draft.remove(&invite_of_key(id));
    Ok(())
}

/// Under this prefix stand the invitations that nobody has answered.
const OPEN: &str = "open_invite/";

fn open_key(id: InviteId) -> String {
    format!("{OPEN}{id}")
}

fn label_key(id: InviteId) -> String {
    format!("invite_label/{id}")
}

fn invite_of_key(id: ConnectionId) -> String {
    format!("invite_of/{id}")
}

pub(super) fn invitation_of(step: &Step<'_>, id: ConnectionId) -> Result<Option<(String, Responder)>, Failure> {
    let Some(invite_id) = step.draft.get::<InviteId>(&invite_of_key(id))? else {
        return Ok(None);
    };
    let key = invite_key(invite_id);
    Ok(step.draft.get::<Responder>(&key)?.map(|responder| (key, responder)))
}

//! New keys with a connected member after one of the two vaults came back from an earlier state (spec §3 R15,
//! docs/decisions/0171). Whatever was sealed before them and was not taken is not taken any more; each side says it anew. Must
//! never take an incarnation that the app of the peer's owner did not sign, nor one a second time.

mod late;
mod restored;

pub use restored::{answered, ask_again, begin};

use crate::channels::ChannelName;
use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::feed::Note;
use crate::outbox::{self, Route};
use crate::peer::{Opened, actor};
use crate::profile::sync;
use crate::projection::{Draft, UnreadableState};
use crate::step::Step;
use crate::{kept, renewal, rotation, send, upkeep};
use serde::{Deserialize, Serialize};
use serde_json::json;
use vettid_core::grants::mint::way_back_name;
use vettid_core::resync::{self, Answered, AskRefused, Asker, Resyncs, Sides};
use vettid_crypto::identity::VerifyingKey;
use vettid_crypto::rekey::begins_first;
use vettid_crypto::resync::Lifeline;
use vettid_crypto::secret::Secret32;
use vettid_crypto::stored;
use vettid_wire::audit::Outcome as AuditOutcome;
use vettid_wire::connection::{ConnectionState, PeerKind};
use vettid_wire::envelope::Envelope;
use vettid_wire::event::{ConnectionResync, EventRow};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::id::{ConnectionId, EventId, SessionKeyId};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::restore::{Resync, ResyncAsk};
use vettid_wire::subject::Subject;
use vettid_wire::time::Timestamp;

/// What overtakes the new keys comes again after this time, in milliseconds.
const AGAIN_MS: i64 = 5_000;
/// Keys of before are wiped after this time, in milliseconds (30 days, as an epoch).
const FORMER_LIFE_MS: i64 = 30 * 24 * 3600 * 1000;
/// A restore that is refused is told at most this often, in milliseconds (one day).
const TOLD_EVERY_MS: i64 = 24 * 3600 * 1000;

/// The secret of the handshake that both sides keep for this.
#[derive(Debug, Serialize, Deserialize)]
struct StoredLifeline(#[serde(with = "stored")] Lifeline);

/// The keys before.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Former {
    key_ids: Vec<SessionKeyId>,
    /// Since when they are.
    since: Option<Timestamp>,
    /// It was the peer that came back: what it sealed with them and this side has not taken is given back.
    gives_back: bool,
}

fn lifeline_key(id: ConnectionId) -> String {
    format!("lifeline/{id}")
}

const FORMER: &str = "former/";

fn former_key(id: ConnectionId) -> String {
    format!("{FORMER}{id}")
}

fn peer_key(id: ConnectionId) -> String {
    format!("resync/{id}")
}

fn told_key(id: ConnectionId) -> String {
    format!("resync_told/{id}")
}

/// Keeps what a handshake gave for this.
pub fn keep(draft: &mut Draft<'_>, id: ConnectionId, resume: &Secret32) -> Result<(), UnreadableState> {
    let lifeline = Lifeline::new(resume);
    connection::index(draft, lifeline.key_id(), id)?;
    draft.put(lifeline_key(id), &StoredLifeline(lifeline))
}

fn lifeline(draft: &Draft<'_>, id: ConnectionId) -> Result<Option<Lifeline>, UnreadableState> {
    Ok(draft.get::<StoredLifeline>(&lifeline_key(id))?.map(|stored| stored.0))
}

/// Wipes keys of before that nothing comes under any more.
pub fn wipe_former(step: &mut Step<'_>) -> Result<(), UnreadableState> {
    for key in step.draft.keys(FORMER, usize::MAX) {
        let Some(former) = step.draft.get::<Former>(&key)? else { continue };
        let is_old = former.since.is_some_and(|since| step.now.since_ms(since) >= FORMER_LIFE_MS);
        let Some(id) = key.strip_prefix(FORMER).and_then(|id| id.parse().ok()).filter(|_| is_old) else { continue };
        // One that is still being asked is known by them.
        if connection::get(&step.draft, id)?.is_some_and(|connection| connection.is_active()) {
            step.channels.wipe(&mut step.draft, ChannelName::Former(id));
        }
    }
    Ok(())
}

/// Whether the peer of a connection came back from an earlier state once.
#[must_use]
pub fn has_come_back(draft: &Draft<'_>, id: ConnectionId) -> bool {
    draft.has(&peer_key(id))
}

/// Forgets everything of a connection that ended.
pub fn forget(step: &mut Step<'_>, id: ConnectionId) -> Result<(), UnreadableState> {
    if let Some(lifeline) = lifeline(&step.draft, id)? {
        connection::forget_key(&mut step.draft, lifeline.key_id());
    }
    let former: Former = step.draft.get(&former_key(id))?.unwrap_or_default();
    former.key_ids.iter().for_each(|key_id| connection::forget_key(&mut step.draft, *key_id));
    step.channels.wipe(&mut step.draft, ChannelName::Former(id));
    for key in [lifeline_key(id), former_key(id), peer_key(id), told_key(id), restored::key(id)] {
        step.draft.remove(&key);
    }
    kept::forget(&mut step.draft, id);
    Ok(())
}

/// What is not sealed with the running keys of a connection; `None`: it is to be handled as ever.
pub fn out_of_line(step: &mut Step<'_>, subject: &Subject, envelope: &Envelope) -> Result<Option<Opened>, Failure> {
    if envelope.event_type == ConnectionResync::ROW.event_type() {
        return receive(step, subject, envelope).map(Some);
    }
    let (Subject::ForOwner(_, id, named), Some(key_id)) = (subject, envelope.encryption.connection_key_id) else {
        return Ok(None);
    };
    let Some(connection) = connection::shared(&step.draft, *id)?.filter(|found| found.kind == PeerKind::Member) else {
        return Ok(None);
    };
    let is_known = connection::by_key(&step.draft, key_id)? == Some(*id);
    match connection.state {
        // Of the keys before: the peer says it anew.
        ConnectionState::Reconciling if is_known => Ok(Some(Opened::Yes)),
        // Of the new keys, whose other half is still on its way.
        ConnectionState::Reconciling => Err(Failure::Wait(AGAIN_MS)),
        ConnectionState::Active if is_known && connection.key_id != Some(key_id) && *named == envelope.event_type => {
            late::receive(step, &connection, subject, envelope).map(Some)
        }
        _ => Ok(None),
    }
}

/// Both sides, as this vault knows them.
fn sides(step: &mut Step<'_>, connection: &Connection, own_incarnation: u64) -> Result<Option<Sides>, Failure> {
    let id = connection.connection_id;
    let running = if connection.state == ConnectionState::Reconciling {
        ChannelName::Former(id)
    } else {
        ChannelName::Connection(id)
    };
    let Some(channel) = step.channels.get(&step.draft, running)? else { return Ok(None) };
    let (own, peer) = (step.identity.fingerprint(), *channel.peer());
    Ok(Some(Sides { own, peer, own_incarnation, peer_incarnation: channel.peer_incarnation() }))
}

/// Takes up one half of new keys.
fn receive(step: &mut Step<'_>, subject: &Subject, envelope: &Envelope) -> Result<Opened, Failure> {
    let Some(connection) = asked_on(step, subject, envelope)? else { return Ok(Opened::No) };
    let Some(lifeline) = lifeline(&step.draft, connection.connection_id)? else { return Ok(Opened::No) };
    let Some(sides) = sides(step, &connection, step.identity.incarnation)? else { return Ok(Opened::No) };
    let opened = resync::open((&lifeline, &sides, step.identity.session_kem()), subject, envelope);
    let Ok((message, peer_incarnation)) = opened else { return Ok(Opened::No) };
    match (message, connection.state) {
        // Both sides were restored at once: the lower fingerprint's ask stands.
        (Resync::Ask(_), ConnectionState::Reconciling) if begins_first(&sides.own, &sides.peer) => Ok(Opened::Yes),
        (Resync::Ask(ask), ConnectionState::Active | ConnectionState::Reconciling) => {
            asked(step, connection, (&lifeline, sides), &ask)
        }
        (Resync::Answer(answer), ConnectionState::Reconciling) => {
            // The state that this vault came back from may not know of a restore of the peer.
            let sides = Sides { peer_incarnation, ..sides };
            answered(step, connection, (&lifeline, sides), &answer)?;
            Ok(Opened::Yes)
        }
        // Late: the keys are there.
        _ => Ok(Opened::Yes),
    }
}

/// The connection of a half: on its own subject, or on the one that is left when a credential ran out.
fn asked_on(step: &Step<'_>, subject: &Subject, envelope: &Envelope) -> Result<Option<Connection>, Failure> {
    let Some(key_id) = envelope.encryption.connection_key_id else { return Ok(None) };
    let Some(id) = connection::by_key(&step.draft, key_id)? else { return Ok(None) };
    let is_here = match subject {
        Subject::ForOwner(_, named, event_type) => *named == id && *event_type == envelope.event_type,
        Subject::Invite(_, named) => *named == way_back_name(id),
        _ => false,
    };
    if !is_here || connection::is_buried(&step.draft, id) {
        return Ok(None);
    }
    Ok(connection::get(&step.draft, id)?.filter(|found| found.kind == PeerKind::Member))
}

/// The peer came back from an earlier state.
fn asked(
    step: &mut Step<'_>,
    connection: Connection,
    (lifeline, sides): (&Lifeline, Sides),
    ask: &ResyncAsk,
) -> Result<Opened, Failure> {
    let id = connection.connection_id;
    let Some(peer) = &connection.peer else { return Ok(Opened::No) };
    let Ok(signing) = VerifyingKey::from_typed(&peer.signing_key) else { return Ok(Opened::No) };
    let restore = peer.profile.restore_key.as_ref().and_then(|key| VerifyingKey::from_typed(key).ok());
    let asker = Asker { guid: connection.peer_guid(), signing: &signing, restore: restore.as_ref() };
    let mut known: Resyncs = step.draft.get(&peer_key(id))?.unwrap_or_default();
    let signer = step.identity.signing_key();
    let taken = known.take(step.now, step.rng, (lifeline, sides, signer), &asker, ask);
    let (answer, peer_incarnation) = match taken {
        Err(refused) => return refuse(step, &connection, &refused),
        Ok(Answered::Again(answer)) => (answer, sides.peer_incarnation),
        Ok(Answered::New(channel, answer)) => {
            step.draft.put(peer_key(id), &known)?;
            replace(step, connection, *channel)?;
            (answer, ask.incarnation.incarnation)
        }
    };
    let Some(connection) = connection::get(&step.draft, id)? else { return Ok(Opened::No) };
    let sides = Sides { peer_incarnation, ..sides };
    post(step, &connection, (lifeline, &sides), &Resync::Answer(answer))?;
    Ok(Opened::Yes)
}

/// The new keys are those of the connection from now on.
fn replace(step: &mut Step<'_>, connection: Connection, channel: vettid_core::channel::Channel) -> Result<(), Failure> {
    let (id, restored_as) = (connection.connection_id, channel.peer_incarnation());
    let is_restored = connection.state == ConnectionState::Reconciling;
    let connection = set_aside(step, connection, true)?;
    take_up(step, connection, channel)?;
    if is_restored {
        restored::ask_for_lost(step, id)?;
    }
    let found = connection::get(&step.draft, id)?;
    let Some(connection) = found else { return Ok(()) };
    let detail = json!({"connection_id": id, "incarnation": restored_as});
    step.audit(&actor(&connection), &ConnectionResync::ROW.event_type(), AuditOutcome::Success, detail)?;
    let name = &connection.display_name;
    let summary = format!("{name} restored their vault from an earlier state; what it lost is sent again");
    tell(step, id, Outcome::Done, Severity::Notice, summary)
}

/// Puts the running keys beside, to open what is late, and takes everything back that was sealed with them.
fn set_aside(step: &mut Step<'_>, mut connection: Connection, gives_back: bool) -> Result<Connection, Failure> {
    let id = connection.connection_id;
    let mut former: Former = step.draft.get(&former_key(id))?.unwrap_or_default();
    former.key_ids.extend(connection.key_id.take());
    (former.gives_back, former.since) = (gives_back, Some(step.now));
    step.draft.put(former_key(id), &former)?;
    step.channels.rename(&mut step.draft, ChannelName::Connection(id), ChannelName::Former(id))?;
    outbox::withdraw(&mut step.draft, id, 0)?;
    step.posts.retain(|post| !outbox::leaves_on(post, id));
    rotation::forget(&mut step.draft, id);
    connection::put(&mut step.draft, &connection)?;
    Ok(connection)
}

fn take_up(
    step: &mut Step<'_>,
    mut connection: Connection,
    channel: vettid_core::channel::Channel,
) -> Result<(), Failure> {
    let id = connection.connection_id;
    connection.key_id = Some(channel.key_id());
    connection.state = ConnectionState::Active;
    connection::index(&mut step.draft, channel.key_id(), id)?;
    step.channels.add(&mut step.draft, ChannelName::Connection(id), channel)?;
    connection::put(&mut step.draft, &connection)?;
    // Whatever either side was told of profile and credential may be lost.
    sync::forget(&mut step.draft, id);
    renewal::forget(&mut step.draft, id);
    kept::send_again(&mut step.draft, id)?;
    upkeep::look_soon(&mut step.draft);
    Ok(())
}

/// Sends a half, by the way that is open.
fn post(
    step: &mut Step<'_>,
    connection: &Connection,
    (lifeline, sides): (&Lifeline, &Sides),
    message: &Resync,
) -> Result<(), Failure> {
    let id = connection.connection_id;
    let kem = connection.peer.as_ref().and_then(|peer| peer.profile.key_record.kem_keys.first());
    let Some(recipient) = kem.map(|kem| kem.key.clone()) else { return Ok(()) };
    let event_id = EventId::v7(step.now, step.random());
    let is_let_in = renewal::own_expires_at(step.now, connection).is_some();
    let has_way_back = connection.claim.is_some() && connection.claim_id == Some(way_back_name(id));
    let (route, subject) = if !is_let_in && has_way_back {
        (Route::Claim(id), Subject::Invite(connection.peer_guid(), way_back_name(id)))
    } else {
        let event_type = ConnectionResync::ROW.event_type();
        (Route::Peer(id), Subject::ForOwner(connection.peer_guid(), id, event_type))
    };
    let lines = (lifeline, sides, &recipient);
    let sealed = resync::seal((step.now, step.rng), lines, (&subject, event_id), message)?;
    let post = send::post(step, route, subject, event_id, ConnectionResync::ROW.delivery, sealed);
    Ok(step.post(post)?)
}

/// Tells the owner, seldom, that somebody poses as the restored vault of a peer.
fn refuse(step: &mut Step<'_>, connection: &Connection, refused: &AskRefused) -> Result<Opened, Failure> {
    tracing::warn!(%refused, "a restore of a peer is not taken");
    let key = told_key(connection.connection_id);
    let last: Option<Timestamp> = step.draft.get(&key)?;
    if last.is_some_and(|last| step.now.since_ms(last) < TOLD_EVERY_MS) {
        return Ok(Opened::No);
    }
    step.draft.put(key, &step.now)?;
    let summary = format!("A restore of the vault of {} was refused: {refused}", connection.display_name);
    let outcome = Outcome::Refused(RefusalCode::NotAllowed);
    tell(step, connection.connection_id, outcome, Severity::Warning, summary)?;
    let detail = json!({"connection_id": connection.connection_id});
    step.audit(&actor(connection), &ConnectionResync::ROW.event_type(), AuditOutcome::Refused, detail)?;
    Ok(Opened::No)
}

fn tell(
    step: &mut Step<'_>,
    id: ConnectionId,
    outcome: Outcome,
    severity: Severity,
    summary: String,
) -> Result<(), Failure> {
    let event_type = ConnectionResync::ROW.event_type();
    step.tell(Note { event_type, connection_id: Some(id), request_id: None, severity, outcome, summary })?;
    Ok(())
}

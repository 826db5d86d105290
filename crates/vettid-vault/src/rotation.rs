//! Epoch rotation of connections, on the vault's side: by time, by the number of messages, or at the owner's command. The step
//! itself is the core's; here it is signed, committed and sent. No key of a rotation leaves the vault.

use crate::channels::ChannelName;
use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::feed::Note;
use crate::outbox::{self, Route};
use crate::projection::{Draft, UnreadableState};
use crate::send;
use crate::step::Step;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use vettid_core::channel::{Progress, RotationRefused};
use vettid_crypto::identity::VerifyingKey;
use vettid_wire::connection::{RotateKeys, RotationReport, Straggler};
use vettid_wire::envelope::Envelope;
use vettid_wire::event::{ConnectionRekey, EventRow, RotateKeys as RotateKeysRow};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::handshake::RekeyMessage;
use vettid_wire::id::ConnectionId;
use vettid_wire::json as vjson;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

/// Most rotations that one commit begins.
const AT_ONCE: usize = 64;
/// An offer without an answer is sent again after this time, in milliseconds (seven days).
const AGAIN_AFTER_MS: i64 = 7 * 24 * 3600 * 1000;

fn offered_key(id: ConnectionId) -> String {
    format!("rekey_offered/{id}")
}

/// A rotation of this side that waits for its answer.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Offer {
    /// When it was begun.
    pub since: Timestamp,
    sent_at: Timestamp,
}

/// The rotation of this side that waits for its answer.
pub fn offered(draft: &Draft<'_>, id: ConnectionId) -> Result<Option<Offer>, UnreadableState> {
    draft.get(&offered_key(id))
}

/// Forgets what stands beside the channel.
pub fn forget(draft: &mut Draft<'_>, id: ConnectionId) {
    draft.remove(&offered_key(id));
}

/// Begins a rotation, or sends the offer again that waits for its answer. `false` if none can begin now.
fn begin(step: &mut Step<'_>, connection: &Connection) -> Result<bool, Failure> {
    let id = connection.connection_id;
    let Some(channel) = step.channels.get(&step.draft, ChannelName::Connection(id))? else {
        return Ok(false);
    };
    let offer = match channel.offer_rotation(step.rng, step.identity.signing_key()) {
        Ok(offer) => offer,
        Err(RotationRefused::NotDue | RotationRefused::TooManyOpen) => return Ok(false),
        Err(RotationRefused::Rekey(error)) => {
            tracing::error!(%error, "a rotation cannot be begun");
            return Ok(false);
        }
    };
    let since = offered(&step.draft, id)?.map_or(step.now, |before| before.since);
    step.draft.put(offered_key(id), &Offer { since, sent_at: step.now })?;
    tell(step, connection, &offer)?;
    Ok(true)
}

fn tell(step: &mut Step<'_>, connection: &Connection, message: &RekeyMessage) -> Result<(), Failure> {
    if let Some(row) = send::row_to(connection.kind, &ConnectionRekey::ROW.event_type()) {
        send::to_peer(step, connection, row, message, None)?;
    }
    Ok(())
}

/// Takes a message of the peer's.
pub fn receive(step: &mut Step<'_>, connection: &Connection, body: Value) -> Result<Result<(), RefusalCode>, Failure> {
    let Ok(message) = vjson::from_value::<RekeyMessage>(body) else {
        return Ok(Err(RefusalCode::InvalidRequest));
    };
    let key = connection.peer.as_ref().and_then(|peer| VerifyingKey::from_typed(&peer.signing_key).ok());
    let Some(key) = key else { return Ok(Err(RefusalCode::NotAllowed)) };
    let name = ChannelName::Connection(connection.connection_id);
    let Some(channel) = step.channels.get(&step.draft, name)? else {
        return Ok(Err(RefusalCode::NotConnected));
    };
    let before = channel.epoch();
    let taken = channel.take_rekey(step.now, step.rng, &message, step.identity.signing_key(), &key);
    let (epoch, progress) = (channel.epoch(), channel.progress());
    let answer = match taken {
        Ok(answer) => answer,
        Err(RotationRefused::NotDue | RotationRefused::TooManyOpen) => return Ok(Err(RefusalCode::Conflict)),
        Err(RotationRefused::Rekey(_)) => return Ok(Err(RefusalCode::InvalidRequest)),
    };
    if epoch != before || progress == Progress::Answered {
        forget(&mut step.draft, connection.connection_id);
    }
    if let Some(answer) = answer {
        tell(step, connection, &answer)?;
    }
    Ok(Ok(()))
}

/// After an event of the peer's: the end of an epoch is told, and the next one begun if it is time.
pub fn keep_up(step: &mut Step<'_>, connection: &Connection) -> Result<(), Failure> {
    let name = ChannelName::Connection(connection.connection_id);
    let Some(channel) = step.channels.get(&step.draft, name)? else {
        return Ok(());
    };
    channel.note_received(step.now);
    channel.pass_time(step.now);
    let (owes, epoch, due) = (channel.owes_switch(), channel.epoch(), channel.rotation_is_due(step.now));
    if owes {
        let open = open_in(step, connection.connection_id, epoch.saturating_sub(1))?;
        let switch = step.channels.get(&step.draft, name)?.and_then(|channel| channel.switch(open));
        if let Some(switch) = switch {
            tell(step, connection, &switch)?;
        }
    }
    if due && connection::get(&step.draft, connection.connection_id)?.is_some_and(|now| now.is_active()) {
        begin(step, connection)?;
    }
    Ok(())
}

/// The sequences of an epoch that still lie in the outbox.
fn open_in(step: &Step<'_>, id: ConnectionId, epoch: u64) -> Result<Vec<u64>, Failure> {
    let waiting = outbox::waiting(&step.draft)?;
    let of_peer = waiting.iter().filter(|post| post.route == Route::Peer(id));
    let sealed = of_peer.filter_map(|post| Envelope::read(post.bytes.as_bytes()).ok());
    Ok(sealed.filter(|sealed| sealed.encryption.epoch == epoch).map(|sealed| sealed.sequence).collect())
}

/// What time asks of one connection. Gives when to look again.
pub fn pass_time(step: &mut Step<'_>, connection: &Connection) -> Result<Option<Timestamp>, Failure> {
    let id = connection.connection_id;
    let name = ChannelName::Connection(id);
    let Some(channel) = step.channels.get(&step.draft, name)? else {
        return Ok(None);
    };
    let changed = channel.pass_time(step.now);
    let (due, due_at) = (channel.rotation_is_due(step.now), channel.rotation_due_at());
    let waits = offered(&step.draft, id)?.is_some_and(|offer| step.now.since_ms(offer.sent_at) >= AGAIN_AFTER_MS);
    if due || waits {
        begin(step, connection)?;
    }
    if changed {
        step.channels.store(&mut step.draft, name)?;
    }
    Ok(due_at.filter(|at| *at > step.now))
}

/// Owner's command.
pub fn by_owner(step: &mut Step<'_>, asked: &RotateKeys) -> Result<Result<RotationReport, RefusalCode>, Failure> {
    let wanted: Vec<Connection> = match asked.connection_id {
        Some(id) => match connection::get(&step.draft, id)? {
            Some(found) if found.is_active() => vec![found],
            Some(_) => return Ok(Err(RefusalCode::NotConnected)),
            None => return Ok(Err(RefusalCode::NotFound)),
        },
        None => connection::all(&step.draft)?.into_iter().filter(Connection::is_active).collect(),
    };
    let mut report = RotationReport { begun: vec![], stragglers: vec![], more: false };
    for connection in &wanted {
        let id = connection.connection_id;
        if let Some(Offer { since, .. }) = offered(&step.draft, id)? {
            let display_name = connection.display_name.clone();
            report.stragglers.push(Straggler { connection_id: id, display_name, since });
        } else if report.begun.len() == AT_ONCE {
            report.more = true;
        } else if begin(step, connection)? {
            report.begun.push(id);
        }
    }
    report.stragglers.sort_by_key(|straggler| straggler.since);
    if !report.begun.is_empty() {
        step.tell(Note {
            event_type: RotateKeysRow::ROW.event_type(),
            connection_id: asked.connection_id,
            request_id: None,
            severity: Severity::Info,
            outcome: Outcome::Done,
            summary: format!("You had new keys made on {} connection(s)", report.begun.len()),
        })?;
    }
    Ok(Ok(report))
}

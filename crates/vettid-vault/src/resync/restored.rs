//! The side that came back: asks each connected member for new keys until it answers, and sends nothing on a connection before.

use super::{post, set_aside, sides, take_up, tell};
use crate::channels::ChannelName;
use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::messages;
use crate::peer::actor;
use crate::restore;
use crate::step::Step;
use serde::{Deserialize, Serialize};
use serde_json::json;
use vettid_core::resync::{Asking, Sides};
use vettid_crypto::identity::VerifyingKey;
use vettid_crypto::resync::Lifeline;
use vettid_wire::audit::Outcome as AuditOutcome;
use vettid_wire::connection::{ConnectionState, PeerKind};
use vettid_wire::event::{ConnectionResync, EventRow};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::id::ConnectionId;
use vettid_wire::messaging::{BeginRecovery, RecoverConversation};
use vettid_wire::restore::{Incarnation, ResyncAnswer};
use vettid_wire::time::Timestamp;

/// A peer that does not answer is asked again after this time, in milliseconds (one day).
const AGAIN_MS: i64 = 24 * 3600 * 1000;
const PREFIX: &str = "resync_asking/";

#[derive(Debug, Serialize, Deserialize)]
struct Waiting {
    asking: Asking,
    asked_at: Timestamp,
}

pub(super) fn key(id: ConnectionId) -> String {
    format!("{PREFIX}{id}")
}

/// This vault came back: new keys with every connected member. Connections from before the handshake kept anything for this,
/// and those to services, go on under their keys and pass over what they may have used. Gives how many are asked.
pub fn begin(step: &mut Step<'_>, said: &Incarnation) -> Result<usize, Failure> {
    let mut asked = 0;
    for connection in connection::all(&step.draft)? {
        let id = connection.connection_id;
        let is_open = connection.is_active() || connection.state == ConnectionState::Reconciling;
        let lifeline = super::lifeline(&step.draft, id)?.filter(|_| connection.kind == PeerKind::Member);
        match lifeline {
            Some(lifeline) if is_open => {
                one(step, connection, &lifeline, said)?;
                asked += 1;
            }
            _ if is_open => {
                let name = ChannelName::Connection(id);
                if let Some(channel) = step.channels.get(&step.draft, name)? {
                    channel.leap();
                    step.channels.store(&mut step.draft, name)?;
                }
            }
            _ => {}
        }
    }
    Ok(asked)
}

fn one(
    step: &mut Step<'_>,
    mut connection: Connection,
    lifeline: &Lifeline,
    said: &Incarnation,
) -> Result<(), Failure> {
    if connection.is_active() {
        connection = set_aside(step, connection, false)?;
        connection.state = ConnectionState::Reconciling;
        connection::put(&mut step.draft, &connection)?;
    }
    let Some(sides) = sides(step, &connection, said.incarnation)? else { return Ok(()) };
    let asking = match Asking::new(step.rng, said.incarnation, step.identity.signing_key()) {
        Ok(asking) => asking,
        Err(error) => {
            tracing::error!(%error, "new keys cannot be asked for");
            return Ok(());
        }
    };
    post(step, &connection, (lifeline, &sides), &asking.message(said.clone()))?;
    Ok(step.draft.put(key(connection.connection_id), &Waiting { asking, asked_at: step.now })?)
}

/// Asks those again that did not answer.
pub fn ask_again(step: &mut Step<'_>) -> Result<(), Failure> {
    for key in step.draft.keys(PREFIX, usize::MAX) {
        let Some(waiting) = step.draft.get::<Waiting>(&key)? else { continue };
        let found = key.strip_prefix(PREFIX).and_then(|id| id.parse().ok());
        let Some(id) = found.filter(|_| step.now.since_ms(waiting.asked_at) >= AGAIN_MS) else { continue };
        let (connection, said) = (connection::get(&step.draft, id)?, restore::said(&step.draft)?);
        let (Some(connection), Some(said)) = (connection, said) else { continue };
        let Some(lifeline) = super::lifeline(&step.draft, id)? else { continue };
        let Some(sides) = sides(step, &connection, said.incarnation)? else { continue };
        post(step, &connection, (&lifeline, &sides), &waiting.asking.message(said))?;
        step.draft.put(key, &Waiting { asked_at: step.now, ..waiting })?;
    }
    Ok(())
}

/// The connection has new keys: what was lost on it is asked for.
pub(super) fn ask_for_lost(step: &mut Step<'_>, id: ConnectionId) -> Result<(), Failure> {
    step.draft.remove(&key(id));
    let begun = BeginRecovery { connection_id: id, incarnation: step.identity.incarnation };
    messages::recover(step, &RecoverConversation::Begin(begun))
}

/// The peer answered: the connection is open again, and what was lost is asked for.
pub fn answered(
    step: &mut Step<'_>,
    connection: Connection,
    (lifeline, sides): (&Lifeline, Sides),
    answer: &ResyncAnswer,
) -> Result<(), Failure> {
    let id = connection.connection_id;
    let Some(waiting) = step.draft.get::<Waiting>(&key(id))? else { return Ok(()) };
    let peer = connection.peer.as_ref().and_then(|peer| VerifyingKey::from_typed(&peer.signing_key).ok());
    let Some(peer) = peer else { return Ok(()) };
    let channel = match waiting.asking.finish(lifeline, &sides, answer, &peer) {
        Ok(channel) => channel,
        // What is stored still waits for an answer that fits.
        Err((_, refused)) => {
            tracing::warn!(%refused, "an answer about new keys is not taken");
            return Ok(());
        }
    };
    let name = connection.display_name.clone();
    let actor = actor(&connection);
    take_up(step, connection, channel)?;
    let detail = json!({"connection_id": id, "incarnation": sides.own_incarnation});
    step.audit(&actor, &ConnectionResync::ROW.event_type(), AuditOutcome::Success, detail)?;
    ask_for_lost(step, id)?;
    let summary = format!("New keys with {name} after the restore; what was lost is asked for");
    tell(step, id, Outcome::Done, Severity::Info, summary)
}

//! Who may ring: by connection, and a time in which nobody may.

use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::projection::{Draft, UnreadableState};
use crate::step::Step;
use vettid_core::call::{RINGS, Welcome};
use vettid_core::rate::Bucket;
use vettid_wire::call::{CallSettings, MayRing, SetCalls};
use vettid_wire::connection::Verification;
use vettid_wire::id::ConnectionId;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

const QUIET: &str = "call_quiet_until";

fn may_ring_key(id: ConnectionId) -> String {
    format!("call_may_ring/{id}")
}

fn rate_key(id: ConnectionId) -> String {
    format!("call_rate/{id}")
}

/// `call.settings`.
pub fn set(step: &mut Step<'_>, asked: &SetCalls) -> Result<Result<CallSettings, RefusalCode>, Failure> {
    if asked.may_ring.is_some() && asked.connection_id.is_none() {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    if let Some(id) = asked.connection_id {
        if let Err(code) = super::command::member(step, id)? {
            return Ok(Err(code));
        }
        match asked.may_ring {
            Some(MayRing::Verified) => step.draft.remove(&may_ring_key(id)),
            Some(may_ring) => step.draft.put(may_ring_key(id), &may_ring)?,
            None => {}
        }
    }
    match asked.quiet_until {
        Some(until) if until <= step.now => step.draft.remove(QUIET),
        Some(until) => step.draft.put(QUIET.into(), &until)?,
        None => {}
    }
    let may_ring = asked.connection_id.map(|id| may_ring(&step.draft, id)).transpose()?;
    Ok(Ok(CallSettings { quiet_until: quiet_until(step)?, may_ring }))
}

fn may_ring(draft: &Draft<'_>, id: ConnectionId) -> Result<MayRing, UnreadableState> {
    Ok(draft.get(&may_ring_key(id))?.unwrap_or_default())
}

fn quiet_until(step: &Step<'_>) -> Result<Option<Timestamp>, UnreadableState> {
    let until: Option<Timestamp> = step.draft.get(QUIET)?;
    Ok(until.filter(|until| *until > step.now))
}

/// What a connection may do that calls.
pub(super) fn welcome(step: &Step<'_>, connection: &Connection) -> Result<Welcome, UnreadableState> {
    let is_verified = connection.verification == Verification::Verified;
    Ok(match may_ring(&step.draft, connection.connection_id)? {
        MayRing::Never => Welcome::Nothing,
        MayRing::Verified if !is_verified => Welcome::Told,
        MayRing::Verified | MayRing::Always if quiet_until(step)?.is_some() => Welcome::Told,
        MayRing::Verified | MayRing::Always => Welcome::Rings,
    })
}

/// Counts a call that comes in; `false` if there were too many.
pub(super) fn count(step: &mut Step<'_>, id: ConnectionId) -> Result<bool, UnreadableState> {
    let mut bucket = step.draft.get(&rate_key(id))?.unwrap_or_else(|| Bucket::full(RINGS, step.now));
    let taken = bucket.take(RINGS, step.now);
    step.draft.put(rate_key(id), &bucket)?;
    Ok(taken)
}

/// Forgets what was set for a connection that ended.
pub(super) fn forget(draft: &mut Draft<'_>, id: ConnectionId) {
    if connection::is_buried(draft, id) {
        draft.remove(&may_ring_key(id));
        draft.remove(&rate_key(id));
    }
}

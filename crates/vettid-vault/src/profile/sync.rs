//! Profiles that keep themselves up to date: each connection is told when what it sees changes or nears its end, and what it
//! tells replaces what is known of it (spec 2.5.3). An older or expired profile never replaces a newer one.

use super::{publish_again, signed, unsigned};
use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::feed::Note;
use crate::peer::MAX_SKEW_MS;
use crate::projection::Draft;
use crate::send;
use crate::step::Step;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use vettid_core::channel::body_hash;
use vettid_crypto::profile::{self as signed_profile, ProfileError, VerifiedProfile};
use vettid_wire::base64::Base64Url;
use vettid_wire::event::{self, EventRow};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::id::ConnectionId;
use vettid_wire::json as vjson;
use vettid_wire::profile::{ProfileChanged, SignedProfile};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

/// A profile is sent anew when it is valid for less than this, in milliseconds (10 of its 30 days).
const RENEW_BEFORE_MS: i64 = 10 * 24 * 3600 * 1000;

/// What a connection was told last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    /// Of everything that it says, without sequence, times and signature.
    content: Base64Url,
    sequence: u64,
    valid_until: Timestamp,
}

fn told_key(id: ConnectionId) -> String {
    format!("profile_told/{id}")
}

fn stale_key(id: ConnectionId) -> String {
    format!("profile_stale/{id}")
}

/// Forgets what a connection was told and whether its profile is old.
pub fn forget(draft: &mut Draft<'_>, id: ConnectionId) {
    draft.remove(&told_key(id));
    draft.remove(&stale_key(id));
}

/// Whether what is known of the other side may not be what it says today.
pub fn is_stale(draft: &Draft<'_>, now: Timestamp, connection: &Connection) -> bool {
    let expired = connection.peer.as_ref().is_some_and(|peer| peer.profile.valid_until < now);
    connection.peer.is_some() && (expired || draft.has(&stale_key(connection.connection_id)))
}

/// Whether anything new may rest on what is known of the other side (spec 2.5.3): not once its profile or the record of its keys ran
/// out, which the clocks of both sides may see apart, and not after it said something earlier again.
pub fn check_fresh(draft: &Draft<'_>, now: Timestamp, connection: &Connection) -> Result<(), RefusalCode> {
    let earliest = now.plus_ms(-MAX_SKEW_MS);
    let is_certified = connection.peer.as_ref().is_some_and(|peer| earliest <= peer.profile.key_record.expires_at);
    if is_certified && !is_stale(draft, earliest, connection) { Ok(()) } else { Err(RefusalCode::Unavailable) }
}

/// The profile that a handshake carries, noted as what this connection was told.
pub fn for_handshake(step: &mut Step<'_>, id: ConnectionId) -> Result<SignedProfile, Failure> {
    let profile = signed(step, Some(id))?;
    note(step, id, &profile)?;
    Ok(profile)
}

fn note(step: &mut Step<'_>, id: ConnectionId, profile: &SignedProfile) -> Result<(), Failure> {
    let told = Told { content: content(profile)?, sequence: profile.sequence, valid_until: profile.valid_until };
    Ok(step.draft.put(told_key(id), &told)?)
}

fn content(profile: &SignedProfile) -> Result<Base64Url, Failure> {
    Ok(body_hash(&(
        &profile.public,
        &profile.items,
        &profile.event_types,
        &profile.supported,
        &profile.key_record,
        &profile.restore_key,
    ))?)
}

/// Publishes the profile anew before the published one runs out. Gives when to look again.
pub fn pass_time(step: &mut Step<'_>) -> Result<Option<Timestamp>, Failure> {
    let Some(valid_until) = super::valid_until(&step.draft)? else { return Ok(None) };
    let renew_at = valid_until.plus_ms(-RENEW_BEFORE_MS);
    if renew_at <= step.now {
        publish_again(step)?;
        return Ok(Some(step.now));
    }
    Ok(Some(renew_at))
}

/// Tells a connection what changed for it. Gives when to look again.
pub fn tell(step: &mut Step<'_>, connection: &Connection) -> Result<Option<Timestamp>, Failure> {
    let id = connection.connection_id;
    let Some(row) = send::row_to(connection.kind, &event::ProfileChanged::ROW.event_type()) else {
        return Ok(None);
    };
    let told: Option<Told> = step.draft.get(&told_key(id))?;
    let present = unsigned(step, Some(id))?;
    let is_due = match &told {
        None => true,
        Some(told) => told.content != content(&present)? || told.valid_until.plus_ms(-RENEW_BEFORE_MS) <= step.now,
    };
    if !is_due {
        return Ok(told.map(|told| told.valid_until.plus_ms(-RENEW_BEFORE_MS)));
    }
    // The receiver takes nothing that does not rise.
    if told.is_some_and(|told| told.sequence >= present.sequence) {
        publish_again(step)?;
    }
    let profile = signed(step, Some(id))?;
    note(step, id, &profile)?;
    let again = profile.valid_until.plus_ms(-RENEW_BEFORE_MS);
    send::to_peer(step, connection, row, ProfileChanged { profile }, None)?;
    Ok(Some(again))
}

/// The peer sent a version of its profile.
///
/// `is_running`: it was sealed in the running epoch. Who may speak for the peer's owner after a restore is never changed by what an
/// earlier epoch says, for its keys may be in an old copy.
pub fn receive(
    step: &mut Step<'_>,
    connection: &Connection,
    body: Value,
    is_running: bool,
) -> Result<Result<(), RefusalCode>, Failure> {
    let Ok(ProfileChanged { profile }) = vjson::from_value::<ProfileChanged>(body) else {
        return Ok(Err(RefusalCode::InvalidRequest));
    };
    let Some(mut connection) = connection::get(&step.draft, connection.connection_id)? else {
        return Ok(Err(RefusalCode::NotConnected));
    };
    let id = connection.connection_id;
    let Some(peer) = connection.peer.as_mut() else {
        return Ok(Err(RefusalCode::NotConnected));
    };
    let verified = match signed_profile::verify(profile, step.now) {
        Ok(verified) => verified,
        Err(ProfileError::Stale) => return Ok(Ok(step.draft.put(stale_key(id), &true)?)),
        Err(_) => return Ok(Err(RefusalCode::InvalidRequest)),
    };
    if !is_of(&verified, &peer.profile) {
        return Ok(Err(RefusalCode::NotAllowed));
    }
    if verified.get().sequence == peer.profile.sequence {
        return Ok(Ok(()));
    }
    if !verified.replaces(&peer.profile) {
        return Ok(Ok(step.draft.put(stale_key(id), &true)?));
    }
    if !verified.follows(&peer.profile.key_record) {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    let keeps_owner = peer.profile.restore_key.is_none() || peer.profile.restore_key == verified.get().restore_key;
    if !keeps_owner && !is_running {
        return Ok(Err(RefusalCode::NotAllowed));
    }
    let shown = |profile: &SignedProfile| (profile.public.clone(), profile.items.clone());
    let is_new = shown(verified.get()) != shown(&peer.profile);
    peer.signing_key = verified.key_record().signing().typed();
    peer.profile = verified.get().clone();
    let before = std::mem::replace(&mut connection.display_name, name_of(verified.get()));
    connection::put(&mut step.draft, &connection)?;
    step.draft.remove(&stale_key(id));
    if !keeps_owner {
        let name = &connection.display_name;
        tell_of(step, id, format!("{name} uses another device now, or gave up the one before"))?;
    }
    if is_new {
        announce(step, &connection, &before)?
    }
    Ok(Ok(()))
}

/// Whether a profile is one of the party that is known, and shows it as what it is: a member, or the same service. What its contract says is
/// another matter: a profile changes nothing of what was agreed.
fn is_of(profile: &VerifiedProfile, known: &SignedProfile) -> bool {
    let (new, service) =
        (profile.get(), |profile: &SignedProfile| profile.service.as_ref().map(|s| s.service_id.clone()));
    new.guid == known.guid && new.public_key == known.public_key && service(new) == service(known)
}

fn name_of(profile: &SignedProfile) -> String {
    profile.public.first_name.chars().filter(|c| !c.is_control()).take(60).collect()
}

fn announce(step: &mut Step<'_>, connection: &Connection, before: &str) -> Result<(), Failure> {
    let summary = if connection.display_name == before {
        format!("{before} has a new profile")
    } else {
        format!("{before} is called {} now", connection.display_name)
    };
    tell_of(step, connection.connection_id, summary)
}

fn tell_of(step: &mut Step<'_>, id: ConnectionId, summary: String) -> Result<(), Failure> {
    step.tell(Note {
        event_type: event::ProfileChanged::ROW.event_type(),
        connection_id: Some(id),
        request_id: None,
        severity: Severity::Info,
        outcome: Outcome::Done,
        summary,
    })?;
    Ok(())
}

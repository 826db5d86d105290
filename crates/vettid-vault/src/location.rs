//! Where the owner is, shown to connections for a while, and where they are. A position is in memory only: no commit has it, on
//! either side, and audit and feed say only that it was shown, how exactly and how long (docs/decisions/0169).

use crate::call::command::member;
use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::feed::Note;
use crate::peer::MAX_SKEW_MS;
use crate::projection::UnreadableState;
use crate::send;
use crate::step::Step;
use places::Place;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use vettid_core::location::coarse;
use vettid_handlers::shown;
use vettid_wire::audit::Outcome as AuditOutcome;
use vettid_wire::event::{self, EventRow, Row};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::id::{ConnectionId, ShareId};
use vettid_wire::json as vjson;
use vettid_wire::location::{
    EVERY_MS, LocationList, LocationUpdated, MAX_SHARE_MS, MAX_SHARES, MIN_SHARE_MS, Precision, SeenLocation,
    ShareEnded, ShareView, SharedLocation, StartShare, StopShare, UpdateLocation,
};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

pub mod places;

const SHARES: &str = "location_share/";
const SEEN: &str = "location_seen/";
const OVER: &str = "location_over/";
/// Most ended shares of one connection that are remembered until they would have ended by themselves.
const MAX_OVER: usize = 16;

type Answered<T> = Result<Result<T, RefusalCode>, Failure>;

/// A share, of the owner with a connection or of a connection with the owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Share {
    share_id: ShareId,
    connection_id: ConnectionId,
    precision: Precision,
    started_at: Timestamp,
    until: Timestamp,
}

/// A share that is over before its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Over {
    share_id: ShareId,
    until: Timestamp,
}

/// `location.share`.
pub fn start(step: &mut Step<'_>, asked: &StartShare) -> Answered<ShareView> {
    let connection = match member(step, asked.connection_id)? {
        Ok(connection) => connection,
        Err(code) => return Ok(Err(code)),
    };
    if !(MIN_SHARE_MS..=MAX_SHARE_MS).contains(&asked.duration_ms) {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    if let Some(before) = own(step, asked.connection_id)? {
        end_own(step, &before, Ended::Stopped)?;
    } else if step.draft.keys(SHARES, MAX_SHARES).len() >= MAX_SHARES {
        return Ok(Err(RefusalCode::RateLimited));
    }
    let share = Share {
        share_id: ShareId::v7(step.now, step.random()),
        connection_id: asked.connection_id,
        precision: asked.precision,
        started_at: step.now,
        until: step.now.plus_ms(asked.duration_ms),
    };
    step.draft.put(format!("{SHARES}{}", share.connection_id), &share)?;
    tell_position(step, &connection, &share, None)?;
    let name = shown::name(&connection.display_name);
    let summary = format!("You show {name} where you are, {}, until {}", exactly(share.precision), share.until);
    note(step, &event::LocationShare::ROW, share.connection_id, Severity::Info, summary)?;
    Ok(Ok(view(&share, connection.display_name)))
}

/// `location.stop`.
pub fn stop(step: &mut Step<'_>, asked: &StopShare) -> Answered<ShareView> {
    let Some(share) = own(step, asked.connection_id)? else { return Ok(Err(RefusalCode::NotFound)) };
    end_own(step, &share, Ended::Stopped)?;
    Ok(Ok(view(&share, name_of(step, share.connection_id)?)))
}

/// `location.update`: sends the position on, as exactly as each share says. An earlier one is never sent after a later one.
pub fn update(step: &mut Step<'_>, asked: &UpdateLocation) -> Answered<LocationUpdated> {
    let is_now = (-MAX_SKEW_MS..=MAX_SKEW_MS).contains(&step.now.since_ms(asked.taken_at));
    if !asked.position.is_valid() || !is_now {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    let (mut sent_to, mut running) = (0, 0);
    for share in step.draft.values::<Share>(SHARES)? {
        if share.until <= step.now {
            continue;
        }
        running += 1;
        let last = step.fleeting.places.sent(share.share_id);
        let is_due = last.is_none_or(|last| step.now.since_ms(last.at) >= EVERY_MS && asked.taken_at > last.taken_at);
        let connection = connection::get(&step.draft, share.connection_id)?.filter(Connection::is_active);
        if let (true, Some(connection)) = (is_due, connection) {
            tell_position(step, &connection, &share, Some(asked))?;
            step.fleeting.places.was_sent(share.share_id, step.now, asked.taken_at);
            sent_to += 1;
        }
    }
    Ok(Ok(LocationUpdated { sent_to, shares: running }))
}

/// `location.list`.
pub fn list(step: &Step<'_>) -> Answered<LocationList> {
    let mut list = LocationList { shared: vec![], seen: vec![] };
    for share in step.draft.values::<Share>(SHARES)?.into_iter().filter(|share| share.until > step.now) {
        let name = name_of(step, share.connection_id)?;
        list.shared.push(view(&share, name));
    }
    for share in step.draft.values::<Share>(SEEN)?.into_iter().filter(|share| share.until > step.now) {
        let place = step.fleeting.places.seen(share.share_id);
        list.seen.push(SeenLocation {
            share_id: share.share_id,
            connection_id: share.connection_id,
            display_name: name_of(step, share.connection_id)?,
            precision: share.precision,
            until: share.until,
            position: place.map(|place| place.position),
            taken_at: place.map(|place| place.taken_at),
            age_ms: place.map(|place| step.now.since_ms(place.taken_at).max(0)),
        });
    }
    Ok(Ok(list))
}

/// What became of an event about a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// A share began or ended: it is audited.
    Changed,
    /// A position: nothing of it is written anywhere.
    Passing,
}

/// Takes up what a connection shows.
pub fn receive(step: &mut Step<'_>, connection: &Connection, row: &Row, body: Value) -> Answered<Taken> {
    if row.name == event::ShareEnd::ROW.name {
        let Ok(ended) = vjson::from_value::<ShareEnded>(body) else { return Ok(Err(RefusalCode::InvalidRequest)) };
        return peer_ended(step, connection, &ended);
    }
    let Ok(shared) = vjson::from_value::<SharedLocation>(body) else { return Ok(Err(RefusalCode::InvalidRequest)) };
    let sound = shared.position.is_none_or(|position| position.is_valid())
        && shared.until <= step.now.plus_ms(MAX_SHARE_MS + MAX_SKEW_MS)
        && shared.taken_at <= step.now.plus_ms(MAX_SKEW_MS);
    if !sound {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    let id = connection.connection_id;
    // What is over shows nothing any more.
    if shared.until <= step.now || over(step, id)?.iter().any(|over| over.share_id == shared.share_id) {
        return Ok(Ok(Taken::Passing));
    }
    let known: Option<Share> = step.draft.get(&format!("{SEEN}{id}"))?;
    let taken = match known {
        Some(known) if known.share_id == shared.share_id => Taken::Passing,
        // A share replaces the one before it, never a later one.
        Some(known) if known.share_id > shared.share_id => return Ok(Ok(Taken::Passing)),
        _ => {
            begin_seen(step, connection, &shared)?;
            Taken::Changed
        }
    };
    if let Some(position) = shared.position {
        step.fleeting.places.see(shared.share_id, Place { position, taken_at: shared.taken_at });
    }
    Ok(Ok(taken))
}

fn begin_seen(step: &mut Step<'_>, connection: &Connection, shared: &SharedLocation) -> Result<(), Failure> {
    let id = connection.connection_id;
    forget_seen(step, id)?;
    let share = Share {
        share_id: shared.share_id,
        connection_id: id,
        precision: shared.precision,
        started_at: step.now,
        until: shared.until,
    };
    step.draft.put(format!("{SEEN}{id}"), &share)?;
    let name = shown::name(&connection.display_name);
    let summary = format!("{name} shows you where they are, {}, until {}", exactly(share.precision), share.until);
    note(step, &event::SharedLocation::ROW, id, Severity::Notice, summary)
}

fn peer_ended(step: &mut Step<'_>, connection: &Connection, ended: &ShareEnded) -> Answered<Taken> {
    let id = connection.connection_id;
    let known: Option<Share> = step.draft.get(&format!("{SEEN}{id}"))?;
    let is_seen = known.is_some_and(|known| known.share_id == ended.share_id);
    let latest = step.now.plus_ms(MAX_SHARE_MS + MAX_SKEW_MS);
    let mut all = over(step, id)?;
    all.retain(|over| over.until > step.now && over.share_id != ended.share_id);
    if all.len() >= MAX_OVER {
        all.remove(0);
    }
    all.push(Over { share_id: ended.share_id, until: ended.until.min(latest) });
    step.draft.put(format!("{OVER}{id}"), &all)?;
    if is_seen {
        forget_seen(step, id)?;
        let summary = format!("{} does not show you any more where they are", shown::name(&connection.display_name));
        note(step, &event::ShareEnd::ROW, id, Severity::Info, summary)?;
    }
    Ok(Ok(Taken::Changed))
}

/// Ends what time ends.
pub fn tick(step: &mut Step<'_>) -> Result<(), Failure> {
    let now = step.now;
    for share in step.draft.values::<Share>(SHARES)?.into_iter().filter(|share| share.until <= now) {
        end_own(step, &share, Ended::Expired)?;
    }
    for share in step.draft.values::<Share>(SEEN)?.into_iter().filter(|share| share.until <= now) {
        forget_seen(step, share.connection_id)?;
    }
    for key in step.draft.keys(OVER, usize::MAX) {
        let all: Vec<Over> = step.draft.get(&key)?.unwrap_or_default();
        if all.iter().all(|over| over.until <= step.now) {
            step.draft.remove(&key);
        }
    }
    Ok(())
}

/// A connection ended, and with it what either side showed.
pub fn cut(step: &mut Step<'_>, id: ConnectionId) -> Result<(), Failure> {
    if let Some(share) = own(step, id)? {
        end_own(step, &share, Ended::Revoked)?;
    }
    step.draft.remove(&format!("{OVER}{id}"));
    forget_seen(step, id)
}

fn forget_seen(step: &mut Step<'_>, id: ConnectionId) -> Result<(), Failure> {
    let Some(share) = step.draft.get::<Share>(&format!("{SEEN}{id}"))? else { return Ok(()) };
    step.draft.remove(&format!("{SEEN}{id}"));
    step.fleeting.places.forget(share.share_id);
    let detail = json!({"share_id": share.share_id, "connection_id": id, "precision": share.precision,
        "seen_ms": step.now.since_ms(share.started_at)});
    step.audit("vault", &event::ShareEnd::ROW.event_type(), AuditOutcome::Success, detail)?;
    Ok(())
}

/// Why a share of the owner ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Ended {
    Stopped,
    Expired,
    Revoked,
}

fn end_own(step: &mut Step<'_>, share: &Share, why: Ended) -> Result<(), Failure> {
    let id = share.connection_id;
    step.draft.remove(&format!("{SHARES}{id}"));
    step.fleeting.places.forget(share.share_id);
    let detail = json!({"share_id": share.share_id, "connection_id": id, "precision": share.precision,
        "shown_ms": step.now.since_ms(share.started_at), "why": why});
    step.audit("vault", &event::ShareEnd::ROW.event_type(), AuditOutcome::Success, detail)?;
    if why == Ended::Stopped
        && let Some(connection) = connection::get(&step.draft, id)?.filter(Connection::is_active)
    {
        // The other side ends by itself what runs out.
        let body = ShareEnded { share_id: share.share_id, until: share.until };
        send::to_peer(step, &connection, &event::ShareEnd::ROW, body, None)?;
    }
    let summary = format!("{} does not see any more where you are", shown::name(&name_of(step, id)?));
    note(step, &event::LocationShare::ROW, id, Severity::Info, summary)
}

/// Tells a connection where the owner is, as exactly as the share says.
fn tell_position(
    step: &mut Step<'_>,
    connection: &Connection,
    share: &Share,
    update: Option<&UpdateLocation>,
) -> Result<(), Failure> {
    let body = SharedLocation {
        share_id: share.share_id,
        until: share.until,
        precision: share.precision,
        position: update.map(|update| coarse(update.position, share.precision)),
        taken_at: update.map_or(step.now, |update| update.taken_at),
    };
    send::to_peer(step, connection, &event::SharedLocation::ROW, body, None)?;
    Ok(())
}

fn own(step: &Step<'_>, id: ConnectionId) -> Result<Option<Share>, UnreadableState> {
    step.draft.get(&format!("{SHARES}{id}"))
}

fn over(step: &Step<'_>, id: ConnectionId) -> Result<Vec<Over>, UnreadableState> {
    Ok(step.draft.get(&format!("{OVER}{id}"))?.unwrap_or_default())
}

fn name_of(step: &Step<'_>, id: ConnectionId) -> Result<String, UnreadableState> {
    Ok(connection::get(&step.draft, id)?.map_or_else(String::new, |connection| connection.display_name))
}

fn view(share: &Share, display_name: String) -> ShareView {
    ShareView {
        share_id: share.share_id,
        connection_id: share.connection_id,
        display_name,
        precision: share.precision,
        started_at: share.started_at,
        until: share.until,
    }
}

fn exactly(precision: Precision) -> &'static str {
    match precision {
        Precision::Exact => "exactly",
        Precision::HundredMetres => "to about 100 m",
        Precision::Kilometre => "to about 1 km",
        Precision::TenKilometres => "to about 10 km",
    }
}

fn note(
    step: &mut Step<'_>,
    row: &Row,
    connection_id: ConnectionId,
    severity: Severity,
    summary: String,
) -> Result<(), Failure> {
    let (event_type, connection_id, outcome) = (row.event_type(), Some(connection_id), Outcome::Done);
    step.tell(Note { event_type, connection_id, request_id: None, severity, outcome, summary })?;
    Ok(())
}

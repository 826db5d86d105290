//! Which values services have, and how long they may keep them: written down when a value is handed out, marked when its time
//! is over. No value is kept here.

use crate::connection;
use crate::failure::Failure;
use crate::feed::Note;
use crate::projection::{Draft, UnreadableState, numbered};
use crate::step::Step;
use vettid_wire::contract::Retention;
use vettid_wire::data::{HeldList, HeldValue, Keep, ListHeld, MAX_HELD};
use vettid_wire::event::{DataHeld, EventRow};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::id::ConnectionId;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

/// Under this prefix stands what each connection has.
const PREFIX: &str = "held/";
/// Under this prefix, in the order of time, stands what ends by the clock.
const AT: &str = "held_at/";
/// A value that is given for a session is gone after this time, in milliseconds (15 minutes).
pub const SESSION_MS: i64 = 15 * 60_000;
const DAY_MS: i64 = 24 * 3600 * 1000;
/// Most ends that one commit marks.
const AT_ONCE: usize = 64;

/// How long a value may be kept that is handed out now.
#[must_use]
pub fn keep_from(now: Timestamp, retention: Retention) -> Keep {
    match retention {
        Retention::Session => Keep::Session { until: now.plus_ms(SESSION_MS) },
        Retention::TimeLimited { days } => Keep::TimeLimited { until: now.plus_ms(i64::from(days) * DAY_MS) },
        Retention::UntilRevoked => Keep::UntilRevoked,
    }
}

/// Writes down that a value was handed out. Whoever may keep an earlier one longer, still may.
pub fn hand_out(
    step: &mut Step<'_>,
    id: ConnectionId,
    field: &str,
    retention: Retention,
) -> Result<Keep, UnreadableState> {
    let keep = keep_from(step.now, retention);
    let before: Option<HeldValue> = step.draft.get(&of(id, field))?;
    let running = before.filter(|held| held.ended_at.is_none());
    if let Some(held) = &running {
        unset(&mut step.draft, held);
    }
    let longest = running.map_or(keep, |held| held.keep.max(keep));
    let held =
        HeldValue { connection_id: id, field: field.to_owned(), served_at: step.now, keep: longest, ended_at: None };
    if let Some(until) = longest.until() {
        step.draft.put_bytes(place(until, id, field), Vec::new());
    }
    step.draft.put(of(id, field), &held)?;
    Ok(keep)
}

/// Marks what services may not keep any longer.
pub fn tick(step: &mut Step<'_>) -> Result<(), Failure> {
    let first = step.draft.keys(AT, AT_ONCE);
    for key in first {
        let Some((until, id, field)) = read(&key) else {
            step.draft.remove(&key);
            continue;
        };
        if until > step.now {
            break;
        }
        step.draft.remove(&key);
        if let Some(held) = step.draft.get::<HeldValue>(&of(id, field))? {
            tell_end(step, &held)?;
            step.draft.put(of(id, field), &HeldValue { ended_at: Some(until), ..held })?;
        }
    }
    Ok(())
}

/// The end of a session is a matter of course; that of a time that the owner agreed to is told.
fn tell_end(step: &mut Step<'_>, held: &HeldValue) -> Result<(), UnreadableState> {
    if !matches!(held.keep, Keep::TimeLimited { .. }) {
        return Ok(());
    }
    let found = connection::get(&step.draft, held.connection_id)?;
    let name = found.map_or_else(|| "A service".to_owned(), |connection| connection.display_name);
    step.tell(Note {
        event_type: DataHeld::ROW.event_type(),
        connection_id: Some(held.connection_id),
        request_id: None,
        severity: Severity::Info,
        outcome: Outcome::Done,
        summary: format!("{name} may not keep your {} any longer", held.field),
    })
}

/// A connection ended, and with it everything that its service may keep.
pub fn end(step: &mut Step<'_>, id: ConnectionId) -> Result<(), UnreadableState> {
    for held in step.draft.values::<HeldValue>(&format!("{PREFIX}{id}/"))? {
        if held.ended_at.is_none() {
            unset(&mut step.draft, &held);
            let key = of(id, &held.field);
            step.draft.put(key, &HeldValue { ended_at: Some(step.now), ..held })?;
        }
    }
    Ok(())
}

/// Owner's command: what services have.
pub fn list(step: &Step<'_>, asked: &ListHeld) -> Result<Result<HeldList, RefusalCode>, Failure> {
    let prefix = asked.connection_id.map_or_else(|| PREFIX.to_owned(), |id| format!("{PREFIX}{id}/"));
    let keys = step.draft.keys(&prefix, MAX_HELD);
    let held = keys.iter().filter_map(|key| step.draft.get(key).transpose()).collect::<Result<_, _>>()?;
    Ok(Ok(HeldList { held }))
}

fn unset(draft: &mut Draft<'_>, held: &HeldValue) {
    if let Some(until) = held.keep.until() {
        draft.remove(&place(until, held.connection_id, &held.field));
    }
}

fn of(id: ConnectionId, field: &str) -> String {
    format!("{PREFIX}{id}/{field}")
}

/// Sorts by time.
fn place(until: Timestamp, id: ConnectionId, field: &str) -> String {
    format!("{}/{id}/{field}", numbered(AT, until.unix_ms().unsigned_abs()))
}

fn read(place: &str) -> Option<(Timestamp, ConnectionId, &str)> {
    let (until_ms, rest) = place.strip_prefix(AT)?.split_once('/')?;
    let (id, field) = rest.split_once('/')?;
    Some((Timestamp::from_unix_ms(until_ms.parse().ok()?), id.parse().ok()?, field))
}

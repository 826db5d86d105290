//! Upkeep of connections while nobody does anything: looks after each one when something of it is due. When each is to be looked
//! after is stored in the order of time, so that a tick reads what is due and nothing else, however many connections there are.
//! An idle vault commits about once a day (docs/decisions/0177).

use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::profile::sync;
use crate::projection::{Draft, UnreadableState, numbered};
use crate::renewal;
use crate::revocation;
use crate::rotation;
use crate::signing_keys;
use crate::step::Step;
use vettid_wire::connection::ConnectionState;
use vettid_wire::id::ConnectionId;
use vettid_wire::time::Timestamp;

/// When to look at what is the vault's own. Absent: every connection is to be looked after.
const DUE: &str = "upkeep_due";
/// The last connection that was looked after, while all of them are.
const ALL: &str = "upkeep_all";
/// Under this prefix, in the order of time, stand the connections to look after.
const AT: &str = "upkeep/at/";
/// Under this prefix stands the time of each connection.
const OF: &str = "upkeep/of/";
/// Looks at everything at least this often, in milliseconds (one day).
const SELDOM_MS: i64 = 24 * 3600 * 1000;
/// Whether the notice of an end has left is looked at this often, in milliseconds (ten minutes).
const NOTICE_MS: i64 = 10 * 60 * 1000;
/// Most connections that one commit looks after.
const AT_ONCE: usize = 64;

/// Something began that concerns every connection.
pub fn look_soon(draft: &mut Draft<'_>) {
    draft.remove(DUE);
    draft.remove(ALL);
}

/// Something began that concerns this connection.
pub fn look_soon_at(draft: &mut Draft<'_>, now: Timestamp, id: ConnectionId) -> Result<(), UnreadableState> {
    set(draft, id, Some(now))
}

/// Looks after what is due.
pub fn tick(step: &mut Step<'_>) -> Result<(), Failure> {
    let due: Option<Timestamp> = step.draft.get(DUE)?;
    let own_at = match due.filter(|due| *due > step.now) {
        Some(due) => due,
        None => own(step)?,
    };
    all(step, own_at)?;
    for id in due_connections(step) {
        match connection::get(&step.draft, id)? {
            Some(connection) => look_after(step, &connection, own_at)?,
            None => set(&mut step.draft, id, None)?,
        }
    }
    Ok(())
}

/// Looks after what is the vault's own. Gives when to look again.
fn own(step: &mut Step<'_>) -> Result<Timestamp, Failure> {
    let mut next = step.now.plus_ms(SELDOM_MS).min(signing_keys::pass_time(step)?);
    if let Some(at) = sync::pass_time(step)? {
        next = next.min(at);
    }
    let concerns_all = !step.draft.has(DUE) || step.draft.keys(AT, 1).is_empty();
    let has_any = connection::later(&step.draft, None).next().is_some();
    if concerns_all && has_any {
        step.draft.put(ALL.into(), &ConnectionId::from_bytes([0; 16]))?;
    }
    if has_any || step.draft.has(DUE) {
        step.draft.put(DUE.into(), &next)?;
    }
    Ok(next)
}

/// Looks after the next ones while every connection is to be looked after.
fn all(step: &mut Step<'_>, own_at: Timestamp) -> Result<(), Failure> {
    let Some(after) = step.draft.get::<ConnectionId>(ALL)? else {
        return Ok(());
    };
    let next: Vec<_> = connection::later(&step.draft, Some(after)).take(AT_ONCE).collect::<Result<_, _>>()?;
    for connection in &next {
        look_after(step, connection, own_at)?;
    }
    match next.last().filter(|_| next.len() == AT_ONCE) {
        // What was just done may concern all of them once more; then this begins anew.
        Some(last) if step.draft.has(ALL) => step.draft.put(ALL.into(), &last.connection_id)?,
        _ => step.draft.remove(ALL),
    }
    Ok(())
}

fn due_connections(step: &Step<'_>) -> Vec<ConnectionId> {
    let first = step.draft.keys(AT, AT_ONCE);
    let due = first.iter().filter_map(|key| read(key)).take_while(|(at, _)| *at <= step.now);
    due.map(|(_, id)| id).collect()
}

/// What is due of a connection; then sets when to look again.
fn look_after(step: &mut Step<'_>, connection: &Connection, own_at: Timestamp) -> Result<(), Failure> {
    let next = match connection.state {
        ConnectionState::Active => Some(look_after_active(step, connection)?.map_or(own_at, |at| at.min(own_at))),
        ConnectionState::Revoked if connection.jwt.is_some() => {
            let has_left = revocation::wipe_ways(step, connection.connection_id)?;
            (!has_left).then(|| step.now.plus_ms(NOTICE_MS))
        }
        _ => None,
    };
    Ok(set(&mut step.draft, connection.connection_id, next)?)
}

fn look_after_active(step: &mut Step<'_>, connection: &Connection) -> Result<Option<Timestamp>, Failure> {
    let times =
        [rotation::pass_time(step, connection)?, renewal::pass_time(step, connection)?, sync::tell(step, connection)?];
    Ok(times.into_iter().flatten().min())
}

/// Sets when to look after a connection next; `None`: never.
fn set(draft: &mut Draft<'_>, id: ConnectionId, at: Option<Timestamp>) -> Result<(), UnreadableState> {
    let before: Option<Timestamp> = draft.get(&of(id))?;
    if before == at {
        return Ok(());
    }
    if let Some(before) = before {
        draft.remove(&place(before, id));
    }
    match at {
        Some(at) => {
            draft.put_bytes(place(at, id), Vec::new());
            draft.put(of(id), &at)?;
        }
        None => draft.remove(&of(id)),
    }
    Ok(())
}

fn of(id: ConnectionId) -> String {
    format!("{OF}{id}")
}

/// Sorts by time.
fn place(at: Timestamp, id: ConnectionId) -> String {
    format!("{}/{id}", numbered(AT, at.unix_ms().unsigned_abs()))
}

fn read(place: &str) -> Option<(Timestamp, ConnectionId)> {
    let (at_ms, id) = place.strip_prefix(AT)?.split_once('/')?;
    Some((Timestamp::from_unix_ms(at_ms.parse().ok()?), id.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projection::Projection;

    #[test]
    fn a_connection_stands_once_and_in_the_order_of_time() {
        let state = Projection::default();
        let mut draft = Draft::new(&state);
        let [first, second, third] = [1, 2, 3].map(|n| ConnectionId::from_bytes([n; 16]));
        let at = |ms| Some(Timestamp::from_unix_ms(ms));
        for (id, time) in [(first, at(5)), (second, at(900)), (third, at(70)), (first, at(1000)), (third, None)] {
            set(&mut draft, id, time).unwrap();
            draft.keep_step();
        }
        let stand: Vec<_> = draft.keys(AT, 9).iter().filter_map(|key| read(key)).collect();
        assert_eq!(stand, [(Timestamp::from_unix_ms(900), second), (Timestamp::from_unix_ms(1000), first)]);
        assert_eq!(draft.keys(OF, 9).len(), 2);
    }
}

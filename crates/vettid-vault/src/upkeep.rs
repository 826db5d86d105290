//! Upkeep of connections while nobody does anything: looks after each one when something of it is due. When each is to be looked
//! after is stored in the order of time, so that a tick takes as long as what is due, however many connections there are, and an
//! idle vault commits about once a day.

use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::projection::{Draft, UnreadableState, numbered};
use crate::renewal;
use crate::rotation;
use crate::signing_keys;
use crate::step::Step;
use vettid_wire::id::ConnectionId;
use vettid_wire::time::Timestamp;

/// When to look at what is the vault's own. Absent: some connection has no time yet.
const DUE: &str = "upkeep_due";
/// Under this prefix, in the order of time, stand the connections to look after.
const AT: &str = "upkeep/at/";
/// Under this prefix stands the time of each connection.
const OF: &str = "upkeep/of/";
/// Looks at everything at least this often, in milliseconds (one day).
const SELDOM_MS: i64 = 24 * 3600 * 1000;
/// Most connections that one commit looks after.
const AT_ONCE: usize = 64;
/// Most connections that one commit gives a time to.
const GIVEN_AT_ONCE: usize = 1_000;

/// Something began that has to be looked after.
pub fn look_soon(draft: &mut Draft<'_>) {
    draft.remove(DUE);
}

/// Looks after what is due.
pub fn tick(step: &mut Step<'_>) -> Result<(), Failure> {
    let due: Option<Timestamp> = step.draft.get(DUE)?;
    if due.is_none_or(|due| due <= step.now) {
        let all_have_times = give_times(step)?;
        let next = step.now.plus_ms(SELDOM_MS).min(signing_keys::pass_time(step)?);
        let has_any = due.is_some() || !step.draft.keys(AT, 1).is_empty();
        if all_have_times && has_any {
            step.draft.put(DUE.into(), &next)?;
        }
    }
    for key in step.draft.keys(AT, AT_ONCE) {
        let Some((at, id)) = read(&key) else {
            step.draft.remove(&key);
            continue;
        };
        if at > step.now {
            break;
        }
        match connection::get(&step.draft, id)?.filter(Connection::is_active) {
            Some(connection) => {
                let next = look_after(step, &connection)?;
                set(&mut step.draft, id, Some(next))?;
            }
            None => set(&mut step.draft, id, None)?,
        }
    }
    Ok(())
}

/// Gives a time to connections that have none: what began since, and what was there before there were times. Whether all have
/// one now.
fn give_times(step: &mut Step<'_>) -> Result<bool, Failure> {
    let draft = &mut step.draft;
    let has_none = |id: &ConnectionId| !connection::is_buried(draft, *id) && !draft.has(&of(*id));
    let new: Vec<ConnectionId> = connection::ids(draft).into_iter().filter(has_none).take(GIVEN_AT_ONCE).collect();
    for id in &new {
        set(draft, *id, Some(step.now))?;
    }
    Ok(new.len() < GIVEN_AT_ONCE)
}

/// Sets when to look after a connection next; `None`: never.
fn set(draft: &mut Draft<'_>, id: ConnectionId, at: Option<Timestamp>) -> Result<(), UnreadableState> {
    if let Some(before) = draft.get::<Timestamp>(&of(id))? {
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

/// What is due of a connection; gives when to look again.
fn look_after(step: &mut Step<'_>, connection: &Connection) -> Result<Timestamp, Failure> {
    let times = [rotation::pass_time(step, connection)?, renewal::pass_time(step, connection)?];
    Ok(times.into_iter().flatten().fold(step.now.plus_ms(SELDOM_MS), Timestamp::min))
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

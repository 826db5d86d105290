//! Upkeep of connections while nobody does anything: looks after each one when something of it is due. What is due next is
//! stored, so that an idle vault commits about once a day.

use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::profile::sync;
use crate::projection::Draft;
use crate::renewal;
use crate::resync;
use crate::revocation;
use crate::rotation;
use crate::signing_keys;
use crate::step::Step;
use vettid_wire::time::Timestamp;

const DUE: &str = "upkeep_due";
/// Looks at everything at least this often, in milliseconds (one day).
const SELDOM_MS: i64 = 24 * 3600 * 1000;
/// Most connections that one commit looks after.
const AT_ONCE: usize = 64;

/// Something began that has to be looked after.
pub fn look_soon(draft: &mut Draft<'_>) {
    draft.remove(DUE);
}

/// Looks after the connections, if anything may be due.
pub fn tick(step: &mut Step<'_>) -> Result<(), Failure> {
    let due: Option<Timestamp> = step.draft.get(DUE)?;
    if due.is_some_and(|due| due > step.now) {
        return Ok(());
    }
    revocation::wipe_ways(step)?;
    resync::wipe_former(step)?;
    let active: Vec<Connection> = connection::all(&step.draft)?.into_iter().filter(Connection::is_active).collect();
    let mut next = step.now.plus_ms(SELDOM_MS).min(signing_keys::pass_time(step)?);
    if let Some(at) = sync::pass_time(step)? {
        next = next.min(at);
    }
    let mut changed = 0;
    for connection in &active {
        if changed == AT_ONCE {
            next = step.now;
            break;
        }
        let before = step.draft.step_so_far().len();
        if let Some(at) = look_after(step, connection)? {
            next = next.min(at);
        }
        changed += usize::from(step.draft.step_so_far().len() != before);
    }
    if !active.is_empty() || due.is_some() {
        step.draft.put(DUE.into(), &next)?;
    }
    Ok(())
}

fn look_after(step: &mut Step<'_>, connection: &Connection) -> Result<Option<Timestamp>, Failure> {
    let times =
        [rotation::pass_time(step, connection)?, renewal::pass_time(step, connection)?, sync::tell(step, connection)?];
    Ok(times.into_iter().flatten().min())
}

//! What time does to agreements: terms of this side end when nobody answered, and what came to nothing is forgotten later.

use super::{Due, Happened, OPEN, PREFIX, Then, about, ended_as, find, lock, note, put, send_to, sign};
use crate::connection;
use crate::failure::Failure;
use crate::step::Step;
use vettid_core::agreement::Message;
use vettid_wire::event::{EventRow, TermsOutcome};
use vettid_wire::feed::Severity;

/// Most agreements that one tick looks after.
const AT_ONCE: usize = 32;

/// Ends what is over. One that cannot be ended does not hold up the others.
pub fn tick(step: &mut Step<'_>) -> Result<(), Failure> {
    lock::forget(step)?;
    let mut over: Vec<Due> = step.draft.values(OPEN)?;
    over.retain(|due| due.then != Then::Wait && due.at <= step.now);
    for due in over.into_iter().take(AT_ONCE) {
        if due.then == Then::Forget {
            step.draft.remove(&format!("{OPEN}{}", due.agreement_id));
            step.draft.remove(&format!("{PREFIX}{}", due.agreement_id));
            continue;
        }
        let before = step.savepoint();
        if let Err(failure) = lapse(step, &due) {
            tracing::error!(error = %failure, "an agreement could not be ended in good order");
            step.roll_back(before);
        }
    }
    Ok(())
}

fn lapse(step: &mut Step<'_>, due: &Due) -> Result<(), Failure> {
    let Some(mut stored) = find(&step.draft, due.agreement_id)? else { return Ok(()) };
    let Some(Message::Outcome(_, outcome)) = stored.machine.tick(step.now) else { return Ok(()) };
    let machine = stored.machine;
    let said = sign::outcome(step, &mut stored, machine, outcome)?;
    put(step, &stored)?;
    let Some(connection) = connection::get(&step.draft, stored.connection_id)? else { return Ok(()) };
    send_to(step, &connection, &TermsOutcome::ROW, &said)?;
    let (name, title) = about(&connection, &stored);
    let (outcome, ended) = ended_as(outcome);
    let sentence = format!("{title} with {name} {ended}");
    note(
        step,
        &stored,
        Happened { actor: "vault", row: &TermsOutcome::ROW, outcome, severity: Severity::Notice, sentence },
    )
}

//! What time ends: questions that the owner did not answer, handshakes that nobody finished, messages that never arrived.

use crate::connection;
use crate::failure::Failure;
use crate::feed::Note;
use crate::service::{held, snapshot};
use crate::step::Step;
use crate::{
    agreement, bootstrap, call, credential, establish, feed, file, kept, location, login, mark, messages, outbox, peer,
    recovery, request, restore, resync, stored, upkeep,
};
use vettid_handler::event::Answer;
use vettid_wire::event::{self, EventRow};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

/// Most things of one kind that one tick ends: a commit has a largest size, and the next tick goes on.
const AT_ONCE: usize = 32;
/// Old marks are looked for this seldom, in milliseconds (one day).
const FORGET_EVERY_MS: i64 = 24 * 3600 * 1000;
const FORGOTTEN_AT: &str = "forgotten_at";
/// What is given up without a word here.
const QUIET: [&str; 16] = [
    event::ConnectionRekey::ROW.name,
    event::ConnectionCredential::ROW.name,
    event::ProfileChanged::ROW.name,
    event::MessagingText::ROW.name,
    event::MessagingReceipt::ROW.name,
    event::ServiceMessageAccepted::ROW.name,
    event::MessagingSeen::ROW.name,
    event::MessagingReaction::ROW.name,
    event::MessagingDisappear::ROW.name,
    event::MessagingResume::ROW.name,
    event::MessagingResumed::ROW.name,
    event::MessagingReturned::ROW.name,
    event::ConnectionResync::ROW.name,
    event::FileArrived::ROW.name,
    event::CallEnd::ROW.name,
    event::ShareEnd::ROW.name,
];

/// Ends what expired. One thing that cannot be ended does not hold up the others.
pub fn tick(step: &mut Step<'_>) -> Result<(), Failure> {
    if restore::is_pending(&step.draft) {
        bootstrap::expire(step)?;
        return Ok(credential::pass_time(step)?);
    }
    unanswered(step)?;
    login::tick(step)?;
    call::tick(step)?;
    location::tick(step)?;
    agreement::lapse::tick(step)?;
    establish::expire(step)?;
    bootstrap::expire(step)?;
    recovery::tick(step)?;
    undelivered(step)?;
    forget(step)?;
    mark::pass_time(&mut step.draft, step.now)?;
    feed::tidy(step)?;
    held::tick(step)?;
    snapshot::flush(step)?;
    stored::tick(step)?;
    upkeep::tick(step)?;
    messages::tick(step)?;
    resync::ask_again(step)?;
    kept::tick(step)?;
    file::tick(step)?;
    Ok(credential::pass_time(step)?)
}

/// Once a day the marks that are old enough are forgotten.
fn forget(step: &mut Step<'_>) -> Result<(), Failure> {
    let last: Option<Timestamp> = step.draft.get(FORGOTTEN_AT)?;
    let due = last.is_none_or(|last| step.now.since_ms(last) >= FORGET_EVERY_MS);
    if due && !mark::forget_old(&mut step.draft, step.now)? {
        step.draft.put(FORGOTTEN_AT.into(), &step.now)?;
    }
    Ok(())
}

/// A question without an answer counts as denied; one that was decided is forgotten at its end.
fn unanswered(step: &mut Step<'_>) -> Result<(), Failure> {
    let mut over = request::all(&step.draft)?;
    over.retain(|waiting| waiting.shown.expires_at <= step.now);
    for waiting in over.iter().take(AT_ONCE) {
        if !step.has_room() {
            break;
        }
        let before = step.savepoint();
        if let Err(failure) = expired(step, waiting) {
            tracing::error!(error = %failure, "a question could not be ended in good order");
            step.roll_back(before);
        }
        request::remove(&mut step.draft, waiting);
    }
    Ok(())
}

fn expired(step: &mut Step<'_>, waiting: &request::Waiting) -> Result<(), Failure> {
    if !waiting.is_open() {
        return Ok(());
    }
    // A peer that is gone needs no answer.
    let answered = peer::resume(step, waiting, Answer::Expired)?;
    tracing::debug!(answered = answered.is_ok(), "an unanswered request expired");
    step.tell(Note {
        event_type: waiting.event_type.clone(),
        connection_id: Some(waiting.shown.connection_id),
        request_id: Some(waiting.shown.request_id),
        severity: Severity::Notice,
        outcome: Outcome::Refused(RefusalCode::Expired),
        summary: format!("{} of {} expired without your answer", waiting.event_type, waiting.shown.display_name),
    })?;
    Ok(())
}

/// What no broker took in time is given up and told.
fn undelivered(step: &mut Step<'_>) -> Result<(), Failure> {
    let mut old = outbox::waiting(&step.draft)?;
    old.retain(|post| step.now.since_ms(post.created_at) > outbox::GIVE_UP_AFTER_MS);
    for post in old.into_iter().take(AT_ONCE) {
        outbox::done(&mut step.draft, post.number);
        let outbox::Route::Peer(id) = post.route else {
            continue;
        };
        let Some(found) = connection::get(&step.draft, id)? else {
            continue;
        };
        let vettid_wire::subject::Subject::ForOwner(_, _, event_type) = post.subject else {
            continue;
        };
        // Upkeep goes on by itself, and a message that nobody confirmed is told where its state is kept.
        if QUIET.contains(&event_type.as_str()) {
            continue;
        }
        step.tell(Note {
            event_type,
            connection_id: Some(id),
            request_id: None,
            severity: Severity::Warning,
            outcome: Outcome::Refused(RefusalCode::Expired),
            summary: format!("A message to {} could not be delivered", found.display_name),
        })?;
    }
    Ok(())
}

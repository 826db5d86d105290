//! What time ends: questions that the owner did not answer, handshakes that nobody finished, messages that never arrived.

use crate::connection;
use crate::failure::Failure;
use crate::feed::Note;
use crate::step::Step;
use crate::{establish, outbox, peer, request};
use vettid_handler::event::Answer;
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::refusal::RefusalCode;

/// Ends what expired.
pub fn tick(step: &mut Step<'_>) -> Result<(), Failure> {
    unanswered(step)?;
    establish::expire(step)?;
    undelivered(step)
}

/// A question without an answer counts as denied.
fn unanswered(step: &mut Step<'_>) -> Result<(), Failure> {
    for waiting in request::all(&step.draft)? {
        if waiting.shown.expires_at > step.now {
            continue;
        }
        // A peer that is gone needs no answer; the request is removed in both cases.
        let answered = peer::resume(step, &waiting, Answer::Expired)?;
        tracing::debug!(answered = answered.is_ok(), "an unanswered request expired");
        step.tell(Note {
            event_type: waiting.event_type.clone(),
            connection_id: Some(waiting.shown.connection_id),
            request_id: Some(waiting.shown.request_id),
            severity: Severity::Notice,
            outcome: Outcome::Refused(RefusalCode::Expired),
            summary: format!("{} of {} expired without your answer", waiting.event_type, waiting.shown.display_name),
        })?;
    }
    Ok(())
}

/// What no broker took in time is given up and told.
fn undelivered(step: &mut Step<'_>) -> Result<(), Failure> {
    for post in outbox::waiting(&step.draft)? {
        if step.now.since_ms(post.created_at) <= outbox::GIVE_UP_AFTER_MS {
            continue;
        }
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

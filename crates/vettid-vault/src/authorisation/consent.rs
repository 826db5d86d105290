//! Taking a consent back: signed by the key of the connection, told to the service, kept with the consent.

use super::{Stored, find, keep, stands, view};
use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::feed::Note;
use crate::send;
use crate::step::Step;
use serde_json::json;
use vettid_crypto::authorisation::{sign_withdrawal, verify_request};
use vettid_wire::audit::Outcome as AuditOutcome;
use vettid_wire::authorisation::{Answered, AnsweredRef, Wanted};
use vettid_wire::event::{ConsentWithdraw, ConsentWithdrawn, EventRow};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::refusal::RefusalCode;

/// `consent.withdraw`: once is enough, and the same again changes nothing.
pub fn withdraw(step: &mut Step<'_>, asked: &AnsweredRef) -> Result<Result<Answered, RefusalCode>, Failure> {
    let found = find(&step.draft, asked.connection_id, asked.request_id)?;
    let Some(mut stored) = found.filter(|stored| matches!(stored.request.wanted, Wanted::Consent(_))) else {
        return Ok(Err(RefusalCode::NotFound));
    };
    if stored.withdrawal.is_some() {
        return Ok(Ok(view(step, &stored)?));
    }
    if !stands(&stored, step.now) {
        return Ok(Err(RefusalCode::NotAllowed));
    }
    let found = connection::get(&step.draft, asked.connection_id)?.filter(Connection::is_active);
    let Some(connection) = found else { return Ok(Err(RefusalCode::NotConnected)) };
    let request = verify_request(stored.request.clone())?;
    let withdrawn_at = step.now.max(stored.answer.answered_at);
    let withdrawal = sign_withdrawal(&connection.pairwise, &request, &stored.answer, withdrawn_at)?;
    send::to_peer(step, &connection, &ConsentWithdrawn::ROW, &withdrawal, None)?;
    stored.withdrawal = Some(withdrawal);
    keep(step, &stored)?;
    told(step, &stored)?;
    Ok(Ok(view(step, &stored)?))
}

fn told(step: &mut Step<'_>, stored: &Stored) -> Result<(), Failure> {
    let event_type = ConsentWithdraw::ROW.event_type();
    let detail = json!({"request_id": stored.request.request_id, "connection_id": stored.request.connection_id});
    step.audit("app", &event_type, AuditOutcome::Success, detail)?;
    step.tell(Note {
        event_type,
        connection_id: Some(stored.request.connection_id),
        request_id: Some(stored.request.request_id),
        severity: Severity::Info,
        outcome: Outcome::Done,
        summary: format!("You took your consent back from {}", stored.display_name),
    })?;
    Ok(())
}

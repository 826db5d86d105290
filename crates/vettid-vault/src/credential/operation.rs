//! One `USE` of the credential, in two commits: the attempt is stored as counted before the password is evaluated, and the
//! effect is stored before the answer leaves (spec 2.7). Must never evaluate a password in the step that counts it.

use super::desk::Waiting;
use super::durable::Durable;
use super::{
    Issuer, alarm, answer_of, audit, forget_old, head, issuer, operation, put_issuer, put_operation, secrets, tell,
};
use crate::app::{self, Session};
use crate::failure::Failure;
use crate::manager::Event;
use crate::owner::{Outcomes, wrap};
use crate::recovery;
use crate::restore;
use crate::send;
use crate::step::Step;
use serde_json::{Value, json};
use vettid_core::credential::REPLACE_DEVICE;
use vettid_core::credential::issuer::Begin;
use vettid_core::credential::issuer::IssuerFailed;
use vettid_core::credential::issuer::operation::{Counted, Operation, Proven, Started, Verdict};
use vettid_core::credential::issuer::record::Refusal;
use vettid_wire::audit::Outcome as AuditOutcome;
use vettid_wire::credential::UseRequest;
use vettid_wire::envelope::InReplyTo;
use vettid_wire::event::{self, EventRow};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::id::OperationId;
use vettid_wire::json as vjson;
use vettid_wire::refusal::RefusalCode;

/// Takes up a `USE`. `None`: the attempt is counted in this commit, and [`compare`] answers after it.
pub fn begin(
    step: &mut Step<'_>,
    session: &Session,
    question: &InReplyTo,
    body: &Value,
) -> Result<Option<Outcomes>, Failure> {
    let Ok(request) = vjson::from_value::<UseRequest>(body.clone()) else {
        return Ok(Some(Err(RefusalCode::InvalidRequest)));
    };
    let Some(mut issuer) = issuer(&step.draft)? else {
        return Ok(Some(Err(RefusalCode::NotFound)));
    };
    if head::went_back(step, request.journal_head.as_ref()) && !restore::awaits_password(&step.draft)? {
        alarm(step, "Your app has seen later commits of this vault than it has: it was put back")?;
        audit(step, request.op_id, &request.action, AuditOutcome::Refused)?;
        return Ok(Some(Err(RefusalCode::Conflict)));
    }
    let recovers = recovery::is_candidate(&step.draft, session.key_id)?;
    let known = operation(&step.draft, request.op_id)?;
    // Whoever took the place already may ask again for the answer.
    if !recovers && request.action == REPLACE_DEVICE && known.is_none() {
        return Ok(Some(Err(RefusalCode::NotAllowed)));
    }
    if recovery::holds_action(step, &request.action)? {
        return Ok(Some(Err(RefusalCode::OnHold)));
    }
    let begun = if recovers {
        let newest = issuer.newest_operation().map(|id| operation(&step.draft, id)).transpose()?.flatten();
        issuer.begin_recovery(&step.clocks, &request, (known.as_ref(), newest.as_ref()))
    } else {
        issuer.begin(&step.clocks, &request, known.as_ref())
    };
    let begun = match begun {
        Err(IssuerFailed::Form(_)) => return Ok(Some(Err(RefusalCode::InvalidRequest))),
        begun => begun?,
    };
    match begun {
        Begin::Repeat => Ok(Some(stored_answer(known.as_ref())?)),
        Begin::Started(started) => {
            let operation = (request.op_id, request.action.clone());
            count(step, operation, &issuer, *started, |counted| Waiting {
                counted,
                session: session.key_id,
                question: question.clone(),
                request,
            })
        }
        Begin::Stale(operation) => {
            put_issuer(step, &issuer, Durable::Stale)?;
            put_operation(&mut step.draft, request.op_id, &operation)?;
            alarm(step, "An earlier copy of your credential was used")?;
            audit(step, request.op_id, &request.action, AuditOutcome::Refused)?;
            Ok(Some(stored_answer(Some(&operation))?))
        }
        Begin::Refused { refusal, answer, store } => {
            if store {
                put_issuer(step, &issuer, Durable::Waiting)?;
                audit(step, request.op_id, &request.action, AuditOutcome::Refused)?;
            }
            warn_of(step, refusal)?;
            Ok(Some(match answer {
                Some(answer) => Ok(vjson::parse_large(answer.expose())?),
                None => Err(code_of(refusal)),
            }))
        }
    }
}

/// The first commit; the password is evaluated after it.
fn count(
    step: &mut Step<'_>,
    (op_id, action): (OperationId, String),
    issuer: &Issuer,
    started: Started,
    waiting: impl FnOnce(Counted) -> Waiting,
) -> Result<Option<Outcomes>, Failure> {
    put_issuer(step, issuer, Durable::Counted)?;
    put_operation(&mut step.draft, op_id, &started.operation)?;
    let event_type = event::CredentialUse::ROW.event_type();
    let detail = json!({"op_id": op_id, "action": action, "attempt": issuer.record().attempts.total});
    step.audit("app", &event_type, AuditOutcome::Success, detail)?;
    let waiting = waiting(started.committed());
    if !step.desk.lay(waiting) {
        return Err(Failure::Retry);
    }
    step.afterwards.push(Event::Compare(op_id));
    Ok(None)
}

/// The attempt is stored: evaluates the password, carries out the action, and answers.
pub fn compare(step: &mut Step<'_>, op_id: OperationId) -> Result<(), Failure> {
    let Some(waiting) = step.desk.take(op_id) else {
        return Ok(());
    };
    let Some(mut issuer) = issuer(&step.draft)? else {
        return Ok(());
    };
    let Waiting { counted, request, session, question } = waiting;
    let known = operation(&step.draft, op_id)?;
    let recovers = recovery::is_candidate(&step.draft, session)?;
    let outcome = match evaluate(step, &mut issuer, known.as_ref(), counted, &request) {
        Ok((operation, is_right)) => {
            if is_right && !recovers {
                app::lift_limit(&mut step.draft, session)?;
            }
            put_issuer(step, &issuer, if is_right { Durable::Done } else { Durable::Failed })?;
            put_operation(&mut step.draft, op_id, &operation)?;
            forget_old(step, &issuer)?;
            stored_answer(Some(&operation))?
        }
        Err(Failure::Credential(IssuerFailed::Overtaken(_))) => Err(RefusalCode::Conflict),
        Err(failure) => return Err(failure),
    };
    // The app may have begun another session meanwhile; it asks again there.
    if app::session(&step.draft, session)?.is_none() {
        return Ok(());
    }
    let event_type = event::CredentialUse::ROW.event_type();
    send::to_app(step, session, &event_type, question.event_id, wrap(&outcome), Some(question))
}

fn evaluate(
    step: &mut Step<'_>,
    issuer: &mut Issuer,
    known: Option<&Operation>,
    counted: Counted,
    request: &UseRequest,
) -> Result<(Operation, bool), Failure> {
    match issuer.compare(counted, request)? {
        Verdict::Right(proven) => Ok((carry_out(step, issuer, known, *proven, request)?, true)),
        Verdict::Wrong(counted) => {
            let operation = issuer.fail(&step.clocks, known, &counted)?;
            let attempts = issuer.record().attempts.consecutive;
            let summary = format!("Wrong password for your credential, {attempts} in a row");
            tell(step, Severity::Alarm, Outcome::Refused(RefusalCode::Denied), summary)?;
            audit(step, request.op_id, &request.action, AuditOutcome::Failure)?;
            Ok((operation, false))
        }
    }
}

fn carry_out(
    step: &mut Step<'_>,
    issuer: &mut Issuer,
    known: Option<&Operation>,
    proven: Proven,
    request: &UseRequest,
) -> Result<Operation, Failure> {
    let done = secrets::act(step, &proven, request)?;
    let outcome = if done.refused { AuditOutcome::Refused } else { AuditOutcome::Success };
    let operation = issuer.finish(&step.clocks, step.rng, known, proven, done.effect)?;
    if done.replaces {
        recovery::replace(step)?;
    }
    if done.restores {
        restore::proved(step)?;
    }
    audit(step, request.op_id, &request.action, outcome)?;
    if let Some(summary) = done.summary {
        tell(step, Severity::Info, Outcome::Done, summary)?;
    }
    if let Some((scope, life, uses, opened)) = done.grant {
        step.desk.grants.add(&step.clocks, scope, life, uses, opened);
    }
    Ok(operation)
}

fn stored_answer(operation: Option<&Operation>) -> Result<Outcomes, Failure> {
    let answer = operation.map(answer_of).transpose()?.flatten();
    Ok(answer.ok_or(RefusalCode::Unavailable))
}

/// Refusals that hint at a copy or a rollback reach the owner's feed.
fn warn_of(step: &mut Step<'_>, refusal: Refusal) -> Result<(), Failure> {
    match refusal {
        Refusal::NeverIssued | Refusal::NotGenuine => {
            alarm(step, "A credential that this vault never issued was presented")
        }
        Refusal::OtherRequest => alarm(step, "An operation came again with other content"),
        _ => Ok(()),
    }
}

fn code_of(refusal: Refusal) -> RefusalCode {
    match refusal {
        Refusal::OtherRequest => RefusalCode::Conflict,
        Refusal::TooOld => RefusalCode::NotAvailable,
        Refusal::NotAuthorized | Refusal::WrongMode => RefusalCode::NotAllowed,
        _ => RefusalCode::InvalidRequest,
    }
}

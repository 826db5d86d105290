//! The owner's commands about agreements. Terms are named by their hash as they were shown, so that nobody approves others.

use super::lock::{self, member, use_permit};
use super::sign::{self, NewTerms};
use super::{Happened, Stored, about, code_of, ended_as, find, has_room, note, put, send_to, view};
use crate::connection::Connection;
use crate::failure::Failure;
use crate::step::Step;
use vettid_core::agreement::{Agreement, Message, State};
use vettid_crypto::kdf::h256;
use vettid_wire::agreement::{
    AgreementKind, AgreementRef, AgreementSide, AnswerMethod, AnswerTerms, CounterTerms, MAX_LIFE_MS, Need, Propose,
    Stepped, Terms,
};
use vettid_wire::auth::Decision;
use vettid_wire::digest::Digest;
use vettid_wire::event::{EventRow, RequestTerms, Row, TermsAnswer, TermsOutcome, TransactionTerms};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::id::AgreementId;
use vettid_wire::json;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

type Answered = Result<Result<Stepped, RefusalCode>, Failure>;

const OWNER: &str = "app";

/// Leaves a command with its refusal.
macro_rules! or_refuse {
    ($allowed:expr) => {
        match $allowed {
            Ok(value) => value,
            Err(code) => return Ok(Err(code)),
        }
    };
}

/// The row on which terms of a kind travel.
fn row_of(kind: AgreementKind) -> &'static Row {
    match kind {
        AgreementKind::Request => &RequestTerms::ROW,
        AgreementKind::Transaction => &TransactionTerms::ROW,
    }
}

/// `agreement.propose`: the same id with the same content is one proposal, however often it is asked for.
pub fn propose(step: &mut Step<'_>, asked: Propose) -> Answered {
    let proposed = Digest::from_bytes(h256(&json::canonical(&asked)?));
    if let Some(known) = find(&step.draft, asked.agreement_id)? {
        return if known.proposed == Some(proposed) { done(step, &known) } else { Ok(Err(RefusalCode::Conflict)) };
    }
    let connection = or_refuse!(member(step, asked.connection_id)?);
    or_refuse!(sound(step.now, &asked.terms, asked.expires_at));
    if !has_room(&step.draft, asked.connection_id)? {
        return Ok(Err(RefusalCode::RateLimited));
    }
    if let Some(need) = missing(step, &connection, AgreementSide::Proposer, (asked.agreement_id, &asked.terms))? {
        return Ok(Ok(Stepped::Missing(need)));
    }
    let Some(peer) = &connection.peer else { return Ok(Err(RefusalCode::NotConnected)) };
    use_permit(step, asked.agreement_id, &asked.terms)?;
    let new = NewTerms {
        agreement_id: asked.agreement_id,
        kind: asked.kind,
        round: 1,
        replaces: None,
        proposer: step.identity.key_record.fingerprint(),
        asked: peer.fingerprint,
        terms: asked.terms,
        expires_at: asked.expires_at,
    };
    let terms = sign::terms(step, new)?;
    let (machine, _) = Agreement::propose(asked.kind, terms.hash(), asked.expires_at);
    let stored = Stored {
        agreement_id: asked.agreement_id,
        connection_id: asked.connection_id,
        machine,
        terms: terms.get().clone(),
        before: None,
        answer: None,
        own_outcome: None,
        peer_outcome: None,
        proposed: Some(proposed),
    };
    send_terms(step, &connection, &stored, "You proposed to")
}

/// `agreement.counter`: other terms in the place of those that were shown.
pub fn counter(step: &mut Step<'_>, asked: CounterTerms) -> Answered {
    let Some(mut stored) = find(&step.draft, asked.agreement_id)? else { return Ok(Err(RefusalCode::NotFound)) };
    let connection = or_refuse!(member(step, stored.connection_id)?);
    or_refuse!(sound(step.now, &asked.terms, asked.expires_at));
    let shown = stored.hash()?;
    let mut machine = stored.machine;
    // The same terms once more, under another command.
    if machine.is_maker() && stored.terms.replaces == Some(asked.shown) && stored.terms.terms == asked.terms {
        return done(step, &stored);
    }
    let own = machine.side();
    if let Some(need) = missing(step, &connection, own, (asked.agreement_id, &asked.terms))? {
        return Ok(Ok(Stepped::Missing(need)));
    }
    let new = NewTerms {
        agreement_id: stored.agreement_id,
        kind: stored.terms.kind,
        round: stored.terms.round.saturating_add(1),
        replaces: Some(shown),
        proposer: stored.terms.proposer,
        asked: stored.terms.asked,
        terms: asked.terms,
        expires_at: asked.expires_at,
    };
    let terms = match machine.counter(step.now, asked.shown, shown, asked.expires_at) {
        Ok(_) => sign::terms(step, new)?,
        Err(refused) => return Ok(Err(code_of(refused))),
    };
    machine = stored.machine;
    or_refuse!(machine.counter(step.now, asked.shown, terms.hash(), asked.expires_at).map_err(code_of));
    use_permit(step, asked.agreement_id, &terms.get().terms)?;
    stored.before = Some(std::mem::replace(&mut stored.terms, terms.get().clone()));
    stored.machine = machine;
    send_terms(step, &connection, &stored, "You proposed other terms to")
}

fn send_terms(step: &mut Step<'_>, connection: &Connection, stored: &Stored, what: &str) -> Answered {
    put(step, stored)?;
    let row = row_of(stored.terms.kind);
    send_to(step, connection, row, &stored.terms)?;
    let (name, title) = about(connection, stored);
    let sentence = format!("{what} {name}: {title}");
    note(step, stored, Happened { actor: OWNER, row, outcome: Outcome::Done, severity: Severity::Info, sentence })?;
    done(step, stored)
}

/// `agreement.answer`: approves or denies the terms that were shown.
pub fn answer(step: &mut Step<'_>, asked: &AnswerTerms) -> Answered {
    let Some(stored) = find(&step.draft, asked.agreement_id)? else { return Ok(Err(RefusalCode::NotFound)) };
    if stored.machine.state() == State::Answered(asked.decision) && stored.hash()? == asked.shown {
        return done(step, &stored);
    }
    let connection = or_refuse!(member(step, stored.connection_id)?);
    let mut method = AnswerMethod::Owner;
    if asked.decision == Decision::Approve && stored.machine.is_to_answer(step.now) {
        let about = (asked.agreement_id, &stored.terms.terms);
        if let Some(need) = missing(step, &connection, stored.machine.side(), about)? {
            return Ok(Ok(Stepped::Missing(need)));
        }
        if use_permit(step, asked.agreement_id, &stored.terms.terms)? {
            method = AnswerMethod::Password;
        }
    }
    let stored = or_refuse!(give(step, &connection, stored, (asked.shown, asked.decision), (method, "You"))?);
    done(step, &stored)
}

/// Gives an answer of this side, by the owner or by a rule; `who` is what the feed calls them.
pub(super) fn give(
    step: &mut Step<'_>,
    connection: &Connection,
    mut stored: Stored,
    (shown, decision): (Digest, Decision),
    (method, who): (AnswerMethod, &str),
) -> Result<Result<Stored, RefusalCode>, Failure> {
    or_refuse!(stored.machine.answer(step.now, shown, decision).map_err(code_of));
    let answer = sign::answer(step, &stored, decision, method)?;
    stored.answer = Some(answer.clone());
    put(step, &stored)?;
    send_to(step, connection, &TermsAnswer::ROW, &answer)?;
    let (name, title) = about(connection, &stored);
    let (outcome, verb) = match decision {
        Decision::Approve => (Outcome::Approved, "approved"),
        Decision::Deny => (Outcome::Denied, "denied"),
    };
    let sentence = format!("{who} {verb} what {name} proposed: {title}");
    let actor = if method == AnswerMethod::Rule { "rule" } else { OWNER };
    note(step, &stored, Happened { actor, row: &TermsAnswer::ROW, outcome, severity: Severity::Info, sentence })?;
    Ok(Ok(stored))
}

/// `agreement.withdraw`: takes the owner's terms back.
pub fn withdraw(step: &mut Step<'_>, asked: &AgreementRef) -> Answered {
    let Some(mut stored) = find(&step.draft, asked.agreement_id)? else { return Ok(Err(RefusalCode::NotFound)) };
    let outcome = match stored.machine.withdraw() {
        Ok(Message::Outcome(_, outcome)) => outcome,
        Ok(_) => return Ok(Err(RefusalCode::NotAllowed)),
        Err(refused) => return Ok(Err(code_of(refused))),
    };
    let machine = stored.machine;
    let said = sign::outcome(step, &mut stored, machine, outcome)?;
    put(step, &stored)?;
    if let Some(connection) = crate::connection::get(&step.draft, stored.connection_id)? {
        send_to(step, &connection, &TermsOutcome::ROW, &said)?;
        let (name, title) = about(&connection, &stored);
        let (outcome, ended) = ended_as(outcome);
        let sentence = format!("{title} with {name} {ended}");
        let row = &TermsOutcome::ROW;
        note(step, &stored, Happened { actor: OWNER, row, outcome, severity: Severity::Info, sentence })?;
    }
    done(step, &stored)
}

fn done(step: &Step<'_>, stored: &Stored) -> Answered {
    Ok(Ok(Stepped::Done(Box::new(view::of(step, stored)?))))
}

fn missing(
    step: &Step<'_>,
    connection: &Connection,
    own: AgreementSide,
    about: (AgreementId, &Terms),
) -> Result<Option<Need>, Failure> {
    Ok(lock::needs(step, connection, own, about)?.into_iter().next())
}

fn sound(now: Timestamp, terms: &Terms, expires_at: Timestamp) -> Result<(), RefusalCode> {
    if expires_at <= now {
        return Err(RefusalCode::Expired);
    }
    let sound = terms.check().is_ok() && expires_at.since_ms(now) <= MAX_LIFE_MS;
    if sound { Ok(()) } else { Err(RefusalCode::InvalidRequest) }
}

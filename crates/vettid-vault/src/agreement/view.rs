//! Agreements as the owner sees them.

use super::{Stored, all, find, lock};
use crate::connection;
use crate::failure::Failure;
use crate::step::Step;
use vettid_core::agreement::State;
use vettid_handlers::shown;
use vettid_wire::agreement::{
    AgreementList, AgreementOutcome, AgreementRecord, AgreementRef, AgreementSummary, AgreementView, ListAgreements,
    MAX_LISTED, Standing, title,
};
use vettid_wire::id::ConnectionId;
use vettid_wire::refusal::RefusalCode;

/// `agreement.list`: agreements, newest first.
pub fn list(step: &Step<'_>, asked: &ListAgreements) -> Result<Result<AgreementList, RefusalCode>, Failure> {
    let mut found = all(&step.draft)?;
    found.retain(|stored| asked.kind.is_none_or(|kind| stored.machine.kind() == kind));
    // Ids begin with the time at which they were made, by somebody's clock.
    found.sort_by_key(|stored| (stored.terms.made_at, stored.agreement_id));
    let limit = usize::try_from(asked.limit.min(MAX_LISTED)).unwrap_or(0);
    let agreements = found.iter().rev().take(limit).map(|stored| summary(step, stored));
    Ok(Ok(AgreementList { agreements: agreements.collect::<Result<_, _>>()? }))
}

/// `agreement.get`: one agreement.
pub fn get(step: &Step<'_>, asked: &AgreementRef) -> Result<Result<AgreementView, RefusalCode>, Failure> {
    match find(&step.draft, asked.agreement_id)? {
        Some(stored) => Ok(Ok(of(step, &stored)?)),
        None => Ok(Err(RefusalCode::NotFound)),
    }
}

/// `agreement.export`: the record.
pub fn export(step: &Step<'_>, asked: &AgreementRef) -> Result<Result<AgreementRecord, RefusalCode>, Failure> {
    let Some(stored) = find(&step.draft, asked.agreement_id)? else { return Ok(Err(RefusalCode::NotFound)) };
    Ok(stored.record().ok_or(RefusalCode::NotAvailable))
}

fn summary(step: &Step<'_>, stored: &Stored) -> Result<AgreementSummary, Failure> {
    Ok(AgreementSummary {
        agreement_id: stored.agreement_id,
        connection_id: stored.connection_id,
        display_name: name(step, stored.connection_id)?,
        kind: stored.machine.kind(),
        title: title(stored.terms.kind, &stored.terms.terms),
        round: stored.terms.round,
        standing: standing(step, stored),
        expires_at: stored.terms.expires_at,
    })
}

/// One agreement, with what is missing before the owner may approve.
pub(super) fn of(step: &Step<'_>, stored: &Stored) -> Result<AgreementView, Failure> {
    let standing = standing(step, stored);
    let found = connection::get(&step.draft, stored.connection_id)?;
    let needs = match found.filter(|_| standing == Standing::ToAnswer) {
        Some(connection) => {
            let about = (stored.agreement_id, &stored.terms.terms);
            lock::needs(step, &connection, stored.machine.side(), about)?
        }
        None => vec![],
    };
    Ok(AgreementView {
        agreement_id: stored.agreement_id,
        connection_id: stored.connection_id,
        display_name: name(step, stored.connection_id)?,
        kind: stored.machine.kind(),
        side: stored.machine.side(),
        round: stored.terms.round,
        terms: stored.terms.terms.clone(),
        displayed: stored.terms.displayed.clone(),
        terms_hash: stored.hash()?,
        made_at: stored.terms.made_at,
        expires_at: stored.terms.expires_at,
        standing,
        needs,
        has_record: stored.record().is_some(),
    })
}

fn standing(step: &Step<'_>, stored: &Stored) -> Standing {
    match stored.machine.state() {
        State::Open if stored.machine.is_maker() => Standing::Waits,
        State::Open if stored.machine.is_to_answer(step.now) => Standing::ToAnswer,
        State::Open => Standing::Over,
        State::Answered(_) => Standing::Answered,
        State::Ended(AgreementOutcome::Approved) => Standing::Approved,
        State::Ended(AgreementOutcome::Denied) => Standing::Denied,
        State::Ended(AgreementOutcome::Expired) => Standing::Expired,
        State::Ended(AgreementOutcome::Withdrawn) => Standing::Withdrawn,
    }
}

fn name(step: &Step<'_>, id: ConnectionId) -> Result<String, Failure> {
    let found = connection::get(&step.draft, id)?;
    Ok(found.map_or_else(|| id.to_string(), |connection| shown::name(&connection.display_name)))
}

//! Parts of agreements that arrive from the other side. What is not signed by the keys that its identity certifies, or does not
//! belong to what this side has, changes nothing.

use super::command::give;
use super::{Happened, Stored, about, code_of, ended_as, find, has_room, note, put, send_to, sign};
use crate::connection::Connection;
use crate::failure::Failure;
use crate::peer::{MAX_SKEW_MS, actor};
use crate::rule::ruling::Ruling;
use crate::step::Step;
use serde_json::Value;
use vettid_core::agreement::{Agreement, Message, State, Terms as MachineTerms};
use vettid_crypto::agreement::{VerifiedTerms, verify_answer, verify_outcome, verify_terms};
use vettid_wire::agreement::{AgreementKind, AgreementSide, AnswerMethod, SignedAnswer, SignedOutcome, SignedTerms};
use vettid_wire::event::{EventRow, RequestTerms, Row, TermsAnswer, TermsOutcome, TransactionTerms};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::id::AgreementId;
use vettid_wire::json as vjson;
use vettid_wire::key_record::KeyRecord;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

type Taken = Result<Result<(), RefusalCode>, Failure>;

/// Leaves an event with its refusal.
macro_rules! or_refuse {
    ($allowed:expr) => {
        match $allowed {
            Ok(value) => value,
            Err(code) => return Ok(Err(code)),
        }
    };
}

/// A part that builds on one that has not arrived comes again for so long after it was sealed, in milliseconds (ten minutes).
const EARLY_MS: i64 = 10 * 60 * 1000;
/// And so far apart, in milliseconds.
const EARLY_AGAIN_MS: i64 = 10_000;

/// Takes up one part, which the other side sealed at this time.
pub fn receive(
    step: &mut Step<'_>,
    connection: &Connection,
    (row, sealed_at): (&Row, Timestamp),
    body: Value,
    ruling: &Ruling,
) -> Taken {
    let taken = take(step, connection, row, body, ruling)?;
    // What it builds on may have been overtaken. The other side said it once and will not say it again by itself.
    if taken == Err(RefusalCode::NotFound) && step.now.since_ms(sealed_at) < EARLY_MS {
        return Err(Failure::Wait(EARLY_AGAIN_MS));
    }
    Ok(taken)
}

fn take(step: &mut Step<'_>, connection: &Connection, row: &Row, body: Value, ruling: &Ruling) -> Taken {
    match row.name {
        name if name == RequestTerms::ROW.name => terms(step, connection, (AgreementKind::Request, row), body, ruling),
        name if name == TransactionTerms::ROW.name => {
            terms(step, connection, (AgreementKind::Transaction, row), body, ruling)
        }
        name if name == TermsAnswer::ROW.name => answer(step, connection, body),
        name if name == TermsOutcome::ROW.name => outcome(step, connection, body),
        _ => Ok(Err(RefusalCode::UnsupportedEvent)),
    }
}

fn terms(
    step: &mut Step<'_>,
    connection: &Connection,
    (kind, row): (AgreementKind, &Row),
    body: Value,
    ruling: &Ruling,
) -> Taken {
    let Ok(received) = vjson::from_value::<SignedTerms>(body) else { return Ok(Err(RefusalCode::InvalidRequest)) };
    let Ok(received) = verify_terms(received) else { return Ok(Err(RefusalCode::InvalidRequest)) };
    let of_this_kind = received.get().kind == kind && received.get().made_at <= step.now.plus_ms(MAX_SKEW_MS);
    if !of_this_kind || !is_between(step, connection, &received) {
        return Ok(Err(RefusalCode::NotAllowed));
    }
    let known = or_refuse!(of_connection(step, connection, received.get().agreement_id)?);
    let stored = match known {
        None => or_refuse!(begin(step, connection, received)?),
        Some(stored) => match or_refuse!(replace(step, connection, stored, received)?) {
            Some(stored) => stored,
            None => return Ok(Ok(())),
        },
    };
    put(step, &stored)?;
    tell_terms(step, connection, &stored, row)?;
    ruling.count(step)?;
    let hash = stored.hash()?;
    if let Some((decision, ruled)) = ruling.answer()
        && stored.machine.is_to_answer(step.now)
    {
        let names: Vec<_> = ruled.rules.iter().map(ToString::to_string).collect();
        let who = format!("Your rule {}", names.join(", "));
        or_refuse!(give(step, connection, stored, (hash, decision), (AnswerMethod::Rule, &who))?);
    }
    Ok(Ok(()))
}

fn tell_terms(step: &mut Step<'_>, connection: &Connection, stored: &Stored, row: &Row) -> Result<(), Failure> {
    let (name, title) = about(connection, stored);
    let what = if stored.terms.round == 1 { "proposes" } else { "proposes other terms" };
    let sentence = format!("{name} {what}: {title}");
    let actor = actor(connection);
    note(step, stored, Happened { actor: &actor, row, outcome: Outcome::Pending, severity: Severity::Notice, sentence })
}

/// The first terms of an agreement.
fn begin(
    step: &Step<'_>,
    connection: &Connection,
    received: VerifiedTerms,
) -> Result<Result<Stored, RefusalCode>, Failure> {
    let terms = received.get().clone();
    let machine = or_refuse!(Agreement::receive_proposal(terms.kind, of_machine(&received)).map_err(code_of));
    if terms.expires_at <= step.now {
        return Ok(Err(RefusalCode::Expired));
    }
    if !has_room(&step.draft, connection.connection_id)? {
        return Ok(Err(RefusalCode::RateLimited));
    }
    Ok(Ok(Stored {
        agreement_id: terms.agreement_id,
        connection_id: connection.connection_id,
        machine,
        terms,
        before: None,
        answer: None,
        own_outcome: None,
        peer_outcome: None,
        proposed: None,
    }))
}

/// Terms of an agreement that goes on; `None` if they are not new.
fn replace(
    step: &mut Step<'_>,
    connection: &Connection,
    mut stored: Stored,
    received: VerifiedTerms,
) -> Result<Result<Option<Stored>, RefusalCode>, Failure> {
    let (round, own_hash) = (received.get().round, stored.hash()?);
    if round == stored.terms.round {
        let same = received.hash() == own_hash;
        return Ok(if same { Ok(None) } else { Err(RefusalCode::Conflict) });
    }
    let follows = round != stored.terms.round.saturating_add(1)
        || (received.get().replaces == Some(own_hash)
            && received.get().proposer == stored.terms.proposer
            && received.get().asked == stored.terms.asked);
    if !follows {
        return Ok(Err(RefusalCode::Conflict));
    }
    let message = Message::Terms(of_machine(&received));
    let reply = or_refuse!(stored.machine.receive(step.now, message).map_err(code_of));
    if stored.machine.terms().hash == received.hash() {
        stored.before = Some(std::mem::replace(&mut stored.terms, received.get().clone()));
        return Ok(Ok(Some(stored)));
    }
    reply_with(step, connection, stored, reply)?;
    Ok(Ok(None))
}

fn answer(step: &mut Step<'_>, connection: &Connection, body: Value) -> Taken {
    let Ok(received) = vjson::from_value::<SignedAnswer>(body) else { return Ok(Err(RefusalCode::InvalidRequest)) };
    let Some(mut stored) = or_refuse!(of_connection(step, connection, received.agreement_id)?) else {
        return Ok(Err(RefusalCode::NotFound));
    };
    if received.round != stored.terms.round {
        return Ok(Err(RefusalCode::Conflict));
    }
    let genuine = is_of_peer(connection, &received.key_record)
        && received.answered_at <= step.now.plus_ms(MAX_SKEW_MS)
        && verify_answer(&stored.verified()?, &received).is_ok();
    if !genuine {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    let message = Message::Answer(received.round, received.terms_hash, received.decision);
    let before = stored.machine.state();
    let reply = or_refuse!(stored.machine.receive(step.now, message).map_err(code_of));
    if before != stored.machine.state() {
        stored.answer = Some(received);
    }
    reply_with(step, connection, stored, reply)?;
    Ok(Ok(()))
}

/// Sends what the machine says in return, and tells the owner if it has just ended.
fn reply_with(
    step: &mut Step<'_>,
    connection: &Connection,
    mut stored: Stored,
    reply: Option<Message>,
) -> Result<(), Failure> {
    let Some(Message::Outcome(_, outcome)) = reply else { return Ok(()) };
    let is_new = stored.own_outcome.is_none();
    let machine = stored.machine;
    let said = sign::outcome(step, &mut stored, machine, outcome)?;
    put(step, &stored)?;
    send_to(step, connection, &TermsOutcome::ROW, &said)?;
    if is_new { tell_end(step, connection, &stored) } else { Ok(()) }
}

fn outcome(step: &mut Step<'_>, connection: &Connection, body: Value) -> Taken {
    let Ok(received) = vjson::from_value::<SignedOutcome>(body) else { return Ok(Err(RefusalCode::InvalidRequest)) };
    let Some(mut stored) = or_refuse!(of_connection(step, connection, received.agreement_id)?) else {
        return Ok(Err(RefusalCode::NotFound));
    };
    let of_latest = received.round == stored.terms.round;
    let before = stored.before.as_ref().filter(|before| before.round == received.round);
    let terms = if of_latest {
        stored.verified()?
    } else {
        let Some(before) = before else { return Ok(Err(RefusalCode::NotFound)) };
        verify_terms(before.clone())?
    };
    let answer = stored.answer.as_ref().filter(|_| of_latest);
    let genuine = is_of_peer(connection, &received.key_record) && verify_outcome(&terms, answer, &received).is_ok();
    if !genuine {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    let state = stored.machine.state();
    let message = Message::Outcome(received.round, received.outcome);
    or_refuse!(stored.machine.receive(step.now, message).map_err(code_of));
    if state == stored.machine.state() {
        return Ok(Ok(()));
    }
    stored.peer_outcome = Some(received);
    put(step, &stored)?;
    tell_end(step, connection, &stored)?;
    Ok(Ok(()))
}

fn tell_end(step: &mut Step<'_>, connection: &Connection, stored: &Stored) -> Result<(), Failure> {
    let State::Ended(outcome) = stored.machine.state() else { return Ok(()) };
    let (name, title) = about(connection, stored);
    let (outcome, ended) = ended_as(outcome);
    let sentence = format!("{title} with {name} {ended}");
    let actor = actor(connection);
    let row = &TermsOutcome::ROW;
    note(step, stored, Happened { actor: &actor, row, outcome, severity: Severity::Notice, sentence })
}

fn of_machine(terms: &VerifiedTerms) -> MachineTerms {
    MachineTerms { round: terms.get().round, hash: terms.hash(), expires_at: terms.get().expires_at }
}

/// The agreement of this id, if it is with this connection: nobody reaches that of somebody else.
fn of_connection(
    step: &Step<'_>,
    connection: &Connection,
    id: AgreementId,
) -> Result<Result<Option<Stored>, RefusalCode>, Failure> {
    let found = find(&step.draft, id)?;
    let is_other = found.as_ref().is_some_and(|stored| stored.connection_id != connection.connection_id);
    Ok(if is_other { Err(RefusalCode::Conflict) } else { Ok(found) })
}

/// Made by the peer of this connection, for the owner of this vault.
fn is_between(step: &Step<'_>, connection: &Connection, terms: &VerifiedTerms) -> bool {
    let maker = AgreementSide::maker(terms.get().round);
    let other = AgreementSide::maker(terms.get().round.saturating_add(1));
    let is_peer = connection.peer.as_ref().is_some_and(|peer| peer.fingerprint == terms.identity(maker));
    is_peer
        && terms.identity(other) == step.identity.key_record.fingerprint()
        && is_of_peer(connection, &terms.get().key_record)
}

/// A key record that the peer showed earlier, or a later one; never one that it has replaced.
fn is_of_peer(connection: &Connection, record: &KeyRecord) -> bool {
    let known = connection.peer.as_ref().map(|peer| &peer.profile.key_record);
    known.is_some_and(|known| {
        record.identity_key == known.identity_key
            && record.guid == known.guid
            && (record.sequence > known.sequence || record == known)
    })
}

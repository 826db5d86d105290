//! Requests and transactions with connected members: the state machine of the core with its signed parts, as stored. An
//! agreement stays after its connection ended; nothing is signed or sent then any more.

use crate::connection::Connection;
use crate::failure::Failure;
use crate::feed::Note;
use crate::projection::{Draft, UnreadableState};
use crate::send;
use crate::step::Step;
use serde::{Deserialize, Serialize};
use serde_json::json;
use vettid_core::agreement::{Agreement, Refused, State};
use vettid_crypto::agreement::{AgreementError, VerifiedTerms, terms_hash, verify_terms};
use vettid_handlers::shown;
use vettid_wire::agreement::{AgreementOutcome, AgreementRecord, SignedAnswer, SignedOutcome, SignedTerms, title};
use vettid_wire::audit::Outcome as AuditOutcome;
use vettid_wire::digest::Digest;
use vettid_wire::event::Row;
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::id::{AgreementId, ConnectionId};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

pub mod command;
pub mod lapse;
pub mod lock;
pub mod peer;
mod sign;
mod view;

pub use view::{export, get, list};

const PREFIX: &str = "agreement/";
const OPEN: &str = "agreement_open/";
/// Most agreements of one connection that have not ended.
pub const MAX_OPEN: usize = 64;
/// What ended without a record, or was never answered, is forgotten so long after its time, in milliseconds (30 days): what a
/// vault could not deliver is given up then, too.
const KEEP_MS: i64 = 30 * 24 * 3600 * 1000;

/// One agreement.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Stored {
    /// The agreement.
    pub agreement_id: AgreementId,
    /// With whom.
    pub connection_id: ConnectionId,
    /// Where this side stands.
    pub machine: Agreement,
    /// The latest terms.
    pub terms: SignedTerms,
    /// The terms that they replaced.
    pub before: Option<SignedTerms>,
    /// The answer to the latest terms, of whichever side.
    pub answer: Option<SignedAnswer>,
    /// How terms of this side ended.
    pub own_outcome: Option<SignedOutcome>,
    /// How terms of the other side ended.
    pub peer_outcome: Option<SignedOutcome>,
    /// Hash of the owner's command that began it.
    pub proposed: Option<Digest>,
}

/// What time has to do with an agreement.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Due {
    agreement_id: AgreementId,
    connection_id: ConnectionId,
    ended: bool,
    then: Then,
    at: Timestamp,
}

/// What is done when the time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Then {
    /// The terms of this side end.
    Lapse,
    /// Nothing came of it, or nobody will say what: it is forgotten.
    Forget,
    /// Only the other side can say how it ended.
    Wait,
}

impl Stored {
    /// The latest terms, checked again.
    fn verified(&self) -> Result<VerifiedTerms, AgreementError> {
        verify_terms(self.terms.clone())
    }

    /// Names the latest terms.
    fn hash(&self) -> Result<Digest, AgreementError> {
        terms_hash(&self.terms)
    }

    /// The record, once both sides have said everything.
    fn record(&self) -> Option<AgreementRecord> {
        let outcomes = [&self.own_outcome, &self.peer_outcome].into_iter().flatten();
        let decided = outcomes.into_iter().find(|outcome| outcome.answer_hash.is_some())?;
        let answer = self.answer.clone()?;
        vettid_crypto::agreement::assemble(self.terms.clone(), answer, decided.clone()).ok()
    }
}

/// The agreement of this id.
fn find(draft: &Draft<'_>, id: AgreementId) -> Result<Option<Stored>, UnreadableState> {
    draft.get(&format!("{PREFIX}{id}"))
}

fn all(draft: &Draft<'_>) -> Result<Vec<Stored>, UnreadableState> {
    draft.values(PREFIX)
}

/// Stores an agreement as it is now, and when time has to do with it again.
fn put(step: &mut Step<'_>, stored: &Stored) -> Result<(), UnreadableState> {
    let id = stored.agreement_id;
    step.draft.put(format!("{PREFIX}{id}"), stored)?;
    let ended = matches!(stored.machine.state(), State::Ended(_));
    if ended && stored.record().is_some() {
        step.draft.remove(&format!("{OPEN}{id}"));
        return Ok(());
    }
    let (expires_at, connection_id) = (stored.terms.expires_at, stored.connection_id);
    let (then, at) = match stored.machine.state() {
        State::Ended(_) => (Then::Forget, step.now.max(expires_at).plus_ms(KEEP_MS)),
        State::Open if stored.machine.is_maker() => (Then::Lapse, expires_at),
        State::Open => (Then::Forget, expires_at.plus_ms(KEEP_MS)),
        State::Answered(_) => (Then::Wait, expires_at),
    };
    step.draft.put(format!("{OPEN}{id}"), &Due { agreement_id: id, connection_id, ended, then, at })
}

/// Whether one more agreement may begin on a connection.
fn has_room(draft: &Draft<'_>, id: ConnectionId) -> Result<bool, UnreadableState> {
    let due: Vec<Due> = draft.values(OPEN)?;
    Ok(due.iter().filter(|due| due.connection_id == id && !due.ended).count() < MAX_OPEN)
}

/// What a refusal of the state machine is to whoever asked.
fn code_of(refused: Refused) -> RefusalCode {
    match refused {
        Refused::Decided | Refused::NotTheTerms => RefusalCode::Conflict,
        Refused::Expired => RefusalCode::Expired,
        Refused::Early => RefusalCode::NotFound,
        Refused::Fixed | Refused::Nonsense => RefusalCode::NotAllowed,
    }
}

/// Sends a part to the other side.
fn send_to(step: &mut Step<'_>, connection: &Connection, row: &Row, part: &impl Serialize) -> Result<(), Failure> {
    if connection.is_active() {
        send::to_peer(step, connection, row, part, None)?;
    }
    Ok(())
}

/// What happened to an agreement.
struct Happened<'h> {
    actor: &'h str,
    row: &'h Row,
    outcome: Outcome,
    severity: Severity,
    /// Follows the name of the other side or "You".
    sentence: String,
}

/// Tells the owner, and writes into the audit chain which terms it was about.
fn note(step: &mut Step<'_>, stored: &Stored, happened: Happened<'_>) -> Result<(), Failure> {
    let detail = json!({"agreement_id": stored.agreement_id, "round": stored.terms.round, "terms_hash": stored.hash()?,
        "said": happened.sentence});
    let event_type = happened.row.event_type();
    step.audit(happened.actor, &event_type, AuditOutcome::Success, detail)?;
    step.tell(Note {
        event_type,
        connection_id: Some(stored.connection_id),
        request_id: None,
        severity: happened.severity,
        outcome: happened.outcome,
        summary: happened.sentence,
    })?;
    Ok(())
}

/// The first line of the latest terms, and with whom.
fn about(connection: &Connection, stored: &Stored) -> (String, String) {
    (shown::name(&connection.display_name), title(stored.terms.kind, &stored.terms.terms))
}

fn ended_as(outcome: AgreementOutcome) -> (Outcome, &'static str) {
    match outcome {
        AgreementOutcome::Approved => (Outcome::Approved, "was approved by both sides"),
        AgreementOutcome::Denied => (Outcome::Denied, "was denied"),
        AgreementOutcome::Expired => (Outcome::Refused(RefusalCode::Expired), "expired without an answer in time"),
        AgreementOutcome::Withdrawn => (Outcome::Done, "was taken back"),
    }
}

/// After a restore nothing that the owner gave leave for ahead of time still holds: it may have been used up or taken back.
pub fn forget_leave(step: &mut Step<'_>) {
    lock::forget_all(step);
}

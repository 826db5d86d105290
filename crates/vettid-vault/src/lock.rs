//! The owner's commands about the lock of the vault at rest (decision 0105). The vault decides and writes it down; the
//! lock itself is its host's, who learns what is wished after the commit. No unlock key is ever seen here.

use crate::failure::Failure;
use crate::feed::Note;
use crate::projection::{Draft, UnreadableState};
use crate::step::Step;
use serde::{Deserialize, Serialize};
use serde_json::json;
use vettid_crypto::unlock::Permit;
use vettid_wire::audit::Outcome;
use vettid_wire::base64::Base64;
use vettid_wire::event::{EventRow, EventType, Nothing, UnlockAttempt, VaultLock, VaultLockSetup};
use vettid_wire::feed::{Outcome as FeedOutcome, Severity};
use vettid_wire::key::TypedKey;
use vettid_wire::lock::{AutoLock, LockPermit, LockSettings, MAX_IDLE_MINUTES, SealerKind};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

/// How long a permit is good for, in milliseconds.
pub const PERMIT_LIFE_MS: i64 = 2 * 60_000;
const AUTO: &str = "lock/auto";
const LAST: &str = "lock/last";
const PERMITTED: &str = "lock/permitted";

/// What host and vault tell each other about the lock.
#[derive(Debug, Default)]
pub struct LockDesk {
    /// The key of the unlock lane; absent where the host has none.
    pub lane_key: Option<TypedKey>,
    /// When that key was made, where it is recorded.
    pub lane_made_at: Option<Timestamp>,
    /// When the key was made that seals what is stored, where it is recorded.
    pub storage_made_at: Option<Timestamp>,
    /// Whether a lock is set.
    pub is_set: bool,
    /// What seals the secrets of the host, where it says so.
    pub sealer: Option<SealerKind>,
    /// What is wished of the host once the commit is made.
    pub wishes: Vec<Wish>,
    /// Whether the owner commanded something since the host last looked.
    pub owner_was_here: bool,
}

/// What a vault wishes of its host.
#[derive(Debug)]
pub enum Wish {
    /// To let this permit change the lock once.
    Permit(Permit),
    /// To be locked now.
    Lock,
}

/// What a host tells its vault about the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// The member unlocked it, after so many wrong keys.
    Unlocked {
        /// Since the last right one.
        wrong: u32,
    },
    /// The lock was set or changed, after so many wrong keys.
    Changed {
        /// Since the last right one.
        wrong: u32,
    },
    /// The owner was away for as long as was set: the vault is about to be locked.
    Idle,
}

/// Stored so that each lock and each permit is part of a commit, with its audit entry.
#[derive(Debug, Serialize, Deserialize)]
struct At {
    at: Timestamp,
}

/// Locks the vault as soon as the answer is sent.
pub fn lock(step: &mut Step<'_>) -> Result<Result<Nothing, RefusalCode>, Failure> {
    if !step.lock.is_set {
        return Ok(Err(RefusalCode::NotAvailable));
    }
    step.draft.put(LAST.into(), &At { at: step.now })?;
    step.lock.wishes.push(Wish::Lock);
    Ok(Ok(Nothing {}))
}

/// Gives leave to set or change the lock.
pub fn setup(step: &mut Step<'_>) -> Result<Result<LockPermit, RefusalCode>, Failure> {
    let Some(lane_key) = step.lock.lane_key.clone() else {
        return Ok(Err(RefusalCode::Unavailable));
    };
    let permit = Permit::random(step.rng);
    let reply =
        LockPermit { lane_key, permit: Base64::new(*permit.expose()), expires_at: step.now.plus_ms(PERMIT_LIFE_MS) };
    step.draft.put(PERMITTED.into(), &At { at: step.now })?;
    step.lock.wishes.push(Wish::Permit(permit));
    Ok(Ok(reply))
}

/// Sets after which idle time the vault locks itself.
pub fn auto(step: &mut Step<'_>, asked: &AutoLock) -> Result<Result<AutoLock, RefusalCode>, Failure> {
    if asked.idle_minutes.is_some_and(|minutes| !(1..=MAX_IDLE_MINUTES).contains(&minutes)) {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    step.draft.put(AUTO.into(), asked)?;
    Ok(Ok(asked.clone()))
}

/// After how many minutes without a command the vault is to be locked.
pub fn idle_minutes(draft: &Draft<'_>) -> Result<Option<u32>, UnreadableState> {
    Ok(draft.get::<AutoLock>(AUTO)?.and_then(|auto| auto.idle_minutes))
}

/// How the lock is set up.
pub fn settings(step: &Step<'_>) -> Result<LockSettings, UnreadableState> {
    let (is_set, sealer) = (step.lock.is_set, step.lock.sealer);
    Ok(LockSettings { is_set, idle_minutes: idle_minutes(&step.draft)?, sealer })
}

/// Writes down what happened to the lock.
pub fn news(step: &mut Step<'_>, news: News) -> Result<(), Failure> {
    let (event_type, wrong, summary) = match news {
        News::Unlocked { wrong } => (UnlockAttempt::ROW.event_type(), wrong, "Your vault was unlocked"),
        News::Changed { wrong } => (VaultLockSetup::ROW.event_type(), wrong, "The lock of your vault was changed"),
        News::Idle => (VaultLock::ROW.event_type(), 0, "Your vault locked itself, because you were away"),
    };
    if news == News::Idle {
        step.draft.put(LAST.into(), &At { at: step.now })?;
    }
    step.audit("host", &event_type, Outcome::Success, json!({"wrong": wrong}))?;
    tell(step, event_type, wrong, summary)
}

fn tell(step: &mut Step<'_>, event_type: EventType, wrong: u32, summary: &str) -> Result<(), Failure> {
    let (severity, tail) = match wrong {
        0 => (Severity::Notice, String::new()),
        1 => (Severity::Alarm, ", after one wrong PIN or password".to_owned()),
        many => (Severity::Alarm, format!(", after {many} wrong PINs or passwords")),
    };
    step.tell(Note {
        event_type,
        connection_id: None,
        request_id: None,
        severity,
        outcome: FeedOutcome::Done,
        summary: format!("{summary}{tail}"),
    })?;
    Ok(())
}

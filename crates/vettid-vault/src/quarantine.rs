//! The quarantine: messages that the vault could not handle time after time, sealed as they came. Nothing here ever runs by
//! itself, and nothing that is kept makes room for something else (docs/decisions/0095).

use crate::failure::Failure;
use crate::feed::Note;
use crate::projection::{Draft, UnreadableState, numbered};
use crate::step::Step;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use vettid_crypto::kdf::h256;
use vettid_wire::audit::Outcome as AuditOutcome;
use vettid_wire::base64::{Base64, Base64Url};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::subject::Subject;

/// Most messages in quarantine.
pub const MOST: u64 = 256;
/// Most bytes in quarantine, all messages together.
pub const MOST_BYTES: u64 = 4 << 20;
/// Most bytes of one message: it has to fit into one journal record.
pub const MOST_BYTES_OF_ONE: usize = 256 << 10;

const COUNTER: &str = "quarantine";
const PREFIX: &str = "quarantine/";
const SIZE: &str = "quarantine_size";

/// What is in quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Size {
    /// Messages.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whether the owner was told that there is no room for more.
    pub is_told: bool,
}

/// How much is in quarantine.
pub fn size(draft: &Draft<'_>) -> Result<Size, UnreadableState> {
    Ok(draft.get(SIZE)?.unwrap_or_default())
}

/// The messages in quarantine, oldest first.
pub fn all(draft: &Draft<'_>) -> Result<Vec<(Subject, Base64)>, UnreadableState> {
    draft.values(PREFIX)
}

/// Whether these very bytes are in quarantine. They may come again if the broker did not hear that they are kept.
pub fn holds(draft: &Draft<'_>, bytes: &[u8]) -> Result<bool, UnreadableState> {
    Ok(size(draft)?.messages > 0 && draft.has(&hash_key(bytes)))
}

fn hash_key(bytes: &[u8]) -> String {
    format!("quarantined/{}", Base64Url::new(h256(bytes)))
}

/// Keeps a message. Without room it stays out, its size unchanged, and the owner is told once.
pub fn keep(step: &mut Step<'_>, subject: &Subject, bytes: &[u8]) -> Result<(), Failure> {
    let before = size(&step.draft)?;
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let after = Size { messages: before.messages + 1, bytes: before.bytes.saturating_add(length), ..before };
    if bytes.len() > MOST_BYTES_OF_ONE || after.messages > MOST || after.bytes > MOST_BYTES {
        return no_room(step, before);
    }
    let number = step.draft.count(COUNTER)?;
    step.draft.put(numbered(PREFIX, number), &(subject, Base64::new(bytes)))?;
    step.draft.put(hash_key(bytes), &number)?;
    step.draft.put(SIZE.into(), &after)?;
    tell(step, json!({"number": number}), "A message could not be handled; it is kept and has no effect")
}

fn no_room(step: &mut Step<'_>, size: Size) -> Result<(), Failure> {
    if size.is_told {
        return Ok(());
    }
    step.draft.put(SIZE.into(), &Size { is_told: true, ..size })?;
    tell(step, json!({"full": true}), "A message can be neither handled nor kept apart; it waits at the broker")
}

fn tell(step: &mut Step<'_>, detail: Value, summary: &str) -> Result<(), Failure> {
    let Ok(event_type) = "event.quarantined".parse() else {
        return Ok(());
    };
    step.audit("vault", &event_type, AuditOutcome::Failure, detail)?;
    step.tell(Note {
        event_type,
        connection_id: None,
        request_id: None,
        severity: Severity::Alarm,
        outcome: Outcome::Refused(RefusalCode::Unavailable),
        summary: summary.into(),
    })?;
    Ok(())
}

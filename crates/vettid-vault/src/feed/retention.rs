//! The owner's policy for old entries, and carrying it out as time goes by.

use super::catalogue::view;
use super::marks;
use crate::failure::Failure;
use crate::projection::UnreadableState;
use crate::step::Step;
use serde_json::json;
use vettid_core::feed::due;
use vettid_wire::audit::Outcome as AuditOutcome;
use vettid_wire::event::{EventRow, FeedPolicy as Row};
use vettid_wire::feed::{FeedPolicy, SetFeedPolicy};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

const POLICY: &str = "feed_policy";
/// When everything that was due had been done.
const TIDIED_AT: &str = "feed_tidied_at";
/// The feed is looked through this seldom, in milliseconds (one day).
const EVERY_MS: i64 = 24 * 3600 * 1000;
/// Most entries that one tick archives or removes: a commit has a largest size, and the next tick goes on.
const AT_ONCE: usize = 500;

/// Reads the policy, or sets it; a new one is carried out with the next tick.
pub fn policy(step: &mut Step<'_>, asked: &SetFeedPolicy) -> Result<Result<FeedPolicy, RefusalCode>, UnreadableState> {
    let Some(policy) = asked.policy else {
        return Ok(Ok(step.draft.get(POLICY)?.unwrap_or_default()));
    };
    if !policy.is_valid() {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    step.draft.put(POLICY.into(), &policy)?;
    step.draft.remove(TIDIED_AT);
    Ok(Ok(policy))
}

/// Archives and removes what is due.
pub fn tidy(step: &mut Step<'_>) -> Result<(), Failure> {
    let Some(policy) = step.draft.get::<FeedPolicy>(POLICY)?.filter(|policy| *policy != FeedPolicy::default()) else {
        return Ok(());
    };
    let last: Option<Timestamp> = step.draft.get(TIDIED_AT)?;
    if last.is_some_and(|last| (0..EVERY_MS).contains(&step.now.since_ms(last))) {
        return Ok(());
    }
    let due = due(&view(step.feed, &step.draft)?, &policy, step.now, AT_ONCE);
    for &number in &due.archive {
        marks::shelve(&mut step.draft, step.now, number)?;
    }
    due.remove.iter().for_each(|number| marks::forget(&mut step.draft, *number));
    let detail = json!({"archived": due.archive.len(), "removed": due.remove.len()});
    if !(due.archive.is_empty() && due.remove.is_empty()) {
        step.audit("vault", &Row::ROW.event_type(), AuditOutcome::Success, detail)?;
    }
    if !due.has_more {
        step.draft.put(TIDIED_AT.into(), &step.now)?;
    }
    Ok(())
}

//! Room for what was answered. What a service can make many of goes first: no denial takes the place of something that the owner
//! approved, and of an approval that goes the owner is told.

use super::{PREFIX, Stored, key, row_of, stands};
use crate::feed::Note;
use crate::projection::UnreadableState;
use crate::step::Step;
use vettid_handlers::shown;
use vettid_wire::agreement::AnswerMethod;
use vettid_wire::auth::Decision;
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::time::Timestamp;

/// Most requests that the owner answered that are kept of one connection; consents in force are kept beyond that.
const MAX_KEPT: usize = 256;
/// Most denials by rules that are kept beside them.
const MAX_BY_RULE: usize = 32;

/// What an answered request is worth to its owner, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    DeniedByRule,
    Denied,
    Approved,
}

fn worth(stored: &Stored) -> Worth {
    match (stored.answer.decision, stored.answer.method) {
        (Decision::Approve, _) => Worth::Approved,
        (Decision::Deny, AnswerMethod::Rule) => Worth::DeniedByRule,
        (Decision::Deny, _) => Worth::Denied,
    }
}

/// Stores an answered request and lets those of the connection go for which there is no room.
pub(super) fn keep(step: &mut Step<'_>, stored: &Stored) -> Result<(), UnreadableState> {
    let id = stored.request.connection_id;
    step.draft.put(key(id, stored.request.request_id), stored)?;
    let mut all: Vec<Stored> = step.draft.values(&format!("{PREFIX}{id}/"))?;
    all.retain(|other| !stands(other, step.now));
    let kept: Vec<_> = all.iter().map(|other| (worth(other), other.answer.answered_at)).collect();
    for old in without_room(&kept).into_iter().filter_map(|at| all.get(at)) {
        step.draft.remove(&key(id, old.request.request_id));
        if worth(old) == Worth::Approved {
            tell(step, old)?;
        }
    }
    Ok(())
}

/// Which ones go: denials by rules for others of their kind, and of the rest the denials first; each time the oldest.
fn without_room(kept: &[(Worth, Timestamp)]) -> Vec<usize> {
    let surplus = |is_of: fn(Worth) -> bool, most: usize| {
        let mut places: Vec<_> = (0..kept.len()).zip(kept).filter(|(_, (worth, _))| is_of(*worth)).collect();
        places.sort_by_key(|(_, kept)| **kept);
        let surplus = places.len().saturating_sub(most);
        places.into_iter().take(surplus).map(|(place, _)| place).collect::<Vec<_>>()
    };
    let by_rule = |worth| worth == Worth::DeniedByRule;
    let by_owner = |worth| worth != Worth::DeniedByRule;
    [surplus(by_rule, MAX_BY_RULE), surplus(by_owner, MAX_KEPT)].concat()
}

fn tell(step: &mut Step<'_>, old: &Stored) -> Result<(), UnreadableState> {
    let (name, title) = (shown::name(&old.display_name), old.request.wanted.title());
    step.tell(Note {
        event_type: row_of(old.request.wanted.kind()).event_type(),
        connection_id: Some(old.request.connection_id),
        request_id: None,
        severity: Severity::Warning,
        outcome: Outcome::Done,
        summary: format!("Your signed record for {name} is no longer kept, there is room for {MAX_KEPT}: {title}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_unix_ms(second * 1000)
    }

    fn many(worth: Worth, count: usize, from: i64) -> Vec<(Worth, Timestamp)> {
        (from..).take(count).map(|second| (worth, at(second))).collect()
    }

    #[test]
    fn an_approval_never_goes_for_a_denial() {
        let mut kept = many(Worth::Approved, MAX_KEPT, 0);
        kept.extend(many(Worth::DeniedByRule, MAX_BY_RULE, 1000));
        assert_eq!(without_room(&kept), Vec::<usize>::new());
        kept.push((Worth::Denied, at(5000)));
        assert_eq!(without_room(&kept), [kept.len() - 1], "the denial itself");
        kept.push((Worth::DeniedByRule, at(6000)));
        assert_eq!(without_room(&kept), [MAX_KEPT, kept.len() - 2], "the oldest by a rule, and the denial");
    }

    #[test]
    fn of_approvals_the_oldest_goes_once_no_denial_is_left() {
        let mut kept = many(Worth::Denied, 1, 9000);
        kept.extend(many(Worth::Approved, MAX_KEPT, 0));
        assert_eq!(without_room(&kept), [0]);
        kept.remove(0);
        kept.insert(0, (Worth::Approved, at(9000)));
        assert_eq!(without_room(&kept), [1]);
    }
}

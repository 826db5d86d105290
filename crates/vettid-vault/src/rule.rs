//! The owner's rules as stored, and the owner's commands about them. A rule is translated and validated before it is stored;
//! what is stored and cannot be translated any more answers nothing and lets nothing pass unasked.

use crate::connection;
use crate::failure::Failure;
use crate::feed::Note;
use crate::projection::{Draft, UnreadableState};
use crate::step::Step;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use vettid_core::credential::attempts::Clocks;
use vettid_core::rule::{Calendar, Counter};
use vettid_handlers::shown;
use vettid_rules::{RuleBook, text};
use vettid_wire::event::{self, EventRow, EventType, Nothing};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::id::RuleId;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::rule::{EVENTS, MAX_RULES, Rule, RuleList, RuleProblem, RuleRef, RuleStored, RuleView, SetRule};
use vettid_wire::time::Timestamp;

pub mod past;
pub mod ruling;

const PREFIX: &str = "rule/";
const COUNTERS: &str = "rule_counter/";

/// A rule in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct StoredRule {
    rule: Rule,
    set_at: Timestamp,
}

/// The rules as they were last translated: for as long as the stored ones are the same.
#[derive(Debug, Default)]
pub struct RuleDesk(Option<Arc<RuleBook>>);

/// The rules in force, translated; `None` if they cannot be.
fn book(step: &mut Step<'_>) -> Result<Option<Arc<RuleBook>>, UnreadableState> {
    let stored: BTreeMap<RuleId, Rule> =
        all(&step.draft)?.into_iter().map(|stored| (stored.rule.rule_id.clone(), stored.rule)).collect();
    if let Some(book) = &step.rules.0
        && *book.rules() == stored
    {
        return Ok(Some(Arc::clone(book)));
    }
    match RuleBook::new(EVENTS, stored.into_values()) {
        Ok(book) => {
            let book = Arc::new(book);
            step.rules.0 = Some(Arc::clone(&book));
            Ok(Some(book))
        }
        Err(error) => {
            tracing::error!(%error, "the stored rules cannot be translated");
            Ok(None)
        }
    }
}

fn all(draft: &Draft<'_>) -> Result<Vec<StoredRule>, UnreadableState> {
    draft.values(PREFIX)
}

fn key(id: &RuleId) -> String {
    format!("{PREFIX}{id}")
}

fn counter_key(id: &RuleId) -> String {
    format!("{COUNTERS}{id}")
}

/// It is not known what was counted in the present periods: nothing more is counted in them.
pub fn spend(step: &mut Step<'_>) -> Result<(), Failure> {
    let Some(book) = book(step)? else { return Ok(()) };
    let counting: Vec<Rule> = book.rules().values().cloned().collect();
    for rule in counting {
        let Some(calendar) = calendar(&rule) else { continue };
        let key = counter_key(&rule.rule_id);
        let counter = Counter::spent(step.draft.get(&key)?, calendar, &step.clocks);
        step.draft.put(key, &counter)?;
    }
    Ok(())
}

/// The calendar of a rule that counts.
fn calendar(rule: &Rule) -> Option<Calendar> {
    rule.count.map(|limit| Calendar { per: limit.per, utc_offset_minutes: rule.utc_offset_minutes })
}

/// Events that a rule met in the present period, if it counts.
fn met(draft: &Draft<'_>, rule: &Rule, clocks: &Clocks) -> Result<Option<u32>, UnreadableState> {
    let Some(calendar) = calendar(rule) else { return Ok(None) };
    let counter: Option<Counter> = draft.get(&counter_key(&rule.rule_id))?;
    Ok(Some(counter.map_or(0, |counter| counter.met(calendar, clocks))))
}

/// `rule.set`: stores a sound rule. A rule that is changed counts from zero again.
pub fn set(step: &mut Step<'_>, asked: SetRule) -> Result<Result<RuleStored, RefusalCode>, Failure> {
    let rule = asked.rule;
    let before: Option<StoredRule> = step.draft.get(&key(&rule.rule_id))?;
    if let Some(reason) = problem(step, &rule, before.is_some())? {
        return Ok(Ok(RuleStored::Invalid(RuleProblem { reason })));
    }
    if before.is_some_and(|before| before.rule != rule) {
        step.draft.remove(&counter_key(&rule.rule_id));
    }
    let stored = StoredRule { rule, set_at: step.now };
    step.draft.put(key(&stored.rule.rule_id), &stored)?;
    let view = view(step, stored)?;
    tell(step, event::RuleSet::ROW.event_type(), format!("You set the rule {}: {}", view.rule.rule_id, view.sentence))?;
    Ok(Ok(RuleStored::Stored(Box::new(view))))
}

/// Why a rule cannot be stored.
fn problem(step: &Step<'_>, rule: &Rule, replaces: bool) -> Result<Option<String>, Failure> {
    if let Err(unsound) = RuleBook::new(EVENTS, [rule.clone()]) {
        return Ok(Some(unsound.to_string()));
    }
    if let Some(id) = rule.connection_id
        && (connection::get(&step.draft, id)?.is_none() || connection::is_buried(&step.draft, id))
    {
        return Ok(Some("you have no such connection".to_owned()));
    }
    let full = !replaces && step.draft.keys(PREFIX, MAX_RULES).len() >= MAX_RULES;
    Ok(full.then(|| format!("there are {MAX_RULES} rules already; remove one first")))
}

/// `rule.list`: every rule.
pub fn list(step: &Step<'_>) -> Result<Result<RuleList, RefusalCode>, Failure> {
    let rules = all(&step.draft)?.into_iter().map(|stored| view(step, stored));
    Ok(Ok(RuleList { rules: rules.collect::<Result<_, _>>()? }))
}

/// `rule.remove`: a rule ends at once.
pub fn remove(step: &mut Step<'_>, asked: &RuleRef) -> Result<Result<Nothing, RefusalCode>, Failure> {
    let Some(stored) = step.draft.get::<StoredRule>(&key(&asked.rule_id))? else {
        return Ok(Err(RefusalCode::NotFound));
    };
    step.draft.remove(&key(&asked.rule_id));
    step.draft.remove(&counter_key(&asked.rule_id));
    tell(step, event::RuleRemove::ROW.event_type(), format!("You removed the rule {}", stored.rule.rule_id))?;
    Ok(Ok(Nothing {}))
}

fn view(step: &Step<'_>, stored: StoredRule) -> Result<RuleView, Failure> {
    let StoredRule { rule, set_at } = stored;
    let peer = match rule.connection_id {
        Some(id) => connection::get(&step.draft, id)?.map(|connection| shown::name(&connection.display_name)),
        None => None,
    };
    let counted = met(&step.draft, &rule, &step.clocks)?;
    Ok(RuleView { sentence: rule.sentence(peer.as_deref()), policy: text(&rule), rule, set_at, counted })
}

fn tell(step: &mut Step<'_>, event_type: EventType, summary: String) -> Result<(), UnreadableState> {
    step.tell(Note {
        event_type,
        connection_id: None,
        request_id: None,
        severity: Severity::Info,
        outcome: Outcome::Done,
        summary,
    })
}

//! The dry run: what the rules would have decided for the events of the last days, as the audit has them. Changes nothing.

use super::{StoredRule, all, calendar, problem};
use crate::failure::Failure;
use crate::step::Step;
use crate::{audit, connection};
use serde::Deserialize;
use std::collections::{BTreeMap, VecDeque};
use vettid_core::credential::attempts::{BootId, Clocks};
use vettid_core::rule::Counter;
use vettid_handlers::shown;
use vettid_rules::{Decided, Facts, RuleBook};
use vettid_wire::audit::ExportedEntry;
use vettid_wire::id::{ConnectionId, RuleId};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::rule::{
    EVENTS, MAX_TEST_DAYS, MAX_TESTED_EVENTS, Rule, RuleProblem, RuleTally, Ruled, RulesTested, TestReport, TestRules,
    TestedEvent,
};
use vettid_wire::time::Timestamp;

const DAY_MS: i64 = 24 * 3_600_000;
/// Most audit entries that are looked at: the vault does nothing else meanwhile.
const MAX_LOOKED_AT: u64 = 20_000;
/// Most events that are tried.
const MAX_TRIED: usize = 2_000;

/// What the audit says of an event that rules could decide.
#[derive(Deserialize)]
struct Past {
    facts: Facts,
    ruled: Ruled,
}

/// `rule.test`: tries the rules, and one more if asked to.
pub fn test(step: &Step<'_>, asked: TestRules) -> Result<Result<RulesTested, RefusalCode>, Failure> {
    if !(1..=MAX_TEST_DAYS).contains(&asked.days) {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    let mut rules: BTreeMap<RuleId, Rule> =
        all(&step.draft)?.into_iter().map(|StoredRule { rule, .. }| (rule.rule_id.clone(), rule)).collect();
    if let Some(rule) = asked.with {
        if let Some(reason) = problem(step, &rule, rules.contains_key(&rule.rule_id))? {
            return Ok(Ok(RulesTested::Invalid(RuleProblem { reason })));
        }
        rules.insert(rule.rule_id.clone(), rule);
    }
    let book = match RuleBook::new(EVENTS, rules.into_values()) {
        Ok(book) => book,
        Err(unsound) => return Ok(Ok(RulesTested::Invalid(RuleProblem { reason: unsound.to_string() }))),
    };
    let past = events_since(step, step.now.plus_ms(-i64::from(asked.days) * DAY_MS))?;
    Ok(Ok(RulesTested::Tested(report(step, &book, past)?)))
}

/// Events and when they happened, oldest first, and since when nothing is left out.
struct Events {
    since: Timestamp,
    events: VecDeque<(Timestamp, Past)>,
}

fn events_since(step: &Step<'_>, since: Timestamp) -> Result<Events, Failure> {
    let size = audit::chain(&step.draft)?.size();
    let mut found = Events { since, events: VecDeque::new() };
    for number in (size.saturating_sub(MAX_LOOKED_AT)..size).rev() {
        let Some(entry) = audit::entries(&step.draft, number, 1)?.pop() else { continue };
        let at = entry.entry.ts;
        if at < since {
            return Ok(found);
        }
        if found.events.len() == MAX_TRIED || number + MAX_LOOKED_AT == size {
            found.since = at;
        }
        if found.events.len() == MAX_TRIED {
            return Ok(found);
        }
        if let Some(past) = read(entry) {
            found.events.push_front((at, past));
        }
    }
    Ok(found)
}

fn read(entry: ExportedEntry) -> Option<Past> {
    let detail = entry.detail?.value;
    detail.get("facts")?;
    serde_json::from_value(detail).ok()
}

fn report(step: &Step<'_>, book: &RuleBook, past: Events) -> Result<TestReport, Failure> {
    let tried = u64::try_from(past.events.len()).unwrap_or(u64::MAX);
    let mut counters: BTreeMap<RuleId, Counter> = BTreeMap::new();
    let mut tallies: BTreeMap<RuleId, RuleTally> = book.rules().keys().map(|id| (id.clone(), tally(id))).collect();
    let mut events = VecDeque::new();
    for (at, past) in past.events {
        let decided = decide(book, &mut counters, &past.facts, at);
        count(&mut tallies, &decided);
        let display_name = name(step, past.facts.connection_id)?;
        events.push_front(TestedEvent {
            at,
            event_type: past.facts.event_type,
            connection_id: past.facts.connection_id,
            display_name,
            field: past.facts.field,
            amount: past.facts.amount,
            was: past.ruled,
            would_be: decided.ruled,
            matching: decided.matching.into_iter().collect(),
        });
        events.truncate(MAX_TESTED_EVENTS);
    }
    Ok(TestReport { since: past.since, tried, events: events.into(), rules: tallies.into_values().collect() })
}

/// The rules of today, asked about the past in the order of time. Their counts begin at nothing and are kept nowhere.
pub struct Hindsight {
    /// None: they cannot be translated, so that everything is asked about.
    book: Option<RuleBook>,
    counters: BTreeMap<RuleId, Counter>,
}

impl Hindsight {
    /// The rules in force.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn of(step: &Step<'_>) -> Result<Self, Failure> {
        let rules = all(&step.draft)?.into_iter().map(|stored| stored.rule);
        Ok(Self { book: RuleBook::new(EVENTS, rules).ok(), counters: BTreeMap::new() })
    }

    /// What they say about an event at that time.
    pub fn decide(&mut self, facts: &Facts, at: Timestamp) -> Decided {
        match &self.book {
            Some(book) => decide(book, &mut self.counters, facts, at),
            None => Decided::unknown(facts),
        }
    }
}

/// Decides as if the event came now, at that time.
fn decide(book: &RuleBook, counters: &mut BTreeMap<RuleId, Counter>, facts: &Facts, at: Timestamp) -> Decided {
    let clocks = Clocks { now: at, monotonic_ms: at.unix_ms().unsigned_abs(), boot_id: BootId([0; 16]) };
    let calendars = book.rules().values().filter_map(|rule| Some((&rule.rule_id, calendar(rule)?)));
    let calendars: BTreeMap<_, _> = calendars.collect();
    let met = counters.iter().filter_map(|(id, counter)| Some((id.clone(), counter.met(*calendars.get(id)?, &clocks))));
    let decided = book.decide(facts, at, &met.collect());
    for id in &decided.counting {
        if let Some(calendar) = calendars.get(id) {
            let counter = Counter::after(counters.get(id).copied(), *calendar, &clocks);
            counters.insert(id.clone(), counter);
        }
    }
    decided
}

fn tally(id: &RuleId) -> RuleTally {
    RuleTally { rule_id: id.clone(), matching: 0, decides: 0 }
}

fn count(tallies: &mut BTreeMap<RuleId, RuleTally>, decided: &Decided) {
    for id in &decided.matching {
        if let Some(tally) = tallies.get_mut(id) {
            tally.matching += 1;
            tally.decides += u64::from(decided.ruled.rules.contains(id));
        }
    }
}

fn name(step: &Step<'_>, id: ConnectionId) -> Result<String, Failure> {
    let found = connection::get(&step.draft, id)?;
    Ok(found.map_or_else(|| id.to_string(), |connection| shown::name(&connection.display_name)))
}

//! The same decisions in plain Rust, from the description of the form alone.

use crate::random::Case;
use std::collections::BTreeSet;
use vettid_rules::{Decided, Facts};
use vettid_wire::rule::{Rule, RuleOutcome, Ruled, Verdict};
use vettid_wire::time::Timestamp;

pub(crate) fn decide(case: &Case, rules: &[Rule]) -> Decided {
    let facts = &case.facts;
    let uncounted: Vec<&Rule> = rules.iter().filter(|rule| fits(rule, facts, case.now)).collect();
    let within = |rule: &&&Rule| {
        let met = case.counted.get(&rule.rule_id).copied().unwrap_or(0);
        rule.count.is_none_or(|limit| (met < limit.count) == (rule.outcome == RuleOutcome::Allow))
    };
    let matching: Vec<&Rule> = uncounted.iter().filter(within).copied().collect();
    let ids = |outcome| -> Vec<_> {
        let mut ids: Vec<_> = matching.iter().filter(|r| r.outcome == outcome).map(|r| r.rule_id.clone()).collect();
        ids.sort();
        ids
    };
    let (allow, deny, ask) = (ids(RuleOutcome::Allow), ids(RuleOutcome::Deny), ids(RuleOutcome::Ask));
    let (verdict, rules) = if !deny.is_empty() {
        (Verdict::Deny, deny)
    } else if !ask.is_empty() || facts.locked {
        (Verdict::Ask, ask)
    } else if !facts.asks {
        (Verdict::Contract, vec![])
    } else if !allow.is_empty() {
        (Verdict::Allow, allow)
    } else {
        (Verdict::Ask, vec![])
    };
    let counting = uncounted.iter().filter(|rule| rule.count.is_some()).map(|rule| rule.rule_id.clone());
    Decided {
        ruled: Ruled { verdict, rules },
        matching: matching.iter().map(|rule| rule.rule_id.clone()).collect(),
        counting: counting.collect::<BTreeSet<_>>(),
        broken: false,
    }
}

fn fits(rule: &Rule, facts: &Facts, now: Timestamp) -> bool {
    let event = rule.event_type.as_ref().is_none_or(|event| *event == facts.event_type);
    let connection = rule.connection_id.is_none_or(|id| id == facts.connection_id);
    let field = rule.field.is_none() || rule.field == facts.field;
    let amount = rule.amount.as_ref().is_none_or(|limit| {
        facts.amount.as_ref().is_some_and(|amount| {
            let units = amount.amount.ten_thousandths();
            amount.currency == limit.currency
                && limit.at_most.as_ref().is_none_or(|most| units <= most.ten_thousandths())
                && limit.above.as_ref().is_none_or(|above| units > above.ten_thousandths())
        })
    });
    let local_ms = now.unix_ms() + i64::from(rule.utc_offset_minutes) * 60_000;
    let minute = u16::try_from(local_ms.rem_euclid(86_400_000) / 60_000).unwrap();
    let hours = rule.hours.is_none_or(|hours| {
        let (from, until) = (hours.from.minutes(), hours.until.minutes());
        if from < until { (from..until).contains(&minute) } else { minute >= from || minute < until }
    });
    event && connection && field && amount && hours
}

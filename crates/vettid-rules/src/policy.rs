//! One rule as one Cedar policy. Every text that gets here was checked: ids, names of fields and events, amounts and
//! currencies have grammars without quotes or backslashes.

use crate::schema::{ANSWER, CONSIDER, action};
use vettid_wire::rule::{AmountLimit, CountLimit, Hours, Money, Rule, RuleOutcome};

/// No rule may be answered where a lock is: stands beside the owner's rules.
pub(crate) const LOCK: &str = "vettid:lock";
/// An event is looked at unless a rule denies it.
pub(crate) const OPEN: &str = "vettid:open";

/// The policies that are no rules, with their names.
pub(crate) fn built_in() -> [(&'static str, String); 2] {
    let open = format!("permit (principal, action in VettID::Action::\"{CONSIDER}\", resource);");
    let lock =
        format!("forbid (principal, action in VettID::Action::\"{ANSWER}\", resource) when {{ resource.locked }};");
    [(OPEN, open), (LOCK, lock)]
}

/// The policy by which a rule decides. The rule must be sound.
#[must_use]
pub fn text(rule: &Rule) -> String {
    let effect = if rule.outcome == RuleOutcome::Allow { "permit" } else { "forbid" };
    // What is denied is neither looked at nor answered; the other outcomes are about answering only.
    let group = (rule.outcome != RuleOutcome::Deny).then_some(ANSWER);
    let scope = match (&rule.event_type, group) {
        (Some(event), Some(group)) => format!("action == VettID::Action::\"{}\"", action(group, event.as_str())),
        (Some(event), None) => format!("action in VettID::Action::\"{event}\""),
        (None, Some(group)) => format!("action in VettID::Action::\"{group}\""),
        (None, None) => "action".to_owned(),
    };
    let conditions = conditions(rule).into_iter().chain(rule.count.map(|limit| counted(rule, limit)));
    write(effect, rule, &scope, conditions.collect())
}

/// The policy that tells whether a rule matches, whatever it decides; with or without its count.
pub(crate) fn matching(rule: &Rule, with_count: bool) -> String {
    let scope = match &rule.event_type {
        Some(event) => format!("action == VettID::Action::\"{}\"", action(CONSIDER, event.as_str())),
        None => format!("action in VettID::Action::\"{CONSIDER}\""),
    };
    let count = rule.count.filter(|_| with_count).map(|limit| counted(rule, limit));
    write("permit", rule, &scope, conditions(rule).into_iter().chain(count).collect())
}

fn write(effect: &str, rule: &Rule, scope: &str, conditions: Vec<String>) -> String {
    let principal = match rule.connection_id {
        Some(id) => format!("principal == VettID::Connection::\"{id}\""),
        None => "principal".to_owned(),
    };
    let head = format!("@id(\"{}\")\n{effect} ({principal}, {scope}, resource)", rule.rule_id);
    if conditions.is_empty() {
        return head + ";";
    }
    format!("{head}\nwhen {{ {} }};", conditions.join(" && "))
}

fn conditions(rule: &Rule) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(field) = &rule.field {
        all.push(format!("context has field && context.field == \"{field}\""));
    }
    if let Some(limit) = &rule.amount {
        all.push(amount(limit));
    }
    if let Some(hours) = rule.hours {
        all.push(within(hours, rule.utc_offset_minutes));
    }
    all
}

fn amount(limit: &AmountLimit) -> String {
    let mut text = format!("context has amount && context.amount.currency == \"{}\"", limit.currency);
    if let Some(most) = &limit.at_most {
        text += &format!(" && context.amount.value.lessThanOrEqual(decimal(\"{}\"))", decimal(most));
    }
    if let Some(above) = &limit.above {
        text += &format!(" && context.amount.value.greaterThan(decimal(\"{}\"))", decimal(above));
    }
    text
}

/// Cedar writes a decimal with a point, always.
pub(crate) fn decimal(money: &Money) -> String {
    let text = money.to_string();
    if text.contains('.') { text } else { text + ".0" }
}

fn within(hours: Hours, utc_offset_minutes: i32) -> String {
    let time = format!("context.now.offset(duration(\"{utc_offset_minutes}m\")).toTime()");
    let from = format!("{time} >= duration(\"{}m\")", hours.from.minutes());
    let until = format!("{time} < duration(\"{}m\")", hours.until.minutes());
    if hours.from < hours.until { format!("{from} && {until}") } else { format!("({from} || {until})") }
}

fn counted(rule: &Rule, limit: CountLimit) -> String {
    let id = &rule.rule_id;
    let relation = if rule.outcome == RuleOutcome::Allow { "<" } else { ">=" };
    format!("context.counted.hasTag(\"{id}\") && context.counted.getTag(\"{id}\") {relation} {}", limit.count)
}

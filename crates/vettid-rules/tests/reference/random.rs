//! Random rules and events from few values, so that they meet often.

use proptest::option;
use proptest::prelude::*;
use std::collections::BTreeMap;
use vettid_rules::Facts;
use vettid_wire::id::{ConnectionId, RuleId};
use vettid_wire::rule::{
    self, Amount, AmountLimit, CountLimit, Hours, Money, Period, Rule, RuleOutcome, RuledEvent, TimeOfDay,
};
use vettid_wire::time::Timestamp;

/// Login and data of the standard, and one about money.
pub(crate) const EVENTS: &[RuledEvent] = &[
    *rule::EVENTS.first().unwrap(),
    *rule::EVENTS.split_first().unwrap().1.first().unwrap(),
    RuledEvent {
        name: "test.payment",
        noun: "payment",
        field_at: None,
        amount_at: Some(("/terms/amount", "/terms/currency")),
    },
];

/// One event under some rules.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) rules: Vec<Rule>,
    pub(crate) facts: Facts,
    pub(crate) now: Timestamp,
    pub(crate) counted: BTreeMap<RuleId, u32>,
}

/// Many events under the same rules.
#[derive(Debug, Clone)]
pub(crate) struct Cases {
    pub(crate) rules: Vec<Rule>,
    pub(crate) asked: Vec<Case>,
}

fn event() -> impl Strategy<Value = &'static str> {
    prop::sample::select(EVENTS.iter().map(|event| event.name).collect::<Vec<_>>())
}

fn connection() -> impl Strategy<Value = ConnectionId> {
    (1u8..=2).prop_map(|n| ConnectionId::from_bytes([n; 16]))
}

fn field() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["address", "email"]).prop_map(str::to_owned)
}

fn money() -> impl Strategy<Value = Money> {
    let texts = vec!["0", "5", "5.0001", "19.90", "19.9", "20", "20.00", "999999999999.9999"];
    prop::sample::select(texts).prop_map(|text| text.parse().unwrap())
}

pub(crate) fn limit(above: Option<&str>, at_most: Option<&str>) -> AmountLimit {
    let money = |text: Option<&str>| text.map(|text| text.parse().unwrap());
    AmountLimit { currency: "EUR".parse().unwrap(), at_most: money(at_most), above: money(above) }
}

pub(crate) fn plain(event: &str, outcome: RuleOutcome) -> Rule {
    Rule {
        rule_id: "rule".parse().unwrap(),
        outcome,
        event_type: Some(event.parse().unwrap()),
        connection_id: None,
        field: None,
        amount: None,
        count: None,
        hours: None,
        utc_offset_minutes: 0,
    }
}

fn conditions() -> impl Strategy<Value = (Option<AmountLimit>, Option<CountLimit>, Option<Hours>, i32)> {
    let currency = prop::sample::select(vec!["EUR", "USD"]);
    let amount = (currency, option::of(money()), option::of(money()))
        .prop_map(|(currency, at_most, above)| AmountLimit { currency: currency.parse().unwrap(), at_most, above });
    let count = (1u32..4, prop::sample::select(vec![Period::Hour, Period::Day, Period::Week]))
        .prop_map(|(count, per)| CountLimit { count, per });
    let time = |minutes| TimeOfDay::from_minutes(minutes).unwrap();
    let hours = (0u16..1440, 0u16..=1440).prop_map(move |(from, until)| Hours { from: time(from), until: time(until) });
    (option::weighted(0.4, amount), option::weighted(0.3, count), option::weighted(0.4, hours), -720i32..=840)
}

/// A sound rule.
pub(crate) fn rule() -> impl Strategy<Value = Rule> {
    let outcome =
        prop::sample::select(vec![RuleOutcome::Allow, RuleOutcome::Allow, RuleOutcome::Deny, RuleOutcome::Ask]);
    let scope = (option::weighted(0.8, event()), option::weighted(0.8, connection()), option::weighted(0.8, field()));
    (outcome, scope, conditions()).prop_filter_map("not sound", |(outcome, scope, conditions)| {
        let (event_type, connection_id, field) = scope;
        let (amount, count, hours, utc_offset_minutes) = conditions;
        let event = event_type.and_then(|name| EVENTS.iter().find(|event| event.name == name));
        let rule = Rule {
            rule_id: "rule".parse().unwrap(),
            outcome,
            event_type: event_type.map(|name| name.parse().unwrap()),
            connection_id,
            field: field.filter(|_| event.is_none_or(|event| event.field_at.is_some())),
            amount: amount.filter(|_| event.is_none_or(|event| event.amount_at.is_some())),
            count,
            hours,
            utc_offset_minutes,
        };
        // No event has both.
        let possible = rule.field.is_none() || rule.amount.is_none();
        (possible && rule.check_among(EVENTS).is_ok()).then_some(rule)
    })
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    prop::collection::vec(rule(), 0..8).prop_map(|rules| {
        let numbered = rules.into_iter().enumerate();
        numbered.map(|(n, rule)| Rule { rule_id: format!("rule-{n}").parse().unwrap(), ..rule }).collect()
    })
}

fn facts() -> impl Strategy<Value = Facts> {
    let currency = prop::sample::select(vec!["EUR", "USD"]);
    let amount =
        (money(), currency).prop_map(|(amount, currency)| Amount { amount, currency: currency.parse().unwrap() });
    let about = (option::weighted(0.9, field()), option::weighted(0.9, amount));
    (event(), connection(), about, prop::bool::weighted(0.7), prop::bool::weighted(0.15)).prop_map(
        |(name, connection_id, (field, amount), asks, locked)| {
            let event = EVENTS.iter().find(|event| event.name == name).unwrap();
            Facts {
                event_type: name.parse().unwrap(),
                connection_id,
                field: field.filter(|_| event.field_at.is_some()),
                amount: amount.filter(|_| event.amount_at.is_some()),
                asks,
                locked,
            }
        },
    )
}

fn counted() -> impl Strategy<Value = BTreeMap<RuleId, u32>> {
    let counts = prop::collection::vec(option::weighted(0.8, 0u32..5), 8);
    counts.prop_map(|counts| {
        let numbered = counts.into_iter().enumerate();
        numbered.filter_map(|(n, count)| Some((format!("rule-{n}").parse().unwrap(), count?))).collect()
    })
}

fn time() -> impl Strategy<Value = Timestamp> {
    // Whole minutes are the edges of hours.
    (0i64..4_102_444_800, prop::bool::ANY).prop_map(|(seconds, on_the_minute)| {
        let seconds = if on_the_minute { seconds - seconds % 60 } else { seconds };
        Timestamp::from_unix_ms(seconds * 1_000)
    })
}

/// One event.
pub(crate) fn case() -> impl Strategy<Value = Case> {
    (rules(), facts(), time(), counted()).prop_map(|(rules, facts, now, counted)| Case { rules, facts, now, counted })
}

/// So many events under the same rules.
pub(crate) fn cases(number: usize) -> impl Strategy<Value = Cases> {
    (rules(), prop::collection::vec(case(), number)).prop_map(|(rules, asked)| Cases { rules, asked })
}

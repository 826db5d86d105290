//! Samples of the owner's rules and of the commands about them.

use crate::sample::Samples;
use crate::value;
use vettid_wire::id::RuleId;
use vettid_wire::rule::{
    Amount, AmountLimit, CountLimit, Currency, Hours, Money, Period, Rule, RuleList, RuleOutcome, RuleProblem, RuleRef,
    RuleStored, RuleTally, RuleView, Ruled, RulesTested, SetRule, TestReport, TestRules, TestedEvent, TimeOfDay,
    Verdict,
};

fn id() -> RuleId {
    "address-of-an-evening".parse().unwrap()
}

fn money(text: &str) -> Money {
    text.parse().unwrap()
}

fn euro() -> Currency {
    "EUR".parse().unwrap()
}

fn time(text: &str) -> TimeOfDay {
    text.parse().unwrap()
}

fn limit() -> AmountLimit {
    AmountLimit { currency: euro(), at_most: Some(money("19.90")), above: Some(money("5")) }
}

fn rule() -> Rule {
    Rule {
        rule_id: id(),
        outcome: RuleOutcome::Deny,
        event_type: Some(value::event_type("data.request")),
        connection_id: Some(value::connection()),
        field: Some("address".to_owned()),
        amount: Some(limit()),
        count: Some(count()),
        hours: Some(hours()),
        utc_offset_minutes: 60,
    }
}

fn count() -> CountLimit {
    CountLimit { count: 3, per: Period::Day }
}

fn hours() -> Hours {
    Hours { from: time("20:00"), until: time("06:30") }
}

const OPTIONAL: &[&str] =
    &["/event_type", "/connection_id", "/field", "/amount", "/count", "/hours", "/utc_offset_minutes"];

fn view() -> RuleView {
    let rule = Rule { event_type: None, amount: None, field: None, hours: None, utc_offset_minutes: 0, ..rule() };
    RuleView {
        sentence: rule.sentence(Some("Demo Shop")),
        policy: "@id(\"address-of-an-evening\")\nforbid (principal, action, resource);".to_owned(),
        rule: Rule { connection_id: None, count: None, ..rule },
        set_at: value::at(0),
        counted: Some(2),
    }
}

fn tested() -> TestedEvent {
    TestedEvent {
        at: value::at(0),
        event_type: value::event_type("data.request"),
        connection_id: value::connection(),
        display_name: "Demo Shop".to_owned(),
        field: Some("address".to_owned()),
        amount: Some(Amount { amount: money("20"), currency: euro() }),
        was: Ruled { verdict: Verdict::Contract, rules: vec![] },
        would_be: Ruled { verdict: Verdict::Deny, rules: vec![id()] },
        matching: vec![id()],
    }
}

fn report() -> TestReport {
    let rules = vec![RuleTally { rule_id: id(), matching: 5, decides: 4 }];
    TestReport { since: value::at(0), tried: 12, events: vec![tested()], rules }
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("rule");
    samples.object("Rule", rule()).optional(OPTIONAL);
    samples.cases("RuleOutcome", [RuleOutcome::Allow, RuleOutcome::Deny, RuleOutcome::Ask]);
    samples.object("AmountLimit", limit()).optional(&["/at_most", "/above"]);
    samples.object("CountLimit", count());
    samples.cases("Period", [Period::Hour, Period::Day, Period::Week]);
    samples.object("Hours", hours());
    let plain = view().rule;
    samples.object("SetRule", SetRule { rule: plain.clone() });
    let problem = || RuleProblem { reason: "a count is between 1 and 1000".to_owned() };
    samples.case("RuleStored", RuleStored::Stored(Box::new(view()))).optional(&["/stored/counted"]);
    samples.case("RuleStored", RuleStored::Invalid(problem()));
    samples.object("RuleProblem", problem());
    samples.object("RuleView", view()).optional(&["/counted"]);
    samples.object("RuleList", RuleList { rules: vec![view()] }).optional(&["/rules/0/counted"]);
    samples.object("RuleRef", RuleRef { rule_id: id() });
    samples.object("TestRules", TestRules { days: 30, with: Some(plain) }).optional(&["/with"]);
    samples
        .case("RulesTested", RulesTested::Tested(report()))
        .optional(&["/tested/events/0/field", "/tested/events/0/amount"]);
    samples.case("RulesTested", RulesTested::Invalid(problem()));
    samples.object("TestReport", report()).optional(&["/events/0/field", "/events/0/amount"]);
    samples.object("TestedEvent", tested()).optional(&["/field", "/amount"]);
    samples.object("Ruled", Ruled { verdict: Verdict::Ask, rules: vec![id()] });
    samples.cases("Verdict", [Verdict::Allow, Verdict::Deny, Verdict::Ask, Verdict::Contract]);
    samples.object("RuleTally", RuleTally { rule_id: id(), matching: 5, decides: 4 });
    samples.object("money::Amount", Amount { amount: money("19.90"), currency: euro() });
    samples.text("money::Money", money("19.90"));
    samples.text("money::Currency", euro());
    samples.text("id::RuleId", id());
    samples.text("time_of_day::TimeOfDay", time("08:00"));
    samples
}

//! Random rules, events and times: what Cedar decides is what a small evaluator of a few lines decides; and adding a
//! rule that denies, or removing one that allows, never gives access.
#![expect(clippy::unwrap_used, reason = "tests")]

mod naive;
mod random;

use proptest::prelude::*;
use random::{Case, EVENTS, case, rule};
use vettid_rules::{Decided, RuleBook, Unsound};
use vettid_wire::rule::{Rule, RuleOutcome, Verdict};

fn book(rules: &[Rule]) -> RuleBook {
    RuleBook::new(EVENTS, rules.to_vec()).unwrap()
}

fn decide(case: &Case, rules: &[Rule]) -> Decided {
    book(rules).decide(&case.facts, case.now, &case.counted)
}

/// How much a verdict gives away.
fn access(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Deny => 0,
        Verdict::Ask => 1,
        Verdict::Allow | Verdict::Contract => 2,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Each case asks about several events under one set of rules: translating costs more than deciding.
    #[test]
    fn cedar_and_the_naive_evaluator_agree(cases in random::cases(16)) {
        let book = book(&cases.rules);
        for case in &cases.asked {
            let decided = book.decide(&case.facts, case.now, &case.counted);
            prop_assert!(!decided.broken);
            prop_assert_eq!(decided, naive::decide(case, &cases.rules));
        }
    }

    #[test]
    fn more_denying_and_asking_or_less_allowing_gives_no_access(
        case in case(), more in rule(), allowing in any::<prop::sample::Index>(),
    ) {
        let before = access(decide(&case, &case.rules).ruled.verdict);
        let mut rules = case.rules.clone();
        if more.outcome != RuleOutcome::Allow {
            rules.push(Rule { rule_id: "more".parse().unwrap(), ..more });
            prop_assert!(access(decide(&case, &rules).ruled.verdict) <= before);
        }
        let mut rules = case.rules.clone();
        let allowed: Vec<usize> = (0..rules.len()).filter(|&n| rules.get(n).unwrap().outcome == RuleOutcome::Allow).collect();
        if !allowed.is_empty() {
            rules.remove(*allowing.get(&allowed));
            prop_assert!(access(decide(&case, &rules).ruled.verdict) <= before);
        }
    }

    #[test]
    fn no_rule_lowers_a_lock_or_gives_more_than_the_contract(case in case()) {
        let mut locked = case.clone();
        locked.facts.locked = true;
        prop_assert!(access(decide(&locked, &case.rules).ruled.verdict) <= 1);
        let mut granted = case.clone();
        (granted.facts.asks, granted.facts.locked) = (false, false);
        prop_assert!(decide(&granted, &case.rules).ruled.verdict != Verdict::Allow);
    }
}

#[test]
fn a_condition_that_the_event_does_not_have_is_refused_in_words() {
    let mut login = random::plain("auth.challenge", RuleOutcome::Deny);
    login.field = Some("address".to_owned());
    let error = RuleBook::new(EVENTS, [login]).unwrap_err();
    assert!(matches!(&error, Unsound::Misfit(_)), "{error}");
    let mut data = random::plain("data.request", RuleOutcome::Ask);
    data.amount = Some(random::limit(None, Some("5")));
    assert!(matches!(RuleBook::new(EVENTS, [data]).unwrap_err(), Unsound::Misfit(_)));
}

#[test]
fn two_rules_with_one_id_are_refused() {
    let rule = random::plain("auth.challenge", RuleOutcome::Deny);
    assert!(matches!(RuleBook::new(EVENTS, [rule.clone(), rule]).unwrap_err(), Unsound::Twice(_)));
}

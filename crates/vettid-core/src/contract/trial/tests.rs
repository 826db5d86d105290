//! The dry run against the real rules: what it says is what the same requests would have come to.

use super::*;
use proptest::prelude::*;
use vettid_wire::base64::Base64;
use vettid_wire::contract::{Acceptance, Contract, Retention, Tier};
use vettid_wire::id::{ConnectionId, Fingerprint};
use vettid_wire::trial::RuleCounts;

const DAY_MS: i64 = 24 * 3_600_000;

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_800_000_000_000).plus_ms(minutes * 60_000)
}

fn field(name: &str, tier: Tier, access: Access, rate: Option<Rate>) -> ContractField {
    let (field, purpose) = (name.to_owned(), "To deliver".to_owned());
    ContractField { field, tier, access, purpose, retention: Retention::UntilRevoked, rate }
}

fn accepted(fields: Vec<ContractField>, optional: &[&str]) -> AcceptedContract {
    let contract = Contract {
        service_id: "demo-shop".parse().unwrap(),
        contract_version: 2,
        description: "Orders".to_owned(),
        fields,
        permissions: vec![],
        storage: None,
        notifications_per_hour: None,
        rate: Rate { count: 10, per_seconds: 86_400 },
        terms_url: "https://shop.example/terms".to_owned(),
        privacy_url: "https://shop.example/privacy".to_owned(),
    };
    let contract_hash = super::super::contract_hash(&contract).unwrap();
    let acceptance = Acceptance {
        contract_hash: contract_hash.clone(),
        contract_version: 2,
        service_id: "demo-shop".parse().unwrap(),
        service_fp: Fingerprint::from_bytes([1; 32]),
        member_fp: Fingerprint::from_bytes([2; 32]),
        connection_id: ConnectionId::from_bytes([3; 16]),
        optional_fields_accepted: optional.iter().map(|name| (*name).to_owned()).collect(),
        accepted_at: at(0),
        sequence: 1,
        key_id: "k_utkd2ec6y33ntxd64zqbcj2x5a".parse().unwrap(),
        signature: Base64::default(),
    };
    AcceptedContract { contract, contract_hash, acceptance, counter_signature: None }
}

fn asked(minutes: i64, field: &str) -> Past {
    Past::Asked { at: at(minutes), field: field.to_owned() }
}

fn run(accepted: &AcceptedContract, past: &[Past], stored: &[&str]) -> Vec<FieldTrial> {
    let period = (at(0), at(0).plus_ms(10 * DAY_MS));
    let beside = Beside { is_stored: &|name| stored.contains(&name), rules: &mut |_, _, _| ByRules::Unchanged };
    try_on(accepted, Spent::default(), past, period, beside)
}

fn refused(check: Breach, requests: u64) -> Vec<RefusedCount> {
    vec![RefusedCount { check: check.to_string(), requests }]
}

#[test]
fn each_request_is_counted_where_it_would_have_ended() {
    let five = Some(Rate { count: 2, per_seconds: 86_400 });
    let contract = accepted(
        vec![
            field("address", Tier::OnDemand, Access::OnDemand, five),
            field("email", Tier::Optional, Access::OnDemand, None),
            field("birth_date", Tier::Consent, Access::OnDemand, None),
            field("licence", Tier::Required, Access::OneTime, None),
            field("shoe_size", Tier::OnDemand, Access::OnDemand, None),
        ],
        &[],
    );
    let past = [
        asked(0, "address"),
        asked(1, "address"),
        asked(2, "address"),
        asked(3, "email"),
        asked(4, "birth_date"),
        asked(5, "licence"),
        asked(6, "licence"),
        asked(7, "shoe_size"),
        asked(8, "passport"),
    ];
    let trials = run(&contract, &past, &["address", "email", "birth_date", "licence"]);
    let names: Vec<_> = trials.iter().map(|trial| trial.field.as_str()).collect();
    assert_eq!(names, ["address", "email", "birth_date", "licence", "shoe_size", "passport"]);
    let [address, email, birth_date, licence, shoe_size, passport] = trials.as_slice() else { unreachable!() };
    assert_eq!((address.asked, address.handed_out, &address.refused), (3, 2, &refused(Breach::OverRate, 1)));
    assert_eq!((email.handed_out, &email.refused, email.at_most), (0, &refused(Breach::NotAgreed, 1), 0));
    assert_eq!((birth_date.handed_out, birth_date.after_consent), (0, 1));
    assert_eq!((licence.handed_out, &licence.refused, licence.at_most), (1, &refused(Breach::Spent, 1), 1));
    assert_eq!((shoe_size.is_stored, shoe_size.handed_out, shoe_size.empty), (false, 0, 1));
    assert_eq!((passport.handed_out, &passport.refused), (0, &refused(Breach::NotDeclared, 1)));
    // Two at once and two a day; the rate of the whole contract would let more through.
    assert_eq!((address.at_most, birth_date.at_most), (22, 110));
}

#[test]
fn what_is_sent_unasked_leaves_at_once_and_after_changes() {
    let contract = accepted(
        vec![
            field("address", Tier::Required, Access::Snapshot, Some(Rate { count: 1, per_seconds: 3600 })),
            field("email", Tier::Optional, Access::Snapshot, None),
            field("phone", Tier::Required, Access::Snapshot, None),
        ],
        &[],
    );
    let changed = |minutes, field: &str| Past::Changed { at: at(minutes), field: field.to_owned() };
    let past = [changed(0, "address"), changed(1, "address"), changed(70, "address"), changed(80, "email")];
    let trials = run(&contract, &past, &["address", "email"]);
    let seen: Vec<_> = trials.iter().map(|trial| (trial.leaves_at_once, trial.sent)).collect();
    assert_eq!(seen, [(true, 2), (false, 0), (false, 0)]);
}

#[test]
fn rules_are_asked_about_what_the_contract_lets_through_and_counted_beside_it() {
    let contract = accepted(
        vec![
            field("address", Tier::OnDemand, Access::OnDemand, Some(Rate { count: 1, per_seconds: 86_400 })),
            field("birth_date", Tier::Consent, Access::OnDemand, None),
        ],
        &[],
    );
    let past = [asked(0, "address"), asked(1, "address"), asked(2, "birth_date"), asked(3, "passport")];
    let mut heard = vec![];
    let rules = &mut |at: Timestamp, field: &str, grant: Grant| {
        heard.push((at, field.to_owned(), grant));
        if grant == Grant::Consent { ByRules::Answered } else { ByRules::Denied }
    };
    let period = (at(0), at(10));
    let trials = try_on(&contract, Spent::default(), &past, period, Beside { is_stored: &|_| true, rules });
    let told = [(at(0), "address".to_owned(), Grant::Granted), (at(2), "birth_date".to_owned(), Grant::Consent)];
    assert_eq!(heard, told);
    let [address, birth_date, passport] = trials.as_slice() else { unreachable!() };
    let counts = |denied, asked, answered| RuleCounts { denied, asked, answered };
    assert_eq!((address.handed_out, address.by_rules), (1, counts(1, 0, 0)));
    assert_eq!((birth_date.after_consent, birth_date.by_rules), (1, counts(0, 0, 1)));
    assert_eq!(passport.by_rules, counts(0, 0, 0));
}

fn name() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("a"), Just("b"), Just("c"), Just("d")]
}

proptest! {
    /// Every request is counted once, and nothing that was handed out is more than the rates allow.
    #[test]
    fn nothing_is_counted_twice_or_beyond_the_rates(
        asks in prop::collection::vec((1_i64..600, name()), 0..60),
        stored in prop::sample::subsequence(vec!["a", "b", "c"], 0..=3),
        optional in any::<bool>(),
    ) {
        let contract = accepted(
            vec![
                field("a", Tier::OnDemand, Access::OnDemand, Some(Rate { count: 3, per_seconds: 7200 })),
                field("b", Tier::Optional, Access::OnDemand, None),
                field("c", Tier::Required, Access::OneTime, None),
            ],
            if optional { &["b"] } else { &[] },
        );
        let mut minutes = 0;
        let past: Vec<_> = asks.iter().map(|(later, name)| { minutes += later; asked(minutes, name) }).collect();
        let period = (at(0), at(minutes));
        let mut seen = 0;
        let is_stored = |name: &str| stored.contains(&name);
        let rules = &mut |_: Timestamp, _: &str, _: Grant| {
            seen += 1;
            [ByRules::Denied, ByRules::Asked, ByRules::Answered, ByRules::Unchanged][seen % 4]
        };
        let trials = try_on(&contract, Spent::default(), &past, period, Beside { is_stored: &is_stored, rules });
        let plain = Beside { is_stored: &is_stored, rules: &mut |_, _, _| ByRules::Unchanged };
        let mut without = try_on(&contract, Spent::default(), &past, period, plain);
        for (with, without) in trials.iter().zip(&mut without) {
            let RuleCounts { denied, asked, answered } = with.by_rules;
            prop_assert!(denied + asked + answered <= with.handed_out + with.after_consent + with.empty);
            without.by_rules = with.by_rules;
        }
        prop_assert_eq!(&trials, &without, "rules changed what the contract says");
        for trial in &trials {
            let refused: u64 = trial.refused.iter().map(|count| count.requests).sum();
            let ended = trial.handed_out + trial.after_consent + trial.empty + refused;
            prop_assert_eq!(ended, trial.asked);
            let wanted = asks.iter().filter(|(_, name)| *name == trial.field).count();
            prop_assert_eq!(trial.asked, wanted as u64);
            prop_assert!(trial.handed_out <= trial.at_most, "{:?}", trial);
            prop_assert!(trial.handed_out == 0 || stored.contains(&trial.field.as_str()));
        }
    }
}

//! The owner's rules in the town: what they answer, what they never answer, and that a decision has one effect whenever the
//! vault dies.

use crate::flows::{ask_field, decide, request_id, send};
use crate::logins::{browser, know};
use crate::node::Crash;
use crate::town::{ALICE, DAY_MS, MINUTE_MS, Town};
use crate::wallet::{Wallet, boxed};
use serde_json::{Value, json};
use vettid_crypto::secret_box::Boxed;
use vettid_wire::feed::AuditStretch;
use vettid_wire::id::RequestId;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::request::RequestList;
use vettid_wire::rule::{RuleList, RuleStored, RulesTested, TestReport, Verdict};
use vettid_wire::secret::{Add, AddSecret, SecretKind};

const PASSWORD: &str = "correct horse battery";

/// A town whose shop is connected with Alice, who has some data.
fn begun(seed: u64) -> Town {
    let mut town = Town::settled(seed);
    for field in ["address", "date_of_birth", "city"] {
        let _: Value = town.ask(ALICE, "data.set", json!({"field": field, "value": field})).unwrap();
    }
    town.connect_shop();
    know(&mut town, &browser(1));
    town
}

/// Alice stores a rule for the shop.
fn set(town: &mut Town, rule_id: &str, outcome: &str, conditions: &Value) -> RuleStored {
    let mut rule = json!({"rule_id": rule_id, "outcome": outcome, "connection_id": town.shop.connection_id.unwrap()});
    for (name, condition) in conditions.as_object().unwrap() {
        rule[name] = condition.clone();
    }
    town.ask(ALICE, "rule.set", json!({"rule": rule})).unwrap()
}

fn put(town: &mut Town, rule_id: &str, outcome: &str, conditions: &Value) {
    let stored = set(town, rule_id, outcome, conditions);
    assert!(matches!(stored, RuleStored::Stored(_)), "{stored:?}");
}

/// The shop asks for a login; gives its id and the last answer.
fn log_in(town: &mut Town) -> (RequestId, Value) {
    let id = request_id(town);
    let challenge = town.shop.signed(&town.shop.challenge_of(&browser(1), id, town.now));
    (id, send(town, "auth.challenge", challenge))
}

fn ask(town: &mut Town, field: &str) -> (RequestId, Value) {
    let id = request_id(town);
    (id, ask_field(town, field, id))
}

fn waiting(town: &mut Town) -> Vec<RequestId> {
    let list: RequestList = town.ask(ALICE, "request.list", json!({})).unwrap();
    list.requests.iter().map(|request| request.request_id).collect()
}

/// What the audit says about decided events: type, verdict and rules. The first is the login that made the browser known.
fn audited(town: &mut Town) -> Vec<(String, Value, Value)> {
    let stretch: AuditStretch = town.ask(ALICE, "audit.export", json!({"from": 0, "limit": 500})).unwrap();
    let details = stretch.entries.into_iter().map(|entry| (entry.entry.event_type, entry.detail.unwrap().value));
    let ruled = details.filter(|(_, detail)| detail.get("ruled").is_some());
    let mut all =
        ruled.map(|(name, detail)| (name, detail["ruled"]["verdict"].clone(), detail["ruled"]["rules"].clone()));
    assert_eq!(all.next(), Some(("auth.challenge".to_owned(), json!("ask"), json!([]))));
    all.collect()
}

fn counted(town: &mut Town) -> Option<u32> {
    let list: RuleList = town.ask(ALICE, "rule.list", json!({})).unwrap();
    list.rules[0].counted
}

#[test]
fn a_login_is_approved_by_a_rule_in_its_hours_and_up_to_its_count() {
    let mut town = begun(1);
    // It is midnight in UTC, two o'clock where Alice is.
    let conditions = json!({"event_type": "auth.challenge", "hours": {"from": "02:00", "until": "03:00"},
        "count": {"count": 2, "per": "day"}, "utc_offset_minutes": 120});
    put(&mut town, "shop-logins", "allow", &conditions);
    for _ in 0..2 {
        let (_, answer) = log_in(&mut town);
        assert_eq!((answer["decision"].as_str(), &answer["method"]), (Some("approve"), &json!(["swk"])));
    }
    assert!(waiting(&mut town).is_empty());
    let told = town.feed(ALICE);
    let named = told.entries.iter().filter(|entry| entry.summary.contains("Your rule shop-logins approved")).count();
    assert_eq!(named, 2);
    let named = ("auth.challenge".to_owned(), json!("allow"), json!(["shop-logins"]));
    assert_eq!(audited(&mut town), [named.clone(), named.clone()]);
    // The third of the day is asked, and so is one at four o'clock of the next day.
    let (id, answer) = log_in(&mut town);
    assert_eq!((answer, waiting(&mut town), counted(&mut town)), (Value::Null, vec![id], Some(3)));
    decide(&mut town, id, "deny").unwrap();
    town.now = town.now.plus_ms(DAY_MS + 120 * MINUTE_MS);
    town.resume(ALICE, true);
    let (id, answer) = log_in(&mut town);
    assert_eq!((answer, waiting(&mut town), counted(&mut town)), (Value::Null, vec![id], Some(0)));
    town.check(ALICE);
}

#[test]
fn deny_wins_over_ask_and_ask_over_allow() {
    let mut town = begun(2);
    let logins = json!({"event_type": "auth.challenge"});
    put(&mut town, "yes", "allow", &logins);
    put(&mut town, "maybe", "ask", &json!({}));
    let (id, answer) = log_in(&mut town);
    assert_eq!((answer, waiting(&mut town)), (Value::Null, vec![id]));
    decide(&mut town, id, "approve").unwrap();
    put(&mut town, "no", "deny", &logins);
    let (_, answer) = log_in(&mut town);
    assert_eq!(answer["decision"], "deny");
    let verdicts: Vec<_> = audited(&mut town).into_iter().map(|(_, verdict, rules)| (verdict, rules)).collect();
    assert_eq!(verdicts, [(json!("ask"), json!(["maybe"])), (json!("deny"), json!(["no"]))]);
    for rule in ["no", "maybe"] {
        let _: Value = town.ask(ALICE, "rule.remove", json!({"rule_id": rule})).unwrap();
    }
    assert_eq!(town.ask::<Value>(ALICE, "rule.remove", json!({"rule_id": "no"})), Err(RefusalCode::NotFound));
    assert_eq!(log_in(&mut town).1["decision"], "approve");
    town.check(ALICE);
}

#[test]
fn consent_is_given_by_a_rule_and_a_contract_never_widened() {
    let mut town = begun(3);
    let field = |name: &str| json!({"event_type": "data.request", "field": name});
    put(&mut town, "birthday", "allow", &field("date_of_birth"));
    assert_eq!(ask(&mut town, "date_of_birth").1["outcome"]["served"]["value"], "date_of_birth");
    // Alice did not agree to the city, and the shoe size is in no contract.
    put(&mut town, "city", "allow", &field("city"));
    put(&mut town, "shoes", "allow", &field("shoe_size"));
    assert_eq!(ask(&mut town, "city").1["code"], "not_in_contract");
    assert_eq!(ask(&mut town, "shoe_size").1["code"], "not_in_contract");
    let id = request_id(&mut town);
    let mut other = town.shop.data_request("date_of_birth", id);
    other["contract_hash"] = json!("A".repeat(43));
    assert_eq!(send(&mut town, "data.request", other)["code"], "contract_mismatch");
    assert!(waiting(&mut town).is_empty());
    town.check(ALICE);
}

#[test]
fn what_the_contract_lets_through_is_asked_or_denied_by_a_rule() {
    let mut town = begun(4);
    let address = json!({"event_type": "data.request", "field": "address"});
    put(&mut town, "address", "ask", &address);
    for (decision, outcome) in [("deny", "refused"), ("approve", "served")] {
        town.now = town.now.plus_ms(MINUTE_MS);
        let (id, answer) = ask(&mut town, "address");
        assert!(answer["outcome"].get("pending").is_some(), "{answer}");
        decide(&mut town, id, decision).unwrap();
        assert!(town.shop.last().1["outcome"].get(outcome).is_some(), "{:?}", town.shop.last());
    }
    put(&mut town, "address", "deny", &address);
    town.now = town.now.plus_ms(MINUTE_MS);
    let (id, answer) = ask(&mut town, "address");
    assert_eq!(answer["outcome"], json!({"refused": {"code": "denied"}}));
    // Repeated after the rule is gone it stays denied; a new request is served.
    let _: Value = town.ask(ALICE, "rule.remove", json!({"rule_id": "address"})).unwrap();
    assert_eq!(ask_field(&mut town, "address", id)["outcome"], json!({"refused": {"code": "denied"}}));
    town.now = town.now.plus_ms(MINUTE_MS);
    assert_eq!(ask(&mut town, "address").1["outcome"]["served"]["value"], "address");
    town.check(ALICE);
}

#[test]
fn a_field_that_is_named_like_a_critical_secret_is_asked_about() {
    let mut town = begun(5);
    put(&mut town, "birthday", "allow", &json!({"event_type": "data.request", "field": "date_of_birth"}));
    assert!(ask(&mut town, "date_of_birth").1["outcome"].get("served").is_some());
    let mut wallet = Wallet::create(&mut town, ALICE, PASSWORD);
    let secret_id = wallet.secret_id(&town);
    let added = wallet.act::<Add>(&mut town, PASSWORD, |op_id, town| AddSecret {
        secret_id,
        label: "Date of birth".into(),
        kind: SecretKind::Password,
        curve: None,
        category: None,
        grant_minutes: None,
        sealed: boxed(town, PASSWORD, (Boxed::Value(secret_id), op_id), b"1990"),
    });
    added.unwrap().unwrap();
    assert!(ask(&mut town, "date_of_birth").1["outcome"].get("pending").is_some());
    town.check(ALICE);
}

#[test]
fn a_rule_that_is_not_sound_is_refused_in_words_and_changes_nothing() {
    let mut town = begun(6);
    let before = town.nodes[ALICE].commits();
    let mut refused = |conditions: Value| match set(&mut town, "wrong", "allow", &conditions) {
        RuleStored::Invalid(problem) => problem.reason,
        RuleStored::Stored(view) => panic!("stored: {}", view.sentence),
    };
    assert!(refused(json!({})).contains("must name its connection and its event"));
    assert!(refused(json!({"event_type": "data.request"})).contains("must name the field"));
    let misfit = refused(json!({"event_type": "auth.challenge", "field": "address"}));
    assert!(misfit.contains("does not fit its event"), "{misfit}");
    let stranger = json!({"event_type": "auth.challenge", "connection_id": "018f6b1e-7c1a-7000-8000-000000000003"});
    assert!(refused(stranger).contains("no such connection"));
    assert_eq!(town.nodes[ALICE].commits(), before);
}

#[test]
fn a_repeated_request_is_decided_and_counted_once() {
    let mut town = begun(7);
    put(&mut town, "logins", "allow", &json!({"event_type": "auth.challenge", "count": {"count": 9, "per": "week"}}));
    let (id, first) = log_in(&mut town);
    let same = town.shop.got.len();
    let challenge = town.shop.challenge_of(&browser(1), id, town.now);
    let mut other = challenge.clone();
    other["display"]["city"] = json!("Wien");
    let other = town.shop.signed(&other);
    assert_eq!(send(&mut town, "auth.challenge", other)["code"], "conflict");
    assert_eq!((counted(&mut town), town.shop.got[same - 1].1.clone()), (Some(1), first));
}

#[test]
fn a_decision_has_one_effect_whenever_the_vault_dies() {
    for crash in [Crash::Never, Crash::BeforeCommit, Crash::AfterCommit] {
        let mut town = begun(8);
        put(
            &mut town,
            "logins",
            "allow",
            &json!({"event_type": "auth.challenge", "count": {"count": 9, "per": "week"}}),
        );
        town.next_crash = Some(crash);
        let id = request_id(&mut town);
        let challenge = town.shop.signed(&town.shop.challenge_of(&browser(1), id, town.now));
        let (_, (subject, bytes)) = town.shop.seal("auth.challenge", challenge, town.now, &mut town.rng);
        // The broker delivers again until the vault is done, and once more for good measure.
        (0..3).for_each(|_| town.post(subject.clone(), bytes.clone()));
        town.run();
        let answers = town.shop.got.iter().filter(|(name, ..)| name == "auth.response");
        let answers: Vec<_> = answers.filter(|(_, body, _)| body["request_id"] == json!(id)).collect();
        assert!(!answers.is_empty(), "{crash:?}");
        assert!(answers.iter().all(|(_, body, _)| *body == answers[0].1 && body["decision"] == "approve"), "{crash:?}");
        assert_eq!((counted(&mut town), audited(&mut town).len()), (Some(1), 1), "{crash:?}");
        town.check(ALICE);
    }
}

fn tried(town: &mut Town, with: &Value) -> TestReport {
    match town.ask(ALICE, "rule.test", json!({"days": 7, "with": with})).unwrap() {
        RulesTested::Tested(report) => report,
        RulesTested::Invalid(problem) => panic!("{}", problem.reason),
    }
}

#[test]
fn a_dry_run_tells_what_a_rule_would_have_decided_and_changes_nothing() {
    let mut town = begun(9);
    for _ in 0..3 {
        let (id, _) = log_in(&mut town);
        decide(&mut town, id, "approve").unwrap();
    }
    ask(&mut town, "address");
    ask(&mut town, "shoe_size");
    put(&mut town, "address", "deny", &json!({"event_type": "data.request", "field": "address"}));
    let connection = town.shop.connection_id.unwrap();
    let rule = json!({"rule_id": "logins", "outcome": "allow", "event_type": "auth.challenge",
        "connection_id": connection, "count": {"count": 2, "per": "day"}});
    let commits = town.nodes[ALICE].commits();
    let report = tried(&mut town, &rule);
    assert_eq!(town.nodes[ALICE].commits(), commits);
    let seen: Vec<_> = report.events.iter().map(|e| (e.was.verdict, e.would_be.verdict)).collect();
    let (asked, allowed) = ((Verdict::Ask, Verdict::Ask), (Verdict::Ask, Verdict::Allow));
    // The login that made the browser known counts, too, and no rule may approve such a one.
    assert_eq!(seen, [(Verdict::Contract, Verdict::Deny), asked, asked, allowed, asked]);
    let tallies: Vec<_> = report.rules.iter().map(|r| (r.rule_id.as_str(), r.matching, r.decides)).collect();
    assert_eq!(tallies, [("address", 1, 1), ("logins", 2, 1)]);
    assert_eq!(report.events[0].field.as_deref(), Some("address"));
    town.now = town.now.plus_ms(8 * DAY_MS);
    town.resume(ALICE, true);
    assert_eq!(tried(&mut town, &rule).tried, 0);
}

/// What the shop was sent unasked.
fn pushed(town: &Town) -> Vec<Value> {
    let snapshots = town.shop.got.iter().filter(|(name, ..)| name == "data.snapshot");
    snapshots.map(|(_, body, _)| body["state"].pointer("/value/value").cloned().unwrap_or_default()).collect()
}

fn change_size(town: &mut Town, size: &str) {
    town.now = town.now.plus_ms(MINUTE_MS);
    town.resume(ALICE, true);
    let _: Value = town.ask(ALICE, "data.set", json!({"field": "size", "value": size})).unwrap();
    town.run();
}

#[test]
fn what_is_sent_unasked_is_kept_back_by_a_rule_and_told_once() {
    for outcome in ["deny", "ask"] {
        let mut town = begun(10);
        change_size(&mut town, "M");
        put(&mut town, "other", outcome, &json!({"event_type": "data.request", "field": "address"}));
        change_size(&mut town, "L");
        assert_eq!(pushed(&town), ["M", "L"], "a rule about another field");
        put(&mut town, "sizes", outcome, &json!({"event_type": "data.request", "field": "size"}));
        for size in ["S", "XS"] {
            change_size(&mut town, size);
        }
        for _ in 0..3 {
            town.tick();
            town.run();
        }
        town.nodes[ALICE].crash();
        town.resume(ALICE, true);
        town.tick();
        assert_eq!(pushed(&town), ["M", "L"]);
        let told = town.feed(ALICE).entries;
        let told = told.iter().filter(|entry| entry.summary.contains("is not sent your size: kept back by sizes"));
        assert_eq!(told.count(), 1);
        let stretch: AuditStretch = town.ask(ALICE, "audit.export", json!({"from": 0, "limit": 500})).unwrap();
        let details = stretch.entries.into_iter().filter(|entry| entry.entry.event_type == "data.snapshot");
        let details = details.map(|entry| entry.detail.unwrap().value);
        // Each value that left has a line of the statement beside.
        let details: Vec<_> = details.filter(|detail| detail.get("served").is_none()).collect();
        let verdicts: Vec<_> = details.iter().map(|detail| (&detail["refusal"], &detail["ruled"]["rules"])).collect();
        let (none, no_rules, by) = (json!(null), json!([]), json!(["sizes"]));
        let sent = (&none, &no_rules);
        assert_eq!(verdicts, [sent, sent, (&json!("denied"), &by)]);
        // That there is none any more is told all the same, and what is there when the rule is gone.
        let _: Value = town.ask(ALICE, "data.remove", json!({"field": "size"})).unwrap();
        town.run();
        assert_eq!(pushed(&town), [json!("M"), json!("L"), Value::Null]);
        change_size(&mut town, "XL");
        assert_eq!(pushed(&town).len(), 3);
        let _: Value = town.ask(ALICE, "rule.remove", json!({"rule_id": "sizes"})).unwrap();
        town.now = town.now.plus_ms(MINUTE_MS);
        town.tick();
        town.run();
        assert_eq!(pushed(&town).last(), Some(&json!("XL")));
        town.check(ALICE);
    }
}

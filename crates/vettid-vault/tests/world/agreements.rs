//! Requests and transactions in the town: both sides end alike, with one record that holds offline; nobody agrees twice, late,
//! unasked, or to a payment without what it needs.

use crate::node::Crash;
use crate::town::{ALICE, BOB, DAY_MS, Faults, MINUTE_MS, Town};
use crate::wallet::Wallet;
use rand::RngExt;
use serde_json::{Value, json};
use vettid_core::allowance::{Limit, Limits};
use vettid_crypto::agreement::verify_record;
use vettid_wire::agreement::{
    AgreementList, AgreementView, AnswerMethod, FreePayments, Need, PermitTerms, Standing, Stepped, Terms,
};
use vettid_wire::auth::Decision;
use vettid_wire::contract::Rate;
use vettid_wire::id::{AgreementId, ConnectionId};
use vettid_wire::json as vjson;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::rule::RuleStored;
use vettid_wire::secret::{Free, Permit};

const PASSWORD: &str = "correct horse battery";

fn meeting(place: &str) -> Value {
    json!({"meeting": {"subject": "Lease", "starts_at": "2026-12-01T09:30:00.000Z", "duration_minutes": 30, "place": place}})
}

fn money(payer: &str, amount: &str) -> Value {
    json!({"money": {"payer": payer, "amount": amount, "currency": "EUR", "payee": "the landlord", "note": "rent"}})
}

fn fresh(town: &mut Town) -> AgreementId {
    AgreementId::from_bytes(town.fresh_event().to_bytes())
}

/// The body of a proposal that waits an hour for its answer.
fn proposal(town: &mut Town, connection: ConnectionId, kind: &str, terms: &Value) -> (AgreementId, Value) {
    let id = fresh(town);
    let expires_at = town.now.plus_ms(60 * MINUTE_MS);
    (
        id,
        json!({"agreement_id": id, "connection_id": connection, "kind": kind, "terms": terms, "expires_at": expires_at}),
    )
}

fn step(town: &mut Town, who: usize, name: &str, body: &Value) -> Result<Stepped, RefusalCode> {
    town.ask(who, name, body)
}

fn done(stepped: Result<Stepped, RefusalCode>) -> AgreementView {
    match stepped {
        Ok(Stepped::Done(view)) => *view,
        other => panic!("{other:?}"),
    }
}

/// Alice proposes, and Bob has it before him.
fn propose(town: &mut Town, connection: ConnectionId, kind: &str, terms: &Value) -> AgreementId {
    let (id, body) = proposal(town, connection, kind, terms);
    assert_eq!(done(step(town, ALICE, "agreement.propose", &body)).standing, Standing::Waits);
    town.run();
    assert_eq!(view(town, BOB, id).standing, Standing::ToAnswer);
    id
}

fn view(town: &mut Town, who: usize, id: AgreementId) -> AgreementView {
    town.ask(who, "agreement.get", json!({"agreement_id": id})).unwrap()
}

fn answer(town: &mut Town, who: usize, id: AgreementId, decision: &str) -> Result<Stepped, RefusalCode> {
    let shown = view(town, who, id).terms_hash;
    step(town, who, "agreement.answer", &json!({"agreement_id": id, "shown": shown, "decision": decision}))
}

fn counter(town: &mut Town, who: usize, id: AgreementId, terms: &Value) -> Result<Stepped, RefusalCode> {
    let (shown, expires_at) = (view(town, who, id).terms_hash, town.now.plus_ms(60 * MINUTE_MS));
    let body = json!({"agreement_id": id, "shown": shown, "terms": terms, "expires_at": expires_at});
    step(town, who, "agreement.counter", &body)
}

fn record(town: &mut Town, who: usize, id: AgreementId) -> Result<Vec<u8>, RefusalCode> {
    let record: Result<Value, _> = town.ask(who, "agreement.export", json!({"agreement_id": id}));
    record.map(|record| vjson::canonical(&record).unwrap())
}

/// How it stands on both sides, and their records.
fn both(town: &mut Town, id: AgreementId) -> [(Standing, Result<Vec<u8>, RefusalCode>); 2] {
    [ALICE, BOB].map(|who| (view(town, who, id).standing, record(town, who, id)))
}

fn told(town: &mut Town, who: usize, words: &str) -> usize {
    town.feed(who).entries.iter().filter(|entry| entry.summary.contains(words)).count()
}

fn connected(seed: u64) -> (Town, ConnectionId) {
    let mut town = Town::settled(seed);
    let connection = town.connect();
    (town, connection)
}

fn verify_both(town: &mut Town, connection: ConnectionId) {
    for who in [ALICE, BOB] {
        let _: Value = town.ask(who, "connection.verify", json!({"connection_id": connection})).unwrap();
    }
}

#[test]
fn a_request_is_changed_approved_by_both_and_recorded_once() {
    let (mut town, connection) = connected(1);
    let id = propose(&mut town, connection, "request", &meeting("12 Main Street"));
    assert_eq!(counter(&mut town, ALICE, id, &meeting("x")), Err(RefusalCode::Conflict), "not her turn");
    assert_eq!(done(counter(&mut town, BOB, id, &meeting("The station"))).round, 2);
    town.run();
    let shown = view(&mut town, ALICE, id);
    assert_eq!((shown.standing, shown.displayed[4].as_str()), (Standing::ToAnswer, "Place: \"The station\""));
    assert_eq!(done(answer(&mut town, ALICE, id, "approve")).standing, Standing::Answered);
    // The same again, as from another device: nothing new happens.
    assert_eq!(done(answer(&mut town, ALICE, id, "approve")).standing, Standing::Answered);
    assert_eq!(record(&mut town, ALICE, id), Err(RefusalCode::NotAvailable), "Bob has not said that it came in time");
    town.run();
    let [(alice, one), (bob, other)] = both(&mut town, id);
    assert_eq!((alice, bob), (Standing::Approved, Standing::Approved));
    let bytes = one.unwrap();
    assert_eq!(bytes, other.unwrap());
    let parties = [ALICE, BOB].map(|who| town.nodes[who].vault.fingerprint());
    let report = verify_record(&bytes, town.now, &parties).unwrap();
    assert!(report.is_approved() && report.maker == parties[BOB]);
    assert_eq!(report.record.terms.displayed, shown.displayed);
    assert_eq!(report.record.answer.method, AnswerMethod::Owner);
    for who in [ALICE, BOB] {
        assert_eq!(told(&mut town, who, "was approved by both sides"), 1);
        town.check(who);
    }
    assert_eq!(answer(&mut town, ALICE, id, "deny"), Err(RefusalCode::Conflict), "what is agreed on is agreed on");
}

#[test]
fn a_transaction_is_denied_and_cannot_be_changed() {
    let (mut town, connection) = connected(2);
    let document = json!({"document": {"name": "lease.pdf", "sha256": vettid_wire::digest::Digest::from_bytes([7; 32]),
        "size_bytes": 4711}});
    let id = propose(&mut town, connection, "transaction", &document);
    assert_eq!(counter(&mut town, BOB, id, &meeting("x")), Err(RefusalCode::NotAllowed));
    done(answer(&mut town, BOB, id, "deny"));
    town.run();
    let [(alice, one), (bob, other)] = both(&mut town, id);
    assert_eq!((alice, bob), (Standing::Denied, Standing::Denied));
    let bytes = one.unwrap();
    assert_eq!(bytes, other.unwrap());
    let report = verify_record(&bytes, town.now, &[]).unwrap();
    assert!(!report.is_approved());
    assert_eq!(report.record.answer.decision, Decision::Deny);
    let requests: AgreementList = town.ask(BOB, "agreement.list", json!({"kind": "request", "limit": 9})).unwrap();
    let transactions: AgreementList =
        town.ask(BOB, "agreement.list", json!({"kind": "transaction", "limit": 9})).unwrap();
    assert_eq!((requests.agreements.len(), transactions.agreements.len()), (0, 1));
}

#[test]
fn what_nobody_answers_expires_and_is_forgotten_later() {
    let (mut town, connection) = connected(3);
    let id = propose(&mut town, connection, "request", &meeting("x"));
    town.now = town.now.plus_ms(60 * MINUTE_MS);
    town.resume(BOB, true);
    assert_eq!(view(&mut town, BOB, id).standing, Standing::Over);
    assert_eq!(answer(&mut town, BOB, id, "approve"), Err(RefusalCode::Expired));
    town.tick();
    town.run();
    town.resume(ALICE, true);
    let nothing = (Standing::Expired, Err(RefusalCode::NotAvailable));
    assert_eq!(both(&mut town, id), [nothing.clone(), nothing]);
    assert_eq!((told(&mut town, ALICE, "expired"), told(&mut town, BOB, "expired")), (1, 1));
    for _ in 0..62 {
        town.pass_half_day();
    }
    for who in [ALICE, BOB] {
        town.resume(who, true);
        let gone: Result<Value, _> = town.ask(who, "agreement.get", json!({"agreement_id": id}));
        assert_eq!(gone, Err(RefusalCode::NotFound));
        town.check(who);
    }
}

#[test]
fn terms_are_taken_back_only_by_who_made_them() {
    let (mut town, connection) = connected(4);
    let id = propose(&mut town, connection, "request", &meeting("x"));
    let body = json!({"agreement_id": id});
    assert_eq!(step(&mut town, BOB, "agreement.withdraw", &body), Err(RefusalCode::Conflict));
    done(step(&mut town, ALICE, "agreement.withdraw", &body));
    // Bob approves before he hears of it.
    assert_eq!(done(answer(&mut town, BOB, id, "approve")).standing, Standing::Answered);
    town.run();
    let nothing = (Standing::Withdrawn, Err(RefusalCode::NotAvailable));
    assert_eq!(both(&mut town, id), [nothing.clone(), nothing]);
}

#[test]
fn one_id_is_one_proposal() {
    let (mut town, connection) = connected(5);
    let (id, body) = proposal(&mut town, connection, "request", &meeting("x"));
    let first = done(step(&mut town, ALICE, "agreement.propose", &body));
    assert_eq!(done(step(&mut town, ALICE, "agreement.propose", &body)), first, "the same once more");
    let other = json!({"agreement_id": id, "connection_id": connection, "kind": "request", "terms": meeting("y"),
        "expires_at": body["expires_at"]});
    assert_eq!(step(&mut town, ALICE, "agreement.propose", &other), Err(RefusalCode::Conflict));
    town.run();
    assert_eq!(step(&mut town, BOB, "agreement.propose", &other), Err(RefusalCode::Conflict), "nor at the other side");
    let list: AgreementList = town.ask(BOB, "agreement.list", json!({"limit": 9})).unwrap();
    assert_eq!(list.agreements.len(), 1);
    let unknown = json!({"poem": {"text": "x"}});
    let (_, wrong) = proposal(&mut town, connection, "request", &unknown);
    assert_eq!(step(&mut town, ALICE, "agreement.propose", &wrong), Err(RefusalCode::InvalidRequest));
    let (_, hidden) = proposal(&mut town, connection, "request", &meeting("a\u{202e}b"));
    assert_eq!(step(&mut town, ALICE, "agreement.propose", &hidden), Err(RefusalCode::InvalidRequest));
}

/// The owner of a vault gives the password for terms.
fn permit(town: &mut Town, wallet: &mut Wallet, id: AgreementId, terms: &Value) {
    let terms: Terms = vjson::from_value(terms.clone()).unwrap();
    wallet.act::<Permit>(town, PASSWORD, |_, _| PermitTerms { agreement_id: id, terms }).unwrap().unwrap();
}

#[test]
fn who_pays_needs_a_verified_connection_and_the_password_each_time() {
    let (mut town, connection) = connected(6);
    let (rent, other_rent) = (money("asked", "500.00"), money("asked", "499.00"));
    let (_, body) = proposal(&mut town, connection, "transaction", &rent);
    let missing = |need| Ok(Stepped::Missing(need));
    assert_eq!(step(&mut town, ALICE, "agreement.propose", &body), missing(Need::Verification));
    verify_both(&mut town, connection);
    let id = propose(&mut town, connection, "transaction", &rent);
    assert_eq!(view(&mut town, BOB, id).needs, [Need::Credential]);
    assert_eq!(answer(&mut town, BOB, id, "approve"), missing(Need::Credential));
    let mut wallet = Wallet::create(&mut town, BOB, PASSWORD);
    assert_eq!(answer(&mut town, BOB, id, "approve"), missing(Need::Password));
    // The password for other terms, for another agreement, or too long ago, opens nothing.
    permit(&mut town, &mut wallet, id, &other_rent);
    let another = fresh(&mut town);
    permit(&mut town, &mut wallet, another, &rent);
    assert_eq!(answer(&mut town, BOB, id, "approve"), missing(Need::Password));
    permit(&mut town, &mut wallet, id, &rent);
    town.now = town.now.plus_ms(5 * MINUTE_MS);
    assert_eq!(answer(&mut town, BOB, id, "approve"), missing(Need::Password));
    permit(&mut town, &mut wallet, id, &rent);
    done(answer(&mut town, BOB, id, "approve"));
    town.run();
    let bytes = record(&mut town, BOB, id).unwrap();
    assert_eq!(verify_record(&bytes, town.now, &[]).unwrap().record.answer.method, AnswerMethod::Password);
    // It was for once.
    let second = propose(&mut town, connection, "transaction", &rent);
    assert_eq!(answer(&mut town, BOB, second, "approve"), missing(Need::Password));
    done(answer(&mut town, BOB, second, "deny"));
    // Whoever proposes to pay agrees by that.
    let own = proposal(&mut town, connection, "transaction", &money("proposer", "1"));
    assert_eq!(step(&mut town, BOB, "agreement.propose", &own.1), missing(Need::Password));
    town.check(BOB);
}

fn put_rule(town: &mut Town, rule: Value) {
    let stored: RuleStored = town.ask(BOB, "rule.set", json!({"rule": rule})).unwrap();
    assert!(matches!(stored, RuleStored::Stored(_)), "{stored:?}");
}

#[test]
fn rules_deny_and_approve_by_amount_and_never_lower_the_lock() {
    let (mut town, connection) = connected(7);
    verify_both(&mut town, connection);
    let mut wallet = Wallet::create(&mut town, BOB, PASSWORD);
    put_rule(
        &mut town,
        json!({"rule_id": "small", "outcome": "allow", "event_type": "transaction.terms",
        "connection_id": connection, "amount": {"currency": "EUR", "at_most": "20"}}),
    );
    put_rule(
        &mut town,
        json!({"rule_id": "large", "outcome": "deny", "event_type": "transaction.terms",
        "amount": {"currency": "EUR", "above": "100"}}),
    );
    let send = |town: &mut Town, terms: &Value| {
        let (id, body) = proposal(town, connection, "transaction", terms);
        done(step(town, ALICE, "agreement.propose", &body));
        town.run();
        (id, view(town, BOB, id).standing)
    };
    assert_eq!(send(&mut town, &money("asked", "100.01")).1, Standing::Denied);
    assert_eq!(send(&mut town, &money("asked", "100")).1, Standing::ToAnswer);
    // The rule would approve; the password is asked for all the same.
    assert_eq!(send(&mut town, &money("asked", "20")).1, Standing::ToAnswer);
    let document = json!({"data": {"giver": "asked", "fields": ["address"], "purpose": "x"}});
    assert_eq!(send(&mut town, &document).1, Standing::ToAnswer, "no amount, no rule");
    let free = |most: Option<&str>| FreePayments {
        currency: "EUR".parse().unwrap(),
        at_most: most.map(|most| most.parse().unwrap()),
    };
    wallet.act::<Free>(&mut town, PASSWORD, |_, _| free(Some("10"))).unwrap().unwrap();
    assert_eq!(send(&mut town, &money("asked", "10.01")).1, Standing::ToAnswer);
    let (id, standing) = send(&mut town, &money("asked", "10"));
    assert_eq!(standing, Standing::Approved);
    assert_eq!(told(&mut town, BOB, "Your rule small approved what Alice proposed"), 1);
    let bytes = record(&mut town, ALICE, id).unwrap();
    assert_eq!(bytes, record(&mut town, BOB, id).unwrap());
    assert_eq!(verify_record(&bytes, town.now, &[]).unwrap().record.answer.method, AnswerMethod::Rule);
    wallet.act::<Free>(&mut town, PASSWORD, |_, _| free(None)).unwrap().unwrap();
    assert_eq!(send(&mut town, &money("asked", "10")).1, Standing::ToAnswer);
    town.check(BOB);
}

/// Rules decide nothing of what may have been decided before a restore, and whoever has the first answer keeps it.
#[test]
fn what_was_decided_before_a_restore_is_not_decided_by_a_rule_again() {
    let (mut town, connection) = connected(31);
    put_rule(
        &mut town,
        json!({"rule_id": "meetings", "outcome": "deny", "event_type": "request.terms", "connection_id": connection}),
    );
    let backup = town.nodes[BOB].backup();
    let (id, body) = proposal(&mut town, connection, "request", &meeting("here"));
    done(step(&mut town, ALICE, "agreement.propose", &body));
    town.run();
    assert_eq!([ALICE, BOB].map(|who| view(&mut town, who, id).standing), [Standing::Denied; 2]);
    town.restore(BOB, &backup);
    town.run();
    assert_eq!(view(&mut town, BOB, id).standing, Standing::ToAnswer, "the owner is asked");
    assert_eq!(told(&mut town, BOB, "Your rule meetings denied"), 0);
    done(answer(&mut town, BOB, id, "approve"));
    town.run();
    assert_eq!(view(&mut town, ALICE, id).standing, Standing::Denied, "what was answered first stands");
    assert!(!matches!(view(&mut town, BOB, id).standing, Standing::Approved));
    // What is proposed after the restore the rule decides as ever.
    let (later, body) = proposal(&mut town, connection, "request", &meeting("there"));
    done(step(&mut town, ALICE, "agreement.propose", &body));
    town.run();
    assert_eq!(view(&mut town, BOB, later).standing, Standing::Denied);
}

#[test]
fn a_vault_that_dies_at_any_step_gives_one_record() {
    for (seed, crash) in [(8, Crash::BeforeCommit), (9, Crash::AfterCommit)] {
        for at in 0..4 {
            let (mut town, connection) = connected(seed);
            let (id, body) = proposal(&mut town, connection, "request", &meeting("x"));
            let crash_at = |town: &mut Town, n: usize| {
                if n == at {
                    town.next_crash = Some(crash);
                }
            };
            crash_at(&mut town, 0);
            done(step(&mut town, ALICE, "agreement.propose", &body));
            crash_at(&mut town, 1);
            town.run();
            crash_at(&mut town, 2);
            done(answer(&mut town, BOB, id, "approve"));
            crash_at(&mut town, 3);
            town.run();
            let [(alice, one), (bob, other)] = both(&mut town, id);
            assert_eq!((alice, bob), (Standing::Approved, Standing::Approved), "{seed} {at}");
            assert_eq!(one.unwrap(), other.unwrap());
            for who in [ALICE, BOB] {
                assert_eq!(told(&mut town, who, "was approved by both sides"), 1, "{seed} {at}");
                town.check(who);
            }
        }
    }
}

#[test]
fn an_end_of_the_connection_leaves_the_records() {
    let (mut town, connection) = connected(10);
    let agreed = propose(&mut town, connection, "request", &meeting("x"));
    done(answer(&mut town, BOB, agreed, "approve"));
    town.run();
    let open = propose(&mut town, connection, "request", &meeting("y"));
    let _: Value =
        town.ask(ALICE, "connection.revoke", json!({"connection_id": connection, "reason": "user_requested"})).unwrap();
    town.run();
    assert_eq!(record(&mut town, ALICE, agreed).unwrap(), record(&mut town, BOB, agreed).unwrap());
    assert_eq!(answer(&mut town, BOB, open, "approve"), Err(RefusalCode::NotConnected));
    town.now = town.now.plus_ms(DAY_MS);
    town.tick();
    town.resume(ALICE, true);
    assert_eq!(view(&mut town, ALICE, open).standing, Standing::Expired);
}

fn bad_day(seed: u64) {
    let mut town = Town::settled(seed);
    let session = Limit { messages: Rate { count: 1_000_000, per_seconds: 60 }, ..Limit::SESSION };
    town.nodes.iter_mut().for_each(|node| node.limit(Limits { session, ..Limits::default() }));
    let connection = town.connect();
    town.faults = Faults { lose: 20, repeat: 25, crash: 15, reorder: true };
    let mut ids = vec![];
    for n in 0..8_u32 {
        let who = town.rng.random_range(0..2);
        let (id, body) = proposal(&mut town, connection, "request", &meeting(&n.to_string()));
        done(step(&mut town, who, "agreement.propose", &body));
        ids.push(id);
        for _ in 0..town.rng.random_range(0..4) {
            some_act(&mut town, &ids);
        }
        if town.rng.random_range(0..2) == 0 {
            town.run();
        }
    }
    town.run();
    // Whatever is open expires.
    town.now = town.now.plus_ms(DAY_MS);
    town.tick();
    town.run();
    for who in [ALICE, BOB] {
        town.resume(who, true);
    }
    for id in ids {
        let [one, other] = both(&mut town, id);
        assert_eq!(one, other, "seed {seed}, {id}");
        let decided = matches!(one.0, Standing::Approved | Standing::Denied);
        assert!(decided || matches!(one.0, Standing::Expired | Standing::Withdrawn), "seed {seed}: {:?}", one.0);
        assert_eq!(one.1.is_ok(), decided);
        if let Ok(bytes) = one.1 {
            verify_record(&bytes, town.now, &[]).unwrap();
        }
    }
    [ALICE, BOB].into_iter().for_each(|who| town.check(who));
}

/// Somebody does something to some agreement, whether it may be done or not.
fn some_act(town: &mut Town, ids: &[AgreementId]) {
    let (who, id) = (town.rng.random_range(0..2), ids[town.rng.random_range(0..ids.len())]);
    let known: Result<Value, _> = town.ask(who, "agreement.get", json!({"agreement_id": id}));
    if known.is_err() {
        return;
    }
    let _: Result<Stepped, _> = match town.rng.random_range(0..5) {
        0 | 1 => answer(town, who, id, "approve"),
        2 => answer(town, who, id, "deny"),
        3 => counter(town, who, id, &meeting("elsewhere")),
        _ => step(town, who, "agreement.withdraw", &json!({"agreement_id": id})),
    };
}

#[test]
fn both_sides_end_alike_on_bad_days() {
    (0..6).for_each(bad_day);
}

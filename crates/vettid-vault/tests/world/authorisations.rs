//! What the shop wants Alice's word for: asked once, answered once with a record that holds offline, never approved unseen, by a
//! rule, late, or without what a payment needs.

use crate::app::record as record_of_keys;
use crate::enforcement::refused;
use crate::flows::{request_id, send};
use crate::town::{ALICE, DAY_MS, Faults, MINUTE_MS, Town};
use crate::wallet::Wallet;
use serde_json::{Value, json};
use vettid_core::allowance::{Limit, Limits};
use vettid_crypto::authorisation::{AuthorisationReport, verify_record};
use vettid_crypto::signature::{Context, sign_object};
use vettid_wire::agreement::{AnswerMethod, FreePayments, Need};
use vettid_wire::auth::Decision;
use vettid_wire::authorisation::{Answered, AnsweredList, AuthorisationView, PermitRequest};
use vettid_wire::base64::Base64Url;
use vettid_wire::connection::ConnectionView;
use vettid_wire::contract::{Permission, Rate};
use vettid_wire::data::{HeldList, Keep};
use vettid_wire::digest::Digest;
use vettid_wire::feed::Severity;
use vettid_wire::id::RequestId;
use vettid_wire::json as vjson;
use vettid_wire::key_record::KeyRole;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::request::{Ask, Decided, RequestList};
use vettid_wire::rule::RuleStored;
use vettid_wire::secret::{FreeRequests, PermitAnswer};

const PASSWORD: &str = "correct horse battery";

fn payment(amount: &str) -> Value {
    json!({"kind": "payment", "action": "transfer", "amount": {"value": amount, "currency": "EUR"},
        "payee": {"name": "Bob Smith", "account_masked": "DE•• 1234", "account_hash": Digest::from_bytes([7; 32])},
        "reference": "Rent"})
}

fn consent(town: &Town) -> Value {
    json!({"kind": "consent", "purpose": "to treat you", "what": ["ask the laboratory"], "until": town.now.plus_ms(30 * DAY_MS)})
}

fn document() -> Value {
    json!({"kind": "document", "name": "lease.pdf", "sha256": Digest::from_bytes([9; 32]),
        "media_type": "application/pdf", "size_bytes": 12_345})
}

pub(crate) fn proof(claims: &[&str]) -> Value {
    json!({"kind": "proof", "claims": claims, "purpose": "to sell you wine", "origin": "https://shop.example",
        "nonce": Base64Url::new([5; 32])})
}

/// The row on which the shop asks for it.
fn row(wanted: &Value) -> &'static str {
    match wanted["kind"].as_str().unwrap() {
        "payment" => "payment.request",
        "transaction" => "transaction.request",
        "consent" => "consent.request",
        "document" => "document.sign",
        _ => "identity.verify",
    }
}

/// Alice is connected with the shop and has some data.
fn begun(seed: u64) -> Town {
    let mut town = Town::settled(seed);
    for (field, value) in
        [("date_of_birth", "2000-05-17"), ("email", "alice@home.example"), ("phone", "+43 1"), ("licence", "AB 12")]
    {
        let _: Value = town.ask(ALICE, "data.set", json!({"field": field, "value": value})).unwrap();
    }
    town.connect_shop();
    town
}

fn verify_shop(town: &mut Town) {
    let id = town.shop.connection_id.unwrap();
    let _: ConnectionView = town.ask(ALICE, "connection.verify", json!({"connection_id": id})).unwrap();
}

/// The shop asks; gives the request and what it got at once.
pub(crate) fn want(town: &mut Town, wanted: &Value) -> (RequestId, Value) {
    let id = request_id(town);
    let body = town.shop.wants(wanted, id, town.now);
    (id, send(town, row(wanted), body))
}

fn code(answer: &Value) -> &str {
    answer["code"].as_str().unwrap_or("none")
}

fn shown(town: &mut Town, id: RequestId) -> Option<AuthorisationView> {
    let list: RequestList = town.ask(ALICE, "request.list", json!({})).unwrap();
    let pending = list.requests.into_iter().find(|pending| pending.request_id == id)?;
    let Ask::Authorisation(view) = pending.ask else { panic!("{pending:?}") };
    Some(*view)
}

fn say(town: &mut Town, id: RequestId, decision: &str, shown: Option<Digest>) -> Result<Decided, RefusalCode> {
    let said = town.ask(ALICE, "request.decide", json!({"request_id": id, "decision": decision, "shown": shown}));
    town.run();
    said
}

/// Alice approves what she was shown.
pub(crate) fn approve(town: &mut Town, id: RequestId) -> Result<Decided, RefusalCode> {
    let view = shown(town, id).unwrap();
    say(town, id, "approve", Some(view.request_hash))
}

fn permit(town: &mut Town, wallet: &mut Wallet, id: RequestId) {
    let shown = shown(town, id).unwrap().request_hash;
    let permitted = wallet.act::<PermitAnswer>(town, PASSWORD, |_, _| PermitRequest { request_id: id, shown });
    permitted.unwrap().unwrap();
}

/// The record as both sides have it: of the vault, and of the answer that the shop got.
fn record(town: &mut Town, id: RequestId) -> AuthorisationReport {
    let connection_id = town.shop.connection_id.unwrap();
    let named = json!({"connection_id": connection_id, "request_id": id});
    let record: Value = town.ask(ALICE, "authorisation.export", named).unwrap();
    let (name, answer) = town.shop.last();
    assert_eq!((name, answer), ("authorisation.response", &record["answer"]));
    verify_record(&vjson::canonical(&record).unwrap(), town.now, &[town.nodes[ALICE].vault.fingerprint()]).unwrap()
}

fn answers(town: &Town) -> usize {
    town.shop.got.iter().filter(|(name, ..)| name == "authorisation.response").count()
}

/// Nobody's word is wanted on the strength of a profile that the service itself went back behind.
#[test]
fn a_service_that_says_something_earlier_again_gets_no_word() {
    let mut town = begun(220);
    for (sequence, wanted) in [(2, "none"), (1, "unavailable"), (3, "none")] {
        let profile = town.shop.profile_of(&town.shop.signing, "Shop", sequence, town.now);
        send(&mut town, "profile.changed", json!({"profile": profile}));
        let asked = consent(&town);
        let (id, answer) = want(&mut town, &asked);
        assert_eq!(code(&answer), wanted, "{sequence}");
        if wanted == "none" {
            approve(&mut town, id).unwrap();
        }
    }
}

/// What the member's word is wanted for is asked under the contract in force, which the request names.
#[test]
fn a_request_under_another_contract_is_refused() {
    let mut town = begun(219);
    for wanted in [payment("5.00"), consent(&town), document(), proof(&["age_over_18"])] {
        let mut asked = |change: &dyn Fn(&mut Value)| {
            let id = request_id(&mut town);
            let mut body = town.shop.wants(&wanted, id, town.now);
            change(&mut body);
            let body = town.shop.signed(&body);
            refused(&mut town, row(&wanted), body)
        };
        let mismatch = (RefusalCode::ContractMismatch, Severity::Notice, Some("contract_current".to_owned()));
        assert_eq!(asked(&|body| body["contract_hash"] = json!(Base64Url::new([6; 32]))), mismatch, "{wanted}");
        let unsaid = asked(&|body| {
            body.as_object_mut().unwrap().remove("contract_hash");
        });
        assert_eq!(unsaid.0, RefusalCode::InvalidRequest, "{wanted}");
    }
}

#[test]
fn a_payment_needs_a_verified_connection_what_was_shown_and_the_password_each_time() {
    let mut town = begun(1);
    let (id, at_once) = want(&mut town, &payment("500.00"));
    assert_eq!(at_once, Value::Null);
    let view = shown(&mut town, id).unwrap();
    assert_eq!(view.needs, [Need::Verification, Need::Credential]);
    assert!(view.displayed.contains(&"Amount: 500.00 EUR".to_owned()), "{view:?}");
    assert!(view.displayed.contains(&"Asked by: demo-shop".to_owned()), "{view:?}");
    verify_shop(&mut town);
    let mut wallet = Wallet::create(&mut town, ALICE, PASSWORD);
    assert_eq!(shown(&mut town, id).unwrap().needs, [Need::Password]);
    assert_eq!(approve(&mut town, id), Err(RefusalCode::NotAllowed), "without the password");
    // The password for another request opens nothing.
    let (other, _) = want(&mut town, &payment("499.00"));
    permit(&mut town, &mut wallet, other);
    assert_eq!(approve(&mut town, id), Err(RefusalCode::NotAllowed));
    permit(&mut town, &mut wallet, id);
    let wrong = Some(Digest::from_bytes([1; 32]));
    assert_eq!(say(&mut town, id, "approve", wrong), Err(RefusalCode::Conflict), "not what was shown");
    assert_eq!(say(&mut town, id, "approve", None), Err(RefusalCode::Conflict), "unseen");
    approve(&mut town, id).unwrap();
    let report = record(&mut town, id);
    assert!(report.is_approved());
    assert_eq!(report.record.answer.method, AnswerMethod::Password);
    assert_eq!(approve(&mut town, other).map(|_| ()), Ok(()), "its own password was given");
    // It was for once.
    let (next, _) = want(&mut town, &payment("1.00"));
    assert_eq!(approve(&mut town, next), Err(RefusalCode::NotAllowed));
    say(&mut town, next, "deny", None).unwrap();
    let report = record(&mut town, next);
    assert_eq!((report.is_approved(), report.record.answer.method), (false, AnswerMethod::Owner));
    town.check(ALICE);
}

#[test]
fn small_payments_may_be_set_free_and_what_has_no_amount_never_is() {
    let mut town = begun(2);
    verify_shop(&mut town);
    let mut wallet = Wallet::create(&mut town, ALICE, PASSWORD);
    let free = FreePayments { currency: "EUR".parse().unwrap(), at_most: Some("10".parse().unwrap()) };
    wallet.act::<FreeRequests>(&mut town, PASSWORD, |_, _| free).unwrap().unwrap();
    let needs = |town: &mut Town, wanted: &Value| {
        let (id, _) = want(town, wanted);
        let needs = shown(town, id).unwrap().needs;
        town.now = town.now.plus_ms(6 * MINUTE_MS);
        needs
    };
    assert_eq!(needs(&mut town, &payment("10.00")), []);
    assert_eq!(needs(&mut town, &payment("10.01")), [Need::Password]);
    let order = json!({"kind": "transaction", "action": "standing order", "reference": "12"});
    assert_eq!(needs(&mut town, &order), [Need::Password]);
    town.check(ALICE);
}

#[test]
fn the_same_request_gets_the_same_answer_and_another_under_its_id_is_refused() {
    let mut town = begun(3);
    let id = request_id(&mut town);
    let body = town.shop.wants(&proof(&["phone"]), id, town.now);
    let other = town.shop.wants(&proof(&["age_over_18"]), id, town.now);
    assert_eq!(send(&mut town, "identity.verify", body.clone()), Value::Null);
    assert_eq!(send(&mut town, "identity.verify", body.clone()), Value::Null, "it waits, and is not asked twice");
    assert_eq!(code(&send(&mut town, "identity.verify", other.clone())), "conflict");
    let list: RequestList = town.ask(ALICE, "request.list", json!({})).unwrap();
    assert_eq!(list.requests.len(), 1);
    approve(&mut town, id).unwrap();
    let first = town.shop.last().1.clone();
    assert_eq!(record(&mut town, id).record.request.wanted.title(), "A proof about you");
    assert_eq!(say(&mut town, id, "deny", None), Err(RefusalCode::NotFound), "answered is answered");
    assert_eq!(send(&mut town, "identity.verify", body.clone()), first);
    // And after the vault forgot that it waited.
    town.now = town.now.plus_ms(6 * MINUTE_MS);
    town.tick();
    assert_eq!(send(&mut town, "identity.verify", body.clone()), first);
    assert_eq!(code(&send(&mut town, "identity.verify", other.clone())), "conflict");
    assert_eq!(record_of(&mut town, id), first);
    town.check(ALICE);
}

fn record_of(town: &mut Town, id: RequestId) -> Value {
    let named = json!({"connection_id": town.shop.connection_id.unwrap(), "request_id": id});
    let record: Value = town.ask(ALICE, "authorisation.export", named).unwrap();
    record["answer"].clone()
}

#[test]
fn the_vaults_clock_ends_what_nobody_answered_and_the_service_is_told() {
    let mut town = begun(4);
    let (id, _) = want(&mut town, &proof(&["phone"]));
    let hash = shown(&mut town, id).unwrap().request_hash;
    town.now = town.now.plus_ms(5 * MINUTE_MS);
    assert_eq!(say(&mut town, id, "approve", Some(hash)), Err(RefusalCode::Expired));
    town.tick();
    town.run();
    assert_eq!((town.shop.last().0, code(town.shop.last().1)), ("event.refused", "expired"));
    assert_eq!(shown(&mut town, id), None);
    assert_eq!(say(&mut town, id, "approve", Some(hash)), Err(RefusalCode::NotFound));
    // One that lived too long, or comes from the future, is none.
    let id = request_id(&mut town);
    let late = town.shop.wants(&proof(&["phone"]), id, town.now.plus_ms(-6 * MINUTE_MS));
    assert_eq!(code(&send(&mut town, "identity.verify", late)), "expired");
    let id = request_id(&mut town);
    let early = town.shop.wants(&proof(&["phone"]), id, town.now.plus_ms(MINUTE_MS));
    assert_eq!(code(&send(&mut town, "identity.verify", early)), "invalid_request");
    assert_eq!(answers(&town), 0);
    town.check(ALICE);
}

#[test]
fn a_rule_may_refuse_and_never_approves() {
    let mut town = begun(5);
    verify_shop(&mut town);
    let mut wallet = Wallet::create(&mut town, ALICE, PASSWORD);
    let free = FreePayments { currency: "EUR".parse().unwrap(), at_most: Some("1000".parse().unwrap()) };
    wallet.act::<FreeRequests>(&mut town, PASSWORD, |_, _| free).unwrap().unwrap();
    let connection = town.shop.connection_id.unwrap();
    for (n, rule) in [
        json!({"rule_id": "small", "outcome": "allow", "event_type": "payment.request", "connection_id": connection,
            "amount": {"currency": "EUR", "at_most": "20"}}),
        json!({"rule_id": "large", "outcome": "deny", "event_type": "payment.request", "amount": {"currency": "EUR", "above": "100"}}),
    ]
    .into_iter()
    .enumerate()
    {
        let stored: RuleStored = town.ask(ALICE, "rule.set", json!({"rule": rule})).unwrap();
        assert!(matches!(stored, RuleStored::Stored(_)), "{n} {stored:?}");
    }
    let (id, at_once) = want(&mut town, &payment("5.00"));
    assert_eq!(at_once, Value::Null);
    assert!(shown(&mut town, id).is_some(), "the owner is asked");
    assert_eq!(answers(&town), 0);
    let (id, at_once) = want(&mut town, &payment("100.01"));
    assert_eq!(at_once["decision"], "deny");
    assert_eq!(record(&mut town, id).record.answer.method, AnswerMethod::Rule);
    assert_eq!(shown(&mut town, id), None);
    town.check(ALICE);
}

#[test]
fn a_consent_is_kept_listed_and_taken_back_once() {
    let mut town = begun(6);
    let wanted = consent(&town);
    let (id, _) = want(&mut town, &wanted);
    approve(&mut town, id).unwrap();
    let given = record(&mut town, id).record;
    let connection_id = town.shop.connection_id.unwrap();
    let listed = |town: &mut Town| {
        let list: AnsweredList = town.ask(ALICE, "authorisation.list", json!({"kind": "consent", "limit": 9})).unwrap();
        list.answered.first().map(|one| (one.request_id, one.decision, one.in_force)).unwrap()
    };
    assert_eq!(listed(&mut town), (id, Decision::Approve, true));
    let named = json!({"connection_id": connection_id, "request_id": id});
    town.now = town.now.plus_ms(DAY_MS);
    for _ in 0..2 {
        let taken: Answered = town.ask(ALICE, "consent.withdraw", &named).unwrap();
        assert!(taken.withdrawn_at.is_some() && !taken.in_force);
        town.run();
    }
    assert_eq!(town.shop.got.iter().filter(|(name, ..)| name == "consent.withdrawn").count(), 1);
    let withdrawal = vjson::from_value(town.shop.last().1.clone()).unwrap();
    let request = vettid_crypto::authorisation::verify_request(given.request).unwrap();
    vettid_crypto::authorisation::verify_withdrawal(&request, &given.answer, &withdrawal).unwrap();
    assert!(!listed(&mut town).2);
    let record: Value = town.ask(ALICE, "authorisation.export", &named).unwrap();
    assert!(record.get("withdrawal").is_some());
    // One that was refused, or that ended by itself, cannot be taken back.
    let wanted = consent(&town);
    let (refused, _) = want(&mut town, &wanted);
    say(&mut town, refused, "deny", None).unwrap();
    let (given, _) = want(&mut town, &wanted);
    approve(&mut town, given).unwrap();
    town.now = town.now.plus_ms(31 * DAY_MS);
    for id in [refused, given] {
        let named = json!({"connection_id": connection_id, "request_id": id});
        let taken: Result<Answered, _> = town.ask(ALICE, "consent.withdraw", named);
        assert_eq!(taken, Err(RefusalCode::NotAllowed));
    }
    town.check(ALICE);
}

#[test]
fn a_proof_says_what_was_asked_and_not_the_date_of_birth() {
    let mut town = begun(7);
    let (id, _) = want(&mut town, &proof(&["age_over_18", "age_over_65", "phone"]));
    let view = shown(&mut town, id).unwrap();
    assert!(view.displayed.iter().any(|line| line.contains("whether you are 18 or older")), "{view:?}");
    approve(&mut town, id).unwrap();
    let report = record(&mut town, id);
    let claims: Vec<_> = report.record.answer.claims.iter().map(|c| (c.claim.to_string(), c.value.clone())).collect();
    let expected = [("age_over_18", json!(true)), ("age_over_65", json!(false)), ("phone", json!("+43 1"))];
    assert_eq!(claims, expected.map(|(claim, value)| (claim.to_owned(), value)));
    assert!(!vjson::canonical(&report.record).unwrap().windows(10).any(|bytes| bytes == b"2000-05-17"));
    town.now = town.now.plus_ms(6 * MINUTE_MS);
    // Not declared; optional and not agreed to; another site than the service's own.
    for claims in [&["ssn"][..], &["city"], &["email", "ssn"]] {
        assert_eq!(code(&want(&mut town, &proof(claims)).1), "not_in_contract", "{claims:?}");
    }
    let mut foreign = proof(&["phone"]);
    foreign["origin"] = "https://shop.example.evil".into();
    assert_eq!(code(&want(&mut town, &foreign).1), "not_allowed");
    // Nothing there to say: the owner learns it, and the service does so only after the yes.
    let (id, at_once) = want(&mut town, &proof(&["size"]));
    assert_eq!(at_once, Value::Null);
    assert_eq!(approve(&mut town, id), Err(RefusalCode::NotAvailable));
    assert_eq!(code(town.shop.last().1), "not_available");
    town.check(ALICE);
}

fn held(town: &mut Town) -> Vec<(String, Keep)> {
    let list: HeldList = town.ask(ALICE, "data.held.list", json!({})).unwrap();
    list.held.into_iter().map(|held| (held.field, held.keep)).collect()
}

#[test]
fn a_value_that_is_proved_is_handed_out_and_one_that_the_service_may_not_keep_is_refused() {
    let mut town = begun(11);
    // A record is kept for good; of these the contract allows two days and a session.
    for claims in [&["email"][..], &["date_of_birth"], &["age_over_18", "email"], &["email", "phone"]] {
        assert_eq!(code(&want(&mut town, &proof(claims)).1), "retention_too_long", "{claims:?}");
    }
    let (denied, _) = want(&mut town, &proof(&["phone"]));
    say(&mut town, denied, "deny", None).unwrap();
    let (age, _) = want(&mut town, &proof(&["age_over_18"]));
    approve(&mut town, age).unwrap();
    assert_eq!(held(&mut town), [], "nothing was said but an age");
    let (id, _) = want(&mut town, &proof(&["age_over_18", "licence", "phone"]));
    approve(&mut town, id).unwrap();
    let kept = ["licence", "phone"].map(|field| (field.to_owned(), Keep::UntilRevoked));
    assert_eq!(held(&mut town), kept);
    town.check(ALICE);
}

#[test]
fn what_is_handed_out_once_is_proved_once() {
    let mut town = begun(8);
    let (id, _) = want(&mut town, &proof(&["licence"]));
    let (waits, _) = want(&mut town, &proof(&["licence"]));
    approve(&mut town, id).unwrap();
    assert_eq!(approve(&mut town, waits), Err(RefusalCode::Spent));
    assert_eq!(code(town.shop.last().1), "spent");
    assert_eq!(code(&want(&mut town, &proof(&["licence"])).1), "spent");
    town.check(ALICE);
}

#[test]
fn a_flood_stops_at_three_and_three_denials_silence_the_service_for_a_day() {
    let mut town = begun(9);
    let kinds = [document(), proof(&["phone"]), payment("1.00")];
    let ids: Vec<_> = kinds.iter().map(|wanted| want(&mut town, wanted).0).collect();
    assert_eq!(code(&want(&mut town, &document()).1), "rate_limited");
    town.now = town.now.plus_ms(4 * MINUTE_MS);
    for id in ids {
        say(&mut town, id, "deny", None).unwrap();
    }
    let told =
        town.feed(ALICE).entries.iter().filter(|entry| entry.summary.contains("you said no three times")).count();
    assert_eq!(told, 1);
    town.now = town.now.plus_ms(DAY_MS - MINUTE_MS);
    assert_eq!(code(&want(&mut town, &document()).1), "rate_limited");
    town.now = town.now.plus_ms(MINUTE_MS);
    assert_eq!(want(&mut town, &document()).1, Value::Null);
    town.check(ALICE);
}

#[test]
fn without_the_permission_or_the_signature_of_the_service_nothing_is_asked() {
    let mut town = Town::settled(10);
    town.shop.contract.permissions = vec![Permission::RequestPayment];
    town.connect_shop();
    let wanted = consent(&town);
    for wanted in [wanted, document(), proof(&["email"])] {
        assert_eq!(code(&want(&mut town, &wanted).1), "not_in_contract");
    }
    let id = request_id(&mut town);
    let sound = town.shop.wants(&payment("5.00"), id, town.now);
    type Change = fn(&mut Value);
    let changes: [Change; 5] = [
        |body| body["amount"]["value"] = "6.00".into(),
        |body| body["payee"]["name"] = "Mallory".into(),
        |body| body["extra"] = 1.into(),
        |body| body["signature"] = "".into(),
        |body| body["kind"] = "transaction".into(),
    ];
    for change in changes {
        let mut body = sound.clone();
        change(&mut body);
        assert_eq!(code(&send(&mut town, "payment.request", body)), "invalid_request");
    }
    assert_eq!(code(&send(&mut town, "transaction.request", sound.clone())), "invalid_request", "another row");
    // Signed by a service that this connection is not with.
    let (other, keys) = record_of_keys(KeyRole::Service, town.shop.guid, town.now, &mut town.rng);
    let mut body = sound.clone();
    body["key_record"] = serde_json::to_value(keys.record()).unwrap();
    let body = sign_object(Context::ServiceRequest, &other, &body).unwrap();
    assert_eq!(code(&send(&mut town, "payment.request", body)), "not_allowed");
    let mut hidden = payment("5.00");
    hidden["payee"]["name"] = "Bob\u{202e}htimS".into();
    assert_eq!(code(&want(&mut town, &hidden).1), "invalid_request");
    let list: RequestList = town.ask(ALICE, "request.list", json!({})).unwrap();
    assert_eq!(list.requests, []);
    assert_eq!(send(&mut town, "payment.request", sound.clone()), Value::Null);
    town.check(ALICE);
}

#[test]
fn what_a_rule_denies_never_takes_the_place_of_what_the_owner_signed() {
    const MUCH: Rate = Rate { count: 1_000_000, per_seconds: 60 };
    let mut town = Town::settled(12);
    town.shop.contract.rate = MUCH;
    town.connect_shop();
    let (signed, _) = want(&mut town, &document());
    approve(&mut town, signed).unwrap();
    let connection_id = town.shop.connection_id.unwrap();
    let rule = json!({"rule_id": "no-documents", "outcome": "deny", "event_type": "document.sign",
        "connection_id": connection_id});
    let _: RuleStored = town.ask(ALICE, "rule.set", json!({"rule": rule})).unwrap();
    let limit = Limit { messages: MUCH, bytes: None, uncommitted: 0 };
    town.nodes[ALICE].limit(Limits { connection: limit, ..Limits::default() });
    town.resume(ALICE, true);
    let mut last = None;
    for _ in 0..260 {
        town.now = town.now.plus_ms(1000);
        let (id, answer) = want(&mut town, &document());
        assert_eq!(answer["method"], "rule");
        last = Some(id);
    }
    town.resume(ALICE, true);
    let list: AnsweredList = town.ask(ALICE, "authorisation.list", json!({"limit": 100})).unwrap();
    let kept: Vec<_> = list.answered.iter().map(|answered| answered.request_id).collect();
    assert_eq!((kept.len(), kept.first(), kept.last()), (33, last.as_ref(), Some(&signed)), "the newest 32, and hers");
    let named = json!({"connection_id": connection_id, "request_id": signed});
    let _: Value = town.ask(ALICE, "authorisation.export", named).unwrap();
    town.check(ALICE);
}

#[test]
fn what_the_contract_does_not_let_through_says_which_check_failed_and_how_urgent_that_is() {
    let mut town = Town::settled(11);
    let _: Value = town.ask(ALICE, "data.set", json!({"field": "email", "value": "alice@home.example"})).unwrap();
    town.shop.contract.permissions = vec![Permission::RequestProof];
    town.shop.contract.rate = Rate { count: 6, per_seconds: 3600 };
    town.connect_shop();
    let order = json!({"kind": "transaction", "action": "standing order", "reference": "12"});
    let consent = consent(&town);
    let mut refuse = |wanted: &Value| {
        let id = request_id(&mut town);
        let body = town.shop.wants(wanted, id, town.now);
        refused(&mut town, row(wanted), body)
    };
    let failed = |code, severity, check: &str| (code, severity, Some(check.to_owned()));
    let not_permitted = failed(RefusalCode::NotInContract, Severity::Alarm, "permission");
    for wanted in [payment("5.00"), order, consent, document()] {
        assert_eq!(refuse(&wanted), not_permitted, "{wanted}");
    }
    // Of a proof the fields are checked as they are where they are read.
    assert_eq!(refuse(&proof(&["city", "ssn"])), failed(RefusalCode::NotInContract, Severity::Alarm, "declared"));
    assert_eq!(refuse(&proof(&["city"])), failed(RefusalCode::NotInContract, Severity::Warning, "tier"));
    assert_eq!(refuse(&proof(&["email"])), failed(RefusalCode::RateLimited, Severity::Warning, "rate"));
    town.check(ALICE);
}

#[test]
fn whatever_gets_lost_repeated_or_dies_one_answer_is_given() {
    for seed in 20..24 {
        let mut town = begun(seed);
        town.faults = Faults { lose: 20, repeat: 30, crash: 20, reorder: true };
        let id = request_id(&mut town);
        let body = town.shop.wants(&document(), id, town.now);
        let event_id = town.fresh_event();
        for _ in 0..6 {
            let now = town.now;
            let (subject, bytes) = town.shop.seal_as("document.sign", &body, event_id, now, &mut town.rng);
            town.post(subject, bytes);
            town.run();
        }
        let hash = shown(&mut town, id).unwrap().request_hash;
        let said: Result<Decided, _> =
            town.ask(ALICE, "request.decide", json!({"request_id": id, "decision": "approve", "shown": hash}));
        said.unwrap();
        town.run();
        town.faults = Faults::default();
        let now = town.now;
        let (subject, bytes) = town.shop.seal_as("document.sign", &body, event_id, now, &mut town.rng);
        town.post(subject, bytes);
        town.run();
        let got: Vec<_> = town.shop.got.iter().filter(|(name, ..)| name == "authorisation.response").collect();
        assert!(!got.is_empty() && got.iter().all(|(_, body, _)| *body == got[0].1), "seed {seed}");
        let list: AnsweredList = town.ask(ALICE, "authorisation.list", json!({"limit": 9})).unwrap();
        assert_eq!(list.answered.len(), 1);
        town.check(ALICE);
    }
}

//! Bad input against the real manager: refused by name or dropped without a word, and nothing else changes.

use crate::flows::{request_id, send};
use crate::town::{ALICE, BOB, DAY_MS, MINUTE_MS, Town};
use proptest::prelude::*;
use serde_json::{Value, json};
use vettid_core::journal::Changes;
use vettid_wire::base64::{Base64, Base64Url};
use vettid_wire::envelope::Envelope;
use vettid_wire::id::{ConnectionId, EventId, ServiceId};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::subject::Subject;

fn state(town: &Town) -> Changes {
    town.nodes[ALICE].vault.state().all()
}

/// The message has no effect and no answer; it is counted.
fn is_dropped(town: &mut Town, what: &str, subject: Subject, bytes: Vec<u8>) {
    let (before, dropped, sent) = (state(town), town.nodes[ALICE].vault.dropped(), town.log.len());
    town.give(ALICE, vec![(subject, bytes)]);
    assert_eq!(state(town), before, "{what}");
    assert_eq!(town.nodes[ALICE].vault.dropped(), dropped + 1, "{what}");
    assert_eq!(town.log.len(), sent, "{what}");
}

/// A valid envelope of each lane that was not delivered: app, connection, service.
fn fresh_envelopes(town: &mut Town, id: ConnectionId) -> Vec<(Subject, Vec<u8>)> {
    let event_id = town.fresh_event();
    let command = json!({"field": "x", "value": 1});
    let app = town.apps[ALICE].seal("data.set", command, event_id, town.now, &mut town.rng);
    let _: Value = town.ask(BOB, "messaging.send", json!({"connection_id": id, "text": "t"})).unwrap();
    let post = town.log.iter().rev().find(|post| matches!(post.subject, Subject::ForOwner(..))).unwrap();
    let peer = (post.subject.clone(), post.bytes.as_bytes().to_vec());
    let request_id = request_id(town);
    let body = town.shop.data_request("email", request_id);
    let service = town.shop.seal("data.request", body, town.now, &mut town.rng).1;
    vec![app, peer, service]
}

type Change = fn(&mut Envelope);

#[test]
fn a_changed_envelope_or_another_subject_is_dropped() {
    let mut town = Town::settled(40);
    let id = town.connect();
    town.connect_shop();
    let changes: [(&str, Change); 10] = [
        ("version", |e| e.encryption.v = 2),
        ("algorithm", |e| e.encryption.algorithm = "none".into()),
        ("key id", |e| e.encryption.key_id = "k_utkd2ec6y33ntxd64zqbcj2x5a".parse().unwrap()),
        ("session", |e| e.encryption.connection_key_id = None),
        ("epoch", |e| e.encryption.epoch += 1),
        ("incarnation", |e| e.encryption.incarnation += 1),
        ("sequence", |e| e.sequence += 1),
        ("time", |e| e.timestamp = e.timestamp.plus_ms(1)),
        ("event id", |e| e.event_id = EventId::from_bytes([3; 16])),
        ("payload", |e| e.encrypted_payload = Base64::new([&[1], &e.encrypted_payload.as_bytes()[1..]].concat())),
    ];
    let envelopes = fresh_envelopes(&mut town, id);
    for (subject, bytes) in &envelopes {
        for (what, change) in changes {
            let mut envelope = Envelope::read(bytes).unwrap();
            change(&mut envelope);
            is_dropped(&mut town, what, subject.clone(), serde_json::to_vec(&envelope).unwrap());
        }
        is_dropped(&mut town, "truncated", subject.clone(), bytes[..bytes.len() - 3].to_vec());
        is_dropped(&mut town, "oversized", subject.clone(), [bytes.as_slice(), &vec![b' '; 2 << 20]].concat());
        is_dropped(&mut town, "garbage", subject.clone(), vec![0xff; 300]);
        for (other, _) in envelopes.iter().filter(|(other, _)| other != subject) {
            is_dropped(&mut town, "moved", other.clone(), bytes.clone());
        }
        let foreign: Subject = subject.to_string().replacen("01010101", "02020202", 1).parse().unwrap();
        is_dropped(&mut town, "another member", foreign, bytes.clone());
    }
    // After all that, each of them is still taken.
    for (subject, bytes) in envelopes {
        let before = state(&town);
        town.give(ALICE, vec![(subject, bytes)]);
        assert_ne!(state(&town), before);
    }
}

#[test]
fn a_repeated_command_has_one_effect_and_another_body_is_a_conflict() {
    let mut town = Town::settled(41);
    let event_id = town.fresh_event();
    let set = |value: u32| json!({"field": "x", "value": value});
    let first: Value = town.ask_as(ALICE, "data.set", set(1), event_id).unwrap().unwrap();
    let before = state(&town);
    assert_eq!(town.ask_as::<Value>(ALICE, "data.set", set(1), event_id), Some(Ok(first)));
    assert_eq!(town.ask_as::<Value>(ALICE, "data.set", set(2), event_id), Some(Err(RefusalCode::Conflict)));
    assert_eq!(state(&town), before);
}

#[test]
fn a_command_that_is_not_one_is_refused_by_name() {
    let mut town = Town::settled(42);
    let before = state(&town);
    let mut refused = |name: &str, body: Value| town.ask::<Value>(ALICE, name, body).unwrap_err();
    assert_eq!(refused("no.such_event", json!({})), RefusalCode::UnsupportedEvent);
    assert_eq!(refused("data.request", json!({})), RefusalCode::UnsupportedEvent);
    assert_eq!(refused("data.set", json!({"field": "x", "value": 1, "more": 1})), RefusalCode::InvalidRequest);
    assert_eq!(refused("data.set", json!("text")), RefusalCode::InvalidRequest);
    assert_eq!(refused("data.get", json!({"field": "x".repeat(5000)})), RefusalCode::InvalidRequest);
    let event_id = town.fresh_event();
    for (late_ms, what) in [(-3 * MINUTE_MS, "old"), (3 * MINUTE_MS, "future")] {
        let at = town.now.plus_ms(late_ms);
        let sealed = town.apps[ALICE].seal("data.set", json!({"field": "x", "value": 1}), event_id, at, &mut town.rng);
        town.give(ALICE, vec![sealed]);
        assert_eq!(town.answer::<Value>(ALICE, event_id), Some(Err(RefusalCode::Expired)), "{what}");
    }
    assert_eq!(state(&town), before);
}

#[test]
fn a_limited_session_is_refused_everything_and_told_nothing() {
    let mut town = Town::settled(43);
    let id = town.connect();
    let event_id = town.fresh_event();
    let body = json!({"field": "x", "value": 1});
    let _: Value = town.ask_as(ALICE, "data.set", &body, event_id).unwrap().unwrap();
    town.resume(ALICE, false);
    assert_eq!(town.ask_as::<Value>(ALICE, "data.set", &body, event_id), Some(Err(RefusalCode::Locked)));
    assert_eq!(town.ask::<Value>(ALICE, "vault.health", json!({})), Err(RefusalCode::Locked));
    let mine = |town: &Town| {
        let to_me = |subject: &Subject| matches!(subject, Subject::ForApp(guid, ..) if *guid == town.nodes[ALICE].guid);
        town.log.iter().filter(|post| to_me(&post.subject)).count()
    };
    let before = mine(&town);
    let _: Value = town.ask(BOB, "messaging.send", json!({"connection_id": id, "text": "t"})).unwrap();
    town.run();
    assert_eq!(mine(&town), before);
}

#[test]
fn a_vault_takes_one_app() {
    let mut town = Town::new(44);
    let codes = [town.code(ALICE).unwrap(), town.code(ALICE).unwrap()];
    let (initiator, hs1) = town.apps[ALICE].enrol(&codes[0], town.now, &mut town.rng);
    town.shake(ALICE, "app.bootstrap", "app.bootstrap", initiator, &hs1).unwrap();
    let before = state(&town);
    let (_, hs1) = town.apps[BOB].enrol(&codes[1], town.now, &mut town.rng);
    assert!(town.handshake(ALICE, "app.bootstrap", &hs1).is_none());
    assert_eq!(state(&town), before);
    assert!(town.code(ALICE).is_none());
}

#[test]
fn a_service_gets_no_more_than_its_contract_says() {
    let mut town = Town::settled(45);
    town.connect_shop();
    let id = request_id(&mut town);
    let changed = |town: &Town, name: &str, value: Value| {
        let mut body = town.shop.data_request("email", id);
        body[name] = value;
        body
    };
    let other: ServiceId = "other".parse().unwrap();
    let cases = [
        (changed(&town, "service_id", json!(other)), "not_allowed"),
        (changed(&town, "connection_id", json!(ConnectionId::from_bytes([1; 16]))), "not_allowed"),
        (changed(&town, "contract_hash", json!(Base64Url::new([0; 32]))), "contract_mismatch"),
        (changed(&town, "field", json!("ssn")), "not_in_contract"),
        (changed(&town, "more", json!(1)), "invalid_request"),
    ];
    for (body, code) in cases {
        assert_eq!(send(&mut town, "data.request", body)["code"], code);
    }
    let unsigned = town.shop.challenge(id, town.now);
    let mut wrong = town.shop.signed(&unsigned);
    wrong["nonce"] = json!(Base64Url::new([8; 32]));
    let mut origin = unsigned.clone();
    origin["origin"] = "https://evil.example".into();
    let origin = town.shop.signed(&origin);
    for (body, code) in [(unsigned, "invalid_request"), (wrong, "invalid_request"), (origin, "not_allowed")] {
        assert_eq!(send(&mut town, "auth.challenge", body)["code"], code);
    }
    assert_eq!(send(&mut town, "messaging.text", json!({}))["code"], "unsupported_event");
}

#[test]
fn a_connection_that_ended_has_no_effect_and_gets_no_answer() {
    let mut town = Town::settled(46);
    let id = town.connect_shop();
    let request_id = request_id(&mut town);
    let body = town.shop.data_request("email", request_id);
    let (_, (subject, bytes)) = town.shop.seal("data.request", body, town.now, &mut town.rng);
    let _: Value =
        town.ask(ALICE, "connection.revoke", json!({"connection_id": id, "reason": "user_requested"})).unwrap();
    town.run();
    is_dropped(&mut town, "revoked", subject, bytes);
}

#[test]
fn an_invitation_that_is_over_is_not_answered() {
    let mut town = Town::settled(47);
    let invited: Value = town.ask(ALICE, "connection.invite", json!({})).unwrap();
    town.now = town.now.plus_ms(DAY_MS);
    town.resume(BOB, true);
    let answered = town.ask::<Value>(BOB, "connection.accept", json!({"link": invited["link"]}));
    assert_eq!(answered, Err(RefusalCode::Expired));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn random_bytes_and_mutations_change_nothing(
        garbage in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..400), 20),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), 1u8..=255), 60),
    ) {
        let mut town = Town::settled(48);
        let id = town.connect();
        town.connect_shop();
        let envelopes = fresh_envelopes(&mut town, id);
        let before = state(&town);
        for (subject, bytes) in &envelopes {
            for junk in &garbage {
                town.give(ALICE, vec![(subject.clone(), junk.clone())]);
            }
            for (at, flip) in &flips {
                let mut changed = bytes.clone();
                changed[at.index(bytes.len())] ^= flip;
                // Spaces and the order of fields are not part of what is sealed.
                if Envelope::read(&changed).ok() != Envelope::read(bytes).ok() {
                    town.give(ALICE, vec![(subject.clone(), changed)]);
                }
            }
        }
        prop_assert!(state(&town) == before);
    }
}

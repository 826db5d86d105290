//! Requests for values that come again under their event id: the very same answer, as long as its values may still be had.

use crate::contracts::{answer, offer, version};
use crate::flows::request_id;
use crate::town::{ALICE, DAY_MS, MINUTE_MS, Town};
use serde_json::{Value, json};
use vettid_core::contract::contract_hash;
use vettid_vault::projection::Draft;
use vettid_wire::contract::Retention;
use vettid_wire::feed::AuditStretch;
use vettid_wire::id::{ConnectionId, EventId};

/// Values that are found in the state if they stand there.
const EMAIL: &str = "alice@home.example";
const ADDRESS: &str = "Elm Street 1";

fn begun(seed: u64) -> (Town, ConnectionId) {
    let mut town = Town::settled(seed);
    for (field, value) in [("email", EMAIL), ("address", ADDRESS), ("phone", "+43 1")] {
        let _: Value = town.ask(ALICE, "data.set", json!({"field": field, "value": value})).unwrap();
    }
    let id = town.connect_shop();
    (town, id)
}

/// A request that comes again and again.
struct Repeated {
    name: &'static str,
    body: Value,
    event_id: EventId,
}

impl Repeated {
    fn one(town: &mut Town, field: &str) -> Self {
        let id = request_id(town);
        Self { name: "data.request", body: town.shop.data_request(field, id), event_id: town.fresh_event() }
    }

    fn several(town: &mut Town, fields: &[&str]) -> Self {
        let fields: Vec<_> = fields.iter().map(|field| json!({"field": field})).collect();
        let body = json!({"request_id": request_id(town), "service_id": "demo-shop",
            "connection_id": town.shop.connection_id.unwrap(), "fields": fields, "purpose": "To deliver",
            "contract_hash": contract_hash(&town.shop.contract).unwrap()});
        Self { name: "data.batch.request", body, event_id: town.fresh_event() }
    }

    /// Sends it once more; gives the answer, which is always one.
    fn send(&self, town: &mut Town) -> Value {
        let count = town.shop.got.len();
        let (subject, bytes) = town.shop.seal_as(self.name, &self.body, self.event_id, town.now, &mut town.rng);
        town.post(subject, bytes);
        town.run();
        let [(_, body, _)] = &town.shop.got[count..] else { panic!("{:?}", &town.shop.got[count..]) };
        town.shop.check_proof(body);
        body.clone()
    }

    /// From now on it is refused with this code, always in the same words.
    fn is_refused(&self, town: &mut Town, code: &str) {
        let refused = self.send(town);
        assert_eq!(refused["code"], code, "{}: {refused}", self.name);
        assert_eq!(self.send(town), refused);
    }
}

/// How often the audit says that values were given again.
fn given_again(town: &mut Town) -> Vec<Value> {
    let stretch: AuditStretch = town.ask(ALICE, "audit.export", json!({"from": 0, "limit": 500})).unwrap();
    let details = stretch.entries.into_iter().filter_map(|entry| entry.detail).map(|detail| detail.value);
    details.filter_map(|detail| detail.get("given_again").cloned()).collect()
}

/// Under how many marks of a connection something stands, and under how many this text.
fn marks(town: &Town, id: ConnectionId, text: &str) -> (usize, usize) {
    let draft = Draft::new(town.nodes[ALICE].vault.state());
    let keys = draft.keys(&format!("seen/{id}/"), usize::MAX);
    let has = |key: &&String| String::from_utf8_lossy(draft.bytes(key).unwrap()).contains(text);
    (keys.len(), keys.iter().filter(has).count())
}

#[test]
fn while_the_value_may_be_kept_the_answer_is_the_same_and_in_the_audit() {
    let (mut town, id) = begun(1);
    let (one, several) = (Repeated::one(&mut town, "email"), Repeated::several(&mut town, &["phone", "email"]));
    let first = [one.send(&mut town), several.send(&mut town)];
    assert_eq!(first[0]["outcome"]["served"]["value"], EMAIL);
    assert_eq!(given_again(&mut town), Vec::<Value>::new());
    town.now = town.now.plus_ms(DAY_MS);
    town.resume(ALICE, true);
    let _: Value = town.ask(ALICE, "data.set", json!({"field": "email", "value": "new@home.example"})).unwrap();
    town.nodes[ALICE].crash();
    assert_eq!([one.send(&mut town), several.send(&mut town)], first);
    town.resume(ALICE, true);
    assert_eq!(given_again(&mut town), [json!(["email"]), json!(["phone", "email"])]);
    assert_eq!(marks(&town, id, EMAIL).1, 2);

    // Two days are its time. Then it is nowhere in the marks, and the requests have no value any more.
    town.now = town.now.plus_ms(DAY_MS);
    (0..3).for_each(|_| town.tick());
    assert_eq!(marks(&town, id, EMAIL).1, 0);
    one.is_refused(&mut town, "expired");
    several.is_refused(&mut town, "expired");
    town.resume(ALICE, true);
    assert_eq!(given_again(&mut town).len(), 2);
    town.check(ALICE);
}

#[test]
fn before_a_tick_lets_the_value_go_it_is_over_as_well() {
    let (mut town, _) = begun(2);
    let session = Repeated::one(&mut town, "address");
    assert_eq!(session.send(&mut town)["outcome"]["served"]["value"], ADDRESS);
    town.now = town.now.plus_ms(15 * MINUTE_MS);
    session.is_refused(&mut town, "expired");
    town.resume(ALICE, true);
    town.check(ALICE);
}

#[test]
fn what_the_service_could_not_have_now_it_does_not_get_again() {
    type Change = fn(&mut Town, ConnectionId);
    let changes: [(Change, &str); 4] = [
        (|town, _| drop(offer(town, &version(2))), "contract_frozen"),
        (
            |town, id| {
                let mut second = version(2);
                second.fields.retain(|field| field.field != "email");
                offer(town, &second);
                answer(town, id, &second, true, &["phone"]).unwrap();
            },
            "not_in_contract",
        ),
        (
            |town, id| {
                let mut second = version(2);
                second.fields.iter_mut().for_each(|field| field.retention = Retention::Session);
                second.fields.retain(|field| field.field != "size");
                offer(town, &second);
                answer(town, id, &second, true, &["phone"]).unwrap();
                town.now = town.now.plus_ms(15 * MINUTE_MS);
            },
            "expired",
        ),
        (|town, _| drop(town.ask::<Value>(ALICE, "data.remove", json!({"field": "email"})).unwrap()), "not_available"),
    ];
    for (change, code) in changes {
        let (mut town, id) = begun(3);
        let (one, several) = (Repeated::one(&mut town, "email"), Repeated::several(&mut town, &["phone", "email"]));
        for request in [&one, &several] {
            let first = request.send(&mut town);
            assert_eq!(request.send(&mut town), first, "{code}");
        }
        change(&mut town, id);
        town.run();
        one.is_refused(&mut town, code);
        several.is_refused(&mut town, code);
        town.resume(ALICE, true);
        town.check(ALICE);
    }
}

#[test]
fn with_the_connection_its_answers_go() {
    let (mut town, id) = begun(4);
    let kept = Repeated::one(&mut town, "phone");
    assert!(kept.send(&mut town)["outcome"]["served"]["keep"] == "until_revoked");
    assert_eq!(marks(&town, id, "+43 1").1, 1);
    let body = json!({"connection_id": id, "reason": "user_requested"});
    let _: Value = town.ask(ALICE, "connection.revoke", body).unwrap();
    (0..3).for_each(|_| town.tick());
    assert_eq!(marks(&town, id, ""), (0, 0));
    town.check(ALICE);
}

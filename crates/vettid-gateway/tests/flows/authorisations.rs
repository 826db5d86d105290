//! The member's word: asked over HTTP, answered with a record that holds, kept over kills, taken back; and every answer that only
//! looks like one.

use crate::http::Program;
use crate::requests::connected;
use crate::world::member::{Asked, Member, Service, rng};
use crate::world::{PATIENCE, eventually};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;
use vettid_crypto::authorisation::{sign_withdrawal, verify_record};
use vettid_crypto::identity::SigningKey;
use vettid_gateway::question::{Ask, Authorisation};
use vettid_gateway::view::Status;
use vettid_nats::clock;
use vettid_wire::auth::Decision;
use vettid_wire::authorisation::{AuthorisationAnswer, AuthorisationRecord};
use vettid_wire::digest::Digest;
use vettid_wire::envelope::Envelope;
use vettid_wire::id::RequestId;
use vettid_wire::json as vjson;
use vettid_wire::refusal::RefusalCode;

/// Requests that are open when a gateway is killed; fewer than one epoch of a connection has.
const MANY: u32 = 900;

pub(crate) fn payment() -> Value {
    json!({"kind": "payment", "action": "transfer", "amount": {"value": "500.00", "currency": "EUR"},
        "payee": {"name": "Bob Smith", "account_masked": "DE•• 1234", "account_hash": Digest::from_bytes([7; 32])},
        "reference": "Rent"})
}

pub(crate) fn consent() -> Value {
    json!({"kind": "consent", "purpose": "to treat you", "what": ["ask the laboratory"]})
}

/// With how long the call waits.
fn waiting(mut call: Value, wait_ms: u64) -> Value {
    call["wait_ms"] = wait_ms.into();
    call
}

fn id_of(view: &Value) -> RequestId {
    view["request_id"].as_str().unwrap().parse().unwrap()
}

/// The record that a program gets, as a reader checks it.
async fn record(program: &Program, id: RequestId) -> Option<AuthorisationRecord> {
    let (status, record) = program.get(&format!("/v1/records/{id}")).await;
    let known = status == StatusCode::OK;
    known.then(|| verify_record(&vjson::canonical(&record).unwrap(), clock::now(), &[]).unwrap().record)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_is_approved_and_another_denied() {
    let (world, gateway, mut member, mut service) = connected().await;
    let program = Program::of(&world, &gateway);
    let path = format!("/v1/connections/{}/authorisations", service.connection_id);
    for (decision, status) in [(Decision::Approve, "approved"), (Decision::Deny, "denied")] {
        let (answer, ()) = tokio::join!(program.post(&path, waiting(payment(), 20_000)), async {
            let asked = member.next_event(&mut service, "payment.request").await;
            let life_ms = asked.wanted().get().expires_at.since_ms(asked.wanted().get().issued_at);
            assert_eq!((asked.wanted().service(), life_ms), (gateway.gateway().fingerprint(), 300_000));
            let word = member.word(&service.pairwise_again(), &asked, decision);
            service.deliver_answer("authorisation.response", word, &asked).await;
        });
        assert_eq!(
            (answer.0, answer.1["status"].as_str(), answer.1["kind"].as_str()),
            (StatusCode::OK, Some(status), Some("payment"))
        );
        let kept = record(&program, id_of(&answer.1)).await.unwrap();
        assert_eq!((kept.answer.decision, serde_json::to_value(kept).unwrap()), (decision, answer.1["record"].clone()));
    }
    let (_, listed) = program.get(&format!("/v1/connections/{}/authorisations", service.connection_id)).await;
    let listed = |name: &str| listed[name].as_array().unwrap().len();
    assert_eq!((listed("requests"), listed("records")), (2, 2));
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_member_should_see_is_not_asked() {
    let (world, gateway, mut member, service) = connected().await;
    let program = Program::of(&world, &gateway);
    let path = format!("/v1/connections/{}/authorisations", service.connection_id);
    type Change = fn(&mut Value);
    let wrong: [Change; 8] = [
        |call| call["payee"]["name"] = "Bob\u{202e}htimS".into(),
        |call| call["reference"] = "a\nAmount: 1 EUR".into(),
        |call| call["amount"]["value"] = "0.00".into(),
        |call| call["amount"]["value"] = 500.into(),
        |call| call["extra"] = 1.into(),
        |call| call["kind"] = "gift".into(),
        |call| call["expires_in_ms"] = 300_001.into(),
        |call| call["expires_in_ms"] = 0.into(),
    ];
    for change in wrong {
        let mut call = waiting(payment(), 0);
        change(&mut call);
        assert_eq!(program.post(&path, call).await.0, StatusCode::BAD_REQUEST);
    }
    assert!(member.nothing_within(Duration::from_millis(300)).await);
    let unknown = program.get("/v1/records/018f6b1e-7c1a-7000-8000-000000000001").await;
    assert_eq!(unknown.0, StatusCode::NOT_FOUND);
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_with_one_thing_wrong_is_no_word() {
    let (world, gateway, mut member, mut service) = connected().await;
    let program = Program::of(&world, &gateway);
    let path = format!("/v1/connections/{}/authorisations", service.connection_id);
    let (_, asking) = program.post(&path, waiting(payment(), 0)).await;
    let asked = member.next_event(&mut service, "payment.request").await;
    let right = member.word(&service.pairwise_again(), &asked, Decision::Deny);
    let changes: [fn(&mut AuthorisationAnswer); 4] = [
        |answer| answer.decision = Decision::Approve,
        |answer| answer.answered_at = answer.answered_at.plus_ms(1),
        |answer| answer.displayed_hash = Digest::from_bytes([0; 32]),
        |answer| answer.request_id = RequestId::from_bytes([0; 16]),
    ];
    let dropped = gateway.gateway().dropped_events();
    for change in changes {
        let mut wrong = right.clone();
        change(&mut wrong);
        service.deliver_answer("authorisation.response", wrong, &asked).await;
    }
    // A key that this member certified, and that is not the one of this connection.
    let other = member.word(&SigningKey::random(&mut rng()), &asked, Decision::Approve);
    service.deliver_answer("authorisation.response", other, &asked).await;
    let stranger = member.word_of_a_stranger(&service.pairwise_again(), &asked);
    service.deliver_answer("authorisation.response", stranger, &asked).await;
    eventually(|| gateway.gateway().dropped_events() == dropped + 6).await;
    let id = id_of(&asking);
    assert_eq!(record(&program, id).await, None);
    service.deliver_answer("authorisation.response", &right, &asked).await;
    let view = gateway.run(move |gateway| async move { gateway.request(id, PATIENCE).await.unwrap() }).await;
    assert!(matches!(view.status, Status::Denied { .. }));
    // The first answer stands.
    let later = member.word(&service.pairwise_again(), &asked, Decision::Approve);
    service.deliver_answer("authorisation.response", later, &asked).await;
    eventually(|| gateway.gateway().dropped_events() == dropped + 7).await;
    assert_eq!(record(&program, id).await.unwrap().answer, right);
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_was_killed_gets_the_answer_and_keeps_it() {
    let (world, gateway, mut member, mut service) = connected().await;
    let id = service.connection_id;
    let wanted = vjson::from_value(payment()).unwrap();
    let ask = Ask::Authorisation(Authorisation { wanted, life_ms: None });
    let asking = gateway.begin(move |gateway| async move { gateway.ask(id, ask, PATIENCE).await });
    let asked = member.next_event(&mut service, "payment.request").await;
    gateway.kill();
    assert!(asking.await.is_err(), "nobody was told the id of the request");
    // Answered while nobody is there: the inbox keeps it.
    let word = member.word(&service.pairwise_again(), &asked, Decision::Approve);
    service.deliver_answer("authorisation.response", &word, &asked).await;
    let request_id = asked.wanted().get().request_id;
    for _ in 0..2 {
        let gateway = world.gateway().await;
        let view =
            gateway.run(move |gateway| async move { gateway.request(request_id, PATIENCE).await.unwrap() }).await;
        assert!(matches!(view.status, Status::Approved { record: Some(_), .. }), "{view:?}");
        let program = Program::of(&world, &gateway);
        assert_eq!(record(&program, request_id).await.unwrap().answer, word);
        gateway.kill();
    }
    world.shut().await;
}

/// The next payment that is asked about; questions for data are passed over.
async fn next_payment(member: &mut Member, service: &mut Service) -> Asked {
    loop {
        let (subject, bytes) = member.next().await;
        if subject.to_string().ends_with("payment.request") {
            let envelope = Envelope::read(&bytes).unwrap();
            let opened = service.channel.open(&subject, &envelope).unwrap();
            let (event_id, body) = (envelope.event_id, opened.content.body);
            return Asked { event_id, body, bytes, freshness: opened.freshness };
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_waited_finds_the_last_of_many_requests() {
    let (world, gateway, mut member, mut service) = connected().await;
    let id = service.connection_id;
    let many: Vec<_> = (0..MANY)
        .map(|_| {
            gateway.begin(move |gateway| async move {
                gateway.request_data(id, "address", "delivery", Duration::ZERO).await.unwrap()
            })
        })
        .collect();
    for one in many {
        assert_eq!(one.await.unwrap().status, Status::Asked);
    }
    let wanted = vjson::from_value(payment()).unwrap();
    let ask = Ask::Authorisation(Authorisation { wanted, life_ms: None });
    let view = gateway.run(move |gateway| async move { gateway.ask(id, ask, Duration::ZERO).await.unwrap() }).await;
    let asked = next_payment(&mut member, &mut service).await;
    gateway.kill();
    let word = member.word(&service.pairwise_again(), &asked, Decision::Approve);
    service.deliver_answer("authorisation.response", &word, &asked).await;
    let gateway = world.gateway().await;
    let request_id = view.request_id;
    let view = gateway.run(move |gateway| async move { gateway.request(request_id, PATIENCE).await.unwrap() }).await;
    assert!(matches!(view.status, Status::Approved { record: Some(_), .. }), "{view:?}");
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_ends_a_request_and_leaves_no_record() {
    let (world, gateway, mut member, mut service) = connected().await;
    let program = Program::of(&world, &gateway);
    let path = format!("/v1/connections/{}/authorisations", service.connection_id);
    let (answer, ()) = tokio::join!(program.post(&path, waiting(consent(), 20_000)), async {
        let asked = member.next_event(&mut service, "consent.request").await;
        service.refuse(&asked, "consent.request", RefusalCode::Expired).await;
    });
    assert_eq!((answer.1["status"].as_str(), answer.1["code"].as_str()), (Some("refused"), Some("expired")));
    assert_eq!(record(&program, id_of(&answer.1)).await, None);
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_is_taken_back_by_the_member_and_by_nobody_else() {
    let (world, gateway, mut member, mut service) = connected().await;
    let program = Program::of(&world, &gateway);
    let path = format!("/v1/connections/{}/authorisations", service.connection_id);
    let (answer, asked) = tokio::join!(program.post(&path, waiting(consent(), 20_000)), async {
        let asked = member.next_event(&mut service, "consent.request").await;
        let word = member.word(&service.pairwise_again(), &asked, Decision::Approve);
        service.deliver_answer("authorisation.response", word, &asked).await;
        asked
    });
    let id = id_of(&answer.1);
    let given = record(&program, id).await.unwrap().answer;
    let pairwise = service.pairwise_again();
    let withdrawal = sign_withdrawal(&pairwise, &asked.wanted(), &given, clock::now()).unwrap();
    let mut forged = withdrawal.clone();
    forged.withdrawn_at = forged.withdrawn_at.plus_ms(1);
    let dropped = gateway.gateway().dropped_events();
    service.deliver("consent.withdrawn", &forged).await;
    eventually(|| gateway.gateway().dropped_events() == dropped + 1).await;
    assert_eq!(record(&program, id).await.unwrap().withdrawal, None);
    service.deliver("consent.withdrawn", &withdrawal).await;
    let taken_back = async {
        while record(&program, id).await.unwrap().withdrawal.is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, taken_back).await.unwrap();
    // The answer once more brings the consent not back.
    service.deliver_answer("authorisation.response", &given, &asked).await;
    eventually(|| gateway.gateway().dropped_events() == dropped + 2).await;
    gateway.kill();
    let gateway = world.gateway().await;
    assert_eq!(record(&Program::of(&world, &gateway), id).await.unwrap().withdrawal, Some(withdrawal));
    gateway.stop().await;
    world.shut().await;
}

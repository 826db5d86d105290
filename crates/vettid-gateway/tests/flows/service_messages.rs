//! Messages of a service over HTTP: sent to the member, receipt and refusal told to the program and to webhooks, over a kill as well.

use crate::http::{Program, code};
use crate::requests::connected;
use crate::world::eventually;
use crate::world::member::{Asked, Service};
use crate::world::receiver::Receiver;
use reqwest::StatusCode;
use serde_json::{Value, json};
use vettid_nats::clock;
use vettid_wire::data::{Keep, Snapshot, SnapshotState};
use vettid_wire::json as vjson;
use vettid_wire::refusal::{EventRefused, RefusalCode};
use vettid_wire::service_message::{MessageAccepted, MessageKind, ServiceMessage};
use vettid_wire::time::Timestamp;

const SEND: &str = "service_message.send";

fn call(subject: &str, wait_ms: u64) -> Value {
    json!({"kind": "action", "subject": subject, "text": "Fetch it by Friday.", "wait_ms": wait_ms})
}

fn message(asked: &Asked) -> ServiceMessage {
    vjson::from_value(asked.body.clone()).unwrap()
}

/// The member's vault takes a message.
async fn accept(service: &mut Service, asked: &Asked, at: Timestamp) {
    let body = MessageAccepted { message_id: message(asked).message_id, accepted_at: at, proof: None };
    let body = service.proven(body, asked.question());
    service.deliver_answer("service_message.accepted", body, asked).await;
}

async fn hook(program: &Program, receiver: &Receiver) {
    let events = ["message.accepted", "message.refused", "data.snapshot", "request.answered"];
    let (status, _) = program.post("/v1/webhooks", json!({"url": receiver.url("hook"), "events": events})).await;
    assert_eq!(status, StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_of_a_message_is_told_to_the_program_and_to_webhooks() {
    let (world, gateway, mut member, mut service) = connected().await;
    let (program, receiver) = (Program::of(&world, &gateway), Receiver::start().await);
    hook(&program, &receiver).await;
    let path = format!("/v1/connections/{}/messages", service.connection_id);
    let at = clock::now();
    let (answer, ()) = tokio::join!(program.post(&path, call("Your parcel", 20_000)), async {
        let asked = member.next_event(&mut service, SEND).await;
        let said = message(&asked);
        assert_eq!((said.kind, said.subject.as_str()), (MessageKind::Action, "Your parcel"));
        assert_eq!((said.text.as_str(), said.connection_id), ("Fetch it by Friday.", service.connection_id));
        accept(&mut service, &asked, at).await;
    });
    assert_eq!(
        (answer.0, &answer.1["status"], &answer.1["kind"]),
        (StatusCode::OK, &json!("accepted"), &json!("message"))
    );
    assert_eq!((&answer.1["accepted_at"], &answer.1["evidence"]["message_id"]), (&json!(at), &answer.1["request_id"]));

    let retry_at = at.plus_ms(3_600_000);
    let (refused, ()) = tokio::join!(program.post(&path, call("One too many", 20_000)), async {
        let asked = member.next_event(&mut service, SEND).await;
        let body = EventRefused {
            event_id: asked.event_id,
            event_type: SEND.parse().unwrap(),
            code: RefusalCode::RateLimited,
            retry_at: Some(retry_at),
            proof: None,
        };
        let body = service.proven(body, asked.question());
        service.send("event.refused", body, Some(asked.question())).await;
    });
    assert_eq!((&refused.1["status"], &refused.1["code"]), (&json!("refused"), &json!("rate_limited")));
    assert_eq!(refused.1["retry_at"], json!(retry_at));

    let contract_hash = vettid_core::contract::contract_hash(&gateway.gateway().contract()).unwrap();
    let state = SnapshotState::Value { value: "Elm 1".into(), keep: Keep::UntilRevoked };
    let (connection_id, field) = (service.connection_id, "address".to_owned());
    for (number, state) in [(1, state), (2, SnapshotState::Gone)] {
        let contract_hash = contract_hash.clone();
        let sent = Snapshot { connection_id, contract_hash, field: field.clone(), number, state };
        service.deliver("data.snapshot", sent).await;
    }
    eventually(|| receiver.kinds("hook").len() == 4).await;
    assert_eq!(receiver.kinds("hook"), ["message.accepted", "message.refused", "data.snapshot", "data.snapshot"]);
    let data: Vec<Value> = receiver.all().iter().map(|event| event.json()["data"].clone()).collect();
    assert_eq!((&data[0]["request_id"], &data[0]["accepted_at"]), (&answer.1["request_id"], &json!(at)));
    assert_eq!((&data[1]["code"], &data[1]["retry_at"]), (&json!("rate_limited"), &json!(retry_at)));
    assert_eq!(
        (&data[2]["field"], &data[2]["state"], &data[2]["number"]),
        (&json!("address"), &json!("value"), &json!(1))
    );
    assert_eq!((&data[3]["state"], &data[3]["connection_id"]), (&json!("gone"), &json!(connection_id)));
    assert!(receiver.all().iter().all(|event| !event.body.contains("Elm 1")), "a value lies in no queue");
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_on_its_way_survives_a_kill_and_its_call_has_one_effect() {
    let (world, gateway, mut member, mut service) = connected().await;
    let program = Program::of(&world, &gateway);
    let receiver = Receiver::start().await;
    hook(&program, &receiver).await;
    let path = format!("/v1/connections/{}/messages", service.connection_id);
    let name = [("idempotency-key", "parcel-7")];
    let (status, first) = program.named(&path, &name, call("Your parcel", 0)).await;
    assert_eq!((status, &first["status"]), (StatusCode::ACCEPTED, &json!("asked")));
    let asked = member.next_event(&mut service, SEND).await;
    gateway.kill();
    let gateway = world.gateway().await;
    let program = Program::of(&world, &gateway);
    let (_, again) = program.named(&path, &name, call("Your parcel", 0)).await;
    assert_eq!(again["request_id"], first["request_id"]);
    accept(&mut service, &asked, clock::now()).await;
    let id = first["request_id"].as_str().unwrap();
    let (_, ended) = program.get(&format!("/v1/requests/{id}?wait_ms=20000")).await;
    assert_eq!(ended["status"], json!("accepted"));
    eventually(|| receiver.kinds("hook") == ["message.accepted"]).await;
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_vault_would_show_is_not_sent_and_a_receipt_of_another_counts_nothing() {
    let (world, gateway, mut member, mut service) = connected().await;
    let program = Program::of(&world, &gateway);
    let path = format!("/v1/connections/{}/messages", service.connection_id);
    type Change = fn(&mut Value);
    let wrong: [Change; 8] = [
        |call| call["text"] = "a\u{202e}b".into(),
        |call| call["subject"] = "two\nlines".into(),
        |call| call["subject"] = "".into(),
        |call| call["text"] = "x".repeat(4_001).into(),
        |call| call["kind"] = "advertisement".into(),
        |call| call["expires_in_ms"] = 0.into(),
        |call| call["expires_in_ms"] = (7 * 24 * 3_600_000 + 1).into(),
        |call| call["extra"] = 1.into(),
    ];
    for change in wrong {
        let mut body = call("Your parcel", 0);
        change(&mut body);
        assert_eq!(code(&program.post(&path, body.clone()).await), (400, "invalid_request"), "{body}");
    }
    let key = |scope: &'static str| {
        let program = &program;
        async move {
            let (_, made) = program.post("/v1/api-keys", json!({"name": scope, "scopes": [scope]})).await;
            program.with_key(made["secret"].as_str().unwrap())
        }
    };
    let reader = key("data:read").await;
    assert_eq!(reader.post(&path, call("Your parcel", 0)).await.0, StatusCode::FORBIDDEN);
    let (status, open) = key("messages").await.post(&path, call("Your parcel", 0)).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let seen = format!("/v1/requests/{}", open["request_id"].as_str().unwrap());
    assert_eq!(reader.get(&seen).await.0, StatusCode::FORBIDDEN);
    let asked = member.next_event(&mut service, SEND).await;
    let dropped = gateway.gateway().dropped_events();
    let other = MessageAccepted {
        message_id: vettid_wire::id::RequestId::from_bytes([9; 16]),
        accepted_at: clock::now(),
        proof: None,
    };
    let wrong_id = service.proven(&other, asked.question());
    let right = MessageAccepted { message_id: message(&asked).message_id, ..other };
    let mut unsigned = service.proven(&right, asked.question());
    unsigned["accepted_at"] = json!(clock::now().plus_ms(1));
    for body in [wrong_id, unsigned, serde_json::to_value(right).unwrap()] {
        service.deliver_answer("service_message.accepted", body, &asked).await;
    }
    eventually(|| gateway.gateway().dropped_events() == dropped + 3).await;
    assert_eq!(program.get(&seen).await.1["status"], json!("asked"));
    gateway.stop().await;
    world.shut().await;
}

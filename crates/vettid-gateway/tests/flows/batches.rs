//! Requests for several fields over HTTP: one question, one answer with a value or a refusal for each field, and every answer that only
//! looks like one.

use crate::http::{Program, code};
use crate::requests::connected;
use crate::webhooks::until;
use crate::world::eventually;
use crate::world::member::{Asked, Service};
use crate::world::receiver::Receiver;
use reqwest::StatusCode;
use serde_json::{Value, json};
use vettid_nats::clock;
use vettid_wire::data::Keep;
use vettid_wire::data::batch::{BatchOutcome, BatchRequest, BatchResponse, FieldAnswer, FieldOutcome};
use vettid_wire::json as vjson;
use vettid_wire::refusal::RefusalCode;

const ASK: &str = "data.batch.request";

fn call(wait_ms: u64) -> Value {
    json!({"fields": [{"field": "address"}, {"field": "email", "retention": "session"}], "purpose": "delivery",
        "wait_ms": wait_ms})
}

fn served(field: &str, keep: Keep) -> FieldAnswer {
    let value = format!("the {field}").into();
    FieldAnswer { field: field.to_owned(), outcome: FieldOutcome::Served { value, keep } }
}

fn refused(field: &str) -> FieldAnswer {
    FieldAnswer { field: field.to_owned(), outcome: FieldOutcome::Refused { code: RefusalCode::Denied } }
}

fn response(asked: &Asked, outcome: BatchOutcome) -> BatchResponse {
    let request: BatchRequest = vjson::from_value(asked.body.clone()).unwrap();
    BatchResponse { request_id: request.request_id, outcome, proof: None }
}

async fn answer(service: &mut Service, asked: &Asked, outcome: BatchOutcome) {
    let body = service.proven(response(asked, outcome), asked.question());
    service.send("data.batch.response", body, Some(asked.question())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_fields_are_asked_for_and_answered_at_once() {
    let (world, gateway, mut member, mut service) = connected().await;
    let (program, receiver) = (Program::of(&world, &gateway), Receiver::start().await);
    let hook = json!({"url": receiver.url("hook"), "events": ["request.answered"], "with_answers": true});
    assert_eq!(program.post("/v1/webhooks", hook).await.0, StatusCode::CREATED);
    let path = format!("/v1/connections/{}/data-batches", service.connection_id);
    let (status, open) = program.post(&path, call(0)).await;
    assert_eq!((status, &open["kind"]), (StatusCode::ACCEPTED, &json!("data_batch")));
    let asked = member.next_event(&mut service, ASK).await;
    let request: BatchRequest = vjson::from_value(asked.body.clone()).unwrap();
    assert_eq!(request.fields.iter().map(|asked| asked.field.as_str()).collect::<Vec<_>>(), ["address", "email"]);
    answer(&mut service, &asked, BatchOutcome::Pending { expires_at: clock::now().plus_ms(900_000) }).await;
    let fields = vec![served("address", Keep::UntilRevoked), refused("email")];
    answer(&mut service, &asked, BatchOutcome::Answered { fields }).await;
    let id = open["request_id"].as_str().unwrap();
    let (status, ended) = program.get(&format!("/v1/requests/{id}?wait_ms=20000")).await;
    assert_eq!((status, &ended["status"]), (StatusCode::OK, &json!("answered")), "{ended}");
    let wanted = json!([{"field": "address", "value": "the address", "keep": "until_revoked"},
        {"field": "email", "code": "denied"}]);
    assert_eq!(ended["fields"], wanted);
    assert!(ended["evidence"]["proof"].is_object());
    eventually(|| receiver.all().len() == 1).await;
    let told = receiver.all().remove(0);
    assert!(!told.body.contains("the address"), "a value lies in no queue: {}", told.body);
    assert_eq!(told.json()["data"]["answer"]["fields"][1]["code"], json!("denied"));
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_about_other_fields_or_without_a_signature_is_none() {
    let (world, gateway, mut member, mut service) = connected().await;
    let program = Program::of(&world, &gateway);
    let path = format!("/v1/connections/{}/data-batches", service.connection_id);
    let many: Vec<_> = (0..17).map(|number| json!({"field": format!("f{number}")})).collect();
    for fields in [json!([]), json!([{"field": "a"}, {"field": "a"}]), json!([{"field": "A b"}]), json!(many)] {
        let wrong = program.post(&path, json!({"fields": fields, "purpose": "p"})).await;
        assert_eq!(code(&wrong), (400, "invalid_request"), "{fields}");
    }
    let (_, open) = program.post(&path, call(0)).await;
    let asked = member.next_event(&mut service, ASK).await;
    let dropped = gateway.gateway().dropped_events();
    let keep = Keep::UntilRevoked;
    for fields in [
        vec![served("address", keep)],
        vec![served("email", keep), served("address", keep)],
        vec![served("address", keep), served("email", keep), served("ssn", keep)],
        vec![served("address", keep), served("ssn", keep)],
    ] {
        answer(&mut service, &asked, BatchOutcome::Answered { fields }).await;
    }
    let right = || BatchOutcome::Answered { fields: vec![served("address", keep), served("email", keep)] };
    let mut changed = service.proven(response(&asked, right()), asked.question());
    *changed.pointer_mut("/outcome/answered/fields/0/outcome/served/value").unwrap() = "Elm 9".into();
    let unsigned = serde_json::to_value(response(&asked, right())).unwrap();
    for body in [changed, unsigned] {
        service.send("data.batch.response", body, Some(asked.question())).await;
    }
    eventually(|| gateway.gateway().dropped_events() == dropped + 6).await;
    let id = open["request_id"].as_str().unwrap();
    assert_eq!(program.get(&format!("/v1/requests/{id}")).await.1["status"], json!("asked"));
    answer(&mut service, &asked, right()).await;
    let (_, ended) = program.get(&format!("/v1/requests/{id}?wait_ms=20000")).await;
    assert_eq!(ended["status"], json!("answered"));
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_gone_when_the_time_of_one_of_its_values_is_over() {
    let (world, gateway, mut member, mut service) = connected().await;
    let program = Program::of(&world, &gateway);
    let path = format!("/v1/connections/{}/data-batches", service.connection_id);
    let (_, open) = program.post(&path, call(0)).await;
    let asked = member.next_event(&mut service, ASK).await;
    let end = clock::now().plus_ms(2_000);
    let fields = vec![served("address", Keep::UntilRevoked), served("email", Keep::Session { until: end })];
    answer(&mut service, &asked, BatchOutcome::Answered { fields }).await;
    let address = format!("/v1/requests/{}?wait_ms=20000", open["request_id"].as_str().unwrap());
    assert_eq!(program.get(&address).await.1["status"], json!("answered"));
    until(&program, &address, |body| body["error"]["code"] == json!("not_found")).await;
    assert!(clock::now() >= end);
    gateway.stop().await;
    world.shut().await;
}

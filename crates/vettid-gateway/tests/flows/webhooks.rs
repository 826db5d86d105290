//! Webhooks as a receiver sees them.

use crate::http::{Program, code};
use crate::requests::connected;
use crate::world::member::Member;
use crate::world::receiver::Receiver;
use crate::world::{PATIENCE, World, eventually};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use vettid_nats::clock;

async fn add(program: &Program, url: &str, more: Value) -> Value {
    let mut body = json!({"url": url});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let (status, body) = program.post("/v1/webhooks", body).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_signed_in_order_and_without_answers() {
    let world = World::start().await;
    let gateway = world.gateway().await;
    let (program, receiver) = (Program::of(&world, &gateway), Receiver::start().await);
    let plain = add(&program, &receiver.url("plain"), json!({})).await;
    let (secret, id) = (plain["secret"].as_str().unwrap(), plain["webhook_id"].as_str().unwrap());
    add(&program, &receiver.url("answers"), json!({"events": ["request.answered"], "with_answers": true})).await;
    let (_, listed) = program.get("/v1/webhooks").await;
    assert_eq!(listed["webhooks"].as_array().unwrap().len(), 2);
    assert!(!listed.to_string().contains("whsec_"), "a secret is shown once");

    let mut member = Member::new(&world).await;
    let mut service = member.connect(&gateway, &["email"]).await;
    let path = format!("/v1/connections/{}/data-requests", service.connection_id);
    let (status, open) = program.post(&path, json!({"field": "address", "purpose": "delivery", "wait_ms": 0})).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let asked = member.next_event(&mut service, "data.request").await;
    service.serve(&asked, "Main Street 1").await;
    eventually(|| receiver.kinds("answers").len() == 1).await;
    let (status, _) = program.call(Method::DELETE, &format!("/v1/connections/{}", service.connection_id), None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let wanted = ["connection.active", "contract.accepted", "request.answered", "contract.ended", "connection.ended"];
    eventually(|| receiver.kinds("plain").len() == wanted.len()).await;
    assert_eq!(receiver.kinds("plain"), wanted);
    for event in receiver.all() {
        let data = &event.json()["data"];
        assert_eq!(data["connection_id"], json!(service.connection_id), "{}", event.body);
        assert!((event.timestamp.parse::<i64>().unwrap() - clock::now().unix_ms() / 1000).abs() < 60);
        let has_answer = event.path == "/answers";
        assert!(!event.body.contains("Main Street 1"), "a value lies in no queue: {}", event.body);
        assert_eq!(event.is_signed_by(secret), !has_answer);
    }
    let answered = receiver.all().into_iter().find(|event| event.path == "/answers").unwrap().json();
    assert_eq!(answered["data"]["request_id"], open["request_id"]);
    assert_eq!(answered["data"]["answer"]["field"], json!("address"));

    // A new secret: for a day, both sign.
    let (status, renewed) = program.call(Method::POST, &format!("/v1/webhooks/{id}/secret"), None).await;
    assert_eq!(status, StatusCode::CREATED);
    let fresh = renewed["secret"].as_str().unwrap();
    let (status, _) = program.call(Method::POST, &format!("/v1/webhooks/{id}/test"), None).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    eventually(|| receiver.kinds("plain").last().is_some_and(|kind| kind == "webhook.test")).await;
    let test = receiver.all().into_iter().find(|event| event.kind() == "webhook.test").unwrap();
    assert!(test.is_signed_by(fresh) && test.is_signed_by(secret) && fresh != secret);

    let (status, _) = program.call(Method::DELETE, &format!("/v1/webhooks/{id}"), None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(code(&program.get(&format!("/v1/webhooks/{id}")).await), (404, "not_found"));
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_taken_is_tried_again_set_aside_and_replayed() {
    let mut world = World::start().await;
    world.config.limits.webhook_give_up_ms = 1_000;
    let gateway = world.gateway().await;
    let (program, receiver) = (Program::of(&world, &gateway), Receiver::start().await);
    let id = add(&program, &receiver.url("hook"), json!({})).await["webhook_id"].as_str().unwrap().to_owned();
    let mut left = 2;
    receiver.answer(move |_| {
        left -= 1;
        if left >= 0 { 500 } else { 200 }
    });
    program.call(Method::POST, &format!("/v1/webhooks/{id}/test"), None).await;
    eventually(|| receiver.all().len() == 3).await;
    let all = receiver.all();
    assert!(all.iter().all(|one| one.id == all[0].id && one.body == all[0].body), "{all:?}");
    let nothing_left = |body: &Value| body["waiting"] == json!(0) && body["set_aside"] == json!(0);
    until(&program, &format!("/v1/webhooks/{id}"), nothing_left).await;

    // A redirect is no answer, and is not followed.
    receiver.answer(|_| 302);
    let (_, lost) = program.call(Method::POST, &format!("/v1/webhooks/{id}/test"), None).await;
    let deliveries = format!("/v1/webhooks/{id}/deliveries?status=set_aside");
    let aside = until(&program, &deliveries, |body| body["deliveries"].as_array().unwrap().len() == 1).await;
    assert_eq!(aside["deliveries"][0]["event_id"], lost["event_id"]);
    assert_eq!(aside["deliveries"][0]["failure"], json!("answered 302"));
    assert!(receiver.all().iter().all(|one| one.path == "/hook"));
    let (_, ready) = program.get("/readyz").await;
    assert_eq!(ready["status"], json!("ready"));
    assert!(ready["warnings"].to_string().contains("set aside"), "{ready}");

    // The receiver wants nothing any more: nothing is sent, nothing is lost, a restart changes nothing.
    receiver.answer(|_| 410);
    program.call(Method::POST, &format!("/v1/webhooks/{id}/test"), None).await;
    until(&program, &format!("/v1/webhooks/{id}"), |body| body["paused_at"].is_string()).await;
    let before = receiver.all().len();
    let (_, while_paused) = program.call(Method::POST, &format!("/v1/webhooks/{id}/test"), None).await;
    gateway.stop().await;
    let gateway = world.gateway().await;
    let program = Program::of(&world, &gateway);
    let (_, webhook) = program.get(&format!("/v1/webhooks/{id}")).await;
    assert_eq!((&webhook["waiting"], &webhook["set_aside"]), (&json!(0), &json!(3)), "{webhook}");
    let (_, ready) = program.get("/readyz").await;
    assert!(ready["warnings"].to_string().contains("get no events"), "{ready}");
    let metrics = program.text("/metrics").await;
    assert!(metrics.contains("vettid_gateway_webhooks_paused 1"), "{metrics}");
    assert_eq!(receiver.all().len(), before);
    receiver.answer(|_| 200);
    let replay = format!("/v1/webhooks/{id}/replay");
    let (status, body) = program.post(&replay, json!({"event_id": while_paused["event_id"]})).await;
    assert_eq!((status, body), (StatusCode::ACCEPTED, json!({"replayed": 1})));
    eventually(|| receiver.all().len() == before + 1).await;
    assert_eq!(json!(receiver.all().last().unwrap().id), while_paused["event_id"]);
    assert_eq!(program.post(&replay, json!({})).await.1, json!({"replayed": 2}));
    eventually(|| receiver.all().len() == before + 3).await;
    until(&program, &format!("/v1/webhooks/{id}"), |body| body["set_aside"] == json!(0) && body["paused_at"].is_null())
        .await;
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_connection_wait_for_each_other() {
    let (world, gateway, mut member, mut service) = connected().await;
    let (program, receiver) = (Program::of(&world, &gateway), Receiver::start().await);
    add(&program, &receiver.url("hook"), json!({"events": ["request.answered"]})).await;
    receiver.answer(|_| 500);
    let path = format!("/v1/connections/{}/data-requests", service.connection_id);
    let mut wanted = Vec::new();
    for _ in 0..5 {
        let (_, open) = program.post(&path, json!({"field": "address", "purpose": "delivery", "wait_ms": 0})).await;
        let asked = member.next_event(&mut service, "data.request").await;
        service.serve(&asked, "Main Street 1").await;
        let request = format!("/v1/requests/{}?wait_ms=20000", open["request_id"].as_str().unwrap());
        assert_eq!(program.get(&request).await.0, StatusCode::OK);
        wanted.push(open["request_id"].clone());
    }
    eventually(|| receiver.all().len() >= 3).await;
    let first = receiver.all()[0].id.clone();
    assert!(receiver.all().iter().all(|one| one.id == first), "nothing overtakes what is not taken");
    receiver.answer(|_| 200);
    eventually(|| receiver.kinds("hook").len() == 5).await;
    let mut seen: Vec<Value> = receiver.all().iter().map(|one| one.json()["data"]["request_id"].clone()).collect();
    seen.dedup();
    assert_eq!(seen, wanted);
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_go_nowhere_else() {
    let mut world = World::start().await;
    world.config.webhooks.loopback = false;
    let gateway = world.gateway().await;
    let (program, receiver) = (Program::of(&world, &gateway), Receiver::start().await);
    for url in [&receiver.url("hook"), "https://10.0.0.1/", "http://shop.example/", "https://169.254.169.254/latest"] {
        assert_eq!(code(&program.post("/v1/webhooks", json!({"url": url})).await), (422, "bad_address"), "{url}");
    }
    for body in [json!({}), json!({"url": "https://shop.example/", "events": ["nothing"]}), json!({"url": 1})] {
        assert_eq!(code(&program.post("/v1/webhooks", body.clone()).await), (400, "invalid_request"), "{body}");
    }
    gateway.stop().await;
    // Registered while this machine was allowed, and not any more.
    world.config.webhooks.loopback = true;
    let gateway = world.gateway().await;
    let program = Program::of(&world, &gateway);
    let id = add(&program, &receiver.url("hook"), json!({})).await["webhook_id"].as_str().unwrap().to_owned();
    gateway.stop().await;
    world.config.webhooks.loopback = false;
    let gateway = world.gateway().await;
    let program = Program::of(&world, &gateway);
    program.call(Method::POST, &format!("/v1/webhooks/{id}/test"), None).await;
    let list = format!("/v1/webhooks/{id}/deliveries");
    let waiting =
        until(&program, &list, |body| body["deliveries"][0]["attempts"].as_u64().is_some_and(|tried| tried > 0));
    assert!(waiting.await["deliveries"][0]["failure"].to_string().contains("private"));
    assert!(receiver.all().is_empty());
    gateway.stop().await;
    world.shut().await;
}

/// Asks until the answer is as wanted.
pub(crate) async fn until(program: &Program, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let reached = async {
        loop {
            let (_, body) = program.get(path).await;
            if holds(&body) {
                return body;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_for_which_too_much_waits_is_paused_and_loses_nothing_that_there_is_room_for() {
    let mut world = World::start().await;
    world.config.limits.webhook_waiting = 4;
    let gateway = world.gateway().await;
    let (program, receiver) = (Program::of(&world, &gateway), Receiver::start().await);
    let id = add(&program, &receiver.url("hook"), json!({})).await["webhook_id"].as_str().unwrap().to_owned();
    receiver.answer(|_| 500);
    let mut sent = Vec::new();
    for _ in 0..5 {
        let (_, test) = program.call(Method::POST, &format!("/v1/webhooks/{id}/test"), None).await;
        sent.push(test["event_id"].clone());
    }
    let idle = |body: &Value| body["paused_at"].is_string() && body["waiting"] == json!(0);
    assert_eq!(until(&program, &format!("/v1/webhooks/{id}"), idle).await["set_aside"], json!(4));
    receiver.answer(|_| 200);
    let before = receiver.all().len();
    assert_eq!(program.post(&format!("/v1/webhooks/{id}/replay"), json!({})).await.1, json!({"replayed": 4}));
    eventually(|| receiver.all().len() == before + 4).await;
    let taken: Vec<_> = receiver.all()[before..].iter().map(|one| json!(one.id)).collect();
    assert_eq!(taken, sent[1..], "the oldest one had to go");
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_there_as_long_as_an_event_that_tells_of_it_is_on_its_way() {
    let (mut world, gateway, mut member, mut service) = connected().await;
    gateway.stop().await;
    world.config.limits.keep_finished_ms = 1;
    let gateway = world.gateway().await;
    let (program, receiver) = (Program::of(&world, &gateway), Receiver::start().await);
    receiver.answer(|_| 500);
    let hook = add(&program, &receiver.url("hook"), json!({"events": ["request.answered"]})).await;
    let path = format!("/v1/connections/{}/data-requests", service.connection_id);
    let (_, open) = program.post(&path, json!({"field": "address", "purpose": "delivery", "wait_ms": 0})).await;
    let asked = member.next_event(&mut service, "data.request").await;
    service.serve(&asked, "Main Street 1").await;
    eventually(|| !receiver.all().is_empty()).await;
    // One that nobody is told of shows when old ones were looked for.
    let (short, ()) =
        tokio::join!(program.post(&path, json!({"field": "address", "purpose": "p", "wait_ms": 20_000})), async {
            let asked = member.next_event(&mut service, "data.request").await;
            service.serve(&asked, "Main Street 2").await;
        });
    let of = |view: &Value| format!("/v1/requests/{}", view["request_id"].as_str().unwrap());
    until_gone(&program, &of(&short.1)).await;
    let (status, view) = program.get(&of(&open)).await;
    assert_eq!((status, &view["value"]), (StatusCode::OK, &json!("Main Street 1")));
    receiver.answer(|_| 200);
    let idle = |body: &Value| body["waiting"] == json!(0);
    until(&program, &format!("/v1/webhooks/{}", hook["webhook_id"].as_str().unwrap()), idle).await;
    until_gone(&program, &of(&open)).await;
    gateway.stop().await;
    world.shut().await;
}

async fn until_gone(program: &Program, path: &str) {
    let gone = async {
        while program.get(path).await.0 != StatusCode::NOT_FOUND {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(2 * PATIENCE, gone).await.unwrap();
}

//! Keys, rates, repeated calls and lists, as programs see them.

use crate::http::{Program, code};
use crate::requests::connected;
use crate::world::member::Member;
use crate::world::{PATIENCE, World};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[tokio::test(flavor = "multi_thread")]
async fn a_key_opens_what_its_scopes_name_until_it_is_revoked() {
    let (world, gateway, member, service) = connected().await;
    let admin = Program::of(&world, &gateway);
    let body = json!({"name": "reader", "scopes": ["connections:read", "metrics"]});
    let (status, made) = admin.post("/v1/api-keys", body).await;
    assert_eq!(status, StatusCode::CREATED);
    let (text, id) = (made["secret"].as_str().unwrap().to_owned(), made["key_id"].as_str().unwrap().to_owned());
    let (_, listed) = admin.get("/v1/api-keys").await;
    assert!(listed["api_keys"][0]["key_id"] == json!(id) && !listed.to_string().contains(&text));
    let reader = admin.with_key(&text);
    let connection = format!("/v1/connections/{}", service.connection_id);
    assert_eq!(reader.get("/v1/connections").await.0, StatusCode::OK);
    assert_eq!(reader.get(&connection).await.0, StatusCode::OK);
    assert!(reader.text("/metrics").await.contains("vettid_gateway_connections{state=\"active\"} 1"));
    for (method, path) in [
        (Method::POST, "/v1/invitations"),
        (Method::DELETE, connection.as_str()),
        (Method::POST, &format!("{connection}/data-requests")),
        (Method::GET, "/v1/requests"),
        (Method::GET, "/v1/webhooks"),
        (Method::GET, "/v1/api-keys"),
        (Method::POST, "/v1/api-keys"),
        (Method::DELETE, &format!("/v1/api-keys/{id}")),
    ] {
        assert_eq!(
            code(&reader.call(method.clone(), path, Some(json!({}))).await),
            (403, "forbidden"),
            "{method} {path}"
        );
    }
    // Metrics are no open book, and name nobody.
    let nobody = admin.with_key("nothing");
    assert_eq!(code(&nobody.get("/metrics").await), (401, "unauthorized"));
    let metrics = reader.text("/metrics").await;
    assert!(!metrics.contains(&service.connection_id.to_string()) && !metrics.contains(&member.guid().to_string()));
    for wrong in [
        json!({"name": "", "scopes": ["admin"]}),
        json!({"name": "a", "scopes": []}),
        json!({"name": "a", "scopes": ["all"]}),
        json!({"name": "a", "scopes": ["admin"], "calls_per_minute": 0}),
        json!({"name": "a", "scopes": ["admin"], "more": 1}),
    ] {
        assert_eq!(code(&admin.post("/v1/api-keys", wrong.clone()).await), (400, "invalid_request"), "{wrong}");
    }
    gateway.stop().await;
    let gateway = world.gateway().await;
    let (admin, reader) = (Program::of(&world, &gateway), Program::of(&world, &gateway).with_key(&text));
    assert_eq!(reader.get("/v1/connections").await.0, StatusCode::OK, "keys outlive a restart");
    assert_eq!(admin.call(Method::DELETE, &format!("/v1/api-keys/{id}"), None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(code(&reader.get("/v1/connections").await), (401, "unauthorized"));
    gateway.kill();
    let gateway = world.gateway().await;
    let reader = Program::of(&world, &gateway).with_key(&text);
    assert_eq!(code(&reader.get("/v1/connections").await), (401, "unauthorized"), "revoked for good");
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_calls_too_much_waits_alone() {
    let world = World::start().await;
    let gateway = world.gateway().await;
    let admin = Program::of(&world, &gateway);
    let key = async |name: &str| {
        let body = json!({"name": name, "scopes": ["connections:read"], "calls_per_minute": 3});
        let made = admin.post("/v1/api-keys", body).await.1;
        admin.with_key(made["secret"].as_str().unwrap())
    };
    let (loud, quiet) = (key("loud").await, key("quiet").await);
    for left in [2, 1, 0] {
        let answer = loud.send(Method::GET, "/v1/connections", &[], None).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["ratelimit-policy"], "\"key\";q=3;w=60");
        let level = answer.headers()["ratelimit"].to_str().unwrap().to_owned();
        assert!(level.starts_with(&format!("\"key\";r={left};t=")), "{level}");
    }
    let refused = loud.send(Method::GET, "/v1/connections", &[], None).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=20).contains(&wait), "{wait}");
    let body: Value = refused.json().await.unwrap();
    assert_eq!(body["error"]["code"], json!("rate_limited"));
    assert_eq!(quiet.get("/v1/connections").await.0, StatusCode::OK);
    assert_eq!(admin.get("/v1/connections").await.0, StatusCode::OK);
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_call_has_one_effect_and_one_answer() {
    let (world, gateway, mut member, mut service) = connected().await;
    let program = Program::of(&world, &gateway);
    let path = format!("/v1/connections/{}/data-requests", service.connection_id);
    let body = json!({"field": "address", "purpose": "delivery", "wait_ms": 20_000});
    let name = [("idempotency-key", "order-1")];
    let (first, ()) = tokio::join!(program.named(&path, &name, body.clone()), async {
        let asked = member.next_event(&mut service, "data.request").await;
        // The same call while the first one runs.
        assert_eq!(code(&program.named(&path, &name, body.clone()).await), (409, "call_in_progress"));
        service.serve(&asked, "Main Street 1").await;
    });
    assert_eq!((first.0, &first.1["value"]), (StatusCode::OK, &json!("Main Street 1")));
    assert_eq!(program.named(&path, &name, body.clone()).await, first);
    let other = json!({"field": "email", "purpose": "delivery", "wait_ms": 20_000});
    assert_eq!(code(&program.named(&path, &name, other).await), (422, "idempotency_key_reused"));

    let invited = program.named("/v1/invitations", &[("idempotency-key", "invite-1")], json!({})).await;
    assert_eq!(invited.0, StatusCode::CREATED);
    assert_eq!(program.named("/v1/invitations", &[("idempotency-key", "invite-1")], json!({})).await, invited);
    let key = json!({"name": "a", "scopes": ["login"]});
    assert_eq!(
        program.named("/v1/api-keys", &[("idempotency-key", "key-1")], key.clone()).await.0,
        StatusCode::CREATED
    );
    let again = program.named("/v1/api-keys", &[("idempotency-key", "key-1")], key).await;
    assert_eq!(code(&again), (409, "already_shown"));
    assert_eq!(program.get("/v1/api-keys").await.1["api_keys"].as_array().unwrap().len(), 1);
    // A call that was refused had no effect: its name is free.
    let bad = [("idempotency-key", "order-2")];
    assert_eq!(code(&program.named(&path, &bad, json!({"field": "address"})).await), (400, "invalid_request"));
    for wrong in ["", &"x".repeat(256)] {
        let refused = program.named(&path, &[("idempotency-key", wrong)], body.clone()).await;
        assert_eq!(code(&refused), (400, "invalid_request"));
    }

    gateway.kill();
    let gateway = world.gateway().await;
    let program = Program::of(&world, &gateway);
    assert_eq!(program.named(&path, &name, body.clone()).await, first, "the answer outlives a kill");
    assert_eq!(program.named("/v1/invitations", &[("idempotency-key", "invite-1")], json!({})).await, invited);
    // Another key may use the same name for its own call.
    let made = program.post("/v1/api-keys", json!({"name": "b", "scopes": ["connections:write"]})).await.1;
    let other = program.with_key(made["secret"].as_str().unwrap());
    let theirs = other.named("/v1/invitations", &[("idempotency-key", "invite-1")], json!({})).await;
    assert!(theirs.0 == StatusCode::CREATED && theirs.1["invite_id"] != invited.1["invite_id"]);
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_cut_off_by_a_kill_asks_the_member_once() {
    let (world, mut gateway, mut member, mut service) = connected().await;
    let path = format!("/v1/connections/{}/data-requests", service.connection_id);
    let body = json!({"field": "address", "purpose": "delivery", "wait_ms": 20_000});
    let mut asked_ids = BTreeSet::new();
    for round in 0..4 {
        let name = format!("order-{round}");
        let program = Program::of(&world, &gateway);
        let call = {
            let (path, body, name) = (path.clone(), body.clone(), name.clone());
            tokio::spawn(async move { program.try_named(&path, &name, body).await })
        };
        let first = member.next_event(&mut service, "data.request").await;
        gateway.kill();
        assert!(call.await.unwrap().is_none(), "the call was cut off");
        gateway = world.gateway().await;
        let program = Program::of(&world, &gateway);
        let name = [("idempotency-key", name.as_str())];
        let (answer, second) = tokio::join!(program.named(&path, &name, body.clone()), async {
            let again = member.next_event(&mut service, "data.request").await;
            service.serve(&again, "Main Street 1").await;
            again
        });
        assert_eq!((answer.0, &answer.1["value"]), (StatusCode::OK, &json!("Main Street 1")), "{answer:?}");
        assert_eq!(first.event_id, second.event_id, "the same question, not another one");
        assert!(asked_ids.insert(first.event_id));
    }
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_come_in_pages() {
    let world = World::start().await;
    let gateway = world.gateway().await;
    let program = Program::of(&world, &gateway);
    let mut ids = BTreeSet::new();
    for _ in 0..5 {
        let member = Member::new(&world).await;
        let handshake = member.begin(&gateway.invite().await.link).await;
        handshake.send(&handshake.hs1).await;
        ids.insert(handshake.hs_id.connection_id().to_string());
    }
    let all = async {
        loop {
            let (_, body) = program.get("/v1/connections").await;
            if body["connections"].as_array().unwrap().len() == 5 {
                return body;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let all = tokio::time::timeout(PATIENCE, all).await.unwrap();
    assert!(all.get("next_cursor").is_none());
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    for size in [2, 2, 1] {
        let (_, page) = program.get(&format!("/v1/connections?limit=2{cursor}")).await;
        let page_ids = page["connections"].as_array().unwrap();
        assert_eq!(page_ids.len(), size);
        seen.extend(page_ids.iter().map(|one| one["connection_id"].as_str().unwrap().to_owned()));
        cursor = page["next_cursor"].as_str().map(|next| format!("&cursor={next}")).unwrap_or_default();
    }
    assert!(cursor.is_empty());
    assert_eq!(seen, ids.into_iter().collect::<Vec<_>>());
    let count = async |query: &str| {
        program.get(&format!("/v1/connections?{query}")).await.1["connections"].as_array().unwrap().len()
    };
    assert_eq!((count("state=requested").await, count("state=active").await), (5, 0));
    for wrong in ["limit=0", "limit=201", "limit=x", "cursor=%20", "state=none", "what=1", "limit=1&limit=2"] {
        assert_eq!(code(&program.get(&format!("/v1/connections?{wrong}")).await), (400, "invalid_request"), "{wrong}");
    }
    gateway.stop().await;
    world.shut().await;
}

//! The Rust client against a running gateway: each call once, and what it reads is what the gateway says.

use crate::http::Program;
use crate::requests::connected;
use crate::world::receiver::Receiver;
use crate::world::{PATIENCE, eventually};
use vettid_gateway_client::{
    ClientError, DataRequest, GatewayClient, LoginRequest, NewApiKey, NewWebhook, Page, Status,
};
use vettid_wire::auth::{Decision, Display};
use vettid_wire::base64::Base64Url;
use vettid_wire::connection::ConnectionState;
use vettid_wire::data::Keep;
use zeroize::Zeroizing;

fn data(wait_ms: u32) -> DataRequest {
    DataRequest { field: "address".to_owned(), purpose: "delivery".to_owned(), wait_ms: Some(wait_ms) }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_the_client_is_answered() {
    let (world, gateway, mut member, mut service) = connected().await;
    let program = Program::of(&world, &gateway);
    let client =
        GatewayClient::new(program.client(), program.base(), Zeroizing::new(program.key().to_owned())).unwrap();
    let id = service.connection_id;
    assert_eq!(client.readiness().await.unwrap().status, "ready");
    let invited = client.under("invite-1").invite().await.unwrap();
    assert_eq!(client.under("invite-1").invite().await.unwrap(), invited);
    let listed = client.connections(Some(ConnectionState::Active), &Page::default()).await.unwrap();
    assert_eq!((listed.connections.len(), listed.next_cursor), (1, None));
    let connection = client.connection(id).await.unwrap();
    assert_eq!((connection.display_name.as_str(), connection.member), ("Alice", member.guid()));

    let receiver = Receiver::start().await;
    let new =
        NewWebhook { url: receiver.url("hook"), events: vec!["request.answered".to_owned()], with_answers: false };
    let hook = client.add_webhook(&new).await.unwrap();
    let open = client.request_data(id, &data(0)).await.unwrap();
    assert_eq!((open.status, open.kind.as_str()), (Status::Asked, "data"));
    let asked = member.next_event(&mut service, "data.request").await;
    service.serve(&asked, "Main Street 1").await;
    let ended = client.request(open.request_id, 20_000).await.unwrap();
    let (field, value) = ("address".to_owned(), "Main Street 1".into());
    assert_eq!(ended.status, Status::Served { field, value, keep: Keep::UntilRevoked });
    assert!(ended.evidence.is_some());
    eventually(|| receiver.all().iter().any(|event| event.is_signed_by(&hook.secret))).await;
    assert_eq!(client.requests(Some(id), &Page::default()).await.unwrap().requests, [ended]);
    let login = LoginRequest {
        origin: "https://shop.example".to_owned(),
        session_hash: Base64Url::new([7; 32]),
        display: Display { browser: "Firefox".into(), city: "Bern".into(), ip_prefix: "192.0.2".into() },
        number: Some(42),
        wait_ms: Some(u32::try_from(PATIENCE.as_millis()).unwrap()),
    };
    let (approved, ()) = tokio::join!(client.request_login(id, &login), async {
        let asked = member.next_event(&mut service, "auth.challenge").await;
        service.decide(&asked, Decision::Approve).await;
    });
    assert!(matches!(approved.unwrap().status, Status::Approved { .. }));

    let webhook_id = hook.webhook.webhook_id;
    let renewed = client.renew_webhook_secret(webhook_id).await.unwrap();
    let event_id = client.test_webhook(webhook_id).await.unwrap();
    eventually(|| receiver.all().iter().any(|event| event.id == event_id.to_string())).await;
    let test = receiver.all().into_iter().find(|event| event.id == event_id.to_string()).unwrap();
    assert!(test.is_signed_by(&hook.secret) && test.is_signed_by(&renewed.secret));
    assert_eq!(client.replay_webhook(webhook_id, None).await.unwrap(), 0);
    assert_eq!(client.webhooks(&Page::default()).await.unwrap().webhooks.len(), 1);
    client.deliveries(webhook_id, &Page { limit: Some(1), cursor: None }).await.unwrap();
    client.remove_webhook(webhook_id).await.unwrap();

    let scopes = vec!["connections:read".to_owned()];
    let made =
        client.create_api_key(&NewApiKey { name: "r".to_owned(), scopes, calls_per_minute: Some(1) }).await.unwrap();
    assert_eq!(client.api_keys(&Page::default()).await.unwrap().api_keys, vec![made.key.clone()]);
    let reader = GatewayClient::new(program.client(), program.base(), Zeroizing::new(made.secret)).unwrap();
    reader.connection(id).await.unwrap();
    let limited = reader.connection(id).await.unwrap_err();
    let wait = match &limited {
        ClientError::Refused { code, retry_after_seconds, .. } if code == "rate_limited" => *retry_after_seconds,
        other => panic!("{other:?}"),
    };
    assert!(wait.is_some_and(|seconds| (1..=60).contains(&seconds)));
    client.revoke_api_key(&made.key.key_id).await.unwrap();
    client.end_connection(id).await.unwrap();
    let over = client.request_data(id, &data(0)).await.unwrap_err();
    assert!(matches!(&over, ClientError::Refused { code, .. } if code == "not_connected"), "{over:?}");
    gateway.stop().await;
    assert!(matches!(client.connection(id).await, Err(ClientError::Unreachable(_))));
    world.shut().await;
}

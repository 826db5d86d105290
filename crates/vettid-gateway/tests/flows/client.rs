//! The Rust client against a running gateway: each call once, and what it reads is what the gateway says.

use crate::authorisations::{consent, payment};
use crate::http::Program;
use crate::openid::vault::Vault;
use crate::publishing::until;
use crate::requests::connected;
use crate::values::{snapshot, value};
use crate::world::member::rng;
use crate::world::receiver::{Received, Receiver};
use crate::world::{PATIENCE, Running, World, eventually};
use reqwest::header::HeaderMap;
use serde_json::json;
use vettid_crypto::authorisation::verify_record;
use vettid_crypto::device::DeviceSigner;
use vettid_gateway_client::{
    AuthorisationRequest, BegunLogin, BrowserProof, ClientError, DataRequest, FinishLogin, GatewayClient, InvalidEvent,
    LoginProgress, LoginRequest, NewApiKey, NewLogin, NewWebhook, Page, PushLogin, RequestFilter, Status,
    WebhookVerifier,
};
use vettid_nats::clock;
use vettid_wire::auth::{Decision, Display};
use vettid_wire::authorisation::{Transaction, Wanted};
use vettid_wire::base64::{Base64, Base64Url};
use vettid_wire::connection::ConnectionState;
use vettid_wire::contract::Retention;
use vettid_wire::data::Keep;
use vettid_wire::digest::Digest;
use vettid_wire::inventory::KeyUse;
use vettid_wire::login::LoginLevel;
use vettid_wire::refusal::RefusalCode;
use zeroize::Zeroizing;

const WAIT_MS: Option<u32> = Some(20_000);

fn client(world: &World, gateway: &Running) -> GatewayClient {
    let program = Program::of(world, gateway);
    GatewayClient::new(program.client(), program.base(), Zeroizing::new(program.key().to_owned())).unwrap()
}

fn data(wait_ms: u32) -> DataRequest {
    let (field, purpose) = ("address".to_owned(), "delivery".to_owned());
    DataRequest { field, purpose, retention: None, wait_ms: Some(wait_ms) }
}

fn display() -> Display {
    Display { browser: "Firefox".into(), city: "Bern".into(), ip_prefix: "192.0.2".into() }
}

/// The headers of an event, as a program gets them.
fn headers(event: &Received) -> HeaderMap {
    let all =
        [("webhook-id", &event.id), ("webhook-timestamp", &event.timestamp), ("webhook-signature", &event.signature)];
    all.into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_webhooks_and_keys_of_programs_by_the_client() {
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
    assert_eq!(connection.profile.unwrap().public["first_name"], "Alice");

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
    eventually(|| !receiver.all().is_empty()).await;
    let event = receiver.all().remove(0);
    let verifier = WebhookVerifier::new(&[&hook.secret]).unwrap();
    let read = verifier.verify(&headers(&event), event.body.as_bytes(), clock::now()).unwrap();
    assert_eq!((read.kind.as_str(), &read.content["status"]), ("request.answered", &"served".into()));
    let filter =
        RequestFilter { connection_id: Some(id), status: Some("served".to_owned()), ..RequestFilter::default() };
    assert_eq!(client.requests(&filter, &Page::default()).await.unwrap().requests, [ended]);
    let filter = RequestFilter { kind: Some("login".to_owned()), ..filter };
    assert_eq!(client.requests(&filter, &Page::default()).await.unwrap().requests, []);
    let login = LoginRequest {
        origin: "https://shop.example".to_owned(),
        session_hash: Base64Url::new([7; 32]),
        display: display(),
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
    for secrets in [vec![&hook.secret], vec![&renewed.secret], vec![&hook.secret, &renewed.secret]] {
        let verifier = WebhookVerifier::new(&secrets.into_iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        assert_eq!(verifier.verify(&headers(&test), test.body.as_bytes(), clock::now()).unwrap().id, event_id);
        let changed = verifier.verify(&headers(&test), format!("{} ", test.body).as_bytes(), clock::now());
        assert!(matches!(changed, Err(InvalidEvent::Signature)), "{changed:?}");
    }
    assert_eq!(client.replay_webhook(webhook_id, None).await.unwrap(), 0);
    assert_eq!(client.webhooks(&Page::default()).await.unwrap().webhooks.len(), 1);
    assert_eq!(client.webhook(webhook_id).await.unwrap().webhook_id, webhook_id);
    client.deliveries(webhook_id, Some("waiting"), &Page { limit: Some(1), cursor: None }).await.unwrap();
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

#[tokio::test(flavor = "multi_thread")]
async fn the_client_wants_a_members_word_and_gets_the_record() {
    let (world, gateway, mut member, mut service) = connected().await;
    let (client, id) = (client(&world, &gateway), service.connection_id);
    let (action, reference) = ("change of address".to_owned(), "17".to_owned());
    let transaction = Wanted::Transaction(Transaction { action, amount: None, payee: None, reference });
    let wanted = |value| vettid_wire::json::from_value(value).unwrap();
    let document = json!({"kind": "document", "name": "lease.pdf", "sha256": Digest::from_bytes([9; 32]),
        "media_type": "application/pdf", "size_bytes": 12_345});
    let proof = json!({"kind": "proof", "claims": ["age_over_18"], "purpose": "to sell you wine",
        "origin": "https://shop.example", "nonce": Base64Url::new([5; 32])});
    let cases = [
        (wanted(payment()), "payment.request", Decision::Approve),
        (transaction, "transaction.request", Decision::Deny),
        (wanted(consent()), "consent.request", Decision::Approve),
        (wanted(document), "document.sign", Decision::Approve),
        (wanted(proof), "identity.verify", Decision::Deny),
    ];
    for (wanted, event, decision) in cases {
        let request = AuthorisationRequest { wanted: wanted.clone(), expires_in_ms: Some(60_000), wait_ms: WAIT_MS };
        let (answer, ()) = tokio::join!(client.request_authorisation(id, &request), async {
            let asked = member.next_event(&mut service, event).await;
            let life_ms = asked.wanted().get().expires_at.since_ms(asked.wanted().get().issued_at);
            assert_eq!(life_ms, 60_000);
            let word = member.word(&service.pairwise_again(), &asked, decision);
            service.deliver_answer("authorisation.response", word, &asked).await;
        });
        let answer = answer.unwrap();
        let (is_approved, record) = match answer.status {
            Status::Approved { record, .. } => (true, record.unwrap()),
            Status::Denied { record, .. } => (false, record.unwrap()),
            other => panic!("{other:?}"),
        };
        assert_eq!((is_approved, &record.request.wanted), (decision == Decision::Approve, &wanted));
        let bytes = client.record(answer.request_id).await.unwrap();
        assert_eq!(verify_record(&bytes, clock::now(), &[]).unwrap().record, *record);
    }
    let all = client.authorisations(id).await.unwrap();
    let records: Vec<_> = all.records.iter().map(|record| (record.kind.as_str(), record.decision)).collect();
    let of_each = [
        ("payment", Decision::Approve),
        ("transaction", Decision::Deny),
        ("consent", Decision::Approve),
        ("document", Decision::Approve),
        ("proof", Decision::Deny),
    ];
    assert_eq!(records, of_each);
    assert_eq!(all.requests.len(), of_each.len());
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_logs_a_browser_in_by_a_link_and_then_by_its_key() {
    let (world, gateway, mut member, mut service) = connected().await;
    let (client, mut vault, key) =
        (client(&world, &gateway), Vault::default(), DeviceSigner::random(&mut rng()).unwrap());
    let page = NewLogin {
        origin: "https://shop.example".to_owned(),
        return_path: "/login/return".to_owned(),
        display: display(),
    };
    let proof = |begun: &BegunLogin| BrowserProof {
        verifier: begun.verifier.clone(),
        browser_key: key.public_key().unwrap(),
        signature: Base64::new(key.sign(begun.to_sign.as_bytes()).unwrap().to_vec()),
        assertion: None,
    };
    let finish = |begun: &BegunLogin, code: Option<Base64Url>, wait_ms| FinishLogin {
        verifier: begun.verifier.clone(),
        code,
        wait_ms: Some(wait_ms),
    };

    let begun = client.begin_login(&page).await.unwrap();
    assert!(begun.number.is_some() && !format!("{begun:?}").contains(&begun.verifier));
    client.prove_browser(begun.login_id, &proof(&begun)).await.unwrap();
    let waits = client.finish_login(begun.login_id, &finish(&begun, None, 0)).await.unwrap();
    assert_eq!(waits, LoginProgress::Waiting);
    vault.open(&mut service, &begun.link, false).await;
    let asked = member.next_event(&mut service, "auth.challenge").await;
    let waits = client.finish_login(begun.login_id, &finish(&begun, None, 0)).await.unwrap();
    assert_eq!(waits, LoginProgress::Asked);
    let address = vault.answer(&mut service, &asked, true).await.unwrap().unwrap();
    let waits = client.finish_login(begun.login_id, &finish(&begun, None, 20_000)).await.unwrap();
    assert_eq!(waits, LoginProgress::AwaitsCode);
    let code = address.split_once("&code=").unwrap().1.parse().ok();
    let end = client.finish_login(begun.login_id, &finish(&begun, code, 20_000)).await.unwrap();
    assert!(matches!(end, LoginProgress::LoggedIn { level: LoginLevel::SameDevice, .. }), "{end:?}");
    vault.finished(&mut member, &mut service).await;

    let begun = client.begin_login(&page).await.unwrap();
    client.prove_browser(begun.login_id, &proof(&begun)).await.unwrap();
    let push = PushLogin { verifier: begun.verifier.clone(), connection_id: None };
    client.push_login(begun.login_id, &push).await.unwrap();
    let asked = member.next_event(&mut service, "auth.challenge").await;
    assert_eq!(vault.answer(&mut service, &asked, false).await, Ok(None));
    let end = client.finish_login(begun.login_id, &finish(&begun, None, 20_000)).await.unwrap();
    let LoginProgress::LoggedIn { connection_id, level, .. } = end else { panic!("{end:?}") };
    assert_eq!((connection_id, level), (service.connection_id, LoginLevel::KnownBrowser));
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_contract_and_the_gateways_own_keys_by_the_client() {
    let (world, gateway, mut member, mut service) = connected().await;
    let (client, id) = (client(&world, &gateway), service.connection_id);
    assert_eq!(client.health().await.unwrap().status, "ok");
    assert!(client.metrics().await.unwrap().contains("vettid_gateway_connections{state=\"active\"} 1"));
    assert!(client.description().await.unwrap()["paths"]["/v1/keys"].is_object());

    let request = DataRequest { retention: Some(Retention::Session), ..data(0) };
    let open = client.request_data(id, &request).await.unwrap();
    let asked = member.next_event(&mut service, "data.request").await;
    assert_eq!(asked.data().retention, Some(Retention::Session));
    service.refuse(&asked, "data.request", RefusalCode::NotFound).await;
    let refused = client.request(open.request_id, 20_000).await.unwrap();
    assert_eq!(refused.status, Status::Refused { code: "not_found".to_owned(), retry_at: None });
    let sent = snapshot(&gateway, &service, 1, value("Elm 1", Keep::UntilRevoked));
    service.deliver("data.snapshot", sent).await;
    eventually(|| gateway.gateway().values(id).is_some_and(|values| !values.is_empty())).await;
    let values = client.values(id).await.unwrap();
    assert_eq!((values.len(), values[0].field.as_str(), &values[0].value), (1, "address", &"Elm 1".into()));

    let versions = client.contract_versions().await.unwrap();
    let [first] = versions.as_slice() else { panic!("{versions:?}") };
    assert_eq!(first.contract, gateway.gateway().contract());
    let mut second = first.contract.clone();
    second.contract_version = 2;
    second.description = "Delivery of what you ordered, as of version 2".to_owned();
    assert_eq!(client.publish_contract(&second).await.unwrap().contract, second);
    member.next_event(&mut service, "contract.offered").await;
    until(&gateway, id, |view| view.offered_version == Some(2)).await;
    let connection = client.connection(id).await.unwrap();
    assert_eq!((connection.contract_version, connection.offered_version), (1, Some(2)));

    // The operator's desk of these tests has no registry.
    let unknown = [client.verification().await.err(), client.claim_domain(&"example.org".parse().unwrap()).await.err()];
    for error in unknown {
        assert!(matches!(&error, Some(ClientError::Refused { code, .. }) if code == "unavailable"), "{error:?}");
    }

    let signs = client.keys().await.unwrap().into_iter().find(|key| key.role == KeyUse::ConnectionSigning).unwrap();
    assert!(client.rotate_keys(false).await.unwrap() >= signs.since.unwrap());
    gateway.stop().await;
    world.shut().await;
}

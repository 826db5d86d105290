//! The HTTP face as a program of the service sees it.

use crate::requests::connected;
use crate::world::member::Member;
use crate::world::{Running, World};
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use vettid_wire::auth::Decision;
use vettid_wire::handshake::Invitation;

/// A program of the service.
#[derive(Clone)]
pub(crate) struct Program {
    client: Client,
    base: String,
    key: String,
}

impl Program {
    pub(crate) fn of(world: &World, gateway: &Running) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = world.config.http.as_ref().unwrap();
        Self {
            client: Client::builder().no_proxy().build().unwrap(),
            base: format!("http://{}", gateway.gateway().http_address().unwrap()),
            key: std::fs::read_to_string(&http.api_key_file).unwrap().trim_end().to_owned(),
        }
    }

    /// The same with another key.
    pub(crate) fn with_key(&self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self.clone() }
    }

    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The same at another address.
    pub(crate) fn at(&self, base: &str) -> Self {
        Self { base: base.to_owned(), ..self.clone() }
    }

    async fn try_send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> reqwest::Result<Response> {
        let mut call = self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.key);
        for (name, value) in headers {
            call = call.header(*name, *value);
        }
        if let Some(body) = body {
            call = call.json(&body);
        }
        call.send().await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Response {
        self.try_send(method, path, headers, body).await.unwrap()
    }

    /// A call under a name; `None`: nobody answered it.
    pub(crate) async fn try_named(&self, path: &str, name: &str, body: Value) -> Option<(StatusCode, Value)> {
        let answer = self.try_send(Method::POST, path, &[("idempotency-key", name)], Some(body)).await.ok()?;
        let status = answer.status();
        Some((status, serde_json::from_slice(&answer.bytes().await.ok()?).unwrap_or(Value::Null)))
    }

    pub(crate) async fn named(&self, path: &str, headers: &[(&str, &str)], body: Value) -> (StatusCode, Value) {
        let answer = self.send(Method::POST, path, headers, Some(body)).await;
        (answer.status(), answer.json().await.unwrap())
    }

    pub(crate) async fn text(&self, path: &str) -> String {
        self.send(Method::GET, path, &[], None).await.text().await.unwrap()
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let answer = self.send(method, path, &[], body).await;
        let status = answer.status();
        let bytes = answer.bytes().await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.call(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        self.call(Method::POST, path, Some(body)).await
    }
}

pub(crate) fn code(answer: &(StatusCode, Value)) -> (u16, &str) {
    let code = answer.1.pointer("/error/code").and_then(Value::as_str).unwrap_or_default();
    assert!(answer.1.pointer("/error/message").is_some_and(Value::is_string), "{answer:?}");
    (answer.0.as_u16(), code)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_reads_a_field_and_logs_a_member_in() {
    let (world, gateway, mut member, mut service) = connected().await;
    let program = Program::of(&world, &gateway);
    let id = service.connection_id;

    let (status, body) = program.get("/v1/connections").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body.pointer("/connections/0/connection_id").unwrap(), &json!(id));
    let (status, body) = program.get(&format!("/v1/connections/{id}")).await;
    assert_eq!((status, &body["state"], &body["display_name"]), (StatusCode::OK, &json!("active"), &json!("Alice")));

    let path = format!("/v1/connections/{id}/data-requests");
    let (answer, ()) = tokio::join!(program.post(&path, json!({"field": "address", "purpose": "delivery"})), async {
        let asked = member.next_event(&mut service, "data.request").await;
        service.serve(&asked, "Main Street 1").await;
    });
    assert_eq!(answer.0, StatusCode::OK);
    assert_eq!((&answer.1["status"], &answer.1["value"]), (&json!("served"), &json!("Main Street 1")));
    let found = program.get(&format!("/v1/requests/{}", answer.1["request_id"].as_str().unwrap())).await;
    assert_eq!(found, answer, "what was answered at once is found all the same");

    let (status, body) = program.post(&path, json!({"field": "date_of_birth", "purpose": "age", "wait_ms": 0})).await;
    assert_eq!((status, &body["status"], &body["kind"]), (StatusCode::ACCEPTED, &json!("asked"), &json!("data")));
    let request = format!("/v1/requests/{}", body["request_id"].as_str().unwrap());
    let asked = member.next_event(&mut service, "data.request").await;
    service.serve(&asked, "1990-01-01").await;
    let (status, body) = program.get(&format!("{request}?wait_ms=20000")).await;
    assert_eq!((status, &body["value"]), (StatusCode::OK, &json!("1990-01-01")));

    let login = json!({
        "origin": "https://shop.example",
        "session_hash": "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc",
        "display": {"browser": "Firefox", "city": "Bern", "ip_prefix": "192.0.2"},
        "number": 42,
    });
    let path = format!("/v1/connections/{id}/logins");
    let (answer, ()) = tokio::join!(program.post(&path, login), async {
        let asked = member.next_event(&mut service, "auth.challenge").await;
        service.decide(&asked, Decision::Approve).await;
    });
    assert_eq!(
        (answer.0, &answer.1["status"], &answer.1["kind"]),
        (StatusCode::OK, &json!("approved"), &json!("login"))
    );

    let (status, _) = program.call(Method::DELETE, &format!("/v1/connections/{id}"), None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let refused =
        program.post(&format!("/v1/connections/{id}/data-requests"), json!({"field": "a", "purpose": "b"})).await;
    assert_eq!(code(&refused), (409, "not_connected"));
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_cannot_be_sent_is_found() {
    let (world, gateway, member, service) = connected().await;
    let program = Program::of(&world, &gateway);
    member.cut_off(&world, &service).await;
    let path = format!("/v1/connections/{}/data-requests", service.connection_id);
    let answer = program.post(&path, json!({"field": "address", "purpose": "delivery", "wait_ms": 20_000})).await;
    assert_eq!(answer.0, StatusCode::OK);
    assert_eq!((&answer.1["status"], &answer.1["code"]), (&json!("refused"), &json!("not_connected")), "{answer:?}");
    let found = program.get(&format!("/v1/requests/{}", answer.1["request_id"].as_str().unwrap())).await;
    assert_eq!(found, answer);
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_over_http_connects() {
    let world = World::start().await;
    let gateway = world.gateway().await;
    let program = Program::of(&world, &gateway);
    let (status, body) = program.call(Method::POST, "/v1/invitations", None).await;
    assert_eq!(status, StatusCode::CREATED);
    let link = body["link"].as_str().unwrap();
    assert!(link.starts_with("https://app.vettid.example/c#"), "{link}");
    let invitation = Invitation::read(link).unwrap();
    assert_eq!(body["invite_id"], json!(invitation.invite_id));
    let member = Member::new(&world).await;
    let handshake = member.begin(link).await;
    handshake.send(&handshake.hs1).await;
    assert_eq!(gateway.until_answered(invitation.invite_id).await, handshake.hs_id.connection_id());
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_has_one_form_and_nothing_is_told_without_the_key() {
    let (world, gateway, _member, service) = connected().await;
    let mut program = Program::of(&world, &gateway);
    let id = service.connection_id;
    let data = format!("/v1/connections/{id}/data-requests");
    let logins = format!("/v1/connections/{id}/logins");
    let unknown = "018f6b1e-7c1a-7000-8000-000000000001";
    let cases = [
        (program.get("/v1/nothing").await, (404, "not_found")),
        (program.get("/v1/connections/x").await, (404, "not_found")),
        (program.get(&format!("/v1/connections/{unknown}")).await, (404, "not_found")),
        (program.get(&format!("/v1/requests/{unknown}")).await, (404, "not_found")),
        (program.get(&format!("/v1/requests/{unknown}?wait=1")).await, (400, "invalid_request")),
        (program.call(Method::PUT, "/v1/connections", None).await, (405, "method_not_allowed")),
        (program.post(&data, json!({"field": "a"})).await, (400, "invalid_request")),
        (program.post(&data, json!({"field": "a", "purpose": "b", "extra": 1})).await, (400, "invalid_request")),
        (program.post(&data, json!({"field": "a", "purpose": "b", "wait_ms": 60_001})).await, (400, "invalid_request")),
        (program.post(&data, json!({"field": "a", "purpose": "x".repeat(20_000)})).await, (400, "invalid_request")),
        (program.post(&data, json!({"field": "a", "purpose": "x".repeat(40_000)})).await, (413, "too_large")),
        (program.post(&logins, json!({"origin": "x", "session_hash": "AA"})).await, (400, "invalid_request")),
        (
            program
                .post(&format!("/v1/connections/{unknown}/data-requests"), json!({"field": "a", "purpose": "b"}))
                .await,
            (404, "not_found"),
        ),
    ];
    for (number, (answer, wanted)) in cases.iter().enumerate() {
        assert_eq!(code(answer), *wanted, "{number}");
    }
    let consent = json!({"kind": "consent", "purpose": "offers", "what": []});
    for (call, body, said) in [
        (&data, json!({"field": "a", "purpose": "b", "extra": 1}), "extra: unknown field `extra`"),
        (&data, json!({"field": "a", "purpose": "b", "wait_ms": "hunter2"}), "wait_ms: expected u64"),
        (&data, json!({"field": "a", "purpose": "b", "wait_ms": 60_001}), "wait_ms: at most 60000"),
        (&format!("/v1/connections/{id}/authorisations"), consent, "1 to 16 lines that differ"),
        (&logins, json!({"origin": "x"}), "missing field `session_hash`"),
    ] {
        let (_, refused) = program.post(call, body).await;
        let message = refused["error"]["message"].as_str().unwrap();
        assert!(message.contains(said) && !message.contains("hunter2"), "{message}");
    }
    for key in ["", "wrong", &program.key.to_uppercase(), &format!("{}x", program.key)] {
        program.key = key.to_owned();
        for path in ["/v1/connections", &format!("/v1/connections/{id}"), &format!("/v1/requests/{unknown}")] {
            assert_eq!(code(&program.get(path).await), (401, "unauthorized"), "{path}");
        }
        let invited = program.post("/v1/invitations", json!({})).await;
        assert_eq!(code(&invited), (401, "unauthorized"));
        assert_eq!(code(&program.post(&data, json!({"field": "a", "purpose": "b"})).await), (401, "unauthorized"));
    }
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_of_a_page_is_begun_once_and_its_secret_is_not_kept() {
    let mut world = World::start().await;
    world.config.login.numbers = false;
    let gateway = world.gateway().await;
    let service = Member::new(&world).await.connect(&gateway, &[]).await;
    let program = Program::of(&world, &gateway);
    let page = json!({"origin": "https://shop.example", "return_path": "/back",
        "display": {"browser": "Firefox", "city": "Bern", "ip_prefix": "192.0.2"}});
    let name = |name| [("idempotency-key", name)];
    let (status, begun) = program.named("/v1/logins", &name("login-1"), page.clone()).await;
    assert_eq!(status, StatusCode::CREATED, "{begun}");
    assert_eq!(code(&program.named("/v1/logins", &name("login-1"), page).await), (409, "already_shown"));
    let path = format!("/v1/logins/{}", begun["login_id"].as_str().unwrap());
    let looking = json!({"verifier": begun["verifier"], "wait_ms": 0});
    for _ in 0..2 {
        let (status, view) = program.named(&path, &name("look-1"), looking.clone()).await;
        assert_eq!((status, &view["status"]), (StatusCode::ACCEPTED, &json!("waiting")));
    }
    // What was looked at stands for nothing: the same name may carry another call.
    let push = json!({"verifier": begun["verifier"], "connection_id": service.connection_id});
    let refused = program.named(&format!("{path}/push"), &name("look-1"), push).await;
    assert_eq!(code(&refused), (409, "browser_not_known"));
    let wrong = program.post(&path, json!({"verifier": "x"})).await;
    assert_eq!(code(&wrong), (400, "invalid_request"));
    let rotate = json!({"cuts_off": false});
    let made = program.named("/v1/keys/rotate", &name("keys-1"), rotate.clone()).await;
    assert_eq!(made.0, StatusCode::OK);
    gateway.kill();
    let gateway = world.gateway().await;
    let program = Program::of(&world, &gateway);
    assert_eq!(program.named("/v1/keys/rotate", &name("keys-1"), rotate).await, made, "also after a kill");
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_never_ends_does_not_keep_the_gateway() {
    let world = World::start().await;
    let gateway = world.gateway().await;
    let program = Program::of(&world, &gateway);
    let address = program.base.strip_prefix("http://").unwrap();
    let mut half = tokio::net::TcpStream::connect(address).await.unwrap();
    half.write_all(b"GET /healthz HT").await.unwrap();
    // It was taken before this one.
    assert_eq!(program.get("/healthz").await.0, StatusCode::OK);
    tokio::time::timeout(crate::world::PATIENCE, gateway.stop()).await.unwrap();
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_the_demo_page_are_open_to_this_machine_only() {
    let mut world = World::start().await;
    let gateway = world.gateway().await;
    let program = Program::of(&world, &gateway);
    let (status, body) = program.get("/healthz").await;
    assert_eq!((status, body), (StatusCode::OK, json!({"status": "ok"})));
    let looked = program.client.head(format!("{}/healthz", program.base)).send().await.unwrap();
    assert_eq!(looked.status(), StatusCode::OK, "a balancer may ask with HEAD");
    let page = program.client.get(&program.base).send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    assert_eq!(page.headers()["cache-control"], "no-store");
    let text = page.text().await.unwrap();
    assert!(text.contains("<svg") && text.contains("Demo Shop"));
    let link = text.split("<code>").nth(1).and_then(|rest| rest.split("</code>").next()).unwrap();
    Invitation::read(link).unwrap();
    let rebound = program.client.get(&program.base).header("host", "evil.example").send().await.unwrap();
    assert_eq!(rebound.status(), StatusCode::NOT_FOUND);
    gateway.stop().await;
    // The broker goes away: the face says so. Without the page there is no page.
    world.config.http.as_mut().unwrap().demo_page = false;
    let gateway = world.gateway().await;
    let program = Program::of(&world, &gateway);
    assert_eq!(code(&program.get("/").await), (404, "not_found"));
    world.broker.stop().await.unwrap();
    let sick = async {
        while program.get("/healthz").await.0 != StatusCode::SERVICE_UNAVAILABLE {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(crate::world::PATIENCE, sick).await.unwrap();
    gateway.kill();
    world.desk.close();
}

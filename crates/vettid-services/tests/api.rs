//! The face of the API: TLS, bounds, limits, and the one form of an error.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod world;

use reqwest::Method;
use rustls::{AlertDescription, ClientConnection, SupportedProtocolVersion};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;
use vettid_services::config::Limits;
use vettid_services::services::{Services, StartError};
use vettid_wire::contract::Rate;
use vettid_wire::enrolment::{AccountCreated, CreateAccount, Scan};
use vettid_wire::id::EventId;
use world::World;

/// Shakes hands in one version; blocking, so it runs on a thread of its own.
async fn handshake(world: &World, version: &'static SupportedProtocolVersion) -> Result<(), rustls::Error> {
    let (address, config) = (world.services.address(), world::tls(world.services.authority_pem(), &[version]));
    let shake = move || {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut tls = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap())?;
        while tls.is_handshaking() {
            tls.complete_io(&mut socket).map_err(|error| match error.downcast::<rustls::Error>() {
                Ok(refusal) => refusal,
                Err(other) => panic!("{other}"),
            })?;
        }
        Ok(())
    };
    tokio::task::spawn_blocking(shake).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_1_3_and_nothing_older() {
    let world = World::start().await;
    assert_eq!(handshake(&world, &rustls::version::TLS13).await, Ok(()));
    let older = handshake(&world, &rustls::version::TLS12).await;
    assert_eq!(older, Err(rustls::Error::AlertReceived(AlertDescription::ProtocolVersion)));
    let address = world.services.address();
    let plain = tokio::task::spawn_blocking(move || {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        answer
    });
    assert!(!plain.await.unwrap().starts_with(b"HTTP"));
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_name_the_public_address_and_it_must_be_safe() {
    let world = World::start().await;
    let mut config = world.config();
    let World { services, folder, .. } = world;
    services.stop().await.unwrap();
    for wrong in ["http://vettid.test", "vettid.test", "https://vettid.test/"] {
        config.public_url = Some(wrong.to_owned());
        let refused = Services::start(config.clone()).await;
        assert!(matches!(refused, Err(StartError::PublicUrl)), "{wrong}");
    }
    config.public_url = Some("https://vettid.test".to_owned());
    let services = Services::start(config).await.unwrap();
    assert_eq!(services.url(), "https://vettid.test");
    services.stop().await.unwrap();
    drop(folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_readiness() {
    let world = World::start().await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(world.get(path, None).await.status, 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_one_form() {
    let limits = Limits {
        open: Rate { count: 5, per_seconds: 3600 },
        enrolments: Rate { count: 1, per_seconds: 3600 },
        ..Limits::default()
    };
    let world = World::with_limits(limits).await;
    let created: AccountCreated = world.post("/v1/accounts", None, &CreateAccount { name: "alice".into() }).await.ok();
    let token = Some(created.portal_token.as_str());
    let large = format!("{{\"name\":\"{}\"}}", "a".repeat(70_000)).into_bytes();
    let post = async |path, token, body: &str| world.call(Method::POST, path, token, Some(body.into())).await;
    let answers = [
        ("unknown path", world.get("/v1/nothing", None).await),
        ("wrong method", world.get("/v1/accounts", None).await),
        ("no body", world.call(Method::POST, "/v1/accounts", None, None).await),
        ("not json", post("/v1/accounts", None, "name=alice").await),
        ("a key twice", post("/v1/accounts", None, r#"{"name":"a","name":"b"}"#).await),
        ("unknown field", post("/v1/accounts", None, r#"{"name":"a","admin":true}"#).await),
        ("not a name", post("/v1/accounts", None, r#"{"name":"a b"}"#).await),
        ("too large", world.call(Method::POST, "/v1/accounts", None, Some(large)).await),
        ("name taken", post("/v1/accounts", None, r#"{"name":"ALICE"}"#).await),
        (
            "unknown session",
            world.post("/v1/vault/enroll/scan", None, &Scan { session_id: EventId::from_bytes([1; 16]) }).await,
        ),
        ("no token", world.get("/v1/vault/state", None).await),
        ("no host", post("/v1/vault/enroll/start", token, "{}").await),
        ("too many codes", post("/v1/vault/enroll/start", token, "{}").await),
        ("unknown service", world.get("/v1/registry/services/nothing", None).await),
        ("too many requests", world.get("/v1/registry/profile", None).await),
    ];
    let lines: Vec<_> =
        answers.iter().map(|(what, answer)| format!("{what}: {} {}", answer.status, answer.body)).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_codes_pass_and_the_eleventh_does_not() {
    let limits = Limits { open: Rate { count: 100, per_seconds: 1 }, ..Limits::default() };
    let world = World::with_limits(limits).await;
    let _host = world.host("host-a").await;
    let (alice, bob) = (world.member("alice").await, world.member("bob").await);
    for number in 1..=10 {
        assert_eq!(alice.start(&world).await.status, 200, "{number}");
    }
    assert_eq!(alice.start(&world).await.refusal(), (429, "rate_limited"));
    assert_eq!(bob.start(&world).await.refusal(), (429, "rate_limited"), "the limit is for the address");
    assert_eq!(world.get("/v1/vault/state", Some(&bob.portal_token)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn n_open_requests_pass_and_the_next_does_not() {
    let limits = Limits { open: Rate { count: 4, per_seconds: 3600 }, ..Limits::default() };
    let world = World::with_limits(limits).await;
    for number in 1..=4 {
        assert_eq!(world.get("/v1/registry/profile", None).await.status, 200, "{number}");
    }
    let url = format!("{}/v1/registry/profile", world.services.url());
    let refused = world.client.get(url).send().await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().unwrap()), (429, "900"));
    let scan = world.post("/v1/vault/enroll/scan", None, &Scan { session_id: EventId::from_bytes([1; 16]) }).await;
    assert_eq!(scan.refusal(), (429, "rate_limited"), "one limit for all of them");
    assert_eq!(world.get("/healthz", None).await.status, 200);
}

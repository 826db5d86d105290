//! An enrolled app whose NATS credential died finds its way back; nobody else does, and nobody learns who is a member.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod world;

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use vettid_crypto::identity::SigningKey;
use vettid_crypto::signature::{self, Context};
use vettid_nats::connection::Action;
use vettid_services::config::Limits;
use vettid_store::audit::{Act, Actor};
use vettid_store::ledger::Ledger as _;
use vettid_store::sqlite::SqliteLedger;
use vettid_wire::base64::{Base64, Base64Url};
use vettid_wire::contract::Rate;
use vettid_wire::enrolment::{EnrolmentStarted, NatsBootstrapped, RenewBootstrap};
use vettid_wire::event::EventType;
use vettid_wire::id::MemberId;
use vettid_wire::subject::{Pattern, Subject};
use world::host::{TestHost, stranger};
use world::member::{App, Member};
use world::{Answer, World};

const REFUSED: (u16, &str) = (403, "enrolment_refused");

fn event(name: &str) -> EventType {
    name.parse().unwrap()
}

/// A nonce that no other request of this process has.
fn nonce() -> Base64Url {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    Base64Url::new([NEXT.fetch_add(1, Ordering::Relaxed); 16])
}

fn signed(key: &SigningKey, request: RenewBootstrap) -> RenewBootstrap {
    let unsigned = RenewBootstrap { app_key: key.verifying_key().typed(), key_id: key.key_id(), ..request };
    let signature = signature::sign(Context::ServiceRequest, key, &unsigned).unwrap();
    RenewBootstrap { signature, ..unsigned }
}

/// What this app asks for.
fn request(app: &App, guid: MemberId) -> RenewBootstrap {
    let unsigned = RenewBootstrap {
        guid,
        app_key: app.key.verifying_key().typed(),
        nkey_pub: app.nkey.public().to_string(),
        issued_at: vettid_nats::clock::now(),
        nonce: nonce(),
        key_id: app.key.key_id(),
        signature: Base64::default(),
    };
    signed(&app.key, unsigned)
}

async fn ask(world: &World, request: &RenewBootstrap) -> Answer {
    world.post("/v1/vault/bootstrap", None, request).await
}

/// A member with an enrolled app.
async fn enrolled(world: &World) -> (TestHost, Member, App) {
    let host = world.host("host-a").await;
    let alice = world.member("alice").await;
    let app = alice.app(world).await;
    let (token, _) = app.connected(world).await;
    assert_eq!(app.finalize(world, &token).await.status, 200);
    (host, alice, app)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_app_gets_to_the_bootstrap_subjects_and_no_further() {
    let world = World::start().await;
    let (host, alice, app) = enrolled(&world).await;
    let echo = host.echo().await;
    let bootstrapped: NatsBootstrapped = ask(&world, &request(&app, alice.guid)).await.ok();
    assert_eq!((bootstrapped.guid, &bootstrapped.nats_endpoint), (alice.guid, &world.services.nats_endpoint()));
    let life_ms = bootstrapped.expires_at.since_ms(vettid_nats::clock::now());
    assert!((3_500_000..=3_600_000).contains(&life_ms), "{life_ms}");
    let connection = app.open(&world, &bootstrapped).await.unwrap();
    for reached in ["session.start", "session.finish", "session.refresh"] {
        let subject = Subject::ForVault(alice.guid, event(reached));
        let answer = connection.request(&subject, reached.into(), Duration::from_secs(5)).await.unwrap();
        assert_eq!(answer, reached);
    }
    for denied in ["data.get", "vault.health", "messaging.send"] {
        let mut denials = connection.denials();
        let subject = Subject::ForVault(alice.guid, event(denied));
        connection.publish(&subject, "x".into()).await.unwrap();
        let denial = tokio::time::timeout(Duration::from_secs(5), denials.recv()).await.unwrap().unwrap();
        assert_eq!((denial.action, denial.subject), (Action::Publish, subject.to_string()));
        let pattern = Pattern::ForApp(Some(alice.guid), Some(event(denied)));
        let subscription = connection.subscribe(&pattern).await.unwrap();
        let denial = tokio::time::timeout(Duration::from_secs(5), denials.recv()).await.unwrap().unwrap();
        assert_eq!((denial.action, denial.subject), (Action::Subscribe, pattern.to_string()));
        subscription.end().await.unwrap();
    }
    connection.close().await.unwrap();
    echo.abort();
    let ledger = SqliteLedger::open(&world.config().data_dir.join("ledger.sqlite")).await.unwrap();
    let (_, last) = ledger.audit(0, 1_000).await.unwrap().pop().unwrap();
    assert_eq!((last.actor, last.act), (Actor::App(app.session_id), Act::BootstrapRenewed(app.session_id)));
    ledger.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_the_known_app_learns_nothing() {
    let world = World::start().await;
    let (_host, alice, app) = enrolled(&world).await;
    let newcomer = world.member("bob").await;
    let halfway = world.member("carol").await;
    halfway.app(&world).await.connected(&world).await;
    let right = request(&app, alice.guid);
    let late = |ms: i64| RenewBootstrap { issued_at: right.issued_at.plus_ms(ms), ..request(&app, alice.guid) };
    let wrong = signed(&stranger(), request(&app, alice.guid));
    let cases = [
        ("another key", wrong.clone()),
        ("another key under the name of the app", RenewBootstrap { app_key: right.app_key.clone(), ..wrong.clone() }),
        ("a false signature", RenewBootstrap { signature: Base64::new([0; 64]), ..right.clone() }),
        ("a changed request", RenewBootstrap { nonce: nonce(), ..right.clone() }),
        ("too old", signed(&app.key, late(-125_000))),
        ("from the future", signed(&app.key, late(125_000))),
        ("an unknown member", request(&app, MemberId::from_bytes([9; 16]))),
        ("a member without an enrolment", request(&app, newcomer.guid)),
        ("an enrolment that is not complete", request(&app, halfway.guid)),
    ];
    let expected = ask(&world, &wrong).await;
    assert_eq!(expected.refusal(), REFUSED);
    for (case, request) in &cases {
        let answer = ask(&world, request).await;
        assert_eq!((answer.status, &answer.body), (expected.status, &expected.body), "{case}");
    }
    assert_eq!(ask(&world, &right).await.status, 200);
    let replay = ask(&world, &right).await;
    assert_eq!((replay.status, &replay.body), (expected.status, &expected.body), "a repetition");
    assert_eq!(ask(&world, &request(&app, alice.guid)).await.status, 200, "the app itself is not locked out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_code_does_not_cut_the_app_off() {
    let world = World::start().await;
    let (_host, alice, app) = enrolled(&world).await;
    let _: EnrolmentStarted = alice.start(&world).await.ok();
    assert_eq!(ask(&world, &request(&app, alice.guid)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_and_floods_are_refused() {
    let open = Rate { count: 8, per_seconds: 3600 };
    let world = World::with_limits(Limits { open, enrolments: open, ..Limits::default() }).await;
    let (_host, alice, app) = enrolled(&world).await;
    let right = request(&app, alice.guid);
    let short = signed(&app.key, RenewBootstrap { nonce: Base64Url::new([1; 15]), ..right.clone() });
    let no_key = signed(&app.key, RenewBootstrap { nkey_pub: "UAAA".into(), ..right.clone() });
    for malformed in [short, no_key] {
        assert_eq!(ask(&world, &malformed).await.refusal(), (400, "invalid_request"));
    }
    let mut extra = serde_json::to_value(&right).unwrap();
    extra["device"] = "other".into();
    assert_eq!(world.post("/v1/vault/bootstrap", None, &extra).await.refusal(), (400, "invalid_request"));
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(ask(&world, &request(&app, alice.guid)).await.status);
    }
    assert_eq!(answers, [200, 200, 429], "the account, the scan and the proof counted too");
}

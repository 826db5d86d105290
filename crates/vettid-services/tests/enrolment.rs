//! The whole enrolment over HTTP and the real broker, and each step that must be refused.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod world;

use std::time::Duration;
use vettid_nats::connection::{Action, Connection};
use vettid_store::audit::{Act, Actor, AuditEntry};
use vettid_store::ledger::Ledger as _;
use vettid_store::sqlite::SqliteLedger;
use vettid_wire::base64::{Base64, Base64Url};
use vettid_wire::control::ControlOutcome;
use vettid_wire::enrolment::{Authenticate, Authenticated, EnrolmentState, Finalized, Scan, Scanned};
use vettid_wire::event::EventType;
use vettid_wire::id::{EventId, MemberId};
use vettid_wire::subject::{Pattern, Subject};
use vettid_wire::time::Timestamp;
use world::World;
use world::host::{TestHost, stranger};
use world::member::App;

const REFUSED: (u16, &str) = (403, "enrolment_refused");
const UNAUTHORIZED: (u16, &str) = (401, "unauthorized");

fn event(name: &str) -> EventType {
    name.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_enrols_an_app() {
    let world = World::start().await;
    let host = world.host("host-a").await;
    let alice = world.member("alice").await;
    let state = async || world.get("/v1/vault/state", Some(&alice.portal_token)).await.body;
    let nothing = serde_json::json!({
        "guid": alice.guid, "vault": "none", "credential_backup": { "enabled": false }, "notices": [],
    });
    assert_eq!(state().await, nothing);

    let app = alice.app(&world).await;
    let identity = host.vault(alice.guid).identity.verifying_key();
    assert_eq!(app.started.vault_fp, identity.fingerprint());
    assert_eq!(state().await["enrolment"], "WEB_INITIATED");
    let Scanned { challenge } = app.scan(&world).await.ok();
    assert_eq!(state().await["enrolment"], "PENDING");
    let Authenticated { enrolment_token, .. } = app.send(&world, &app.proof(&challenge)).await.ok();
    assert_eq!(state().await["enrolment"], "AUTHENTICATED");
    let bootstrapped = app.bootstrap(&world, &enrolment_token).await.ok();
    assert_eq!(state().await["enrolment"], "NATS_CONNECTED");
    let connection = app.open(&world, &bootstrapped).await.unwrap();
    connection.close().await.unwrap();
    let finalized: Finalized = app.finalize(&world, &enrolment_token).await.ok();
    assert_eq!(finalized.state, EnrolmentState::Completed);
    let active = serde_json::json!({
        "guid": alice.guid, "vault": "active", "vault_fp": identity.fingerprint(), "enrolment": "COMPLETED",
        "credential_backup": { "enabled": false }, "notices": [],
    });
    assert_eq!(state().await, active);
    assert_eq!(host.commands(), ["vault.deploy", "vault.enroll"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_host_nothing_is_promised() {
    let world = World::start().await;
    let alice = world.member("alice").await;
    assert_eq!(alice.start(&world).await.refusal(), (503, "no_host"));
    let _host = world.host("host-a").await;
    assert_eq!(alice.start(&world).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_code_is_for_the_same_vault_and_closes_the_first() {
    let world = World::start().await;
    let host = world.host("host-a").await;
    let alice = world.member("alice").await;
    let first = alice.app(&world).await;
    let Scanned { challenge } = first.scan(&world).await.ok();
    let second = alice.app(&world).await;
    assert_eq!(first.started.vault_fp, second.started.vault_fp);
    assert_ne!(first.token, second.token);
    assert_eq!(first.send(&world, &first.proof(&challenge)).await.refusal(), REFUSED);
    let (token, _) = second.connected(&world).await;
    assert_eq!(second.finalize(&world, &token).await.status, 200);
    assert_eq!(host.commands(), ["vault.deploy", "vault.enroll", "vault.enroll"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn vaults_are_spread_over_hosts() {
    let world = World::start().await;
    let hosts = [world.host("host-a").await, world.host("host-b").await];
    for name in ["alice", "bob", "carol", "dave"] {
        assert_eq!(world.member(name).await.start(&world).await.status, 200);
    }
    let counts = hosts.map(|host| host.memory.lock().unwrap().vaults.len());
    assert_eq!(counts, [2, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_out_of_order_and_repeated_ones_are_refused() {
    let world = World::start().await;
    let _host = world.host("host-a").await;
    let app = world.member("alice").await.app(&world).await;
    let nothing = Base64Url::new([0; 32]);
    assert_eq!(app.send(&world, &app.proof(&nothing)).await.refusal(), REFUSED, "not scanned yet");
    let Scanned { challenge } = app.scan(&world).await.ok();
    assert_eq!(app.scan(&world).await.refusal(), REFUSED, "scanned twice");
    let proof = app.proof(&challenge);
    let Authenticated { enrolment_token, .. } = app.send(&world, &proof).await.ok();
    assert_eq!(app.send(&world, &proof).await.refusal(), REFUSED, "the same proof again");
    assert_eq!(app.scan(&world).await.refusal(), REFUSED, "scanned after the proof");
    assert_eq!(app.finalize(&world, &enrolment_token).await.refusal(), REFUSED, "not connected yet");
    assert_eq!(app.bootstrap(&world, &enrolment_token).await.status, 200);
    assert_eq!(app.bootstrap(&world, &enrolment_token).await.refusal(), REFUSED, "a second credential");
    assert_eq!(app.finalize(&world, &enrolment_token).await.status, 200);
    assert_eq!(app.finalize(&world, &enrolment_token).await.refusal(), UNAUTHORIZED, "the token is spent");
    assert_eq!(app.bootstrap(&world, &enrolment_token).await.refusal(), UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn false_proofs_are_refused_alike_and_five_close_the_enrolment() {
    let world = World::start().await;
    let _host = world.host("host-a").await;
    let app = world.member("alice").await.app(&world).await;
    let Scanned { challenge } = app.scan(&world).await.ok();
    let right = app.proof(&challenge);
    let other_key = stranger();
    let cases = [
        app.sign(Authenticate { token: "x".repeat(43), ..right.clone() }),
        app.sign(Authenticate { challenge: Base64Url::new([1; 32]), ..right.clone() }),
        Authenticate { app_key: other_key.verifying_key().typed(), ..right.clone() },
        Authenticate { app_key: other_key.verifying_key().typed(), key_id: other_key.key_id(), ..right.clone() },
    ];
    let unknown = app.sign(Authenticate { session_id: EventId::v7(Timestamp::default(), [3; 10]), ..right.clone() });
    let answer = app.send(&world, &unknown).await;
    for case in &cases {
        let refused = app.send(&world, case).await;
        assert_eq!(refused.refusal(), REFUSED);
        assert_eq!(refused.body, answer.body, "an unknown session behaves like a known one");
    }
    assert_eq!(app.send(&world, &right).await.status, 200, "four false proofs do not lock the member out");

    let app = world.member("bob").await.app(&world).await;
    let Scanned { challenge } = app.scan(&world).await.ok();
    for _ in 0..5 {
        let unsigned = Authenticate { signature: Base64::new([0; 64]), ..app.proof(&challenge) };
        assert_eq!(app.send(&world, &unsigned).await.refusal(), REFUSED);
    }
    assert_eq!(app.send(&world, &app.proof(&challenge)).await.refusal(), REFUSED, "closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_that_come_too_late_are_refused() {
    let world = World::start().await;
    let _host = world.host("host-a").await;
    let app = world.member("alice").await.app(&world).await;
    expire(&world, app.session_id).await;
    assert_eq!(app.scan(&world).await.refusal(), REFUSED);

    let app = world.member("bob").await.app(&world).await;
    let Scanned { challenge } = app.scan(&world).await.ok();
    expire(&world, app.session_id).await;
    assert_eq!(app.send(&world, &app.proof(&challenge)).await.refusal(), REFUSED);

    let carol = world.member("carol").await;
    let app = carol.app(&world).await;
    let token = app.authenticated(&world).await;
    expire(&world, app.session_id).await;
    assert_eq!(app.bootstrap(&world, &token).await.refusal(), REFUSED);
    let view = world.get("/v1/vault/state", Some(&carol.portal_token)).await.body;
    assert_eq!((view["vault"].as_str(), view.get("enrolment")), (Some("deployed"), None));

    let app = world.member("dave").await.app(&world).await;
    let (token, _) = app.connected(&world).await;
    expire(&world, app.session_id).await;
    assert_eq!(app.finalize(&world, &token).await.refusal(), REFUSED);
}

/// Lets the time of an enrolment run out, in the ledger that services read at each step.
async fn expire(world: &World, session_id: EventId) {
    let path = world.folder.path().join("data/ledger.sqlite");
    let ledger = SqliteLedger::open(&path).await.unwrap();
    let mut kept = ledger.enrolment(session_id).await.unwrap().unwrap();
    kept.record.expires_at = vettid_nats::clock::now();
    let act = Act::EnrolmentScanned(session_id);
    let entry = AuditEntry { at: kept.record.expires_at, actor: Actor::Services, act };
    ledger.advance_enrolment(&kept, &entry).await.unwrap();
    ledger.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_sessions_and_tokens_tell_nothing() {
    let world = World::start().await;
    let _host = world.host("host-a").await;
    let app = world.member("alice").await.app(&world).await;
    app.scan(&world).await.ok::<Scanned>();
    let known = app.scan(&world).await;
    let unknown = world.post("/v1/vault/enroll/scan", None, &Scan { session_id: EventId::from_bytes([5; 16]) }).await;
    assert_eq!((known.status, known.body), (unknown.status, unknown.body));
    for token in ["", "x", &"A".repeat(43)] {
        assert_eq!(app.bootstrap(&world, token).await.refusal(), UNAUTHORIZED);
        assert_eq!(app.finalize(&world, token).await.refusal(), UNAUTHORIZED);
        assert_eq!(world.get("/v1/vault/state", Some(token)).await.refusal(), UNAUTHORIZED);
    }
    assert_eq!(world.get("/v1/vault/state", None).await.refusal(), UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bootstrap_credential_reaches_the_bootstrap_subjects_and_nothing_else() {
    let world = World::start().await;
    let host = world.host("host-a").await;
    let echo = host.echo().await;
    let alice = world.member("alice").await;
    let bob = world.member("bob").await;
    bob.app(&world).await;
    let app = alice.app(&world).await;
    let (_, bootstrapped) = app.connected(&world).await;
    let life_ms = bootstrapped.expires_at.since_ms(vettid_nats::clock::now());
    assert!((3_500_000..=3_600_000).contains(&life_ms), "{life_ms}");
    let connection = app.open(&world, &bootstrapped).await.unwrap();
    let answers = Pattern::ForApp(Some(alice.guid), Some(event("app.bootstrap")));
    let mut answers = connection.subscribe(&answers).await.unwrap();
    let hs1 = Subject::ForVault(alice.guid, event("app.bootstrap"));
    let echo_of_vault = connection.request(&hs1, "hs1".into(), Duration::from_secs(5)).await.unwrap();
    assert_eq!(echo_of_vault, "hs1", "through the private inbox of the app");
    let hs2 = Subject::ForApp(alice.guid, event("app.bootstrap"), app.session_id);
    let publishing = host.publishing(&world).await.unwrap();
    publishing.publish(&hs2, "hs2".into()).await.unwrap();
    publishing.settle().await.unwrap();
    let arrived = tokio::time::timeout(Duration::from_secs(5), answers.next()).await.unwrap().unwrap().unwrap();
    assert_eq!((arrived.subject, arrived.payload), (hs2, "hs2".into()));
    for denied in [
        Pattern::ForApp(Some(alice.guid), None),
        Pattern::ForApp(Some(alice.guid), Some(event("data.get"))),
        Pattern::ForVault(Some(alice.guid), None),
        Pattern::EventTypes(Some(alice.guid)),
        Pattern::ForApp(Some(bob.guid), Some(event("app.bootstrap"))),
        Pattern::ForApp(None, Some(event("app.bootstrap"))),
        Pattern::AppInbox(Some(alice.guid), Some("other".parse().unwrap())),
        Pattern::OwnerProfile(Some(alice.guid)),
        Pattern::Broadcast,
        Pattern::ControlGlobal,
        Pattern::Journal(Some(alice.guid)),
    ] {
        is_denied(&connection, &denied).await;
    }
    for denied in [
        Subject::ForVault(alice.guid, event("data.get")),
        Subject::ForVault(alice.guid, event("profile.update")),
        Subject::ForVault(bob.guid, event("app.bootstrap")),
        Subject::ForServices(alice.guid, event("account.revoke_user")),
        Subject::ForApp(alice.guid, event("app.bootstrap"), app.session_id),
        Subject::ControlGlobal(event("health.request")),
        Subject::OwnerProfile(alice.guid),
        Subject::Journal(alice.guid),
    ] {
        let mut denials = connection.denials();
        connection.publish(&denied, "x".into()).await.unwrap();
        let denial = tokio::time::timeout(Duration::from_secs(5), denials.recv()).await.unwrap().unwrap();
        assert_eq!((denial.action, denial.subject), (Action::Publish, denied.to_string()));
    }
    connection.close().await.unwrap();
    echo.abort();
}

async fn is_denied(connection: &Connection, pattern: &Pattern) {
    let mut denials = connection.denials();
    let subscription = connection.subscribe(pattern).await.unwrap();
    let denial = tokio::time::timeout(Duration::from_secs(5), denials.recv()).await.unwrap().unwrap();
    assert_eq!((denial.action, denial.subject), (Action::Subscribe, pattern.to_string()));
    subscription.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_is_of_no_use_without_the_apps_key() {
    let world = World::start().await;
    let _host = world.host("host-a").await;
    let app = world.member("alice").await.app(&world).await;
    let (_, bootstrapped) = app.connected(&world).await;
    let thief = App::read(app.started.clone());
    assert_ne!(thief.nkey.public(), app.nkey.public());
    let identity = vettid_core::grants::mint::MemberIdentity::AppBootstrap(app.session_id.to_string().parse().unwrap());
    let jwt = vettid_crypto::nats::token::UserJwt::unchecked(bootstrapped.nats_jwt.clone());
    let stolen = vettid_core::grants::credential::Credential::member(
        &identity,
        bootstrapped.guid,
        thief.nkey.clone(),
        jwt,
        vettid_nats::clock::now(),
    );
    assert!(stolen.is_err());
    let wrong =
        world.post("/v1/vault/enroll/nats-bootstrap", Some("x"), &serde_json::json!({"nkey_pub": "UAAA"})).await;
    assert_eq!(wrong.refusal(), UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_cannot_give_a_vault_the_keys_of_others() {
    let world = World::start().await;
    let honest = world.host("host-a").await;
    let alice = world.member("alice").await;
    alice.app(&world).await;
    let alices = honest.vault(alice.guid).deployed(alice.guid);
    honest.leave().await;
    let taken = alices.owner_account_nkey.clone();
    let _liar = TestHost::join_with(&world, "host-b", move |command, mut value| {
        if command.command.as_str() == "vault.deploy" {
            value["message_account_nkey"] = taken.clone().into();
        }
        Some(ControlOutcome::Done(value))
    })
    .await;
    let bob = world.member("bob").await;
    assert_eq!(bob.start(&world).await.refusal(), (409, "conflict"));
    let state = world.get("/v1/vault/state", Some(&bob.portal_token)).await;
    assert_eq!(state.body["vault"], "assigned");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_leads_elsewhere_is_not_shown() {
    let world = World::start().await;
    let earlier = std::sync::Mutex::new(None::<String>);
    let _host = TestHost::join_with(&world, "host-a", move |command, mut value| {
        if command.command.as_str() == "vault.enroll" {
            let own = value["qr"].as_str().unwrap().to_owned();
            if let Some(other) = earlier.lock().unwrap().replace(own) {
                value["qr"] = other.into();
            }
        }
        Some(ControlOutcome::Done(value))
    })
    .await;
    let (alice, bob) = (world.member("alice").await, world.member("bob").await);
    assert_eq!(alice.start(&world).await.status, 200);
    assert_eq!(bob.start(&world).await.refusal(), (503, "unavailable"), "the code of another vault");
    assert_eq!(bob.start(&world).await.refusal(), (503, "unavailable"), "the code of another enrolment");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_not_about_the_vault_are_not_believed() {
    let world = World::start().await;
    let round = std::sync::atomic::AtomicUsize::new(0);
    let host = TestHost::join_with(&world, "host-a", move |command, mut value| {
        if command.command.as_str() == "vault.deploy" {
            match round.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
                0 => value["guid"] = MemberId::from_bytes([1; 16]).to_string().into(),
                1 => value["app_signing_nkey"] = "AAAA".into(),
                2 => value["identity_key"] = format!("ed25519:{}=", "A".repeat(43)).into(),
                3 => value["extra"] = 1.into(),
                4 => return Some(ControlOutcome::Refused),
                _ => {}
            }
        }
        Some(ControlOutcome::Done(value))
    })
    .await;
    let alice = world.member("alice").await;
    for _ in 0..4 {
        assert_eq!(alice.start(&world).await.refusal(), (503, "unavailable"));
    }
    assert_eq!(alice.start(&world).await.refusal(), (409, "host_refused"));
    assert_eq!(alice.start(&world).await.status, 200);
    assert_eq!(host.memory.lock().unwrap().vaults.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_whose_answer_was_lost_is_not_carried_out_twice() {
    let world = World::start().await;
    let host = world.host("host-a").await;
    host.memory.lock().unwrap().answers_to_lose = 1;
    let alice = world.member("alice").await;
    assert_eq!(alice.start(&world).await.status, 200);
    assert_eq!(host.commands(), ["vault.deploy", "vault.enroll"]);
    assert_eq!(host.memory.lock().unwrap().arrived, 3, "one of them came twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_reach_a_host_in_the_order_of_their_numbers() {
    let world = World::start().await;
    let host = world.host("host-a").await;
    let mut members = Vec::new();
    for number in 0..12 {
        members.push(world.member(&format!("member-{number}")).await);
    }
    // Each of them twice at once: still one vault each.
    let starts = members.iter().chain(&members).map(|member| member.start(&world));
    for answer in futures_util::future::join_all(starts).await {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_eq!(host.memory.lock().unwrap().vaults.len(), 12);
    let sequences: Vec<_> = host.memory.lock().unwrap().commands.iter().map(|command| command.sequence).collect();
    assert_eq!(sequences, (1..=u64::try_from(sequences.len()).unwrap()).collect::<Vec<_>>());
}

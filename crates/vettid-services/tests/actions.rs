//! Tokens of enrolled apps: taken once, for one body, from the holder of the key; whoever else comes learns nothing.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod world;

use std::time::{Duration, Instant};
use vettid_core::action::Action;
use vettid_crypto::action_token;
use vettid_crypto::identity::SigningKey;
use vettid_store::audit::Act;
use vettid_store::ledger::Ledger as _;
use vettid_store::sqlite::SqliteLedger;
use vettid_wire::action::{ActionRequest, ProofClaims};
use vettid_wire::base64::{Base64, Base64Url};
use vettid_wire::event::Nothing;
use vettid_wire::id::MemberId;
use vettid_wire::recovery::CredentialBackupStatus;
use world::action::{Operation, sign};
use world::host::stranger;
use world::{Answer, World};

const UNAUTHORIZED: (u16, &str) = (401, "unauthorized");

fn status(guid: MemberId) -> Operation {
    Operation::new(guid, Action::BackupStatus, &Nothing {})
}

fn prove(claims: &ProofClaims, key: &SigningKey) -> String {
    action_token::prove(claims, key).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_holder_acts_once_with_each_token() {
    let world = World::start().await;
    let (_host, alice, app) = world.enrolled("alice").await;
    let asked = status(alice.guid);
    let granted = asked.grant(&world, &app.key).await;
    assert_eq!(granted.endpoint, Action::BackupStatus.endpoint());
    let life_ms = granted.expires_at.since_ms(vettid_nats::clock::now());
    assert!((290_000..=300_000).contains(&life_ms), "{life_ms}");
    let proof = async || prove(&asked.proof(&world, &granted), &app.key);
    let shown: CredentialBackupStatus = asked.act(&world, &granted.token, &proof().await).await.ok();
    assert!(!shown.enabled);
    let again = asked.act(&world, &granted.token, &proof().await).await;
    assert_eq!(again.refusal(), UNAUTHORIZED, "a fresh proof does not revive a token");
    let ledger = SqliteLedger::open(&world.config().data_dir.join("ledger.sqlite")).await.unwrap();
    let acts: Vec<_> = ledger.audit(0, 1_000).await.unwrap().into_iter().map(|(_, entry)| entry.act).collect();
    assert!(
        matches!(&acts[acts.len() - 2..], [Act::ActionGranted { token: a, .. }, Act::ActionTaken { token: b, .. }] if a == b)
    );
    ledger.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_uses_at_once_one_counts() {
    let world = World::start().await;
    let (_host, alice, app) = world.enrolled("alice").await;
    let asked = status(alice.guid);
    let granted = asked.grant(&world, &app.key).await;
    let uses = (0..8).map(|_| {
        let proof = prove(&asked.proof(&world, &granted), &app.key);
        let (asked, world, token) = (&asked, &world, &granted.token);
        async move { asked.act(world, token, &proof).await.status }
    });
    let mut outcomes = futures_util::future::join_all(uses).await;
    outcomes.sort_unstable();
    assert_eq!(outcomes, [200, 401, 401, 401, 401, 401, 401, 401]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_refused_and_uses_nothing_up() {
    let world = World::start().await;
    let (_host, alice, app) = world.enrolled("alice").await;
    let asked = status(alice.guid);
    let granted = asked.grant(&world, &app.key).await;
    let other = status(alice.guid);
    let other_token = other.grant(&world, &app.key).await.token;
    let right = || asked.proof(&world, &granted);
    let (key, token) = (&app.key, granted.token.as_str());
    let elsewhere = Operation { action: Action::StoreBackup, ..asked.clone() };
    let other_body = Operation { body: b"{ }".to_vec(), ..asked.clone() };
    let mut cut = token.to_owned();
    cut.pop();
    let cases: [(&str, &Operation, &str, String); 13] = [
        ("another key", &asked, token, prove(&right(), &stranger())),
        ("no token", &asked, "", prove(&right(), key)),
        ("a changed token", &asked, &cut, prove(&right(), key)),
        ("the proof as token", &asked, &prove(&right(), key), prove(&right(), key)),
        ("the token as proof", &asked, token, token.to_owned()),
        ("another url", &asked, token, prove(&ProofClaims { htu: format!("{}x", right().htu), ..right() }, key)),
        ("another method", &asked, token, prove(&ProofClaims { htm: "GET".into(), ..right() }, key)),
        ("an old proof", &asked, token, prove(&ProofClaims { iat: right().iat - 70, ..right() }, key)),
        ("a proof from the future", &asked, token, prove(&ProofClaims { iat: right().iat + 70, ..right() }, key)),
        ("another token's proof", &asked, &other_token, prove(&right(), key)),
        ("a nonce of nobody", &asked, token, prove(&ProofClaims { nonce: Base64Url::new([1; 24]), ..right() }, key)),
        ("another endpoint", &elsewhere, token, prove(&elsewhere.proof(&world, &granted), key)),
        ("another body", &other_body, token, prove(&right(), key)),
    ];
    let expected = asked.act(&world, "", "").await;
    assert_eq!(expected.refusal(), UNAUTHORIZED);
    for (case, operation, token, proof) in &cases {
        let answer = operation.act(&world, token, proof).await;
        assert_eq!((answer.status, &answer.body), (expected.status, &expected.body), "{case}");
    }
    let proof = prove(&right(), key);
    assert_eq!(asked.act(&world, token, &proof).await.status, 200, "the token was not used up");
    let replayed = other.act(&world, &other_token, &proof).await;
    assert_eq!(replayed.refusal(), UNAUTHORIZED, "a proof is for one token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_gives_the_nonce_for_the_next_proof() {
    let world = World::start().await;
    let (_host, alice, app) = world.enrolled("alice").await;
    let asked = status(alice.guid);
    let granted = asked.grant(&world, &app.key).await;
    let world = world.restart().await;
    let stale = prove(&asked.proof(&world, &granted), &app.key);
    let refused = asked.act(&world, &granted.token, &stale).await;
    assert_eq!(refused.refusal(), UNAUTHORIZED, "nonces do not outlive the run");
    assert!(refused.headers["www-authenticate"].to_str().unwrap().starts_with("DPoP"));
    let nonce: Base64Url = refused.headers["dpop-nonce"].to_str().unwrap().parse().unwrap();
    let fresh = prove(&ProofClaims { nonce, ..asked.proof(&world, &granted) }, &app.key);
    assert_eq!(asked.act(&world, &granted.token, &fresh).await.status, 200, "the token outlives it");
}

#[tokio::test(flavor = "multi_thread")]
async fn used_tokens_are_remembered_over_a_restart() {
    let world = World::start().await;
    let (_host, alice, app) = world.enrolled("alice").await;
    let asked = status(alice.guid);
    let granted = asked.grant(&world, &app.key).await;
    let proof = prove(&asked.proof(&world, &granted), &app.key);
    assert_eq!(asked.act(&world, &granted.token, &proof).await.status, 200);
    let world = world.restart().await;
    let nonce = asked.grant(&world, &app.key).await.nonce;
    let proof = prove(&ProofClaims { nonce, ..asked.proof(&world, &granted) }, &app.key);
    assert_eq!(asked.act(&world, &granted.token, &proof).await.refusal(), UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_stands_for_one_request() {
    let world = World::start().await;
    let (_host, alice, app) = world.enrolled("alice").await;
    let asked = status(alice.guid);
    assert_eq!(asked.run(&world, &app.key).await.status, 200);
    assert_eq!(asked.run(&world, &app.key).await.status, 200, "the same again, with a fresh token");
    let other = Operation { body: b"{ }".to_vec(), ..asked };
    assert_eq!(other.run(&world, &app.key).await.refusal(), (409, "conflict"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_the_members_app_gets_no_token() {
    let world = World::start().await;
    let (_host, alice, app) = world.enrolled("alice").await;
    let newcomer = world.member("bob").await;
    let right = status(alice.guid).request(&app.key);
    let late = |ms| {
        sign(&app.key, ActionRequest { issued_at: right.issued_at.plus_ms(ms), ..status(alice.guid).request(&app.key) })
    };
    let cases = [
        ("another key", status(alice.guid).request(&stranger())),
        (
            "another key under the app's name",
            ActionRequest { app_key: right.app_key.clone(), ..status(alice.guid).request(&stranger()) },
        ),
        ("a false signature", ActionRequest { signature: Base64::new([0; 64]), ..right.clone() }),
        (
            "another body's hash",
            ActionRequest { req_hash: vettid_wire::digest::Digest::from_bytes([9; 32]), ..right.clone() },
        ),
        ("too old", late(-125_000)),
        ("from the future", late(125_000)),
        ("an unknown member", status(MemberId::from_bytes([9; 16])).request(&app.key)),
        ("a member without an app", status(newcomer.guid).request(&app.key)),
    ];
    let expected = ask(&world, &cases[0].1).await;
    assert_eq!(expected.refusal(), UNAUTHORIZED);
    for (case, request) in &cases {
        let answer = ask(&world, request).await;
        assert_eq!((answer.status, &answer.body), (expected.status, &expected.body), "{case}");
    }
    assert_eq!(ask(&world, &right).await.status, 200);
    assert_eq!(ask(&world, &right).await.refusal(), UNAUTHORIZED, "a repetition");
    let unknown =
        sign(&app.key, ActionRequest { action: "vault.destroy".into(), ..status(alice.guid).request(&app.key) });
    assert_eq!(ask(&world, &unknown).await.refusal(), (400, "invalid_request"));
}

async fn ask(world: &World, request: &ActionRequest) -> Answer {
    world.post("/v1/actions", None, request).await
}

/// The same work is done for both, so the medians are close; the bound is that of the test plan.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_member_costs_as_much_as_a_wrong_key() {
    let world = World::start().await;
    let (_host, alice, _app) = world.enrolled("alice").await;
    let stranger = stranger();
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for _ in 0..100 {
        known.push(timed(&world, &status(alice.guid).request(&stranger)).await);
        unknown.push(timed(&world, &status(MemberId::from_bytes([9; 16])).request(&stranger)).await);
    }
    let (known, unknown) = (median(known), median(unknown));
    assert!(known.abs_diff(unknown) < Duration::from_millis(2), "{known:?} {unknown:?}");
}

#[expect(clippy::disallowed_methods, reason = "this test measures")]
async fn timed(world: &World, request: &ActionRequest) -> Duration {
    let start = Instant::now();
    assert_eq!(ask(world, request).await.refusal(), UNAUTHORIZED);
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

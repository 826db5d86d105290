//! The database of a gateway goes, and comes back or not: what programs and members see of it.

use crate::http::{Program, code};
use crate::openid::site;
use crate::requests::begin;
use crate::world::member::Member;
use crate::world::{PATIENCE, World};
use reqwest::Method;
use serde_json::json;
use std::time::Duration;
use vettid_gateway::view::Status;
use vettid_store::state::sqlite::SqliteState;

/// Waits until the gateway says that it is ready, or not; gives its problems.
pub(crate) async fn until_ready(program: &Program, ready: bool) -> String {
    let said = async {
        loop {
            let (status, body) = program.get("/readyz").await;
            if status.is_success() == ready {
                return body["problems"].to_string();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, said).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: cargo xtask test --only databases"]
async fn postgres_a_gateway_goes_on_when_its_database_is_back() {
    let mut world = World::start_on_postgres().await;
    let provider = site::provider(&mut world);
    let gateway = world.gateway().await;
    let mut member = Member::new(&world).await;
    let mut service = member.connect(&gateway, &["email"]).await;
    let program = Program::of(&world, &gateway);
    let request = begin(&gateway, service.connection_id, "address", PATIENCE * 2);
    let asked = member.next_event(&mut service, "data.request").await;

    let database = world.database.as_ref().unwrap();
    database.crash().unwrap();
    service.serve(&asked, "Main Street 1").await;
    let problems = until_ready(&program, false).await;
    assert!(problems.contains("the database is away"), "{problems}");
    assert_eq!(program.get("/healthz").await.0.as_u16(), 503);
    let refused = program.send(Method::POST, "/v1/invitations", &[], Some(json!({}))).await;
    assert_eq!(refused.headers()["retry-after"], "5");
    assert_eq!(code(&(refused.status(), refused.json().await.unwrap())), (503, "unavailable"));
    let refused = provider.redeem(&provider.shop, "code", &[]).await;
    assert_eq!((refused.status.as_u16(), refused.error()), (503, "temporarily_unavailable".to_owned()));
    assert!(provider.get("/jwks").await.status.is_success());

    database.start_again().unwrap();
    assert_eq!(until_ready(&program, true).await, "[]");
    let view = request.await.unwrap();
    assert!(matches!(&view.status, Status::Served { value, .. } if value == "Main Street 1"), "{view:?}");
    assert_eq!(program.post("/v1/invitations", json!({})).await.0.as_u16(), 201);
    assert_eq!(provider.redeem(&provider.shop, "code", &[]).await.error(), "invalid_grant");
    // What it has now is what a start finds.
    let connections = program.get("/v1/connections").await.1;
    gateway.stop().await;
    let gateway = world.gateway().await;
    assert_eq!(Program::of(&world, &gateway).get("/v1/connections").await.1, connections);
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: cargo xtask test --only databases"]
async fn postgres_a_gateway_without_its_database_can_be_stopped() {
    let world = World::start_on_postgres().await;
    let gateway = world.gateway().await;
    let program = Program::of(&world, &gateway);
    world.database.as_ref().unwrap().crash().unwrap();
    let held = gateway.begin(|gateway| async move { gateway.invite().await.is_err() });
    until_ready(&program, false).await;
    tokio::time::timeout(PATIENCE, gateway.stop()).await.unwrap();
    assert!(held.await.unwrap(), "an invitation that is not stored was given out");
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_was_overtaken_says_so_and_why() {
    let world = World::start().await;
    let gateway = world.gateway().await;
    let program = Program::of(&world, &gateway);
    until_ready(&program, true).await;
    let lost = gateway.begin(|gateway| async move { gateway.lost().await.to_string() });
    SqliteState::take(&world.config.state.join("state.sqlite")).await.unwrap();
    let why = tokio::time::timeout(PATIENCE, lost).await.unwrap().unwrap();
    assert_eq!(why, "the gateway lost its state: another process has taken the state over");
    let problems = until_ready(&program, false).await;
    assert!(problems.contains("the state cannot be written"), "{problems}");
    gateway.stop().await;
    world.shut().await;
}

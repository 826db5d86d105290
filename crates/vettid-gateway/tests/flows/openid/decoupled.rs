//! Logins that no browser waits for (CIBA), by asking and by being told.

use super::ear::Ear;
use super::site::{Answer, Fields, REDIRECT, Registered, Site, form, world};
use super::{LoggedIn, log_in};
use crate::world::PATIENCE;
use reqwest::Method;
use serde_json::json;
use std::time::Duration;
use vettid_crypto::jose::TokenKey;
use vettid_gateway::oidc::client::CibaMode;
use vettid_gateway::oidc::{self, Registration};
use vettid_wire::auth::Decision;

const GRANT: &str = "urn:openid:params:grant-type:ciba";

/// A client that may ask without a browser.
pub(super) fn till(world: &crate::world::World, told_at: Option<&str>) -> Registered {
    let registration = Registration {
        name: "Till".to_owned(),
        redirect_uris: vec![REDIRECT.to_owned()],
        ciba: Some(if told_at.is_some() { CibaMode::Ping } else { CibaMode::Poll }),
        notification_endpoint: told_at.map(str::to_owned),
        ..Registration::default()
    };
    let made = oidc::register(&world.config.oidc.as_ref().unwrap().clients_file, registration).unwrap();
    Registered { id: made.client_id, secret: made.secret.unwrap().to_string() }
}

async fn ask(site: &Site, client: &Registered, fields: &[(&str, &str)]) -> Answer {
    let own = [("client_id", client.id.as_str()), ("client_secret", client.secret.as_str()), ("scope", "openid")];
    let all = own.into_iter().chain(fields.iter().copied()).collect();
    site.send(Method::POST, "/backchannel", &[], Some(form(all))).await
}

async fn fetch(site: &Site, client: &Registered, auth_req_id: &str) -> Answer {
    site.token(client, &[("grant_type", GRANT), ("auth_req_id", auth_req_id)]).await
}

/// The first answer that is not one to an open question. The gateway takes a moment to hear of a decision.
async fn once_decided(site: &Site, client: &Registered, auth_req_id: &str) -> Answer {
    let reached = async {
        loop {
            let answer = fetch(site, client, auth_req_id).await;
            if !matches!(answer.error().as_str(), "slow_down" | "authorization_pending") {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_asks_a_member_without_a_browser_and_fetches_the_answer() {
    let (mut world, site) = world().await;
    // Longer than the test takes: a client that keeps to it gets nothing here.
    world.config.oidc.as_mut().unwrap().look_every_seconds = 60;
    let till = till(&world, None);
    let LoggedIn { gateway, mut member, mut service, back, .. } = log_in(&world, &site, &[("scope", "openid")]).await;
    let tokens = site.redeem(&site.shop, &back.sent("code").unwrap(), &[]).await.json();
    // All clients have one redirect host, so the till knows the member by the same subject as the shop.
    let subject =
        site.userinfo(tokens["access_token"].as_str().unwrap()).await.json()["sub"].as_str().unwrap().to_owned();
    let answer = ask(&site, &till, &[("login_hint", &subject), ("binding_message", "W4SCT")]).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["expires_in"]), (200, &json!(120)), "{answer:?}");
    let id = answer.json()["auth_req_id"].as_str().unwrap().to_owned();
    let asked = member.next_event(&mut service, "auth.challenge").await;
    assert_eq!(asked.login().display.browser, "W4SCT (Till)", "the member sees the message and who asks");
    assert_eq!(fetch(&site, &site.shop, &id).await.error(), "invalid_grant", "the question of another client");
    assert_eq!(answer.json()["number"], json!(asked.login().number), "the till shows what the member names");
    assert_eq!(fetch(&site, &till, &id).await.error(), "slow_down", "sooner than the pace allows");
    service.decide(&asked, Decision::Approve).await;
    // The wait that was just made longer is for open questions alone.
    let answer = once_decided(&site, &till, &id).await;
    assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
    let access = answer.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(site.userinfo(&access).await.json()["sub"], subject);
    assert_eq!(fetch(&site, &till, &id).await.error(), "invalid_grant", "an answer is fetched once");
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_told_that_a_member_decided_also_after_a_kill() {
    let (mut world, site) = world().await;
    // Longer than the test takes: a client that keeps to it gets nothing here.
    world.config.oidc.as_mut().unwrap().look_every_seconds = 60;
    let mut ear = Ear::failing(1).await;
    let till = till(&world, Some(&ear.address));
    let LoggedIn { gateway, mut member, mut service, back, .. } = log_in(&world, &site, &[("scope", "openid")]).await;
    let tokens = site.redeem(&site.shop, &back.sent("code").unwrap(), &[]).await.json();
    let subject =
        site.userinfo(tokens["access_token"].as_str().unwrap()).await.json()["sub"].as_str().unwrap().to_owned();
    let token = "8d67dc78-7faa-4d41-aabd-67707b374255";
    let fields = [("login_hint", subject.as_str()), ("client_notification_token", token)];
    assert_eq!(ask(&site, &till, &fields[..1]).await.error(), "invalid_request", "a ping needs a token");
    let answer = ask(&site, &till, &fields).await;
    let id = answer.json()["auth_req_id"].as_str().unwrap().to_owned();
    let asked = member.next_event(&mut service, "auth.challenge").await;
    gateway.kill();
    let gateway = world.gateway().await;
    service.decide(&asked, Decision::Deny).await;
    for _ in 0..2 {
        let heard = ear.next().await;
        assert_eq!(heard.authorization, format!("Bearer {token}"));
        assert_eq!(heard.body, json!({"auth_req_id": id}).to_string(), "it is told again until it takes it");
    }
    assert!(ear.nothing_more().await);
    // It comes at once: whoever was told need not keep to the pace of those who ask again and again.
    assert_eq!(fetch(&site, &till, &id).await.error(), "access_denied");
    assert_eq!(fetch(&site, &till, &id).await.error(), "invalid_grant", "a no is fetched once, too");
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_asks_for_a_member_that_is_not_theirs_to_ask() {
    let (world, site) = world().await;
    let till = till(&world, None);
    let LoggedIn { gateway, back, .. } = log_in(&world, &site, &[("scope", "openid")]).await;
    let tokens = site.redeem(&site.shop, &back.sent("code").unwrap(), &[]).await.json();
    let id_token = tokens["id_token"].as_str().unwrap();
    let unsigned = format!("{}.", id_token.rsplit_once('.').unwrap().0);
    let cases: [(&Registered, Fields<'_>, &str); 5] = [
        (&till, &[("login_hint", "nobody")], "unknown_user_id"),
        (&till, &[("id_token_hint", id_token)], "unknown_user_id"),
        (&till, &[("id_token_hint", &unsigned)], "unknown_user_id"),
        (&till, &[("login_hint", "a"), ("id_token_hint", id_token)], "invalid_request"),
        (&site.shop, &[("login_hint", "a")], "unauthorized_client"),
    ];
    for (client, fields, error) in cases {
        assert_eq!(ask(&site, client, fields).await.error(), error, "{fields:?}");
    }
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_signs_its_question_for_the_address_that_it_asks_at() {
    let (world, site) = world().await;
    let key = TokenKey::generate().unwrap();
    let registration = Registration {
        name: "Till by key".to_owned(),
        redirect_uris: vec![REDIRECT.to_owned()],
        jwks: Some(json!({"keys": [key.public_jwk().unwrap()]}).to_string()),
        ciba: Some(CibaMode::Poll),
        ..Registration::default()
    };
    let id = oidc::register(&world.config.oidc.as_ref().unwrap().clients_file, registration).unwrap().client_id;
    let gateway = world.gateway().await;
    let ends = vettid_nats::clock::now().unix_seconds() + 300;
    // What the client is told once it is known: it asks for nobody who is.
    for (path, error) in [("/backchannel", "unknown_user_id"), ("", "unknown_user_id"), ("/other", "invalid_client")] {
        let audience = format!("{}{path}", site.issuer);
        let claims = json!({"iss": id, "sub": id, "aud": audience, "jti": path.len().to_string(), "exp": ends});
        let assertion = key.sign("JWT", &claims).unwrap();
        let fields = [
            ("scope", "openid"),
            ("login_hint", "nobody"),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", assertion.as_str()),
        ];
        let answer = site.send(Method::POST, "/backchannel", &[], Some(form(fields.into()))).await;
        assert_eq!(answer.error(), error, "made for {audience}");
    }
    gateway.stop().await;
    world.shut().await;
}

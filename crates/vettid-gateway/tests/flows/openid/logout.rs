//! The end of a session: by the client, by the person, and what other clients hear of it.

use super::ear::{Ear, Heard};
use super::same_device::claims_of;
use super::site::{Browser, Fields, REDIRECT, Registered, form, world};
use super::{LoggedIn, log_in};
use crate::world::World;
use reqwest::Method;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Barrier;
use tokio::time::timeout;
use vettid_crypto::jose::ClientKeys;
use vettid_gateway::oidc::{self, Registration};
use vettid_wire::base64::decode_url;

pub(super) const AFTER: &str = "https://shop.example/bye";

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_ends_everything_and_every_client_hears_of_it() {
    let (world, site) = world().await;
    let mut ear = Ear::failing(1).await;
    let registration = Registration {
        name: "Ears".to_owned(),
        redirect_uris: vec![REDIRECT.to_owned()],
        post_logout_redirect_uris: vec![AFTER.to_owned()],
        backchannel_logout_uri: Some(ear.address.clone()),
        ..Registration::default()
    };
    let made = oidc::register(&world.config.oidc.as_ref().unwrap().clients_file, registration).unwrap();
    let ears = Registered { id: made.client_id, secret: made.secret.unwrap().to_string() };
    let changes = [("client_id", ears.id.as_str()), ("scope", "openid")];
    let LoggedIn { gateway, mut browser, back, .. } = log_in(&world, &site, &changes).await;
    let tokens = site.redeem(&ears, &back.sent("code").unwrap(), &[]).await.json();
    let (access, hint) = (tokens["access_token"].as_str().unwrap(), tokens["id_token"].as_str().unwrap());
    let keys = ClientKeys::read(&site.get("/jwks").await.text).unwrap();

    // Nobody is sent where the client did not register, and no token of another client ends a session.
    for wrong in [
        form([("id_token_hint", hint), ("post_logout_redirect_uri", "https://evil.example")].into()),
        form([("id_token_hint", hint), ("client_id", site.shop.id.as_str())].into()),
        form([("post_logout_redirect_uri", AFTER)].into()),
    ] {
        let answer = browser.open(&format!("/logout?{wrong}")).await;
        assert_eq!((answer.status.as_u16(), answer.location()), (400, None), "{wrong}");
    }
    assert_eq!(site.userinfo(access).await.status.as_u16(), 200);

    let right = form([("id_token_hint", hint), ("post_logout_redirect_uri", AFTER), ("state", "x")].into());
    let answer = browser.open(&format!("/logout?{right}")).await;
    assert_eq!(answer.location().unwrap().as_str(), format!("{AFTER}?state=x"));
    assert_eq!(site.userinfo(access).await.error(), "invalid_token");
    let silent = browser.open(&site.request(&[("prompt", "none")])).await;
    assert_eq!(silent.sent("error").as_deref(), Some("login_required"));
    let mut ids = Vec::new();
    for _ in 0..2 {
        let heard = ear.next().await;
        let token = heard.body.strip_prefix("logout_token=").unwrap();
        let claims = keys.open(token).unwrap();
        let header = decode_url(token.split('.').next().unwrap()).unwrap();
        assert!(String::from_utf8(header).unwrap().contains("logout+jwt"));
        assert_eq!((&claims["iss"], &claims["aud"]), (&site.issuer.as_str().into(), &ears.id.as_str().into()));
        assert!(claims["events"]["http://schemas.openid.net/event/backchannel-logout"].is_object());
        assert!(claims.get("nonce").is_none() && claims["sid"].is_string() && claims["sub"].is_string());
        ids.push(claims["jti"].clone());
    }
    assert_eq!(ids[0], ids[1], "told again under the same id");
    assert!(ear.nothing_more().await);
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_slow_to_hear_costs_the_others_nothing() {
    let (world, site) = world().await;
    let all_are_told = Arc::new(Barrier::new(3));
    let clients_file = &world.config.oidc.as_ref().unwrap().clients_file;
    let mut clients = Vec::new();
    for name in ["One", "Another"] {
        let ear = Ear::waiting_for(&all_are_told).await;
        let registration = Registration {
            name: name.to_owned(),
            redirect_uris: vec![REDIRECT.to_owned()],
            backchannel_logout_uri: Some(ear.address.clone()),
            ..Registration::default()
        };
        let made = oidc::register(clients_file, registration).unwrap();
        clients.push((Registered { id: made.client_id, secret: made.secret.unwrap().to_string() }, ear));
    }
    let of = |client: &Registered| [("client_id", client.id.clone()), ("scope", "openid".to_owned())];
    let first = of(&clients[0].0);
    let changes = first.each_ref().map(|(name, value)| (*name, value.as_str()));
    let LoggedIn { gateway, mut browser, back, .. } = log_in(&world, &site, &changes).await;
    site.redeem(&clients[0].0, &back.sent("code").unwrap(), &[]).await;
    let second = of(&clients[1].0);
    let changes = second.each_ref().map(|(name, value)| (*name, value.as_str()));
    let silent = browser.open(&site.request(&[changes[0], changes[1], ("prompt", "none")])).await;
    let tokens = site.redeem(&clients[1].0, &silent.sent("code").unwrap(), &[]).await.json();

    let hint = form([("id_token_hint", tokens["id_token"].as_str().unwrap())].into());
    browser.open(&format!("/logout?{hint}")).await;
    // Shorter than the patience with a client that does not answer.
    timeout(Duration::from_secs(8), all_are_told.wait()).await.expect("both are being told at the same time");
    for (_, mut ear) in clients {
        ear.next().await;
        assert!(ear.nothing_more().await);
    }
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_the_person_is_asked_and_no_other_site_can_answer() {
    let (world, site) = world().await;
    let LoggedIn { gateway, mut browser, .. } = log_in(&world, &site, &[]).await;
    let page = browser.open("/logout").await;
    assert!(page.text.contains("Log out?"), "{page:?}");
    let key = page.text.split("value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let good = format!("form_key={key}");
    let own = browser.cookie.clone();
    let cases: [(Fields<'_>, &str); 3] = [
        (&[("cookie", &own)], "form_key=x"),
        (&[], &good),
        (&[("cookie", &own), ("origin", "https://evil.example")], &good),
    ];
    for (headers, body) in cases {
        let answer = site.send(Method::POST, "/logout/confirm", headers, Some(body.to_owned())).await;
        assert_eq!(answer.status.as_u16(), 400, "{headers:?} {body}");
    }
    assert!(browser.open(&site.request(&[("prompt", "none")])).await.sent("code").is_some(), "still logged in");
    let done = site.send(Method::POST, "/logout/confirm", &[("cookie", &own)], Some(good)).await;
    assert!(done.text.contains("You are logged out"), "{done:?}");
    let silent = browser.open(&site.request(&[("prompt", "none")])).await;
    assert_eq!(silent.sent("error").as_deref(), Some("login_required"));
    gateway.stop().await;
    world.shut().await;
}

/// A client of a sector of its own, which hears of logouts.
pub(super) async fn listening(world: &World, sector: &str) -> (Registered, Ear) {
    let ear = Ear::failing(0).await;
    let registration = Registration {
        name: sector.to_owned(),
        redirect_uris: vec![REDIRECT.to_owned()],
        scopes: ["openid", "offline_access"].map(str::to_owned).to_vec(),
        sector: Some(sector.to_owned()),
        post_logout_redirect_uris: vec![AFTER.to_owned()],
        backchannel_logout_uri: Some(ear.address.clone()),
        ..Registration::default()
    };
    let made = oidc::register(&world.config.oidc.as_ref().unwrap().clients_file, registration).unwrap();
    (Registered { id: made.client_id, secret: made.secret.unwrap().to_string() }, ear)
}

/// What a client of a browser that is logged in gets for it without a question.
pub(super) async fn silent(browser: &mut Browser<'_>, client: &Registered, scope: &str) -> Value {
    let changes = [("client_id", client.id.as_str()), ("scope", scope), ("prompt", "none")];
    let back = browser.open(&browser.site.request(&changes)).await;
    browser.site.redeem(client, &back.sent("code").unwrap_or_else(|| panic!("{back:?}")), &[]).await.json()
}

/// What a logout token says.
pub(super) fn told(heard: &Heard) -> Value {
    let token = heard.body.strip_prefix("logout_token=").unwrap();
    serde_json::from_slice(&decode_url(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_sector_knows_a_session_by_a_name_of_its_own() {
    let (world, site) = world().await;
    let ((bank, mut bank_ear), (clinic, mut clinic_ear)) =
        (listening(&world, "bank").await, listening(&world, "clinic").await);
    let changes = [("client_id", bank.id.as_str()), ("scope", "openid")];
    let LoggedIn { gateway, mut browser, back, .. } = log_in(&world, &site, &changes).await;
    let at_bank = claims_of(&site.redeem(&bank, &back.sent("code").unwrap(), &[]).await.json());
    let at_clinic = silent(&mut browser, &clinic, "openid").await;
    let hint = at_clinic["id_token"].as_str().unwrap().to_owned();
    let (at_clinic, again) = (claims_of(&at_clinic), claims_of(&silent(&mut browser, &bank, "openid").await));
    assert!(at_bank["sid"].is_string() && at_bank["sid"] == again["sid"], "the same session: {at_bank} {again}");
    assert_ne!(at_bank["sid"], at_clinic["sid"]);
    assert_ne!(at_bank["sub"], at_clinic["sub"]);

    let query = form([("id_token_hint", hint.as_str()), ("post_logout_redirect_uri", AFTER)].into());
    assert_eq!(browser.open(&format!("/logout?{query}")).await.location().unwrap().as_str(), AFTER);
    for (ear, known) in [(&mut bank_ear, &at_bank), (&mut clinic_ear, &at_clinic)] {
        let told = told(&ear.next().await);
        assert_eq!((&told["sid"], &told["sub"], &told["aud"]), (&known["sid"], &known["sub"], &known["aud"]));
    }
    let over = browser.open(&site.request(&[("prompt", "none")])).await;
    assert_eq!(over.sent("error").as_deref(), Some("login_required"));
    gateway.stop().await;
    world.shut().await;
}

//! The OpenID provider over HTTP against the real broker: logins, and everything that must not be one. The cases follow the
//! security guide of OAuth (RFC 9700).

mod again;
mod authenticator;
mod crowds;
mod decoupled;
mod ear;
mod hints;
mod id_token_hints;
mod logout;
mod misuse;
mod posted;
mod pushed;
mod relay;
mod same_device;
mod scripts;
pub(crate) mod site;
pub(crate) mod vault;

use crate::world::member::Member;
use crate::world::{Running, World};
use serde_json::json;
use site::{Answer, Browser, REDIRECT, Site, world};
use vettid_crypto::jose::ClientKeys;
use vettid_crypto::kdf::h256;
use vettid_wire::auth::Decision;
use vettid_wire::base64::encode_url;
use vettid_wire::connection::RevocationReason;

/// A world with a member who is logged in with a browser, and the code that the client got.
pub(crate) struct LoggedIn<'s> {
    pub(crate) gateway: Running,
    pub(crate) member: Member,
    pub(crate) service: crate::world::member::Service,
    pub(crate) browser: Browser<'s>,
    pub(crate) back: Answer,
}

pub(crate) async fn log_in<'s>(world: &World, site: &'s Site, changes: &[(&str, &str)]) -> LoggedIn<'s> {
    let gateway = world.gateway().await;
    let mut member = Member::new(world).await;
    let mut browser = Browser::new(site);
    let (service, back) = browser.first_login(&gateway, &mut member, changes).await;
    LoggedIn { gateway, member, service, browser, back }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_logs_in_and_the_tokens_say_so() {
    let (world, site) = world().await;
    let LoggedIn { gateway, mut member, mut service, back, .. } =
        log_in(&world, &site, &[("acr_values", "urn:mace:incommon:iap:silver")]).await;
    let place = back.location().unwrap();
    assert!(place.as_str().starts_with(&format!("{REDIRECT}?")), "{place}");
    assert_eq!(back.status.as_u16(), 303);
    assert_eq!(back.sent("state").as_deref(), Some("af0ifjsldkj"));
    assert_eq!(back.sent("iss").as_deref(), Some(site.issuer.as_str()), "RFC 9207");

    let discovery = site.get("/.well-known/openid-configuration").await.json();
    assert_eq!(discovery["issuer"], site.issuer.as_str());
    assert_eq!(discovery["authorization_response_iss_parameter_supported"], true);
    assert_eq!(discovery["code_challenge_methods_supported"], json!(["S256"]));
    let keys = site.get(discovery["jwks_uri"].as_str().unwrap()).await.text;

    let answer = site.redeem(&site.shop, &back.sent("code").unwrap(), &[]).await;
    assert_eq!(
        (answer.status.as_u16(), answer.headers["cache-control"].to_str().unwrap()),
        (200, "no-store"),
        "{answer:?}"
    );
    let tokens = answer.json();
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(600)));
    assert!(tokens.get("refresh_token").is_none(), "nobody asked for one");
    let claims = ClientKeys::read(&keys).unwrap().open(tokens["id_token"].as_str().unwrap()).unwrap();
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!(site.issuer), &json!(site.shop.id)));
    assert_eq!((&claims["nonce"], &claims["amr"]), (&json!("n-0S6_WzA2Mj"), &json!(["user"])));
    assert!(!claims.contains_key("acr"), "what was wished for is not claimed");
    let access = tokens["access_token"].as_str().unwrap();
    assert_eq!(claims["at_hash"], encode_url(&h256(access.as_bytes())[..16]));

    let (person, ()) = tokio::join!(site.userinfo(access), async {
        let asked = member.next_event(&mut service, "data.request").await;
        assert_eq!((asked.data().field.as_str(), asked.data().purpose.as_str()), ("address", "Log in to Shop"));
        service.serve(&asked, "Main Street 1").await;
    });
    let person = person.json();
    assert_eq!(person["sub"], claims["sub"]);
    assert_eq!((&person["name"], &person["address"]), (&json!("Alice"), &json!({"formatted": "Main Street 1"})));
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_stays_logged_in_as_far_as_the_client_allows() {
    let (world, site) = world().await;
    let LoggedIn { gateway, mut member, mut service, mut browser, .. } = log_in(&world, &site, &[]).await;
    let at_once = browser.open(&site.request(&[("state", "2"), ("prompt", "none")])).await;
    assert!(at_once.sent("code").is_some(), "{at_once:?}");
    // What asks for more than that is asked of the member.
    for changes in [[("prompt", "login")], [("max_age", "0")], [("prompt", "select_account")]] {
        let page = browser.begin(&changes).await;
        let named = browser.open(&page).await.text.contains("Log in as Alice");
        assert_eq!(named, changes != [("prompt", "select_account")], "{changes:?}");
    }
    let too_old = browser.open(&site.request(&[("max_age", "0"), ("prompt", "none")])).await;
    assert_eq!(too_old.sent("error").as_deref(), Some("login_required"));
    // A known browser: one button, one approval; a denial is said in words.
    let page = browser.begin(&[("prompt", "login")]).await;
    let mut before = None;
    for decision in [Decision::Deny, Decision::Approve] {
        browser.press(&page, "/ask").await;
        // While the page is looked at, the question before may have been sent again.
        let asked = loop {
            let asked = member.next_event(&mut service, "auth.challenge").await;
            if before != Some(asked.login().request_id) {
                break asked;
            }
        };
        before = Some(asked.login().request_id);
        assert_eq!(asked.login().origin, site.issuer);
        let number = format!("<output>{}</output>", asked.login().number.unwrap());
        assert!(browser.open(&page).await.text.contains(&number), "the page shows what the member names");
        service.decide(&asked, decision).await;
        let shown = browser.until(&page, |shown| !shown.text.contains("approve the login")).await;
        match decision {
            Decision::Deny => assert!(shown.text.contains("The login was denied in the app"), "{shown:?}"),
            Decision::Approve => assert!(shown.sent("code").is_some(), "{shown:?}"),
        }
    }
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_ends_the_connection_is_logged_out_everywhere() {
    let (world, site) = world().await;
    let scope = [("scope", "openid offline_access")];
    let LoggedIn { gateway, service, mut browser, back, .. } = log_in(&world, &site, &scope).await;
    let tokens = site.redeem(&site.shop, &back.sent("code").unwrap(), &[]).await.json();
    let (access, refresh) = (tokens["access_token"].as_str().unwrap(), tokens["refresh_token"].as_str().unwrap());
    assert_eq!(site.userinfo(access).await.status.as_u16(), 200);
    let id = service.connection_id;
    gateway.run(move |gateway| async move { gateway.revoke(id, RevocationReason::UserRequested).await.unwrap() }).await;
    assert_eq!(site.userinfo(access).await.error(), "invalid_token");
    let refreshed = site.token(&site.shop, &[("grant_type", "refresh_token"), ("refresh_token", refresh)]).await;
    assert_eq!(refreshed.error(), "invalid_grant");
    let silent = browser.open(&site.request(&[("prompt", "none")])).await;
    assert_eq!(silent.sent("error").as_deref(), Some("login_required"));
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_killed_takes_no_code_twice_and_forgets_no_revocation() {
    let (world, site) = world().await;
    let scope = [("scope", "openid offline_access")];
    let LoggedIn { gateway, mut browser, back, .. } = log_in(&world, &site, &scope).await;
    let code = back.sent("code").unwrap();
    let tokens = site.redeem(&site.shop, &code, &[]).await.json();
    let subject = |tokens: &serde_json::Value| {
        let claims =
            vettid_wire::base64::decode_url(tokens["id_token"].as_str().unwrap().split('.').nth(1).unwrap()).unwrap();
        serde_json::from_slice::<serde_json::Value>(&claims).unwrap()["sub"].clone()
    };
    let keys = site.get("/jwks").await.text;
    gateway.kill();
    let gateway = world.gateway().await;
    assert_eq!(site.get("/jwks").await.text, keys, "the keys are the same");
    // The session and the tokens go on.
    let again = browser.open(&site.request(&[("prompt", "none"), ("scope", "openid offline_access")])).await;
    let second = site.redeem(&site.shop, &again.sent("code").unwrap(), &[]).await.json();
    assert_eq!(subject(&second), subject(&tokens));
    let refresh = |token: &serde_json::Value| token["refresh_token"].as_str().unwrap().to_owned();
    let rotated =
        site.token(&site.shop, &[("grant_type", "refresh_token"), ("refresh_token", &refresh(&tokens))]).await;
    assert_eq!(rotated.status.as_u16(), 200, "{rotated:?}");
    let revoked = [("token", second["access_token"].as_str().unwrap())];
    let all = [("client_id", site.shop.id.as_str()), ("client_secret", site.shop.secret.as_str())];
    let body = site::form(all.into_iter().chain(revoked).collect());
    assert_eq!(site.send(reqwest::Method::POST, "/revoke", &[], Some(body)).await.status.as_u16(), 200);
    gateway.kill();
    let gateway = world.gateway().await;
    assert_eq!(site.userinfo(second["access_token"].as_str().unwrap()).await.error(), "invalid_token");
    // The code is shown again after two deaths: it counts no more, and what it gave ends.
    assert_eq!(site.redeem(&site.shop, &code, &[]).await.error(), "invalid_grant");
    let late =
        site.token(&site.shop, &[("grant_type", "refresh_token"), ("refresh_token", &refresh(&rotated.json()))]).await;
    assert_eq!(late.error(), "invalid_grant");
    gateway.stop().await;
    world.shut().await;
}

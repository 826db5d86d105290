//! ID tokens that a client shows later: one whose key signs no more still names its member; one that cannot be read names nobody.

use super::decoupled::till;
use super::logout::AFTER;
use super::site::{form, world};
use super::{LoggedIn, log_in};
use reqwest::Method;
use serde_json::Value;
use vettid_gateway::oidc::settings::KeyTimes;
use vettid_wire::base64::decode_url;

/// The key that signed a token.
fn key_of(token: &str) -> String {
    let header = decode_url(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice::<Value>(&header).unwrap()["kid"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_former_key_signed_still_names_its_member() {
    let (mut world, site) = world().await;
    // Each start makes a key, which signs at once; the one before is over with it.
    let oidc = world.config.oidc.as_mut().unwrap();
    oidc.key_times = KeyTimes { day_ms: 0, token_ms: 0 };
    let till = till(&world, None);
    let changes = [("client_id", till.id.as_str()), ("scope", "openid")];
    let LoggedIn { gateway, mut member, mut service, mut browser, back } = log_in(&world, &site, &changes).await;
    let tokens = site.redeem(&till, &back.sent("code").unwrap(), &[]).await.json();
    let hint = tokens["id_token"].as_str().unwrap();
    assert!(site.get("/jwks").await.text.contains(&key_of(hint)));
    gateway.kill();
    world.gateway().await.kill();
    let gateway = world.gateway().await;
    assert!(!site.get("/jwks").await.text.contains(&key_of(hint)), "a retired key is published no more");

    let silent = [changes[0], changes[1], ("prompt", "none"), ("id_token_hint", hint)];
    let back = browser.open(&site.request(&silent)).await;
    let fresh = site.redeem(&till, &back.sent("code").unwrap_or_else(|| panic!("{back:?}")), &[]).await.json();
    assert_ne!(key_of(fresh["id_token"].as_str().unwrap()), key_of(hint));
    let fields = [
        ("client_id", till.id.as_str()),
        ("client_secret", till.secret.as_str()),
        ("scope", "openid"),
        ("id_token_hint", hint),
        ("binding_message", "W4SCT"),
    ];
    let asked = site.send(Method::POST, "/backchannel", &[], Some(form(fields.into()))).await;
    assert_eq!(asked.status.as_u16(), 200, "{asked:?}");
    while member.next_event(&mut service, "auth.challenge").await.login().display.browser != "W4SCT (Till)" {}
    let done = browser.open(&format!("/logout?{}", form([("id_token_hint", hint)].into()))).await;
    assert!(done.text.contains("You are logged out"), "{done:?}");
    let over = browser.open(&site.request(&silent[..3])).await;
    assert_eq!(over.sent("error").as_deref(), Some("login_required"));
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hint_that_cannot_be_read_is_none_and_the_person_is_asked() {
    let (world, site) = world().await;
    let (bank, _ear) = super::logout::listening(&world, "bank").await;
    let changes = [("client_id", bank.id.as_str()), ("scope", "openid")];
    let LoggedIn { gateway, mut browser, back, .. } = log_in(&world, &site, &changes).await;
    let tokens = site.redeem(&bank, &back.sent("code").unwrap(), &[]).await.json();
    let unsigned = format!("{}.", tokens["id_token"].as_str().unwrap().rsplit_once('.').unwrap().0);
    let next = ("post_logout_redirect_uri", AFTER);
    for hint in [unsigned.as_str(), "x"] {
        // Whose address it would be is known only if the client says who it is.
        for (fields, is_known) in
            [(vec![("id_token_hint", hint), next], false), (vec![("id_token_hint", hint), next, changes[0]], true)]
        {
            let page = browser.open(&format!("/logout?{}", form(fields.into_iter().collect()))).await;
            assert!(page.text.contains("Log out?") && page.location().is_none(), "{page:?}");
            assert_eq!(page.text.contains(AFTER), is_known, "{page:?}");
        }
    }
    let elsewhere = [("id_token_hint", "x"), ("post_logout_redirect_uri", "https://evil.example"), changes[0]];
    let answer = browser.open(&format!("/logout?{}", form(elsewhere.into()))).await;
    assert_eq!((answer.status.as_u16(), answer.location()), (400, None));
    let silent = browser.open(&site.request(&[changes[0], changes[1], ("prompt", "none")])).await;
    assert!(silent.sent("code").is_some(), "still logged in: {silent:?}");
    gateway.stop().await;
    world.shut().await;
}

//! What scripts of other origins may read: the answers to the public client that they belong to, and nothing of a login.

use super::site::{Answer, REDIRECT, Site, VERIFIER, form, world};
use super::{LoggedIn, log_in};
use crate::world::World;
use reqwest::Method;
use vettid_gateway::oidc::{self, Registration};

const APP: &str = "https://app.example";
const SECOND: &str = "https://second.example";
/// Of a client that keeps a secret.
const SHOP: &str = "https://shop.example";

/// A client that runs in the browser at this origin; gives its id.
fn public(world: &World, origin: &str) -> String {
    let registration = Registration {
        name: format!("App at {origin}"),
        redirect_uris: vec![format!("{origin}/cb")],
        public: true,
        ..Registration::default()
    };
    oidc::register(&world.config.oidc.as_ref().unwrap().clients_file, registration).unwrap().client_id
}

/// The origin that may read an answer; never with cookies, and never remembered for another origin.
fn readable(answer: &Answer) -> Option<&str> {
    assert!(!answer.headers.contains_key("access-control-allow-credentials"), "{answer:?}");
    let allowed = answer.headers.get("access-control-allow-origin").map(|value| value.to_str().unwrap());
    let varies = answer.headers.get_all("vary").iter().any(|value| value == "origin");
    assert!(allowed.is_none() || varies, "{answer:?}");
    allowed
}

async fn asked_first(site: &Site, path: &str, origin: &str) -> Answer {
    let headers = [
        ("origin", origin),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization, content-type"),
    ];
    site.send(Method::OPTIONS, path, &headers, None).await
}

/// A call of the token endpoint by a script.
async fn token(site: &Site, origin: &str, fields: &[(&str, &str)]) -> Answer {
    let body = form(fields.iter().copied().collect());
    site.send(Method::POST, "/token", &[("origin", origin)], Some(body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_of_a_public_client_read_what_is_theirs() {
    let (world, site) = world().await;
    let (app, second) = (public(&world, APP), public(&world, SECOND));
    let LoggedIn { gateway, mut browser, back, .. } = log_in(&world, &site, &[]).await;
    for path in ["/token", "/userinfo", "/revoke", "/par", "/jwks", "/.well-known/openid-configuration"] {
        for (origin, allowed) in
            [(APP, true), (SECOND, true), (SHOP, false), ("https://evil.example", false), ("null", false)]
        {
            let answer = asked_first(&site, path, origin).await;
            assert_eq!(readable(&answer), allowed.then_some(origin), "{path} {origin}");
            assert_eq!(answer.headers.contains_key("access-control-allow-headers"), allowed);
        }
    }
    for path in ["/authorize", "/login/x", "/login/x/state", "/login/return", "/login.js", "/logout", "/backchannel"] {
        assert_eq!(readable(&asked_first(&site, path, APP).await), None, "{path}");
        assert_eq!(readable(&site.send(Method::GET, path, &[("origin", APP)], None).await), None, "{path}");
    }
    for path in ["/jwks", "/.well-known/openid-configuration"] {
        for (origin, allowed) in
            [(APP, true), ("https://app.example.evil.example", false), ("http://app.example", false)]
        {
            let answer = site.send(Method::GET, path, &[("origin", origin)], None).await;
            assert_eq!(
                (answer.status.as_u16(), readable(&answer)),
                (200, allowed.then_some(origin)),
                "{path} {origin}"
            );
        }
    }

    // A login of the client in the browser: its own scripts read the tokens and the claims, those of others do not.
    let own = [("client_id", app.as_str()), ("redirect_uri", "https://app.example/cb"), ("prompt", "none")];
    let mut issued = vec![];
    for (origin, allowed) in [(APP, true), (SECOND, false), (SHOP, false)] {
        let code = browser.open(&site.request(&own)).await.sent("code").unwrap();
        let fields = [
            ("client_id", app.as_str()),
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", "https://app.example/cb"),
            ("code_verifier", VERIFIER),
        ];
        let answer = token(&site, origin, &fields).await;
        assert_eq!((answer.status.as_u16(), readable(&answer)), (200, allowed.then_some(origin)), "{answer:?}");
        issued.push(answer.json()["access_token"].as_str().unwrap().to_owned());
    }
    let bearer = format!("Bearer {}", issued[0]);
    for (origin, allowed) in [(APP, true), (SECOND, false), (SHOP, false)] {
        let headers = [("origin", origin), ("authorization", bearer.as_str())];
        let answer = site.send(Method::GET, "/userinfo", &headers, None).await;
        assert_eq!((answer.status.as_u16(), readable(&answer)), (200, allowed.then_some(origin)), "{answer:?}");
    }
    // What is wrong is told to the scripts of the client that did it.
    let wrong = [("client_id", second.as_str()), ("grant_type", "refresh_token"), ("refresh_token", "x.y")];
    for (origin, allowed) in [(SECOND, true), (APP, false)] {
        let answer = token(&site, origin, &wrong).await;
        assert_eq!((answer.error().as_str(), readable(&answer)), ("invalid_grant", allowed.then_some(origin)));
    }

    // A client that keeps a secret has no scripts that could keep it.
    let code = back.sent("code").unwrap();
    let shop = [
        ("client_id", site.shop.id.as_str()),
        ("client_secret", &site.shop.secret),
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
    ];
    let answer = token(&site, SHOP, &shop).await;
    assert_eq!((answer.status.as_u16(), readable(&answer)), (200, None));
    gateway.stop().await;
    world.shut().await;
}

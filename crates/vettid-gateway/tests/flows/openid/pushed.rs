//! Requests that clients push before they send a browser (RFC 9126), and everything that must not pass for one.

use super::site::{Answer, Fields, REDIRECT, Registered, Site, form, world};
use super::{LoggedIn, log_in};
use crate::world::World;
use reqwest::Method;
use std::collections::BTreeMap;
use vettid_gateway::oidc::{self, Registration};

/// The fields of a right push, changed as a test says; an empty value takes one away.
fn fields(site: &Site, client: &Registered, changes: Fields<'_>) -> String {
    let query = site.request(&[("client_id", &client.id), ("prompt", "none")]);
    let query = query.split_once('?').unwrap().1;
    let mut all: BTreeMap<String, String> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    all.insert("client_secret".to_owned(), client.secret.clone());
    all.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    form(
        all.iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect(),
    )
}

async fn push(site: &Site, client: &Registered, changes: Fields<'_>) -> Answer {
    site.send(Method::POST, "/par", &[], Some(fields(site, client, changes))).await
}

/// The reference that a right push gives.
async fn pushed(site: &Site, client: &Registered, changes: Fields<'_>) -> String {
    let answer = push(site, client, changes).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["expires_in"]), (201, &60.into()), "{answer:?}");
    assert_eq!(answer.headers["cache-control"], "no-store");
    answer.json()["request_uri"].as_str().unwrap().to_owned()
}

fn by(client: &Registered, request_uri: &str, more: Fields<'_>) -> String {
    let own = [("client_id", client.id.as_str()), ("request_uri", request_uri)];
    format!("/authorize?{}", form(own.into_iter().chain(more.iter().copied()).collect()))
}

/// A client whose requests have to be pushed.
fn strict(world: &World) -> Registered {
    let registration = Registration {
        name: "Strict".to_owned(),
        redirect_uris: vec![REDIRECT.to_owned()],
        pushed_only: true,
        ..Registration::default()
    };
    let made = oidc::register(&world.config.oidc.as_ref().unwrap().clients_file, registration).unwrap();
    Registered { id: made.client_id, secret: made.secret.unwrap().to_string() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pushed_request_is_served_once_for_its_client_and_nothing_beside_it_counts() {
    let (world, site) = world().await;
    let strict = strict(&world);
    let LoggedIn { gateway, mut browser, .. } = log_in(&world, &site, &[]).await;
    let discovery = site.get("/.well-known/openid-configuration").await.json();
    assert_eq!(discovery["pushed_authorization_request_endpoint"], format!("{}/par", site.issuer));

    let reference = pushed(&site, &site.shop, &[]).await;
    // Whoever brings it as another client, without naming one, or with something of its own gets nothing, and spoils nothing.
    let elsewhere = [("redirect_uri", REDIRECT)];
    for wrong in [
        by(&site.other, &reference, &[]),
        format!("/authorize?{}", form([("request_uri", reference.as_str())].into())),
        by(&site.shop, &reference, &elsewhere),
        by(&site.shop, &reference, &[("scope", "openid")]),
        by(&site.shop, &reference, &[("state", "mine")]),
        by(&site.shop, "urn:ietf:params:oauth:request_uri:unknown", &[]),
        by(&site.shop, "urn:ietf:params:oauth:request_uri:", &[]),
    ] {
        let answer = browser.open(&wrong).await;
        assert_eq!((answer.status.as_u16(), answer.location()), (400, None), "{wrong}: {answer:?}");
    }
    let back = browser.open(&by(&site.shop, &reference, &[])).await;
    assert_eq!(back.sent("state").as_deref(), Some("af0ifjsldkj"), "{back:?}");
    let tokens = site.redeem(&site.shop, &back.sent("code").unwrap(), &[]).await;
    assert_eq!(tokens.status.as_u16(), 200, "{tokens:?}");
    let again = browser.open(&by(&site.shop, &reference, &[])).await;
    assert_eq!((again.status.as_u16(), again.location()), (400, None), "a second time");

    // A client that must push: its plain requests go back with an error, its pushed ones are served.
    let plain = browser.open(&site.request(&[("client_id", &strict.id), ("prompt", "none")])).await;
    assert_eq!(plain.sent("error").as_deref(), Some("invalid_request"), "{plain:?}");
    assert!(plain.sent("error_description").unwrap().contains("push"));
    let reference = pushed(&site, &strict, &[]).await;
    assert!(browser.open(&by(&strict, &reference, &[])).await.sent("code").is_some());

    // In the hands of the gateway alone: one that was killed knows nothing of it.
    let reference = pushed(&site, &site.shop, &[]).await;
    gateway.kill();
    let gateway = world.gateway().await;
    assert_eq!(browser.open(&by(&site.shop, &reference, &[])).await.status.as_u16(), 400);
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_push_is_told_to_its_client() {
    let (world, site) = world().await;
    let gateway = world.gateway().await;
    let cases: [(Fields<'_>, &str); 9] = [
        (&[("client_secret", "guess")], "invalid_client"),
        (&[("client_secret", "")], "invalid_client"),
        (&[("redirect_uri", "https://evil.example/cb")], "invalid_request"),
        (&[("redirect_uri", "")], "invalid_request"),
        (&[("request_uri", "urn:ietf:params:oauth:request_uri:x")], "invalid_request"),
        (&[("request", "e30.e30.")], "request_not_supported"),
        (&[("code_challenge", "")], "invalid_request"),
        (&[("code_challenge_method", "plain")], "invalid_request"),
        (&[("scope", "email")], "invalid_scope"),
    ];
    for (changes, error) in cases {
        let answer = push(&site, &site.shop, changes).await;
        assert_eq!((answer.error().as_str(), answer.location()), (error, None), "{changes:?}: {answer:?}");
        assert!(answer.json().get("request_uri").is_none());
    }
    // A request in the name of another client.
    let basic = vettid_wire::base64::encode(format!("{}:{}", site.shop.id, site.shop.secret).as_bytes());
    let body = fields(&site, &site.other, &[("client_secret", "")]);
    let headers = [("authorization", format!("Basic {basic}"))];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let crossed = site.send(Method::POST, "/par", &headers, Some(body)).await;
    assert_eq!(crossed.error(), "invalid_request", "{crossed:?}");
    assert_eq!(site.get("/par").await.status.as_u16(), 405);
    gateway.stop().await;
    world.shut().await;
}

//! Attacks of RFC 9700, each refused. What is not told apart by an attacker has one answer.

use super::site::{Browser, Fields, REDIRECT, VERIFIER, world};
use super::{LoggedIn, log_in};
use reqwest::Method;
use serde_json::json;
use vettid_crypto::jose::TokenKey;
use vettid_gateway::oidc::{self, Registration};
use vettid_wire::base64::encode_url;

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_is_replayed_ends_its_tokens() {
    let (world, site) = world().await;
    let LoggedIn { gateway, back, .. } = log_in(&world, &site, &[("scope", "openid")]).await;
    let code = back.sent("code").unwrap();
    let tokens = site.redeem(&site.shop, &code, &[]).await.json();
    let access = tokens["access_token"].as_str().unwrap();
    assert_eq!(site.userinfo(access).await.status.as_u16(), 200);
    assert_eq!(site.redeem(&site.shop, &code, &[]).await.error(), "invalid_grant");
    assert_eq!(site.userinfo(access).await.error(), "invalid_token");
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_in_wrong_hands_is_worth_nothing() {
    let (world, site) = world().await;
    let LoggedIn { gateway, mut browser, .. } = log_in(&world, &site, &[]).await;
    let other_verifier = "x".repeat(43);
    let cases: [(bool, Fields<'_>, &str); 7] = [
        (true, &[], "invalid_grant"),
        (false, &[("code_verifier", &other_verifier)], "invalid_grant"),
        (false, &[("code_verifier", "short")], "invalid_grant"),
        (false, &[("code_verifier", "")], "invalid_request"),
        (false, &[("redirect_uri", "https://shop.example/other")], "invalid_grant"),
        (false, &[("redirect_uri", "")], "invalid_request"),
        (false, &[("grant_type", "password")], "unsupported_grant_type"),
    ];
    for (is_other, changes, error) in cases {
        let back = browser.open(&site.request(&[("prompt", "none")])).await;
        let client = if is_other { &site.other } else { &site.shop };
        let answer = site.redeem(client, &back.sent("code").unwrap(), changes).await;
        assert_eq!(answer.error(), error, "{changes:?}");
        assert!(answer.json().get("access_token").is_none());
    }
    // A code that was shown with the wrong verifier is not for the right one either.
    let code = browser.open(&site.request(&[("prompt", "none")])).await.sent("code").unwrap();
    site.redeem(&site.shop, &code, &[("code_verifier", &other_verifier)]).await;
    assert_eq!(site.redeem(&site.shop, &code, &[]).await.error(), "invalid_grant");
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_redirect_but_to_the_registered_address() {
    let (world, site) = world().await;
    let gateway = world.gateway().await;
    for wrong in [
        "https://evil.example/cb",
        "https://shop.example/cb/../evil",
        "https://shop.example/cb/more",
        "https://shop.example/cb?next=https://evil.example",
        "https://shop.example/cb#fragment",
        "https://shop.example@evil.example/cb",
        "https://shop.example:8443/cb",
        "https://shop.example.evil.example/cb",
        "http://shop.example/cb",
        "//evil.example/cb",
        "javascript:alert(1)",
        "",
    ] {
        let answer = site.get(&site.request(&[("redirect_uri", wrong)])).await;
        assert_eq!((answer.status.as_u16(), answer.location()), (400, None), "{wrong}");
        assert!(!answer.text.contains("evil.example"), "the page shows where it would have gone: {wrong}");
    }
    let unknown = site.get(&site.request(&[("client_id", "nobody")])).await;
    assert_eq!((unknown.status.as_u16(), unknown.location()), (400, None));
    let twice = site.get(&format!("{}&redirect_uri=https%3A%2F%2Fevil.example", site.request(&[]))).await;
    assert_eq!((twice.status.as_u16(), twice.location()), (400, None), "a repeated parameter");
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_weaker_than_it_must_be_goes_back_with_an_error() {
    let (world, site) = world().await;
    let gateway = world.gateway().await;
    let cases: [(Fields<'_>, &str); 8] = [
        (&[("code_challenge", "")], "invalid_request"),
        (&[("code_challenge_method", "")], "invalid_request"),
        (&[("code_challenge_method", "plain"), ("code_challenge", VERIFIER)], "invalid_request"),
        (&[("response_type", "token")], "unsupported_response_type"),
        (&[("response_type", "code id_token")], "unsupported_response_type"),
        (&[("request", "e30.e30.")], "request_not_supported"),
        (&[("request_uri", "https://evil.example/r")], "request_uri_not_supported"),
        (&[("prompt", "none")], "login_required"),
    ];
    for (changes, error) in cases {
        let answer = site.get(&site.request(changes)).await;
        assert!(answer.location().unwrap().as_str().starts_with(&format!("{REDIRECT}?")), "{changes:?}");
        assert_eq!(answer.sent("error").as_deref(), Some(error), "{changes:?}");
        assert_eq!(answer.sent("state").as_deref(), Some("af0ifjsldkj"));
        assert_eq!(answer.sent("iss").as_deref(), Some(site.issuer.as_str()), "an error names its issuer too");
        assert!(answer.sent("code").is_none());
    }
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_an_access_token_opens_userinfo() {
    let (world, site) = world().await;
    let LoggedIn { gateway, back, .. } = log_in(&world, &site, &[("scope", "openid")]).await;
    let tokens = site.redeem(&site.shop, &back.sent("code").unwrap(), &[]).await.json();
    let (access, id_token) = (tokens["access_token"].as_str().unwrap(), tokens["id_token"].as_str().unwrap());
    let body = id_token.split('.').nth(1).unwrap();
    let unsigned = |header: serde_json::Value| format!("{}.{body}.", encode_url(header.to_string().as_bytes()));
    let forged = TokenKey::generate().unwrap().sign("JWT", &json!({"sub": "x"})).unwrap();
    for wrong in [
        id_token.to_owned(),
        unsigned(json!({"alg": "none"})),
        format!("{}AAAA", unsigned(json!({"alg": "HS256"}))),
        forged,
        format!("{access}x"),
        String::new(),
    ] {
        let answer = site.userinfo(&wrong).await;
        assert_eq!((answer.status.as_u16(), answer.error()), (401, "invalid_token".to_owned()), "{wrong}");
        assert!(answer.headers["www-authenticate"].to_str().unwrap().starts_with("Bearer error=\"invalid_token\""));
    }
    let in_query = site.get(&format!("/userinfo?access_token={access}")).await;
    let in_form = site.send(Method::POST, "/userinfo", &[], Some(format!("access_token={access}"))).await;
    for elsewhere in [in_query, in_form] {
        assert_eq!((elsewhere.status.as_u16(), elsewhere.error()), (400, "invalid_request".to_owned()));
    }
    assert_eq!(site.userinfo(access).await.status.as_u16(), 200);
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_not_who_it_says_gets_nothing() {
    let (world, site) = world().await;
    let gateway = world.gateway().await;
    let wrong = super::site::Registered { id: site.shop.id.clone(), secret: "guess".to_owned() };
    let crossed = super::site::Registered { id: site.shop.id.clone(), secret: site.other.secret.clone() };
    let nobody = super::site::Registered { id: "nobody".to_owned(), secret: "x".to_owned() };
    for client in [&wrong, &crossed, &nobody] {
        let answer = site.redeem(client, "code", &[]).await;
        assert_eq!((answer.status.as_u16(), answer.error()), (401, "invalid_client".to_owned()));
    }
    let bare = [("grant_type", "authorization_code"), ("client_id", site.shop.id.as_str())];
    let without = site.send(Method::POST, "/token", &[], Some(super::site::form(bare.into()))).await;
    assert_eq!(without.error(), "invalid_client", "a client with a secret cannot leave it out");
    let in_query = format!("/token?client_secret={}", site.shop.secret);
    let answer = site.send(Method::POST, &in_query, &[], Some(format!("client_id={}", site.shop.id))).await;
    assert_eq!(answer.error(), "invalid_request", "a secret in the address");
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assertion_counts_once_also_after_a_kill() {
    let (world, site) = world().await;
    let key = TokenKey::generate().unwrap();
    let jwks = json!({"keys": [key.public_jwk().unwrap()]}).to_string();
    let registration = Registration {
        name: "By key".to_owned(),
        redirect_uris: vec![REDIRECT.to_owned()],
        jwks: Some(jwks),
        ..Registration::default()
    };
    let id = oidc::register(&world.config.oidc.as_ref().unwrap().clients_file, registration).unwrap().client_id;
    let gateway = world.gateway().await;
    let now = vettid_nats::clock::now().unix_seconds();
    let assertion = |number: u32, audience: &str| {
        let claims = json!({"iss": id, "sub": id, "aud": audience, "jti": number.to_string(), "exp": now + 300});
        key.sign("JWT", &claims).unwrap()
    };
    let call = async |assertion: &str| {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", "unknown"),
            ("redirect_uri", REDIRECT),
            ("code_verifier", VERIFIER),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", assertion),
        ];
        site.send(Method::POST, "/token", &[], Some(super::site::form(fields.into()))).await.error()
    };
    let first = assertion(1, &site.issuer);
    assert_eq!(call(&first).await, "invalid_grant", "the client is known, the code is not");
    assert_eq!(call(&first).await, "invalid_client", "the same assertion again");
    assert_eq!(call(&assertion(2, "https://other.example")).await, "invalid_client", "made for another provider");
    gateway.kill();
    let gateway = world.gateway().await;
    assert_eq!(call(&first).await, "invalid_client", "the same assertion after a kill");
    assert_eq!(call(&assertion(3, &format!("{}/token", site.issuer))).await, "invalid_grant");
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_site_and_no_other_browser_acts_on_a_login_page() {
    let (world, site) = world().await;
    let gateway = world.gateway().await;
    let mut browser = Browser::new(&site);
    let page = browser.begin(&[]).await;
    let shown = browser.open(&page).await;
    let policy = shown.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("frame-ancestors 'none'") && policy.contains("default-src 'none'"), "{policy}");
    assert!(policy.contains("script-src 'self';") && policy.contains("connect-src 'self';"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("http"), "{policy}");
    assert_eq!(shown.headers["x-frame-options"], "DENY");
    assert_eq!(shown.headers["referrer-policy"], "no-referrer");
    let scripts: Vec<&str> = shown.text.split("<script").skip(1).collect();
    let own = format!(" src=\"{}/login.js\" defer></script>", site.issuer);
    assert!(scripts.len() == 1 && scripts[0].starts_with(&own) && !shown.text.contains(" on"), "{shown:?}");
    assert!(!shown.text.contains("af0ifjsldkj"));
    let script = site.get("/login.js").await;
    assert_eq!(
        (&script.headers["content-type"], &script.headers["x-content-type-options"]),
        (&"text/javascript".parse().unwrap(), &"nosniff".parse().unwrap())
    );
    let key = shown.text.split("value=\"").nth(1).unwrap().split('"').next().unwrap();
    let good = format!("form_key={key}");
    let own = browser.cookie.clone();
    let stranger = Browser::new(&site).begin_cookie().await;
    let cases: [(Fields<'_>, &str); 6] = [
        (&[("cookie", &own)], ""),
        (&[("cookie", &own)], "form_key=wrong"),
        (&[], &good),
        (&[("cookie", &stranger)], &good),
        (&[("cookie", &own), ("sec-fetch-site", "cross-site")], &good),
        (&[("cookie", &own), ("origin", "https://evil.example")], &good),
    ];
    for path in ["/invite", "/link", "/ask", "/number", "/browser", "/code", "/cancel"] {
        for (headers, body) in cases {
            let answer = site.send(Method::POST, &format!("{page}{path}"), headers, Some(body.to_owned())).await;
            assert_eq!((answer.status.as_u16(), answer.location()), (400, None), "{path}: {headers:?} {body}");
        }
    }
    let by_stranger = site.send(Method::GET, &page, &[("cookie", &stranger)], None).await;
    assert_eq!(by_stranger.status.as_u16(), 400);
    // The login itself is untouched by all that.
    assert!(browser.press(&page, "/invite").await.location().is_some());
    gateway.stop().await;
    world.shut().await;
}

impl Browser<'_> {
    /// The cookie of a browser that has just arrived.
    async fn begin_cookie(mut self) -> String {
        self.begin(&[]).await;
        self.cookie
    }
}

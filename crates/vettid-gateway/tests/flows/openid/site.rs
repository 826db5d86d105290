//! A site and a browser in front of it, written from the standards alone: it sends exactly what a test says.

use crate::world::member::{Member, Service};
use crate::world::{PATIENCE, Running, World};
use reqwest::header::{COOKIE, HeaderMap, LOCATION, SET_COOKIE};
use reqwest::{Client, Method, StatusCode, Url};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::Duration;
use vettid_crypto::kdf::h256;
use vettid_gateway::oidc::settings::{KeyTimes, Oidc};
use vettid_gateway::oidc::{self, Registration};
use vettid_wire::auth::Decision;
use vettid_wire::base64::encode_url;

pub(crate) const REDIRECT: &str = "https://shop.example/cb";
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// Names and values of a form or of headers.
pub(crate) type Fields<'a> = &'a [(&'a str, &'a str)];

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// Where the browser is sent, if it is.
    pub(crate) fn location(&self) -> Option<Url> {
        Some(Url::parse(self.headers.get(LOCATION)?.to_str().unwrap()).unwrap())
    }

    /// A parameter of where the browser is sent.
    pub(crate) fn sent(&self, name: &str) -> Option<String> {
        let location = self.location()?;
        location.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    pub(crate) fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_default().to_owned()
    }
}

/// One client of the provider.
#[derive(Debug, Clone)]
pub(crate) struct Registered {
    pub(crate) id: String,
    pub(crate) secret: String,
}

/// The provider as a stranger sees it, and its clients.
pub(crate) struct Site {
    client: Client,
    pub(crate) issuer: String,
    pub(crate) shop: Registered,
    pub(crate) other: Registered,
}

/// A world whose gateway is a provider with two clients.
pub(crate) async fn world() -> (World, Site) {
    let mut world = World::start().await;
    let site = provider(&mut world);
    (world, site)
}

/// Makes the gateway of a world a provider with two clients.
pub(crate) fn provider(world: &mut World) -> Site {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let issuer = format!("http://localhost:{port}");
    let clients_file = world.config.state.with_file_name("clients.toml");
    world.config.origins.push(issuer.clone());
    let claims = [("address", "address"), ("email", "email")];
    world.config.oidc = Some(Oidc {
        issuer: issuer.clone(),
        listen: format!("127.0.0.1:{port}").parse().unwrap(),
        clients_file: clients_file.clone(),
        key_life_days: 90,
        key_times: KeyTimes::default(),
        access_token_seconds: 600,
        refresh_days: 30,
        session_minutes: 60,
        look_every_seconds: 1,
        behind_proxy: false,
        claims: claims.map(|(claim, field)| (claim.to_owned(), field.to_owned())).into(),
    });
    let register = |name: &str| {
        let registration = Registration {
            name: name.to_owned(),
            redirect_uris: vec![REDIRECT.to_owned()],
            scopes: ["openid", "profile", "address", "email", "offline_access"].map(str::to_owned).to_vec(),
            ..Registration::default()
        };
        let made = oidc::register(&clients_file, registration).unwrap();
        Registered { id: made.client_id, secret: made.secret.unwrap().to_string() }
    };
    let (shop, other) = (register("Shop"), register("Other"));
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    Site { client, issuer, shop, other }
}

impl Site {
    pub(crate) async fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Answer {
        let url = if url.starts_with("http") { url.to_owned() } else { format!("{}{url}", self.issuer) };
        let mut request = self.client.request(method, url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        Answer { status, headers, text: answer.text().await.unwrap() }
    }

    pub(crate) async fn get(&self, url: &str) -> Answer {
        self.send(Method::GET, url, &[], None).await
    }

    /// A call of the token endpoint by the shop, changed as a test says.
    pub(crate) async fn token(&self, client: &Registered, fields: &[(&str, &str)]) -> Answer {
        let mut all: BTreeMap<&str, &str> =
            BTreeMap::from([("client_id", client.id.as_str()), ("client_secret", client.secret.as_str())]);
        all.extend(fields.iter().copied());
        self.send(Method::POST, "/token", &[], Some(form(all))).await
    }

    /// A right call with a code.
    pub(crate) async fn redeem(&self, client: &Registered, code: &str, changes: &[(&str, &str)]) -> Answer {
        let mut all = BTreeMap::from([
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", VERIFIER),
        ]);
        all.extend(changes.iter().copied());
        let fields: Vec<(&str, &str)> = all.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        self.token(client, &fields).await
    }

    pub(crate) async fn userinfo(&self, token: &str) -> Answer {
        self.send(Method::GET, "/userinfo", &[("authorization", &format!("Bearer {token}"))], None).await
    }

    /// The query of a right request, changed as a test says; an empty value takes a parameter away.
    pub(crate) fn request(&self, changes: &[(&str, &str)]) -> String {
        let challenge = encode_url(&h256(VERIFIER.as_bytes()));
        let mut all = BTreeMap::from([
            ("response_type", "code"),
            ("client_id", self.shop.id.as_str()),
            ("redirect_uri", REDIRECT),
            ("scope", "openid profile address"),
            ("state", "af0ifjsldkj"),
            ("nonce", "n-0S6_WzA2Mj"),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ]);
        all.extend(changes.iter().copied());
        format!("/authorize?{}", form(all.into_iter().filter(|(_, value)| !value.is_empty()).collect()))
    }
}

pub(crate) fn form(fields: BTreeMap<&str, &str>) -> String {
    let mut url = Url::parse("https://x.example").unwrap();
    url.query_pairs_mut().extend_pairs(fields);
    url.query().unwrap().to_owned()
}

/// What a page tells its script.
pub(crate) fn fact(shown: &Answer, name: &str) -> String {
    let facts = shown.text.split(&format!(" data-{name}=\"")).nth(1);
    facts.unwrap_or_else(|| panic!("no {name} in {shown:?}")).split('"').next().unwrap().to_owned()
}

/// A browser: one cookie, and what it is shown.
pub(crate) struct Browser<'s> {
    pub(crate) site: &'s Site,
    pub(crate) cookie: String,
}

impl<'s> Browser<'s> {
    pub(crate) fn new(site: &'s Site) -> Self {
        Self { site, cookie: String::new() }
    }

    fn keep(&mut self, answer: Answer) -> Answer {
        if let Some(line) = answer.headers.get(SET_COOKIE) {
            self.cookie = line.to_str().unwrap().split(';').next().unwrap().to_owned();
        }
        answer
    }

    pub(crate) async fn open(&mut self, url: &str) -> Answer {
        let answer = self.site.send(Method::GET, url, &[(COOKIE.as_str(), &self.cookie)], None).await;
        self.keep(answer)
    }

    /// Sends a form of a page, without its script.
    pub(crate) async fn press(&mut self, page: &str, path: &str) -> Answer {
        self.step(page, path, &[]).await
    }

    /// Sends a form of a page whose script ran.
    pub(crate) async fn press_with_script(&mut self, page: &str, path: &str) -> Answer {
        self.step(page, path, &[("script", "1")]).await
    }

    /// Sends a step of a login with the key of its page.
    pub(crate) async fn step(&mut self, page: &str, path: &str, fields: Fields<'_>) -> Answer {
        let key = fact(&self.open(page).await, "form-key");
        let fields = fields.iter().copied().chain([("form_key", key.as_str())]).collect();
        let headers = [(COOKIE.as_str(), self.cookie.as_str()), ("sec-fetch-site", "same-origin")];
        let answer = self.site.send(Method::POST, &format!("{page}{path}"), &headers, Some(form(fields))).await;
        self.keep(answer)
    }

    /// Opens a page again and again until it is as wanted.
    pub(crate) async fn until(&mut self, page: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
        let reached = async {
            loop {
                let answer = self.open(page).await;
                if wanted(&answer) {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.unwrap()
    }

    /// Begins with a request; gives the address of the login page.
    pub(crate) async fn begin(&mut self, changes: &[(&str, &str)]) -> String {
        let answer = self.open(&self.site.request(changes)).await;
        let page = answer.location().unwrap_or_else(|| panic!("{answer:?}"));
        assert!(page.as_str().starts_with(&format!("{}/login/", self.site.issuer)), "{answer:?}");
        page.into()
    }

    /// The first login of a member with this browser; gives the code.
    pub(crate) async fn first_login(
        &mut self,
        gateway: &Running,
        member: &mut Member,
        changes: &[(&str, &str)],
    ) -> (Service, Answer) {
        let page = self.begin(changes).await;
        self.press(&page, "/invite").await;
        let shown = self.open(&page).await;
        let link = shown.text.split("<code>").nth(1).unwrap().split("</code>").next().unwrap().replace("&amp;", "&");
        let mut service = member.answer_invitation(gateway, &link, &[]).await;
        let (asked, back) = tokio::join!(
            member.next_event(&mut service, "auth.challenge"),
            self.until(&page, |shown| shown.text.contains("approve the login"))
        );
        assert!(back.text.contains(&format!("<output>{}</output>", asked.login().number.unwrap())), "{back:?}");
        service.decide(&asked, Decision::Approve).await;
        let back = self.until(&page, |shown| shown.location().is_some()).await;
        (service, back)
    }
}

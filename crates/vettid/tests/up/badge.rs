//! How Alice sees who the demo shop is, on real processes and with a real DNS server: not verified at first, verified once the shop published
//! its record, certified at the operator's word; at the review, in the contract, with a login and a payment, and in the feed.

use crate::party::{App, list, text, vettid};
use crate::people::READY;
use crate::shop::Shop;
use crate::stack::{Place, Up};
use serde_json::{Value, json};
use vettid_testkit::dns::DnsServer;

/// A running stack whose services ask one DNS server.
pub(crate) struct Proving {
    pub(crate) place: Place,
    pub(crate) up: Up,
    pub(crate) shop: Shop,
    pub(crate) dns: DnsServer,
}

impl Proving {
    pub(crate) async fn start() -> Self {
        let (place, dns) = (Place::new(), DnsServer::start("example.org").await.unwrap());
        let mut up = place.up(&["--dns-server", &dns.address().to_string()]);
        up.until(READY).await;
        let line = up.said().lines().rev().find(|line| line.contains("demo shop")).unwrap().to_owned();
        let shop = Shop::new(&place, line.rsplit_once("http://").unwrap().1.trim());
        Self { place, up, shop, dns }
    }

    /// `vettid gateway verify` for the shop.
    async fn verify(&self, more: &[&str]) -> Value {
        let config = self.place.data().join("shop/gateway.toml");
        let (config, address) = (config.to_str().unwrap(), self.shop.address());
        let line = [&["--json", "gateway", "verify", "--config", config, "--address", address], more].concat();
        let outcome = vettid(&line, "").await;
        assert_eq!(outcome.code, 0, "{outcome:?}");
        serde_json::from_str(outcome.out.trim()).unwrap()
    }

    /// Publishes the shop's record and has it looked for.
    pub(crate) async fn prove(&self) -> Value {
        let claimed = self.verify(&["domain", "Example.org"]).await;
        let record = text(&claimed["standing"], "record_text");
        self.dns.set(&text(&claimed, "record_name"), &[&record]).await.unwrap();
        self.verify(&["domain", "example.org"]).await
    }

    async fn certify(&self, more: &[&str]) -> Value {
        let config = self.place.data().join("services.toml");
        let line = ["--json", "services", "certify", "demo-shop", "--config", config.to_str().unwrap()];
        let outcome = vettid(&[&line, more].concat(), "").await;
        assert_eq!(outcome.code, 0, "{outcome:?}");
        serde_json::from_str(outcome.out.trim()).unwrap()
    }

    /// Alice enrolled, with an invitation of the shop before her.
    pub(crate) async fn invited(&self) -> (App, String) {
        let alice = self.place.app("alice");
        alice.enrol(&self.place.data().join("people/alice.code")).await;
        let (_, invited) = self.shop.post("/v1/invitations", &json!({})).await;
        let connection = text(&alice.say(&["connection", "accept"], &text(&invited, "link")).await, "connection_id");
        alice.until(&["connection", "review", &connection], |view| (view["state"] == "review").then_some(())).await;
        (alice, connection)
    }

    /// Stops everything; the files stay.
    pub(crate) async fn end(&mut self) {
        self.up.terminate();
        assert_eq!(self.up.ended().await.code(), Some(0), "{}", self.up.said());
    }
}

fn level(shown: &Value) -> (&str, &str) {
    let badge = &shown["badge"];
    (badge["level"].as_str().unwrap(), badge.pointer("/domain/domain").and_then(Value::as_str).unwrap_or_default())
}

/// What the shop asks of Alice now, as the list shows it.
async fn asked(alice: &App, kind: &str) -> Value {
    let of_kind = |page: &Value| list(page, "requests").iter().find(|one| one["ask"].get(kind).is_some()).cloned();
    alice.until(&["request", "list"], of_kind).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_sees_wherever_the_shop_asks_something_whether_it_is_verified() {
    let mut proving = Proving::start().await;
    let (alice, connection) = proving.invited().await;
    let review = ["connection", "review", &connection];
    let shown = alice.ask(&review).await;
    assert_eq!((level(&shown), &shown["badge"]["reason"]), (("unverified", ""), &json!("not_proved")));
    // One shop alone is nothing to compare with, and says of which kind it is as soon as it has started.
    let compared = alice.until(&review, |view| view["comparison"].get("category").map(|_| view["comparison"].clone()));
    assert_eq!(compared.await, json!({"category": "shop", "unusual": [], "reason": "too_few"}));
    let claimed = proving.verify(&["domain", "example.org"]).await;
    assert_eq!((&claimed["found"], &claimed["standing"]["level"]), (&json!("absent"), &json!("unverified")));
    let claimed = proving.prove().await;
    assert_eq!((&claimed["found"], &claimed["standing"]["level"]), (&json!("confirmed"), &json!("verified")));
    assert_eq!(level(&alice.ask(&review).await), ("verified", "example.org"));

    alice.ask(&["connection", "decide", &connection, "--accept"]).await;
    alice.until(&review, |view| (view["state"] == "active").then_some(())).await;
    assert_eq!(level(&alice.ask(&["contract", "show", "demo-shop"]).await), ("verified", "example.org"));
    let payment = json!({"kind": "payment", "action": "transfer", "amount": {"value": "5.00", "currency": "EUR"},
        "payee": {"name": "Bob Smith", "account_masked": "DE•• 1234", "account_hash": vettid_wire::base64::Base64::new([7; 32])},
        "reference": "Rent", "wait_ms": 0});
    proving.shop.post(&format!("/v1/connections/{connection}/authorisations"), &payment).await;
    assert_eq!(level(&asked(&alice, "authorisation").await), ("verified", "example.org"));
    let display = json!({"browser": "Firefox", "city": "Bern", "ip_prefix": "192.0.2"});
    let page = json!({"origin": "https://shop.example", "return_path": "/login/return", "display": display});
    let (_, waiting) = proving.shop.post("/v1/logins", &page).await;
    alice.ask(&["login", "open", &text(&waiting, "link")]).await;

    let standing = proving.certify(&["--until", "2090-01-01", "--reason", "Register of companies"]).await;
    assert_eq!(standing["level"], "certified");
    let login = asked(&alice, "login").await;
    assert_eq!(level(&login), ("certified", "example.org"));
    assert_eq!(login["badge"]["certification"]["reason"], "Register of companies");
    let feed = alice.ask(&["feed", "list"]).await;
    let of_shop: Vec<_> =
        list(&feed, "entries").iter().filter(|one| one["connection_id"] == connection.as_str()).collect();
    assert!(!of_shop.is_empty() && of_shop.iter().all(|entry| level(entry) == ("certified", "example.org")), "{feed}");
    assert_eq!(proving.certify(&["--withdraw", "--reason", "Dissolved"]).await["level"], "verified");
    assert_eq!(proving.verify(&[]).await["level"], "verified");
    proving.end().await;
}

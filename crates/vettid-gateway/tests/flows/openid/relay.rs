//! Relayed logins through the pages of the provider: an attacker begins a login in a browser of his own and gets a member to say yes
//! to it, or shows what he saw of a login of hers. Random relays from a seed over HTTP and the real broker; none succeeds.

use super::authenticator::with_authenticators;
use super::same_device::{Scene, bring, claims_of, state, without_numbers};
use super::site::{Browser, Site, fact};
use super::vault::{Key, Vault, borrowed, brought, link_of};
use crate::world::World;
use crate::world::member::{Member, Service};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use vettid_wire::base64::Base64Url;

const RELAYS: u64 = 240;

/// The victim with her browser, and an attacker with another one, who is a member, too.
struct Relay<'s> {
    scene: Scene<'s>,
    site: &'s Site,
    rng: StdRng,
    /// By which name the site knows the victim.
    sub: String,
    his: Key,
    him: (Member, Service),
}

impl<'s> Relay<'s> {
    /// The attacker's browser waits for whoever opens its link, and may have shown a key of its own.
    async fn his_page(&mut self) -> (Browser<'s>, String, String) {
        let mut browser = Browser::new(self.site);
        let page = browser.begin(&[]).await;
        browser.press_with_script(&page, "/link").await;
        let shown = browser.open(&page).await;
        if self.rng.random() {
            show(&mut self.his, &mut browser, &page).await;
        }
        (browser, page, link_of(&shown))
    }

    /// She opens a link on her device and says yes to it: login and code in her browser.
    async fn she_approves(&mut self, link: &str) -> (String, String) {
        let Scene { member, service, vault, .. } = &mut self.scene;
        vault.open(service, link, false).await;
        let asked = member.next_event(service, "auth.challenge").await;
        let address = vault.answer(service, &asked, true).await.unwrap().unwrap();
        brought(self.site, &address)
    }

    /// Whether a browser is logged in as the victim.
    async fn is_in(&self, browser: &mut Browser<'_>, page: &str) -> bool {
        browser.open(page).await;
        let back = browser.open(&self.site.request(&[("prompt", "none"), ("scope", "openid")])).await;
        match back.sent("code") {
            Some(code) => sub(self.site, &code).await == self.sub,
            None => false,
        }
    }

    fn guess(&mut self) -> String {
        Base64Url::new(self.rng.random::<[u8; 32]>()).to_string()
    }
}

async fn sub(site: &Site, code: &str) -> String {
    let tokens = site.redeem(&site.shop, code, &[]).await.json();
    claims_of(&tokens)["sub"].as_str().unwrap().to_owned()
}

async fn show(key: &mut Key, browser: &mut Browser<'_>, page: &str) -> String {
    let fields = key.shown(&browser.site.issuer, &fact(&browser.open(page).await, "to-sign"));
    state(&browser.step(page, "/browser", &borrowed(&fields)).await)
}

/// His link is sent to her; the code goes to her browser, and he guesses or brings nothing.
async fn link(relay: &mut Relay<'_>) -> bool {
    let (mut browser, page, link) = relay.his_page().await;
    let (login, _) = relay.she_approves(&link).await;
    let guess = relay.guess();
    if relay.rng.random() {
        bring(&mut browser, &page, (&login, &guess)).await;
    } else {
        browser.until(&page, |shown| shown.text.contains("You said yes")).await;
    }
    relay.is_in(&mut browser, &page).await
}

/// Her browser opens the address with the code, and even posts it to his page.
async fn her_browser_brings_his_code(relay: &mut Relay<'_>) -> bool {
    let (mut browser, page, link) = relay.his_page().await;
    let (login, code) = relay.she_approves(&link).await;
    let key = fact(&browser.open(&page).await, "form-key");
    let returned = relay.scene.browser.open("/login/return").await;
    let body = super::site::form([("form_key", key.as_str()), ("login", &login), ("code", &code)].into());
    let headers = [("cookie", relay.scene.browser.cookie.as_str()), ("sec-fetch-site", "same-origin")];
    let posted = relay.site.send(reqwest::Method::POST, &format!("{page}/code"), &headers, Some(body)).await;
    returned.text.contains(&login) || posted.status.as_u16() != 400 || relay.is_in(&mut browser, &page).await
}

/// She scans the code of his page from another screen.
async fn qr(relay: &mut Relay<'_>) -> bool {
    let (mut browser, page, link) = relay.his_page().await;
    let Scene { member, service, vault, .. } = &mut relay.scene;
    vault.open(service, &link, true).await;
    let asked = member.next_event(service, "auth.challenge").await;
    let refused = vault.answer(service, &asked, true).await.is_err();
    browser.until(&page, |shown| shown.text.contains("role=\"alert\">Your vault")).await;
    !refused || relay.is_in(&mut browser, &page).await
}

/// He names her by her `sub`, shows a key of his own, and presses everything that asks her.
async fn by_name(relay: &mut Relay<'_>) -> bool {
    let mut browser = Browser::new(relay.site);
    let sub = relay.sub.clone();
    let page = browser.begin(&[("login_hint", &sub)]).await;
    browser.press_with_script(&page, "/ask").await;
    let asked = show(&mut relay.his, &mut browser, &page).await != "waiting";
    browser.press_with_script(&page, "/number").await;
    asked || relay.is_in(&mut browser, &page).await
}

/// What her browser signed for a login of her own is shown for his.
async fn her_signature(relay: &mut Relay<'_>) -> bool {
    let page = relay.scene.browser.begin(&[("prompt", "login")]).await;
    relay.scene.browser.press_with_script(&page, "/ask").await;
    let own = relay.scene.browser.open(&page).await;
    let stolen = relay.scene.key.shown(&relay.site.issuer, &fact(&own, "to-sign"));
    let mut browser = Browser::new(relay.site);
    let sub = relay.sub.clone();
    let page = browser.begin(&[("login_hint", &sub)]).await;
    browser.press_with_script(&page, "/ask").await;
    // Or an authenticator of hers is touched at a site of his, for the names of his login.
    let touched = relay.scene.key.shown("http://localhost.evil.example", &fact(&browser.open(&page).await, "to-sign"));
    let is_touched = matches!(relay.scene.key, Key::Authenticator(_)) && relay.rng.random();
    let shown = if is_touched { touched } else { stolen };
    let shown = browser.step(&page, "/browser", &borrowed(&shown)).await;
    shown.status.as_u16() != 400 || relay.is_in(&mut browser, &page).await
}

/// The code of a login of her own is brought to his page, under its own name or under his.
async fn her_code(relay: &mut Relay<'_>) -> bool {
    let page = relay.scene.browser.begin(&[("prompt", "login")]).await;
    relay.scene.browser.press_with_script(&page, "/link").await;
    let shown = relay.scene.browser.open(&page).await;
    let (login, code) = relay.she_approves(&link_of(&shown)).await;
    let (mut browser, page, link) = relay.his_page().await;
    let mut vault = Vault::default();
    vault.open(&mut relay.him.1, &link, false).await;
    let asked = relay.him.0.next_event(&mut relay.him.1, "auth.challenge").await;
    let address = vault.answer(&mut relay.him.1, &asked, false).await.unwrap().unwrap();
    let (own, _) = brought(relay.site, &address);
    if relay.rng.random() {
        bring(&mut browser, &page, (&login, &code)).await;
    } else {
        bring(&mut browser, &page, (&own, &code)).await;
    }
    relay.is_in(&mut browser, &page).await
}

/// His own vault says yes where she was named: he is let in neither as her nor as himself.
async fn his_own_yes(relay: &mut Relay<'_>) -> bool {
    let mut browser = Browser::new(relay.site);
    let sub = relay.sub.clone();
    let page = browser.begin(&[("login_hint", &sub)]).await;
    browser.press_with_script(&page, "/ask").await;
    let link = link_of(&browser.open(&page).await);
    let mut vault = Vault::default();
    vault.open(&mut relay.him.1, &link, false).await;
    let asked = relay.him.0.next_event(&mut relay.him.1, "auth.challenge").await;
    let address = vault.answer(&mut relay.him.1, &asked, false).await.unwrap().unwrap();
    let (login, code) = brought(relay.site, &address);
    bring(&mut browser, &page, (&login, &code)).await;
    relay.is_in(&mut browser, &page).await
}

/// He has her say yes, and remember the browser, with his key shown; afterwards his key must ask nobody.
async fn enrolment(relay: &mut Relay<'_>) -> bool {
    let (mut browser, page, link) = relay.his_page().await;
    let (login, _) = relay.she_approves(&link).await;
    let guess = relay.guess();
    bring(&mut browser, &page, (&login, &guess)).await;
    relay.is_in(&mut browser, &page).await || by_name(relay).await
}

async fn one(kind: u64, relay: &mut Relay<'_>) -> bool {
    match kind {
        0 => link(relay).await,
        1 => her_browser_brings_his_code(relay).await,
        2 => qr(relay).await,
        3 => by_name(relay).await,
        4 => her_signature(relay).await,
        5 => her_code(relay).await,
        6 => his_own_yes(relay).await,
        _ => enrolment(relay).await,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_relay_through_the_pages_of_the_provider_succeeds() {
    relay_all(without_numbers().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_relay_succeeds_where_authenticators_keep_the_keys() {
    relay_all(with_authenticators().await).await;
}

async fn relay_all((mut world, site): (World, Site)) {
    world.config.limits.open_requests = 1_000;
    world.config.limits.ask_again_ms = 60_000;
    let mut scene = Scene::new(&world, &site).await;
    // An honest login succeeds, and makes her browser known: otherwise it would mean nothing that the others fail.
    let (page, shown) = scene.waits().await;
    let (login, code) = scene.approved_by_link(&shown, true).await;
    bring(&mut scene.browser, &page, (&login, &code)).await;
    let back = scene.browser.open(&page).await;
    let sub = sub(&site, &back.sent("code").unwrap()).await;
    scene.vault.finished(&mut scene.member, &mut scene.service).await;
    let mut other = Member::new(&world).await;
    let service = other.connect(&scene.gateway, &[]).await;
    let his = Key::random(world.config.login.browser_key);
    let mut relay = Relay { scene, site: &site, rng: StdRng::seed_from_u64(1), sub, his, him: (other, service) };
    let mut in_as_her = vec![];
    for number in 0..RELAYS {
        if one(number % 8, &mut relay).await {
            in_as_her.push((number, number % 8));
        }
    }
    assert!(in_as_her.is_empty(), "{} of {RELAYS}: {in_as_her:?}", in_as_her.len());
    relay.scene.end(world).await;
}

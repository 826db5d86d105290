//! Logins of the provider where numbers are off: by a link and the code that comes back, then by the key of the browser; and
//! everything that comes close to one.

use super::site::{Answer, Browser, Site, fact, world};
use super::vault::{Key, Vault, borrowed, brought, link_of, shown_key};
use crate::world::member::{Asked, Member, Service, rng};
use crate::world::{Running, World};
use serde_json::Value;
use vettid_crypto::device::DeviceSigner;
use vettid_wire::base64::decode_url;
use vettid_wire::refusal::RefusalCode;

/// A member who is connected with the service, and a browser at the provider.
pub(crate) struct Scene<'s> {
    pub(crate) gateway: Running,
    pub(crate) member: Member,
    pub(crate) service: Service,
    pub(crate) vault: Vault,
    pub(crate) browser: Browser<'s>,
    pub(crate) key: Key,
}

/// A provider that lets nobody in by a number.
pub(crate) async fn without_numbers() -> (World, Site) {
    let (mut world, site) = world().await;
    world.config.login.numbers = false;
    (world, site)
}

impl<'s> Scene<'s> {
    pub(crate) async fn new(world: &World, site: &'s Site) -> Self {
        let gateway = world.gateway().await;
        let mut member = Member::new(world).await;
        let service = member.connect(&gateway, &[]).await;
        let key = Key::random(world.config.login.browser_key);
        Self { gateway, member, service, vault: Vault::default(), browser: Browser::new(site), key }
    }

    /// A browser arrives, runs the script, and waits for whoever opens the link; its key is shown.
    pub(crate) async fn waits(&mut self) -> (String, Answer) {
        let page = self.browser.begin(&[]).await;
        self.browser.press_with_script(&page, "/link").await;
        let shown = self.browser.open(&page).await;
        assert_eq!(self.show_key(&page, &shown).await, "waiting");
        (page, shown)
    }

    /// The script shows the key of the browser; gives the state.
    pub(crate) async fn show_key(&mut self, page: &str, shown: &Answer) -> String {
        let fields = self.key.shown(&self.browser.site.issuer, &fact(shown, "to-sign"));
        state(&self.browser.step(page, "/browser", &borrowed(&fields)).await)
    }

    /// The member opens the link of a page; the question that follows.
    pub(crate) async fn asked_by_link(&mut self, shown: &Answer, other_device: bool) -> Asked {
        self.vault.open(&mut self.service, &link_of(shown), other_device).await;
        self.member.next_event(&mut self.service, "auth.challenge").await
    }

    /// The member opens the link on this device and says yes: login and code as the app prints them.
    pub(crate) async fn approved_by_link(&mut self, shown: &Answer, remember: bool) -> (String, String) {
        let asked = self.asked_by_link(shown, false).await;
        let address = self.vault.answer(&mut self.service, &asked, remember).await.unwrap().unwrap();
        brought(self.browser.site, &address)
    }

    pub(crate) async fn end(self, world: World) {
        self.gateway.stop().await;
        world.shut().await;
    }
}

/// A browser brings a code until the answer of the vault is there, too; gives the state.
pub(crate) async fn bring(browser: &mut Browser<'_>, page: &str, (login, code): (&str, &str)) -> String {
    loop {
        let state = state(&browser.step(page, "/code", &[("login", login), ("code", code)]).await);
        if state != "asked" {
            return state;
        }
    }
}

/// The state that an answer to a script names; a page is none.
pub(crate) fn state(answer: &Answer) -> String {
    answer.json()["state"].as_str().unwrap_or("gone").to_owned()
}

async fn methods(site: &Site, back: &Answer) -> Value {
    let tokens = site.redeem(&site.shop, &back.sent("code").unwrap(), &[]).await.json();
    claims_of(&tokens)["amr"].clone()
}

/// What the ID token says.
pub(crate) fn claims_of(tokens: &Value) -> Value {
    let claims = decode_url(tokens["id_token"].as_str().unwrap().split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&claims).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_and_its_code_log_in_and_the_next_time_the_key_of_the_browser_does() {
    let (world, site) = without_numbers().await;
    let mut scene = Scene::new(&world, &site).await;
    let (page, shown) = scene.waits().await;
    assert!(!shown.text.contains("<output>"), "a number is shown where numbers are off: {shown:?}");
    let (login, code) = scene.approved_by_link(&shown, true).await;
    // The yes alone lets nobody in: the page goes on waiting for the code.
    scene.browser.until(&page, |shown| shown.text.contains("You said yes")).await;
    let returned = scene.browser.open("/login/return").await;
    assert_eq!((fact(&returned, "login"), fact(&returned, "page")), (login.clone(), page.clone()));
    assert_eq!(bring(&mut scene.browser, &page, (&login, &code)).await, "ended");
    let looking_on = scene.browser.open(&format!("{page}/state")).await;
    assert_eq!(
        state(&looking_on),
        "elsewhere",
        "the tab that waited does not take the login from the one with the code"
    );
    let back = scene.browser.open(&page).await;
    assert_eq!(methods(&site, &back).await, serde_json::json!(["user"]));
    scene.vault.finished(&mut scene.member, &mut scene.service).await;
    assert_eq!(scene.vault.browsers.len(), 1);

    // A rule, or a plain yes, is enough from now on; no link is opened.
    let page = scene.browser.begin(&[("prompt", "login")]).await;
    scene.browser.press_with_script(&page, "/ask").await;
    let shown = scene.browser.open(&page).await;
    assert_eq!(scene.show_key(&page, &shown).await, "asked");
    let asked = scene.member.next_event(&mut scene.service, "auth.challenge").await;
    assert!(asked.login().link.is_none() && asked.login().number.is_none());
    assert_eq!(scene.vault.answer(&mut scene.service, &asked, false).await, Ok(None));
    let back = scene.browser.until(&page, |shown| shown.location().is_some()).await;
    assert_eq!(methods(&site, &back).await, serde_json::json!(["user", "swk"]));
    scene.end(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_browser_is_told_plainly_that_it_is_not_let_in_from_afar() {
    let (world, site) = without_numbers().await;
    let till = super::decoupled::till(&world, None);
    let mut scene = Scene::new(&world, &site).await;
    let (page, shown) = scene.waits().await;
    let asked = scene.asked_by_link(&shown, true).await;
    assert!(asked.login().number.is_none() && asked.login().link.is_none());
    assert_eq!(scene.vault.answer(&mut scene.service, &asked, false).await, Err(RefusalCode::NotAllowed));
    let refused = scene.browser.until(&page, |shown| shown.text.contains("role=\"alert\">Your vault")).await;
    assert!(refused.text.contains("Open the link of this page in the app on this device"), "{refused:?}");
    // No number by the back door either, and without its script the page says what is missing.
    assert_eq!(scene.browser.press(&page, "/number").await.location().unwrap().as_str(), page);
    scene.browser.press_with_script(&page, "/link").await;
    scene.browser.press_with_script(&page, "/number").await;
    assert!(scene.browser.open(&page).await.text.contains("data-to-sign"), "nobody is asked");
    let mut plain = Browser::new(&site);
    let page = plain.begin(&[]).await;
    plain.press(&page, "/link").await;
    assert!(plain.open(&page).await.text.contains("This browser runs no script here"));
    // Nor is anybody asked without a browser.
    let fields = [("client_id", till.id.as_str()), ("client_secret", till.secret.as_str()), ("scope", "openid")];
    let body = super::site::form(fields.into_iter().chain([("login_hint", "somebody")]).collect());
    let backchannel = site.send(reqwest::Method::POST, "/backchannel", &[], Some(body)).await;
    assert_eq!(backchannel.error(), "unauthorized_client");
    let discovery = site.get("/.well-known/openid-configuration").await.json();
    assert!(discovery.get("backchannel_authentication_endpoint").is_none(), "{discovery}");
    scene.end(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_counts_once_for_its_login_in_its_browser() {
    let (world, site) = without_numbers().await;
    let mut scene = Scene::new(&world, &site).await;
    let (page, shown) = scene.waits().await;
    let (login, code) = scene.approved_by_link(&shown, false).await;
    scene.browser.until(&page, |shown| shown.text.contains("You said yes")).await;

    // Another browser: its return page knows nothing of the login, and its cookie opens nothing, even with the key of the page.
    let mut stranger = Browser::new(&site);
    let (own_page, key) = (stranger.begin(&[]).await, fact(&scene.browser.open(&page).await, "form-key"));
    stranger.press_with_script(&own_page, "/link").await;
    let returned = stranger.open("/login/return").await;
    assert!(!returned.text.contains(&login) && returned.text.contains(&fact(&returned, "login")), "{returned:?}");
    assert!(!site.get("/login/return").await.text.contains("data-login"), "without a cookie there is no login");
    let body = |key: &str| super::site::form([("form_key", key), ("login", &login), ("code", &code)].into());
    let with = |cookie: &str| {
        [("cookie".to_owned(), cookie.to_owned()), ("sec-fetch-site".to_owned(), "same-origin".to_owned())]
    };
    let headers = with(&stranger.cookie);
    let headers = headers.each_ref().map(|(name, value)| (name.as_str(), value.as_str()));
    let crossed = site.send(reqwest::Method::POST, &format!("{page}/code"), &headers, Some(body(&key))).await;
    assert_eq!(crossed.status.as_u16(), 400, "{crossed:?}");
    // In the stranger's own login the code is for another one: nothing happens to either.
    let crossed = stranger.step(&own_page, "/code", &[("login", &login), ("code", &code)]).await;
    assert_eq!(crossed.status.as_u16(), 400, "{crossed:?}");
    assert!(stranger.open(&own_page).await.text.contains("data-to-sign"), "the stranger still waits");

    // A fragment that names no code, or no login, changes nothing.
    for fields in [
        [("login", login.as_str()), ("code", "")],
        [("login", ""), ("code", code.as_str())],
        [("login", &login), ("code", "?")],
    ] {
        assert_eq!(scene.browser.step(&page, "/code", &fields).await.status.as_u16(), 400, "{fields:?}");
    }
    assert_eq!(bring(&mut scene.browser, &page, (&login, &code)).await, "ended");
    assert!(scene.browser.open(&page).await.sent("code").is_some());

    // The same again: that login is gone, and for the next one the code is the wrong one.
    assert_eq!(state(&stranger.step(&own_page, "/cancel", &[]).await), "gone");
    scene.browser.cookie.clear();
    let (page, shown) = scene.waits().await;
    let (next, right) = scene.approved_by_link(&shown, false).await;
    assert_eq!(bring(&mut scene.browser, &page, (&next, &code)).await, "ended");
    assert!(scene.browser.open(&page).await.text.contains("did not hold the right code"));
    let late = scene.browser.step(&page, "/code", &[("login", &next), ("code", &right)]).await;
    assert_eq!(late.status.as_u16(), 400, "after a wrong code the right one is worth nothing");
    scene.end(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_counts_for_the_login_that_it_was_made_for() {
    let (world, site) = without_numbers().await;
    let mut scene = Scene::new(&world, &site).await;
    // The key becomes known.
    let (page, shown) = scene.waits().await;
    let (login, code) = scene.approved_by_link(&shown, true).await;
    assert_eq!(bring(&mut scene.browser, &page, (&login, &code)).await, "ended");
    scene.browser.open(&page).await;
    scene.vault.finished(&mut scene.member, &mut scene.service).await;

    // A thief has the cookie of the browser, and signatures of its key for another login; not the key.
    let mut thief = Browser { site: &site, cookie: scene.browser.cookie.clone() };
    let own = scene.browser.begin(&[("prompt", "login")]).await;
    scene.browser.press_with_script(&own, "/ask").await;
    let stolen = scene.key.shown(&site.issuer, &fact(&scene.browser.open(&own).await, "to-sign"));
    let page = thief.begin(&[("prompt", "login")]).await;
    thief.press_with_script(&page, "/ask").await;
    let fields = borrowed(&stolen);
    assert_eq!(thief.step(&page, "/browser", &fields).await.status.as_u16(), 400);
    for changed in [[fields[0], ("signature", "AAAA")], [("browser_key", "p256:AAAA"), fields[1]]] {
        assert_eq!(thief.step(&page, "/browser", &changed).await.status.as_u16(), 400);
    }
    // A key of the thief's own is a key, and nobody knows it: the member is not asked.
    let his = DeviceSigner::random(&mut rng()).unwrap();
    let fields = shown_key(&his, &fact(&thief.open(&page).await, "to-sign"));
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(state(&thief.step(&page, "/browser", &fields).await), "waiting");
    assert!(thief.open(&page).await.text.contains("data-to-sign"), "nobody is asked");
    let fields = borrowed(&stolen);
    assert_eq!(state(&scene.browser.step(&own, "/browser", &fields).await), "asked", "where it belongs it counts");
    scene.end(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_who_was_chosen_is_let_in() {
    let (world, site) = without_numbers().await;
    let mut scene = Scene::new(&world, &site).await;
    let (page, shown) = scene.waits().await;
    let (login, code) = scene.approved_by_link(&shown, false).await;
    bring(&mut scene.browser, &page, (&login, &code)).await;
    scene.browser.open(&page).await;
    // Somebody else opens the link of the page that waits for Alice.
    let page = scene.browser.begin(&[("prompt", "login")]).await;
    scene.browser.press_with_script(&page, "/ask").await;
    let shown = scene.browser.open(&page).await;
    let mut other = Member::new(&world).await;
    let mut service = other.connect(&scene.gateway, &[]).await;
    let mut vault = Vault::default();
    vault.open(&mut service, &link_of(&shown), false).await;
    let asked = other.next_event(&mut service, "auth.challenge").await;
    let address = vault.answer(&mut service, &asked, false).await.unwrap().unwrap();
    let (login, code) = brought(&site, &address);
    bring(&mut scene.browser, &page, (&login, &code)).await;
    let refused = scene.browser.open(&page).await;
    assert!(
        refused.location().is_none() && refused.text.contains("another member than the one that was chosen"),
        "{refused:?}"
    );
    scene.end(world).await;
}

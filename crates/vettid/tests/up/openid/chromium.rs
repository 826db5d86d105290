//! A login with a real browser, whose script runs as it is shipped: where numbers are off, by the link and its code, then by the key
//! that the browser keeps, or by an authenticator (WebAuthn) that somebody touches.

use super::webdriver::{Chromium, Driver};
use super::{Owner, connect, free_port, not_tried, shop};
use crate::party::{App, list, text};
use crate::people;
use crate::planted::address;
use crate::stack::{Place, Up};
use serde_json::Value;
use std::path::Path;
use tokio::process::Child;

/// Pictures of the login page are kept beside the guide where that is asked for, and in the target folder otherwise.
async fn picture(browser: &Chromium<'_>, name: &str) {
    #[expect(clippy::disallowed_methods, reason = "the pictures of the guide are made on request")]
    let folder = match std::env::var_os("UPDATE_DOCS") {
        Some(_) => super::programs::workspace().join("docs/pictures"),
        None => Path::new(env!("CARGO_TARGET_TMPDIR")).join("pictures"),
    };
    std::fs::create_dir_all(&folder).unwrap();
    let picture = browser.picture().await;
    assert!(picture.starts_with(b"\x89PNG"));
    std::fs::write(folder.join(name), picture).unwrap();
}

/// The question that the app shows, once it is there.
async fn question(app: &App) -> Value {
    app.until(&["request", "list"], |found| list(found, "requests").first().cloned()).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium and chromedriver: cargo xtask test --only browser"]
async fn a_member_logs_in_with_a_real_browser_by_link_and_then_by_its_key() {
    let driver = Driver::start(free_port()).await.unwrap();
    let place = Place::new();
    let Some(scene) = Scene::begin(&place, "numbers = false").await else { return };
    let browser = driver.browser(&place.outside("profile")).await;
    by_link(&driver, &place, &browser, &scene).await;
    by_key(&browser, &scene).await;
    browser.close().await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium and chromedriver: cargo xtask test --only browser"]
async fn a_member_logs_in_with_a_real_browser_and_an_authenticator() {
    let driver = Driver::start(free_port()).await.unwrap();
    let place = Place::new();
    let Some(scene) = Scene::begin(&place, "numbers = false\nbrowser_key = \"webauthn\"").await else { return };
    let browser = driver.browser(&place.outside("profile")).await;
    let authenticator = browser.add_authenticator().await;
    make_authenticator_known(&browser, &authenticator, &scene).await;
    by_authenticator(&browser, &authenticator, &scene).await;
    without_the_authenticator(&browser, &authenticator, &scene).await;
    browser.close().await;
    scene.end().await;
}

/// A member, and the site that she logs in to.
struct Scene {
    up: Up,
    alice: App,
    owner: Owner,
    shop: Child,
    site: String,
}

impl Scene {
    /// With these lines for logins; `None` where the site cannot be had.
    async fn begin(place: &Place, logins: &str) -> Option<Self> {
        let (up, _) = people::start(place).await;
        let alice = place.app("alice");
        alice.enrol(&place.data().join("people/alice.code")).await;
        alice.say(&["data", "set", "address", "--format", "json"], &address().to_string()).await;
        alice.ask(&["profile", "set", "--name", "Alice"]).await;
        let (mut owner, port) = (Owner::prepare_with(place, logins), free_port());
        let site = format!("http://localhost:{port}");
        let client = owner.client("A small shop", &format!("{site}/callback"), &[]).await;
        owner.start().await;
        match shop(&owner, &client, port).await {
            Ok(shop) => Some(Self { up, alice, owner, shop, site }),
            Err(reason) => {
                not_tried("Authlib", &reason);
                None
            }
        }
    }

    async fn end(mut self) {
        self.shop.kill().await.unwrap();
        self.owner.gateway.unwrap().process.kill().await.unwrap();
        self.up.press_ctrl_c();
        assert_eq!(self.up.ended().await.code(), Some(0), "{}", self.up.errors());
    }
}

/// Connects, opens the link of the page in the app on this device, and takes the printed address into the browser.
async fn by_link(driver: &Driver, place: &Place, browser: &Chromium<'_>, Scene { alice, site, .. }: &Scene) {
    browser.open(&format!("{site}/login")).await;
    browser.press("I am new here").await;
    browser.until("Scan the code").await;
    connect(alice, &browser.text_of("code").await).await;
    // The page goes on by itself.
    browser.until("Open this link in the VettID app on this device").await;
    picture(browser, "login-link.png").await;
    alice.ask(&["login", "open", &browser.text_of("code").await]).await;
    let asked = question(alice).await;
    assert_eq!(asked["login"]["level"], "same_device", "{asked}");
    browser.until("approve the login").await;
    let approved = alice.ask(&["request", "approve", &text(&asked, "request_id"), "--remember"]).await;
    let return_to = text(&approved, "return_to");
    browser.until("You said yes").await;

    // In any other browser the address does nothing, and the login goes on waiting.
    let other = driver.browser(&place.outside("other-profile")).await;
    other.open(&return_to).await;
    other.until("does not wait in this browser").await;
    assert!(!other.address().await.contains('#'), "the code is taken out of the address");
    other.close().await;

    let waiting = browser.new_tab().await;
    browser.open(&return_to).await;
    browser.until("Hello Alice").await;
    assert!(browser.address().await.starts_with(site.as_str()));
    let logged_in = browser.new_tab().await;
    browser.go_to_tab(&waiting).await;
    browser.until("This page waits no more").await;
    browser.go_to_tab(&logged_in).await;
}

/// The site forgets her, and so does the provider; the browser still has its key.
async fn by_key(browser: &Chromium<'_>, scene: &Scene) {
    let Scene { alice, site, .. } = scene;
    alice.until(&["browser", "list"], |found| list(found, "browsers").first().map(|_| ())).await;
    begin_again(browser, scene).await;
    let asked = question(alice).await;
    assert_eq!(asked["login"]["level"], "known_browser", "{asked}");
    browser.until("approve the login").await;
    picture(browser, "login-known.png").await;
    alice.ask(&["request", "approve", &text(&asked, "request_id")]).await;
    browser.until("Hello Alice").await;
    assert!(browser.address().await.starts_with(site.as_str()));
}

/// She is logged out everywhere, and begins once more as the one whom the browser knows.
async fn begin_again(browser: &Chromium<'_>, Scene { site, owner, .. }: &Scene) {
    browser.open(site).await;
    browser.press("Log out").await;
    browser.until("Log in with VettID").await;
    browser.open(&format!("{}/logout", owner.issuer)).await;
    browser.press("Log out").await;
    browser.until("logged out").await;
    browser.open(&format!("{site}/login")).await;
    browser.press("Log in as Alice").await;
}

/// She opens the link of the page in her app and says yes; gives the address that the app prints.
async fn open_link(browser: &Chromium<'_>, alice: &App, remember: bool) -> String {
    alice.ask(&["login", "open", &browser.text_of("code").await]).await;
    let asked = question(alice).await;
    assert_eq!(asked["login"]["level"], "same_device", "{asked}");
    let id = text(&asked, "request_id");
    let approve = ["request", "approve", id.as_str(), "--remember"];
    text(&alice.ask(if remember { &approve } else { &approve[..3] }).await, "return_to")
}

/// The address is opened in another tab; the authenticator is at the first one.
async fn bring(browser: &Chromium<'_>, return_to: &str) {
    browser.until("You said yes").await;
    let first = browser.new_tab().await;
    browser.open(return_to).await;
    browser.until("Hello Alice").await;
    browser.go_to_tab(&first).await;
}

/// How often the only known browser signed, as the vault knows it.
async fn counted(alice: &App) -> u64 {
    let found = alice.until(&["browser", "list"], |found| list(found, "browsers").first().cloned()).await;
    assert!(text(&found, "browser_key").starts_with("webauthn-p256:"), "{found}");
    found["authenticator"]["sign_count"].as_u64().unwrap()
}

/// Connects, makes a key at the press of a button, and has it remembered by link and code.
async fn make_authenticator_known(browser: &Chromium<'_>, authenticator: &str, scene: &Scene) {
    let Scene { alice, site, .. } = scene;
    browser.open(&format!("{site}/login")).await;
    browser.press("I am new here").await;
    browser.until("Scan the code").await;
    connect(alice, &browser.text_of("code").await).await;
    browser.until("first make a key for this browser").await;
    assert!(browser.counts(authenticator).await.is_empty(), "nothing is made before the button is pressed");
    picture(browser, "login-make-key.png").await;
    browser.press("Make a key").await;
    browser.until("The key was used").await;
    let return_to = open_link(browser, alice, true).await;
    bring(browser, &return_to).await;
    assert_eq!(browser.counts(authenticator).await, [counted(alice).await]);
}

/// A button, a touch, and a plain yes.
async fn by_authenticator(browser: &Chromium<'_>, authenticator: &str, scene: &Scene) {
    let (alice, before) = (&scene.alice, counted(&scene.alice).await);
    begin_again(browser, scene).await;
    browser.until("This browser has a key for this site").await;
    assert!(list(&alice.ask(&["request", "list"]).await, "requests").is_empty(), "nobody is asked before the touch");
    browser.press("Use the key of this browser").await;
    let asked = question(alice).await;
    assert_eq!((&asked["login"]["level"], &asked["login"]["key_kind"]), (&"known_browser".into(), &"webauthn".into()));
    alice.ask(&["request", "approve", &text(&asked, "request_id")]).await;
    browser.until("Hello Alice").await;
    let after = counted(alice).await;
    assert!(after > before && browser.counts(authenticator).await == [after], "{before} {after}");
}

/// Whoever refuses the touch still has the link.
async fn without_the_authenticator(browser: &Chromium<'_>, authenticator: &str, scene: &Scene) {
    let alice = &scene.alice;
    begin_again(browser, scene).await;
    browser.until("This browser has a key for this site").await;
    browser.is_willing(authenticator, false).await;
    browser.press("Use the key of this browser").await;
    browser.until("The key was not used").await;
    let return_to = open_link(browser, alice, false).await;
    bring(browser, &return_to).await;
    // Another time it is willing again.
    begin_again(browser, scene).await;
    browser.is_willing(authenticator, true).await;
    browser.press("Use the key of this browser").await;
    let asked = question(alice).await;
    assert_eq!(asked["login"]["level"], "known_browser", "{asked}");
    alice.ask(&["request", "approve", &text(&asked, "request_id")]).await;
    browser.until("Hello Alice").await;
}

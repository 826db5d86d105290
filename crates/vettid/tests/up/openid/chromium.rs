//! A login with a real browser, whose script runs as it is shipped: where numbers are off, by the link and its code, then by the key
//! that the browser keeps.

use super::webdriver::{Chromium, Driver};
use super::{Owner, connect, free_port, not_tried, shop};
use crate::party::{App, list, text};
use crate::people;
use crate::planted::address;
use crate::stack::Place;
use serde_json::Value;
use std::path::Path;

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
    let (mut up, _) = people::start(&place).await;
    let alice = place.app("alice");
    alice.enrol(&place.data().join("people/alice.code")).await;
    alice.say(&["data", "set", "address", "--format", "json"], &address().to_string()).await;
    alice.ask(&["profile", "set", "--name", "Alice"]).await;
    let (mut owner, port) = (Owner::prepare(&place, false), free_port());
    let site = format!("http://localhost:{port}");
    let client = owner.client("A small shop", &format!("{site}/callback"), &[]).await;
    owner.start().await;
    let mut shop = match shop(&owner, &client, port).await {
        Ok(shop) => shop,
        Err(reason) => return not_tried("Authlib", &reason),
    };
    let browser = driver.browser(&place.outside("profile")).await;
    by_link(&driver, &place, &browser, &alice, &site).await;
    by_key(&browser, &alice, &site, &owner.issuer).await;
    browser.close().await;
    shop.kill().await.unwrap();
    owner.gateway.unwrap().process.kill().await.unwrap();
    up.press_ctrl_c();
    assert_eq!(up.ended().await.code(), Some(0), "{}", up.errors());
}

/// Connects, opens the link of the page in the app on this device, and takes the printed address into the browser.
async fn by_link(driver: &Driver, place: &Place, browser: &Chromium<'_>, alice: &App, site: &str) {
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
    assert!(browser.address().await.starts_with(site));
    let logged_in = browser.new_tab().await;
    browser.go_to_tab(&waiting).await;
    browser.until("This page waits no more").await;
    browser.go_to_tab(&logged_in).await;
}

/// The site forgets her, and so does the provider; the browser still has its key.
async fn by_key(browser: &Chromium<'_>, alice: &App, site: &str, issuer: &str) {
    alice.until(&["browser", "list"], |found| list(found, "browsers").first().map(|_| ())).await;
    browser.press("Log out").await;
    browser.until("Log in with VettID").await;
    browser.open(&format!("{issuer}/logout")).await;
    browser.press("Log out").await;
    browser.until("logged out").await;
    browser.open(&format!("{site}/login")).await;
    browser.press("Log in as Alice").await;
    let asked = question(alice).await;
    assert_eq!(asked["login"]["level"], "known_browser", "{asked}");
    browser.until("approve the login").await;
    picture(browser, "login-known.png").await;
    alice.ask(&["request", "approve", &text(&asked, "request_id")]).await;
    browser.until("Hello Alice").await;
    assert!(browser.address().await.starts_with(site));
}

//! Logins of a provider that wants authenticators (WebAuthn) to keep the keys of browsers: what its pages offer, which keys it
//! takes, and that the vault hears of it.

use super::same_device::{Scene, bring, claims_of, state, without_numbers};
use super::site::{Answer, Browser, Site, fact};
use super::vault::{borrowed, shown_key, used};
use crate::world::World;
use crate::world::member::rng;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::json;
use vettid_crypto::device::DeviceSigner;
use vettid_testkit::authenticator::SoftAuthenticator;
use vettid_wire::login::BrowserKeyKind;

fn authenticator(seed: u64) -> SoftAuthenticator {
    SoftAuthenticator::random(&mut StdRng::seed_from_u64(seed)).unwrap()
}

pub(crate) async fn with_authenticators() -> (World, Site) {
    let (mut world, site) = without_numbers().await;
    world.config.login.browser_key = BrowserKeyKind::Webauthn;
    (world, site)
}

async fn send(browser: &mut Browser<'_>, page: &str, fields: &[(&'static str, String)]) -> Answer {
    browser.step(page, "/browser", &borrowed(fields)).await
}

fn to_sign(shown: &Answer) -> String {
    fact(shown, "to-sign")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authenticator_is_made_known_in_one_login_and_is_enough_in_the_next() {
    let (world, site) = with_authenticators().await;
    let mut scene = Scene::new(&world, &site).await;
    let mut hers = authenticator(1);
    let page = scene.browser.begin(&[]).await;
    scene.browser.press_with_script(&page, "/link").await;
    let shown = scene.browser.open(&page).await;
    assert!(shown.text.contains("data-asks-for-key") && shown.text.contains("data-key=\"make\""), "{shown:?}");

    // What does not hold is not taken, and neither is a key that the browser keeps itself.
    let right = used(&mut hers, &site.issuer, &to_sign(&shown));
    let phished = used(&mut hers, "http://localhost.evil.example", &to_sign(&shown));
    let own = shown_key(&DeviceSigner::random(&mut rng()).unwrap(), &to_sign(&shown));
    let [key, signature, name, data, client_data] = right.clone();
    let cut = ("client_data_json", client_data.1[..8].to_owned());
    for wrong in [phished, [key.clone(), signature.clone(), name.clone(), data.clone(), cut]] {
        assert_eq!(send(&mut scene.browser, &page, &wrong).await.status.as_u16(), 400, "{wrong:?}");
    }
    assert_eq!(send(&mut scene.browser, &page, &[key, signature, name, data]).await.status.as_u16(), 400);
    assert_eq!(send(&mut scene.browser, &page, &own).await.status.as_u16(), 400);
    assert_eq!(state(&send(&mut scene.browser, &page, &right).await), "waiting");

    let (login, code) = scene.approved_by_link(&shown, true).await;
    assert_eq!(bring(&mut scene.browser, &page, (&login, &code)).await, "ended");
    scene.browser.open(&page).await;
    scene.vault.finished(&mut scene.member, &mut scene.service).await;
    assert!(scene.vault.browsers[0].authenticator.is_some());

    let page = scene.browser.begin(&[("prompt", "login")]).await;
    scene.browser.press_with_script(&page, "/ask").await;
    let shown = scene.browser.open(&page).await;
    // What it said before counts no more; then it is used again.
    assert_eq!(send(&mut scene.browser, &page, &right).await.status.as_u16(), 400);
    let again = used(&mut hers, &site.issuer, &to_sign(&shown));
    assert_eq!(state(&send(&mut scene.browser, &page, &again).await), "asked");
    let asked = scene.member.next_event(&mut scene.service, "auth.challenge").await;
    assert!(asked.login().browser_assertion.is_some() && asked.login().link.is_none());
    assert_eq!(scene.vault.answer(&mut scene.service, &asked, false).await, Ok(None));
    let back = scene.browser.until(&page, |shown| shown.location().is_some()).await;
    let tokens = site.redeem(&site.shop, &back.sent("code").unwrap(), &[]).await.json();
    assert_eq!(claims_of(&tokens)["amr"], json!(["user", "pop"]));
    scene.end(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_browsers_keep_their_keys_no_page_asks_for_an_authenticator() {
    let (world, site) = without_numbers().await;
    let mut scene = Scene::new(&world, &site).await;
    let page = scene.browser.begin(&[]).await;
    scene.browser.press_with_script(&page, "/link").await;
    let shown = scene.browser.open(&page).await;
    assert!(!shown.text.contains("data-asks-for-key") && !shown.text.contains("data-key"), "{shown:?}");
    let of_another_kind = used(&mut authenticator(1), &site.issuer, &to_sign(&shown));
    assert_eq!(send(&mut scene.browser, &page, &of_another_kind).await.status.as_u16(), 400);
    assert_eq!(scene.show_key(&page, &shown).await, "waiting");
    scene.end(world).await;
}

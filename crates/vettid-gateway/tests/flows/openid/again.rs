//! Who logs in again with the same browser: the same member goes on with the session, another one ends it.

use super::logout::{AFTER, listening, silent, told};
use super::same_device::claims_of;
use super::site::{Answer, Browser, Fields, Registered, Site, form, world};
use super::{LoggedIn, log_in};
use crate::world::member::{Member, Service};
use reqwest::Method;
use serde_json::Value;
use vettid_wire::auth::Decision;

/// A member whom the browser knows approves a login; the way back to the client.
async fn approve(browser: &mut Browser<'_>, member: &mut Member, service: &mut Service, changes: Fields<'_>) -> Answer {
    let page = browser.begin(changes).await;
    browser.press(&page, "/ask").await;
    // The question before may have been sent again.
    let asked = loop {
        let asked = member.next_event(service, "auth.challenge").await;
        let number = format!("<output>{}</output>", asked.login().number.unwrap());
        if browser.open(&page).await.text.contains(&number) {
            break asked;
        }
    };
    service.decide(&asked, Decision::Approve).await;
    browser.until(&page, |shown| shown.location().is_some()).await
}

/// A client refreshes with what it got last.
async fn refreshed(site: &Site, client: &Registered, tokens: &Value) -> Answer {
    let token = tokens["refresh_token"].as_str().unwrap();
    site.token(client, &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
}

impl Browser<'_> {
    /// Presses the one button of a page that asks whether to log out.
    async fn say_yes(&mut self, page: &Answer) -> Answer {
        let inputs = page.text.split("name=\"").skip(2).map(|part| part.split_once("\" value=\"").unwrap());
        let fields: Vec<(String, String)> =
            inputs.map(|(name, rest)| (name.to_owned(), unescaped(rest.split('"').next().unwrap()))).collect();
        let fields = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let own = [("cookie", self.cookie.as_str()), ("sec-fetch-site", "same-origin")];
        self.site.send(Method::POST, "/logout/confirm", &own, Some(form(fields))).await
    }
}

fn unescaped(text: &str) -> String {
    [("&quot;", "\""), ("&lt;", "<"), ("&gt;", ">"), ("&#39;", "'"), ("&amp;", "&")]
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_logs_in_again_is_logged_out_everywhere_all_the_same() {
    let (world, site) = world().await;
    let (bank, mut bank_ear) = listening(&world, "bank").await;
    let (clinic, mut clinic_ear) = listening(&world, "clinic").await;
    let changes = [("client_id", bank.id.as_str()), ("scope", "openid offline_access")];
    let LoggedIn { gateway, mut member, mut service, mut browser, back } = log_in(&world, &site, &changes).await;
    let first = site.redeem(&bank, &back.sent("code").unwrap(), &[]).await.json();
    let at_bank = claims_of(&first);

    let changes = [("client_id", clinic.id.as_str()), ("scope", "openid"), ("prompt", "login")];
    let back = approve(&mut browser, &mut member, &mut service, &changes).await;
    let at_clinic = site.redeem(&clinic, &back.sent("code").unwrap(), &[]).await.json();
    let second = silent(&mut browser, &bank, "openid").await;
    assert_eq!(claims_of(&second)["sid"], at_bank["sid"], "the session goes on");
    assert_eq!(claims_of(&second)["auth_time"], claims_of(&at_clinic)["auth_time"], "as of the new login");
    let first = refreshed(&site, &bank, &first).await;
    assert_eq!(first.status.as_u16(), 200, "{first:?}");

    let hint = form([("id_token_hint", at_clinic["id_token"].as_str().unwrap())].into());
    assert!(browser.open(&format!("/logout?{hint}")).await.text.contains("You are logged out"));
    assert_eq!(told(&bank_ear.next().await)["sid"], at_bank["sid"]);
    assert_eq!(told(&clinic_ear.next().await)["sid"], claims_of(&at_clinic)["sid"]);
    assert_eq!(refreshed(&site, &bank, &first.json()).await.error(), "invalid_grant");

    // A token of a session that is over still says who means to go: the same member's present session ends.
    let changes = [("client_id", bank.id.as_str()), ("scope", "openid")];
    let back = approve(&mut browser, &mut member, &mut service, &changes).await;
    let third = claims_of(&site.redeem(&bank, &back.sent("code").unwrap(), &[]).await.json());
    assert_ne!(third["sid"], at_bank["sid"], "another session");
    assert!(browser.open(&format!("/logout?{hint}")).await.text.contains("You are logged out"));
    assert_eq!(told(&bank_ear.next().await)["sid"], third["sid"]);
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_member_in_the_same_browser_ends_the_session_of_the_one_before() {
    let (world, site) = world().await;
    let (bank, mut ear) = listening(&world, "bank").await;
    let changes = [("client_id", bank.id.as_str()), ("scope", "openid offline_access")];
    let LoggedIn { gateway, mut browser, back, .. } = log_in(&world, &site, &changes).await;
    let alice = site.redeem(&bank, &back.sent("code").unwrap(), &[]).await.json();
    let mut bob = Member::new(&world).await;
    let changes = [changes[0], changes[1], ("prompt", "select_account")];
    let (_service, back) = browser.first_login(&gateway, &mut bob, &changes).await;
    let bobs = site.redeem(&bank, &back.sent("code").unwrap(), &[]).await.json();
    let heard = told(&ear.next().await);
    assert_eq!((&heard["sub"], &heard["sid"]), (&claims_of(&alice)["sub"], &claims_of(&alice)["sid"]));
    assert_eq!(refreshed(&site, &bank, &alice).await.error(), "invalid_grant");
    assert_ne!((&claims_of(&bobs)["sub"], &claims_of(&bobs)["sid"]), (&heard["sub"], &heard["sid"]));
    let bobs = refreshed(&site, &bank, &bobs).await;
    assert_eq!(bobs.status.as_u16(), 200, "{bobs:?}");

    // A token of Alice ends nothing of Bob's, unless he says so; then the way on is not lost.
    let fields = [
        ("id_token_hint", alice["id_token"].as_str().unwrap()),
        ("post_logout_redirect_uri", AFTER),
        ("state", "a\"<&b"),
    ];
    let page = browser.open(&format!("/logout?{}", form(fields.into()))).await;
    assert!(page.text.contains("Log out?") && page.location().is_none(), "{page:?}");
    assert_eq!(refreshed(&site, &bank, &bobs.json()).await.status.as_u16(), 200);
    let elsewhere = Answer { text: page.text.replace(AFTER, "https://evil.example"), ..page.clone() };
    assert_eq!(browser.say_yes(&elsewhere).await.status.as_u16(), 400);
    let done = browser.say_yes(&page).await;
    let back = format!("<a href=\"{AFTER}?state=a%22%3C%26b\">Back to bank</a>");
    assert!(done.text.contains("You are logged out") && done.text.contains(&back), "{done:?}");
    assert_eq!(told(&ear.next().await)["sub"], claims_of(&bobs.json())["sub"]);
    gateway.stop().await;
    world.shut().await;
}

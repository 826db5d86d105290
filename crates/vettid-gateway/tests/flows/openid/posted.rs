//! Forms of other sites: the browser sends no cookie with them, and must not lose the one that it has.

use super::logout::{AFTER, listening, silent};
use super::site::{Answer, Browser, REDIRECT, Site, form, world};
use super::{LoggedIn, log_in};
use reqwest::Method;
use reqwest::header::SET_COOKIE;

/// A page of another site sends a form: the cookie stays behind, and comes along with the GET that follows.
async fn posted(browser: &mut Browser<'_>, page: &str, query: &str) -> (String, Answer) {
    let site = browser.site;
    let other = [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")];
    let answer = site.send(Method::POST, page, &other, Some(query.to_owned())).await;
    assert!(answer.status.as_u16() == 303 && !answer.headers.contains_key(SET_COOKIE), "{answer:?}");
    let place = answer.location().unwrap().to_string();
    assert!(place.starts_with(&format!("{}{page}?posted=", site.issuer)), "{place}");
    let shown = browser.open(&place).await;
    (place, shown)
}

fn query(site: &Site, changes: &[(&str, &str)]) -> String {
    site.request(changes).split_once('?').unwrap().1.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_by_form_is_served_with_the_cookie_that_the_browser_has() {
    let (world, site) = world().await;
    let LoggedIn { gateway, mut browser, .. } = log_in(&world, &site, &[]).await;
    let own = browser.cookie.clone();
    let (place, back) = posted(&mut browser, "/authorize", &query(&site, &[])).await;
    assert!(back.sent("code").is_some() && back.sent("state").as_deref() == Some("af0ifjsldkj"), "{back:?}");
    let (_, asked) = posted(&mut browser, "/authorize", &query(&site, &[("prompt", "login")])).await;
    assert!(asked.location().unwrap().path().starts_with("/login/"), "{asked:?}");
    assert_eq!(browser.cookie, own, "the session is not lost");
    let again = browser.open(&place).await;
    assert_eq!((again.status.as_u16(), again.location()), (400, None), "a second time");
    let beside = browser.open(&format!("/authorize?posted=x&{}", query(&site, &[]))).await;
    assert_eq!((beside.status.as_u16(), beside.location()), (400, None));

    // What is wrong is said at once, and a browser that has no cookie gets one by the GET.
    let send = async |changes| site.send(Method::POST, "/authorize", &[], Some(query(&site, changes))).await;
    let wrong = send(&[("redirect_uri", "https://evil.example/cb")]).await;
    assert_eq!((wrong.status.as_u16(), wrong.location()), (400, None));
    let weak = send(&[("code_challenge", "")]).await;
    assert!(weak.location().unwrap().as_str().starts_with(REDIRECT) && weak.sent("error").is_some(), "{weak:?}");
    let mut stranger = Browser::new(&site);
    let (_, page) = posted(&mut stranger, "/authorize", &query(&site, &[])).await;
    assert!(stranger.open(page.location().unwrap().as_str()).await.text.contains("I am new here"));
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_by_form_says_that_it_is_done_when_it_is() {
    let (world, site) = world().await;
    let (bank, _ear) = listening(&world, "bank").await;
    let LoggedIn { gateway, mut browser, .. } = log_in(&world, &site, &[]).await;
    let (_, page) = posted(&mut browser, "/logout", "ui_locales=en").await;
    assert!(page.text.contains("Log out?"), "{page:?}");
    let tokens = silent(&mut browser, &bank, "openid").await;
    let fields =
        [("id_token_hint", tokens["id_token"].as_str().unwrap()), ("post_logout_redirect_uri", AFTER), ("state", "x")];
    let (_, back) = posted(&mut browser, "/logout", &form(fields.into())).await;
    assert_eq!(back.location().unwrap().as_str(), format!("{AFTER}?state=x"));
    let over = browser.open(&site.request(&[("prompt", "none")])).await;
    assert_eq!(over.sent("error").as_deref(), Some("login_required"));
    let elsewhere = form([("post_logout_redirect_uri", AFTER)].into());
    assert_eq!(site.send(Method::POST, "/logout", &[], Some(elsewhere)).await.status.as_u16(), 400);
    gateway.stop().await;
    world.shut().await;
}

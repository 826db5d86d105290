//! Browsers that take as much as they get: pages that anybody may open leave room for the service's own programs, and the
//! browsers of one network for those of others.

use super::site::{Answer, Site, fact, form, world};
use reqwest::Method;
use vettid_gateway::gateway::InviteError;
use vettid_gateway::login::{LoginError, WaitingPage};
use vettid_wire::auth::Display;

/// A browser at an address, with its login page.
struct Visitor<'s> {
    site: &'s Site,
    page: String,
    cookie: String,
    key: String,
}

/// Where a browser that comes from an address is sent.
async fn arrive(site: &Site, address: &str) -> Answer {
    site.send(Method::GET, &site.request(&[]), &[("x-forwarded-for", address)], None).await
}

impl<'s> Visitor<'s> {
    async fn new(site: &'s Site, address: &str) -> Self {
        let answer = arrive(site, address).await;
        let page = answer.location().unwrap_or_else(|| panic!("{answer:?}")).into();
        let cookie = answer.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        let mut visitor = Self { site, page, cookie, key: String::new() };
        visitor.key = fact(&visitor.open().await, "form-key");
        visitor
    }

    async fn open(&self) -> Answer {
        self.site.send(Method::GET, &self.page, &[("cookie", &self.cookie)], None).await
    }

    /// Presses a button of the page; whether that was taken.
    async fn press(&self, step: &str) -> bool {
        let fields = form([("form_key", self.key.as_str()), ("script", "1")].into());
        let headers = [("cookie", self.cookie.as_str()), ("sec-fetch-site", "same-origin")];
        let answer = self.site.send(Method::POST, &format!("{}{step}", self.page), &headers, Some(fields)).await;
        answer.status.as_u16() == 303
    }

    async fn is_refused(&self) -> bool {
        self.open().await.text.contains("Too many people")
    }
}

fn page() -> WaitingPage {
    let display = Display { browser: "b".to_owned(), city: "c".to_owned(), ip_prefix: "192.0.2".to_owned() };
    WaitingPage { origin: "https://shop.example".to_owned(), return_path: "/login/return".to_owned(), display }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_presses_on_and_on_takes_one_place() {
    let (mut world, site) = world().await;
    world.config.limits.open_invitations = 8;
    let gateway = world.gateway().await;
    let visitor = Visitor::new(&site, "192.0.2.1").await;
    for round in 0..1_100 {
        assert!(visitor.press("/invite").await, "{round}");
        if round % 10 == 9 {
            assert!(visitor.press("/link").await, "{round}");
        }
    }
    assert!(visitor.press("/invite").await);
    let shown = visitor.open().await.text;
    assert!(visitor.press("/invite").await);
    assert_eq!(visitor.open().await.text, shown, "the invitation that is shown stays");
    for _ in 0..7 {
        gateway.invite().await;
    }
    let ninth = gateway.run(|gateway| async move { gateway.invite().await }).await;
    assert!(matches!(ninth, Err(InviteError::TooManyOpen)), "eight are open: {ninth:?}");
    // Called off, the page shows it no more.
    assert!(!visitor.press("/cancel").await);
    gateway.invite().await;
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_browsers_leave_room_for_other_networks_and_for_programs() {
    let (mut world, site) = world().await;
    world.config.oidc.as_mut().unwrap().behind_proxy = true;
    // For pages 24, for one network 3.
    world.config.limits.open_invitations = 32;
    world.config.login.waiting = 32;
    let gateway = world.gateway().await;
    let mut visitors = Vec::new();
    for number in 0..4 {
        visitors.push(Visitor::new(&site, &format!("192.0.2.{number}")).await);
    }
    // Whatever a browser says of itself before the proxy speaks changes nothing.
    visitors.push(Visitor::new(&site, "203.0.113.1, 192.0.2.9").await);
    let other = Visitor::new(&site, "198.51.100.1").await;
    for (number, visitor) in visitors.iter().enumerate() {
        assert_eq!(visitor.press("/invite").await, number < 3, "{number}");
    }
    assert!(other.press("/invite").await, "another network");
    for (number, visitor) in visitors.iter().enumerate() {
        assert!(visitor.press("/link").await);
        assert_eq!(visitor.is_refused().await, number >= 3, "{number}");
    }
    assert!(other.press("/link").await && !other.is_refused().await, "another network");

    // From everywhere at once: four logins wait already, and no invitation is open.
    let (mut invited, mut waiting) = (0, 0);
    for network in 0..10 {
        for number in 0..3 {
            let visitor = Visitor::new(&site, &format!("10.0.{network}.{number}")).await;
            invited += usize::from(visitor.press("/invite").await);
            let visitor = Visitor::new(&site, &format!("10.1.{network}.{number}")).await;
            assert!(visitor.press("/link").await);
            waiting += usize::from(!visitor.is_refused().await);
        }
    }
    assert_eq!((invited, waiting), (24, 20));
    for _ in 0..8 {
        gateway.gateway().begin_login(page()).unwrap();
        gateway.invite().await;
    }
    assert_eq!(gateway.gateway().begin_login(page()).unwrap_err(), LoginError::TooMany);
    gateway.stop().await;
    world.shut().await;
}

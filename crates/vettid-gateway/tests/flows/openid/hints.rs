//! Hints at whom a client expects: a subject leads to its member whenever that member came, and nothing else leads to anybody.

use super::site::{Browser, world};
use crate::world::member::Member;
use vettid_wire::base64::encode_url;

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_leads_to_its_member_whenever_the_member_came() {
    let (world, site) = world().await;
    let gateway = world.gateway().await;
    let is_offered = async |hint: &str| {
        let mut browser = Browser::new(&site);
        let page = browser.begin(&[("login_hint", hint)]).await;
        browser.open(&page).await.text.contains("Ask my VettID app")
    };
    let nobody = encode_url(&[7; 32]);
    let long = "A".repeat(6_000);
    for hint in [nobody.as_str(), "alice", &long] {
        assert!(!is_offered(hint).await, "{hint}");
    }
    let mut member = Member::new(&world).await;
    let mut browser = Browser::new(&site);
    let (_service, back) = browser.first_login(&gateway, &mut member, &[("scope", "openid")]).await;
    let tokens = site.redeem(&site.shop, &back.sent("code").unwrap(), &[]).await.json();
    let subject =
        site.userinfo(tokens["access_token"].as_str().unwrap()).await.json()["sub"].as_str().unwrap().to_owned();
    assert!(is_offered(&subject).await && !is_offered(&nobody).await);
    gateway.kill();
    let gateway = world.gateway().await;
    assert!(is_offered(&subject).await && !is_offered(&nobody).await, "after a kill");
    gateway.stop().await;
    world.shut().await;
}

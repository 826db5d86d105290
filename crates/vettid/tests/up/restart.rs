//! Starts, stops and sudden ends of `vettid up` on the same data: everything goes on, and no process is left behind.

use crate::party::{App, list, text, vettid};
use crate::people::{Addresses, People, is_in, start};
use crate::processes;
use crate::shop::Shop;
use crate::stack::{Place, Up, WITHIN, family};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::Path;

const SETPRIV: [&str; 2] = ["/usr/bin/setpriv", "/bin/setpriv"];

/// What a second start must leave as it was, for both people.
async fn state(people: &People) -> Vec<Value> {
    let mut seen = Vec::new();
    for app in [&people.alice, &people.bob] {
        let status = app.ask(&["status"]).await;
        seen.extend(["guid", "device", "vault_fingerprint"].map(|name| status[name].clone()));
        for command in [["data", "list"], ["connection", "list"], ["feed", "list"]] {
            seen.push(app.ask(&command).await);
        }
        seen.push(app.ask(&["message", "list", &people.connection]).await);
    }
    seen
}

/// Waits until nothing of this start is left.
async fn gone(up: &Up, family: &[processes::Process], place: &Place) {
    processes::none_left(family, up.id(), &place.data(), WITHIN).await;
}

/// Every part is a process of its own, below the one that was started.
fn running(up: &Up) -> Vec<processes::Process> {
    let family = family(up);
    let count = |name: &str| family.iter().filter(|process| process.name == name).count();
    assert_eq!((count("vettid"), count("nats-server")), (7, 1), "{family:?}");
    family
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_goes_on_and_ctrl_c_leaves_nothing_behind() {
    let place = Place::new();
    let (mut up, addresses) = start(&place).await;
    let people = People::connect(&place).await;
    people.alice.say(&["data", "set", "colour"], "blue").await;
    people.send(&people.alice, &people.bob, "before the stop").await;
    let (before, family) = (state(&people).await, running(&up));
    up.press_ctrl_c();
    assert_eq!(up.ended().await.code(), Some(0), "{}", up.said());
    gone(&up, &family, &place).await;

    let (mut up, again) = start(&place).await;
    assert_eq!(again, addresses, "a part listens elsewhere, although its place was free");
    assert!(!up.said().contains(" enroll "), "enrolled apps are told to enrol: {}", up.said());
    assert_eq!(state(&people).await, before);
    people.send(&people.bob, &people.alice, "after the stop").await;
    people.send(&people.alice, &people.bob, "and back").await;
    assert_eq!(people.bob_has().await, ["before the stop", "and back"]);
    let (before, family) = (state(&people).await, running(&up));
    up.terminate();
    assert_eq!(up.ended().await.code(), Some(0), "{}", up.said());
    gone(&up, &family, &place).await;

    let (mut up, _) = start(&place).await;
    assert_eq!(state(&people).await, before);
    up.terminate();
    assert_eq!(up.ended().await.code(), Some(0), "{}", up.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sudden_end_leaves_no_orphan_and_loses_nothing() {
    let place = Place::new();
    let (mut up, _) = start(&place).await;
    let people = People::connect(&place).await;
    people.send(&people.alice, &people.bob, "first").await;
    // The second one is only with Alice's vault for sure; it is delivered once, whenever the end comes.
    people.alice.say(&["message", "send", &people.connection], "second").await;
    let family = running(&up);
    up.kill();
    assert_eq!(up.ended().await.code(), None, "it ended in good order");
    if SETPRIV.iter().any(|path| Path::new(path).exists()) {
        gone(&up, &family, &place).await;
    } else {
        // Without it the system cannot end them together; the locks of the folders are what is left to count on.
        up.kill_group();
        gone(&up, &family, &place).await;
    }

    let (mut up, _) = start(&place).await;
    let has = |view: &Value| (list(view, "messages").len() == 2).then_some(());
    people.bob.until(&["message", "list", &people.connection], has).await;
    people.send(&people.alice, &people.bob, "third").await;
    assert_eq!(people.bob_has().await, ["first", "second", "third"]);
    up.terminate();
    assert_eq!(up.ended().await.code(), Some(0), "{}", up.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_while_it_starts_leaves_nothing_behind() {
    let place = Place::new();
    let mut up = place.up(&[]);
    up.until("Starting VettID").await;
    // As soon as the broker has written its ports down, services are in the middle of their start.
    let ports = place.data().join("services/broker/ports.json");
    processes::until("the broker starts", || ports.exists()).await;
    let family = family(&up);
    assert!(family.iter().any(|process| process.name == "nats-server"), "{family:?}");
    up.press_ctrl_c();
    assert_eq!(up.ended().await.code(), Some(0), "{}", up.said());
    gone(&up, &family, &place).await;
    let (mut up, _) = start(&place).await;
    up.terminate();
    assert_eq!(up.ended().await.code(), Some(0), "{}", up.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_beside_the_first_is_refused() {
    let place = Place::new();
    let (mut up, _) = start(&place).await;
    let mut second = place.up(&[]);
    assert_eq!(second.ended().await.code(), Some(1));
    assert!(second.errors().contains("another `vettid up` uses"), "{}", second.errors());
    place.app("alice").enrol(&place.data().join("people/alice.code")).await;
    up.terminate();
    assert_eq!(up.ended().await.code(), Some(0), "{}", up.said());
}

/// Stops a stack, takes the broker's port, and starts it again.
async fn move_broker(place: &Place, mut up: Up, before: &Addresses) -> (Up, Addresses, TcpListener) {
    up.terminate();
    assert_eq!(up.ended().await.code(), Some(0), "{}", up.said());
    let taken = TcpListener::bind(("127.0.0.1", port(&before.broker))).unwrap();
    let (up, after) = start(place).await;
    assert_ne!(after.broker, before.broker);
    (up, after, taken)
}

fn port(address: &str) -> u16 {
    address.rsplit_once(':').unwrap().1.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_reported_and_another_one_is_chosen() {
    let place = Place::new();
    let (up, before) = start(&place).await;
    let (mut up, after, taken) = move_broker(&place, up, &before).await;
    assert_eq!(Addresses { broker: before.broker.clone(), ..after.clone() }, before, "these were free");
    let old = port(&before.broker).to_string();
    let told = up.said().lines().find(|line| line.contains(&old) && line.contains("taken"));
    assert!(told.is_some(), "nobody is told that port {old} is taken:\n{}", up.said());
    let shop = Shop::new(&place, after.shop.trim_start_matches("http://"));
    let (_, invited) = shop.post("/v1/invitations", &json!({})).await;
    assert!(text(&invited, "link").len() > 100, "{invited}");
    up.terminate();
    assert_eq!(up.ended().await.code(), Some(0), "{}", up.said());

    // From now on this is its port, although the old one is free again.
    drop(taken);
    let (mut up, last) = start(&place).await;
    assert_eq!(last, after);
    assert!(!up.said().contains("taken"), "{}", up.said());
    up.terminate();
    assert_eq!(up.ended().await.code(), Some(0), "{}", up.said());
}

/// Answers an invitation of the shop, and agrees to what it offers.
async fn agree(app: &App, link: &str) -> String {
    let asked = app.say(&["connection", "accept"], link).await;
    let connection = text(&asked, "connection_id");
    app.until(&["connection", "review", &connection], |view| is_in(view, "review")).await;
    app.ask(&["connection", "decide", &connection, "--accept"]).await;
    app.until(&["connection", "review", &connection], |view| is_in(view, "active")).await;
    connection
}

/// The shop reads the address over the whole way and back.
async fn reads(shop: &Shop, connection: &str, address: &Value) {
    let answer = shop.ask(connection, "address", "Delivery", 20_000).await;
    let answer = shop.finished(&answer).await;
    assert_eq!((text(&answer, "status"), &answer["value"]), ("served".into(), address), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_and_shop_go_on_when_the_broker_has_moved() {
    let place = Place::new();
    let (up, before) = start(&place).await;
    let people = People::connect(&place).await;
    let address = json!({"city": "Galway"});
    for app in [&people.alice, &people.bob] {
        app.say(&["data", "set", "address", "--format", "json"], &address.to_string()).await;
    }
    let shop = Shop::new(&place, before.shop.trim_start_matches("http://"));
    let (_, invited) = shop.post("/v1/invitations", &json!({})).await;
    let hers = agree(&people.alice, &text(&invited, "link")).await;
    reads(&shop, &hers, &address).await;
    let (_, invited) = shop.post("/v1/invitations", &json!({})).await;
    let mut watch = people.bob.watch().await;
    people.send(&people.alice, &people.bob, "on the old port").await;
    watch.shows("New message from Alice").await;

    let (mut up, _, _taken) = move_broker(&place, up, &before).await;
    assert_eq!(people.bob_has().await, ["on the old port"]);
    people.send(&people.alice, &people.bob, "on the new port").await;
    watch.shows("New message from Alice").await;
    people.send(&people.bob, &people.alice, "and back").await;
    reads(&shop, &hers, &address).await;
    // This invitation still names the old port.
    let his = agree(&people.bob, &text(&invited, "link")).await;
    reads(&shop, &his, &address).await;
    up.terminate();
    assert_eq!(up.ended().await.code(), Some(0), "{}", up.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn people_go_on_after_everything_that_former_keys_let_in_was_cut_off() {
    let place = Place::new();
    let (_up, _) = start(&place).await;
    let people = People::connect(&place).await;
    people.send(&people.alice, &people.bob, "before").await;
    let signing = |keys: &Value| {
        let signs = list(keys, "keys").iter().find(|key| key["role"] == "connection_signing").unwrap();
        text(signs, "id")
    };
    let former = signing(&people.alice.ask(&["keys"]).await);
    people.alice.ask(&["keys", "rotate", "--cut-off"]).await;
    people.alice.until(&["keys"], |keys| (signing(keys) != former).then_some(())).await;
    people.send(&people.bob, &people.alice, "to the one who changed keys").await;
    people.send(&people.alice, &people.bob, "and back").await;
}

/// What `vettid gateway keys` of the demo shop says. Its configuration leaves the port open, so a copy names the one that was chosen.
async fn shop_keys(place: &Place, address: &str, rest: &[&str]) -> Value {
    let text = std::fs::read_to_string(place.data().join("shop/gateway.toml")).unwrap();
    let config = place.data().join("shop/gateway-with-port.toml");
    let named = text.replace("127.0.0.1:0", address);
    assert_ne!(named, text);
    std::fs::write(&config, named).unwrap();
    let command = [&["--json", "gateway", "keys", "--config", config.to_str().unwrap()], rest].concat();
    let outcome = vettid(&command, "").await;
    assert_eq!(outcome.code, 0, "{}", outcome.error);
    serde_json::from_str(outcome.out.trim()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shop_goes_on_after_everything_that_its_former_keys_let_in_was_cut_off() {
    let place = Place::new();
    let (_up, addresses) = start(&place).await;
    let alice = place.app("alice");
    alice.enrol(&place.data().join("people/alice.code")).await;
    let address = json!({"city": "Galway"});
    alice.say(&["data", "set", "address", "--format", "json"], &address.to_string()).await;
    let address_of_shop = addresses.shop.trim_start_matches("http://");
    let shop = Shop::new(&place, address_of_shop);
    let (_, invited) = shop.post("/v1/invitations", &json!({})).await;
    let hers = agree(&alice, &text(&invited, "link")).await;
    reads(&shop, &hers, &address).await;

    let signing = |keys: &Value| {
        let signs = list(keys, "keys").iter().find(|key| key["role"] == "connection_signing").unwrap();
        text(signs, "id")
    };
    let former = signing(&shop_keys(&place, address_of_shop, &[]).await);
    assert!(shop_keys(&place, address_of_shop, &["rotate", "--cut-off"]).await["since"].is_string());
    let changed = async { while signing(&shop_keys(&place, address_of_shop, &[]).await) == former {} };
    tokio::time::timeout(WITHIN, changed).await.expect("the former keys still sign");
    // The member's vault was cut off as well, and answers with what the new keys signed.
    reads(&shop, &hers, &address).await;
    let (_, invited) = shop.post("/v1/invitations", &json!({})).await;
    let again = agree(&alice, &text(&invited, "link")).await;
    reads(&shop, &again, &address).await;
}

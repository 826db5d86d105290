//! Contacts on real processes: found by own names, told what changes, and shown what each may see.

use crate::party::{App, list, text};
use crate::stack::Place;
use serde_json::Value;

async fn connect(alice: &App, bob: &App, place: &Place) -> String {
    let picture = place.outside("invitation.png");
    let invite = ["connection", "invite", "--label", "Bob from the choir", "--qr-png", picture.to_str().unwrap()];
    let invited = alice.ask(&invite).await;
    assert!(std::fs::read(&picture).unwrap().starts_with(b"\x89PNG"));
    let open = alice.ask(&["connection", "invitations"]).await;
    assert_eq!(list(&open, "invitations")[0]["label"], "Bob from the choir");
    let back = text(&alice.ask(&["connection", "invite"]).await, "invite_id");
    alice.ask(&["connection", "uninvite", &back]).await;
    let id = text(&bob.say(&["connection", "accept"], &text(&invited, "link")).await, "connection_id");
    for app in [alice, bob] {
        let waits = |view: &Value| (view["state"] == "review").then_some(());
        app.until(&["connection", "review", &id], waits).await;
        app.ask(&["connection", "decide", &id, "--accept"]).await;
    }
    for app in [alice, bob] {
        let active = |view: &Value| (view["state"] == "active").then_some(());
        app.until(&["connection", "review", &id], active).await;
    }
    assert_eq!(alice.ask(&["connection", "invitations"]).await["invitations"], serde_json::json!([]));
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_update_themselves_and_see_what_they_may() {
    let place = Place::new();
    let mut up = place.up(&[]);
    up.until("Press Ctrl-C").await;
    let (alice, bob) = (place.app("alice"), place.app("bob"));
    for (app, name, shown) in [(&alice, "alice", "Alice"), (&bob, "bob", "Bob")] {
        app.enrol(&place.data().join("people").join(format!("{name}.code"))).await;
        app.ask(&["profile", "set", "--name", shown]).await;
    }
    let id = connect(&alice, &bob, &place).await;
    let found = alice.ask(&["connection", "list", "--search", "CHOIR", "--in-state", "active"]).await;
    assert_eq!(text(&list(&found, "connections")[0], "connection_id"), id);

    alice.ask(&["connection", "tag", "add", &id, "friend"]).await;
    let item = ["profile", "item", "set"];
    alice.ask(&[&item[..], &["home", "--location", "Hamburg", "--with-tag", "friend"]].concat()).await;
    alice.ask(&[&item[..], &["site", "--link", "https://alice.example"]].concat()).await;
    alice.ask(&["profile", "set", "--name", "Alicia"]).await;
    let told = bob
        .until(&["connection", "review", &id], |view| {
            let arrived = view["display_name"] == "Alicia" && view["profile"]["items"].get("home").is_some();
            arrived.then(|| view["profile"].clone())
        })
        .await;
    let preview = alice.ask(&["profile", "show", "--as", &id]).await;
    assert_eq!((&told["items"], &told["public"]), (&preview["items"], &preview["public"]));
    assert!(told["items"].get("site").is_none(), "nobody was to see it");
    assert!(alice.ask(&["profile", "show", "--as-stranger"]).await.get("items").is_none());

    alice.ask(&["connection", "verify", &id, "--different"]).await;
    let ended = |view: &Value| (view["state"] == "revoked").then(|| view.clone());
    let his = bob.until(&["connection", "review", &id], ended).await;
    assert_eq!((&his["ending"]["by"], &his["ending"]["reason"]), (&"peer".into(), &"key_compromise".into()));
    assert!(his.get("profile").is_none() && his["display_name"] == "Alicia", "{his}");
}

//! The lock of a vault as its member meets it: set, locked, unlocked, on real processes that are killed in between.

use crate::party::{App, text};
use crate::processes;
use crate::stack::{Place, Up, WITHIN, family};
use serde_json::Value;

const READY: &str = "Press Ctrl-C";
const PIN: &str = "831940";
const PASSWORD: &str = "seven tall camels ride";

async fn start(place: &Place) -> Up {
    let mut up = place.up(&[]);
    up.until(READY).await;
    up
}

async fn refused(app: &App, command: &[&str], input: &str) -> Value {
    let outcome = app.run(command, input).await;
    assert_eq!(outcome.code, 3, "{command:?}: {} {}", outcome.out, outcome.error);
    serde_json::from_str(outcome.error.trim()).unwrap()
}

/// Since when there is a device secret of the lock, the storage key, and the key of the unlock lane.
async fn ages(app: &App) -> [Value; 3] {
    let inventory = app.ask(&["keys"]).await;
    let keys = inventory["keys"].as_array().unwrap();
    ["device_secret", "storage", "unlock_lane"].map(|role| {
        let since = keys.iter().find(|key| key["role"] == role).map(|key| key["since"].clone());
        since.unwrap_or_default()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_is_locked_and_unlocked_over_a_sudden_end() {
    let place = Place::new();
    let mut up = start(&place).await;
    let alice = place.app("alice");
    alice.enrol(&place.data().join("people/alice.code")).await;
    alice.say(&["data", "set", "colour"], "blue").await;
    let none = alice.ask(&["lock", "status"]).await;
    assert!(none["state"].is_null() && none["settings"]["is_set"] == false, "{none}");
    let without = refused(&alice, &["lock"], "").await;
    assert!(text(&without, "next").contains("lock setup"), "{without}");
    for (input, why) in
        [("123456\n", "count up"), ("831940\nqwertyuiop[]\n", "stands in lists"), ("83194\n", "6 to 32")]
    {
        let outcome = alice.run(&["lock", "setup"], input).await;
        assert!(outcome.code == 2 && outcome.error.contains(why), "{outcome:?}");
    }
    let before = ages(&alice).await;
    alice.say(&["lock", "setup"], &format!("{PIN}\n{PASSWORD}\n")).await;
    let with_lock = ages(&alice).await;
    assert_eq!((&with_lock[1..], before[1].is_string() && before[2].is_string()), (&before[1..], true), "{before:?}");
    assert!(before[0].is_null() && with_lock[0].is_string(), "{with_lock:?}");
    assert_eq!(alice.ask(&["lock", "status"]).await["state"], "open");
    alice.ask(&["lock"]).await;
    let told = refused(&alice, &["data", "get", "colour"], "").await;
    assert_eq!(text(&told, "error"), "your vault is locked");
    let wrong = refused(&alice, &["unlock"], "831941\n").await;
    assert!(text(&wrong, "next").contains("4 PINs"), "{wrong}");

    let processes = family(&up);
    up.kill();
    up.kill_group();
    up.ended().await;
    processes::none_left(&processes, up.id(), &place.data(), WITHIN).await;
    let mut up = start(&place).await;
    let status = alice.ask(&["lock", "status"]).await;
    assert_eq!((&status["state"], &status["pin_tries_left"]), (&"locked".into(), &4.into()));
    assert!(status["settings"].is_null(), "a locked vault tells nothing of itself");
    for _ in 0..4 {
        refused(&alice, &["unlock"], "831941\n").await;
    }
    let late = refused(&alice, &["unlock"], &format!("{PIN}\n")).await;
    assert!(text(&late, "next").contains("--password"), "{late}");
    assert_eq!(alice.say(&["unlock", "--password"], &format!("{PASSWORD}\n")).await["state"], "open");
    assert_eq!(alice.ask(&["data", "get", "colour"]).await["value"], "blue");
    assert_eq!(ages(&alice).await, with_lock, "over the start of another process");

    let new_pin = "402917";
    let changed = format!("{PIN}\n{new_pin}\n{PASSWORD}\n");
    alice.say(&["lock", "setup"], &changed).await;
    alice.ask(&["lock", "after", "15m"]).await;
    let settings = serde_json::json!({"is_set": true, "idle_minutes": 15, "sealer": "key_file"});
    assert_eq!(alice.ask(&["lock", "status"]).await["settings"], settings);
    alice.ask(&["lock"]).await;
    refused(&alice, &["unlock"], &format!("{PIN}\n")).await;
    alice.say(&["unlock"], &format!("{new_pin}\n")).await;
    up.terminate();
    assert_eq!(up.ended().await.code(), Some(0), "{}", up.said());
}

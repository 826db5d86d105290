//! A new device whose vault is locked: phrase, the password of the lock, the password of the credential, in this order.

use super::{PASSWORD, RESTORE, code, enable, start, words};
use crate::party::{App, list, text};
use crate::processes;
use crate::stack::{Place, Up, WITHIN, family};
use serde_json::Value;
use std::fs;
use vettid_wire::handshake::Invitation;

const PIN: &str = "831940\n";
const LOCK_PASSWORD: &str = "four calm otters swim\n";
const WRONG: &str = "nine green boats drift\n";

/// The whole operator dies and comes back, and with it the host: what has a lock is locked.
async fn restarted(place: &Place, mut up: Up) -> Up {
    let processes = family(&up);
    up.kill();
    up.kill_group();
    up.ended().await;
    processes::none_left(&processes, up.id(), &place.data(), WITHIN).await;
    start(place).await
}

fn services_url(place: &Place) -> String {
    let code = fs::read_to_string(place.data().join("people/alice.code")).unwrap();
    Invitation::read(code.trim()).unwrap().enrolment.unwrap().services_url
}

async fn status(app: &App) -> Value {
    let status = app.ask(&["recovery", "status"]).await;
    assert_eq!(status["is_current"], true, "{status}");
    status["sequence"].clone()
}

/// Code and phrase are right, and the vault is locked: the try is not lost.
async fn stands_before_the_lock(code: &str, phrase: &str, [alice, newcomer]: [&App; 2]) {
    let wrong = newcomer.run(&RESTORE, &format!("{code}\n{phrase}\n{WRONG}")).await;
    assert!(wrong.code == 3 && wrong.error.contains("password of the vault's lock is wrong"), "{wrong:?}");
    assert!(wrong.error.contains("the code and the phrase are not needed any more"), "{wrong:?}");
    // The PIN does not do for a new device, though it would open the lock.
    let pin = newcomer.run(&RESTORE, PIN).await;
    assert!(pin.code == 2 && pin.error.contains("a password has at least"), "{pin:?}");
    let early = alice.run(&["recovery", "approve"], "").await;
    assert!(
        early.code == 3 && early.error.contains("locked, or its host is away"),
        "the vault has not heard of it: {early:?}"
    );
    assert_eq!(alice.ask(&["lock", "status"]).await["state"], "locked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_vault_is_recovered_by_phrase_and_passwords() {
    let place = Place::new();
    let up = start(&place).await;
    let alice = place.app("alice");
    let services_url = services_url(&place);
    alice.enrol(&place.data().join("people/alice.code")).await;
    alice.say(&["data", "set", "colour"], "blue").await;
    alice.say(&["credential", "create", "--password-stdin"], PASSWORD).await;
    let screen = enable(&place, |screen| format!("{}\n", words(screen))).await;
    let phrase = words(screen.split_once("Type the words").unwrap().0);
    let secret = ["secret", "add", "Door", "--kind", "number", "--password-stdin"];
    alice.say(&secret, &format!("{PASSWORD}1234\n")).await;
    let before = status(&alice).await;
    alice.say(&["lock", "setup"], &format!("{PIN}{LOCK_PASSWORD}")).await;
    assert!(status(&alice).await.as_u64() > before.as_u64(), "the container follows the lock");

    let up = restarted(&place, up).await;
    let newcomer = place.stranger("new");
    let code = code(&place, &services_url).await;
    stands_before_the_lock(&code, &phrase, [&alice, &newcomer]).await;
    let restored = newcomer.say(&RESTORE, &format!("{LOCK_PASSWORD}{PASSWORD}")).await;
    assert!(restored["hold"]["hold_until"].is_string(), "{restored}");
    assert_eq!(newcomer.ask(&["data", "get", "colour"]).await["value"], "blue");
    assert_eq!(text(&list(&newcomer.ask(&["secret", "list"]).await, "secrets")[0], "label"), "Door");
    status(&newcomer).await;
    let held = newcomer.run(&["lock", "setup"], &format!("{PIN}{PIN}{LOCK_PASSWORD}")).await;
    assert!(held.code == 3 && held.error.contains("recovered"), "{held:?}");
    assert_eq!(alice.ask(&["recovery", "approve"]).await["approve"], true);
    let show = ["secret", "show", "Door", "--password-stdin"];
    assert_eq!(newcomer.say(&show, PASSWORD).await["value"], "1234");

    // The lock goes on with the new device: locked, unlocked, changed, and over a restart removed.
    newcomer.ask(&["lock"]).await;
    assert_eq!(newcomer.say(&["unlock"], PIN).await["state"], "open");
    newcomer.say(&["lock", "setup"], &format!("{PIN}402917\n{LOCK_PASSWORD}")).await;
    let up = restarted(&place, up).await;
    assert_eq!(newcomer.run(&["data", "get", "colour"], "").await.code, 3);
    newcomer.say(&["unlock"], "402917\n").await;
    newcomer.say(&["lock", "remove"], "402917\n").await;
    let mut up = restarted(&place, up).await;
    assert_eq!(newcomer.ask(&["data", "get", "colour"]).await["value"], "blue");
    assert_eq!(newcomer.say(&show, PASSWORD).await["value"], "1234");
    up.terminate();
    assert_eq!(up.ended().await.code(), Some(0), "{}", up.said());
}

//! The recovery phrase on real processes: shown at a terminal, typed back, and typed again on a new device.

mod locked;

use crate::operator::open_sealed;
use crate::party::{App, list, text};
use crate::stack::{PROGRAM, Place, Up};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use vettid_testkit::terminal::{reply_and_type_at, reply_at, type_at};
use vettid_wire::handshake::Invitation;

const READY: &str = "Press Ctrl-C";
const PASSWORD: &str = "seven tall camels ride\n";
const PROMPT: &str = "Type the words of your recovery phrase, then Enter:\r\n";

async fn start(place: &Place) -> Up {
    let mut up = place.up(&[]);
    up.until(READY).await;
    up
}

/// The words on the screen.
fn words(screen: &str) -> String {
    let lines = screen.lines().filter(|line| line.starts_with("  "));
    lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

/// Turns the recovery on at a terminal; what stood there.
async fn enable(place: &Place, reply: impl FnOnce(&str) -> String + Send + 'static) -> String {
    let (home, command) = (place.outside(""), enable_command(place, &place.app("alice")));
    tokio::task::spawn_blocking(move || reply_at(&home, &command, PROMPT, reply).unwrap()).await.unwrap()
}

fn enable_command(place: &Place, app: &App) -> String {
    let ca_file = place.data().join("services/ca.pem");
    let (options, ca_file) = (app.options(), ca_file.display());
    format!("{PROGRAM} app {options} --ca-file {ca_file} recovery enable --words 12")
}

/// Another phrase takes the place of the present one, with the password; the new words.
async fn replace_phrase(place: &Place, app: &App) -> String {
    let (home, command) = (place.outside(""), enable_command(place, app));
    let typing = move || {
        let reply = |screen: &str| format!("{}\n", words(screen));
        reply_and_type_at(&home, &command, (PROMPT, reply), &[("\nPassword: ", PASSWORD)]).unwrap()
    };
    let screen = tokio::task::spawn_blocking(typing).await.unwrap();
    assert!(screen.contains("Your recovery is on."), "{screen}");
    words(screen.split_once("Type the words").unwrap().0)
}

/// While the recovery is fresh there is no other phrase, and none is shown.
async fn no_other_phrase_yet(place: &Place, app: &App) {
    let (home, command) = (place.outside(""), enable_command(place, app));
    let screen = tokio::task::spawn_blocking(move || type_at(&home, &command, &[]).unwrap()).await.unwrap();
    assert!(screen.contains("another phrase waits until") && screen.contains("recovery approve"), "{screen}");
    assert!(words(&screen).split(' ').count() < 12, "{screen}");
}

/// A code of the portal for one try.
async fn code(place: &Place, services_url: &str) -> String {
    let data = place.data();
    let accounts = open_sealed(&data.join("up.key"), "vettid-up-accounts", &data.join("accounts.sealed"));
    let authority = reqwest::Certificate::from_pem(&fs::read(data.join("services/ca.pem")).unwrap()).unwrap();
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = reqwest::Client::builder().tls_certs_only([authority]).no_proxy().build().unwrap();
    let request = client.post(format!("{services_url}/v1/credentials/recover/start"));
    let request = request.bearer_auth(text(&accounts["alice"], "portal_token")).json(&json!({}));
    let started: Value = serde_json::from_slice(&request.send().await.unwrap().bytes().await.unwrap()).unwrap();
    text(&started, "qr")
}

/// Whether a file below this folder holds these bytes.
fn holds(folder: &Path, bytes: &[u8]) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, bytes);
        }
        // A running server may remove a file while it is looked at.
        path.is_file() && fs::read(&path).unwrap_or_default().windows(bytes.len()).any(|window| window == bytes)
    })
}

const RENEW: [&str; 3] = ["credential", "renew", "--password-stdin"];
const RESTORE: [&str; 3] = ["recovery", "restore", "--password-stdin"];

/// What is typed: a fresh code, the phrase, and a password.
async fn typed(place: &Place, services_url: &str, phrase: &str, password: &str) -> String {
    format!("{}\n{phrase}\n{password}", code(place, services_url).await)
}

/// The new device needs the phrase and the password, and until it has both the old one goes on.
async fn recovers(place: &Place, services_url: &str, phrase: &str, [alice, newcomer]: [&App; 2]) {
    let other = "legal winner thank year wave sausage worth useful legal winner thank yellow";
    let refused = newcomer.run(&RESTORE, &typed(place, services_url, other, PASSWORD).await).await;
    assert_eq!(refused.code, 3, "{refused:?}");
    let wrong = newcomer.run(&RESTORE, &typed(place, services_url, phrase, "nine green boats drift\n").await).await;
    assert!(wrong.code == 3 && wrong.error.contains("the password is wrong"), "{wrong:?}");
    let early = newcomer.run(&["secret", "list"], "").await;
    assert!(early.code != 0 && early.error.contains("not finished"), "{early:?}");
    assert_eq!(list(&alice.ask(&["secret", "list"]).await, "secrets").len(), 1, "the old device goes on");
    // The code was used up, and so it is not asked for again.
    let restored = newcomer.say(&RESTORE, PASSWORD).await;
    assert!(restored["hold"]["hold_until"].is_string(), "{restored}");
    assert_eq!((&restored["services_informed"], &restored["container_is_current"]), (&true.into(), &true.into()));
    let secrets = newcomer.ask(&["secret", "list"]).await;
    assert_eq!(text(&list(&secrets, "secrets")[0], "label"), "Door");
    // The Services Credential came along with the secret of the old device, and waits as everything of high value does.
    assert_eq!(newcomer.ask(&["credential", "status"]).await["renewal_is_due"], true);
    let renewal = newcomer.run(&RENEW, PASSWORD).await;
    assert!(renewal.code == 3 && renewal.error.contains("too fresh"), "{renewal:?}");
    let removal = newcomer.run(&["recovery", "disable", "--password-stdin"], PASSWORD).await;
    assert!(removal.code == 3 && removal.error.contains("too fresh"), "{removal:?}");
    let cut_off = alice.run(&["secret", "list"], "").await;
    assert_ne!(cut_off.code, 0, "the old device is cut off: {cut_off:?}");
    let again = newcomer.run(&RESTORE, &typed(place, services_url, phrase, PASSWORD).await).await;
    assert_eq!(again.code, 2, "{again:?}");
}

/// What is of high value waits for the word of the old device, which has no session any more.
async fn held_until_approved(alice: &App, newcomer: &App) {
    let show = ["secret", "show", "Door", "--password-stdin"];
    let held = newcomer.run(&show, PASSWORD).await;
    assert!(held.code == 3 && held.error.contains("this waits until"), "{held:?}");
    let other = newcomer.run(&["recovery", "approve"], "").await;
    assert_eq!(other.code, 3, "only the old device approves: {other:?}");
    assert!(alice.ask(&["recovery", "status"]).await["recovery"]["recovery_id"].is_string());
    assert_eq!(alice.ask(&["recovery", "approve"]).await["approve"], true);
    assert_eq!(newcomer.say(&show, PASSWORD).await["value"], "1234");
    let wrong = newcomer.run(&RENEW, "nine green boats drift\n").await;
    assert!(wrong.code == 3 && wrong.error.contains("the password is wrong"), "{wrong:?}");
    assert_eq!(newcomer.say(&RENEW, PASSWORD).await["renewed"], true);
    assert_eq!(newcomer.ask(&["credential", "status"]).await["renewal_is_due"], false);
    assert_eq!(newcomer.say(&RENEW, PASSWORD).await["renewed"], false);
    let over = newcomer.run(&["recovery", "approve"], "").await;
    assert_eq!(over.code, 2, "nothing is left to be decided: {over:?}");
}

/// Somebody with phrase and portal is kept out by the device in use.
async fn denied(place: &Place, services_url: &str, phrase: &str, [owner, third]: [&App; 2]) {
    let mut watch = owner.watch().await;
    let wrong = third.run(&RESTORE, &typed(place, services_url, phrase, "nine green boats drift\n").await).await;
    assert!(wrong.code == 3 && wrong.error.contains("the password is wrong"), "{wrong:?}");
    watch.shows("brought your recovery phrase").await;
    drop(watch);
    assert_eq!(owner.ask(&["recovery", "deny"]).await["approve"], false);
    let late = third.run(&RESTORE, PASSWORD).await;
    assert_ne!(late.code, 0, "{late:?}");
    assert_eq!(list(&owner.ask(&["secret", "list"]).await, "secrets").len(), 1);
    let status = owner.ask(&["recovery", "status"]).await;
    assert!(status["recovery"].is_null() && status["enabled"] == true, "{status}");
    let keys = owner.ask(&["keys"]).await;
    let phrase = keys["keys"].as_array().unwrap().iter().find(|key| key["role"] == "recovery");
    assert!(phrase.is_some_and(|phrase| phrase["since"].is_string()), "its keys are listed, with their age");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phrase_brings_the_credential_to_a_new_device() {
    let place = Place::new();
    let mut up = start(&place).await;
    let code_file = place.data().join("people/alice.code");
    let invitation = Invitation::read(fs::read_to_string(&code_file).unwrap().trim()).unwrap();
    let services_url = invitation.enrolment.unwrap().services_url;
    let alice = place.app("alice");
    alice.enrol(&code_file).await;
    assert_eq!(alice.ask(&["recovery", "status"]).await["enabled"], false);
    alice.say(&["credential", "create", "--password-stdin"], PASSWORD).await;
    let piped = alice.run(&["recovery", "enable"], "").await;
    assert!(piped.code == 2 && piped.error.contains("at a terminal only"), "{piped:?}");
    let wrong = enable(&place, |_| "abandon ".repeat(11) + "about\n").await;
    assert!(wrong.contains("not the words that were shown"), "{wrong}");
    assert_eq!(alice.ask(&["recovery", "status"]).await["enabled"], false);

    let screen = enable(&place, |screen| format!("{}\n", words(screen))).await;
    assert!(screen.contains("Your recovery is on."), "{screen}");
    let phrase = words(screen.split_once("Type the words").unwrap().0);
    assert_eq!(phrase.split(' ').count(), 12);
    let status = alice.ask(&["recovery", "status"]).await;
    assert_eq!(
        (&status["enabled"], &status["sequence"], &status["is_current"]),
        (&true.into(), &1.into(), &true.into())
    );

    // The container follows the credential by itself.
    let secret = ["secret", "add", "Door", "--kind", "number", "--password-stdin"];
    alice.say(&secret, &format!("{PASSWORD}1234\n")).await;
    let status = alice.ask(&["recovery", "status"]).await;
    assert_eq!((&status["sequence"], &status["is_current"]), (&2.into(), &true.into()));

    let newcomer = place.stranger("new");
    recovers(&place, &services_url, &phrase, [&alice, &newcomer]).await;
    no_other_phrase_yet(&place, &newcomer).await;
    held_until_approved(&alice, &newcomer).await;
    let other = replace_phrase(&place, &newcomer).await;
    assert_ne!(other, phrase);
    let third = place.stranger("third");
    let old = third.run(&RESTORE, &typed(&place, &services_url, &phrase, PASSWORD).await).await;
    assert_eq!(old.code, 3, "the phrase of before opens nothing: {old:?}");
    denied(&place, &services_url, &other, [&newcomer, &third]).await;

    assert!(holds(&place.data(), b"BEGIN CERTIFICATE"), "the search finds what is there");
    for phrase in [phrase, other] {
        let two_words = phrase.split(' ').take(2).collect::<Vec<_>>().join(" ");
        for folder in [place.data(), place.outside("strangers")] {
            assert!(!holds(&folder, two_words.as_bytes()), "a phrase lies on a disk");
        }
    }
    up.terminate();
    assert_eq!(up.ended().await.code(), Some(0), "{}", up.said());
}

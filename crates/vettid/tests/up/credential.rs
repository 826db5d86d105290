//! Critical secrets as their owner meets them: a credential, a seed phrase, keys that sign, grants, imports, wrong passwords and
//! a new one, with the real vault, over a sudden end of everything.

use crate::party::{App, list, text};
use crate::processes;
use crate::stack::{PROGRAM, Place, Up, WITHIN, family};
use serde_json::Value;
use std::fs;
use vettid_testkit::terminal::type_at;

const READY: &str = "Press Ctrl-C";
const PASSWORD: &str = "seven tall camels ride";
const NEW_PASSWORD: &str = "eight small lamps burn";
const WRONG: &str = "nine green boats drift";
const PHRASE: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

async fn start(place: &Place) -> Up {
    let mut up = place.up(&[]);
    up.until(READY).await;
    up
}

/// Runs a secret command with this password, which must succeed.
async fn with(app: &App, password: &str, command: &[&str], rest: &str) -> Value {
    let command = [command, &["--password-stdin"]].concat();
    app.say(&command, &format!("{password}\n{rest}")).await
}

async fn refused(app: &App, password: &str, command: &[&str]) -> Value {
    let command = [command, &["--password-stdin"]].concat();
    let outcome = app.run(&command, &format!("{password}\n")).await;
    assert_eq!(outcome.code, 3, "{command:?}: {} {}", outcome.out, outcome.error);
    serde_json::from_str(outcome.error.trim()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn critical_secrets_from_the_first_password_to_the_second() {
    let place = Place::new();
    let mut up = start(&place).await;
    let alice = place.app("alice");
    alice.enrol(&place.data().join("people/alice.code")).await;
    assert_eq!(alice.ask(&["credential", "status"]).await["exists"], false);
    let guessable = alice.run(&["credential", "create", "--password-stdin"], "password1234\n").await;
    assert_eq!(guessable.code, 2, "{guessable:?}");
    let made = with(&alice, PASSWORD, &["credential", "create"], "").await;
    assert_eq!((&made["cek_version"], &made["services"]["cek_version"]), (&1.into(), &1.into()));
    let services = alice.ask(&["credential", "status"]).await["services"].take();
    assert_eq!(
        (&services["exists"], &services["held_here"], &services["attempts_total"]),
        (&true.into(), &true.into(), &0.into())
    );

    with(&alice, PASSWORD, &["secret", "add", "Savings", "--kind", "seed-phrase"], PHRASE).await;
    let key = ["secret", "add", "Deploy", "--kind", "signing-key", "--curve", "ed25519", "--generate"];
    let key = with(&alice, PASSWORD, &key, "").await;
    assert_eq!(with(&alice, PASSWORD, &["secret", "show", "Savings"], "").await["value"], PHRASE);
    let signed = with(&alice, PASSWORD, &["secret", "sign", "Deploy"], "release 1").await;
    assert_eq!((&signed["public_key"], text(&signed, "signature").len()), (&key["public_key"], 88));

    enrols_at_a_terminal(&place).await;
    grants(&alice).await;
    imports(&alice, &place).await;
    every_key_is_shown(&alice).await;

    // Everything ends suddenly; what was kept is there, and grants are gone.
    let processes = family(&up);
    up.kill();
    up.kill_group();
    up.ended().await;
    processes::none_left(&processes, up.id(), &place.data(), WITHIN).await;
    let mut up = start(&place).await;
    let outcome = alice.run(&["secret", "sign", "Deploy"], "release 3").await;
    assert!(outcome.code == 2 && outcome.error.contains("no terminal"), "{outcome:?}");
    passwords(&alice).await;
    nothing_in_clear(&place);
    up.terminate();
    assert_eq!(up.ended().await.code(), Some(0), "{}", up.said());
}

/// Bob enrols at a terminal and makes his credential right there; a weak password and a slip are told, and nothing that he
/// types is shown.
async fn enrols_at_a_terminal(place: &Place) {
    let (data, home) = (place.data(), place.outside(""));
    let options = format!("--state {0}/people --profile bob --ca-file {0}/services/ca.pem", data.display());
    let enrol = format!("{PROGRAM} app {options} enroll --code-file {}/people/bob.code", data.display());
    let show = format!("{PROGRAM} app {options} secret add Door --kind number");
    let first = "New password, 12 characters or more: ";
    let again = "The same once more: ";
    let answers = [
        ("[Y/n] ", "y\n".to_owned()),
        (first, "qwertyuiop123\n".to_owned()),
        (first, format!("{PASSWORD}\n")),
        (again, format!("{WRONG}\n")),
        (first, format!("{PASSWORD}\n")),
        (again, format!("{PASSWORD}\n")),
    ];
    let typed = [("Value of the secret: ", "12 34\n".to_owned()), ("\nPassword: ", format!("{PASSWORD}\n"))];
    let screens = tokio::task::spawn_blocking(move || {
        let at = |command: &str, answers: &[(&str, String)]| {
            let answers: Vec<_> = answers.iter().map(|(prompt, answer)| (*prompt, answer.as_str())).collect();
            type_at(&home, command, &answers).unwrap()
        };
        [at(&enrol, &answers), at(&show, &typed)]
    });
    let [enrolled, stored] = screens.await.unwrap();
    assert!(enrolled.contains("stands in lists") && enrolled.contains("not the same"), "{enrolled}");
    assert!(enrolled.contains("Your Vault Credential is made."), "{enrolled}");
    assert!(stored.contains("Stored Door (number)."), "{stored}");
    for screen in [enrolled, stored] {
        for typed in [PASSWORD, WRONG, "qwertyuiop123", "12 34"] {
            assert!(!screen.contains(typed), "{screen}");
        }
    }
}

/// App, vault, host and services: whoever has a key, the list names it.
async fn every_key_is_shown(alice: &App) {
    let inventory = alice.ask(&["keys"]).await;
    let keys = list(&inventory, "keys");
    let of = |role: &str, holder: &str| {
        keys.iter().filter(|key| text(key, "role") == role && text(key, "holder") == holder).collect::<Vec<_>>()
    };
    for (role, holder) in [
        ("app_identity", "app"),
        ("app_sealing", "app"),
        ("app_store", "app"),
        ("broker_user", "app"),
        ("app_session", "app"),
        ("app_session", "vault"),
        ("app_session", "both"),
        ("grant", "app"),
        ("identity", "vault"),
        ("credential", "vault"),
        ("credential", "services"),
        ("storage", "host"),
        ("unlock_lane", "host"),
    ] {
        assert_eq!(of(role, holder).len(), 1, "{role} of {holder}");
    }
    assert_eq!((of("device_secret", "app").len(), of("issuer_token", "both").len()), (2, 2));
    // Everything of this inventory was made by this program, so each age is known.
    let ageless: Vec<_> = keys.iter().filter(|key| !key["since"].is_string()).collect();
    assert!(ageless.is_empty(), "{ageless:?}");
    let status = alice.ask(&["credential", "status"]).await;
    let version = format!(" version {}", status["cek_version"]);
    assert!(text(of("credential", "vault")[0], "id").ends_with(&version), "{status}");
    assert_eq!(status["transaction_keys"], of("transaction", "vault").len());
    assert!(!of("transaction", "services").is_empty());
}

async fn grants(alice: &App) {
    let grant = ["secret", "grant", "Deploy", "--operation", "sign", "--uses", "3"];
    with(alice, PASSWORD, &grant, "").await;
    let signed = alice.say(&["secret", "sign", "Deploy"], "release 2").await;
    assert_eq!(text(&signed, "signature").len(), 88);
    assert_eq!(alice.ask(&["credential", "status"]).await["grants_here"], 1);
}

async fn imports(alice: &App, place: &Place) {
    let file = place.outside("secrets.csv");
    fs::write(&file, "label,kind,value,category\nDoor,number,12 34,home\nMail,password,pw-canary,\nBad,number,x,\n")
        .unwrap();
    let command = ["secret", "import", "--csv", file.to_str().unwrap()];
    let summary = with(alice, PASSWORD, &command, "").await;
    assert_eq!((&summary["imported"], list(&summary, "skipped").len()), (&2.into(), 1));
    // Once more, it finds everything there.
    let summary = with(alice, PASSWORD, &command, "").await;
    assert_eq!((&summary["imported"], list(&summary, "skipped").len()), (&0.into(), 3));
    assert_eq!(with(alice, PASSWORD, &["secret", "show", "Mail"], "").await["value"], "pw-canary");
    with(alice, PASSWORD, &["secret", "remove", "Mail"], "").await;
    let secrets = alice.ask(&["secret", "list"]).await;
    let labels: Vec<_> = list(&secrets, "secrets").iter().map(|secret| text(secret, "label")).collect();
    assert_eq!(labels, ["Savings", "Deploy", "Door"]);
    fs::remove_file(file).unwrap();
}

async fn passwords(alice: &App) {
    let change = ["password", "change", "--password-stdin"];
    let outcome = alice.run(&change, &format!("{PASSWORD}\npassword1234\n")).await;
    assert_eq!(outcome.code, 2, "{outcome:?}");
    alice.say(&change, &format!("{PASSWORD}\n{NEW_PASSWORD}\n")).await;
    // Services know the new password as well, and guard with it.
    let told = refused(alice, PASSWORD, &["recovery", "disable"]).await;
    assert_eq!(text(&told, "error"), "the password is wrong");
    assert_eq!(with(alice, NEW_PASSWORD, &["recovery", "disable"], "").await["enabled"], false);
    // Twice the inner layer was given out, before the weak password and the good one; then change, guess and removal.
    let services = alice.ask(&["credential", "status"]).await["services"].take();
    assert_eq!((&services["attempts"], &services["attempts_total"]), (&0.into(), &5.into()), "{services}");
    let show = ["secret", "show", "Savings"];
    let told = refused(alice, PASSWORD, &show).await;
    assert_eq!(text(&told, "error"), "the password is wrong");
    assert_eq!(with(alice, NEW_PASSWORD, &show, "").await["value"], PHRASE);
    for number in 1..=4 {
        let told = refused(alice, WRONG, &show).await;
        assert_eq!(text(&told, "next").contains("wait"), number == 4, "{number}: {told}");
    }
    let told = refused(alice, NEW_PASSWORD, &show).await;
    assert_eq!(text(&told, "error"), "the next try has to wait");
    let status = alice.ask(&["credential", "status"]).await;
    assert_eq!((&status["attempts"], status["retry_after_ms"].is_u64()), (&4.into(), true));
}

/// Neither the vault, nor the broker, nor the app wrote anything down that opens or shows a secret.
fn nothing_in_clear(place: &Place) {
    let mut folders = vec![place.data()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let Ok(bytes) = fs::read(&path) else { continue };
            files += 1;
            for secret in [PASSWORD, NEW_PASSWORD, "abandon abandon", "pw-canary", "Savings"] {
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "{secret:?} lies in {}", path.display());
            }
        }
    }
    assert!(files > 20, "only {files} files were searched");
}

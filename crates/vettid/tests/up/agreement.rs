//! Requests and transactions on real processes: proposed, changed, approved, denied, killed in the middle; the record is the same
//! file on both sides, and holds where nothing runs.

use crate::party::{App, Outcome, list, text, vettid};
use crate::processes;
use crate::stack::{PROGRAM, Place, Up, WITHIN, family};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use vettid_testkit::terminal::type_at;

const READY: &str = "Press Ctrl-C";
const PASSWORD: &str = "seven tall camels ride\n";

pub(crate) async fn start(place: &Place) -> Up {
    let mut up = place.up(&[]);
    up.until(READY).await;
    up
}

/// Both apps enrolled and connected.
pub(crate) async fn connect(place: &Place) -> (App, App, String) {
    let (alice, bob) = (place.app("alice"), place.app("bob"));
    for (app, name) in [(&alice, "alice"), (&bob, "bob")] {
        app.enrol(&place.data().join(format!("people/{name}.code"))).await;
        app.ask(&["profile", "set", "--name", name]).await;
    }
    let connection = meet(&alice, &bob).await;
    (alice, bob, connection)
}

/// Connects two apps that are enrolled; each side verifies the other.
pub(crate) async fn meet(one: &App, other: &App) -> String {
    let link = text(&one.ask(&["connection", "invite"]).await, "link");
    let connection = text(&other.say(&["connection", "accept"], &link).await, "connection_id");
    for app in [one, other] {
        app.until(&["connection", "review", &connection], |view| (view["state"] == "review").then_some(())).await;
        app.ask(&["connection", "decide", &connection, "--accept"]).await;
    }
    for app in [one, other] {
        app.until(&["connection", "review", &connection], |view| (view["state"] == "active").then_some(())).await;
        app.ask(&["connection", "verify", &connection]).await;
    }
    connection
}

/// Waits until an agreement stands so; what it looks like then.
async fn stands(app: &App, id: &str, standing: &str) -> Value {
    app.until(&["request", "show", id], |view| (view["standing"] == standing).then(|| view.clone())).await
}

fn meeting(place: &str) -> [&str; 9] {
    ["meeting", "--subject", "Lease", "--at", "2030-12-01T09:30", "--minutes", "30", "--place", place]
}

fn with<'a>(first: &[&'a str], rest: &[&'a str]) -> Vec<&'a str> {
    first.iter().chain(rest).copied().collect()
}

/// The record of one side, as a file.
async fn record(place: &Place, app: &App, id: &str, name: &str) -> PathBuf {
    let file = place.outside(name);
    app.ask(&["record", "export", id, "--to", file.to_str().unwrap()]).await;
    file
}

async fn verify(file: &Path, more: &[&str]) -> Outcome {
    vettid(&with(&["--json", "verify", file.to_str().unwrap()], more), "").await
}

async fn fingerprint(app: &App) -> String {
    text(&app.ask(&["status"]).await, "vault_fingerprint")
}

async fn one_record(place: &Place, [alice, bob]: [&App; 2], id: &str, name: &str) -> PathBuf {
    let files =
        [record(place, alice, id, &format!("{name}-a")).await, record(place, bob, id, &format!("{name}-b")).await];
    assert_eq!(fs::read(&files[0]).unwrap(), fs::read(&files[1]).unwrap());
    let [file, _] = files;
    file
}

/// Alice proposes a meeting, Bob another place, Alice agrees.
async fn a_request(place: &Place, [alice, bob]: [&App; 2], connection: &str) -> PathBuf {
    let proposed = alice.ask(&with(&["request", "new", connection], &meeting("12 Main Street"))).await;
    let id = text(&proposed, "agreement_id");
    stands(bob, &id, "to_answer").await;
    bob.ask(&with(&["request", "counter", &id], &meeting("The station"))).await;
    let shown = stands(alice, &id, "to_answer").await;
    assert!(list(&shown, "displayed").contains(&"Place: \"The station\"".into()), "{shown}");
    assert!(shown.get("warnings").is_none(), "plain words are warned about: {shown}");
    let blind = alice.run(&["request", "approve", &id], "").await;
    assert!(blind.code == 2 && blind.error.contains("--terms"), "{blind:?}");
    let other = text(&proposed, "terms_hash");
    let replaced = alice.run(&["request", "approve", &id, "--terms", &other], "").await;
    assert_eq!(replaced.code, 3, "{replaced:?}");
    alice.ask(&["request", "approve", &id, "--terms", &text(&shown, "terms_hash")]).await;
    for app in [alice, bob] {
        stands(app, &id, "approved").await;
    }
    one_record(place, [alice, bob], &id, "lease").await
}

async fn holds_offline(file: &Path, parties: &[String; 2]) {
    let report = verify(file, &["--party", &parties[0], "--party", &parties[1]]).await;
    assert_eq!(report.code, 0, "{report:?}");
    let report: Value = serde_json::from_str(report.out.trim()).unwrap();
    assert_eq!((&report["outcome"], &report["parties_compared"]), (&"approved".into(), &2.into()));
    assert!(list(&report, "displayed").contains(&"Place: \"The station\"".into()), "{report}");
    let stranger = "A".repeat(43);
    assert_eq!(verify(file, &["--party", &stranger]).await.code, 3);
    let changed = file.with_extension("changed");
    let whole = fs::read_to_string(file).unwrap();
    fs::write(&changed, whole.replace("The station", "The harbour")).unwrap();
    let refused = verify(&changed, &[]).await;
    assert!(
        refused.code == 3 && refused.error.contains("displayed") || refused.error.contains("signature"),
        "{refused:?}"
    );
}

/// Letters of another script in the terms: Bob is warned where he reads them, before he can say yes, and with `--json` in a list of its own.
/// He says no, and nothing is approved.
async fn look_alikes(place: &Place, [alice, bob]: [&App; 2], connection: &str) {
    let (mixed, foreign) = ("P\u{430}ypal", "\u{441}\u{43e}\u{441}\u{430}");
    let lines = ["meeting", "--subject", mixed, "--at", "2030-12-01T09:30", "--minutes", "30", "--place", foreign];
    let id = text(&alice.ask(&with(&["request", "new", connection], &lines)).await, "agreement_id");
    let shown = stands(bob, &id, "to_answer").await;
    let warnings = serde_json::json!([
        {"kind": "mixed_scripts", "word": mixed},
        {"kind": "looks_latin", "word": foreign, "looks_like": "coca"},
    ]);
    assert_eq!(shown["warnings"], warnings, "{shown}");
    assert!(list(&shown, "displayed").contains(&format!("Place: \"{foreign}\"").into()), "shown as it is: {shown}");

    let (home, ca_file) = (place.outside(""), place.data().join("services/ca.pem"));
    let command = format!("{PROGRAM} app {} --ca-file {} request approve {id}", bob.options(), ca_file.display());
    let typed = move || type_at(&home, &command, &[("Approve exactly this? [y/N] ", "n\n")]).unwrap();
    let screen = tokio::task::spawn_blocking(typed).await.unwrap();
    let at = |what: &str| screen.find(what).unwrap_or_else(|| panic!("{what:?} is not on the screen:\n{screen}"));
    let places = [
        at(&format!("Place: \"{foreign}\"")),
        at(&format!("CAREFUL: “{mixed}” is written with letters of different scripts")),
        at(&format!("CAREFUL: “{foreign}” looks like “coca”, but is written with other letters")),
        at("Approve exactly this?"),
    ];
    assert!(places.is_sorted() && screen.contains("not approved"), "{screen}");
    stands(bob, &id, "to_answer").await;
    bob.ask(&["request", "deny", &id]).await;
    stands(alice, &id, "denied").await;
}

/// A payment of Bob's needs his password; the second one he denies.
async fn payments(place: &Place, [alice, bob]: [&App; 2], connection: &str) {
    bob.say(&["credential", "create", "--password-stdin"], PASSWORD).await;
    let pay = ["money", "--amount", "500.00", "--currency", "EUR", "--payer", "them", "--payee", "Alice"];
    let new = with(&["transaction", "new", connection], &pay);
    let ids = [text(&alice.ask(&new).await, "agreement_id"), text(&alice.ask(&new).await, "agreement_id")];
    let shown = stands(bob, &ids[0], "to_answer").await;
    assert_eq!(shown["needs"], serde_json::json!(["password"]));
    let hash = text(&shown, "terms_hash");
    let wrong = ["transaction", "approve", &ids[0], "--terms", &hash, "--password-stdin"];
    assert_eq!(bob.run(&wrong, "nine green boats drift\n").await.code, 3);
    bob.say(&wrong, PASSWORD).await;
    stands(alice, &ids[0], "approved").await;
    stands(bob, &ids[0], "approved").await;
    let file = one_record(place, [alice, bob], &ids[0], "payment").await;
    let report: Value = serde_json::from_str(verify(&file, &[]).await.out.trim()).unwrap();
    assert_eq!(report["answered_by"], "password");

    stands(bob, &ids[1], "to_answer").await;
    bob.ask(&["transaction", "deny", &ids[1]]).await;
    stands(alice, &ids[1], "denied").await;
    stands(bob, &ids[1], "denied").await;
    let file = one_record(place, [alice, bob], &ids[1], "denied").await;
    let report: Value = serde_json::from_str(verify(&file, &[]).await.out.trim()).unwrap();
    assert_eq!(report["outcome"], "denied");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_have_one_record_that_holds_anywhere() {
    let place = Place::new();
    let mut up = start(&place).await;
    let (alice, bob, connection) = connect(&place).await;
    let people = [&alice, &bob];
    let parties = [fingerprint(&alice).await, fingerprint(&bob).await];
    let lease = a_request(&place, people, &connection).await;
    look_alikes(&place, people, &connection).await;
    payments(&place, people, &connection).await;

    // Everything is killed after the answer was given; on the next start it ends as one agreement.
    let id = text(&alice.ask(&with(&["request", "new", &connection], &meeting("x"))).await, "agreement_id");
    let shown = stands(&bob, &id, "to_answer").await;
    bob.ask(&["request", "approve", &id, "--terms", &text(&shown, "terms_hash")]).await;
    let processes = family(&up);
    up.kill();
    up.kill_group();
    up.ended().await;
    processes::none_left(&processes, up.id(), &place.data(), WITHIN).await;
    holds_offline(&lease, &parties).await;
    let mut up = start(&place).await;
    for app in people {
        stands(app, &id, "approved").await;
    }
    one_record(&place, people, &id, "killed").await;
    for app in people {
        let feed = app.ask(&["feed", "list"]).await;
        let ends =
            list(&feed, "entries").iter().filter(|entry| text(entry, "summary").contains("approved by both")).count();
        assert_eq!(ends, 3, "{feed}");
    }
    up.terminate();
    assert_eq!(up.ended().await.code(), Some(0), "{}", up.said());
}

//! The secrets of a member, looked for everywhere: in logs at their loudest, in the files of app, vault and broker, in all
//! traffic, and in the memory of the host after the vault was locked.

use crate::canary::{Canary, Hit, Search};
use crate::operator::key_of;
use crate::party::{App, text};
use crate::processes::{Process, command_line};
use crate::spy::Spy;
use crate::stack::{Place, Up, family};
use crate::{disk, memory};
use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use vettid_client::store::Place as StorePlace;
use vettid_client::store::disk::Target;
use vettid_client::store::file::open_content;
use vettid_core::credential::holder::slot::Slot;
use vettid_crypto::at_rest::open_file;
use vettid_crypto::password::{Password, derive_keys};
use vettid_wire::secret::SecretKind;

/// So soon after the lock nothing is left.
const GONE_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(200);
const PASSWORD: &str = "seven tall camels ride at dawn";
const NEW_PASSWORD: &str = "eight small lamps burn at dusk";
const WRONG: &str = "nine green boats drift at noon";
const PIN: &str = "83194077255301682947";
const LOCK_PASSWORD: &str = "four brown owls count the stars";
const PHRASE: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";
const GRANTED: &str = "canary of a granted note";
const LABEL: &str = "Canary label of a savings account";
const FIELD: &str = "Canary of a plain field of the vault";
/// Private key of this test alone.
const SIGNING_KEY: &str = "5a17c3e9b40d6f8821aa93d4e07b5c6612fd98e35b70c4a1d29e836f47b05c18";

fn bytes_of_hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

async fn with(app: &App, password: &str, command: &[&str], rest: &str) -> serde_json::Value {
    let command = [command, &["--password-stdin"]].concat();
    app.say(&command, &format!("{password}\n{rest}")).await
}

/// The keys that this password gives with what the app holds: both packages, as far as there are two.
fn keys(place: &Place, password: &str) -> Vec<Canary> {
    let folder = place.data().join("people/alice");
    let mut keys = Vec::new();
    for slot in [StorePlace::SlotA, StorePlace::SlotB] {
        let Ok(content) = fs::read(folder.join(Target::Value(slot).file_name())) else { continue };
        let Some(opened) = open_content(&key_of(&folder.join("key")), slot, &content).unwrap() else { continue };
        let parts = Slot::from_bytes(opened.expose()).unwrap().password;
        let made = derive_keys(&Password::new(password).unwrap(), &parts.salt, &parts.device_secret).unwrap();
        keys.push(Canary::new(format!("inner key of {password:?}"), *made.inner.expose()));
        keys.push(Canary::new(format!("proof of {password:?}"), *made.proof.expose()));
        keys.push(Canary::new("device secret", *parts.device_secret.expose()));
    }
    assert!(!keys.is_empty(), "the app holds no package");
    keys
}

/// What the member typed or the vault keeps for her, and nothing else may show.
fn planted() -> Vec<Canary> {
    let texts = [PASSWORD, NEW_PASSWORD, WRONG, PIN, LOCK_PASSWORD, PHRASE, GRANTED, LABEL, FIELD];
    let mut canaries: Vec<Canary> = texts.into_iter().map(Canary::text).collect();
    canaries.push(Canary::new("signing key", bytes_of_hex(SIGNING_KEY)));
    canaries
}

/// Everything that a member does with a credential; gives the keys that were in use on the way.
async fn live(alice: &App, place: &Place) -> Vec<Canary> {
    let kind = |kind: SecretKind| serde_json::to_value(kind).unwrap().as_str().unwrap().replace('_', "-");
    alice.say(&["data", "set", "colour"], FIELD).await;
    with(alice, PASSWORD, &["credential", "create"], "").await;
    with(alice, PASSWORD, &["secret", "add", LABEL, "--kind", &kind(SecretKind::SeedPhrase)], PHRASE).await;
    with(alice, PASSWORD, &["secret", "add", "Note", "--kind", &kind(SecretKind::Note)], GRANTED).await;
    let key = ["secret", "add", "Deploy", "--kind", "signing-key", "--curve", "ed25519"];
    with(alice, PASSWORD, &key, SIGNING_KEY).await;
    assert_eq!(with(alice, PASSWORD, &["secret", "show", LABEL], "").await["value"], PHRASE);
    let mut canaries = keys(place, PASSWORD);
    let outcome = alice.run(&["secret", "show", LABEL, "--password-stdin"], &format!("{WRONG}\n")).await;
    assert_eq!(outcome.code, 3, "{outcome:?}");
    canaries.extend(keys(place, WRONG));
    alice.say(&["password", "change", "--password-stdin"], &format!("{PASSWORD}\n{NEW_PASSWORD}\n")).await;
    with(alice, NEW_PASSWORD, &["secret", "sign", "Deploy"], "release 1").await;
    with(alice, NEW_PASSWORD, &["secret", "grant", "Note", "--operation", "reveal", "--uses", "5"], "").await;
    assert_eq!(alice.ask(&["secret", "show", "Note"]).await["value"], GRANTED);
    canaries.extend(keys(place, NEW_PASSWORD));
    canaries
}

/// The hosts among the processes.
fn hosts(up: &Up) -> Vec<Process> {
    let is_host = |process: &Process| command_line(process).windows(6).any(|at| at == b"\0host\0");
    family(up).into_iter().filter(is_host).collect()
}

/// The key that everything in Alice's vault is sealed with, before she sets a lock: of two vaults, the one on her host.
fn storage_key(place: &Place, guid: &str) -> Canary {
    let opened = ["host-1", "host-2"].into_iter().find_map(|host| {
        let sealed = fs::read(place.data().join(host).join(format!("vaults/{guid}.sealed"))).ok()?;
        let key = key_of(&place.data().join(format!("{host}.key")));
        open_file(&key, &format!("vettid-vault-storage-key/{guid}"), &sealed).ok()
    });
    // The time at which it was made lies behind it.
    Canary::new("storage key", opened.unwrap().expose().first_chunk::<32>().unwrap())
}

/// Which of these canaries lie there. That services and broker have their own keys in memory is another matter.
fn in_memory(processes: &[Process], canaries: &[Canary]) -> BTreeSet<(String, u32, Hit)> {
    let (search, mut found) = (Search::new(canaries), BTreeSet::new());
    for process in processes {
        let (read_bytes, mut hits) = memory::search(process, &search);
        assert!(read_bytes > 1 << 20, "only {read_bytes} bytes of {process:?} were read");
        hits.retain(|hit| canaries.iter().any(|canary| canary.name == hit.name));
        found.extend(hits.into_iter().map(|hit| (process.name.clone(), process.id, hit)));
    }
    found
}

/// What is still there when the host had time to end what it did for the vault.
async fn what_stays(processes: &[Process], canaries: &[Canary]) -> BTreeSet<(String, u32, Hit)> {
    let started = Instant::now();
    loop {
        let left = in_memory(processes, canaries);
        if left.is_empty() || started.elapsed() > GONE_WITHIN {
            return left;
        }
        sleep(LOOK_EVERY).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secrets_of_a_member_are_nowhere_to_be_found() {
    let place = Place::new();
    let mut up = place.up(&["--log", "trace"]);
    up.until("Press Ctrl-C").await;
    let mut spy = Spy::attach(&place).await;
    let alice = place.app("alice");
    alice.enrol(&place.data().join("people/alice.code")).await;
    let guid = text(&alice.ask(&["status"]).await, "guid");
    let storage_key = storage_key(&place, &guid);
    alice.say(&["lock", "setup"], &format!("{PIN}\n{LOCK_PASSWORD}\n")).await;
    let mut canaries = planted();
    canaries.push(storage_key);
    canaries.extend(live(&alice, &place).await);
    let search = Search::new(&canaries);

    // An open vault has its data, and the one note that a grant opened: the search finds what is there. It has no password, no
    // phrase, and none of the keys that come from a password.
    if memory::is_readable() {
        let open = in_memory(&hosts(&up), &canaries);
        let names: BTreeSet<&str> = open.iter().map(|(_, _, hit)| hit.name.as_str()).collect();
        let is_open = [format!("{GRANTED:?}"), format!("{LABEL:?}"), format!("{FIELD:?}"), "storage key".to_owned()];
        assert_eq!(names, is_open.iter().map(String::as_str).collect(), "{open:#?}");
    }
    alice.ask(&["lock"]).await;
    assert_eq!(text(&alice.ask(&["lock", "status"]).await, "state"), "locked");
    if memory::is_readable() {
        let left = what_stays(&family(&up), &canaries).await;
        assert!(left.is_empty(), "after the lock this is left in memory: {left:#?}");
    }

    spy.mark(b"the end").await;
    let mut heard = BTreeSet::new();
    let messages: Vec<_> = spy.seen().into_iter().chain(spy.stored().await).collect();
    assert!(messages.iter().any(|seen| seen.subject.contains(".forVault.credential.use")), "the spy heard nothing");
    for seen in &messages {
        let hits = seen.parts().into_iter().flat_map(|part| search.hits(part));
        heard.extend(hits.map(|hit| (seen.subject.clone(), hit)));
    }
    assert!(heard.is_empty(), "this went over the broker: {heard:#?}");

    up.terminate();
    assert_eq!(up.ended().await.code(), Some(0), "{}", up.said());
    let planted_only = |found: &String| canaries.iter().any(|canary| found.contains(&canary.name));
    let (count, mut found) = disk::search(&place.data(), &search, &[]);
    found.retain(planted_only);
    assert!(found.is_empty(), "{found:#?}");
    assert!(count > 40, "only {count} files were searched");
    let logs = disk::contents(&place.data().join("logs"));
    assert!(logs.iter().any(|(_, log)| log.windows(5).any(|at| at == b"TRACE")), "nothing was logged at TRACE");
}

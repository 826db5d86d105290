//! A file from Alice's disk to Bob's over the real parts: the receiving host is killed in the middle, an app is killed in the middle,
//! and what arrives is what was sent, in its place and in no other.

use crate::party::{App, text};
use crate::people::{People, start};
use crate::processes;
use crate::stack::{Place, Up, family};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;

const MEGABYTE: usize = 1_000_000;

/// Writes a file that does not repeat itself.
fn write(path: &Path, bytes: usize) {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut content = Vec::with_capacity(bytes + 8);
    while content.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        content.extend_from_slice(&state.to_le_bytes());
    }
    content.truncate(bytes);
    fs::write(path, content).unwrap();
}

/// A sudden end of one host alone, and then of the rest, which does not run without it.
async fn kill_host(up: &mut Up, name: &str) {
    let config = format!("{name}.toml");
    let is_host =
        |process: &&processes::Process| String::from_utf8_lossy(&processes::command_line(process)).contains(&config);
    let id = family(up).iter().find(is_host).unwrap().id;
    kill_process(Pid::from_raw(i32::try_from(id).unwrap()).unwrap(), Signal::KILL).unwrap();
    assert_eq!(up.ended().await.code(), Some(1), "{}", up.said());
}

/// Waits until a command says that so many pieces are done, and gives that number.
async fn told(command: &mut Child, what: &str, least: u64) -> u64 {
    let mut lines = BufReader::new(command.stderr.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        let line: Value = serde_json::from_str(&line).unwrap();
        let done = line["done"].as_u64().filter(|_| line["progress"] == what);
        if let Some(done) = done.filter(|done| *done >= least) {
            return done;
        }
    }
    panic!("{what} was never told");
}

async fn status(app: &App, connection: &str, message: &str) -> Value {
    app.ask(&["file", "status", connection, message]).await
}

fn same(one: &Path, other: &Path) {
    assert!(fs::read(one).unwrap() == fs::read(other).unwrap(), "{} is not {}", one.display(), other.display());
}

fn named(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_arrives_whole_although_host_and_app_are_killed_in_the_middle() {
    let place = Place::new();
    let (mut up, _) = start(&place).await;
    let people = People::connect(&place).await;
    let (original, folder): (PathBuf, PathBuf) = (place.outside("large file.bin"), place.outside("bob"));
    write(&original, 8 * MEGABYTE);
    fs::create_dir(&folder).unwrap();
    let connection = people.connection.as_str();

    // The app of the sender is killed in the middle; the same command goes on.
    let send = ["file", "send", connection, named(&original)];
    let mut first = people.alice.begin(&send);
    told(&mut first, "uploading", 3).await;
    first.kill().await.unwrap();
    let outcome = people.alice.run(&send, "").await;
    assert_eq!(outcome.code, 0, "{outcome:?}");
    let begun: Value = serde_json::from_str(outcome.error.lines().next().unwrap()).unwrap();
    assert!(begun["progress"] == "uploading" && begun["done"].as_u64() >= Some(2), "{begun}");
    let sent: Value = serde_json::from_str(&outcome.out).unwrap();
    let message = text(&sent, "message_id");
    assert_eq!(text(&sent["file"], "name"), "large file.bin");

    // The receiving host is killed in the middle; it goes on where it was.
    let some = |view: &Value| (view["pieces_there"].as_u64() > Some(0)).then(|| text(view, "state"));
    let state = people.bob.until(&["file", "status", connection, &message], some).await;
    assert_eq!(state, "on_its_way", "the machine is too fast for a file of this size");
    kill_host(&mut up, "host-2").await;
    let (_up, _) = start(&place).await;

    // The app of the receiver is killed in the middle; the same command goes on.
    let get = ["file", "get", connection, &message, "--to", named(&folder)];
    let mut first = people.bob.begin(&get);
    let had = told(&mut first, "downloading", 4).await;
    first.kill().await.unwrap();
    let saved = folder.join("large file.bin");
    assert!(!saved.exists(), "nothing takes its place before it is whole");
    let outcome = people.bob.run(&get, "").await;
    assert_eq!(outcome.code, 0, "{outcome:?}");
    let of_downloading = |line: &&str| line.contains("downloading");
    let again: Value = serde_json::from_str(outcome.error.lines().find(of_downloading).unwrap()).unwrap();
    assert!(again["done"].as_u64().unwrap() + 1 >= had, "{again}");
    same(&saved, &original);
    assert_eq!(fs::metadata(&saved).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "no parts are left");

    // It is not written over, and the sender knows that it is there.
    assert_eq!(people.bob.run(&get, "").await.code, 1);
    let is_here = |view: &Value| (view["state"] == "here").then_some(());
    people.alice.until(&["file", "status", connection, &message], is_here).await;
    assert_eq!(status(&people.bob, connection, &message).await["pieces_there"], 16);
    people.bob.ask(&["message", "remove", connection, &message]).await;
    assert_eq!(people.bob.run(&get, "").await.code, 3);
}

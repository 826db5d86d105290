//! A file from disk to disk over everything that `vettid up` starts, beside a plain copy through the object store of the same server
//! program in the same run. The size in MB stands in `VETTID_FILE_MB` (100). What arrives is compared with what was sent.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock and its surroundings, and stops at the first surprise"
)]

#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/up/party.rs"]
mod party;
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/up/people.rs"]
mod people;
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/up/processes.rs"]
mod processes;
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/up/stack.rs"]
mod stack;

use party::{App, text};
use people::{People, start};
use serde_json::Value;
use stack::{Place, Up, family};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio_util::bytes::Bytes;
use vettid_core::grants::role::OperatorRole;
use vettid_nats::objects::Objects;
use vettid_testkit::broker::TestServer;

const MEGABYTE: usize = 1_000_000;

fn main() {
    // `cargo test --benches` starts it, too, and wants no measurement.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    tokio::runtime::Runtime::new().unwrap().block_on(measure());
}

async fn measure() {
    let megabytes = std::env::var("VETTID_FILE_MB").map_or(100, |text| text.parse::<usize>().unwrap());
    let content: Vec<u8> =
        (0..megabytes * MEGABYTE).map(|n| ((n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
    let (put, got) = raw(&content).await;
    say(megabytes, "object store, put", put, None);
    say(megabytes, "object store, get", got, None);

    let place = Place::new();
    let (mut up, _) = start(&place).await;
    let people = People::connect(&place).await;
    let hosts = ["host-1", "host-2"].map(|name| host(&up, name));
    let before = hosts.map(peak_kib);
    let (original, copy) = (place.outside("original"), place.outside("copy"));
    fs::write(&original, &content).unwrap();
    let connection = people.connection.as_str();

    let (sent, took, peak) = run(&people.alice, &["file", "send", connection, original.to_str().unwrap()]).await;
    say(megabytes, "app to vault (send)", took, Some(peak));
    let message = text(&sent, "message_id");
    let begun = Instant::now();
    people.bob.until(&["file", "fetch", connection, &message], |view| (view["state"] == "here").then_some(())).await;
    say(megabytes, "vault to vault", begun.elapsed(), None);
    let (_, took, peak) =
        run(&people.bob, &["file", "get", connection, &message, "--to", copy.to_str().unwrap()]).await;
    say(megabytes, "vault to app (get)", took, Some(peak));
    assert!(fs::read(&copy).unwrap() == content, "what arrived is not what was sent");
    for ((name, id), before) in ["host of the sender", "host of the receiver"].into_iter().zip(hosts).zip(before) {
        line(&format!("{name:<22} {:>6.1} MiB at most, {:.1} before", mib(peak_kib(id)), mib(before)));
    }
    up.terminate();
    assert_eq!(up.ended().await.code(), Some(0));
}

/// The same bytes through the object store as a client uses it.
async fn raw(content: &[u8]) -> (Duration, Duration) {
    let broker = TestServer::start().await.unwrap();
    let host = broker.connect(OperatorRole::HostPublishing, "host-1").await.unwrap();
    let (objects, content) = (Objects::open(&host).await.unwrap(), Bytes::copy_from_slice(content));
    let begun = Instant::now();
    objects.put("raw", &content).await.unwrap();
    let put = begun.elapsed();
    let begun = Instant::now();
    assert!(objects.get("raw", u64::MAX).await.unwrap() == content);
    let got = begun.elapsed();
    broker.shut().await;
    (put, got)
}

/// Runs a command to its end; gives what it said, how long it took, and its largest memory in KiB.
async fn run(app: &App, command: &[&str]) -> (Value, Duration, u64) {
    let begun = Instant::now();
    let child = app.begin(command);
    let id = child.id().unwrap();
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let watching = tokio::spawn(async move {
        let mut peak = 0;
        while stopped.try_recv().is_err() {
            peak = peak.max(peak_kib(id));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        peak
    });
    let output = child.wait_with_output().await.unwrap();
    let took = begun.elapsed();
    stop.send(()).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (serde_json::from_slice(&output.stdout).unwrap(), took, watching.await.unwrap())
}

/// The process of one host.
fn host(up: &Up, name: &str) -> u32 {
    let config = format!("{name}.toml");
    let is_host =
        |process: &&processes::Process| String::from_utf8_lossy(&processes::command_line(process)).contains(&config);
    family(up).iter().find(is_host).unwrap().id
}

/// The largest resident memory that a process had so far; 0 if it is gone.
fn peak_kib(id: u32) -> u64 {
    let status = fs::read_to_string(Path::new("/proc").join(id.to_string()).join("status")).unwrap_or_default();
    let field = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    field.and_then(|field| field.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

fn say(megabytes: usize, what: &str, took: Duration, peak_kib: Option<u64>) {
    let (seconds, memory) = (took.as_secs_f64(), peak_kib.map(|kib| format!("  {:>6.1} MiB at most", mib(kib))));
    let rate = megabytes as f64 / seconds;
    line(&format!("{what:<22} {seconds:>6.2} s  {rate:>7.1} MB/s{}", memory.unwrap_or_default()));
}

fn line(text: &str) {
    writeln!(std::io::stdout().lock(), "{text}").unwrap();
}

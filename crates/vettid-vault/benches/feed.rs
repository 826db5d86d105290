//! Searches in a feed of 100,000 entries, as the vault carries them out: from the command to the entries of the page. Prints
//! times and the memory of the index, and fails if a search is wrong or its 99th percentile too slow.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a bench may fail loudly"
)]

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::io::Write;
use std::time::{Duration, Instant};
use vettid_core::feed::Index;
use vettid_vault::feed::{self, Note};
use vettid_vault::projection::{Draft, Projection};
use vettid_wire::feed::{Filter, Outcome, SearchFeed, Severity, Shelf, TagEntries};
use vettid_wire::id::ConnectionId;
use vettid_wire::time::Timestamp;

const ENTRIES: u64 = 100_000;
const PEERS: u64 = 500;
const ROUNDS: usize = 300;
const WANTED_P99_MS: f64 = 50.0;
const KINDS: [&str; 5] = ["messaging.text", "data.request", "auth.challenge", "data.set", "connection.ready"];

/// An entry in the manner of the vault's own, with a word that no other entry has.
fn note(number: u64, rng: &mut StdRng) -> Note {
    let kind = KINDS[rng.random_range(0..KINDS.len())];
    let peer = rng.random_range(0..PEERS);
    let mut id = [0; 16];
    id[..8].copy_from_slice(&peer.to_be_bytes());
    Note {
        event_type: kind.parse().unwrap(),
        connection_id: Some(ConnectionId::from_bytes(id)),
        request_id: None,
        severity: if number.is_multiple_of(50) { Severity::Warning } else { Severity::Info },
        outcome: Outcome::Done,
        summary: format!("Name{peer} Familyname read your address for order {number:x}z{:x}", rng.random::<u32>()),
    }
}

/// The state of a vault with so many entries; every tenth is archived, every hundredth has a tag.
fn state(rng: &mut StdRng) -> Projection {
    let mut state = Projection::default();
    let mut draft = Draft::new(&state);
    for number in 1..=ENTRIES {
        let at = Timestamp::default().plus_ms(i64::try_from(number).unwrap() * 60_000);
        feed::add(&mut draft, at, note(number, rng)).unwrap();
        let numbers = [number].into();
        if number.is_multiple_of(10) {
            let asked = vettid_wire::feed::ArchiveEntries { numbers, archive: true };
            feed::archive(&mut draft, at, &asked).unwrap().unwrap();
        } else if number % 100 == 1 {
            let (add, remove) = (["tax".parse().unwrap()].into(), [].into());
            feed::tag(&mut draft, &TagEntries { numbers, add, remove }).unwrap().unwrap();
        }
    }
    draft.keep_step();
    let changes = draft.into_changes();
    state.apply(&changes);
    state
}

/// Memory of this process in bytes.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Memory of one index, in bytes. The first ones may take what is free in the process already.
fn bytes_of_one(state: &Projection) -> u64 {
    let load = |count: usize| (0..count).map(|_| feed::load(state).unwrap()).collect::<Vec<_>>();
    let first = load(4);
    let before = resident_bytes();
    let more = load(4);
    let bytes = (resident_bytes() - before) / 4;
    assert_eq!(first.len(), more.len());
    bytes
}

/// What is searched for, and how many entries there must be.
fn searches() -> Vec<(&'static str, Filter, Option<u64>)> {
    let all = Filter { shelf: Shelf::All, ..Filter::default() };
    let text = |text: &str| Filter { text: Some(text.to_owned()), ..all.clone() };
    vec![
        ("everything", all.clone(), Some(ENTRIES)),
        ("a word of one entry", text("186a0z"), Some(1)),
        ("a word of every entry", text("address"), Some(ENTRIES)),
        ("three words", text("name77 read ord"), None),
        ("one letter", text("a"), Some(ENTRIES)),
        ("a word of no entry", text("nowhere"), Some(0)),
        (
            "unread warnings",
            Filter { severity: Some(Severity::Warning), only_unread: true, ..all.clone() },
            Some(ENTRIES / 50),
        ),
        ("the archive", Filter { shelf: Shelf::Archive, ..Filter::default() }, Some(ENTRIES / 10)),
        (
            "a tag, text and kind",
            Filter { tags: ["tax".parse().unwrap()].into(), kind: Some("data".into()), ..text("order") },
            None,
        ),
    ]
}

fn measure(index: &Index, draft: &Draft<'_>, filter: &Filter, wanted: Option<u64>) -> Vec<Duration> {
    let asked = SearchFeed { filter: filter.clone(), before: None, limit: 50 };
    let mut times = vec![];
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        let found = feed::search(index, draft, &asked).unwrap().unwrap();
        times.push(begin.elapsed());
        assert!(wanted.is_none_or(|wanted| found.found == wanted), "{} found, {wanted:?} wanted", found.found);
        assert_eq!(found.entries.len() as u64, found.found.min(50));
    }
    times.sort();
    times
}

fn main() {
    let mut out = std::io::stdout().lock();
    let state = state(&mut StdRng::seed_from_u64(1));
    let begin = Instant::now();
    let index = feed::load(&state).unwrap();
    let loading = begin.elapsed();
    let bytes = bytes_of_one(&state);
    let draft = Draft::new(&state);
    writeln!(
        out,
        "{} entries: index made in {} ms, {} bytes an entry\n",
        index.len(),
        loading.as_millis(),
        bytes / ENTRIES
    )
    .unwrap();
    writeln!(out, "| search | p50 ms | p99 ms |\n|---|---|---|").unwrap();
    let mut worst = 0.0f64;
    for (name, filter, wanted) in searches() {
        let times = measure(&index, &draft, &filter, wanted);
        let ms = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64() * 1e3;
        worst = worst.max(ms(99));
        writeln!(out, "| {name} | {:.2} | {:.2} |", ms(50), ms(99)).unwrap();
    }
    let begin = Instant::now();
    let counts = feed::unread(&index, &draft).unwrap();
    writeln!(out, "| unread counts | {:.2} | |", begin.elapsed().as_secs_f64() * 1e3).unwrap();
    assert_eq!(counts.unread, ENTRIES - ENTRIES / 10);
    assert!(worst < WANTED_P99_MS, "p99 of {worst:.2} ms");
}

//! What other vaults feel while the older records of one are removed: how long their commits take meanwhile, all of it removed at once and
//! in steps. The records of the one lie far apart, as those of a member who does little do. Fails if another vault waits as long as for
//! everything at once.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "a bench may fail loudly"
)]

use bytes::Bytes;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::task::{JoinSet, yield_now};
use vettid_core::grants::role::OperatorRole;
use vettid_nats::journal::Journal;
use vettid_testkit::broker::TestServer;
use vettid_testkit::space::fresh_member;
use vettid_wire::id::MemberId;

/// Records of the vault that is removed.
const OWN: usize = 2_000;
/// Records of others between two of them.
const BETWEEN: usize = 250;
/// Others that write at the same time.
const WRITERS: usize = 64;
/// As the host has it.
const APART: usize = 16;
const RECORD_BYTES: usize = 2_500;
/// The server lets go of the files that it wrote last.
const REST: Duration = Duration::from_secs(12);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Cargo adds this; without it a test runner only wants to know what there is.
    if !arguments.iter().any(|word| word == "--bench") {
        return ExitCode::SUCCESS;
    }
    let between = arguments.iter().skip_while(|word| *word != "--between").nth(1);
    let between = between.map_or(BETWEEN, |text| text.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(measure(between))
}

async fn measure(between: usize) -> ExitCode {
    let broker = TestServer::start().await.unwrap();
    let journal = Journal::new(broker.connect(OperatorRole::HostPublishing, "host-1").await.unwrap());
    say(&format!("writing {OWN} records each of two vaults, and {between} of others after each …"));
    let [one, other] = write(&journal, between).await;
    tokio::time::sleep(REST).await;

    let last = one.1[OWN - 1];
    let (at_once, longest_at_once) = beside(&journal, journal.purge_below(one.0, last)).await;
    let places: Vec<u64> = other.1.chunks(APART).map(|chunk| chunk[chunk.len() - 1]).collect();
    let (in_steps, longest_in_steps) = beside(&journal, journal.purge_in_steps(other.0, &places)).await;
    for (member, last) in [(one.0, last), (other.0, other.1[OWN - 1])] {
        assert_eq!(journal.load(member).collect().await.unwrap()[0].sequence, last, "something else was removed");
    }
    broker.shut().await;

    say(&format!("at once:  {at_once:>10.1?}, longest commit of another vault {longest_at_once:>10.1?}"));
    say(&format!("in steps: {in_steps:>10.1?}, longest commit of another vault {longest_in_steps:>10.1?}"));
    let times = longest_at_once.as_secs_f64() / longest_in_steps.as_secs_f64();
    say(&format!("others wait {times:.1} times shorter"));
    if times > 1.0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Two vaults and the places of their records, which lie among those of others.
async fn write(journal: &Journal, between: usize) -> [(MemberId, Vec<u64>); 2] {
    let (written, total) = (Arc::new(AtomicUsize::new(0)), OWN * between);
    let mut others = JoinSet::new();
    for _ in 0..WRITERS {
        let (journal, written) = (journal.clone(), written.clone());
        others.spawn(async move {
            let (member, mut last) = (fresh_member(), 0);
            while written.fetch_add(1, Ordering::Relaxed) < total {
                last = journal.commit(member, last, record()).await.unwrap();
            }
        });
    }
    let mut own = [(fresh_member(), Vec::new()), (fresh_member(), Vec::new())];
    for number in 0..OWN {
        while written.load(Ordering::Relaxed) < number * between {
            yield_now().await;
        }
        for (member, places) in &mut own {
            let last = places.last().copied().unwrap_or(0);
            places.push(journal.commit(*member, last, record()).await.unwrap());
        }
    }
    others.join_all().await;
    own
}

/// How long the work takes, and the longest commit that another vault made meanwhile.
async fn beside<E: std::fmt::Debug>(
    journal: &Journal,
    work: impl Future<Output = Result<(), E>>,
) -> (Duration, Duration) {
    let stop = Arc::new(AtomicBool::new(false));
    let committing = {
        let (journal, stop) = (journal.clone(), stop.clone());
        tokio::spawn(async move {
            let (member, mut last, mut longest) = (fresh_member(), 0, Duration::ZERO);
            while !stop.load(Ordering::Relaxed) {
                let begin = Instant::now();
                last = journal.commit(member, last, record()).await.unwrap();
                longest = longest.max(begin.elapsed());
            }
            longest
        })
    };
    let begin = Instant::now();
    work.await.unwrap();
    let lasted = begin.elapsed();
    stop.store(true, Ordering::Relaxed);
    (lasted, committing.await.unwrap())
}

fn record() -> Bytes {
    Bytes::from(vec![7; RECORD_BYTES])
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

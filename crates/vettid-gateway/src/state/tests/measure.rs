//! A measurement, not a test: commits a second in SQLite and PostgreSQL beside the journal file of before, in the same run on the
//! same disk.

use super::{key, open};
use crate::state::journal::writing::Journal;
use crate::state::{Place, State};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use vettid_core::journal::Changes;
use vettid_testkit::postgres::Cluster;

/// One value of each commit, in bytes.
const VALUE_BYTES: usize = 1000;
/// Values that are changed again and again.
const VALUES: usize = 5000;
const LENGTH: Duration = Duration::from_secs(3);
const ROUNDS: usize = 3;

type Answer = (Changes, oneshot::Sender<()>);

/// The way of before: a thread that joins what waits into one record.
fn journal_writer(folder: &Path) -> mpsc::Sender<Answer> {
    let mut journal = Journal::create(folder, key(1)).unwrap();
    let (sender, mut queue) = mpsc::channel::<Answer>(1024);
    std::thread::spawn(move || {
        while let Some((mut changes, done)) = queue.blocking_recv() {
            let mut waiting = vec![done];
            while waiting.len() < 256
                && let Ok((more, done)) = queue.try_recv()
            {
                changes.extend(more);
                waiting.push(done);
            }
            journal.append(changes).unwrap();
            waiting.into_iter().for_each(|done| done.send(()).unwrap_or(()));
        }
    });
    sender
}

/// Where commits go.
#[derive(Clone)]
enum Target {
    Journal(mpsc::Sender<Answer>),
    State(Arc<State>),
}

impl Target {
    async fn commit(&self, number: usize) {
        let (name, value) = (format!("value/{:05}", number % VALUES), "x".repeat(VALUE_BYTES));
        match self {
            Self::State(state) => {
                let mut draft = state.draft();
                draft.put(name, &value).unwrap();
                state.commit(draft).await.unwrap();
            }
            Self::Journal(queue) => {
                let (done, written) = oneshot::channel();
                let value = serde_json::to_vec(&value).unwrap();
                let change = vettid_crypto::at_rest::seal(&key(1), name.as_bytes(), &value, &mut rand::rng());
                queue.send((Changes::from([(name, Some(change))]), done)).await.unwrap();
                written.await.unwrap();
            }
        }
    }
}

/// Commits for a while by so many callers; gives how long each commit took.
async fn drive(target: &Target, callers: usize) -> Vec<Duration> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = tokio::task::JoinSet::new();
    for caller in 0..callers {
        let (target, stop) = (target.clone(), Arc::clone(&stop));
        tasks.spawn(async move {
            let (mut took, mut number) = (Vec::new(), caller);
            while !stop.load(Ordering::Relaxed) {
                let start = now();
                target.commit(number).await;
                took.push(start.elapsed());
                number += callers;
            }
            took
        });
    }
    tokio::time::sleep(LENGTH).await;
    stop.store(true, Ordering::Relaxed);
    tasks.join_all().await.into_iter().flatten().collect()
}

#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn now() -> Instant {
    Instant::now()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: cargo test --release -p vettid-gateway --lib -- --ignored --nocapture measured"]
async fn measured_commits_a_second() {
    let cluster = Cluster::start().unwrap();
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [journal, sqlite, postgres] = &folders;
    let place = Place::take(postgres.path(), Some(&cluster.address().parse().unwrap())).await.unwrap();
    let targets = [
        ("journal file", Target::Journal(journal_writer(journal.path()))),
        ("SQLite", Target::State(Arc::new(open(sqlite.path(), key(1)).await.unwrap().0))),
        ("PostgreSQL", Target::State(Arc::new(State::open(place, key(1)).await.unwrap().0))),
    ];
    println!("round  callers  place         commits/s   p50 ms   p99 ms");
    for round in 1..=ROUNDS {
        for callers in [1, 16, 256] {
            for (name, target) in &targets {
                let start = now();
                let mut took = drive(target, callers).await;
                let a_second = f64::from(u32::try_from(took.len()).unwrap()) / start.elapsed().as_secs_f64();
                took.sort_unstable();
                let at = |part: usize| took[(took.len() - 1) * part / 100].as_secs_f64() * 1e3;
                println!("{round:5}  {callers:7}  {name:<12}  {a_second:9.0}  {:7.2}  {:7.2}", at(50), at(99));
            }
        }
    }
}

//! A process that commits is killed with SIGKILL again and again, and a database server as well: every commit that was acknowledged
//! is there, and each one whole.

use super::key;
use crate::state::{Loaded, Place, State, StateError};
use rand::RngExt as _;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use vettid_testkit::postgres::Cluster;

/// Names the folder of the process that commits.
const FOLDER: &str = "VETTID_TEST_STATE_FOLDER";
/// Names the file with the address of its database, if it has one.
const DATABASE: &str = "VETTID_TEST_STATE_DATABASE";
/// What the process says of a commit that was acknowledged.
const DONE: &str = "done ";
const ROUNDS: u32 = 12;
/// Commits under way at once.
const AT_ONCE: u32 = 8;
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the state of a test is.
struct Site {
    folder: tempfile::TempDir,
    address: Option<PathBuf>,
}

impl Site {
    fn new(address: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = address.map(|address| {
            let path = folder.path().join("url");
            std::fs::write(&path, address).unwrap();
            path
        });
        Self { folder, address }
    }

    async fn open(&self) -> (State, Loaded) {
        let opened = async {
            loop {
                match open(&self.folder.path().join("state"), self.address.as_deref()).await {
                    Err(StateError::InUse) => tokio::time::sleep(Duration::from_millis(20)).await,
                    other => return other.unwrap(),
                }
            }
        };
        tokio::time::timeout(PATIENCE, opened).await.unwrap()
    }

    fn process(&self) -> Child {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "state::tests::kills::a_process_that_commits", "--ignored", "--nocapture"]);
        command.env(FOLDER, self.folder.path().join("state")).stdout(Stdio::piped()).kill_on_drop(true);
        if let Some(address) = &self.address {
            command.env(DATABASE, address);
        }
        command.spawn().unwrap()
    }

    /// Reads the state: both halves of each commit.
    async fn numbers(&self) -> BTreeSet<u64> {
        let (state, loaded) = self.open().await;
        let halves = |prefix| loaded.values::<u64>(prefix).unwrap().into_iter().collect::<BTreeSet<_>>();
        let (first, second) = (halves("first/"), halves("second/"));
        assert_eq!(first, second);
        state.close().await;
        first
    }
}

async fn open(folder: &Path, address: Option<&Path>) -> Result<(State, Loaded), StateError> {
    let address = address.map(|path| std::fs::read_to_string(path).unwrap().parse().unwrap());
    State::open(Place::take(folder, address.as_ref()).await?, key(1)).await
}

/// Starts the process and lets `end` end it after a random number of acknowledged commits; gives them.
async fn one_round(site: &Site, end: impl AsyncFnOnce(&mut Child)) -> BTreeSet<u64> {
    let mut child = site.process();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).split(b'\n');
    let mut acknowledged = BTreeSet::new();
    let wanted = rand::rng().random_range(1..60);
    let enough = async {
        while acknowledged.len() < wanted {
            let line = lines.next_segment().await.unwrap().unwrap();
            acknowledged.extend(number_in(&line));
        }
    };
    tokio::time::timeout(PATIENCE, enough).await.unwrap();
    tokio::time::sleep(Duration::from_micros(rand::rng().random_range(0..5_000))).await;
    end(&mut child).await;
    // What it said before it ended; the last line may be cut.
    while let Some(line) = lines.next_segment().await.unwrap() {
        acknowledged.extend(number_in(&line));
    }
    child.wait().await.unwrap();
    acknowledged
}

/// The number of a whole line, whatever the test program says before it.
fn number_in(line: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(line).ok()?;
    text.split_once(DONE)?.1.strip_suffix('.')?.parse().ok()
}

async fn survives(site: &Site, end: impl AsyncFn(&mut Child)) {
    let mut acknowledged = BTreeSet::new();
    for _ in 0..ROUNDS {
        acknowledged.extend(one_round(site, &end).await);
        let there = site.numbers().await;
        let lost: Vec<_> = acknowledged.difference(&there).collect();
        assert!(lost.is_empty(), "{lost:?}");
        // At most what was under way when the process ended was kept without being acknowledged.
        assert!(there.len() <= acknowledged.len() + usize::try_from(AT_ONCE).unwrap());
        acknowledged = there;
    }
}

async fn kill(child: &mut Child) {
    child.kill().await.unwrap();
}

#[tokio::test]
async fn every_acknowledged_commit_is_there_after_a_kill() {
    survives(&Site::new(None), kill).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test --only databases"]
async fn postgres_every_acknowledged_commit_is_there_after_a_kill() {
    let cluster = Cluster::start().unwrap();
    survives(&Site::new(Some(&cluster.address())), kill).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test --only databases"]
async fn postgres_every_acknowledged_commit_is_there_after_the_server_ended() {
    let cluster = Cluster::start().unwrap();
    // The process would wait for the server to come back.
    let both = async |child: &mut Child| {
        cluster.crash().unwrap();
        kill(child).await;
        cluster.start_again().unwrap();
    };
    survives(&Site::new(Some(&cluster.address())), both).await;
}

/// Commits numbers until it is killed, and says which ones were acknowledged.
#[tokio::test]
#[ignore = "not a test: the process that the tests of kills start"]
#[expect(clippy::disallowed_methods, reason = "speaks to the test that started it")]
async fn a_process_that_commits() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap());
    let address = std::env::var_os(DATABASE).map(PathBuf::from);
    let (state, loaded) = open(&folder, address.as_deref()).await.unwrap();
    let next = loaded.values::<u64>("first/").unwrap().into_iter().max().map_or(0, |last| last + 1);
    let (state, mut tasks) = (Arc::new(state), tokio::task::JoinSet::new());
    for lane in 0..u64::from(AT_ONCE) {
        let state = Arc::clone(&state);
        tasks.spawn(async move {
            for number in (next + lane..).step_by(usize::try_from(AT_ONCE).unwrap()) {
                let mut draft = state.draft();
                draft.put(format!("first/{number}"), &number).unwrap();
                draft.put(format!("second/{number}"), &number).unwrap();
                match state.commit(draft).await {
                    Ok(()) => println!("{DONE}{number}."),
                    Err(_) => return,
                }
            }
        });
    }
    tasks.join_all().await;
}

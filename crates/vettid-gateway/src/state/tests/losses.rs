//! A database that goes and comes back: what was acknowledged is there, what waited is stored once, and nothing goes on over a state
//! that is another one.

use super::key;
use crate::state::rows::RowKeys;
use crate::state::writer::Writer;
use crate::state::{Place, State, StateError};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use vettid_store::state::sqlite::SqliteState;
use vettid_store::state::{Contents, Pending, RowChanges, StateStore, StoreError};
use vettid_testkit::postgres::Cluster;

const PATIENCE: Duration = Duration::from_secs(30);

/// What becomes of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Acknowledged,
    /// Nothing of it was kept.
    LostBefore,
    /// It was kept, and the answer was lost.
    LostAfter,
}

/// A real store whose session is lost at times.
struct Losing {
    inner: Option<SqliteState>,
    path: PathBuf,
    fates: VecDeque<Fate>,
    /// How often it cannot be reached after a loss.
    away: u32,
}

impl StateStore for Losing {
    fn commit<'a>(&'a mut self, head: &'a [u8], changes: &'a RowChanges) -> Pending<'a, ()> {
        Box::pin(async move {
            let fate = self.fates.pop_front().unwrap_or(Fate::Acknowledged);
            let inner = self.inner.as_mut().ok_or_else(StoreError::silent)?;
            if fate != Fate::LostBefore {
                inner.commit(head, changes).await?;
            }
            if fate == Fate::Acknowledged { Ok(()) } else { Err(StoreError::silent()) }
        })
    }

    fn purge(&mut self) -> Pending<'_, ()> {
        Box::pin(async move { self.inner.as_mut().ok_or_else(StoreError::silent)?.purge().await })
    }

    fn check(&mut self) -> Pending<'_, ()> {
        Box::pin(async move { self.inner.as_mut().ok_or_else(StoreError::silent)?.check().await })
    }

    fn come_back(&mut self) -> Pending<'_, Option<Contents>> {
        Box::pin(async move {
            if self.away > 0 {
                self.away -= 1;
                return Err(if self.away.is_multiple_of(2) { StoreError::InUse } else { StoreError::silent() });
            }
            SqliteState::look(&self.path).await.map(Some)
        })
    }

    fn close(self: Box<Self>) -> Pending<'static, ()> {
        Box::pin(async move {
            match self.inner {
                Some(inner) => Box::new(inner).close().await,
                None => Ok(()),
            }
        })
    }
}

/// A state on a store that loses what `fates` say.
async fn losing(folder: &Path, fates: &[Fate], away: u32) -> State {
    let keys = Arc::new(RowKeys::new(key(1)));
    let (mut desk, _) = Place::take(folder, None).await.unwrap().open(&keys).await.unwrap();
    let path = folder.join(crate::state::place::FILE);
    let (inner, _) = SqliteState::take(&path).await.unwrap();
    desk.store = Box::new(Losing { inner: Some(inner), path, fates: fates.iter().copied().collect(), away });
    State { keys, writer: Writer::start(desk) }
}

async fn try_put(state: &State, name: &str, value: u64) -> Result<(), StateError> {
    let mut draft = state.draft();
    draft.put(name.to_owned(), &value).unwrap();
    state.commit(draft).await
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let fates = [Fate::Acknowledged, Fate::LostAfter, Fate::LostBefore, Fate::LostBefore, Fate::LostAfter];
    let state = losing(folder.path(), &fates, 2).await;
    let told = Arc::new(AtomicU64::new(0));
    for number in 0..5 {
        let mut draft = state.draft();
        draft.put(format!("n/{number}"), &number).unwrap();
        let told = Arc::clone(&told);
        draft.then(move || {
            told.fetch_add(1, Ordering::SeqCst);
        });
        state.commit(draft).await.unwrap();
    }
    assert_eq!(told.load(Ordering::SeqCst), 5, "what follows a commit follows it once");
    assert!(!state.is_away() && state.is_open());
    state.close().await;
    let (_state, loaded) = super::open(folder.path(), key(1)).await.unwrap();
    assert_eq!(loaded.values::<u64>("n/").unwrap(), [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn a_gateway_that_ends_waits_for_no_database() {
    let folder = tempfile::tempdir().unwrap();
    let state = Arc::new(losing(folder.path(), &[Fate::LostBefore], u32::MAX).await);
    let waiting = tokio::spawn({
        let state = Arc::clone(&state);
        async move { try_put(&state, "a", 1).await }
    });
    until(|| state.is_away()).await;
    assert!(!waiting.is_finished(), "told before it is stored");
    tokio::time::timeout(PATIENCE, state.close()).await.unwrap();
    assert!(matches!(waiting.await.unwrap(), Err(StateError::Broken)));
    assert!(!state.is_open());
}

#[tokio::test]
async fn a_fault_of_the_program_in_the_middle_of_a_commit_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (state, _) = super::open(folder.path(), key(1)).await.unwrap();
    let mut draft = state.draft();
    draft.put("a".to_owned(), &1).unwrap();
    draft.then(|| panic!("a fault of the program"));
    assert!(matches!(state.commit(draft).await, Err(StateError::Broken)));
    let why = tokio::time::timeout(PATIENCE, state.lost()).await.unwrap();
    assert!(why.contains("a fault of its own") && !state.is_open() && !state.is_away(), "{why}");
    // The state was let go of, and holds what was committed.
    let (_state, loaded) = super::open(folder.path(), key(1)).await.unwrap();
    assert_eq!(loaded.value("a").unwrap(), Some(1));
}

async fn until(reached: impl Fn() -> bool) {
    let reached = async {
        while !reached() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.unwrap();
}

async fn on_postgres(folder: &Path, cluster: &Cluster) -> State {
    let address = cluster.address().parse().unwrap();
    State::open(Place::take(folder, Some(&address)).await.unwrap(), key(1)).await.unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: cargo xtask test --only databases"]
async fn postgres_that_goes_and_comes_back_loses_nothing() {
    let (folder, cluster) = (tempfile::tempdir().unwrap(), Cluster::start().unwrap());
    let state = Arc::new(on_postgres(folder.path(), &cluster).await);
    let (done, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut lanes = tokio::task::JoinSet::new();
    for lane in 0..8_u64 {
        let (state, done, acknowledged) = (Arc::clone(&state), Arc::clone(&done), Arc::clone(&acknowledged));
        lanes.spawn(async move {
            let mut number = 0;
            while !done.load(Ordering::SeqCst) {
                try_put(&state, &format!("n/{lane}/{number:09}"), number).await.unwrap();
                acknowledged.fetch_add(1, Ordering::SeqCst);
                number += 1;
            }
            (lane, number)
        });
    }
    for _ in 0..3 {
        let before = acknowledged.load(Ordering::SeqCst);
        until(|| acknowledged.load(Ordering::SeqCst) > before + 20).await;
        cluster.crash().unwrap();
        until(|| state.is_away()).await;
        let while_away = acknowledged.load(Ordering::SeqCst);
        cluster.start_again().unwrap();
        until(|| acknowledged.load(Ordering::SeqCst) > while_away + 20).await;
        assert!(!state.is_away() && state.is_open());
    }
    done.store(true, Ordering::SeqCst);
    let lanes = lanes.join_all().await;
    state.close().await;
    let address = cluster.address().parse().unwrap();
    let place = Place::take(folder.path(), Some(&address)).await.unwrap();
    let (_state, loaded) = State::open(place, key(1)).await.unwrap();
    for (lane, count) in lanes {
        let stored = loaded.values::<u64>(&format!("n/{lane}/")).unwrap();
        assert!(stored.into_iter().eq(0..count), "lane {lane}");
    }
}

/// Changes the database behind the back of its gateway, and ends the gateway's session in the same moment. Gives why it stopped, whether
/// it `writes` next or only looks.
async fn stopped_after(change: &str, writes: bool) -> String {
    let (folder, cluster) = (tempfile::tempdir().unwrap(), Cluster::start().unwrap());
    let state = on_postgres(folder.path(), &cluster).await;
    try_put(&state, "a", 1).await.unwrap();
    let copies = "CREATE TABLE old_head AS SELECT * FROM state_head; CREATE TABLE old_rows AS SELECT * FROM state_rows";
    cluster.psql("vettid", copies).unwrap();
    try_put(&state, "a", 2).await.unwrap();
    try_put(&state, "b", 2).await.unwrap();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'vettid'";
    cluster.psql("vettid", &format!("{change}; {end}")).unwrap();
    if writes {
        let outcome = tokio::time::timeout(PATIENCE, try_put(&state, "a", 3)).await.unwrap();
        assert!(matches!(outcome, Err(StateError::Broken)) && !state.is_away(), "{outcome:?}");
    }
    until(|| !state.is_open()).await;
    state.lost().await.to_string()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: cargo xtask test --only databases"]
async fn postgres_that_another_took_over_meanwhile_is_left_alone_for_good() {
    for writes in [true, false] {
        let why = stopped_after("UPDATE state_head SET generation = generation + 1", writes).await;
        assert!(why.contains("another process has taken the state over"), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: cargo xtask test --only databases"]
async fn postgres_that_comes_back_with_less_or_something_else_is_not_used() {
    let rows = "DELETE FROM state_rows; INSERT INTO state_rows SELECT * FROM old_rows";
    let all = format!("{rows}; UPDATE state_head SET head = (SELECT head FROM old_head)");
    let why = stopped_after(&all, false).await;
    assert!(why.contains("without what was stored last"), "{why}");
    let why = stopped_after(rows, true).await;
    assert!(why.contains("removed, exchanged or brought back"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: cargo xtask test --only databases"]
async fn postgres_that_only_lost_the_session_goes_on() {
    let (folder, cluster) = (tempfile::tempdir().unwrap(), Cluster::start().unwrap());
    let state = on_postgres(folder.path(), &cluster).await;
    try_put(&state, "a", 1).await.unwrap();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'vettid'";
    cluster.psql("vettid", end).unwrap();
    // Nobody else gets in while it comes back, nor after.
    try_put(&state, "a", 2).await.unwrap();
    let (other, address) = (tempfile::tempdir().unwrap(), cluster.address().parse().unwrap());
    assert!(matches!(Place::take(other.path(), Some(&address)).await, Err(StateError::InUse)));
    state.close().await;
}

//! The move of a journal into a database: everything that was acknowledged, once, whenever the process is killed.

use super::{key, open, put};
use crate::state::journal::{self, JournalError, writing::Journal};
use crate::state::{Loaded, Place, State, StateError};
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use vettid_core::journal::{Changes, RecordKind};
use vettid_testkit::postgres::Cluster;

/// Names the folder for the process that moves.
const FOLDER: &str = "VETTID_TEST_STATE_FOLDER";
/// Names the address of the database that it moves to, if it is not a file.
const DATABASE: &str = "VETTID_TEST_STATE_ADDRESS";
const VALUES: u32 = 300;

/// A journal of several records, with values that were replaced and removed.
fn old(folder: &Path) {
    let mut journal = Journal::create(folder, key(1)).unwrap();
    for start in [0, 100, 200] {
        let values = start..start + 100;
        let changes = values.map(|number| journal.change(&format!("n/{number:03}"), number.to_string().as_bytes()));
        let changes = changes.collect();
        journal.append(changes).unwrap();
    }
    let (name, _) = journal.change("gone", b"1");
    let changes = Changes::from([journal.change("gone", b"1"), journal.change("last", b"1")]);
    journal.append(changes).unwrap();
    let changes = Changes::from([(name, None), journal.change("last", b"2")]);
    journal.append(changes).unwrap();
}

fn path(folder: &Path) -> PathBuf {
    folder.join("journal")
}

async fn open_at(folder: &Path, address: Option<&str>) -> Result<(State, Loaded), StateError> {
    let address = address.map(|address| address.parse().unwrap());
    State::open(Place::take(folder, address.as_ref()).await?, key(1)).await
}

async fn assert_whole(folder: &Path, address: Option<&str>) {
    let (state, loaded) = open_at(folder, address).await.unwrap();
    assert!(loaded.values::<u32>("n/").unwrap().into_iter().eq(0..VALUES));
    assert_eq!(loaded.value::<u32>("last").unwrap(), Some(2));
    assert_eq!(loaded.value::<u32>("gone").unwrap(), None);
    assert!(!journal::is_in(folder).unwrap());
    state.close().await;
}

#[tokio::test]
async fn a_journal_is_moved_at_the_first_start() {
    let folder = tempfile::tempdir().unwrap();
    old(folder.path());
    let bytes = fs::read(path(folder.path())).unwrap();
    // With another key nothing is moved.
    assert!(matches!(open(folder.path(), key(2)).await, Err(StateError::Journal(JournalError::Undecryptable))));
    assert_eq!(fs::read(path(folder.path())).unwrap(), bytes);
    assert_whole(folder.path(), None).await;
    assert_whole(folder.path(), None).await;
    // Nothing of the journal is left, and what is there is not taken for one.
    for entry in fs::read_dir(folder.path()).unwrap() {
        let present = fs::read(entry.unwrap().path()).unwrap();
        let is_there = |piece: &[u8]| present.windows(piece.len()).any(|window| window == piece);
        assert!(!bytes[8..].chunks_exact(1024).any(is_there));
    }
    assert!(matches!(journal::read(folder.path(), &key(1)), Err(JournalError::Undecryptable)));
}

#[tokio::test]
async fn a_journal_that_was_moved_is_taken_away_even_if_the_process_ended_before() {
    let folder = tempfile::tempdir().unwrap();
    old(folder.path());
    let bytes = fs::read(path(folder.path())).unwrap();
    let (state, _) = open(folder.path(), key(1)).await.unwrap();
    put(&state, "later", 7).await;
    state.close().await;
    // As it would be after a kill between the commit and the end of the move.
    fs::write(path(folder.path()), &bytes).unwrap();
    fs::write(folder.path().join("journal.new"), b"half").unwrap();
    assert_whole(folder.path(), None).await;
    let (state, loaded) = open(folder.path(), key(1)).await.unwrap();
    assert_eq!(loaded.value::<u32>("later").unwrap(), Some(7));
    state.close().await;
    // A journal that went on elsewhere is not the one that was moved.
    let other = tempfile::tempdir().unwrap();
    old(other.path());
    fs::copy(path(other.path()), path(folder.path())).unwrap();
    assert!(matches!(open(folder.path(), key(1)).await, Err(StateError::TwoStates)));
    assert!(journal::is_in(folder.path()).unwrap());
}

/// Kills a process that moves a journal, each time nearer to the moment at which the move counts; afterwards a start finds
/// everything. `database` gives a new one for each round.
async fn survives_kills(database: impl Fn(u32) -> Option<String>) {
    let original = tempfile::tempdir().unwrap();
    old(original.path());
    let bytes = fs::read(path(original.path())).unwrap();
    let (mut moved, mut not_moved, mut pause) = (0, 0, Duration::from_millis(10));
    for round in 0..24 {
        let folder = tempfile::tempdir().unwrap();
        fs::write(path(folder.path()), &bytes).unwrap();
        let address = database(round);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "state::tests::moving::a_process_that_moves", "--ignored"]);
        command.env(FOLDER, folder.path()).stdout(Stdio::null());
        if let Some(address) = &address {
            command.env(DATABASE, address);
        }
        let mut child = command.spawn().unwrap();
        tokio::time::sleep(pause).await;
        child.kill().unwrap();
        child.wait().unwrap();
        if journal::is_in(folder.path()).unwrap() {
            (not_moved, pause) = (not_moved + 1, pause.mul_f64(1.6));
            assert_eq!(fs::read(path(folder.path())).unwrap(), bytes);
        } else {
            (moved, pause) = (moved + 1, pause.mul_f64(0.75));
        }
        assert_whole(folder.path(), address.as_deref()).await;
    }
    assert!(moved > 0 && not_moved > 0, "{moved} {not_moved}");
}

#[tokio::test]
async fn a_move_that_is_killed_is_made_at_the_next_start() {
    survives_kills(|_| None).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test --only databases"]
async fn postgres_a_move_that_is_killed_is_made_at_the_next_start() {
    let cluster = Cluster::start().unwrap();
    survives_kills(|round| Some(cluster.schema(&format!("round_{round}")).unwrap())).await;
}

/// Opens a state and thereby moves it.
#[tokio::test]
#[ignore = "not a test: the process that the test of kills starts"]
#[expect(clippy::disallowed_methods, reason = "speaks to the test that started it")]
async fn a_process_that_moves() {
    let (folder, address) = (std::env::var_os(FOLDER).unwrap(), std::env::var(DATABASE).ok());
    let (state, _) = open_at(Path::new(&folder), address.as_deref()).await.unwrap();
    state.close().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test --only databases"]
async fn postgres_takes_a_state_over_from_a_file() {
    let cluster = Cluster::start().unwrap();
    let address = cluster.address();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.sqlite");
    old(folder.path());
    assert_whole(folder.path(), None).await;
    let before = fs::read(&file).unwrap();
    // With another key nothing is moved.
    let wrong = Place::take(folder.path(), Some(&address.parse().unwrap())).await.unwrap();
    assert!(wrong.holds_state());
    assert!(matches!(State::open(wrong, key(2)).await, Err(StateError::Undecryptable)));
    assert!(file.exists());
    assert_whole(folder.path(), Some(&address)).await;
    assert!(!file.exists());
    // A configuration that forgot the server does not begin anew.
    assert!(matches!(open(folder.path(), key(1)).await, Err(StateError::Elsewhere)));
    // As after a kill between the commit and the end of the move.
    fs::write(&file, &before).unwrap();
    assert_whole(folder.path(), Some(&address)).await;
    assert!(!file.exists());
    // Nor does one begin anew whose database was emptied.
    cluster.psql("vettid", "CREATE TABLE kept AS TABLE state_rows; DELETE FROM state_rows").unwrap();
    assert!(matches!(open_at(folder.path(), Some(&address)).await, Err(StateError::Mixed)));
    cluster.psql("vettid", "CREATE TABLE top AS TABLE state_head; UPDATE state_head SET head = NULL").unwrap();
    assert!(matches!(open_at(folder.path(), Some(&address)).await, Err(StateError::Vanished)));
    let back = "INSERT INTO state_rows TABLE kept; UPDATE state_head SET head = (SELECT head FROM top)";
    cluster.psql("vettid", back).unwrap();
    assert_whole(folder.path(), Some(&address)).await;
    // A file that went on by itself is not the one that was moved.
    fs::write(&file, &before).unwrap();
    fs::remove_file(folder.path().join("postgres")).unwrap();
    let (state, _) = open(folder.path(), key(1)).await.unwrap();
    put(&state, "later", 1).await;
    state.close().await;
    assert!(matches!(open_at(folder.path(), Some(&address)).await, Err(StateError::TwoStates)));
    assert!(file.exists());
}

/// A journal of five records, and its bytes.
fn five() -> (tempfile::TempDir, Vec<u8>, Vec<usize>) {
    let folder = tempfile::tempdir().unwrap();
    let mut file = Journal::create(folder.path(), key(1)).unwrap();
    let mut ends = Vec::new();
    for number in 1..=5_u8 {
        let changes = Changes::from([file.change("last", &[number])]);
        file.append(changes).unwrap();
        ends.push(usize::try_from(fs::metadata(path(folder.path())).unwrap().len()).unwrap());
    }
    let bytes = fs::read(path(folder.path())).unwrap();
    (folder, bytes, ends)
}

fn read(folder: &Path, bytes: &[u8]) -> Result<Option<u8>, JournalError> {
    fs::write(path(folder), bytes).unwrap();
    let (_, values) = journal::read(folder, &key(1))?;
    Ok(values.get("last").map(|value| value.expose()[0]))
}

#[test]
fn a_cut_at_any_byte_leaves_the_whole_records() {
    let (folder, bytes, ends) = five();
    for cut in 0..=bytes.len() {
        let whole = ends.iter().filter(|&&end| end <= cut).count();
        let last = read(folder.path(), &bytes[..cut]).unwrap();
        assert_eq!(last, u8::try_from(whole).ok().filter(|&count| count > 0), "{cut}");
    }
    let padded = [bytes.as_slice(), &[0; 4096]].concat();
    assert_eq!(read(folder.path(), &padded).unwrap(), Some(5));
}

#[test]
fn a_record_taken_out_or_moved_is_found() {
    let (folder, bytes, ends) = five();
    let without = [&bytes[..ends[0]], &bytes[ends[1]..]].concat();
    assert!(matches!(read(folder.path(), &without), Err(JournalError::Broken(_))));
    let swapped = [&bytes[..ends[0]], &bytes[ends[1]..ends[2]], &bytes[ends[0]..ends[1]], &bytes[ends[2]..]].concat();
    assert!(matches!(read(folder.path(), &swapped), Err(JournalError::Broken(_))));
    assert!(read(folder.path(), &bytes[ends[0]..]).is_err());
}

#[test]
fn a_journal_may_begin_with_a_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = Journal::create(folder.path(), key(1)).unwrap();
    let changes = Changes::from([file.change("last", &[9])]);
    file.write(RecordKind::Snapshot, changes).unwrap();
    let bytes = fs::read(path(folder.path())).unwrap();
    assert_eq!(read(folder.path(), &bytes).unwrap(), Some(9));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn a_changed_byte_never_yields_a_value_that_was_not_written(place: usize, flip in 1..=255_u8) {
        let (folder, mut bytes, ends) = five();
        let place = place % bytes.len();
        bytes[place] ^= flip;
        // Only the tail may be taken for the trace of a crash.
        if let Ok(last) = read(folder.path(), &bytes) {
            prop_assert!(place >= ends[3] && last == Some(4), "{place} {last:?}");
        }
    }
}

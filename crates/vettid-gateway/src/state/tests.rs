//! The state: what was acknowledged is there after any cut, and nothing else is believed.

mod kills;
mod losses;
mod measure;
mod moving;

use super::*;
use std::fs;
use std::path::Path;
use vettid_crypto::secret::Secret32;
use vettid_store::state::sqlite::SqliteState;
use vettid_store::state::{Contents, RowChanges, StateStore as _};

fn key(byte: u8) -> StorageKey {
    StorageKey::from_secret(Secret32::from_bytes([byte; 32]))
}

async fn open(folder: &Path, key: StorageKey) -> Result<(State, Loaded), StateError> {
    State::open(Place::take(folder, None).await?, key).await
}

async fn put(state: &State, name: &str, value: u32) {
    let mut draft = state.draft();
    draft.put(name.to_owned(), &value).unwrap();
    state.commit(draft).await.unwrap();
}

async fn look(folder: &Path) -> Contents {
    SqliteState::look(&folder.join(place::FILE)).await.unwrap()
}

/// Brings a file to other contents behind the back of its gateway.
async fn forge(folder: &Path, wanted: &Contents) {
    let (mut store, present) = SqliteState::take(&folder.join(place::FILE)).await.unwrap();
    let mut changes: RowChanges = present.rows.into_keys().map(|name| (name, None)).collect();
    changes.extend(wanted.rows.iter().map(|(name, sealed)| (*name, Some(sealed.clone()))));
    store.commit(wanted.head.as_deref().unwrap(), &changes).await.unwrap();
    Box::new(store).close().await.unwrap();
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    assert!(!Place::take(folder.path(), None).await.unwrap().holds_state());
    let (state, loaded) = open(folder.path(), key(1)).await.unwrap();
    assert_eq!(loaded.values::<u32>("a/").unwrap(), Vec::<u32>::new());
    put(&state, "a/1", 1).await;
    put(&state, "a/2", 2).await;
    put(&state, "b/1", 3).await;
    let mut draft = state.draft();
    draft.remove("a/1".to_owned());
    draft.put("a/3".to_owned(), &4).unwrap();
    state.commit(draft).await.unwrap();
    state.close().await;
    assert!(!state.is_open());
    let place = Place::take(folder.path(), None).await.unwrap();
    assert!(place.holds_state());
    let (_state, loaded) = State::open(place, key(1)).await.unwrap();
    assert_eq!(loaded.values::<u32>("a/").unwrap(), [2, 4]);
    assert_eq!(loaded.value::<u32>("b/1").unwrap(), Some(3));
    assert!(matches!(loaded.value::<String>("b/1"), Err(StateError::Unreadable(_))));
}

#[tokio::test]
async fn one_process_at_a_time_and_one_key() {
    let folder = tempfile::tempdir().unwrap();
    let (state, _) = open(folder.path(), key(1)).await.unwrap();
    put(&state, "a", 1).await;
    assert!(matches!(open(folder.path(), key(1)).await, Err(StateError::InUse)));
    state.close().await;
    assert!(matches!(open(folder.path(), key(2)).await, Err(StateError::Undecryptable)));
    assert!(open(folder.path(), key(1)).await.is_ok());
}

#[tokio::test]
async fn many_commits_at_once_are_all_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (state, _) = open(folder.path(), key(1)).await.unwrap();
    let state = Arc::new(state);
    let text = "x".repeat(20_000);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..400 {
        let (state, text) = (Arc::clone(&state), text.clone());
        tasks.spawn(async move {
            let mut draft = state.draft();
            draft.put(format!("n/{:03}", number % 200), &(number, text)).unwrap();
            state.commit(draft).await.unwrap();
        });
    }
    tasks.join_all().await;
    state.close().await;
    let (_state, loaded) = open(folder.path(), key(1)).await.unwrap();
    let mut numbers: Vec<_> =
        loaded.values::<(u32, String)>("n/").unwrap().into_iter().map(|(number, _)| number % 200).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..200));
}

#[tokio::test]
async fn what_is_purged_is_gone_from_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let (state, _) = open(folder.path(), key(1)).await.unwrap();
    let mut draft = state.draft();
    draft.put("value/address".to_owned(), &"Elm 1".repeat(2_000)).unwrap();
    draft.put("value/email".to_owned(), &"a@b".to_owned()).unwrap();
    state.commit(draft).await.unwrap();
    // Replaced by an ordinary commit: that may leave the former content in the files.
    let mut draft = state.draft();
    draft.put("value/address".to_owned(), &"Elm 2".repeat(2_000)).unwrap();
    let former = look(folder.path()).await;
    state.commit(draft).await.unwrap();
    let before = look(folder.path()).await;
    let mut draft = state.draft();
    draft.remove("value/address".to_owned());
    let name = state.keys.name("value/address");
    assert!(is_in_a_file(folder.path(), &before.rows[&name]));
    state.purge(draft).await.unwrap();
    for sealed in [&former.rows[&name], &before.rows[&name]] {
        assert!(!is_in_a_file(folder.path(), sealed));
    }
    assert!(is_in_a_file(folder.path(), &before.rows[&state.keys.name("value/email")]));
    state.close().await;
    let (_state, loaded) = open(folder.path(), key(1)).await.unwrap();
    assert_eq!(loaded.values::<String>("value/").unwrap(), ["a@b"]);
}

/// Whether any piece of these bytes is in a file of the folder; what every sealed value begins with does not count.
fn is_in_a_file(folder: &Path, sealed: &[u8]) -> bool {
    let files = fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
    let has = |file: &Vec<u8>| {
        let mut pieces = sealed[8..].chunks_exact(64);
        pieces.any(|piece| file.windows(piece.len()).any(|window| window == piece))
    };
    files.collect::<Vec<_>>().iter().any(has)
}

#[tokio::test]
async fn a_reader_of_the_database_learns_no_key_and_no_length() {
    let folder = tempfile::tempdir().unwrap();
    let (state, _) = open(folder.path(), key(1)).await.unwrap();
    let mut draft = state.draft();
    draft.put("connection/alice".to_owned(), &"short".to_owned()).unwrap();
    draft.put("connection/bob".to_owned(), &"a little longer than the other one".to_owned()).unwrap();
    state.commit(draft).await.unwrap();
    let contents = look(folder.path()).await;
    let lengths: Vec<_> = contents.rows.values().map(Vec::len).collect();
    assert_eq!(lengths[0], lengths[1]);
    // Another gateway with the same members has other names for them.
    let other = tempfile::tempdir().unwrap();
    let (second, _) = open(other.path(), key(2)).await.unwrap();
    put(&second, "connection/alice", 1).await;
    assert!(look(other.path()).await.rows.keys().all(|name| !contents.rows.contains_key(name)));
    for place in [folder.path(), other.path()] {
        for entry in fs::read_dir(place).unwrap() {
            let bytes = fs::read(entry.unwrap().path()).unwrap();
            for word in ["connection", "alice", "short", "longer"] {
                assert!(!bytes.windows(word.len()).any(|window| window == word.as_bytes()), "{word}");
            }
        }
    }
}

#[tokio::test]
async fn rows_that_do_not_belong_together_stop_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let (state, _) = open(folder.path(), key(1)).await.unwrap();
    put(&state, "a", 1).await;
    put(&state, "b", 1).await;
    let old = look(folder.path()).await;
    put(&state, "a", 2).await;
    put(&state, "c", 2).await;
    let new = look(folder.path()).await;
    let name = |text: &str| state.keys.name(text);
    state.close().await;

    let mut cases: Vec<(&str, Contents)> = Vec::new();
    let mut case = |what, change: &dyn Fn(&mut Contents)| {
        let mut contents = new.clone();
        change(&mut contents);
        cases.push((what, contents));
    };
    case("one row of before", &|contents| drop(contents.rows.insert(name("a"), old.rows[&name("a")].clone())));
    case("a row taken out", &|contents| drop(contents.rows.remove(&name("c"))));
    case("the head of before", &|contents| contents.head.clone_from(&old.head));
    case("the rows of before", &|contents| contents.rows.clone_from(&old.rows));
    for (what, contents) in cases {
        forge(folder.path(), &contents).await;
        assert!(matches!(open(folder.path(), key(1)).await, Err(StateError::Mixed)), "{what}");
    }
    // A content in the place of another one does not even open.
    let mut moved = new.clone();
    moved.rows.insert(name("a"), new.rows[&name("c")].clone());
    forge(folder.path(), &moved).await;
    assert!(matches!(open(folder.path(), key(1)).await, Err(StateError::Undecryptable)));
    // Nor does a head in the place of a row, and a state without any head is not a new one.
    forge(folder.path(), &new).await;
    let (_state, loaded) = open(folder.path(), key(1)).await.unwrap();
    assert_eq!((loaded.value("a").unwrap(), loaded.value("c").unwrap()), (Some(2), Some(2)));
}

#[tokio::test]
async fn a_gateway_that_was_overtaken_writes_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let (state, _) = open(folder.path(), key(1)).await.unwrap();
    put(&state, "a", 1).await;
    // As if the lock had been lost: on a file system that forgets locks, for example.
    fs::remove_file(folder.path().join("lock")).unwrap();
    let (second, loaded) = open(folder.path(), key(1)).await.unwrap();
    assert_eq!(loaded.value("a").unwrap(), Some(1));
    let mut draft = state.draft();
    draft.put("a".to_owned(), &2).unwrap();
    let told = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let tell = Arc::clone(&told);
    draft.then(move || tell.store(true, std::sync::atomic::Ordering::SeqCst));
    assert!(matches!(state.commit(draft).await, Err(StateError::Broken)));
    assert!(!told.load(std::sync::atomic::Ordering::SeqCst) && !state.is_open());
    put(&second, "b", 3).await;
    second.close().await;
    let (_state, loaded) = open(folder.path(), key(1)).await.unwrap();
    assert_eq!((loaded.value("a").unwrap(), loaded.value("b").unwrap()), (Some(1), Some(3)));
}

#[tokio::test]
async fn a_gateway_that_was_overtaken_notices_it_without_writing() {
    let folder = tempfile::tempdir().unwrap();
    let (state, _) = open(folder.path(), key(1)).await.unwrap();
    SqliteState::take(&folder.path().join(place::FILE)).await.unwrap();
    let noticed = async {
        while state.is_open() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), noticed).await.unwrap();
}

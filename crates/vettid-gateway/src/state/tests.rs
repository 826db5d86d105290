//! The state: what was acknowledged is there after any cut, and nothing else is believed.

use super::*;
use proptest::prelude::*;
use std::fs;
use vettid_crypto::secret::Secret32;

fn key(byte: u8) -> StorageKey {
    StorageKey::from_secret(Secret32::from_bytes([byte; 32]))
}

async fn put(state: &State, name: &str, value: u32) {
    let mut draft = state.draft();
    draft.put(name.to_owned(), &value).unwrap();
    state.commit(draft).await.unwrap();
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (state, loaded) = State::open(folder.path(), key(1)).unwrap();
    assert_eq!(loaded.values::<u32>("a/").unwrap(), Vec::<u32>::new());
    put(&state, "a/1", 1).await;
    put(&state, "a/2", 2).await;
    put(&state, "b/1", 3).await;
    let mut draft = state.draft();
    draft.remove("a/1".to_owned());
    draft.put("a/3".to_owned(), &4).unwrap();
    state.commit(draft).await.unwrap();
    state.close().await;
    drop(state);
    let (_state, loaded) = State::open(folder.path(), key(1)).unwrap();
    assert_eq!(loaded.values::<u32>("a/").unwrap(), [2, 4]);
    assert_eq!(loaded.value::<u32>("b/1").unwrap(), Some(3));
    assert!(matches!(loaded.value::<String>("b/1"), Err(StateError::Unreadable(_))));
}

#[tokio::test]
async fn one_process_at_a_time_and_one_key() {
    let folder = tempfile::tempdir().unwrap();
    let (state, _) = State::open(folder.path(), key(1)).unwrap();
    put(&state, "a", 1).await;
    assert!(matches!(State::open(folder.path(), key(1)), Err(StateError::InUse)));
    state.close().await;
    drop(state);
    let wrong = State::open(folder.path(), key(2));
    assert!(matches!(wrong, Err(StateError::Journal(JournalError::Undecryptable))));
    assert!(State::open(folder.path(), key(1)).is_ok());
}

#[tokio::test]
async fn a_value_in_the_place_of_another_does_not_open() {
    let folder = tempfile::tempdir().unwrap();
    let (state, _) = State::open(folder.path(), key(1)).unwrap();
    let mut draft = state.draft();
    draft.put("a".to_owned(), &1).unwrap();
    let moved = draft.changes.remove("a").unwrap();
    draft.changes.insert("b".to_owned(), moved);
    state.commit(draft).await.unwrap();
    state.close().await;
    drop(state);
    let (_state, loaded) = State::open(folder.path(), key(1)).unwrap();
    assert!(matches!(loaded.value::<u32>("b"), Err(StateError::Unreadable(_))));
}

#[tokio::test]
async fn many_commits_at_once_are_all_kept_and_the_file_is_rewritten() {
    let folder = tempfile::tempdir().unwrap();
    let (state, _) = State::open(folder.path(), key(1)).unwrap();
    let state = Arc::new(state);
    let text = "x".repeat(20_000);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..400 {
        let (state, text) = (Arc::clone(&state), text.clone());
        tasks.spawn(async move {
            let mut draft = state.draft();
            draft.put(format!("n/{:03}", number % 20), &(number, text)).unwrap();
            state.commit(draft).await.unwrap();
        });
    }
    tasks.join_all().await;
    state.close().await;
    drop(state);
    let bytes = fs::metadata(folder.path().join("journal")).unwrap().len();
    assert!(bytes < 400 * 20_000, "{bytes}");
    let (_state, loaded) = State::open(folder.path(), key(1)).unwrap();
    assert_eq!(loaded.values::<(u32, String)>("n/").unwrap().len(), 20);
}

/// Whatever the file holds, opened with its key and read record by record.
fn everything_in(folder: &Path) -> String {
    let (_, values) = JournalFile::open(folder, Arc::new(key(1))).unwrap();
    let loaded = Loaded { key: Arc::new(key(1)), sealed: values };
    loaded.values::<String>("value/").unwrap().join(" ")
}

#[tokio::test]
async fn what_is_purged_is_gone_from_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let (state, _) = State::open(folder.path(), key(1)).unwrap();
    let mut draft = state.draft();
    draft.put("value/address".to_owned(), &"Elm 1".to_owned()).unwrap();
    draft.put("value/email".to_owned(), &"a@b".to_owned()).unwrap();
    state.commit(draft).await.unwrap();
    let before = fs::read(folder.path().join("journal")).unwrap();
    let mut draft = state.draft();
    draft.remove("value/address".to_owned());
    state.purge(draft).await.unwrap();
    // No piece of the record that held it is in any file of the folder; 36 bytes at the beginning of each are the same.
    for entry in fs::read_dir(folder.path()).unwrap() {
        let present = fs::read(entry.unwrap().path()).unwrap();
        let is_there = |piece: &[u8]| present.windows(piece.len()).any(|window| window == piece);
        assert!(!before[8..].chunks_exact(64).any(is_there));
    }
    state.close().await;
    drop(state);
    assert_eq!(everything_in(folder.path()), "a@b");
}

/// A journal of five records, and its bytes.
fn five() -> (tempfile::TempDir, Vec<u8>, Vec<usize>) {
    let folder = tempfile::tempdir().unwrap();
    let (mut file, _) = JournalFile::open(folder.path(), Arc::new(key(1))).unwrap();
    let path = folder.path().join("journal");
    let mut ends = Vec::new();
    for number in 1..=5_u8 {
        file.append(Changes::from([("last".to_owned(), Some(vec![number]))])).unwrap();
        ends.push(usize::try_from(fs::metadata(&path).unwrap().len()).unwrap());
    }
    let bytes = fs::read(path).unwrap();
    (folder, bytes, ends)
}

fn reopened(folder: &Path, bytes: &[u8]) -> Result<Option<u8>, JournalError> {
    fs::write(folder.join("journal"), bytes).unwrap();
    let (_, values) = JournalFile::open(folder, Arc::new(key(1)))?;
    Ok(values.get("last").map(|value| value[0]))
}

#[test]
fn a_cut_at_any_byte_leaves_the_whole_records() {
    let (folder, bytes, ends) = five();
    for cut in 0..=bytes.len() {
        let whole = ends.iter().filter(|&&end| end <= cut).count();
        let last = reopened(folder.path(), &bytes[..cut]).unwrap();
        assert_eq!(last, u8::try_from(whole).ok().filter(|&count| count > 0), "{cut}");
        let kept = fs::metadata(folder.path().join("journal")).unwrap().len();
        assert_eq!(kept, whole.checked_sub(1).map_or(0, |index| ends[index]) as u64, "{cut}");
    }
    let padded = [bytes.as_slice(), &[0; 4096]].concat();
    assert_eq!(reopened(folder.path(), &padded).unwrap(), Some(5));
}

#[test]
fn a_record_taken_out_or_moved_stops_the_start() {
    let (folder, bytes, ends) = five();
    let without = [&bytes[..ends[0]], &bytes[ends[1]..]].concat();
    assert!(matches!(reopened(folder.path(), &without), Err(JournalError::Broken(_))));
    let swapped = [&bytes[..ends[0]], &bytes[ends[1]..ends[2]], &bytes[ends[0]..ends[1]], &bytes[ends[2]..]].concat();
    assert!(matches!(reopened(folder.path(), &swapped), Err(JournalError::Broken(_))));
    let headless = &bytes[ends[0]..];
    assert!(reopened(folder.path(), headless).is_err());
}

#[test]
fn an_interrupted_rewrite_leaves_the_old_file_in_force() {
    let (folder, bytes, _) = five();
    fs::write(folder.path().join("journal.new"), b"half").unwrap();
    assert_eq!(reopened(folder.path(), &bytes).unwrap(), Some(5));
    assert!(!folder.path().join("journal.new").exists());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn a_changed_byte_never_yields_a_value_that_was_not_written(place: usize, flip in 1..=255_u8) {
        let (folder, mut bytes, ends) = five();
        let place = place % bytes.len();
        bytes[place] ^= flip;
        // Only the tail may be taken for the trace of a crash.
        if let Ok(last) = reopened(folder.path(), &bytes) {
            prop_assert!(place >= ends[3] && last == Some(4), "{place} {last:?}");
        }
    }
}

//! Files from app to app over two vaults: what is lost, repeated, wrong or asked for by somebody without a right, how much is kept, and
//! that nothing stays of what went.

use crate::app::random_bytes;
use crate::messages::{list, state as message_state};
use crate::node::Crash;
use crate::town::{ALICE, BOB, DAY_MS, Faults, MINUTE_MS, Town};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use vettid_core::channel::Channel;
use vettid_crypto::file::{PieceCipher, fresh_key, piece_hash};
use vettid_crypto::kdf::h256;
use vettid_vault::file::{MOST_BYTES_OF_CONNECTION, OFFERED_FOR_MS, PREPARED_FOR_MS, SWEPT_EVERY_MS};
use vettid_vault::outbox::Post;
use vettid_wire::base64::Base64;
use vettid_wire::connection::ConnectionView;
use vettid_wire::digest::Digest;
use vettid_wire::envelope::Content;
use vettid_wire::file::{
    BeginFile, FETCHED_AT_ONCE_BYTES, FileBegun, FileList, FileManifest, FilePiece, FileProblem, FileState, FileView,
    PIECE_BYTES, PieceBytes, UploadStatus,
};
use vettid_wire::id::{ConnectionId, EventId, FileId};
use vettid_wire::messaging::{MessageState, SendText, Sent};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::subject::Subject;

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n * 7 % 253) as u8).collect()
}

/// What an app says of a file before it sends it.
fn begin(town: &mut Town, id: ConnectionId, content: &[u8]) -> Result<(BeginFile, FileBegun), RefusalCode> {
    let asked = BeginFile {
        connection_id: id,
        name: "report.pdf".into(),
        media_type: "application/pdf".into(),
        size_bytes: content.len() as u64,
        sha256: Digest::from_bytes(h256(content)),
        key: fresh_key(&mut town.rng),
    };
    let begun: FileBegun = town.ask(ALICE, "file.begin", &asked)?;
    Ok((asked, begun))
}

/// Alice's app hands over what her vault does not have; gives the manifest.
fn prepare(town: &mut Town, id: ConnectionId, content: &[u8]) -> FileManifest {
    let (asked, FileBegun { file_id, key }) = begin(town, id, content).unwrap();
    let cipher = PieceCipher::new(&key);
    let parts: Vec<&[u8]> = content.chunks(PIECE_BYTES).collect();
    let sealed = |index: usize| cipher.seal(index as u32, index + 1 == parts.len(), parts[index]);
    for index in missing(town, file_id) {
        let bytes = Base64::new(sealed(index as usize));
        let _: Value = town.ask(ALICE, "file.put", FilePiece { file_id, index, bytes }).unwrap();
    }
    assert_eq!(missing(town, file_id), [0u32; 0]);
    let pieces = (0..parts.len()).map(|index| piece_hash(&sealed(index))).collect();
    let BeginFile { name, media_type, size_bytes, sha256, .. } = asked;
    FileManifest { file_id, name, media_type, size_bytes, sha256, key, pieces }
}

fn missing(town: &mut Town, file_id: FileId) -> Vec<u32> {
    town.ask::<UploadStatus>(ALICE, "file.upload.status", json!({"file_id": file_id})).unwrap().missing
}

fn message(id: ConnectionId, manifest: &FileManifest) -> SendText {
    SendText { file: Some(manifest.clone()), ..SendText::new(id, "") }
}

fn send(town: &mut Town, id: ConnectionId, content: &[u8]) -> (EventId, FileManifest) {
    let manifest = prepare(town, id, content);
    let sent: Sent = town.ask(ALICE, "messaging.send", message(id, &manifest)).unwrap();
    (sent.message_id, manifest)
}

fn view(town: &mut Town, who: usize, id: ConnectionId, message_id: EventId) -> FileView {
    town.ask(who, "file.status", json!({"connection_id": id, "message_id": message_id})).unwrap()
}

fn state(town: &mut Town, who: usize, id: ConnectionId, message_id: EventId) -> FileState {
    view(town, who, id, message_id).state
}

/// Bob's app reads the file from his vault, and checks and opens it.
fn read(town: &mut Town, id: ConnectionId, message_id: EventId) -> Vec<u8> {
    let named = json!({"connection_id": id, "message_id": message_id});
    let manifest: FileManifest = town.ask(BOB, "file.get", named).unwrap();
    let (cipher, mut content) = (PieceCipher::new(&manifest.key), Vec::new());
    for (index, hash) in manifest.pieces.iter().enumerate() {
        let asked = json!({"connection_id": id, "message_id": message_id, "index": index});
        let piece: PieceBytes = town.ask(BOB, "file.piece.get", asked).unwrap();
        assert_eq!(piece_hash(piece.bytes.as_bytes()), *hash);
        let is_last = index + 1 == manifest.pieces.len();
        content.extend_from_slice(cipher.open(index as u32, is_last, piece.bytes.as_bytes()).unwrap().expose());
    }
    assert_eq!(manifest.sha256.as_bytes(), &h256(&content));
    content
}

/// Time passes until Bob's vault has the file.
fn arrives(town: &mut Town, id: ConnectionId, message_id: EventId) {
    for _ in 0..2_000 {
        town.run_a_while();
        let key = format!("file/in/{id}/{message_id}");
        let stored = town.nodes[BOB].vault.state().all().get(&key).cloned().flatten();
        if stored.is_some_and(|stored| String::from_utf8_lossy(&stored).contains("\"state\":\"here\"")) {
            return;
        }
    }
    panic!("the file does not arrive");
}

/// Names of the posts between the vaults since then.
fn left(posts: &[Post], name: &str) -> usize {
    let is_named = |post: &&Post| matches!(&post.subject, Subject::ForOwner(_, _, event) if event.as_str() == name);
    posts.iter().filter(is_named).count()
}

/// What a vault that follows no rules says to the other one on their connection.
fn forge(town: &mut Town, from: usize, id: ConnectionId, name: &str, body: impl Serialize) -> (Subject, Vec<u8>) {
    let to = town.nodes[1 - from].guid;
    let key = format!("channel/connection/{id}");
    let stored = town.nodes[from].vault.state().all().get(&key).cloned().flatten().unwrap();
    let mut channel: Channel = serde_json::from_slice(&stored).unwrap();
    let (event_id, event_type) = (EventId::v7(town.now, random_bytes(&mut town.rng)), name.parse().unwrap());
    let subject = Subject::ForOwner(to, id, name.parse().unwrap());
    let content = Content { body, to_incarnation: 1, in_reply_to: None, expires_at: None };
    let bytes = channel.seal(town.now, &mut town.rng, &subject, event_id, &event_type, &content).unwrap();
    (subject, bytes)
}

/// What the store of a vault holds in bytes.
fn stored(town: &Town, who: usize) -> usize {
    town.nodes[who].pieces.values().map(Vec::len).sum()
}

/// What the vault counts as taken.
fn counted(town: &Town, who: usize) -> Value {
    let all = town.nodes[who].vault.state().all();
    let room = all.get("file/room_of_all").cloned().flatten().unwrap();
    serde_json::from_slice(&room).unwrap()
}

#[test]
fn a_file_goes_from_app_to_app_and_no_piece_is_a_commit() {
    let mut town = Town::settled(300);
    let id = town.connect();
    let content = content(3 * PIECE_BYTES + 5);
    let commits = town.nodes[ALICE].commits();
    let (message, manifest) = send(&mut town, id, &content);
    assert!(town.nodes[ALICE].commits() - commits <= 4, "begin and message, not pieces");
    assert_eq!(state(&mut town, ALICE, id, message), FileState::OnItsWay);
    town.run();
    let here = view(&mut town, BOB, id, message);
    assert_eq!((here.state, here.pieces_there, here.pieces), (FileState::Here, 4, 4));
    assert_eq!(read(&mut town, id, message), content);
    assert_eq!(message_state(&mut town, ALICE, id, message), MessageState::Delivered);
    let listed = &list(&mut town, BOB, id).messages[0];
    assert_eq!((&listed.file, listed.text.as_str()), (&Some(manifest.summary()), ""));
    let files: FileList = town.ask(BOB, "file.list", json!({"connection_id": id})).unwrap();
    assert_eq!(files.files, [here]);
    // The sender is told, and keeps no pieces.
    assert_eq!(state(&mut town, ALICE, id, message), FileState::Here);
    assert_eq!((stored(&town, ALICE), counted(&town, ALICE)), (0, json!({"bytes": 0, "files": 0})));
    assert_eq!(counted(&town, BOB), json!({"bytes": stored(&town, BOB), "files": 1}));
    let told =
        |entries: Vec<vettid_wire::feed::FeedEntry>| entries.iter().any(|e| e.summary == "A file from Alice is here");
    assert!(told(town.feed(BOB).entries));
    assert_eq!(left(&town.log.clone(), "file.ask"), 4, "each piece is asked for once");
    [ALICE, BOB].into_iter().for_each(|who| town.check(who));
}

#[test]
fn an_empty_file_is_a_file() {
    let mut town = Town::settled(301);
    let id = town.connect();
    let (asked, FileBegun { file_id, key }) = begin(&mut town, id, &[]).unwrap();
    let sealed = PieceCipher::new(&key).seal(0, true, &[]);
    let pieces = vec![piece_hash(&sealed)];
    let piece = FilePiece { file_id, index: 0, bytes: Base64::new(sealed) };
    let _: Value = town.ask(ALICE, "file.put", piece).unwrap();
    let BeginFile { name, media_type, size_bytes, sha256, .. } = asked;
    let manifest = FileManifest { file_id, name, media_type, size_bytes, sha256, key, pieces };
    let sent: Sent = town.ask(ALICE, "messaging.send", message(id, &manifest)).unwrap();
    town.run();
    assert_eq!(read(&mut town, id, sent.message_id), [0u8; 0]);
}

#[test]
fn whatever_the_network_and_the_processes_do_the_file_arrives_whole() {
    for seed in 310..312 {
        let mut town = Town::settled(seed);
        let id = town.connect();
        let content = content(6 * PIECE_BYTES + 1);
        town.faults = Faults { lose: 20, repeat: 30, crash: 10, reorder: true };
        let (message, _) = send(&mut town, id, &content);
        arrives(&mut town, id, message);
        town.faults = Faults::default();
        town.run();
        assert_eq!(read(&mut town, id, message), content);
        assert_eq!(state(&mut town, ALICE, id, message), FileState::Here);
        [ALICE, BOB].into_iter().for_each(|who| town.check(who));
    }
}

#[test]
fn an_interrupted_upload_goes_on_at_the_missing_pieces() {
    let mut town = Town::settled(320);
    let id = town.connect();
    let content = content(3 * PIECE_BYTES);
    let (_, first) = begin(&mut town, id, &content).unwrap();
    let cipher = PieceCipher::new(&first.key);
    let bytes = Base64::new(cipher.seal(1, false, &content[PIECE_BYTES..2 * PIECE_BYTES]));
    let piece = FilePiece { file_id: first.file_id, index: 1, bytes };
    let _: Value = town.ask(ALICE, "file.put", &piece).unwrap();
    let _: Value = town.ask(ALICE, "file.put", &piece).unwrap();
    town.nodes[ALICE].crash();
    let (_, again) = begin(&mut town, id, &content).unwrap();
    assert_eq!(again, first, "same file, same key");
    assert_eq!(missing(&mut town, first.file_id), [0, 2]);
    let short = FilePiece { bytes: Base64::new(vec![0; 7]), ..piece.clone() };
    assert_eq!(town.ask::<Value>(ALICE, "file.put", short), Err(RefusalCode::InvalidRequest));
    let beyond = FilePiece { index: 3, ..piece };
    assert_eq!(town.ask::<Value>(ALICE, "file.put", beyond), Err(RefusalCode::InvalidRequest));
    // Nothing is sent that is not whole, and nothing that is not what was prepared.
    let pieces = vec![first_hash(); 3];
    let mut manifest = FileManifest {
        file_id: first.file_id,
        name: "report.pdf".into(),
        media_type: "application/pdf".into(),
        size_bytes: content.len() as u64,
        sha256: Digest::from_bytes(h256(&content)),
        key: first.key.clone(),
        pieces,
    };
    let sent =
        |town: &mut Town, manifest: &FileManifest| town.ask::<Sent>(ALICE, "messaging.send", message(id, manifest));
    assert_eq!(sent(&mut town, &manifest).err(), Some(RefusalCode::NotAvailable));
    let (message, whole) = send(&mut town, id, &content);
    assert_eq!(whole.file_id, first.file_id);
    manifest.name = "other.pdf".into();
    assert_eq!(sent(&mut town, &manifest).err(), Some(RefusalCode::Conflict), "it is sent once");
    town.run();
    assert_eq!(read(&mut town, id, message), content);
}

fn first_hash() -> Digest {
    piece_hash(b"")
}

#[test]
fn a_fetch_goes_on_where_a_restart_interrupted_it() {
    let mut town = Town::settled(330);
    let id = town.connect();
    let content = content(8 * PIECE_BYTES);
    let (message, _) = send(&mut town, id, &content);
    while town.nodes[BOB].pieces.len() < 3 {
        town.run_a_while();
    }
    let had: BTreeSet<u32> = town.nodes[BOB].pieces.keys().map(|(_, index)| *index).collect();
    assert!(had.len() < 8);
    for who in [ALICE, BOB] {
        let _lost = town.take_inbox(town.nodes[who].guid);
        town.nodes[who].crash();
    }
    let from = town.log.len();
    arrives(&mut town, id, message);
    assert_eq!(read(&mut town, id, message), content);
    assert_eq!(left(&town.log[from..], "file.ask"), 8 - had.len(), "what is here is not asked for again");
}

#[test]
fn a_wrong_piece_is_never_stored_and_comes_again() {
    let mut town = Town::settled(340);
    let id = town.connect();
    let content = content(2 * PIECE_BYTES);
    let manifest = prepare(&mut town, id, &content);
    let good: BTreeMap<_, _> = town.nodes[ALICE].pieces.clone();
    // The operator of Alice's broker swaps two pieces.
    let [one, two] = [0, 1].map(|index| good[&(manifest.file_id, index)].clone());
    town.nodes[ALICE].pieces = BTreeMap::from([((manifest.file_id, 0), two), ((manifest.file_id, 1), one)]);
    let sent: Sent = town.ask(ALICE, "messaging.send", message(id, &manifest)).unwrap();
    for _ in 0..30 {
        town.run_a_while();
    }
    assert_eq!(stored(&town, BOB), 0);
    assert_eq!(state(&mut town, BOB, id, sent.message_id), FileState::OnItsWay);
    town.nodes[ALICE].pieces = good;
    town.now = town.now.plus_ms(10 * MINUTE_MS);
    [ALICE, BOB].into_iter().for_each(|who| town.resume(who, true));
    arrives(&mut town, id, sent.message_id);
    assert_eq!(read(&mut town, id, sent.message_id), content);
}

#[test]
fn only_what_was_sent_on_this_connection_can_be_asked_for() {
    let mut town = Town::settled(350);
    let id = town.connect();
    let secret = prepare(&mut town, id, &content(PIECE_BYTES));
    // Prepared, not sent; and a file that there never was.
    for file_id in [secret.file_id, FileId::from_bytes([9; 16])] {
        let letter = forge(&mut town, BOB, id, "file.ask", json!({"file_id": file_id, "index": 0}));
        let from = town.log.len();
        town.give(ALICE, vec![letter]);
        assert_eq!(left(&town.log[from..], "file.piece"), 0);
        assert_eq!(left(&town.log[from..], "file.gone"), 1);
        town.nodes[BOB].crash();
        // A crashed vault goes on above all sequences that the forged letter may have used.
        let _: Value = town.ask(BOB, "vault.health", json!({})).unwrap();
        town.nodes[ALICE].crash();
    }
    let wrong = forge(&mut town, BOB, id, "file.ask", json!({"file_id": secret.file_id}));
    let dropped = town.nodes[ALICE].vault.dropped();
    town.give(ALICE, vec![wrong]);
    assert_eq!(town.nodes[ALICE].vault.dropped(), dropped + 1);
}

#[test]
fn a_piece_that_nobody_asked_for_is_dropped() {
    let mut town = Town::settled(360);
    let id = town.connect();
    let (message, manifest) = send(&mut town, id, &content(PIECE_BYTES));
    let sealed = town.nodes[ALICE].pieces[&(manifest.file_id, 0)].clone();
    town.run();
    assert_eq!(state(&mut town, BOB, id, message), FileState::Here);
    let before = (town.nodes[BOB].pieces.clone(), town.nodes[BOB].commits());
    for (file_id, bytes) in [(manifest.file_id, sealed.clone()), (FileId::from_bytes([9; 16]), sealed)] {
        let piece = FilePiece { file_id, index: 0, bytes: Base64::new(bytes) };
        let letter = forge(&mut town, ALICE, id, "file.piece", piece);
        town.nodes[BOB].crash();
        town.give(BOB, vec![letter]);
        assert_eq!(town.nodes[BOB].vault.dropped(), 1);
        assert_eq!((&town.nodes[BOB].pieces, town.nodes[BOB].commits()), (&before.0, before.1));
    }
    // Nor does the sender end what is here.
    let letter = forge(&mut town, ALICE, id, "file.gone", json!({"file_id": manifest.file_id}));
    town.nodes[BOB].crash();
    town.give(BOB, vec![letter]);
    assert_eq!(state(&mut town, BOB, id, message), FileState::Here);
}

#[test]
fn two_files_of_a_peer_never_share_a_name() {
    let mut town = Town::settled(365);
    let id = town.connect();
    let (_, manifest) = send(&mut town, id, &content(100));
    town.run();
    let text = json!({"message_id": EventId::v7(town.now, [1; 10]), "number": 2, "text": "", "sent_at": town.now,
        "file": manifest});
    let letter = forge(&mut town, ALICE, id, "messaging.text", text);
    town.give(BOB, vec![letter]);
    assert_eq!(list(&mut town, BOB, id).messages.len(), 1);
}

#[test]
fn nothing_is_handed_out_after_the_end_of_the_connection() {
    let mut town = Town::settled(370);
    let id = town.connect();
    let (done, _) = send(&mut town, id, &content(PIECE_BYTES));
    town.run();
    let (message, manifest) = send(&mut town, id, &content(4 * PIECE_BYTES));
    prepare(&mut town, id, &content(77));
    // It stays on its way: Bob's store takes no more than two pieces of it.
    town.nodes[BOB].most_pieces = 3;
    while town.nodes[BOB].pieces.len() < 3 {
        town.run_a_while();
    }
    let ask = forge(&mut town, BOB, id, "file.ask", json!({"file_id": manifest.file_id, "index": 0}));
    let revoke = json!({"connection_id": id, "reason": "user_requested"});
    let _: ConnectionView = town.ask(ALICE, "connection.revoke", revoke).unwrap();
    assert_eq!((stored(&town, ALICE), counted(&town, ALICE)["bytes"].as_u64()), (0, Some(0)));
    let from = town.log.len();
    town.give(ALICE, vec![ask]);
    town.run();
    assert_eq!(left(&town.log[from..], "file.piece") + left(&town.log[from..], "file.gone"), 0);
    let ended = view(&mut town, BOB, id, message);
    assert_eq!((ended.state, ended.problem), (FileState::Failed, Some(FileProblem::Ended)));
    // What had come as a whole stays with its message, and can be read.
    assert_eq!(state(&mut town, BOB, id, done), FileState::Here);
    assert_eq!(read(&mut town, id, done), content(PIECE_BYTES));
    assert_eq!(
        town.ask::<Value>(BOB, "file.fetch", json!({"connection_id": id, "message_id": message})),
        Err(RefusalCode::NotConnected)
    );
    [ALICE, BOB].into_iter().for_each(|who| town.check(who));
}

#[test]
fn a_large_file_waits_for_its_owners_word() {
    let mut town = Town::settled(380);
    let id = town.connect();
    let content = content(usize::try_from(FETCHED_AT_ONCE_BYTES).unwrap() + 1);
    let (message, _) = send(&mut town, id, &content);
    town.run();
    assert_eq!(state(&mut town, BOB, id, message), FileState::Waiting);
    assert_eq!((left(&town.log.clone(), "file.ask"), stored(&town, BOB)), (0, 0));
    let index = json!({"connection_id": id, "message_id": message, "index": 0});
    assert_eq!(town.ask::<Value>(BOB, "file.piece.get", index), Err(RefusalCode::NotAvailable));
    let named = json!({"connection_id": id, "message_id": message});
    let begun: FileView = town.ask(BOB, "file.fetch", named.clone()).unwrap();
    assert_eq!(begun.state, FileState::OnItsWay);
    // It comes as any other does; a few pieces of it are enough to see that.
    while town.nodes[BOB].pieces.len() < 6 {
        town.run_a_while();
    }
    town.run();
    let again: FileView = town.ask(BOB, "file.fetch", named).unwrap();
    assert!(matches!(again.state, FileState::OnItsWay | FileState::Here) && again.pieces_there >= 6);
    assert_eq!(counted(&town, BOB)["files"], 1);
}

#[test]
fn a_full_vault_says_so_and_goes_on_when_there_is_room() {
    let mut town = Town::settled(390);
    let id = town.connect();
    let huge = |town: &mut Town, n: u8| {
        let asked = BeginFile {
            connection_id: id,
            name: "film.mp4".into(),
            media_type: "video/mp4".into(),
            size_bytes: MOST_BYTES_OF_CONNECTION * 2 / 5,
            sha256: Digest::from_bytes([n; 32]),
            key: fresh_key(&mut town.rng),
        };
        town.ask::<FileBegun>(ALICE, "file.begin", asked)
    };
    let first = huge(&mut town, 1);
    assert!(first.is_err(), "larger than a file may be");
    let most = |town: &mut Town, n: u8| {
        let asked = BeginFile {
            connection_id: id,
            name: "film.mp4".into(),
            media_type: "video/mp4".into(),
            size_bytes: vettid_wire::file::MAX_FILE_BYTES,
            sha256: Digest::from_bytes([n; 32]),
            key: fresh_key(&mut town.rng),
        };
        town.ask::<FileBegun>(ALICE, "file.begin", asked)
    };
    assert!(most(&mut town, 1).is_ok() && most(&mut town, 2).is_ok());
    assert_eq!(most(&mut town, 3), Err(RefusalCode::NoRoom));
    assert!(most(&mut town, 2).is_ok(), "it goes on with what it began");
    town.now = town.now.plus_ms(PREPARED_FOR_MS + 1_000);
    town.tick();
    town.resume(ALICE, true);
    assert!(most(&mut town, 3).is_ok());
    // The store of the host is full: the piece is refused in words.
    let (_, FileBegun { file_id, key }) = begin(&mut town, id, &content(9)).unwrap();
    town.nodes[ALICE].most_pieces = 0;
    let bytes = Base64::new(PieceCipher::new(&key).seal(0, true, &content(9)));
    let piece = FilePiece { file_id, index: 0, bytes };
    assert_eq!(town.ask::<Value>(ALICE, "file.put", piece), Err(RefusalCode::NoRoom));
}

#[test]
fn a_receiver_without_room_in_its_store_tries_again_later() {
    let mut town = Town::settled(395);
    let id = town.connect();
    town.nodes[BOB].most_pieces = 1;
    let (message, _) = send(&mut town, id, &content(3 * PIECE_BYTES));
    for _ in 0..20 {
        town.run_a_while();
    }
    assert_eq!((state(&mut town, BOB, id, message), town.nodes[BOB].pieces.len()), (FileState::OnItsWay, 1));
    town.nodes[BOB].most_pieces = usize::MAX;
    town.now = town.now.plus_ms(10 * MINUTE_MS);
    [ALICE, BOB].into_iter().for_each(|who| town.resume(who, true));
    arrives(&mut town, id, message);
    assert_eq!(read(&mut town, id, message), content(3 * PIECE_BYTES));
}

#[test]
fn the_pieces_go_with_their_message() {
    let mut town = Town::settled(400);
    let id = town.connect();
    let (message, _) = send(&mut town, id, &content(PIECE_BYTES));
    town.run();
    let (waiting, _) = send(&mut town, id, &content(PIECE_BYTES + 1));
    assert!(stored(&town, ALICE) > 0 && stored(&town, BOB) > 0);
    let _: Value = town.ask(BOB, "messaging.remove", json!({"connection_id": id, "message_id": message})).unwrap();
    let _: Value = town.ask(ALICE, "messaging.remove", json!({"connection_id": id, "message_id": waiting})).unwrap();
    assert_eq!((stored(&town, ALICE), stored(&town, BOB)), (0, 0));
    // The message itself was on its way; its file is not to be had any more.
    town.run();
    let gone = view(&mut town, BOB, id, waiting);
    assert_eq!((gone.state, gone.problem), (FileState::Failed, Some(FileProblem::Gone)));
    let named = json!({"connection_id": id, "message_id": message});
    assert_eq!(town.ask::<Value>(BOB, "file.status", named), Err(RefusalCode::NotFound));
    nothing_is_left_of(&town, BOB, message);
    [ALICE, BOB].into_iter().for_each(|who| town.check(who));
}

/// No key and no value of a vault names the message in what it keeps of files.
fn nothing_is_left_of(town: &Town, who: usize, message: EventId) {
    let message = message.to_string();
    for (key, value) in town.nodes[who].vault.state().all() {
        let names = |text: &str| text.contains(&message);
        let value = value.unwrap_or_default();
        assert!(!key.starts_with("file/") || !(names(&key) || names(&String::from_utf8_lossy(&value))), "{key}");
    }
}

#[test]
fn a_file_that_disappears_leaves_nothing_on_either_side() {
    let mut town = Town::settled(410);
    let id = town.connect();
    for who in [ALICE, BOB] {
        let wish = json!({"connection_id": id, "disappear_after_s": 600});
        let _: Value = town.ask(who, "messaging.settings", wish).unwrap();
        town.run();
    }
    let (message, _) = send(&mut town, id, &content(2 * PIECE_BYTES));
    town.run();
    assert!(stored(&town, BOB) > 0);
    town.now = town.now.plus_ms(11 * MINUTE_MS);
    (0..3).for_each(|_| town.tick());
    for who in [ALICE, BOB] {
        assert!(list(&mut town, who, id).messages.is_empty());
        assert_eq!((stored(&town, who), counted(&town, who)["files"].as_u64()), (0, Some(0)));
        nothing_is_left_of(&town, who, message);
    }
}

#[test]
fn what_nobody_sends_or_fetches_goes_in_its_time() {
    let mut town = Town::settled(420);
    let id = town.connect();
    prepare(&mut town, id, &content(10));
    town.away = Some(BOB);
    let (message, _) = send(&mut town, id, &content(20));
    let pass = |town: &mut Town, ms: i64| {
        town.now = town.now.plus_ms(ms);
        town.tick();
        town.resume(ALICE, true);
        town.nodes[ALICE].pieces.len()
    };
    assert_eq!(pass(&mut town, PREPARED_FOR_MS - MINUTE_MS), 2);
    assert_eq!(pass(&mut town, 2 * MINUTE_MS), 1);
    assert_eq!(pass(&mut town, OFFERED_FOR_MS - PREPARED_FOR_MS - DAY_MS), 1);
    assert_eq!(pass(&mut town, 2 * DAY_MS), 0);
    let ended = view(&mut town, ALICE, id, message);
    assert_eq!((ended.state, ended.problem), (FileState::Failed, Some(FileProblem::Expired)));
}

#[test]
fn what_belongs_to_no_file_is_swept() {
    let mut town = Town::settled(430);
    let id = town.connect();
    let (message, _) = send(&mut town, id, &content(PIECE_BYTES));
    town.run();
    let prepared = prepare(&mut town, id, &content(30));
    let orphan = (FileId::from_bytes([3; 16]), 0);
    for who in [ALICE, BOB] {
        town.nodes[who].pieces.insert(orphan, vec![1]);
    }
    town.now = town.now.plus_ms(SWEPT_EVERY_MS + 1_000);
    town.tick();
    for who in [ALICE, BOB] {
        assert!(!town.nodes[who].pieces.contains_key(&orphan));
        town.resume(who, true);
    }
    assert!(town.nodes[ALICE].pieces.contains_key(&(prepared.file_id, 0)), "what is being prepared stays");
    assert_eq!(read(&mut town, id, message), content(PIECE_BYTES));
}

/// The message is committed, the process dies before anything leaves: the file still goes its way.
#[test]
fn a_crash_between_the_message_and_its_pieces_costs_nothing() {
    let mut town = Town::settled(440);
    let id = town.connect();
    let manifest = prepare(&mut town, id, &content(2 * PIECE_BYTES));
    let (event_id, body) = (town.fresh_event(), message(id, &manifest));
    town.next_crash = Some(Crash::AfterCommit);
    let sent: Sent = town.ask_as(ALICE, "messaging.send", body, event_id).unwrap().unwrap();
    arrives(&mut town, id, sent.message_id);
    assert_eq!(read(&mut town, id, sent.message_id), content(2 * PIECE_BYTES));
    assert_eq!(list(&mut town, BOB, id).messages.len(), 1);
}

//! Backup boxes against other implementations of the age format, and against whoever changes them on the way.
//!
//! `tests/age` holds files that a stock `age` 1.1.1 made; `identity.txt` opens all but the two that must stay closed.

#![expect(clippy::unwrap_used, reason = "a test that fails stops there")]

use std::io::{Read, Write};
use std::iter;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use vettid_crypto::Undecryptable;
use vettid_crypto::backup::{self, BackupFileKey, BackupKey, BackupRecipient};

const CHUNK: usize = 64 * 1024;
const SEALED_CHUNK: usize = CHUNK + 16;
const NOTE: &[u8] = b"a vault, packed by another hand\n";

fn rng() -> StdRng {
    StdRng::from_seed([7; 32])
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/age")).join(name)).unwrap()
}

fn fixture_key() -> BackupKey {
    BackupKey::from_age_identity(std::str::from_utf8(&fixture("identity.txt")).unwrap().trim_end()).unwrap()
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|place| u8::try_from(place % 251).unwrap()).collect()
}

fn open(key: &BackupKey, sealed: &[u8]) -> Result<Vec<u8>, Undecryptable> {
    backup::open(key, sealed, sealed.len()).map(|content| content.expose().to_vec())
}

#[test]
fn files_of_a_stock_age_open() {
    let two_chunks = content(CHUNK + 1);
    let cases: [(&str, &[u8]); 5] = [
        ("one_recipient.age", NOTE),
        ("two_recipients.age", NOTE),
        ("with_ssh_recipient.age", NOTE),
        ("empty.age", b""),
        ("two_chunks.age", &two_chunks),
    ];
    for (name, wanted) in cases {
        assert!(open(&fixture_key(), &fixture(name)).unwrap() == wanted, "{name}");
        assert_eq!(open(&BackupKey::random(&mut rng()), &fixture(name)), Err(Undecryptable), "{name}");
        let file_key = BackupFileKey::unwrap(&fixture_key(), &fixture(name)).unwrap();
        assert!(file_key.open(&fixture(name), usize::MAX).unwrap().expose() == wanted, "{name}");
    }
}

#[test]
fn armor_and_passphrases_are_refused() {
    for name in ["armored.age", "passphrase.age"] {
        assert_eq!(open(&fixture_key(), &fixture(name)), Err(Undecryptable), "{name}");
    }
}

/// Another implementation of the format, in both directions, around every edge of the chunks.
#[test]
fn the_age_library_agrees() {
    let key = BackupKey::random(&mut rng());
    let identity: age::x25519::Identity = key.to_age_identity().parse().unwrap();
    assert_eq!(identity.to_public().to_string(), key.recipient().to_string());
    for length in [0, 1, 255, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1] {
        let content = content(length);
        let ours = backup::seal(&[key.recipient()], &content, &mut rng()).unwrap();
        let mut theirs_read = Vec::new();
        let mut reader =
            age::Decryptor::new(&ours[..]).unwrap().decrypt(iter::once(&identity as &dyn age::Identity)).unwrap();
        reader.read_to_end(&mut theirs_read).unwrap();
        assert!(theirs_read == content, "{length}");

        let recipient = identity.to_public();
        let mut theirs = Vec::new();
        let encryptor = age::Encryptor::with_recipients(iter::once(&recipient as &dyn age::Recipient)).unwrap();
        let mut writer = encryptor.wrap_output(&mut theirs).unwrap();
        writer.write_all(&content).unwrap();
        writer.finish().unwrap();
        assert!(open(&key, &theirs).unwrap() == content, "{length}");
    }
}

/// The program that members use, where it is installed; the two tests above check the same where it is not.
#[test]
fn the_age_program_agrees() {
    if Command::new("age").arg("--version").output().is_err() {
        eprintln!("no age program on the path; its recorded files were checked instead");
        return files_of_a_stock_age_open();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| -> PathBuf { folder.path().join(name) };
    let key = BackupKey::random(&mut rng());
    std::fs::write(path("identity"), &*key.to_age_identity()).unwrap();
    for length in [0, 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
        let content = content(length);
        std::fs::write(path("ours.age"), backup::seal(&[key.recipient()], &content, &mut rng()).unwrap()).unwrap();
        let opened =
            Command::new("age").arg("-d").arg("-i").arg(path("identity")).arg(path("ours.age")).output().unwrap();
        assert!(opened.status.success() && opened.stdout == content, "{length}: {opened:?}");

        std::fs::write(path("plain"), &content).unwrap();
        let recipient = key.recipient().to_string();
        let sealed = Command::new("age").args(["-r", &recipient]).arg(path("plain")).output().unwrap();
        assert!(sealed.status.success() && open(&key, &sealed.stdout).unwrap() == content, "{length}");
    }
}

/// A file of three whole chunks and a bit, taken apart into header and chunks.
struct Pieces {
    key: BackupKey,
    head: Vec<u8>,
    chunks: Vec<Vec<u8>>,
}

fn pieces() -> &'static Pieces {
    static PIECES: OnceLock<Pieces> = OnceLock::new();
    PIECES.get_or_init(|| {
        let key = BackupKey::random(&mut rng());
        let sealed = backup::seal(&[key.recipient()], &content(3 * CHUNK + 5), &mut rng()).unwrap();
        let (head, body) = sealed.split_at(sealed.len() - 3 * SEALED_CHUNK - 21);
        let chunks = body.chunks(SEALED_CHUNK).map(<[u8]>::to_vec).collect();
        Pieces { key, head: head.to_vec(), chunks }
    })
}

fn joined(head: &[u8], chunks: &[Vec<u8>]) -> Vec<u8> {
    [head, &chunks.concat()].concat()
}

#[test]
fn dropped_swapped_and_repeated_chunks_are_refused() {
    let Pieces { key, head, chunks } = pieces();
    assert_eq!(chunks.len(), 4);
    assert!(open(key, &joined(head, chunks)).unwrap() == content(3 * CHUNK + 5));
    for one in 0..4 {
        let mut dropped = chunks.clone();
        dropped.remove(one);
        assert_eq!(open(key, &joined(head, &dropped)), Err(Undecryptable), "drop {one}");
        assert_eq!(open(key, &joined(head, &chunks[..one])), Err(Undecryptable), "cut at {one}");
        for other in 0..4 {
            let mut repeated = chunks.clone();
            repeated.insert(other, chunks[one].clone());
            assert_eq!(open(key, &joined(head, &repeated)), Err(Undecryptable), "repeat {one} at {other}");
            let mut swapped = chunks.clone();
            swapped.swap(one, other);
            assert_eq!(open(key, &joined(head, &swapped)).is_ok(), one == other, "swap {one} and {other}");
        }
    }
}

#[test]
fn a_chunk_of_another_file_is_refused() {
    let Pieces { key, head, chunks } = pieces();
    let other = backup::seal(&[key.recipient()], &content(3 * CHUNK + 5), &mut StdRng::from_seed([8; 32])).unwrap();
    let foreign: Vec<Vec<u8>> = other[head.len()..].chunks(SEALED_CHUNK).map(<[u8]>::to_vec).collect();
    for place in 0..4 {
        let mut mixed = chunks.clone();
        mixed[place].clone_from(&foreign[place]);
        assert_eq!(open(key, &joined(head, &mixed)), Err(Undecryptable), "{place}");
    }
    assert_eq!(open(key, &joined(&other[..head.len()], chunks)), Err(Undecryptable));
}

/// Each bit of header, nonce and chunk of a short file.
#[test]
fn each_changed_bit_is_refused() {
    let key = BackupKey::random(&mut rng());
    let other = BackupKey::random(&mut StdRng::from_seed([8; 32])).recipient();
    let sealed = backup::seal(&[other, key.recipient()], b"content", &mut rng()).unwrap();
    assert_eq!(open(&key, &sealed).unwrap(), b"content");
    for bit in 0..sealed.len() * 8 {
        let mut changed = sealed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(open(&key, &changed), Err(Undecryptable), "bit {bit}");
    }
    for length in 0..sealed.len() {
        assert_eq!(open(&key, &sealed[..length]), Err(Undecryptable), "length {length}");
    }
    assert_eq!(open(&key, &[sealed.as_slice(), b"x"].concat()), Err(Undecryptable));
}

const STANZA: &str =
    "-> X25519 TEiF0ypqr+bpvcqXNyCVJpL7OuwPdVwPL7KQEbFDOCc\nEmECAEcKN+n/Vs9SbWiV+Hu0r+E8R77DdWYyd83nw7U\n";

/// Puts lines into the header of a genuine file; its MAC is then wrong as well, so each of these is refused twice.
#[test]
fn headers_outside_the_form_or_the_caps_are_refused() {
    let key = BackupKey::random(&mut rng());
    let sealed = backup::seal(&[key.recipient()], b"content", &mut rng()).unwrap();
    let (first, rest) = sealed.split_at("age-encryption.org/v1\n".len());
    let long_argument = format!("-> x {}\n\n", "a".repeat(8 * 1024));
    let long_body = format!("-> x y\n{}\n", format!("{}\n", "A".repeat(64)).repeat(200));
    let cases = [
        STANZA.repeat(8),
        long_argument,
        long_body,
        "-> \n\n".to_owned(),
        "-> x  y\n\n".to_owned(),
        "-> x \u{e9}\n\n".to_owned(),
        "-> x\nA\n".to_owned(),
        "-> x\nAB\n".to_owned(),
        "-> x\nAA==\n".to_owned(),
        format!("-> x\n{}\n", "A".repeat(65)),
        "x\n".to_owned(),
        "\n".to_owned(),
    ];
    for lines in cases {
        let changed = [first, lines.as_bytes(), rest].concat();
        assert_eq!(open(&key, &changed), Err(Undecryptable), "{lines:.40}");
    }
    let newer = String::from_utf8_lossy(first).replace("v1", "v2").into_bytes();
    assert_eq!(open(&key, &[&newer, rest].concat()), Err(Undecryptable));
}

#[test]
fn a_store_that_returns_other_chunks_shows_without_keys() {
    let key = BackupKey::random(&mut rng());
    let sealed = backup::seal(&[key.recipient()], &content(3 * CHUNK), &mut rng()).unwrap();
    let root = backup::chunk_root(&sealed);
    assert_eq!(root, backup::chunk_root(&sealed.clone()));
    for place in [0, CHUNK, sealed.len() - 1] {
        let mut changed = sealed.clone();
        changed[place] ^= 1;
        assert_ne!(backup::chunk_root(&changed), root);
    }
    assert_ne!(backup::chunk_root(&sealed[..sealed.len() - 1]), root);
}

#[test]
fn recipients_come_back_from_their_text() {
    let recipient = BackupKey::random(&mut rng()).recipient();
    assert_eq!(recipient.to_string().parse::<BackupRecipient>().unwrap(), recipient);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn opens_to_what_was_sealed(length in 0_usize..200_000, seed: [u8; 32], recipients in 1_usize..=8, reader: prop::sample::Index) {
        let mut rng = StdRng::from_seed(seed);
        let keys: Vec<_> = (0..recipients).map(|_| BackupKey::random(&mut rng)).collect();
        let all: Vec<_> = keys.iter().map(BackupKey::recipient).collect();
        let content = content(length);
        let sealed = backup::seal(&all, &content, &mut rng).unwrap();
        let reader = &keys[reader.index(recipients)];
        prop_assert!(open(reader, &sealed).unwrap() == content);
    }

    #[test]
    fn a_changed_bit_anywhere_is_refused(place: prop::sample::Index, bit in 0_u8..8) {
        let Pieces { key, head, chunks } = pieces();
        let mut sealed = joined(head, chunks);
        *place.get_mut(&mut sealed) ^= 1 << bit;
        prop_assert_eq!(open(key, &sealed), Err(Undecryptable));
    }

    #[test]
    fn a_file_cut_anywhere_is_refused(place: prop::sample::Index) {
        let Pieces { key, head, chunks } = pieces();
        let sealed = joined(head, chunks);
        prop_assert_eq!(open(key, &sealed[..place.index(sealed.len())]), Err(Undecryptable));
    }

    #[test]
    fn rubbish_is_refused(bytes: Vec<u8>) {
        let key = BackupKey::random(&mut rng());
        prop_assert_eq!(open(&key, &bytes), Err(Undecryptable));
        let with_head = [b"age-encryption.org/v1\n".as_slice(), &bytes].concat();
        prop_assert_eq!(open(&key, &with_head), Err(Undecryptable));
    }
}

//! An exported audit chain against whoever changes it before it is verified.

#![expect(clippy::unwrap_used, reason = "a test that fails stops there")]

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::json;
use vettid_crypto::audit::checkpoint::{Checkpoint, RolledBack};
use vettid_crypto::audit::export::{ExportError, ExportReport, Trust, verify_export, write_line};
use vettid_crypto::audit::{Act, Chain};
use vettid_crypto::identity::SigningKey;
use vettid_crypto::key_record::{Draft, KeyRecordError, VerifiedKeyRecord, build, kem_key};
use vettid_crypto::secret::Secret32;
use vettid_crypto::suite::{KemPublicKey, Suite, x25519};
use vettid_wire::audit::{ExportHead, ExportLine, ExportedEntry, Outcome};
use vettid_wire::id::MemberId;
use vettid_wire::key_record::KeyRole;
use vettid_wire::time::Timestamp;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&Secret32::from_bytes([seed; 32]))
}

const IDENTITY: u8 = 1;
const SIGNER: u8 = 2;
const LATER_SIGNER: u8 = 3;

fn guid() -> MemberId {
    MemberId::from_bytes([1; 16])
}

fn at(n: u64) -> Timestamp {
    Timestamp::from_unix_ms(1_800_000_000_000 + i64::try_from(n).unwrap())
}

fn record(identity: &SigningKey, signer: &SigningKey, before: Option<&VerifiedKeyRecord>) -> VerifiedKeyRecord {
    record_of(identity, signer, before, KeyRole::Vault, guid()).unwrap()
}

fn record_of(
    identity: &SigningKey,
    signer: &SigningKey,
    before: Option<&VerifiedKeyRecord>,
    role: KeyRole,
    guid: MemberId,
) -> Result<VerifiedKeyRecord, KeyRecordError> {
    let kem = x25519::SecretKey::from_secret(Secret32::from_bytes([4; 32])).public_key();
    let draft = Draft {
        role,
        guid,
        signing_key: signer.verifying_key(),
        device_key: None,
        kem_keys: vec![kem_key(&KemPublicKey::X25519(kem), at(0), at(1))],
        suites: vec![Suite::X25519],
        issued_at: at(0),
        expires_at: at(1),
    };
    build(draft, identity, before)
}

fn line_of(record: &VerifiedKeyRecord) -> ExportLine {
    ExportLine::KeyRecord(serde_json::to_value(record).unwrap())
}

fn new_chain() -> Chain {
    Chain::new(guid(), &key(IDENTITY).verifying_key().fingerprint())
}

fn append(chain: &mut Chain, n: u64) -> ExportedEntry {
    let act = Act {
        ts: at(n),
        actor: "app".to_owned(),
        event_type: "credential.use".to_owned(),
        reference: None,
        outcome: Outcome::Success,
        detail: json!({ "n": n }),
    };
    chain.append(act, &mut StdRng::from_seed([7; 32])).unwrap()
}

/// Head, key record, entries with a checkpoint after each eighth and at the end; every third detail is erased.
fn lines(length: u64) -> Vec<ExportLine> {
    let mut chain = new_chain();
    let vault_fp = key(IDENTITY).verifying_key().fingerprint();
    let mut lines = vec![
        ExportLine::Head(ExportHead { version: 1, guid: guid(), vault_fp, exported_at: at(length) }),
        line_of(&record(&key(IDENTITY), &key(SIGNER), None)),
    ];
    for n in 0..length {
        let mut entry = append(&mut chain, n);
        entry.detail = entry.detail.filter(|_| n % 3 != 0);
        lines.push(ExportLine::Entry(entry));
        if n % 8 == 7 || n + 1 == length {
            lines.push(ExportLine::Checkpoint(Checkpoint::of(&chain).sign(guid(), &key(SIGNER))));
        }
    }
    lines
}

fn written(lines: &[ExportLine]) -> Vec<u8> {
    lines.iter().flat_map(|line| write_line(line).unwrap()).collect()
}

fn verify(lines: &[ExportLine]) -> Result<ExportReport, ExportError> {
    verify_export(&written(lines), Trust::default())
}

fn checkpoint_at(length: u64) -> Checkpoint {
    let mut chain = new_chain();
    (0..length).for_each(|n| drop(append(&mut chain, n)));
    Checkpoint::of(&chain)
}

#[test]
fn an_honest_export_verifies() {
    let report = verify(&lines(20)).unwrap();
    assert_eq!(report.checkpoint, checkpoint_at(20));
    assert_eq!((report.details, report.first_at, report.last_at), (13, Some(at(0)), Some(at(19))));
    assert!(!report.vault_compared && !report.checkpoint_compared);

    let trust = Trust { vault: Some(report.head.vault_fp), newest: Some(checkpoint_at(15)) };
    let report = verify_export(&written(&lines(20)), trust).unwrap();
    assert!(report.vault_compared && report.checkpoint_compared);
}

#[test]
fn an_export_of_another_vault_is_refused() {
    let trust = Trust { vault: Some(key(9).verifying_key().fingerprint()), newest: None };
    assert!(matches!(verify_export(&written(&lines(3)), trust), Err(ExportError::OtherVault)));
}

#[test]
fn an_older_or_rewritten_chain_contradicts_a_known_checkpoint() {
    let verdict = |length, newest| verify_export(&written(&lines(length)), Trust { vault: None, newest: Some(newest) });
    assert!(verdict(16, checkpoint_at(16)).is_ok());
    assert!(matches!(verdict(16, checkpoint_at(17)), Err(ExportError::RolledBack(RolledBack::Shorter))));
    for size in [0, 5, 16] {
        let rewritten = Checkpoint { root: checkpoint_at(20).root, size };
        assert!(matches!(verdict(16, rewritten), Err(ExportError::RolledBack(RolledBack::Rewritten))), "{size}");
    }
}

#[test]
fn keys_rotate_by_the_next_record_of_the_same_identity() {
    let (vault, later) = (key(IDENTITY), key(LATER_SIGNER));
    let first = record(&vault, &key(SIGNER), None);
    let next = record(&vault, &later, Some(&first));
    let mut chain = new_chain();
    let mut rotated = lines(0);
    rotated.push(ExportLine::Entry(append(&mut chain, 0)));
    rotated.push(ExportLine::Checkpoint(Checkpoint::of(&chain).sign(guid(), &key(SIGNER))));
    rotated.push(line_of(&next));
    rotated.push(ExportLine::Entry(append(&mut chain, 1)));
    let end = |signer: u8| ExportLine::Checkpoint(Checkpoint::of(&chain).sign(guid(), &key(signer)));
    assert!(verify(&[rotated.clone(), vec![end(LATER_SIGNER)]].concat()).is_ok());
    assert!(matches!(verify(&[rotated.clone(), vec![end(SIGNER)]].concat()), Err(ExportError::Checkpoint { line: 7 })));

    let mut unsigned = serde_json::to_value(&next).unwrap();
    unsigned["signature"] = serde_json::to_value(&first).unwrap()["signature"].clone();
    let after_next = record(&vault, &key(9), Some(&next));
    let wrong = [
        line_of(&first),
        line_of(&after_next),
        line_of(&record(&key(9), &later, None)),
        ExportLine::KeyRecord(unsigned),
    ];
    for line in wrong {
        rotated[4] = line;
        assert!(matches!(verify(&rotated), Err(ExportError::KeyRecord { line: 5 })), "{:?}", rotated[4]);
    }
}

#[test]
fn the_first_record_is_of_the_vault_that_the_head_names() {
    let (vault, signer) = (key(IDENTITY), key(SIGNER));
    let wrong = [
        record_of(&vault, &signer, None, KeyRole::App, guid()),
        record_of(&vault, &signer, None, KeyRole::Vault, MemberId::from_bytes([9; 16])),
        record_of(&key(9), &signer, None, KeyRole::Vault, guid()),
    ];
    for record in wrong {
        let mut lines = lines(1);
        lines[1] = line_of(&record.unwrap());
        assert!(matches!(verify(&lines), Err(ExportError::KeyRecord { line: 2 })), "{:?}", lines[1]);
    }
}

#[test]
fn a_checkpoint_needs_a_key_record_and_its_own_place() {
    let honest = lines(9);
    let mut without_record = honest.clone();
    without_record.remove(1);
    assert!(matches!(verify(&without_record), Err(ExportError::Checkpoint { line: 10 })));
    let mut moved = honest;
    moved.swap(10, 11);
    assert!(matches!(verify(&moved), Err(ExportError::Checkpoint { .. })));
}

#[test]
fn text_that_is_no_export_is_refused() {
    let honest = String::from_utf8(written(&lines(2))).unwrap();
    let head = honest.lines().next().unwrap();
    let cases = [
        String::new(),
        "\n".to_owned(),
        format!("{head}\n"),
        honest.trim_end().to_owned(),
        format!("{honest}\n"),
        honest.replacen('\n', "\n\n", 1),
        honest.replacen("\"version\":1", "\"version\":2", 1),
        honest.replacen("{\"head\"", "{\"extra\":1,\"head\"", 1),
        format!("{honest}{head}\n"),
        honest.lines().skip(1).map(|line| format!("{line}\n")).collect(),
        format!("{honest}{{\"note\":\"x\"}}\n"),
    ];
    for case in cases {
        assert!(verify_export(case.as_bytes(), Trust::default()).is_err(), "{case}");
    }
    assert!(verify_export(honest.as_bytes(), Trust::default()).is_ok());
}

fn is_entry(line: &ExportLine) -> bool {
    matches!(line, ExportLine::Entry(_))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_deleted_line_is_noticed(length in 1_u64..30, place: prop::sample::Index) {
        let mut lines = lines(length);
        let place = place.index(lines.len());
        let removed = lines.remove(place);
        // Only a checkpoint in the middle can be spared: the last one covers the same entries.
        let spare = matches!(removed, ExportLine::Checkpoint(_)) && place < lines.len();
        prop_assert_eq!(verify(&lines).is_ok(), spare);
    }

    #[test]
    fn an_export_cut_off_is_noticed(length in 1_u64..30, place: prop::sample::Index) {
        let mut lines = lines(length);
        lines.truncate(place.index(lines.len()));
        match verify(&lines) {
            // Cut right after a checkpoint, it is an honest older export; the app's newest checkpoint tells.
            Ok(report) => {
                prop_assert!(matches!(lines.last(), Some(ExportLine::Checkpoint(_))));
                let trust = Trust { vault: None, newest: Some(checkpoint_at(length)) };
                prop_assert!(report.checkpoint.size < length);
                prop_assert!(verify_export(&written(&lines), trust).is_err());
            }
            Err(_) => prop_assert!(!matches!(lines.last(), Some(ExportLine::Checkpoint(_)))),
        }
    }

    #[test]
    fn swapped_and_repeated_entries_are_noticed(length in 2_u64..30, one: prop::sample::Index, other: prop::sample::Index) {
        let lines = lines(length);
        let entries: Vec<_> = (0..lines.len()).filter(|&place| is_entry(&lines[place])).collect();
        let (one, other) = (entries[one.index(entries.len())], entries[other.index(entries.len())]);
        let mut repeated = lines.clone();
        repeated.insert(other, lines[one].clone());
        prop_assert!(verify(&repeated).is_err());
        let mut swapped = lines;
        swapped.swap(one, other);
        prop_assert_eq!(verify(&swapped).is_ok(), one == other);
    }

    #[test]
    fn a_changed_byte_is_noticed(length in 1_u64..12, place: prop::sample::Index, flip in 1_u8..) {
        let mut export = written(&lines(length));
        *place.get_mut(&mut export) ^= flip;
        match verify_export(&export, Trust::default()) {
            Err(_) => {}
            // The time of export is nobody's claim; everything else is.
            Ok(report) => prop_assert_ne!(report.head.exported_at, at(length)),
        }
    }

    #[test]
    fn a_chain_that_was_written_anew_needs_the_vaults_key(length in 1_u64..12, seed in 10_u8..) {
        let mut forged = lines(length);
        for line in &mut forged {
            if let ExportLine::Checkpoint(note) = line {
                *note = checkpoint_at(length).sign(guid(), &key(seed));
            }
        }
        let refused = matches!(verify(&forged), Err(ExportError::Checkpoint { .. }));
        prop_assert!(refused);
    }
}

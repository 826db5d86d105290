//! `vettid audit verify` on good, edited, reordered and truncated exports.

use crate::Place;
use std::convert::Infallible;
use vettid_crypto::audit::checkpoint::Checkpoint;
use vettid_crypto::audit::export::write_line;
use vettid_crypto::audit::{Act, Chain};
use vettid_crypto::identity::SigningKey;
use vettid_crypto::key_record::{self, Draft};
use vettid_crypto::secret::Secret32;
use vettid_crypto::suite::{KemPublicKey, Suite, x25519};
use vettid_wire::audit::{ExportHead, ExportLine, Outcome};
use vettid_wire::id::MemberId;
use vettid_wire::key_record::KeyRole;
use vettid_wire::time::Timestamp;

/// Counts instead of drawing, so that the cases are the same each time.
struct Counter(u8);

impl rand_core::TryRng for Counter {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        rand_core::utils::next_word_via_fill(self)
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        rand_core::utils::next_word_via_fill(self)
    }
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for byte in out {
            self.0 = self.0.wrapping_add(1);
            *byte = self.0;
        }
        Ok(())
    }
}

impl rand_core::TryCryptoRng for Counter {}

fn export() -> Vec<String> {
    let now: Timestamp = "2026-11-21T06:00:00.000Z".parse().unwrap();
    let (guid, mut rng) = (MemberId::from_bytes([1; 16]), Counter(0));
    let identity = SigningKey::from_seed(&Secret32::from_bytes([2; 32]));
    let kem = KemPublicKey::X25519(x25519::SecretKey::random(&mut rng).public_key());
    let expires_at = now.plus_ms(86_400_000);
    let draft = Draft {
        role: KeyRole::Vault,
        guid,
        signing_key: identity.verifying_key(),
        device_key: None,
        kem_keys: vec![key_record::kem_key(&kem, now, expires_at)],
        suites: vec![Suite::X25519],
        issued_at: now,
        expires_at,
    };
    let record = key_record::build(draft, &identity, None).unwrap();
    let head = ExportHead { version: 1, guid, vault_fp: record.fingerprint(), exported_at: now };
    let mut chain = Chain::new(guid, &record.fingerprint());
    let mut lines = vec![ExportLine::Head(head), ExportLine::KeyRecord(serde_json::to_value(record.record()).unwrap())];
    for number in 0..3 {
        let act = Act {
            ts: now.plus_ms(number * 60_000),
            actor: "app".into(),
            event_type: "data.set".into(),
            reference: None,
            outcome: Outcome::Success,
            detail: serde_json::json!({ "field": format!("field_{number}") }),
        };
        lines.push(ExportLine::Entry(chain.append(act, &mut rng).unwrap()));
    }
    lines.push(ExportLine::Checkpoint(Checkpoint::of(&chain).sign(guid, &identity)));
    lines.iter().map(|line| String::from_utf8(write_line(line).unwrap()).unwrap()).collect()
}

fn fingerprint(lines: &[String]) -> String {
    let head: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    head["head"]["vault_fp"].as_str().unwrap().to_owned()
}

#[test]
fn verify() {
    let place = Place::new();
    let lines = export();
    let all = lines.concat();
    let mut swapped = lines.clone();
    swapped.swap(2, 3);
    place.write("good", &all);
    place.write("edited", all.replacen("field_1", "field_x", 1));
    place.write("swapped", swapped.concat());
    place.write("without_end", lines[..5].concat());
    place.write("without_entry", [&lines[..3], &lines[4..]].concat().concat());
    place.write("cut_in_a_line", &all[..all.len() - 20]);
    place.write("empty", "");
    place.write("other", "hello\n");
    place.write("binary", [0xff; 70_000]);
    let known = fingerprint(&lines);
    for (name, arguments) in [
        ("good", "audit verify good".to_owned()),
        ("good_json", "--json audit verify good".to_owned()),
        ("good_known_vault", format!("audit verify good --vault {known}")),
        ("other_vault", format!("audit verify good --vault {}", "A".repeat(43))),
        ("edited", "audit verify edited".to_owned()),
        ("edited_json", "audit verify edited --json".to_owned()),
        ("swapped", "audit verify swapped".to_owned()),
        ("without_end", "audit verify without_end".to_owned()),
        ("without_entry", "audit verify without_entry".to_owned()),
        ("cut_in_a_line", "audit verify cut_in_a_line".to_owned()),
        ("empty", "audit verify empty".to_owned()),
        ("other_file", "audit verify other".to_owned()),
        ("binary", "audit verify binary".to_owned()),
        ("missing", "audit verify none".to_owned()),
        ("bad_fingerprint", "audit verify good --vault abc".to_owned()),
    ] {
        insta::assert_snapshot!(format!("audit_{name}"), place.run(&arguments, ""));
    }
}

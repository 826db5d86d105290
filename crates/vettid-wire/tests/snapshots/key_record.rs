//! Samples of the key record.

use crate::sample::Samples;
use crate::value;
use vettid_wire::base64::Base64;
use vettid_wire::key_record::{KIND, KemKey, KeyRecord, KeyRole, VERSION};

fn kem_key() -> KemKey {
    KemKey {
        key_id: value::kem_key_id(),
        key: value::x25519(),
        not_before: value::at(0),
        not_after: value::at(7 * 24 * 60),
    }
}

pub(crate) fn record() -> KeyRecord {
    KeyRecord {
        kind: KIND.to_owned(),
        version: VERSION,
        role: KeyRole::Vault,
        guid: value::member(),
        identity_key: value::ed25519(),
        signing_key: value::ed25519(),
        device_key: Some(value::p256()),
        kem_keys: vec![kem_key()],
        suites: vec!["X25519+XChaCha20-Poly1305".to_owned()],
        sequence: 1,
        prev: Base64::new([0; 32]),
        issued_at: value::at(0),
        expires_at: value::at(365 * 24 * 60),
        key_id: value::key_id(),
        signature: value::signature(),
    }
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("key_record");
    let roles = [KeyRole::Vault, KeyRole::App, KeyRole::Service, KeyRole::Registry, KeyRole::Control];
    samples.cases("KeyRole", roles);
    samples.object("KemKey", kem_key());
    samples.object("KeyRecord", record()).optional(&["/device_key"]);
    samples
}

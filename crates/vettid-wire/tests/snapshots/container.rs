//! Samples of what a recovery container holds.

use crate::credential::{journal_head, package, transaction_key};
use crate::sample::Samples;
use crate::{services_credential, value};
use vettid_wire::credential::{CredentialBackup, LockBackup, SecretField, VaultSeen};

fn credential_backup() -> CredentialBackup {
    CredentialBackup {
        services_credential: Some(services_credential::backup()),
        vault_credentials: vec![package()],
        vault_fp: value::fingerprint(),
        password_salt: value::bytes(16),
        device_secret: SecretField::new(vec![0x5e; 32]),
        transaction_keys: vec![transaction_key()],
        credential_epoch: 1,
        journal_head: Some(journal_head()),
        vault_seen: Some(VaultSeen { incarnation: 1, journal_sequence: 812 }),
        lock: Some(lock()),
    }
}

fn lock() -> LockBackup {
    LockBackup { device_secret: SecretField::new(vec![0x5f; 32]), lane_key: value::ed25519(), attempts_total: 7 }
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("container");
    samples.object("CredentialBackup", credential_backup()).optional(&[
        "/services_credential",
        "/journal_head",
        "/vault_seen",
        "/lock",
    ]);
    samples.object("LockBackup", lock());
    samples.object("VaultSeen", VaultSeen { incarnation: 1, journal_sequence: 812 });
    samples
}

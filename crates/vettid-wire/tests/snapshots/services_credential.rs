//! Samples of the Vault Services Credential.

use crate::credential::{package, transaction_key};
use crate::sample::Samples;
use crate::value;
use vettid_wire::credential::SecretField;
use vettid_wire::services_credential::{
    BackupKeys, CreateServicesCredential, NewPhrase, SealedSecrets, ServicesCredentialBackup, ServicesKeys,
    ServicesSecrets, ServicesTerms,
};

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("services_credential");
    let terms = ServicesTerms { password_salt: value::bytes(16), secrets: value::bytes(48) };
    let create = CreateServicesCredential {
        op_id: value::operation(),
        key_id: value::transaction_key_id(),
        encrypted_password_hash: value::bytes(136),
        terms: terms.clone(),
    };
    samples.object("CreateServicesCredential", create);
    samples.object("ServicesTerms", terms);
    let keys = ServicesKeys {
        issuer: value::fingerprint(),
        new_transaction_keys: vec![transaction_key()],
        live_key_ids: vec![value::transaction_key_id()],
    };
    samples.object("ServicesKeys", keys);
    samples.object("NewPhrase", NewPhrase { verifier: value::bytes(32) });
    samples.object("SealedSecrets", SealedSecrets { inner_seq: 2, secrets: value::bytes(48) });
    samples.object("ServicesSecrets", secrets()).optional(&["/backup_keys/previous"]);
    samples.object("BackupKeys", secrets().backup_keys).optional(&["/previous"]);
    samples.object("ServicesCredentialBackup", backup());
    samples
}

fn secrets() -> ServicesSecrets {
    let key = |byte| SecretField::new(vec![byte; 32]);
    let backup_keys = BackupKeys { active: key(2), previous: Some(key(3)), retired: vec![key(4)] };
    ServicesSecrets { version: 1, vault_access_key: key(1), backup_keys }
}

pub(crate) fn backup() -> ServicesCredentialBackup {
    ServicesCredentialBackup {
        package: package(),
        issuer: value::fingerprint(),
        password_salt: value::bytes(16),
        device_secret: SecretField::new(vec![0x5e; 32]),
        transaction_keys: vec![transaction_key()],
        credential_epoch: 1,
    }
}

//! Samples of backup manifests.

use crate::sample::Samples;
use crate::value;
use vettid_wire::backup::{BackupManifest, BackupTrigger, FORMAT, MANIFEST_TYPE, MANIFEST_VERSION};

fn manifest() -> BackupManifest {
    BackupManifest {
        kind: MANIFEST_TYPE.to_owned(),
        version: MANIFEST_VERSION,
        backup_id: value::event(),
        guid: value::member(),
        vault_fp: value::fingerprint(),
        created_at: value::at(0),
        sequence: 12,
        prev_manifest_hash: value::previous_digest(),
        format: FORMAT.to_owned(),
        backup_key_id: value::kem_key_id(),
        credential_version: 42,
        credential_epoch: 1,
        incarnation: 1,
        journal_seq: 512,
        audit_seq: 256,
        audit_hash: value::digest(),
        schema_version: 1,
        trigger: BackupTrigger::Scheduled,
        size: 70_000,
        sha256: value::digest(),
        chunk_root: value::digest(),
        key_id: value::key_id(),
        signature: value::signature(),
    }
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("backup");
    samples.object("BackupManifest", manifest());
    let triggers = [
        BackupTrigger::Scheduled,
        BackupTrigger::Member,
        BackupTrigger::Operator,
        BackupTrigger::BeforeStop,
        BackupTrigger::BeforeExpiry,
        BackupTrigger::KeyRotation,
    ];
    samples.cases("BackupTrigger", triggers);
    samples
}

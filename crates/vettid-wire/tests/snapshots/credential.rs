//! Samples of the Protean credential: blob body, package, tokens, and the USE, RESULT and CONFIRM objects.

use crate::sample::Samples;
use crate::value;
use serde_json::json;
use vettid_wire::credential::{
    BODY_FORMAT_VERSION, Binding, ChallengeRequest, ChangePassword, Confirm, ConfirmReply, Confirmed, CreateCredential,
    CredentialBackup, CredentialBody, CredentialPackage, CredentialPolicies, CredentialStatus, CredentialTimes,
    FirstTerms, InnerUpdate, JournalHead, LatAnswer, LatChallenge, LatId, LatReference, LedgerToken, PasswordVerifier,
    ReplenishKeys, ReplenishedKeys, RequestBinding, SecretField, TRANSACTION_KEY_ALGORITHM, TransactionKey, UseRequest,
    UseResult, UseStatus, VaultSeen, VerifierKind,
};
use vettid_wire::recovery::RecoveryHold;

pub(crate) fn lat_id() -> LatId {
    LatId::from_random([0x7f; 16])
}

fn verifier() -> PasswordVerifier {
    PasswordVerifier {
        kind: VerifierKind::Password,
        hash: "$argon2id$v=19$m=65536,t=3,p=4$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
            .to_owned(),
        hash_version: "2".to_owned(),
    }
}

fn policies() -> CredentialPolicies {
    CredentialPolicies {
        ttl_minutes: Some(15),
        max_failed_attempts: 10,
        authorized_operations: vec!["sign_transaction".to_owned()],
    }
}

fn binding() -> Binding {
    Binding { vault_id: value::fingerprint(), bound_at: value::at(0) }
}

fn times() -> CredentialTimes {
    CredentialTimes { created_at: value::at(0), updated_at: value::at(5) }
}

fn body() -> CredentialBody {
    CredentialBody {
        format_version: BODY_FORMAT_VERSION,
        guid: value::member(),
        issuer: value::digest(),
        cek_version: 42,
        credential_epoch: 1,
        auth: verifier(),
        policies: policies(),
        binding: Some(binding()),
        inner_seq: 3,
        secrets: value::bytes(48),
        timestamps: Some(times()),
    }
}

fn token() -> LedgerToken {
    LedgerToken { lat_id: lat_id(), token: SecretField::new(vec![0x5e; 32]), version: 42 }
}

pub(crate) fn transaction_key() -> TransactionKey {
    TransactionKey {
        key_id: value::transaction_key_id(),
        public_key: value::bytes(32),
        algorithm: TRANSACTION_KEY_ALGORITHM.to_owned(),
        created_at: value::at(0),
        expires_at: value::at(30 * 24 * 60),
    }
}

pub(crate) fn package() -> CredentialPackage {
    CredentialPackage {
        user_guid: value::member(),
        encrypted_blob: value::bytes(72),
        ephemeral_public_key: value::bytes(32),
        credential_epoch: 1,
        cek_version: 43,
        prev_cek_version: Some(42),
        ledger_auth_token: token(),
        new_transaction_keys: vec![transaction_key()],
    }
}

fn journal_head() -> JournalHead {
    JournalHead { incarnation: 1, sequence: 812, hash: value::digest() }
}

fn challenge() -> LatChallenge {
    LatChallenge { lat_id: lat_id(), version: 42, client_nonce: value::bytes(32) }
}

fn use_request() -> UseRequest {
    UseRequest {
        op_id: value::operation(),
        action: "sign_transaction".to_owned(),
        params: json!({ "request_hash": value::digest() }),
        encrypted_blob: value::bytes(72),
        ephemeral_public_key: value::bytes(32),
        cek_version: 42,
        key_id: value::transaction_key_id(),
        encrypted_password_hash: value::bytes(136),
        lat: challenge(),
        slots: vec![41, 42],
        journal_head: Some(journal_head()),
    }
}

fn use_result() -> UseResult {
    UseResult {
        op_id: value::operation(),
        status: UseStatus::Done,
        action_result: Some(json!({ "signature": value::signature() })),
        credential_package: Some(package()),
        attempts_total: 2,
        retry_after_ms: Some(60_000),
        live_key_ids: vec![value::transaction_key_id()],
    }
}

fn request_binding() -> RequestBinding {
    RequestBinding {
        op_id: value::operation(),
        action: "sign_transaction".to_owned(),
        params: json!({ "request_hash": value::digest() }),
        cek_version: 42,
        blob_hash: value::digest(),
        key_id: value::transaction_key_id(),
        lat: LatReference { lat_id: lat_id(), version: 42 },
    }
}

fn statuses() -> [UseStatus; 8] {
    [
        UseStatus::Done,
        UseStatus::WrongPassword,
        UseStatus::Wait,
        UseStatus::Locked,
        UseStatus::StaleCredential,
        UseStatus::StalePending,
        UseStatus::UnknownTransactionKey,
        UseStatus::InDoubt,
    ]
}

fn credential_backup() -> CredentialBackup {
    CredentialBackup {
        services_credential: Some(crate::services_credential::backup()),
        vault_credentials: vec![package()],
        vault_fp: value::fingerprint(),
        password_salt: value::bytes(16),
        device_secret: SecretField::new(vec![0x5e; 32]),
        transaction_keys: vec![transaction_key()],
        credential_epoch: 1,
        journal_head: Some(journal_head()),
        vault_seen: Some(VaultSeen { incarnation: 1, journal_sequence: 812 }),
    }
}

fn at_rest(samples: &mut Samples) {
    samples.object("CredentialBody", body()).optional(&["/binding", "/timestamps"]);
    samples.object("PasswordVerifier", verifier());
    samples.cases("VerifierKind", [VerifierKind::Password]);
    samples.object("CredentialPolicies", policies()).optional(&["/ttl_minutes", "/authorized_operations"]);
    samples.object("Binding", binding());
    samples.object("CredentialTimes", times());
    samples.object("CredentialPackage", package()).optional(&["/prev_cek_version"]);
    samples.object("LedgerToken", token());
    samples.text("SecretField", SecretField::new(vec![0x5e; 32]));
    samples.object("TransactionKey", transaction_key());
    samples.object("CredentialBackup", credential_backup()).optional(&[
        "/services_credential",
        "/journal_head",
        "/vault_seen",
    ]);
}

fn in_use(samples: &mut Samples) {
    samples.object("LatReference", request_binding().lat);
    samples.object("LatChallenge", challenge());
    let (server_nonce, token) = (value::bytes(32), value::bytes(32));
    samples.object("LatAnswer", LatAnswer { lat_id: lat_id(), version: 42, server_nonce, token });
    let asked = ChallengeRequest {
        action: "sign_transaction".to_owned(),
        key_id: value::transaction_key_id(),
        lat: challenge(),
    };
    samples.object("ChallengeRequest", asked);
    let update = InnerUpdate { inner_seq: 4, secrets: value::bytes(48), hash: Some(verifier().hash) };
    samples.object("InnerUpdate", update).optional(&["/hash"]);
    samples.object("RequestBinding", request_binding()).open(&["/params"]);
    samples.object("JournalHead", journal_head());
    samples.object("UseRequest", use_request()).optional(&["/journal_head"]).open(&["/params"]);
    samples.cases("UseStatus", statuses());
    samples
        .object("UseResult", use_result())
        .optional(&["/action_result", "/credential_package", "/retry_after_ms", "/live_key_ids"])
        .open(&["/action_result"]);
    let (op_id, cek_version) = (value::operation(), 43);
    samples.object("Confirm", Confirm { op_id, cek_version, blob_hash: value::digest() });
    samples.object("Confirmed", Confirmed { op_id, cek_version });
    let live_key_ids = vec![value::transaction_key_id()];
    samples.object("ReplenishKeys", ReplenishKeys { live_key_ids: live_key_ids.clone() });
    let new_transaction_keys = vec![transaction_key()];
    samples.object("ReplenishedKeys", ReplenishedKeys { new_transaction_keys, live_key_ids });
}

fn of_a_vault(samples: &mut Samples) {
    let terms = FirstTerms { password_salt: value::bytes(16), ttl_minutes: Some(15) };
    let create = CreateCredential {
        op_id: value::operation(),
        key_id: value::transaction_key_id(),
        encrypted_password_hash: value::bytes(168),
        terms: terms.clone(),
    };
    samples.object("CreateCredential", create).optional(&["/terms/ttl_minutes"]);
    samples.object("FirstTerms", terms).optional(&["/ttl_minutes"]);
    let change = ChangePassword { hash: verifier().hash, sealed_inner_key: value::bytes(328) };
    samples.object("ChangePassword", change);
    let status = CredentialStatus {
        exists: true,
        cek_version: 42,
        credential_epoch: 1,
        attempts: 4,
        attempts_total: 17,
        locked: false,
        retry_after_ms: Some(60_000),
        transaction_keys: 19,
        grants: 1,
        journal_head: Some(journal_head()),
        recovery: Some(RecoveryHold {
            recovery_id: value::event(),
            recovered_at: value::at(0),
            hold_until: value::at(1440),
        }),
    };
    samples.object("CredentialStatus", status).optional(&["/retry_after_ms", "/journal_head", "/recovery"]);
    samples.object("VaultSeen", VaultSeen { incarnation: 1, journal_sequence: 812 });
    let confirmed = Confirmed { op_id: value::operation(), cek_version: 43 };
    samples.case("ConfirmReply", ConfirmReply::Confirmed(confirmed));
    let stale = UseResult {
        op_id: value::operation(),
        status: UseStatus::StalePending,
        action_result: None,
        credential_package: None,
        attempts_total: 2,
        retry_after_ms: None,
        live_key_ids: Vec::new(),
    };
    samples.case("ConfirmReply", ConfirmReply::Stale(Box::new(stale)));
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("credential");
    of_a_vault(&mut samples);
    at_rest(&mut samples);
    in_use(&mut samples);
    samples
}

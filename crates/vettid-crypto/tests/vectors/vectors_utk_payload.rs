//! Section `utk_payload`.

use vettid_crypto::kdf;
use vettid_crypto::password::PasswordProof;
use vettid_crypto::suite::x25519;
use vettid_crypto::utk::{LedgerTransactionKey, PasswordPayload, ProofRequest, request_hash, seal};
use vettid_wire::base64::{decode, encode};
use vettid_wire::credential::RequestBinding;
use vettid_wire::json;
use vettid_wire::time::Timestamp;

use crate::loader::{array, bytes, secret, text, vectors};
use crate::script::Script;

fn binding() -> RequestBinding {
    json::from_value(vectors()["utk_payload"]["request"].clone()).unwrap()
}

fn ledger_key() -> LedgerTransactionKey {
    let secret = x25519::SecretKey::from_secret(secret("/utk_payload/ltk_private"));
    LedgerTransactionKey::from_parts(binding().key_id, secret, Timestamp::from_unix_ms(0))
}

fn request(binding: &RequestBinding) -> ProofRequest<'_> {
    ProofRequest { guid: "550e8400-e29b-41d4-a716-446655440000".parse().unwrap(), binding }
}

#[test]
fn hash_of_the_request() {
    assert_eq!(request_hash(&binding()).unwrap().as_bytes(), &array("/utk_payload/request_hash"));
    let key = ledger_key().transaction_key();
    assert_eq!(key.public_key.as_bytes(), bytes("/utk_payload/utk_public"));
}

#[test]
fn sealed_and_opened() {
    let binding = binding();
    let wanted = decode(text("/utk_payload/encrypted_password_hash")).unwrap();
    assert_eq!(wanted.len(), 136);
    let payload = PasswordPayload { proof: PasswordProof::from_secret(secret("/password/pw_auth")), inner: None };
    let mut script = Script::of(&[&bytes("/utk_payload/ephemeral_private"), &wanted[64..88]]);
    let sealed = seal(&ledger_key().transaction_key(), &request(&binding), &payload, &mut script).unwrap();
    assert!(script.is_used_up());
    assert_eq!(encode(&sealed), encode(&wanted));

    let opened = ledger_key().open(&request(&binding), &wanted).unwrap();
    assert_eq!(opened.proof.expose(), &array("/password/pw_auth"));
    assert!(opened.inner.is_none());
}

#[test]
fn header_is_in_the_key_schedule() {
    let wanted = decode(text("/utk_payload/encrypted_password_hash")).unwrap();
    let shared = x25519::SecretKey::from_secret(secret("/utk_payload/ltk_private")).decapsulate(&wanted[..32]).unwrap();
    let root = kdf::Extract::new(&kdf::h256(&bytes("/utk_payload/H")))
        .raw(b"vettid-utk-v1 secret")
        .lp(shared.expose())
        .lp(b"")
        .finish();
    let mut keys = [0; 64];
    kdf::expand(&root, &[b"vettid-utk-v1 key"], &mut keys);
    assert_eq!(keys[32..], wanted[32..64]);
}

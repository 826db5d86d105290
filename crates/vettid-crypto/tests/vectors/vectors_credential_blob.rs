//! Section `credential_blob`: both layers.

use vettid_crypto::credential::{CredentialKey, InnerPlace, OuterPlace, SealedCredential};
use vettid_crypto::password::InnerKey;
use vettid_crypto::suite::{KemSecretKey, x25519};
use vettid_wire::base64::{decode, encode};
use vettid_wire::credential::CredentialBody;
use vettid_wire::id::Fingerprint;
use vettid_wire::json;

use crate::loader::{array, bytes, secret, text};
use crate::script::Script;

fn key() -> CredentialKey {
    let secret = x25519::SecretKey::from_secret(secret("/credential_blob/cek_private"));
    assert_eq!(secret.public_key().as_bytes(), &array("/credential_blob/cek_public"));
    CredentialKey::from_kem_key(KemSecretKey::X25519(secret))
}

fn body() -> CredentialBody {
    json::read(text("/credential_blob/plaintext").as_bytes()).unwrap()
}

fn place() -> OuterPlace {
    OuterPlace {
        guid: "550e8400-e29b-41d4-a716-446655440000".parse().unwrap(),
        issuer: Fingerprint::from_bytes(array("/identity/fpA")),
        credential_epoch: 1,
        cek_version: 42,
    }
}

#[test]
fn outer_layer() {
    let blob = decode(text("/credential_blob/encrypted_blob")).unwrap();
    let nonce = &blob[32..56];
    let mut script = Script::of(&[&bytes("/credential_blob/ephemeral_private"), nonce]);
    let sealed = key().seal(&body(), &mut script).unwrap();
    assert!(script.is_used_up());
    assert_eq!(encode(&sealed.encrypted_blob), text("/credential_blob/encrypted_blob"));
    assert_eq!(encode(&sealed.ephemeral_public_key), text("/credential_blob/ephemeral_public_key"));
    assert_eq!(sealed.hash().to_string(), text("/utk_payload/request/blob_hash"));
}

#[test]
fn outer_layer_opens_to_the_plaintext() {
    let sealed = SealedCredential {
        encrypted_blob: decode(text("/credential_blob/encrypted_blob")).unwrap(),
        ephemeral_public_key: decode(text("/credential_blob/ephemeral_public_key")).unwrap(),
    };
    let opened = key().open(&place(), &sealed).unwrap();
    assert_eq!(json::canonical(&opened).unwrap(), text("/credential_blob/plaintext").as_bytes());
    assert_eq!(opened.auth.hash, text("/password/stored_phc"));
}

#[test]
fn header_is_in_the_key_schedule() {
    let shared = x25519::SecretKey::from_secret(secret("/credential_blob/cek_private"))
        .decapsulate(&decode(text("/credential_blob/ephemeral_public_key")).unwrap())
        .unwrap();
    let header = bytes("/credential_blob/H");
    let root = vettid_crypto::kdf::Extract::new(&vettid_crypto::kdf::h256(&header))
        .raw(b"vettid-cek-v1 secret")
        .lp(shared.expose())
        .lp(b"")
        .finish();
    let mut keys = [0; 64];
    vettid_crypto::kdf::expand(&root, &[b"vettid-cek-v1 key"], &mut keys);
    let blob = decode(text("/credential_blob/encrypted_blob")).unwrap();
    assert_eq!(keys[32..], blob[..32]);
}

#[test]
fn inner_layer() {
    let body = body();
    let inner_place = InnerPlace::of(&body);
    let key = InnerKey::from_secret(secret("/password/k_inner"));
    let secrets = inner_place.open(&key, body.secrets.as_bytes()).unwrap();
    assert!(json::parse(secrets.expose()).unwrap().is_object());
    let nonce = &body.secrets.as_bytes()[..24];
    let again = inner_place.seal(&key, secrets.expose(), &mut Script::of(&[nonce]));
    assert_eq!(again, body.secrets.as_bytes());
}

#[test]
fn inner_layer_opens_with_the_written_aad() {
    use chacha20poly1305::aead::{Aead, Payload};
    use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
    let body = body();
    let (nonce, sealed) = body.secrets.as_bytes().split_first_chunk::<24>().unwrap();
    let aad = bytes("/credential_blob/inner_aad");
    let cipher = XChaCha20Poly1305::new(&array::<32>("/password/k_inner").into());
    let by_hand = cipher.decrypt(nonce.into(), Payload { msg: sealed, aad: &aad }).unwrap();
    let key = InnerKey::from_secret(secret("/password/k_inner"));
    assert_eq!(InnerPlace::of(&body).open(&key, body.secrets.as_bytes()).unwrap().expose(), by_hand);
}

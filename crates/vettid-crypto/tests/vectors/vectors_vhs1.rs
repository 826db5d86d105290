//! Section `vhs1`: the three messages and what follows from them. The steps in between are checked inside the
//! crate, where they can be seen.

use serde_json::{Map, Value};
use vettid_crypto::handshake::{AwaitingHs2, AwaitingHs3, Psk, Setup, Start, open_hs1};
use vettid_crypto::identity::{SigningKey, VerifyingKey};
use vettid_crypto::stored::Stored;
use vettid_crypto::suite::{Suite, x25519};
use vettid_wire::handshake::{HandshakeMessage, Role};
use vettid_wire::id::{Fingerprint, HandshakeId};

use crate::loader::{array, bytes, secret, text, vectors};
use crate::script::Script;

fn identity(side: &str) -> SigningKey {
    SigningKey::from_seed(&secret(&format!("/identity/ik{side}")))
}

fn prekey() -> x25519::SecretKey {
    x25519::SecretKey::from_secret(secret("/vhs1/prekey_sk"))
}

fn psk() -> Psk {
    Psk::Invitation(secret("/vhs1/psk"))
}

fn setup() -> Setup {
    let responder = Fingerprint::from_bytes(array("/identity/fpA"));
    Setup::new(Suite::X25519, Role::Connect, HandshakeId::from_bytes(array("/vhs1/hs_id")), responder).unwrap()
}

/// The payload of a message without what the handshake itself puts in.
fn payload(name: &str) -> Map<String, Value> {
    let mut payload: Map<String, Value> = serde_json::from_str(text(&format!("/vhs1/{name}"))).unwrap();
    payload.remove("sig");
    payload.remove("nonce");
    payload
}

fn nonce(name: &str) -> Vec<u8> {
    bytes(&format!("/vhs1/{name}"))[..24].to_vec()
}

fn hs1() -> (HandshakeMessage, AwaitingHs2) {
    let mut script = Script::of(&[&bytes("/vhs1/eI"), &bytes("/vhs1/nI"), &nonce("c1")]);
    let start = Start::new(&mut script, setup(), &prekey().public_key(), &psk()).unwrap();
    assert_eq!(start.th1(), &array("/vhs1/th1"));
    let done = start.seal(&mut script, &identity("B"), payload("p1")).unwrap();
    assert!(script.is_used_up());
    done
}

fn hs2() -> (HandshakeMessage, AwaitingHs3) {
    let opened = open_hs1(setup(), &prekey(), &psk(), &hs1().0).unwrap();
    let initiator = identity("B").verifying_key();
    let (verified, _) = opened.verify(&initiator, &initiator).unwrap();
    let mut script = Script::of(&[&bytes("/vhs1/eR"), &bytes("/vhs1/nR"), &nonce("c2")]);
    let done = verified.seal(&mut script, &identity("A"), payload("p2")).unwrap();
    assert!(script.is_used_up());
    done
}

#[test]
fn prekey_and_messages() {
    assert_eq!(prekey().public_key(), x25519::PublicKey::from_bytes(array("/vhs1/prekey_pk")));
    assert_eq!(hs1().0.c.as_bytes(), bytes("/vhs1/c1"));
    let (message, awaiting) = hs2();
    assert_eq!(message.c.as_bytes(), bytes("/vhs1/c2"));
    assert_eq!(awaiting.th3(), &array("/vhs1/th3"));
}

#[test]
fn both_sides_reach_the_same_keys() {
    let (message2, responder) = hs2();
    let opened = hs1().1.open(&message2).unwrap();
    assert_eq!(opened.th2(), &array("/vhs1/th2"));
    assert_eq!(Value::Object(opened.claimed().clone()), serde_json::from_str::<Value>(text("/vhs1/p2")).unwrap());
    let [a, b]: [VerifyingKey; 2] = ["A", "B"].map(|side| identity(side).verifying_key());
    let (verified, _) = opened.verify(&a, &a, &b.fingerprint()).unwrap();
    let mut script = Script::of(&[&nonce("c3")]);
    let (message3, initiator) = verified.seal(&mut script, &identity("B"), payload("p3")).unwrap();
    assert_eq!(message3.c.as_bytes(), bytes("/vhs1/c3"));

    let restored = AwaitingHs3::from_form(responder.to_form()).unwrap();
    let (established, payload3) = restored.open(&message3).unwrap();
    assert_eq!(Value::Object(payload3), serde_json::from_str::<Value>(text("/vhs1/p3")).unwrap());
    assert_eq!(established, initiator);
    assert_eq!(established.epoch_key(), &secret("/vhs1/K0"));
    assert_eq!(established.resume(), &secret("/vhs1/resumption_secret"));
    assert_eq!(established.key_id().to_bytes(), array("/vhs1/connection_key_id"));
    let symbols: Vec<u8> = serde_json::from_value(vectors()["vhs1"]["sas_emoji_indices"].clone()).unwrap();
    assert_eq!(established.symbols(), symbols.as_slice());
    assert_eq!(verified.symbols(), symbols.as_slice());
}

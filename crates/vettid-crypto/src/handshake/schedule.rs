//! The key schedule of VHS-1: transcript hashes, chaining keys and message keys, as in the table of spec 2.4.

use rand_core::CryptoRng;
use serde_json::Value;
use vettid_wire::base64::Base64;
use vettid_wire::handshake::{HandshakeMessage, Hs1, Hs2};
use vettid_wire::id::SessionKeyId;
use vettid_wire::{base64, json};

use super::{Established, HandshakeError, MAX_PAYLOAD_BYTES, Payload, PayloadError, Setup};
use crate::aead;
use crate::identity::Signature;
use crate::kdf::{self, Extract, Lp};
use crate::secret::Secret32;

pub(super) const LABEL_SIGNATURE_1: &str = "vettid-hs-v1 m1";
pub(super) const LABEL_SIGNATURE_2: &str = "vettid-hs-v1 m2";
pub(super) const LABEL_SIGNATURE_3: &str = "vettid-hs-v1 m3";

/// A transcript hash.
pub(super) type Hash = [u8; 32];

/// `CTX`.
fn context(setup: &Setup) -> Lp {
    Lp::labelled_with_capacity("vettid-hs-v1", 512)
        .u16(setup.suite.id())
        .lp_str(setup.role.name())
        .lp(setup.responder.as_bytes())
}

/// `h1`.
pub(super) fn h1(setup: &Setup, h: &Hs1) -> Vec<u8> {
    context(setup)
        .lp_str("hs1")
        .lp(&setup.hs_id.to_bytes())
        .lp_str(h.prekey_id.as_str())
        .lp(h.e.as_bytes())
        .lp(h.kem.as_bytes())
        .lp(h.commit.as_bytes())
        .finish()
}

/// `h2`.
pub(super) fn h2(setup: &Setup, h: &Hs2) -> Vec<u8> {
    context(setup).lp_str("hs2").lp(&setup.hs_id.to_bytes()).lp(h.e.as_bytes()).lp(h.ct.as_bytes()).finish()
}

/// `th2 = H256(th1 ‖ H256(c1) ‖ h2)`.
pub(super) fn th2(th1: &Hash, c1_hash: &Hash, h2: &[u8]) -> Hash {
    kdf::h256_parts(&[th1, c1_hash, h2])
}

/// `th3 = H256(th2 ‖ H256(c2))`.
pub(super) fn th3(th2: &Hash, c2: &[u8]) -> Hash {
    kdf::h256_parts(&[th2, &kdf::h256(c2)])
}

/// `H256("vettid-hs-v1 commit" ‖ nI)`.
pub(super) fn commitment(nonce: &Secret32) -> Hash {
    kdf::h256_parts(&[b"vettid-hs-v1 commit", nonce.expose()])
}

/// `ck1 = Ext(H256(CTX), LP(psk) ‖ LP(es))`.
pub(super) fn ck1(setup: &Setup, psk: &[u8; 32], es: &Secret32) -> Secret32 {
    let salt = kdf::h256(context(setup).as_bytes());
    Extract::new(&salt).lp(psk).lp(es.expose()).finish()
}

/// `ck2 = Ext(ck1, LP(ee) ‖ LP(ss_kem))`; `ss_kem` is empty in suite 1.
pub(super) fn ck2(ck1: &Secret32, ee: &Secret32) -> Secret32 {
    Extract::new(ck1.expose()).lp(ee.expose()).lp(b"").finish()
}

/// The key of message `number`: `Exp(ck, "vettid-hs-v1 k{number}" ‖ th, 32)`.
pub(super) fn message_key(chain: &Secret32, number: u8, th: &Hash) -> Secret32 {
    let digit = [b'0'.saturating_add(number)];
    kdf::expand_secret(chain, &[b"vettid-hs-v1 k", &digit, th])
}

/// `K0`, id, resumption secret and SAS.
pub(super) fn established(
    ck2: &Secret32,
    th3: &Hash,
    initiator_nonce: &Secret32,
    responder_nonce: &Secret32,
) -> Established {
    let mut key_id = [0; 16];
    kdf::expand(ck2, &[b"vettid-hs-v1 id", th3], &mut key_id);
    let mut sas = [0; 6];
    let (one, other) = (initiator_nonce.expose(), responder_nonce.expose());
    kdf::expand(ck2, &[b"vettid-hs-v1 sas", th3, one, other], &mut sas);
    Established {
        epoch_key: kdf::expand_secret(ck2, &[b"vettid-hs-v1 epoch", th3]),
        resume: kdf::expand_secret(ck2, &[b"vettid-hs-v1 resume", th3]),
        key_id: SessionKeyId::from_bytes(key_id),
        symbols: symbols(sas),
    }
}

/// The first 42 of 48 bits, six at a time.
fn symbols(sas: [u8; 6]) -> [u8; 7] {
    let bits = sas.into_iter().fold(0_u64, |bits, byte| (bits << 8) | u64::from(byte));
    std::array::from_fn(|place| {
        let shift = 42_usize.saturating_sub(place.saturating_mul(6));
        u8::try_from((bits >> shift) & 0x3f).unwrap_or_default()
    })
}

/// `label 0x00 ‖ th ‖ FP` of the receiver: what a party signs.
pub(super) fn signature_input(label: &str, th: &Hash, receiver: &[u8; 32]) -> Vec<u8> {
    Lp::labelled(label).raw(th).raw(receiver).finish()
}

/// `nonce[24] ‖ AEAD(key, aad = th, JCS(payload))`.
pub(super) fn seal(
    rng: &mut dyn CryptoRng,
    key: &Secret32,
    th: &Hash,
    payload: &Payload,
) -> Result<Base64, HandshakeError> {
    let plaintext = json::canonical(payload).map_err(HandshakeError::Unwritable)?;
    if plaintext.len() > MAX_PAYLOAD_BYTES {
        return Err(HandshakeError::TooLarge);
    }
    Ok(Base64::new(aead::seal(key.expose(), rng, th, &plaintext)))
}

/// Opens the sealed part and takes the signature out of it.
pub(super) fn open(
    key: &Secret32,
    th: &Hash,
    message: &HandshakeMessage,
) -> Result<(Payload, Signature), HandshakeError> {
    let plaintext = aead::open(key.expose(), th, message.c.as_bytes()).map_err(|_| HandshakeError::Undecryptable)?;
    let Ok(Value::Object(payload)) = json::parse(plaintext.expose()) else {
        return Err(PayloadError::Malformed.into());
    };
    let signature = text(&payload, "sig").and_then(|bytes| bytes.try_into().ok()).map(Signature::from_bytes);
    Ok((payload, signature.ok_or(PayloadError::Malformed)?))
}

/// Bytes of a base64 field.
pub(super) fn text(payload: &Payload, name: &str) -> Option<Vec<u8>> {
    base64::decode(payload.get(name)?.as_str()?).ok()
}

/// Puts bytes into a payload.
pub(super) fn put(payload: &mut Payload, name: &str, bytes: &[u8]) {
    payload.insert(name.to_owned(), base64::encode(bytes).into());
}

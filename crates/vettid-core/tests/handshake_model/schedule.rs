//! The attacker's own VHS-1: the key schedule of spec 2.4 written a second time, so that any payload can be sealed under any
//! key that is known, with any signature.

use chacha20poly1305::aead::{Aead, Payload as Sealable};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use serde_json::{Map, Value};
use vettid_crypto::kdf::{Extract, Lp, expand_secret, h256, h256_parts};
use vettid_crypto::secret::Secret32;
use vettid_crypto::suite::x25519;
use vettid_wire::base64::{self, Base64};
use vettid_wire::digest::Digest;
use vettid_wire::handshake::{HandshakeMessage, Hs1, Hs2, Hs3, Role, Step};
use vettid_wire::id::{Fingerprint, HandshakeId};
use vettid_wire::json;

pub(crate) type Payload = Map<String, Value>;
const SUITE: u16 = 1;

/// What is known after a first message.
#[derive(Debug)]
pub(crate) struct First {
    pub hs_id: HandshakeId,
    pub responder: Fingerprint,
    pub initiator_e: [u8; 32],
    role: Role,
    th1: [u8; 32],
    c1_hash: [u8; 32],
    ck1: Secret32,
}

/// What is known after a second message: everything.
#[derive(Debug)]
pub(crate) struct Second {
    pub th3: [u8; 32],
    ck2: Secret32,
    hs_id: HandshakeId,
    role: Role,
}

impl Second {
    /// `K0`.
    pub(crate) fn epoch_key(&self) -> [u8; 32] {
        epoch_key(&self.ck2, &self.th3)
    }

    /// The third message with this content.
    pub(crate) fn third(&self, payload: &Payload) -> HandshakeMessage {
        let c = seal(&message_key(&self.ck2, "3", &self.th3), &self.th3, payload);
        HandshakeMessage { hs_id: self.hs_id, suite: SUITE, role: self.role, step: Step::Hs3(Hs3 {}), c }
    }

    /// Opens a third message.
    pub(crate) fn open_third(&self, message: &HandshakeMessage) -> Option<Payload> {
        open(&message_key(&self.ck2, "3", &self.th3), &self.th3, message)
    }
}

/// `K0` from what a side stores.
pub(crate) fn epoch_key(ck2: &Secret32, th3: &[u8; 32]) -> [u8; 32] {
    *expand_secret(ck2, &[b"vettid-hs-v1 epoch", th3]).expose()
}

/// How a first message is made.
pub(crate) struct Beginning<'a> {
    pub hs_id: HandshakeId,
    pub responder: Fingerprint,
    pub prekey: x25519::PublicKey,
    pub psk: &'a [u8; 32],
    pub ephemeral: &'a x25519::SecretKey,
    pub nonce: [u8; 32],
}

impl Beginning<'_> {
    /// The first message; `payload` is made from `th1`.
    pub(crate) fn first(&self, payload: impl FnOnce(&[u8; 32]) -> Payload) -> (HandshakeMessage, First) {
        let h = Hs1 {
            prekey_id: self.prekey.key_id(),
            psk_id: None,
            e: Base64::new(*self.ephemeral.public_key().as_bytes()),
            kem: Base64::default(),
            commit: Digest::from_bytes(h256_parts(&[b"vettid-hs-v1 commit", &self.nonce])),
        };
        let role = Role::Connect;
        let th1 = th1(role, &self.responder, self.hs_id, &h);
        let es = self.ephemeral.diffie_hellman(&self.prekey).unwrap();
        let ck1 = ck1(role, &self.responder, self.psk, &es);
        let c = seal(&message_key(&ck1, "1", &th1), &th1, &payload(&th1));
        let first = First {
            hs_id: self.hs_id,
            responder: self.responder,
            initiator_e: *self.ephemeral.public_key().as_bytes(),
            role,
            th1,
            c1_hash: h256(c.as_bytes()),
            ck1,
        };
        (HandshakeMessage { hs_id: self.hs_id, suite: SUITE, role, step: Step::Hs1(h), c }, first)
    }
}

/// Opens a first message with a guess of everything that it was made with.
pub(crate) fn open_first(
    message: &HandshakeMessage,
    responder: Fingerprint,
    psk: &[u8; 32],
    prekey: &x25519::SecretKey,
) -> Option<(Payload, First)> {
    let Step::Hs1(h) = &message.step else { return None };
    let e: [u8; 32] = h.e.as_bytes().try_into().ok()?;
    let es = prekey.diffie_hellman(&x25519::PublicKey::from_bytes(e)).ok()?;
    let th1 = th1(message.role, &responder, message.hs_id, h);
    let ck1 = ck1(message.role, &responder, psk, &es);
    let payload = open(&message_key(&ck1, "1", &th1), &th1, message)?;
    let c1_hash = h256(message.c.as_bytes());
    let first = First { hs_id: message.hs_id, responder, initiator_e: e, role: message.role, th1, c1_hash, ck1 };
    Some((payload, first))
}

impl First {
    /// The second message; `payload` is made from `th2`.
    pub(crate) fn second(
        &self,
        ephemeral: &x25519::SecretKey,
        payload: impl FnOnce(&[u8; 32]) -> Payload,
    ) -> (HandshakeMessage, Second) {
        let h = Hs2 { e: Base64::new(*ephemeral.public_key().as_bytes()), ct: Base64::default() };
        let ee = ephemeral.diffie_hellman(&x25519::PublicKey::from_bytes(self.initiator_e)).unwrap();
        let (ck2, th2) = self.after(&h, &ee);
        let c = seal(&message_key(&ck2, "2", &th2), &th2, &payload(&th2));
        let second = self.known(ck2, &th2, &c);
        (HandshakeMessage { hs_id: self.hs_id, suite: SUITE, role: self.role, step: Step::Hs2(h), c }, second)
    }

    /// Opens a second message with a private key that may be one side's ephemeral key.
    pub(crate) fn open_second(
        &self,
        message: &HandshakeMessage,
        private: &x25519::SecretKey,
    ) -> Option<(Payload, Second)> {
        let Step::Hs2(h) = &message.step else { return None };
        let e: [u8; 32] = h.e.as_bytes().try_into().ok()?;
        [e, self.initiator_e].into_iter().find_map(|public| {
            let ee = private.diffie_hellman(&x25519::PublicKey::from_bytes(public)).ok()?;
            let (ck2, th2) = self.after(h, &ee);
            let payload = open(&message_key(&ck2, "2", &th2), &th2, message)?;
            Some((payload, self.known(ck2, &th2, &message.c)))
        })
    }

    fn after(&self, h: &Hs2, ee: &Secret32) -> (Secret32, [u8; 32]) {
        let h2 = context(self.role, &self.responder)
            .lp_str("hs2")
            .lp(&self.hs_id.to_bytes())
            .lp(h.e.as_bytes())
            .lp(h.ct.as_bytes());
        let th2 = h256_parts(&[&self.th1, &self.c1_hash, &h2.finish()]);
        (Extract::new(self.ck1.expose()).lp(ee.expose()).lp(b"").finish(), th2)
    }

    fn known(&self, ck2: Secret32, th2: &[u8; 32], c2: &Base64) -> Second {
        let th3 = h256_parts(&[th2, &h256(c2.as_bytes())]);
        Second { th3, ck2, hs_id: self.hs_id, role: self.role }
    }
}

/// What a party signs in message `number`.
pub(crate) fn signed(number: u8, th: &[u8; 32], receiver: &Fingerprint) -> Vec<u8> {
    Lp::labelled(&format!("vettid-hs-v1 m{number}")).raw(th).raw(receiver.as_bytes()).finish()
}

fn context(role: Role, responder: &Fingerprint) -> Lp {
    Lp::labelled("vettid-hs-v1").u16(SUITE).lp_str(role.name()).lp(responder.as_bytes())
}

fn th1(role: Role, responder: &Fingerprint, hs_id: HandshakeId, h: &Hs1) -> [u8; 32] {
    let h1 = context(role, responder)
        .lp_str("hs1")
        .lp(&hs_id.to_bytes())
        .lp_str(h.prekey_id.as_str())
        .lp(h.e.as_bytes())
        .lp(h.kem.as_bytes())
        .lp(h.commit.as_bytes());
    h256(&h1.finish())
}

fn ck1(role: Role, responder: &Fingerprint, psk: &[u8; 32], es: &Secret32) -> Secret32 {
    Extract::new(&h256(context(role, responder).as_bytes())).lp(psk).lp(es.expose()).finish()
}

fn message_key(chain: &Secret32, number: &str, th: &[u8; 32]) -> Secret32 {
    expand_secret(chain, &[b"vettid-hs-v1 k", number.as_bytes(), th])
}

/// The nonce is the hash of all that is sealed, so the same is always sealed to the same.
fn seal(key: &Secret32, th: &[u8; 32], payload: &Payload) -> Base64 {
    let text = json::canonical(payload).unwrap();
    let nonce: [u8; 24] = h256_parts(&[th, &text])[..24].try_into().unwrap();
    let sealed = cipher(key).encrypt(&XNonce::from(nonce), Sealable { msg: &text, aad: th }).unwrap();
    Base64::new([nonce.as_slice(), &sealed].concat())
}

fn open(key: &Secret32, th: &[u8; 32], message: &HandshakeMessage) -> Option<Payload> {
    let (nonce, sealed) = message.c.as_bytes().split_at_checked(24)?;
    let nonce: [u8; 24] = nonce.try_into().ok()?;
    let text = cipher(key).decrypt(&XNonce::from(nonce), Sealable { msg: sealed, aad: th }).ok()?;
    json::parse(&text).ok()?.as_object().cloned()
}

fn cipher(key: &Secret32) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.expose().into())
}

/// Puts bytes into a payload.
pub(crate) fn put(payload: &mut Payload, name: &str, bytes: &[u8]) {
    payload.insert(name.to_owned(), base64::encode(bytes).into());
}

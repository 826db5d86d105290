//! The initiator's side: `hs1` out, `hs2` in, `hs3` out.

use rand_core::CryptoRng;
use serde_json::{Map, Value};
use vettid_wire::base64::Base64;
use vettid_wire::digest::Digest;
use vettid_wire::handshake::{HandshakeMessage, Hs1, Hs3, Step};
use vettid_wire::id::Fingerprint;

use super::schedule::{self, Hash};
use super::{Established, HandshakeError, Payload, PayloadError, Psk, Setup};
use crate::identity::{Signature, SigningKey, VerifyingKey};
use crate::kdf;
use crate::secret::Secret32;
use crate::stored::stored_form;
use crate::suite::x25519;

/// The first message before it is sealed: ephemeral key and nonce are made.
#[derive(Debug)]
pub struct Start {
    setup: Setup,
    h: Hs1,
    ephemeral: x25519::SecretKey,
    nonce: Secret32,
    ck1: Secret32,
    th1: Hash,
}

impl Start {
    /// Begins a handshake with the holder of a prekey.
    ///
    /// # Errors
    /// [`HandshakeError::Suite`] for a prekey of low order.
    pub fn new(
        rng: &mut dyn CryptoRng,
        setup: Setup,
        prekey: &x25519::PublicKey,
        psk: &Psk,
    ) -> Result<Self, HandshakeError> {
        let ephemeral = x25519::SecretKey::random(rng);
        let nonce = Secret32::random(rng);
        let h = Hs1 {
            prekey_id: prekey.key_id(),
            psk_id: psk.id(),
            e: Base64::new(*ephemeral.public_key().as_bytes()),
            kem: Base64::default(),
            commit: Digest::from_bytes(schedule::commitment(&nonce)),
        };
        let th1 = kdf::h256(&schedule::h1(&setup, &h));
        let ck1 = schedule::ck1(&setup, psk.bytes(), &ephemeral.diffie_hellman(prekey)?);
        Ok(Self { setup, h, ephemeral, nonce, ck1, th1 })
    }

    /// `th1`, to which a statement of the device can be bound.
    #[must_use]
    pub fn th1(&self) -> &[u8; 32] {
        &self.th1
    }

    /// Signs the transcript with the signing key of the key record, and seals the payload.
    ///
    /// # Errors
    /// [`HandshakeError::TooLarge`], [`HandshakeError::Unwritable`].
    pub fn seal(
        self,
        rng: &mut dyn CryptoRng,
        signer: &SigningKey,
        mut payload: Map<String, Value>,
    ) -> Result<(HandshakeMessage, AwaitingHs2), HandshakeError> {
        let responder = self.setup.responder.as_bytes();
        let signed = schedule::signature_input(schedule::LABEL_SIGNATURE_1, &self.th1, responder);
        schedule::put(&mut payload, "sig", signer.sign(&signed).as_bytes());
        let key = schedule::message_key(&self.ck1, 1, &self.th1);
        let c = schedule::seal(rng, &key, &self.th1, &payload)?;
        let awaiting = AwaitingHs2 {
            c1_hash: Digest::from_bytes(kdf::h256(c.as_bytes())),
            th1: Digest::from_bytes(self.th1),
            setup: self.setup,
            ephemeral: self.ephemeral,
            nonce: self.nonce,
            ck1: self.ck1,
        };
        Ok((message(&awaiting.setup, Step::Hs1(self.h), c), awaiting))
    }
}

/// After `hs1`: holds the ephemeral key.
#[derive(Debug)]
pub struct AwaitingHs2 {
    setup: Setup,
    th1: Digest,
    c1_hash: Digest,
    ephemeral: x25519::SecretKey,
    nonce: Secret32,
    ck1: Secret32,
}

stored_form! {
    /// Stored form of [`AwaitingHs2`].
    AwaitingHs2 as StoredAwaitingHs2 {
        plain { setup: Setup, th1: Digest, c1_hash: Digest }
        secret { ephemeral: x25519::SecretKey, nonce: Secret32, ck1: Secret32 }
    }
}

impl AwaitingHs2 {
    /// What was agreed before the first message.
    #[must_use]
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// `th1`, to which the responder's attestation is bound.
    #[must_use]
    pub fn th1(&self) -> &[u8; 32] {
        self.th1.as_bytes()
    }

    /// Opens the second message. A message that does not open leaves this state as it is.
    ///
    /// # Errors
    /// [`HandshakeError::NotDue`], [`HandshakeError::Undecryptable`], [`HandshakeError::Payload`].
    pub fn open(&self, message: &HandshakeMessage) -> Result<OpenedHs2, HandshakeError> {
        let Step::Hs2(h) = &message.step else {
            return Err(HandshakeError::NotDue);
        };
        if !self.setup.names(message) || !h.ct.as_bytes().is_empty() {
            return Err(HandshakeError::NotDue);
        }
        let peer = x25519::PublicKey::from_slice(h.e.as_bytes()).map_err(|_| HandshakeError::NotDue)?;
        let ee = self.ephemeral.diffie_hellman(&peer).map_err(|_| HandshakeError::Undecryptable)?;
        let h2 = schedule::h2(&self.setup, h);
        let th2 = schedule::th2(self.th1.as_bytes(), self.c1_hash.as_bytes(), &h2);
        let ck2 = schedule::ck2(&self.ck1, &ee);
        let key = schedule::message_key(&ck2, 2, &th2);
        let (payload, signature) = schedule::open(&key, &th2, message)?;
        let nonce = schedule::text(&payload, "nonce").and_then(|bytes| Secret32::from_slice(&bytes));
        let th3 = schedule::th3(&th2, message.c.as_bytes());
        Ok(OpenedHs2 {
            responder_nonce: nonce.ok_or(PayloadError::Malformed)?,
            nonce: self.nonce.duplicate(),
            setup: self.setup.clone(),
            payload,
            signature,
            ck2,
            th2,
            th3,
        })
    }
}

/// The second message, opened. Its payload is a claim until [`OpenedHs2::verify`].
#[derive(Debug)]
pub struct OpenedHs2 {
    setup: Setup,
    payload: Payload,
    signature: Signature,
    nonce: Secret32,
    responder_nonce: Secret32,
    ck2: Secret32,
    th2: Hash,
    th3: Hash,
}

impl OpenedHs2 {
    /// What the responder claims.
    #[must_use]
    pub fn claimed(&self) -> &Map<String, Value> {
        &self.payload
    }

    /// `th2`, to which the responder's attestation is bound.
    #[must_use]
    pub fn th2(&self) -> &[u8; 32] {
        &self.th2
    }

    /// Checks that the responder is the one of the invitation (channel binding) and that its signing key, which its key
    /// record certifies, signed the transcript for this initiator.
    ///
    /// # Errors
    /// [`PayloadError::Identity`], [`PayloadError::Signature`].
    pub fn verify(
        self,
        identity: &VerifyingKey,
        signing: &VerifyingKey,
        initiator: &Fingerprint,
    ) -> Result<(VerifiedHs2, Map<String, Value>), PayloadError> {
        if identity.fingerprint() != self.setup.responder {
            return Err(PayloadError::Identity);
        }
        let signed = schedule::signature_input(schedule::LABEL_SIGNATURE_2, &self.th2, initiator.as_bytes());
        signing.verify(&signed, &self.signature).map_err(|_| PayloadError::Signature)?;
        let verified = VerifiedHs2 {
            setup: self.setup,
            th3: Digest::from_bytes(self.th3),
            nonce: self.nonce,
            responder_nonce: self.responder_nonce,
            ck2: self.ck2,
        };
        Ok((verified, self.payload))
    }
}

/// After a verified `hs2`: the ephemeral key is gone, the keys follow from here.
#[derive(Debug)]
pub struct VerifiedHs2 {
    setup: Setup,
    th3: Digest,
    nonce: Secret32,
    responder_nonce: Secret32,
    ck2: Secret32,
}

stored_form! {
    /// Stored form of [`VerifiedHs2`].
    VerifiedHs2 as StoredVerifiedHs2 {
        plain { setup: Setup, th3: Digest }
        secret { nonce: Secret32, responder_nonce: Secret32, ck2: Secret32 }
    }
}

impl VerifiedHs2 {
    /// What was agreed before the first message.
    #[must_use]
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// `th3`, over which a device key signs.
    #[must_use]
    pub fn th3(&self) -> &[u8; 32] {
        self.th3.as_bytes()
    }

    /// The short authentication string, to be compared before the last message is sent.
    #[must_use]
    pub fn symbols(&self) -> [u8; 7] {
        self.established().symbols
    }

    /// Signs the transcript, opens the commitment, and seals the payload; the keys are made.
    ///
    /// # Errors
    /// [`HandshakeError::TooLarge`], [`HandshakeError::Unwritable`].
    pub fn seal(
        &self,
        rng: &mut dyn CryptoRng,
        signer: &SigningKey,
        mut payload: Map<String, Value>,
    ) -> Result<(HandshakeMessage, Established), HandshakeError> {
        let th3 = self.th3.as_bytes();
        let signed = schedule::signature_input(schedule::LABEL_SIGNATURE_3, th3, self.setup.responder.as_bytes());
        schedule::put(&mut payload, "nonce", self.nonce.expose());
        schedule::put(&mut payload, "sig", signer.sign(&signed).as_bytes());
        let key = schedule::message_key(&self.ck2, 3, th3);
        let c = schedule::seal(rng, &key, th3, &payload)?;
        Ok((message(&self.setup, Step::Hs3(Hs3 {}), c), self.established()))
    }

    fn established(&self) -> Established {
        schedule::established(&self.ck2, self.th3.as_bytes(), &self.nonce, &self.responder_nonce)
    }
}

pub(super) fn message(setup: &Setup, step: Step, c: Base64) -> HandshakeMessage {
    HandshakeMessage { hs_id: setup.hs_id, suite: setup.suite.id(), role: setup.role, step, c }
}

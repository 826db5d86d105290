//! The responder's side: `hs1` in, `hs2` out, `hs3` in.

use rand_core::CryptoRng;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;
use vettid_wire::base64::Base64;
use vettid_wire::digest::Digest;
use vettid_wire::handshake::{HandshakeMessage, Hs2, Step};
use vettid_wire::id::Fingerprint;

use super::initiator::message;
use super::schedule::{self, Hash};
use super::{Established, HandshakeError, Payload, PayloadError, Psk, Setup};
use crate::identity::{Signature, SigningKey, VerifyingKey};
use crate::kdf;
use crate::secret::Secret32;
use crate::stored::stored_form;
use crate::suite::x25519;

/// Opens the first message with a prekey and the pre-shared secret. `setup` comes from [`Setup::of`], after the
/// caller has checked that role and suite are those that were offered.
///
/// # Errors
/// [`HandshakeError::NotDue`], [`HandshakeError::Undecryptable`], [`HandshakeError::Payload`].
pub fn open_hs1(
    setup: Setup,
    prekey: &x25519::SecretKey,
    psk: &Psk,
    message: &HandshakeMessage,
) -> Result<OpenedHs1, HandshakeError> {
    let Step::Hs1(h) = &message.step else {
        return Err(HandshakeError::NotDue);
    };
    let is_due = setup.names(message) && h.prekey_id == prekey.public_key().key_id() && h.kem.as_bytes().is_empty();
    if !is_due {
        return Err(HandshakeError::NotDue);
    }
    let ephemeral = x25519::PublicKey::from_slice(h.e.as_bytes()).map_err(|_| HandshakeError::NotDue)?;
    let es = prekey.diffie_hellman(&ephemeral).map_err(|_| HandshakeError::Undecryptable)?;
    let th1 = kdf::h256(&schedule::h1(&setup, h));
    let ck1 = schedule::ck1(&setup, psk.bytes(), &es);
    let (payload, signature) = schedule::open(&schedule::message_key(&ck1, 1, &th1), &th1, message)?;
    let c1_hash = kdf::h256(message.c.as_bytes());
    Ok(OpenedHs1 { setup, payload, signature, ephemeral, commit: h.commit, ck1, th1, c1_hash })
}

/// The first message, opened. Its payload is a claim until [`OpenedHs1::verify`].
#[derive(Debug)]
pub struct OpenedHs1 {
    setup: Setup,
    payload: Payload,
    signature: Signature,
    ephemeral: x25519::PublicKey,
    commit: Digest,
    ck1: Secret32,
    th1: Hash,
    c1_hash: Hash,
}

impl OpenedHs1 {
    /// What the initiator claims.
    #[must_use]
    pub fn claimed(&self) -> &Map<String, Value> {
        &self.payload
    }

    /// Checks that the initiator's signing key, which its key record certifies, signed the transcript for this
    /// responder. `identity` is bound into the second message.
    ///
    /// # Errors
    /// [`PayloadError::Signature`].
    pub fn verify(
        self,
        identity: &VerifyingKey,
        signing: &VerifyingKey,
    ) -> Result<(VerifiedHs1, Map<String, Value>), PayloadError> {
        let responder = self.setup.responder.as_bytes();
        let signed = schedule::signature_input(schedule::LABEL_SIGNATURE_1, &self.th1, responder);
        signing.verify(&signed, &self.signature).map_err(|_| PayloadError::Signature)?;
        let verified = VerifiedHs1 {
            setup: self.setup,
            initiator: identity.fingerprint(),
            signing: *signing,
            ephemeral: Digest::from_bytes(*self.ephemeral.as_bytes()),
            commit: self.commit,
            th1: Digest::from_bytes(self.th1),
            c1_hash: Digest::from_bytes(self.c1_hash),
            ck1: self.ck1,
        };
        Ok((verified, self.payload))
    }
}

/// After a verified `hs1`: prekey and pre-shared secret are not needed any more.
#[derive(Debug)]
pub struct VerifiedHs1 {
    setup: Setup,
    initiator: Fingerprint,
    signing: VerifyingKey,
    ephemeral: Digest,
    commit: Digest,
    th1: Digest,
    c1_hash: Digest,
    ck1: Secret32,
}

stored_form! {
    /// Stored form of [`VerifiedHs1`].
    VerifiedHs1 as StoredVerifiedHs1 {
        plain {
            setup: Setup, initiator: Fingerprint, signing: VerifyingKey, ephemeral: Digest, commit: Digest,
            th1: Digest, c1_hash: Digest,
        }
        secret { ck1: Secret32 }
    }
}

impl VerifiedHs1 {
    /// What was agreed before the first message.
    #[must_use]
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// `th1`, to which an attestation of this responder can be bound.
    #[must_use]
    pub fn th1(&self) -> &[u8; 32] {
        self.th1.as_bytes()
    }

    /// Makes the ephemeral key, signs the transcript and seals the payload. The ephemeral key is wiped here: what
    /// follows needs the chaining key alone.
    ///
    /// # Errors
    /// [`HandshakeError::Undecryptable`] if the initiator's ephemeral key is of low order,
    /// [`HandshakeError::TooLarge`], [`HandshakeError::Unwritable`].
    pub fn seal(
        &self,
        rng: &mut dyn CryptoRng,
        signer: &SigningKey,
        mut payload: Map<String, Value>,
    ) -> Result<(HandshakeMessage, AwaitingHs3), HandshakeError> {
        let ephemeral = x25519::SecretKey::random(rng);
        let nonce = Secret32::random(rng);
        let h = Hs2 { e: Base64::new(*ephemeral.public_key().as_bytes()), ct: Base64::default() };
        let peer = x25519::PublicKey::from_bytes(*self.ephemeral.as_bytes());
        let ee = ephemeral.diffie_hellman(&peer).map_err(|_| HandshakeError::Undecryptable)?;
        let h2 = schedule::h2(&self.setup, &h);
        let th2 = schedule::th2(self.th1.as_bytes(), self.c1_hash.as_bytes(), &h2);
        let ck2 = schedule::ck2(&self.ck1, &ee);
        let signed = schedule::signature_input(schedule::LABEL_SIGNATURE_2, &th2, self.initiator.as_bytes());
        schedule::put(&mut payload, "nonce", nonce.expose());
        schedule::put(&mut payload, "sig", signer.sign(&signed).as_bytes());
        let c = schedule::seal(rng, &schedule::message_key(&ck2, 2, &th2), &th2, &payload)?;
        let awaiting = AwaitingHs3 {
            setup: self.setup.clone(),
            signing: self.signing,
            commit: self.commit,
            th3: Digest::from_bytes(schedule::th3(&th2, c.as_bytes())),
            nonce,
            ck2,
        };
        Ok((message(&self.setup, Step::Hs2(h), c), awaiting))
    }
}

/// After `hs2`: one message and its checks away from the keys.
#[derive(Debug)]
pub struct AwaitingHs3 {
    setup: Setup,
    signing: VerifyingKey,
    commit: Digest,
    th3: Digest,
    nonce: Secret32,
    ck2: Secret32,
}

stored_form! {
    /// Stored form of [`AwaitingHs3`].
    AwaitingHs3 as StoredAwaitingHs3 {
        plain { setup: Setup, signing: VerifyingKey, commit: Digest, th3: Digest }
        secret { nonce: Secret32, ck2: Secret32 }
    }
}

impl AwaitingHs3 {
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

    /// Opens the third message, checks commitment and signature, and makes the keys.
    ///
    /// # Errors
    /// [`HandshakeError::NotDue`], [`HandshakeError::Undecryptable`], [`HandshakeError::Payload`].
    pub fn open(&self, message: &HandshakeMessage) -> Result<(Established, Map<String, Value>), HandshakeError> {
        if !self.setup.names(message) || !matches!(message.step, Step::Hs3(_)) {
            return Err(HandshakeError::NotDue);
        }
        let th3 = self.th3.as_bytes();
        let (payload, signature) = schedule::open(&schedule::message_key(&self.ck2, 3, th3), th3, message)?;
        let nonce = schedule::text(&payload, "nonce").and_then(|bytes| Secret32::from_slice(&bytes));
        let nonce = nonce.ok_or(PayloadError::Malformed)?;
        if !bool::from(schedule::commitment(&nonce).ct_eq(self.commit.as_bytes())) {
            return Err(PayloadError::Commitment.into());
        }
        let signed = schedule::signature_input(schedule::LABEL_SIGNATURE_3, th3, self.setup.responder.as_bytes());
        self.signing.verify(&signed, &signature).map_err(|_| PayloadError::Signature)?;
        Ok((schedule::established(&self.ck2, th3, &nonce, &self.nonce), payload))
    }
}

#[cfg(test)]
impl AwaitingHs3 {
    /// Test hook: as if the first message had held another commitment.
    pub(super) fn commit_to(&mut self, commit: Digest) {
        self.commit = commit;
    }

    /// Test hook: as if the first message had named another signing key.
    pub(super) fn expect_signer(&mut self, signing: VerifyingKey) {
        self.signing = signing;
    }
}

//! Epoch rotation (spec 2.5): a new epoch key from the old one and a fresh, signed key agreement, so that a copy of
//! one side's state is worth nothing after the next epoch.
//!
//! Which side begins, and when an epoch is closed, is decided elsewhere; [`begins_first`] settles a tie.

use rand_core::CryptoRng;
use vettid_wire::base64::Base64;
use vettid_wire::handshake::Rekey;
use vettid_wire::id::Fingerprint;
use vettid_wire::json;

use crate::identity::{SigningKey, VerifyingKey};
use crate::kdf::{self, Extract};
use crate::secret::Secret32;
use crate::signature::{self, Context, SignatureError};
use crate::stored::stored_form;
use crate::suite::{KemPublicKey, KemSecretKey, Suite, SuiteError, x25519};

/// Why an epoch rotation is refused.
#[derive(Debug, thiserror::Error)]
pub enum RekeyError {
    /// A suite or key that cannot be used.
    #[error("the suite or a key of it cannot be used")]
    Suite(#[from] SuiteError),
    /// The signature is not the peer's.
    #[error("the rotation is not signed by the peer")]
    Signature(#[from] SignatureError),
    /// Another epoch than the one that comes next, or fields that do not belong to the suite.
    #[error("not the rotation that is due")]
    NotDue,
}

/// What a rotation gives to each side.
#[derive(Debug)]
pub struct NextEpoch {
    /// Number of the epoch.
    pub epoch: u64,
    /// Its epoch key.
    pub epoch_key: Secret32,
    /// Own KEM key of the epoch.
    pub own_kem: KemSecretKey,
    /// The peer's KEM key of the epoch.
    pub peer_kem: KemPublicKey,
    /// Nothing of the peer in the old epoch comes after this sequence.
    pub peer_final_seq: u64,
}

/// The side that begins, waiting for the answer.
#[derive(Debug)]
pub struct Offered {
    offer: Rekey,
    ephemeral: x25519::SecretKey,
    own_kem: KemSecretKey,
}

stored_form! {
    /// Stored form of [`Offered`].
    Offered as StoredOffered {
        plain { offer: Rekey }
        secret { ephemeral: x25519::SecretKey, own_kem: KemSecretKey }
    }
}

/// Begins the rotation to `epoch`.
///
/// # Errors
/// [`RekeyError::Suite`] for a suite without rotation in this build: only suite 1 has one (ADR 0010).
pub fn offer(
    rng: &mut dyn CryptoRng,
    suite: Suite,
    epoch: u64,
    final_seq: u64,
    signer: &SigningKey,
) -> Result<Offered, RekeyError> {
    require_rotation(suite)?;
    let (ephemeral, own_kem) = fresh(rng, suite)?;
    let offer = half(epoch, &ephemeral, &own_kem, final_seq, signer)?;
    Ok(Offered { offer, ephemeral, own_kem })
}

/// Answers an offer; the new epoch begins here for the side that answers.
///
/// # Errors
/// [`RekeyError`].
pub fn answer(
    rng: &mut dyn CryptoRng,
    current: &Secret32,
    offer: &Rekey,
    peer: &VerifyingKey,
    (epoch, final_seq): (u64, u64),
    signer: &SigningKey,
) -> Result<(Rekey, NextEpoch), RekeyError> {
    let (peer_ephemeral, peer_kem) = check(offer, peer, epoch)?;
    let (ephemeral, own_kem) = fresh(rng, peer_kem.suite())?;
    let answer = half(epoch, &ephemeral, &own_kem, final_seq, signer)?;
    let agreed = ephemeral.diffie_hellman(&peer_ephemeral)?;
    let epoch_key = next_epoch_key(current, &agreed, epoch, &transcript_hash(offer, &answer)?);
    Ok((answer, NextEpoch { epoch, epoch_key, own_kem, peer_kem, peer_final_seq: offer.final_seq }))
}

impl Offered {
    /// What is stored, sent, and sent again byte-identical.
    #[must_use]
    pub fn message(&self) -> &Rekey {
        &self.offer
    }

    /// The new epoch begins for the side that offered. An answer that is refused leaves the state with the caller.
    ///
    /// # Errors
    /// The state itself beside the reason.
    pub fn finish(
        self,
        current: &Secret32,
        answer: &Rekey,
        peer: &VerifyingKey,
    ) -> Result<NextEpoch, (Box<Self>, RekeyError)> {
        match self.epoch_key(current, answer, peer) {
            Ok((epoch_key, peer_kem)) => Ok(NextEpoch {
                epoch: self.offer.epoch,
                epoch_key,
                own_kem: self.own_kem,
                peer_kem,
                peer_final_seq: answer.final_seq,
            }),
            Err(error) => Err((Box::new(self), error)),
        }
    }

    fn epoch_key(
        &self,
        current: &Secret32,
        answer: &Rekey,
        peer: &VerifyingKey,
    ) -> Result<(Secret32, KemPublicKey), RekeyError> {
        let (peer_ephemeral, peer_kem) = check(answer, peer, self.offer.epoch)?;
        let agreed = self.ephemeral.diffie_hellman(&peer_ephemeral)?;
        let transcript = transcript_hash(&self.offer, answer)?;
        Ok((next_epoch_key(current, &agreed, self.offer.epoch, &transcript), peer_kem))
    }
}

/// Whether the own offer stands when both sides began at once: the lower fingerprint wins.
#[must_use]
pub fn begins_first(own: &Fingerprint, peer: &Fingerprint) -> bool {
    own < peer
}

fn require_rotation(suite: Suite) -> Result<(), SuiteError> {
    match suite {
        Suite::X25519 => Ok(()),
        Suite::Rsa4096 | Suite::XWing => Err(SuiteError::NotBuilt(suite.name())),
    }
}

fn fresh(rng: &mut dyn CryptoRng, suite: Suite) -> Result<(x25519::SecretKey, KemSecretKey), SuiteError> {
    Ok((x25519::SecretKey::random(rng), KemSecretKey::generate(suite, rng)?))
}

fn half(
    epoch: u64,
    ephemeral: &x25519::SecretKey,
    own_kem: &KemSecretKey,
    final_seq: u64,
    signer: &SigningKey,
) -> Result<Rekey, SignatureError> {
    let mut half = Rekey {
        epoch,
        eph: Base64::new(*ephemeral.public_key().as_bytes()),
        kem: None,
        ct: None,
        epoch_kem: own_kem.public_key().typed(),
        final_seq,
        key_id: signer.key_id(),
        signature: Base64::default(),
    };
    half.signature = signature::sign(Context::Rekey, signer, &half)?;
    Ok(half)
}

fn check(half: &Rekey, peer: &VerifyingKey, epoch: u64) -> Result<(x25519::PublicKey, KemPublicKey), RekeyError> {
    signature::verify(Context::Rekey, peer, half)?;
    if half.epoch != epoch || half.kem.is_some() || half.ct.is_some() {
        return Err(RekeyError::NotDue);
    }
    let peer_kem = KemPublicKey::from_typed(&half.epoch_kem)?;
    require_rotation(peer_kem.suite())?;
    Ok((x25519::PublicKey::from_slice(half.eph.as_bytes())?, peer_kem))
}

/// `H256(JCS(rk1) ‖ JCS(rk2))`, signatures included.
fn transcript_hash(offer: &Rekey, answer: &Rekey) -> Result<[u8; 32], SignatureError> {
    let [offer, answer] = [offer, answer].map(|half| json::canonical(half).map_err(SignatureError::NotSignable));
    Ok(kdf::h256_parts(&[&offer?, &answer?]))
}

/// `K_{e+1} = Exp(Ext(K_e, LP(dh) ‖ LP(ss)), "vettid-rekey-v1" ‖ u64(e+1) ‖ transcript hash, 32)`.
fn next_epoch_key(current: &Secret32, agreed: &Secret32, epoch: u64, transcript: &[u8; 32]) -> Secret32 {
    let prk = Extract::new(current.expose()).lp(agreed.expose()).lp(b"").finish();
    kdf::expand_secret(&prk, &[b"vettid-rekey-v1", &epoch.to_be_bytes(), transcript])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stored::Stored;
    use crate::vectors::{array, secret};

    #[test]
    fn vectors_rekey() {
        let [ours, theirs] =
            ["skI", "skR"].map(|name| x25519::SecretKey::from_secret(secret(&format!("/rekey/{name}"))));
        let transcript = array("/rekey/transcript_hash");
        for (one, other) in [(&ours, &theirs), (&theirs, &ours)] {
            let agreed = one.diffie_hellman(&other.public_key()).unwrap();
            assert_eq!(next_epoch_key(&secret("/rekey/K0"), &agreed, 1, &transcript), secret("/rekey/K1"));
        }
    }

    struct World {
        rng: rand::rngs::ThreadRng,
        current: Secret32,
        keys: [SigningKey; 2],
    }

    fn world() -> World {
        let mut rng = rand::rng();
        let keys = [0, 1].map(|_| SigningKey::random(&mut rng));
        World { current: Secret32::random(&mut rng), rng, keys }
    }

    impl World {
        fn offer(&mut self) -> Offered {
            offer(&mut self.rng, Suite::X25519, 1, 40, &self.keys[0]).unwrap()
        }

        fn answer(&mut self, offer: &Rekey) -> Result<(Rekey, NextEpoch), RekeyError> {
            let peer = self.keys[0].verifying_key();
            answer(&mut self.rng, &self.current, offer, &peer, (1, 50), &self.keys[1])
        }
    }

    #[test]
    fn both_sides_reach_the_same_epoch() {
        let mut world = world();
        let offered = world.offer();
        let (answer, theirs) = world.answer(offered.message()).unwrap();
        let offered = Offered::from_form(offered.to_form()).unwrap();
        let ours = offered.finish(&world.current, &answer, &world.keys[1].verifying_key()).unwrap();
        assert_eq!(ours.epoch_key, theirs.epoch_key);
        assert_ne!(ours.epoch_key, world.current);
        assert_eq!((ours.epoch, theirs.epoch), (1, 1));
        assert_eq!((ours.peer_final_seq, theirs.peer_final_seq), (50, 40));
        assert_eq!(ours.own_kem.public_key(), theirs.peer_kem);
        assert_eq!(theirs.own_kem.public_key(), ours.peer_kem);
    }

    #[test]
    fn every_changed_field_and_a_foreign_signer_are_refused() {
        let mut world = world();
        let offer = world.offer().message().clone();
        let stranger = SigningKey::random(&mut world.rng);
        let other = x25519::SecretKey::random(&mut world.rng).public_key();
        let mut cases: Vec<Rekey> = (0..5).map(|_| offer.clone()).collect();
        cases[0].epoch = 2;
        cases[1].eph = Base64::new(*other.as_bytes());
        cases[2].final_seq = 41;
        cases[3].epoch_kem = KemPublicKey::X25519(other).typed();
        cases[4].key_id = stranger.key_id();
        cases.push(half(1, &x25519::SecretKey::random(&mut world.rng), &world.offer().own_kem, 1, &stranger).unwrap());
        for case in cases {
            assert!(matches!(world.answer(&case), Err(RekeyError::Signature(_))), "{case:?}");
        }
        let replayed = super::offer(&mut world.rng, Suite::X25519, 2, 1, &world.keys[0]).unwrap();
        assert!(matches!(world.answer(replayed.message()), Err(RekeyError::NotDue)));
    }

    #[test]
    fn an_own_offer_that_comes_back_is_refused_and_the_state_stays() {
        let mut world = world();
        let offered = world.offer();
        let reflected = offered.message().clone();
        let (offered, _) = offered.finish(&world.current, &reflected, &world.keys[1].verifying_key()).unwrap_err();
        let (answer, theirs) = world.answer(offered.message()).unwrap();
        let ours = offered.finish(&world.current, &answer, &world.keys[1].verifying_key()).unwrap();
        assert_eq!(ours.epoch_key, theirs.epoch_key);
    }

    /// Post-compromise: the old epoch key alone does not give the next one, and without it neither does the agreement.
    #[test]
    fn the_next_key_needs_both_the_old_key_and_the_agreement() {
        let mut world = world();
        let offered = world.offer();
        let (answer, theirs) = world.answer(offered.message()).unwrap();
        let other = Secret32::random(&mut world.rng);
        let wrong = offered.finish(&other, &answer, &world.keys[1].verifying_key()).unwrap();
        assert_ne!(wrong.epoch_key, theirs.epoch_key);
    }

    #[test]
    fn one_side_wins_a_tie() {
        let [low, high] = [1, 2].map(|byte| Fingerprint::from_bytes([byte; 32]));
        assert!(begins_first(&low, &high) && !begins_first(&high, &low));
    }

    #[test]
    fn suites_without_rotation_are_refused() {
        let mut world = world();
        for suite in [Suite::Rsa4096, Suite::XWing] {
            let refused = super::offer(&mut world.rng, suite, 1, 1, &world.keys[0]);
            assert!(matches!(refused, Err(RekeyError::Suite(SuiteError::NotBuilt(_)))));
        }
    }
}

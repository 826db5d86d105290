//! X25519 (RFC 7748) and the DHKEM over it (RFC 9180 §4.1, KEM 0x0020). Runs on aws-lc (ADR 0222).
//!
//! An agreement whose result is all zeros is refused, so the other side always contributes.

use std::fmt;
use std::sync::OnceLock;

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey, X25519};
use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use vettid_wire::id::KeyId;
use vettid_wire::key::KeyAlgorithm;

use crate::committed::Undecryptable;
use crate::kdf::{self, Extract};
use crate::secret::Secret32;
use crate::stored::{InvalidStored, SecretText, Stored};
use crate::suite::SuiteError;

/// Length of a public key and of an encapsulation in bytes.
pub const PUBLIC_KEY_BYTES: usize = 32;

/// A public key: any 32 bytes. Points of low order are found when they are used.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; PUBLIC_KEY_BYTES]);

impl PublicKey {
    /// Wraps 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; PUBLIC_KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// Takes 32 bytes from a slice.
    ///
    /// # Errors
    /// [`SuiteError::InvalidKey`] for another length.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, SuiteError> {
        bytes.try_into().map(Self).map_err(|_| SuiteError::InvalidKey)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; PUBLIC_KEY_BYTES] {
        &self.0
    }

    /// Names the key.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        crate::identity::key_id(KeyAlgorithm::X25519, &self.0)
    }

    /// `Encap` of RFC 9180 §4.1: the shared secret and `enc`.
    ///
    /// # Errors
    /// [`SuiteError::NonContributory`] if this is a point of low order.
    pub fn encapsulate(&self, rng: &mut dyn CryptoRng) -> Result<(Secret32, [u8; 32]), SuiteError> {
        let ephemeral = SecretKey::random(rng);
        let agreed = ephemeral.diffie_hellman(self)?;
        let enc = ephemeral.public_key().0;
        Ok((extract_and_expand(&agreed, &enc, self), enc))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "x25519::PublicKey({})", self.key_id())
    }
}

/// A private key. It is prepared, and its public half computed, when it is first used: a store holds many keys and uses one.
pub struct SecretKey {
    secret: Secret32,
    prepared: OnceLock<Prepared>,
}

/// A private key as the library takes it. The library wipes its copy when it is dropped.
struct Prepared {
    key: PrivateKey,
    public: PublicKey,
}

impl Prepared {
    fn new(secret: &Secret32) -> Self {
        let key = PrivateKey::from_private_key(&X25519, secret.expose());
        let prepared = key.ok().and_then(|key| {
            let public = PublicKey::from_slice(key.compute_public_key().ok()?.as_ref()).ok()?;
            Some(Self { key, public })
        });
        let Some(prepared) = prepared else { unreachable!("any 32 bytes are a private key") };
        prepared
    }
}

impl SecretKey {
    /// A fresh key.
    #[must_use]
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        Self::from_secret(Secret32::random(rng))
    }

    /// The key with these secret bytes.
    #[must_use]
    pub fn from_secret(secret: Secret32) -> Self {
        Self { secret, prepared: OnceLock::new() }
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.prepared().public
    }

    fn prepared(&self) -> &Prepared {
        self.prepared.get_or_init(|| Prepared::new(&self.secret))
    }

    /// X25519 with the all-zero check.
    ///
    /// # Errors
    /// [`SuiteError::NonContributory`] if the result is all zeros.
    pub fn diffie_hellman(&self, peer: &PublicKey) -> Result<Secret32, SuiteError> {
        let (key, peer) = (&self.prepared().key, UnparsedPublicKey::new(&X25519, peer.0));
        let copy = |agreed: &[u8]| Secret32::from_slice(agreed).ok_or(SuiteError::Library);
        // The library refuses what is all zeros, too.
        let agreed = agreement::agree(key, peer, SuiteError::NonContributory, copy)?;
        if agreed.expose().ct_eq(&[0; 32]).into() {
            return Err(SuiteError::NonContributory);
        }
        Ok(agreed)
    }

    /// `Decap` of RFC 9180 §4.1.
    ///
    /// # Errors
    /// [`Undecryptable`] for another length or a point of low order.
    pub fn decapsulate(&self, enc: &[u8]) -> Result<Secret32, Undecryptable> {
        let peer = PublicKey::from_slice(enc).map_err(|_| Undecryptable)?;
        let agreed = self.diffie_hellman(&peer).map_err(|_| Undecryptable)?;
        Ok(extract_and_expand(&agreed, &peer.0, &self.public_key()))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("x25519::SecretKey")
    }
}

impl Stored for SecretKey {
    type Form = SecretText;

    fn to_form(&self) -> SecretText {
        self.secret.to_form()
    }

    fn from_form(form: SecretText) -> Result<Self, InvalidStored> {
        form.secret32().map(Self::from_secret)
    }
}

/// `ExtractAndExpand` with the labels of DHKEM(X25519, HKDF-SHA256).
fn extract_and_expand(agreed: &Secret32, enc: &[u8; 32], recipient: &PublicKey) -> Secret32 {
    const SUITE_ID: &[u8] = b"KEM\x00\x20";
    let prk = Extract::new(b"").raw(b"HPKE-v1").raw(SUITE_ID).raw(b"eae_prk").raw(agreed.expose()).finish();
    kdf::expand_secret(&prk, &[&[0, 32], b"HPKE-v1", SUITE_ID, b"shared_secret", enc, recipient.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::Scripted;

    fn key(hex_text: &str) -> SecretKey {
        SecretKey::from_secret(Secret32::from_slice(&hex::decode(hex_text).unwrap()).unwrap())
    }

    fn public(hex_text: &str) -> PublicKey {
        PublicKey::from_slice(&hex::decode(hex_text).unwrap()).unwrap()
    }

    const ALICE: &str = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a";
    const BOB: &str = "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb";

    /// RFC 7748 §6.1.
    #[test]
    fn agreement_gives_the_answer_of_rfc_7748() {
        let (alice, bob) = (key(ALICE), key(BOB));
        assert_eq!(alice.public_key(), public("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"));
        assert_eq!(bob.public_key(), public("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"));
        let shared = hex::decode("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742").unwrap();
        assert_eq!(alice.diffie_hellman(&bob.public_key()).unwrap().expose().as_slice(), shared);
        assert_eq!(bob.diffie_hellman(&alice.public_key()).unwrap().expose().as_slice(), shared);
    }

    /// RFC 7748 §5.2: the iterated test after 1 and 1,000 rounds.
    #[test]
    fn iteration_gives_the_answers_of_rfc_7748() {
        assert_eq!(iterated(1), "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
        assert_eq!(iterated(1_000), "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
    }

    /// RFC 7748 §5.2: after 1,000,000 rounds.
    #[test]
    #[ignore = "takes minutes; part of the nightly run"]
    fn a_million_iterations_give_the_answer_of_rfc_7748() {
        assert_eq!(iterated(1_000_000), "7c3911e0ab2586fd864497297e575e6f3bc601c0883c30df5f4dd2d24f665424");
    }

    fn iterated(rounds: usize) -> String {
        let mut scalar = [0; 32];
        scalar[0] = 9;
        let mut point = scalar;
        for _ in 0..rounds {
            let next = SecretKey::from_secret(Secret32::from_bytes(scalar));
            let agreed = next.diffie_hellman(&PublicKey(point)).unwrap();
            point = scalar;
            scalar = *agreed.expose();
        }
        hex::encode(scalar)
    }

    /// RFC 9180 appendix A.1.1.
    #[test]
    fn encapsulation_gives_the_answer_of_rfc_9180() {
        let recipient = key("4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8");
        let wanted = public("3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d");
        assert_eq!(recipient.public_key(), wanted);
        let ephemeral = hex::decode("52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736").unwrap();
        let (shared, enc) = wanted.encapsulate(&mut Scripted::playing(&[&ephemeral])).unwrap();
        assert_eq!(hex::encode(enc), "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431");
        assert_eq!(hex::encode(shared.expose()), "fe0e18c9f024ce43799ae393c7e8fe8fce9d218875e8227b0187c04e7d2ea1fc");
        assert_eq!(recipient.decapsulate(&enc), Ok(shared));
    }

    #[test]
    fn points_of_low_order_are_refused() {
        for low in ["00", "01", "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"] {
            let mut bytes = hex::decode(low).unwrap();
            bytes.resize(32, 0);
            let point = PublicKey::from_slice(&bytes).unwrap();
            assert_eq!(key(ALICE).diffie_hellman(&point), Err(SuiteError::NonContributory));
            assert_eq!(key(ALICE).decapsulate(&bytes), Err(Undecryptable));
            assert_eq!(point.encapsulate(&mut Scripted::counting()).err(), Some(SuiteError::NonContributory));
        }
    }
}

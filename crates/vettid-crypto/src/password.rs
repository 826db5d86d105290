//! Passwords: their shape, Argon2id, the two keys that come from one, and the stored verifier (spec 2.6).
//!
//! Must never keep a password or tell how a wrong one differs. Whether a password is *good* is decided elsewhere.

use std::fmt;
use std::str::FromStr;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use unicode_normalization::UnicodeNormalization;
use zeroize::{Zeroize, Zeroizing};

use crate::kdf;
use crate::secret::{Secret32, SecretBytes};
use crate::stored::{InvalidStored, SecretText, Stored};

/// Fewest code points of a password, after normalisation.
pub const MIN_CODE_POINTS: usize = 12;
/// Most code points of a password, after normalisation.
pub const MAX_CODE_POINTS: usize = 128;
/// Most bytes as typed; longer input is not even normalised.
const MAX_TYPED_BYTES: usize = 4096;

const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 4;
const PHC_HEAD: &str = "$argon2id$v=19$m=65536,t=3,p=4$";

/// A text that cannot be a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnfitPassword {
    /// Fewer than [`MIN_CODE_POINTS`].
    #[error("a password has at least {MIN_CODE_POINTS} characters")]
    TooShort,
    /// More than [`MAX_CODE_POINTS`].
    #[error("a password has at most {MAX_CODE_POINTS} characters")]
    TooLong,
}

/// A password in the one form that is hashed: NFKC, UTF-8, 12 to 128 code points.
pub struct Password(SecretBytes);

impl Password {
    /// Normalises what was typed.
    ///
    /// # Errors
    /// [`UnfitPassword`].
    pub fn new(typed: &str) -> Result<Self, UnfitPassword> {
        if typed.len() > MAX_TYPED_BYTES {
            return Err(UnfitPassword::TooLong);
        }
        let mut text = Zeroizing::new(String::with_capacity(MAX_CODE_POINTS * 4));
        let mut code_points = 0;
        for code_point in typed.nfkc() {
            code_points += 1;
            if code_points > MAX_CODE_POINTS {
                return Err(UnfitPassword::TooLong);
            }
            text.push(code_point);
        }
        if code_points < MIN_CODE_POINTS {
            return Err(UnfitPassword::TooShort);
        }
        Ok(Self(SecretBytes::copied_from(text.as_bytes())))
    }

    /// The normalised text, to judge whether it is good. Never log, store or send it.
    #[must_use]
    pub fn expose(&self) -> &str {
        std::str::from_utf8(self.0.expose()).unwrap_or_default()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password")
    }
}

/// The salt of one password; not secret, new with each change of the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordSalt([u8; 16]);

impl PasswordSalt {
    /// A fresh salt.
    #[must_use]
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        let mut salt = [0; 16];
        rng.fill_bytes(&mut salt);
        Self(salt)
    }

    /// A stored salt.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The sixteen bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

macro_rules! password_secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name(Secret32);

        impl $name {
            /// Takes over stored or received bytes.
            #[must_use]
            pub fn from_secret(secret: Secret32) -> Self {
                Self(secret)
            }

            /// The bytes. Never log them, nor send them outside the box that the protocol names.
            #[must_use]
            pub fn expose(&self) -> &[u8; 32] {
                self.0.expose()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(stringify!($name))
            }
        }
    };
}

password_secret!(
    /// The app's half of every password: without it a stolen verifier is useless for guessing.
    DeviceSecret
);
password_secret!(
    /// `pw_auth`: proves the password to the issuer. Travels only inside a transaction key box.
    PasswordProof
);
password_secret!(
    /// `K_inner`: opens the inner layer of a credential. The issuer of a Vault Services Credential never gets it.
    InnerKey
);

impl DeviceSecret {
    /// A fresh device secret.
    #[must_use]
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        Self(Secret32::random(rng))
    }
}

impl Stored for DeviceSecret {
    type Form = SecretText;

    fn to_form(&self) -> SecretText {
        self.0.to_form()
    }

    fn from_form(form: SecretText) -> Result<Self, InvalidStored> {
        Secret32::from_form(form).map(Self)
    }
}

/// The two keys of a password.
#[derive(Debug)]
pub struct PasswordKeys {
    /// Proves the password.
    pub proof: PasswordProof,
    /// Opens the inner layer.
    pub inner: InnerKey,
}

/// Could not reserve the memory that the password hash needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not enough memory to hash a password")]
pub struct OutOfMemory;

/// Derives both keys; takes 64 MiB and a noticeable part of a second, on purpose.
///
/// # Errors
/// [`OutOfMemory`].
pub fn derive_keys(
    password: &Password,
    salt: &PasswordSalt,
    device: &DeviceSecret,
) -> Result<PasswordKeys, OutOfMemory> {
    let password_key = argon2id(password.0.expose(), salt.as_bytes())?;
    let prk = kdf::extract(device.expose(), password_key.expose());
    Ok(PasswordKeys {
        proof: PasswordProof(kdf::expand_secret(&prk, &[b"vettid-pw-auth-v1"])),
        inner: InnerKey(kdf::expand_secret(&prk, &[b"vettid-pw-inner-v1"])),
    })
}

/// Argon2id version 19 with 64 MiB, 3 passes, 4 lanes (RFC 9106 §4, second option), 32 bytes; wipes its memory.
pub(crate) fn argon2id(input: &[u8], salt: &[u8; 16]) -> Result<Secret32, OutOfMemory> {
    let Ok(params) = Params::new(MEMORY_KIB, PASSES, LANES, Some(32)) else {
        unreachable!("the parameters are constants of RFC 9106");
    };
    let mut blocks = Vec::new();
    blocks.try_reserve_exact(params.block_count()).map_err(|_| OutOfMemory)?;
    blocks.resize(params.block_count(), Block::default());
    let mut key = Secret32::zero();
    let done = Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into_with_memory(
        input,
        salt,
        key.place(),
        blocks.as_mut_slice(),
    );
    blocks.zeroize();
    assert!(done.is_ok(), "argon2 refused inputs of fixed sizes");
    Ok(key)
}

/// What an issuer keeps to recognise a password: `H256("vettid-pw-store-v1" ‖ pw_auth)` as a PHC string.
#[derive(Clone)]
pub struct StoredPassword {
    salt: PasswordSalt,
    stored: [u8; 32],
}

/// The text is not a PHC string with exactly the parameters of spec 2.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a stored password of this version")]
pub struct InvalidStoredPassword;

impl StoredPassword {
    /// From the proof of a new password.
    #[must_use]
    pub fn new(salt: PasswordSalt, proof: &PasswordProof) -> Self {
        Self { salt, stored: stored_tag(proof) }
    }

    /// The salt that the app needs.
    #[must_use]
    pub fn salt(&self) -> PasswordSalt {
        self.salt
    }

    /// Whether this proof comes from the stored password; takes the same time for every wrong one.
    #[must_use]
    pub fn matches(&self, proof: &PasswordProof) -> bool {
        self.stored.ct_eq(&stored_tag(proof)).into()
    }
}

fn stored_tag(proof: &PasswordProof) -> [u8; 32] {
    kdf::h256_parts(&[b"vettid-pw-store-v1", proof.expose()])
}

impl fmt::Display for StoredPassword {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let salt = STANDARD_NO_PAD.encode(self.salt.0);
        write!(formatter, "{PHC_HEAD}{salt}${}", STANDARD_NO_PAD.encode(self.stored))
    }
}

impl fmt::Debug for StoredPassword {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("StoredPassword")
    }
}

impl FromStr for StoredPassword {
    type Err = InvalidStoredPassword;

    /// Takes the one canonical spelling; other parameters would be another version.
    fn from_str(text: &str) -> Result<Self, InvalidStoredPassword> {
        let (salt, stored) =
            text.strip_prefix(PHC_HEAD).and_then(|rest| rest.split_once('$')).ok_or(InvalidStoredPassword)?;
        Ok(Self { salt: PasswordSalt(phc_field(salt)?), stored: phc_field(stored)? })
    }
}

fn phc_field<const N: usize>(text: &str) -> Result<[u8; N], InvalidStoredPassword> {
    let bytes = STANDARD_NO_PAD.decode(text).map_err(|_| InvalidStoredPassword)?;
    bytes.try_into().map_err(|_| InvalidStoredPassword)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_counts_normalised_code_points() {
        assert_eq!(Password::new(&"a".repeat(11)).err(), Some(UnfitPassword::TooShort));
        assert!(Password::new(&"a".repeat(12)).is_ok());
        assert!(Password::new(&"\u{1F511}".repeat(128)).is_ok());
        assert_eq!(Password::new(&"a".repeat(129)).err(), Some(UnfitPassword::TooLong));
        // One typed character that becomes 18, and twelve that become six.
        assert!(Password::new("\u{FDFA}").is_ok());
        assert_eq!(Password::new(&"e\u{301}".repeat(6)).err(), Some(UnfitPassword::TooShort));
        assert_eq!(Password::new(&"a".repeat(MAX_TYPED_BYTES + 1)).err(), Some(UnfitPassword::TooLong));
    }

    #[test]
    fn equal_texts_are_equal_passwords() {
        let composed = Password::new("caf\u{e9} \u{ff21}\u{ff22} \u{fb01}ve times").unwrap();
        let typed_apart = Password::new("cafe\u{301} AB five times").unwrap();
        assert_eq!(composed.0, typed_apart.0);
        assert_ne!(Password::new("Password with Case").unwrap().0, Password::new("password with case").unwrap().0);
    }

    #[test]
    fn debug_shows_type_names_only() {
        let proof = PasswordProof(Secret32::from_bytes([0xab; 32]));
        let stored = StoredPassword::new(PasswordSalt([0; 16]), &proof);
        let text = format!("{:?} {proof:?} {stored:?}", Password::new("correct horse battery").unwrap());
        assert_eq!(text, "Password PasswordProof StoredPassword");
    }

    #[test]
    fn each_wrong_proof_is_refused() {
        let stored = StoredPassword::new(PasswordSalt([1; 16]), &PasswordProof(Secret32::from_bytes([7; 32])));
        assert!(stored.matches(&PasswordProof(Secret32::from_bytes([7; 32]))));
        for bit in 0..256 {
            let mut proof = [7; 32];
            proof[bit / 8] ^= 1 << (bit % 8);
            assert!(!stored.matches(&PasswordProof(Secret32::from_bytes(proof))));
        }
    }

    #[test]
    fn the_stored_form_has_one_spelling() {
        let stored = StoredPassword::new(PasswordSalt([1; 16]), &PasswordProof(Secret32::from_bytes([7; 32])));
        let text = stored.to_string();
        assert_eq!(text.parse::<StoredPassword>().unwrap().to_string(), text);
        let wrong = [
            text.replace("argon2id", "argon2i"),
            text.replace("v=19", "v=16"),
            text.replace("m=65536", "m=8"),
            text.replace("t=3", "t=1"),
            text.replace("p=4", "p=1"),
            format!("{text}="),
            format!("{text}$"),
            text.replacen('$', "", 1),
            text[..text.len() - 1].to_owned(),
            String::new(),
        ];
        for wrong in wrong {
            assert!(wrong.parse::<StoredPassword>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn vectors_argon2id_tag() {
        let vectors: serde_json::Value = serde_json::from_str(include_str!("../tests/vectors.json")).unwrap();
        let bytes = |field: &str| hex::decode(vectors["password"][field].as_str().unwrap()).unwrap();
        let password = Password::new(vectors["password"]["password"].as_str().unwrap()).unwrap();
        let salt = bytes("password_salt").try_into().unwrap();
        let tag = argon2id(password.0.expose(), &salt).unwrap();
        assert_eq!(tag.expose().as_slice(), bytes("argon2id_tag"));
    }

    /// RFC 9106 §5.3, by the same library calls with the RFC's parameters.
    #[test]
    fn argon2id_gives_the_answer_of_rfc_9106() {
        let params = argon2::ParamsBuilder::new()
            .m_cost(32)
            .t_cost(3)
            .p_cost(4)
            .data(argon2::AssociatedData::new(&[4; 12]).unwrap())
            .build()
            .unwrap();
        let mut tag = [0; 32];
        Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params)
            .unwrap()
            .hash_password_into(&[1; 32], &[2; 16], &mut tag)
            .unwrap();
        assert_eq!(hex::encode(tag), "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659");
    }
}

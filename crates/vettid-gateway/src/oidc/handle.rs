//! Random texts that open something: codes, tokens, cookies, secrets of clients. Whoever holds one may use it, so only its
//! hash is kept.

use serde::{Deserialize, Serialize};
use std::fmt;
use vettid_crypto::kdf::h256;
use vettid_wire::base64::{Base64Url, encode_url};
use zeroize::Zeroizing;

/// A fresh secret text on its way to whom it is for.
pub(super) struct Handle(Zeroizing<String>);

/// The hash of a handle: what is kept, and how it is found again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct HandleHash(String);

impl Handle {
    /// Made of fresh random bytes.
    pub(super) fn new(random: [u8; 32]) -> Self {
        Self(Zeroizing::new(encode_url(&random)))
    }

    /// Two parts: one that stays over rotations, one that is new each time.
    pub(super) fn in_two(family: &str, random: [u8; 32]) -> Self {
        Self(Zeroizing::new(format!("{family}.{}", encode_url(&random))))
    }

    /// The text, to be sent to whom it is for.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    pub(super) fn hash(&self) -> HandleHash {
        HandleHash::of(&self.0)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Handle")
    }
}

impl HandleHash {
    /// The hash of a text that somebody shows.
    pub(super) fn of(shown: &str) -> Self {
        Self(Base64Url::new(h256(shown.as_bytes())).to_string())
    }

    /// As text, for keys of the state.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The challenge to a verifier (RFC 7636, S256): base64url of its SHA-256.
pub(super) fn challenge_of(verifier: &str) -> String {
    Base64Url::new(h256(verifier.as_bytes())).to_string()
}

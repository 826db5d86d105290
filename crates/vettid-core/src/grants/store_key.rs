//! The key that the broker's server seals its disk with. A server started with another key than before loses its
//! streams, so the key has a fingerprint that may lie beside the store.

use std::fmt::Write as _;

use vettid_crypto::kdf::{expand, expand_secret};
use vettid_crypto::secret::{Secret32, SecretBytes};

/// 32 secret bytes, one for each store.
#[derive(Debug)]
pub struct StoreKey(Secret32);

impl StoreKey {
    /// From fresh randomness, or as unsealed by the caller.
    #[must_use]
    pub fn new(secret: Secret32) -> Self {
        Self(secret)
    }

    /// The secret, to be sealed by the caller.
    #[must_use]
    pub fn expose(&self) -> &Secret32 {
        &self.0
    }

    /// What the server is given: 64 hexadecimal digits. Only ever through its environment.
    #[must_use]
    pub fn server_value(&self) -> SecretBytes {
        SecretBytes::new(hex(expand_secret(&self.0, &[b"vettid-broker-store-v1 key"]).expose()).into_bytes())
    }

    /// Tells keys apart without telling anything about them: 32 hexadecimal digits.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut bytes = [0; 16];
        expand(&self.0, &[b"vettid-broker-store-v1 fingerprint"], &mut bytes);
        hex(&bytes)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_is_not_part_of_the_key_and_tells_keys_apart() {
        let key = |byte| StoreKey::new(Secret32::from_bytes([byte; 32]));
        let value = String::from_utf8(key(1).server_value().expose().to_vec()).unwrap();
        assert_eq!(value.len(), 64);
        assert!(!value.contains(&key(1).fingerprint()));
        assert_eq!(key(1).fingerprint(), key(1).fingerprint());
        assert_ne!(key(1).fingerprint(), key(2).fingerprint());
        assert_eq!(key(1).fingerprint().len(), 32);
    }
}

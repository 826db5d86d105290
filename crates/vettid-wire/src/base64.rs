//! Byte strings on the wire: base64 with padding in objects, base64url without padding in QR codes,
//! links and ids. Decoders take the canonical form only.

use ::base64::Engine;
use ::base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// The text is not canonical base64 of the wanted kind or length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not canonical base64")]
pub struct InvalidBase64;

/// Encodes with padding (RFC 4648 §4).
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Decodes the canonical padded form; white space, the url alphabet and loose trailing bits are refused.
pub fn decode(text: &str) -> Result<Vec<u8>, InvalidBase64> {
    STANDARD.decode(text).map_err(|_| InvalidBase64)
}

/// Encodes with the url alphabet, without padding (RFC 4648 §5).
#[must_use]
pub fn encode_url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Decodes the canonical unpadded url form.
pub fn decode_url(text: &str) -> Result<Vec<u8>, InvalidBase64> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidBase64)
}

macro_rules! byte_string {
    ($(#[$doc:meta])* $name:ident, $encode:ident, $decode:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(Vec<u8>);

        impl $name {
            /// Wraps bytes.
            #[must_use]
            pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
                Self(bytes.into())
            }
            /// The bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }
            /// The bytes, owned.
            #[must_use]
            pub fn into_bytes(self) -> Vec<u8> {
                self.0
            }
            /// The bytes as an array of exactly `N`.
            pub fn to_array<const N: usize>(&self) -> Result<[u8; N], InvalidBase64> {
                self.0.as_slice().try_into().map_err(|_| InvalidBase64)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&$encode(&self.0))
            }
        }

        impl FromStr for $name {
            type Err = InvalidBase64;
            fn from_str(text: &str) -> Result<Self, InvalidBase64> {
                $decode(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&$encode(&self.0))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::text::parsed(deserializer)
            }
        }
    };
}

byte_string!(
    /// Bytes written as base64 with padding.
    Base64, encode, decode
);
byte_string!(
    /// Bytes written as base64url without padding.
    Base64Url, encode_url, decode_url
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_only() {
        assert_eq!(decode("AAE=").unwrap(), [0, 1]);
        for wrong in ["AAE", "AAF=", "AA E=", "AAE=\n", "-_8=", "AAE=="] {
            assert!(decode(wrong).is_err(), "{wrong}");
        }
        for wrong in ["AAE=", "AAF", "+/8"] {
            assert!(decode_url(wrong).is_err(), "{wrong}");
        }
    }
}

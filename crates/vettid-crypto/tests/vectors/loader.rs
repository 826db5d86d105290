//! Reads the known answers.

use std::sync::OnceLock;

use serde_json::Value;
use vettid_crypto::secret::Secret32;

/// The whole file.
pub(crate) fn vectors() -> &'static Value {
    static VECTORS: OnceLock<Value> = OnceLock::new();
    VECTORS.get_or_init(|| {
        #[expect(clippy::disallowed_methods, reason = "an oracle may name another file")]
        let named = std::env::var("VETTID_VECTORS");
        let path = named.unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors.json").to_owned());
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap()
    })
}

/// A text of the file by its JSON pointer, such as `/identity/ikA`.
pub(crate) fn text(pointer: &str) -> &'static str {
    vectors().pointer(pointer).and_then(Value::as_str).ok_or(pointer).unwrap()
}

/// Bytes that stand in the file as hexadecimal digits.
pub(crate) fn bytes(pointer: &str) -> Vec<u8> {
    hex::decode(text(pointer)).unwrap()
}

/// Exactly `N` such bytes.
pub(crate) fn array<const N: usize>(pointer: &str) -> [u8; N] {
    bytes(pointer).try_into().unwrap()
}

/// 32 such bytes as a secret.
pub(crate) fn secret(pointer: &str) -> Secret32 {
    Secret32::from_bytes(array(pointer))
}

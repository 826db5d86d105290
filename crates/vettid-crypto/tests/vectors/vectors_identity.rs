//! Sections `identity` and `safety_number`.

use vettid_crypto::identity::{SigningKey, safety_number};
use vettid_wire::id::Fingerprint;

use crate::loader::{array, secret, text};

#[test]
fn keys_and_fingerprints() {
    for side in ["A", "B"] {
        let key = SigningKey::from_seed(&secret(&format!("/identity/ik{side}"))).verifying_key();
        assert_eq!(key.as_bytes(), &array(&format!("/identity/pub{side}")));
        assert_eq!(key.fingerprint().as_bytes(), &array(&format!("/identity/fp{side}")));
    }
}

#[test]
fn both_sides_show_one_safety_number() {
    let [a, b] = ["/identity/fpA", "/identity/fpB"].map(|pointer| Fingerprint::from_bytes(array(pointer)));
    assert_eq!(safety_number(&a, &b), text("/safety_number"));
    assert_eq!(safety_number(&b, &a), text("/safety_number"));
}

//! Section `control_command`: the signature over canonical JSON.

use vettid_crypto::identity::SigningKey;
use vettid_crypto::signature::{Context, sign_object, signed_bytes, verify};

use crate::loader::{bytes, secret, text, vectors};

#[test]
fn signed_bytes_and_signature() {
    let object = &vectors()["control_command"]["object"];
    assert_eq!(signed_bytes(Context::Control, object).unwrap(), bytes("/control_command/signed_bytes"));
    let named = text("/control_command/object/key_id");
    let keys = ["/identity/ikA", "/identity/ikB"].map(|pointer| SigningKey::from_seed(&secret(pointer)));
    let key = keys.iter().find(|key| key.key_id().as_str() == named).unwrap();
    assert_eq!(&sign_object(Context::Control, key, object).unwrap(), object);
    verify(Context::Control, &key.verifying_key(), object).unwrap();
}

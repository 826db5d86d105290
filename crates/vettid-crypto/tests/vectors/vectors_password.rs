//! Section `password`.

use vettid_crypto::password::{DeviceSecret, Password, PasswordSalt, StoredPassword, derive_keys};

use crate::loader::{array, secret, text};

#[test]
fn keys_and_stored_form() {
    let password = Password::new(text("/password/password")).unwrap();
    let salt = PasswordSalt::from_bytes(array("/password/password_salt"));
    let device = DeviceSecret::from_secret(secret("/password/device_secret"));
    let keys = derive_keys(&password, &salt, &device).unwrap();
    assert_eq!(keys.proof.expose(), &array("/password/pw_auth"));
    assert_eq!(keys.inner.expose(), &array("/password/k_inner"));

    let stored = StoredPassword::new(salt, &keys.proof);
    assert_eq!(stored.to_string(), text("/password/stored_phc"));
    let read: StoredPassword = text("/password/stored_phc").parse().unwrap();
    assert!(read.matches(&keys.proof) && read.salt() == salt);
}

/// The tag itself stays inside the crate; the two keys are all that comes from it.
#[test]
fn keys_come_from_the_argon2id_tag() {
    let root =
        vettid_crypto::kdf::extract(&array::<32>("/password/device_secret"), &array::<32>("/password/argon2id_tag"));
    for (label, pointer) in [("vettid-pw-auth-v1", "/password/pw_auth"), ("vettid-pw-inner-v1", "/password/k_inner")] {
        assert_eq!(vettid_crypto::kdf::expand_secret(&root, &[label.as_bytes()]), secret(pointer));
    }
}

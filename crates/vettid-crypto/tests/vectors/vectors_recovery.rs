//! Section `recovery`.

use vettid_crypto::kdf;
use vettid_crypto::recovery::{RecoveryPhrase, RecoverySalt};

use crate::loader::{array, bytes, secret, text};
use crate::script::Script;

#[test]
fn both_keys_of_the_phrase() {
    let salt: [u8; 16] = array("/recovery/salt");
    let phrase = RecoveryPhrase::parse(text("/recovery/mnemonic")).unwrap();
    let keys = phrase.keys(&RecoverySalt::from_bytes(salt)).unwrap();
    assert_eq!(keys.auth().verifier().expose(), &kdf::h256(&bytes("/recovery/auth_key")));

    // The encryption key stays inside; a container shows which one it is by its commitment.
    let container = keys.seal(7, b"content", &mut Script::of(&[&[9; 24]])).unwrap();
    let head = [b"VCB1\0\x01".as_slice(), &salt, &7_u64.to_be_bytes()].concat();
    assert_eq!(container[..30], head);
    let header = kdf::Lp::labelled("vettid-recovery-box-v1").raw(&head).finish();
    let root = kdf::Extract::new(&kdf::h256(&header))
        .raw(b"vettid-recovery-box-v1 secret")
        .lp(secret("/recovery/enc_key").expose())
        .lp(b"")
        .finish();
    let mut schedule = [0; 64];
    kdf::expand(&root, &[b"vettid-recovery-box-v1 key"], &mut schedule);
    assert_eq!(schedule[32..], container[30..62]);
}

#[test]
fn both_keys_come_from_the_root() {
    let root = secret("/recovery/k_rec");
    for (label, pointer) in [("enc", "/recovery/enc_key"), ("auth", "/recovery/auth_key")] {
        let label = format!("vettid-recovery-{label}-v1");
        assert_eq!(kdf::expand_secret(&root, &[label.as_bytes()]), secret(pointer));
    }
}

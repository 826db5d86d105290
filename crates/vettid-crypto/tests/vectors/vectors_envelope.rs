//! Section `envelope_v1`.

use vettid_crypto::envelope::{Binding, Outgoing, open, seal};
use vettid_crypto::secret::Secret32;
use vettid_crypto::suite::{KemPublicKey, KemSecretKey, Suite, x25519};
use vettid_wire::base64::Base64;
use vettid_wire::id::Fingerprint;

use crate::loader::{array, bytes, secret, text, vectors};
use crate::script::Script;

fn number(field: &str) -> u64 {
    vectors()["envelope_v1"]["header"][field].as_u64().unwrap()
}

fn outgoing() -> Outgoing {
    Outgoing {
        event_id: text("/envelope_v1/header/event_id").parse().unwrap(),
        event_type: text("/envelope_v1/header/event_type").parse().unwrap(),
        timestamp: text("/envelope_v1/header/timestamp").parse().unwrap(),
        connection_key_id: None,
        incarnation: number("incarnation"),
        epoch: number("epoch"),
        sequence: number("sequence"),
    }
}

fn recipient() -> x25519::SecretKey {
    x25519::SecretKey::from_secret(secret("/envelope_v1/skR"))
}

#[test]
fn sealed_and_opened() {
    let [sender, receiver] =
        ["sender_fp", "recipient_fp"].map(|field| Fingerprint::from_bytes(array(&format!("/envelope_v1/{field}"))));
    let binding = Binding { subject: text("/envelope_v1/header/subject"), sender: &sender, recipient: &receiver };
    let key = KemSecretKey::X25519(recipient());
    assert_eq!(key.public_key(), KemPublicKey::X25519(x25519::PublicKey::from_bytes(array("/envelope_v1/pkR"))));
    assert_eq!((number("suite"), number("mode")), (u64::from(Suite::X25519.id()), 1));

    let mut script = Script::of(&[&bytes("/envelope_v1/skE"), &bytes("/envelope_v1/nonce")]);
    let epoch_key = secret("/envelope_v1/epoch_key");
    let plaintext = text("/envelope_v1/plaintext").as_bytes();
    let envelope = seal(&mut script, &key.public_key(), &epoch_key, &binding, outgoing(), plaintext).unwrap();
    assert!(script.is_used_up());
    assert_eq!(envelope.encrypted_payload.to_string(), text("/envelope_v1/encrypted_payload"));
    assert_eq!(envelope.encryption.ephemeral_public_key, Base64::new(bytes("/envelope_v1/enc")));
    assert_eq!(envelope.encryption.key_id.as_str(), text("/envelope_v1/header/key_id"));
    assert_eq!(&envelope.encrypted_payload.as_bytes()[..32], bytes("/envelope_v1/commit"));
    assert_eq!(open(&key, &epoch_key, &binding, &envelope).unwrap().expose(), plaintext);
}

#[test]
fn shared_secret() {
    let wanted = secret("/envelope_v1/ss");
    assert_eq!(recipient().decapsulate(&bytes("/envelope_v1/enc")), Ok(wanted));
    let mut script = Script::of(&[&bytes("/envelope_v1/skE")]);
    let (shared, enc) = recipient().public_key().encapsulate(&mut script).unwrap();
    assert_eq!((shared, enc), (Secret32::from_bytes(array("/envelope_v1/ss")), array("/envelope_v1/enc")));
}

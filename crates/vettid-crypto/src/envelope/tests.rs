//! Tests of the envelope: whatever is changed, it does not open.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::kdf;
use crate::scripted::Scripted;
use crate::suite::{rsa4096, x25519};

const SUBJECT: &str = "OwnerSpace.550e8400-e29b-41d4-a716-446655440000.forVault.profile.update";

struct World {
    recipient: KemSecretKey,
    epoch_key: Secret32,
    sender: Fingerprint,
    receiver: Fingerprint,
}

impl World {
    fn new() -> Self {
        Self {
            recipient: KemSecretKey::X25519(x25519::SecretKey::from_secret(Secret32::from_bytes([1; 32]))),
            epoch_key: Secret32::from_bytes([2; 32]),
            sender: Fingerprint::from_bytes([3; 32]),
            receiver: Fingerprint::from_bytes([4; 32]),
        }
    }

    fn binding(&self) -> Binding<'_> {
        Binding { subject: SUBJECT, sender: &self.sender, recipient: &self.receiver }
    }

    fn seal(&self, plaintext: &[u8]) -> Envelope {
        self.seal_as(&mut Scripted::counting(), plaintext)
    }

    fn seal_as(&self, rng: &mut dyn CryptoRng, plaintext: &[u8]) -> Envelope {
        seal(rng, &self.recipient.public_key(), &self.epoch_key, &self.binding(), outgoing(), plaintext).unwrap()
    }

    fn open(&self, envelope: &Envelope) -> Result<SecretBytes, Undecryptable> {
        open(&self.recipient, &self.epoch_key, &self.binding(), envelope)
    }
}

fn outgoing() -> Outgoing {
    Outgoing {
        event_id: "018f6b1e-7c1a-7000-8000-000000000001".parse().unwrap(),
        event_type: "profile.update".parse().unwrap(),
        timestamp: "2026-11-21T00:00:00.000Z".parse().unwrap(),
        connection_key_id: Some(SessionKeyId::from_bytes([5; 16])),
        incarnation: 1,
        epoch: 0,
        sequence: 7,
    }
}

fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    changed[bit / 8] ^= 1 << (bit % 8);
    changed
}

#[test]
fn every_bit_of_the_header_is_bound() {
    let world = World::new();
    let envelope = world.seal(b"hello");
    let shared = world.recipient.decapsulate(envelope.encryption.ephemeral_public_key.as_bytes()).unwrap();
    let header = header(Suite::X25519, &world.binding(), &envelope);
    let open_under = |header: &[u8]| {
        let schedule = Schedule { label: LABEL, header, shared: &shared, psk: world.epoch_key.expose() };
        schedule.open(Padding::Bucket, envelope.encrypted_payload.as_bytes())
    };
    assert_eq!(open_under(&header).unwrap().expose(), b"hello");
    for bit in 0..header.len() * 8 {
        assert_eq!(open_under(&flipped(&header, bit)), Err(Undecryptable), "bit {bit}");
    }
}

#[test]
fn every_bit_of_payload_and_encapsulation_is_bound() {
    let world = World::new();
    let envelope = world.seal(b"hello");
    for bit in 0..envelope.encrypted_payload.as_bytes().len() * 8 {
        let mut changed = envelope.clone();
        changed.encrypted_payload = Base64::new(flipped(envelope.encrypted_payload.as_bytes(), bit));
        assert_eq!(world.open(&changed), Err(Undecryptable), "payload bit {bit}");
    }
    for bit in 0..256 {
        let mut changed = envelope.clone();
        changed.encryption.ephemeral_public_key =
            Base64::new(flipped(envelope.encryption.ephemeral_public_key.as_bytes(), bit));
        assert_eq!(world.open(&changed), Err(Undecryptable), "encapsulation bit {bit}");
    }
}

#[test]
fn every_bit_of_the_typed_fields_is_bound() {
    let world = World::new();
    let envelope = world.seal(b"hello");
    let refused = |change: &dyn Fn(&mut Envelope)| {
        let mut changed = envelope.clone();
        change(&mut changed);
        assert_ne!(changed, envelope);
        assert_eq!(world.open(&changed), Err(Undecryptable), "{changed:?}");
    };
    for bit in 0..64 {
        refused(&|e| e.sequence ^= 1 << bit);
        refused(&|e| e.encryption.epoch ^= 1 << bit);
        refused(&|e| e.encryption.incarnation ^= 1 << bit);
    }
    for bit in 0..128 {
        let id: [u8; 16] = flipped(&envelope.event_id.to_bytes(), bit).try_into().unwrap();
        refused(&|e| e.event_id = EventId::from_bytes(id));
    }
    for bit in 0..40 {
        let at = Timestamp::from_unix_ms(envelope.timestamp.unix_ms() ^ (1 << bit));
        refused(&|e| e.timestamp = at);
    }
    refused(&|e| e.event_type = "profile.updatf".parse().unwrap());
    refused(&|e| e.encryption.key_id = "k_aaaaaaaaaaaaaaaaaaaaaaaaaa".parse().unwrap());
    refused(&|e| e.encryption.v = 2);
    refused(&|e| e.encryption.v = 0);
    refused(&|e| e.encryption.mode = Mode::Signed);
    for suite in [Suite::Rsa4096, Suite::XWing] {
        refused(&|e| e.encryption.algorithm = suite.name().to_owned());
    }
    refused(&|e| e.encryption.algorithm = "x25519+xchacha20-poly1305".to_owned());
    refused(&|e| e.encryption.ephemeral_public_key = Base64::default());
    refused(&|e| e.encrypted_payload = Base64::default());
}

#[test]
fn every_bit_of_own_knowledge_is_bound() {
    let world = World::new();
    let envelope = world.seal(b"hello");
    let binding = world.binding();
    for bit in 0..256 {
        let other = Fingerprint::from_bytes(flipped(world.sender.as_bytes(), bit).try_into().unwrap());
        let sender = Binding { sender: &other, ..binding };
        assert_eq!(open(&world.recipient, &world.epoch_key, &sender, &envelope), Err(Undecryptable));
        let other = Fingerprint::from_bytes(flipped(world.receiver.as_bytes(), bit).try_into().unwrap());
        let recipient = Binding { recipient: &other, ..binding };
        assert_eq!(open(&world.recipient, &world.epoch_key, &recipient, &envelope), Err(Undecryptable));
        let epoch_key = Secret32::from_slice(&flipped(world.epoch_key.expose(), bit)).unwrap();
        assert_eq!(open(&world.recipient, &epoch_key, &binding, &envelope), Err(Undecryptable));
    }
    for place in 0..SUBJECT.len() {
        let mut subject = SUBJECT.to_owned().into_bytes();
        subject[place] ^= 1;
        let subject = String::from_utf8(subject).unwrap();
        let subject = Binding { subject: &subject, ..binding };
        assert_eq!(open(&world.recipient, &world.epoch_key, &subject, &envelope), Err(Undecryptable));
    }
    let swapped = Binding { sender: &world.receiver, recipient: &world.sender, ..binding };
    assert_eq!(open(&world.recipient, &world.epoch_key, &swapped, &envelope), Err(Undecryptable));
    let other = KemSecretKey::X25519(x25519::SecretKey::from_secret(Secret32::from_bytes([9; 32])));
    assert_eq!(open(&other, &world.epoch_key, &binding, &envelope), Err(Undecryptable));
}

#[test]
fn the_cap_holds_on_both_sides() {
    let world = World::new();
    let largest = vec![7; MAX_PLAINTEXT_BYTES];
    let envelope = world.seal(&largest);
    assert_eq!(world.open(&envelope).unwrap().expose(), largest);
    let mut rng = Scripted::counting();
    let recipient = world.recipient.public_key();
    let too_large = vec![7; MAX_PLAINTEXT_BYTES + 1];
    let refused = seal(&mut rng, &recipient, &world.epoch_key, &world.binding(), outgoing(), &too_large);
    assert!(matches!(refused, Err(SealError::TooLarge)));
    let mut longer = envelope.clone();
    longer.encrypted_payload = Base64::new([envelope.encrypted_payload.as_bytes(), &[0; 4096]].concat());
    assert_eq!(world.open(&longer), Err(Undecryptable));
}

#[test]
fn the_other_suite_works_and_is_kept_apart() {
    let world = World::new();
    let key = rsa4096::tests::key();
    let mut rng = Scripted::counting();
    let recipient = KemPublicKey::Rsa4096(key.public_key().clone());
    let envelope = seal(&mut rng, &recipient, &world.epoch_key, &world.binding(), outgoing(), b"hello").unwrap();
    assert_eq!(envelope.encryption.algorithm, Suite::Rsa4096.name());
    assert_eq!(world.open(&envelope), Err(Undecryptable));
    let stored = crate::stored::Stored::from_form(crate::stored::Stored::to_form(key)).unwrap();
    let holder = KemSecretKey::Rsa4096(stored);
    let opened = open(&holder, &world.epoch_key, &world.binding(), &envelope).unwrap();
    assert_eq!(opened.expose(), b"hello");
    let mut renamed = envelope;
    renamed.encryption.algorithm = Suite::X25519.name().to_owned();
    assert_eq!(open(&holder, &world.epoch_key, &world.binding(), &renamed), Err(Undecryptable));
}

#[test]
fn a_point_of_low_order_is_refused() {
    let world = World::new();
    let mut envelope = world.seal(b"hello");
    envelope.encryption.ephemeral_public_key = Base64::new([0; 32]);
    assert_eq!(world.open(&envelope), Err(Undecryptable));
}

#[test]
fn equal_plaintexts_share_nothing() {
    let world = World::new();
    let mut rng = rand::rng();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..500 {
        let envelope = world.seal_as(&mut rng, b"hello");
        let payload = envelope.encrypted_payload.as_bytes();
        let enc = envelope.encryption.ephemeral_public_key.as_bytes();
        for part in [&payload[..32], &payload[32..56], enc] {
            assert!(seen.insert(part.to_vec()));
        }
    }
}

mod signed {
    use super::*;

    fn signer(seed: u8) -> SigningKey {
        SigningKey::from_seed(&Secret32::from_bytes([seed; 32]))
    }

    fn body() -> Map<String, Value> {
        Map::from_iter([("user_nkey".to_owned(), json!("U"))])
    }

    fn sealed(world: &World, body: Map<String, Value>) -> Result<Envelope, SealError> {
        let outgoing = Outgoing { connection_key_id: None, ..outgoing() };
        let recipient = world.recipient.public_key();
        seal_signed(&mut Scripted::counting(), &recipient, &signer(1), &world.binding(), outgoing, body)
    }

    #[test]
    fn the_body_comes_back_with_event_and_recipient() {
        let world = World::new();
        let envelope = sealed(&world, body()).unwrap();
        let key = signer(1).verifying_key();
        let opened = open_signed(&world.recipient, &key, &world.binding(), &envelope).unwrap();
        assert_eq!(opened["user_nkey"], "U");
        assert_eq!(opened["event_id"], envelope.event_id.to_string());
        assert_eq!(opened["recipient_fp"], world.receiver.to_string());
        assert_eq!(world.open(&envelope), Err(Undecryptable));
        let other = signer(2).verifying_key();
        assert_eq!(open_signed(&world.recipient, &other, &world.binding(), &envelope), Err(Undecryptable));
        let psk = world.seal(b"{}");
        assert_eq!(open_signed(&world.recipient, &key, &world.binding(), &psk), Err(Undecryptable));
    }

    /// The signer's content under the header of the other mode: the mode is checked by itself.
    #[test]
    fn the_mode_of_the_header_is_the_mode_of_the_content() {
        let world = World::new();
        let envelope = sealed(&world, body()).unwrap();
        let content = open_in_mode(&world.recipient, (Mode::Signed, &[]), &world.binding(), &envelope).unwrap();
        let recipient = world.recipient.public_key();
        let mut rng = Scripted::counting();
        let mode = (Mode::Psk, [].as_slice());
        let other = seal_in_mode(&mut rng, &recipient, mode, &world.binding(), outgoing(), content.expose()).unwrap();
        let key = signer(1).verifying_key();
        assert_eq!(open_signed(&world.recipient, &key, &world.binding(), &other), Err(Undecryptable));
    }

    #[test]
    fn a_body_for_somebody_else_is_refused_when_made_and_when_opened() {
        let world = World::new();
        let mut foreign = body();
        foreign.insert("recipient_fp".to_owned(), json!("x"));
        assert!(matches!(sealed(&world, foreign), Err(SealError::Body)));
        // A holder of the envelope seals the signed content again for a third party.
        let envelope = sealed(&world, body()).unwrap();
        let content = open_in_mode(&world.recipient, (Mode::Signed, &[]), &world.binding(), &envelope).unwrap();
        let third = Fingerprint::from_bytes([8; 32]);
        let binding = Binding { recipient: &third, ..world.binding() };
        let recipient = world.recipient.public_key();
        let mut rng = Scripted::counting();
        let passed_on =
            seal_in_mode(&mut rng, &recipient, (Mode::Signed, &[]), &binding, outgoing(), content.expose()).unwrap();
        let key = signer(1).verifying_key();
        assert_eq!(open_signed(&world.recipient, &key, &binding, &passed_on), Err(Undecryptable));
    }
}

#[test]
fn vectors_envelope_header() {
    use crate::vectors::{array, bytes, secret, text};
    let [sender, receiver] =
        ["sender_fp", "recipient_fp"].map(|field| Fingerprint::from_bytes(array(&format!("/envelope_v1/{field}"))));
    let binding = Binding { subject: text("/envelope_v1/header/subject"), sender: &sender, recipient: &receiver };
    let skeleton = World::new().seal(b"");
    let mut envelope = skeleton.clone();
    envelope.encryption.key_id = text("/envelope_v1/header/key_id").parse().unwrap();
    envelope.encryption.ephemeral_public_key = Base64::new(bytes("/envelope_v1/enc"));
    assert_eq!(header(Suite::X25519, &binding, &envelope), bytes("/envelope_v1/H"));

    let header = bytes("/envelope_v1/H");
    let (shared, epoch_key) = (secret("/envelope_v1/ss"), secret("/envelope_v1/epoch_key"));
    let schedule = Schedule { label: LABEL, header: &header, shared: &shared, psk: epoch_key.expose() };
    assert_eq!(schedule.keys()[..32], bytes("/envelope_v1/key"));
    assert_eq!(schedule.keys()[32..], bytes("/envelope_v1/commit"));
}

#[test]
fn header_and_key_depend_on_the_mode() {
    let world = World::new();
    let envelope = world.seal(b"hello");
    let mut signed = envelope.clone();
    signed.encryption.mode = Mode::Signed;
    let [one, other] = [&envelope, &signed].map(|e| kdf::h256(&header(Suite::X25519, &world.binding(), e)));
    assert_ne!(one, other);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn opens_to_what_was_sealed(plaintext in proptest::collection::vec(any::<u8>(), 0..6000), seed: u64) {
        let world = World::new();
        let mut rng = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(seed);
        let envelope = world.seal_as(&mut rng, &plaintext);
        let opened = world.open(&envelope).unwrap();
        prop_assert_eq!(opened.expose(), plaintext.as_slice());
        let wire: Envelope = serde_json::from_slice(&json::canonical(&envelope).unwrap()).unwrap();
        prop_assert_eq!(wire, envelope);
    }
}

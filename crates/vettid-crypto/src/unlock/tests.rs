//! The lock: known answers of every derivation and box, and that nothing opens at another place or twice.

use super::*;
use crate::scripted::Scripted;
use proptest::prelude::*;

fn guid() -> MemberId {
    "550e8400-e29b-41d4-a716-446655440000".parse().unwrap()
}

fn event() -> EventId {
    "018f6b1e-7c1a-7000-8000-000000000001".parse().unwrap()
}

fn device() -> DeviceSecret {
    DeviceSecret::from_secret(Secret32::from_bytes([0xd5; 32]))
}

fn key(byte: u8) -> UnlockKey {
    UnlockKey(Secret32::from_bytes([byte; 32]))
}

fn place(kind: UnlockKind, generation: u64) -> WrapPlace {
    WrapPlace { guid: guid(), kind, generation }
}

const CHALLENGE: [u8; CHALLENGE_BYTES] = [0xc4; CHALLENGE_BYTES];

fn at() -> AttemptPlace<'static> {
    AttemptPlace { guid: guid(), event_id: event(), challenge_id: &CHALLENGE }
}

fn challenge_key() -> ChallengeKey {
    ChallengeKey(x25519::SecretKey::from_secret(Secret32::from_bytes([0x77; 32])))
}

fn unlock() -> Attempt {
    Attempt { device: DeviceProof::of(&device()), wish: Wish::Unlock(Presented { kind: UnlockKind::Pin, key: key(1) }) }
}

fn set(current: Option<Presented>) -> Attempt {
    let new = NewLock {
        permit: Permit(Secret32::from_bytes([9; 32])),
        current,
        pin_salt: PasswordSalt::from_bytes([1; 16]),
        pin: key(2),
        password_salt: PasswordSalt::from_bytes([3; 16]),
        password: key(4),
    };
    Attempt { device: DeviceProof::of(&device()), wish: Wish::Set(Box::new(new)) }
}

/// Each line is part of the standard: another program must come to the same bytes.
#[test]
fn known_answers() {
    let salt = PasswordSalt::from_bytes([0x5a; 16]);
    let pin = UnlockKey::of_pin(b"831940", &salt, &device()).unwrap();
    let password = Password::new("correct horse battery staple").unwrap();
    let password = UnlockKey::of_password(&password, &salt, &device()).unwrap();
    let storage_key = StorageKey::from_secret(Secret32::from_bytes([0xee; 32]));
    let wrapped = wrap(&pin, place(UnlockKind::Pin, 3), &storage_key, &mut Scripted::counting());
    let public = challenge_key().public_key();
    let (sealed, reply) = seal(&public, &at(), &unlock(), &mut Scripted::counting()).unwrap();
    let (sealed_set, _) = seal(&public, &at(), &set(None), &mut Scripted::counting()).unwrap();
    let answer = reply.seal(b"{}", &mut Scripted::counting());
    let digest = |bytes: &[u8]| hex::encode(kdf::h256(bytes));
    let lines = [
        format!("pin key          {}", hex::encode(pin.expose())),
        format!("password key     {}", hex::encode(password.expose())),
        format!("device proof     {}", hex::encode(DeviceProof::of(&device()).expose())),
        format!("stored proof     {}", hex::encode(DeviceProof::of(&device()).stored())),
        format!("wrapped key      {}", hex::encode(&wrapped)),
        format!("unlock box       {} bytes, sha256 {}", sealed.len(), digest(&sealed)),
        format!("set box          {} bytes, sha256 {}", sealed_set.len(), digest(&sealed_set)),
        format!("answer box       {} bytes, sha256 {}", answer.len(), digest(&answer)),
    ];
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_key_depends_on_all_it_comes_from() {
    let (salt, other_salt) = (PasswordSalt::from_bytes([1; 16]), PasswordSalt::from_bytes([2; 16]));
    let other_device = DeviceSecret::from_secret(Secret32::from_bytes([0xd6; 32]));
    let of = |pin: &str, salt: &PasswordSalt, device: &DeviceSecret| {
        UnlockKey::of_pin(pin.as_bytes(), salt, device).unwrap()
    };
    let one = of("831940831940", &salt, &device());
    let same_text = Password::new("831940831940").unwrap();
    assert_eq!(one, of("831940831940", &salt, &device()));
    assert_ne!(one, of("831940831941", &salt, &device()));
    assert_ne!(one, of("831940831940", &other_salt, &device()));
    assert_ne!(one, of("831940831940", &salt, &other_device));
    assert_ne!(one, UnlockKey::of_password(&same_text, &salt, &device()).unwrap());
}

#[test]
fn a_wrapped_key_opens_in_its_place_only() {
    let storage_key = StorageKey::from_secret(Secret32::from_bytes([0xee; 32]));
    let wrapped = wrap(&key(1), place(UnlockKind::Pin, 1), &storage_key, &mut Scripted::counting());
    assert_eq!(unwrap(&key(1), place(UnlockKind::Pin, 1), &wrapped).unwrap().expose(), storage_key.expose());
    assert!(unwrap(&key(2), place(UnlockKind::Pin, 1), &wrapped).is_err());
    assert!(unwrap(&key(1), place(UnlockKind::Password, 1), &wrapped).is_err());
    assert!(unwrap(&key(1), place(UnlockKind::Pin, 2), &wrapped).is_err());
    let other = WrapPlace { guid: MemberId::from_bytes([7; 16]), ..place(UnlockKind::Pin, 1) };
    assert!(unwrap(&key(1), other, &wrapped).is_err());
    for bit in 0..wrapped.len() * 8 {
        let mut changed = wrapped.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(unwrap(&key(1), place(UnlockKind::Pin, 1), &changed).is_err());
    }
}

#[test]
fn an_attempt_comes_back_and_is_answered() {
    let current = Some(Presented { kind: UnlockKind::Password, key: key(5) });
    for attempt in [unlock(), set(None), set(current)] {
        let (sealed, reply) = seal(&challenge_key().public_key(), &at(), &attempt, &mut Scripted::counting()).unwrap();
        assert_eq!(sealed.len(), 32 + 72 + 256, "the length tells what is wanted");
        let (opened, replying) = challenge_key().open(&at(), &sealed).unwrap();
        assert_eq!(opened.bytes().as_slice(), attempt.bytes().as_slice());
        let answer = replying.seal(b"answer", &mut Scripted::counting());
        assert_eq!(reply.open(&answer).unwrap().expose(), b"answer");
        // The key of the answer is not the key of the question.
        assert!(replying.open(&sealed[32..]).is_err());
    }
}

#[test]
fn an_attempt_is_bound_to_its_place() {
    let (sealed, _) = seal(&challenge_key().public_key(), &at(), &unlock(), &mut Scripted::counting()).unwrap();
    let other_challenge = [0xc5; CHALLENGE_BYTES];
    let other_event: EventId = "018f6b1e-7c1a-7000-8000-000000000002".parse().unwrap();
    for other in [
        AttemptPlace { guid: MemberId::from_bytes([7; 16]), ..at() },
        AttemptPlace { event_id: other_event, ..at() },
        AttemptPlace { challenge_id: &other_challenge, ..at() },
    ] {
        assert_eq!(challenge_key().open(&other, &sealed).err(), Some(Undecryptable));
    }
    assert!(ChallengeKey::random(&mut Scripted::counting()).open(&at(), &sealed).is_err());
    for place in (0..sealed.len()).step_by(7) {
        let mut changed = sealed.clone();
        changed[place] ^= 1;
        assert!(challenge_key().open(&at(), &changed).is_err(), "{place}");
        assert!(challenge_key().open(&at(), &sealed[..place]).is_err());
    }
}

#[test]
fn debug_shows_type_names_only() {
    let shown = format!("{:?} {:?}", unlock(), challenge_key());
    assert!(!shown.contains("[1,") && shown.contains("UnlockKey"), "{shown}");
    assert!(shown.starts_with("Attempt") && shown.ends_with("ChallengeKey"), "{shown}");
}

#[test]
fn a_device_proof_is_recognised() {
    let stored = DeviceProof::of(&device()).stored();
    assert!(DeviceProof::of(&device()).matches(&stored));
    let other = DeviceSecret::from_secret(Secret32::from_bytes([0xd6; 32]));
    assert!(!DeviceProof::of(&other).matches(&stored));
}

proptest! {
    #[test]
    fn strange_contents_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..220)) {
        if let Some(attempt) = Attempt::parse(&bytes) {
            let written = attempt.bytes();
            prop_assert_eq!(written.as_slice(), bytes.as_slice());
        }
    }
}

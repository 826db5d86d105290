//! Tests of the handshake: the steps of the known answers, and refusal of whatever is changed.

use serde_json::json;
use vettid_wire::base64::Base64;
use vettid_wire::digest::Digest;
use vettid_wire::handshake::{Hs1, Hs2, Hs3, Step};

use super::*;
use crate::identity::{SigningKey, VerifyingKey};
use crate::scripted::Scripted;
use crate::stored::Stored;
use crate::suite::x25519;
use crate::vectors::{array, bytes, secret, text};

#[test]
fn vectors_vhs1_step_by_step() {
    let responder = Fingerprint::from_bytes(array("/identity/fpA"));
    let hs_id = HandshakeId::from_bytes(array("/vhs1/hs_id"));
    let setup = Setup::new(Suite::X25519, Role::Connect, hs_id, responder).unwrap();
    let [e_i, e_r, prekey] =
        ["eI", "eR", "prekey_sk"].map(|name| x25519::SecretKey::from_secret(secret(&format!("/vhs1/{name}"))));
    let (n_i, n_r) = (secret("/vhs1/nI"), secret("/vhs1/nR"));

    let h1 = schedule::h1(
        &setup,
        &Hs1 {
            prekey_id: prekey.public_key().key_id(),
            psk_id: None,
            e: Base64::new(*e_i.public_key().as_bytes()),
            kem: Base64::default(),
            commit: Digest::from_bytes(schedule::commitment(&n_i)),
        },
    );
    assert_eq!(h1, bytes("/vhs1/h1"));
    let th1 = kdf::h256(&h1);
    assert_eq!(th1, array("/vhs1/th1"));
    let es = e_i.diffie_hellman(&prekey.public_key()).unwrap();
    let ck1 = schedule::ck1(&setup, &array("/vhs1/psk"), &es);
    assert_eq!(ck1, secret("/vhs1/ck1"));
    assert_eq!(schedule::message_key(&ck1, 1, &th1), secret("/vhs1/k1"));

    let h2 = Hs2 { e: Base64::new(*e_r.public_key().as_bytes()), ct: Base64::default() };
    let h2 = schedule::h2(&setup, &h2);
    assert_eq!(h2, bytes("/vhs1/h2"));
    let th2 = schedule::th2(&th1, &kdf::h256(&bytes("/vhs1/c1")), &h2);
    assert_eq!(th2, array("/vhs1/th2"));
    let ck2 = schedule::ck2(&ck1, &e_r.diffie_hellman(&e_i.public_key()).unwrap());
    assert_eq!(ck2, secret("/vhs1/ck2"));
    assert_eq!(schedule::message_key(&ck2, 2, &th2), secret("/vhs1/k2"));

    let th3 = schedule::th3(&th2, &bytes("/vhs1/c2"));
    assert_eq!(th3, array("/vhs1/th3"));
    assert_eq!(schedule::message_key(&ck2, 3, &th3), secret("/vhs1/k3"));
    assert_eq!(schedule::established(&ck2, &th3, &n_i, &n_r).epoch_key, secret("/vhs1/K0"));
}

#[test]
fn vectors_vhs1_payloads() {
    for (name, key, th) in [("1", "k1", "th1"), ("2", "k2", "th2"), ("3", "k3", "th3")] {
        let message = HandshakeMessage {
            hs_id: HandshakeId::from_bytes([0; 16]),
            suite: 1,
            role: Role::Connect,
            step: Step::Hs3(Hs3 {}),
            c: Base64::new(bytes(&format!("/vhs1/c{name}"))),
        };
        let (key, th) = (secret(&format!("/vhs1/{key}")), array(&format!("/vhs1/{th}")));
        let (payload, _) = schedule::open(&key, &th, &message).unwrap();
        let canonical = vettid_wire::json::canonical(&payload).unwrap();
        assert_eq!(String::from_utf8(canonical).unwrap(), text(&format!("/vhs1/p{name}")));
    }
}

/// Two parties and what they agreed out of band.
struct World {
    initiator: SigningKey,
    responder: SigningKey,
    prekey: x25519::SecretKey,
    psk: Psk,
}

fn world() -> World {
    World {
        initiator: SigningKey::from_seed(&Secret32::from_bytes([1; 32])),
        responder: SigningKey::from_seed(&Secret32::from_bytes([2; 32])),
        prekey: x25519::SecretKey::from_secret(Secret32::from_bytes([3; 32])),
        psk: Psk::Invitation(Secret32::from_bytes([4; 32])),
    }
}

impl World {
    fn setup(&self) -> Setup {
        let responder = self.responder.verifying_key().fingerprint();
        Setup::new(Suite::X25519, Role::Connect, HandshakeId::from_bytes([5; 16]), responder).unwrap()
    }

    fn hs1(&self) -> (HandshakeMessage, AwaitingHs2) {
        let mut rng = Scripted::counting();
        let start = Start::new(&mut rng, self.setup(), &self.prekey.public_key(), &self.psk).unwrap();
        start.seal(&mut rng, &self.initiator, payload()).unwrap()
    }

    fn open_hs1(&self, message: &HandshakeMessage) -> Result<VerifiedHs1, HandshakeError> {
        let setup = Setup::of(message, self.responder.verifying_key().fingerprint())?;
        let opened = open_hs1(setup, &self.prekey, &self.psk, message)?;
        let key = self.initiator.verifying_key();
        Ok(opened.verify(&key, &key)?.0)
    }

    fn hs2(&self) -> (HandshakeMessage, AwaitingHs3) {
        let verified = self.open_hs1(&self.hs1().0).unwrap();
        verified.seal(&mut Scripted::counting(), &self.responder, payload()).unwrap()
    }

    fn open_hs2(&self, message: &HandshakeMessage) -> Result<VerifiedHs2, HandshakeError> {
        let opened = self.hs1().1.open(message)?;
        let [own, key] = [&self.initiator, &self.responder].map(SigningKey::verifying_key);
        Ok(opened.verify(&key, &key, &own.fingerprint())?.0)
    }

    fn hs3(&self) -> HandshakeMessage {
        let verified = self.open_hs2(&self.hs2().0).unwrap();
        verified.seal(&mut Scripted::counting(), &self.initiator, payload()).unwrap().0
    }
}

fn payload() -> Map<String, Value> {
    Map::from_iter([("x".to_owned(), json!(1))])
}

/// Every message that differs from this one in one bit of one field.
fn changed(message: &HandshakeMessage) -> Vec<HandshakeMessage> {
    let mut all = Vec::new();
    let mut push = |change: &dyn Fn(&mut HandshakeMessage)| {
        let mut other = message.clone();
        change(&mut other);
        assert_ne!(&other, message);
        all.push(other);
    };
    let flip = |bytes: &[u8], bit: usize| {
        let mut bytes = bytes.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    };
    for bit in 0..message.c.as_bytes().len() * 8 {
        push(&|m| m.c = Base64::new(flip(message.c.as_bytes(), bit)));
    }
    for bit in 0..128 {
        push(&|m| m.hs_id = HandshakeId::from_bytes(flip(&message.hs_id.to_bytes(), bit).try_into().unwrap()));
    }
    for bit in 0..16 {
        push(&|m| m.suite ^= 1 << bit);
    }
    for role in [Role::Enroll, Role::Session, Role::Service] {
        push(&|m| m.role = role);
    }
    for bit in 0..256 {
        let (Step::Hs1(Hs1 { e, .. }) | Step::Hs2(Hs2 { e, .. })) = &message.step else {
            break;
        };
        let e = Base64::new(flip(e.as_bytes(), bit));
        push(&|m| match &mut m.step {
            Step::Hs1(h) => h.e = e.clone(),
            Step::Hs2(h) => h.e = e.clone(),
            Step::Hs3(_) => {}
        });
    }
    if let Step::Hs1(h) = &message.step {
        for bit in 0..256 {
            let commit = Digest::from_bytes(flip(h.commit.as_bytes(), bit).try_into().unwrap());
            push(&|m| m.step = Step::Hs1(Hs1 { commit, ..h.clone() }));
        }
        push(&|m| m.step = Step::Hs1(Hs1 { kem: Base64::new([0]), ..h.clone() }));
        push(&|m| m.step = Step::Hs1(Hs1 { prekey_id: "k_aaaaaaaaaaaaaaaaaaaaaaaaaa".parse().unwrap(), ..h.clone() }));
    }
    if let Step::Hs2(h) = &message.step {
        push(&|m| m.step = Step::Hs2(Hs2 { ct: Base64::new([0]), ..h.clone() }));
    }
    all
}

#[test]
fn every_change_of_every_message_is_refused() {
    let world = world();
    let (message1, message2, message3) = (world.hs1().0, world.hs2().0, world.hs3());
    assert!(world.open_hs1(&message1).is_ok() && world.open_hs2(&message2).is_ok());
    for other in changed(&message1) {
        assert!(world.open_hs1(&other).is_err(), "{other:?}");
    }
    for other in changed(&message2) {
        assert!(world.open_hs2(&other).is_err(), "{other:?}");
    }
    let responder = world.hs2().1;
    assert!(responder.open(&message3).is_ok());
    for other in changed(&message3) {
        assert!(responder.open(&other).is_err(), "{other:?}");
    }
}

#[test]
fn what_was_agreed_out_of_band_must_be_the_same() {
    let world = world();
    let (message1, _) = world.hs1();
    let setup = |fp| Setup::of(&message1, fp).unwrap();
    let own = world.responder.verifying_key().fingerprint();
    let undecryptable =
        |result: Result<OpenedHs1, HandshakeError>| assert!(matches!(result, Err(HandshakeError::Undecryptable)));
    undecryptable(open_hs1(setup(world.initiator.verifying_key().fingerprint()), &world.prekey, &world.psk, &message1));
    for psk in [Psk::Invitation(Secret32::from_bytes([9; 32])), Psk::Absent] {
        undecryptable(open_hs1(setup(own), &world.prekey, &psk, &message1));
    }
    let other = x25519::SecretKey::from_secret(Secret32::from_bytes([9; 32]));
    assert!(matches!(open_hs1(setup(own), &other, &world.psk, &message1), Err(HandshakeError::NotDue)));
    let mut renamed = message1.clone();
    if let Step::Hs1(h) = &mut renamed.step {
        h.prekey_id = other.public_key().key_id();
    }
    undecryptable(open_hs1(setup(own), &other, &world.psk, &renamed));
}

#[test]
fn a_prekey_of_low_order_is_refused() {
    let world = world();
    let prekey = x25519::PublicKey::from_bytes([0; 32]);
    let refused = Start::new(&mut Scripted::counting(), world.setup(), &prekey, &world.psk);
    assert!(matches!(refused, Err(HandshakeError::Suite(SuiteError::NonContributory))));
}

#[test]
fn suites_without_handshake_are_refused() {
    let fp = Fingerprint::from_bytes([0; 32]);
    for suite in [Suite::Rsa4096, Suite::XWing] {
        let refused = Setup::new(suite, Role::Connect, HandshakeId::from_bytes([0; 16]), fp);
        assert_eq!(refused, Err(SuiteError::NotBuilt(suite.name())));
    }
}

/// Whoever holds the keys of the conversation but signs with another key, for another receiver, or opens another
/// commitment, is told apart from noise.
#[test]
fn a_peer_that_misbehaves_is_told_apart() {
    let world = world();
    let [i, r]: [VerifyingKey; 2] = [&world.initiator, &world.responder].map(SigningKey::verifying_key);
    let opened = || open_hs1(world.setup(), &world.prekey, &world.psk, &world.hs1().0).unwrap();
    assert_eq!(opened().verify(&i, &r).err(), Some(PayloadError::Signature));
    let opened = || world.hs1().1.open(&world.hs2().0).unwrap();
    assert_eq!(opened().verify(&i, &r, &i.fingerprint()).err(), Some(PayloadError::Identity));
    assert_eq!(opened().verify(&r, &i, &i.fingerprint()).err(), Some(PayloadError::Signature));
    assert_eq!(opened().verify(&r, &r, &r.fingerprint()).err(), Some(PayloadError::Signature));

    let (_, mut responder) = world.hs2();
    let message3 = world.hs3();
    responder.open(&message3).unwrap();
    responder.commit_to(Digest::from_bytes([0; 32]));
    let refused = responder.open(&message3);
    assert!(matches!(refused, Err(HandshakeError::Payload(PayloadError::Commitment))));
    let (_, mut responder) = world.hs2();
    responder.expect_signer(r);
    let refused = responder.open(&message3);
    assert!(matches!(refused, Err(HandshakeError::Payload(PayloadError::Signature))));
}

#[test]
fn states_come_back_from_their_stored_form() {
    let world = world();
    let (message1, initiator) = world.hs1();
    let initiator = AwaitingHs2::from_form(initiator.to_form()).unwrap();
    let verified1 = VerifiedHs1::from_form(world.open_hs1(&message1).unwrap().to_form()).unwrap();
    let (message2, responder) = verified1.seal(&mut Scripted::counting(), &world.responder, payload()).unwrap();
    let [i, r] = [&world.initiator, &world.responder].map(SigningKey::verifying_key);
    let (verified2, _) = initiator.open(&message2).unwrap().verify(&r, &r, &i.fingerprint()).unwrap();
    let verified2 = VerifiedHs2::from_form(verified2.to_form()).unwrap();
    let (message3, ours) = verified2.seal(&mut Scripted::counting(), &world.initiator, payload()).unwrap();
    let text = serde_json::to_string(&responder.to_form()).unwrap();
    let responder = AwaitingHs3::from_form(serde_json::from_str(&text).unwrap()).unwrap();
    let (theirs, _) = responder.open(&message3).unwrap();
    assert_eq!(Established::from_form(theirs.to_form()).unwrap(), ours);
}

#[test]
fn a_payload_that_would_not_fit_is_refused_before_it_is_sent() {
    let world = world();
    let mut rng = Scripted::counting();
    let start = Start::new(&mut rng, world.setup(), &world.prekey.public_key(), &world.psk).unwrap();
    let large = Map::from_iter([("x".to_owned(), json!("x".repeat(MAX_PAYLOAD_BYTES)))]);
    assert!(matches!(start.seal(&mut rng, &world.initiator, large), Err(HandshakeError::TooLarge)));
}

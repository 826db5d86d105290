//! Sessions of an enrolled app: resumed, fallen back to an older secret, and limited.

use rand::rngs::StdRng;
use vettid_core::handshake::{
    Answer, Closing, Initiator, Opening, Outcome, Phase, Refusal, Responder, SessionKeys, Target,
};
use vettid_crypto::secret::Secret32;
use vettid_crypto::suite::{KemSecretKey, Suite};
use vettid_wire::handshake::InvitationKind;
use vettid_wire::id::Fingerprint;
use vettid_wire::key_record::KeyRole;
use vettid_wire::time::Timestamp;

use crate::parties::{DAY_MS, MINUTE_MS, Side, begin, reload, shape};

/// An enrolled app and its vault, both with the secrets of finished handshakes, newest last.
struct Enrolled {
    rng: StdRng,
    now: Timestamp,
    app: Side,
    vault: Side,
    app_resumes: Vec<Secret32>,
    vault_resumes: Vec<Secret32>,
}

fn enrolled() -> Enrolled {
    let mut begun = begin(InvitationKind::Enroll, 1);
    let hs2 = begun.hs2();
    let hs3 = begun.hs3(&hs2);
    begun.responder.receive(begun.now, &hs3);
    let resume = |outcome: Option<Outcome>| vec![outcome.unwrap().resume().duplicate()];
    let app_resumes = resume(begun.initiator.take_outcome());
    let vault_resumes = resume(begun.responder.take_outcome());
    Enrolled { rng: begun.rng, now: begun.now, app: begun.bob, vault: begun.alice, app_resumes, vault_resumes }
}

impl Enrolled {
    fn start(&mut self, resume: Option<usize>) -> (Initiator, Vec<u8>) {
        let resume = resume.map(|index| &self.app_resumes[index]);
        let target = Target::session(self.now, &self.vault.record, resume).unwrap();
        let party = self.app.party();
        let (initiator, reaction) =
            Initiator::start(self.now, &mut self.rng, &party, target, &Opening::default()).unwrap();
        (initiator, reaction.send.unwrap())
    }

    fn receive(&self, hs1: &[u8], apps: &[Fingerprint]) -> Result<Responder, Refusal> {
        let resumes: Vec<_> = self.vault_resumes.iter().collect();
        let keys = SessionKeys { prekeys: &[&self.vault.kem], resumes: &resumes, apps };
        Responder::session(self.now, &self.vault.party(), &keys, hs1)
    }

    fn app_fp(&self) -> [Fingerprint; 1] {
        [self.app.record.fingerprint()]
    }

    /// The rest of a session, with a crash of both sides after each step.
    fn complete(&mut self, mut initiator: Initiator, mut responder: Responder) -> (Outcome, Outcome) {
        let party = self.vault.party();
        let hs2 = responder.answer(self.now, &mut self.rng, &party, &Answer::default()).unwrap().send.unwrap();
        (initiator, responder) = (reload(&initiator), reload(&responder));
        assert!(initiator.receive(self.now, &hs2).changed);
        initiator.accept(self.now).unwrap();
        let party = self.app.party();
        let hs3 = initiator.finish(self.now, &mut self.rng, &party, &Closing::default()).unwrap().send.unwrap();
        (initiator, responder) = (reload(&initiator), reload(&responder));
        assert!(responder.receive(self.now, &hs3).changed);
        assert_eq!(responder.phase(), Phase::Active);
        (initiator.take_outcome().unwrap(), responder.take_outcome().unwrap())
    }
}

#[test]
fn sessions_follow_each_other_with_new_keys() {
    let mut enrolled = enrolled();
    let mut seen = vec![];
    for round in 0..3 {
        let (initiator, hs1) = enrolled.start(Some(round));
        let responder = enrolled.receive(&hs1, &enrolled.app_fp()).unwrap();
        assert_eq!(responder.phase(), Phase::Accepted);
        let (app, vault) = enrolled.complete(initiator, responder);
        assert_eq!((app.epoch_key(), app.key_id()), (vault.epoch_key(), vault.key_id()));
        assert!(!app.is_limited() && !vault.is_limited());
        assert!(!seen.contains(&app.key_id()));
        seen.push(app.key_id());
        enrolled.app_resumes.push(app.resume().duplicate());
        enrolled.vault_resumes.push(vault.resume().duplicate());
    }
}

/// The vault stored a session that the app does not know of, because the app died before its commit: the older secret
/// still opens the door, since both sides keep the last two.
#[test]
fn the_secret_before_the_last_still_works() {
    let mut enrolled = enrolled();
    let (initiator, hs1) = enrolled.start(Some(0));
    let responder = enrolled.receive(&hs1, &enrolled.app_fp()).unwrap();
    let (_, vault) = enrolled.complete(initiator, responder);
    enrolled.vault_resumes.push(vault.resume().duplicate());
    let (initiator, hs1) = enrolled.start(Some(0));
    let responder = enrolled.receive(&hs1, &enrolled.app_fp()).unwrap();
    let (app, vault) = enrolled.complete(initiator, responder);
    assert_eq!(app.epoch_key(), vault.epoch_key());
}

#[test]
fn a_secret_that_the_vault_lost_is_named_so_that_the_app_can_fall_back() {
    let mut enrolled = enrolled();
    enrolled.vault_resumes = vec![Secret32::from_bytes([9; 32])];
    let (_, hs1) = enrolled.start(Some(0));
    assert_eq!(enrolled.receive(&hs1, &enrolled.app_fp()).err(), Some(Refusal::UnknownKey));
    let (initiator, hs1) = enrolled.start(None);
    let responder = enrolled.receive(&hs1, &enrolled.app_fp()).unwrap();
    let (app, vault) = enrolled.complete(initiator, responder);
    assert_eq!(app.epoch_key(), vault.epoch_key());
    assert!(app.is_limited() && vault.is_limited());
}

/// Somebody who takes the name of the secret out of the message cannot turn a full session into a limited one.
#[test]
fn a_session_cannot_be_lowered_from_outside() {
    use vettid_wire::handshake::{HandshakeMessage, Step};
    let mut enrolled = enrolled();
    let (_, hs1) = enrolled.start(Some(0));
    let mut message = HandshakeMessage::read(&hs1).unwrap();
    let Step::Hs1(h) = &mut message.step else { unreachable!("the first message") };
    assert!(h.psk_id.take().is_some());
    let lowered = message.to_bytes().unwrap();
    assert_eq!(enrolled.receive(&lowered, &enrolled.app_fp()).err(), Some(Refusal::Undecryptable));
}

#[test]
fn strangers_and_other_doors_are_refused() {
    let mut enrolled = enrolled();
    let (_, hs1) = enrolled.start(Some(0));
    assert_eq!(enrolled.receive(&hs1, &[]).err(), Some(Refusal::UnknownKey));
    // Another app of the same member that was never enrolled.
    let enrolled_app = enrolled.app_fp();
    enrolled.app = Side::new(&mut enrolled.rng, shape(KeyRole::App, 1, "Other"));
    let (_, hs1) = enrolled.start(Some(0));
    assert_eq!(enrolled.receive(&hs1, &enrolled_app).err(), Some(Refusal::UnknownKey));
    // The first message of a connection is no session.
    let begun = begin(InvitationKind::Connect, 2);
    assert_eq!(enrolled.receive(&begun.hs1, &enrolled_app).err(), Some(Refusal::UnknownKey));
}

#[test]
fn a_retired_session_key_is_unknown() {
    let mut enrolled = enrolled();
    let (_, hs1) = enrolled.start(Some(0));
    enrolled.vault.kem = KemSecretKey::generate(Suite::X25519, &mut enrolled.rng).unwrap();
    assert_eq!(enrolled.receive(&hs1, &enrolled.app_fp()).err(), Some(Refusal::UnknownKey));
    let later = enrolled.now.plus_ms(400 * DAY_MS);
    assert!(Target::session(later, &enrolled.vault.record, None).is_err());
}

#[test]
fn a_session_that_nobody_finishes_expires() {
    let mut enrolled = enrolled();
    let (_, hs1) = enrolled.start(Some(0));
    let mut responder = enrolled.receive(&hs1, &enrolled.app_fp()).unwrap();
    assert!(responder.expire(enrolled.now.plus_ms(10 * MINUTE_MS + 1)));
    assert_eq!(responder.phase(), Phase::Expired);
}

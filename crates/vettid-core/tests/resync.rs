//! New keys after one side came back from an earlier state: who is believed, how often, and that both sides end with the same.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use rand::SeedableRng;
use rand::rngs::StdRng;
use vettid_core::channel::Channel;
use vettid_core::resync::{
    self, Answered, AskRefused, Asker, Asking, MOST_RESYNCS, PERIOD_MS, Resyncs, Sides, incarnation, is_word_of,
};
use vettid_core::window::Freshness;
use vettid_crypto::identity::SigningKey;
use vettid_crypto::resync::Lifeline;
use vettid_crypto::secret::Secret32;
use vettid_crypto::suite::{KemSecretKey, Suite};
use vettid_wire::envelope::{Content, Envelope};
use vettid_wire::event::Nothing;
use vettid_wire::id::{EventId, MemberId};
use vettid_wire::restore::{Resync, ResyncAnswer, ResyncAsk};
use vettid_wire::subject::Subject;
use vettid_wire::time::Timestamp;

/// A restored vault, the app of its owner, and a peer.
struct Trio {
    rng: StdRng,
    now: Timestamp,
    vault: SigningKey,
    app: SigningKey,
    peer: SigningKey,
    resyncs: Resyncs,
}

const GUID: [u8; 16] = [1; 16];

fn trio() -> Trio {
    let now = "2026-11-21T00:00:00.000Z".parse().unwrap();
    let rng = StdRng::seed_from_u64(3);
    Trio { rng, now, vault: key(VAULT), app: key(APP), peer: key(3), resyncs: Resyncs::default() }
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&Secret32::from_bytes([seed; 32]))
}

const VAULT: u8 = 1;
const APP: u8 = 2;

fn lifeline() -> Lifeline {
    Lifeline::new(&Secret32::from_bytes([9; 32]))
}

impl Trio {
    fn of_vault(&self, own_incarnation: u64) -> Sides {
        let [own, peer] = [&self.vault, &self.peer].map(|key| key.verifying_key().fingerprint());
        Sides { own, peer, own_incarnation, peer_incarnation: 1 }
    }

    fn of_peer(&self, peer_incarnation: u64) -> Sides {
        let sides = self.of_vault(peer_incarnation);
        Sides { own: sides.peer, peer: sides.own, own_incarnation: 1, peer_incarnation }
    }

    fn asking(&mut self, number: u64) -> (Asking, ResyncAsk) {
        self.asking_by(number, &key(APP))
    }

    fn asking_by(&mut self, number: u64, app: &SigningKey) -> (Asking, ResyncAsk) {
        let said = incarnation(MemberId::from_bytes(GUID), number, self.now, app).unwrap();
        let asking = Asking::new(&mut self.rng, number, &self.vault).unwrap();
        let Resync::Ask(ask) = asking.message(said) else { panic!("an ask") };
        (asking, ask)
    }

    /// The peer takes an ask; it knows the restored vault as this incarnation.
    fn take(&mut self, ask: &ResyncAsk, known: u64) -> Result<Answered, AskRefused> {
        let (vault, app) = (self.vault.verifying_key(), self.app.verifying_key());
        let asker = Asker { guid: MemberId::from_bytes(GUID), signing: &vault, restore: Some(&app) };
        let sides = self.of_peer(known);
        self.resyncs.take(self.now, &mut self.rng, (&lifeline(), sides, &self.peer), &asker, ask)
    }

    fn new_keys(&mut self, number: u64, known: u64) -> (Channel, Channel) {
        let (asking, ask) = self.asking(number);
        let Answered::New(theirs, answer) = self.take(&ask, known).unwrap() else { panic!("new keys") };
        let peer = self.peer.verifying_key();
        (asking.finish(&lifeline(), &self.of_vault(number), &answer, &peer).unwrap(), *theirs)
    }
}

fn subject() -> Subject {
    "OwnerSpace.550e8400-e29b-41d4-a716-446655440000.forVault.vault.health".parse().unwrap()
}

fn crosses(rng: &mut StdRng, from: &mut Channel, to: &mut Channel) -> bool {
    let content = Content { body: Nothing {}, to_incarnation: 1, in_reply_to: None, expires_at: None };
    let (id, event_type) = (EventId::v7(Timestamp::default(), [0; 10]), "vault.health".parse().unwrap());
    let bytes = from.seal(Timestamp::default(), rng, &subject(), id, &event_type, &content).unwrap();
    let opened = to.open(&subject(), &Envelope::read(&bytes).unwrap());
    opened.is_ok_and(|opened| opened.freshness == Freshness::New)
}

#[test]
fn both_sides_end_with_the_same_keys_and_each_restore_has_its_own() {
    let mut trio = trio();
    let (mut ours, mut theirs) = trio.new_keys(2, 1);
    assert_eq!((ours.key_id(), theirs.peer_incarnation()), (theirs.key_id(), 2));
    assert!(crosses(&mut trio.rng, &mut ours, &mut theirs) && crosses(&mut trio.rng, &mut theirs, &mut ours));
    let (mut later, mut theirs_later) = trio.new_keys(3, 2);
    assert_ne!(later.key_id(), ours.key_id());
    assert!(!crosses(&mut trio.rng, &mut ours, &mut theirs_later), "keys of the restore before are over");
    assert!(crosses(&mut trio.rng, &mut later, &mut theirs_later));
}

#[test]
fn an_incarnation_is_taken_once_and_only_upwards() {
    let mut trio = trio();
    let (_, ask) = trio.asking(3);
    assert!(matches!(trio.take(&ask, 1), Ok(Answered::New(..))));
    assert!(matches!(trio.take(&ask, 3), Ok(Answered::Again(_))), "the same ask gets the same answer");
    for number in [1, 2, 3] {
        let (_, ask) = trio.asking(number);
        assert!(matches!(trio.take(&ask, 3), Err(AskRefused::NotNewer)), "{number}");
    }
}

/// Whoever has an old state of the vault, all its keys included, has no word of the app.
#[test]
fn without_the_word_of_the_app_nothing_is_taken() {
    let mut trio = trio();
    let (_, forged) = trio.asking_by(2, &key(VAULT));
    assert!(matches!(trio.take(&forged, 1), Err(AskRefused::NotTheOwner)));
    let (_, ask) = trio.asking(2);
    let changes: [fn(&mut ResyncAsk); 4] = [
        |ask| ask.incarnation.incarnation = 9,
        |ask| ask.incarnation.guid = MemberId::from_bytes([2; 16]),
        |ask| ask.incarnation.version = 2,
        |ask| ask.incarnation.restored_at = ask.incarnation.restored_at.plus_ms(1),
    ];
    for change in changes {
        let mut changed = ask.clone();
        change(&mut changed);
        assert!(matches!(trio.take(&changed, 1), Err(AskRefused::NotTheOwner)));
    }
    // The word of one restore does not go with the keys of another one.
    let (_, later) = trio.asking(3);
    let mixed = ResyncAsk { incarnation: later.incarnation, rekey: ask.rekey.clone() };
    assert!(matches!(trio.take(&mixed, 1), Err(AskRefused::NotTheOwner)));
    let asker = Asker { guid: MemberId::from_bytes(GUID), signing: &trio.vault.verifying_key(), restore: None };
    let mut none = Resyncs::default();
    let sides = trio.of_peer(1);
    let taken = none.take(trio.now, &mut trio.rng, (&lifeline(), sides, &trio.peer), &asker, &ask);
    assert!(matches!(taken, Err(AskRefused::NotTheOwner)));
    assert!(is_word_of(&ask.incarnation, MemberId::from_bytes(GUID), &trio.app.verifying_key()));
}

#[test]
fn a_half_that_the_vault_did_not_sign_gives_no_keys() {
    let mut trio = trio();
    let (_, mut ask) = trio.asking(2);
    let stranger = SigningKey::random(&mut trio.rng);
    let foreign = Asking::new(&mut trio.rng, 2, &stranger).unwrap();
    let Resync::Ask(theirs) = foreign.message(ask.incarnation.clone()) else { panic!("an ask") };
    ask.rekey = theirs.rekey;
    assert!(matches!(trio.take(&ask, 1), Err(AskRefused::Rekey(_))));
    let (asking, ask) = trio.asking(2);
    let Answered::New(_, answer) = trio.take(&ask, 1).unwrap() else { panic!("new keys") };
    let other = ResyncAnswer { incarnation: 3, ..answer.clone() };
    let sides = trio.of_vault(2);
    let (asking, refused) = asking.finish(&lifeline(), &sides, &other, &trio.peer.verifying_key()).unwrap_err();
    assert!(matches!(refused, AskRefused::NotNewer));
    let (asking, refused) = asking.finish(&lifeline(), &sides, &answer, &stranger.verifying_key()).unwrap_err();
    assert!(matches!(refused, AskRefused::Rekey(_)));
    assert!(asking.finish(&lifeline(), &sides, &answer, &trio.peer.verifying_key()).is_ok());
}

#[test]
fn a_flood_of_restores_is_stopped_for_a_day() {
    let mut trio = trio();
    let most = u64::try_from(MOST_RESYNCS).unwrap();
    for number in 2..2 + most {
        trio.new_keys(number, number - 1);
    }
    let (_, ask) = trio.asking(2 + most);
    assert!(matches!(trio.take(&ask, 1 + most), Err(AskRefused::TooMany)));
    trio.now = trio.now.plus_ms(PERIOD_MS);
    assert!(matches!(trio.take(&ask, 1 + most), Ok(Answered::New(..))));
}

#[test]
fn a_half_opens_for_its_receiver_on_its_subject_alone() {
    let mut trio = trio();
    let kem = KemSecretKey::generate(Suite::X25519, &mut trio.rng).unwrap();
    let other = KemSecretKey::generate(Suite::X25519, &mut trio.rng).unwrap();
    let (_, ask) = trio.asking(2);
    let (ours, theirs) = (trio.of_vault(2), trio.of_peer(1));
    let place = (&subject(), EventId::v7(trio.now, [0; 10]));
    let recipient = kem.public_key().typed();
    let message = Resync::Ask(ask);
    let sealed = resync::seal((trio.now, &mut trio.rng), (&lifeline(), &ours, &recipient), place, &message).unwrap();
    let envelope = Envelope::read(&sealed).unwrap();
    let (opened, from) = resync::open((&lifeline(), &theirs, &kem), &subject(), &envelope).unwrap();
    assert_eq!((opened, from), (message, 2));
    let elsewhere = "OwnerSpace.550e8400-e29b-41d4-a716-446655440000.forVault.data.list".parse().unwrap();
    let stranger = Lifeline::new(&Secret32::from_bytes([8; 32]));
    assert!(resync::open((&lifeline(), &theirs, &kem), &elsewhere, &envelope).is_err());
    assert!(resync::open((&lifeline(), &theirs, &other), &subject(), &envelope).is_err());
    assert!(resync::open((&stranger, &theirs, &kem), &subject(), &envelope).is_err());
    assert!(resync::open((&lifeline(), &ours, &kem), &subject(), &envelope).is_err());
}

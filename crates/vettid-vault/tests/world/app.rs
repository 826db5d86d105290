//! The owner's app: enrolment, sessions, commands under one event id until they are answered.

use rand::rngs::StdRng;
use serde::Serialize;
use serde_json::Value;
use vettid_core::channel::Channel;
use vettid_core::handshake::{Closing, Initiator, Opening, Party, Target};
use vettid_crypto::identity::SigningKey;
use vettid_crypto::key_record::{self, Draft, VerifiedKeyRecord};
use vettid_crypto::nats::key::{User, UserKey};
use vettid_crypto::secret::Secret32;
use vettid_crypto::suite::{KemSecretKey, Suite};
use vettid_wire::envelope::{Content, Envelope};
use vettid_wire::event::EventType;
use vettid_wire::handshake::{HandshakeMessage, Invitation};
use vettid_wire::id::{EventId, MemberId};
use vettid_wire::json;
use vettid_wire::key_record::KeyRole;
use vettid_wire::session::HandshakeEvent;
use vettid_wire::subject::Subject;
use vettid_wire::time::Timestamp;

pub(crate) struct App {
    pub(crate) guid: MemberId,
    pub(crate) signing: SigningKey,
    record: VerifiedKeyRecord,
    nkey: UserKey,
    pub(crate) channel: Option<Channel>,
    pub(crate) resumes: Vec<Secret32>,
    /// Of the last limited session.
    pub(crate) unproved: Option<Secret32>,
    /// The incarnation of the vault that it addresses.
    pub(crate) to_incarnation: u64,
    vault: Option<VerifiedKeyRecord>,
    /// The highest incarnation of the vault that it knows of.
    pub(crate) incarnation: u64,
}

/// A key record of this role.
pub(crate) fn record(
    role: KeyRole,
    guid: MemberId,
    now: Timestamp,
    rng: &mut StdRng,
) -> (SigningKey, VerifiedKeyRecord) {
    let (signing, kem) = (SigningKey::random(rng), KemSecretKey::generate(Suite::X25519, rng).unwrap());
    let end = now.plus_ms(365 * 24 * 3_600_000);
    let draft = Draft {
        role,
        guid,
        signing_key: signing.verifying_key(),
        device_key: None,
        kem_keys: vec![key_record::kem_key(&kem.public_key(), now, end)],
        suites: vec![Suite::X25519],
        issued_at: now,
        expires_at: end,
    };
    let record = key_record::build(draft, &signing, None).unwrap();
    (signing, record)
}

pub(crate) fn random_bytes(rng: &mut StdRng) -> [u8; 10] {
    let mut bytes = [0; 10];
    rand_core::Rng::fill_bytes(rng, &mut bytes);
    bytes
}

impl App {
    pub(crate) fn new(guid: MemberId, now: Timestamp, rng: &mut StdRng) -> Self {
        let (signing, record) = record(KeyRole::App, guid, now, rng);
        let nkey = vettid_crypto::nats::key::SecretKey::<User>::random(rng).unwrap();
        Self {
            guid,
            signing,
            record,
            nkey,
            channel: None,
            resumes: vec![],
            unproved: None,
            to_incarnation: 1,
            vault: None,
            incarnation: 1,
        }
    }

    fn party(&self) -> Party<'_> {
        Party { key_record: &self.record, signing: &self.signing }
    }

    fn opening(&self) -> Opening {
        Opening {
            nkey_pub: Some(self.nkey.public().to_string()),
            device: Some("phone".parse().unwrap()),
            ..Opening::default()
        }
    }

    /// The first message that answers an enrolment code.
    pub(crate) fn enrol(&self, code: &str, now: Timestamp, rng: &mut StdRng) -> (Initiator, Vec<u8>) {
        let target = Target::invitation(&Invitation::read(code).unwrap()).unwrap();
        let (initiator, first) = Initiator::start(now, rng, &self.party(), target, &self.opening()).unwrap();
        (initiator, first.send.unwrap())
    }

    /// The first message of a session, with a secret of an earlier one or without.
    pub(crate) fn resume(&self, full: bool, now: Timestamp, rng: &mut StdRng) -> (Initiator, Vec<u8>) {
        let secret = self.resumes.first().filter(|_| full);
        let target = Target::session(now, self.vault.as_ref().unwrap(), secret).unwrap();
        let (initiator, first) = Initiator::start(now, rng, &self.party(), target, &self.opening()).unwrap();
        (initiator, first.send.unwrap())
    }

    /// The third message; the session is this app's from now on.
    pub(crate) fn finish(&mut self, mut initiator: Initiator, hs2: &[u8], now: Timestamp, rng: &mut StdRng) -> Vec<u8> {
        assert_eq!(initiator.receive(now, hs2).refusal, None);
        initiator.accept(now).unwrap();
        let last = initiator.finish(now, rng, &self.party(), &Closing::default()).unwrap();
        let outcome = initiator.take_outcome().unwrap();
        let resume = outcome.resume().duplicate();
        if outcome.is_limited() {
            self.unproved = Some(resume);
        } else {
            self.resumes.insert(0, resume);
        }
        self.vault = Some(outcome.peer().key_record.clone());
        self.channel = Some(Channel::new(outcome.into_keys(1).0));
        last.send.unwrap()
    }

    /// Seals a command.
    pub(crate) fn seal(
        &mut self,
        name: &str,
        body: impl Serialize,
        event_id: EventId,
        now: Timestamp,
        rng: &mut StdRng,
    ) -> (Subject, Vec<u8>) {
        let event_type: EventType = name.parse().unwrap();
        let subject = Subject::ForVault(self.guid, event_type.clone());
        let content = Content { body, to_incarnation: self.to_incarnation, in_reply_to: None, expires_at: None };
        let channel = self.channel.as_mut().unwrap();
        let bytes = channel.seal(now, rng, &subject, event_id, &event_type, &content).unwrap();
        (subject, bytes)
    }

    /// Opens what the vault sent; `None` if it is for an earlier session.
    pub(crate) fn open(&mut self, subject: &Subject, bytes: &[u8]) -> Option<Content<Value>> {
        let envelope = Envelope::read(bytes).ok()?;
        Some(self.channel.as_mut()?.open(subject, &envelope).ok()?.content)
    }
}

/// A handshake message as an event.
pub(crate) fn handshake_event(event_id: EventId, now: Timestamp, message: &[u8]) -> Vec<u8> {
    let handshake = Some(HandshakeMessage::read(message).unwrap());
    json::canonical(&HandshakeEvent { event_id, timestamp: now, handshake }).unwrap()
}

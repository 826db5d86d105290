//! The vault's side of the owner's lane: real handshakes, real channel, marks of processed events, a few commands.

use crate::impostor::Impostor;
use crate::issuer::TestIssuer;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use vettid_client::random::SystemRandom;
use vettid_core::channel::{Channel, body_hash, in_reply_to};
use vettid_core::grants::mint::{self, MemberIdentity};
use vettid_core::handshake::{
    Answer as Second, InvitationTerms, Outcome, Party, Phase, Reaction, Responder, SessionKeys, invite,
};
use vettid_core::window::Freshness;
use vettid_crypto::audit::checkpoint::Checkpoint;
use vettid_crypto::audit::{Act, Chain};
use vettid_crypto::identity::SigningKey;
use vettid_crypto::key_record::{self, Draft, VerifiedKeyRecord};
use vettid_crypto::nats::key::AccountKey;
use vettid_crypto::secret::Secret32;
use vettid_crypto::suite::{KemSecretKey, Suite};
use vettid_wire::audit::{ExportHead, ExportedEntry, Outcome as Ended};
use vettid_wire::base64::Base64Url;
use vettid_wire::credential::JournalHead;
use vettid_wire::data::{FieldView, SetField};
use vettid_wire::digest::Digest;
use vettid_wire::envelope::{Answer, Content, Envelope};
use vettid_wire::event::EventType;
use vettid_wire::feed::{AuditStretch, ExportAudit, FeedEntry, FeedList, ListFeed, Outcome as FeedOutcome, Severity};
use vettid_wire::handshake::{EnrolmentPointer, HandshakeMessage, Invitation, InvitationKind, SpaceUri};
use vettid_wire::id::{DeviceId, EventId, Fingerprint, HandshakeId, MemberId};
use vettid_wire::inventory::KeyInventory;
use vettid_wire::key_record::KeyRole;
use vettid_wire::messaging::{SendText, Sent};
use vettid_wire::profile::{ProfileView, PublicProfile};
use vettid_wire::refusal::{Refusal, RefusalCode};
use vettid_wire::session::{HandshakeEvent, RefreshReply, RefreshRequest, VaultHealth, is_open_to_limited};
use vettid_wire::subject::Subject;
use vettid_wire::time::Timestamp;

pub(crate) type Post = (Subject, Vec<u8>);

pub(crate) const HOUR_MS: i64 = 3_600_000;

pub(crate) struct Vault {
    pub(crate) guid: MemberId,
    pub(crate) identity: SigningKey,
    kem: KemSecretKey,
    pub(crate) record: VerifiedKeyRecord,
    pub(crate) account: AccountKey,
    app_signing: AccountKey,
    pub(crate) incarnation: u64,
    pub(crate) journal_sequence: u64,
    /// What connections see of the member.
    pub(crate) profile: Option<PublicProfile>,
    /// Which of many possible histories the journal holds.
    pub(crate) history: u8,
    enrolling: Option<Responder>,
    sessions: HashMap<HandshakeId, Responder>,
    app: Option<(Fingerprint, DeviceId)>,
    /// Newest first, at most two.
    pub(crate) resumes: Vec<Secret32>,
    pub(crate) channel: Option<Channel>,
    pub(crate) limited: bool,
    /// Of the running session, if it is limited.
    unproved: Option<Secret32>,
    marks: HashMap<EventId, (Base64Url, Value)>,
    /// Texts that were sent: one for each effect.
    pub(crate) texts: Vec<String>,
    fields: BTreeMap<String, FieldView>,
    pub(crate) feed: Vec<FeedEntry>,
    pub(crate) chain: Chain,
    pub(crate) entries: Vec<ExportedEntry>,
    /// Answers first messages in the place of this vault.
    pub(crate) impostor: Option<Impostor>,
    /// Sealed messages that were opened.
    pub(crate) opened: usize,
    pub(crate) credential: TestIssuer,
}

fn rng() -> SystemRandom {
    SystemRandom::new().unwrap()
}

fn nkey() -> AccountKey {
    AccountKey::random(&mut rng()).unwrap()
}

fn random_id() -> [u8; 10] {
    let mut bytes = [0; 10];
    rand_core::Rng::fill_bytes(&mut rng(), &mut bytes);
    bytes
}

impl Vault {
    pub(crate) fn new(now: Timestamp) -> Self {
        let guid = MemberId::v7(now, random_id());
        let identity = SigningKey::random(&mut rng());
        let kem = KemSecretKey::generate(Suite::X25519, &mut rng()).unwrap();
        let record = record(guid, &identity, &kem, now, None);
        let chain = Chain::new(guid, &record.fingerprint());
        let credential = TestIssuer::new(guid, record.fingerprint());
        Self {
            guid,
            identity,
            kem,
            record,
            account: nkey(),
            app_signing: nkey(),
            incarnation: 1,
            journal_sequence: 10,
            profile: None,
            history: 1,
            enrolling: None,
            sessions: HashMap::new(),
            app: None,
            resumes: Vec::new(),
            channel: None,
            limited: false,
            unproved: None,
            marks: HashMap::new(),
            texts: Vec::new(),
            fields: BTreeMap::new(),
            feed: Vec::new(),
            chain,
            entries: Vec::new(),
            impostor: None,
            opened: 0,
            credential,
        }
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.record.fingerprint()
    }

    /// Makes an enrolment code with an empty token.
    pub(crate) fn code(&mut self, now: Timestamp, session_id: EventId) -> Invitation {
        let terms = InvitationTerms {
            space: SpaceUri::new("tls://broker.test:4222", self.guid).unwrap(),
            expires_at: now.plus_ms(600_000),
            inviter_hint: "Alice".into(),
            enrolment: Some(EnrolmentPointer { services_url: "https://services.test".into(), session_id }),
        };
        let party = Party { key_record: &self.record, signing: &self.identity };
        let invited = invite(now, &mut rng(), &party, InvitationKind::Enroll, terms).unwrap();
        self.enrolling = Some(invited.responder);
        invited.invitation
    }

    /// As after a restart that lost what was not committed: the session is not known any more.
    pub(crate) fn forget_session(&mut self) {
        self.channel = None;
        self.sessions.clear();
    }

    /// As after a restore: no session and no secret of an earlier one is known any more.
    pub(crate) fn lose_sessions(&mut self) {
        self.forget_session();
        self.resumes.clear();
    }

    /// Signs the next key record.
    pub(crate) fn rotate(&mut self, now: Timestamp) {
        self.record = record(self.guid, &self.identity, &self.kem, now, Some(&self.record));
    }

    /// Something happens that the feed and the audit chain tell of; gives the push.
    pub(crate) fn happen(&mut self, now: Timestamp, summary: &str) -> Vec<Post> {
        let entry = FeedEntry {
            number: self.feed.len() as u64 + 1,
            at: now,
            event_type: "messaging.text".parse().unwrap(),
            connection_id: None,
            request_id: None,
            severity: Severity::Info,
            outcome: FeedOutcome::Done,
            summary: summary.to_owned(),
        };
        self.feed.push(entry.clone());
        let act = Act {
            ts: now,
            actor: "vault".into(),
            event_type: "messaging.text".into(),
            reference: None,
            outcome: Ended::Success,
            detail: json!({ "summary": summary }),
        };
        self.entries.push(self.chain.append(act, &mut rng()).unwrap());
        let event_id = EventId::v7(now, random_id());
        self.seal(now, &"feed.item".parse().unwrap(), event_id, &entry, None).into_iter().collect()
    }

    pub(crate) fn receive(&mut self, now: Timestamp, subject: &Subject, bytes: &[u8]) -> Vec<Post> {
        let Subject::ForVault(guid, event_type) = subject else { panic!("the app published to {subject}") };
        assert_eq!(*guid, self.guid);
        match event_type.as_str() {
            "app.bootstrap" => self.bootstrap(now, event_type, bytes),
            "session.start" | "session.finish" => self.session(now, event_type, bytes),
            _ => self.command(now, subject, bytes),
        }
    }

    fn bootstrap(&mut self, now: Timestamp, event_type: &EventType, bytes: &[u8]) -> Vec<Post> {
        let event: HandshakeEvent = vettid_wire::json::read(bytes).unwrap();
        let message = event.handshake.unwrap();
        if let Some(impostor) = self.impostor.as_mut() {
            let handshake = Some(impostor.answer(&message));
            let subject = Subject::ForApp(self.guid, event_type.clone(), event.event_id);
            let event = HandshakeEvent { event_id: event.event_id, timestamp: now, handshake };
            return vec![(subject, vettid_wire::json::canonical(&event).unwrap())];
        }
        let Some(mut responder) = self.enrolling.take() else {
            return vec![];
        };
        let reaction = responder.receive(now, &message.to_bytes().unwrap());
        assert!(!reaction.alarm, "{reaction:?}");
        if responder.phase() == Phase::Hs1Received {
            responder.accept(now).unwrap();
        }
        let posts = self.shake(now, &mut responder, reaction, event_type, event.event_id);
        self.enrolling = Some(responder);
        posts
    }

    fn session(&mut self, now: Timestamp, event_type: &EventType, bytes: &[u8]) -> Vec<Post> {
        let event: HandshakeEvent = vettid_wire::json::read(bytes).unwrap();
        let message = event.handshake.unwrap();
        let bytes = message.to_bytes().unwrap();
        let (mut responder, reaction) = match self.sessions.remove(&message.hs_id) {
            Some(mut responder) => {
                let reaction = responder.receive(now, &bytes);
                (responder, reaction)
            }
            None => match self.new_session(now, &bytes) {
                Some(responder) => (responder, Reaction::default()),
                None => return vec![],
            },
        };
        assert!(!reaction.alarm, "{reaction:?}");
        let posts = self.shake(now, &mut responder, reaction, event_type, event.event_id);
        self.sessions.insert(message.hs_id, responder);
        posts
    }

    fn new_session(&self, now: Timestamp, bytes: &[u8]) -> Option<Responder> {
        let party = Party { key_record: &self.record, signing: &self.identity };
        let resumes: Vec<&Secret32> = self.resumes.iter().collect();
        let apps: Vec<Fingerprint> = self.app.iter().map(|(fingerprint, _)| *fingerprint).collect();
        let keys = SessionKeys { prekeys: &[&self.kem], resumes: &resumes, apps: &apps };
        Responder::session(now, &party, &keys, bytes).ok()
    }

    /// Answers a handshake message after the responder has taken it.
    fn shake(
        &mut self,
        now: Timestamp,
        responder: &mut Responder,
        reaction: Reaction,
        event_type: &EventType,
        event_id: EventId,
    ) -> Vec<Post> {
        let mut send = reaction.send;
        if responder.phase() == Phase::Accepted {
            let party = Party { key_record: &self.record, signing: &self.identity };
            let content = self.second(now, responder);
            send = responder.answer(now, &mut rng(), &party, &content).unwrap().send;
        }
        if let Some(outcome) = responder.take_outcome() {
            self.open_session(outcome);
        }
        let is_over = responder.phase() == Phase::Active;
        let handshake = match send {
            Some(bytes) => Some(HandshakeMessage::read(&bytes).unwrap()),
            None if is_over => None,
            None => return vec![],
        };
        let event = HandshakeEvent { event_id, timestamp: now, handshake };
        let subject = Subject::ForApp(self.guid, event_type.clone(), event_id);
        vec![(subject, vettid_wire::json::canonical(&event).unwrap())]
    }

    fn second(&self, now: Timestamp, responder: &Responder) -> Second {
        let peer = responder.peer().unwrap();
        let device = peer.device.clone().unwrap();
        let jwt = self.mint(now, &device, peer.nkey_pub.as_ref().unwrap()).jwt;
        let incarnation = (self.incarnation > 1).then_some(self.incarnation);
        Second { jwt: Some(jwt), incarnation, ..Second::default() }
    }

    fn mint(&self, now: Timestamp, device: &DeviceId, nkey: &str) -> RefreshReply {
        let identity = MemberIdentity::App(device.clone());
        let minted =
            mint::member(&identity, &nkey.parse().unwrap(), self.account.public(), &self.app_signing, now).unwrap();
        RefreshReply { jwt: minted.jwt.as_str().to_owned(), expires_at: minted.expires_at }
    }

    fn open_session(&mut self, outcome: Outcome) {
        let peer = outcome.peer();
        self.app = Some((peer.fingerprint(), peer.device.clone().unwrap()));
        self.limited = outcome.is_limited();
        self.unproved = Some(outcome.resume().duplicate());
        if !self.limited {
            self.keep_resumption();
        }
        self.channel = Some(Channel::new(outcome.into_keys(self.incarnation).0));
    }

    /// As after the right password in a limited session.
    pub(crate) fn keep_resumption(&mut self) {
        self.limited = false;
        self.resumes.splice(0..0, self.unproved.take());
        self.resumes.truncate(2);
    }

    fn command(&mut self, now: Timestamp, subject: &Subject, bytes: &[u8]) -> Vec<Post> {
        let Ok(envelope) = Envelope::read(bytes) else { panic!("not sealed") };
        let Some(Ok(opened)) = self.channel.as_mut().map(|channel| channel.open(subject, &envelope)) else {
            return vec![];
        };
        self.opened += 1;
        let (event_id, hash) = (envelope.event_id, body_hash(&opened.content.body).unwrap());
        let outcome = match self.marks.get(&event_id) {
            Some((known, answer)) if *known == hash => answer.clone(),
            Some(_) => refused(RefusalCode::Conflict),
            None if opened.freshness != Freshness::New => return vec![],
            None => self.admit(now, &envelope, &opened.content, hash),
        };
        let reply_to = in_reply_to(event_id, &opened.content.body).unwrap();
        self.seal(now, &envelope.event_type, event_id, &outcome, Some(reply_to)).into_iter().collect()
    }

    fn admit(&mut self, now: Timestamp, envelope: &Envelope, content: &Content<Value>, hash: Base64Url) -> Value {
        if self.limited && !is_open_to_limited(&envelope.event_type) {
            return refused(RefusalCode::Locked);
        }
        if content.expires_at.unwrap() < now {
            return refused(RefusalCode::Expired);
        }
        let before = (self.texts.len(), self.fields.clone());
        let answer = match self.act(now, envelope, content.body.clone()) {
            Ok(value) => serde_json::to_value(Answer::Success(value)).unwrap(),
            Err(code) => refused(code),
        };
        if self.limited && answer["value"]["status"] == "done" {
            self.keep_resumption();
        }
        if before != (self.texts.len(), self.fields.clone()) {
            self.marks.insert(envelope.event_id, (hash, answer.clone()));
        }
        answer
    }

    fn act(&mut self, now: Timestamp, envelope: &Envelope, body: Value) -> Result<Value, RefusalCode> {
        match envelope.event_type.as_str() {
            "vault.health" => Ok(self.health(now)),
            "profile.get" if self.profile.is_some() => {
                Ok(value(&ProfileView { public: self.profile.clone(), sequence: 1 }))
            }
            "session.refresh" => {
                let asked: RefreshRequest = read(body);
                Ok(value(&self.mint(now, &asked.device, &asked.nkey_pub)))
            }
            "messaging.send" => {
                self.texts.push(read::<SendText>(body).text);
                Ok(value(&Sent { message_id: EventId::v7(now, random_id()) }))
            }
            "data.set" => {
                let SetField { field, value: new } = read(body);
                let view = FieldView { field: field.clone(), value: new, updated_at: now };
                self.fields.insert(field, view.clone());
                Ok(value(&view))
            }
            "data.get" => {
                let name = body["field"].as_str().unwrap();
                self.fields.get(name).map(value).ok_or(RefusalCode::NotFound)
            }
            "feed.list" => {
                let ListFeed { before, limit } = read(body);
                let older = self.feed.iter().rev().filter(|entry| before.is_none_or(|before| entry.number < before));
                Ok(value(&FeedList { entries: older.take(limit as usize).cloned().collect() }))
            }
            "audit.export" => Ok(self.export(now, &read(body))),
            "key.list" => Ok(value(&KeyInventory { keys: vec![], more_after: None })),
            event => {
                let hash = Digest::from_bytes([self.history; 32]);
                let (incarnation, sequence) = (self.incarnation, self.journal_sequence);
                self.credential.journal = Some(JournalHead { incarnation, sequence, hash });
                self.credential.act(now, envelope.event_id, event, body)
            }
        }
    }

    fn health(&self, now: Timestamp) -> Value {
        value(&VaultHealth {
            now,
            incarnation: self.incarnation,
            journal_sequence: self.journal_sequence,
            audit_size: self.chain.size(),
            dropped_events: 0,
            outbox_size: 0,
            connections: 0,
            lock: None,
            awaits_restore: false,
            reconciling: 0,
        })
    }

    fn export(&self, now: Timestamp, asked: &ExportAudit) -> Value {
        // Short stretches, so that an export takes several.
        let limit = (asked.limit as usize).min(3);
        let entries: Vec<_> = self.entries.iter().skip(asked.from as usize).take(limit).cloned().collect();
        let reached = asked.from + entries.len() as u64 >= self.chain.size();
        value(&AuditStretch {
            head: ExportHead { version: 1, guid: self.guid, vault_fp: self.fingerprint(), exported_at: now },
            key_record: self.record.record().clone(),
            entries,
            size: self.chain.size(),
            checkpoint: reached.then(|| Checkpoint::of(&self.chain).sign(self.guid, &self.identity)),
        })
    }

    /// Seals for the app.
    pub(crate) fn seal(
        &mut self,
        now: Timestamp,
        event_type: &EventType,
        event_id: EventId,
        body: &impl Serialize,
        in_reply_to: Option<vettid_wire::envelope::InReplyTo>,
    ) -> Option<Post> {
        let subject = Subject::ForApp(self.guid, event_type.clone(), event_id);
        let content = Content { body, to_incarnation: 1, in_reply_to, expires_at: None };
        let channel = self.channel.as_mut()?;
        let sealed = channel.seal(now, &mut rng(), &subject, event_id, event_type, &content).unwrap();
        Some((subject, sealed))
    }
}

fn record(
    guid: MemberId,
    identity: &SigningKey,
    kem: &KemSecretKey,
    now: Timestamp,
    before: Option<&VerifiedKeyRecord>,
) -> VerifiedKeyRecord {
    let expires_at = now.plus_ms(365 * 24 * HOUR_MS);
    let draft = Draft {
        role: KeyRole::Vault,
        guid,
        signing_key: identity.verifying_key(),
        device_key: None,
        kem_keys: vec![key_record::kem_key(&kem.public_key(), now, expires_at)],
        suites: vec![Suite::X25519],
        issued_at: now,
        expires_at,
    };
    key_record::build(draft, identity, before).unwrap()
}

fn refused(code: RefusalCode) -> Value {
    serde_json::to_value(Answer::<Value>::Refused(Refusal { code })).unwrap()
}

fn read<T: serde::de::DeserializeOwned>(body: Value) -> T {
    serde_json::from_value(body).unwrap()
}

fn value(of: &impl Serialize) -> Value {
    serde_json::to_value(of).unwrap()
}

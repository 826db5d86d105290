//! A service: its invitation, its contract, its requests, and what it gets.

use crate::app::{random_bytes, record};
use crate::node::ENDPOINT;
use rand::rngs::StdRng;
use serde::Serialize;
use serde_json::{Value, json};
use vettid_core::channel::{Channel, body_hash};
use vettid_core::contract::contract_hash;
use vettid_core::grants::mint::{self, MemberIdentity};
use vettid_core::handshake::{Answer, InvitationTerms, Party, Phase, Responder, invite};
use vettid_crypto::device::DeviceSigner;
use vettid_crypto::identity::{SigningKey, VerifyingKey};
use vettid_crypto::key_record::VerifiedKeyRecord;
use vettid_crypto::nats::key::{Account, SecretKey, User};
use vettid_crypto::signature::{Context, sign_object};
use vettid_wire::authorisation::{AuthorisationRequest, Wanted};
use vettid_wire::base64::{Base64, Base64Url};
use vettid_wire::connection::Ready;
use vettid_wire::contract::{Contract, CounterSignature};
use vettid_wire::envelope::{Content, Envelope};
use vettid_wire::event::EventType;
use vettid_wire::handshake::{HandshakeMessage, InvitationKind, RekeyMessage, SpaceUri};
use vettid_wire::id::{ConnectionId, EventId, HandshakeId, InviteId, MemberId, RequestId, ServiceId};
use vettid_wire::json as vjson;
use vettid_wire::key_record::KeyRole;
use vettid_wire::login::browser_text;
use vettid_wire::offer::ContractOffer;
use vettid_wire::profile::{PublicProfile, ServiceProfile, SignedProfile};
use vettid_wire::subject::Subject;
use vettid_wire::time::Timestamp;

pub(crate) type Letter = (Subject, Vec<u8>);

pub(crate) struct Shop {
    pub(crate) guid: MemberId,
    pub(crate) service_id: ServiceId,
    pub(crate) signing: SigningKey,
    record: VerifiedKeyRecord,
    responder: Option<Responder>,
    member: Option<MemberId>,
    member_key: Option<VerifyingKey>,
    /// Signs the member's answers on this connection.
    pairwise: Option<VerifyingKey>,
    pub(crate) connection_id: Option<ConnectionId>,
    pub(crate) channel: Option<Channel>,
    /// The incarnation of the member that it addresses.
    pub(crate) to_incarnation: u64,
    /// What it quotes.
    pub(crate) contract: Contract,
    /// When what it sends loses its effect.
    pub(crate) expires_at: Option<Timestamp>,
    /// Opened events of the member: name, body, the event that it answers.
    pub(crate) got: Vec<(String, Value, Option<EventId>)>,
}

pub(crate) fn contract() -> Contract {
    vjson::read(
        br#"{"service_id":"demo-shop","contract_version":1,"description":"d","fields":[
        {"field":"address","tier":"on_demand","purpose":"p","retention":"session","rate":{"count":2,"per_seconds":60}},
        {"field":"date_of_birth","tier":"consent","purpose":"p","retention":"session"},
        {"field":"email","tier":"required","purpose":"p","retention":{"time_limited":{"days":2}}},
        {"field":"phone","tier":"optional","purpose":"p","retention":"until_revoked"},
        {"field":"city","tier":"optional","purpose":"p","retention":"session"},
        {"field":"passport","tier":"on_demand","access":"one_time","purpose":"p","retention":"session"},
        {"field":"size","tier":"required","access":"snapshot","purpose":"p","retention":"until_revoked",
        "rate":{"count":3,"per_seconds":60}},
        {"field":"licence","tier":"consent","access":"one_time","purpose":"p","retention":"until_revoked"}],
        "permissions":["request_authentication","request_payment","request_consent","request_signature","request_proof"],"rate":{"count":50,"per_seconds":60},"terms_url":"t","privacy_url":"p"}"#,
    )
    .unwrap()
}

impl Shop {
    pub(crate) fn new(guid: MemberId, now: Timestamp, rng: &mut StdRng) -> Self {
        let (signing, record) = record(KeyRole::Service, guid, now, rng);
        Self {
            guid,
            service_id: "demo-shop".parse().unwrap(),
            signing,
            record,
            responder: None,
            member: None,
            member_key: None,
            pairwise: None,
            connection_id: None,
            channel: None,
            to_incarnation: 1,
            contract: contract(),
            expires_at: None,
            got: vec![],
        }
    }

    fn profile(&self, now: Timestamp) -> SignedProfile {
        self.profile_of(&self.signing, "Shop", 1, now)
    }

    /// A profile under this name and number, signed by this key.
    pub(crate) fn profile_of(&self, signing: &SigningKey, name: &str, sequence: u64, now: Timestamp) -> SignedProfile {
        let origins = vec!["https://shop.example".to_owned()];
        let profile = SignedProfile {
            profile_version: "1.0".into(),
            guid: self.guid,
            public_key: self.record.identity().typed(),
            key_record: self.record.record().clone(),
            restore_key: None,
            public: PublicProfile { first_name: name.into(), ..PublicProfile::default() },
            service: Some(ServiceProfile {
                service_id: self.service_id.clone(),
                origins,
                contract: self.contract.clone(),
            }),
            event_types: vec![],
            items: std::collections::BTreeMap::new(),
            supported: vec![],
            sequence,
            updated_at: now,
            valid_until: now.plus_ms(vettid_wire::profile::MAX_LIFE_MS),
            key_id: self.signing.key_id(),
            signature: Base64::default(),
        };
        vjson::from_value(sign_object(Context::Profile, signing, &profile).unwrap()).unwrap()
    }

    pub(crate) fn invite(&mut self, now: Timestamp, rng: &mut StdRng) -> String {
        let terms = InvitationTerms {
            space: SpaceUri::new(ENDPOINT, self.guid).unwrap(),
            expires_at: now.plus_ms(600_000),
            inviter_hint: "Shop".into(),
            enrolment: None,
        };
        let party = Party { key_record: &self.record, signing: &self.signing };
        let mut made = invite(now, rng, &party, InvitationKind::Service, terms).unwrap();
        made.invitation.token = "claim".into();
        self.responder = Some(made.responder);
        made.invitation.to_link("https://vettid.dev/connect").unwrap()
    }

    /// Takes a message of the member; gives what it sends.
    pub(crate) fn receive(&mut self, subject: &Subject, bytes: &[u8], now: Timestamp, rng: &mut StdRng) -> Vec<Letter> {
        if let Subject::Invite(..) = subject {
            return self.shake(bytes, now, rng);
        }
        let envelope = Envelope::read(bytes).unwrap();
        let opened = self.channel.as_mut().unwrap().open(subject, &envelope).unwrap();
        if let Ok(message) = vjson::from_value::<RekeyMessage>(opened.content.body.clone()) {
            return self.rekey(&message, now, rng);
        }
        let question = opened.content.in_reply_to.map(|question| question.event_id);
        self.got.push((envelope.event_type.to_string(), opened.content.body, question));
        vec![]
    }

    fn rekey(&mut self, message: &RekeyMessage, now: Timestamp, rng: &mut StdRng) -> Vec<Letter> {
        let member = self.member_key.as_ref().unwrap();
        let channel = self.channel.as_mut().unwrap();
        let answer = channel.take_rekey(now, rng, message, &self.signing, member).unwrap();
        let mut letters: Vec<Letter> =
            answer.iter().map(|answer| self.seal("connection.rekey", answer, now, rng).1).collect();
        if let Some(switch) = self.channel.as_mut().unwrap().switch(vec![]) {
            letters.push(self.seal("connection.rekey", switch, now, rng).1);
        }
        letters
    }

    /// Begins a rotation, signed by this key or by its own.
    pub(crate) fn rotate(&mut self, signing: Option<&SigningKey>, now: Timestamp, rng: &mut StdRng) -> Letter {
        let offer = self.channel.as_mut().unwrap().offer_rotation(rng, signing.unwrap_or(&self.signing)).unwrap();
        self.seal("connection.rekey", offer, now, rng).1
    }

    fn shake(&mut self, bytes: &[u8], now: Timestamp, rng: &mut StdRng) -> Vec<Letter> {
        let mut responder = self.responder.take().unwrap();
        let hs_id = HandshakeMessage::read(bytes).unwrap().hs_id;
        let mut send = responder.receive(now, bytes).send;
        if responder.phase() == Phase::Hs1Received {
            responder.accept(now).unwrap();
            self.member = responder.peer().map(|peer| peer.guid());
            self.member_key = responder.peer().map(|peer| *peer.key_record.signing());
            let pairwise = responder.peer().and_then(|peer| peer.pairwise_key.as_ref());
            self.pairwise = pairwise.map(|key| VerifyingKey::from_typed(key).unwrap());
            let content = self.answer(&responder, hs_id, now, rng);
            let party = Party { key_record: &self.record, signing: &self.signing };
            send = responder.answer(now, rng, &party, &content).unwrap().send;
        }
        let ready = responder.take_outcome().map(|outcome| {
            let acceptance = outcome.peer().acceptance.clone().unwrap();
            self.connection_id = Some(hs_id.connection_id());
            self.channel = Some(Channel::new(outcome.into_keys(1).0));
            let counter = CounterSignature {
                acceptance_hash: body_hash(&acceptance).unwrap(),
                connection_id: hs_id.connection_id(),
                countersigned_at: now,
                key_id: self.signing.key_id(),
                signature: Base64::default(),
            };
            let signed = sign_object(Context::ContractCounter, &self.signing, &counter).unwrap();
            let counter_signature = Some(vjson::from_value(signed).unwrap());
            self.seal("connection.ready", Ready { connection_id: hs_id.connection_id(), counter_signature }, now, rng).1
        });
        self.responder = Some(responder);
        let claim = InviteId::from_bytes(hs_id.to_bytes());
        let second = send.map(|bytes| (Subject::Invite(self.member.unwrap(), claim), bytes));
        second.into_iter().chain(ready).collect()
    }

    fn answer(&self, responder: &Responder, hs_id: HandshakeId, now: Timestamp, rng: &mut StdRng) -> Answer {
        let user = responder.peer().unwrap().nkey_pub.as_ref().unwrap().parse().unwrap();
        let [account, scoped] = [(); 2].map(|()| SecretKey::<Account>::random(rng).unwrap());
        let identity = MemberIdentity::Connection(hs_id.connection_id());
        let minted = mint::member(&identity, &user, account.public(), &scoped, now).unwrap();
        Answer {
            profile: Some(self.profile(now)),
            jwt: Some(minted.jwt.as_str().to_owned()),
            nkey_pub: Some(SecretKey::<User>::random(rng).unwrap().public().to_string()),
            contract: Some(self.contract.clone()),
            ..Answer::default()
        }
    }

    /// Seals an event for the member.
    pub(crate) fn seal(
        &mut self,
        name: &str,
        body: impl Serialize,
        now: Timestamp,
        rng: &mut StdRng,
    ) -> (EventId, Letter) {
        let event_id = EventId::v7(now, random_bytes(rng));
        (event_id, self.seal_as(name, body, event_id, now, rng))
    }

    pub(crate) fn seal_as(
        &mut self,
        name: &str,
        body: impl Serialize,
        event_id: EventId,
        now: Timestamp,
        rng: &mut StdRng,
    ) -> Letter {
        let event_type: EventType = name.parse().unwrap();
        let subject = Subject::FromService(self.member.unwrap(), self.service_id.clone(), event_type.clone());
        let content =
            Content { body, to_incarnation: self.to_incarnation, in_reply_to: None, expires_at: self.expires_at };
        let channel = self.channel.as_mut().unwrap();
        let bytes = channel.seal(now, rng, &subject, event_id, &event_type, &content).unwrap();
        (subject, bytes)
    }

    /// The body of a request for a field.
    pub(crate) fn data_request(&self, field: &str, request_id: RequestId) -> Value {
        json!({"request_id": request_id, "service_id": self.service_id, "connection_id": self.connection_id.unwrap(),
            "contract_hash": contract_hash(&self.contract).unwrap(), "field": field, "purpose": "delivery"})
    }

    /// The body of a login, unsigned.
    pub(crate) fn challenge(&self, request_id: RequestId, now: Timestamp) -> Value {
        let token = Base64Url::new([7; 32]);
        json!({"request_id": request_id, "service_id": self.service_id, "connection_id": self.connection_id.unwrap(),
            "contract_hash": contract_hash(&self.contract).unwrap(), "origin": "https://shop.example", "nonce": token, "session_hash": token,
            "display": {"browser": "Firefox", "city": "Graz", "ip_prefix": "192.0.2"},
            "number": 42,
            "issued_at": now, "expires_at": now.plus_ms(110_000), "key_id": self.signing.key_id(), "signature": ""})
    }

    /// The same from a browser that shows a key.
    pub(crate) fn challenge_of(&self, browser: &DeviceSigner, request_id: RequestId, now: Timestamp) -> Value {
        let (mut challenge, token) = (self.challenge(request_id, now), Base64Url::new([7; 32]));
        let text = browser_text(request_id, "https://shop.example", &token, &token);
        challenge["browser_key"] = json!(browser.public_key().unwrap());
        challenge["browser_sig"] = json!(Base64::new(browser.sign(text.as_bytes()).unwrap()));
        challenge
    }

    /// A signed request for the member's word.
    pub(crate) fn wants(&self, wanted: &Value, request_id: RequestId, now: Timestamp) -> Value {
        let wanted: Wanted = vjson::from_value(wanted.clone()).unwrap();
        let request = AuthorisationRequest {
            request_id,
            service_id: self.service_id.clone(),
            connection_id: self.connection_id.unwrap(),
            contract_hash: Some(contract_hash(&self.contract).unwrap()),
            expires_at: now.plus_ms(wanted.max_life_ms()),
            wanted,
            issued_at: now,
            key_record: self.record.record().clone(),
            key_id: self.signing.key_id(),
            signature: Base64::default(),
        };
        sign_object(Context::ServiceRequest, &self.signing, &request).unwrap()
    }

    /// The body of an offer of this version.
    pub(crate) fn offer(&self, contract: &Contract, now: Timestamp) -> Value {
        let connection_id = self.connection_id.unwrap();
        let offer = ContractOffer {
            connection_id,
            contract: contract.clone(),
            offered_at: now,
            key_id: self.signing.key_id(),
            signature: Base64::default(),
        };
        sign_object(Context::ContractOffer, &self.signing, &offer).unwrap()
    }

    /// The signature under an acceptance.
    pub(crate) fn counter(&self, acceptance: &Value, now: Timestamp) -> Value {
        let counter = CounterSignature {
            acceptance_hash: body_hash(acceptance).unwrap(),
            connection_id: self.connection_id.unwrap(),
            countersigned_at: now,
            key_id: self.signing.key_id(),
            signature: Base64::default(),
        };
        sign_object(Context::ContractCounter, &self.signing, &counter).unwrap()
    }

    pub(crate) fn signed(&self, challenge: &Value) -> Value {
        sign_object(Context::ServiceRequest, &self.signing, challenge).unwrap()
    }

    /// An answer is signed for this connection by the key that the handshake certified.
    pub(crate) fn check_proof(&self, answer: &Value) {
        let key = self.pairwise.as_ref().unwrap();
        vettid_core::answer::verify(key, self.connection_id.unwrap(), answer).unwrap();
    }

    /// The last answer, its name and body.
    pub(crate) fn last(&self) -> (&str, &Value) {
        self.got.last().map(|(name, body, _)| (name.as_str(), body)).unwrap()
    }
}

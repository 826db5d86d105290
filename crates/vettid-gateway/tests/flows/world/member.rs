//! A member's vault, reduced to what a gateway can notice: the initiator of the handshake, an active channel, and answers
//! exactly as the test wants them.

use super::{PATIENCE, Running, World};
use bytes::Bytes;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use vettid_core::channel::{Channel, body_hash, in_reply_to};
use vettid_core::contract::contract_hash;
use vettid_core::grants::credential::Credential;
use vettid_core::grants::delivery::{Receiver, of_member};
use vettid_core::grants::mint::MemberIdentity;
use vettid_core::handshake::{Closing, Initiator, Opening, Party, Target};
use vettid_core::window::Freshness;
use vettid_crypto::authorisation::{Answering, VerifiedRequest, sign_answer, verify_request};
use vettid_crypto::identity::SigningKey;
use vettid_crypto::key_record::{self, Draft, VerifiedKeyRecord, kem_key};
use vettid_crypto::nats::key::{UserKey, UserPublic};
use vettid_crypto::nats::token::UserJwt;
use vettid_crypto::signature::{self, Context};
use vettid_crypto::suite::{KemSecretKey, Suite};
use vettid_nats::clock;
use vettid_nats::connection::{ConnectError, Connection, Endpoint};
use vettid_nats::inbox::{Inbox, Members, deliver};
use vettid_testkit::operator::fresh_key;
use vettid_testkit::space::{Placement, Space, fresh_event};
use vettid_wire::agreement::AnswerMethod;
use vettid_wire::auth::{AuthChallenge, AuthResponse, Decision};
use vettid_wire::authorisation::AuthorisationAnswer;
use vettid_wire::base64::Base64;
use vettid_wire::connection::{ConnectionCredential, ConnectionState, Ready, RevocationNotice, RevocationReason};
use vettid_wire::contract::{Acceptance, Contract};
use vettid_wire::data::{DataOutcome, DataRequest, DataResponse, Keep};
use vettid_wire::envelope::{Content, Envelope, InReplyTo};
use vettid_wire::handshake::{Claim, Invitation, SpaceUri};
use vettid_wire::id::{ConnectionId, EventId, HandshakeId, InviteId, MemberId, ServiceId};
use vettid_wire::json;
use vettid_wire::key_record::KeyRole;
use vettid_wire::login::LoginProof;
use vettid_wire::profile::{MAX_LIFE_MS, PublicProfile, SignedProfile};
use vettid_wire::refusal::{EventRefused, RefusalCode};
use vettid_wire::subject::{Pattern, Subject};
use vettid_wire::time::Timestamp;

pub(crate) fn rng() -> StdRng {
    StdRng::from_rng(&mut rand::rng())
}

pub(crate) struct Member {
    pub(crate) space: Space,
    pub(crate) signing: SigningKey,
    record: VerifiedKeyRecord,
    endpoint: Endpoint,
    inbox: Inbox,
    connection: Connection,
    /// What comes by best effort.
    heard: mpsc::UnboundedReceiver<(Subject, Bytes)>,
    hearing: JoinSet<()>,
}

/// A handshake under way.
pub(crate) struct Handshake {
    pub(crate) invitation: Invitation,
    pub(crate) hs_id: HandshakeId,
    pub(crate) hs1: Vec<u8>,
    pub(crate) pairwise: SigningKey,
    initiator: Initiator,
    nkey: Arc<UserKey>,
    claim: Connection,
}

/// What the second message told.
pub(crate) struct Offered {
    pub(crate) contract: Contract,
    pub(crate) profile: SignedProfile,
    service_nkey: UserPublic,
    jwt: UserJwt,
}

/// A connection with the service.
pub(crate) struct Service {
    pub(crate) connection_id: ConnectionId,
    pub(crate) service_id: ServiceId,
    pub(crate) guid: MemberId,
    pub(crate) channel: Channel,
    pub(crate) pairwise: SigningKey,
    pub(crate) connection: Connection,
    /// The service's user in the member's account.
    pub(crate) user: UserPublic,
    /// The member's user in the service's account, and what lets it in.
    pub(crate) key: Arc<UserKey>,
    pub(crate) jwt: UserJwt,
}

/// An event of the service, opened.
pub(crate) struct Asked {
    pub(crate) event_id: EventId,
    pub(crate) body: Value,
    pub(crate) bytes: Bytes,
    pub(crate) freshness: Freshness,
}

impl Asked {
    pub(crate) fn data(&self) -> DataRequest {
        json::from_value(self.body.clone()).unwrap()
    }

    /// The request for the member's word, checked.
    pub(crate) fn wanted(&self) -> VerifiedRequest {
        verify_request(json::from_value(self.body.clone()).unwrap()).unwrap()
    }

    pub(crate) fn login(&self) -> AuthChallenge {
        json::from_value(self.body.clone()).unwrap()
    }

    pub(crate) fn question(&self) -> InReplyTo {
        in_reply_to(self.event_id, &self.body).unwrap()
    }
}

/// Hears what comes for a member by best effort.
async fn listen(connection: &Connection, member: MemberId) -> (mpsc::UnboundedReceiver<(Subject, Bytes)>, JoinSet<()>) {
    let (told, heard) = mpsc::unbounded_channel();
    let mut hearing = JoinSet::new();
    let patterns =
        Receiver::Vault.best_effort().into_iter().filter(|pattern| !matches!(pattern, Pattern::ForVault(..)));
    for pattern in patterns {
        let mut subscription = connection.subscribe(&of_member(pattern, member)).await.unwrap();
        let told = told.clone();
        hearing.spawn(async move {
            while let Some(Ok(incoming)) = subscription.next().await {
                if told.send((incoming.subject, incoming.payload)).is_err() {
                    break;
                }
            }
        });
    }
    connection.settle().await.unwrap();
    (heard, hearing)
}

/// The key record of a vault with this identity.
fn key_record_of(signing: &SigningKey, guid: MemberId) -> VerifiedKeyRecord {
    let kem = KemSecretKey::generate(Suite::X25519, &mut rng()).unwrap();
    let (now, end) = (clock::now(), clock::now().plus_ms(MAX_LIFE_MS));
    let draft = Draft {
        role: KeyRole::Vault,
        guid,
        signing_key: signing.verifying_key(),
        device_key: None,
        kem_keys: vec![kem_key(&kem.public_key(), now, end)],
        suites: vec![Suite::X25519],
        issued_at: now,
        expires_at: end,
    };
    key_record::build(draft, signing, None).unwrap()
}

impl Member {
    pub(crate) async fn new(world: &World) -> Self {
        let space = world.broker.space(Placement::Home).await.unwrap();
        let home = MemberIdentity::HomeMessage(space.member);
        let connection = world.broker.join(&space, &home).await.unwrap();
        let inbox = Inbox::open(&connection, home.name().as_str(), Members::All).await.unwrap();
        let (heard, hearing) = listen(&connection, space.member).await;
        let signing = SigningKey::random(&mut rng());
        let record = key_record_of(&signing, space.member);
        Self { space, signing, record, endpoint: world.broker.endpoint().unwrap(), inbox, connection, heard, hearing }
    }

    fn party(&self) -> Party<'_> {
        Party { key_record: &self.record, signing: &self.signing }
    }

    pub(crate) fn guid(&self) -> MemberId {
        self.space.member
    }

    fn profile(&self) -> SignedProfile {
        self.profile_of(&self.signing, "Alice", 1, clock::now())
    }

    /// A profile under this name and number, made at this time and signed by this key.
    pub(crate) fn profile_of(&self, signing: &SigningKey, name: &str, sequence: u64, now: Timestamp) -> SignedProfile {
        let profile = SignedProfile {
            profile_version: "1.0".to_owned(),
            guid: self.guid(),
            public_key: self.signing.verifying_key().typed(),
            key_record: self.record.record().clone(),
            restore_key: None,
            public: PublicProfile { first_name: name.to_owned(), ..PublicProfile::default() },
            service: None,
            event_types: vec![],
            items: std::collections::BTreeMap::new(),
            supported: vec![],
            sequence,
            updated_at: now,
            valid_until: now.plus_ms(MAX_LIFE_MS),
            key_id: self.signing.key_id(),
            signature: Base64::default(),
        };
        json::from_value(signature::sign_object(Context::Profile, signing, &profile).unwrap()).unwrap()
    }

    /// What a first message carries.
    pub(crate) fn opening(&self, hs_id: HandshakeId, nkey: &UserKey, pairwise: &SigningKey) -> Opening {
        let who = MemberIdentity::Claim(InviteId::from_bytes(hs_id.to_bytes()));
        let holder = fresh_key::<vettid_crypto::nats::key::User>().unwrap();
        let minted = self.space.mint(&who, holder.public(), Timestamp::from_unix_ms(i64::MAX)).unwrap();
        Opening {
            profile: Some(self.profile()),
            nkey_pub: Some(nkey.public().to_string()),
            pairwise_key: Some(pairwise.verifying_key().typed()),
            claim: Some(Claim {
                messagespace_uri: SpaceUri::new(self.endpoint.address.clone(), self.guid()).unwrap(),
                token: minted.jwt.as_str().to_owned(),
            }),
            ..Opening::default()
        }
    }

    /// Reads an invitation and makes the first message.
    pub(crate) async fn begin(&self, link: &str) -> Handshake {
        self.begin_with(link, |_| {}).await
    }

    /// The same with something wrong in the first message.
    pub(crate) async fn begin_with(&self, link: &str, change: impl FnOnce(&mut Opening)) -> Handshake {
        let invitation = Invitation::read(link).unwrap();
        let mut random = [0; 10];
        rand::Rng::fill_bytes(&mut rng(), &mut random);
        let hs_id = HandshakeId::v7(clock::now(), random);
        let (nkey, pairwise) = (Arc::new(fresh_key().unwrap()), SigningKey::random(&mut rng()));
        let mut opening = self.opening(hs_id, &nkey, &pairwise);
        change(&mut opening);
        let target = Target::invitation(&invitation).unwrap();
        let (initiator, reaction) =
            Initiator::start_as(hs_id, clock::now(), &mut rng(), &self.party(), target, &opening).unwrap();
        let who = MemberIdentity::Claim(invitation.invite_id);
        let token = UserJwt::unchecked(invitation.token.clone());
        let credential = Credential::bearer(&who, invitation.space.guid(), token, clock::now()).unwrap();
        let endpoint = Endpoint { address: invitation.space.endpoint().to_owned(), tls: self.endpoint.tls.clone() };
        let claim = Connection::open(&endpoint, credential).await.unwrap();
        Handshake { invitation, hs_id, hs1: reaction.send.unwrap(), pairwise, initiator, nkey, claim }
    }

    /// Hears nothing that comes by best effort any more.
    pub(crate) async fn leave(&mut self) {
        self.hearing.shutdown().await;
        self.connection.settle().await.unwrap();
    }

    /// Hears it again.
    pub(crate) async fn come_back(&mut self) {
        (self.heard, self.hearing) = listen(&self.connection, self.guid()).await;
    }

    /// The next message; a durable one is taken out of the inbox.
    pub(crate) async fn next(&mut self) -> (Subject, Bytes) {
        tokio::time::timeout(PATIENCE, self.next_or_never()).await.unwrap()
    }

    /// The next message, however long it takes.
    pub(crate) async fn next_or_never(&mut self) -> (Subject, Bytes) {
        tokio::select! {
            message = self.inbox.next() => {
                let message = message.unwrap();
                let arrived = (message.subject.clone(), message.payload.clone());
                message.done().await.unwrap();
                arrived
            }
            heard = self.heard.recv() => heard.unwrap(),
        }
    }

    /// Whether no event comes within this time.
    pub(crate) async fn nothing_within(&mut self, within: std::time::Duration) -> bool {
        tokio::time::timeout(within, self.next_or_never()).await.is_err()
    }

    /// The next message of a handshake.
    pub(crate) async fn next_hs2(&mut self, handshake: &Handshake) -> Bytes {
        let (subject, bytes) = self.next().await;
        assert_eq!(subject, Subject::handshake(self.guid(), handshake.hs_id));
        bytes
    }

    /// The next event of the service.
    pub(crate) async fn next_event(&mut self, service: &mut Service, name: &str) -> Asked {
        let (subject, bytes) = self.next().await;
        assert_eq!(subject, Subject::FromService(self.guid(), service.service_id.clone(), name.parse().unwrap()));
        let envelope = Envelope::read(&bytes).unwrap();
        let opened = service.channel.open(&subject, &envelope).unwrap();
        Asked { event_id: envelope.event_id, body: opened.content.body, bytes, freshness: opened.freshness }
    }

    /// Signs an acceptance of everything that was offered.
    pub(crate) fn acceptance(&self, handshake: &Handshake, offered: &Offered, optional: &[&str]) -> Acceptance {
        let unsigned = Acceptance {
            contract_hash: contract_hash(&offered.contract).unwrap(),
            contract_version: offered.contract.contract_version,
            service_id: offered.contract.service_id.clone(),
            service_fp: handshake.invitation.inviter_fp,
            member_fp: self.record.fingerprint(),
            connection_id: handshake.hs_id.connection_id(),
            optional_fields_accepted: optional.iter().map(|&name| name.to_owned()).collect(),
            accepted_at: clock::now(),
            sequence: 1,
            key_id: self.signing.key_id(),
            signature: Base64::default(),
        };
        self.resigned(unsigned)
    }

    pub(crate) fn fingerprint(&self) -> vettid_wire::id::Fingerprint {
        self.record.fingerprint()
    }

    pub(crate) fn resigned(&self, acceptance: Acceptance) -> Acceptance {
        json::from_value(signature::sign_object(Context::ContractAccept, &self.signing, &acceptance).unwrap()).unwrap()
    }

    /// Takes the second message.
    pub(crate) fn review(&self, handshake: &mut Handshake, hs2: &[u8]) -> Offered {
        let reaction = handshake.initiator.receive(clock::now(), hs2);
        assert_eq!(reaction.refusal, None);
        let peer = handshake.initiator.peer().unwrap();
        Offered {
            contract: peer.contract.clone().unwrap(),
            profile: peer.profile.clone().unwrap(),
            service_nkey: peer.nkey_pub.as_ref().unwrap().parse().unwrap(),
            jwt: UserJwt::unchecked(peer.jwt.clone().unwrap()),
        }
    }

    /// A credential for the service in this member's space.
    pub(crate) fn credential_for(&self, offered: &Offered) -> String {
        let who = MemberIdentity::Service(offered.contract.service_id.clone());
        let minted = self.space.mint(&who, &offered.service_nkey, Timestamp::from_unix_ms(i64::MAX)).unwrap();
        minted.jwt.as_str().to_owned()
    }

    /// Accepts and makes the third message.
    pub(crate) fn finish(&self, handshake: &mut Handshake, closing: Closing) -> Vec<u8> {
        handshake.initiator.accept(clock::now()).unwrap();
        let made = handshake.initiator.finish(clock::now(), &mut rng(), &self.party(), &closing);
        made.unwrap().send.unwrap()
    }

    /// The usual third message.
    pub(crate) fn agree(&self, handshake: &mut Handshake, offered: &Offered, optional: &[&str]) -> Vec<u8> {
        let acceptance = self.acceptance(handshake, offered, optional);
        let jwt = self.credential_for(offered);
        self.finish(handshake, Closing { jwt: Some(jwt), acceptance: Some(acceptance), device_sig: None })
    }

    /// After the third message: the connection, ready to open what the service sends.
    pub(crate) async fn established(&self, mut handshake: Handshake, offered: Offered) -> Service {
        let connection_id = handshake.hs_id.connection_id();
        let guid = handshake.invitation.space.guid();
        let who = MemberIdentity::Connection(connection_id);
        let (key, jwt) = (handshake.nkey, offered.jwt);
        let credential = Credential::member(&who, guid, Arc::clone(&key), jwt.clone(), clock::now()).unwrap();
        let connection = Connection::open(&self.endpoint, credential).await.unwrap();
        let (keys, _) = handshake.initiator.take_outcome().unwrap().into_keys(1);
        Service {
            connection_id,
            service_id: offered.contract.service_id,
            guid,
            channel: Channel::new(keys),
            pairwise: handshake.pairwise,
            connection,
            user: offered.service_nkey,
            key,
            jwt,
        }
    }

    /// The whole handshake.
    pub(crate) async fn connect(&mut self, gateway: &Running, optional: &[&str]) -> Service {
        let link = gateway.invite().await.link;
        self.answer_invitation(gateway, &link, optional).await
    }

    /// The whole handshake, by an invitation that was shown somewhere.
    pub(crate) async fn answer_invitation(&mut self, gateway: &Running, link: &str, optional: &[&str]) -> Service {
        let mut handshake = self.begin(link).await;
        handshake.send(&handshake.hs1).await;
        let hs2 = self.next_hs2(&handshake).await;
        let offered = self.review(&mut handshake, &hs2);
        let hs3 = self.agree(&mut handshake, &offered, optional);
        handshake.send(&hs3).await;
        let mut service = self.established(handshake, offered).await;
        let ready = self.next_event(&mut service, "connection.ready").await;
        let ready: Ready = json::from_value(ready.body).unwrap();
        assert_eq!(ready.connection_id, service.connection_id);
        gateway.until(service.connection_id, ConnectionState::Active).await;
        service
    }
}

impl Member {
    /// A correct answer to a request for the member's word, by this key of the connection.
    pub(crate) fn word(&self, pairwise: &SigningKey, asked: &Asked, decision: Decision) -> AuthorisationAnswer {
        let answering =
            Answering { decision, method: AnswerMethod::Password, answered_at: clock::now(), claims: vec![] };
        sign_answer((&self.signing, &self.record), pairwise, &asked.wanted(), answering).unwrap()
    }

    /// The same, with the key of the connection certified by an identity that the service never met.
    pub(crate) fn word_of_a_stranger(&self, pairwise: &SigningKey, asked: &Asked) -> AuthorisationAnswer {
        let signing = SigningKey::random(&mut rng());
        let record = key_record_of(&signing, self.guid());
        let (decision, method) = (Decision::Approve, AnswerMethod::Password);
        let answering = Answering { decision, method, answered_at: clock::now(), claims: vec![] };
        sign_answer((&signing, &record), pairwise, &asked.wanted(), answering).unwrap()
    }

    /// Connects with what the service gave; `None` if the broker does not take it.
    pub(crate) async fn comes_in(&self, service: &Service, jwt: &UserJwt) -> Option<Connection> {
        let who = MemberIdentity::Connection(service.connection_id);
        let key = Arc::clone(&service.key);
        let credential = Credential::member(&who, service.guid, key, jwt.clone(), clock::now()).unwrap();
        match Connection::open(&self.endpoint, credential).await {
            Ok(connection) => Some(connection),
            Err(ConnectError::Refused) => None,
            Err(other) => panic!("{other}"),
        }
    }

    /// Takes the next credential of the service and goes on with it.
    pub(crate) async fn take_credential(&mut self, service: &mut Service) {
        let fresh = self.next_event(service, "connection.credential").await;
        let fresh: ConnectionCredential = json::from_value(fresh.body).unwrap();
        service.jwt = UserJwt::unchecked(fresh.jwt);
        service.connection = self.comes_in(service, &service.jwt).await.unwrap();
    }

    /// Does not let the service in any more, without telling it.
    pub(crate) async fn cut_off(&self, world: &World, service: &Service) {
        let (account, mut claims) = self.space.claims(&world.broker.operator).remove(1);
        claims.revoke(&service.user, clock::now());
        world.broker.push(&account, &claims).await.unwrap();
    }
}

impl Handshake {
    /// Sends a handshake message under the invitation; each time as a message of its own.
    pub(crate) async fn send(&self, bytes: &[u8]) {
        let subject = Subject::Invite(self.invitation.space.guid(), self.invitation.invite_id);
        deliver(&self.claim, &subject, fresh_event(), Bytes::copy_from_slice(bytes)).await.unwrap();
    }
}

impl Service {
    /// The question in a message, if it is one for data.
    pub(crate) fn question(&mut self, subject: &Subject, bytes: &Bytes) -> Option<Asked> {
        let is_question = matches!(subject, Subject::FromService(_, _, name) if name.to_string() == "data.request");
        let envelope = Envelope::read(bytes).ok().filter(|_| is_question)?;
        let opened = self.channel.open(subject, &envelope).unwrap();
        let (event_id, body, bytes) = (envelope.event_id, opened.content.body, bytes.clone());
        Some(Asked { event_id, body, bytes, freshness: opened.freshness })
    }

    fn subject(&self, name: &str) -> Subject {
        Subject::ForOwner(self.guid, self.connection_id, name.parse().unwrap())
    }

    /// Seals an event for the service.
    pub(crate) fn seal(&mut self, name: &str, body: impl Serialize, in_reply_to: Option<InReplyTo>) -> Bytes {
        let subject = self.subject(name);
        let content = Content { body, to_incarnation: 1, in_reply_to, expires_at: None };
        let event_type = name.parse().unwrap();
        let sealed = self.channel.seal(clock::now(), &mut rng(), &subject, fresh_event(), &event_type, &content);
        sealed.unwrap().into()
    }

    /// Sends sealed bytes once, as they are.
    pub(crate) async fn send_bytes(&self, name: &str, bytes: Bytes) {
        self.connection.publish(&self.subject(name), bytes).await.unwrap();
    }

    /// Sends an event once.
    pub(crate) async fn send(&mut self, name: &str, body: impl Serialize, in_reply_to: Option<InReplyTo>) {
        let bytes = self.seal(name, body, in_reply_to);
        self.send_bytes(name, bytes).await;
    }

    /// Sends an event into the service's inbox.
    pub(crate) async fn deliver(&mut self, name: &str, body: impl Serialize) {
        let bytes = self.seal(name, body, None);
        deliver(&self.connection, &self.subject(name), fresh_event(), bytes).await.unwrap();
    }

    /// Sends an answer into the service's inbox.
    pub(crate) async fn deliver_answer(&mut self, name: &str, body: impl Serialize, asked: &Asked) {
        let bytes = self.seal(name, body, Some(asked.question()));
        deliver(&self.connection, &self.subject(name), fresh_event(), bytes).await.unwrap();
    }

    /// Answers a data request.
    pub(crate) async fn answer(&mut self, asked: &Asked, outcome: DataOutcome) {
        let body = DataResponse { request_id: asked.data().request_id, outcome, proof: None };
        let body = self.proven(body, asked.question());
        self.send("data.response", body, Some(asked.question())).await;
    }

    /// An answer with its proof.
    pub(crate) fn proven(&self, body: impl Serialize, question: InReplyTo) -> Value {
        let body = serde_json::to_value(body).unwrap();
        vettid_core::answer::prove(clock::now(), &self.pairwise, self.connection_id, question, body).unwrap()
    }

    pub(crate) async fn serve(&mut self, asked: &Asked, value: &str) {
        let outcome =
            DataOutcome::Served { field: asked.data().field, value: value.into(), keep: Some(Keep::UntilRevoked) };
        self.answer(asked, outcome).await;
    }

    pub(crate) async fn refuse(&mut self, asked: &Asked, name: &str, code: RefusalCode) {
        let body = EventRefused {
            event_id: asked.event_id,
            event_type: name.parse().unwrap(),
            code,
            retry_at: None,
            proof: None,
        };
        self.send("event.refused", body, None).await;
    }

    /// A correct answer to a login, not signed yet.
    pub(crate) fn response(&self, challenge: &AuthChallenge, decision: Decision) -> AuthResponse {
        let now = clock::now();
        AuthResponse {
            request_id: challenge.request_id,
            service_id: challenge.service_id.clone(),
            origin: challenge.origin.clone(),
            nonce: challenge.nonce.clone(),
            session_hash: challenge.session_hash.clone(),
            decision,
            connection_id: challenge.connection_id,
            auth_time: now,
            method: vec!["user".to_owned()],
            proof: (decision == Decision::Approve).then_some(LoginProof::Number { remember: false }),
            issued_at: now,
            expires_at: challenge.expires_at,
            key_id: self.pairwise.key_id(),
            signature: Base64::default(),
        }
    }

    pub(crate) async fn send_login(&mut self, asked: &Asked, response: &AuthResponse, key: &SigningKey) {
        let signed = signature::sign_object(Context::AuthResponse, key, response).unwrap();
        self.send("auth.response", signed, Some(asked.question())).await;
    }

    /// A correct answer to a login.
    pub(crate) async fn decide(&mut self, asked: &Asked, decision: Decision) {
        let response = self.response(&asked.login(), decision);
        let pairwise = self.pairwise_again();
        self.send_login(asked, &response, &pairwise).await;
    }

    /// The key of the connection, to sign with while the connection is borrowed.
    pub(crate) fn pairwise_again(&self) -> SigningKey {
        SigningKey::from_seed(&seed_of(&self.pairwise))
    }

    /// A notice that the connection is over, signed by this key.
    pub(crate) fn notice(&self, key: &SigningKey) -> Value {
        let notice = RevocationNotice {
            kind: "connection_revocation".to_owned(),
            notice_id: fresh_event(),
            connection_id: self.connection_id,
            revoked_at: clock::now(),
            reason: RevocationReason::UserRequested,
            key_id: key.key_id(),
            signature: Base64::default(),
        };
        signature::sign_object(Context::Revocation, key, &notice).unwrap()
    }
}

/// The seed of a key, as the sealed stores keep it.
fn seed_of(key: &SigningKey) -> vettid_crypto::secret::Secret32 {
    let form = vettid_crypto::stored::Stored::to_form(key);
    vettid_crypto::stored::Stored::from_form(form).unwrap()
}

/// Names a question wrongly.
pub(crate) fn other_question(asked: &Asked) -> InReplyTo {
    InReplyTo { event_id: asked.event_id, body_hash: body_hash(&1).unwrap() }
}

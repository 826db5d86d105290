//! The owner at the real broker: commands inside the session, and the unlock lane beside it.

use crate::desk::{Desk, PATIENCE};
use crate::town::Town;
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use vettid_core::grants::credential::Credential;
use vettid_core::grants::mint::{self, MemberIdentity};
use vettid_crypto::identity::VerifyingKey;
use vettid_crypto::nats::key::UserKey;
use vettid_crypto::password::{DeviceSecret, Password, PasswordSalt};
use vettid_crypto::secret::Secret32;
use vettid_crypto::signature::{self, Context};
use vettid_crypto::suite::x25519;
use vettid_crypto::unlock::{
    Attempt, AttemptPlace, DeviceProof, NewLock, Permit, Presented, ReplyKey, UnlockKey, Wish, seal,
};
use vettid_nats::clock;
use vettid_nats::connection::{Connection, Subscription};
use vettid_testkit::operator::fresh_key;
use vettid_testkit::space::fresh_event;
use vettid_wire::base64::{Base64, Base64Url};
use vettid_wire::envelope::Answer;
use vettid_wire::event::EventType;
use vettid_wire::id::MemberId;
use vettid_wire::json as vjson;
use vettid_wire::lock::{
    AskChallenge, Challenge, LockPermit, LockStatus, UnlockAnswer, UnlockAttempt, UnlockKind, UnlockOutcome,
    UnlockResult,
};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::subject::{Pattern, Subject};

const SALTS: [[u8; 16]; 2] = [[1; 16], [2; 16]];

/// What the owner types, as the keys that come from it.
pub(crate) struct Keys {
    pub(crate) pin: UnlockKey,
    pub(crate) wrong_pin: UnlockKey,
    pub(crate) password: UnlockKey,
}

/// The owner's device.
pub(crate) struct Owner {
    guid: MemberId,
    connection: Connection,
    lane_key: Option<VerifyingKey>,
    pub(crate) keys: Keys,
}

fn device() -> DeviceSecret {
    DeviceSecret::from_secret(Secret32::from_bytes([0xd5; 32]))
}

impl Keys {
    fn new() -> Self {
        let [pin_salt, password_salt] = SALTS.map(PasswordSalt::from_bytes);
        let pin = |digits: &str| UnlockKey::of_pin(digits.as_bytes(), &pin_salt, &device()).unwrap();
        let password = Password::new("correct horse battery staple").unwrap();
        let password = UnlockKey::of_password(&password, &password_salt, &device()).unwrap();
        Self { pin: pin("831940"), wrong_pin: pin("831941"), password }
    }
}

impl Owner {
    pub(crate) async fn sign_in(desk: &Desk, town: &Town, who: usize) -> Self {
        let vault = town.nodes[who].vault.identity();
        let (key, identity) = (Arc::new(fresh_key::<_>().unwrap()), MemberIdentity::App("phone".parse().unwrap()));
        let (account, signing) = (vault.owner_account().unwrap(), vault.app_signing().unwrap());
        let user: &UserKey = &key;
        let minted = mint::member(&identity, user.public(), account.public(), &signing, clock::now()).unwrap();
        let credential = Credential::member(&identity, vault.guid, key, minted.jwt, clock::now()).unwrap();
        let connection = Connection::open(&desk.broker.endpoint().unwrap(), credential).await.unwrap();
        Self { guid: vault.guid, connection, lane_key: None, keys: Keys::new() }
    }

    /// Hears the pushes of one event from now on.
    pub(crate) async fn hear(&self, name: &str) -> Subscription {
        self.connection.subscribe(&Pattern::ForApp(Some(self.guid), Some(name.parse().unwrap()))).await.unwrap()
    }

    /// Publishes, and gives the first answer that comes within this time.
    pub(crate) async fn exchange(
        &self,
        subject: &Subject,
        answers: Subject,
        bytes: &[u8],
        within: Duration,
    ) -> Option<Bytes> {
        let mut answers = self.connection.subscribe(&Pattern::One(answers)).await.unwrap();
        self.connection.publish(subject, Bytes::copy_from_slice(bytes)).await.unwrap();
        let answer = tokio::time::timeout(within, answers.next()).await.ok()?;
        Some(answer.unwrap().unwrap().payload)
    }

    /// A command inside the session; `None` if the vault stays silent.
    pub(crate) async fn command<T: DeserializeOwned>(
        &self,
        town: &mut Town,
        who: usize,
        name: &str,
        body: impl Serialize,
    ) -> Option<Result<T, RefusalCode>> {
        let (event_id, now) = (fresh_event(), clock::now());
        let (subject, bytes) = town.apps[who].seal(name, &body, event_id, now, &mut town.rng);
        let answers = Subject::ForApp(self.guid, name.parse().unwrap(), event_id);
        let answer = self.exchange(&subject, answers.clone(), &bytes, Duration::from_secs(3)).await?;
        let content = town.apps[who].open(&answers, &answer).unwrap();
        Some(match vjson::from_value::<Answer<Value>>(content.body).unwrap() {
            Answer::Success(value) => Ok(vjson::from_value(value).unwrap()),
            Answer::Refused(refusal) => Err(refusal.code),
        })
    }

    async fn lane<T: DeserializeOwned>(
        &self,
        name: &str,
        event_id: vettid_wire::id::EventId,
        bytes: &[u8],
    ) -> Option<T> {
        let event_type: EventType = name.parse().unwrap();
        let subject = Subject::ForVault(self.guid, event_type.clone());
        let answers = Subject::ForApp(self.guid, event_type, event_id);
        let answer = self.exchange(&subject, answers, bytes, Duration::from_secs(35)).await?;
        Some(vjson::read(&answer).unwrap())
    }

    pub(crate) async fn challenge(&self) -> Challenge {
        let (event_id, nonce) = (fresh_event(), Base64Url::new([5; 16]));
        let asked = AskChallenge { event_id, timestamp: clock::now(), nonce: nonce.clone() };
        let bytes = vjson::canonical(&asked).unwrap();
        let challenge: Challenge = self.lane("vault.unlock.challenge", event_id, &bytes).await.unwrap();
        assert_eq!((challenge.guid, &challenge.nonce), (self.guid, &nonce));
        if let Some(lane_key) = &self.lane_key {
            signature::verify(Context::UnlockChallenge, lane_key, &challenge).unwrap();
        }
        challenge
    }

    pub(crate) async fn status(&self) -> LockStatus {
        self.challenge().await.status
    }

    /// The event of an attempt, ready to be sent, and the key of its answer.
    pub(crate) async fn sealed(&self, wish: Wish) -> (UnlockAttempt, ReplyKey) {
        let (challenge, event_id) = (self.challenge().await, fresh_event());
        let challenge_id = challenge.challenge_id.to_array().unwrap();
        let place = AttemptPlace { guid: self.guid, event_id, challenge_id: &challenge_id };
        let key = x25519::PublicKey::from_slice(challenge.box_key.as_bytes()).unwrap();
        let attempt = Attempt { device: DeviceProof::of(&device()), wish };
        let (bytes, reply) = seal(&key, &place, &attempt, &mut rand_core::UnwrapErr(getrandom::SysRng)).unwrap();
        let sent = UnlockAttempt { event_id, challenge_id: challenge.challenge_id, sealed: Base64::new(bytes) };
        (sent, reply)
    }

    /// Sends what was sealed; `None` if nothing answers.
    pub(crate) async fn send(&self, sent: &UnlockAttempt, reply: &ReplyKey) -> UnlockOutcome {
        let bytes = vjson::canonical(sent).unwrap();
        let answer: UnlockAnswer = self.lane("vault.unlock.attempt", sent.event_id, &bytes).await.unwrap();
        vjson::read(reply.open(answer.sealed.as_bytes()).unwrap().expose()).unwrap()
    }

    /// Publishes bytes that somebody recorded.
    pub(crate) async fn replay(&self, sent: &UnlockAttempt) {
        let subject = Subject::ForVault(self.guid, "vault.unlock.attempt".parse().unwrap());
        self.connection.publish(&subject, vjson::canonical(sent).unwrap().into()).await.unwrap();
    }

    pub(crate) async fn attempt(&self, wish: Wish) -> UnlockOutcome {
        let (sent, reply) = self.sealed(wish).await;
        self.send(&sent, &reply).await
    }

    pub(crate) async fn unlock(&self, kind: UnlockKind, key: &UnlockKey) -> UnlockResult {
        self.attempt(unlock(kind, key)).await.result
    }

    /// Sets the lock inside the session.
    pub(crate) async fn set_lock(&mut self, town: &mut Town, who: usize) {
        let permit: LockPermit = self.command(town, who, "vault.lock.setup", json!({})).await.unwrap().unwrap();
        self.lane_key = Some(VerifyingKey::from_typed(&permit.lane_key).unwrap());
        let new = NewLock {
            permit: Permit::from_slice(permit.permit.as_bytes()).unwrap(),
            current: None,
            pin_salt: PasswordSalt::from_bytes(SALTS[0]),
            pin: self.keys.pin.duplicate(),
            password_salt: PasswordSalt::from_bytes(SALTS[1]),
            password: self.keys.password.duplicate(),
        };
        assert_eq!(self.attempt(Wish::Set(Box::new(new))).await.result, UnlockResult::Changed);
    }

    /// Locks the vault, and waits until it is.
    pub(crate) async fn lock(&self, town: &mut Town, who: usize) {
        let _: Value = self.command(town, who, "vault.lock", json!({})).await.unwrap().unwrap();
        self.until_locked().await;
    }

    pub(crate) async fn until_locked(&self) {
        let locked = async {
            while self.status().await.state != vettid_wire::lock::LockState::Locked {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE + Duration::from_secs(30), locked).await.unwrap();
    }
}

pub(crate) fn unlock(kind: UnlockKind, key: &UnlockKey) -> Wish {
    Wish::Unlock(Presented { kind, key: key.duplicate() })
}

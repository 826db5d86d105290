//! The unlock lane, from the app's side: a challenge counts only if the pinned lane key signed it for this question, an
//! answer only if it opens under the key of its attempt. Everything else is passed over in silence.

use super::{KnownLock, LockError, Wire, lock_of};
use crate::app::{App, Ports};
use crate::random::{self, SystemRandom};
use crate::state::Member;
use crate::store::Store;
use crate::transport::{Connection, Subscription};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use vettid_crypto::password::DeviceSecret;
use vettid_crypto::signature::{self, Context};
use vettid_crypto::suite::x25519;
use vettid_crypto::unlock::{Attempt, AttemptPlace, DeviceProof, Wish, seal};
use vettid_wire::base64::{Base64, Base64Url};
use vettid_wire::event::{EventRow, UnlockAttempt as AttemptRow, UnlockChallenge};
use vettid_wire::id::{EventId, MemberId};
use vettid_wire::json;
use vettid_wire::key::KeyAlgorithm;
use vettid_wire::lock::{
    AskChallenge, CHALLENGE_BYTES, Challenge, LockStatus, UnlockAnswer, UnlockAttempt, UnlockOutcome, UnlockResult,
};
use vettid_wire::subject::{Pattern, Subject};
use vettid_wire::time::Timestamp;

/// How long each question for a challenge waits.
const WAITS: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(3), Duration::from_secs(5)];
/// How long an attempt waits: the host loads the vault before it answers.
const ATTEMPT_WAIT: Duration = Duration::from_secs(35);

/// An open way to the lane, without a session.
pub(super) struct Knock<'a, P: Ports> {
    pub(super) app: &'a App<P>,
    pub(super) hold: <P::Store as Store>::Hold,
    pub(super) member: Member,
    pub(super) connection: Wire<P>,
}

/// The lane over a connection.
pub(crate) struct Lane<'a, C> {
    connection: &'a C,
    guid: MemberId,
    lock: &'a mut KnownLock,
    now: Timestamp,
    rng: &'a mut SystemRandom,
}

impl<'a, C: Connection> Lane<'a, C> {
    pub(super) fn of(
        connection: &'a C,
        member: &'a mut Member,
        now: Timestamp,
        rng: &'a mut SystemRandom,
    ) -> Result<Self, LockError> {
        let guid = member.guid;
        Ok(Self::with(connection, (guid, lock_of(member)?), now, rng))
    }

    /// The lane of this member, as this lock knows it.
    pub(crate) fn with(
        connection: &'a C,
        (guid, lock): (MemberId, &'a mut KnownLock),
        now: Timestamp,
        rng: &'a mut SystemRandom,
    ) -> Self {
        Self { connection, guid, lock, now, rng }
    }

    pub(super) fn device_secret(&self) -> &DeviceSecret {
        &self.lock.device_secret
    }

    /// A challenge, asked for a few times.
    pub(crate) async fn challenge(&mut self) -> Result<Challenge, LockError> {
        for wait in WAITS {
            if let Some(challenge) = self.ask(wait).await? {
                return Ok(challenge);
            }
        }
        Err(LockError::NoAnswer)
    }

    /// A challenge, asked for once.
    pub(super) async fn challenge_once(&mut self) -> Result<Option<Challenge>, LockError> {
        let [first, ..] = WAITS;
        self.ask(first).await
    }

    async fn ask(&mut self, wait: Duration) -> Result<Option<Challenge>, LockError> {
        let lane_key = *self.lock.lane_key().ok_or(LockError::NoLock)?;
        let asked = AskChallenge {
            event_id: EventId::v7(self.now, random::bytes(self.rng)),
            timestamp: self.now,
            nonce: Base64Url::new(random::bytes::<CHALLENGE_BYTES>(self.rng)),
        };
        let guid = self.guid;
        let genuine = |challenge: &Challenge| {
            let is_ours = challenge.guid == guid && challenge.nonce == asked.nonce;
            is_ours && signature::verify(Context::UnlockChallenge, &lane_key, challenge).is_ok()
        };
        let challenge = self.exchange::<UnlockChallenge, _, _>(asked.event_id, &asked, wait, genuine).await?;
        if let Some(challenge) = &challenge {
            self.lock.observe(&challenge.status)?;
        }
        Ok(challenge)
    }

    /// One attempt; `None` if the answer does not come.
    pub(super) async fn attempt(
        &mut self,
        challenge: &Challenge,
        wish: Wish,
    ) -> Result<Option<UnlockOutcome>, LockError> {
        let event_id = EventId::v7(self.now, random::bytes(self.rng));
        let challenge_id = challenge.challenge_id.to_array().map_err(|_| LockError::WrongHost)?;
        if challenge.box_key.algorithm() != KeyAlgorithm::X25519 {
            return Err(LockError::WrongHost);
        }
        let key = x25519::PublicKey::from_slice(challenge.box_key.as_bytes()).map_err(|_| LockError::WrongHost)?;
        let place = AttemptPlace { guid: self.guid, event_id, challenge_id: &challenge_id };
        let attempt = Attempt { device: DeviceProof::of(&self.lock.device_secret), wish };
        let (sealed, reply) = seal(&key, &place, &attempt, self.rng).map_err(|_| LockError::WrongHost)?;
        let challenge_id = challenge.challenge_id.clone();
        let sent = UnlockAttempt { event_id, challenge_id, sealed: Base64::new(sealed) };
        let opens = |answer: &UnlockAnswer| reply.open(answer.sealed.as_bytes()).is_ok();
        let answer = self.exchange::<AttemptRow, _, _>(event_id, &sent, ATTEMPT_WAIT, opens).await?;
        let Some(content) = answer.and_then(|answer| reply.open(answer.sealed.as_bytes()).ok()) else {
            return Ok(None);
        };
        let outcome: UnlockOutcome = json::read(content.expose()).map_err(|_| LockError::WrongHost)?;
        self.lock.observe(&outcome.status)?;
        Ok(Some(outcome))
    }

    /// Publishes, and waits for an answer that is taken.
    async fn exchange<R: EventRow, T: Serialize, A: DeserializeOwned>(
        &self,
        event_id: EventId,
        body: &T,
        wait: Duration,
        taken: impl Fn(&A) -> bool,
    ) -> Result<Option<A>, LockError> {
        let event_type = R::ROW.event_type();
        let answers = Subject::ForApp(self.guid, event_type.clone(), event_id);
        let mut answers = self.connection.subscribe(&Pattern::One(answers)).await?;
        let bytes = json::canonical(body).map_err(crate::command::CommandError::Request)?;
        self.connection.publish(&Subject::ForVault(self.guid, event_type), &bytes).await?;
        let answer = async {
            loop {
                let delivery = answers.next().await?;
                if let Some(answer) = json::read::<A>(&delivery.payload).ok().filter(&taken) {
                    return Ok(answer);
                }
            }
        };
        match tokio::time::timeout(wait, answer).await {
            Ok(answer) => answer.map(Some),
            Err(_) => Ok(None),
        }
    }
}

/// The status, if the attempt had this result.
pub(super) fn expect(wanted: UnlockResult, outcome: UnlockOutcome) -> Result<LockStatus, LockError> {
    let LockStatus { pin_tries_left, password_wait_ms, .. } = outcome.status;
    match outcome.result {
        result if result == wanted => Ok(outcome.status),
        UnlockResult::Wrong => Err(LockError::Wrong { pin_tries_left, password_wait_ms }),
        UnlockResult::PasswordRequired => Err(LockError::PasswordRequired),
        UnlockResult::Wait => Err(LockError::Wait { wait_ms: password_wait_ms }),
        UnlockResult::Refused => Err(LockError::NotTaken),
        UnlockResult::Unlocked | UnlockResult::Changed | UnlockResult::Unavailable => Err(LockError::Unavailable),
    }
}

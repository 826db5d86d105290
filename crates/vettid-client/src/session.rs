//! The app's session with its vault: its age, its renewal with a resumption secret, and the credential it brings.
//!
//! A session that is too old is replaced before it is used. A vault that does not know a session is silent, so a
//! silent one is replaced too. There is no way around a session: without one, nothing is sent.

use crate::app::Ports;
use crate::command::CommandError;
use crate::handshake::{self, HandshakeError, Sending};
use crate::line::Line;
use crate::lock;
use crate::random;
use serde::{Deserialize, Serialize};
use vettid_core::channel::Channel;
use vettid_core::handshake::{Initiator, Opening, Outcome, Target};
use vettid_crypto::secret::Secret32;
use vettid_crypto::stored;
use vettid_wire::event::{self, EventRow, EventType, Nothing, SessionFinish, SessionRefresh, SessionStart};
use vettid_wire::id::EventId;
use vettid_wire::session::{RefreshRequest, is_open_to_limited};
use vettid_wire::time::Timestamp;

pub use vettid_wire::session::MAX_AGE_MS;

/// A session is replaced after so many messages (spec 2.5.2).
pub const MAX_SENT: u64 = 1_000;
/// A clock that was set back by more than this makes a session count as old, in milliseconds.
const CLOCK_STEP_MS: i64 = 5 * 60 * 1000;

/// A session.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Session {
    /// Its keys.
    pub(crate) channel: Channel,
    /// When it began.
    pub(crate) started_at: Timestamp,
    /// Messages sealed under it.
    pub(crate) sent: u64,
    /// Whether it was made without a shared secret, so that the vault takes no commands in it.
    pub(crate) limited: bool,
    /// What the next session could be tied to, once the password was proved in this limited one.
    #[serde(default, with = "stored", skip_serializing_if = "Option::is_none")]
    pub(crate) unproved: Option<Secret32>,
    /// The last message of its handshake, until the vault has said that it has it.
    pub(crate) unconfirmed: Option<Sending>,
}

impl Session {
    /// A session out of a finished handshake whose last message is still to be sent.
    pub(crate) fn new(outcome: Outcome, last: Sending, now: Timestamp) -> Self {
        let limited = outcome.is_limited();
        let unproved = limited.then(|| outcome.resume().duplicate());
        Self {
            channel: handshake::channel(outcome),
            started_at: now,
            sent: 0,
            limited,
            unproved,
            unconfirmed: Some(last),
        }
    }

    fn is_old(&self, now: Timestamp) -> bool {
        let age_ms = now.since_ms(self.started_at);
        !(-CLOCK_STEP_MS..MAX_AGE_MS).contains(&age_ms) || self.sent >= MAX_SENT
    }
}

impl<P: Ports> Line<'_, P> {
    /// Makes sure that there is a session that the vault has and that is not too old.
    pub(crate) async fn require_session(&mut self) -> Result<(), CommandError> {
        let now = self.now();
        let usable = self.member.session.as_ref().is_some_and(|session| !session.limited && !session.is_old(now));
        if !usable || !self.confirm().await? {
            return self.start_session().await;
        }
        self.is_full()
    }

    /// As [`Self::require_session`], for one question: a limited session is enough for what ends the limit.
    pub(crate) async fn require_session_for(&mut self, event_type: &EventType) -> Result<(), CommandError> {
        if is_open_to_limited(event_type) && self.session_is_fresh && self.is_limited() {
            return Ok(());
        }
        let required = self.require_session().await;
        self.or_limited(required, event_type)
    }

    /// A limited session is no failure for what ends the limit.
    pub(crate) fn or_limited(
        &self,
        outcome: Result<(), CommandError>,
        event_type: &EventType,
    ) -> Result<(), CommandError> {
        match outcome {
            Err(CommandError::LimitedSession) if is_open_to_limited(event_type) => Ok(()),
            outcome => outcome,
        }
    }

    /// Whether the running session takes nothing but the credential.
    pub(crate) fn is_limited(&self) -> bool {
        self.member.session.as_ref().is_some_and(|session| session.limited)
    }

    /// After an operation with the password in a limited session: the vault says whether it takes commands now. The
    /// session may be a newer one than that of the operation, so nothing but its answer counts.
    pub(crate) async fn lift_limit(&mut self) -> Result<(), CommandError> {
        if !self.is_limited() {
            return Ok(());
        }
        match self.ask_in_session::<event::VaultHealth>(&Nothing {}).await {
            Ok(_) => {}
            Err(CommandError::Refused { .. } | CommandError::NoAnswer { .. } | CommandError::LimitedSession) => {
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        let unproved = self.member.session.as_mut().and_then(|session| {
            session.limited = false;
            session.unproved.take()
        });
        unproved.into_iter().for_each(|secret| self.member.keep_resumption(secret));
        self.save()
    }

    fn is_full(&self) -> Result<(), CommandError> {
        match &self.member.session {
            Some(session) if !session.limited => Ok(()),
            _ => Err(CommandError::LimitedSession),
        }
    }

    /// Sends the last message of the handshake until the vault has it; `false` if the vault stays silent.
    async fn confirm(&mut self) -> Result<bool, CommandError> {
        let last = self.member.session.as_ref().and_then(|session| session.unconfirmed.clone());
        let Some(last) = last else { return Ok(true) };
        let confirmed = handshake::await_end(&self.connection, self.member.guid, &last).await?;
        if confirmed {
            self.member.session.iter_mut().for_each(|session| session.unconfirmed = None);
            self.save()?;
        }
        Ok(confirmed)
    }

    /// Makes a new session with the newest shared secret or the one before. If the vault is silent to both and then
    /// answers without one, it may just have come back: both are tried again before the session stays limited.
    pub(crate) async fn start_session(&mut self) -> Result<(), CommandError> {
        if lock::is_locked(self).await {
            return Err(CommandError::VaultLocked);
        }
        self.session_is_fresh = true;
        if !self.try_secrets().await? {
            if !self.try_session(None).await? {
                return Err(silence::<SessionStart>());
            }
            self.try_secrets().await?;
        }
        if self.confirm().await? { self.is_full() } else { Err(silence::<SessionFinish>()) }
    }

    async fn try_secrets(&mut self) -> Result<bool, CommandError> {
        // The limit may have been lifted without this app's knowing, right before it died.
        let unproved = self.member.session.as_ref().and_then(|session| session.unproved.as_ref());
        let known = self.member.resumptions.iter().chain(unproved);
        let newest_first: Vec<Secret32> = known.map(Secret32::duplicate).collect();
        for secret in &newest_first {
            if self.try_session(Some(secret)).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// One handshake; `false` if the vault stays silent. Until it is over, a crash costs nothing: the next one is new.
    async fn try_session(&mut self, resume: Option<&Secret32>) -> Result<bool, CommandError> {
        let (now, mut rng) = (self.now(), self.app.ports.random());
        self.member.identity.refresh(now).map_err(HandshakeError::from)?;
        let target = Target::session(now, &self.member.vault.key_record, resume).map_err(HandshakeError::from)?;
        let opening = Opening {
            nkey_pub: Some(self.member.credential.public_key()?),
            device: Some(self.member.device.clone()),
            ..Opening::default()
        };
        let party = self.member.identity.party();
        let (mut initiator, first) =
            Initiator::start(now, &mut rng, &party, target, &opening).map_err(HandshakeError::from)?;
        let [one, other] = [(); 2].map(|()| EventId::v7(now, random::bytes(&mut rng)));
        let message = first.send.unwrap_or_default();
        let first = Sending::new(SessionStart::ROW.event_type(), one, now, &message).map_err(HandshakeError::from)?;
        if !handshake::await_second(&self.connection, self.member.guid, &first, &mut initiator, now).await? {
            return Ok(false);
        }
        let event_type = SessionFinish::ROW.event_type();
        let (last, outcome) = handshake::third(&mut initiator, &party, event_type, other, now, &mut rng)?;
        self.take_over(outcome, last)?;
        Ok(true)
    }

    /// Stores what the handshake brought before its last message is sent.
    fn take_over(&mut self, outcome: Outcome, last: Sending) -> Result<(), CommandError> {
        let (now, peer) = (self.now(), outcome.peer().clone());
        self.member.vault.meet(peer.key_record, peer.incarnation)?;
        if let Some(jwt) = peer.jwt {
            self.member.credential.renew(jwt, self.member.guid, &self.member.device, now)?;
            self.credential_is_fresh = true;
        }
        // The secret of a limited session counts only after the member's password was proved.
        if !outcome.is_limited() {
            self.member.keep_resumption(outcome.resume().duplicate());
        }
        self.member.session = Some(Session::new(outcome, last, now));
        self.save()?;
        self.member.session.iter_mut().for_each(|session| session.channel.stored());
        Ok(())
    }

    /// Asks for a fresh NATS credential once half of the life of the present one is over. While that one lives, a vault
    /// that gives no other one is no obstacle.
    pub(crate) async fn renew_credential(&mut self) -> Result<(), CommandError> {
        // A new session may bring a credential of its own.
        if self.member.credential.is_old(self.now()) {
            self.require_session().await?;
        }
        if !self.member.credential.is_old(self.now()) {
            return Ok(());
        }
        match self.refresh_credential().await {
            Err(CommandError::Refused { .. }) => Ok(()),
            outcome => outcome,
        }
    }

    /// Gets a fresh NATS credential in the place of one that the broker does not take, over a connection that can do
    /// nothing else: a new session brings one, a running session is asked for one.
    pub(crate) async fn replace_credential(&mut self) -> Result<(), CommandError> {
        self.require_session().await?;
        if self.credential_is_fresh { Ok(()) } else { self.refresh_credential().await }
    }

    async fn refresh_credential(&mut self) -> Result<(), CommandError> {
        let request =
            RefreshRequest { device: self.member.device.clone(), nkey_pub: self.member.credential.public_key()? };
        let reply = self.ask_aside::<SessionRefresh>(&request).await?;
        let now = self.now();
        self.member.credential.renew(reply.jwt, self.member.guid, &self.member.device, now)?;
        self.credential_is_fresh = true;
        self.save()
    }
}

fn silence<R: EventRow>() -> CommandError {
    CommandError::NoAnswer { event_type: R::ROW.event_type(), has_effect: false }
}

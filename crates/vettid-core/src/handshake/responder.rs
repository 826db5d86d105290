//! The responder: `Invited → Hs1Received → Accepted → Hs2Sent → Active`.

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use vettid_crypto::handshake::{self as vhs1, AwaitingHs3, HandshakeError, Psk, Setup, VerifiedHs1, psk_id};
use vettid_crypto::identity::VerifyingKey;
use vettid_crypto::secret::Secret32;
use vettid_crypto::stored;
use vettid_crypto::suite::{KemSecretKey, Suite, x25519};
use vettid_wire::base64::Base64;
use vettid_wire::digest::Digest;
use vettid_wire::handshake::{HandshakeMessage, Hs1, Hs1Payload, Hs3Payload, Role, Step};
use vettid_wire::id::{Fingerprint, HandshakeId, MemberId};
use vettid_wire::time::Timestamp;

use super::peer::Wanted;
use super::{
    Answer, HandshakeFailure, MAX_ATTEMPTS, Outcome, Party, Peer, Phase, Reaction, Refusal, content, digest, key_roles,
    max_duration_ms, read, refusal_of,
};

/// The responder's side of one handshake. `Serialize` is for sealed stores alone.
#[derive(Debug, Serialize, Deserialize)]
pub struct Responder {
    role: Role,
    own: Fingerprint,
    /// In enrolment and sessions both sides belong to this member.
    guid: Option<MemberId>,
    limited: bool,
    attempts: u8,
    expires_at: Timestamp,
    state: State,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Invited {
        #[serde(with = "stored")]
        prekey: x25519::SecretKey,
        #[serde(with = "stored")]
        secret: Secret32,
    },
    Hs1Received(Box<Asked>),
    Accepted(Box<Asked>),
    Hs2Sent(Box<Answered>),
    Active(Box<Finished>),
    Expired,
    Rejected,
    Aborted,
}

/// After a valid first message.
#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    seen: Digest,
    #[serde(with = "stored")]
    verified: VerifiedHs1,
    peer: Peer,
}

/// After the second message.
#[derive(Debug, Serialize, Deserialize)]
struct Answered {
    seen: Digest,
    sent: Base64,
    #[serde(with = "stored")]
    awaiting: AwaitingHs3,
    #[serde(with = "stored")]
    own_kem: Option<KemSecretKey>,
    peer: Peer,
}

/// After the third message; keeps what is needed to answer duplicates.
#[derive(Debug, Serialize, Deserialize)]
struct Finished {
    hs_id: HandshakeId,
    seen: Digest,
    sent: Base64,
    seen_last: Digest,
    outcome: Option<Outcome>,
}

/// What a vault holds for the sessions of its apps.
#[derive(Debug, Clone, Copy)]
pub struct SessionKeys<'a> {
    /// Its KEM keys; those of suite 1 serve as prekeys.
    pub prekeys: &'a [&'a KemSecretKey],
    /// `resume` of the last two finished handshakes with each app.
    pub resumes: &'a [&'a Secret32],
    /// The enrolled apps.
    pub apps: &'a [Fingerprint],
}

impl Responder {
    pub(super) fn invited(
        role: Role,
        party: &Party<'_>,
        expires_at: Timestamp,
        prekey: x25519::SecretKey,
        secret: Secret32,
    ) -> Self {
        Self::new(role, party, expires_at, State::Invited { prekey, secret })
    }

    fn new(role: Role, party: &Party<'_>, expires_at: Timestamp, state: State) -> Self {
        let record = party.key_record;
        let guid = matches!(role, Role::Enroll | Role::Session).then_some(record.record().guid);
        Self { role, own: record.fingerprint(), guid, limited: false, attempts: 0, expires_at, state }
    }

    /// Takes the first message of a session of an enrolled app. The handshake stands at [`Phase::Accepted`]: nobody
    /// has to decide. The shell finds the handshake of a repeated message by its `hs_id` before it calls this.
    ///
    /// # Errors
    /// [`Refusal`]; nothing is kept.
    pub fn session(now: Timestamp, party: &Party<'_>, keys: &SessionKeys<'_>, bytes: &[u8]) -> Result<Self, Refusal> {
        let message = read(bytes)?;
        let Step::Hs1(h) = &message.step else {
            return Err(Refusal::NotDue);
        };
        let expires_at = now.plus_ms(max_duration_ms(Role::Session));
        let mut responder = Self::new(Role::Session, party, expires_at, State::Aborted);
        let (prekey, psk) = (keys.prekey(h)?, keys.psk(h)?);
        responder.limited = matches!(psk, Psk::Absent);
        let (verified, peer) = responder.open_hs1(now, prekey, &psk, &message)?;
        if !keys.apps.contains(&peer.fingerprint()) {
            return Err(Refusal::UnknownKey);
        }
        responder.state = State::Accepted(Box::new(Asked { seen: digest(bytes), verified, peer }));
        Ok(responder)
    }

    /// Where the handshake stands.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match &self.state {
            State::Invited { .. } => Phase::Invited,
            State::Hs1Received(_) => Phase::Hs1Received,
            State::Accepted(_) => Phase::Accepted,
            State::Hs2Sent(_) => Phase::Hs2Sent,
            State::Active(_) => Phase::Active,
            State::Expired => Phase::Expired,
            State::Rejected => Phase::Rejected,
            State::Aborted => Phase::Aborted,
        }
    }

    /// Names the handshake, once a valid first message came.
    #[must_use]
    pub fn hs_id(&self) -> Option<HandshakeId> {
        match &self.state {
            State::Hs1Received(asked) | State::Accepted(asked) => Some(asked.verified.setup().hs_id()),
            State::Hs2Sent(answered) => Some(answered.awaiting.setup().hs_id()),
            State::Active(finished) => Some(finished.hs_id),
            _ => None,
        }
    }

    /// Who shakes hands with whom.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// When it dies if nothing happens; active handshakes do not.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// The initiator, verified, for the owner's decision.
    #[must_use]
    pub fn peer(&self) -> Option<&Peer> {
        match &self.state {
            State::Hs1Received(asked) | State::Accepted(asked) => Some(&asked.peer),
            State::Hs2Sent(answered) => Some(&answered.peer),
            State::Active(finished) => finished.outcome.as_ref().map(Outcome::peer),
            _ => None,
        }
    }

    /// What may have been lost in a crash: to be sent again as it is.
    #[must_use]
    pub fn unanswered(&self) -> Option<&[u8]> {
        match &self.state {
            State::Hs2Sent(answered) => Some(answered.sent.as_bytes()),
            _ => None,
        }
    }

    /// What the finished handshake gave, once; the state is stored without it in the same commit.
    #[must_use]
    pub fn take_outcome(&mut self) -> Option<Outcome> {
        match &mut self.state {
            State::Active(finished) => finished.outcome.take(),
            _ => None,
        }
    }

    /// Takes a message of the initiator.
    pub fn receive(&mut self, now: Timestamp, bytes: &[u8]) -> Reaction {
        if self.expire(now) {
            return Reaction { refusal: Some(Refusal::Expired), changed: true, ..Reaction::default() };
        }
        let message = match read(bytes) {
            Ok(message) => message,
            Err(refusal) => return Reaction::refused(refusal),
        };
        match (&self.state, &message.step) {
            (State::Expired | State::Rejected | State::Aborted, _) => Reaction::refused(Refusal::Ended),
            (State::Invited { .. }, Step::Hs1(_)) => self.receive_hs1(now, &message, bytes),
            _ if self.hs_id().is_some_and(|hs_id| hs_id != message.hs_id) => Reaction::refused(Refusal::Used),
            (_, Step::Hs1(_)) => self.receive_hs1_again(bytes),
            (State::Hs2Sent(_) | State::Active(_), Step::Hs3(_)) => self.receive_hs3(&message, bytes),
            _ => Reaction::refused(Refusal::NotDue),
        }
    }

    /// Ends a handshake that is past its time; `true` if it just did.
    pub fn expire(&mut self, now: Timestamp) -> bool {
        let is_open = matches!(self.phase(), Phase::Invited | Phase::Hs1Received | Phase::Accepted | Phase::Hs2Sent);
        let expires = is_open && now > self.expires_at;
        if expires {
            self.state = State::Expired;
        }
        expires
    }

    /// The owner accepts the initiator.
    ///
    /// # Errors
    /// [`HandshakeFailure::NotDue`], [`HandshakeFailure::Expired`].
    pub fn accept(&mut self, now: Timestamp) -> Result<(), HandshakeFailure> {
        self.require_time(now)?;
        match std::mem::replace(&mut self.state, State::Aborted) {
            State::Hs1Received(asked) => {
                self.state = State::Accepted(asked);
                Ok(())
            }
            other => {
                self.state = other;
                Err(HandshakeFailure::NotDue(self.phase()))
            }
        }
    }

    /// The owner says no, or withdraws the invitation.
    ///
    /// # Errors
    /// [`HandshakeFailure::NotDue`] once the second message is under way.
    pub fn reject(&mut self) -> Result<(), HandshakeFailure> {
        match self.phase() {
            Phase::Invited | Phase::Hs1Received | Phase::Accepted => {
                self.state = State::Rejected;
                Ok(())
            }
            phase => Err(HandshakeFailure::NotDue(phase)),
        }
    }

    /// Makes the second message.
    ///
    /// # Errors
    /// [`HandshakeFailure`]; the state is as it was.
    pub fn answer(
        &mut self,
        now: Timestamp,
        rng: &mut dyn CryptoRng,
        party: &Party<'_>,
        content: &Answer,
    ) -> Result<Reaction, HandshakeFailure> {
        self.require_time(now)?;
        let State::Accepted(asked) = &self.state else {
            return Err(HandshakeFailure::NotDue(self.phase()));
        };
        require_identity(party, &self.own)?;
        let suite = asked.verified.setup().suite();
        let own_kem = KemSecretKey::generate(suite, rng)?;
        let payload = content::introduced(content, party.key_record, &own_kem.public_key())?;
        let (message, awaiting) = asked.verified.seal(rng, party.signing, payload)?;
        let bytes = message.to_bytes()?;
        self.state = State::Hs2Sent(Box::new(Answered {
            seen: asked.seen,
            sent: Base64::new(bytes.clone()),
            awaiting,
            own_kem: Some(own_kem),
            peer: asked.peer.clone(),
        }));
        Ok(Reaction::send(bytes))
    }

    fn require_time(&mut self, now: Timestamp) -> Result<(), HandshakeFailure> {
        if self.expire(now) { Err(HandshakeFailure::Expired) } else { Ok(()) }
    }

    fn receive_hs1(&mut self, now: Timestamp, message: &HandshakeMessage, bytes: &[u8]) -> Reaction {
        let State::Invited { prekey, secret } = &self.state else {
            return Reaction::refused(Refusal::NotDue);
        };
        let psk = Psk::Invitation(secret.duplicate());
        match self.open_hs1(now, prekey, &psk, message) {
            Ok((verified, peer)) => {
                // Prekey and secret are dropped here: the invitation belongs to this handshake now.
                self.state = State::Hs1Received(Box::new(Asked { seen: digest(bytes), verified, peer }));
                self.expires_at = now.plus_ms(max_duration_ms(self.role));
                Reaction::changed()
            }
            Err(refusal) => self.count_attempt(refusal),
        }
    }

    fn count_attempt(&mut self, refusal: Refusal) -> Reaction {
        self.attempts = self.attempts.saturating_add(1);
        if self.attempts < MAX_ATTEMPTS {
            return Reaction { refusal: Some(refusal), changed: true, ..Reaction::default() };
        }
        self.state = State::Aborted;
        Reaction::ended(Refusal::TooManyAttempts)
    }

    fn open_hs1(
        &self,
        now: Timestamp,
        prekey: &x25519::SecretKey,
        psk: &Psk,
        message: &HandshakeMessage,
    ) -> Result<(VerifiedHs1, Peer), Refusal> {
        if message.role != self.role || message.suite != Suite::X25519.id() {
            return Err(Refusal::NotDue);
        }
        let setup = Setup::of(message, self.own).map_err(|_| Refusal::NotDue)?;
        let suite = setup.suite();
        let opened = vhs1::open_hs1(setup, prekey, psk, message).map_err(|error| refusal_of(&error))?;
        let payload: Hs1Payload = content::read(opened.claimed().clone())?;
        let wanted = Wanted { now, role: key_roles(self.role).0, suite, guid: self.guid };
        let peer = Peer::initiator(payload, &wanted)?;
        let signing: VerifyingKey = *peer.key_record.signing();
        let (verified, _) = opened.verify(peer.identity(), &signing).map_err(|_| Refusal::Misbehaved)?;
        Ok((verified, peer))
    }

    fn receive_hs1_again(&mut self, bytes: &[u8]) -> Reaction {
        let (seen, sent) = match &self.state {
            State::Hs1Received(asked) | State::Accepted(asked) => (&asked.seen, None),
            State::Hs2Sent(answered) => (&answered.seen, Some(&answered.sent)),
            State::Active(finished) => (&finished.seen, Some(&finished.sent)),
            _ => return Reaction::refused(Refusal::NotDue),
        };
        match sent {
            _ if *seen != digest(bytes) => self.conflict(),
            Some(sent) => Reaction::resend(sent.as_bytes()),
            None => Reaction::default(),
        }
    }

    fn receive_hs3(&mut self, message: &HandshakeMessage, bytes: &[u8]) -> Reaction {
        let finished = match &mut self.state {
            State::Hs2Sent(answered) => answered.finish(self.role, self.own, self.limited, message, bytes),
            State::Active(finished) if finished.seen_last == digest(bytes) => {
                return Reaction::default();
            }
            _ => return self.conflict(),
        };
        match finished {
            Ok(finished) => {
                self.state = State::Active(Box::new(finished));
                Reaction::changed()
            }
            Err(Refusal::Misbehaved) => {
                self.state = State::Aborted;
                Reaction::ended(Refusal::Misbehaved)
            }
            Err(refusal) => Reaction::refused(refusal),
        }
    }

    /// A second message with other bytes ends a handshake under way. Keys that are in use stay: otherwise anybody who
    /// can publish here could cut a connection.
    fn conflict(&mut self) -> Reaction {
        if let State::Active(_) = &self.state {
            return Reaction { refusal: Some(Refusal::Conflict), alarm: true, ..Reaction::default() };
        }
        self.state = State::Aborted;
        Reaction::ended(Refusal::Conflict)
    }
}

impl Answered {
    fn finish(
        &mut self,
        role: Role,
        own: Fingerprint,
        limited: bool,
        message: &HandshakeMessage,
        bytes: &[u8],
    ) -> Result<Finished, Refusal> {
        let (established, payload) = self.awaiting.open(message).map_err(|error: HandshakeError| refusal_of(&error))?;
        let payload: Hs3Payload = content::read(payload)?;
        self.check_device(&payload)?;
        let own_kem = self.own_kem.take().ok_or(Refusal::NotDue)?;
        let hs_id = self.awaiting.setup().hs_id();
        let peer = Peer { jwt: payload.jwt, acceptance: payload.acceptance, ..self.peer.clone() };
        Ok(Finished {
            hs_id,
            seen: self.seen,
            sent: self.sent.clone(),
            seen_last: digest(bytes),
            outcome: Some(Outcome { role, hs_id, own, limited, established, own_kem, peer }),
        })
    }

    /// A device that the key record names has to sign, and no other one can.
    fn check_device(&self, payload: &Hs3Payload) -> Result<(), Refusal> {
        match (self.peer.key_record.device(), &payload.device_sig) {
            (None, None) => Ok(()),
            (Some(device), Some(signature)) => {
                device.verify(self.awaiting.th3(), signature.as_bytes()).map_err(|_| Refusal::Misbehaved)
            }
            _ => Err(Refusal::Misbehaved),
        }
    }
}

impl SessionKeys<'_> {
    fn prekey(&self, h: &Hs1) -> Result<&x25519::SecretKey, Refusal> {
        let of_suite_1 = self.prekeys.iter().filter_map(|key| match key {
            KemSecretKey::X25519(key) => Some(key),
            KemSecretKey::Rsa4096(_) => None,
        });
        of_suite_1.into_iter().find(|key| key.public_key().key_id() == h.prekey_id).ok_or(Refusal::UnknownKey)
    }

    fn psk(&self, h: &Hs1) -> Result<Psk, Refusal> {
        let Some(wanted) = &h.psk_id else {
            return Ok(Psk::Absent);
        };
        let found = self.resumes.iter().find(|resume| psk_id(resume) == *wanted);
        found.map(|resume| Psk::Resumption(resume.duplicate())).ok_or(Refusal::UnknownKey)
    }
}

pub(super) fn require_identity(party: &Party<'_>, own: &Fingerprint) -> Result<(), HandshakeFailure> {
    let signs = party.signing.verifying_key() == *party.key_record.signing();
    if signs && party.key_record.fingerprint() == *own { Ok(()) } else { Err(HandshakeFailure::OtherIdentity) }
}

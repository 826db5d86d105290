//! The initiator: `Hs1Sent → Hs2Received → Accepted → Hs3Sent → Active`.

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use vettid_crypto::handshake::{AwaitingHs2, HandshakeError, Psk, Setup, Start, VerifiedHs2};
use vettid_crypto::key_record::VerifiedKeyRecord;
use vettid_crypto::secret::Secret32;
use vettid_crypto::stored;
use vettid_crypto::suite::{KemPublicKey, KemSecretKey, Suite, x25519};
use vettid_wire::base64::Base64;
use vettid_wire::digest::Digest;
use vettid_wire::handshake::{HandshakeMessage, Hs2Payload, InvalidInvitation, Invitation, Role, Step};
use vettid_wire::id::{Fingerprint, HandshakeId, MemberId};
use vettid_wire::time::Timestamp;

use super::invitation::role_of;
use super::peer::Wanted;
use super::responder::require_identity;
use super::{
    Closing, HandshakeFailure, Opening, Outcome, Party, Peer, Phase, Reaction, Refusal, content, digest, key_roles,
    max_duration_ms, read, refusal_of,
};

/// Whom to shake hands with, and under what.
#[derive(Debug)]
pub struct Target {
    role: Role,
    suite: Suite,
    responder: Fingerprint,
    guid: MemberId,
    prekey: x25519::PublicKey,
    psk: Psk,
    expires_at: Option<Timestamp>,
}

impl Target {
    /// The inviter of an invitation, under the first of its suites that this build shakes hands with.
    ///
    /// # Errors
    /// [`HandshakeFailure::Invitation`] if there is no such suite.
    pub fn invitation(invitation: &Invitation) -> Result<Self, HandshakeFailure> {
        let is_built = |&id: &u16| id == Suite::X25519.id();
        if !invitation.suites.iter().any(is_built) {
            return Err(InvalidInvitation::Malformed.into());
        }
        Ok(Self {
            role: role_of(invitation.kind),
            suite: Suite::X25519,
            responder: invitation.inviter_fp,
            guid: invitation.space.guid(),
            prekey: x25519::PublicKey::from_bytes(invitation.invite_key),
            psk: Psk::Invitation(Secret32::copied_from(invitation.secret.expose())),
            expires_at: Some(invitation.expires_at),
        })
    }

    /// The app's own vault, with `resume` of an earlier handshake; without it the session is limited.
    ///
    /// # Errors
    /// [`HandshakeFailure::OtherIdentity`] if the vault's key record has no key of suite 1 that is valid now.
    pub fn session(
        now: Timestamp,
        vault: &VerifiedKeyRecord,
        resume: Option<&Secret32>,
    ) -> Result<Self, HandshakeFailure> {
        let Some(KemPublicKey::X25519(prekey)) = vault.kem_key(Suite::X25519, now) else {
            return Err(HandshakeFailure::OtherIdentity);
        };
        Ok(Self {
            role: Role::Session,
            suite: Suite::X25519,
            responder: vault.fingerprint(),
            guid: vault.record().guid,
            prekey,
            psk: resume.map_or(Psk::Absent, |resume| Psk::Resumption(resume.duplicate())),
            expires_at: None,
        })
    }
}

/// The initiator's side of one handshake. `Serialize` is for sealed stores alone.
#[derive(Debug, Serialize, Deserialize)]
pub struct Initiator {
    role: Role,
    own: Fingerprint,
    guid: MemberId,
    hs_id: HandshakeId,
    limited: bool,
    expires_at: Timestamp,
    state: State,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Hs1Sent(Box<Asking>),
    Hs2Received(Box<Reviewed>),
    Accepted(Box<Reviewed>),
    Hs3Sent(Box<Finished>),
    Active(Box<Finished>),
    Expired,
    Rejected,
    Aborted,
}

/// After the first message.
#[derive(Debug, Serialize, Deserialize)]
struct Asking {
    sent: Base64,
    #[serde(with = "stored")]
    awaiting: AwaitingHs2,
    #[serde(with = "stored")]
    own_kem: Option<KemSecretKey>,
}

/// After a valid second message; the ephemeral key is gone.
#[derive(Debug, Serialize, Deserialize)]
struct Reviewed {
    seen: Digest,
    #[serde(with = "stored")]
    verified: VerifiedHs2,
    #[serde(with = "stored")]
    own_kem: Option<KemSecretKey>,
    peer: Peer,
}

/// After the third message; keeps what is needed to answer duplicates.
#[derive(Debug, Serialize, Deserialize)]
struct Finished {
    seen: Digest,
    sent: Base64,
    outcome: Option<Outcome>,
}

impl Initiator {
    /// Makes the first message under a new handshake id.
    ///
    /// # Errors
    /// [`HandshakeFailure`].
    pub fn start(
        now: Timestamp,
        rng: &mut dyn CryptoRng,
        party: &Party<'_>,
        target: Target,
        content: &Opening,
    ) -> Result<(Self, Reaction), HandshakeFailure> {
        let mut random = [0; 10];
        rng.fill_bytes(&mut random);
        Self::start_as(HandshakeId::v7(now, random), now, rng, party, target, content)
    }

    /// The same under a handshake id that the caller made, because something in `content` is bound to it, such as the
    /// token of the claim. It must be new: the bytes of a UUIDv7.
    ///
    /// # Errors
    /// [`HandshakeFailure`].
    pub fn start_as(
        hs_id: HandshakeId,
        now: Timestamp,
        rng: &mut dyn CryptoRng,
        party: &Party<'_>,
        target: Target,
        content: &Opening,
    ) -> Result<(Self, Reaction), HandshakeFailure> {
        if target.expires_at.is_some_and(|expires_at| now > expires_at) {
            return Err(HandshakeFailure::Expired);
        }
        let own = party.key_record.fingerprint();
        require_identity(party, &own)?;
        let setup = Setup::new(target.suite, target.role, hs_id, target.responder)?;
        let own_kem = KemSecretKey::generate(target.suite, rng)?;
        let payload = content::introduced(content, party.key_record, &own_kem.public_key())?;
        let start = Start::new(rng, setup, &target.prekey, &target.psk)?;
        let (message, awaiting) = start.seal(rng, party.signing, payload)?;
        let bytes = message.to_bytes()?;
        let asking = Asking { sent: Base64::new(bytes.clone()), awaiting, own_kem: Some(own_kem) };
        let initiator = Self {
            role: target.role,
            own,
            guid: target.guid,
            hs_id,
            limited: matches!(target.psk, Psk::Absent),
            expires_at: now.plus_ms(max_duration_ms(target.role)),
            state: State::Hs1Sent(Box::new(asking)),
        };
        Ok((initiator, Reaction::send(bytes)))
    }

    /// Where the handshake stands.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match &self.state {
            State::Hs1Sent(_) => Phase::Hs1Sent,
            State::Hs2Received(_) => Phase::Hs2Received,
            State::Accepted(_) => Phase::Accepted,
            State::Hs3Sent(_) => Phase::Hs3Sent,
            State::Active(_) => Phase::Active,
            State::Expired => Phase::Expired,
            State::Rejected => Phase::Rejected,
            State::Aborted => Phase::Aborted,
        }
    }

    /// Names the handshake, and with it the connection.
    #[must_use]
    pub fn hs_id(&self) -> HandshakeId {
        self.hs_id
    }

    /// Who shakes hands with whom.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// When it dies if nothing happens; once the third message is made it does not.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// The responder, verified, for the owner's decision.
    #[must_use]
    pub fn peer(&self) -> Option<&Peer> {
        match &self.state {
            State::Hs2Received(reviewed) | State::Accepted(reviewed) => Some(&reviewed.peer),
            State::Hs3Sent(finished) | State::Active(finished) => finished.outcome.as_ref().map(Outcome::peer),
            _ => None,
        }
    }

    /// The short authentication string, for the owner's decision.
    #[must_use]
    pub fn symbols(&self) -> Option<[u8; 7]> {
        match &self.state {
            State::Hs2Received(reviewed) | State::Accepted(reviewed) => Some(reviewed.verified.symbols()),
            State::Hs3Sent(finished) | State::Active(finished) => finished.outcome.as_ref().map(Outcome::symbols),
            _ => None,
        }
    }

    /// `th3`, over which the own device key signs before [`Initiator::finish`].
    #[must_use]
    pub fn th3(&self) -> Option<&[u8; 32]> {
        match &self.state {
            State::Hs2Received(reviewed) | State::Accepted(reviewed) => Some(reviewed.verified.th3()),
            _ => None,
        }
    }

    /// What may have been lost in a crash: to be sent again as it is.
    #[must_use]
    pub fn unanswered(&self) -> Option<&[u8]> {
        match &self.state {
            State::Hs1Sent(asking) => Some(asking.sent.as_bytes()),
            State::Hs3Sent(finished) => Some(finished.sent.as_bytes()),
            _ => None,
        }
    }

    /// What the handshake gave, once; there from [`Phase::Hs3Sent`] on, so that the responder's first envelope can be
    /// opened. Until that confirms the keys, nothing else may be done with them.
    #[must_use]
    pub fn take_outcome(&mut self) -> Option<Outcome> {
        match &mut self.state {
            State::Hs3Sent(finished) | State::Active(finished) => finished.outcome.take(),
            _ => None,
        }
    }

    /// Takes a message of the responder.
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
            _ if message.hs_id != self.hs_id => Reaction::refused(Refusal::NotDue),
            (State::Hs1Sent(_), Step::Hs2(_)) => self.receive_hs2(now, &message, bytes),
            (_, Step::Hs2(_)) => self.receive_hs2_again(bytes),
            _ => Reaction::refused(Refusal::NotDue),
        }
    }

    /// Ends a handshake that is past its time; `true` if it just did.
    pub fn expire(&mut self, now: Timestamp) -> bool {
        let is_open = matches!(self.phase(), Phase::Hs1Sent | Phase::Hs2Received | Phase::Accepted);
        let expires = is_open && now > self.expires_at;
        if expires {
            self.state = State::Expired;
        }
        expires
    }

    /// The owner accepts the responder.
    ///
    /// # Errors
    /// [`HandshakeFailure::NotDue`], [`HandshakeFailure::Expired`].
    pub fn accept(&mut self, now: Timestamp) -> Result<(), HandshakeFailure> {
        self.require_time(now)?;
        match std::mem::replace(&mut self.state, State::Aborted) {
            State::Hs2Received(reviewed) => {
                self.state = State::Accepted(reviewed);
                Ok(())
            }
            other => {
                self.state = other;
                Err(HandshakeFailure::NotDue(self.phase()))
            }
        }
    }

    /// The owner says no.
    ///
    /// # Errors
    /// [`HandshakeFailure::NotDue`] once the third message is under way.
    pub fn reject(&mut self) -> Result<(), HandshakeFailure> {
        match self.phase() {
            Phase::Hs1Sent | Phase::Hs2Received | Phase::Accepted => {
                self.state = State::Rejected;
                Ok(())
            }
            phase => Err(HandshakeFailure::NotDue(phase)),
        }
    }

    /// Makes the third message and the keys.
    ///
    /// # Errors
    /// [`HandshakeFailure`]; the state is as it was.
    pub fn finish(
        &mut self,
        now: Timestamp,
        rng: &mut dyn CryptoRng,
        party: &Party<'_>,
        content: &Closing,
    ) -> Result<Reaction, HandshakeFailure> {
        self.require_time(now)?;
        let phase = self.phase();
        let State::Accepted(reviewed) = &mut self.state else {
            return Err(HandshakeFailure::NotDue(phase));
        };
        require_identity(party, &self.own)?;
        if party.key_record.device().is_some() != content.device_sig.is_some() {
            return Err(HandshakeFailure::DeviceSignature);
        }
        let (message, established) = reviewed.verified.seal(rng, party.signing, content::fields(content)?)?;
        let bytes = message.to_bytes()?;
        let own_kem = reviewed.own_kem.take().ok_or(HandshakeFailure::NotDue(phase))?;
        let outcome = Outcome {
            role: self.role,
            hs_id: self.hs_id,
            own: self.own,
            limited: self.limited,
            established,
            own_kem,
            peer: reviewed.peer.clone(),
        };
        let sent = Base64::new(bytes.clone());
        self.state = State::Hs3Sent(Box::new(Finished { seen: reviewed.seen, sent, outcome: Some(outcome) }));
        Ok(Reaction::send(bytes))
    }

    /// The responder's first envelope opened under the new keys.
    ///
    /// # Errors
    /// [`HandshakeFailure::NotDue`] before the third message.
    pub fn confirm(&mut self) -> Result<(), HandshakeFailure> {
        match std::mem::replace(&mut self.state, State::Aborted) {
            State::Hs3Sent(finished) | State::Active(finished) => {
                self.state = State::Active(finished);
                Ok(())
            }
            other => {
                self.state = other;
                Err(HandshakeFailure::NotDue(self.phase()))
            }
        }
    }

    fn require_time(&mut self, now: Timestamp) -> Result<(), HandshakeFailure> {
        if self.expire(now) { Err(HandshakeFailure::Expired) } else { Ok(()) }
    }

    fn receive_hs2(&mut self, now: Timestamp, message: &HandshakeMessage, bytes: &[u8]) -> Reaction {
        match self.open_hs2(now, message) {
            Ok((verified, peer)) => {
                let own_kem = match &mut self.state {
                    State::Hs1Sent(asking) => asking.own_kem.take(),
                    _ => None,
                };
                let reviewed = Reviewed { seen: digest(bytes), verified, own_kem, peer };
                self.state = State::Hs2Received(Box::new(reviewed));
                Reaction::changed()
            }
            Err(Refusal::Misbehaved) => {
                self.state = State::Aborted;
                Reaction::ended(Refusal::Misbehaved)
            }
            Err(refusal) => Reaction::refused(refusal),
        }
    }

    fn open_hs2(&self, now: Timestamp, message: &HandshakeMessage) -> Result<(VerifiedHs2, Peer), Refusal> {
        let State::Hs1Sent(asking) = &self.state else {
            return Err(Refusal::NotDue);
        };
        let opened = asking.awaiting.open(message).map_err(|error: HandshakeError| refusal_of(&error))?;
        let payload: Hs2Payload = content::read(opened.claimed().clone())?;
        let suite = asking.awaiting.setup().suite();
        let wanted = Wanted { now, role: key_roles(self.role).1, suite, guid: Some(self.guid) };
        let peer = Peer::responder(payload, &wanted)?;
        let signing = *peer.key_record.signing();
        let verified = opened.verify(peer.identity(), &signing, &self.own);
        verified.map(|(verified, _)| (verified, peer)).map_err(|_| Refusal::Misbehaved)
    }

    fn receive_hs2_again(&mut self, bytes: &[u8]) -> Reaction {
        let (seen, sent) = match &self.state {
            State::Hs2Received(reviewed) | State::Accepted(reviewed) => (&reviewed.seen, None),
            State::Hs3Sent(finished) | State::Active(finished) => (&finished.seen, Some(&finished.sent)),
            _ => return Reaction::refused(Refusal::NotDue),
        };
        match sent {
            _ if *seen != digest(bytes) => self.conflict(),
            Some(sent) => Reaction::resend(sent.as_bytes()),
            None => Reaction::default(),
        }
    }

    /// A second message with other bytes ends a handshake under way. Keys that are made stay, because the responder may
    /// use them already: otherwise anybody who can publish here could cut a connection.
    fn conflict(&mut self) -> Reaction {
        if let State::Hs3Sent(_) | State::Active(_) = &self.state {
            return Reaction { refusal: Some(Refusal::Conflict), alarm: true, ..Reaction::default() };
        }
        self.state = State::Aborted;
        Reaction::ended(Refusal::Conflict)
    }
}

//! One honest side of one handshake: the shipped state machine, stored after each step and read back before the next one.
//! Mutants are broken shells around it: they store something else than the machine decided, or nothing.

use crate::cast::{Cast, Code};
use crate::parties::start_of_day;
use crate::schedule::epoch_key;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::hash::{DefaultHasher, Hash, Hasher};
use vettid_core::handshake::{Initiator, Outcome, Phase, Reaction, Responder, Target};
use vettid_crypto::handshake::{AwaitingHs2, Psk, Setup, open_hs1};
use vettid_crypto::identity::VerifyingKey;
use vettid_crypto::key_record;
use vettid_crypto::secret::Secret32;
use vettid_crypto::stored::Stored;
use vettid_crypto::suite::{KemSecretKey, Suite, x25519};
use vettid_wire::base64::Base64;
use vettid_wire::digest::Digest;
use vettid_wire::handshake::{HandshakeMessage, Hs1Payload, Hs2Payload, Step};
use vettid_wire::id::{Fingerprint, HandshakeId};

/// How the honest sides are broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// They are as shipped.
    None,
    /// The initiator does not ask whether the answer comes from whom the code names.
    AnyFingerprint,
    /// The initiator takes the responder's signing key from a record that nobody certified: its signature says nothing.
    AnyResponderKey,
    /// The same of the responder about the initiator.
    AnyInitiatorKey,
    /// The responder does not look at the signature of the third message.
    NoLastSignature,
    /// The responder does not look at the commitment.
    AnyNonce,
    /// The responder's ephemeral key is known to everybody: what it adds to the keys adds nothing.
    KnownEphemeral,
    /// The responder forgets what it did and has its invitation again.
    ForgetsCommit,
    /// Nobody ends a handshake because of a second message.
    IgnoresConflict,
}

/// What an honest side is, before anything happened.
pub(crate) struct Seat {
    pub who: usize,
    /// An inviter with the stored state of its invitation; others open one of these codes.
    pub invited: Option<String>,
    pub codes: Vec<usize>,
}

/// Where an honest side stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Local {
    /// The stored machine; nothing before a code is opened.
    pub stored: String,
    /// The code that was opened.
    pub code: Option<usize>,
    /// The message that began or answered this handshake.
    pub heard: Option<u64>,
    /// How often the state was forgotten.
    pub forgotten: u8,
    /// A message with other bytes came while the handshake was open.
    pub conflict: bool,
    /// What a responder answered, whatever became of it afterwards.
    pub answered: Vec<Answered>,
}

/// A responder's word: with whom it made which key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Answered {
    pub hs_id: Option<HandshakeId>,
    pub peer: Option<Fingerprint>,
    pub epoch_key: Option<[u8; 32]>,
}

/// What can be said about a side from outside.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub phase: Phase,
    pub hs_id: Option<HandshakeId>,
    /// The other side, as it says it verified it.
    pub peer: Option<Fingerprint>,
    /// `K0`, once the last message of the responder is made.
    pub epoch_key: Option<[u8; 32]>,
    /// The keys are used: the initiator sent its last message, the responder took it.
    pub accepted: bool,
    pub symbols: Option<[u8; 7]>,
}

/// A step of an honest side.
#[derive(Debug, Clone)]
pub(crate) struct Stepped {
    pub local: Local,
    pub sent: Option<Vec<u8>>,
    /// A key that everybody knows now.
    pub exposed: Option<[u8; 32]>,
}

enum Machine {
    Initiator(Box<Initiator>),
    Responder(Box<Responder>),
}

impl Machine {
    fn read(seat: &Seat, stored: &str) -> Self {
        if seat.invited.is_some() {
            return Self::Responder(Box::new(serde_json::from_str(stored).unwrap()));
        }
        Self::Initiator(Box::new(serde_json::from_str(stored).unwrap()))
    }

    fn store(&self) -> String {
        match self {
            Self::Initiator(machine) => serde_json::to_string(machine).unwrap(),
            Self::Responder(machine) => serde_json::to_string(machine).unwrap(),
        }
    }

    fn phase(&self) -> Phase {
        match self {
            Self::Initiator(machine) => machine.phase(),
            Self::Responder(machine) => machine.phase(),
        }
    }

    fn hs_id(&self) -> Option<HandshakeId> {
        match self {
            Self::Initiator(machine) => Some(machine.hs_id()),
            Self::Responder(machine) => machine.hs_id(),
        }
    }

    fn receive(&mut self, bytes: &[u8]) -> Reaction {
        match self {
            Self::Initiator(machine) => machine.receive(start_of_day(), bytes),
            Self::Responder(machine) => machine.receive(start_of_day(), bytes),
        }
    }

    fn outcome(&mut self) -> Option<Outcome> {
        match self {
            Self::Initiator(machine) => machine.take_outcome(),
            Self::Responder(machine) => machine.take_outcome(),
        }
    }
}

/// The honest sides of one world, and how they are broken.
pub(crate) struct Sessions<'a> {
    pub cast: &'a Cast,
    pub codes: &'a [Code],
    pub seats: &'a [Seat],
    pub mutant: Mutant,
}

impl Sessions<'_> {
    pub(crate) fn start(&self, seat: usize) -> Local {
        Local { stored: self.seats[seat].invited.clone().unwrap_or_default(), ..Local::default() }
    }

    pub(crate) fn facts(&self, seat: usize, local: &Local) -> Facts {
        if local.stored.is_empty() {
            let (hs_id, peer, epoch_key, symbols) = (None, None, None, None);
            return Facts { phase: Phase::Invited, hs_id, peer, epoch_key, accepted: false, symbols };
        }
        let mut machine = Machine::read(&self.seats[seat], &local.stored);
        let (phase, hs_id) = (machine.phase(), machine.hs_id());
        let outcome = machine.outcome();
        let promised = promised(&local.stored);
        let machine = Machine::read(&self.seats[seat], &local.stored);
        let peer = match &machine {
            Machine::Initiator(machine) => machine.peer().map(|peer| peer.fingerprint()),
            Machine::Responder(machine) => machine.peer().map(|peer| peer.fingerprint()),
        };
        Facts {
            phase,
            hs_id,
            peer,
            epoch_key: outcome.as_ref().map(|outcome| *outcome.epoch_key().expose()).or(promised),
            accepted: outcome.is_some(),
            symbols: outcome.map(|outcome| outcome.symbols()),
        }
    }

    /// Somebody opens a code and begins.
    pub(crate) fn open(&self, seat: usize, code: usize) -> Stepped {
        let who = self.seats[seat].who;
        let target = Target::invitation(&self.codes[code].invitation).unwrap();
        let mut rng = seeded(&(seat, code));
        let party = self.cast.sides[who].party();
        let (machine, reaction) =
            Initiator::start(start_of_day(), &mut rng, &party, target, &self.cast.opening(who)).unwrap();
        let stored = serde_json::to_string(&machine).unwrap();
        let local = Local { stored, code: Some(code), ..Local::default() };
        Stepped { local, sent: reaction.send, exposed: None }
    }

    /// The owner accepts, and the next message is made.
    pub(crate) fn decide(&self, seat: usize, local: &Local) -> Option<Stepped> {
        if local.stored.is_empty() {
            return None;
        }
        let (now, side) = (start_of_day(), &self.cast.sides[self.seats[seat].who]);
        let mut rng = seeded(&(seat, local));
        let mut machine = Machine::read(&self.seats[seat], &local.stored);
        let (reaction, exposed) = match &mut machine {
            Machine::Initiator(machine) => {
                machine.accept(now).ok()?;
                (machine.finish(now, &mut rng, &side.party(), &Cast::closing()).unwrap(), None)
            }
            Machine::Responder(machine) => {
                machine.accept(now).ok()?;
                let content = self.cast.answer(self.seats[seat].who);
                let reaction = machine.answer(now, &mut rng, &side.party(), &content).unwrap();
                (reaction, (self.mutant == Mutant::KnownEphemeral).then(|| ephemeral(&(seat, local))))
            }
        };
        let mut local = Local { stored: machine.store(), ..local.clone() };
        if self.seats[seat].invited.is_some() {
            let Facts { hs_id, peer, epoch_key, .. } = self.facts(seat, &local);
            local.answered.push(Answered { hs_id, peer, epoch_key });
        }
        Some(Stepped { local, sent: reaction.send, exposed })
    }

    /// A message arrives; `None` if it changes nothing.
    pub(crate) fn deliver(&self, seat: usize, local: &Local, number: u64, bytes: &[u8]) -> Option<Stepped> {
        if local.stored.is_empty() {
            return None;
        }
        let mut machine = Machine::read(&self.seats[seat], &local.stored);
        let message = HandshakeMessage::read(bytes).unwrap();
        let conflict = local.conflict || is_conflict(&machine, local, number, &message);
        let reaction = machine.receive(bytes);
        let stored = match self.broken(seat, local, &message, bytes, &reaction) {
            Some(stored) => stored,
            None if reaction.changed => machine.store(),
            None if conflict == local.conflict => return None,
            None => local.stored.clone(),
        };
        let began = !matches!(message.step, Step::Hs3(_)) && local.heard.is_none();
        let took = began
            && matches!(Machine::read(&self.seats[seat], &stored).phase(), Phase::Hs1Received | Phase::Hs2Received);
        let heard = if took { Some(number) } else { local.heard };
        let next = Local { stored, heard, conflict, ..local.clone() };
        (next != *local).then_some(Stepped { local: next, sent: reaction.send, exposed: None })
    }

    /// The responder comes back from before its last commits.
    pub(crate) fn forget(&self, seat: usize, local: &Local) -> Option<Stepped> {
        let forgets = self.mutant == Mutant::ForgetsCommit && local.forgotten == 0 && local.heard.is_some();
        let stored = self.seats[seat].invited.clone().filter(|_| forgets)?;
        let local = Local { stored, forgotten: 1, answered: local.answered.clone(), ..Local::default() };
        Some(Stepped { local, sent: None, exposed: None })
    }

    /// What a broken shell stores in place of what the machine decided.
    fn broken(
        &self,
        seat: usize,
        local: &Local,
        message: &HandshakeMessage,
        bytes: &[u8],
        reaction: &Reaction,
    ) -> Option<String> {
        reaction.refusal?;
        let state: Value = serde_json::from_str(&local.stored).unwrap();
        match self.mutant {
            Mutant::AnyFingerprint | Mutant::AnyResponderKey => self.takes_any_responder(seat, state, message, bytes),
            Mutant::AnyInitiatorKey => self.takes_any_initiator(seat, state, message, bytes),
            Mutant::NoLastSignature | Mutant::AnyNonce => self.takes_any_end(seat, state, bytes),
            Mutant::IgnoresConflict => Some(local.stored.clone()),
            Mutant::None | Mutant::KnownEphemeral | Mutant::ForgetsCommit => None,
        }
    }

    fn takes_any_responder(
        &self,
        seat: usize,
        mut state: Value,
        message: &HandshakeMessage,
        bytes: &[u8],
    ) -> Option<String> {
        let asking = state.get("state")?.get("hs1_sent")?.clone();
        let awaiting: AwaitingHs2 = from_form(&asking["awaiting"]);
        let opened = awaiting.open(message).ok()?;
        let payload: Hs2Payload = serde_json::from_value(opened.claimed().clone().into()).ok()?;
        let claimed = VerifyingKey::from_typed(&payload.identity_key).unwrap();
        let signing = VerifyingKey::from_typed(&payload.key_record.signing_key).unwrap();
        let expected = if self.mutant == Mutant::AnyFingerprint {
            key_record::verify(payload.key_record, start_of_day()).ok()?;
            *self.cast.sides[self.cast.who(&awaiting.setup().responder())].record.identity()
        } else {
            claimed
        };
        let own = self.cast.fingerprint(self.seats[seat].who);
        let (verified, _) = opened.verify(&expected, &signing, &own).ok()?;
        state["state"] = json!({"hs2_received": {
            "seen": digest(bytes),
            "verified": verified.to_form(),
            "own_kem": asking["own_kem"],
            "peer": self.peer(&claimed.fingerprint(), &payload.epoch_kem),
        }});
        Some(state.to_string())
    }

    fn takes_any_initiator(
        &self,
        seat: usize,
        mut state: Value,
        message: &HandshakeMessage,
        bytes: &[u8],
    ) -> Option<String> {
        let invited = state.get("state")?.get("invited")?.clone();
        let (prekey, secret): (x25519::SecretKey, Secret32) =
            (from_form(&invited["prekey"]), from_form(&invited["secret"]));
        let own = self.cast.fingerprint(self.seats[seat].who);
        let setup = Setup::of(message, own).ok()?;
        let opened = open_hs1(setup, &prekey, &Psk::Invitation(secret), message).ok()?;
        let payload: Hs1Payload = serde_json::from_value(opened.claimed().clone().into()).ok()?;
        let claimed = VerifyingKey::from_typed(&payload.identity_key).unwrap();
        let signing = VerifyingKey::from_typed(&payload.key_record.signing_key).unwrap();
        let (verified, _) = opened.verify(&claimed, &signing).ok()?;
        state["state"] = json!({"hs1_received": {
            "seen": digest(bytes),
            "verified": verified.to_form(),
            "peer": self.peer(&claimed.fingerprint(), &payload.epoch_kem),
        }});
        Some(state.to_string())
    }

    /// The last check with another signing key, or for another nonce, than what the first message named.
    fn takes_any_end(&self, seat: usize, mut state: Value, bytes: &[u8]) -> Option<String> {
        let awaiting = state.get_mut("state")?.get_mut("hs2_sent")?.get_mut("awaiting")?;
        let others: Vec<(&str, Value)> = if self.mutant == Mutant::AnyNonce {
            let commit = vettid_crypto::kdf::h256_parts(&[b"vettid-hs-v1 commit", &[6; 32]]);
            vec![("commit", json!(Digest::from_bytes(commit)))]
        } else {
            self.cast.sides.iter().map(|side| ("signing", json!(side.record.signing()))).collect()
        };
        let before = awaiting.clone();
        others.into_iter().find_map(|(name, value)| {
            let awaiting = state["state"]["hs2_sent"].get_mut("awaiting")?;
            awaiting.clone_from(&before);
            awaiting[name] = value;
            let mut machine = Machine::read(&self.seats[seat], &state.to_string());
            (machine.receive(bytes).changed && machine.phase() == Phase::Active).then(|| machine.store())
        })
    }

    fn peer(&self, fingerprint: &Fingerprint, epoch_kem: &impl Serialize) -> Value {
        let record = &self.cast.sides[self.cast.who(fingerprint)].record;
        json!({"key_record": record, "epoch_kem": epoch_kem, "incarnation": 1})
    }
}

/// A second message for a handshake that is open, with other bytes than the first one.
fn is_conflict(machine: &Machine, local: &Local, number: u64, message: &HandshakeMessage) -> bool {
    let first_again = match machine {
        Machine::Initiator(_) => matches!(message.step, Step::Hs2(_)),
        Machine::Responder(_) => matches!(message.step, Step::Hs1(_)),
    };
    let open = matches!(machine.phase(), Phase::Hs1Received | Phase::Hs2Received | Phase::Hs2Sent);
    open && first_again && machine.hs_id() == Some(message.hs_id) && local.heard != Some(number)
}

/// `K0` of a responder that sent its message and waits for the last one.
fn promised(stored: &str) -> Option<[u8; 32]> {
    let state: Value = serde_json::from_str(stored).unwrap();
    let awaiting = state.get("state")?.get("hs2_sent")?.get("awaiting")?;
    let th3: Digest = serde_json::from_value(awaiting["th3"].clone()).unwrap();
    Some(epoch_key(&from_form(&awaiting["ck2"]), th3.as_bytes()))
}

fn from_form<T: Stored>(value: &Value) -> T
where
    T::Form: DeserializeOwned,
{
    T::from_form(serde_json::from_value(value.clone()).unwrap()).unwrap()
}

fn digest(bytes: &[u8]) -> Digest {
    Digest::from_bytes(vettid_crypto::kdf::h256(bytes))
}

/// Randomness that depends on the step alone, so that the same step in another order is the same.
fn seeded(step: &impl Hash) -> StdRng {
    let mut hasher = DefaultHasher::new();
    step.hash(&mut hasher);
    StdRng::seed_from_u64(hasher.finish())
}

/// The ephemeral key that the responder drew in this step, after its key for epoch 0.
fn ephemeral(step: &impl Hash) -> [u8; 32] {
    let mut rng = seeded(step);
    let _ = KemSecretKey::generate(Suite::X25519, &mut rng).unwrap();
    *Secret32::random(&mut rng).expose()
}

/// The bytes of a message, as they are compared.
pub(crate) fn text(message: &HandshakeMessage) -> Base64 {
    Base64::new(message.to_bytes().unwrap())
}

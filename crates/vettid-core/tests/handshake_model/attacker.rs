//! Mallory: everything that she can send, made from everything that was sent so far and what she knows. She takes part under
//! her own name, in the name of others with forged or stolen keys, and passes on what others sealed for her.

use crate::cast::{Cast, Code, HONEST, Leaks, MALLORY, key, stolen};
use crate::schedule::{Beginning, First, Payload, Second, open_first, put, signed};
use vettid_crypto::suite::x25519;
use vettid_wire::base64::Base64;
use vettid_wire::handshake::{HandshakeMessage, Role, Step};
use vettid_wire::id::{Fingerprint, HandshakeId};

/// What she can do at one moment.
#[derive(Debug, Default)]
pub(crate) struct Powers {
    /// Messages that no honest side sent.
    pub messages: Vec<HandshakeMessage>,
    /// Epoch keys that she holds.
    pub epoch_keys: Vec<[u8; 32]>,
    /// First messages of others that she read.
    pub read: Vec<HandshakeMessage>,
}

/// As whom she speaks.
#[derive(Clone)]
enum Persona {
    /// A member's record, signed for by her own key.
    Named(usize),
    /// A record that she made in another's name.
    Forged(usize),
    /// A member's record and the key that leaked.
    Stolen(usize),
    /// What somebody sealed for her, as it is.
    Relayed(Payload),
}

/// A first message of her own.
struct Begun {
    message: HandshakeMessage,
    first: First,
    ephemeral: x25519::SecretKey,
}

pub(crate) struct Attacker<'a> {
    pub cast: &'a Cast,
    pub codes: &'a [Code],
    pub leaks: Leaks,
    /// Whether she also cuts messages apart.
    pub cuts: bool,
}

const NONCE: [u8; 32] = [5; 32];
const OTHER_NONCE: [u8; 32] = [6; 32];

impl Attacker<'_> {
    /// Everything that follows from what was observed.
    pub(crate) fn powers(&self, observed: &[HandshakeMessage]) -> Powers {
        let opened: Vec<_> = observed.iter().filter_map(|message| self.read(message)).collect();
        let begun = self.begun(observed, &opened);
        let seconds: Vec<_> = begun.iter().flat_map(|begun| begun.answered(observed)).collect();
        let (answers, answered): (Vec<_>, Vec<_>) = self.answers(&opened, &seconds).into_iter().unzip();
        let thirds = seconds.iter().flat_map(|(first, _, second)| self.thirds(first, second, &answered, observed));
        let mut messages: Vec<_> = thirds.collect();
        messages.extend(begun.iter().map(|begun| begun.message.clone()));
        messages.extend(answers);
        if self.cuts {
            messages.extend(observed.iter().flat_map(|message| cut(message, observed)));
        }
        let epoch_keys = seconds.iter().map(|(_, _, second)| second).chain(&answered).map(Second::epoch_key).collect();
        let is_first = |m: &&HandshakeMessage| self.read(m).is_some();
        Powers { messages, epoch_keys, read: observed.iter().filter(is_first).cloned().collect() }
    }

    /// Opens a first message with a code that she knows all of: her own, or one that leaked with its prekey.
    fn read(&self, message: &HandshakeMessage) -> Option<(Payload, First)> {
        self.codes.iter().filter(|code| self.knows_secret(code) && self.knows_prekey(code)).find_map(|code| {
            let shown = code.invitation.inviter_fp;
            open_first(message, shown, code.secret(), &code.prekey)
        })
    }

    fn knows_secret(&self, code: &Code) -> bool {
        self.leaks.codes || !code.genuine
    }

    /// Codes that hold an inviter's prekey under another name were made without its private half.
    fn knows_prekey(&self, code: &Code) -> bool {
        self.leaks.prekeys || code.prekey.public_key() == key(900).public_key()
    }

    /// First messages to everybody whose code she read, also under ids of others.
    fn begun(&self, observed: &[HandshakeMessage], opened: &[(Payload, First)]) -> Vec<Begun> {
        let mut ids = vec![HandshakeId::from_bytes([66; 16])];
        ids.extend(observed.iter().filter(|m| matches!(m.step, Step::Hs1(_))).map(|m| m.hs_id));
        let mut all = vec![];
        for code in self.codes.iter().filter(|code| code.genuine && self.leaks.codes) {
            for &hs_id in &ids {
                let relayed = opened.iter().map(|(payload, _)| Persona::Relayed(payload.clone()));
                for persona in self.personas().into_iter().chain(relayed) {
                    all.push(self.begin(code, hs_id, &persona));
                }
            }
        }
        all
    }

    fn begin(&self, code: &Code, hs_id: HandshakeId, persona: &Persona) -> Begun {
        let ephemeral = key(901);
        let beginning = Beginning {
            hs_id,
            responder: code.invitation.inviter_fp,
            prekey: x25519::PublicKey::from_bytes(code.invitation.invite_key),
            psk: code.secret(),
            ephemeral: &ephemeral,
            nonce: NONCE,
        };
        let (message, first) =
            beginning.first(|th1| self.payload(persona, &signed(1, th1, &code.invitation.inviter_fp)));
        Begun { message, first, ephemeral }
    }

    fn personas(&self) -> Vec<Persona> {
        let mut all = vec![Persona::Named(MALLORY)];
        for who in HONEST {
            all.extend([Persona::Named(who), Persona::Forged(who)]);
            all.extend(self.leaks.keys[who].then_some(Persona::Stolen(who)));
        }
        all
    }

    fn payload(&self, persona: &Persona, to_sign: &[u8]) -> Payload {
        let mallory = &self.cast.sides[MALLORY];
        let (record, signer) = match persona {
            Persona::Relayed(payload) => return payload.clone(),
            Persona::Named(who) => (self.cast.sides[*who].record.record().clone(), &mallory.signing),
            Persona::Forged(who) => (self.cast.forged[*who].clone(), &mallory.signing),
            Persona::Stolen(who) => {
                let key = stolen(self.cast, self.leaks, *who).unwrap();
                (self.cast.sides[*who].record.record().clone(), key)
            }
        };
        let mut payload = Payload::new();
        payload.insert("identity_key".into(), record.identity_key.to_string().into());
        payload.insert("key_record".into(), serde_json::to_value(record).unwrap());
        payload.insert("epoch_kem".into(), mallory.kem.public_key().typed().to_string().into());
        put(&mut payload, "sig", signer.sign(to_sign).as_bytes());
        payload
    }

    /// Second messages to everybody whose first message she read.
    fn answers(
        &self,
        opened: &[(Payload, First)],
        seconds: &[(&First, Payload, Second)],
    ) -> Vec<(HandshakeMessage, Second)> {
        let mut all = vec![];
        for (payload, first) in opened {
            let Some(initiator) = self.claimed(payload) else { continue };
            let relayed = seconds.iter().map(|(_, payload, _)| Persona::Relayed(payload.clone()));
            for persona in self.personas().into_iter().chain(relayed) {
                all.push(first.second(&key(902), |th2| {
                    let mut payload = self.payload(&persona, &signed(2, th2, &initiator));
                    if !matches!(persona, Persona::Relayed(_)) {
                        put(&mut payload, "nonce", &NONCE);
                    }
                    payload
                }));
            }
        }
        all
    }

    /// Whose payload it says it is.
    fn claimed(&self, payload: &Payload) -> Option<Fingerprint> {
        let claimed = payload.get("identity_key")?.as_str()?;
        let side = self.cast.sides.iter().find(|side| side.identity.verifying_key().typed().to_string() == claimed)?;
        Some(side.record.fingerprint())
    }

    /// Third messages: by whoever's key she has, with the nonce that she committed to and with another one, and with the
    /// signatures that others made for her.
    fn thirds(
        &self,
        first: &First,
        second: &Second,
        answered: &[Second],
        observed: &[HandshakeMessage],
    ) -> Vec<HandshakeMessage> {
        let signed = signed(3, &second.th3, &first.responder);
        let signers = (0..3).filter_map(|who| stolen(self.cast, self.leaks, who));
        let mut signatures: Vec<[u8; 64]> = signers.map(|signer| *signer.sign(&signed).as_bytes()).collect();
        let passed_on = answered.iter().flat_map(|known| observed.iter().filter_map(|m| known.open_third(m)));
        signatures.extend(passed_on.filter_map(|payload| {
            let text = payload.get("sig")?.as_str()?.to_owned();
            <[u8; 64]>::try_from(vettid_wire::base64::decode(&text).ok()?).ok()
        }));
        let mut all = vec![];
        for (signature, nonce) in signatures.iter().flat_map(|s| [(s, NONCE), (s, OTHER_NONCE)]) {
            let mut payload = Payload::new();
            put(&mut payload, "sig", signature);
            put(&mut payload, "nonce", &nonce);
            all.push(second.third(&payload));
        }
        all
    }
}

impl Begun {
    /// The answers to it, opened.
    fn answered(&self, observed: &[HandshakeMessage]) -> Vec<(&First, Payload, Second)> {
        let answers = observed.iter().filter(|m| m.hs_id == self.first.hs_id);
        answers
            .filter_map(|m| self.first.open_second(m, &self.ephemeral))
            .map(|(payload, second)| (&self.first, payload, second))
            .collect()
    }
}

/// The same message with a part of it changed or taken from another one.
fn cut(message: &HandshakeMessage, observed: &[HandshakeMessage]) -> Vec<HandshakeMessage> {
    let with = |change: &dyn Fn(&mut HandshakeMessage)| {
        let mut changed = message.clone();
        change(&mut changed);
        changed
    };
    let mut all = vec![
        with(&|m| m.role = Role::Service),
        with(&|m| m.role = Role::Session),
        with(&|m| m.suite = 3),
        with(&|m| m.hs_id = HandshakeId::from_bytes([66; 16])),
        with(&|m| replace_ephemeral(&mut m.step)),
    ];
    for other in observed.iter().filter(|other| *other != message) {
        all.push(with(&|m| m.hs_id = other.hs_id));
        all.push(with(&|m| m.c = other.c.clone()));
        all.push(with(&|m| m.step = other.step.clone()));
    }
    all
}

fn replace_ephemeral(step: &mut Step) {
    let e = Base64::new(*key(901).public_key().as_bytes());
    match step {
        Step::Hs1(h) => h.e = e,
        Step::Hs2(h) => h.e = e,
        Step::Hs3(_) => {}
    }
}

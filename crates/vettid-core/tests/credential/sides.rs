//! A member's app and an issuer with real cryptography. Each side is written to its disk and read back after every step,
//! so that each step is also a crash.

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use vettid_core::credential::attempts::{BootId, Clocks};
use vettid_core::credential::holder::record::{Next, SlotName, Untrusted};
use vettid_core::credential::holder::request::{CannotBegin, Wish};
use vettid_core::credential::holder::slot::{PasswordParts, Slot};
use vettid_core::credential::holder::{Holder, Received};
use vettid_core::credential::issuer::keys::KeyPool;
use vettid_core::credential::issuer::operation::{Effect, Operation, Verdict};
use vettid_core::credential::issuer::record::{Confirmation, Refusal};
use vettid_core::credential::issuer::{Begin, ConfirmAnswer, Issuer, NewCredential, creation_binding};
use vettid_crypto::credential::InnerPlace;
use vettid_crypto::kdf::h256;
use vettid_crypto::password::{DeviceSecret, InnerKey, PasswordProof, PasswordSalt, StoredPassword};
use vettid_crypto::secret::Secret32;
use vettid_crypto::utk::{PasswordPayload, ProofRequest, request_hash, seal};
use vettid_wire::credential::{Confirm, CredentialPolicies, UseRequest, UseResult};
use vettid_wire::digest::Digest;
use vettid_wire::id::{Fingerprint, MemberId, OperationId};
use vettid_wire::json;
use vettid_wire::time::Timestamp;

pub(crate) const HOST: &str = "nats://broker.example";
pub(crate) const ENDPOINT: &str = "credential.use";
pub(crate) const SIGN: &str = "sign_transaction";
pub(crate) const SECRETS: &[u8] = br#"{"identity":"secret"}"#;

/// The password as the two keys that Argon2 would make of it and the device secret.
pub(crate) fn payload(password: u8, inner: bool) -> PasswordPayload {
    PasswordPayload {
        proof: PasswordProof::from_secret(Secret32::from_bytes([password; 32])),
        inner: inner.then(|| inner_key(password)),
    }
}

pub(crate) fn inner_key(password: u8) -> InnerKey {
    InnerKey::from_secret(Secret32::from_bytes([password.wrapping_add(100); 32]))
}

pub(crate) fn parts(password: u8) -> PasswordParts {
    PasswordParts {
        salt: PasswordSalt::from_bytes([password; 16]),
        device_secret: DeviceSecret::from_secret(Secret32::from_bytes([password; 32])),
        made_at: None,
    }
}

pub(crate) fn stored_password(password: u8) -> StoredPassword {
    StoredPassword::new(PasswordSalt::from_bytes([password; 16]), &payload(password, false).proof)
}

pub(crate) fn guid() -> MemberId {
    MemberId::from_bytes([4; 16])
}

pub(crate) fn issuer_print() -> Fingerprint {
    Fingerprint::from_bytes([7; 32])
}

/// What the issuer did with a `USE`.
#[derive(Debug)]
pub(crate) enum Told {
    /// A `RESULT`, as bytes.
    Result(Vec<u8>),
    /// A bare refusal.
    Refused(Refusal),
}

impl Told {
    #[track_caller]
    pub(crate) fn bytes(self) -> Vec<u8> {
        match self {
            Self::Result(bytes) => bytes,
            Self::Refused(refusal) => unreachable!("{refusal:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn result(self) -> UseResult {
        json::read(&self.bytes()).unwrap()
    }
}

/// Where an issuer crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crash {
    Never,
    BeforeCompare,
    BeforeSecondCommit,
}

pub(crate) struct Sides {
    pub clocks: Clocks,
    pub rng: StdRng,
    pub holder: Holder,
    pub issuer: Issuer,
    pub operations: BTreeMap<OperationId, Operation>,
    /// Actions that ran, by operation.
    pub effects: BTreeMap<OperationId, u32>,
    next_operation: u8,
}

impl Sides {
    /// Both sides, up to the first package in slot A.
    pub(crate) fn new() -> Self {
        let mut rng = StdRng::from_seed([1; 32]);
        let clocks = Clocks { now: Timestamp::from_unix_ms(1_000), monotonic_ms: 1_000, boot_id: BootId([1; 16]) };
        let (mut pool, keys) = KeyPool::new(clocks.now, &mut rng);
        let mut holder = Holder::new(guid(), issuer_print(), keys);
        let op_id = OperationId::from_bytes([0xee; 16]);
        let key = holder.unused_keys(clocks.now).next().unwrap().clone();
        let binding = creation_binding(op_id, json!({ "hash": stored_password(1).to_string() }), key.key_id.clone());
        let request = ProofRequest { guid: guid(), binding: &binding };
        let sealed = seal(&key, &request, &payload(1, true), &mut rng).unwrap();
        holder.prepare_creation(&binding, sealed.clone(), parts(1)).unwrap();
        let opened = pool.open(clocks.now, &request, &sealed).unwrap();
        assert!(pool.open(clocks.now, &request, &sealed).is_err(), "a transaction key opens once");
        let place = InnerPlace { guid: guid(), issuer: issuer_print(), inner_seq: 1 };
        let new = NewCredential {
            guid: guid(),
            issuer: issuer_print(),
            epoch: 1,
            password: StoredPassword::new(parts(1).salt, &opened.proof),
            policies: CredentialPolicies {
                ttl_minutes: None,
                max_failed_attempts: 10,
                authorized_operations: vec![SIGN.to_owned()],
            },
            binding: None,
            secrets: place.seal(&opened.inner.unwrap(), SECRETS, &mut rng),
            op_id,
            request_hash: request_hash(&binding).unwrap(),
            proof_hash: Digest::from_bytes(h256(&sealed)),
        };
        let created = Issuer::create(&clocks, &mut rng, new, pool).unwrap();
        let answer = created.operation.answer.as_ref().unwrap().expose().to_vec();
        let mut sides = Self {
            clocks,
            rng,
            holder,
            issuer: created.issuer,
            operations: BTreeMap::from([(op_id, created.operation)]),
            effects: BTreeMap::new(),
            next_operation: 0,
        };
        sides.restart();
        sides.take(&answer).unwrap();
        assert_eq!(sides.confirm(), Some(Confirmation::Already));
        sides
    }

    /// Both sides forget everything that is not on their disks.
    pub(crate) fn restart(&mut self) {
        let issuer = serde_json::to_vec(&self.issuer).unwrap();
        self.issuer = serde_json::from_slice(&issuer).unwrap();
        for operation in self.operations.values_mut() {
            let bytes = serde_json::to_vec(operation).unwrap();
            *operation = serde_json::from_slice(&bytes).unwrap();
        }
        let slots = [SlotName::A, SlotName::B].map(|name| self.slot_bytes(name));
        self.load(slots);
    }

    pub(crate) fn load(&mut self, [a, b]: [Option<Vec<u8>>; 2]) {
        let state = serde_json::to_vec(self.holder.state()).unwrap();
        self.holder = Holder::load(serde_json::from_slice(&state).unwrap(), a.as_deref(), b.as_deref());
    }

    pub(crate) fn slot_bytes(&self, name: SlotName) -> Option<Vec<u8>> {
        self.slot(name).map(|slot| slot.to_bytes().unwrap().expose().to_vec())
    }

    pub(crate) fn slot(&self, name: SlotName) -> Option<&Slot> {
        self.holder.slot(name)
    }

    pub(crate) fn versions(&self) -> Vec<u64> {
        self.holder.state().record.slots.iter().map(|(_, entry)| entry.version).collect()
    }

    /// The app prepares an operation after the issuer has proven itself; the request as it is sent.
    pub(crate) fn ask(&mut self, action: &str, params: Value, payload: PasswordPayload) -> UseRequest {
        self.try_ask(action, params, payload, None).unwrap()
    }

    pub(crate) fn try_ask(
        &mut self,
        action: &str,
        params: Value,
        payload: PasswordPayload,
        next_password: Option<PasswordParts>,
    ) -> Result<UseRequest, CannotBegin> {
        let challenge = self.holder.challenge(self.clocks.now, &mut self.rng, action, ENDPOINT)?;
        let answer = self.issuer.prove(self.clocks.now, &mut self.rng, (HOST, ENDPOINT), &challenge.request).unwrap();
        let proven = self.holder.verify(HOST, challenge, &answer).unwrap();
        self.next_operation += 1;
        let op_id = OperationId::from_bytes([self.next_operation; 16]);
        let wish = Wish { op_id, params, payload, next_password, journal_head: None };
        self.holder.prepare(&mut self.rng, proven, wish)?;
        self.restart();
        assert_eq!(self.holder.next(), Next::SendAgain(op_id));
        Ok(self.request())
    }

    /// The stored request, as it is sent each time.
    pub(crate) fn request(&self) -> UseRequest {
        json::read(self.holder.request().unwrap()).unwrap()
    }

    /// The issuer handles a `USE`; the action is to count itself. `None` after a crash.
    pub(crate) fn handle(&mut self, request: &UseRequest, crash: Crash) -> Option<Told> {
        let known = self.operations.get(&request.op_id);
        let told = match self.issuer.begin(&self.clocks, request, known).unwrap() {
            Begin::Repeat => known.map(answer_of),
            Begin::Refused { refusal, answer: None, .. } => Some(Told::Refused(refusal)),
            Begin::Refused { answer: Some(answer), .. } => Some(Told::Result(answer.expose().to_vec())),
            Begin::Stale(operation) => {
                let told = answer_of(&operation);
                self.operations.insert(request.op_id, operation);
                Some(told)
            }
            Begin::Started(started) => {
                self.operations.insert(request.op_id, copy(&started.operation));
                // A crash loses what is in memory, so the counted attempt is what a later request has to find.
                if crash == Crash::BeforeCompare { None } else { self.go_on(request, *started, crash) }
            }
        };
        self.restart();
        told
    }

    fn go_on(
        &mut self,
        request: &UseRequest,
        started: vettid_core::credential::issuer::operation::Started,
        crash: Crash,
    ) -> Option<Told> {
        let verdict = self.issuer.compare(started.committed(), request).unwrap();
        if crash == Crash::BeforeSecondCommit {
            return None;
        }
        let known = self.operations.get(&request.op_id);
        let operation = match verdict {
            Verdict::Right(proven) => {
                let upkeep = Effect::of_upkeep(&proven, request).unwrap();
                let effect = upkeep.unwrap_or_else(|| Effect::result(json!({ "done": request.params })));
                *self.effects.entry(request.op_id).or_default() += 1;
                self.issuer.finish(&self.clocks, &mut self.rng, known, *proven, effect).unwrap()
            }
            Verdict::Wrong(wrong) => self.issuer.fail(&self.clocks, known, &wrong).unwrap(),
        };
        let told = answer_of(&operation);
        self.operations.insert(request.op_id, operation);
        Some(told)
    }

    /// An answer reaches the app, and is written.
    pub(crate) fn take(&mut self, answer: &[u8]) -> Result<Received, Untrusted> {
        let received = self.holder.receive(json::read(answer).unwrap())?;
        let received = match received {
            Received::Write { write, action_result } => {
                let bytes = write.slot.to_bytes().unwrap();
                assert!(Slot::from_bytes(bytes.expose()).is_some());
                self.holder.stored(*write);
                Received::Have { action_result }
            }
            Received::FallBack(Some(slot)) | Received::Replaced(Some(slot)) => {
                self.holder.freed(slot);
                received
            }
            _ => received,
        };
        self.restart();
        Ok(received)
    }

    /// The app confirms what is due; `None` when nothing is.
    pub(crate) fn confirm(&mut self) -> Option<Confirmation> {
        let Next::Confirm(confirm) = self.holder.next() else { return None };
        let confirmation = self.send_confirm(&confirm);
        self.restart();
        Some(confirmation)
    }

    fn send_confirm(&mut self, confirm: &Confirm) -> Confirmation {
        let (confirmation, answer) = self.issuer.confirm(confirm);
        match answer {
            ConfirmAnswer::Confirmed(confirmed) => {
                if let Some(slot) = self.holder.confirmed(&confirmed) {
                    self.holder.freed(slot);
                }
            }
            ConfirmAnswer::Stale(result) => {
                let answer = json::canonical(&*result).unwrap();
                let _ = self.take(&answer);
            }
            ConfirmAnswer::Refused => {}
        }
        confirmation
    }

    /// One whole operation with the right password.
    pub(crate) fn once(&mut self) {
        let request = self.ask(SIGN, json!({}), payload(1, false));
        let told = self.handle(&request, Crash::Never).unwrap().bytes();
        self.take(&told).unwrap();
        assert_eq!(self.confirm(), Some(Confirmation::Promoted));
        assert_eq!(self.holder.next(), Next::Nothing);
    }
}

fn answer_of(operation: &Operation) -> Told {
    Told::Result(operation.answer.as_ref().unwrap().expose().to_vec())
}

/// What a disk gives back.
fn copy(operation: &Operation) -> Operation {
    serde_json::from_slice(&serde_json::to_vec(operation).unwrap()).unwrap()
}

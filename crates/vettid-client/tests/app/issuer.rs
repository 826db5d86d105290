//! The vault's side of the Vault Credential: the real issuer, and the actions over secrets in their shortest form.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::collections::BTreeMap;
use vettid_client::random::SystemRandom;
use vettid_core::credential::CHANGE_PASSWORD;
use vettid_core::credential::attempts::{BootId, Clocks};
use vettid_core::credential::issuer::keys::KeyPool;
use vettid_core::credential::issuer::operation::{Effect, Operation, Proven, Verdict};
use vettid_core::credential::issuer::{Begin, ConfirmAnswer, Issuer, NewCredential, creation_binding};
use vettid_crypto::credential::InnerPlace;
use vettid_crypto::kdf::h256;
use vettid_crypto::member_key::MemberKey;
use vettid_crypto::password::{InnerKey, PasswordSalt, StoredPassword};
use vettid_crypto::secret::Secret32;
use vettid_crypto::secret_box::{BoxKey, BoxPlace, Boxed, For, Occasion};
use vettid_crypto::utk::{ProofRequest, request_hash};
use vettid_wire::base64::Base64;
use vettid_wire::credential::{
    ChallengeRequest, ChangePassword, Confirm, ConfirmReply, CreateCredential, CredentialPolicies, CredentialStatus,
    InnerUpdate, JournalHead, ReplenishKeys, ReplenishedKeys, SecretField, UseRequest,
};
use vettid_wire::digest::Digest;
use vettid_wire::envelope::Answer;
use vettid_wire::event::Nothing;
use vettid_wire::id::{EventId, Fingerprint, MemberId, OperationId, SecretId};
use vettid_wire::json;
use vettid_wire::refusal::{Refusal, RefusalCode};
use vettid_wire::secret::{
    ACTIONS, AddSecret, GrantOpened, GrantRef, INNER_LAYER_VERSION, InnerLayer, Input, OpenGrant, RotateSecret,
    SecretList, SecretRef, SecretSummary, StoredSecret, UseSecret, Used,
};
use vettid_wire::time::Timestamp;

/// What a grant opened.
struct OpenGrantEntry {
    scope: GrantRef,
    stored: StoredSecret,
    key: BoxKey,
}

pub(crate) struct TestIssuer {
    guid: MemberId,
    fingerprint: Fingerprint,
    pool: Option<KeyPool>,
    pub(crate) issuer: Option<Issuer>,
    operations: BTreeMap<OperationId, Operation>,
    pub(crate) secrets: Vec<SecretSummary>,
    grants: Vec<OpenGrantEntry>,
    /// Actions that were carried out, in order.
    pub(crate) done: Vec<String>,
    /// The next action is refused.
    pub(crate) refuse: Option<RefusalCode>,
    /// Dies after the attempt is counted.
    pub(crate) die_between: bool,
    /// Proves itself with another token.
    pub(crate) is_impostor: bool,
    /// Where the vault says that its journal stands.
    pub(crate) journal: Option<JournalHead>,
    /// Where the app of the last operation saw it.
    pub(crate) seen: Option<JournalHead>,
}

type Answered = Result<Value, RefusalCode>;

fn rng() -> SystemRandom {
    SystemRandom::new().unwrap()
}

fn clocks(now: Timestamp) -> Clocks {
    Clocks { now, monotonic_ms: u64::try_from(now.unix_ms()).unwrap(), boot_id: BootId([1; 16]) }
}

fn read<T: DeserializeOwned>(body: Value) -> T {
    serde_json::from_value(body).unwrap()
}

fn value(of: &impl Serialize) -> Value {
    serde_json::to_value(of).unwrap()
}

fn stored_answer(operation: &Operation) -> Value {
    json::parse_large(operation.answer.as_ref().unwrap().expose()).unwrap()
}

impl TestIssuer {
    pub(crate) fn new(guid: MemberId, fingerprint: Fingerprint) -> Self {
        Self {
            guid,
            fingerprint,
            pool: None,
            issuer: None,
            operations: BTreeMap::new(),
            secrets: Vec::new(),
            grants: Vec::new(),
            done: Vec::new(),
            refuse: None,
            die_between: false,
            is_impostor: false,
            journal: None,
            seen: None,
        }
    }

    /// A copy of the durable state, to roll back to.
    pub(crate) fn snapshot(&self) -> Value {
        value(&(self.issuer.as_ref().unwrap(), &self.operations))
    }

    pub(crate) fn roll_back(&mut self, snapshot: Value) {
        let (issuer, operations) = read(snapshot);
        (self.issuer, self.operations) = (Some(issuer), operations);
    }

    /// As after a restart: what lay in memory only is gone.
    pub(crate) fn restart(&mut self) {
        self.grants.clear();
    }

    pub(crate) fn act(&mut self, now: Timestamp, event_id: EventId, event: &str, body: Value) -> Answered {
        match event {
            "credential.status" => Ok(value(&self.status(now))),
            "credential.utk.replenish" => Ok(value(&self.replenish(now, &read(body)))),
            "credential.create" => self.create(now, &read(body)),
            "credential.challenge" => self.challenge(now, &read(body)),
            "credential.use" => self.use_once(now, &read(body)),
            "credential.confirm" => self.confirm(&read(body)),
            "secret.list" => Ok(value(&SecretList { secrets: self.secrets.clone() })),
            "grant.use" => self.use_granted(event_id, &read(body)),
            "grant.end" => {
                let scope: GrantRef = read(body);
                self.grants.retain(|grant| grant.scope != scope);
                Ok(value(&Nothing {}))
            }
            _ => Err(RefusalCode::UnsupportedEvent),
        }
    }

    fn status(&self, now: Timestamp) -> CredentialStatus {
        let record = self.issuer.as_ref().map(Issuer::record);
        CredentialStatus {
            exists: record.is_some(),
            cek_version: record.map_or(0, |record| record.current.version),
            credential_epoch: record.map_or(0, |record| record.epoch),
            attempts: record.map_or(0, |record| record.attempts.consecutive),
            attempts_total: record.map_or(0, |record| record.attempts.total),
            locked: record.is_some_and(|record| record.attempts.is_locked(record.limit)),
            retry_after_ms: record.and_then(|record| record.attempts.wait_ms(&clocks(now))),
            transaction_keys: record.map_or(0, |record| u32::try_from(record.pool.unused(now).count()).unwrap()),
            grants: u32::try_from(self.grants.len()).unwrap(),
            journal_head: self.journal.clone(),
            recovery: None,
        }
    }

    fn replenish(&mut self, now: Timestamp, asked: &ReplenishKeys) -> ReplenishedKeys {
        if let Some(issuer) = &mut self.issuer {
            return issuer.replenish(&clocks(now), &mut rng(), asked);
        }
        if let Some(pool) = &mut self.pool {
            return pool.replenish(now, &mut rng(), asked);
        }
        let (pool, new_transaction_keys) = KeyPool::new(now, &mut rng());
        self.pool = Some(pool);
        let live_key_ids = new_transaction_keys.iter().map(|key| key.key_id.clone()).collect();
        ReplenishedKeys { new_transaction_keys, live_key_ids }
    }

    fn create(&mut self, now: Timestamp, asked: &CreateCredential) -> Answered {
        let binding = creation_binding(asked.op_id, value(&asked.terms), asked.key_id.clone());
        let request_hash = request_hash(&binding).unwrap();
        if let Some(known) = self.operations.get(&asked.op_id) {
            assert_eq!(known.record.request_hash, request_hash, "an operation came again with other content");
            return Ok(stored_answer(known));
        }
        if self.issuer.is_some() {
            return Err(RefusalCode::NotAllowed);
        }
        let mut pool = self.pool.take().unwrap();
        let request = ProofRequest { guid: self.guid, binding: &binding };
        let payload = pool.open(now, &request, asked.encrypted_password_hash.as_bytes()).unwrap();
        let salt = PasswordSalt::from_bytes(asked.terms.password_salt.as_bytes().try_into().unwrap());
        let place = InnerPlace { guid: self.guid, issuer: self.fingerprint, inner_seq: 1 };
        let empty = serde_json::to_vec(&InnerLayer { version: INNER_LAYER_VERSION, secrets: vec![] }).unwrap();
        let new = NewCredential {
            guid: self.guid,
            issuer: self.fingerprint,
            epoch: 1,
            password: StoredPassword::new(salt, &payload.proof),
            policies: CredentialPolicies {
                ttl_minutes: asked.terms.ttl_minutes,
                max_failed_attempts: 10,
                authorized_operations: ACTIONS.iter().map(|&action| action.to_owned()).collect(),
            },
            binding: None,
            secrets: place.seal(payload.inner.as_ref().unwrap(), &empty, &mut rng()),
            op_id: asked.op_id,
            request_hash,
            proof_hash: Digest::from_bytes(h256(asked.encrypted_password_hash.as_bytes())),
        };
        let created = Issuer::create(&clocks(now), &mut rng(), new, pool).unwrap();
        let answer = stored_answer(&created.operation);
        self.issuer = Some(created.issuer);
        self.operations.insert(asked.op_id, created.operation);
        self.done.push("credential.create".into());
        Ok(answer)
    }

    fn challenge(&self, now: Timestamp, asked: &ChallengeRequest) -> Answered {
        let host = format!("vettid://{}", self.guid);
        let issuer = self.issuer.as_ref().ok_or(RefusalCode::NotFound)?;
        let proof = issuer.prove(now, &mut rng(), (&host, "credential.use"), asked);
        let mut proof = proof.ok_or(RefusalCode::InvalidRequest)?;
        if self.is_impostor {
            proof.token = Base64::new([7; 32]);
        }
        Ok(value(&proof))
    }

    fn use_once(&mut self, now: Timestamp, request: &UseRequest) -> Answered {
        let (clocks, mut issuer) = (clocks(now), self.issuer.take().unwrap());
        self.seen.clone_from(&request.journal_head);
        let answer = self.use_with(&clocks, &mut issuer, request);
        self.issuer = Some(issuer);
        answer
    }

    fn use_with(&mut self, clocks: &Clocks, issuer: &mut Issuer, request: &UseRequest) -> Answered {
        let known = self.operations.get(&request.op_id);
        let started = match issuer.begin(clocks, request, known).unwrap() {
            Begin::Repeat => return Ok(stored_answer(known.unwrap())),
            Begin::Started(started) => started,
            Begin::Stale(operation) => {
                let answer = stored_answer(&operation);
                self.operations.insert(request.op_id, operation);
                return Ok(answer);
            }
            Begin::Refused { answer, .. } => {
                let answer = answer.ok_or(RefusalCode::InvalidRequest)?;
                return Ok(json::parse_large(answer.expose()).unwrap());
            }
        };
        let reserved = Operation { record: started.operation.record.clone(), at: clocks.now, answer: None };
        self.operations.insert(request.op_id, reserved);
        if std::mem::take(&mut self.die_between) {
            return Err(RefusalCode::Unavailable);
        }
        let verdict = issuer.compare(started.committed(), request).unwrap();
        let operation = match verdict {
            Verdict::Wrong(counted) => issuer.fail(clocks, self.operations.get(&request.op_id), &counted).unwrap(),
            Verdict::Right(proven) => {
                let effect = self.effect(clocks.now, &proven, request);
                let known = self.operations.get(&request.op_id);
                issuer.finish(clocks, &mut rng(), known, *proven, effect).unwrap()
            }
        };
        let answer = stored_answer(&operation);
        self.operations.insert(request.op_id, operation);
        Ok(answer)
    }

    fn confirm(&mut self, asked: &Confirm) -> Answered {
        match self.issuer.as_mut().unwrap().confirm(asked).1 {
            ConfirmAnswer::Confirmed(confirmed) => Ok(value(&ConfirmReply::Confirmed(confirmed))),
            ConfirmAnswer::Stale(result) => Ok(value(&ConfirmReply::Stale(result))),
            ConfirmAnswer::Refused => Err(RefusalCode::InvalidRequest),
        }
    }

    fn effect(&mut self, now: Timestamp, proven: &Proven, request: &UseRequest) -> Effect {
        if let Some(code) = self.refuse.take() {
            return Effect::result(value(&Answer::<Value>::Refused(Refusal { code })));
        }
        self.done.push(request.action.clone());
        let (result, inner) = self.carry_out(now, proven, request);
        Effect { action_result: value(&Answer::Success(result)), inner, policies: None }
    }

    fn carry_out(&mut self, now: Timestamp, proven: &Proven, request: &UseRequest) -> (Value, Option<InnerUpdate>) {
        let mut layer: InnerLayer = serde_json::from_slice(proven.open_secrets().unwrap().expose()).unwrap();
        let (op_id, params) = (request.op_id, request.params.clone());
        let key = BoxKey::of_password(proven.inner_key().unwrap());
        match request.action.as_str() {
            "secret.add" => {
                let asked: AddSecret = read(params);
                let value_place = self.place(Boxed::Value(asked.secret_id), op_id, For::Vault);
                let bytes = value_place.open(&key, asked.sealed.as_bytes()).unwrap();
                let public_key = asked
                    .curve
                    .map(|curve| Base64::new(MemberKey::from_slice(curve, bytes.expose()).unwrap().public_key()));
                layer.secrets.push(StoredSecret {
                    secret_id: asked.secret_id,
                    kind: asked.kind,
                    curve: asked.curve,
                    grant_minutes: asked.grant_minutes,
                    value: SecretField::new(bytes.expose().to_vec()),
                });
                let summary = SecretSummary {
                    secret_id: asked.secret_id,
                    label: asked.label,
                    kind: asked.kind,
                    curve: asked.curve,
                    public_key,
                    category: asked.category,
                    created_at: now,
                    rotated_at: None,
                    last_used_at: None,
                    uses: 0,
                };
                self.secrets.push(summary.clone());
                (value(&summary), Some(reseal(proven, &layer)))
            }
            "secret.rotate" => {
                let asked: RotateSecret = read(params);
                let place = self.place(Boxed::Value(asked.secret_id), op_id, For::Vault);
                let bytes = place.open(&key, asked.sealed.as_bytes()).unwrap();
                let stored = layer.secrets.iter_mut().find(|secret| secret.secret_id == asked.secret_id).unwrap();
                stored.value = SecretField::new(bytes.expose().to_vec());
                let summary = self.secrets.iter_mut().find(|secret| secret.secret_id == asked.secret_id).unwrap();
                summary.rotated_at = Some(now);
                (value(summary), Some(reseal(proven, &layer)))
            }
            "secret.remove" => {
                let asked: SecretRef = read(params);
                layer.secrets.retain(|secret| secret.secret_id != asked.secret_id);
                self.secrets.retain(|secret| secret.secret_id != asked.secret_id);
                (value(&asked), Some(reseal(proven, &layer)))
            }
            "secret.use" => {
                let asked: UseSecret = read(params);
                let stored = layer.secrets.iter().find(|secret| secret.secret_id == asked.secret_id).unwrap();
                (value(&used(self.guid, stored, &asked, Occasion::Operation(op_id), &key)), None)
            }
            "secret.grant" => {
                let OpenGrant { secret_id, operation, minutes, .. } = read(params);
                let at = layer.secrets.iter().position(|secret| secret.secret_id == secret_id).unwrap();
                let grant_key = BoxKey::random(&mut rng());
                let place = self.place(Boxed::GrantKey(secret_id), op_id, For::App);
                let sealed_key = Base64::new(place.seal(&key, grant_key.expose(), &mut rng()));
                let expires_at = now.plus_ms(i64::from(minutes) * 60_000);
                let scope = GrantRef { secret_id, operation };
                self.grants.push(OpenGrantEntry { scope, stored: layer.secrets.swap_remove(at), key: grant_key });
                (value(&GrantOpened { secret_id, operation, expires_at, sealed_key }), None)
            }
            "session.restore" => (value(&Nothing {}), None),
            CHANGE_PASSWORD => {
                let asked: ChangePassword = read(params);
                let place = self.place(Boxed::InnerKey, op_id, For::Vault);
                let inner = place.open(&key, asked.sealed_inner_key.as_bytes()).unwrap();
                let inner = InnerKey::from_secret(Secret32::from_slice(inner.expose()).unwrap());
                let inner_seq = proven.body().inner_seq + 1;
                let place = InnerPlace { inner_seq, ..InnerPlace::of(proven.body()) };
                let secrets = place.seal(&inner, &serde_json::to_vec(&layer).unwrap(), &mut rng());
                let update = InnerUpdate { inner_seq, secrets: Base64::new(secrets), hash: Some(asked.hash) };
                (value(&Nothing {}), Some(update))
            }
            other => panic!("no such action: {other}"),
        }
    }

    fn use_granted(&self, event_id: EventId, asked: &UseSecret) -> Answered {
        let scope = GrantRef { secret_id: asked.secret_id, operation: asked.operation };
        let grant = self.grants.iter().find(|grant| grant.scope == scope).ok_or(RefusalCode::NotFound)?;
        Ok(value(&used(self.guid, &grant.stored, asked, Occasion::Event(event_id), &grant.key)))
    }

    fn place(&self, boxed: Boxed, op_id: OperationId, opened_by: For) -> BoxPlace {
        BoxPlace { guid: self.guid, boxed, occasion: Occasion::Operation(op_id), opened_by }
    }

    pub(crate) fn labels(&self) -> Vec<&str> {
        self.secrets.iter().map(|secret| secret.label.as_str()).collect()
    }

    /// How often an action was carried out.
    pub(crate) fn count(&self, action: &str) -> usize {
        self.done.iter().filter(|done| *done == action).count()
    }

    pub(crate) fn attempts_total(&self) -> u64 {
        self.issuer.as_ref().unwrap().record().attempts.total
    }

    pub(crate) fn secret(&self, label: &str) -> SecretId {
        self.secrets.iter().find(|secret| secret.label == label).unwrap().secret_id
    }
}

fn reseal(proven: &Proven, layer: &InnerLayer) -> InnerUpdate {
    proven.reseal_secrets(&serde_json::to_vec(layer).unwrap(), &mut rng()).unwrap()
}

fn used(guid: MemberId, stored: &StoredSecret, asked: &UseSecret, occasion: Occasion, key: &BoxKey) -> Used {
    let Some(input) = &asked.input else {
        let place = BoxPlace { guid, boxed: Boxed::Value(asked.secret_id), occasion, opened_by: For::App };
        return Used::Sealed(Base64::new(place.seal(key, stored.value.expose(), &mut rng())));
    };
    let signing = MemberKey::from_slice(stored.curve.unwrap(), stored.value.expose()).unwrap();
    let signature = match input {
        Input::Message(message) => signing.sign_message(message.as_bytes()).unwrap(),
        Input::Digest(digest) => signing.sign_digest(digest.as_bytes().try_into().unwrap()).unwrap(),
        Input::Age(_) => panic!("nothing is decrypted here"),
    };
    Used::Signature(Base64::new(signature))
}

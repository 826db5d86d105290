//! Services as the issuer of a credential behind the app's port: the real tokens with their proofs, and the real issuer. What they
//! keep survives whatever happens to the app.

use crate::operator::Operator;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use vettid_client::member_api::{ActionCall, MemberApi};
use vettid_client::random::SystemRandom;
use vettid_client::services::{ServicesAddress, ServicesError};
use vettid_core::action::{self, Action, Call, Grant};
use vettid_core::credential::attempts::{BootId, Clocks};
use vettid_core::credential::issuer::keys::KeyPool;
use vettid_core::credential::issuer::operation::{Effect, Operation, Proven, Verdict};
use vettid_core::credential::issuer::{Begin, ConfirmAnswer, Issuer, NewCredential, creation_binding};
use vettid_crypto::action_token;
use vettid_crypto::identity::{SigningKey, VerifyingKey};
use vettid_crypto::kdf::h256;
use vettid_crypto::password::{PasswordSalt, StoredPassword};
use vettid_crypto::secret::Secret32;
use vettid_crypto::signature::{self, Context};
use vettid_crypto::utk::{ProofRequest, request_hash};
use vettid_wire::action::{ActionGranted, ActionRequest};
use vettid_wire::base64::Base64Url;
use vettid_wire::credential::{
    ChallengeRequest, Confirm, ConfirmReply, CredentialPolicies, CredentialStatus, ReplenishKeys, UseRequest,
};
use vettid_wire::digest::Digest;
use vettid_wire::envelope::Answer;
use vettid_wire::id::{EventId, MemberId, OperationId};
use vettid_wire::recovery::{
    AskRecoverySalt, DecideRecovery, EnterVault, RecoverCredentials, RecoveredCredentials, RecoveryDecided,
    RecoverySaltAnswer, VaultEntrance,
};
use vettid_wire::services_credential::{
    CreateServicesCredential, GUARDED, OPEN_SECRETS, REMOVE_BACKUP, SealedSecrets, ServicesKeys,
};
use vettid_wire::time::Timestamp;

const REFUSED: ServicesError = ServicesError::Refused { status: 403 };

/// What services keep.
pub(crate) struct Desk {
    guid: MemberId,
    key: SigningKey,
    pool: Option<KeyPool>,
    pub(crate) issuer: Option<Issuer>,
    operations: BTreeMap<OperationId, Operation>,
    /// Actions that were carried out, in order.
    pub(crate) done: Vec<String>,
    /// Where services believe to be.
    pub(crate) origin: &'static str,
    /// Nobody reaches them.
    pub(crate) is_away: bool,
    /// Guarded actions wait.
    pub(crate) holds: bool,
    /// The container that a recovery brings, and its salt. The vault lets nobody in.
    pub(crate) container: Option<(RecoverySaltAnswer, RecoveredCredentials)>,
}

pub(crate) type Services = Arc<Mutex<Desk>>;

pub(crate) fn services(guid: MemberId) -> Services {
    Arc::new(Mutex::new(Desk {
        guid,
        key: SigningKey::from_seed(&Secret32::from_bytes([0x51; 32])),
        pool: None,
        issuer: None,
        operations: BTreeMap::new(),
        done: Vec::new(),
        origin: "https://services.test",
        is_away: false,
        holds: false,
        container: None,
    }))
}

fn rng() -> SystemRandom {
    SystemRandom::new().unwrap()
}

fn clocks(now: Timestamp) -> Clocks {
    Clocks { now, monotonic_ms: u64::try_from(now.unix_ms()).unwrap(), boot_id: BootId([2; 16]) }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> T {
    serde_json::from_slice(body).unwrap()
}

fn bytes(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

impl Desk {
    fn grant(&self, now: Timestamp, request: &ActionRequest) -> Result<ActionGranted, ServicesError> {
        if self.is_away {
            return Err(ServicesError::Unreachable("away".into()));
        }
        let holder = VerifyingKey::from_typed(&request.app_key).unwrap();
        signature::verify(Context::ServiceRequest, &holder, request).unwrap();
        assert_eq!(request.guid, self.guid);
        let action = Action::named(&request.action).unwrap();
        let (op_id, req_hash) = (request.op_id, request.req_hash);
        let jti = EventId::v7(now, [6; 10]);
        let grant =
            Grant { origin: "https://services.test", guid: self.guid, holder: &holder, action, op_id, req_hash, jti };
        let claims = grant.claims(now);
        let token = action_token::sign(&claims, &self.key).unwrap();
        let (endpoint, nonce) = (action.endpoint().to_owned(), Base64Url::new([1; 32]));
        Ok(ActionGranted { token, endpoint, nonce, expires_at: now.plus_ms(300_000) })
    }

    fn act(&mut self, now: Timestamp, call: ActionCall<'_>) -> Result<Vec<u8>, ServicesError> {
        let claims = action_token::open(call.token, &self.key.verifying_key()).unwrap();
        let (proof, holder) = action_token::open_proof(call.proof).unwrap();
        let action = Action::named(&claims.action).unwrap();
        assert_eq!(action.endpoint(), call.endpoint);
        let body_hash = Digest::from_bytes(h256(call.body));
        let asked = Call { origin: "https://services.test", action, body_hash, token: call.token };
        action::check(&asked, &claims, (&proof, &holder), now).unwrap();
        match action {
            Action::CredentialStatus => Ok(bytes(&self.status(now))),
            Action::ReplenishKeys => Ok(bytes(&self.replenish(now, &read(call.body)))),
            Action::CreateCredential => self.create(now, &read(call.body)),
            Action::Challenge => self.challenge(now, &read(call.body)),
            Action::UseCredential => self.use_once(now, &read(call.body)),
            Action::ConfirmCredential => self.confirm(&read(call.body)),
            Action::StoreBackup | Action::BackupStatus => Err(REFUSED),
        }
    }

    fn status(&self, now: Timestamp) -> CredentialStatus {
        self.issuer.as_ref().map_or_else(CredentialStatus::default, |issuer| issuer.status(&clocks(now)))
    }

    fn replenish(&mut self, now: Timestamp, asked: &ReplenishKeys) -> ServicesKeys {
        let keys = match &mut self.issuer {
            Some(issuer) => issuer.replenish(&clocks(now), &mut rng(), asked),
            None => {
                let pool = self.pool.get_or_insert_with(|| KeyPool::new(now, &mut rng()).0);
                pool.replenish(now, &mut rng(), asked)
            }
        };
        ServicesKeys {
            issuer: self.key.verifying_key().fingerprint(),
            new_transaction_keys: keys.new_transaction_keys,
            live_key_ids: keys.live_key_ids,
        }
    }

    fn create(&mut self, now: Timestamp, asked: &CreateServicesCredential) -> Result<Vec<u8>, ServicesError> {
        if let Some(known) = self.operations.get(&asked.op_id) {
            return Ok(answer(known));
        }
        if self.issuer.is_some() {
            return Err(ServicesError::Refused { status: 409 });
        }
        let mut pool = self.pool.take().unwrap();
        let params = serde_json::to_value(&asked.terms).unwrap();
        let binding = creation_binding(asked.op_id, params, asked.key_id.clone());
        let request = ProofRequest { guid: self.guid, binding: &binding };
        let payload = pool.open(now, &request, asked.encrypted_password_hash.as_bytes()).unwrap();
        assert!(payload.inner.is_none(), "services got the key of the inner layer");
        let salt = PasswordSalt::from_bytes(asked.terms.password_salt.to_array().unwrap());
        let new = NewCredential {
            guid: self.guid,
            issuer: self.key.verifying_key().fingerprint(),
            epoch: 1,
            password: StoredPassword::new(salt, &payload.proof),
            policies: CredentialPolicies {
                ttl_minutes: None,
                max_failed_attempts: 10,
                authorized_operations: GUARDED.map(str::to_owned).to_vec(),
            },
            binding: None,
            secrets: asked.terms.secrets.as_bytes().to_vec(),
            op_id: asked.op_id,
            request_hash: request_hash(&binding).unwrap(),
            proof_hash: Digest::from_bytes(h256(asked.encrypted_password_hash.as_bytes())),
        };
        let created = Issuer::create(&clocks(now), &mut rng(), new, pool).unwrap();
        self.issuer = Some(created.issuer);
        self.done.push("credential.create".into());
        let answer = answer(&created.operation);
        self.operations.insert(asked.op_id, created.operation);
        Ok(answer)
    }

    fn challenge(&self, now: Timestamp, asked: &ChallengeRequest) -> Result<Vec<u8>, ServicesError> {
        let place = (self.origin, Action::UseCredential.endpoint());
        let issuer = self.issuer.as_ref().ok_or(REFUSED)?;
        issuer.prove(now, &mut rng(), place, asked).map(|proof| bytes(&proof)).ok_or(REFUSED)
    }

    fn use_once(&mut self, now: Timestamp, request: &UseRequest) -> Result<Vec<u8>, ServicesError> {
        let known = self.operations.get(&request.op_id);
        if self.holds && !known.is_some_and(Operation::is_finished) {
            return Err(ServicesError::OnHold);
        }
        let (clocks, issuer) = (clocks(now), self.issuer.as_mut().ok_or(REFUSED)?);
        let started = match issuer.begin(&clocks, request, known).unwrap() {
            Begin::Repeat => return Ok(answer(known.unwrap())),
            Begin::Started(started) => started,
            Begin::Stale(operation) => {
                let answer = answer(&operation);
                self.operations.insert(request.op_id, operation);
                return Ok(answer);
            }
            Begin::Refused { answer, .. } => return answer.map(|answer| answer.expose().to_vec()).ok_or(REFUSED),
        };
        let known = Operation { record: started.operation.record.clone(), at: now, answer: None };
        let operation = match issuer.compare(started.committed(), request).unwrap() {
            Verdict::Wrong(counted) => issuer.fail(&clocks, Some(&known), &counted).unwrap(),
            Verdict::Right(proven) => {
                assert!(proven.inner_key().is_none(), "services got the key of the inner layer");
                self.done.push(request.action.clone());
                let effect = effect(&proven, request);
                issuer.finish(&clocks, &mut rng(), Some(&known), *proven, effect).unwrap()
            }
        };
        let answer = answer(&operation);
        self.operations.insert(request.op_id, operation);
        Ok(answer)
    }

    fn confirm(&mut self, asked: &Confirm) -> Result<Vec<u8>, ServicesError> {
        match self.issuer.as_mut().ok_or(REFUSED)?.confirm(asked).1 {
            ConfirmAnswer::Confirmed(confirmed) => Ok(bytes(&ConfirmReply::Confirmed(confirmed))),
            ConfirmAnswer::Stale(result) => Ok(bytes(&ConfirmReply::Stale(result))),
            ConfirmAnswer::Refused => Err(REFUSED),
        }
    }

    /// How often an action was carried out.
    pub(crate) fn count(&self, action: &str) -> usize {
        self.done.iter().filter(|done| *done == action).count()
    }
}

fn effect(proven: &Proven, request: &UseRequest) -> Effect {
    let success = |value: Value| serde_json::to_value(Answer::Success(value)).unwrap();
    if let Some(effect) = Effect::of_upkeep(proven, request).unwrap() {
        return Effect { action_result: success(Value::Null), ..effect };
    }
    let body = proven.body();
    Effect::result(success(match request.action.as_str() {
        REMOVE_BACKUP => json!({ "removed": true }),
        OPEN_SECRETS => json!(SealedSecrets { inner_seq: body.inner_seq, secrets: body.secrets.clone() }),
        other => panic!("no such action: {other}"),
    }))
}

fn answer(operation: &Operation) -> Vec<u8> {
    operation.answer.as_ref().unwrap().expose().to_vec()
}

impl MemberApi for Operator {
    async fn grant(&self, _: ServicesAddress<'_>, request: &ActionRequest) -> Result<ActionGranted, ServicesError> {
        self.desk.lock().unwrap().grant(self.clock.time(), request)
    }

    async fn act(&self, _: ServicesAddress<'_>, call: ActionCall<'_>) -> Result<Vec<u8>, ServicesError> {
        self.desk.lock().unwrap().act(self.clock.time(), call)
    }

    async fn recovery_salt(
        &self,
        _: ServicesAddress<'_>,
        _: &AskRecoverySalt,
    ) -> Result<RecoverySaltAnswer, ServicesError> {
        let container = self.desk.lock().unwrap().container.clone();
        container.map(|(salt, _)| salt).ok_or(REFUSED)
    }

    async fn recover(
        &self,
        _: ServicesAddress<'_>,
        _: &RecoverCredentials,
    ) -> Result<RecoveredCredentials, ServicesError> {
        let container = self.desk.lock().unwrap().container.clone();
        container.map(|(_, recovered)| recovered).ok_or(REFUSED)
    }

    async fn enter_vault(&self, _: ServicesAddress<'_>, _: &EnterVault) -> Result<VaultEntrance, ServicesError> {
        Err(ServicesError::Refused { status: 423 })
    }

    async fn decide_recovery(
        &self,
        _: ServicesAddress<'_>,
        _: &DecideRecovery,
    ) -> Result<RecoveryDecided, ServicesError> {
        Err(REFUSED)
    }
}

//! Services as the issuer of Vault Services Credentials (spec 2.6 to 2.9): the rules are those of `vettid_core::credential`, the
//! two transactions of a use are here. Services recognise the password and never see it, nor the key of the inner layer.
//! Must never evaluate a password whose attempt is not stored.

use crate::action::Acting;
use crate::clocks::clocks;
use crate::control_plane::ControlPlane;
use crate::http::error::ApiError;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use vettid_core::action::Action;
use vettid_core::credential::attempts::Unlock;
use vettid_core::credential::issuer::keys::KeyPool;
use vettid_core::credential::issuer::operation::{Effect, Operation, Proven, Verdict};
use vettid_core::credential::issuer::record::{Confirmation, Refusal};
use vettid_core::credential::issuer::{Begin, ConfirmAnswer, Issuer, IssuerFailed, NewCredential, creation_binding};
use vettid_core::credential::{CHANGE_PASSWORD, REPLACE_SECRETS};
use vettid_crypto::kdf::h256;
use vettid_crypto::password::{PasswordSalt, StoredPassword};
use vettid_crypto::secret::SecretBytes;
use vettid_crypto::utk::{ProofRequest, request_hash};
use vettid_store::action::Spent;
use vettid_store::audit::{Act, Actor};
use vettid_store::credential::{CredentialCommit, OperationRow};
use vettid_wire::base64::Base64;
use vettid_wire::credential::{
    ChallengeRequest, Confirm, ConfirmReply, CredentialPolicies, CredentialStatus, LatAnswer, ReplenishKeys, UseRequest,
};
use vettid_wire::digest::Digest;
use vettid_wire::envelope::Answer;
use vettid_wire::event::Nothing;
use vettid_wire::id::{MemberId, OperationId};
use vettid_wire::json;
use vettid_wire::recovery::{Notice, NoticeKind};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::services_credential::{
    CreateServicesCredential, GUARDED, NewPhrase, OPEN_SECRETS, REMOVE_BACKUP, REPLACE_PHRASE, SealedSecrets,
    ServicesKeys,
};
use zeroize::Zeroizing;

/// Length of what recognises a phrase.
const VERIFIER_BYTES: usize = 32;
/// Wrong passwords in a row until the lock.
const MAX_ATTEMPTS: u32 = 10;

/// Room for a usual state, so that no half-written copies are left behind while it grows.
const CAPACITY_BYTES: usize = 256 * 1024;

/// What is kept of one member. Its stored form holds keys in clear and is sealed at once.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kept {
    /// Before the first credential.
    Pool(KeyPool),
    /// One credential.
    Issuer(Box<Issued>),
}

/// One credential, and what its holder allowed.
#[derive(Serialize, Deserialize)]
struct Issued {
    issuer: Issuer,
    /// The phrase that may take the place of the present one: what recognises it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next_phrase: Option<Base64>,
}

/// What is kept of one member, and the revision that a change must name.
struct Desk {
    guid: MemberId,
    kept: Kept,
    revision: Option<u64>,
}

/// What goes into a commit besides the issuer.
#[derive(Default)]
struct Along<'a> {
    operation: Option<(OperationId, &'a Operation)>,
    spent: Option<&'a Spent>,
    notice: Option<NoticeKind>,
    removes_backup: bool,
}

impl ControlPlane {
    /// Fresh transaction keys for the app.
    pub(crate) async fn replenish_keys(&self, acting: Acting<ReplenishKeys>) -> Result<ServicesKeys, ApiError> {
        let Acting { spent, request } = acting;
        let (clocks, mut rng) = (clocks(), self.rng());
        let mut desk = self.desk(spent.guid).await?;
        let keys = match &mut desk.kept {
            Kept::Pool(pool) => pool.replenish(clocks.now, &mut rng, &request),
            Kept::Issuer(issued) => issued.issuer.replenish(&clocks, &mut rng, &request),
        };
        self.commit(&desk, Along { spent: Some(&spent), ..Along::default() }).await?;
        Ok(ServicesKeys {
            issuer: self.keys.command_signing.verifying_key().fingerprint(),
            new_transaction_keys: keys.new_transaction_keys,
            live_key_ids: keys.live_key_ids,
        })
    }

    /// Makes the first credential; the answer is a `RESULT`. A repeat of the operation gets the same answer.
    pub(crate) async fn create_credential(
        &self,
        acting: Acting<CreateServicesCredential>,
    ) -> Result<SecretBytes, ApiError> {
        let Acting { spent, request } = acting;
        require_same(spent.op_id, request.op_id)?;
        if let Some(known) = self.operation(spent.guid, request.op_id).await?.filter(Operation::is_finished) {
            self.spend(&spent).await?;
            return answer_of(&known);
        }
        let mut desk = self.desk(spent.guid).await?;
        let Kept::Pool(mut pool) = desk.kept else { return Err(ApiError::Conflict) };
        let new = self.new_credential(spent.guid, &mut pool, &request)?;
        let Some(new) = new else {
            desk.kept = Kept::Pool(pool);
            self.commit(&desk, Along { spent: Some(&spent), ..Along::default() }).await?;
            return Err(ApiError::CredentialRefused);
        };
        let created = Issuer::create(&clocks(), &mut self.rng(), new, pool).map_err(failed)?;
        desk.kept = Kept::Issuer(Box::new(Issued { issuer: created.issuer, next_phrase: None }));
        let operation = Some((request.op_id, &created.operation));
        self.commit(&desk, Along { operation, spent: Some(&spent), ..Along::default() }).await?;
        answer_of(&created.operation)
    }

    /// What a first credential is made of; `None` if the password proof does not open, whose key is used up then.
    fn new_credential(
        &self,
        guid: MemberId,
        pool: &mut KeyPool,
        request: &CreateServicesCredential,
    ) -> Result<Option<NewCredential>, ApiError> {
        let salt = request.terms.password_salt.to_array().map_err(|_| ApiError::InvalidRequest)?;
        let params = serde_json::to_value(&request.terms).map_err(|error| ApiError::internal(&error))?;
        let binding = creation_binding(request.op_id, params, request.key_id.clone());
        let proof_request = ProofRequest { guid, binding: &binding };
        let sealed = request.encrypted_password_hash.as_bytes();
        // An app that sends the inner key as well made a mistake that would open its secrets to services.
        let opened = pool.open(self.now(), &proof_request, sealed).ok().filter(|payload| payload.inner.is_none());
        let Some(payload) = opened else { return Ok(None) };
        Ok(Some(NewCredential {
            guid,
            issuer: self.keys.command_signing.verifying_key().fingerprint(),
            epoch: 1,
            password: StoredPassword::new(PasswordSalt::from_bytes(salt), &payload.proof),
            policies: CredentialPolicies {
                ttl_minutes: None,
                max_failed_attempts: MAX_ATTEMPTS,
                authorized_operations: GUARDED.map(str::to_owned).to_vec(),
            },
            binding: None,
            secrets: request.terms.secrets.as_bytes().to_vec(),
            op_id: request.op_id,
            request_hash: request_hash(&binding).map_err(|_| ApiError::InvalidRequest)?,
            proof_hash: Digest::from_bytes(h256(sealed)),
        }))
    }

    /// How the member's credential stands, for the app.
    pub(crate) async fn credential_status(&self, acting: Acting<Nothing>) -> Result<CredentialStatus, ApiError> {
        let desk = self.desk(acting.spent.guid).await?;
        self.spend(&acting.spent).await?;
        Ok(match &desk.kept {
            Kept::Issuer(issued) => issued.issuer.status(&clocks()),
            Kept::Pool(_) => CredentialStatus::default(),
        })
    }

    /// Whether the holder of a credential has to allow, and did not, that another phrase takes the place of the present one.
    pub(crate) async fn require_allowed_phrase(&self, guid: MemberId, verifier: &Base64) -> Result<(), ApiError> {
        match self.desk(guid).await?.kept {
            Kept::Issuer(issued) if issued.next_phrase.as_ref() != Some(verifier) => Err(ApiError::CredentialRefused),
            _ => Ok(()),
        }
    }

    /// Services prove themselves before a password is typed, for the address at which members reach them.
    pub(crate) async fn challenge(&self, acting: Acting<ChallengeRequest>) -> Result<LatAnswer, ApiError> {
        let Acting { spent, request } = acting;
        let desk = self.desk(spent.guid).await?;
        self.spend(&spent).await?;
        let Kept::Issuer(issued) = &desk.kept else { return Err(ApiError::CredentialRefused) };
        let place = (self.public_url.as_str(), Action::UseCredential.endpoint());
        issued.issuer.prove(self.now(), &mut self.rng(), place, &request).ok_or(ApiError::CredentialRefused)
    }

    /// A `USE`: the attempt is stored, then compared, then its outcome is stored. The answer is a `RESULT`.
    pub(crate) async fn use_credential(&self, acting: Acting<UseRequest>) -> Result<SecretBytes, ApiError> {
        let Acting { spent, request } = acting;
        require_same(spent.op_id, request.op_id)?;
        let known = self.operation(spent.guid, request.op_id).await?;
        let is_over = known.as_ref().is_some_and(Operation::is_finished);
        if !is_over && is_held_back(&request.action) {
            self.require_no_hold(spent.guid).await?;
        }
        let mut desk = self.desk(spent.guid).await?;
        let Kept::Issuer(issued) = &mut desk.kept else {
            self.spend(&spent).await?;
            return Err(ApiError::CredentialRefused);
        };
        let along = Along { spent: Some(&spent), ..Along::default() };
        match issued.issuer.begin(&clocks(), &request, known.as_ref()).map_err(failed)? {
            Begin::Repeat => {
                self.spend(&spent).await?;
                known.as_ref().map_or(Err(ApiError::Internal), answer_of)
            }
            Begin::Started(started) => {
                let operation = Some((request.op_id, &started.operation));
                self.commit(&desk, Along { operation, ..along }).await?;
                self.evaluate(spent.guid, &request, *started).await
            }
            Begin::Stale(operation) => {
                let kept = Some((request.op_id, &operation));
                let notice = Some(NoticeKind::CredentialAlarm);
                self.commit(&desk, Along { operation: kept, notice, ..along }).await?;
                answer_of(&operation)
            }
            Begin::Refused { refusal, answer, .. } => {
                let alarm = matches!(refusal, Refusal::NotGenuine | Refusal::NeverIssued);
                let notice = alarm.then_some(NoticeKind::CredentialAlarm);
                self.commit(&desk, Along { notice, ..along }).await?;
                let answer = answer.ok_or(ApiError::CredentialRefused)?;
                Ok(SecretBytes::copied_from(answer.expose()))
            }
        }
    }

    /// From the stored attempt to its stored outcome. Both are read again: what is compared is what is stored.
    async fn evaluate(
        &self,
        guid: MemberId,
        request: &UseRequest,
        started: vettid_core::credential::issuer::operation::Started,
    ) -> Result<SecretBytes, ApiError> {
        let counted = started.committed();
        let mut desk = self.desk(guid).await?;
        let known = self.operation(guid, request.op_id).await?;
        let Kept::Issuer(issued) = &mut desk.kept else { return Err(ApiError::Internal) };
        let mut along = Along::default();
        let operation = match issued.issuer.compare(counted, request).map_err(failed)? {
            Verdict::Wrong(wrong) => {
                along.notice = Some(NoticeKind::WrongPassword);
                issued.issuer.fail(&clocks(), known.as_ref(), &wrong)
            }
            Verdict::Right(proven) => {
                let effect = carried_out(&proven, request, &mut issued.next_phrase, &mut along);
                issued.issuer.finish(&clocks(), &mut self.rng(), known.as_ref(), *proven, effect)
            }
        };
        let operation = operation.map_err(failed)?;
        along.operation = Some((request.op_id, &operation));
        self.commit(&desk, along).await?;
        answer_of(&operation)
    }

    /// The app has stored the next version.
    pub(crate) async fn confirm_credential(&self, acting: Acting<Confirm>) -> Result<ConfirmReply, ApiError> {
        let Acting { spent, request } = acting;
        require_same(spent.op_id, request.op_id)?;
        let mut desk = self.desk(spent.guid).await?;
        let Kept::Issuer(issued) = &mut desk.kept else {
            self.spend(&spent).await?;
            return Err(ApiError::CredentialRefused);
        };
        let (confirmation, answer) = issued.issuer.confirm(&request);
        let alarm = matches!(confirmation, Confirmation::Stale | Confirmation::NotGenuine);
        let notice = alarm.then_some(NoticeKind::CredentialAlarm);
        self.commit(&desk, Along { spent: Some(&spent), notice, ..Along::default() }).await?;
        match answer {
            ConfirmAnswer::Confirmed(confirmed) => Ok(ConfirmReply::Confirmed(confirmed)),
            ConfirmAnswer::Stale(result) => Ok(ConfirmReply::Stale(result)),
            ConfirmAnswer::Refused => Err(ApiError::CredentialRefused),
        }
    }

    /// A recovery ends the lock; attempts open after a day. A credential that is not locked stays as it is.
    pub(crate) async fn unlock_after_recovery(&self, guid: MemberId) -> Result<(), ApiError> {
        let mut desk = self.desk(guid).await?;
        let Kept::Issuer(issued) = &mut desk.kept else { return Ok(()) };
        let issuer = &mut issued.issuer;
        if !issuer.record().attempts.is_locked(issuer.record().limit) {
            return Ok(());
        }
        issuer.unlock(Unlock::RecoveryPhrase, &clocks());
        self.commit(&desk, Along::default()).await
    }

    async fn desk(&self, guid: MemberId) -> Result<Desk, ApiError> {
        let Some(row) = self.ledger.issuer(guid).await? else {
            let (pool, _) = KeyPool::new(self.now(), &mut self.rng());
            return Ok(Desk { guid, kept: Kept::Pool(pool), revision: None });
        };
        Ok(Desk { guid, kept: self.opened(&place(guid), &row.sealed)?, revision: Some(row.revision) })
    }

    async fn operation(&self, guid: MemberId, op_id: OperationId) -> Result<Option<Operation>, ApiError> {
        let sealed = self.ledger.credential_operation(guid, op_id).await?;
        sealed.map(|sealed| self.opened(&operation_place(guid, op_id), &sealed)).transpose()
    }

    async fn commit(&self, desk: &Desk, along: Along<'_>) -> Result<(), ApiError> {
        let (guid, now) = (desk.guid, self.now());
        let operation = along.operation.map(|(op_id, operation)| {
            let sealed = self.sealed(&operation_place(guid, op_id), operation)?;
            Ok::<_, ApiError>(OperationRow { op_id, sealed, at: now })
        });
        let change = CredentialCommit {
            guid,
            issuer: self.sealed(&place(guid), &desk.kept)?,
            revision: desk.revision,
            operation: operation.transpose()?,
            spent: along.spent,
            notice: along.notice.map(|what| Notice { at: now, what }),
            removes_backup: along.removes_backup,
        };
        let entry = self.entry(Actor::Member(guid), Act::CredentialChanged(guid));
        Ok(self.ledger.commit_credential(&change, &entry).await?)
    }

    async fn spend(&self, spent: &Spent) -> Result<(), ApiError> {
        let act = Act::ActionTaken { token: spent.jti, action: spent.action.clone() };
        Ok(self.ledger.spend(spent, &self.entry(Actor::Member(spent.guid), act)).await?)
    }

    fn sealed(&self, place: &str, value: &impl Serialize) -> Result<Vec<u8>, ApiError> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(CAPACITY_BYTES));
        serde_json::to_writer(&mut *bytes, value).map_err(|error| ApiError::internal(&error))?;
        Ok(self.member_keys.seal(place, &bytes))
    }

    fn opened<T: serde::de::DeserializeOwned>(&self, place: &str, sealed: &[u8]) -> Result<T, ApiError> {
        let opened = self.member_keys.open(place, sealed).map_err(|error| ApiError::internal(&error))?;
        serde_json::from_slice(opened.expose()).map_err(|error| ApiError::internal(&error))
    }
}

/// What waits while a recovery is fresh: everything that the policy names, and a new password.
fn is_held_back(action: &str) -> bool {
    GUARDED.contains(&action) || [CHANGE_PASSWORD, REPLACE_SECRETS].contains(&action)
}

/// Does what a proven operation asks for. An action that cannot be done is finished, too: its result says so.
fn carried_out(
    proven: &Proven,
    request: &UseRequest,
    next_phrase: &mut Option<Base64>,
    along: &mut Along<'_>,
) -> Effect {
    match Effect::of_upkeep(proven, request) {
        Ok(Some(effect)) => return Effect { action_result: succeeded(Value::Null), ..effect },
        Err(_) => return refused(),
        Ok(None) => {}
    }
    Effect::result(match request.action.as_str() {
        REMOVE_BACKUP => {
            along.removes_backup = true;
            along.notice = Some(NoticeKind::BackupRemoved);
            succeeded(json!({ "removed": true }))
        }
        REPLACE_PHRASE => match json::from_value::<NewPhrase>(request.params.clone()) {
            Ok(NewPhrase { verifier }) if verifier.as_bytes().len() == VERIFIER_BYTES => {
                *next_phrase = Some(verifier);
                succeeded(json!({ "allowed": true }))
            }
            _ => return refused(),
        },
        OPEN_SECRETS => {
            let body = proven.body();
            succeeded(json!(SealedSecrets { inner_seq: body.inner_seq, secrets: body.secrets.clone() }))
        }
        _ => return refused(),
    })
}

fn succeeded(value: Value) -> Value {
    json!(Answer::Success(value))
}

fn refused() -> Effect {
    Effect::result(json!(Answer::<Value>::Refused(RefusalCode::InvalidRequest.into())))
}

fn place(guid: MemberId) -> String {
    format!("credential/{guid}")
}

fn operation_place(guid: MemberId, op_id: OperationId) -> String {
    format!("credential/{guid}/{op_id}")
}

fn require_same(of_token: OperationId, of_body: OperationId) -> Result<(), ApiError> {
    if of_token == of_body { Ok(()) } else { Err(ApiError::InvalidRequest) }
}

fn answer_of(operation: &Operation) -> Result<SecretBytes, ApiError> {
    operation.answer.as_ref().map(|answer| SecretBytes::copied_from(answer.expose())).ok_or(ApiError::Conflict)
}

fn failed(error: IssuerFailed) -> ApiError {
    match error {
        IssuerFailed::Overtaken(_) => ApiError::Conflict,
        IssuerFailed::Form(_) => ApiError::InvalidRequest,
        error => ApiError::internal(&error),
    }
}

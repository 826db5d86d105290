//! The issuer of a credential: a vault, or the services of an operator (spec 2.7 to 2.9).
//!
//! A `USE` is two commits of the shell: [`Issuer::begin`] gives the first (the attempt is counted), then
//! [`Issuer::compare`] and the action itself, then [`Issuer::finish`] or [`Issuer::fail`] gives the second. Whatever a step
//! changed in the [`Issuer`] and in the [`Operation`] is stored together, sealed, before the step's answer leaves.
//! Must never run an action, nor evaluate a password whose attempt is not stored.

pub mod keys;
pub mod operation;
pub mod record;

mod create;
mod earlier;

pub use create::{Created, NewCredential, creation_binding};

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use vettid_crypto::credential::{CredentialKey, OuterPlace, SealCredentialError, SealedCredential};
use vettid_crypto::lat::{LatRequest, LedgerAuthToken};
use vettid_crypto::password::StoredPassword;
use vettid_crypto::suite::{Suite, SuiteError};
use vettid_crypto::utk::ProofRequest;
use vettid_wire::base64::Base64;
use vettid_wire::credential::{
    ChallengeRequest, Confirm, Confirmed, CredentialBody, CredentialPackage, CredentialStatus, LatAnswer, LatId,
    LatReference, ReplenishKeys, ReplenishedKeys, UseRequest, UseResult, UseStatus,
};
use vettid_wire::id::{Fingerprint, MemberId, OperationId};
use vettid_wire::json::JsonError;
use vettid_wire::time::Timestamp;

use super::attempts::{Clocks, Unlock};
use super::{REPLACE_DEVICE, is_upkeep};
use earlier::Earlier;
use keys::{IssuedKeys, LedgerKeys};
use operation::{Answer, Counted, Effect, Operation, Proven, Started, Verdict};
use record::{Ask, Confirmation, Issue, IssuerRecord, Judgement, KnownByApp, NotInBackup, Overtaken, Refusal};

/// The durable state of one issuer for one credential. Its stored form holds keys in clear: seal it at once.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    guid: MemberId,
    issuer: Fingerprint,
    record: IssuerRecord,
    issued: Vec<IssuedKeys>,
    ledger_keys: LedgerKeys,
    #[serde(default)]
    earlier: Earlier,
}

/// What a `USE` comes to at first.
#[derive(Debug)]
pub enum Begin {
    /// The operation is over: send its stored [`Operation::answer`] again. Nothing is to be stored.
    Repeat,
    /// Store the issuer and [`Started::operation`], then call [`Started::committed`] and [`Issuer::compare`].
    Started(Box<Started>),
    /// A copy of an earlier credential was used. Store the issuer and the operation, then answer; alarm the member.
    Stale(Operation),
    /// Refused without an effect. Store the issuer if `store` says so.
    Refused {
        /// Why; some of them are alarms.
        refusal: Refusal,
        /// The `RESULT` to send; `None` where the other side gets a bare refusal.
        answer: Option<Answer>,
        /// Whether a wait moved on.
        store: bool,
    },
}

/// What the app hears after a `CONFIRM`.
#[derive(Debug)]
pub enum ConfirmAnswer {
    /// `CONFIRMED`.
    Confirmed(Confirmed),
    /// A `RESULT` with a stale status: [`super::holder::Holder::receive`] takes it.
    Stale(Box<UseResult>),
    /// A bare refusal.
    Refused,
}

/// Why a step cannot be made. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum IssuerFailed {
    /// A request or an answer lies outside the profile.
    #[error("an object of the credential cannot be written")]
    Form(#[from] JsonError),
    /// The next blob cannot be sealed, for example because the member's secrets became too large.
    #[error("the credential cannot be sealed")]
    Seal(#[from] SealCredentialError),
    /// A key cannot be made.
    #[error("a key cannot be made")]
    Key(#[from] SuiteError),
    /// Another operation went before this one, or it is over: begin again.
    #[error(transparent)]
    Overtaken(#[from] Overtaken),
    /// Stored keys and stored rules do not fit each other.
    #[error("the state of the issuer is incomplete")]
    Incomplete,
}

impl Issuer {
    /// The member.
    #[must_use]
    pub fn guid(&self) -> MemberId {
        self.guid
    }

    /// The rules' half of the state.
    #[must_use]
    pub fn record(&self) -> &IssuerRecord {
        &self.record
    }

    /// How the credential stands, for its app; this issuer keeps no grants.
    #[must_use]
    pub fn status(&self, clocks: &Clocks) -> CredentialStatus {
        let IssuerRecord { current, epoch, attempts, limit, pool, .. } = &self.record;
        CredentialStatus {
            exists: true,
            cek_version: current.version,
            credential_epoch: *epoch,
            attempts: attempts.consecutive,
            attempts_total: attempts.total,
            locked: attempts.is_locked(*limit),
            retry_after_ms: attempts.wait_ms(clocks),
            transaction_keys: u32::try_from(pool.unused(clocks.now).count()).unwrap_or(u32::MAX),
            grants: 0,
            journal_head: None,
            recovery: None,
        }
    }

    /// Spec 2.7 step 2 up to the compare. `known` is what is stored of `request.op_id`.
    ///
    /// # Errors
    /// [`IssuerFailed::Form`], [`IssuerFailed::Incomplete`].
    pub fn begin(
        &mut self,
        clocks: &Clocks,
        request: &UseRequest,
        known: Option<&Operation>,
    ) -> Result<Begin, IssuerFailed> {
        let ask = operation::ask(request)?;
        let version = ask.version;
        let sealed = SealedCredential {
            encrypted_blob: request.encrypted_blob.as_bytes().to_vec(),
            ephemeral_public_key: request.ephemeral_public_key.as_bytes().to_vec(),
        };
        self.begin_on(clocks, request, known, (ask, version), &sealed)
    }

    /// As [`Self::begin`], for a device that recovers: it may hold a version that is a little older than the current one
    /// (spec 2.7.6). Such a version is not opened, only recognised; the operation goes on from the newest one, whose package
    /// is in the answer of `newest`, what is stored of [`Self::newest_operation`]. What is not recognised is not counted.
    ///
    /// # Errors
    /// [`IssuerFailed::Form`], [`IssuerFailed::Incomplete`].
    pub fn begin_recovery(
        &mut self,
        clocks: &Clocks,
        request: &UseRequest,
        (known, newest): (Option<&Operation>, Option<&Operation>),
    ) -> Result<Begin, IssuerFailed> {
        let ask = operation::ask(request)?;
        if request.action != REPLACE_DEVICE {
            return self.refused(clocks, request, Refusal::NotAuthorized, false);
        }
        if self.record.accepted(ask.version).is_some() {
            return self.begin(clocks, request, known);
        }
        let package = newest.and_then(Operation::package).filter(|_| self.earlier.recognises(&ask));
        let issue = package.as_ref().and_then(|package| self.record.accepted(package.cek_version));
        let (Some(package), Some(issue)) = (&package, issue) else {
            return self.refused(clocks, request, Refusal::TooOld, false);
        };
        let sealed = SealedCredential {
            encrypted_blob: package.encrypted_blob.as_bytes().to_vec(),
            ephemeral_public_key: package.ephemeral_public_key.as_bytes().to_vec(),
        };
        let presented = ask.version;
        let ask = Ask { version: issue.version, blob_hash: issue.blob_hash, lat: issue.lat.clone(), ..ask };
        self.begin_on(clocks, request, known, (ask, presented), &sealed)
    }

    /// The operation that made the newest version.
    #[must_use]
    pub fn newest_operation(&self) -> Option<OperationId> {
        self.earlier.newest_op()
    }

    /// Whether a device that recovers may use this version: a current one, or an earlier one under the present password.
    #[must_use]
    pub fn knows(&self, version: u64) -> bool {
        self.record.accepted(version).is_some() || self.earlier.token(version).is_some()
    }

    fn begin_on(
        &mut self,
        clocks: &Clocks,
        request: &UseRequest,
        known: Option<&Operation>,
        (ask, presented): (Ask, u64),
        sealed: &SealedCredential,
    ) -> Result<Begin, IssuerFailed> {
        let settled = self.record.attempts.settle(clocks);
        let known = known.map(|known| &known.record);
        let judgement = self.record.judge(clocks, known, &ask);
        let body = match judgement {
            Judgement::Repeat => return Ok(Begin::Repeat),
            Judgement::Refuse(refusal) => return self.refused(clocks, request, refusal, settled),
            Judgement::Stale => {
                let record = self.record.count_stale(clocks, known, &ask);
                let answer = Answer::of(&self.result(request, UseStatus::StaleCredential))?;
                return Ok(Begin::Stale(Operation { record, at: clocks.now, answer: Some(answer) }));
            }
            Judgement::Count | Judgement::Compare => match self.open(&ask, &request.action, sealed)? {
                Ok(body) => body,
                Err(refusal) => return self.refused(clocks, request, refusal, settled),
            },
        };
        let record = match (judgement, known) {
            (Judgement::Compare, Some(known)) => known.clone(),
            _ => self.record.count(clocks, &ask),
        };
        let operation = Operation { record, at: clocks.now, answer: None };
        Ok(Begin::Started(Box::new(Started { operation, counted: Counted { ask, presented, body } })))
    }

    /// Opens the blob and looks at its policy; both before anything is counted.
    fn open(
        &self,
        ask: &Ask,
        action: &str,
        sealed: &SealedCredential,
    ) -> Result<Result<CredentialBody, Refusal>, IssuerFailed> {
        let issue = self.record.accepted(ask.version).ok_or(IssuerFailed::Incomplete)?;
        let keys = self.keys_of(issue.version)?;
        let place = self.place(issue.version, issue.epoch);
        let Ok(body) = keys.key.open(&place, sealed) else { return Ok(Err(Refusal::NotGenuine)) };
        let named = body.policies.authorized_operations.iter().any(|named| named == action);
        Ok(if named || is_upkeep(action) { Ok(body) } else { Err(Refusal::NotAuthorized) })
    }

    fn refused(
        &self,
        clocks: &Clocks,
        request: &UseRequest,
        refusal: Refusal,
        store: bool,
    ) -> Result<Begin, IssuerFailed> {
        let result = refusal.status().map(|status| {
            let mut result = self.result(request, status);
            if let Refusal::Wait { retry_after_ms } = refusal {
                result.retry_after_ms = Some(retry_after_ms);
            }
            if refusal == Refusal::UnknownTransactionKey {
                result.live_key_ids = self.record.pool.unused(clocks.now).cloned().collect();
            }
            result
        });
        let answer = result.as_ref().map(Answer::of).transpose()?;
        Ok(Begin::Refused { refusal, answer, store })
    }

    /// Evaluates the password of an attempt that is stored as counted; in constant time, and the same for a payload that
    /// does not open.
    ///
    /// # Errors
    /// [`IssuerFailed::Overtaken`] if the transaction key is gone.
    pub fn compare(&self, counted: Counted, request: &UseRequest) -> Result<Verdict, IssuerFailed> {
        let key = self.ledger_keys.get(&request.key_id).ok_or(Overtaken)?;
        let binding = operation::binding(request);
        let proof_request = ProofRequest { guid: self.guid, binding: &binding };
        let verifier: StoredPassword = counted.body.auth.hash.parse().map_err(|_| IssuerFailed::Incomplete)?;
        Ok(match key.open(&proof_request, request.encrypted_password_hash.as_bytes()) {
            Ok(payload) if verifier.matches(&payload.proof) => {
                Verdict::Right(Box::new(Proven { counted, inner: payload.inner }))
            }
            _ => Verdict::Wrong(Box::new(counted)),
        })
    }

    /// The second commit after a right password: effect, promotion, next version, answer. `known` is what is stored of the
    /// operation now. Store the issuer and the operation together with what the action changed. An action that could not
    /// be done is finished as well, with a result that says so.
    ///
    /// # Errors
    /// [`IssuerFailed`]; nothing was changed, and the first commit still stands.
    pub fn finish(
        &mut self,
        clocks: &Clocks,
        rng: &mut dyn CryptoRng,
        known: Option<&Operation>,
        proven: Proven,
        effect: Effect,
    ) -> Result<Operation, IssuerFailed> {
        let Counted { ask, presented, body } = proven.counted;
        let known = known.map(|known| &known.record);
        self.record.check_reserved(known, &ask)?;
        let (version, epoch) = self.record.next();
        let body = effect.apply(body, clocks.now, version, epoch);
        let limit = body.policies.max_failed_attempts;
        let (issue, keys, sealed) = make_issue(&body, rng)?;
        let token = keys.token.to_package(issue.lat.lat_id.clone(), version);
        let before = self.record.current.clone();
        let record = self.record.finish(known, &ask, issue)?;
        self.earlier.keep(before, &self.record, &self.issued);
        self.earlier.made(ask.op_id, version, ask.version, &effect);
        self.record.limit = limit;
        self.issued.push(keys);
        let new_transaction_keys = self.ledger_keys.refill(&mut self.record.pool, clocks.now, rng);
        self.wipe();
        let package = CredentialPackage {
            user_guid: self.guid,
            encrypted_blob: Base64::new(sealed.encrypted_blob),
            ephemeral_public_key: Base64::new(sealed.ephemeral_public_key),
            credential_epoch: epoch,
            cek_version: version,
            prev_cek_version: Some(presented),
            ledger_auth_token: token,
            new_transaction_keys,
        };
        let result = UseResult {
            action_result: Some(effect.action_result).filter(|result| !result.is_null()),
            credential_package: Some(package),
            ..self.result_of(ask.op_id, UseStatus::Done)
        };
        Ok(Operation { record, at: clocks.now, answer: Some(Answer::of(&result)?) })
    }

    /// The second commit after a wrong password. Store the issuer and the operation, then answer.
    ///
    /// # Errors
    /// [`IssuerFailed`]; nothing was changed, and the attempt stays counted.
    pub fn fail(
        &mut self,
        clocks: &Clocks,
        known: Option<&Operation>,
        wrong: &Counted,
    ) -> Result<Operation, IssuerFailed> {
        let record = self.record.fail(known.map(|known| &known.record), &wrong.ask)?;
        self.wipe();
        let mut result = self.result_of(wrong.ask.op_id, UseStatus::WrongPassword);
        result.retry_after_ms = self.record.attempts.wait_ms(clocks);
        Ok(Operation { record, at: clocks.now, answer: Some(Answer::of(&result)?) })
    }

    /// `CONFIRM` (spec 2.7 step 5). Store the issuer if this is [`Confirmation::Promoted`], before the answer leaves. The
    /// answer is `CONFIRMED`, a stale status, or a bare refusal.
    pub fn confirm(&mut self, confirm: &Confirm) -> (Confirmation, ConfirmAnswer) {
        let before = self.record.current.clone();
        let confirmation = self.record.confirm(confirm);
        self.earlier.keep(before, &self.record, &self.issued);
        self.wipe();
        let stale = |status| ConfirmAnswer::Stale(Box::new(self.result_of(confirm.op_id, status)));
        let answer = match confirmation {
            Confirmation::Promoted | Confirmation::Already => {
                ConfirmAnswer::Confirmed(Confirmed { op_id: confirm.op_id, cek_version: confirm.cek_version })
            }
            Confirmation::StalePending => stale(UseStatus::StalePending),
            Confirmation::Stale => stale(UseStatus::StaleCredential),
            Confirmation::NotGenuine => ConfirmAnswer::Refused,
        };
        (confirmation, answer)
    }

    /// `credential.utk.replenish` (spec 2.8), inside a session. Store the issuer before the answer leaves.
    pub fn replenish(&mut self, clocks: &Clocks, rng: &mut dyn CryptoRng, asked: &ReplenishKeys) -> ReplenishedKeys {
        self.ledger_keys.replenish(&mut self.record.pool, clocks.now, rng, asked)
    }

    /// The request step (spec 2.8): proves to the app that this is the issuer, for one action at one endpoint. `host` is
    /// `scheme://host` as the app reaches this issuer. `None` for an unknown token or key; refuse barely. Changes nothing.
    pub fn prove(
        &self,
        now: Timestamp,
        rng: &mut dyn CryptoRng,
        (host, endpoint): (&str, &str),
        asked: &ChallengeRequest,
    ) -> Option<LatAnswer> {
        let (issue, token) = match self.record.accepted(asked.lat.version) {
            Some(issue) => (issue, &self.keys_of(issue.version).ok()?.token),
            None if asked.action == REPLACE_DEVICE => self.earlier.token(asked.lat.version)?,
            None => return None,
        };
        let usable = issue.lat.lat_id == asked.lat.lat_id && self.record.pool.unused(now).any(|id| *id == asked.key_id);
        let transaction_key = self.ledger_keys.get(&asked.key_id).filter(|_| usable)?.transaction_key();
        let mut server_nonce = [0; 32];
        rng.fill_bytes(&mut server_nonce);
        let proof = token.prove(&LatRequest {
            issuer: &self.issuer,
            host,
            action: &asked.action,
            endpoint,
            lat_id: &asked.lat.lat_id,
            version: asked.lat.version,
            client_nonce: asked.lat.client_nonce.as_bytes().try_into().ok()?,
            server_nonce: &server_nonce,
            key_id: &asked.key_id,
            transaction_key: transaction_key.public_key.as_bytes().try_into().ok()?,
        });
        Some(LatAnswer {
            lat_id: asked.lat.lat_id.clone(),
            version: asked.lat.version,
            server_nonce: Base64::new(server_nonce),
            token: Base64::new(*proof.as_bytes()),
        })
    }

    /// Starts a restore from the backup that held this state (spec 2.7.6): every transaction key is forgotten, so the app
    /// replenishes first; then it sends one [`RESTORE`](super::RESTORE). Store the issuer.
    ///
    /// # Errors
    /// [`NotInBackup`].
    pub fn restore(&mut self, version: u64, known: &KnownByApp) -> Result<(), NotInBackup> {
        self.record.restore(version, known)?;
        self.earlier.clear();
        self.wipe();
        Ok(())
    }

    /// Ends the lock, after the caller checked phrase or approval. Store the issuer.
    pub fn unlock(&mut self, by: Unlock, clocks: &Clocks) {
        self.record.unlock(by, clocks);
    }

    /// Moves a wait into the present run of the machine. A shell calls this at its start; whether to store the issuer.
    pub fn settle(&mut self, clocks: &Clocks) -> bool {
        self.record.attempts.settle(clocks)
    }

    fn place(&self, cek_version: u64, credential_epoch: u64) -> OuterPlace {
        OuterPlace { guid: self.guid, issuer: self.issuer, credential_epoch, cek_version }
    }

    fn keys_of(&self, version: u64) -> Result<&IssuedKeys, IssuerFailed> {
        self.issued.iter().find(|keys| keys.version == version).ok_or(IssuerFailed::Incomplete)
    }

    fn result(&self, request: &UseRequest, status: UseStatus) -> UseResult {
        self.result_of(request.op_id, status)
    }

    fn result_of(&self, op_id: OperationId, status: UseStatus) -> UseResult {
        UseResult {
            op_id,
            status,
            action_result: None,
            credential_package: None,
            attempts_total: self.record.attempts.total,
            retry_after_ms: None,
            live_key_ids: Vec::new(),
        }
    }

    /// Forgets every key that the rules do not name any more.
    fn wipe(&mut self) {
        self.issued.retain(|keys| self.record.accepted(keys.version).is_some());
        self.ledger_keys.retain(&self.record.pool);
    }
}

/// A new version of the credential: its plain values, its keys, its sealed blob.
fn make_issue(
    body: &CredentialBody,
    rng: &mut dyn CryptoRng,
) -> Result<(Issue, IssuedKeys, SealedCredential), IssuerFailed> {
    let key = CredentialKey::generate(Suite::X25519, rng)?;
    let token = LedgerAuthToken::random(rng);
    let mut name = [0; 16];
    rng.fill_bytes(&mut name);
    let sealed = key.seal(body, rng)?;
    let version = body.cek_version;
    let lat = LatReference { lat_id: LatId::from_random(name), version };
    let issue = Issue { version, epoch: body.credential_epoch, blob_hash: sealed.hash(), lat };
    Ok((issue, IssuedKeys { version, key, token }, sealed))
}

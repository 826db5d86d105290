//! The rules of an issuer over plain values (spec 2.7): which version is accepted, what is counted before the compare,
//! what one operation changes. No key and no secret is here; the model checker drives this file as it stands.
//! Must never accept a version below the floor, nor let one operation have a second effect.

use serde::{Deserialize, Serialize};
use vettid_wire::credential::{Confirm, LatReference, UseStatus};
use vettid_wire::digest::Digest;
use vettid_wire::id::{KeyId, OperationId};

use crate::credential::attempts::{Attempts, Clocks, Unlock};
use crate::credential::pool::Pool;

/// One version of the credential, as its issuer knows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issue {
    /// Number of the credential key; never used twice.
    pub version: u64,
    /// Epoch that the blob is bound to.
    pub epoch: u64,
    /// SHA-256 of the blob bytes.
    pub blob_hash: Digest,
    /// The token that went with it.
    pub lat: LatReference,
}

/// A version that the app has not confirmed yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PendingIssue {
    /// The version.
    pub issue: Issue,
    /// The operation that made it.
    pub op_id: OperationId,
}

/// What the credential may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// For everything that its policy names.
    Active,
    /// For one [`RESTORE`](crate::credential::RESTORE) with the current version, and nothing else (spec 2.7.6).
    Restoring,
}

/// Everything of an issuer's state that is not secret; each decision is made from this alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerRecord {
    /// What the credential may be used for.
    pub mode: Mode,
    /// Epoch of the next blob; rises with each restore.
    pub epoch: u64,
    /// `cur`: the version that was confirmed last.
    pub current: Issue,
    /// `pend`: the version that waits for its confirmation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<PendingIssue>,
    /// Highest confirmed version; nothing below it is accepted ever again.
    pub floor: u64,
    /// Number of the next version.
    pub next_version: u64,
    /// Attempts in a row until the lock.
    pub limit: u32,
    /// The attempts so far.
    pub attempts: Attempts,
    /// The transaction keys.
    pub pool: Pool,
}

/// The plain values of one `USE`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ask {
    /// The operation.
    pub op_id: OperationId,
    /// Hash of everything that the password proof is bound to.
    pub request_hash: Digest,
    /// `H256(encrypted_password_hash)`: tells a repeat from another guess.
    pub proof_hash: Digest,
    /// Version that is used.
    pub version: u64,
    /// SHA-256 of the blob that came.
    pub blob_hash: Digest,
    /// The transaction key.
    pub key_id: KeyId,
    /// The token that the issuer proved.
    pub lat: LatReference,
    /// Whether the action is [`RESTORE`](crate::credential::RESTORE).
    pub restores: bool,
}

/// What is known of one operation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperationRecord {
    /// Hash of its request.
    pub request_hash: Digest,
    /// Of its password payload.
    pub proof_hash: Digest,
    /// How far it is.
    pub state: OperationState,
}

/// How far an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    /// Its attempt is counted and its transaction key reserved; it had no effect.
    Reserved,
    /// It is over, and its answer is stored.
    Finished,
}

/// What is to be done with a `USE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// The operation is over: give the stored answer again.
    Repeat,
    /// Open the blob, [`IssuerRecord::count`], store, and then compare.
    Count,
    /// These very bytes were counted before a crash: open the blob and compare.
    Compare,
    /// A copy of an earlier credential: [`IssuerRecord::count_stale`], store, alarm. The password is not evaluated.
    Stale,
    /// Refuse; nothing of the operation is stored.
    Refuse(Refusal),
}

/// Why a `USE` is refused without being counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// The operation id came with another request or another password payload.
    #[error("the operation is known with another request")]
    OtherRequest,
    /// The issuer never gave out this version: one of both sides was rolled back. Alarm.
    #[error("the version was never issued")]
    NeverIssued,
    /// Blob, member, issuer or token are not those of the version. Alarm.
    #[error("the credential is not genuine")]
    NotGenuine,
    /// The credential's policy does not name the action.
    #[error("the credential may not be used for this")]
    NotAuthorized,
    /// A recovery container whose version is not recognised any more.
    #[error("the version is too old to recover")]
    TooOld,
    /// A restore has to come first, or none is due.
    #[error("the action does not fit the state of the vault")]
    WrongMode,
    /// A later answer took the place of this version: [`UseStatus::StalePending`].
    #[error("the version was replaced before it was confirmed")]
    StalePending,
    /// [`UseStatus::Locked`].
    #[error("too many attempts")]
    Locked,
    /// [`UseStatus::Wait`].
    #[error("the next attempt has to wait")]
    Wait {
        /// So long.
        retry_after_ms: u64,
    },
    /// [`UseStatus::UnknownTransactionKey`].
    #[error("the transaction key is not usable")]
    UnknownTransactionKey,
}

impl Refusal {
    /// The status of the `RESULT` that says it; `None` where the other side gets a bare refusal.
    #[must_use]
    pub fn status(self) -> Option<UseStatus> {
        match self {
            Self::OtherRequest
            | Self::NeverIssued
            | Self::NotGenuine
            | Self::NotAuthorized
            | Self::TooOld
            | Self::WrongMode => None,
            Self::StalePending => Some(UseStatus::StalePending),
            Self::Locked => Some(UseStatus::Locked),
            Self::Wait { .. } => Some(UseStatus::Wait),
            Self::UnknownTransactionKey => Some(UseStatus::UnknownTransactionKey),
        }
    }
}

/// Between its two commits the operation lost its ground: another one went before it, or it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operation was overtaken by another")]
pub struct Overtaken;

/// What a `CONFIRM` came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Confirmation {
    /// The version is now the only one; store, then answer `CONFIRMED`.
    Promoted,
    /// It was confirmed before; answer `CONFIRMED`.
    Already,
    /// A later answer took its place: the app falls back to its other slot.
    StalePending,
    /// An earlier version; alarm.
    Stale,
    /// Not a version of this credential; alarm.
    NotGenuine,
}

impl IssuerRecord {
    /// The state after the first version was made.
    #[must_use]
    pub fn first(issue: Issue, limit: u32, attempts: Attempts, pool: Pool) -> Self {
        Self {
            mode: Mode::Active,
            epoch: issue.epoch,
            floor: issue.version,
            next_version: issue.version.saturating_add(1),
            current: issue,
            pending: None,
            limit,
            attempts,
            pool,
        }
    }

    /// The version with this number, if a `USE` with it is accepted: the current or the pending one, nothing else.
    #[must_use]
    pub fn accepted(&self, version: u64) -> Option<&Issue> {
        let pending = self.pending.as_ref().map(|pending| &pending.issue);
        [Some(&self.current), pending].into_iter().flatten().find(|issue| issue.version == version)
    }

    /// Decides about a `USE` in the order of spec 2.7 step 2; `known` is what is stored of its operation. Changes nothing.
    #[must_use]
    pub fn judge(&self, clocks: &Clocks, known: Option<&OperationRecord>, ask: &Ask) -> Judgement {
        if let Some(known) = known
            && let Some(judgement) = known.judge(ask)
        {
            return judgement;
        }
        if let Err(judgement) = self.judge_version(ask) {
            return judgement;
        }
        if known.is_some_and(|known| known.proof_hash == ask.proof_hash) {
            return Judgement::Compare;
        }
        match self.judge_attempt(clocks, ask) {
            Ok(()) => Judgement::Count,
            Err(refusal) => Judgement::Refuse(refusal),
        }
    }

    fn judge_version(&self, ask: &Ask) -> Result<(), Judgement> {
        let refuse = |refusal| Err(Judgement::Refuse(refusal));
        if ask.restores != (self.mode == Mode::Restoring) {
            return refuse(Refusal::WrongMode);
        }
        let Some(issue) = self.accepted(ask.version) else {
            return match ask.version {
                version if version >= self.next_version => refuse(Refusal::NeverIssued),
                version if version > self.current.version => refuse(Refusal::StalePending),
                _ => Err(Judgement::Stale),
            };
        };
        if issue.blob_hash != ask.blob_hash || issue.lat != ask.lat {
            return refuse(Refusal::NotGenuine);
        }
        Ok(())
    }

    fn judge_attempt(&self, clocks: &Clocks, ask: &Ask) -> Result<(), Refusal> {
        if self.attempts.is_locked(self.limit) {
            return Err(Refusal::Locked);
        }
        if let Some(retry_after_ms) = self.attempts.wait_ms(clocks) {
            return Err(Refusal::Wait { retry_after_ms });
        }
        let carried = self.pool.carries(&ask.key_id, ask.op_id, clocks.now);
        if carried { Ok(()) } else { Err(Refusal::UnknownTransactionKey) }
    }

    /// Durable step 1: the attempt is counted and the transaction key reserved. Stored before anything is compared.
    #[must_use]
    pub fn count(&mut self, clocks: &Clocks, ask: &Ask) -> OperationRecord {
        self.attempts.count(clocks);
        self.pool.reserve(&ask.key_id, ask.op_id);
        ask.operation(OperationState::Reserved)
    }

    /// A copy of an earlier credential was used: counted as a failed attempt, once for each operation.
    #[must_use]
    pub fn count_stale(&mut self, clocks: &Clocks, known: Option<&OperationRecord>, ask: &Ask) -> OperationRecord {
        if known.is_none() && !self.attempts.is_locked(self.limit) {
            self.attempts.count(clocks);
        }
        ask.operation(OperationState::Finished)
    }

    /// The version that the result of this operation will have.
    #[must_use]
    pub fn next(&self) -> (u64, u64) {
        (self.next_version, self.epoch)
    }

    /// Whether the second commit of this operation may still be made: nothing overtook it since the first one.
    ///
    /// # Errors
    /// [`Overtaken`].
    pub fn check_reserved(&self, known: Option<&OperationRecord>, ask: &Ask) -> Result<(), Overtaken> {
        let reserved = known.is_some_and(|known| *known == ask.operation(OperationState::Reserved));
        if reserved && self.judge_version(ask).is_ok() { Ok(()) } else { Err(Overtaken) }
    }

    /// Durable step 2 after a right password: one commit with the effect of the action.
    ///
    /// # Errors
    /// [`Overtaken`]; nothing was changed.
    pub fn finish(
        &mut self,
        known: Option<&OperationRecord>,
        ask: &Ask,
        issue: Issue,
    ) -> Result<OperationRecord, Overtaken> {
        self.check_reserved(known, ask)?;
        if (issue.version, issue.epoch) != self.next() {
            return Err(Overtaken);
        }
        self.attempts.reset();
        self.pool.use_up(&ask.key_id);
        self.promote(ask.version);
        if self.mode == Mode::Restoring {
            self.floor = self.floor.max(ask.version);
            self.mode = Mode::Active;
        }
        self.next_version = issue.version.saturating_add(1);
        self.pending = Some(PendingIssue { issue, op_id: ask.op_id });
        Ok(ask.operation(OperationState::Finished))
    }

    /// Durable step 2 after a wrong password: the attempt stays counted, the operation is over.
    ///
    /// # Errors
    /// [`Overtaken`]; nothing was changed.
    pub fn fail(&mut self, known: Option<&OperationRecord>, ask: &Ask) -> Result<OperationRecord, Overtaken> {
        if known != Some(&ask.operation(OperationState::Reserved)) {
            return Err(Overtaken);
        }
        self.pool.use_up(&ask.key_id);
        Ok(ask.operation(OperationState::Finished))
    }

    /// The app has stored a version durably. Idempotent.
    #[must_use]
    pub fn confirm(&mut self, confirm: &Confirm) -> Confirmation {
        let version = confirm.cek_version;
        let Some(issue) = self.accepted(version) else {
            return match version {
                version if version >= self.next_version => Confirmation::NotGenuine,
                version if version > self.current.version => Confirmation::StalePending,
                _ => Confirmation::Stale,
            };
        };
        if issue.blob_hash != confirm.blob_hash {
            return Confirmation::NotGenuine;
        }
        if self.promote(version) { Confirmation::Promoted } else { Confirmation::Already }
    }

    /// `cur := pend, floor := v'` if this is the pending version; whether it was.
    fn promote(&mut self, version: u64) -> bool {
        let Some(pending) = self.pending.take_if(|pending| pending.issue.version == version) else {
            return false;
        };
        self.floor = pending.issue.version;
        self.current = pending.issue;
        true
    }

    /// Ends the lock.
    pub fn unlock(&mut self, by: Unlock, clocks: &Clocks) {
        self.attempts.unlock(by, clocks);
    }

    /// Starts a restore from a backup that named `version` (spec 2.7.6).
    ///
    /// # Errors
    /// [`NotInBackup`] if the backup does not hold that version; nothing was changed.
    pub fn restore(&mut self, version: u64, known: &KnownByApp) -> Result<(), NotInBackup> {
        self.current = self.accepted(version).ok_or(NotInBackup)?.clone();
        self.pending = None;
        self.mode = Mode::Restoring;
        self.floor = self.current.version;
        self.epoch = self.epoch.max(known.epoch).saturating_add(1);
        self.next_version = self.next_version.max(known.highest_version.saturating_add(1));
        self.attempts.raise_to(known.consecutive, known.attempts_total);
        self.pool.clear();
        Ok(())
    }
}

/// What the app remembers when a vault is restored from an earlier state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KnownByApp {
    /// Highest epoch it has seen.
    pub epoch: u64,
    /// Highest version it has seen.
    pub highest_version: u64,
    /// Attempts in a row that it knows of.
    pub consecutive: u32,
    /// Highest `attempts_total` it has seen.
    pub attempts_total: u64,
}

/// The backup does not hold the version that its manifest names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the backup does not hold this version of the credential")]
pub struct NotInBackup;

impl Ask {
    fn operation(&self, state: OperationState) -> OperationRecord {
        OperationRecord { request_hash: self.request_hash, proof_hash: self.proof_hash, state }
    }
}

impl OperationRecord {
    /// `None`: the request is the one that was reserved, so its version decides.
    fn judge(&self, ask: &Ask) -> Option<Judgement> {
        let same_request = self.request_hash == ask.request_hash;
        let same_bytes = same_request && self.proof_hash == ask.proof_hash;
        match self.state {
            OperationState::Finished if same_bytes => Some(Judgement::Repeat),
            OperationState::Reserved if same_request => None,
            _ => Some(Judgement::Refuse(Refusal::OtherRequest)),
        }
    }
}

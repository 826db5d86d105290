//! Recovery containers, tries to recover, recoveries, and what members have to hear of them. What recognises the phrase
//! arrives sealed; tokens arrive as hashes.

use crate::action::Spent;
use crate::audit::AuditEntry;
use crate::ledger::Pending;
use vettid_core::enrolment::Enrolment;
use vettid_wire::digest::Digest;
use vettid_wire::id::{EventId, MemberId};
use vettid_wire::key::TypedKey;
use vettid_wire::recovery::Notice;
use vettid_wire::time::Timestamp;

/// The app that acts for a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberApp {
    /// Its identity key.
    pub key: TypedKey,
    /// Operations of high value are refused until then: it, or the one before it, came by a recovery that nobody approved.
    pub hold_until: Option<Timestamp>,
}

/// A member's recovery container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBackup {
    /// The member.
    pub guid: MemberId,
    /// Rises with each one.
    pub sequence: u64,
    /// As the app made it.
    pub container: Vec<u8>,
    /// What recognises the phrase, sealed by services.
    pub sealed_verifier: Vec<u8>,
    /// When it was stored.
    pub stored_at: Timestamp,
}

/// A code that lets a new device try once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeRow {
    /// Of its token.
    pub token_hash: Digest,
    /// The member.
    pub guid: MemberId,
    /// When it dies.
    pub expires_at: Timestamp,
}

/// How a try began. The code is used up in every case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Try {
    /// No such code, or not any more.
    Unknown,
    /// Too many tries; this one is not looked at.
    TooOften {
        /// The next one is possible after so long.
        retry_after_ms: i64,
    },
    /// Counted; now the proof may be compared.
    Counted {
        /// The member.
        guid: MemberId,
        /// The container, if the member has one.
        backup: Option<StoredBackup>,
    },
}

/// A new device brought the phrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// Names it.
    pub recovery_id: EventId,
    /// The member.
    pub guid: MemberId,
    /// The identity key of the new device's app.
    pub app_key: TypedKey,
    /// The identity key of the app before, if there was one: its device approves or denies.
    pub old_app_key: Option<TypedKey>,
    /// When.
    pub recovered_at: Timestamp,
    /// Operations of high value are refused until then.
    pub hold_until: Timestamp,
    /// When the old device approved.
    pub approved_at: Option<Timestamp>,
    /// When the old device denied it.
    pub denied_at: Option<Timestamp>,
    /// The enrolment by which the new device reaches the vault, if there is a vault.
    pub session_id: Option<EventId>,
}

/// The ledger's part for recoveries. Every operation is one transaction, as in [`crate::ledger::Ledger`].
pub trait Recoveries: Send + Sync {
    /// The app that acts for the member: that of the completed enrolment, unless a recovery came after it that nobody denied.
    fn app(&self, guid: MemberId) -> Pending<'_, Option<MemberApp>>;

    /// Stores a container; the very same one again changes nothing. Refused: [`crate::ledger::LedgerError::Conflict`] if a
    /// newer one is there, [`crate::ledger::LedgerError::Spent`].
    fn store_backup<'a>(
        &'a self,
        backup: &'a StoredBackup,
        spent: &'a Spent,
        notice: Option<&'a Notice>,
        audit: &'a AuditEntry,
    ) -> Pending<'a, ()>;
    /// The member's container.
    fn backup(&self, guid: MemberId) -> Pending<'_, Option<StoredBackup>>;

    /// Keeps a new code; the member's earlier ones die.
    fn start_recovery<'a>(&'a self, code: &'a CodeRow, notice: &'a Notice, audit: &'a AuditEntry) -> Pending<'a, ()>;
    /// The container behind a living code. Uses nothing up.
    fn backup_of_code(&self, token_hash: Digest, now: Timestamp) -> Pending<'_, Option<StoredBackup>>;
    /// Uses a code up and counts a try, both before anything is compared.
    fn try_recovery<'a>(&'a self, token_hash: Digest, now: Timestamp, audit: &'a AuditEntry) -> Pending<'a, Try>;
    /// Records a recovery, and the enrolment of its device; earlier ones that are not complete are closed. The app of before
    /// does not act at services any more, and its enrolment stands until the new one is complete.
    fn recover<'a>(
        &'a self,
        recovery: &'a Recovery,
        enrolment: Option<&'a Enrolment>,
        audit: &'a AuditEntry,
    ) -> Pending<'a, ()>;
    /// Records the enrolment by which the device of a recovery reaches the vault, in place of any before. Refused:
    /// [`crate::ledger::LedgerError::Missing`] if there is no such recovery, or if it was denied.
    fn enter_vault<'a>(
        &'a self,
        recovery: (MemberId, EventId),
        enrolment: &'a Enrolment,
        audit: &'a AuditEntry,
    ) -> Pending<'a, ()>;
    /// The member's latest recovery.
    fn latest_recovery(&self, guid: MemberId) -> Pending<'_, Option<Recovery>>;
    /// Lifts the hold, or ends the recovery and closes its enrolment. Refused: [`crate::ledger::LedgerError::Missing`] if it
    /// was decided before.
    fn decide_recovery<'a>(
        &'a self,
        recovery: (MemberId, EventId),
        approve: bool,
        at: Timestamp,
        audit: &'a AuditEntry,
    ) -> Pending<'a, ()>;

    /// At most `limit` notices for the member, newest first.
    fn notices(&self, guid: MemberId, limit: u32) -> Pending<'_, Vec<Notice>>;
    /// At most `limit` notices after number `after`, oldest first: what another channel, such as e-mail, has to send.
    fn notices_after(&self, after: u64, limit: u32) -> Pending<'_, Vec<(u64, MemberId, Notice)>>;

    /// Whether anything is kept that services sealed.
    fn holds_sealed(&self) -> Pending<'_, bool>;
}

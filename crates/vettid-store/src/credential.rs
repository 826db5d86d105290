//! The Vault Services Credentials: what services as an issuer keep of each member's. Everything arrives sealed; a change names
//! the revision that it is made from, so that two of them never mix.

use crate::action::Spent;
use crate::audit::AuditEntry;
use crate::ledger::Pending;
use vettid_wire::id::{MemberId, OperationId};
use vettid_wire::recovery::Notice;
use vettid_wire::time::Timestamp;

/// The state of the issuer for one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerRow {
    /// Sealed by services.
    pub sealed: Vec<u8>,
    /// Rises with each change.
    pub revision: u64,
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationRow {
    /// Which.
    pub op_id: OperationId,
    /// Sealed by services.
    pub sealed: Vec<u8>,
    /// When it was stored.
    pub at: Timestamp,
}

/// One transaction of the issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialCommit<'a> {
    /// The member.
    pub guid: MemberId,
    /// The state as it shall stand.
    pub issuer: Vec<u8>,
    /// The revision that it was made from; `None` for the first.
    pub revision: Option<u64>,
    /// The operation as it shall stand.
    pub operation: Option<OperationRow>,
    /// The token that carried it.
    pub spent: Option<&'a Spent>,
    /// What the member has to hear.
    pub notice: Option<Notice>,
    /// Whether the action removes the recovery container.
    pub removes_backup: bool,
}

/// The ledger's part for credentials. Every operation is one transaction, as in [`crate::ledger::Ledger`].
pub trait Credentials: Send + Sync {
    /// The state of the issuer for this member.
    fn issuer(&self, guid: MemberId) -> Pending<'_, Option<IssuerRow>>;
    /// What is stored of an operation, sealed.
    fn credential_operation(&self, guid: MemberId, op_id: OperationId) -> Pending<'_, Option<Vec<u8>>>;
    /// Stores a change; operations older than 90 days are forgotten. Refused: [`crate::ledger::LedgerError::Stale`],
    /// [`crate::ledger::LedgerError::Spent`], [`crate::ledger::LedgerError::Conflict`].
    fn commit_credential<'a>(&'a self, commit: &'a CredentialCommit<'a>, audit: &'a AuditEntry) -> Pending<'a, ()>;
}

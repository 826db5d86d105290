//! The ledger's port. Every operation is one transaction; what changes something writes its audit entry in it: no
//! audit, no act.

use crate::account::Account;
use crate::action::Spent;
use crate::audit::AuditEntry;
use crate::credential::Credentials;
use crate::host::Host;
use crate::listing::Listings;
use crate::recovery::Recoveries;
use crate::revocation::Revocation;
use crate::service::Service;
use crate::vault::{Vault, VaultKeys};
use crate::verification::Verifications;
use std::error::Error;
use std::pin::Pin;
use vettid_core::enrolment::Enrolment;
use vettid_wire::control::Target;
use vettid_wire::digest::Digest;
use vettid_wire::enrolment::RotateSigningKeys;
use vettid_wire::id::{EventId, HostId, KeyId, MemberId, ServiceId};
use vettid_wire::service_keys::RotateServiceKeys;
use vettid_wire::time::Timestamp;

/// An operation under way.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, LedgerError>> + Send + 'a>>;

/// Why an operation had no effect.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Another account has this name.
    #[error("the name is taken")]
    NameTaken,
    /// No host with valid credentials has joined.
    #[error("no host has joined")]
    NoHost,
    /// A key or an id belongs to somebody else, or differs from what was recorded for good.
    #[error("in conflict with what is recorded")]
    Conflict,
    /// The token was used before.
    #[error("the token was used before")]
    Spent,
    /// There is no such record.
    #[error("no such record")]
    Missing,
    /// Somebody else changed the record in between.
    #[error("the record has changed")]
    Stale,
    /// The store holds something that this version cannot read.
    #[error("the store holds an unreadable {0}")]
    Unreadable(&'static str),
    /// The store failed.
    #[error("the store failed")]
    Backend(#[source] Box<dyn Error + Send + Sync>),
}

/// A record with the revision that a change must name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The record.
    pub record: T,
    /// Rises with each change.
    pub revision: u64,
}

/// What is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counter {
    /// Control commands of a key for a target (spec 2.15).
    Control(KeyId, Target),
    /// Profiles of the registry.
    RegistryProfile,
}

/// What services must not forget.
pub trait Ledger: Recoveries + Credentials + Verifications + Listings + Send + Sync {
    /// Opens an account. Refused: [`LedgerError::NameTaken`].
    fn open_account<'a>(&'a self, account: &'a Account, audit: &'a AuditEntry) -> Pending<'a, ()>;
    /// The account of a portal session.
    fn account_of_token(&self, portal_token_hash: Digest) -> Pending<'_, Option<Account>>;

    /// The member's vault; if there is none, the least loaded host whose credentials are valid at `now` is chosen for
    /// it. Refused: [`LedgerError::NoHost`], [`LedgerError::Missing`] without an account.
    fn assign_vault<'a>(&'a self, guid: MemberId, now: Timestamp, audit: &'a AuditEntry) -> Pending<'a, Vault>;
    /// Records the keys of an assigned vault; the same keys again change nothing. Refused: [`LedgerError::Conflict`] if
    /// other keys are recorded or a key belongs to somebody else, [`LedgerError::Missing`] without an assignment.
    fn record_keys<'a>(&'a self, keys: &'a VaultKeys, audit: &'a AuditEntry) -> Pending<'a, ()>;
    /// Records signing keys that the vault made later, and gives all keys as they are now; the same again changes nothing.
    /// Refused: [`LedgerError::Conflict`] if younger keys are recorded or a key belongs to somebody else,
    /// [`LedgerError::Missing`] without a deployed vault.
    fn rotate_signing<'a>(
        &'a self,
        guid: MemberId,
        asked: &'a RotateSigningKeys,
        audit: &'a AuditEntry,
    ) -> Pending<'a, VaultKeys>;
    /// The member's vault.
    fn vault(&self, guid: MemberId) -> Pending<'_, Option<Vault>>;

    /// Begins an enrolment and closes the member's earlier ones.
    fn start_enrolment<'a>(&'a self, enrolment: &'a Enrolment, audit: &'a AuditEntry) -> Pending<'a, ()>;
    /// The enrolment of this name.
    fn enrolment(&self, session_id: EventId) -> Pending<'_, Option<Versioned<Enrolment>>>;
    /// The enrolment of a valid enrolment token.
    fn enrolment_of_token(&self, token_hash: Digest) -> Pending<'_, Option<Versioned<Enrolment>>>;
    /// The member's latest enrolment.
    fn latest_enrolment(&self, guid: MemberId) -> Pending<'_, Option<Enrolment>>;
    /// The member's latest completed enrolment: the one whose app the vault knows.
    fn completed_enrolment(&self, guid: MemberId) -> Pending<'_, Option<Enrolment>>;
    /// Stores the next state of an enrolment; a completed one makes the vault active. Refused: [`LedgerError::Stale`].
    fn advance_enrolment<'a>(&'a self, next: &'a Versioned<Enrolment>, audit: &'a AuditEntry) -> Pending<'a, ()>;

    /// Records a host or its new credentials, and gives what was recorded before. Refused: [`LedgerError::Conflict`] if
    /// a key belongs to another host.
    fn join_host<'a>(&'a self, host: &'a Host, audit: &'a AuditEntry) -> Pending<'a, Option<Host>>;
    /// The host of this name.
    fn host<'a>(&'a self, host_id: &'a HostId) -> Pending<'a, Option<Host>>;
    /// The host has answered.
    fn host_seen<'a>(&'a self, host_id: &'a HostId, at: Timestamp) -> Pending<'a, ()>;

    /// Records a service; its space and its account stay what they are. Refused: [`LedgerError::Conflict`].
    fn register_service<'a>(&'a self, service: &'a Service, audit: &'a AuditEntry) -> Pending<'a, ()>;
    /// The service of this name.
    fn service<'a>(&'a self, service_id: &'a ServiceId) -> Pending<'a, Option<Service>>;

    /// Records signing keys that a service's gateway made later, and gives the service as it is now; the same again changes nothing.
    /// Refused: [`LedgerError::Conflict`] if younger keys are recorded or a key belongs to somebody else, [`LedgerError::Missing`].
    fn rotate_service_signing<'a>(
        &'a self,
        asked: &'a RotateServiceKeys,
        audit: &'a AuditEntry,
    ) -> Pending<'a, Service>;

    /// Uses up a token of the HTTP API that changes nothing else. Refused: [`LedgerError::Spent`],
    /// [`LedgerError::Conflict`] if its operation is known with another request.
    fn spend<'a>(&'a self, spent: &'a Spent, audit: &'a AuditEntry) -> Pending<'a, ()>;

    /// How many services are registered.
    fn count_services(&self) -> Pending<'_, u64>;

    /// Cuts off a user; an earlier time than the recorded one changes nothing.
    fn revoke<'a>(&'a self, revocation: &'a Revocation, audit: &'a AuditEntry) -> Pending<'a, ()>;
    /// Everybody cut off from this account, by key.
    fn revocations<'a>(&'a self, account_nkey: &'a str) -> Pending<'a, Vec<Revocation>>;

    /// The next number, from 1. A number is given out once, whatever happens next.
    fn next_number<'a>(&'a self, counter: &'a Counter) -> Pending<'a, u64>;

    /// Writes an entry about an act that changes nothing else here.
    fn note<'a>(&'a self, audit: &'a AuditEntry) -> Pending<'a, ()>;
    /// At most `limit` entries after number `after`, oldest first, with their numbers.
    fn audit(&self, after: u64, limit: u32) -> Pending<'_, Vec<(u64, AuditEntry)>>;

    /// Whether the store answers.
    fn ping(&self) -> Pending<'_, ()>;
}

//! What the registry knows of who services are. Nothing here is secret.

use crate::audit::AuditEntry;
use crate::ledger::{Pending, Versioned};
use vettid_core::directory::Verification;
use vettid_wire::id::ServiceId;
use vettid_wire::time::Timestamp;

/// What is known of services, and which of it has to be looked at.
pub trait Verifications {
    /// What is known of a service.
    fn verification<'a>(&'a self, service_id: &'a ServiceId) -> Pending<'a, Option<Versioned<Verification>>>;
    /// Stores what is known now in the place of this revision (0: nothing), to be looked at again at a time. Refused:
    /// [`LedgerError::Stale`](crate::ledger::LedgerError::Stale), [`LedgerError::Missing`](crate::ledger::LedgerError::Missing) without the service.
    fn put_verification<'a>(
        &'a self,
        next: &'a Versioned<Verification>,
        due_at: Option<Timestamp>,
        audit: &'a AuditEntry,
    ) -> Pending<'a, ()>;
    /// The services to be looked at until a time, the longest waiting first.
    fn due_verifications(&self, until: Timestamp, limit: u32) -> Pending<'_, Vec<ServiceId>>;
}

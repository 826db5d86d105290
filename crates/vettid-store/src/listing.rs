//! What services tell the directory of themselves: their kind and the contract that they offer.

use crate::audit::AuditEntry;
use crate::ledger::Pending;
use vettid_wire::category::{Category, ServiceListing};
use vettid_wire::id::ServiceId;

/// Listings of services, one for each.
pub trait Listings {
    /// The listing of a service.
    fn listing<'a>(&'a self, service_id: &'a ServiceId) -> Pending<'a, Option<ServiceListing>>;
    /// Puts a listing in the place of an older one; the same again changes nothing. Refused: [`LedgerError::Conflict`](crate::ledger::LedgerError::Conflict)
    /// if a younger one is there, [`LedgerError::Missing`](crate::ledger::LedgerError::Missing) without the service.
    fn put_listing<'a>(&'a self, listing: &'a ServiceListing, audit: &'a AuditEntry) -> Pending<'a, ()>;
    /// The listings of a category, at most so many.
    fn listings_of<'a>(&'a self, category: &'a Category, limit: u32) -> Pending<'a, Vec<ServiceListing>>;
}

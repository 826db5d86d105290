//! The services that members may connect with.

use vettid_wire::enrolment::RegisterService;
use vettid_wire::time::Timestamp;

/// A registered service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// As it registered.
    pub registration: RegisterService,
    /// When it registered first.
    pub registered_at: Timestamp,
}

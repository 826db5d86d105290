//! What the app adds to a proposal of its member: an id that no other proposal has, and an end.

use crate::app::{App, Ports};
use crate::clock::Clock as _;
use crate::random;
use vettid_wire::id::AgreementId;
use vettid_wire::time::Timestamp;

impl<P: Ports> App<P> {
    /// An id for a new proposal.
    pub fn fresh_agreement_id(&self) -> AgreementId {
        AgreementId::v7(self.ports.clock().now(), random::bytes(&mut self.ports.random()))
    }

    /// A point in time so many milliseconds from now.
    pub fn after_ms(&self, ms: i64) -> Timestamp {
        self.ports.clock().now().plus_ms(ms)
    }
}

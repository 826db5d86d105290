//! The services that members may connect with.

use crate::vault::{SigningRotation, Wanted};
use vettid_wire::enrolment::RegisterService;
use vettid_wire::service_keys::{RotateServiceKeys, ServiceSigningNkeys};
use vettid_wire::time::Timestamp;

/// A registered service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// As it registered. Its account never changes; `signing` stands for the signing keys once they did.
    pub registration: RegisterService,
    /// When it registered first.
    pub registered_at: Timestamp,
    /// The keys that sign the credentials of users, once they were changed.
    pub signing: Option<SigningRotation<ServiceSigningNkeys>>,
}

impl Service {
    /// The keys that sign now.
    #[must_use]
    pub fn current_signing(&self) -> ServiceSigningNkeys {
        if let Some(rotation) = &self.signing {
            return rotation.current.clone();
        }
        ServiceSigningNkeys {
            vault: self.registration.vault_signing_nkey.clone(),
            connection: self.registration.connection_signing_nkey.clone(),
            claim: self.registration.claim_signing_nkey.clone(),
        }
    }

    /// What stands on record after a request of the gateway; `None` if it is older than that, or about other keys of the same time.
    #[must_use]
    pub fn rotated(&self, asked: &RotateServiceKeys) -> Option<SigningRotation<ServiceSigningNkeys>> {
        let wanted = Wanted { since: asked.since, keys: &asked.keys, keeps_former: asked.keeps_former };
        SigningRotation::after(self.signing.as_ref(), || self.current_signing(), &wanted)
    }
}

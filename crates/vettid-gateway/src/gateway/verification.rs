//! How members can see who the service is: its claim of a domain at the registry, and what the registry says of it. Nothing is kept here: the
//! registry knows, and it alone decides.

use super::Gateway;
use crate::clock;
use crate::registration::{self, RegistrationError};
use vettid_crypto::directory::sign_claim;
use vettid_crypto::nats::key::InvalidKey;
use vettid_crypto::signature::SignatureError;
use vettid_wire::base64::Base64;
use vettid_wire::directory::{AskDomainChallenge, Domain, DomainClaim, DomainClaimed, ServiceStanding, record_text};

/// The claim could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ClaimFailed {
    /// The account's key cannot be used.
    #[error(transparent)]
    Key(#[from] InvalidKey),
    /// It cannot be signed.
    #[error("the claim cannot be signed")]
    Sign(#[from] SignatureError),
    /// Services.
    #[error(transparent)]
    Services(#[from] RegistrationError),
}

impl Gateway {
    /// What the record of the service's domain has to say.
    #[must_use]
    pub fn domain_record(&self) -> String {
        record_text(self.0.service_id(), &self.fingerprint())
    }

    /// Claims a domain; services look at its record at once.
    ///
    /// # Errors
    /// See [`ClaimFailed`].
    pub async fn claim_domain(&self, domain: Domain) -> Result<DomainClaimed, ClaimFailed> {
        let (services, service_id) = (&self.0.config.services, self.0.service_id().clone());
        let asked = AskDomainChallenge { service_id: service_id.clone(), domain: domain.clone() };
        let challenge = registration::domain_challenge(services, &asked).await?.challenge;
        let claim = {
            let identity = self.0.identity();
            let key = identity.signing_key();
            let claim = DomainClaim {
                service_id,
                guid: identity.guid,
                domain,
                public_key: key.verifying_key().typed(),
                challenge,
                at: clock::now(),
                key_id: key.key_id(),
                signature: Base64::default(),
            };
            sign_claim(key, &identity.account()?, claim)?
        };
        Ok(registration::claim_domain(services, &claim).await?)
    }

    /// What the registry says of the service now.
    ///
    /// # Errors
    /// [`RegistrationError`] if services do not answer.
    pub async fn standing(&self) -> Result<ServiceStanding, RegistrationError> {
        Ok(registration::entry(&self.0.config.services, self.0.service_id()).await?.standing)
    }
}

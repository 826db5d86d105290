//! How members can see who the service is: its claim of a domain at the registry, what it tells the directory of itself, and what the
//! registry says of it. Nothing is kept here: the registry knows, and it alone decides.

use super::start::slept;
use super::{Gateway, Shared};
use crate::clock;
use crate::registration::{self, RegistrationError};
use std::sync::Arc;
use std::time::Duration;
use vettid_crypto::directory::{sign_claim, sign_listing};
use vettid_crypto::nats::key::InvalidKey;
use vettid_crypto::signature::SignatureError;
use vettid_wire::base64::Base64;
use vettid_wire::category::{Category, Listed, ServiceListing};
use vettid_wire::contract::Contract;
use vettid_wire::directory::{AskDomainChallenge, Domain, DomainClaim, DomainClaimed, ServiceStanding, record_text};

/// Between two looks at the contract on offer.
const LOOK_AGAIN: Duration = Duration::from_secs(20);
/// The directory is told again after this time, in milliseconds.
const TELL_AGAIN_MS: i64 = 24 * 3600 * 1000;

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

/// Tells the directory of the contract on offer: at the start, when another one is published, and once a day, for as long as the gateway runs.
pub(super) async fn keep_listed(shared: Arc<Shared>) {
    let Some(category) = shared.config.category.clone() else { return };
    let (mut told, mut told_at, mut pause) = (None, clock::now(), Duration::ZERO);
    while slept(&shared, pause).await {
        pause = LOOK_AGAIN;
        let (contract, now) = (shared.contracts.newest().contract.clone(), clock::now());
        let is_old = now.since_ms(told_at) >= TELL_AGAIN_MS;
        if !is_old && told.as_ref() == Some(&contract) {
            continue;
        }
        match list(&shared, category.clone(), contract.clone()).await {
            Ok(_) => (told, told_at) = (Some(contract), now),
            Err(error) => tracing::warn!(%error, "the directory was not told of the contract"),
        }
    }
}

async fn list(shared: &Shared, category: Category, contract: Contract) -> Result<Listed, ClaimFailed> {
    let listing = {
        let identity = shared.identity();
        let key = identity.signing_key();
        let listing = ServiceListing {
            service_id: shared.service_id().clone(),
            guid: identity.guid,
            category,
            contract,
            public_key: key.verifying_key().typed(),
            at: clock::now(),
            key_id: key.key_id(),
            signature: Base64::default(),
        };
        sign_listing(key, &identity.account()?, listing)?
    };
    Ok(registration::list(&shared.config.services, &listing).await?)
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

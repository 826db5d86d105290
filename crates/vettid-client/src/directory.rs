//! How well the services that a member meets are known, and what others of their kind ask: asked of the registry of the member's operator, and believed only under its
//! signature, in its time and for the very identity that the member's vault met. Must never show a level for anything less.

use crate::app::{App, Ports};
use crate::clock::Clock;
use crate::command::CommandError;
use crate::services::{ServicesAddress, ServicesError};
use crate::state::{self, State};
use crate::store::Store;
use serde::Serialize;
use std::future::Future;
use vettid_core::comparison::{Unusual, unusual};
use vettid_crypto::directory::{StandingError, level_of, verify_standing, verify_statistics};
use vettid_crypto::identity::VerifyingKey;
use vettid_crypto::profile;
use vettid_wire::category::{AskComparison, Category, ComparisonBasis, LEAST_SERVICES};
use vettid_wire::contract::Contract;
use vettid_wire::directory::{AskStandings, Certification, Level, MAX_STANDINGS, Standings, VerifiedDomain};
use vettid_wire::id::{Fingerprint, ServiceId};
use vettid_wire::key_record::KeyRole;
use vettid_wire::profile::SignedProfile;
use vettid_wire::time::Timestamp;

/// The part of services that tells how well services are known.
pub trait DirectoryApi: Send + Sync {
    /// What the registry says of these services now (`POST /v1/registry/standings`).
    ///
    /// # Errors
    /// [`ServicesError`].
    fn standings(
        &self,
        at: ServicesAddress<'_>,
        asked: &AskStandings,
    ) -> impl Future<Output = Result<Standings, ServicesError>> + Send;

    /// What services of the same kind ask (`POST /v1/registry/comparison`).
    ///
    /// # Errors
    /// [`ServicesError`].
    fn comparison(
        &self,
        at: ServicesAddress<'_>,
        asked: &AskComparison,
    ) -> impl Future<Output = Result<ComparisonBasis, ServicesError>> + Send;
}

/// A service as the member's vault met it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Met {
    /// What it calls itself.
    pub service_id: ServiceId,
    /// The identity that it came with.
    pub fingerprint: Fingerprint,
}

/// How well a service is known, for the eyes of the member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Badge {
    /// The level.
    pub level: Level,
    /// Its domain, in ASCII; only if it is verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<VerifiedDomain>,
    /// The operator's word; only if it is certified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certification: Option<Certification>,
    /// Why it is not verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<WhyNot>,
}

/// Why a service is not verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WhyNot {
    /// It has not proved a domain, or its proof is gone.
    NotProved,
    /// The registry does not know it.
    NotListed,
    /// Somebody else has proved a domain under this name.
    OtherIdentity,
    /// What came is not signed by the registry, or not for today.
    NotGenuine,
    /// The registry cannot be asked.
    Unreachable,
}

impl Badge {
    fn none(reason: WhyNot) -> Self {
        Self { level: Level::Unverified, domain: None, certification: None, reason: Some(reason) }
    }
}

impl<P: Ports> App<P> {
    /// How well each of these services is known, in their order. If the registry cannot be asked, none is.
    ///
    /// # Errors
    /// [`CommandError`] if the app's own state cannot be read.
    pub async fn badges(&self, met: &[Met]) -> Result<Vec<Badge>, CommandError>
    where
        P::Services: DirectoryApi,
    {
        let (url, trust) = self.registry_address().await?;
        let at = ServicesAddress { url: &url, trust: &trust };
        let mut badges = Vec::with_capacity(met.len());
        for some in met.chunks(MAX_STANDINGS) {
            let services = some.iter().map(|met| met.service_id.clone()).collect();
            let said = self.ports.services().standings(at, &AskStandings { services }).await.ok();
            let now = self.ports.clock().now();
            badges.extend(some.iter().map(|met| said.as_ref().map_or_else(unreachable, |said| badge(met, said, now))));
        }
        Ok(badges)
    }

    /// Where the registry of the member's operator is, and the authority that certifies it.
    async fn registry_address(&self) -> Result<(String, String), CommandError> {
        let hold = self.ports.store().hold().await?;
        match state::load(&hold)? {
            Some(State::Enrolled(member)) => {
                Ok((member.origin.services_url.clone(), self.trust_of(&member).to_owned()))
            }
            _ => Err(CommandError::NotEnrolled),
        }
    }
}

/// What a contract asks beside what services of its kind ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// The kind, as the service says itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<Category>,
    /// How many services were counted, each with a verified domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub services: Option<u32>,
    /// What few of them ask.
    pub unusual: Vec<Unusual>,
    /// Why there is no comparison.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<WhyNoComparison>,
}

/// Why a contract cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WhyNoComparison {
    /// The service does not say of which kind it is.
    NoCategory,
    /// There are fewer than five verified services of the kind.
    TooFew,
    /// What came is not signed by the registry, or not for today.
    NotGenuine,
    /// The registry cannot be asked.
    Unreachable,
}

impl<P: Ports> App<P> {
    /// Compares a contract with what services of the same kind ask.
    ///
    /// # Errors
    /// [`CommandError`] if the app's own state cannot be read.
    pub async fn comparison(&self, contract: &Contract) -> Result<Comparison, CommandError>
    where
        P::Services: DirectoryApi,
    {
        let (url, trust) = self.registry_address().await?;
        let asked = AskComparison { service_id: contract.service_id.clone() };
        let said = self.ports.services().comparison(ServicesAddress { url: &url, trust: &trust }, &asked).await;
        Ok(match said {
            Ok(basis) => compared(contract, basis, self.ports.clock().now()),
            Err(_) => none(None, WhyNoComparison::Unreachable),
        })
    }
}

fn none(category: Option<Category>, reason: WhyNoComparison) -> Comparison {
    Comparison { category, services: None, unusual: vec![], reason: Some(reason) }
}

/// What may be said of a contract after what the registry said.
fn compared(contract: &Contract, basis: ComparisonBasis, now: Timestamp) -> Comparison {
    let Some(key) = registry(basis.registry, now) else {
        return none(None, WhyNoComparison::NotGenuine);
    };
    let Some(statistics) = basis.statistics else {
        return none(None, WhyNoComparison::NoCategory);
    };
    let statistics = match verify_statistics(&key, statistics, now) {
        Ok(statistics) if statistics.get().service_id == contract.service_id => statistics.into_inner(),
        _ => return none(None, WhyNoComparison::NotGenuine),
    };
    match statistics.counted.filter(|counted| counted.services >= LEAST_SERVICES) {
        None => none(Some(statistics.category), WhyNoComparison::TooFew),
        Some(counted) => Comparison {
            category: Some(statistics.category),
            services: Some(counted.services),
            unusual: unusual(contract, &counted),
            reason: None,
        },
    }
}

fn unreachable() -> Badge {
    Badge::none(WhyNot::Unreachable)
}

/// What may be shown of a service after what the registry said.
fn badge(met: &Met, said: &Standings, now: Timestamp) -> Badge {
    let Some(registry) = registry(said.registry.clone(), now) else {
        return Badge::none(WhyNot::NotGenuine);
    };
    let Some(standing) = said.standings.iter().find(|standing| standing.service_id == met.service_id) else {
        return Badge::none(WhyNot::NotListed);
    };
    let standing = match verify_standing(&registry, standing.clone(), now) {
        Ok(standing) => standing,
        Err(StandingError::Signature | StandingError::Time | StandingError::Form) => {
            return Badge::none(WhyNot::NotGenuine);
        }
    };
    match (standing.get().level, level_of(&standing, &met.fingerprint)) {
        (Level::Unverified, _) => Badge::none(WhyNot::NotProved),
        (_, Level::Unverified) => Badge::none(WhyNot::OtherIdentity),
        (_, level) => {
            let standing = standing.into_inner();
            Badge { level, domain: standing.domain, certification: standing.certification, reason: None }
        }
    }
}

fn registry(signed: SignedProfile, now: Timestamp) -> Option<VerifyingKey> {
    let verified = profile::verify(signed, now).ok()?;
    let is_registry = verified.key_record().record().role == KeyRole::Registry;
    is_registry.then(|| VerifyingKey::from_typed(&verified.get().public_key).ok()).flatten()
}

#[cfg(test)]
mod tests;

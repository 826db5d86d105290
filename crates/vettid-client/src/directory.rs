//! How well the services that a member meets are known, and what others of their kind ask: asked of the registry of the member's operator, and believed only under its
//! signature, in its time, of the registry that the app knows, and for the very identity that the member's vault met. Must never show a level for anything less.

mod registry;

pub use registry::RegistryView;

use crate::app::{App, Ports};
use crate::clock::Clock;
use crate::command::CommandError;
use crate::services::{ServicesAddress, ServicesError};
use registry::{Doubt, genuine};
use serde::Serialize;
use std::future::Future;
use vettid_core::comparison::{Unusual, unusual};
use vettid_crypto::directory::{StandingError, level_of, verify_standing, verify_statistics};
use vettid_crypto::identity::VerifyingKey;
use vettid_wire::category::{AskComparison, Category, CategoryStatistics, ComparisonBasis, LEAST_SERVICES};
use vettid_wire::contract::Contract;
use vettid_wire::directory::{
    AskStandings, Certification, Level, MAX_STANDINGS, ServiceStanding, Standings, VerifiedDomain,
};
use vettid_wire::id::{Fingerprint, ServiceId};
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
    /// The registry signs with another key than the one that the app knows: see [`App::registry`].
    OtherRegistry,
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
            let Some(said) = said else {
                badges.extend(some.iter().map(|_| Badge::none(WhyNot::Unreachable)));
                continue;
            };
            let now = self.ports.clock().now();
            let registry = self.believed(genuine(said.registry, now)).await?;
            badges.extend(some.iter().map(|met| badge(met, (&registry, &said.standings), now)));
        }
        Ok(badges)
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
    /// The registry signs with another key than the one that the app knows: see [`App::registry`].
    OtherRegistry,
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
        let Ok(basis) = said else {
            return Ok(none(None, WhyNoComparison::Unreachable));
        };
        let now = self.ports.clock().now();
        let registry = self.believed(genuine(basis.registry, now)).await?;
        Ok(compared(contract, (registry, basis.statistics), now))
    }
}

fn none(category: Option<Category>, reason: WhyNoComparison) -> Comparison {
    Comparison { category, services: None, unusual: vec![], reason: Some(reason) }
}

/// What may be said of a contract after what the registry said.
fn compared(
    contract: &Contract,
    (registry, statistics): (Result<VerifyingKey, Doubt>, Option<CategoryStatistics>),
    now: Timestamp,
) -> Comparison {
    let key = match registry {
        Ok(key) => key,
        Err(doubt) => return none(None, doubt.into()),
    };
    let Some(statistics) = statistics else {
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

/// What may be shown of a service after what the registry said.
fn badge(
    met: &Met,
    (registry, standings): (&Result<VerifyingKey, Doubt>, &[ServiceStanding]),
    now: Timestamp,
) -> Badge {
    let registry = match registry {
        Ok(registry) => registry,
        Err(doubt) => return Badge::none((*doubt).into()),
    };
    let Some(standing) = standings.iter().find(|standing| standing.service_id == met.service_id) else {
        return Badge::none(WhyNot::NotListed);
    };
    let standing = match verify_standing(registry, standing.clone(), now) {
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

#[cfg(test)]
mod tests;

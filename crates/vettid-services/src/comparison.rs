//! What services of one kind ask of members: listings that services sign, counted and signed by the registry. Only verified services are
//! counted, each domain once, so that nobody makes something usual by inventing services.

use crate::control_plane::ControlPlane;
use crate::http::error::ApiError;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use vettid_core::comparison;
use vettid_crypto::directory::verify_listing;
use vettid_crypto::nats::key::{AccountPublic, InvalidKey};
use vettid_crypto::signature::{self, Context};
use vettid_store::audit::{Act, Actor};
use vettid_wire::base64::Base64;
use vettid_wire::category::{
    AskComparison, Category, CategoryStatistics, ComparisonBasis, Counted, ListService, Listed, ServiceListing,
};
use vettid_wire::contract::Contract;
use vettid_wire::control::MAX_SKEW_MS;
use vettid_wire::id::Fingerprint;
use vettid_wire::offer::MAX_CONTRACT_BYTES;
use vettid_wire::time::Timestamp;

/// Most services of one category that are counted.
const MAX_COUNTED: u32 = 10_000;
/// Most categories that are remembered.
const MAX_REMEMBERED: usize = 1_000;
/// How long a count is remembered at most, in milliseconds.
const REMEMBERED_MS: i64 = 600_000;

/// Categories that were counted lately.
#[derive(Debug, Default)]
pub(crate) struct Counts(Mutex<HashMap<Category, (Timestamp, Option<Counted>)>>);

impl Counts {
    fn get(&self, category: &Category, since: Timestamp) -> Option<Option<Counted>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(category).filter(|(at, _)| since < *at).map(|(_, counted)| counted.clone())
    }

    fn put(&self, category: Category, at: Timestamp, counted: Option<Counted>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_REMEMBERED {
            known.clear();
        }
        known.insert(category, (at, counted));
    }
}

impl ControlPlane {
    /// Takes a listing that both identity and account signed.
    pub(crate) async fn list_service(&self, asked: ListService) -> Result<Listed, ApiError> {
        let listing = &asked.listing;
        let service = self.ledger.service(&listing.service_id).await?.ok_or(ApiError::Unauthorized)?;
        let account = service.registration.account_nkey.parse::<AccountPublic>();
        let account = account.map_err(|error: InvalidKey| ApiError::internal(&error))?;
        verify_listing(&account, &asked).map_err(|_| ApiError::Unauthorized)?;
        let fresh = listing.at.since_ms(self.now()).abs() <= MAX_SKEW_MS;
        if listing.guid != service.registration.guid || !fresh || !is_sound(listing) {
            return Err(ApiError::InvalidRequest);
        }
        let actor = Actor::Service(listing.service_id.clone());
        let entry = self.entry(actor, Act::ServiceListed(listing.service_id.clone()));
        self.ledger.put_listing(listing, &entry).await?;
        Ok(Listed { at: listing.at })
    }

    /// What services of the same kind as this one ask, signed.
    pub(crate) async fn comparison(&self, asked: AskComparison) -> Result<ComparisonBasis, ApiError> {
        let registry = self.registry.profile(&self.keys, &*self.ledger, self.now()).await;
        let registry = registry.map_err(|error| ApiError::internal(&error))?;
        let Some(listing) = self.ledger.listing(&asked.service_id).await? else {
            return Ok(ComparisonBasis { registry, statistics: None });
        };
        let counted = self.counted(&listing.category).await?;
        let (identity, now) = (&self.keys.registry_identity, self.now());
        let statistics = CategoryStatistics {
            service_id: asked.service_id,
            category: listing.category,
            counted,
            issued_at: now,
            valid_until: now.plus_ms(self.periods.standing_ms),
            key_id: identity.key_id(),
            signature: Base64::default(),
        };
        let signature = signature::sign(Context::CategoryStatistics, identity, &statistics);
        let signature = signature.map_err(|error| ApiError::internal(&error))?;
        Ok(ComparisonBasis { registry, statistics: Some(CategoryStatistics { signature, ..statistics }) })
    }

    async fn counted(&self, category: &Category) -> Result<Option<Counted>, ApiError> {
        let now = self.now();
        let since = now.plus_ms(-self.periods.check_ms.min(REMEMBERED_MS));
        if let Some(counted) = self.counts.get(category, since) {
            return Ok(counted);
        }
        let (mut domains, mut contracts) = (BTreeSet::new(), Vec::<Contract>::new());
        for listing in self.ledger.listings_of(category, MAX_COUNTED).await? {
            let Some(known) = self.ledger.verification(&listing.service_id).await? else { continue };
            let Some(claimed) = known.record.claimed else { continue };
            let is_same = Some(claimed.fingerprint) == fingerprint(&listing);
            if is_same && claimed.is_verified(now, self.periods) && domains.insert(claimed.domain) {
                contracts.push(listing.contract);
            }
        }
        let counted = comparison::count(&contracts);
        self.counts.put(category.clone(), now, counted.clone());
        Ok(counted)
    }
}

fn fingerprint(listing: &ServiceListing) -> Option<Fingerprint> {
    let key = vettid_crypto::identity::VerifyingKey::from_typed(&listing.public_key).ok()?;
    Some(key.fingerprint())
}

fn is_sound(listing: &ServiceListing) -> bool {
    let contract = &listing.contract;
    let is_short = contract.canonical().is_ok_and(|bytes| bytes.len() <= MAX_CONTRACT_BYTES);
    contract.service_id == listing.service_id && is_short && contract.validate().is_ok()
}

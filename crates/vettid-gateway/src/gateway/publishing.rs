//! Publishing a version of the contract: stored, then shown in the profile, then offered on every connection. A gateway that is
//! killed in between goes on where it was.

use super::{Gateway, Shared, start, upkeep};
use crate::clock;
use crate::offer::{Offer, OfferError};
use crate::state::StateError;
use crate::versions::{self, NotNewer, Version};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use vettid_wire::contract::Contract;

/// Why a version is not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// It is not sound.
    #[error(transparent)]
    Offer(#[from] OfferError),
    /// It is not newer than what was published.
    #[error(transparent)]
    NotNewer(#[from] NotNewer),
    /// It could not be stored.
    #[error(transparent)]
    State(#[from] StateError),
}

impl Gateway {
    /// Publishes a version. From when a member's vault has taken the offer of it, this service gets nothing from that member until
    /// the member accepts. A version that was published before is published no second time.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn publish(&self, contract: Contract) -> Result<Arc<Version>, PublishError> {
        publish(&self.0, &Offer::new(contract)?).await
    }

    /// Every version that was published, oldest first.
    #[must_use]
    pub fn versions(&self) -> Vec<Arc<Version>> {
        self.0.contracts.list()
    }
}

pub(super) async fn publish(shared: &Arc<Shared>, offer: &Offer) -> Result<Arc<Version>, PublishError> {
    let _one_at_a_time = shared.publishing.lock().await;
    let number = offer.contract.contract_version;
    if let Some(version) = shared.contracts.next(clock::now(), offer)? {
        let mut draft = shared.state.draft();
        versions::store(&mut draft, &version)?;
        shared.commit(draft).await?;
        shared.contracts.add(version);
        shared.profile_is_due.store(true, Ordering::Release);
        renew_profile(shared).await;
        upkeep::sweep(shared).await;
    }
    Ok(shared.contracts.get(number).unwrap_or_else(|| shared.contracts.newest()))
}

/// Shows the newest version in the profile, if that was not done yet.
pub(super) async fn renew_profile(shared: &Shared) {
    if !shared.profile_is_due.load(Ordering::Acquire) {
        return;
    }
    match start::publish_next(shared).await {
        Ok(()) => shared.profile_is_due.store(false, Ordering::Release),
        Err(error) => tracing::warn!(%error, "the profile could not be published yet"),
    }
}

/// Looks whether the operator has put a newer contract into the file.
pub(super) async fn look_at_file(shared: &Arc<Shared>) {
    let read = Offer::read(&shared.config.contract);
    let published = match &read {
        Ok(offer) => publish(shared, offer).await.map(drop),
        Err(_) => read.map(drop).map_err(PublishError::from),
    };
    let said = published.as_ref().err().map(ToString::to_string);
    let mut last = super::lock(&shared.contract_file_problem);
    if let Some(problem) = &said
        && *last != said
    {
        tracing::warn!(%problem, "the contract in the file is not published");
    }
    *last = said;
}

//! Signed objects around the directory of services: a claim of a domain by the service's identity key and its account, and what the
//! registry says of a service. Whether a domain's record is there is not decided here.

use vettid_wire::base64::Base64;
use vettid_wire::category::{CategoryStatistics, ListService, ServiceListing};
use vettid_wire::directory::{ClaimDomain, DomainClaim, Level, ServiceStanding};
use vettid_wire::id::Fingerprint;
use vettid_wire::time::Timestamp;

use crate::identity::{IdentityError, SigningKey, VerifyingKey};
use crate::key_record::MAX_SKEW_MS;
use crate::nats::key::{AccountKey, AccountPublic};
use crate::signature::{self, Context, SignatureError, Verified, signed_bytes};

/// Why a claim is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Not a key that signs.
    #[error("the claim names no key that signs")]
    Key(#[from] IdentityError),
    /// One of the two signatures does not fit.
    #[error("the claim is not signed by service and account")]
    Signature(#[from] SignatureError),
}

/// The claim under both signatures.
///
/// # Errors
/// Those of [`signature::sign`].
pub fn sign_claim(
    identity: &SigningKey,
    account: &AccountKey,
    claim: DomainClaim,
) -> Result<ClaimDomain, SignatureError> {
    let mut claim = DomainClaim {
        public_key: identity.verifying_key().typed(),
        key_id: identity.key_id(),
        signature: Base64::default(),
        ..claim
    };
    claim.signature = signature::sign(Context::DomainClaim, identity, &claim)?;
    let mut asked = ClaimDomain { claim, signature: Base64::default() };
    asked.signature = Base64::new(account.sign(&signed_bytes(Context::DomainAccount, &asked)?));
    Ok(asked)
}

/// Checks both signatures; the identity key that claims.
///
/// # Errors
/// [`ClaimError`].
pub fn verify_claim(account: &AccountPublic, asked: &ClaimDomain) -> Result<VerifyingKey, ClaimError> {
    let bytes = signed_bytes(Context::DomainAccount, asked)?;
    if !account.verifies(&bytes, asked.signature.as_bytes()) {
        return Err(SignatureError::Invalid.into());
    }
    let identity = VerifyingKey::from_typed(&asked.claim.public_key)?;
    signature::verify(Context::DomainClaim, &identity, &asked.claim)?;
    Ok(identity)
}

/// Why nothing may be shown of what the registry is said to have said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StandingError {
    /// Not the registry's signature.
    #[error("not signed by the registry")]
    Signature,
    /// Its time is over, or has not come.
    #[error("said for another time")]
    Time,
    /// It does not hold what its level needs.
    #[error("not complete")]
    Form,
}

/// Checks what the registry says of a service, at a time.
///
/// # Errors
/// [`StandingError`]: nothing is known of the service then.
pub fn verify_standing(
    registry: &VerifyingKey,
    standing: ServiceStanding,
    now: Timestamp,
) -> Result<Verified<ServiceStanding>, StandingError> {
    let checked = signature::check(Context::ServiceStanding, registry, standing);
    let checked = checked.map_err(|_| StandingError::Signature)?;
    let said = checked.get();
    let (named, looked_at) = (said.service_fp.is_some() && said.domain.is_some(), said.certification.is_some());
    let sound = match said.level {
        Level::Unverified => said.domain.is_none() && !looked_at,
        Level::Verified => named && !looked_at,
        Level::Certified => named && looked_at,
    };
    if !sound {
        return Err(StandingError::Form);
    }
    let certified = said.certification.as_ref().is_none_or(|known| now < known.until);
    let in_time = said.issued_at.since_ms(now) <= MAX_SKEW_MS && now < said.valid_until && certified;
    if in_time { Ok(checked) } else { Err(StandingError::Time) }
}

/// The listing under both signatures.
///
/// # Errors
/// Those of [`signature::sign`].
pub fn sign_listing(
    identity: &SigningKey,
    account: &AccountKey,
    listing: ServiceListing,
) -> Result<ListService, SignatureError> {
    let mut listing = ServiceListing {
        public_key: identity.verifying_key().typed(),
        key_id: identity.key_id(),
        signature: Base64::default(),
        ..listing
    };
    listing.signature = signature::sign(Context::ServiceListing, identity, &listing)?;
    let mut asked = ListService { listing, signature: Base64::default() };
    asked.signature = Base64::new(account.sign(&signed_bytes(Context::ListingAccount, &asked)?));
    Ok(asked)
}

/// Checks both signatures of a listing; the identity key that signed.
///
/// # Errors
/// [`ClaimError`].
pub fn verify_listing(account: &AccountPublic, asked: &ListService) -> Result<VerifyingKey, ClaimError> {
    let bytes = signed_bytes(Context::ListingAccount, asked)?;
    if !account.verifies(&bytes, asked.signature.as_bytes()) {
        return Err(SignatureError::Invalid.into());
    }
    let identity = VerifyingKey::from_typed(&asked.listing.public_key)?;
    signature::verify(Context::ServiceListing, &identity, &asked.listing)?;
    Ok(identity)
}

/// Checks what the registry says that services of one kind ask, at a time.
///
/// # Errors
/// [`StandingError`]: there is nothing to compare with then.
pub fn verify_statistics(
    registry: &VerifyingKey,
    statistics: CategoryStatistics,
    now: Timestamp,
) -> Result<Verified<CategoryStatistics>, StandingError> {
    let checked = signature::check(Context::CategoryStatistics, registry, statistics);
    let checked = checked.map_err(|_| StandingError::Signature)?;
    let said = checked.get();
    let in_time = said.issued_at.since_ms(now) <= MAX_SKEW_MS && now < said.valid_until;
    if in_time { Ok(checked) } else { Err(StandingError::Time) }
}

/// The level of whoever comes with this identity: that of the service only if it is the very one that was looked at.
#[must_use]
pub fn level_of(standing: &Verified<ServiceStanding>, presented: &Fingerprint) -> Level {
    let said = standing.get();
    if said.service_fp.as_ref() == Some(presented) { said.level } else { Level::Unverified }
}

#[cfg(test)]
mod tests;

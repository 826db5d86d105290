//! The service's signed profile: what members see before they connect, and the keys they may check it with.

use crate::identity::Identity;
use vettid_crypto::signature::{Context, SignatureError, sign_object};
use vettid_wire::base64::Base64;
use vettid_wire::contract::Contract;
use vettid_wire::event::{Lane, ROWS};
use vettid_wire::id::ServiceId;
use vettid_wire::json::{self, JsonError};
use vettid_wire::profile::{MAX_LIFE_MS, PublicProfile, ServiceProfile, SignedProfile};
use vettid_wire::time::Timestamp;

/// What the profile tells besides the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Presentation {
    /// The name that members see.
    pub name: String,
    /// The sites on which members may be asked to log in.
    pub origins: Vec<String>,
    /// The service.
    pub service_id: ServiceId,
}

/// The profile could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ProfileFailed {
    /// It cannot be signed.
    #[error("the profile cannot be signed")]
    Sign(#[from] SignatureError),
    /// It has no canonical form.
    #[error("the profile has no canonical form")]
    Form(#[from] JsonError),
}

/// The profile, valid for thirty days from now.
///
/// # Errors
/// See [`ProfileFailed`].
pub(crate) fn signed(
    now: Timestamp,
    identity: &Identity,
    presentation: &Presentation,
    contract: &Contract,
    sequence: u64,
) -> Result<SignedProfile, ProfileFailed> {
    let key = identity.signing_key();
    let profile = SignedProfile {
        profile_version: "1.0".to_owned(),
        guid: identity.guid,
        public_key: key.verifying_key().typed(),
        key_record: identity.key_record().record().clone(),
        restore_key: None,
        public: PublicProfile { first_name: presentation.name.clone(), ..PublicProfile::default() },
        service: Some(ServiceProfile {
            service_id: presentation.service_id.clone(),
            origins: presentation.origins.clone(),
            contract: contract.clone(),
        }),
        event_types: ROWS.iter().filter(|row| row.lane == Lane::Member).map(|row| row.name.to_owned()).collect(),
        items: std::collections::BTreeMap::new(),
        supported: vec![],
        sequence,
        updated_at: now,
        valid_until: now.plus_ms(MAX_LIFE_MS),
        key_id: key.key_id(),
        signature: Base64::default(),
    };
    Ok(json::from_value(sign_object(Context::Profile, key, &profile)?)?)
}

//! The life of a Protean credential (spec 2.6 to 2.9), for both issuers and for the app that holds it.
//!
//! Rules and cryptography are apart: the `record` of [`issuer`] and of [`holder`] decides over plain values and is what
//! the model checker drives; the [`issuer::Issuer`] and the [`holder::Holder`] around it open, seal and compare.
//! Must never run an action, keep a secret longer than the rules name it, or compare before the attempt is stored.

pub mod attempts;
pub mod grant;
pub mod holder;
pub mod issuer;
pub mod pin;
pub mod policy;
pub mod pool;

/// `action` of a `USE` that replaces password and inner layer; `params` is a
/// [`vettid_wire::credential::InnerUpdate`] with `hash`.
pub const CHANGE_PASSWORD: &str = "credential.password.change";
/// `action` of a `USE` that replaces the inner layer under the same password; `params` is a
/// [`vettid_wire::credential::InnerUpdate`] without `hash`.
pub const REPLACE_SECRETS: &str = "credential.secrets.replace";
/// `action` of a `USE` by which a device that recovered takes the place of the member's app; `params` is a
/// [`vettid_wire::recovery::ReplaceDevice`].
pub const REPLACE_DEVICE: &str = "device.replace";
/// `action` of the one `USE` that a restored vault accepts (spec 2.7.6); `params` is an empty object.
pub const RESTORE: &str = "credential.restore";
/// `action` to which the password proof of a first credential is bound; see [`issuer::creation_binding`].
pub const CREATE: &str = "credential.create";

/// Whether an action belongs to the upkeep of the credential itself, which no policy has to name.
#[must_use]
pub fn is_upkeep(action: &str) -> bool {
    matches!(action, CHANGE_PASSWORD | REPLACE_SECRETS | REPLACE_DEVICE | RESTORE)
}

//! How the broker knows the app: an NKey of its own and a JWT bound to it, which the vault renews (DESIGN §6).
//! The private half never leaves the app.

use serde::{Deserialize, Serialize};
use std::sync::Arc;
use vettid_core::grants::credential::Credential;
use vettid_core::grants::mint::MemberIdentity;
use vettid_crypto::nats::key::UserKey;
use vettid_crypto::nats::token::{TokenError, UserJwt};
use vettid_crypto::nats::user::UserClaims;
use vettid_crypto::secret::SecretBytes;
use vettid_crypto::stored;
use vettid_wire::id::{DeviceId, MemberId};
use vettid_wire::time::Timestamp;

/// A clock that was set back by more than this makes the credential count as old, in milliseconds.
const CLOCK_STEP_MS: i64 = 5 * 60 * 1000;

/// A NATS credential, as it is kept.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NatsCredential {
    /// Seed of the app's NKey.
    #[serde(with = "stored")]
    pub(crate) seed: SecretBytes,
    /// The user JWT.
    pub(crate) jwt: String,
    /// When the JWT came.
    pub(crate) obtained_at: Timestamp,
    /// When it dies.
    pub(crate) expires_at: Timestamp,
    /// When the app was enrolled with this NKey; absent in a state of an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) enrolled_at: Option<Timestamp>,
}

/// A credential cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WrongCredential {
    /// The JWT is malformed, badly signed, dead, or about another user.
    #[error("the access to the broker cannot be used: {0}")]
    Token(#[from] TokenError),
    /// The name in the JWT cannot name a device.
    #[error("the access to the broker is not for a device")]
    Device,
    /// The vault gave none.
    #[error("the vault gave no access to the broker")]
    Missing,
    /// The stored seed is no key.
    #[error("the stored key for the broker cannot be read")]
    Seed,
}

impl NatsCredential {
    /// Takes over what the vault minted for the app of this device, if it is about this key.
    pub(crate) fn new(
        seed: SecretBytes,
        jwt: String,
        guid: MemberId,
        device: &DeviceId,
        now: Timestamp,
    ) -> Result<Self, WrongCredential> {
        let checked = member_credential(&MemberIdentity::App(device.clone()), guid, &seed, &jwt, now)?;
        Ok(Self { seed, jwt, obtained_at: now, expires_at: checked.expires_at(), enrolled_at: Some(now) })
    }

    /// What to connect with.
    pub(crate) fn for_broker(
        &self,
        guid: MemberId,
        device: &DeviceId,
        now: Timestamp,
    ) -> Result<Credential, WrongCredential> {
        member_credential(&MemberIdentity::App(device.clone()), guid, &self.seed, &self.jwt, now)
    }

    /// Takes a fresh JWT over, if it is about the same user.
    pub(crate) fn renew(
        &mut self,
        jwt: String,
        guid: MemberId,
        device: &DeviceId,
        now: Timestamp,
    ) -> Result<(), WrongCredential> {
        let checked = member_credential(&MemberIdentity::App(device.clone()), guid, &self.seed, &jwt, now)?;
        (self.jwt, self.obtained_at, self.expires_at) = (jwt, now, checked.expires_at());
        Ok(())
    }

    /// When half of its life is over.
    pub(crate) fn half_life(&self) -> Timestamp {
        self.obtained_at.plus_ms(self.expires_at.since_ms(self.obtained_at) / 2)
    }

    /// Whether it is time for a fresh one.
    pub(crate) fn is_old(&self, now: Timestamp) -> bool {
        now >= self.half_life() || now < self.obtained_at.plus_ms(-CLOCK_STEP_MS)
    }

    /// Whether the broker refuses it by now.
    pub(crate) fn is_dead(&self, now: Timestamp) -> bool {
        now >= self.expires_at
    }

    /// The app's public NKey.
    pub(crate) fn public_key(&self) -> Result<String, WrongCredential> {
        Ok(key_of(&self.seed)?.public().to_string())
    }
}

/// A checked credential of a user in the member's own space.
pub(crate) fn member_credential(
    identity: &MemberIdentity,
    guid: MemberId,
    seed: &SecretBytes,
    jwt: &str,
    now: Timestamp,
) -> Result<Credential, WrongCredential> {
    let key = Arc::new(key_of(seed)?);
    Ok(Credential::member(identity, guid, key, UserJwt::unchecked(jwt.to_owned()), now)?)
}

/// The device that services gave a name in its first JWT.
pub(crate) fn device_of(jwt: &str, now: Timestamp) -> Result<DeviceId, WrongCredential> {
    let claims = UserClaims::received(&UserJwt::unchecked(jwt.to_owned()), now)?;
    claims.name.as_str().parse().map_err(|_| WrongCredential::Device)
}

/// The key of a seed.
pub(crate) fn key_of(seed: &SecretBytes) -> Result<UserKey, WrongCredential> {
    let text = str::from_utf8(seed.expose()).map_err(|_| WrongCredential::Seed)?;
    UserKey::from_seed(text).map_err(|_| WrongCredential::Seed)
}

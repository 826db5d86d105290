//! A device whose phrase was right stands before a vault that did not let it in: it unlocks the vault with what the container
//! holds and the password of the lock, and asks services for the way in again. Must never take a PIN: the new device proves by
//! the phrase what the old one proved by being in the member's hand, so the longer secret is asked for.

use super::RecoveryError;
use super::kept::{Kept, NewDevice, Waiting};
use crate::app::{App, Ports};
use crate::clock::Clock;
use crate::lock::{Lane, LockError, Typed, unlock};
use crate::member_api::MemberApi;
use crate::random;
use crate::services::{ServicesAddress, ServicesError};
use crate::state::{self, State};
use crate::store::Store;
use crate::transport::Connection;
use crate::vault_credential::{CredentialError, PasswordSource};
use vettid_crypto::signature::{self, Context};
use vettid_wire::base64::{Base64, Base64Url};
use vettid_wire::lock::LockState;
use vettid_wire::recovery::EnterVault;

/// The HTTP status with which services say that the vault is locked, or its host away.
const VAULT_AWAY: u16 = 423;

impl<P: Ports> App<P>
where
    P::Services: MemberApi,
{
    /// Whether a device that recovered waits here for its vault to let it in.
    ///
    /// # Errors
    /// [`RecoveryError`].
    pub async fn waits_for_vault(&self) -> Result<bool, RecoveryError> {
        let hold = self.ports.store().hold().await?;
        if matches!(state::load(&hold)?, Some(State::Enrolled(_))) {
            return Ok(false);
        }
        let device = Kept::load(&hold)?.and_then(|kept| kept.device);
        Ok(device.is_some_and(|device| device.waiting.is_some()))
    }

    /// Has the vault let this device in, which recovered when the vault was locked or away, or did not come so far. `password`
    /// is that of the vault's lock; it is asked for only if the lane of that lock says that the vault is locked. May be called
    /// again after whatever went wrong, for three days.
    ///
    /// # Errors
    /// [`RecoveryError`].
    pub async fn enter_vault(&self, password: &mut dyn PasswordSource) -> Result<(), RecoveryError> {
        let mut hold = self.ports.store().hold().await?;
        if matches!(state::load(&hold)?, Some(State::Enrolled(_))) {
            return Err(RecoveryError::NotWaiting);
        }
        let mut kept = Kept::load(&hold)?.ok_or(RecoveryError::NotWaiting)?;
        let device = kept.device.as_mut().ok_or(RecoveryError::NotWaiting)?;
        let code = match self.ask_way_in(device).await? {
            Some(code) => code,
            None => {
                let unlocked = self.open_lock(device, password).await;
                // What the lane showed is remembered, whatever came of it.
                kept.save(&mut hold)?;
                unlocked?;
                let device = kept.device.as_ref().ok_or(RecoveryError::NotWaiting)?;
                self.ask_way_in(device).await?.ok_or(RecoveryError::VaultAway)?
            }
        };
        self.enter(&mut hold, &code).await
    }

    /// The code of the vault for this device; `None` if the vault cannot be asked.
    async fn ask_way_in(&self, device: &NewDevice) -> Result<Option<String>, RecoveryError> {
        let waiting = device.waiting.as_ref().ok_or(RecoveryError::NotWaiting)?;
        let mut request = EnterVault {
            guid: device.guid,
            recovery_id: waiting.recovery_id,
            app_key: device.signing.verifying_key().typed(),
            issued_at: self.ports.clock().now(),
            nonce: Base64Url::new(random::bytes::<16>(&mut self.ports.random())),
            key_id: device.signing.key_id(),
            signature: Base64::default(),
        };
        request.signature = signature::sign(Context::ServiceRequest, &device.signing, &request)?;
        match self.ports.services().enter_vault(self.address(&device.services_url, &device.trust), &request).await {
            Ok(entrance) => Ok(Some(entrance.enrolment)),
            Err(ServicesError::Refused { status: VAULT_AWAY }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn address<'a>(&'a self, url: &'a str, trust: &'a str) -> ServicesAddress<'a> {
        ServicesAddress { url, trust: self.trust.as_deref().unwrap_or(trust) }
    }

    /// Unlocks the vault with what the container told of its lock.
    async fn open_lock(&self, device: &mut NewDevice, password: &mut dyn PasswordSource) -> Result<(), RecoveryError> {
        let NewDevice { guid, signing, services_url, trust, waiting: Some(Waiting { lock: Some(lock), .. }) } = device
        else {
            return Err(RecoveryError::VaultShut);
        };
        let at = self.address(services_url, trust);
        let connection = self.connect_as(at, (*guid, signing)).await.map_err(LockError::from)?;
        let (now, mut rng) = (self.ports.clock().now(), self.ports.random());
        let mut lane = Lane::with(&connection, (*guid, lock), now, &mut rng);
        let unlocked = async {
            if lane.challenge().await?.status.state == LockState::Open {
                return Ok(());
            }
            let password = password.password().map_err(CredentialError::from)?;
            // Somebody may have typed for longer than a challenge lives.
            unlock(&mut lane, &Typed::Password(password)).await?;
            Ok(())
        }
        .await;
        connection.close().await;
        unlocked
    }
}

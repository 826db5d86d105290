//! The old device says what it thinks of a recovery. The vault knows its key, so services cannot say it in its place.

use super::{Known, RecoveryError};
use crate::app::{App, Ports};
use crate::clock::Clock;
use crate::member_api::MemberApi;
use crate::random;
use crate::services::ServicesAddress;
use crate::store::Store;
use vettid_core::action::Action;
use vettid_crypto::signature::{self, Context};
use vettid_wire::base64::{Base64, Base64Url};
use vettid_wire::event::Nothing;
use vettid_wire::recovery::{CredentialBackupStatus, DecideRecovery, RecoveryDecided};

impl<P: Ports> App<P>
where
    P::Services: MemberApi,
{
    /// Approves the fresh recovery, which lifts its hold, or denies it, which cuts the new device off.
    ///
    /// # Errors
    /// [`RecoveryError`], among them [`RecoveryError::NothingToDecide`].
    pub async fn decide_recovery(&self, approve: bool) -> Result<RecoveryDecided, RecoveryError> {
        let hold = self.ports.store().hold().await?;
        let known = Known::load(&hold)?;
        let status: CredentialBackupStatus = self.act(&known, Action::BackupStatus, &Nothing {}).await?;
        let recovery = status.recovery.ok_or(RecoveryError::NothingToDecide)?;
        let (guid, key, url, trust) = known.parts();
        let mut request = DecideRecovery {
            guid,
            recovery_id: recovery.recovery_id,
            approve,
            app_key: key.verifying_key().typed(),
            issued_at: self.ports.clock().now(),
            nonce: Base64Url::new(random::bytes::<16>(&mut self.ports.random())),
            key_id: key.key_id(),
            signature: Base64::default(),
        };
        request.signature = signature::sign(Context::ServiceRequest, key, &request)?;
        let at = ServicesAddress { url, trust: self.trust.as_deref().unwrap_or(trust) };
        Ok(self.ports.services().decide_recovery(at, &request).await?)
    }
}

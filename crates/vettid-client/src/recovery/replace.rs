//! The rest of a recovery: the new device enters the vault, proves the password there, and is the member's app.

use super::RecoveryError;
use super::kept::{Kept, Waiting};
use crate::app::{App, Ports};
use crate::clock::Clock;
use crate::identity::AppIdentity;
use crate::member_api::MemberApi;
use crate::state::{self, Recovering, State};
use crate::store::Store;
use crate::vault_credential::replace::replace_device;
use crate::vault_credential::{CredentialError, PasswordSource};
use serde::Serialize;
use vettid_wire::event::{Nothing, VaultHealth};
use vettid_wire::id::MemberId;
use vettid_wire::recovery::RecoveryHold;

/// This device is the member's app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Replaced {
    /// The member.
    pub guid: MemberId,
    /// What is of high value waits, as the vault counts it.
    pub hold: Option<RecoveryHold>,
    /// Whether services confirmed that the enrolment is complete.
    pub services_informed: bool,
    /// Whether a container with the new credential is at services.
    pub container_is_current: bool,
}

impl<P: Ports> App<P>
where
    P::Services: MemberApi,
{
    /// Whether a recovery on this device waits for the password.
    ///
    /// # Errors
    /// [`RecoveryError`].
    pub async fn is_recovering(&self) -> Result<bool, RecoveryError> {
        let hold = self.ports.store().hold().await?;
        let state = state::load(&hold)?;
        Ok(matches!(state, Some(State::Enrolled(member)) if member.recovering.is_some()))
    }

    /// Enrols with the code that the vault made for this device alone.
    pub(super) async fn enter(&self, hold: &mut <P::Store as Store>::Hold, code: &str) -> Result<(), RecoveryError> {
        let mut kept = Kept::load(hold)?.ok_or(RecoveryError::NotWaiting)?;
        let device = kept.device.take().ok_or(RecoveryError::NotWaiting)?;
        let Waiting { recovery_id, seen, lock } = device.waiting.ok_or(RecoveryError::NotWaiting)?;
        let (now, mut random) = (self.ports.clock().now(), self.ports.random());
        let identity = AppIdentity::with_key(device.signing, device.guid, now, &mut random);
        let identity = identity.map_err(crate::enrolment::EnrolmentError::from)?;
        self.enrol_recovering(hold, code, (identity, Recovering { recovery_id, seen }, lock)).await?;
        Ok(kept.save(hold)?)
    }

    /// Proves the password: from then on this device is the member's app, and the old one is cut off. May be called again
    /// after whatever went wrong.
    ///
    /// # Errors
    /// [`RecoveryError`].
    pub async fn finish_recovery(&self, password: &mut dyn PasswordSource) -> Result<Replaced, RecoveryError> {
        let hold = self.ports.store().hold().await?;
        let (member, recovering) = match state::load(&hold)? {
            Some(State::Enrolled(member)) => match member.recovering {
                Some(recovering) => (*member, recovering),
                None => return Err(RecoveryError::NotRecovering),
            },
            _ => return Err(RecoveryError::NotRecovering),
        };
        let guid = member.guid;
        let mut line = self.line(hold, member).await.map_err(CredentialError::from)?;
        let done = async {
            let hold = replace_device(&mut line, recovering.recovery_id, password).await?;
            line.member.recovering = None;
            line.save().map_err(CredentialError::from)?;
            line.ask::<VaultHealth>(&Nothing {}).await.map_err(CredentialError::from)?;
            let services_informed = self.tell_services(&mut line).await?;
            Ok::<_, RecoveryError>((hold, services_informed))
        }
        .await;
        line.close().await;
        let (hold, services_informed) = done?;
        // The next command that changes the credential tries again.
        let container_is_current = self.refresh_recovery().await.is_ok();
        Ok(Replaced { guid, hold, services_informed, container_is_current })
    }
}

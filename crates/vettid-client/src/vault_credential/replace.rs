//! A device that recovered proves the member's password and becomes the member's app, with a device secret of its own (spec
//! 2.11). Must never type a password for a vault that did not prove itself.

use super::create::new_parts;
use super::desk::{Desk, Making};
use super::failure::CredentialError;
use super::password::{Entry, PasswordSource};
use crate::app::Ports;
use crate::line::Line;
use serde_json::Value;
use vettid_core::credential::REPLACE_DEVICE;
use vettid_crypto::password::StoredPassword;
use vettid_crypto::secret_box::Boxed;
use vettid_wire::credential::ChangePassword;
use vettid_wire::envelope::Answer;
use vettid_wire::id::EventId;
use vettid_wire::json;
use vettid_wire::recovery::{RecoveryHold, ReplaceDevice};
use vettid_wire::refusal::Refusal;

/// Takes the place of the member's app; what is on hold from then on.
pub(crate) async fn replace_device<P: Ports>(
    line: &mut Line<'_, P>,
    recovery_id: EventId,
    password: &mut dyn PasswordSource,
) -> Result<Option<RecoveryHold>, CredentialError> {
    let mut desk = Desk::open(line)?;
    match desk.recover_before(REPLACE_DEVICE).await {
        Err(CredentialError::EarlierDone { .. }) => {}
        recovered => {
            recovered?;
            desk.replace(recovery_id, password).await?;
        }
    }
    Ok(desk.status().await?.recovery)
}

impl<P: Ports> Desk<'_, Line<'_, P>> {
    async fn replace(&mut self, recovery_id: EventId, source: &mut dyn PasswordSource) -> Result<(), CredentialError> {
        let present = self.holder()?.newest().ok_or(CredentialError::NoCredential)?.password.duplicate();
        self.prove_recovery().await?;
        let mut entry = Entry::new(source);
        let parts = new_parts(self.line.now(), &mut self.line.app.ports.random());
        let next = entry.new_keys(&present, &parts).await?;
        let hash = StoredPassword::new(parts.salt, &next.proof).to_string();
        let app_key = self.line.member.identity.signing().verifying_key().typed();
        let make = |making: &Making| {
            let sealed_inner_key = making.boxed(Boxed::InnerKey, next.inner.expose());
            let password = ChangePassword { hash: hash.clone(), sealed_inner_key };
            (ReplaceDevice { recovery_id, app_key: app_key.clone(), password }, Some(parts.duplicate()))
        };
        let (_, _, result) = self.perform_any(REPLACE_DEVICE, &mut entry, make).await?;
        match result.map(json::from_value::<Answer<Value>>) {
            Some(Ok(Answer::Success(_))) | None => Ok(()),
            Some(Ok(Answer::Refused(Refusal { code }))) => {
                Err(CredentialError::Refused { action: REPLACE_DEVICE, code })
            }
            Some(Err(_)) => Err(CredentialError::Unreadable { action: REPLACE_DEVICE }),
        }
    }
}

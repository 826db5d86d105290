//! The app's side of the Vault Services Credential (spec 2.6): what guards acts at the operator's services. The flows are
//! those of the Vault Credential over another line; the inner layer is sealed and opened here and nowhere else. Must never
//! send its key, nor keep a copy of the layer: with the device secret beside it, a copy could be guessed at.

mod inner;
mod line;
mod pair;

pub use pair::{BothCreated, BothStates};

use crate::app::{App, Ports};
use crate::command::CommandError;
use crate::member_api::MemberApi;
use crate::recovery::{Known, RecoveryError};
use crate::store::{Hold, Store, StoreError};
use crate::vault_credential::desk::Desk;
use crate::vault_credential::issuer_line::IssuerLine;
use crate::vault_credential::kept::{Kept, SERVICES, VAULT};
use crate::vault_credential::password::Entry;
use crate::vault_credential::{CredentialError, PasswordSource};
use line::ServicesLine;
use serde_json::{Value, json};
use vettid_core::credential::holder::record::Next;
use vettid_crypto::recovery::RecoveryVerifier;
use vettid_wire::base64::Base64;
use vettid_wire::envelope::Answer;
use vettid_wire::id::MemberId;
use vettid_wire::json;
use vettid_wire::refusal::Refusal;
use vettid_wire::services_credential::{NewPhrase, REMOVE_BACKUP, REPLACE_PHRASE};

/// An app that also holds a Services Credential does not change the password of one alone.
pub(crate) fn require_none_here(line: &mut impl IssuerLine) -> Result<(), CredentialError> {
    let guid = line.guid();
    decide(line.hold(), guid)?;
    match Kept::load(line.hold(), &SERVICES, guid, None)? {
        Some(kept) if kept.holder.newest().is_some() => Err(CredentialError::NotAlone),
        _ => Ok(()),
    }
}

/// Whether this app holds a Services Credential of this member.
pub(crate) fn is_held(hold: &impl Hold, guid: MemberId) -> Result<bool, StoreError> {
    Ok(Kept::load(hold, &SERVICES, guid, None)?.is_some_and(|kept| kept.holder.newest().is_some()))
}

/// A request that waits for the Vault Credential's new password is free once that is there, and given up once it cannot come
/// any more. Decided from what is stored alone.
pub(crate) fn decide(hold: &mut impl Hold, guid: MemberId) -> Result<(), StoreError> {
    let Some(mut kept) = Kept::load(hold, &SERVICES, guid, None)? else { return Ok(()) };
    let Some(salt) = kept.after.take() else { return Ok(()) };
    let vault = Kept::load(hold, &VAULT, guid, None)?;
    let holder = vault.as_ref().map(|vault| &vault.holder);
    let newest = holder.and_then(|holder| holder.newest()).map(|slot| slot.password.salt);
    let coming = holder.and_then(|holder| holder.state().next_password.as_ref()).map(|parts| parts.salt);
    if newest.is_none_or(|salt_now| salt_now.as_bytes() != salt.as_bytes()) {
        if coming.is_some_and(|coming| coming.as_bytes() == salt.as_bytes()) {
            return Ok(());
        }
        kept.holder.give_up();
    }
    kept.save(hold)
}

impl<P: Ports> App<P>
where
    P::Services: MemberApi,
{
    /// Finishes what was left open with the Services Credential, if anything was.
    ///
    /// # Errors
    /// [`CredentialError`]; the next call tries again.
    pub async fn finish_services_credential(&self) -> Result<(), CredentialError> {
        let mut hold = self.ports.store().hold().await?;
        let is_open = Kept::load_any(&hold, &SERVICES)?.is_some_and(|kept| kept.holder.next() != Next::Nothing);
        if !is_open {
            return Ok(());
        }
        let known = known(&hold)?;
        let mut line = ServicesLine::new(self, &mut hold, &known);
        line.desk()?.recover().await.map(drop)
    }

    /// Gives the Services Credential a device secret of this device, under the password that stands; `false` if it has one
    /// already. Services let that wait as long as a recovery is fresh.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub async fn renew_services_credential(&self, password: &mut dyn PasswordSource) -> Result<bool, CredentialError> {
        let mut hold = self.ports.store().hold().await?;
        if !crate::recovery::inherits_device_secret(&hold)? {
            return Ok(false);
        }
        let known = known(&hold)?;
        let mut line = ServicesLine::new(self, &mut hold, &known);
        pair::renew(&mut line, &mut Entry::new(password)).await.map(|()| true)
    }

    /// Removes the recovery container at services; nothing can be recovered from then on.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub async fn disable_recovery(&self, password: &mut dyn PasswordSource) -> Result<(), CredentialError> {
        let mut hold = self.ports.store().hold().await?;
        let known = known(&hold)?;
        if !is_held(&hold, known.parts().0)? {
            return Err(CredentialError::NoCredential);
        }
        // No newer container takes the place of the one that goes, whatever happens now.
        let keys = crate::recovery::stop_keeping(&mut hold)?;
        let mut line = ServicesLine::new(self, &mut hold, &known);
        let mut desk = line.desk()?;
        let removed = guarded(&mut desk, REMOVE_BACKUP, &mut Entry::new(password), &json!({})).await;
        let is_open = desk.kept.as_ref().is_some_and(|kept| kept.holder.state().record.intent.is_some());
        if removed.is_err() && !is_open {
            crate::recovery::keep_again(&mut hold, keys)?;
        }
        removed.map(drop)
    }

    /// Lets containers under this phrase take the place of the present one.
    pub(crate) async fn allow_phrase(
        &self,
        hold: &mut <P::Store as Store>::Hold,
        verifier: &RecoveryVerifier,
        password: &mut dyn PasswordSource,
    ) -> Result<(), CredentialError> {
        let known = known(hold)?;
        let mut line = ServicesLine::new(self, hold, &known);
        let mut desk = line.desk()?;
        let phrase = NewPhrase { verifier: Base64::new(*verifier.expose()) };
        guarded(&mut desk, REPLACE_PHRASE, &mut Entry::new(password), &phrase).await.map(drop)
    }
}

/// One guarded act; what it gave.
async fn guarded<P: Ports>(
    desk: &mut Desk<'_, ServicesLine<'_, P>>,
    action: &'static str,
    entry: &mut Entry<'_>,
    params: &(impl serde::Serialize + Sync),
) -> Result<Value, CredentialError>
where
    P::Services: MemberApi,
{
    let (_, _, result) = desk.perform_any(action, entry, |_| (params, None)).await?;
    desk.finish().await;
    match result.map(json::from_value::<Answer<Value>>) {
        Some(Ok(Answer::Success(value))) => Ok(value),
        Some(Ok(Answer::Refused(Refusal { code }))) => Err(CredentialError::Refused { action, code }),
        Some(Err(_)) | None => Err(CredentialError::Unreadable { action }),
    }
}

fn known(hold: &impl Hold) -> Result<Known, CredentialError> {
    Known::load(hold).map_err(|error| match error {
        RecoveryError::Store(error) => error.into(),
        _ => CommandError::NotEnrolled.into(),
    })
}

//! The first credential, and a new password for it. What both credentials share is over any line.

use super::desk::{Desk, Making, Sent};
use super::failure::CredentialError;
use super::issuer_line::IssuerLine;
use super::kept::{Kept, clear_slots};
use super::password::{Entry, payload};
use crate::app::Ports;
use crate::line::Line;
use crate::random;
use serde::Serialize;
use serde_json::Value;
use vettid_core::credential::holder::Holder;
use vettid_core::credential::holder::request::{CannotBegin, ProvenIssuer};
use vettid_core::credential::holder::slot::PasswordParts;
use vettid_core::credential::issuer::creation_binding;
use vettid_core::credential::{CHANGE_PASSWORD, CREATE};
use vettid_crypto::password::{DeviceSecret, PasswordKeys, PasswordSalt, StoredPassword};
use vettid_crypto::secret_box::Boxed;
use vettid_crypto::utk::{ProofRequest, seal};
use vettid_wire::base64::Base64;
use vettid_wire::credential::{ChangePassword, FirstTerms, ReplenishKeys};
use vettid_wire::envelope::Answer;
use vettid_wire::id::{KeyId, OperationId};
use vettid_wire::json;
use vettid_wire::refusal::Refusal;
use vettid_wire::time::Timestamp;

/// A credential that was just made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Created {
    /// Its epoch.
    pub credential_epoch: u64,
    /// Its version.
    pub cek_version: u64,
}

/// The form that `CreateCredential` and `CreateServicesCredential` share; their terms differ.
#[derive(Serialize)]
struct Creation<T> {
    op_id: OperationId,
    key_id: KeyId,
    encrypted_password_hash: Base64,
    terms: T,
}

impl<L: IssuerLine> Desk<'_, L> {
    /// There must be none yet, neither here nor at the issuer.
    pub(crate) async fn require_none(&mut self) -> Result<(), CredentialError> {
        if self.kept.as_ref().is_some_and(|kept| kept.holder.newest().is_some()) {
            return Err(CredentialError::Exists);
        }
        if self.status().await?.exists {
            return Err(CredentialError::HeldElsewhere);
        }
        Ok(())
    }

    /// Transaction keys for an app that holds none. What is left of another member's credential goes.
    pub(crate) async fn first_keys(&mut self) -> Result<(), CredentialError> {
        if self.kept.is_some() {
            return self.replenish().await;
        }
        let (issuer, keys) = self.line.replenish(&ReplenishKeys { live_key_ids: Vec::new() }).await?;
        let guid = self.line.guid();
        clear_slots(self.line.hold(), L::PLACES)?;
        self.kept = Some(Kept::new(L::PLACES, Holder::new(guid, issuer, keys.new_transaction_keys)));
        self.save()
    }

    /// Asks for the first password and makes the request, under `parts`; [`Desk::keep_question`] stores it.
    pub(crate) async fn stage_creation<T: Serialize>(
        &mut self,
        parts: PasswordParts,
        entry: &mut Entry<'_>,
        terms: impl FnOnce(&PasswordKeys) -> T,
    ) -> Result<(), CredentialError> {
        let (now, mut random, guid) = (self.line.now(), self.line.random(), self.line.guid());
        let key = self.holder()?.unused_keys(now).next().ok_or(CannotBegin::NoTransactionKey)?.clone();
        let keys = entry.keys(&parts).await?;
        let (payload, terms) = (payload(keys, L::OPENS_INNER_LAYER), terms(keys));
        let op_id = OperationId::v7(now, random::bytes(&mut random));
        let params = json::parse(&json::canonical(&terms)?)?;
        let binding = creation_binding(op_id, params, key.key_id.clone());
        let sealed =
            seal(&key, &ProofRequest { guid, binding: &binding }, &payload, &mut random).map_err(CannotBegin::Seal)?;
        let body = Creation { op_id, key_id: key.key_id, encrypted_password_hash: Base64::new(sealed), terms };
        Ok(self.holder()?.prepare_creation(&binding, json::canonical(&body)?, parts)?)
    }

    /// Sends the stored request for a first credential.
    pub(crate) async fn send_creation(&mut self) -> Result<Created, CredentialError> {
        match self.send().await? {
            Sent::Done(_) => self.confirm_newest().await?,
            Sent::Again => return Err(CredentialError::Overtaken),
        }
        self.created()
    }

    /// The credential as it stands.
    pub(crate) fn created(&mut self) -> Result<Created, CredentialError> {
        let package = &self.holder()?.newest().ok_or(CredentialError::NoCredential)?.package;
        Ok(Created { credential_epoch: package.credential_epoch, cek_version: package.cek_version })
    }

    /// Sends the stored request for a new password; `false` if it lost its ground, without effect.
    pub(crate) async fn send_change(&mut self) -> Result<bool, CredentialError> {
        let Sent::Done(result) = self.send().await? else { return Ok(false) };
        self.line.lift_limit().await?;
        self.confirm_newest().await?;
        match result.map(json::from_value::<Answer<Value>>) {
            Some(Ok(Answer::Success(_))) | None => Ok(true),
            Some(Ok(Answer::Refused(Refusal { code }))) => {
                Err(CredentialError::Refused { action: CHANGE_PASSWORD, code })
            }
            Some(Err(_)) => Err(CredentialError::Unreadable { action: CHANGE_PASSWORD }),
        }
    }
}

impl<P: Ports> Desk<'_, Line<'_, P>> {
    /// Makes the credential.
    pub(crate) async fn create(
        &mut self,
        ttl_minutes: Option<u32>,
        entry: &mut Entry<'_>,
    ) -> Result<Created, CredentialError> {
        match self.recover_before(CREATE).await {
            // The password of then stands.
            Err(CredentialError::EarlierDone { .. }) => return self.created(),
            recovered => recovered?,
        }
        self.require_none().await?;
        self.first_keys().await?;
        let parts = new_parts(self.line.now(), &mut self.line.random());
        self.stage_first(parts, ttl_minutes, entry).await?;
        self.keep_question()?;
        self.send_creation().await
    }

    /// Makes the request for the first Vault Credential.
    pub(crate) async fn stage_first(
        &mut self,
        parts: PasswordParts,
        ttl_minutes: Option<u32>,
        entry: &mut Entry<'_>,
    ) -> Result<(), CredentialError> {
        let password_salt = Base64::new(*parts.salt.as_bytes());
        self.stage_creation(parts, entry, |_| FirstTerms { password_salt, ttl_minutes }).await
    }

    /// Replaces the password. The new one is asked for after the present one, which the vault has not seen yet then.
    pub(crate) async fn change_password(
        &mut self,
        present: &mut Entry<'_>,
        new: &mut Entry<'_>,
    ) -> Result<(), CredentialError> {
        self.recover_before(CHANGE_PASSWORD).await?;
        for _ in 0..super::desk::ROUNDS {
            let parts = new_parts(self.line.now(), &mut self.line.random());
            let proven = self.prove(CHANGE_PASSWORD, present.is_typed()).await?;
            self.stage_change(proven, parts, present, Some(&mut *new)).await?;
            self.keep_question()?;
            if self.send_change().await? {
                return Ok(());
            }
            self.recover().await?;
        }
        Err(CredentialError::Overtaken)
    }

    /// Makes the request for another password under `parts`; without a new one, the present one stays.
    pub(crate) async fn stage_change(
        &mut self,
        proven: ProvenIssuer,
        parts: PasswordParts,
        present: &mut Entry<'_>,
        new: Option<&mut Entry<'_>>,
    ) -> Result<(), CredentialError> {
        let held = self.holder()?.newest().ok_or(CredentialError::NoCredential)?.password.duplicate();
        present.keys(&held).await?;
        let keys = match new {
            Some(new) => new.keys(&parts).await?,
            None => present.keys(&parts).await?,
        };
        let hash = StoredPassword::new(parts.salt, &keys.proof).to_string();
        let inner = super::password::duplicate(&keys.inner);
        let make = |making: &Making| {
            let sealed_inner_key = making.boxed(Boxed::InnerKey, inner.expose());
            (ChangePassword { hash: hash.clone(), sealed_inner_key }, Some(parts.duplicate()))
        };
        self.stage(proven, present, make).await?;
        Ok(())
    }
}

/// Salt and device secret of a password: those of each credential are its own.
pub(crate) fn new_parts(now: Timestamp, random: &mut dyn rand_core::CryptoRng) -> PasswordParts {
    let (salt, device_secret) = (PasswordSalt::random(random), DeviceSecret::random(random));
    PasswordParts { salt, device_secret, made_at: Some(now) }
}

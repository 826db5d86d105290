//! The first credential, and a new password for it.

use super::desk::Desk;
use super::failure::CredentialError;
use super::kept::{Kept, clear_slots};
use super::password::{Entry, PasswordSource, payload};
use crate::app::Ports;
use crate::random;
use serde::Serialize;
use serde_json::Value;
use vettid_core::credential::holder::Holder;
use vettid_core::credential::holder::request::CannotBegin;
use vettid_core::credential::holder::slot::PasswordParts;
use vettid_core::credential::issuer::creation_binding;
use vettid_core::credential::{CHANGE_PASSWORD, CREATE};
use vettid_crypto::password::{DeviceSecret, PasswordSalt, StoredPassword};
use vettid_crypto::secret_box::Boxed;
use vettid_crypto::utk::{ProofRequest, seal};
use vettid_wire::base64::Base64;
use vettid_wire::credential::{ChangePassword, CreateCredential, FirstTerms, ReplenishKeys};
use vettid_wire::envelope::Answer;
use vettid_wire::event::CredentialReplenish;
use vettid_wire::id::OperationId;
use vettid_wire::json;
use vettid_wire::refusal::Refusal;

/// A credential that was just made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Created {
    /// Its epoch.
    pub credential_epoch: u64,
    /// Its version.
    pub cek_version: u64,
}

impl<P: Ports> Desk<'_, '_, P> {
    /// Makes the credential.
    pub(super) async fn create(
        &mut self,
        ttl_minutes: Option<u32>,
        source: &mut dyn PasswordSource,
    ) -> Result<Created, CredentialError> {
        match self.recover_before(CREATE).await {
            // The password of then stands.
            Err(CredentialError::EarlierDone { .. }) => return self.created(),
            recovered => recovered?,
        }
        if self.kept.as_ref().is_some_and(|kept| kept.holder.newest().is_some()) {
            return Err(CredentialError::Exists);
        }
        if self.status().await?.exists {
            return Err(CredentialError::HeldElsewhere);
        }
        self.first_keys().await?;
        self.prepare_creation(ttl_minutes, source).await?;
        self.send_creation().await
    }

    async fn send_creation(&mut self) -> Result<Created, CredentialError> {
        self.finish_creation().await?;
        self.confirm_newest().await?;
        self.created()
    }

    fn created(&mut self) -> Result<Created, CredentialError> {
        let package = &self.holder()?.newest().ok_or(CredentialError::NoCredential)?.package;
        Ok(Created { credential_epoch: package.credential_epoch, cek_version: package.cek_version })
    }

    /// Transaction keys for an app that holds none. What is left of another member's credential goes.
    async fn first_keys(&mut self) -> Result<(), CredentialError> {
        if self.kept.is_some() {
            return self.replenish().await;
        }
        let keys = self.ask::<CredentialReplenish>(&ReplenishKeys { live_key_ids: Vec::new() }).await?;
        let (guid, issuer) = (self.line.member.guid, self.line.member.vault.fingerprint);
        clear_slots(&mut self.line.hold)?;
        self.kept = Some(Kept::new(Holder::new(guid, issuer, keys.new_transaction_keys)));
        self.save()
    }

    async fn prepare_creation(
        &mut self,
        ttl_minutes: Option<u32>,
        source: &mut dyn PasswordSource,
    ) -> Result<(), CredentialError> {
        let (now, mut random, guid) = (self.line.now(), self.random(), self.line.member.guid);
        let key = self.holder()?.unused_keys(now).next().ok_or(CannotBegin::NoTransactionKey)?.clone();
        let parts = new_parts(&mut random);
        let mut entry = Entry::new(source);
        let payload = payload(entry.keys(&parts).await?);
        let terms = FirstTerms { password_salt: Base64::new(*parts.salt.as_bytes()), ttl_minutes };
        let op_id = OperationId::v7(now, random::bytes(&mut random));
        let params = json::parse(&json::canonical(&terms)?)?;
        let binding = creation_binding(op_id, params, key.key_id.clone());
        let sealed =
            seal(&key, &ProofRequest { guid, binding: &binding }, &payload, &mut random).map_err(CannotBegin::Seal)?;
        let body = CreateCredential { op_id, key_id: key.key_id, encrypted_password_hash: Base64::new(sealed), terms };
        self.holder()?.prepare_creation(&binding, json::canonical(&body)?, parts)?;
        self.keep_question().await
    }

    /// Replaces the password. The new one is asked for after the present one, which the vault has not seen yet then.
    pub(super) async fn change_password(
        &mut self,
        entry: &mut Entry<'_>,
        new: &mut dyn PasswordSource,
    ) -> Result<(), CredentialError> {
        self.recover_before(CHANGE_PASSWORD).await?;
        let present = self.holder()?.newest().ok_or(CredentialError::NoCredential)?.password.duplicate();
        self.prove(CHANGE_PASSWORD, false).await?;
        entry.keys(&present).await?;
        let parts = new_parts(&mut self.random());
        let mut new = Entry::new(new);
        let keys = new.keys(&parts).await?;
        let hash = StoredPassword::new(parts.salt, &keys.proof).to_string();
        let make = |making: &super::desk::Making| {
            let sealed_inner_key = making.boxed(Boxed::InnerKey, keys.inner.expose());
            (ChangePassword { hash: hash.clone(), sealed_inner_key }, Some(parts.duplicate()))
        };
        let (_, _, result) = self.perform_any(CHANGE_PASSWORD, entry, make).await?;
        match result.map(json::from_value::<Answer<Value>>) {
            Some(Ok(Answer::Success(_))) | None => Ok(()),
            Some(Ok(Answer::Refused(Refusal { code }))) => {
                Err(CredentialError::Refused { action: CHANGE_PASSWORD, code })
            }
            Some(Err(_)) => Err(CredentialError::Unreadable { action: CHANGE_PASSWORD }),
        }
    }
}

pub(super) fn new_parts(random: &mut dyn rand_core::CryptoRng) -> PasswordParts {
    PasswordParts { salt: PasswordSalt::random(random), device_secret: DeviceSecret::random(random) }
}

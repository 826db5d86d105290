//! Critical secrets from the app's side: their values go into boxes here and come out of boxes here.

use super::desk::{Desk, Performed};
use super::failure::CredentialError;
use super::password::Entry;
use super::value::SecretValue;
use crate::app::Ports;
use crate::line::Line;
use crate::random;
use std::fmt;
use vettid_crypto::secret::SecretBytes;
use vettid_crypto::secret_box::{BoxKey, BoxPlace, Boxed, For, Occasion};
use vettid_wire::base64::Base64;
use vettid_wire::event::{Nothing, SecretList};
use vettid_wire::id::SecretId;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::secret::{
    Action, Add, AddSecret, Remove, Rotate, RotateSecret, SecretRef, SecretSummary, Use, UseSecret, Used,
};

/// A secret to be added.
#[derive(Debug)]
pub struct NewSecret {
    /// The owner's name for it.
    pub label: String,
    /// The owner's category.
    pub category: Option<String>,
    /// Longest grant over it, in minutes: 5 to 60, or 0 for none; absent: as the credential says.
    pub grant_minutes: Option<u32>,
    /// The value.
    pub value: SecretValue,
}

/// What became of one of many secrets.
#[derive(Debug)]
pub enum Added {
    /// It is stored.
    Stored(SecretSummary),
    /// The vault did not take it.
    Refused {
        /// Its label.
        label: String,
        /// Why.
        code: RefusalCode,
    },
}

/// What a use gave.
pub enum Gained {
    /// A signature of 64 bytes.
    Signature(Vec<u8>),
    /// A value, or what was decrypted.
    Value(SecretBytes),
}

impl fmt::Debug for Gained {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Gained")
    }
}

impl<P: Ports> Desk<'_, Line<'_, P>> {
    /// What the vault says of the secrets.
    pub(super) async fn list(&mut self) -> Result<Vec<SecretSummary>, CredentialError> {
        Ok(self.line.ask_vault::<SecretList>(&Nothing {}).await?.secrets)
    }

    /// Adds one secret.
    pub(super) async fn add(
        &mut self,
        secret: &NewSecret,
        entry: &mut Entry<'_>,
    ) -> Result<SecretSummary, CredentialError> {
        let secret_id = SecretId::v7(self.line.now(), random::bytes(&mut self.line.app.ports.random()));
        let NewSecret { label, category, grant_minutes, value } = secret;
        let added = self.perform::<Add>(entry, |making| AddSecret {
            secret_id,
            label: label.clone(),
            kind: value.kind(),
            curve: value.curve(),
            category: category.clone(),
            grant_minutes: *grant_minutes,
            sealed: making.boxed(Boxed::Value(secret_id), value.expose()),
        });
        Ok(added.await?.outcome)
    }

    /// Adds many secrets; a refused one stops no other.
    pub(super) async fn add_all(
        &mut self,
        secrets: Vec<NewSecret>,
        entry: &mut Entry<'_>,
        tell: &mut (dyn FnMut(Added) + Send),
    ) -> Result<(), CredentialError> {
        self.recover().await?;
        for secret in secrets {
            match self.add(&secret, entry).await {
                Ok(summary) => tell(Added::Stored(summary)),
                Err(CredentialError::Refused { code, .. }) => tell(Added::Refused { label: secret.label, code }),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Replaces a value.
    pub(super) async fn rotate(
        &mut self,
        secret_id: SecretId,
        value: &SecretValue,
        entry: &mut Entry<'_>,
    ) -> Result<SecretSummary, CredentialError> {
        let rotated = self.perform::<Rotate>(entry, |making| RotateSecret {
            secret_id,
            sealed: making.boxed(Boxed::Value(secret_id), value.expose()),
        });
        Ok(rotated.await?.outcome)
    }

    /// Removes a secret.
    pub(super) async fn remove(&mut self, secret_id: SecretId, entry: &mut Entry<'_>) -> Result<(), CredentialError> {
        self.perform::<Remove>(entry, |_| SecretRef { secret_id }).await?;
        if self.kept()?.end_grants_of(secret_id) { self.save() } else { Ok(()) }
    }

    /// Uses a secret, under a grant if there is one.
    pub(super) async fn use_secret(
        &mut self,
        wanted: UseSecret,
        entry: &mut Entry<'_>,
    ) -> Result<Gained, CredentialError> {
        if let Some(gained) = self.use_under_grant(&wanted).await? {
            return Ok(gained);
        }
        let performed = self.perform::<Use>(entry, |_| wanted.clone()).await?;
        let Performed { op_id, outcome, key } = performed;
        self.gained(&outcome, wanted.secret_id, Occasion::Operation(op_id), &key, Use::NAME)
    }

    /// Opens what a use gave.
    pub(super) fn gained(
        &self,
        used: &Used,
        secret_id: SecretId,
        occasion: Occasion,
        key: &BoxKey,
        action: &'static str,
    ) -> Result<Gained, CredentialError> {
        match used {
            Used::Signature(signature) => Ok(Gained::Signature(signature.as_bytes().to_vec())),
            Used::Sealed(sealed) => {
                self.unbox(Boxed::Value(secret_id), occasion, key, sealed, action).map(Gained::Value)
            }
        }
    }

    /// Opens a box that the vault made for the app.
    pub(super) fn unbox(
        &self,
        boxed: Boxed,
        occasion: Occasion,
        key: &BoxKey,
        sealed: &Base64,
        action: &'static str,
    ) -> Result<SecretBytes, CredentialError> {
        let guid = self.line.member.guid;
        let place = BoxPlace { guid, boxed, occasion, opened_by: For::App };
        place.open(key, sealed.as_bytes()).map_err(CredentialError::unopened(action))
    }
}

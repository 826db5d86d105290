//! Where a password comes from, and the keys that are derived from it. A password is asked for once in each command, and
//! only after the issuer proved itself; it is hashed away from the event loop, at most twice at once in this process.

use super::failure::CredentialError;
use std::error::Error;
use std::sync::Arc;
use tokio::sync::Semaphore;
use vettid_core::credential::holder::slot::PasswordParts;
use vettid_crypto::password::{
    DeviceSecret, InnerKey, OutOfMemory, Password, PasswordKeys, PasswordProof, PasswordSalt, derive_keys,
};
use vettid_crypto::secret::Secret32;
use vettid_crypto::utk::PasswordPayload;

/// Password hashes at once: each takes 64 MiB.
static HASHES: Semaphore = Semaphore::const_new(2);

/// Gives a password when it is needed.
pub trait PasswordSource: Send {
    /// The password; may block while somebody types it.
    ///
    /// # Errors
    /// [`NoPassword`].
    fn password(&mut self) -> Result<Password, NoPassword>;

    /// How keys come from it: by [`derive_keys`], which is meant to be slow. Nothing that guards a secret does with less.
    fn derivation(&self) -> Derivation {
        derive_keys
    }
}

/// Makes the keys of a password.
pub type Derivation = fn(&Password, &PasswordSalt, &DeviceSecret) -> Result<PasswordKeys, OutOfMemory>;

/// No password was given, or not one that can be one.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct NoPassword(Box<dyn Error + Send + Sync>);

impl NoPassword {
    /// Why there is none. The reason must not show what was typed.
    pub fn new(reason: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(reason.into())
    }
}

/// One entry of a password, good for all the operations of one command.
pub(crate) struct Entry<'s> {
    source: &'s mut dyn PasswordSource,
    typed: Option<Arc<Password>>,
    /// One for each salt: the credentials have salts of their own.
    derived: Vec<(PasswordSalt, PasswordKeys)>,
}

impl<'s> Entry<'s> {
    pub(crate) fn new(source: &'s mut dyn PasswordSource) -> Self {
        Self { source, typed: None, derived: Vec::new() }
    }

    /// Whether the password was asked for.
    pub(crate) fn is_typed(&self) -> bool {
        self.typed.is_some()
    }

    /// The keys for a package with these parts; asks for the password if it was not asked for yet.
    pub(crate) async fn keys(&mut self, parts: &PasswordParts) -> Result<&PasswordKeys, CredentialError> {
        let at = match self.derived.iter().position(|(salt, _)| *salt == parts.salt) {
            Some(at) => at,
            None => {
                let keys = derive(self.source.derivation(), self.typed()?, parts.duplicate()).await?;
                self.derived.push((parts.salt, keys));
                self.derived.len() - 1
            }
        };
        self.derived.get(at).map(|(_, keys)| keys).ok_or(CredentialError::Interrupted)
    }

    /// The keys that the same password gives with other parts; those for `present` are derived as well.
    pub(crate) async fn new_keys(
        &mut self,
        present: &PasswordParts,
        parts: &PasswordParts,
    ) -> Result<PasswordKeys, CredentialError> {
        self.keys(present).await?;
        derive(self.source.derivation(), self.typed()?, parts.duplicate()).await
    }

    fn typed(&mut self) -> Result<Arc<Password>, CredentialError> {
        match &self.typed {
            Some(typed) => Ok(Arc::clone(typed)),
            None => Ok(Arc::clone(self.typed.insert(Arc::new(self.source.password()?)))),
        }
    }
}

async fn derive(
    derivation: Derivation,
    password: Arc<Password>,
    parts: PasswordParts,
) -> Result<PasswordKeys, CredentialError> {
    let _permit = HASHES.acquire().await.map_err(|_| CredentialError::Interrupted)?;
    let hashing = tokio::task::spawn_blocking(move || derivation(&password, &parts.salt, &parts.device_secret));
    hashing.await.map_err(|_| CredentialError::Interrupted)?.map_err(CredentialError::OutOfMemory)
}

/// What travels under a transaction key; the inner key goes to an issuer that opens the inner layer, and to no other.
pub(crate) fn payload(keys: &PasswordKeys, opens_inner_layer: bool) -> PasswordPayload {
    let proof = PasswordProof::from_secret(Secret32::copied_from(keys.proof.expose()));
    PasswordPayload { proof, inner: opens_inner_layer.then(|| duplicate(&keys.inner)) }
}

pub(crate) fn duplicate(inner: &InnerKey) -> InnerKey {
    InnerKey::from_secret(Secret32::copied_from(inner.expose()))
}

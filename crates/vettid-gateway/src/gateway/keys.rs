//! Making and revoking the keys of the service's programs.

use super::{Gateway, Shared};
use crate::api_key::{KeyRecord, KeyView, Keys, MOST_KEYS, NewKey};
use crate::clock;
use crate::once;
use crate::state::StateError;
use zeroize::Zeroizing;

/// Where keys lie in the state.
pub(super) const KEYS: &str = "key/";
/// Longest name of a key in characters.
const MAX_NAME: usize = 64;

/// Why a key is not made or revoked.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There are as many as there may be.
    #[error("there are too many keys")]
    TooMany,
    /// No name, no scope, or a rate of nothing.
    #[error("a key has a name of 1 to 64 characters, one or more scopes, and at least one call a minute")]
    Invalid,
    /// There is no such key.
    #[error("there is no such key")]
    Unknown,
    /// It could not be stored.
    #[error(transparent)]
    State(#[from] StateError),
}

/// A new key, with the text that is shown once.
#[derive(Debug)]
pub struct MadeKey {
    /// The key.
    pub key: KeyView,
    /// What programs send.
    pub text: Zeroizing<String>,
}

impl Shared {
    /// The keys of programs.
    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    async fn store_key(&self, record: KeyRecord) -> Result<(), StateError> {
        let mut draft = self.state.draft();
        draft.put(format!("{KEYS}{}", record.key_id), &record)?;
        once::shown(&mut draft)?;
        self.commit(draft).await?;
        self.keys.put(record);
        Ok(())
    }
}

impl Gateway {
    /// Makes a key.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub async fn create_key(&self, new: NewKey) -> Result<MadeKey, KeyError> {
        let has_name = (1..=MAX_NAME).contains(&new.name.chars().count()) && !new.name.chars().any(char::is_control);
        if !has_name || new.scopes.is_empty() || new.calls_per_minute == Some(0) {
            return Err(KeyError::Invalid);
        }
        if self.0.keys.count() >= MOST_KEYS {
            return Err(KeyError::TooMany);
        }
        let (record, text) = KeyRecord::make(clock::now(), new);
        let key = KeyView::from(&record);
        self.0.store_key(record).await?;
        Ok(MadeKey { key, text })
    }

    /// All keys, by id.
    #[must_use]
    pub fn keys(&self) -> Vec<KeyView> {
        self.0.keys.all().iter().map(KeyView::from).collect()
    }

    /// Takes a key back, at once and for good.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub async fn revoke_key(&self, key_id: &str) -> Result<(), KeyError> {
        let record = self.0.keys.get(key_id).ok_or(KeyError::Unknown)?;
        if record.revoked_at.is_none() {
            self.0.store_key(KeyRecord { revoked_at: Some(clock::now()), ..record }).await?;
        }
        Ok(())
    }

    pub(crate) fn key_table(&self) -> &Keys {
        self.0.keys()
    }
}

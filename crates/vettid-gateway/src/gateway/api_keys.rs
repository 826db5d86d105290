//! Making and revoking the keys of the service's programs.

use super::{Gateway, Shared};
use crate::api_key::{ApiKeyView, ApiKeys, KeyRecord, MOST_KEYS, NewApiKey};
use crate::clock;
use crate::once;
use crate::state::StateError;
use zeroize::Zeroizing;

/// Where keys lie in the state.
pub(super) const KEYS: &str = "api_key/";
/// Longest name of a key in characters.
const MAX_NAME: usize = 64;

/// Why a key is not made or revoked.
#[derive(Debug, thiserror::Error)]
pub enum ApiKeyError {
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
pub struct MadeApiKey {
    /// The key.
    pub key: ApiKeyView,
    /// What programs send.
    pub text: Zeroizing<String>,
}

impl Shared {
    /// The keys of programs.
    pub(super) fn api_keys(&self) -> &ApiKeys {
        &self.api_keys
    }

    async fn store_key(&self, record: KeyRecord) -> Result<(), StateError> {
        let mut draft = self.state.draft();
        draft.put(format!("{KEYS}{}", record.key_id), &record)?;
        once::shown(&mut draft)?;
        self.commit(draft).await?;
        self.api_keys.put(record);
        Ok(())
    }
}

impl Gateway {
    /// Makes a key.
    ///
    /// # Errors
    /// See [`ApiKeyError`].
    pub async fn create_api_key(&self, new: NewApiKey) -> Result<MadeApiKey, ApiKeyError> {
        let has_name = (1..=MAX_NAME).contains(&new.name.chars().count()) && !new.name.chars().any(char::is_control);
        if !has_name || new.scopes.is_empty() || new.calls_per_minute == Some(0) {
            return Err(ApiKeyError::Invalid);
        }
        if self.0.api_keys.count() >= MOST_KEYS {
            return Err(ApiKeyError::TooMany);
        }
        let (record, text) = KeyRecord::make(clock::now(), new);
        let key = ApiKeyView::from(&record);
        self.0.store_key(record).await?;
        Ok(MadeApiKey { key, text })
    }

    /// All keys, by id.
    #[must_use]
    pub fn api_keys(&self) -> Vec<ApiKeyView> {
        self.0.api_keys.all().iter().map(ApiKeyView::from).collect()
    }

    /// Takes a key back, at once and for good.
    ///
    /// # Errors
    /// See [`ApiKeyError`].
    pub async fn revoke_api_key(&self, key_id: &str) -> Result<(), ApiKeyError> {
        let record = self.0.api_keys.get(key_id).ok_or(ApiKeyError::Unknown)?;
        if record.revoked_at.is_none() {
            self.0.store_key(KeyRecord { revoked_at: Some(clock::now()), ..record }).await?;
        }
        Ok(())
    }

    pub(crate) fn key_table(&self) -> &ApiKeys {
        self.0.api_keys()
    }
}

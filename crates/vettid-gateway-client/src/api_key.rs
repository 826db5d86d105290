//! Keys of programs. Their text is told once and is in no other text for people.

use crate::{ClientError, GatewayClient, Page};
use serde::{Deserialize, Serialize};
use std::fmt;
use vettid_wire::time::Timestamp;

/// A key to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewApiKey {
    /// What it is for.
    pub name: String,
    /// What it may do, such as `data:read`.
    pub scopes: Vec<String>,
    /// Calls a minute; absent: as the gateway's configuration says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls_per_minute: Option<u32>,
}

/// A key, without what it is shown with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Names it.
    pub key_id: String,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Calls a minute, if they differ from what the configuration says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls_per_minute: Option<u32>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

/// A key with the text that is told once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedApiKey {
    /// The key.
    #[serde(flatten)]
    pub key: ApiKey,
    /// What programs send.
    pub secret: String,
}

impl fmt::Debug for CreatedApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CreatedApiKey({})", self.key.key_id)
    }
}

/// A page of keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKeyPage {
    /// The keys.
    pub api_keys: Vec<ApiKey>,
    /// There are more: the `cursor` of the next page.
    pub next_cursor: Option<String>,
}

impl GatewayClient {
    /// Makes a key; its text is told this once. Scope `admin`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn create_api_key(&self, key: &NewApiKey) -> Result<CreatedApiKey, ClientError> {
        self.post(&["v1", "api-keys"], key).await
    }

    /// Lists the keys. Scope `admin`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn api_keys(&self, page: &Page) -> Result<ApiKeyPage, ClientError> {
        self.list(&["v1", "api-keys"], &[], page).await
    }

    /// Takes a key back. Scope `admin`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn revoke_api_key(&self, key_id: &str) -> Result<(), ClientError> {
        self.delete(&["v1", "api-keys", key_id]).await
    }
}

//! How a gateway is, and what it says of itself.

use crate::{ClientError, GatewayClient, body_of, checked, read};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Whether a gateway lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `ok` or `unavailable`.
    pub status: String,
}

/// Whether a gateway can do its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// `ready` or `not_ready`.
    pub status: String,
    /// What does not work, in words.
    pub problems: Vec<String>,
    /// What works but should be looked at.
    pub warnings: Vec<String>,
}

impl GatewayClient {
    /// Whether the gateway lives. Open to everybody, as are [`Self::readiness`] and [`Self::description`].
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn health(&self) -> Result<Health, ClientError> {
        let answer = self.send::<()>(Method::GET, &["healthz"], &[], None).await?;
        read(&body_of(answer).await?)
    }

    /// Whether the gateway can do its work, and what keeps it from it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn readiness(&self) -> Result<Readiness, ClientError> {
        let answer = self.send::<()>(Method::GET, &["readyz"], &[], None).await?;
        read(&body_of(answer).await?)
    }

    /// What the gateway counts, in the text form of Prometheus. Scope `metrics`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn metrics(&self) -> Result<String, ClientError> {
        let answer = self.send::<()>(Method::GET, &["metrics"], &[], None).await?;
        let text = body_of(checked(answer).await?).await?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// How this gateway describes its calls (OpenAPI).
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn description(&self) -> Result<Value, ClientError> {
        self.get(&["openapi.json"], &[]).await
    }
}

//! Accounts in the server's resolver: store, replace, show, delete, erase. The server keeps whatever account a provisioner
//! gives it, but believes only one that the operator signed: must never be given anything else, see [`SignedAccount`].

use std::future::Future;

use async_nats::HeaderMap;
use bytes::Bytes;
use serde::Deserialize;
use vettid_core::grants::broker::{self, CLAIMS_DELETE, CLAIMS_UPDATE};
use vettid_core::grants::trust::{SignedAccount, SignedDeletion};

use crate::connection::{Connection, REQUEST_TIMEOUT, RequestError};

/// So often is a request without answer sent again; each can be repeated without harm.
const ATTEMPTS: u32 = 3;

/// Why an account is not stored or not gone.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// The request did not get through.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The server does not take it.
    #[error("the broker refuses the account: {0}")]
    Refused(String),
    /// The answer cannot be read.
    #[error("the broker answers in a form that is not known")]
    Malformed,
}

/// Stores accounts in the server, with a connection in the server's own account.
#[derive(Debug, Clone)]
pub struct Provisioner(Connection);

#[derive(Deserialize)]
struct Answer {
    data: Option<Outcome>,
    error: Option<Outcome>,
}

#[derive(Deserialize)]
struct Outcome {
    #[serde(default)]
    code: u32,
    #[serde(default)]
    description: String,
}

#[derive(Deserialize)]
struct Erased {
    #[serde(default)]
    initiated: bool,
}

impl Provisioner {
    /// With a connection of the provisioner's role.
    #[must_use]
    pub fn new(connection: Connection) -> Self {
        Self(connection)
    }

    /// The connection.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.0
    }

    /// Stores an account or replaces it. Users that the new claim revokes, and users of keys that it no longer names, are
    /// cut off at once.
    ///
    /// # Errors
    /// See [`ProvisionError`].
    pub async fn push(&self, account: &SignedAccount) -> Result<(), ProvisionError> {
        let jwt = account.jwt().as_str();
        accepted(&self.repeated(|| self.ask(CLAIMS_UPDATE, jwt)).await?)
    }

    /// Deletes accounts: their users are cut off. What they stored in JetStream stays; see [`erase`](Self::erase).
    ///
    /// # Errors
    /// See [`ProvisionError`].
    pub async fn delete(&self, deletion: &SignedDeletion) -> Result<(), ProvisionError> {
        let order = deletion.order().as_str();
        accepted(&self.repeated(|| self.ask(CLAIMS_DELETE, order)).await?)
    }

    /// Erases what an account stored in JetStream, whether it still exists or not.
    ///
    /// # Errors
    /// See [`ProvisionError`].
    pub async fn erase(&self, account: &str) -> Result<(), ProvisionError> {
        let payload = self.repeated(|| self.ask(broker::account_purge(account), "")).await?;
        match serde_json::from_slice::<Erased>(&payload) {
            Ok(Erased { initiated: true }) => Ok(()),
            Ok(_) => Err(ProvisionError::Refused("not erased".to_owned())),
            Err(_) => Err(ProvisionError::Malformed),
        }
    }

    /// The token of an account as the server has it.
    ///
    /// # Errors
    /// See [`ProvisionError`].
    pub async fn stored(&self, account: &str) -> Result<Option<String>, ProvisionError> {
        let payload = self.repeated(|| self.ask(broker::claims_lookup(account), "")).await?;
        let text = String::from_utf8(payload.to_vec()).map_err(|_| ProvisionError::Malformed)?;
        Ok(if text.is_empty() { None } else { Some(text) })
    }

    async fn ask(&self, subject: impl Into<String>, body: &str) -> Result<Bytes, RequestError> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let message = self.0.exchange(&subject.into(), HeaderMap::new(), body, REQUEST_TIMEOUT).await?;
        Ok(message.payload)
    }

    async fn repeated<F>(&self, request: impl Fn() -> F) -> Result<Bytes, RequestError>
    where
        F: Future<Output = Result<Bytes, RequestError>>,
    {
        let mut attempt = 1;
        loop {
            match request().await {
                Err(RequestError::TimedOut) if attempt < ATTEMPTS => attempt += 1,
                outcome => return outcome,
            }
        }
    }
}

fn accepted(payload: &[u8]) -> Result<(), ProvisionError> {
    let answer: Answer = serde_json::from_slice(payload).map_err(|_| ProvisionError::Malformed)?;
    match answer {
        Answer { error: Some(problem), .. } => Err(ProvisionError::Refused(problem.description)),
        Answer { data: Some(outcome), .. } if outcome.code == 200 => Ok(()),
        _ => Err(ProvisionError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_is_a_yes() {
        assert!(accepted(br#"{"server":{},"data":{"account":"A","code":200,"message":"jwt updated"}}"#).is_ok());
        let no = br#"{"server":{},"error":{"account":"A","code":500,"description":"jwt update failed"}}"#;
        assert!(matches!(accepted(no), Err(ProvisionError::Refused(_))));
        for wrong in [&b""[..], b"{}", br#"{"data":{}}"#, br#"{"data":{"code":500}}"#] {
            assert!(matches!(accepted(wrong), Err(ProvisionError::Malformed)));
        }
    }
}

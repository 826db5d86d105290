//! The HTTP API of services, as the client's port wants it. Must never tell a refusal from services as a failure to reach
//! them, or the other way round.

use crate::https::{CallError, Operator};
use reqwest::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::error::Error;
use vettid_client::services::{ServicesAddress, ServicesApi, ServicesError};
use vettid_crypto::secret::SecretBytes;
use vettid_wire::enrolment::{
    Authenticate, Authenticated, Finalized, NatsBootstrap, NatsBootstrapped, RenewBootstrap, Scan, Scanned,
};
use vettid_wire::event::Nothing;
use vettid_wire::json;

/// The services of an operator over HTTPS.
#[derive(Debug, Clone, Copy)]
pub(super) struct HttpServices;

impl ServicesApi for HttpServices {
    async fn scan(&self, at: ServicesAddress<'_>, scan: &Scan) -> Result<Scanned, ServicesError> {
        call(at, "enroll/scan", None, scan).await
    }

    async fn authenticate(
        &self,
        at: ServicesAddress<'_>,
        proof: &Authenticate,
    ) -> Result<Authenticated, ServicesError> {
        call(at, "enroll/authenticate", None, proof).await
    }

    async fn nats_bootstrap(
        &self,
        at: ServicesAddress<'_>,
        token: &SecretBytes,
        request: &NatsBootstrap,
    ) -> Result<NatsBootstrapped, ServicesError> {
        call(at, "enroll/nats-bootstrap", Some(token), request).await
    }

    async fn finalize(&self, at: ServicesAddress<'_>, token: &SecretBytes) -> Result<Finalized, ServicesError> {
        call(at, "enroll/finalize", Some(token), &Nothing {}).await
    }

    async fn renew_bootstrap(
        &self,
        at: ServicesAddress<'_>,
        request: &RenewBootstrap,
    ) -> Result<NatsBootstrapped, ServicesError> {
        call(at, "bootstrap", None, request).await
    }
}

/// One step of `/v1/vault/…`.
async fn call<T: DeserializeOwned>(
    at: ServicesAddress<'_>,
    step: &str,
    token: Option<&SecretBytes>,
    body: &impl Serialize,
) -> Result<T, ServicesError> {
    post(at, &format!("/v1/vault/{step}"), token, body).await
}

/// Posts a body and reads the answer.
pub(super) async fn post<T: DeserializeOwned>(
    at: ServicesAddress<'_>,
    path: &str,
    token: Option<&SecretBytes>,
    body: &impl Serialize,
) -> Result<T, ServicesError> {
    let operator = Operator::new(at.url, at.trust).map_err(unreachable)?;
    let token = token.map(|token| String::from_utf8_lossy(token.expose()));
    let bytes = answered(operator.call(path, token.as_deref(), body).await)?;
    let value = json::parse_large(&bytes).map_err(|error| ServicesError::Unreadable(error.into()))?;
    json::from_value(value).map_err(|error| ServicesError::Unreadable(error.into()))
}

/// The body of a success.
pub(super) fn answered(called: Result<(StatusCode, Vec<u8>), CallError>) -> Result<Vec<u8>, ServicesError> {
    let (status, bytes) = called.map_err(|error| match error {
        CallError::Unreachable(cause) => unreachable(cause),
        error @ CallError::TooLong => ServicesError::Unreadable(error.into()),
    })?;
    if status == StatusCode::FORBIDDEN && code_of(&bytes).as_deref() == Some("on_hold") {
        return Err(ServicesError::OnHold);
    }
    if status.is_client_error() {
        return Err(ServicesError::Refused { status: status.as_u16() });
    }
    if !status.is_success() {
        return Err(unreachable(format!("HTTP status {}", status.as_u16())));
    }
    Ok(bytes)
}

/// The code of a refusal: `{"error":{"code","message"}}`.
fn code_of(bytes: &[u8]) -> Option<String> {
    Some(json::parse(bytes).ok()?.get("error")?.get("code")?.as_str()?.to_owned())
}

/// The whole chain of causes: the topmost sentence of an HTTP failure rarely says why.
pub(super) fn unreachable(error: impl Into<Box<dyn Error + Send + Sync>>) -> ServicesError {
    let error = error.into();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    ServicesError::Unreachable(text.into())
}

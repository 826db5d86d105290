//! The HTTP API of services, as the client's port wants it. TLS 1.3 and one authority; never plain HTTP, no redirects,
//! no proxies, answers of bounded size.

use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use vettid_client::services::{ServicesAddress, ServicesApi, ServicesError};
use vettid_crypto::secret::SecretBytes;
use vettid_wire::enrolment::{
    Authenticate, Authenticated, Finalized, NatsBootstrap, NatsBootstrapped, RenewBootstrap, Scan, Scanned,
};
use vettid_wire::event::Nothing;
use vettid_wire::json;

const TIME_LIMIT: Duration = Duration::from_secs(20);

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
    let url = format!("{}/v1/vault/{step}", at.url.trim_end_matches('/'));
    let mut request = client(at.trust)?.post(url).json(body);
    if let Some(token) = token {
        request = request.bearer_auth(String::from_utf8_lossy(token.expose()));
    }
    let response = request.send().await.map_err(unreachable)?;
    let status = response.status();
    if status.is_client_error() {
        return Err(ServicesError::Refused { status: status.as_u16() });
    }
    if !status.is_success() {
        return Err(unreachable(format!("HTTP status {}", status.as_u16())));
    }
    let bytes = body_of(response).await?;
    json::read(&bytes).map_err(|error| ServicesError::Unreadable(error.into()))
}

async fn body_of(mut response: Response) -> Result<Vec<u8>, ServicesError> {
    let mut bytes = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(unreachable)? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > json::MAX_BYTES {
            return Err(ServicesError::Unreadable("the answer is too long".into()));
        }
    }
    Ok(bytes)
}

fn client(trust: &str) -> Result<Client, ServicesError> {
    let builder = Client::builder()
        .tls_backend_preconfigured(tls(trust).map_err(unreachable)?)
        .https_only(true)
        .redirect(Policy::none())
        .no_proxy()
        .timeout(TIME_LIMIT);
    builder.build().map_err(unreachable)
}

fn tls(trust: &str) -> Result<ClientConfig, Box<dyn Error + Send + Sync>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(trust.as_bytes()) {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13])?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// The whole chain of causes: the topmost sentence of an HTTP failure rarely says why.
fn unreachable(error: impl Into<Box<dyn Error + Send + Sync>>) -> ServicesError {
    let error = error.into();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    ServicesError::Unreachable(text.into())
}

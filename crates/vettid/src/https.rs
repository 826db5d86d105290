//! HTTPS towards the operator's services: TLS 1.3, one authority, no plain HTTP, no redirects, no proxies, answers of
//! bounded size.

use anyhow::{Context as _, Result, bail};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, StatusCode};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use vettid_wire::json;

const TIME_LIMIT: Duration = Duration::from_secs(30);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// Nothing answers there, or somebody else.
    #[error("services cannot be reached")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
    /// The answer is larger than any that services give.
    #[error("the answer of services is too long")]
    TooLong,
}

impl From<reqwest::Error> for CallError {
    fn from(error: reqwest::Error) -> Self {
        Self::Unreachable(error.into())
    }
}

/// The services of an operator.
#[derive(Debug, Clone)]
pub(crate) struct Operator {
    url: String,
    client: Client,
}

impl Operator {
    /// Services at this address, certified by this authority (PEM).
    ///
    /// # Errors
    /// If the authority cannot be read, or the system gives no client.
    pub(crate) fn new(url: &str, authority_pem: &str) -> Result<Self> {
        let client = Client::builder().tls_backend_preconfigured(tls(authority_pem)?).https_only(true);
        let client = client.redirect(Policy::none()).no_proxy().timeout(TIME_LIMIT).build()?;
        Ok(Self { url: url.trim_end_matches('/').to_owned(), client })
    }

    /// Posts a body under a bearer token and reads the answer, which must be a success.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        token: Option<&str>,
        body: &impl Serialize,
    ) -> Result<T> {
        self.success(path, self.call(path, token, body).await)
    }

    /// Reads what is there under a bearer token, which must be a success.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str, token: &str) -> Result<T> {
        let request = self.client.get(format!("{}{path}", self.url)).bearer_auth(token);
        self.success(path, answer(request).await)
    }

    /// Posts a body under a bearer token; whatever the answer is, it is the caller's matter.
    ///
    /// # Errors
    /// [`CallError`].
    pub(crate) async fn call(
        &self,
        path: &str,
        token: Option<&str>,
        body: &impl Serialize,
    ) -> Result<(StatusCode, Vec<u8>), CallError> {
        let request = self.client.post(format!("{}{path}", self.url)).json(body);
        answer(match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        })
        .await
    }

    /// Posts bytes under a token and a proof by the holder of its key.
    ///
    /// # Errors
    /// [`CallError`].
    pub(crate) async fn act(
        &self,
        path: &str,
        (token, proof): (&str, &str),
        body: &[u8],
    ) -> Result<(StatusCode, Vec<u8>), CallError> {
        let request = self.client.post(format!("{}{path}", self.url));
        let request = request.header("authorization", format!("DPoP {token}")).header("dpop", proof);
        answer(request.header("content-type", "application/json").body(body.to_vec())).await
    }

    fn success<T: DeserializeOwned>(&self, path: &str, called: Result<(StatusCode, Vec<u8>), CallError>) -> Result<T> {
        let (status, bytes) = called.with_context(|| format!("no answer from {}{path}", self.url))?;
        if !status.is_success() {
            bail!("services answered {status} to {path}: {}", String::from_utf8_lossy(&bytes));
        }
        json::read(&bytes).with_context(|| format!("the answer of services to {path} cannot be read"))
    }
}

async fn answer(request: RequestBuilder) -> Result<(StatusCode, Vec<u8>), CallError> {
    let mut response = request.send().await?;
    let mut bytes = Vec::new();
    while let Some(piece) = response.chunk().await? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > json::MAX_LARGE_BYTES {
            return Err(CallError::TooLong);
        }
    }
    Ok((response.status(), bytes))
}

fn tls(authority_pem: &str) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority_pem.as_bytes()) {
        roots.add(certificate.context("the authority's file is not a certificate in PEM form")?)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13])?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

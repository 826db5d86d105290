//! Registering the service's account with the operator: public keys go out over HTTPS under a join token, once. Nothing
//! but public keys is sent, and only to a server that the configured authority certifies.

use crate::config::Services;
use crate::files::{self, FileError};
use reqwest::StatusCode;
use reqwest::redirect::Policy;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use vettid_wire::category::{ListService, Listed};
use vettid_wire::directory::{AskDomainChallenge, ClaimDomain, DirectoryEntry, DomainChallenge, DomainClaimed};
use vettid_wire::enrolment::{RegisterService, ServiceRegistered, SigningKeysRotated};
use vettid_wire::id::ServiceId;
use vettid_wire::json::{self, JsonError};
use vettid_wire::service_keys::RotateServiceKeys;
use vettid_wire::time::Timestamp;
use zeroize::Zeroizing;

/// How long services may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Largest answer in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Most former addresses that are remembered; the oldest are forgotten first.
const MOST_FORMER: usize = 64;

/// That and where the account lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Registration {
    /// Address of the broker.
    pub nats_endpoint: String,
    /// Addresses that services named for it earlier, the oldest first: members' spaces still carry them.
    #[serde(default)]
    pub former_endpoints: Vec<String>,
    /// When it was registered.
    pub registered_at: Timestamp,
}

impl Registration {
    /// This one, which remembers where the broker was before.
    #[must_use]
    pub(crate) fn after(mut self, last: &Self) -> Self {
        let former = last.former_endpoints.iter().chain([&last.nats_endpoint]);
        self.former_endpoints = former.filter(|address| **address != self.nats_endpoint).cloned().collect();
        self.former_endpoints.drain(..self.former_endpoints.len().saturating_sub(MOST_FORMER));
        self
    }
}

/// Why the account is not registered.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The authority's file holds no certificate.
    #[error("{0}: not a certificate authority in PEM form")]
    Authority(PathBuf),
    /// The configuration names no join token.
    #[error(
        "the account is not registered yet: put the operator's join token for services into the file that \
         `services.join_token_file` names (a `vettid up` keeps it in services/join/service.token of its data)"
    )]
    NoToken,
    /// TLS cannot be set up.
    #[error("tls towards services cannot be set up")]
    Tls(#[source] rustls::Error),
    /// Services do not answer.
    #[error("services cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// Services said no.
    #[error("services refused the registration (HTTP status {0}): ask the operator for a fresh join token")]
    Refused(StatusCode),
    /// Services said no to new signing keys.
    #[error("services refused the new signing keys (HTTP status {0})")]
    KeysRefused(StatusCode),
    /// Services said no to a question about the directory, or to a claim.
    #[error("services refused a claim or a question about the directory (HTTP status {0})")]
    ClaimRefused(StatusCode),
    /// Services know younger signing keys than those that they were told.
    #[error("services know younger signing keys")]
    OlderKeys,
    /// The answer is not what the standard says.
    #[error("services gave an answer that cannot be read")]
    Unreadable(#[source] JsonError),
}

/// Registers the account; may be repeated with the same keys.
///
/// # Errors
/// See [`RegistrationError`].
pub(crate) async fn register(
    services: &Services,
    request: &RegisterService,
    now: Timestamp,
) -> Result<Registration, RegistrationError> {
    let token = join_token(services)?;
    let client = client(&services.ca_file)?;
    let address = format!("{}/v1/services", services.url.trim_end_matches('/'));
    let call = client.post(address).bearer_auth(token.as_str()).json(request);
    let answer = call.send().await.map_err(RegistrationError::Unreachable)?;
    if !answer.status().is_success() {
        return Err(RegistrationError::Refused(answer.status()));
    }
    let body = capped(answer).await?;
    let registered: ServiceRegistered = json::read(&body).map_err(RegistrationError::Unreadable)?;
    Ok(Registration { nats_endpoint: registered.nats_endpoint, former_endpoints: Vec::new(), registered_at: now })
}

/// Has the broker take what new signing keys sign; may be repeated.
///
/// # Errors
/// See [`RegistrationError`].
pub(crate) async fn rotate(
    services: &Services,
    request: &RotateServiceKeys,
) -> Result<SigningKeysRotated, RegistrationError> {
    let address = format!("{}/v1/services/keys", services.url.trim_end_matches('/'));
    let call = client(&services.ca_file)?.post(address).json(request);
    let answer = call.send().await.map_err(RegistrationError::Unreachable)?;
    match answer.status() {
        status if status.is_success() => json::read(&capped(answer).await?).map_err(RegistrationError::Unreadable),
        StatusCode::CONFLICT => Err(RegistrationError::OlderKeys),
        status => Err(RegistrationError::KeysRefused(status)),
    }
}

/// A challenge for the claim of a domain.
///
/// # Errors
/// See [`RegistrationError`].
pub(crate) async fn domain_challenge(
    services: &Services,
    asked: &AskDomainChallenge,
) -> Result<DomainChallenge, RegistrationError> {
    claiming(services, "/v1/services/domain/challenge", asked).await
}

/// Claims a domain.
///
/// # Errors
/// See [`RegistrationError`].
pub(crate) async fn claim_domain(services: &Services, claim: &ClaimDomain) -> Result<DomainClaimed, RegistrationError> {
    claiming(services, "/v1/services/domain", claim).await
}

/// Tells the directory of the service.
///
/// # Errors
/// See [`RegistrationError`].
pub(crate) async fn list(services: &Services, listing: &ListService) -> Result<Listed, RegistrationError> {
    claiming(services, "/v1/services/listing", listing).await
}

async fn claiming<T: DeserializeOwned>(
    services: &Services,
    path: &str,
    body: &impl Serialize,
) -> Result<T, RegistrationError> {
    let address = format!("{}{path}", services.url.trim_end_matches('/'));
    let call = client(&services.ca_file)?.post(address).json(body);
    read(call).await
}

/// The service's own entry of the directory.
///
/// # Errors
/// See [`RegistrationError`].
pub(crate) async fn entry(services: &Services, service_id: &ServiceId) -> Result<DirectoryEntry, RegistrationError> {
    let address = format!("{}/v1/registry/services/{service_id}", services.url.trim_end_matches('/'));
    read(client(&services.ca_file)?.get(address)).await
}

async fn read<T: DeserializeOwned>(call: reqwest::RequestBuilder) -> Result<T, RegistrationError> {
    let answer = call.send().await.map_err(RegistrationError::Unreachable)?;
    match answer.status() {
        status if status.is_success() => json::read(&capped(answer).await?).map_err(RegistrationError::Unreadable),
        status => Err(RegistrationError::ClaimRefused(status)),
    }
}

fn join_token(services: &Services) -> Result<Zeroizing<String>, RegistrationError> {
    let path = services.join_token_file.as_ref().ok_or(RegistrationError::NoToken)?;
    let text = files::read_secret_text(path)?.ok_or(RegistrationError::NoToken)?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

async fn capped(mut answer: reqwest::Response) -> Result<Vec<u8>, RegistrationError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(RegistrationError::Unreachable)? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER_BYTES {
            return Err(RegistrationError::Unreadable(JsonError::TooLong(MAX_ANSWER_BYTES)));
        }
    }
    Ok(body)
}

fn client(ca_file: &Path) -> Result<reqwest::Client, RegistrationError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(RegistrationError::Tls)?
        .with_root_certificates(authorities(ca_file)?)
        .with_no_client_auth();
    let client = reqwest::Client::builder().tls_backend_preconfigured(tls).https_only(true).redirect(Policy::none());
    client.timeout(ANSWER_WITHIN).no_proxy().build().map_err(RegistrationError::Unreachable)
}

fn authorities(ca_file: &Path) -> Result<RootCertStore, RegistrationError> {
    let pem = files::read_text(ca_file)?;
    let malformed = || RegistrationError::Authority(ca_file.to_owned());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate.map_err(|_| malformed())?).map_err(|_| malformed())?;
    }
    if roots.is_empty() { Err(malformed()) } else { Ok(roots) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nats_endpoint: &str) -> Registration {
        let registered_at = Timestamp::from_unix_ms(1_800_000_000_000);
        Registration { nats_endpoint: nats_endpoint.into(), former_endpoints: Vec::new(), registered_at }
    }

    #[test]
    fn former_addresses_are_remembered_once_and_within_bounds() {
        let third = at("tls://a").after(&at("tls://b").after(&at("tls://a")));
        assert_eq!(third.former_endpoints, ["tls://b"]);
        assert_eq!(at("tls://c").after(&third).former_endpoints, ["tls://b", "tls://a"]);
        let many = (0..100).fold(at("tls://a"), |last, port| at(&format!("tls://b:{port}")).after(&last));
        assert_eq!(many.former_endpoints.len(), MOST_FORMER);
        assert_eq!(many.former_endpoints.last().unwrap(), "tls://b:98");
    }

    #[test]
    fn a_registration_from_before_there_were_former_addresses_is_read() {
        let text = r#"{"nats_endpoint":"tls://a","registered_at":"2027-01-15T08:00:00.000Z"}"#;
        assert_eq!(serde_json::from_str::<Registration>(text).unwrap(), at("tls://a"));
    }
}

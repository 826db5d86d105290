//! The certificate of the HTTP API, from the same authority as the broker's: whoever trusts one trusts both. Must never
//! offer anything older than TLS 1.3.

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;
use time::{Duration, OffsetDateTime};
use vettid_nats::tls::{CertificateAuthority, TlsError};
use vettid_wire::time::Timestamp;
use zeroize::Zeroizing;

/// A certificate is made at each start and counts for so long.
const DAYS: i64 = 397;
const OWN_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Why the API has no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A name that cannot stand in a certificate, or a broken authority.
    #[error("the certificate of the api cannot be made")]
    Making(#[from] rcgen::Error),
    /// What was made cannot be read back.
    #[error("the certificate of the api cannot be read")]
    Reading(#[from] rustls::pki_types::pem::Error),
    /// The TLS library refused it.
    #[error("the certificate of the api cannot be used")]
    Using(#[from] rustls::Error),
    /// The authority cannot be read.
    #[error("the certificate authority cannot be used")]
    Authority(#[from] TlsError),
}

/// TLS 1.3 for this machine's own names and `names`.
///
/// # Errors
/// [`CertificateError`]
pub(crate) fn server_config(
    authority: &CertificateAuthority,
    names: &[String],
    now: Timestamp,
) -> Result<ServerConfig, CertificateError> {
    let (certificate, key) = issue(authority, names, now)?;
    let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn issue(
    authority: &CertificateAuthority,
    names: &[String],
    now: Timestamp,
) -> Result<(String, Zeroizing<String>), CertificateError> {
    let authority_key = KeyPair::from_pem(authority.expose_key_pem())?;
    let issuer = Issuer::from_ca_cert_pem(authority.certificate_pem(), authority_key)?;
    let all: Vec<String> = OWN_NAMES.into_iter().map(str::to_owned).chain(names.iter().cloned()).collect();
    let mut params = CertificateParams::new(all)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "VettID services");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    // From a day before, so that a clock that is a little slow does not refuse the certificate.
    let today = OffsetDateTime::from_unix_timestamp(now.unix_seconds()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    params.not_before = today.saturating_sub(Duration::days(1));
    params.not_after = today.saturating_add(Duration::days(DAYS));
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;
    Ok((certificate.pem(), Zeroizing::new(key.serialize_pem())))
}

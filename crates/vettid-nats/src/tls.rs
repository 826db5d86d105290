//! TLS between clients and the supervised server: a certificate authority of our own, and clients that trust it alone.
//! Must never fall back to the machine's certificates or to anything older than TLS 1.3.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use time::{Duration, OffsetDateTime};
use vettid_wire::time::Timestamp;
use zeroize::Zeroizing;

const AUTHORITY_DAYS: i64 = 3650;
const SERVER_DAYS: i64 = 397;

/// Why certificates could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate or its key could not be made or read.
    #[error("certificate of the broker")]
    Certificate(#[from] rcgen::Error),
    /// The text is not a certificate.
    #[error("the broker's certificate authority is not readable")]
    Malformed,
    /// The TLS library refused the configuration.
    #[error("tls configuration of a broker client")]
    Configuration(#[from] rustls::Error),
}

/// The authority that signs the certificate of one server. Its key is sealed by whoever keeps it.
pub struct CertificateAuthority {
    certificate_pem: String,
    key_pem: Zeroizing<String>,
}

impl std::fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CertificateAuthority")
    }
}

/// A server's certificate and key, PEM.
pub(crate) struct ServerCertificate {
    pub(crate) certificate_pem: String,
    pub(crate) key_pem: Zeroizing<String>,
}

impl CertificateAuthority {
    /// A new authority, good for ten years.
    ///
    /// # Errors
    /// If the certificate cannot be made.
    pub fn generate(now: Timestamp) -> Result<Self, TlsError> {
        let key = KeyPair::generate()?;
        let certificate = authority_params(now)?.self_signed(&key)?;
        Ok(Self { certificate_pem: certificate.pem(), key_pem: Zeroizing::new(key.serialize_pem()) })
    }

    /// As kept by the caller.
    ///
    /// # Errors
    /// If one of them is not readable.
    pub fn from_pem(certificate_pem: String, key_pem: Zeroizing<String>) -> Result<Self, TlsError> {
        KeyPair::from_pem(&key_pem)?;
        ClientTls::trusting(&certificate_pem)?;
        Ok(Self { certificate_pem, key_pem })
    }

    /// What clients trust; not secret.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The key, to be sealed by the caller. Never log or send it.
    #[must_use]
    pub fn expose_key_pem(&self) -> &str {
        &self.key_pem
    }

    /// A certificate for this machine's own addresses.
    pub(crate) fn issue(&self, now: Timestamp) -> Result<ServerCertificate, TlsError> {
        let issuer = Issuer::new(authority_params(now)?, KeyPair::from_pem(&self.key_pem)?);
        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = name("VettID broker");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = validity(now, SERVER_DAYS);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?;
        Ok(ServerCertificate { certificate_pem: certificate.pem(), key_pem: Zeroizing::new(key.serialize_pem()) })
    }
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

fn authority_params(now: Timestamp) -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = name("VettID broker authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    (params.not_before, params.not_after) = validity(now, AUTHORITY_DAYS);
    Ok(params)
}

/// From a day before, so that a clock that is a little slow does not refuse the certificate.
fn validity(now: Timestamp, days: i64) -> (OffsetDateTime, OffsetDateTime) {
    let now = OffsetDateTime::from_unix_timestamp(now.unix_seconds()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    (now.saturating_sub(Duration::days(1)), now.saturating_add(Duration::days(days)))
}

/// What a client connects with: TLS 1.3, one authority, nothing else.
#[derive(Clone)]
pub struct ClientTls(Arc<ClientConfig>);

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientTls")
    }
}

impl ClientTls {
    /// Trusts the authority of this certificate.
    ///
    /// # Errors
    /// If the text is not exactly one certificate.
    pub fn trusting(certificate_pem: &str) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(certificate_pem.as_bytes()) {
            roots.add(certificate.map_err(|_| TlsError::Malformed)?)?;
        }
        if roots.len() != 1 {
            return Err(TlsError::Malformed);
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }

    /// For another TLS client of this machine.
    #[must_use]
    pub fn config(&self) -> ClientConfig {
        ClientConfig::clone(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_read_as_it_is_kept_and_still_issues() {
        let now = Timestamp::from_unix_ms(1_763_700_000_000);
        let made = CertificateAuthority::generate(now).unwrap();
        let key = Zeroizing::new(made.expose_key_pem().to_owned());
        let kept = CertificateAuthority::from_pem(made.certificate_pem().to_owned(), key).unwrap();
        assert!(kept.issue(now).unwrap().certificate_pem.starts_with("-----BEGIN CERTIFICATE-----"));
        assert_eq!(format!("{kept:?}"), "CertificateAuthority");
    }

    #[test]
    fn clients_trust_one_authority_exactly() {
        let now = Timestamp::from_unix_ms(1_763_700_000_000);
        let one = CertificateAuthority::generate(now).unwrap();
        let other = CertificateAuthority::generate(now).unwrap();
        assert!(ClientTls::trusting(one.certificate_pem()).is_ok());
        let both = format!("{}{}", one.certificate_pem(), other.certificate_pem());
        for wrong in ["", "x", &both, one.expose_key_pem()] {
            assert!(ClientTls::trusting(wrong).is_err());
        }
    }
}

//! Sends one event to one webhook, once. Follows no redirect, goes through no proxy, reads nothing of the answer but its
//! status.

use super::address::{self, Guarded};
use super::signature;
use super::{Delivery, Webhook};
use crate::config::Webhooks as Config;
use crate::files::{self, FileError};
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use vettid_wire::time::Timestamp;

/// How long a receiver may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// How long it may take to be reached.
const REACHED_WITHIN: Duration = Duration::from_secs(5);

/// Why events cannot be sent at all.
#[derive(Debug, thiserror::Error)]
pub enum SenderError {
    /// The file of the authorities.
    #[error(transparent)]
    File(#[from] FileError),
    /// It holds no certificate.
    #[error("{0}: not a PEM file of certificates")]
    Authority(PathBuf),
    /// TLS cannot be set up.
    #[error("TLS for webhooks cannot be set up")]
    Tls(#[source] reqwest::Error),
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// The receiver has it.
    Taken,
    /// The receiver wants no events any more.
    Gone,
    /// It did not take it, in a word.
    Failed(String),
}

/// The way out.
#[derive(Debug)]
pub(crate) struct Sender {
    client: Client,
    loopback: bool,
}

impl Sender {
    /// Makes the way out.
    ///
    /// # Errors
    /// See [`SenderError`].
    pub(crate) fn new(config: &Config) -> Result<Self, SenderError> {
        // Without a provider there is no TLS; a second call changes nothing.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut client = Client::builder()
            .user_agent("vettid-gateway")
            .dns_resolver(Arc::new(Guarded { loopback: config.loopback }))
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(REACHED_WITHIN)
            .timeout(ANSWER_WITHIN);
        if let Some(path) = &config.ca_file {
            let pem = files::read_text(path)?;
            let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes())
                .map(|one| one.map_err(|_| ()).and_then(|one| reqwest::Certificate::from_der(&one).map_err(|_| ())))
                .collect();
            let certificates = certificates.ok().filter(|all| !all.is_empty());
            client = client.tls_certs_only(certificates.ok_or_else(|| SenderError::Authority(path.clone()))?);
        }
        Ok(Self { client: client.build().map_err(SenderError::Tls)?, loopback: config.loopback })
    }

    /// Sends an event.
    pub(crate) async fn send(&self, now: Timestamp, webhook: &Webhook, delivery: &Delivery) -> Attempt {
        let url = match address::check(&webhook.url, self.loopback) {
            Ok(url) => url,
            Err(error) => return Attempt::Failed(error.to_string()),
        };
        let (id, seconds) = (delivery.event_id.to_string(), now.unix_ms().div_euclid(1000));
        let signature = signature::header(&webhook.signing(now), &id, seconds, &delivery.payload);
        let sent = self
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", signature)
            .body(delivery.payload.clone())
            .send()
            .await;
        match sent.map(|answer| answer.status()) {
            Ok(status) if status.is_success() => Attempt::Taken,
            Ok(StatusCode::GONE) => Attempt::Gone,
            Ok(status) => Attempt::Failed(format!("answered {}", status.as_u16())),
            Err(error) if error.is_timeout() => Attempt::Failed("did not answer in time".to_owned()),
            Err(_) => Attempt::Failed("could not be reached".to_owned()),
        }
    }
}

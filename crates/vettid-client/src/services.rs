//! The operator's services as an app needs them, in enrolment and on its way back, behind a port.

use std::error::Error;
use std::future::Future;
use vettid_crypto::secret::SecretBytes;
use vettid_wire::enrolment::{
    Authenticate, Authenticated, Finalized, NatsBootstrap, NatsBootstrapped, RenewBootstrap, Scan, Scanned,
};

/// Where services are.
#[derive(Debug, Clone, Copy)]
pub struct ServicesAddress<'a> {
    /// Base URL, as the code gives it.
    pub url: &'a str,
    /// The one authority (PEM) from which their certificate must come.
    pub trust: &'a str,
}

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ServicesError {
    /// Nothing answers there, or the answer was lost: the step may have been taken.
    #[error("services cannot be reached: {0}")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
    /// Services refused the step; it had no effect.
    #[error("services refused the step (HTTP status {status})")]
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// Operations of high value wait for a while after a recovery; this one had no effect.
    #[error("a recovery is too fresh for this: wait, or approve it on the old device")]
    OnHold,
    /// The answer is not what the standard says.
    #[error("services gave an answer that cannot be read: {0}")]
    Unreadable(#[source] Box<dyn Error + Send + Sync>),
}

/// The steps of an enrolment (`/v1/vault/enroll/…`), each taken once, and the way back of an enrolled app.
pub trait ServicesApi: Send + Sync {
    /// Says that the code was read.
    ///
    /// # Errors
    /// [`ServicesError`].
    fn scan(&self, at: ServicesAddress<'_>, scan: &Scan)
    -> impl Future<Output = Result<Scanned, ServicesError>> + Send;

    /// Proves the code and the app's key.
    ///
    /// # Errors
    /// [`ServicesError`].
    fn authenticate(
        &self,
        at: ServicesAddress<'_>,
        proof: &Authenticate,
    ) -> impl Future<Output = Result<Authenticated, ServicesError>> + Send;

    /// Asks for a credential for the handshake; `token` is the enrolment token.
    ///
    /// # Errors
    /// [`ServicesError`].
    fn nats_bootstrap(
        &self,
        at: ServicesAddress<'_>,
        token: &SecretBytes,
        request: &NatsBootstrap,
    ) -> impl Future<Output = Result<NatsBootstrapped, ServicesError>> + Send;

    /// Says that the handshake is done; `token` is the enrolment token.
    ///
    /// # Errors
    /// [`ServicesError`].
    fn finalize(
        &self,
        at: ServicesAddress<'_>,
        token: &SecretBytes,
    ) -> impl Future<Output = Result<Finalized, ServicesError>> + Send;

    /// Asks for a credential that leads back to the vault (`/v1/vault/bootstrap`).
    ///
    /// # Errors
    /// [`ServicesError`].
    fn renew_bootstrap(
        &self,
        at: ServicesAddress<'_>,
        request: &RenewBootstrap,
    ) -> impl Future<Output = Result<NatsBootstrapped, ServicesError>> + Send;
}

//! The broker as the app needs it, behind a port: connect, publish, subscribe, close.
//!
//! What travels here is already sealed; a transport must never change, log or keep it.

use std::error::Error;
use std::future::Future;
use vettid_core::grants::credential::Credential;
use vettid_wire::subject::{Pattern, Subject};

/// Where and as whom to connect.
#[derive(Debug)]
pub struct SignIn<'a> {
    /// Address of the broker.
    pub endpoint: &'a str,
    /// The one authority (PEM) from which the broker's certificate must come.
    pub trust: &'a str,
    /// The app's key, token and private inbox.
    pub credential: Credential,
}

/// Why the broker cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// Nothing answers there, or it is not the right one.
    #[error("the broker cannot be reached: {0}")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
    /// The broker does not take the credential.
    #[error("the broker does not take the credential: {0}")]
    NotAuthorized(#[source] Box<dyn Error + Send + Sync>),
    /// The connection broke.
    #[error("the connection to the broker broke: {0}")]
    Lost(#[source] Box<dyn Error + Send + Sync>),
}

/// Something arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The subject on which it was delivered.
    pub subject: Subject,
    /// Its bytes.
    pub payload: Vec<u8>,
}

/// Opens connections.
pub trait Transport: Send + Sync {
    /// An open connection.
    type Connection: Connection;

    /// Connects and signs in.
    ///
    /// # Errors
    /// [`TransportError::Unreachable`], [`TransportError::NotAuthorized`].
    fn connect(&self, sign_in: SignIn<'_>) -> impl Future<Output = Result<Self::Connection, TransportError>> + Send;
}

/// An open connection.
pub trait Connection: Send + Sync {
    /// What was subscribed to.
    type Subscription: Subscription;

    /// Subscribes. What this connection publishes afterwards reaches the broker after the subscription.
    ///
    /// # Errors
    /// [`TransportError::Lost`], [`TransportError::NotAuthorized`].
    fn subscribe(&self, pattern: &Pattern) -> impl Future<Output = Result<Self::Subscription, TransportError>> + Send;

    /// Publishes; on success the bytes have left this process.
    ///
    /// # Errors
    /// [`TransportError::Lost`], [`TransportError::NotAuthorized`].
    fn publish(&self, subject: &Subject, payload: &[u8]) -> impl Future<Output = Result<(), TransportError>> + Send;

    /// Waits until the connection was lost and made anew, which subscriptions do not tell: what was meant for them meanwhile is lost. A
    /// transport that ends its subscriptions instead never says so.
    fn made_anew(&self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }

    /// Closes the connection after everything published has left.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// Deliveries in order of arrival. Ends by being dropped.
pub trait Subscription: Send {
    /// Waits for the next delivery on a subject of VettID; others are left out. May be cancelled without loss.
    ///
    /// # Errors
    /// [`TransportError::NotAuthorized`], [`TransportError::Lost`].
    fn next(&mut self) -> impl Future<Output = Result<Delivery, TransportError>> + Send;
}

//! The broker over NATS, as the client's port wants it: TLS, the app's own credential, nothing in clear.

use std::error::Error;
use tokio::sync::watch;
use vettid_client::transport::{Connection, Delivery, SignIn, Subscription, Transport, TransportError};
use vettid_nats::connection::{self as nats, ConnectError, ConnectionState, Endpoint, Incoming, RequestError};
use vettid_nats::tls::ClientTls;
use vettid_wire::subject::{Pattern, Subject};

/// NATS.
#[derive(Debug, Clone, Copy)]
pub(super) struct NatsTransport;

impl Transport for NatsTransport {
    type Connection = NatsConnection;

    async fn connect(&self, sign_in: SignIn<'_>) -> Result<NatsConnection, TransportError> {
        let tls = ClientTls::trusting(sign_in.trust).map_err(|error| TransportError::Unreachable(error.into()))?;
        let endpoint = Endpoint { address: sign_in.endpoint.to_owned(), tls };
        match nats::Connection::open(&endpoint, sign_in.credential).await {
            Ok(connection) => Ok(NatsConnection(connection)),
            Err(error @ ConnectError::Refused) => Err(TransportError::NotAuthorized(error.into())),
            Err(ConnectError::Unreachable(source)) => Err(TransportError::Unreachable(source)),
        }
    }
}

/// A connection.
pub(super) struct NatsConnection(nats::Connection);

impl Connection for NatsConnection {
    type Subscription = NatsSubscription;

    async fn subscribe(&self, pattern: &Pattern) -> Result<NatsSubscription, TransportError> {
        let subscription = self.0.subscribe(pattern).await.map_err(failed)?;
        Ok(NatsSubscription { subscription, state: self.0.state() })
    }

    async fn publish(&self, subject: &Subject, payload: &[u8]) -> Result<(), TransportError> {
        self.0.publish(subject, payload.to_vec().into()).await.map_err(failed)
    }

    async fn close(self) {
        // What was published and not answered is stored and will be sent again; there is nothing to report.
        let _ = self.0.close().await;
    }
}

/// A subscription, and how its connection is.
pub(super) struct NatsSubscription {
    subscription: nats::Subscription,
    state: watch::Receiver<ConnectionState>,
}

impl Subscription for NatsSubscription {
    async fn next(&mut self) -> Result<Delivery, TransportError> {
        let gone = |state: &ConnectionState| matches!(state, ConnectionState::Refused | ConnectionState::Closed);
        tokio::select! {
            incoming = self.subscription.next() => match incoming {
                Some(Ok(Incoming { subject, payload, .. })) => Ok(Delivery { subject, payload: payload.to_vec() }),
                Some(Err(denial)) => Err(TransportError::NotAuthorized(denial.into())),
                None => Err(TransportError::Lost(closed())),
            },
            state = self.state.wait_for(gone) => match state.as_deref() {
                Ok(ConnectionState::Refused) => Err(TransportError::NotAuthorized(ConnectError::Refused.into())),
                _ => Err(TransportError::Lost(closed())),
            },
        }
    }
}

fn failed(error: RequestError) -> TransportError {
    match error {
        RequestError::Denied(denial) => TransportError::NotAuthorized(denial.into()),
        error => TransportError::Lost(error.into()),
    }
}

fn closed() -> Box<dyn Error + Send + Sync> {
    RequestError::Closed.into()
}

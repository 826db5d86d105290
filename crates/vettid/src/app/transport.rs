//! The broker over NATS, as the client's port wants it: TLS, the app's own credential, nothing in clear.

use std::error::Error;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;
use vettid_client::transport::{Connection, Delivery, SignIn, Subscription, Transport, TransportError};
use vettid_nats::connection::{self as nats, ConnectError, ConnectionState, Endpoint, Incoming, RequestError};
use vettid_nats::tls::ClientTls;
use vettid_wire::subject::{Pattern, Subject};

/// A connection that is down for this long is given up.
const LOST_AFTER: Duration = Duration::from_secs(5);
/// How often a lost connection is tried to be made anew: some twelve seconds long where nobody listens.
const TRIES: usize = 20;

/// NATS.
#[derive(Debug, Clone, Copy)]
pub(super) struct NatsTransport;

impl Transport for NatsTransport {
    type Connection = NatsConnection;

    async fn connect(&self, sign_in: SignIn<'_>) -> Result<NatsConnection, TransportError> {
        let tls = ClientTls::trusting(sign_in.trust).map_err(|error| TransportError::Unreachable(error.into()))?;
        let endpoint = Endpoint { address: sign_in.endpoint.to_owned(), tls };
        match nats::Connection::open_until_lost(&endpoint, sign_in.credential, TRIES).await {
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

    async fn made_anew(&self) {
        self.0.made_anew().await;
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
        tokio::select! {
            incoming = self.subscription.next() => match incoming {
                Some(Ok(Incoming { subject, payload, .. })) => Ok(Delivery { subject, payload: payload.to_vec() }),
                Some(Err(denial)) => Err(TransportError::NotAuthorized(denial.into())),
                None => Err(TransportError::Lost(closed())),
            },
            error = end_of(&mut self.state) => Err(error),
        }
    }
}

/// Waits until the connection is of no use any more.
async fn end_of(state: &mut watch::Receiver<ConnectionState>) -> TransportError {
    loop {
        let is_up = |state: &ConnectionState| *state == ConnectionState::Connected;
        match state.wait_for(|state| !is_up(state)).await.map(|state| *state) {
            Ok(ConnectionState::Refused) => return TransportError::NotAuthorized(ConnectError::Refused.into()),
            // The broker may be elsewhere by now, which only a connection that is opened anew can find out.
            Ok(ConnectionState::Disconnected) => {
                let changed = timeout(LOST_AFTER, state.wait_for(|state| *state != ConnectionState::Disconnected));
                if changed.await.is_err() {
                    return TransportError::Lost("it was not there again in time".into());
                }
            }
            _ => return TransportError::Lost(closed()),
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

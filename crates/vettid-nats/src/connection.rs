//! One user's connection to the broker: typed publish, subscribe and request. What the server forbids becomes an error of
//! the operation that tried it, at once. Must never connect without TLS, nor with a token that has expired.

mod denial;
mod life;
mod subscription;
mod tap;
mod unheard;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_nats::client::{PublishErrorKind, RequestErrorKind};
use async_nats::{Client, ConnectErrorKind, ConnectOptions, HeaderMap, Request};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::watch;
use vettid_core::grants::credential::Credential;
use vettid_wire::subject::{Pattern, Subject};

use crate::tls::ClientTls;
use life::Life;

pub use denial::{Action, Denial};
pub use life::ConnectionState;
pub use subscription::{Incoming, Reply, Subscription};
pub use tap::{Seen, Tap};
pub use unheard::{Unheard, UnheardMessages};

/// How long a request waits for its answer unless it says otherwise.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest pause between two tries to connect again.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);
const SUBSCRIPTION_CAPACITY: usize = 8_192;

/// A server and how to trust it.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// `tls://host:port`
    pub address: String,
    /// The authority that signed its certificate.
    pub tls: ClientTls,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The server does not accept the user.
    #[error("the broker refused the credential")]
    Refused,
    /// No server, no TLS, or the wrong server.
    #[error("the broker cannot be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why an operation had no success.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The server forbids it to this user.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// Nobody listens there.
    #[error("nobody listens")]
    NobodyListens,
    /// No answer in time. Whether the request had its effect is unknown.
    #[error("no answer in time")]
    TimedOut,
    /// Larger than the server takes.
    #[error("message too large")]
    TooLarge,
    /// The connection was closed.
    #[error("the connection to the broker is closed")]
    Closed,
}

/// A user's connection. Clones share it.
#[derive(Clone)]
pub struct Connection {
    client: Client,
    life: Arc<Life>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}

impl Connection {
    /// Connects, and stays connected: a lost connection is made anew until [`close`](Self::close).
    ///
    /// # Errors
    /// If the server is not there, is another one, or refuses the user.
    pub async fn open(endpoint: &Endpoint, credential: Credential) -> Result<Self, ConnectError> {
        Self::connect(endpoint, credential, None).await
    }

    /// Connects for as long as the connection lasts: a lost one is tried to be made anew this often in a row (at least
    /// once), then it is closed for good. For whoever may be cut off, or opens another one when it is needed: the client
    /// library cannot be told to stop while it tries.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_until_lost(
        endpoint: &Endpoint,
        credential: Credential,
        tries: usize,
    ) -> Result<Self, ConnectError> {
        Self::connect(endpoint, credential, Some(tries.max(1))).await
    }

    async fn connect(endpoint: &Endpoint, credential: Credential, tries: Option<usize>) -> Result<Self, ConnectError> {
        let inbox = credential.inbox().to_owned();
        let life = Arc::new(Life::new(credential));
        let (for_auth, for_events) = (life.clone(), life.clone());
        let options = ConnectOptions::with_auth_callback(move |nonce| {
            let life = for_auth.clone();
            async move { life.authenticate(&nonce) }
        })
        .event_callback(move |event| {
            let life = for_events.clone();
            async move { life.observe(event) }
        })
        .require_tls(true)
        .tls_first()
        .tls_client_config(endpoint.tls.config())
        .ignore_discovered_servers()
        .custom_inbox_prefix(inbox)
        .subscription_capacity(SUBSCRIPTION_CAPACITY)
        .reconnect_delay_callback(reconnect_pause)
        .max_reconnects(tries)
        .connection_timeout(CONNECT_TIMEOUT)
        .request_timeout(Some(REQUEST_TIMEOUT));
        let client = options.connect(&endpoint.address).await.map_err(connect_error)?;
        let mut connects = life.connects();
        // The library tells of the connect a little later; from here on each further one is a connect anew.
        let told = connects.wait_for(|count| *count > 0).await.map(|_| ());
        told.map_err(|error| ConnectError::Unreachable(error.into()))?;
        Ok(Self { client, life })
    }

    /// Sends. The server answers only if it forbids it: that is an error of this operation if it is known already, and
    /// otherwise of the next one on this subject; see also [`denials`](Self::denials).
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn publish(&self, subject: &Subject, payload: Bytes) -> Result<(), RequestError> {
        let subject = subject.to_string();
        self.life.denials.known(Action::Publish, &subject)?;
        self.client.publish(subject, payload).await.map_err(|error| publish_error(error.kind()))
    }

    /// Sends, and waits for the answer.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn request(&self, subject: &Subject, payload: Bytes, within: Duration) -> Result<Bytes, RequestError> {
        let message = self.exchange(&subject.to_string(), HeaderMap::new(), payload, within).await?;
        Ok(message.payload)
    }

    /// Subscribes. The subscription is live once the server has read it: after the next answered request on this
    /// connection, or after [`settle`](Self::settle).
    ///
    /// # Errors
    /// If the connection is closed, or the server is known to forbid it. Otherwise what the server forbids comes out of
    /// [`Subscription::next`].
    pub async fn subscribe(&self, pattern: &Pattern) -> Result<Subscription, RequestError> {
        let pattern = pattern.to_string();
        self.life.denials.known(Action::Subscribe, &pattern)?;
        let denials = self.life.denials.watch();
        let inbox = self.inbox();
        // "Nobody listens" goes to the first plain subscription that the answer fits. Where the pattern covers the private
        // inbox that would be this one, so it becomes a group with one member.
        let covers_inbox = pattern.strip_suffix('>').is_some_and(|prefix| inbox.starts_with(prefix));
        let subscriber = if covers_inbox {
            let group = self.client.new_inbox();
            self.client.queue_subscribe(pattern.clone(), group).await
        } else {
            self.client.subscribe(pattern.clone()).await
        };
        let subscriber = subscriber.map_err(|_| RequestError::Closed)?;
        Ok(Subscription::new(pattern, subscriber, denials, self.client.clone()))
    }

    /// Subscribes to everything in the account. The server lets only an observer do that, which no grant provides for.
    ///
    /// # Errors
    /// If the connection is closed.
    pub async fn tap(&self) -> Result<Tap, RequestError> {
        let subscriber = self.client.subscribe(">").await.map_err(|_| RequestError::Closed)?;
        Ok(Tap::new(subscriber))
    }

    /// Waits until the server has read everything that was sent before: from then on subscriptions are live. For
    /// identities of hosts, services and homes; others know it from the answer to a request.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn settle(&self) -> Result<(), RequestError> {
        let echo = vettid_core::grants::broker::echo(&self.inbox());
        self.unless_denied(&echo, self.hear(&echo)).await
    }

    /// Sends to oneself and waits until it is back. Whoever else listens there makes no difference.
    async fn hear(&self, echo: &str) -> Result<(), RequestError> {
        let mut subscriber = self.client.subscribe(echo.to_owned()).await.map_err(|_| RequestError::Closed)?;
        let own = Bytes::from(self.client.new_inbox());
        let sent = self.client.publish(echo.to_owned(), own.clone()).await;
        sent.map_err(|error| publish_error(error.kind()))?;
        let heard = async {
            while let Some(message) = subscriber.next().await {
                if message.payload == own {
                    return Ok(());
                }
            }
            Err(RequestError::Closed)
        };
        tokio::time::timeout(REQUEST_TIMEOUT, heard).await.unwrap_or(Err(RequestError::TimedOut))
    }

    /// What the server has forbidden on this connection, as it happens.
    #[must_use]
    pub fn denials(&self) -> tokio::sync::broadcast::Receiver<Denial> {
        self.life.denials.watch().into_receiver()
    }

    /// How the connection is, and how that changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<ConnectionState> {
        self.life.state()
    }

    /// Waits until the connection is of no use any more: the server does not take its credential, or it is closed.
    pub async fn over(&self) {
        let over = |state: &ConnectionState| matches!(state, ConnectionState::Refused | ConnectionState::Closed);
        // Fails only when nobody can change the state any more.
        let _ = self.state().wait_for(over).await;
    }

    /// Waits until the connection was lost and made anew since it was opened; what was published meanwhile for its subscriptions is
    /// lost.
    pub async fn made_anew(&self) {
        // Fails only when nobody can make it anew any more.
        if self.life.connects().wait_for(|count| *count > 1).await.is_err() {
            std::future::pending().await
        }
    }

    /// The credential that the next connect will use.
    #[must_use]
    pub fn credential(&self) -> Credential {
        self.life.credential()
    }

    /// Takes a fresh token of the same user and connects with it. What waits for an answer at this moment may time out.
    ///
    /// # Errors
    /// If the server does not accept it in time, or the connection is closed.
    pub async fn renew(&self, credential: Credential) -> Result<(), RequestError> {
        let mut connects = self.life.connects();
        connects.mark_unchanged();
        self.life.replace(credential);
        // A lost connection is being made anew anyway, from now on with the fresh token.
        if *self.life.state().borrow() == ConnectionState::Connected {
            self.client.force_reconnect().await.map_err(|_| RequestError::Closed)?;
        }
        match tokio::time::timeout(CONNECT_TIMEOUT, connects.changed()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(RequestError::Closed),
            Err(_) => Err(RequestError::TimedOut),
        }
    }

    /// Sends what is left, ends the subscriptions and closes.
    ///
    /// # Errors
    /// If it does not close in time.
    pub async fn close(self) -> Result<(), RequestError> {
        let mut state = self.life.state();
        // Fails only if the connection is closed already; the wait then ends at once.
        let _ = self.client.drain().await;
        let closed = state.wait_for(|state| *state == ConnectionState::Closed);
        match tokio::time::timeout(REQUEST_TIMEOUT, closed).await {
            Ok(_) => Ok(()),
            Err(_) => Err(RequestError::TimedOut),
        }
    }

    /// Prefix of the private inbox.
    pub(crate) fn inbox(&self) -> String {
        self.life.credential().inbox().to_owned()
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Sends to any subject, also of the broker itself, and waits for the answer.
    pub(crate) async fn exchange(
        &self,
        subject: &str,
        headers: HeaderMap,
        payload: Bytes,
        within: Duration,
    ) -> Result<async_nats::Message, RequestError> {
        let mut request = Request::new().payload(payload).timeout(Some(within));
        if !headers.is_empty() {
            request = request.headers(headers);
        }
        let answer = self.client.send_request(subject.to_owned(), request);
        self.unless_denied(subject, async { answer.await.map_err(|error| request_error(error.kind())) }).await
    }

    /// Runs an operation whose answer a new connection would not get any more: a connect anew ends it.
    pub(crate) async fn unless_reconnected<T>(
        &self,
        operation: impl Future<Output = Result<T, RequestError>>,
    ) -> Result<T, RequestError> {
        let mut connects = self.life.connects();
        connects.mark_unchanged();
        tokio::select! {
            biased;
            outcome = operation => outcome,
            _ = connects.changed() => Err(RequestError::TimedOut),
        }
    }

    /// Runs an operation on a subject, but ends it as soon as the server forbids it.
    pub(crate) async fn unless_denied<T>(
        &self,
        subject: &str,
        operation: impl Future<Output = Result<T, RequestError>>,
    ) -> Result<T, RequestError> {
        let mut denials = self.life.denials.watch();
        self.life.denials.known(Action::Publish, subject)?;
        let inbox = self.inbox();
        self.life.denials.known_below(&inbox)?;
        tokio::select! {
            biased;
            outcome = operation => outcome,
            denial = denials.of_request(subject, &inbox) => Err(denial.into()),
        }
    }
}

/// None for the first try, then 4 ms and twice as much each time.
fn reconnect_pause(attempts: usize) -> Duration {
    let exponent = u32::try_from(attempts).unwrap_or(u32::MAX).min(12);
    if attempts <= 1 { Duration::ZERO } else { Duration::from_millis(1 << exponent).min(RECONNECT_PAUSE) }
}

fn connect_error(error: async_nats::ConnectError) -> ConnectError {
    match error.kind() {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => ConnectError::Refused,
        _ => ConnectError::Unreachable(Box::new(error)),
    }
}

fn request_error(kind: RequestErrorKind) -> RequestError {
    match kind {
        RequestErrorKind::TimedOut => RequestError::TimedOut,
        RequestErrorKind::NoResponders => RequestError::NobodyListens,
        RequestErrorKind::MaxPayloadExceeded => RequestError::TooLarge,
        _ => RequestError::Closed,
    }
}

fn publish_error(kind: PublishErrorKind) -> RequestError {
    match kind {
        PublishErrorKind::MaxPayloadExceeded => RequestError::TooLarge,
        _ => RequestError::Closed,
    }
}

//! The life of a connection: the credential it connects with, and the events that the client library reports.
//! Must never offer the server a token that has expired: the server may take it and drop the user at once, in a loop.

use std::sync::{Mutex, PoisonError};

use async_nats::{Auth, AuthError, ClientError, Event, ServerError};
use tokio::sync::watch;
use vettid_core::grants::credential::Credential;

use super::denial::{Denial, Denials};
use crate::clock;

/// How a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionState {
    /// In use.
    Connected,
    /// Lost; a new one is being made.
    Disconnected,
    /// The server does not take the credential: expired or revoked. A fresh token ends this.
    Refused,
    /// Closed on purpose.
    Closed,
}

pub(super) struct Life {
    credential: Mutex<Credential>,
    state: watch::Sender<ConnectionState>,
    connects: watch::Sender<u64>,
    pub(super) denials: Denials,
}

impl Life {
    pub(super) fn new(credential: Credential) -> Self {
        Self {
            credential: Mutex::new(credential),
            state: watch::Sender::new(ConnectionState::Disconnected),
            connects: watch::Sender::new(0),
            denials: Denials::new(),
        }
    }

    pub(super) fn credential(&self) -> Credential {
        self.credential.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn replace(&self, credential: Credential) {
        *self.credential.lock().unwrap_or_else(PoisonError::into_inner) = credential;
    }

    pub(super) fn state(&self) -> watch::Receiver<ConnectionState> {
        self.state.subscribe()
    }

    /// Counts connects.
    pub(super) fn connects(&self) -> watch::Receiver<u64> {
        self.connects.subscribe()
    }

    /// The answer to the server's challenge.
    pub(super) fn authenticate(&self, nonce: &[u8]) -> Result<Auth, AuthError> {
        let credential = self.credential();
        if credential.is_expired(clock::now()) {
            return Err(AuthError::new("the credential has expired"));
        }
        let mut auth = Auth::new();
        auth.jwt = Some(credential.jwt().as_str().to_owned());
        auth.signature = credential.sign(nonce).map(|signature| signature.to_vec());
        Ok(auth)
    }

    pub(super) fn observe(&self, event: Event) {
        match event {
            Event::Connected => {
                self.denials.forget();
                self.state.send_replace(ConnectionState::Connected);
                self.connects.send_modify(|count| *count += 1);
            }
            Event::Disconnected => self.lost(ConnectionState::Disconnected),
            // Without further tries the library ends the connection and does not say that it is closed.
            Event::Closed | Event::ClientError(ClientError::MaxReconnects) => {
                self.state.send_replace(ConnectionState::Closed);
            }
            Event::ServerError(ServerError::AuthorizationViolation) => self.lost(ConnectionState::Refused),
            Event::ServerError(ServerError::Other(line)) => self.server_said(&line),
            Event::ClientError(ClientError::Other(line)) if is_refusal(&line) => self.lost(ConnectionState::Refused),
            Event::SlowConsumer(_) => {
                tracing::warn!("messages of a broker subscription were dropped: too slow")
            }
            _ => {}
        }
    }

    fn server_said(&self, line: &str) {
        match Denial::parse(line) {
            Some(denial) => {
                tracing::debug!(action = ?denial.action, "the broker denied an operation");
                self.denials.note(denial);
            }
            None if is_refusal(line) => self.lost(ConnectionState::Refused),
            None => tracing::warn!(line, "the broker reported an error"),
        }
    }

    /// A refusal stands until the next connect: the loss of the connection that follows does not hide it.
    fn lost(&self, state: ConnectionState) {
        self.state.send_if_modified(|current| {
            let stays =
                *current == ConnectionState::Closed || *current == state || *current == ConnectionState::Refused;
            if !stays {
                *current = state;
            }
            !stays
        });
    }
}

/// Lines by which the server or the library says that the user is not accepted (any more).
fn is_refusal(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    ["authorization violation", "authentication expired", "authentication revoked", "failed signing nonce"]
        .iter()
        .any(|words| line.contains(words))
}

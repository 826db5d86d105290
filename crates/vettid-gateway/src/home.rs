//! The gateway's own place on the broker: its user in its own account, its inbox and profile streams, what it subscribes
//! to. The user's key is made anew by each process and never stored.

use crate::clock;
use crate::identity::Identity;
use crate::random;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use vettid_core::grants::credential::Credential;
use vettid_core::grants::delivery::{Receiver, of_member};
use vettid_core::grants::mint::{self, MemberIdentity};
use vettid_crypto::nats::key::{InvalidKey, UserKey, UserPublic};
use vettid_crypto::nats::token::TokenError;
use vettid_nats::api::ApiError;
use vettid_nats::connection::{ConnectError, Connection, Endpoint, RequestError, Subscription};
use vettid_nats::inbox::{Inbox, InboxError, Members};
use vettid_nats::profiles;
use vettid_nats::streams::{InitialisationMark, StreamError, StreamLimits, StreamPlan, initialise};
use vettid_wire::id::MemberId;
use vettid_wire::json;
use vettid_wire::profile::SignedProfile;

/// A fresh account may take a moment to reach the server that is asked, and a server that just came up to serve it.
const OPENING_ATTEMPTS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Why the gateway cannot work on the broker.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// An NKey cannot be used.
    #[error(transparent)]
    Key(#[from] InvalidKey),
    /// The own user cannot be minted.
    #[error("the gateway's broker credential cannot be made")]
    Token(#[from] TokenError),
    /// The broker is not there or refuses.
    #[error("the gateway cannot connect to its account")]
    Connect(#[from] ConnectError),
    /// The streams are not as they should be.
    #[error(transparent)]
    Streams(#[from] StreamError),
    /// The inbox does not open.
    #[error(transparent)]
    Inbox(#[from] InboxError),
    /// The broker does not answer.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The profile is not taken.
    #[error("the profile cannot be published")]
    Profile(#[from] ApiError),
    /// The profile has no canonical form.
    #[error("the profile has no canonical form")]
    Form(#[from] json::JsonError),
}

impl HomeError {
    /// Whether the same may succeed a moment later: the broker is not there yet, or does not serve the account yet.
    fn may_pass(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Inbox(_) | Self::Streams(StreamError::Api(_)) => true,
            Self::Request(error) => !matches!(error, RequestError::Denied(_)),
            Self::Streams(StreamError::Lost(_) | StreamError::Different(_) | StreamError::Mark(_)) => false,
            Self::Key(_) | Self::Token(_) | Self::Profile(_) | Self::Form(_) => false,
        }
    }
}

/// The own connection.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    connection: Connection,
    guid: MemberId,
    key: Arc<UserKey>,
}

/// What arrives.
#[derive(Debug)]
pub(crate) struct Arrivals {
    /// Durable events.
    pub inbox: Inbox,
    /// The other events.
    pub subscriptions: Vec<Subscription>,
}

impl Home {
    /// Connects, makes the streams if they are new, and subscribes; tries again for a while as long as the broker is only
    /// just coming up itself. Events arrive from when this returns.
    ///
    /// # Errors
    /// See [`HomeError`].
    pub(crate) async fn open(
        identity: &Identity,
        endpoint: &Endpoint,
        state: &Path,
        inbox_bytes: i64,
    ) -> Result<(Self, Arrivals), HomeError> {
        let plan = StreamPlan::home(Receiver::Service, StreamLimits { inbox_bytes, ..StreamLimits::default() });
        let mark = InitialisationMark::at(state.join("streams-made"));
        let mut patience = Patience::new();
        loop {
            match Self::open_once(identity, endpoint, &plan, &mark).await {
                Ok(opened) => return Ok(opened),
                Err(error) => patience.wait_after(error).await?,
            }
        }
    }

    async fn open_once(
        identity: &Identity,
        endpoint: &Endpoint,
        plan: &StreamPlan,
        mark: &InitialisationMark,
    ) -> Result<(Self, Arrivals), HomeError> {
        let key = Arc::new(UserKey::random(&mut random::system())?);
        let connection = Connection::open(endpoint, credential(identity, &key)?).await?;
        let home = Self { connection, guid: identity.guid, key };
        match home.arrivals(plan, mark).await {
            Ok(arrivals) => Ok((home, arrivals)),
            Err(error) => {
                home.close().await;
                Err(error)
            }
        }
    }

    async fn arrivals(&self, plan: &StreamPlan, mark: &InitialisationMark) -> Result<Arrivals, HomeError> {
        initialise(&self.connection, plan, mark).await?;
        let mut subscriptions = Vec::new();
        for pattern in Receiver::Service.best_effort() {
            subscriptions.push(self.connection.subscribe(&of_member(pattern, self.guid)).await?);
        }
        self.connection.settle().await?;
        let inbox = self.inbox_from_the_first().await?;
        Ok(Arrivals { inbox, subscriptions })
    }

    /// Opens the inbox at the first event that is not done. Events that an earlier process had in hand when it was killed
    /// come at once, and not only when the broker gives up waiting for it.
    async fn inbox_from_the_first(&self) -> Result<Inbox, InboxError> {
        let name = MemberIdentity::HomeService(self.guid).name();
        // Without members there is no consumer: the old one is deleted.
        Inbox::open(&self.connection, name.as_str(), Members::Only(BTreeSet::new())).await?;
        self.inbox().await
    }

    /// Opens the inbox (again).
    ///
    /// # Errors
    /// See [`InboxError`].
    pub(crate) async fn inbox(&self) -> Result<Inbox, InboxError> {
        let name = MemberIdentity::HomeService(self.guid).name();
        Inbox::open(&self.connection, name.as_str(), Members::All).await
    }

    /// Publishes the profile as the last one.
    ///
    /// # Errors
    /// See [`HomeError`].
    pub(crate) async fn publish(&self, profile: &SignedProfile) -> Result<(), HomeError> {
        let bytes = Bytes::from(json::canonical(profile)?);
        Ok(profiles::publish_profile(&self.connection, self.guid, bytes).await?)
    }

    /// How long the present credential can still be used before it should be renewed: half of what is left.
    #[must_use]
    pub(crate) fn renew_after(&self) -> Duration {
        let left_ms = self.connection.credential().expires_at().since_ms(clock::now());
        Duration::from_millis(u64::try_from(left_ms / 2).unwrap_or(0))
    }

    /// A fresh token for the own user.
    ///
    /// # Errors
    /// See [`HomeError`].
    pub(crate) fn fresh_credential(&self, identity: &Identity) -> Result<Credential, HomeError> {
        credential(identity, &self.key)
    }

    /// Connects with a fresh token.
    ///
    /// # Errors
    /// See [`HomeError`].
    pub(crate) async fn renew(&self, credential: Credential) -> Result<(), HomeError> {
        Ok(self.connection.renew(credential).await?)
    }

    /// The own user's public key.
    #[must_use]
    pub(crate) fn user(&self) -> &UserPublic {
        self.key.public()
    }

    /// Whether the broker can be reached now.
    #[must_use]
    pub(crate) fn is_connected(&self) -> bool {
        *self.connection.state().borrow() == vettid_nats::connection::ConnectionState::Connected
    }

    /// Ends the connection.
    pub(crate) async fn close(self) {
        if let Err(error) = self.connection.close().await {
            tracing::debug!(%error, "the own connection did not close in time");
        }
    }
}

fn credential(identity: &Identity, key: &Arc<UserKey>) -> Result<Credential, HomeError> {
    let (now, who) = (clock::now(), MemberIdentity::HomeService(identity.guid));
    let minted = mint::member(&who, key.public(), identity.account()?.public(), &identity.vault_signing()?, now)?;
    Ok(Credential::member(&who, identity.guid, Arc::clone(key), minted.jwt, now)?)
}

/// How often it is tried, with pauses that grow.
struct Patience {
    failures: u32,
    pause: Duration,
}

impl Patience {
    fn new() -> Self {
        Self { failures: 0, pause: FIRST_PAUSE }
    }

    /// Waits for the next attempt; gives the error back if there is to be none.
    async fn wait_after(&mut self, error: HomeError) -> Result<(), HomeError> {
        self.failures += 1;
        if !error.may_pass() || self.failures == OPENING_ATTEMPTS {
            return Err(error);
        }
        tracing::warn!(%error, "the broker does not serve the gateway yet");
        tokio::time::sleep(self.pause).await;
        self.pause *= 2;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn a_broker_that_does_not_answer_yet_is_asked_again_for_a_while() {
        let silent = || HomeError::from(InboxError::from(RequestError::TimedOut));
        let (start, mut patience) = (Instant::now(), Patience::new());
        for _ in 1..OPENING_ATTEMPTS {
            patience.wait_after(silent()).await.unwrap();
        }
        assert_eq!(start.elapsed().as_millis(), 200 + 400 + 800 + 1_600 + 3_200);
        assert!(matches!(patience.wait_after(silent()).await, Err(HomeError::Inbox(_))), "the last failure is told");
    }

    #[tokio::test(start_paused = true)]
    async fn what_stays_as_it_is_is_told_at_once() {
        let start = Instant::now();
        let lost = Patience::new().wait_after(StreamError::Lost("INBOX").into()).await;
        assert!(matches!(lost, Err(HomeError::Streams(StreamError::Lost(_)))));
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}

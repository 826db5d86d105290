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

/// A fresh account may take a moment to reach the server that is asked.
const CONNECT_TIMES: u32 = 6;
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
    /// Connects, makes the streams if they are new, and subscribes. Events arrive from when this returns.
    ///
    /// # Errors
    /// See [`HomeError`].
    pub(crate) async fn open(
        identity: &Identity,
        endpoint: &Endpoint,
        state: &Path,
        inbox_bytes: i64,
    ) -> Result<(Self, Arrivals), HomeError> {
        let key = Arc::new(UserKey::random(&mut random::system())?);
        let connection = connect(endpoint, || credential(identity, &key)).await?;
        let home = Self { connection, guid: identity.guid, key };
        let plan = StreamPlan::home(Receiver::Service, StreamLimits { inbox_bytes, ..StreamLimits::default() });
        initialise(&home.connection, &plan, &InitialisationMark::at(state.join("streams-made"))).await?;
        let mut subscriptions = Vec::new();
        for pattern in Receiver::Service.best_effort() {
            subscriptions.push(home.connection.subscribe(&of_member(pattern, home.guid)).await?);
        }
        home.connection.settle().await?;
        let inbox = home.inbox_from_the_first().await?;
        Ok((home, Arrivals { inbox, subscriptions }))
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

async fn connect(
    endpoint: &Endpoint,
    credential: impl Fn() -> Result<Credential, HomeError>,
) -> Result<Connection, HomeError> {
    let mut pause = FIRST_PAUSE;
    for _ in 1..CONNECT_TIMES {
        match Connection::open(endpoint, credential()?).await {
            Ok(connection) => return Ok(connection),
            Err(error) => tracing::info!(%error, "the broker does not take the gateway yet"),
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    Ok(Connection::open(endpoint, credential()?).await?)
}

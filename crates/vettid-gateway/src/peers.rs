//! Connections to members' accounts: made when something is to be sent, held while they are in use, closed when idle.
//! Never connects to a broker that the operator of this gateway did not name.

use crate::clock;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::OnceCell;
use tokio_util::task::TaskTracker;
use url::Url;
use vettid_core::grants::credential::Credential;
use vettid_core::grants::mint::MemberIdentity;
use vettid_crypto::nats::key::UserKey;
use vettid_crypto::nats::token::{TokenError, UserJwt};
use vettid_nats::connection::{ConnectError, Connection, ConnectionState, Endpoint, RequestError};
use vettid_nats::inbox::{self, InboxError};
use vettid_nats::tls::ClientTls;
use vettid_wire::handshake::{Claim, SpaceUri};
use vettid_wire::id::{ConnectionId, EventId, HandshakeId, InviteId, ServiceId};
use vettid_wire::subject::Subject;

/// Why something could not be sent to a member.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeerError {
    /// The member lives on a broker that is not in the configuration.
    #[error("the member's broker is not among those that this gateway may use")]
    ForeignBroker,
    /// The credential is expired or not ours.
    #[error("the credential for the member's space cannot be used")]
    Credential(#[from] TokenError),
    /// The broker is not there or refuses.
    #[error("the member's space cannot be reached")]
    Connect(#[from] ConnectError),
    /// The message was not stored.
    #[error(transparent)]
    Inbox(#[from] InboxError),
}

impl PeerError {
    /// Whether trying again can help.
    #[must_use]
    pub(crate) fn is_passing(&self) -> bool {
        !matches!(self, Self::ForeignBroker | Self::Credential(_) | Self::Connect(ConnectError::Refused))
    }
}

/// A member's space, and what this service is let in with.
#[derive(Debug, Clone)]
pub(crate) struct PeerAddress {
    /// The space.
    pub space: SpaceUri,
    /// This service, as the member's account knows it.
    pub service_id: ServiceId,
    /// This service's key for this connection.
    pub key: Arc<UserKey>,
    /// What the member's vault minted for that key.
    pub jwt: UserJwt,
}

/// The brokers that may be used.
#[derive(Debug, Clone)]
pub(crate) struct Brokers {
    home: String,
    /// The broker of the home under each address that services named for it.
    homes: Vec<String>,
    named: Vec<String>,
}

impl Brokers {
    /// The broker of the home, the addresses that it had before, and those that the operator of this gateway named.
    /// Addresses that cannot be read are never equal to another one.
    #[must_use]
    pub(crate) fn new(home: &str, former: &[String], named: &[String]) -> Self {
        let homes = std::iter::once(home).chain(former.iter().map(String::as_str));
        Self {
            home: home.to_owned(),
            homes: homes.filter_map(normal).collect(),
            named: named.iter().filter_map(|address| normal(address)).collect(),
        }
    }

    /// Where the broker of a space is reached; `None` if it may not be used.
    #[must_use]
    pub(crate) fn address_of<'a>(&'a self, space: &'a SpaceUri) -> Option<&'a str> {
        let address = normal(space.endpoint())?;
        if self.named.contains(&address) {
            return Some(space.endpoint());
        }
        self.homes.contains(&address).then_some(self.home.as_str())
    }
}

/// Scheme, host and port; `tls` only.
fn normal(address: &str) -> Option<String> {
    let url = Url::parse(address).ok()?;
    let plain = matches!(url.path(), "" | "/") && url.username().is_empty() && url.query().is_none();
    let host = url.host_str().filter(|_| plain && url.scheme() == "tls")?;
    Some(format!("{}:{}", host.to_ascii_lowercase(), url.port().unwrap_or(4222)))
}

#[derive(Debug, Default)]
struct Slot {
    connection: OnceCell<Connection>,
    used_at_ms: AtomicI64,
}

type Slots = Mutex<HashMap<ConnectionId, Arc<Slot>>>;

/// The pool.
#[derive(Debug)]
pub(crate) struct Peers {
    tls: ClientTls,
    brokers: Brokers,
    slots: Arc<Slots>,
    most: usize,
    idle_ms: i64,
    /// Those that look after a connection until it is over.
    watchers: TaskTracker,
}

impl Peers {
    /// An empty pool for at most `most` connections, each closed when it was idle for `idle_ms`.
    #[must_use]
    pub(crate) fn new(tls: ClientTls, brokers: Brokers, most: usize, idle_ms: u64) -> Self {
        let idle_ms = i64::try_from(idle_ms).unwrap_or(i64::MAX);
        Self { tls, brokers, slots: Arc::default(), most, idle_ms, watchers: TaskTracker::new() }
    }

    /// The brokers that may be used.
    #[must_use]
    pub(crate) fn brokers(&self) -> &Brokers {
        &self.brokers
    }

    /// Sends a durable event as the service; returns when the member's inbox holds it. `message` keeps a repetition from
    /// being stored twice: a fresh one lets the same event through again.
    ///
    /// # Errors
    /// See [`PeerError`].
    pub(crate) async fn deliver(
        &self,
        id: ConnectionId,
        address: &PeerAddress,
        subject: &Subject,
        message: EventId,
        payload: Bytes,
    ) -> Result<(), PeerError> {
        let slot = self.slot_of(id).await;
        let connection = slot.connection.get_or_try_init(|| self.open_watched(id, &slot, address)).await?;
        let sent = tokio::select! {
            biased;
            sent = inbox::deliver(connection, subject, message, payload) => sent.map_err(PeerError::from),
            () = connection.over() => Err(ended(connection)),
        };
        slot.used_at_ms.store(clock::now().unix_ms(), Ordering::Relaxed);
        sent
    }

    /// Sends what is sent again until it is answered: only a vault that listens now has it.
    ///
    /// # Errors
    /// See [`PeerError`].
    pub(crate) async fn tell(
        &self,
        id: ConnectionId,
        address: &PeerAddress,
        subject: &Subject,
        payload: Bytes,
    ) -> Result<(), PeerError> {
        let slot = self.slot_of(id).await;
        let connection = slot.connection.get_or_try_init(|| self.open_watched(id, &slot, address)).await?;
        connection.publish(subject, payload).await.map_err(InboxError::from)?;
        Ok(())
    }

    /// Sends the second handshake message under the claim that came in the first one.
    ///
    /// # Errors
    /// See [`PeerError`].
    pub(crate) async fn deliver_claimed(
        &self,
        hs_id: HandshakeId,
        claim: &Claim,
        message: EventId,
        payload: Bytes,
    ) -> Result<(), PeerError> {
        let space = &claim.messagespace_uri;
        let invite = InviteId::from_bytes(hs_id.to_bytes());
        let jwt = UserJwt::unchecked(claim.token.clone());
        let credential = Credential::bearer(&MemberIdentity::Claim(invite), space.guid(), jwt, clock::now())?;
        let connection = Connection::open_until_lost(&self.endpoint(space)?, credential, 1).await?;
        let sent = inbox::deliver(&connection, &Subject::handshake(space.guid(), hs_id), message, payload).await;
        if let Err(error) = connection.close().await {
            tracing::debug!(%error, "a connection for a handshake did not close in time");
        }
        Ok(sent?)
    }

    /// Opens a connection that leaves the pool as soon as the member cuts it off or the broker is gone.
    async fn open_watched(
        &self,
        id: ConnectionId,
        slot: &Arc<Slot>,
        address: &PeerAddress,
    ) -> Result<Connection, PeerError> {
        let connection = self.open(address).await?;
        let (watched, slots, slot) = (connection.clone(), Arc::clone(&self.slots), Arc::downgrade(slot));
        self.watchers.spawn(async move {
            watched.over().await;
            if let Some(slot) = slot.upgrade() {
                forget(&slots, id, &slot);
            }
        });
        Ok(connection)
    }

    async fn open(&self, address: &PeerAddress) -> Result<Connection, PeerError> {
        let endpoint = self.endpoint(&address.space)?;
        let who = MemberIdentity::Service(address.service_id.clone());
        let (guid, key) = (address.space.guid(), Arc::clone(&address.key));
        let credential = Credential::member(&who, guid, key, address.jwt.clone(), clock::now())?;
        Ok(Connection::open_until_lost(&endpoint, credential, 1).await?)
    }

    fn endpoint(&self, space: &SpaceUri) -> Result<Endpoint, PeerError> {
        let address = self.brokers.address_of(space).ok_or(PeerError::ForeignBroker)?;
        Ok(Endpoint { address: address.to_owned(), tls: self.tls.clone() })
    }

    /// The slot of a connection, with room made for it.
    async fn slot_of(&self, id: ConnectionId) -> Arc<Slot> {
        let (slot, surplus) = self.slot(id);
        if let Some(surplus) = surplus {
            close(&surplus).await;
        }
        slot
    }

    /// The slot of a connection, and one that has to make room for it.
    fn slot(&self, id: ConnectionId) -> (Arc<Slot>, Option<Arc<Slot>>) {
        let mut slots = self.slots();
        let now_ms = clock::now().unix_ms();
        if let Some(slot) = slots.get(&id) {
            slot.used_at_ms.store(now_ms, Ordering::Relaxed);
            return (Arc::clone(slot), None);
        }
        let oldest = slots.iter().min_by_key(|(_, slot)| slot.used_at_ms.load(Ordering::Relaxed)).map(|(id, _)| *id);
        let surplus = oldest.filter(|_| slots.len() >= self.most).and_then(|id| slots.remove(&id));
        let slot = Arc::new(Slot { used_at_ms: AtomicI64::new(now_ms), ..Slot::default() });
        slots.insert(id, Arc::clone(&slot));
        (slot, surplus)
    }

    /// Closes the connection to a member.
    pub(crate) async fn close(&self, id: ConnectionId) {
        let removed = self.slots().remove(&id);
        if let Some(slot) = removed {
            close(&slot).await;
        }
    }

    /// Closes what was idle for too long.
    pub(crate) async fn close_idle(&self) {
        let latest_ms = clock::now().unix_ms() - self.idle_ms;
        let idle = |slot: &Arc<Slot>| slot.used_at_ms.load(Ordering::Relaxed) < latest_ms;
        let removed: Vec<_> = self.slots().extract_if(|_, slot| idle(slot)).collect();
        for (_, slot) in removed {
            close(&slot).await;
        }
    }

    /// Closes all.
    pub(crate) async fn close_all(&self) {
        let removed: Vec<_> = self.slots().drain().collect();
        for (_, slot) in removed {
            close(&slot).await;
        }
        self.watchers.close();
        self.watchers.wait().await;
    }

    /// Connections that are held.
    pub(crate) fn held(&self) -> usize {
        self.slots().len()
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<ConnectionId, Arc<Slot>>> {
        lock(&self.slots)
    }
}

fn lock(slots: &Slots) -> MutexGuard<'_, HashMap<ConnectionId, Arc<Slot>>> {
    slots.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a slot out, unless another one took its place.
fn forget(slots: &Slots, id: ConnectionId, slot: &Arc<Slot>) {
    let mut slots = lock(slots);
    if slots.get(&id).is_some_and(|present| Arc::ptr_eq(present, slot)) {
        slots.remove(&id);
    }
}

/// Why nothing can be sent over a connection that is over.
fn ended(connection: &Connection) -> PeerError {
    match *connection.state().borrow() {
        ConnectionState::Refused => ConnectError::Refused.into(),
        _ => InboxError::from(RequestError::Closed).into(),
    }
}

async fn close(slot: &Slot) {
    if let Some(connection) = slot.connection.get()
        && let Err(error) = connection.clone().close().await
    {
        tracing::debug!(%error, "a connection to a member did not close in time");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vettid_wire::id::MemberId;

    fn space(endpoint: &str) -> SpaceUri {
        SpaceUri::new(endpoint, MemberId::from_bytes([1; 16])).unwrap()
    }

    #[test]
    fn only_named_brokers_are_used() {
        let brokers = Brokers::new("tls://127.0.0.1:4222", &[], &["tls://MS.example".into()]);
        for right in ["tls://127.0.0.1:4222", "tls://127.0.0.1"] {
            assert_eq!(brokers.address_of(&space(right)), Some("tls://127.0.0.1:4222"), "{right}");
        }
        for right in ["tls://ms.example:4222", "tls://ms.example/"] {
            assert_eq!(brokers.address_of(&space(right)), Some(right));
        }
        for wrong in [
            "tls://127.0.0.1:4223",
            "nats://127.0.0.1:4222",
            "tls://169.254.169.254:80",
            "tls://u@ms.example",
            "ms.example:4222",
            "tls://ms.example.evil",
            "tls://ms.example/x",
            "tls://ms.example?x",
        ] {
            assert_eq!(brokers.address_of(&space(wrong)), None, "{wrong}");
        }
    }

    #[test]
    fn a_former_address_of_the_home_leads_to_its_present_one() {
        let former = ["tls://127.0.0.1:1".to_owned(), "tls://127.0.0.1:2".to_owned()];
        let brokers = Brokers::new("tls://127.0.0.1:3", &former, &["tls://127.0.0.1:2".into()]);
        assert_eq!(brokers.address_of(&space("tls://127.0.0.1:1")), Some("tls://127.0.0.1:3"));
        assert_eq!(brokers.address_of(&space("tls://127.0.0.1:3")), Some("tls://127.0.0.1:3"));
        // What the operator names is a broker of its own, whatever was there before.
        assert_eq!(brokers.address_of(&space("tls://127.0.0.1:2")), Some("tls://127.0.0.1:2"));
        assert_eq!(brokers.address_of(&space("tls://127.0.0.1:4")), None);
    }
}

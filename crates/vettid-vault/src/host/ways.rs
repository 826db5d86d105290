//! The ways out of a vault: through the host's own connection, and as the user that a peer issued a credential for. One
//! task for each way keeps the order; what must arrive is reported back, and tried again until it has.

use super::actor::Work;
use super::brokers::Brokers;
use super::clock;
use super::presence::Visits;
use super::to_services;
use crate::connection::{Connection as Peer, CutOff};
use crate::manager::Vault;
use crate::outbox::{Ended, Post, Route};
use bytes::Bytes;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::yield_now;
use tokio::time::timeout;
use vettid_core::grants::credential::Credential;
use vettid_core::grants::mint::MemberIdentity;
use vettid_crypto::nats::key::UserKey;
use vettid_crypto::nats::token::UserJwt;
use vettid_crypto::suite::KemPublicKey;
use vettid_nats::connection::{ConnectError, Connection, Endpoint, RequestError, Unheard};
use vettid_nats::{inbox, profiles};
use vettid_wire::enrolment::{RevokeUser, RotateSigningKeys};
use vettid_wire::event::{self, Delivery, EventRow, FeedItem};
use vettid_wire::handshake::SpaceUri;
use vettid_wire::id::{Fingerprint, MemberId};
use vettid_wire::subject::Subject;

/// Messages that may wait in one way.
const QUEUE: usize = 1024;
/// A way that was not used for this long closes its connection.
const IDLE: Duration = Duration::from_secs(60);
/// Pauses between two attempts to reach a peer.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What all vaults of a host send with.
#[derive(Clone)]
pub struct Sender {
    /// The host's publishing identity.
    pub publisher: Connection,
    /// Where peers may live.
    pub brokers: Arc<Brokers>,
    /// To whom requests to services are sealed.
    pub services: Arc<ServicesKeys>,
    /// Back to the vault.
    pub work: mpsc::WeakSender<Work>,
}

/// The keys of services.
#[derive(Debug)]
pub struct ServicesKeys {
    /// Whom requests are for.
    pub fingerprint: Fingerprint,
    /// What they are sealed to.
    pub kem: KemPublicKey,
}

/// The ways out of one vault.
pub struct Ways {
    guid: MemberId,
    sender: Sender,
    lanes: HashMap<Route, Lane>,
    on_the_way: HashSet<u64>,
    visits: Visits,
}

/// Where posts of one route queue up.
struct Lane {
    posts: mpsc::Sender<Post>,
    /// What its way shows to the peer's broker; nothing on the host's own connection.
    token: Option<String>,
    /// Ends the pause of a way that was refused, because there is something else to show.
    is_renewed: Arc<Notify>,
    /// Tells the way that its connection has ended.
    gate: watch::Sender<Option<Ended>>,
}

/// What a way learns of the end of its connection.
type Gate = watch::Receiver<Option<Ended>>;

impl Ways {
    /// No way is open yet.
    #[must_use]
    pub(super) fn new(guid: MemberId, sender: Sender, visits: Visits) -> Self {
        Self { guid, sender, lanes: HashMap::new(), on_the_way: HashSet::new(), visits }
    }

    /// Sends a post, unless it is on its way already. What cannot be queued now is tried again with the next tick.
    pub fn send(&mut self, vault: &Vault, post: Post) {
        let lane = self.lane(vault, &post.route);
        self.queue(lane, post);
    }

    fn queue(&mut self, lane: Option<mpsc::Sender<Post>>, post: Post) {
        let number = (post.delivery == Delivery::Durable).then_some(post.number);
        if number.is_some_and(|number| !self.on_the_way.insert(number)) {
            return;
        }
        let queued = lane.is_some_and(|lane| lane.try_send(post).is_ok());
        if let Some(number) = number.filter(|_| !queued) {
            self.on_the_way.remove(&number);
        }
    }

    /// Sends the posts whose way is open, as [`Self::send`] does, and lets their ways work on them; gives back the others.
    pub async fn send_on_open(&mut self, posts: Vec<Post>) -> Vec<Post> {
        let all = posts.len();
        let mut others = Vec::new();
        for post in posts {
            match self.open_lane(&post.route) {
                Some(lane) => self.queue(Some(lane), post),
                None => others.push(post),
            }
        }
        if others.len() < all {
            // A way that was woken is next on this thread, and no other thread takes it over.
            yield_now().await;
        }
        others
    }

    /// A post arrived, or has to be tried again.
    pub fn ended(&mut self, number: u64) {
        self.on_the_way.remove(&number);
    }

    /// A connection ends: what waits on the way to its peer is dropped, but for the notice of the end. What is being written to the
    /// peer's broker at this moment counts as having left before.
    pub fn end(&mut self, ended: &Ended) {
        for route in [Route::Peer(ended.connection), Route::Claim(ended.connection)] {
            if let Some(lane) = self.lanes.get(&route) {
                lane.gate.send_replace(Some(*ended));
            }
        }
    }

    /// Closes the ways of connections that ended, once what they still had to carry is gone, and those whose credential was
    /// replaced: the next ones show the new one.
    pub fn close_ended(&mut self, vault: &Vault) {
        let Ok(waiting) = vault.waiting() else { return };
        self.lanes.retain(|route, lane| {
            let is_used = match route {
                Route::Host => true,
                Route::Peer(id) | Route::Claim(id) => {
                    let Ok(peer) = vault.connection(*id) else { return true };
                    let token = peer.as_deref().and_then(|peer| token(route, peer));
                    if token.is_some() && token != lane.token.as_deref() {
                        lane.is_renewed.notify_one();
                        return false;
                    }
                    let has_ended = peer.is_none_or(|peer| !peer.is_live());
                    !has_ended || waiting.iter().any(|post| post.route == *route)
                }
            };
            is_used && !lane.posts.is_closed()
        });
    }

    /// The lane of a route, if it is open.
    fn open_lane(&self, route: &Route) -> Option<mpsc::Sender<Post>> {
        self.lanes.get(route).filter(|lane| !lane.posts.is_closed()).map(|lane| lane.posts.clone())
    }

    /// The lane of a route; it is opened if it is not open.
    fn lane(&mut self, vault: &Vault, route: &Route) -> Option<mpsc::Sender<Post>> {
        if let Some(lane) = self.open_lane(route) {
            return Some(lane);
        }
        let way = self.way(vault, route)?;
        let (lane, posts) = mpsc::channel(QUEUE);
        let is_renewed = Arc::new(Notify::new());
        let (gate, is_ended) = watch::channel(None);
        let kept = Lane { posts: lane.clone(), token: way.token(), is_renewed: is_renewed.clone(), gate };
        tokio::spawn(run(way, posts, self.sender.work.clone(), is_renewed, is_ended));
        self.lanes.insert(route.clone(), kept);
        Some(lane)
    }

    fn way(&self, vault: &Vault, route: &Route) -> Option<Way> {
        let id = match route {
            Route::Host => {
                let (publisher, guid, visits) = (self.sender.publisher.clone(), self.guid, self.visits.clone());
                return Some(Way::Host { publisher, guid, visits });
            }
            Route::Peer(id) | Route::Claim(id) => *id,
        };
        let peer = match vault.connection(id) {
            Ok(peer) => peer?,
            Err(error) => {
                tracing::error!(%error, "a connection cannot be read");
                return None;
            }
        };
        let door = door(route, &peer)?;
        let Some(endpoint) = self.sender.brokers.endpoint(&door.space) else {
            tracing::warn!("a peer lives on a broker that this host does not go to");
            return None;
        };
        Some(Way::Peer { door, endpoint, open: None })
    }

    /// Asks services to cut a user off; the vault learns whether they did.
    pub fn cut_off(&self, vault: &Vault, user: CutOff) {
        let CutOff { account_nkey, user_nkey, revoked_at } = user;
        let request = RevokeUser { account_nkey, user_nkey: user_nkey.clone(), revoked_at };
        self.ask_services::<event::RevokeUser>(vault, request, move |answer| {
            let done = answer.is_some_and(|revoked| revoked.user_nkey == user_nkey);
            Work::CutOff(user_nkey, done)
        });
    }

    /// Tells services of keys that are to sign credentials; the vault learns whether the broker knows them.
    pub fn announce(&self, vault: &Vault, keys: RotateSigningKeys) {
        self.ask_services::<event::RotateSigningKeys>(vault, keys, Work::SigningKeysRotated);
    }

    /// One request to services. Without an answer the vault hears of it after a pause, and may ask again.
    fn ask_services<R: EventRow>(
        &self,
        vault: &Vault,
        request: R::Request,
        outcome: impl FnOnce(Option<R::Reply>) -> Work + Send + 'static,
    ) where
        R::Reply: Send,
    {
        let Some(work) = self.sender.work.upgrade() else {
            return;
        };
        let sealed = to_services::seal::<R>(vault, &self.sender.services, &request);
        let publisher = self.sender.publisher.clone();
        let subject = Subject::ForServices(self.guid, R::ROW.event_type());
        tokio::spawn(async move {
            let answer = match sealed {
                Some(bytes) => to_services::ask::<R>(&publisher, &subject, bytes).await,
                None => None,
            };
            if answer.is_none() {
                tokio::time::sleep(LONGEST_PAUSE).await;
            }
            // A vault that stopped asks again when it starts.
            let _ = work.send(outcome(answer)).await;
        });
    }
}

/// How to get into a peer's account.
struct Door {
    space: SpaceUri,
    identity: MemberIdentity,
    key: Option<Arc<UserKey>>,
    jwt: String,
    /// The last attempt ended because the credential is not taken.
    is_refused: bool,
}

/// What the door of a route shows to the peer's broker.
fn token<'p>(route: &Route, peer: &'p Peer) -> Option<&'p str> {
    match route {
        Route::Claim(_) => peer.claim_id.and(peer.claim.as_ref()).map(|claim| claim.token.as_str()),
        _ => peer.jwt.as_deref(),
    }
}

fn door(route: &Route, peer: &Peer) -> Option<Door> {
    match route {
        Route::Claim(_) => claim_door(peer),
        _ => peer_door(peer),
    }
}

fn peer_door(peer: &Peer) -> Option<Door> {
    let key = UserKey::from_secret(peer.nkey_seed.duplicate()).ok()?;
    let identity = MemberIdentity::Connection(peer.connection_id);
    Some(Door {
        space: peer.space.clone(),
        identity,
        key: Some(Arc::new(key)),
        jwt: peer.jwt.clone()?,
        is_refused: false,
    })
}

fn claim_door(peer: &Peer) -> Option<Door> {
    let claim = peer.claim.as_ref()?;
    let identity = MemberIdentity::Claim(peer.claim_id?);
    Some(Door {
        space: claim.messagespace_uri.clone(),
        identity,
        key: None,
        jwt: claim.token.clone(),
        is_refused: false,
    })
}

impl Door {
    async fn open(&mut self, endpoint: &Endpoint) -> Option<Connection> {
        let (guid, jwt, now) = (self.space.guid(), UserJwt::unchecked(self.jwt.clone()), clock::now());
        let credential = match &self.key {
            Some(key) => Credential::member(&self.identity, guid, key.clone(), jwt, now),
            None => Credential::bearer(&self.identity, guid, jwt, now),
        };
        // An expired credential is refused here, before the broker has to.
        self.is_refused = credential.is_err();
        match Connection::open_until_lost(endpoint, credential.ok()?, 1).await {
            Ok(connection) => Some(connection),
            Err(error) => {
                self.is_refused = matches!(error, ConnectError::Refused);
                tracing::info!(%error, "a peer's broker does not let us in now");
                None
            }
        }
    }
}

/// One way out.
enum Way {
    Host { publisher: Connection, guid: MemberId, visits: Visits },
    Peer { door: Door, endpoint: Endpoint, open: Option<Connection> },
}

/// Sends what comes, in order, until nothing came for a while.
async fn run(
    mut way: Way,
    mut posts: mpsc::Receiver<Post>,
    work: mpsc::WeakSender<Work>,
    is_renewed: Arc<Notify>,
    mut gate: Gate,
) {
    let mut pause = FIRST_PAUSE;
    loop {
        let post = match &way {
            Way::Host { .. } => posts.recv().await,
            Way::Peer { open, .. } => tokio::select! {
                biased;
                // Whoever was cut off, or lost the peer's broker, does not hold on to it until it is idle.
                () = over(open) => break,
                post = timeout(IDLE, posts.recv()) => match post {
                    Ok(post) => post,
                    Err(_) => break,
                },
            },
        };
        let Some(post) = post else { break };
        let delivered = tokio::select! {
            biased;
            () = held_back(&mut gate, &post) => None,
            arrived = way.deliver(&post) => Some(arrived),
        };
        let Some(arrived) = delivered else {
            report(&post, false, &work).await;
            continue;
        };
        pause = match arrived {
            true => FIRST_PAUSE,
            // A credential that was refused will not be taken a moment later either.
            false if way.is_refused() => LONGEST_PAUSE,
            false => (pause * 2).min(LONGEST_PAUSE),
        };
        if !arrived {
            way.close().await;
        }
        report(&post, arrived, &work).await;
        if !arrived {
            // The next way is made with what the peer may have sent meanwhile.
            let must_end = tokio::select! {
                () = tokio::time::sleep(pause) => way.is_refused(),
                () = is_renewed.notified() => true,
            };
            if must_end {
                break;
            }
        }
    }
    posts.close();
    while let Some(post) = posts.recv().await {
        report(&post, false, &work).await;
    }
    way.close().await;
}

/// Waits until the connection has ended, unless this post leaves all the same.
async fn held_back(gate: &mut Gate, post: &Post) {
    let holds_back = |ended: &Option<Ended>| ended.is_some_and(|ended| !ended.lets_out(post));
    if gate.wait_for(holds_back).await.is_err() {
        // Nobody will say so any more: the lane was replaced by another one.
        std::future::pending().await
    }
}

/// Waits until an open connection is of no use any more.
async fn over(open: &Option<Connection>) {
    match open {
        Some(connection) => connection.over().await,
        None => std::future::pending().await,
    }
}

/// Only posts that must arrive are reported; the others are asked for again by whoever misses them.
async fn report(post: &Post, arrived: bool, work: &mpsc::WeakSender<Work>) {
    let Some(work) = work.upgrade().filter(|_| post.delivery == Delivery::Durable) else {
        return;
    };
    let news = if arrived { Work::Sent(post.number) } else { Work::NotSent(post.number) };
    // A vault that stopped sends again what it still has when it starts.
    let _ = work.send(news).await;
}

impl Way {
    fn token(&self) -> Option<String> {
        match self {
            Self::Host { .. } => None,
            Self::Peer { door, .. } => Some(door.jwt.clone()),
        }
    }

    fn is_refused(&self) -> bool {
        matches!(self, Self::Peer { door, .. } if door.is_refused)
    }

    async fn deliver(&mut self, post: &Post) -> bool {
        let bytes = Bytes::copy_from_slice(post.bytes.as_bytes());
        let sent = match self {
            Self::Host { publisher, guid, visits } => through_host(publisher, *guid, visits, post, bytes).await,
            Self::Peer { door, endpoint, open } => {
                if open.is_none() {
                    *open = door.open(endpoint).await;
                }
                match open {
                    Some(connection) => tokio::select! {
                        biased;
                        sent = through_peer(connection, post, bytes) => sent,
                        () = connection.over() => Err(Box::new(RequestError::Closed) as _),
                    },
                    None => return false,
                }
            }
        };
        if let Err(error) = &sent {
            tracing::info!(%error, "a message was not taken and is tried again");
        }
        sent.is_ok()
    }

    async fn close(&mut self) {
        if let Self::Peer { open, .. } = self
            && let Some(connection) = open.take()
            && let Err(error) = connection.close().await
        {
            tracing::debug!(%error, "a peer connection did not close in good order");
        }
    }
}

type Sent = Result<(), Box<dyn std::error::Error + Send + Sync>>;

async fn through_host(publisher: &Connection, guid: MemberId, visits: &Visits, post: &Post, bytes: Bytes) -> Sent {
    match (&post.subject, post.delivery) {
        (Subject::OwnerProfile(_), _) => Ok(profiles::publish_profile(publisher, guid, bytes).await?),
        (Subject::EventTypes(_), _) => Ok(profiles::publish_event_types(publisher, guid, bytes).await?),
        (subject @ Subject::ForApp(_, event_type, _), _) if event_type.as_str() == FeedItem::ROW.name => {
            let note = Unheard { member: guid, number: visits.count() };
            Ok(publisher.publish_noting(subject, bytes, note).await?)
        }
        (subject, _) => Ok(publisher.publish(subject, bytes).await?),
    }
}

async fn through_peer(connection: &Connection, post: &Post, bytes: Bytes) -> Sent {
    match post.delivery {
        Delivery::Durable => Ok(inbox::deliver(connection, &post.subject, post.event_id, bytes).await?),
        Delivery::BestEffort => Ok(connection.publish(&post.subject, bytes).await?),
    }
}

#[cfg(test)]
mod tests;

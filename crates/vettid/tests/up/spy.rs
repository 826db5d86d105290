//! Sees every message in every account of the broker: a malicious operator, who holds the keys that sign accounts, puts
//! a user of his own into each of them, and does so again with each new version that services store.

use crate::operator::{Broker, OperatorKeys};
use crate::party::text;
use crate::stack::Place;
use async_nats::{Client, Message, Subscriber};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use vettid_core::grants::broker::CLAIMS_UPDATE;
use vettid_crypto::nats::account::AccountClaims;
use vettid_crypto::nats::key::AccountPublic;
use vettid_crypto::nats::token::AccountJwt;
use vettid_nats::clock;
use vettid_nats::connection::ConnectionState;
use vettid_nats::provisioner::Provisioner;
use vettid_testkit::observer::{Power, Seat};
use vettid_wire::base64::decode;

/// Longest wait until a message of the spy itself is seen in its account.
const SEEN_WITHIN: Duration = Duration::from_secs(20);
/// What is not seen after this time is sent once more: the connection may have been lost meanwhile.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// What the spy says to itself when it begins to listen.
const HERE: &str = "spy.here";
const EVERYTHING: &str = ">";
/// The account of the hosts.
const HOSTS: &str = "VaultHost";
/// See [`Spy::spare_the_hosts`].
const ALL_BUT_PULLED: &[&str] = &[
    "OwnerSpace.>",
    "MessageSpace.>",
    "Journal.>",
    "Control.>",
    "Broadcast.>",
    "Directory.>",
    "$O.>",
    "$JS.>",
    "_R_.>",
    "_r.host-publishing.>",
    "spy.>",
];

/// One message.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Name of the account.
    pub(crate) account: String,
    pub(crate) subject: String,
    /// Reply subject and headers, as text.
    about: String,
    pub(crate) payload: Vec<u8>,
}

impl Seen {
    fn new(account: &str, message: &Message) -> Self {
        let about = format!("{:?} {:?}", message.reply, message.headers);
        Self { account: account.into(), subject: message.subject.to_string(), about, payload: message.payload.to_vec() }
    }

    /// Everything of it, for the search.
    pub(crate) fn parts(&self) -> [&[u8]; 3] {
        [self.subject.as_bytes(), self.about.as_bytes(), &self.payload]
    }
}

/// What was seen, and how much of it there is.
#[derive(Clone)]
struct Record {
    seen: Arc<Mutex<Vec<Seen>>>,
    count: watch::Sender<usize>,
}

impl Record {
    fn add(&self, message: Seen) {
        self.seen.lock().unwrap().push(message);
        // Whoever waits is told after the lock is free: he takes it to look.
        self.count.send_modify(|count| *count += 1);
    }
}

/// A user of the spy in one account.
#[derive(Clone)]
struct Listener {
    account: String,
    client: Client,
    record: Record,
    /// Takes versions of accounts that somebody stores.
    pushed: mpsc::UnboundedSender<String>,
}

impl Listener {
    /// Listens until told to stop. Live once this returns.
    async fn hear(&self, subjects: &[&str]) -> Ears {
        let mut ears = Ears { stop: CancellationToken::new(), hearing: JoinSet::new() };
        let mut own = self.client.subscribe(HERE).await.unwrap();
        for subject in subjects {
            let messages = self.client.subscribe((*subject).to_owned()).await.unwrap();
            ears.hearing.spawn(self.clone().record(messages, ears.stop.clone()));
        }
        // Its own message comes back: the broker has read the subscriptions.
        self.client.publish(HERE, "".into()).await.unwrap();
        timeout(SEEN_WITHIN, own.next()).await.unwrap().unwrap();
        ears
    }

    async fn record(self, mut messages: Subscriber, stop: CancellationToken) {
        while let Some(Some(message)) = stop.run_until_cancelled(messages.next()).await {
            if message.subject.as_str() == CLAIMS_UPDATE {
                // Fails only when the spy is gone.
                let _ = self.pushed.send(String::from_utf8(message.payload.to_vec()).unwrap());
            }
            play_along(&self.client, &message).await;
            self.record.add(Seen::new(&self.account, &message));
        }
        messages.unsubscribe().await.unwrap();
    }
}

/// What a listener listens to.
struct Ears {
    stop: CancellationToken,
    hearing: JoinSet<()>,
}

impl Ears {
    async fn close(self) {
        self.stop.cancel();
        self.hearing.join_all().await;
    }
}

type Listeners = Arc<Mutex<BTreeMap<String, (Listener, Option<Ears>)>>>;

/// The spy.
pub(crate) struct Spy {
    record: Record,
    listeners: Listeners,
    marks: u32,
    /// Puts the seats back into new versions of accounts; ends with the spy.
    _watching: JoinSet<()>,
}

impl Spy {
    /// Gets into every account that the broker knows now, and into those that come later.
    pub(crate) async fn attach(place: &Place) -> Self {
        let record = Record { seen: Arc::default(), count: watch::Sender::new(0) };
        let (listeners, (pushed, pushes)) = (Listeners::default(), mpsc::unbounded_channel());
        let (broker, keys) = (Broker::of(place), OperatorKeys::of(place));
        let provisioner = keys.provisioner(&broker).await;
        let mut watcher = Watcher {
            broker,
            provisioner,
            keys,
            seats: BTreeMap::new(),
            listeners: listeners.clone(),
            record: record.clone(),
            pushed,
        };
        // The server's own account first: from then on no new version of another one is missed.
        let system = watcher.keys.system.clone();
        watcher.take_stored(&system).await;
        for account in accounts(place).filter(|account| *account != system) {
            watcher.take_stored(&account).await;
        }
        let mut watching = JoinSet::new();
        watching.spawn(watcher.watch(pushes));
        Self { record, listeners, marks: 0, _watching: watching }
    }

    /// The names of the accounts that the spy is in.
    pub(crate) fn accounts(&self) -> BTreeSet<String> {
        self.listeners.lock().unwrap().keys().cloned().collect()
    }

    /// Sends something in every account and waits until it is seen there: what was sent before has been seen, too.
    pub(crate) async fn mark(&mut self, payload: &[u8]) {
        self.marks += 1;
        let subject = format!("spy.mark.{}", self.marks);
        let (mut count, started) = (self.record.count.subscribe(), Instant::now());
        loop {
            let missing = self.without(&subject);
            if missing.is_empty() {
                return;
            }
            let names: Vec<_> = missing.iter().map(|(account, _)| account).collect();
            assert!(started.elapsed() < SEEN_WITHIN, "the spy is no longer in {names:?}");
            for (_, client) in &missing {
                client.publish(subject.clone(), payload.to_vec().into()).await.unwrap();
            }
            let all = count.wait_for(|_| self.without(&subject).is_empty());
            // Whatever is still missing is sent again.
            let _ = timeout(AGAIN_AFTER, all).await;
        }
    }

    /// Accounts in which nothing was seen on this subject.
    fn without(&self, subject: &str) -> Vec<(String, Client)> {
        let seen = self.record.seen.lock().unwrap();
        let has = |account: &String| seen.iter().any(|seen| seen.subject == subject && seen.account == *account);
        let listeners = self.listeners.lock().unwrap();
        let missing = listeners.values().filter(|(listener, _)| !has(&listener.account));
        missing.map(|(listener, _)| (listener.account.clone(), listener.client.clone())).collect()
    }

    /// Everything that was seen so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.record.seen.lock().unwrap().clone()
    }

    /// While a host is stopped on purpose: listens to everything of the hosts but the inboxes into which they pull what
    /// waits for them. The broker takes anybody who listens there for the host, hands him what waits, and only gives it
    /// to somebody else after half a minute. Nothing is missed: all of it was published on its own subject before.
    pub(crate) async fn spare_the_hosts(&self, spare: bool) {
        let (listener, ears) = {
            let mut listeners = self.listeners.lock().unwrap();
            let (listener, ears) = listeners.get_mut(HOSTS).unwrap();
            (listener.clone(), ears.take().unwrap())
        };
        let subjects = if spare { ALL_BUT_PULLED } else { &[EVERYTHING] };
        let fresh = listener.hear(subjects).await;
        ears.close().await;
        self.listeners.lock().unwrap().get_mut(HOSTS).unwrap().1 = Some(fresh);
    }

    /// Reads out every stream of every account: also what was stored while the spy was locked out for a moment.
    pub(crate) async fn stored(&self) -> Vec<Seen> {
        let mut stored = Vec::new();
        for (account, client) in self.without("") {
            for stream in streams(&client).await {
                stored.extend(read_out(&account, &client, &stream).await);
            }
        }
        stored
    }
}

/// The accounts in the broker's own folder.
fn accounts(place: &Place) -> impl Iterator<Item = AccountPublic> {
    let files = fs::read_dir(place.data().join("services/broker/accounts")).unwrap();
    files.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().parse().unwrap())
}

/// Keeps the spy in every account.
struct Watcher {
    broker: Broker,
    provisioner: Provisioner,
    keys: OperatorKeys,
    seats: BTreeMap<AccountPublic, Seat>,
    listeners: Listeners,
    record: Record,
    pushed: mpsc::UnboundedSender<String>,
}

impl Watcher {
    /// Gets in again whenever somebody stores an account, and when the broker was started anew: it then takes the
    /// operator's own accounts from its configuration.
    async fn watch(mut self, mut pushes: mpsc::UnboundedReceiver<String>) {
        let mut state = self.provisioner.connection().state();
        loop {
            tokio::select! {
                version = pushes.recv() => self.take(version.unwrap()).await,
                changed = state.changed() => {
                    changed.unwrap();
                    if *state.borrow_and_update() == ConnectionState::Connected {
                        self.take_all_stored().await;
                    }
                }
            }
        }
    }

    async fn take_all_stored(&mut self) {
        let accounts: Vec<_> = self.seats.keys().cloned().collect();
        for account in accounts {
            self.take_stored(&account).await;
        }
    }

    async fn take_stored(&mut self, account: &AccountPublic) {
        let version = self.provisioner.stored(account.as_str()).await.unwrap().unwrap();
        self.take(version).await;
    }

    /// Looks at a version of an account; one without the spy is replaced by one with him.
    async fn take(&mut self, version: String) {
        let trusted = [self.keys.signing.public().clone()];
        let (account, claims) = AccountClaims::verify(&AccountJwt::unchecked(version), &trusted, clock::now()).unwrap();
        let is_new = !self.seats.contains_key(&account);
        let seat = self.seats.entry(account.clone()).or_insert_with(|| Seat::new(&account, Power::Everything).unwrap());
        if seat.is_in(&claims) {
            return;
        }
        let name = claims.name.clone();
        let amended = seat.amended(&account, claims, &self.keys.signing).unwrap();
        self.provisioner.push(&amended).await.unwrap();
        if is_new {
            let client = self.broker.connect(seat.credential()).await.unwrap();
            self.listen(name, client).await;
        }
    }

    async fn listen(&mut self, account: String, client: Client) {
        let (record, pushed) = (self.record.clone(), self.pushed.clone());
        let listener = Listener { account: account.clone(), client, record, pushed };
        let ears = listener.hear(&[EVERYTHING]).await;
        self.listeners.lock().unwrap().insert(account, (listener, Some(ears)));
    }
}

/// Programs send an echo to learn that the broker has read their subscriptions, and expect that nobody hears it. A spy
/// who does not want to be noticed answers in place of the broker.
async fn play_along(client: &Client, message: &Message) {
    if let (true, Some(reply)) = (message.subject.ends_with(".echo"), &message.reply) {
        client.publish(reply.clone(), "".into()).await.unwrap();
    }
}

/// Asks the broker's own interface, as its owner can.
async fn ask(client: &Client, subject: String, request: Value) -> Value {
    let answer = client.request(subject, request.to_string().into()).await.unwrap();
    serde_json::from_slice(&answer.payload).unwrap()
}

async fn streams(client: &Client) -> Vec<String> {
    let answer = ask(client, "$JS.API.STREAM.NAMES".into(), json!({})).await;
    let names = answer["streams"].as_array().into_iter().flatten();
    names.map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// Every message of a stream.
async fn read_out(account: &str, client: &Client, stream: &str) -> Vec<Seen> {
    let state = &ask(client, format!("$JS.API.STREAM.INFO.{stream}"), json!({})).await["state"];
    let (first, last) = (state["first_seq"].as_u64().unwrap(), state["last_seq"].as_u64().unwrap());
    let mut messages = Vec::new();
    for number in first.max(1)..=last {
        let answer = ask(client, format!("$JS.API.STREAM.MSG.GET.{stream}"), json!({"seq": number})).await;
        // A number without a message was removed.
        let message = &answer["message"];
        let part = |name: &str| decode(message[name].as_str().unwrap_or_default()).unwrap();
        if message.is_object() {
            messages.push(Seen {
                account: account.to_owned(),
                subject: text(message, "subject"),
                about: String::from_utf8(part("hdrs")).unwrap(),
                payload: part("data"),
            });
        }
    }
    messages
}

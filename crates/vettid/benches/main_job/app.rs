//! The apps of Alice and Bob: the client of the product with the ports of the product, each on one thread of its own, as the
//! program `vettid app` is. Only the transport is looked at on the way, to know when something left and when something came,
//! and its connection is kept over commands.

#[path = "../../src/app/services.rs"]
mod services;
#[path = "../../src/app/transport.rs"]
mod transport;

use anyhow::{Context as _, Result};
use services::HttpServices;
use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use transport::{NatsConnection, NatsSubscription, NatsTransport};
use vettid_client::app::App;
use vettid_client::clock::SystemClock;
use vettid_client::enrolment::Existing;
use vettid_client::random::SystemRandom;
use vettid_client::store::file::FileStore;
use vettid_client::transport::{Connection, Delivery, SignIn, Subscription, Transport, TransportError};
use vettid_client::vault_credential::{Added, NewSecret, NoPassword, PasswordSource, SecretValue};
use vettid_client::watch::Watched;
use vettid_crypto::password::Password;
use vettid_crypto::secret::SecretBytes;
use vettid_wire::event::{CredentialChallenge, EventRow};
use vettid_wire::secret::SecretKind;
use vettid_wire::subject::{Pattern, Subject};

/// Longer than a message may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// An app.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    app: Arc<App<Ports>>,
    times: SeenTimes,
    home: Home,
}

/// The thread of one app.
#[derive(Debug, Clone)]
struct Home(Handle);

impl Home {
    /// A thread that runs what it is given until nobody has a handle any more.
    fn build(name: &str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
        let handle = runtime.handle().clone();
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || runtime.block_on(std::future::pending::<()>()))
            .context("no thread")?;
        Ok(Self(handle))
    }

    async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Result<T> {
        self.0.spawn(work).await.context("an app ended")
    }
}

/// The ports of one app.
#[derive(Debug)]
struct Ports {
    store: FileStore,
    random: SystemRandom,
    transport: SeenTransport,
}

/// The last time that something left, and that something came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// A publication was handed to the broker's connection.
    pub(crate) left: Instant,
    /// A delivery was taken from it.
    pub(crate) came: Instant,
    /// A proof of the vault was about to be asked for, with which an operation with the credential begins.
    pub(crate) proof: Instant,
}

/// An operation with the credential.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operated {
    /// Its first question was about to leave.
    pub(crate) began: Instant,
    /// Its result was told; its package is stored, and not confirmed yet.
    pub(crate) told: Instant,
}

type SeenTimes = Arc<Mutex<Times>>;

/// NATS, observed.
struct SeenTransport {
    times: SeenTimes,
    kept: tokio::sync::Mutex<Option<(String, Arc<NatsConnection>)>>,
}

impl std::fmt::Debug for SeenTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SeenTransport")
    }
}

/// A connection that stays open when it is closed.
struct SeenConnection {
    connection: Arc<NatsConnection>,
    times: SeenTimes,
}

/// A subscription on it.
struct SeenSubscription {
    subscription: NatsSubscription,
    times: SeenTimes,
}

impl Member {
    /// Enrols an app with the code of its vault.
    pub(crate) async fn enrol(folder: &Path, trust: &str, code: &str) -> Result<Self> {
        let random = SystemRandom::new()?;
        let now = Instant::now();
        let times = Arc::new(Mutex::new(Times { left: now, came: now, proof: now }));
        let transport = SeenTransport { times: times.clone(), kept: tokio::sync::Mutex::default() };
        let ports = Ports { store: FileStore::new(folder, random), random, transport };
        let app = Arc::new(App::new(ports, Some(trust.to_owned())));
        let member = Self { app: app.clone(), times, home: Home::build("app")? };
        let code = code.to_owned();
        let enrolled = member.home.run(async move { app.enrol(&code, Existing::Keep).await.map(|_| ()) }).await?;
        enrolled.context("an app does not enrol")?;
        Ok(member)
    }

    /// Carries out a command of the owner.
    pub(crate) async fn command<R: EventRow>(&self, request: R::Request) -> Result<R::Reply>
    where
        R::Request: Send + Sync + 'static,
        R::Reply: Send + 'static,
    {
        let app = self.app.clone();
        let answered = self.home.run(async move { app.command::<R>(request).await }).await?;
        answered.with_context(|| format!("{} failed", R::ROW.name))
    }

    /// Makes the Vault Credential.
    pub(crate) async fn make_credential(&self) -> Result<()> {
        let app = self.app.clone();
        let created = self.home.run(async move { app.create_credential(None, &mut Typed).await.map(|_| ()) }).await?;
        created.context("no credential is made")
    }

    /// Adds so many notes, each after the one before was confirmed.
    pub(crate) async fn add_secrets(&self, times: usize) -> Result<Vec<Operated>> {
        let note = |n| {
            let value = SecretValue::new(SecretKind::Note, None, SecretBytes::copied_from(b"x"))?;
            anyhow::Ok(NewSecret { label: format!("Note {n}"), category: None, grant_minutes: None, value })
        };
        let notes = (0..times).map(note).collect::<Result<_>>()?;
        let member = self.clone();
        let adding = async move {
            let mut done = Vec::with_capacity(times);
            let mut tell = |added: Added| {
                if matches!(added, Added::Stored(_)) {
                    done.push(Operated { began: member.times().proof, told: Instant::now() });
                }
            };
            let added = member.app.add_secrets(notes, &mut Typed, &mut tell).await;
            added.map(|()| done)
        };
        let done = self.home.run(adding).await?.context("no secret is added")?;
        anyhow::ensure!(done.len() == times, "{} of {times} secrets were added", done.len());
        Ok(done)
    }

    /// Removes every secret.
    pub(crate) async fn remove_secrets(&self) -> Result<()> {
        let app = self.app.clone();
        let removing = async move {
            for secret in app.secrets().await? {
                app.remove_secret(secret.secret_id, &mut Typed).await.context("a secret is not removed")?;
            }
            Ok(())
        };
        self.home.run(removing).await?
    }

    /// When something left and came last.
    pub(crate) fn times(&self) -> Times {
        *self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches the feed from now on; gives the times at which entries of this type were delivered.
    pub(crate) async fn watch<R: EventRow>(&self) -> Result<Watching> {
        let (seen, mut entries) = mpsc::unbounded_channel();
        let member = self.clone();
        let watching = self.home.0.spawn(async move {
            // Whoever waits for an entry notices the end of this task by the end of the channel.
            if let Err(error) = member.pass_on::<R>(&seen).await {
                tracing::error!(%error, "a watch ended");
            }
        });
        entries.recv().await.context("the watch does not begin")?;
        Ok(Watching { entries, watching })
    }

    async fn pass_on<R: EventRow>(&self, seen: &mpsc::UnboundedSender<Instant>) -> Result<()> {
        let mut watch = self.app.watch();
        loop {
            match watch.next().await? {
                Watched::Connected => seen.send(self.times().came)?,
                Watched::Entry(entry) if entry.event_type == R::ROW.event_type() => seen.send(self.times().came)?,
                Watched::Entry(_) => {}
                Watched::Away { error, .. } => anyhow::bail!("the connection is gone: {error}"),
            }
        }
    }
}

/// Types the password.
struct Typed;

impl PasswordSource for Typed {
    fn password(&mut self) -> Result<Password, NoPassword> {
        Password::new("a password for the benchmark").map_err(NoPassword::new)
    }
}

/// A watch under way.
#[derive(Debug)]
pub(crate) struct Watching {
    entries: mpsc::UnboundedReceiver<Instant>,
    watching: JoinHandle<()>,
}

impl Watching {
    /// When the next entry was delivered.
    pub(crate) async fn next(&mut self) -> Result<Instant> {
        let next = tokio::time::timeout(PATIENCE, self.entries.recv()).await.context("no entry in the feed")?;
        next.context("the watch ended")
    }

    /// Ends it.
    pub(crate) async fn end(self) {
        self.watching.abort();
        let _ = self.watching.await;
    }
}

impl vettid_client::app::Ports for Ports {
    type Transport = SeenTransport;
    type Services = HttpServices;
    type Store = FileStore;
    type Clock = SystemClock;

    fn transport(&self) -> &SeenTransport {
        &self.transport
    }

    fn services(&self) -> &HttpServices {
        &HttpServices
    }

    fn store(&self) -> &FileStore {
        &self.store
    }

    fn clock(&self) -> &SystemClock {
        &SystemClock
    }

    fn random(&self) -> SystemRandom {
        self.random
    }
}

impl Transport for SeenTransport {
    type Connection = SeenConnection;

    async fn connect(&self, sign_in: SignIn<'_>) -> Result<SeenConnection, TransportError> {
        let token = sign_in.credential.jwt().as_str().to_owned();
        let mut kept = self.kept.lock().await;
        let connection = match kept.take().filter(|(of, _)| *of == token) {
            Some((_, connection)) => connection,
            None => Arc::new(NatsTransport.connect(sign_in).await?),
        };
        *kept = Some((token, connection.clone()));
        Ok(SeenConnection { connection, times: self.times.clone() })
    }
}

impl Connection for SeenConnection {
    type Subscription = SeenSubscription;

    async fn subscribe(&self, pattern: &Pattern) -> Result<SeenSubscription, TransportError> {
        if let Pattern::One(Subject::ForApp(_, event_type, _)) = pattern
            && event_type.as_str() == CredentialChallenge::ROW.name
        {
            note(&self.times, |times| times.proof = Instant::now());
        }
        let subscription = self.connection.subscribe(pattern).await?;
        Ok(SeenSubscription { subscription, times: self.times.clone() })
    }

    async fn publish(&self, subject: &Subject, payload: &[u8]) -> Result<(), TransportError> {
        note(&self.times, |times| times.left = Instant::now());
        self.connection.publish(subject, payload).await
    }

    async fn close(self) {}
}

impl Subscription for SeenSubscription {
    async fn next(&mut self) -> Result<Delivery, TransportError> {
        let delivery = self.subscription.next().await?;
        note(&self.times, |times| times.came = Instant::now());
        Ok(delivery)
    }
}

fn note(times: &SeenTimes, change: impl FnOnce(&mut Times)) {
    change(&mut times.lock().unwrap_or_else(PoisonError::into_inner));
}

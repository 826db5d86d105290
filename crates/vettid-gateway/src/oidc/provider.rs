//! The provider as its handlers see it: settings, clients, keys, and what must not be forgotten. The one place that reads
//! the clock and draws randomness for it, and that commits before anything is answered.

use super::address::Issuer;
use super::book::{Book, Fresh, Lives, Login, Over};
use super::client::{Client, ClientError, Registry};
use super::failure::Failure;
use super::handle::{Handle, HandleHash};
use super::key_ring::{KeyLives, KeyRing};
use super::login::{self, Progress, Waiting};
use super::notice::{Notice, Told};
use super::posted::Posted;
use super::pushed::Pushed;
use super::settings::Oidc;
use super::subject::{Subject, Subjects};
use crate::clock;
use crate::gateway::Gateway;
use crate::random;
use crate::state::{Loaded, StateError};
use crate::tasks::Tasks;
use crate::view::ConnectionView;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex as SyncMutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;
use vettid_crypto::jose::TokenKey;
use vettid_crypto::kdf;
use vettid_crypto::secret::Secret32;
use vettid_crypto::stored;
use vettid_wire::base64::encode_url;
use vettid_wire::connection::ConnectionState;
use vettid_wire::id::{ConnectionId, Fingerprint};
use vettid_wire::time::Timestamp;

const KEYS: &str = "oidc/keys";
const SUBJECTS: &str = "oidc/subjects";
/// An ID token lives this long, in milliseconds.
pub(super) const ID_TOKEN_LIFE_MS: i64 = 600_000;
pub(super) const DAY_MS: i64 = 24 * 3600 * 1000;
/// A browser is known for this long after the last login, in milliseconds (180 days).
const BROWSER_LIFE_MS: i64 = 180 * DAY_MS;

/// Makes subjects. `Serialize` is for the sealed state alone.
#[derive(Debug, Serialize, Deserialize)]
struct SubjectKey {
    #[serde(with = "stored")]
    key: Secret32,
}

/// What the state holds of a provider.
#[derive(Debug)]
pub(crate) struct Kept {
    book: Book,
    ring: KeyRing,
    subjects: Option<SubjectKey>,
}

impl Kept {
    /// Reads it.
    pub(crate) fn load(loaded: &Loaded) -> Result<Self, StateError> {
        let ring = loaded.value(KEYS)?.unwrap_or_default();
        Ok(Self { book: Book::load(loaded)?, ring, subjects: loaded.value(SUBJECTS)? })
    }
}

/// Why there is no provider.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// The clients.
    #[error(transparent)]
    Clients(#[from] ClientError),
    /// The state.
    #[error(transparent)]
    State(#[from] StateError),
    /// The signing key.
    #[error(transparent)]
    Key(#[from] vettid_crypto::jose::KeyFailed),
    /// The work of making a key was cut short.
    #[error("a signing key could not be made")]
    Stopped(#[from] tokio::task::JoinError),
    /// TLS cannot be set up.
    #[error("TLS for telling clients cannot be set up")]
    Tls(#[source] reqwest::Error),
    /// The address is taken or not allowed.
    #[error("{address} cannot be listened on")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The provider. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Provider(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    gateway: Gateway,
    settings: Oidc,
    issuer: Issuer,
    clients: Registry,
    subject_key: Secret32,
    subjects: SyncMutex<Subjects>,
    ring: RwLock<KeyRing>,
    book: Mutex<Book>,
    waiting: SyncMutex<Waiting>,
    pushed: SyncMutex<Pushed>,
    posted: SyncMutex<Posted>,
    news: Notify,
    tasks: Tasks,
    stop: CancellationToken,
}

impl Provider {
    /// Sets a provider up; what is new is stored before it is used.
    pub(super) async fn open(
        gateway: Gateway,
        settings: Oidc,
        kept: Kept,
        tasks: Tasks,
        stop: CancellationToken,
    ) -> Result<Self, OidcError> {
        let clients = Registry::read(&settings.clients_file)?;
        let subjects = match kept.subjects {
            Some(subjects) => subjects.key,
            None => {
                let subjects = SubjectKey { key: Secret32::random(&mut random::system()) };
                let mut draft = gateway.draft();
                draft.put(SUBJECTS.to_owned(), &subjects)?;
                gateway.commit(draft).await?;
                subjects.key
            }
        };
        let provider = Self(Arc::new(Inner {
            issuer: Issuer::new(&settings.issuer),
            gateway,
            settings,
            clients,
            subject_key: subjects,
            subjects: SyncMutex::new(Subjects::default()),
            ring: RwLock::new(kept.ring),
            book: Mutex::new(kept.book),
            waiting: SyncMutex::new(Waiting::default()),
            pushed: SyncMutex::new(Pushed::default()),
            posted: SyncMutex::new(Posted::default()),
            news: Notify::new(),
            tasks,
            stop,
        }));
        provider.renew_keys().await?;
        let asks = provider.look(|_, book| book.asks.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>()).await;
        asks.into_iter().for_each(|name| provider.watch(name));
        Ok(provider)
    }

    pub(super) fn gateway(&self) -> &Gateway {
        &self.0.gateway
    }

    pub(super) fn tasks(&self) -> &Tasks {
        &self.0.tasks
    }

    pub(super) fn settings(&self) -> &Oidc {
        &self.0.settings
    }

    pub(super) fn issuer(&self) -> &Issuer {
        &self.0.issuer
    }

    pub(super) fn clients(&self) -> &Registry {
        &self.0.clients
    }

    pub(super) fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests that wait for their browsers.
    pub(super) fn pushed(&self) -> MutexGuard<'_, Pushed> {
        self.0.pushed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forms of other sites that wait for their browsers to come again.
    pub(super) fn posted(&self) -> MutexGuard<'_, Posted> {
        self.0.posted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes whoever tells clients something.
    pub(super) fn news(&self) -> &Notify {
        &self.0.news
    }

    pub(super) fn lives(&self) -> Lives {
        let settings = &self.0.settings;
        Lives {
            access_ms: i64::from(settings.access_token_seconds) * 1000,
            refresh_ms: i64::from(settings.refresh_days) * DAY_MS,
            session_ms: i64::from(settings.session_minutes) * 60_000,
            browser_ms: BROWSER_LIFE_MS,
        }
    }

    /// Takes one step on what must not be forgotten, and tells its result only when the disk has it. A step that fails is
    /// stored too: a code shown in vain is dead.
    pub(super) async fn step<T>(
        &self,
        step: impl FnOnce(Timestamp, &mut Book) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut book = self.0.book.lock().await;
        let outcome = step(clock::now(), &mut book);
        let mut draft = self.0.gateway.draft();
        let written = book.write(&mut draft).map_err(|error| unavailable(&error));
        written?;
        // The lock is held over the commit, so that two steps reach the disk in the order in which they were taken.
        self.0.gateway.commit(draft).await.map_err(|error| unavailable(&error))?;
        outcome
    }

    /// Looks something up.
    pub(super) async fn look<T>(&self, look: impl FnOnce(Timestamp, &Book) -> T) -> T {
        let book = self.0.book.lock().await;
        look(clock::now(), &book)
    }

    /// A hint counts for as long as anything can last that came with it: a session, or a grant with a refresh token.
    fn key_lives(&self) -> KeyLives {
        let (settings, lives) = (&self.0.settings, self.lives());
        KeyLives {
            signs_ms: i64::from(settings.key_life_days) * settings.key_times.day_ms,
            ahead_ms: settings.key_times.day_ms,
            token_ms: settings.key_times.token_ms,
            hint_ms: lives.session_ms.max(lives.refresh_ms).saturating_add(ID_TOKEN_LIFE_MS),
        }
    }

    /// Makes the next key when it is due, and retires those whose tokens are over.
    pub(super) async fn renew_keys(&self) -> Result<(), OidcError> {
        let (now, lives) = (clock::now(), self.key_lives());
        let due = self.ring().due(now, lives);
        let fresh = match due {
            Some(from) => Some((tokio::task::spawn_blocking(TokenKey::generate).await??, from)),
            None => None,
        };
        let draft = {
            let mut ring = self.0.ring.write().unwrap_or_else(PoisonError::into_inner);
            let retired = ring.retire(now, lives);
            if fresh.is_none() && !retired {
                return Ok(());
            }
            if let Some((key, from)) = fresh {
                ring.add(key, from);
            }
            let mut draft = self.0.gateway.draft();
            draft.put(KEYS.to_owned(), &*ring)?;
            draft
        };
        Ok(self.0.gateway.commit(draft).await?)
    }

    pub(super) fn ring(&self) -> std::sync::RwLockReadGuard<'_, KeyRing> {
        self.0.ring.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Signs claims as a token of this kind.
    pub(super) fn sign(&self, now: Timestamp, kind: &str, claims: &impl Serialize) -> Result<String, Failure> {
        self.ring().sign(now, kind, claims).map_err(|error| unavailable(&error))
    }

    /// The name by which clients of a sector know a member: the same for every connection of that member, another one in
    /// each sector, and without the key not to be traced back.
    pub(super) fn subject(&self, sector: &str, member: &Fingerprint) -> String {
        self.name(sector, member).to_string()
    }

    fn name(&self, sector: &str, member: &Fingerprint) -> Subject {
        let member = member.to_string();
        let parts: [&[u8]; 4] = [b"vettid-oidc subject\0", sector.as_bytes(), b"\0", member.as_bytes()];
        Subject::new(kdf::hmac(self.0.subject_key.expose(), &parts))
    }

    /// The name by which clients of a sector know a session: like a subject another one in each sector, so that two sites
    /// cannot tell by it that one browser stands before both. The session's own name never leaves the gateway.
    pub(super) fn sid_of(&self, sector: &str, sid: &str) -> String {
        let parts: [&[u8]; 4] = [b"vettid-oidc sid\0", sector.as_bytes(), b"\0", sid.as_bytes()];
        encode_url(&kdf::hmac(self.0.subject_key.expose(), &parts))
    }

    /// The session, over or not, that this client knows by this name.
    pub(super) async fn session_of(&self, client_id: &str, told: &str) -> Option<String> {
        let sector = self.0.clients.get(client_id)?.sector()?;
        let known = self.look(|_, book| book.sids_of(client_id)).await;
        known.into_iter().find(|sid| self.sid_of(&sector, sid) == told)
    }

    /// Whether a connection is one of the member whom this client knows by this name.
    pub(super) async fn is_of(&self, connection: ConnectionId, client_id: &str, subject: &str) -> bool {
        let sector = self.0.clients.get(client_id).and_then(Client::sector);
        let member = self.member(Some(connection)).await;
        matches!((sector, member), (Some(sector), Some(member)) if self.subject(&sector, &member) == subject)
    }

    /// A connection that is active now.
    pub(super) async fn active(&self, id: ConnectionId) -> Option<ConnectionView> {
        self.0.gateway.connection(id).await.filter(|view| view.state == ConnectionState::Active)
    }

    /// The active connection of the member whom this client knows by this name.
    pub(super) async fn connection_of(&self, client_id: &str, subject: &Subject) -> Option<ConnectionId> {
        let sector = self.0.clients.get(client_id)?.sector()?;
        let all = {
            let mut subjects = self.0.subjects.lock().unwrap_or_else(PoisonError::into_inner);
            let since = |seen| self.0.gateway.members_since(seen);
            subjects.find(&sector, subject, since, |member| self.name(&sector, member))
        };
        for id in all.into_iter().rev() {
            if self.active(id).await.is_some() {
                return Some(id);
            }
        }
        None
    }

    /// A login of a browser that was known by the cookie `before`: goes on with its session, or begins one and ends that of
    /// another member. Gives the login as it counts.
    pub(super) async fn begin_session(
        &self,
        before: &HandleHash,
        cookie: &HandleHash,
        login: Login,
    ) -> Result<Login, Failure> {
        let former = self.look(|_, book| book.browsers.get(before.as_str()).map(|browser| browser.connection_id)).await;
        let member = self.member(former).await;
        let login = self
            .step(|now, book| {
                let (login, over) = book.begin_session(now, Some(before), cookie, login, self.lives());
                over.iter().for_each(|over| self.tell_of_end(now, book, over, member.as_ref()));
                Ok(login)
            })
            .await?;
        self.0.news.notify_one();
        Ok(login)
    }

    /// Ends a session and everything that came from it, and has its clients told.
    pub(super) async fn end_session(&self, sid: &str) -> Result<(), Failure> {
        let whose = self.look(|_, book| book.connection_of_session(sid)).await;
        let member = self.member(whose).await;
        self.step(|now, book| {
            let over = book.end_session(sid);
            over.iter().for_each(|over| self.tell_of_end(now, book, over, member.as_ref()));
            Ok(())
        })
        .await?;
        self.0.news.notify_one();
        Ok(())
    }

    /// Who is at the other end of a connection, over or not.
    async fn member(&self, connection: Option<ConnectionId>) -> Option<Fingerprint> {
        self.0.gateway.connection(connection?).await.map(|view| view.member_fingerprint)
    }

    /// Has the clients of a session told that it ended, in the step in which it did.
    fn tell_of_end(&self, now: Timestamp, book: &mut Book, over: &Over, member: Option<&Fingerprint>) {
        for client in over.clients.iter().filter_map(|client_id| self.0.clients.get(client_id)) {
            let (Some(address), Some(sector), Some(member)) = (&client.backchannel_logout_uri, client.sector(), member)
            else {
                continue;
            };
            let (subject, sid) = (self.subject(&sector, member), self.sid_of(&sector, &over.sid));
            let told = Told::Logout { client_id: client.client_id.clone(), subject, sid };
            let id = encode_url(&random::bytes::<16>());
            book.notices.put(&id, Notice::new(now, address, told, now.plus_ms(DAY_MS)));
        }
    }

    /// Ends the sessions of members who have ended their connection.
    pub(super) async fn end_lost_sessions(&self) -> Result<(), Failure> {
        let sessions = self.look(|_, book| {
            let all = book.sessions.iter().map(|(sid, session)| (sid.clone(), session.login.connection_id));
            all.collect::<Vec<_>>()
        });
        for (sid, connection) in sessions.await {
            if self.active(connection).await.is_none() {
                self.end_session(&sid).await?;
            }
        }
        Ok(())
    }

    /// Waits for the answer to a question without a browser, and has its client told if it wants to be.
    pub(super) fn watch(&self, name: String) {
        let provider = self.clone();
        self.0.tasks.insist("telling a client of an answer", move || {
            let (provider, name) = (provider.clone(), name.clone());
            async move {
                let stop = provider.0.stop.clone();
                stop.run_until_cancelled(provider.tell_of(&name)).await;
            }
        });
    }

    async fn tell_of(&self, name: &str) {
        let ask = self.look(|_, book| book.asks.get(name).filter(|ask| ask.tell.is_some()).cloned()).await;
        let Some(ask) = ask else {
            return;
        };
        while login::progress(self, ask.request_id, Duration::from_secs(20)).await == Progress::Open {}
        let told = self.step(|now, book| {
            if let Some(ask) = book.asks.change(name)
                && let Some(tell) = ask.tell.take()
            {
                let told = Told::Ping { auth_req_id: tell.auth_req_id, token: tell.token };
                let id = encode_url(&random::bytes::<16>());
                book.notices.put(&id, Notice::new(now, &tell.address, told, ask.kept_until()));
            }
            Ok(())
        });
        if let Err(error) = told.await {
            tracing::error!(%error, "a client could not be told of an answer");
        }
        self.0.news.notify_one();
    }
}

/// Fresh texts for one answer.
pub(super) fn fresh() -> Fresh {
    Fresh {
        grant_id: encode_url(&random::bytes::<16>()),
        access: Handle::new(random::bytes()),
        refresh: [random::bytes(), random::bytes()],
    }
}

/// Logs what went wrong here; the client learns only that it did.
pub(super) fn unavailable(error: &dyn std::error::Error) -> Failure {
    tracing::error!(%error, "a request to the provider failed");
    Failure::unavailable()
}

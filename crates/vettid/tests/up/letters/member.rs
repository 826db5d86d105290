//! A member whose app lives in this process: the client of the product with the ports of the product, and a connection that
//! is kept from one command to the next. What is not answered is asked again, as a member would.

#[path = "../../../src/app/services.rs"]
mod services;
#[path = "../../../src/app/transport.rs"]
mod transport;

use crate::https::Operator;
use crate::stack::WITHIN;
use services::HttpServices;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use transport::{NatsConnection, NatsSubscription, NatsTransport};
use vettid_client::app::App;
use vettid_client::clock::SystemClock;
use vettid_client::command::CommandError;
use vettid_client::enrolment::Existing;
use vettid_client::random::SystemRandom;
use vettid_client::store::file::FileStore;
use vettid_client::transport::{Connection, SignIn, Transport, TransportError};
use vettid_wire::connection::{AcceptInvitation, ConnectionRef, ConnectionState, Decide, Invite};
use vettid_wire::enrolment::{AccountCreated, CreateAccount, EnrolmentStarted};
use vettid_wire::event::{
    ConnectionAccept, ConnectionDecide, ConnectionInvite, ConnectionReview, EventRow, MessagingExport, Nothing,
};
use vettid_wire::id::ConnectionId;
use vettid_wire::messaging::{ExportMessages, MessageView};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::subject::{Pattern, Subject};

/// How often is looked for what others bring about.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A member with an app.
pub(super) struct Member {
    app: App<Ports>,
    transport: KeptTransport,
}

impl Member {
    /// Makes an account and a vault, and enrols an app.
    pub(super) async fn enrol(operator: &Operator, trust: &str, name: &str, folder: &Path) -> Self {
        let account = CreateAccount { name: name.into() };
        let account: AccountCreated = operator.post("/v1/accounts", None, &account).await.unwrap();
        let token = Some(account.portal_token.as_str());
        let started: EnrolmentStarted = operator.post("/v1/vault/enroll/start", token, &Nothing {}).await.unwrap();
        let random = SystemRandom::new().unwrap();
        let transport = KeptTransport::default();
        let ports = Ports { store: FileStore::new(folder, random), random, transport: transport.clone() };
        let app = App::new(ports, Some(trust.to_owned()));
        app.enrol(&started.qr, Existing::Keep).await.unwrap();
        Self { app, transport }
    }

    /// Carries out a command once, however often it has to be asked for.
    pub(super) async fn command<R: EventRow>(&self, request: R::Request) -> R::Reply
    where
        R::Request: Clone,
    {
        self.attempt::<R>(request).await.unwrap_or_else(|code| panic!("{} was refused: {code}", R::ROW.name))
    }

    async fn attempt<R: EventRow>(&self, request: R::Request) -> Result<R::Reply, RefusalCode>
    where
        R::Request: Clone,
    {
        let began = Instant::now();
        loop {
            match self.app.command::<R>(request.clone()).await {
                Ok(reply) => return Ok(reply),
                Err(CommandError::Refused { code, .. }) => return Err(code),
                Err(error) => {
                    self.transport.forget().await;
                    assert!(began.elapsed() < WITHIN, "{} is never answered: {error}", R::ROW.name);
                }
            }
        }
    }

    /// Connects two members.
    pub(super) async fn connect(&self, other: &Self) -> ConnectionId {
        let link = self.command::<ConnectionInvite>(Invite { label: None, life_seconds: None }).await.link;
        let asked = AcceptInvitation { link, in_person: false };
        let connection_id = other.command::<ConnectionAccept>(asked).await.connection_id;
        for member in [self, other] {
            member.reach(connection_id, ConnectionState::Review).await;
            let decision = Decide { connection_id, accept: true, optional_fields: Vec::new() };
            member.command::<ConnectionDecide>(decision).await;
        }
        for member in [self, other] {
            member.reach(connection_id, ConnectionState::Active).await;
        }
        connection_id
    }

    /// Waits until a connection is in this state.
    pub(super) async fn reach(&self, connection_id: ConnectionId, state: ConnectionState) {
        let began = Instant::now();
        // Until the other side's message is there, the connection is not known.
        loop {
            let view = self.attempt::<ConnectionReview>(ConnectionRef { connection_id }).await;
            if view.is_ok_and(|view| view.state == state) {
                return;
            }
            assert!(began.elapsed() < WITHIN, "never {state:?}");
            sleep(LOOK_EVERY).await;
        }
    }

    /// The whole conversation, in the order in which this member's vault got or wrote it.
    pub(super) async fn conversation(&self, connection_id: ConnectionId) -> Vec<MessageView> {
        let (mut all, mut next) = (Vec::new(), Some(1));
        while let Some(from) = next {
            let stretch = self.command::<MessagingExport>(ExportMessages { connection_id, from }).await;
            all.extend(stretch.messages);
            next = stretch.next;
        }
        all
    }

    /// The lines of the audit chain, which is checked on the way.
    pub(super) async fn audit(&self) -> Vec<String> {
        self.app.export_audit().await.unwrap().text.lines().map(str::to_owned).collect()
    }
}

/// The ports of the app.
#[derive(Debug)]
struct Ports {
    store: FileStore,
    random: SystemRandom,
    transport: KeptTransport,
}

impl vettid_client::app::Ports for Ports {
    type Transport = KeptTransport;
    type Services = HttpServices;
    type Store = FileStore;
    type Clock = SystemClock;

    fn transport(&self) -> &KeptTransport {
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

/// NATS, connected once for many commands.
#[derive(Clone, Default)]
struct KeptTransport(Arc<Mutex<Option<Kept>>>);

/// A connection, and the token that it was opened with.
type Kept = (String, Arc<NatsConnection>);

impl std::fmt::Debug for KeptTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeptTransport")
    }
}

impl KeptTransport {
    /// The next command connects anew.
    async fn forget(&self) {
        self.0.lock().await.take();
    }
}

impl Transport for KeptTransport {
    type Connection = KeptConnection;

    async fn connect(&self, sign_in: SignIn<'_>) -> Result<KeptConnection, TransportError> {
        let token = sign_in.credential.jwt().as_str().to_owned();
        let mut kept = self.0.lock().await;
        let connection = match kept.take().filter(|(of, _)| *of == token) {
            Some((_, connection)) => connection,
            None => Arc::new(NatsTransport.connect(sign_in).await?),
        };
        *kept = Some((token, connection.clone()));
        Ok(KeptConnection(connection))
    }
}

/// A connection that stays open when it is closed.
struct KeptConnection(Arc<NatsConnection>);

impl Connection for KeptConnection {
    type Subscription = NatsSubscription;

    async fn subscribe(&self, pattern: &Pattern) -> Result<NatsSubscription, TransportError> {
        self.0.subscribe(pattern).await
    }

    async fn publish(&self, subject: &Subject, payload: &[u8]) -> Result<(), TransportError> {
        self.0.publish(subject, payload).await
    }

    async fn close(self) {}
}

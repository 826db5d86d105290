//! A running broker in a folder of its own: the real server, an operator, all accounts and streams of the hosts.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::TempDir;
use vettid_core::grants::credential::Credential;
use vettid_core::grants::delivery::Receiver;
use vettid_core::grants::mint::MemberIdentity;
use vettid_core::grants::role::OperatorRole;
use vettid_core::grants::store_key::StoreKey;
use vettid_crypto::nats::account::AccountClaims;
use vettid_crypto::nats::key::AccountPublic;
use vettid_crypto::secret::Secret32;
use vettid_nats::clock;
use vettid_nats::connection::{Connection, Endpoint};
use vettid_nats::provisioner::Provisioner;
use vettid_nats::server::{Server, ServerError, ServerPlan};
use vettid_nats::streams::{self, InitialisationMark, StreamLimits, StreamPlan};
use vettid_nats::tls::CertificateAuthority;
use zeroize::Zeroizing;

use crate::observer::{self, Power};
use crate::operator::{Operator, fresh_secret};
use crate::program;
use crate::space::{Placement, Space};

/// Room for waiting events in a test.
const LIMITS: StreamLimits = StreamLimits { inbox_bytes: 64 << 20, waiting_per_subject: 100, replicas: 1 };

/// A running broker. Dropping it stops the server and removes its folder.
#[derive(Debug)]
pub struct TestServer {
    server: Option<Server>,
    /// The operator, with all keys.
    pub operator: Operator,
    provisioner: Option<Provisioner>,
    store_secret: Secret32,
    authority: (String, Zeroizing<String>),
    program: PathBuf,
    folder: TempDir,
}

impl TestServer {
    /// Starts a broker with the operator's accounts and the streams of the hosts.
    ///
    /// # Errors
    /// If there is no server program, or it does not start.
    pub async fn start() -> anyhow::Result<Self> {
        let mut broker = Self::stopped()?;
        broker.run().await?;
        let admin = broker.connect(OperatorRole::HostAdmin, "admin").await?;
        streams::initialise(&admin, &StreamPlan::hosts(LIMITS), &broker.mark()).await?;
        admin.close().await?;
        Ok(broker)
    }

    /// A broker whose server was never started.
    ///
    /// # Errors
    /// If there is no server program.
    pub fn stopped() -> anyhow::Result<Self> {
        let authority = CertificateAuthority::generate(clock::now())?;
        let key = Zeroizing::new(authority.expose_key_pem().to_owned());
        Ok(Self {
            server: None,
            operator: Operator::new()?,
            provisioner: None,
            store_secret: fresh_secret(),
            authority: (authority.certificate_pem().to_owned(), key),
            program: program::nats_server()?,
            folder: TempDir::new()?,
        })
    }

    /// Starts the server, again if it was stopped.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn run(&mut self) -> anyhow::Result<()> {
        self.run_as(self.program.clone()).await
    }

    /// The same with another program.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn run_as(&mut self, program: PathBuf) -> anyhow::Result<()> {
        self.server = Some(Server::start(ServerPlan { program, ..self.plan()? }).await?);
        self.provisioner = Some(Provisioner::new(self.connect(OperatorRole::Provisioner, "tests").await?));
        Ok(())
    }

    /// The plan of the server, for tests that start it themselves.
    ///
    /// # Errors
    /// If a claim contradicts itself.
    pub fn plan(&self) -> anyhow::Result<ServerPlan> {
        let (certificate, key) = &self.authority;
        Ok(ServerPlan {
            program: self.program.clone(),
            folder: self.folder.path().join("broker"),
            trust: self.operator.trust()?,
            store_key: StoreKey::new(self.store_secret.duplicate()),
            authority: CertificateAuthority::from_pem(certificate.clone(), key.clone())?,
            websocket_origins: vec!["https://localhost".to_owned()],
            disk_bytes: 8 << 30,
        })
    }

    /// The folder that everything of this broker lies in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Says outside of the server that the streams of the hosts were made.
    #[must_use]
    pub fn mark(&self) -> InitialisationMark {
        InitialisationMark::at(self.folder.path().join("streams.made"))
    }

    /// The running server.
    ///
    /// # Errors
    /// If it is stopped.
    pub fn server(&self) -> anyhow::Result<&Server> {
        self.server.as_ref().context("the server is stopped")
    }

    /// Where clients connect.
    ///
    /// # Errors
    /// If it is stopped.
    pub fn endpoint(&self) -> anyhow::Result<Endpoint> {
        Ok(self.server()?.endpoint())
    }

    /// Stores accounts.
    ///
    /// # Errors
    /// If the server is stopped.
    pub fn provisioner(&self) -> anyhow::Result<&Provisioner> {
        self.provisioner.as_ref().context("the server is stopped")
    }

    /// Stops the server; the folder stays.
    ///
    /// # Errors
    /// If the server was not running.
    pub async fn stop(&mut self) -> Result<(), ServerError> {
        self.provisioner = None;
        match self.server.take() {
            Some(server) => server.stop().await,
            None => Ok(()),
        }
    }

    /// Ends the broker and waits until its server has ended, without holding up the runtime as a drop does.
    ///
    /// # Panics
    /// If the server does not end in good order: a test should see that.
    #[expect(clippy::expect_used, reason = "for tests only")]
    pub async fn shut(mut self) {
        self.stop().await.expect("the broker ends in good order");
    }

    /// Connects as one of the operator's identities.
    ///
    /// # Errors
    /// If the server does not take it.
    pub async fn connect(&self, role: OperatorRole, name: &str) -> anyhow::Result<Connection> {
        Ok(Connection::open(&self.endpoint()?, self.operator.credential(role, name)?).await?)
    }

    /// Connects as an identity in a space.
    ///
    /// # Errors
    /// If the server does not take it.
    pub async fn join(&self, space: &Space, identity: &MemberIdentity) -> anyhow::Result<Connection> {
        Ok(Connection::open(&self.endpoint()?, space.credential(identity)?).await?)
    }

    /// A fresh member or service, whose accounts are stored in the server. One that is served by its own user gets its
    /// streams, too.
    ///
    /// # Errors
    /// If the server does not take them.
    pub async fn space(&self, placement: Placement) -> anyhow::Result<Space> {
        let space = Space::new(placement)?;
        for (account, claims) in space.claims(&self.operator) {
            self.push(&account, &claims).await?;
        }
        let home = match placement {
            Placement::Hosted => return Ok(space),
            Placement::Home => (MemberIdentity::HomeMessage(space.member), Receiver::Vault),
            Placement::Service => (MemberIdentity::HomeService(space.member), Receiver::Service),
        };
        let connection = self.join(&space, &home.0).await?;
        let mark = InitialisationMark::at(self.folder.path().join(format!("{}.made", space.member)));
        streams::initialise(&connection, &StreamPlan::home(home.1, LIMITS), &mark).await?;
        connection.close().await?;
        Ok(space)
    }

    /// Stores an account.
    ///
    /// # Errors
    /// If the server does not take it.
    pub async fn push(&self, account: &AccountPublic, claims: &AccountClaims) -> anyhow::Result<()> {
        Ok(self.provisioner()?.push(&self.operator.sign(account, claims)?).await?)
    }

    /// Connects as an observer that may subscribe to everything in an account.
    ///
    /// # Errors
    /// If the server does not have the account.
    pub async fn observe(&self, account: &AccountPublic) -> anyhow::Result<Connection> {
        let credential = self.intruder(account, Power::Watch).await?;
        Ok(Connection::open(&self.endpoint()?, credential).await?)
    }

    /// A credential of somebody who got into an account.
    ///
    /// # Errors
    /// If the server does not have the account.
    pub async fn intruder(&self, account: &AccountPublic, power: Power) -> anyhow::Result<Credential> {
        observer::admit(self.provisioner()?, &self.operator.signing, account, power).await
    }
}

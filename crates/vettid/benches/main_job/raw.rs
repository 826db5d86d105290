//! The broker alone, on the same server and with the same TLS, in an account of its own: the least that a request to
//! another party and a durable commit can cost there. The client library is used bare.

use crate::figures::Samples;
use crate::stack::Stack;
use anyhow::{Context as _, Result, ensure};
use async_nats::{Auth, AuthError, Client, ConnectOptions, Subscriber};
use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::bytes::Bytes;
use vettid_core::grants::credential::Credential;
use vettid_core::grants::delivery::Receiver;
use vettid_core::grants::mint::{self, MemberIdentity};
use vettid_crypto::nats::key::AccountKey;
use vettid_nats::clock;
use vettid_nats::connection::Connection;
use vettid_nats::streams::{self, InitialisationMark, StreamLimits, StreamPlan};
use vettid_testkit::operator::fresh_key;
use vettid_testkit::space::fresh_member;
use vettid_wire::enrolment::{RegisterService, ServiceRegistered};
use vettid_wire::event::{DataResponse, EventRow as _, MemberRevoked};
use vettid_wire::id::{ConnectionId, MemberId};
use vettid_wire::subject::Subject;

/// Bytes of a raw request and of its answer.
const REQUEST: Bytes = Bytes::from_static(&[b'x'; 128]);
/// Bytes of a raw publication.
const RECORD: Bytes = Bytes::from_static(&[b'x'; 1024]);
/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Two users of one account: one asks, the other answers.
pub(crate) struct Raw {
    asking: Client,
    answers: Subscriber,
    answering: JoinHandle<()>,
    request: String,
    record: String,
}

/// The keys of the account.
pub(crate) struct Account {
    pub(crate) guid: MemberId,
    itself: AccountKey,
    home: AccountKey,
    connection: AccountKey,
    claim: AccountKey,
}

impl Account {
    /// An account with a file stream, made as any service makes its own.
    pub(crate) async fn open(stack: &Stack, name: &str) -> Result<Self> {
        let guid = fresh_member();
        let account =
            Self { guid, itself: fresh_key()?, home: fresh_key()?, connection: fresh_key()?, claim: fresh_key()? };
        let (token, registration) = (stack.service_token(), account.registration(name)?);
        let _: ServiceRegistered = stack.operator().post("/v1/services", Some(&token), &registration).await?;
        make_stream(stack, name, account.home()?).await?;
        Ok(account)
    }

    /// Its owner.
    pub(crate) fn home(&self) -> Result<Credential> {
        self.credential(&MemberIdentity::HomeService(self.guid), &self.home)
    }

    /// Somebody who writes to it.
    pub(crate) fn user(&self, id: ConnectionId) -> Result<Credential> {
        self.credential(&MemberIdentity::Connection(id), &self.connection)
    }

    fn registration(&self, name: &str) -> Result<RegisterService> {
        Ok(RegisterService {
            service_id: name.parse()?,
            guid: self.guid,
            account_nkey: self.itself.public().to_string(),
            vault_signing_nkey: self.home.public().to_string(),
            connection_signing_nkey: self.connection.public().to_string(),
            claim_signing_nkey: self.claim.public().to_string(),
        })
    }

    fn credential(&self, identity: &MemberIdentity, minted_by: &AccountKey) -> Result<Credential> {
        let user = Arc::new(fresh_key()?);
        let minted = mint::member(identity, user.public(), self.itself.public(), minted_by, clock::now())?;
        Ok(Credential::member(identity, self.guid, user, minted.jwt, clock::now())?)
    }
}

impl Raw {
    /// An account, and both users connected.
    pub(crate) async fn open(stack: &Stack) -> Result<Self> {
        let account = Account::open(stack, "raw").await?;
        let id = ConnectionId::v7(clock::now(), [1; 10]);
        let (home, user) = (account.home()?, account.user(id)?);
        let request = Subject::ForOwner(account.guid, id, DataResponse::ROW.event_type()).to_string();
        let answer = Subject::OwnerProfile(account.guid).to_string();
        let (asking, other) = (connect(stack, user).await?, connect(stack, home).await?);
        let answers = asking.subscribe(answer.clone()).await?;
        let answering = answer_all(other, &request, answer).await?;
        let record = Subject::ForOwner(account.guid, id, MemberRevoked::ROW.event_type()).to_string();
        let mut raw = Self { asking, answers, answering, request, record };
        raw.until_heard().await?;
        Ok(raw)
    }

    /// The other side listens once it answers.
    async fn until_heard(&mut self) -> Result<()> {
        for _ in 0..50 {
            self.asking.publish(self.request.clone(), REQUEST).await?;
            if tokio::time::timeout(PATIENCE / 50, self.answers.next()).await.is_ok() {
                return Ok(());
            }
        }
        anyhow::bail!("nobody answers raw requests")
    }

    /// Asks so often, one after the other.
    pub(crate) async fn requests(&mut self, times: usize) -> Result<Samples> {
        let mut each = Vec::with_capacity(times);
        for _ in 0..times {
            let begin = Instant::now();
            self.asking.publish(self.request.clone(), REQUEST).await?;
            let answer = tokio::time::timeout(PATIENCE, self.answers.next()).await.context("no raw answer")?;
            each.push(begin.elapsed());
            ensure!(answer.is_some_and(|message| message.payload == REQUEST), "a raw answer is another one");
        }
        Ok(Samples::in_turn(each))
    }

    /// Publishes so often and waits for each acknowledgement, with `at_once` under way.
    pub(crate) async fn publishes(&self, times: usize, at_once: usize) -> Result<Samples> {
        let begin = Instant::now();
        let one = || async {
            let mut each = Vec::with_capacity(times / at_once);
            for _ in 0..times / at_once {
                let begin = Instant::now();
                self.publish().await?;
                each.push(begin.elapsed());
            }
            anyhow::Ok(each)
        };
        let each = try_join_all((0..at_once).map(|_| one())).await?.concat();
        Ok(Samples::overlapping(each, begin.elapsed()))
    }

    async fn publish(&self) -> Result<()> {
        let stored = self.asking.request(self.record.clone(), RECORD).await?;
        let stored: serde_json::Value = serde_json::from_slice(&stored.payload)?;
        ensure!(stored.get("seq").is_some(), "a raw publication was not stored: {stored}");
        Ok(())
    }

    /// Ends both users.
    pub(crate) async fn close(self) {
        self.answering.abort();
        let _ = self.answering.await;
    }
}

async fn make_stream(stack: &Stack, name: &str, credential: Credential) -> Result<()> {
    let home = Connection::open(&stack.endpoint()?, credential).await?;
    let limits = StreamLimits { inbox_bytes: 64 << 20, waiting_per_subject: 1_000_000, replicas: 1 };
    let mark = InitialisationMark::at(stack.folder().join(format!("{name}.streams")));
    streams::initialise(&home, &StreamPlan::home(Receiver::Service, limits), &mark).await?;
    Ok(home.close().await?)
}

/// The library's client as this user.
pub(crate) async fn connect(stack: &Stack, credential: Credential) -> Result<Client> {
    let endpoint = stack.endpoint()?;
    let inbox = credential.inbox().to_owned();
    let options = ConnectOptions::with_auth_callback(move |nonce| {
        let credential = credential.clone();
        async move {
            let mut auth = Auth::new();
            auth.jwt = Some(credential.jwt().as_str().to_owned());
            auth.signature = Some(credential.sign(&nonce).ok_or_else(|| AuthError::new("no key"))?.to_vec());
            Ok(auth)
        }
    });
    let options = options.require_tls(true).tls_first().tls_client_config(endpoint.tls.config());
    Ok(options.ignore_discovered_servers().custom_inbox_prefix(inbox).connect(endpoint.address).await?)
}

/// Sends back whatever comes.
async fn answer_all(client: Client, from: &str, to: String) -> Result<JoinHandle<()>> {
    let mut requests = client.subscribe(from.to_owned()).await?;
    Ok(tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            if client.publish(to.clone(), request.payload).await.is_err() {
                return;
            }
        }
    }))
}

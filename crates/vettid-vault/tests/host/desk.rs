//! The operator of a test: a broker, hosts that join, and two members whose vaults were founded and connected before.

use crate::town::{ALICE, BOB, Town, guids};
use getrandom::SysRng;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_core::UnwrapErr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use vettid_core::allowance::{Limit, Limits};
use vettid_core::control::{Order, issue, subject_of};
use vettid_core::grants::account::{self, MessageSpaceKeys, OwnerSpaceKeys};
use vettid_core::grants::role::OperatorRole;
use vettid_crypto::identity::SigningKey;
use vettid_crypto::nats::key::Account;
use vettid_crypto::suite::{KemSecretKey, Suite};
use vettid_handler::handlers::Handlers;
use vettid_nats::clock;
use vettid_nats::journal::Journal;
use vettid_testkit::broker::TestServer;
use vettid_testkit::operator::{fresh_key, fresh_secret};
use vettid_testkit::space::fresh_event;
use vettid_vault::host::config::HostConfig;
use vettid_vault::host::sealer::SealerConfig;
use vettid_vault::host::sealer::key_file::KeyFile;
use vettid_vault::host::states::States;
use vettid_vault::host::storage_key::StorageKeys;
use vettid_vault::host::{Host, HostFailed, JoinFailed, Joining};
use vettid_wire::contract::Rate;
use vettid_wire::control::{ControlOutcome, ControlResult, Target};
use vettid_wire::enrolment::{HostJoined, JoinHost};
use vettid_wire::id::MemberId;
use vettid_wire::json as vjson;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Desk {
    pub(crate) broker: TestServer,
    control: SigningKey,
    services_kem: String,
    folder: TempDir,
    commands: u64,
    /// What vaults do with events; the first-party handlers if it is not said.
    pub(crate) handlers: Option<Handlers>,
}

/// A host that runs.
pub(crate) struct Running {
    stop: CancellationToken,
    task: JoinHandle<Result<(), HostFailed>>,
}

impl Running {
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap().unwrap();
    }

    /// As a process that is killed: nothing is finished.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

impl Joining for Desk {
    async fn join(&self, asked: JoinHost) -> Result<HostJoined, JoinFailed> {
        let (subscriber, publisher) = self.broker.operator.admit_host(&asked).unwrap();
        Ok(HostJoined {
            nats_endpoint: self.broker.endpoint().unwrap().address,
            subscriber_jwt: subscriber.as_str().to_owned(),
            publisher_jwt: publisher.as_str().to_owned(),
            control_key: self.control.verifying_key().typed(),
            services_kem: self.services_kem.parse().unwrap(),
            expires_at: clock::now().plus_ms(86_400_000),
        })
    }
}

/// No test lasts until a renewal.
struct Never;

impl Joining for Never {
    async fn join(&self, _: JoinHost) -> Result<HostJoined, JoinFailed> {
        Err(JoinFailed("no renewal in a test".into()))
    }
}

impl Desk {
    pub(crate) async fn open() -> Self {
        let kem = KemSecretKey::generate(Suite::X25519, &mut StdRng::from_rng(&mut rand::rng())).unwrap();
        Self {
            broker: TestServer::start().await.unwrap(),
            control: SigningKey::from_seed(&fresh_secret()),
            services_kem: kem.public_key().typed().to_string(),
            folder: tempfile::tempdir().unwrap(),
            commands: 0,
            handlers: None,
        }
    }

    /// What a host of this name keeps.
    pub(crate) fn state(&self, host: &str) -> PathBuf {
        self.folder.path().join(host)
    }

    fn keys(&self, host: &str) -> StorageKeys {
        let state = self.state(host);
        std::fs::create_dir_all(&state).unwrap();
        let sealer = KeyFile::open_or_create(&state.join("host.key"), &mut UnwrapErr(SysRng)).unwrap();
        StorageKeys::new(state.join("vaults"), Box::new(sealer)).unwrap()
    }

    /// Alice and Bob, enrolled at this broker now. Their storage keys lie at the hosts that are named.
    pub(crate) fn town(&self, hosts: [&str; 2]) -> Town {
        let keys = [ALICE, BOB]
            .map(|who| self.keys(hosts[who]).create(guids()[who], clock::now(), &mut UnwrapErr(SysRng)).unwrap())
            .map(|key| *key.expose());
        let rng = StdRng::from_rng(&mut rand::rng());
        let mut town = Town::at(rng, clock::now(), &self.broker.endpoint().unwrap().address, keys);
        town.settle();
        town
    }

    /// The same storage keys lie at another host, too.
    pub(crate) fn copy_keys(&self, from: &str, to: &str) {
        let (from, to) = (self.state(from), self.state(to));
        std::fs::create_dir_all(to.join("vaults")).unwrap();
        std::fs::copy(from.join("host.key"), to.join("host.key")).unwrap();
        for entry in std::fs::read_dir(from.join("vaults")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "sealed") {
                copy_into(&path, &to.join("vaults"));
            }
        }
    }

    /// Stores the accounts and the journal of a vault of the town.
    pub(crate) async fn publish(&self, town: &Town, who: usize) {
        let node = &town.nodes[who];
        let public = node.vault.public().unwrap();
        let owner = OwnerSpaceKeys {
            app: public.app_signing_nkey.parse().unwrap(),
            bootstrap: fresh_key::<Account>().unwrap().public().clone(),
        };
        let message = MessageSpaceKeys {
            connection: public.connection_signing_nkey.parse().unwrap(),
            service: public.service_signing_nkey.parse().unwrap(),
            claim: public.claim_signing_nkey.parse().unwrap(),
        };
        let accounts = &self.broker.operator.accounts;
        let owner = account::hosted_owner_space(node.guid, accounts, &owner);
        let message = account::hosted_message_space(node.guid, accounts, &message);
        self.broker.push(&public.owner_account_nkey.parse().unwrap(), &owner).await.unwrap();
        self.broker.push(&public.message_account_nkey.parse().unwrap(), &message).await.unwrap();
        let journal = self.journal().await;
        let mut last = 0;
        for record in node.records() {
            last = journal.commit(node.guid, last, record.clone().into()).await.unwrap();
        }
    }

    pub(crate) async fn journal(&self) -> Journal {
        Journal::new(self.broker.connect(OperatorRole::HostPublishing, "reader").await.unwrap())
    }

    /// The vault of the town as the journal at the broker says.
    pub(crate) async fn read_back(&self, town: &mut Town, who: usize) {
        let records = self.journal().await.load(town.nodes[who].guid).collect().await.unwrap();
        // What it does in the town from now on is not part of what it did at its host.
        town.sent.clear();
        town.nodes[who].continued(records.into_iter().map(|record| record.bytes.to_vec()).collect());
    }

    fn config(&self, host: &str) -> HostConfig {
        // A test sends more than a member may.
        let messages = Rate { count: 1_000_000, per_seconds: 60 };
        let connection = Limit { messages, bytes: None, ..Limit::CONNECTION };
        let session = Limit { messages, bytes: None, ..Limit::SESSION };
        HostConfig {
            host_id: host.parse().unwrap(),
            state: self.state(host),
            sealer: SealerConfig::KeyFile(self.state(host).join("host.key")),
            broker_tls: self.broker.endpoint().unwrap().tls,
            public_endpoint: None,
            peers: Arc::default(),
            files_bytes: vettid_nats::pieces::DEFAULT_MOST_BYTES,
            handlers: self.handlers.clone().unwrap_or_else(|| vettid_handlers::native().build().unwrap()),
            limits: Limits { connection, session },
        }
    }

    /// What is stored of the vaults of a host that does not run.
    pub(crate) async fn states(&self, host: &str) -> States {
        States::open(&self.config(host), self).await.unwrap()
    }

    pub(crate) async fn start(&self, host: &str) -> Host {
        Host::start(self.config(host), self).await.unwrap()
    }

    pub(crate) async fn run(&self, host: &str) -> Running {
        let (host, stop) = (self.start(host).await, CancellationToken::new());
        Self::running(host, stop)
    }

    pub(crate) fn running(host: Host, stop: CancellationToken) -> Running {
        let stopped = stop.clone();
        Running { stop, task: tokio::spawn(async move { host.run(&Never, stopped).await }) }
    }

    /// How often vaults of a host were loaded again.
    pub(crate) async fn reloads(&mut self, host: &str) -> u64 {
        match self.command(host, "health.request", serde_json::json!({})).await {
            ControlOutcome::Done(health) => health["reloads"].as_u64().unwrap(),
            other => panic!("no health: {other:?}"),
        }
    }

    /// Gives a host a command and waits for what came of it.
    pub(crate) async fn command(&mut self, host: &str, name: &str, params: serde_json::Value) -> ControlOutcome {
        self.commands += 1;
        let order = Order {
            command: name.parse().unwrap(),
            target: Target::Enclave(host.parse().unwrap()),
            params,
            issued_by: "services".into(),
            life_ms: 60_000,
        };
        let command = issue(order, fresh_event(), self.commands, clock::now(), &self.control).unwrap();
        let services = self.broker.connect(OperatorRole::ServicesControl, "services").await.unwrap();
        let bytes = vjson::canonical(&command).unwrap().into();
        let answer = services.request(&subject_of(&command), bytes, PATIENCE).await.unwrap();
        services.close().await.unwrap();
        vjson::read::<ControlResult>(&answer).unwrap().outcome
    }
}

fn copy_into(file: &Path, folder: &Path) {
    std::fs::copy(file, folder.join(file.file_name().unwrap())).unwrap();
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let held = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, held).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// The text messages that a vault of the town got.
pub(crate) fn received(town: &mut Town, who: usize, id: vettid_wire::id::ConnectionId) -> Vec<String> {
    // The app has its own idea of the time.
    town.now = clock::now();
    town.texts(who, id, "received").into_iter().map(|(_, text)| text).collect()
}

/// A name for a member that has no vault in the town.
pub(crate) fn stranger() -> MemberId {
    MemberId::from_bytes([7; 16])
}

//! A host of the test: it joins over HTTP, checks commands as any host does, makes keys for vaults and codes for apps.

use super::World;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::task::JoinHandle;
use vettid_core::control::{ControlJournal, ControlKey, Received, Receiver};
use vettid_core::grants::credential::Credential;
use vettid_core::grants::mint::OperatorIdentity;
use vettid_core::grants::role::OperatorRole;
use vettid_crypto::identity::{SigningKey, VerifyingKey};
use vettid_crypto::nats::key::{AccountKey, UserKey};
use vettid_crypto::nats::token::UserJwt;
use vettid_crypto::secret::Secret32;
use vettid_nats::clock;
use vettid_nats::connection::{ConnectError, Connection, Incoming};
use vettid_testkit::operator::{fresh_key, fresh_secret};
use vettid_wire::control::{ControlCommand, ControlOutcome, ControlResult};
use vettid_wire::enrolment::{DeployVault, EnrolVault, HostJoined, JoinHost, VaultDeployed};
use vettid_wire::handshake::{EnrolmentPointer, Invitation, InvitationKind, InvitationSecret, SpaceUri};
use vettid_wire::id::{HostId, InviteId, MemberId};
use vettid_wire::recovery::{DecideRecovery, RecoverVault};
use vettid_wire::subject::Pattern;

/// The keys of one vault.
pub(crate) struct VaultOfTest {
    pub(crate) identity: SigningKey,
    pub(crate) owner_account: AccountKey,
    pub(crate) app_signing: AccountKey,
    pub(crate) message_account: AccountKey,
    pub(crate) connection_signing: AccountKey,
    service_signing: AccountKey,
    claim_signing: AccountKey,
}

impl VaultOfTest {
    fn fresh() -> Self {
        Self {
            identity: SigningKey::from_seed(&fresh_secret()),
            owner_account: fresh_key().unwrap(),
            app_signing: fresh_key().unwrap(),
            message_account: fresh_key().unwrap(),
            connection_signing: fresh_key().unwrap(),
            service_signing: fresh_key().unwrap(),
            claim_signing: fresh_key().unwrap(),
        }
    }

    pub(crate) fn deployed(&self, guid: MemberId) -> VaultDeployed {
        VaultDeployed {
            guid,
            identity_key: self.identity.verifying_key().typed(),
            owner_account_nkey: self.owner_account.public().to_string(),
            app_signing_nkey: self.app_signing.public().to_string(),
            message_account_nkey: self.message_account.public().to_string(),
            connection_signing_nkey: self.connection_signing.public().to_string(),
            service_signing_nkey: self.service_signing.public().to_string(),
            claim_signing_nkey: self.claim_signing.public().to_string(),
        }
    }
}

/// What the host does with what it would answer.
pub(crate) type Answers = dyn Fn(&ControlCommand, Value) -> Option<ControlOutcome> + Send + Sync;

#[derive(Default)]
pub(crate) struct Memory {
    journal: ControlJournal,
    pub(crate) vaults: BTreeMap<MemberId, Arc<VaultOfTest>>,
    /// Commands that were carried out.
    pub(crate) commands: Vec<ControlCommand>,
    /// Commands as they came, whatever became of them.
    pub(crate) arrived: usize,
    /// The vaults are locked: what services ask of them is refused.
    pub(crate) is_locked: bool,
    /// So many answers get lost after the act.
    pub(crate) answers_to_lose: usize,
}

/// A host.
pub(crate) struct TestHost {
    pub(crate) host_id: HostId,
    pub(crate) joined: HostJoined,
    subscriber: Arc<UserKey>,
    publisher: Arc<UserKey>,
    pub(crate) memory: Arc<Mutex<Memory>>,
    connection: Connection,
    task: JoinHandle<()>,
}

impl TestHost {
    pub(crate) async fn join(world: &World, name: &str) -> Self {
        Self::join_with(world, name, |_, value| Some(ControlOutcome::Done(value))).await
    }

    /// A host that changes its answers, or gives none.
    pub(crate) async fn join_with(
        world: &World,
        name: &str,
        answers: impl Fn(&ControlCommand, Value) -> Option<ControlOutcome> + Send + Sync + 'static,
    ) -> Self {
        let host_id: HostId = name.parse().unwrap();
        let (subscriber, publisher): (Arc<UserKey>, Arc<UserKey>) =
            (Arc::new(fresh_key().unwrap()), Arc::new(fresh_key().unwrap()));
        let joined: HostJoined = world.join(&request(&host_id, &subscriber, &publisher)).await.ok();
        let memory = Arc::new(Mutex::new(Memory::default()));
        let credential = credential(&host_id, OperatorRole::HostSubscribing, &subscriber, &joined.subscriber_jwt);
        let connection = Connection::open(&world.endpoint_of(&joined), credential).await.unwrap();
        let task = serve(&connection, host_id.clone(), &joined, memory.clone(), Arc::new(answers)).await;
        Self { host_id, joined, subscriber, publisher, memory, connection, task }
    }

    /// Connects as the sending identity.
    pub(crate) async fn publishing(&self, world: &World) -> Result<Connection, ConnectError> {
        let jwt = &self.joined.publisher_jwt;
        let credential = credential(&self.host_id, OperatorRole::HostPublishing, &self.publisher, jwt);
        Connection::open(&world.endpoint(), credential).await
    }

    /// Sends back what apps send to their vaults.
    pub(crate) async fn echo(&self) -> JoinHandle<()> {
        let mut from_apps = self.connection.subscribe(&Pattern::ForVault(None, None)).await.unwrap();
        self.connection.settle().await.unwrap();
        tokio::spawn(async move {
            while let Some(incoming) = from_apps.next().await {
                let Incoming { payload, reply, .. } = incoming.unwrap();
                if let Some(reply) = reply {
                    reply.send(payload).await.unwrap();
                }
            }
        })
    }

    /// Joins again: renews.
    pub(crate) async fn renew(&self, world: &World) -> HostJoined {
        world.join(&request(&self.host_id, &self.subscriber, &self.publisher)).await.ok()
    }

    pub(crate) fn vault(&self, guid: MemberId) -> Arc<VaultOfTest> {
        self.memory.lock().unwrap().vaults[&guid].clone()
    }

    pub(crate) fn commands(&self) -> Vec<String> {
        self.memory.lock().unwrap().commands.iter().map(|command| command.command.to_string()).collect()
    }

    /// The same host after a restart of the broker: same vaults, same journal.
    pub(crate) async fn reconnect(self, world: &World) -> Self {
        let Self { host_id, joined, subscriber, publisher, memory, connection, task } = self;
        task.abort();
        connection.close().await.unwrap();
        let credential = credential(&host_id, OperatorRole::HostSubscribing, &subscriber, &joined.subscriber_jwt);
        let connection = Connection::open(&world.endpoint(), credential).await.unwrap();
        let answers = Arc::new(|_: &ControlCommand, value| Some(ControlOutcome::Done(value)));
        let task = serve(&connection, host_id.clone(), &joined, memory.clone(), answers).await;
        Self { host_id, joined, subscriber, publisher, memory, connection, task }
    }

    pub(crate) async fn leave(self) {
        self.task.abort();
        self.connection.close().await.unwrap();
    }
}

pub(crate) fn request(host_id: &HostId, subscriber: &UserKey, publisher: &UserKey) -> JoinHost {
    JoinHost {
        host_id: host_id.clone(),
        subscriber_nkey: subscriber.public().to_string(),
        publisher_nkey: publisher.public().to_string(),
    }
}

fn credential(host_id: &HostId, role: OperatorRole, key: &Arc<UserKey>, jwt: &str) -> Credential {
    let identity = OperatorIdentity { role, process: host_id.clone() };
    Credential::operator(&identity, key.clone(), UserJwt::unchecked(jwt.to_owned()), clock::now()).unwrap()
}

async fn serve(
    connection: &Connection,
    host_id: HostId,
    joined: &HostJoined,
    memory: Arc<Mutex<Memory>>,
    answers: Arc<Answers>,
) -> JoinHandle<()> {
    let mut commands = connection.subscribe(&Pattern::ControlEnclave(Some(host_id.clone()))).await.unwrap();
    connection.settle().await.unwrap();
    let keys = vec![ControlKey::of_services(VerifyingKey::from_typed(&joined.control_key).unwrap())];
    tokio::spawn(async move {
        while let Some(incoming) = commands.next().await {
            let incoming = incoming.unwrap();
            let receiver = Receiver { host: &host_id, holds: &|_| true, keys: &keys };
            let answer = carry_out(&receiver, &incoming, &mut memory.lock().unwrap(), &*answers);
            if let (Some(answer), Some(reply), false) = (answer, incoming.reply, lost(&memory)) {
                reply.send(serde_json::to_vec(&answer).unwrap().into()).await.unwrap();
            }
        }
    })
}

fn lost(memory: &Mutex<Memory>) -> bool {
    let mut memory = memory.lock().unwrap();
    let lost = memory.answers_to_lose > 0;
    memory.answers_to_lose = memory.answers_to_lose.saturating_sub(1);
    lost
}

fn carry_out(
    receiver: &Receiver<'_>,
    incoming: &Incoming,
    memory: &mut Memory,
    answers: &Answers,
) -> Option<ControlResult> {
    memory.arrived += 1;
    let now = clock::now();
    match receiver.receive(now, &memory.journal, &incoming.subject, &incoming.payload).unwrap() {
        Received::Repeat(result) => Some(result),
        Received::NotHeld(command_id) => Some(ControlResult { command_id, outcome: ControlOutcome::NotHoldingUser }),
        Received::Execute(verified) => {
            let command = verified.get().clone();
            let outcome = if memory.is_locked {
                ControlOutcome::Refused
            } else {
                let value = act(memory, &command);
                answers(&command, value)?
            };
            let result = ControlResult { command_id: command.command_id, outcome };
            memory.journal = memory.journal.done(&verified, result.clone(), now).unwrap();
            memory.commands.push(command);
            Some(result)
        }
    }
}

fn act(memory: &mut Memory, command: &ControlCommand) -> Value {
    match command.command.as_str() {
        "vault.deploy" => {
            let DeployVault { guid } = serde_json::from_value(command.params.clone()).unwrap();
            let vault = memory.vaults.entry(guid).or_insert_with(|| Arc::new(VaultOfTest::fresh()));
            serde_json::to_value(vault.deployed(guid)).unwrap()
        }
        "vault.enroll" => {
            let enrol: EnrolVault = serde_json::from_value(command.params.clone()).unwrap();
            json!({ "qr": code(&enrol, &memory.vaults[&enrol.guid]) })
        }
        "vault.recover" => {
            let recover: RecoverVault = serde_json::from_value(command.params.clone()).unwrap();
            json!({ "qr": code(&recover.enrol, &memory.vaults[&recover.enrol.guid]) })
        }
        "vault.recovery.decide" => {
            let said: DecideRecovery = serde_json::from_value(command.params.clone()).unwrap();
            json!({ "recovery_id": said.recovery_id, "approve": said.approve })
        }
        other => panic!("unexpected command {other}"),
    }
}

/// The code of a vault, as a link.
fn code(enrol: &EnrolVault, vault: &VaultOfTest) -> String {
    let invitation = Invitation {
        kind: InvitationKind::Enroll,
        space: SpaceUri::new("tls://127.0.0.1:4222", enrol.guid).unwrap(),
        token: enrol.token.clone(),
        expires_at: enrol.expires_at,
        inviter_hint: "Your vault".to_owned(),
        inviter_fp: vault.identity.verifying_key().fingerprint(),
        invite_key: [3; 32],
        invite_id: InviteId::from_bytes([4; 16]),
        secret: InvitationSecret::from_bytes([5; 32]),
        suites: vec![1],
        enrolment: Some(EnrolmentPointer { services_url: enrol.services_url.clone(), session_id: enrol.session_id }),
    };
    invitation.to_link(&format!("{}/enroll", enrol.services_url)).unwrap()
}

/// A key that is nobody's.
pub(crate) fn stranger() -> SigningKey {
    SigningKey::from_seed(&Secret32::from_bytes([99; 32]))
}

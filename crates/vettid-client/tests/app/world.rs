//! One member's world: a vault, an operator, a broker, a virtual clock, and apps whose state lies in a folder.

use crate::brittle::{Break, Brittle, Executioner};
use crate::broker::Broker;
use crate::operator::Operator;
use crate::vault::Vault;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use vettid_client::app::{App, Ports};
use vettid_client::clock::Clock;
use vettid_client::enrolment::{Enrolled, Existing};
use vettid_client::random::SystemRandom;
use vettid_client::store::file::FileStore;
use vettid_wire::handshake::Invitation;
use vettid_wire::id::EventId;
use vettid_wire::time::Timestamp;

/// The authority that the app is told to trust.
pub(crate) const TRUST: &str = "-----BEGIN CERTIFICATE----- test";

/// The wall clock: follows the runtime's clock, and can be set.
#[derive(Clone)]
pub(crate) struct TestClock {
    start: tokio::time::Instant,
    set_ms: Arc<AtomicI64>,
}

impl TestClock {
    pub(crate) fn time(&self) -> Timestamp {
        let passed_ms = i64::try_from(self.start.elapsed().as_millis()).unwrap();
        Timestamp::from_unix_ms(1_800_000_000_000 + passed_ms + self.set_ms.load(Ordering::Relaxed))
    }

    /// Sets the clock forward (or back) without letting time pass.
    pub(crate) fn set(&self, ms: i64) {
        self.set_ms.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        self.time()
    }
}

pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) clock: TestClock,
    pub(crate) vault: Arc<Mutex<Vault>>,
    pub(crate) operator: Operator,
    pub(crate) broker: Broker,
    /// Where the app's disk breaks next.
    pub(crate) breaks: Arc<Mutex<Option<Break>>>,
    /// At which step the app ends next.
    pub(crate) executioner: Executioner,
}

pub(crate) struct WorldPorts {
    store: Brittle,
    clock: TestClock,
    operator: Operator,
    broker: Broker,
}

impl Ports for WorldPorts {
    type Transport = Broker;
    type Services = Operator;
    type Store = Brittle;
    type Clock = TestClock;

    fn transport(&self) -> &Broker {
        &self.broker
    }
    fn services(&self) -> &Operator {
        &self.operator
    }
    fn store(&self) -> &Brittle {
        &self.store
    }
    fn clock(&self) -> &TestClock {
        &self.clock
    }
    fn random(&self) -> SystemRandom {
        SystemRandom::new().unwrap()
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = TestClock { start: tokio::time::Instant::now(), set_ms: Arc::default() };
        let vault = Arc::new(Mutex::new(Vault::new(clock.time())));
        let operator = Operator::new(vault.clone(), clock.clone());
        let broker = Broker {
            wires: Arc::default(),
            vault: vault.clone(),
            clock: clock.clone(),
            breaks: Arc::default(),
            breaks_before: 0,
        };
        Self {
            folder: tempfile::tempdir().unwrap(),
            clock,
            vault,
            operator,
            broker,
            breaks: Arc::default(),
            executioner: Executioner::default(),
        }
    }

    /// An app process: every call gives a new one over the same folder.
    pub(crate) fn app(&self) -> App<WorldPorts> {
        let random = SystemRandom::new().unwrap();
        let store = FileStore::watched(self.folder.path().join("app"), random, self.executioner.clone());
        let folder = self.folder.path().join("app");
        let ports = WorldPorts {
            store: Brittle { store, folder, breaks: self.breaks.clone() },
            clock: self.clock.clone(),
            operator: self.operator.clone(),
            broker: self.broker.clone(),
        };
        App::new(ports, Some(TRUST.to_owned()))
    }

    /// The member asks the portal for a code.
    pub(crate) fn code(&self) -> Invitation {
        let session_id = EventId::v7(self.clock.time(), [7; 10]);
        let token = self.operator.start(session_id);
        let invitation = self.vault.lock().unwrap().code(self.clock.time(), session_id);
        Invitation { token, ..invitation }
    }

    pub(crate) async fn enrol(&self) -> Enrolled {
        self.app().enrol(&self.code().to_text().unwrap(), Existing::Keep).await.unwrap()
    }

    /// A world with an enrolled app.
    pub(crate) async fn enrolled() -> Self {
        let world = Self::new();
        world.enrol().await;
        world
    }

    /// Lets time pass.
    pub(crate) async fn pass(&self, time: Duration) {
        tokio::time::advance(time).await;
    }
}

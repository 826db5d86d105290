//! Services with their broker, and two hosts: each a process of its own that may die at any moment and is started again on
//! the same data. Must never leave a process behind.

use crate::processes::{self, Process};
use crate::stack::{PROGRAM, WITHIN};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// More than any test sends.
const HIGH: u32 = 1_000_000_000;

/// What stands in the log of a host about each envelope of a connection.
const OPENED: &str = "opened=Yes";
const DID_NOT_OPEN: &str = "opened=No";

/// The processes, and where they live.
pub(super) struct Parts {
    folder: TempDir,
    services: Part,
    hosts: [Part; 2],
}

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Victim {
    Host(usize),
    Broker,
}

impl Parts {
    /// Starts all of them, each when the one before is ready.
    pub(super) async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("vettid-letters-").tempdir().unwrap();
        let services = Part::start(folder.path(), "services", "services", &services_config()).await;
        let [first, second] = ["host-1", "host-2"].map(|name| (name, host_config(name, &services.ready)));
        let hosts = [
            Part::start(folder.path(), first.0, "host", &first.1).await,
            Part::start(folder.path(), second.0, "host", &second.1).await,
        ];
        Self { folder, services, hosts }
    }

    /// A folder of this test.
    pub(super) fn place(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The address of services.
    pub(super) fn url(&self) -> &str {
        self.services.ready["url"].as_str().unwrap()
    }

    /// The authority that certifies services and broker (PEM).
    pub(super) fn trust(&self) -> String {
        fs::read_to_string(self.services.ready["ca_file"].as_str().unwrap()).unwrap()
    }

    /// Ends a process at once. A host is started again; the broker is started again by services.
    pub(super) async fn kill(&mut self, victim: Victim) {
        match victim {
            Victim::Host(index) => self.hosts[index].kill_and_start().await,
            Victim::Broker => {
                let broker = self.broker().await;
                kill_process(pid(broker.id), Signal::KILL).unwrap();
                // The next one is not mistaken for this one.
                processes::until("the broker ends", || !self.brokers().contains(&broker)).await;
            }
        }
    }

    fn brokers(&self) -> Vec<Process> {
        let family = processes::below(self.services.id).into_iter();
        family.filter(|process| process.name == "nats-server").collect()
    }

    /// The broker that runs, or the next one.
    async fn broker(&self) -> Process {
        processes::until("there is a broker", || !self.brokers().is_empty()).await;
        self.brokers().remove(0)
    }

    /// The vaults of each host, as its last start told.
    pub(super) fn vaults(&self) -> [usize; 2] {
        [0, 1].map(|index| self.hosts[index].ready["vaults"].as_array().unwrap().len())
    }

    /// The events that never opened. Repetitions of one that did need not: its epoch may be closed, and the keys wiped.
    pub(super) fn unreadable(&self) -> BTreeSet<String> {
        let logs = self.hosts.iter().map(|host| fs::read_to_string(&host.log).unwrap());
        let lines: Vec<_> = logs.flat_map(|log| log.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
        let events = |wanted: &str| -> BTreeSet<String> {
            let words = lines.iter().filter(|line| line.contains(wanted)).flat_map(|line| line.split_whitespace());
            words.filter_map(|word| word.strip_prefix("event_id=")).map(str::to_owned).collect()
        };
        let opened = events(OPENED);
        assert!(!opened.is_empty(), "the logs tell nothing");
        events(DID_NOT_OPEN).difference(&opened).cloned().collect()
    }

    /// The last lines of the logs, for the message of a failure.
    fn last_lines(&self) -> String {
        let parts = self.hosts.iter().chain([&self.services]);
        let last = parts.map(|part| {
            let text = fs::read_to_string(&part.log).unwrap_or_default();
            let lines: Vec<_> = text.lines().rev().take(15).collect();
            format!("--- {}\n{}\n", part.log.display(), lines.into_iter().rev().collect::<Vec<_>>().join("\n"))
        });
        last.collect()
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprint_text(&self.last_lines());
        }
        // The broker belongs to the group of services.
        for part in self.hosts.iter().chain([&self.services]) {
            // Without a process there is no group.
            let _ = kill_process_group(pid(part.id), Signal::KILL);
        }
    }
}

#[expect(clippy::print_stderr, reason = "a failed test shows what the processes logged")]
fn eprint_text(text: &str) {
    eprintln!("{text}");
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(i32::try_from(id).unwrap()).unwrap()
}

/// One process.
struct Part {
    command: &'static str,
    config: PathBuf,
    log: PathBuf,
    child: Child,
    id: u32,
    ready: Value,
    // A closed pipe would end it.
    _said: Lines<BufReader<ChildStdout>>,
}

impl Part {
    async fn start(folder: &Path, name: &str, command: &'static str, config: &toml::Table) -> Self {
        let path = folder.join(format!("{name}.toml"));
        fs::write(&path, toml::to_string(config).unwrap()).unwrap();
        Self::run(command, path, folder.join(format!("{name}.log"))).await
    }

    async fn run(command: &'static str, config: PathBuf, log: PathBuf) -> Self {
        let errors = OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let mut program = Command::new(PROGRAM);
        program.arg(command).arg("--config").arg(&config).env_clear().process_group(0).kill_on_drop(true);
        // Whoever looks for the certificates of the machine finds that they cannot be read; a host does not look.
        program.envs((command == "host").then_some(("SSL_CERT_FILE", "/nowhere")));
        let mut child = program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors).spawn().unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = timeout(WITHIN, said.next_line()).await.ok().and_then(Result::ok).flatten();
        let ready = line.unwrap_or_else(|| panic!("{command}: {}", fs::read_to_string(&log).unwrap_or_default()));
        let (id, ready) = (child.id().unwrap(), serde_json::from_str(&ready).unwrap());
        Self { command, config, log, child, id, ready, _said: said }
    }

    async fn kill_and_start(&mut self) {
        self.child.kill().await.unwrap();
        *self = Self::run(self.command, self.config.clone(), self.log.clone()).await;
    }
}

fn services_config() -> toml::Table {
    let nats_server = vettid_testkit::program::nats_server().unwrap();
    toml::toml! {
        version = 1
        data = "services"
        key_file = "services.key"
        listen = "127.0.0.1:0"
        enrolments_per_hour = 100
        log = "warn"
    }
    .into_iter()
    .chain([("nats_server".to_owned(), nats_server.to_str().unwrap().into())])
    .collect()
}

/// A host with room for more messages than anybody sends.
fn host_config(name: &str, services: &Value) -> toml::Table {
    let mut limits = toml::Table::new();
    for limit in ["connection_messages_per_minute", "connection_bytes_per_hour", "session_commands_per_minute"] {
        limits.insert(limit.to_owned(), HIGH.into());
    }
    let mut file = toml::Table::new();
    for (key, value) in [
        ("host_id", name),
        ("state", name),
        ("key_file", &format!("{name}.key")),
        ("services_url", services["url"].as_str().unwrap()),
        ("ca_file", services["ca_file"].as_str().unwrap()),
        ("join_token_file", "services/join/host.token"),
        ("log", "warn,vettid_vault::receive=debug"),
    ] {
        file.insert(key.to_owned(), value.into());
    }
    file.insert("version".to_owned(), 1.into());
    file.insert("limits".to_owned(), limits.into());
    file
}

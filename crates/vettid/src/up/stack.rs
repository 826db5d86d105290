//! The processes of `vettid up` and where they live: services with the broker, two hosts, the gateways of the examples.

use super::example::{EXAMPLES, Example};
use super::ports::{Ports, port_of};
use super::process::{Plan, Process};
use crate::{host, services};
use anyhow::{Context as _, Result};
use futures_util::future::{select_all, try_join_all};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

/// Where everything lies.
#[derive(Debug, Clone)]
pub(super) struct StackPlan {
    folder: PathBuf,
    nats_server: PathBuf,
    log: String,
    dns_servers: Vec<SocketAddr>,
}

impl StackPlan {
    /// Makes the folders.
    pub(super) fn new(folder: &Path, nats_server: &Path, log: &str, dns_servers: &[SocketAddr]) -> Result<Self> {
        let folder = std::path::absolute(folder)?;
        for name in ["logs", "host-1", "host-2", "people"].into_iter().chain(EXAMPLES.map(|example| example.name)) {
            std::fs::create_dir_all(folder.join(name))?;
        }
        let nats_server = if nats_server.components().count() > 1 {
            std::path::absolute(nats_server)?
        } else {
            on_path(nats_server)?
        };
        Ok(Self { folder, nats_server, log: log.to_owned(), dns_servers: dns_servers.to_vec() })
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    fn process(&self, name: &str, command: &str, config: &Path) -> Plan {
        Plan {
            name: name.into(),
            arguments: vec![command.into(), "--config".into(), config.display().to_string()],
            log: self.folder.join("logs").join(format!("{name}.log")),
        }
    }
}

/// A program that is named without a folder is looked up like a shell does.
fn on_path(program: &Path) -> Result<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "the command line may name a program of the search path")]
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file());
    found.with_context(|| format!("{} is not on the search path; name it with --nats-server", program.display()))
}

/// The running processes.
#[derive(Debug)]
pub(super) struct Stack {
    plan: StackPlan,
    services: Process,
    hosts: [Option<Process>; 2],
    /// In the order of [`EXAMPLES`].
    gateways: Vec<Process>,
    moved: Vec<String>,
}

impl Stack {
    /// Starts all of them, each when the one before is ready.
    pub(super) async fn start(plan: StackPlan) -> Result<Self> {
        let last = Ports::of_last_start(&plan.folder)?;
        let config = plan.write("services.toml", &services_config(&plan)?)?;
        let services = Process::start(plan.process("services", "services", &config)).await?;
        let mut hosts = [None, None];
        for (place, name) in hosts.iter_mut().zip(["host-1", "host-2"]) {
            let config = plan.write(&format!("{name}.toml"), &host_config(name, &plan.log, services.ready())?)?;
            *place = Some(Process::start(plan.process(name, "host", &config)).await?);
        }
        let gateways = EXAMPLES.iter().map(|example| gateway(&plan, example, services.ready(), &last));
        let gateways = try_join_all(gateways).await?;
        let mut stack = Self { plan, services, hosts, gateways, moved: Vec::new() };
        let ports = stack.ports();
        ports.keep(&stack.plan.folder)?;
        stack.moved = ports.moved_since(&last);
        Ok(stack)
    }

    fn ports(&self) -> Ports {
        Ports {
            broker: port_of(self.nats()),
            web_socket: u16::try_from(self.websocket()).unwrap_or(0),
            services: port_of(self.url()),
            gateways: self.examples().map(|(example, url)| (example.name.to_owned(), port_of(&url))).collect(),
        }
    }

    /// What listens elsewhere than at the last start, a line each.
    pub(super) fn moved(&self) -> &[String] {
        &self.moved
    }

    /// Stops all of them, the last first.
    pub(super) async fn stop(self) -> Result<()> {
        for gateway in self.gateways {
            gateway.stop().await?;
        }
        for host in self.hosts.into_iter().flatten() {
            host.stop().await?;
        }
        self.services.stop().await
    }

    /// Waits until one of them ends by itself, and says which.
    pub(super) async fn first_to_end(&mut self) -> String {
        let all = [&mut self.services].into_iter().chain(&mut self.gateways).chain(self.hosts.iter_mut().flatten());
        let ends = all.map(|process| {
            Box::pin(async {
                let status = process.ended().await;
                format!("{} ended ({status}); see its log in the folder `logs`", process.name())
            })
        });
        select_all(ends).await.0
    }

    /// Stops a host in good order.
    pub(super) async fn stop_host(&mut self, index: usize) -> Result<Plan> {
        let host = self.take_host(index)?;
        let plan = host.plan().clone();
        host.stop().await?;
        Ok(plan)
    }

    /// Kills a host, as a crash would.
    pub(super) async fn kill_host(&mut self, index: usize) -> Result<Plan> {
        self.take_host(index)?.kill().await
    }

    fn take_host(&mut self, index: usize) -> Result<Process> {
        self.hosts.get_mut(index).and_then(Option::take).context("this host does not run")
    }

    /// Starts a host again.
    pub(super) async fn start_host(&mut self, index: usize, plan: Plan) -> Result<()> {
        let place = self.hosts.get_mut(index).context("no such host")?;
        *place = Some(Process::start(plan).await?);
        Ok(())
    }

    /// Kills the broker; services start it again.
    pub(super) fn kill_broker(&self) -> Result<()> {
        let services = self.services.id().context("services have no process id")?;
        let broker = child_of(services, "nats-server")?.context("services have no broker")?;
        let id = i32::try_from(broker).ok().and_then(rustix::process::Pid::from_raw).context("not a process id")?;
        rustix::process::kill_process(id, rustix::process::Signal::KILL).context("cannot kill the broker")
    }

    pub(super) fn folder(&self) -> &Path {
        &self.plan.folder
    }

    pub(super) fn people_folder(&self) -> PathBuf {
        self.plan.folder.join("people")
    }

    pub(super) fn ca_file(&self) -> PathBuf {
        text(self.services.ready(), "ca_file").into()
    }

    pub(super) fn url(&self) -> &str {
        text(self.services.ready(), "url")
    }

    pub(super) fn nats(&self) -> &str {
        text(self.services.ready(), "nats")
    }

    pub(super) fn websocket(&self) -> u64 {
        self.services.ready().get("websocket").and_then(Value::as_u64).unwrap_or(0)
    }

    /// Each example with the address of its own API.
    pub(super) fn examples(&self) -> impl Iterator<Item = (&'static Example, String)> {
        let address = |gateway: &Process| format!("http://{}", text(gateway.ready(), "http"));
        EXAMPLES.iter().zip(self.gateways.iter().map(address))
    }
}

/// Starts the gateway of an example.
async fn gateway(plan: &StackPlan, example: &Example, services: &Value, last: &Ports) -> Result<Process> {
    plan.write(&format!("{}/contract.json", example.name), example.contract)?;
    let config = gateway_config(example, services, last.free_for(example.name))?;
    let config = plan.write(&format!("{}/gateway.toml", example.name), &config)?;
    let mut process = plan.process(example.name, "gateway", &config);
    process.arguments.extend(["--log".into(), plan.log.clone()]);
    Process::start(process).await
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn services_config(plan: &StackPlan) -> Result<String> {
    let file = services::File {
        version: 1,
        data: "services".into(),
        key_file: "services.key".into(),
        nats_server: plan.nats_server.clone(),
        listen: SocketAddr::from_str("127.0.0.1:0")?,
        public_url: None,
        certificate_names: Vec::new(),
        websocket_origins: vec!["https://localhost".into()],
        broker_disk_bytes: 2 << 30,
        enrolments_per_hour: Some(100),
        requests_per_minute: None,
        dns_servers: plan.dns_servers.clone(),
        log: plan.log.clone(),
    };
    Ok(toml::to_string(&file)?)
}

fn host_config(name: &str, log: &str, services: &Value) -> Result<String> {
    let file = host::File {
        version: 1,
        host_id: name.parse()?,
        state: name.into(),
        key_file: Some(format!("{name}.key").into()),
        sealer: None,
        services_url: text(services, "url").into(),
        ca_file: text(services, "ca_file").into(),
        join_token_file: "services/join/host.token".into(),
        peer_brokers: Vec::new(),
        public_endpoint: None,
        // Of the broker's disk, three quarters are the hosts'; a quarter of that is the inbox, and the journals need the rest.
        files_bytes: 768 << 20,
        log: log.into(),
        limits: host::LimitsFile::default(),
    };
    Ok(toml::to_string(&file)?)
}

fn gateway_config(example: &Example, services: &Value, port: u16) -> Result<String> {
    let mut file = toml::Table::new();
    file.insert("version".into(), 1.into());
    file.insert("name".into(), example.title.into());
    file.insert("origins".into(), vec![example.origin].into());
    file.insert("category".into(), example.name.into());
    file.insert("contract".into(), "contract.json".into());
    file.insert("state".into(), "state".into());
    file.insert("key_file".into(), "state.key".into());
    let mut operator = toml::Table::new();
    operator.insert("url".into(), text(services, "url").into());
    operator.insert("ca_file".into(), text(services, "ca_file").into());
    operator.insert("join_token_file".into(), "../services/join/service.token".into());
    file.insert("services".into(), operator.into());
    let mut http = toml::Table::new();
    http.insert("listen".into(), format!("127.0.0.1:{port}").into());
    http.insert("api_key_file".into(), "api.key".into());
    http.insert("demo_page".into(), true.into());
    file.insert("http".into(), http.into());
    Ok(toml::to_string(&file)?)
}

/// The child of a process that runs a program of this name.
fn child_of(parent: u32, name: &str) -> Result<Option<u32>> {
    for entry in std::fs::read_dir("/proc")? {
        let folder = entry?.file_name();
        let Some(id) = folder.to_str().and_then(|text| text.parse::<u32>().ok()) else { continue };
        // A process may end while it is looked at.
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{id}/stat")) else { continue };
        let Some((head, rest)) = stat.rsplit_once(')') else { continue };
        let is_named = head.split_once('(').is_some_and(|(_, command)| command == name);
        let of_parent = rest.split_whitespace().nth(1).and_then(|text| text.parse().ok()) == Some(parent);
        if is_named && of_parent {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

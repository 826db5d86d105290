//! The life of the server: start, wait until ready, start again when it ends, stop on order. One thread of its own,
//! because the system ends the server together with the thread that started it. Must never start it without the lock.

use std::path::Path;
use std::process::{Command as StdCommand, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, timeout};
use vettid_wire::time::Timestamp;

use super::configuration::{self, KEY_VARIABLE, Layout, ports_file};
use super::store::{self, StoreLock};
use super::{Ports, ServerError, ServerPlan, ServerState, program};
use crate::clock;

/// Longest wait for a server that starts; with many streams it reads its store first.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Longest wait for a server that was told to stop.
const STOPPED_WITHIN: Duration = Duration::from_secs(60);
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_LONGEST: Duration = Duration::from_secs(5);
/// So many ends in a row without having been ready are the last.
const FAILURES_IN_A_ROW: u32 = 8;
/// A server that ends sooner than this after it was ready is started again after a growing pause.
const SHORT_LIFE: Duration = Duration::from_secs(30);
/// How often the ports file is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// A plan whose store is locked, whose key fits and whose configuration the server accepts.
pub(super) struct Prepared {
    plan: ServerPlan,
    layout: Layout,
    lock: StoreLock,
    ports: Ports,
}

impl Prepared {
    pub(super) fn new(plan: ServerPlan, now: Timestamp) -> Result<Self, ServerError> {
        configuration::check(&plan)?;
        program::check(&plan.program)?;
        let layout = Layout { folder: plan.folder.clone() };
        for folder in layout.folders() {
            store::make_folder(&folder)?;
        }
        let lock = StoreLock::take(&plan.folder)?;
        store::check_key(&plan.folder, &plan.store_key)?;
        let ports = Ports::remembered(&plan.folder)?;
        let prepared = Self { plan, layout, lock, ports };
        prepared.write_files(now)?;
        prepared.validate()?;
        Ok(prepared)
    }

    /// The configuration for the current ports, and a fresh certificate.
    fn write_files(&self, now: Timestamp) -> Result<(), ServerError> {
        let certificate = self.plan.authority.issue(now)?;
        store::write(&self.layout.certificate(), certificate.certificate_pem.as_bytes())?;
        store::write(&self.layout.certificate_key(), certificate.key_pem.as_bytes())?;
        store::write(&self.layout.configuration(), configuration::text(&self.plan, self.ports).as_bytes())
    }

    fn command(&self) -> Result<StdCommand, ServerError> {
        let mut command = program::command(&self.plan.program);
        let key = self.plan.store_key.server_value();
        let key = std::str::from_utf8(key.expose()).map_err(|_| ServerError::UnknownKey)?;
        command.arg("-c").arg(self.layout.configuration()).env(KEY_VARIABLE, key).stdin(Stdio::null());
        Ok(command)
    }

    fn validate(&self) -> Result<(), ServerError> {
        let output = self.command()?.arg("-t").output().map_err(|source| self.no_program(source))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().chars().take(300).collect();
        Err(ServerError::Configuration(said))
    }

    fn spawn(&self) -> Result<Child, ServerError> {
        let mut command = self.command()?;
        let lock = self.lock.handle().map_err(|source| self.no_program(source))?;
        // The server never reads its standard input: that is where it holds the lock of its store.
        command.stdin(Stdio::from(lock)).stdout(Stdio::null()).stderr(Stdio::null());
        Command::from(command).kill_on_drop(true).spawn().map_err(|source| self.no_program(source))
    }

    fn no_program(&self, source: std::io::Error) -> ServerError {
        ServerError::Program { path: self.plan.program.clone(), source }
    }

    fn not_ready(&self) -> ServerError {
        ServerError::NotReady { log: self.layout.log() }
    }
}

/// What the outside sees of the server.
pub(super) struct Links {
    pub(super) state: watch::Sender<ServerState>,
    pub(super) process: watch::Sender<Option<u32>>,
}

impl Links {
    pub(super) fn new() -> Self {
        Self { state: watch::Sender::new(ServerState::Starting), process: watch::Sender::new(None) }
    }
}

type Ready = oneshot::Sender<Result<Ports, ServerError>>;

/// Starts the thread. `ready` hears about the first start, `stop` ends it.
pub(super) fn spawn(
    prepared: Prepared,
    links: Links,
    ready: Ready,
    stop: oneshot::Receiver<()>,
) -> Result<JoinHandle<()>, ServerError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| prepared.no_program(source))?;
    std::thread::Builder::new()
        .name("nats-server".to_owned())
        .spawn(move || {
            let path = prepared.plan.program.clone();
            runtime.block_on(Supervisor { prepared, links, ready: Some(ready), failures: 0, short_lives: 0 }.run(stop));
            tracing::debug!(program = %path.display(), "broker supervisor ended");
        })
        .map_err(|source| ServerError::Program { path: "nats-server".into(), source })
}

struct Supervisor {
    prepared: Prepared,
    links: Links,
    ready: Option<Ready>,
    /// Ends in a row without having been ready.
    failures: u32,
    /// Ends in a row soon after having been ready.
    short_lives: u32,
}

/// How a life of the server ended.
enum Life {
    Stopped,
    Ended,
    GivenUp,
}

impl Supervisor {
    async fn run(mut self, mut stop: oneshot::Receiver<()>) {
        let last = loop {
            match self.one_life(&mut stop).await {
                Life::Stopped => break ServerState::Stopped,
                Life::GivenUp => break ServerState::Failed,
                Life::Ended => {}
            }
            self.links.process.send_replace(None);
            self.links.state.send_replace(ServerState::Ended);
            tokio::select! {
                biased;
                _ = &mut stop => break ServerState::Stopped,
                () = sleep(pause(self.failures.max(self.short_lives))) => {}
            }
        };
        self.links.process.send_replace(None);
        self.links.state.send_replace(last);
    }

    /// From start to end. An end without having been ready counts as a failure.
    async fn one_life(&mut self, stop: &mut oneshot::Receiver<()>) -> Life {
        self.links.state.send_replace(ServerState::Starting);
        let mut child = match self.start() {
            Ok(child) => child,
            Err(error) => return self.failed(error),
        };
        self.links.process.send_replace(child.id());
        let ports = tokio::select! {
            biased;
            _ = &mut *stop => return terminate(&mut child).await,
            ports = ports_of(&mut child, &self.prepared.layout) => ports,
        };
        match ports.ok_or_else(|| self.prepared.not_ready()).and_then(|ports| self.now_ready(ports)) {
            Ok(()) => self.until_end(child, stop).await,
            Err(error) => {
                end(&mut child).await;
                self.failed(error)
            }
        }
    }

    fn start(&self) -> Result<Child, ServerError> {
        store::empty(&self.prepared.layout.run())?;
        self.prepared.write_files(clock::now())?;
        self.prepared.spawn()
    }

    fn now_ready(&mut self, ports: Ports) -> Result<(), ServerError> {
        store::remove(&self.prepared.layout.certificate_key())?;
        ports.remember(&self.prepared.plan.folder)?;
        self.prepared.ports = ports;
        self.failures = 0;
        self.links.state.send_replace(ServerState::Ready);
        if let Some(ready) = self.ready.take() {
            // Nobody waits any more if the start was given up; the stop order is then on its way.
            let _ = ready.send(Ok(ports));
        }
        Ok(())
    }

    async fn until_end(&mut self, mut child: Child, stop: &mut oneshot::Receiver<()>) -> Life {
        let since = Instant::now();
        tokio::select! {
            biased;
            _ = &mut *stop => terminate(&mut child).await,
            status = child.wait() => {
                tracing::warn!(status = ?status.ok(), "broker ended; it is started again");
                self.short_lives = if since.elapsed() < SHORT_LIFE { self.short_lives + 1 } else { 0 };
                Life::Ended
            }
        }
    }

    /// The first start fails at once; a later one is tried again until there were too many failures in a row.
    fn failed(&mut self, error: ServerError) -> Life {
        self.failures += 1;
        tracing::warn!(%error, failures = self.failures, "broker does not start");
        match self.ready.take() {
            Some(ready) => {
                let _ = ready.send(Err(error));
                Life::GivenUp
            }
            None if self.failures >= FAILURES_IN_A_ROW => Life::GivenUp,
            None => Life::Ended,
        }
    }
}

fn pause(failures: u32) -> Duration {
    PAUSE_FIRST.saturating_mul(1 << failures.min(16)).min(PAUSE_LONGEST)
}

/// Waits for the ports file of this process; `None` if the process ends, or takes too long.
async fn ports_of(child: &mut Child, layout: &Layout) -> Option<Ports> {
    let file = ports_file(&layout.run(), child.id()?);
    let deadline = Instant::now() + READY_WITHIN;
    while Instant::now() < deadline && child.try_wait().ok()?.is_none() {
        if let Some(ports) = announced(&file) {
            return Some(ports);
        }
        sleep(LOOK_EVERY).await;
    }
    None
}

fn announced(file: &Path) -> Option<Ports> {
    Ports::announced(&store::read(file).ok()??)
}

/// Tells the server to end in good order; a server that does not is killed.
async fn terminate(child: &mut Child) -> Life {
    if let Some(process) = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
        // If it is gone already, the wait below returns at once.
        let _ = kill_process(process, Signal::TERM);
    }
    if timeout(STOPPED_WITHIN, child.wait()).await.is_err() {
        end(child).await;
    }
    Life::Stopped
}

async fn end(child: &mut Child) {
    // Fails only for a process that has ended.
    let _ = child.kill().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_are_bounded() {
        assert_eq!(pause(0), PAUSE_FIRST);
        assert!(pause(1) > pause(0));
        assert_eq!(pause(40), PAUSE_LONGEST);
    }
}

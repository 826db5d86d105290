//! One child process of `vettid up`: started, watched until it says that it is ready, stopped in good order or killed.
//! A child never outlives this program: where the system offers it, it ends together with its parent.

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// Longest wait for a child to say that it is ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Longest wait for a child that was told to stop.
const STOPPED_WITHIN: Duration = Duration::from_secs(20);
const SETPRIV: &str = "/usr/bin/setpriv";

/// What to start.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// How people call it.
    pub(crate) name: String,
    /// Arguments of this very program.
    pub(crate) arguments: Vec<String>,
    /// Where it logs to.
    pub(crate) log: PathBuf,
}

/// A running child.
#[derive(Debug)]
pub(crate) struct Process {
    plan: Plan,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    ready: Value,
}

impl Process {
    /// Starts a child and waits until it prints one JSON line: it is ready.
    pub(crate) async fn start(plan: Plan) -> Result<Self> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&plan.log);
        let log = log.with_context(|| format!("cannot open {}", plan.log.display()))?;
        let mut command = command()?;
        command.args(&plan.arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("cannot start {}", plan.name))?;
        let stdout = child.stdout.take().context("a child has no output")?;
        let mut lines = BufReader::new(stdout).lines();
        let ready = match timeout(READY_WITHIN, lines.next_line()).await {
            Ok(Ok(Some(line))) => {
                serde_json::from_str(&line).with_context(|| format!("{} said {line:?}", plan.name))?
            }
            _ => bail!("{} did not get ready; see {}{}", plan.name, plan.log.display(), last_lines(&plan.log)),
        };
        Ok(Self { plan, child, lines, ready })
    }

    /// What it said when it was ready.
    pub(crate) fn ready(&self) -> &Value {
        &self.ready
    }

    /// How people call it.
    pub(crate) fn name(&self) -> &str {
        &self.plan.name
    }

    /// Its process id.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// What it was started with.
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Waits until the child ends by itself.
    pub(crate) async fn ended(&mut self) -> String {
        loop {
            tokio::select! {
                status = self.child.wait() => return status.map_or_else(|error| error.to_string(), |status| status.to_string()),
                // Further output is not for us; reading it keeps the child from blocking.
                line = self.lines.next_line() => if !matches!(line, Ok(Some(_))) {
                    let status = self.child.wait().await;
                    return status.map_or_else(|error| error.to_string(), |status| status.to_string());
                },
            }
        }
    }

    /// Tells the child to stop and waits; one that does not is killed.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        if timeout(STOPPED_WITHIN, self.child.wait()).await.is_err() {
            self.child.kill().await.with_context(|| format!("cannot stop {}", self.plan.name))?;
        }
        Ok(())
    }

    /// Kills the child at once, as a crash would.
    pub(crate) async fn kill(mut self) -> Result<Plan> {
        self.child.kill().await.with_context(|| format!("cannot kill {}", self.plan.name))?;
        Ok(self.plan)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        match id {
            Some(id) => kill_process(id, signal).with_context(|| format!("cannot signal {}", self.plan.name)),
            None => Ok(()),
        }
    }
}

/// This very program, tied to the life of this process where the system offers it.
fn command() -> Result<Command> {
    let program = std::env::current_exe().context("cannot find this program")?;
    if Path::new(SETPRIV).exists() {
        let mut command = Command::new(SETPRIV);
        command.args(["--pdeathsig", "TERM", "--"]).arg(program);
        return Ok(command);
    }
    Ok(Command::new(program))
}

/// The end of a log, for the error message.
fn last_lines(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(5).collect();
    lines.iter().rev().map(|line| format!(" | {line}")).collect()
}

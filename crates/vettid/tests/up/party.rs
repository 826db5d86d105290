//! A member with the command-line app, each command a process of its own.

use crate::stack::PROGRAM;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::{Instant, sleep, timeout};

/// Longest wait for something that must show up.
const SHOWS_UP_WITHIN: Duration = Duration::from_secs(30);
/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What came of a command.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) error: String,
}

/// Runs `vettid` with these arguments and this input.
pub(crate) async fn vettid(arguments: &[&str], input: &str) -> Outcome {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).env_clear().kill_on_drop(true);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that needs no input may have ended already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes()).await;
    let output = child.wait_with_output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome { code: output.status.code().unwrap(), out: text(output.stdout), error: text(output.stderr) }
}

/// One app.
#[derive(Debug, Clone)]
pub(crate) struct App {
    profile: &'static str,
    state: PathBuf,
    ca_file: PathBuf,
}

impl App {
    pub(crate) fn new(profile: &'static str, state: PathBuf, ca_file: PathBuf) -> Self {
        Self { profile, state, ca_file }
    }

    /// The options of a command line that name this app.
    pub(crate) fn options(&self) -> String {
        format!("--profile {} --state {}", self.profile, self.state.display())
    }

    /// Runs one command.
    pub(crate) async fn run(&self, command: &[&str], input: &str) -> Outcome {
        let (state, ca_file) = (self.state.to_str().unwrap(), self.ca_file.to_str().unwrap());
        let mut arguments = vec!["app", "--json", "--profile", self.profile, "--state", state, "--ca-file", ca_file];
        arguments.extend(command);
        vettid(&arguments, input).await
    }

    /// Starts one command and lets it run; its progress can be read while it does.
    pub(crate) fn begin(&self, command: &[&str]) -> Child {
        let (state, ca_file) = (self.state.to_str().unwrap(), self.ca_file.to_str().unwrap());
        let mut process = Command::new(PROGRAM);
        process
            .args(["app", "--json", "--profile", self.profile, "--state", state, "--ca-file", ca_file])
            .args(command);
        process.env_clear().kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        process.spawn().unwrap()
    }

    /// Runs one command that must succeed, with input.
    pub(crate) async fn say(&self, command: &[&str], input: &str) -> Value {
        let outcome = self.run(command, input).await;
        assert_eq!(outcome.code, 0, "{}: {command:?}: {}", self.profile, outcome.error);
        serde_json::from_str(outcome.out.trim()).unwrap()
    }

    /// Runs one command that must succeed.
    pub(crate) async fn ask(&self, command: &[&str]) -> Value {
        self.say(command, "").await
    }

    /// Asks again and again until what it shows is what is wanted.
    pub(crate) async fn until<T>(&self, command: &[&str], wanted: impl Fn(&Value) -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            let outcome = self.run(command, "").await;
            let found = serde_json::from_str(outcome.out.trim()).ok().and_then(|value| wanted(&value));
            if let (0, Some(found)) = (outcome.code, found) {
                return found;
            }
            assert!(started.elapsed() < SHOWS_UP_WITHIN, "{}: {command:?} ends with {outcome:?}", self.profile);
            sleep(LOOK_EVERY).await;
        }
    }

    /// The texts of a connection: which way they went, and what they say, oldest first.
    pub(crate) async fn texts(&self, connection: &str) -> Vec<(String, String)> {
        let list = self.ask(&["message", "list", connection]).await;
        let messages = list["messages"].as_array().unwrap().iter();
        messages.map(|message| (text(message, "direction"), text(message, "text"))).collect()
    }

    /// Watches the feed; returns when the watch is connected.
    pub(crate) async fn watch(&self) -> Watch {
        self.watching(&["watch"]).await
    }

    /// Runs a command that watches; returns when it is connected.
    pub(crate) async fn watching(&self, watch: &[&str]) -> Watch {
        let (state, ca_file) = (self.state.to_str().unwrap(), self.ca_file.to_str().unwrap());
        let mut command = Command::new(PROGRAM);
        command.args(["app", "--profile", self.profile, "--state", state, "--ca-file", ca_file]);
        command.args(watch);
        command.env_clear().kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut remarks = BufReader::new(child.stderr.take().unwrap()).lines();
        let connected = async {
            while let Some(line) = remarks.next_line().await.unwrap() {
                if line.contains("Connected") {
                    return;
                }
            }
            panic!("the watch of {} ended", self.profile);
        };
        timeout(SHOWS_UP_WITHIN, connected).await.unwrap();
        let entries = BufReader::new(child.stdout.take().unwrap()).lines();
        Watch { entries, _remarks: remarks, _child: child }
    }

    /// Enrols with the code in this file.
    pub(crate) async fn enrol(&self, code: &Path) -> Value {
        self.ask(&["enroll", "--code-file", code.to_str().unwrap()]).await
    }
}

/// A running `vettid app watch`.
pub(crate) struct Watch {
    entries: Lines<BufReader<ChildStdout>>,
    // A closed pipe would end it.
    _remarks: Lines<BufReader<ChildStderr>>,
    _child: Child,
}

impl Watch {
    /// Waits for an entry with these words.
    pub(crate) async fn shows(&mut self, words: &str) {
        let shown = async {
            while let Some(line) = self.entries.next_line().await.unwrap() {
                if line.contains(words) {
                    return;
                }
            }
            panic!("the watch ended");
        };
        timeout(SHOWS_UP_WITHIN, shown).await.unwrap_or_else(|_| panic!("the watch does not show {words:?}"));
    }
}

/// A text field of a JSON object.
pub(crate) fn text(value: &Value, name: &str) -> String {
    match &value[name] {
        Value::String(text) => text.clone(),
        _ => panic!("{name:?} is not a text in {value}"),
    }
}

/// The entries of a list below a name.
pub(crate) fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value[name].as_array().unwrap_or_else(|| panic!("{name:?} is not a list in {value}"))
}

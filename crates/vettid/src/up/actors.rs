//! The parties of the demo as processes and programs see them: an app is the command line, the shop is its HTTP API.

use super::stack::Stack;
use anyhow::{Context as _, Result, bail};
use reqwest::Client;
use serde::Deserialize as _;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

/// Longest wait for something that must show up at the other party.
const SHOWS_UP_WITHIN: Duration = Duration::from_secs(30);
/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A member with the command-line app.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) title: &'static str,
    profile: &'static str,
    state: PathBuf,
    ca_file: PathBuf,
}

impl Member {
    pub(super) fn new(stack: &Stack, title: &'static str, profile: &'static str) -> Self {
        Self { title, profile, state: stack.people_folder(), ca_file: stack.ca_file() }
    }

    /// Runs one command of the app and gives its JSON; what it must not show in an argument comes by standard input.
    pub(super) async fn app(&self, arguments: &[&str], input: &str) -> Result<Value> {
        let (text, error, code) = self.run(arguments, input).await?;
        if code != Some(0) {
            bail!("{}: `vettid app {}` failed: {}", self.title, arguments.join(" "), error.trim());
        }
        serde_json::from_str(text.trim())
            .with_context(|| format!("`vettid app {}` printed {text:?}", arguments.join(" ")))
    }

    /// Runs one command of the app and gives what it prints, as it is.
    pub(super) async fn text(&self, arguments: &[&str]) -> Result<String> {
        let (text, error, code) = self.run(arguments, "").await?;
        if code == Some(0) { Ok(text) } else { bail!("{}: {}", self.title, error.trim()) }
    }

    async fn run(&self, arguments: &[&str], input: &str) -> Result<(String, String, Option<i32>)> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["--json", "app", "--profile", self.profile, "--state"])
            .arg(&self.state)
            .arg("--ca-file")
            .arg(&self.ca_file);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("the app does not start")?;
        let mut stdin = child.stdin.take().context("no standard input")?;
        stdin.write_all(input.as_bytes()).await?;
        drop(stdin);
        let output = child.wait_with_output().await?;
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Ok((text(&output.stdout), text(&output.stderr), output.status.code()))
    }

    /// Asks the app again and again until what it shows is what is wanted.
    pub(super) async fn until<T>(&self, arguments: &[&str], wanted: impl Fn(&Value) -> Option<T>) -> Result<T> {
        let started = Instant::now();
        loop {
            // A vault that is just starting answers with the next look.
            let last = match self.app(arguments, "").await {
                Ok(value) => match wanted(&value) {
                    Some(found) => return Ok(found),
                    None => value.to_string(),
                },
                Err(error) => error.to_string(),
            };
            if started.elapsed() > SHOWS_UP_WITHIN {
                bail!(
                    "{}: `vettid app {}` does not show what was expected; last: {last}",
                    self.title,
                    arguments.join(" ")
                );
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

/// The shop's own program: it knows the gateway's HTTP API and nothing else.
#[derive(Debug, Clone)]
pub(super) struct Shop {
    client: Client,
    url: String,
    key: String,
}

impl Shop {
    pub(super) fn new(stack: &Stack) -> Result<Self> {
        let key = stack.folder().join("shop/api.key");
        let key = std::fs::read_to_string(key).context("the shop has no API key")?;
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(90)).build()?;
        let (_, url) = stack.examples().find(|(example, _)| example.name == "shop").context("the shop does not run")?;
        Ok(Self { client, url, key: key.trim().to_owned() })
    }

    /// Posts to the gateway; gives the answer, also of a refusal.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let request = self.client.post(format!("{}{path}", self.url)).bearer_auth(&self.key).json(body);
        read(request.send().await.context("the shop's gateway does not answer")?).await
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value> {
        let request = self.client.get(format!("{}{path}", self.url)).bearer_auth(&self.key);
        read(request.send().await.context("the shop's gateway does not answer")?).await
    }

    /// Asks for a field and waits at most this long for the answer.
    pub(super) async fn ask(&self, connection: &str, field: &str, purpose: &str, wait_ms: u64) -> Result<Value> {
        let body = json!({"field": field, "purpose": purpose, "wait_ms": wait_ms});
        self.post(&format!("/v1/connections/{connection}/data-requests"), &body).await
    }

    /// Waits for the end of a request.
    pub(super) async fn finished(&self, request_id: &str) -> Result<Value> {
        self.get(&format!("/v1/requests/{request_id}?wait_ms=30000")).await
    }

    /// Asks again and again until what the gateway shows is what is wanted.
    pub(super) async fn until<T>(&self, path: &str, wanted: impl Fn(&Value) -> Option<T>) -> Result<T> {
        let started = Instant::now();
        loop {
            let value = self.get(path).await?;
            if let Some(found) = wanted(&value) {
                return Ok(found);
            }
            if started.elapsed() > SHOWS_UP_WITHIN {
                bail!("the shop does not see what was expected at {path}; last: {value}");
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

async fn read(response: reqwest::Response) -> Result<Value> {
    let bytes = response.bytes().await?;
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let mut reader = serde_json::Deserializer::from_slice(&bytes);
    Value::deserialize(&mut reader).with_context(|| format!("the gateway said {:?}", String::from_utf8_lossy(&bytes)))
}

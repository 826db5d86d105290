//! A gateway as a process of its own, which a test kills with SIGKILL: this test program, told to be a gateway.

use super::{PATIENCE, World};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use vettid_gateway::Gateway;
use vettid_gateway::config::Config;

/// Names the configuration of the process.
const CONFIG: &str = "VETTID_TEST_GATEWAY_CONFIG";
/// What the process says when it can be called.
const READY: &str = "gateway at ";

/// Writes the configuration of the world's gateway as a file.
pub(crate) fn written(world: &World, folder: &Path) -> PathBuf {
    let config = &world.config;
    let http = config.http.as_ref().unwrap();
    let postgres = config.postgres.as_ref();
    let postgres = postgres.map_or_else(String::new, |at| format!("[postgres]\nurl_file = {:?}\n", at.url_file));
    let text = format!(
        "version = 1\nname = {:?}\norigins = {:?}\ncontract = {:?}\nstate = {:?}\nkey_file = {:?}\n\
         [services]\nurl = {:?}\nca_file = {:?}\njoin_token_file = {:?}\n\
         [broker]\nca_file = {:?}\n[http]\nlisten = {:?}\napi_key_file = {:?}\n\
         [webhooks]\nloopback = true\n[limits]\nask_again_ms = {}\nwebhook_again_ms = {}\n",
        config.name,
        config.origins,
        config.contract,
        config.state,
        config.key_file,
        config.services.url,
        config.services.ca_file,
        config.services.join_token_file.as_ref().unwrap(),
        config.broker.ca_file.as_ref().unwrap(),
        http.listen.to_string(),
        http.api_key_file,
        config.limits.ask_again_ms,
        config.limits.webhook_again_ms,
    );
    let path = folder.join("gateway.toml");
    std::fs::write(&path, text + &postgres).unwrap();
    path
}

/// A running process.
pub(crate) struct Process {
    child: Child,
    /// Where programs call it.
    pub(crate) base: String,
}

impl Process {
    pub(crate) async fn start(config: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "world::process::a_gateway_of_its_own", "--ignored", "--nocapture"])
            .env(CONFIG, config)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = async {
            loop {
                let line = lines.next_line().await.unwrap().unwrap();
                if let Some((_, address)) = line.split_once(READY) {
                    return address.trim().to_owned();
                }
            }
        };
        let address = tokio::time::timeout(PATIENCE, ready).await.unwrap();
        Self { child, base: format!("http://{address}") }
    }

    /// SIGKILL; the process is gone afterwards.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

/// Runs a gateway until its parent goes away or kills it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "not a test: the gateway that the tests of kills start"]
#[expect(clippy::disallowed_methods, reason = "speaks to the test that started it")]
async fn a_gateway_of_its_own() {
    let config = Config::read(Path::new(&std::env::var(CONFIG).unwrap())).unwrap();
    let gateway = Gateway::start(config).await.unwrap();
    println!("{READY}{}", gateway.http_address().unwrap());
    // Ends when the other end of the pipe does.
    tokio::task::spawn_blocking(|| std::io::stdin().lines().for_each(drop)).await.unwrap();
}

//! The configuration file of the server, from the plan. It carries no secret: the key of the store comes from the
//! environment, and the certificate's key from a file that exists only while the server starts.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use url::Url;

use super::store::STREAMS;
use super::{Ports, ServerError, ServerPlan};

/// The variable through which the server gets the key of its store.
pub(super) const KEY_VARIABLE: &str = "VETTID_BROKER_STORE_KEY";
/// Stands in the configuration where the server reads the variable; a value of its own, so that it is found only there.
const KEY_PLACE: &str = "\"@store-key@\"";

/// Largest message, in bytes.
const MAX_PAYLOAD_BYTES: u32 = 1 << 20;

/// Where the files of a server lie.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) folder: PathBuf,
}

impl Layout {
    pub(super) fn configuration(&self) -> PathBuf {
        self.folder.join("nats-server.conf")
    }
    pub(super) fn certificate(&self) -> PathBuf {
        self.folder.join("tls").join("server.pem")
    }
    pub(super) fn certificate_key(&self) -> PathBuf {
        self.folder.join("tls").join("server.key")
    }
    pub(super) fn run(&self) -> PathBuf {
        self.folder.join("run")
    }
    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("log").join("nats-server.log")
    }
    /// The folders that must be there before the server starts.
    pub(super) fn folders(&self) -> [PathBuf; 5] {
        [
            self.folder.clone(),
            self.folder.join("tls"),
            self.folder.join("log"),
            self.run(),
            self.folder.join("accounts"),
        ]
    }
}

/// Refuses origins that the server would fail on only later.
pub(super) fn check(plan: &ServerPlan) -> Result<(), ServerError> {
    let is_origin = |text: &&String| Url::parse(text).is_ok_and(|url| url.origin().ascii_serialization() == **text);
    match plan.websocket_origins.iter().find(|text| !is_origin(text)) {
        Some(wrong) => Err(ServerError::Configuration(format!("{wrong:?} is not a browser origin"))),
        None => Ok(()),
    }
}

/// The text of the configuration, for `ports` (0 stands for any).
pub(super) fn text(plan: &ServerPlan, ports: Ports) -> String {
    let layout = Layout { folder: plan.folder.clone() };
    let mut config = json!({
        "server_name": "vettid",
        "listen": listen(ports.client),
        "http": listen(ports.monitoring),
        "tls": tls(&layout, true),
        "max_payload": MAX_PAYLOAD_BYTES,
        "ports_file_dir": layout.run(),
        "log_file": layout.log(),
        "logtime": true,
        "debug": false,
        "trace": false,
        "log_size_limit": 10_000_000,
        "log_max_num": 3,
        "operator": plan.trust.operator().as_str(),
        "system_account": plan.trust.system_account().as_str(),
        "resolver": {
            "type": "full",
            "dir": layout.folder.join("accounts"),
            "allow_delete": true,
            "hard_delete": true,
            "interval": "2m",
            // A connect of an unknown account holds up its own connection for this long.
            "timeout": "500ms",
        },
        "resolver_preload": preload(plan),
        "jetstream": {
            "store_dir": layout.folder.join(STREAMS),
            "max_memory_store": 0,
            "max_file_store": plan.disk_bytes,
            "cipher": "aes",
            "key": KEY_PLACE.trim_matches('"'),
            "sync_interval": "always",
        },
    });
    if let (Value::Object(config), false) = (&mut config, plan.websocket_origins.is_empty()) {
        config.insert("websocket".to_owned(), websocket(plan, &layout, ports.websocket));
    }
    format!("{config:#}\n").replace(KEY_PLACE, &format!("${KEY_VARIABLE}"))
}

fn listen(port: u16) -> String {
    if port == 0 { "127.0.0.1:-1".to_owned() } else { format!("127.0.0.1:{port}") }
}

fn tls(layout: &Layout, handshake_first: bool) -> Value {
    let mut tls = json!({
        "cert_file": layout.certificate(),
        "key_file": layout.certificate_key(),
        "min_version": "1.3",
        "timeout": 2,
    });
    if let (Value::Object(tls), true) = (&mut tls, handshake_first) {
        tls.insert("handshake_first".to_owned(), Value::Bool(true));
    }
    tls
}

fn websocket(plan: &ServerPlan, layout: &Layout, port: u16) -> Value {
    json!({
        "listen": listen(port),
        "tls": tls(layout, false),
        "allowed_origins": plan.websocket_origins,
        "handshake_timeout": "2s",
    })
}

fn preload(plan: &ServerPlan) -> Value {
    let accounts = plan.trust.accounts().iter();
    Value::Object(accounts.map(|account| (account.key().to_string(), account.jwt().as_str().into())).collect())
}

/// The ports file of one process.
pub(super) fn ports_file(run: &Path, process_id: u32) -> PathBuf {
    run.join(format!("nats-server_{process_id}.ports"))
}

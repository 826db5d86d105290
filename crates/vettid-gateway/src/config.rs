//! The configuration file of a gateway: TOML, read once at start. An unknown key or an unsound value stops the start;
//! no default replaces a value that was given. `docs/gateway-config.md` is made from the comments on the keys.

#[cfg(test)]
mod document;

use crate::files::{self, FileError};
use crate::oidc::settings::Oidc;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use url::Url;
use vettid_wire::category::Category;
use vettid_wire::login::BrowserKeyKind;

/// The only version of the file.
pub const VERSION: u32 = 1;
/// An invitation on a screen lives at most this long, in seconds (spec 2.4).
pub const MAX_INVITATION_SECONDS: u32 = 600;
/// An invitation sent as a link lives at most this long, in seconds (spec 2.4).
pub const MAX_LINK_SECONDS: u32 = 86_400;

/// Everything that an operator of a gateway decides. Relative paths count from the folder of the file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Form of the file: 1.
    pub version: u32,
    /// The name that members see.
    pub name: String,
    /// The sites on which members may be asked to log in: scheme and host, such as `https://shop.example`.
    pub origins: Vec<String>,
    /// Of which kind the service is, such as `shop`: members see what others of its kind ask. Absent: no comparison.
    #[serde(default)]
    pub category: Option<Category>,
    /// The contract on offer, JSON or TOML (by its ending); names the service.
    pub contract: PathBuf,
    /// Folder of the gateway's own files, among them the sealed state (SQLite) unless `[postgres]` names another place; made at
    /// the first start.
    pub state: PathBuf,
    /// The key of the sealed state, mode 0600; made at the first start.
    pub key_file: PathBuf,
    /// A PostgreSQL database that holds the state in place of a file in the folder; absent: none.
    #[serde(default)]
    pub postgres: Option<Postgres>,
    /// The operator's services, where the account of this service is registered.
    pub services: Services,
    /// The broker.
    #[serde(default)]
    pub broker: Broker,
    /// The face for the service's own programs; absent: none.
    #[serde(default)]
    pub http: Option<Http>,
    /// Log in with VettID for programs that speak OpenID Connect; absent: none.
    #[serde(default)]
    pub oidc: Option<Oidc>,
    /// Where events of this gateway may be sent.
    #[serde(default)]
    pub webhooks: Webhooks,
    /// What invitations look like.
    #[serde(default)]
    pub invitation: InvitationStyle,
    /// How members log in.
    #[serde(default)]
    pub login: Login,
    /// Bounds and times.
    #[serde(default)]
    pub limits: Limits,
}

/// `[postgres]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(deny_unknown_fields)]
pub struct Postgres {
    /// File with the address, `postgres://user:password@host/database?sslmode=verify-full`, mode 0600.
    pub url_file: PathBuf,
}

/// `[services]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(deny_unknown_fields)]
pub struct Services {
    /// Address, `https://…`.
    pub url: String,
    /// PEM file of the authority that certifies services.
    pub ca_file: PathBuf,
    /// File with the join token; needed until the account is registered.
    #[serde(default)]
    pub join_token_file: Option<PathBuf>,
}

/// `[broker]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(deny_unknown_fields)]
pub struct Broker {
    /// PEM file of the authority that certifies the broker; absent: the one of services.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Further brokers on which members may live, such as `tls://ms.example:4222`. The broker that services name is
    /// always among them. An invitation answered from any other broker is refused.
    #[serde(default)]
    pub peers: Vec<String>,
}

/// `[http]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Where to listen; a loopback address. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// File with the key that programs send as `Authorization: Bearer`, mode 0600; made at the first start.
    pub api_key_file: PathBuf,
    /// Whether `GET /` shows the demo page, which hands an invitation to whoever opens it.
    #[serde(default)]
    pub demo_page: bool,
}

/// `[webhooks]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(deny_unknown_fields, default)]
pub struct Webhooks {
    /// Whether events may go to this machine itself, also by plain http. Other private addresses never get any.
    pub loopback: bool,
    /// PEM file of the authorities that certify receivers; absent: those of the system.
    pub ca_file: Option<PathBuf>,
}

/// `[invitation]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(deny_unknown_fields, default)]
pub struct InvitationStyle {
    /// Life in seconds: 1 to 600.
    pub life_seconds: u32,
    /// Page that the link opens; the invitation stands in its fragment. Absent: the bare text.
    pub page: Option<String>,
}

impl Default for InvitationStyle {
    fn default() -> Self {
        Self { life_seconds: MAX_INVITATION_SECONDS, page: None }
    }
}

/// `[login]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(deny_unknown_fields, default)]
pub struct Login {
    /// Whether a browser that nobody knows may be let in by a number and the member's password. Off: only the member's own
    /// device and known browsers, so that no login can be relayed, whatever a member is talked into.
    pub numbers: bool,
    /// What keeps the key of a browser that members made known: `webcrypto`, the browser itself, or `webauthn`, an authenticator
    /// that somebody touches. Keys of the other kind do not count. With `webauthn` no origin may be an address.
    pub browser_key: BrowserKeyKind,
    /// Page of the member's app that the link of a login opens; the login stands in its fragment. Absent: the bare text.
    pub link_page: Option<String>,
    /// Pages that may wait at once; those of the OpenID provider take at most three quarters of them.
    pub waiting: usize,
}

impl Default for Login {
    fn default() -> Self {
        Self { numbers: false, browser_key: BrowserKeyKind::Webcrypto, link_page: None, waiting: 4096 }
    }
}

/// `[limits]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Requests to members that may be open at once.
    pub open_requests: usize,
    /// Invitations that may be open at once.
    pub open_invitations: usize,
    /// Outbound connections to members that are held open at once.
    pub peer_connections: usize,
    /// An outbound connection that was not used for this long is closed, in milliseconds.
    pub peer_idle_ms: u64,
    /// A question without answer is sent again after this time, in milliseconds; each further time after twice as long.
    pub ask_again_ms: u64,
    /// How often a question that the member's inbox keeps is sent at most. One that no inbox keeps is sent until it is answered or over.
    pub ask_times: u32,
    /// Room for events that wait, in bytes; reserved on the broker when the account is new.
    pub inbox_bytes: i64,
    /// A finished request is kept this long for programs that come back for it, in milliseconds; one that was answered by
    /// the very call that asked is kept in memory alone, and gives way when a thousand others came after it.
    pub keep_finished_ms: i64,
    /// Calls a minute that an API key may make, if the key does not say otherwise; at most 10000000.
    pub calls_per_minute: u32,
    /// An event that a webhook did not take is sent again after this time, in milliseconds; each further time after twice
    /// as long.
    pub webhook_again_ms: u64,
    /// An event that a webhook did not take for this long is set aside, in milliseconds.
    pub webhook_give_up_ms: i64,
    /// Events that may wait for one webhook: it is paused when there are more, and what waits is set aside. So many may be
    /// set aside; beyond, the oldest are dropped.
    pub webhook_waiting: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            open_requests: 4096,
            open_invitations: 1024,
            peer_connections: 256,
            peer_idle_ms: 60_000,
            ask_again_ms: 3_000,
            ask_times: 5,
            inbox_bytes: 64 << 20,
            keep_finished_ms: 600_000,
            calls_per_minute: 60_000,
            webhook_again_ms: 5_000,
            webhook_give_up_ms: 3 * 24 * 3600 * 1000,
            webhook_waiting: 100_000,
        }
    }
}

/// Why a configuration is not used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not TOML, an unknown key, or a value of another kind.
    #[error("{path} is not a sound configuration")]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A value that cannot be meant.
    #[error("the value of `{key}` is not usable: {reason}")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
}

impl Config {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = files::read_text(path)?;
        let config: Self = toml::from_str(&text)
            .map_err(|source| ConfigError::Form { path: path.to_owned(), source: Box::new(source) })?;
        let config = config.relative_to(path.parent().unwrap_or_else(|| Path::new(".")));
        config.check()?;
        Ok(config)
    }

    fn relative_to(mut self, folder: &Path) -> Self {
        let paths = [&mut self.contract, &mut self.state, &mut self.key_file, &mut self.services.ca_file];
        let others =
            [self.services.join_token_file.as_mut(), self.broker.ca_file.as_mut(), self.webhooks.ca_file.as_mut()];
        let http = self.http.as_mut().map(|http| &mut http.api_key_file);
        let url = self.postgres.as_mut().map(|postgres| &mut postgres.url_file);
        let clients = self.oidc.as_mut().map(|oidc| &mut oidc.clients_file);
        for path in paths.into_iter().chain(others.into_iter().flatten()).chain(http).chain(clients).chain(url) {
            *path = folder.join(&*path);
        }
        self
    }

    /// PEM file of the authority that certifies the broker.
    #[must_use]
    pub fn broker_ca_file(&self) -> &Path {
        self.broker.ca_file.as_ref().unwrap_or(&self.services.ca_file)
    }

    /// Checks what the form alone does not say.
    ///
    /// # Errors
    /// [`ConfigError::Value`].
    pub fn check(&self) -> Result<(), ConfigError> {
        let wrong = |key, reason| Err(ConfigError::Value { key, reason });
        if self.version != VERSION {
            return wrong("version", "this program reads version 1");
        }
        if !(1..=64).contains(&self.name.chars().count()) || self.name.chars().any(char::is_control) {
            return wrong("name", "1 to 64 characters, on one line");
        }
        if self.origins.is_empty() || !self.origins.iter().all(|origin| is_origin(origin)) {
            return wrong("origins", "one or more of the form https://host or http://localhost:port");
        }
        if !is_https(&self.services.url) {
            return wrong("services.url", "an https address is needed");
        }
        if self.http.as_ref().is_some_and(|http| !http.listen.ip().is_loopback()) {
            return wrong("http.listen", "only a loopback address is served without TLS");
        }
        if let Some((key, reason)) = self.oidc.as_ref().and_then(|oidc| oidc.problem(&self.origins)) {
            return wrong(key, reason);
        }
        if !(1..=MAX_INVITATION_SECONDS).contains(&self.invitation.life_seconds) {
            return wrong("invitation.life_seconds", "1 to 600");
        }
        if self.login.browser_key == BrowserKeyKind::Webauthn && !self.origins.iter().all(|origin| has_name(origin)) {
            return wrong("login.browser_key", "authenticators know sites by name: no origin may be an address");
        }
        if self.login.waiting == 0 {
            return wrong("login.waiting", "at least 1");
        }
        self.limits.check()
    }
}

impl Limits {
    fn check(&self) -> Result<(), ConfigError> {
        let positive = self.open_requests > 0
            && self.open_invitations > 0
            && self.peer_connections > 0
            && self.peer_idle_ms > 0
            && self.ask_again_ms > 0
            && self.ask_times > 0
            && self.inbox_bytes > 0
            && self.keep_finished_ms > 0
            && (1..=10_000_000).contains(&self.calls_per_minute)
            && self.webhook_again_ms > 0
            && self.webhook_give_up_ms > 0
            && self.webhook_waiting > 0;
        if positive { Ok(()) } else { Err(ConfigError::Value { key: "limits", reason: "every limit is at least 1" }) }
    }
}

fn is_https(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| url.scheme() == "https" && url.has_host())
}

/// Scheme and host exactly as a browser would print the origin; plain http only for the own machine.
fn is_origin(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else {
        return false;
    };
    let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let scheme = url.scheme() == "https" || (url.scheme() == "http" && local);
    scheme && url.origin().ascii_serialization() == text
}

/// Whether the host of an origin is a name.
fn has_name(origin: &str) -> bool {
    Url::parse(origin).is_ok_and(|url| url.domain().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALLEST: &str = r#"
        version = 1
        name = "Demo Shop"
        origins = ["https://shop.example"]
        contract = "contract.json"
        state = "state"
        key_file = "state.key"
        [services]
        url = "https://127.0.0.1:8443"
        ca_file = "ca.pem"
    "#;

    fn read(text: &str) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.toml");
        std::fs::write(&path, text).unwrap();
        Config::read(&path)
    }

    #[test]
    fn a_small_file_is_enough_and_paths_count_from_it() {
        let config = read(SMALLEST).unwrap();
        assert!(config.contract.is_absolute() && config.contract.ends_with("contract.json"));
        assert_eq!(config.invitation.life_seconds, 600);
        assert_eq!(config.http, None);
    }

    #[test]
    fn the_example_is_sound() {
        let config =
            Config::read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/shop/gateway.toml"))).unwrap();
        assert!(config.http.is_some_and(|http| http.demo_page));
    }

    #[test]
    fn an_unknown_key_stops_the_start() {
        for wrong in [
            SMALLEST.replace("version = 1", "version = 1\nnmae = 1"),
            SMALLEST.replace("[services]", "[services]\ntoken = 'x'"),
            format!("{SMALLEST}\n[limits]\nask_time = 3"),
            format!("{SMALLEST}\n[broker]\npeer = []"),
        ] {
            assert!(matches!(read(&wrong), Err(ConfigError::Form { .. })), "{wrong}");
        }
    }

    #[test]
    fn unsound_values_are_named() {
        let http = "[http]\nlisten = \"0.0.0.0:80\"\napi_key_file = \"k\"";
        let cases = [
            ("version", SMALLEST.replace("version = 1", "version = 2")),
            ("name", SMALLEST.replace("Demo Shop", "")),
            ("origins", SMALLEST.replace("https://shop.example", "http://shop.example")),
            ("services.url", SMALLEST.replace("https://127.0.0.1:8443", "http://127.0.0.1:8443")),
            ("http.listen", format!("{SMALLEST}\n{http}")),
            ("invitation.life_seconds", format!("{SMALLEST}\n[invitation]\nlife_seconds = 601")),
            (
                "login.browser_key",
                SMALLEST.replace("https://shop.example", "http://127.0.0.1") + "[login]\nbrowser_key = 'webauthn'",
            ),
            ("limits", format!("{SMALLEST}\n[limits]\nask_times = 0")),
        ];
        for (wanted, text) in cases {
            match read(&text) {
                Err(ConfigError::Value { key, .. }) => assert_eq!(key, wanted),
                other => panic!("{wanted}: {other:?}"),
            }
        }
    }

    #[test]
    fn browsers_keep_their_keys_unless_authenticators_are_to() {
        assert_eq!(read(SMALLEST).unwrap().login.browser_key, BrowserKeyKind::Webcrypto);
        let with = |kind: &str| read(&format!("{SMALLEST}\n[login]\nbrowser_key = \"{kind}\""));
        assert_eq!(with("webauthn").unwrap().login.browser_key, BrowserKeyKind::Webauthn);
        assert!(matches!(with("both"), Err(ConfigError::Form { .. })));
    }

    #[test]
    fn origins_have_one_form() {
        for right in ["https://shop.example", "https://shop.example:8443", "http://localhost:3000", "http://127.0.0.1"]
        {
            assert!(is_origin(right), "{right}");
        }
        for wrong in [
            "https://shop.example/",
            "https://shop.example/x",
            "https://Shop.example",
            "shop.example",
            "https://shop.example:443",
            "http://shop.example",
            "https://u@shop.example",
            "ftp://shop.example",
            "",
        ] {
            assert!(!is_origin(wrong), "{wrong}");
        }
    }
}

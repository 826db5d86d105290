//! `vettid host`: runs vaults, one or many.

use crate::failure::Failure;
use crate::https::Operator;
use crate::server_process::{beside, log, read_config, say_ready, stop_on_signal};
use crate::trust;
use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vettid_core::allowance::{Limit, Limits};
use vettid_nats::tls::ClientTls;
use vettid_vault::host::config::HostConfig;
use vettid_vault::host::sealer::SealerConfig;
use vettid_vault::host::sealer::pkcs11::Pkcs11Config;
use vettid_vault::host::{Host, JoinFailed, Joining};
use vettid_wire::contract::Rate;
use vettid_wire::enrolment::{HostJoined, JoinHost};
use vettid_wire::id::{HostId, MemberId};

/// Options of `vettid host`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  vettid host --config /etc/vettid/host.toml")]
pub(crate) struct Arguments {
    /// The configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// The configuration file. Relative paths count from its folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// Form of the file: 1.
    pub(crate) version: u32,
    /// The name of this host.
    pub(crate) host_id: HostId,
    /// Everything of the host lies below this folder.
    pub(crate) state: PathBuf,
    /// The key that seals the vaults' storage keys, mode 0600; made at the first start. Absent where a `sealer` is named.
    #[serde(default)]
    pub(crate) key_file: Option<PathBuf>,
    /// Address of services.
    pub(crate) services_url: String,
    /// The authority that certifies services and broker (PEM).
    pub(crate) ca_file: PathBuf,
    /// The token with which hosts join, mode 0600.
    pub(crate) join_token_file: PathBuf,
    /// Further brokers on which peers of these vaults may live.
    #[serde(default)]
    pub(crate) peer_brokers: Vec<String>,
    /// The broker's address as other parties reach it; absent: the one that services name.
    #[serde(default)]
    pub(crate) public_endpoint: Option<String>,
    /// Room for the large values of all vaults of this broker in bytes: pieces of files, and stored states. Leave the journals some.
    #[serde(default = "default_files_bytes")]
    pub(crate) files_bytes: u64,
    /// What is logged, such as `info`.
    #[serde(default = "default_log")]
    pub(crate) log: String,
    /// A device that seals the vaults' storage keys in place of the key file.
    #[serde(default)]
    pub(crate) sealer: Option<SealerFile>,
    /// Other limits of senders than those of the standard: lower ones for a small machine, higher ones for a test.
    #[serde(default)]
    pub(crate) limits: LimitsFile,
}

/// The part `[limits]` of the file (docs/decisions/0176). What is absent is as in the standard.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LimitsFile {
    /// Messages of one connection a minute; the standard is 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    connection_messages_per_minute: Option<NonZeroU32>,
    /// Bytes of one connection an hour; the standard is 10 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    connection_bytes_per_hour: Option<NonZeroU32>,
    /// Commands of one session of an app a minute; the standard is 600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session_commands_per_minute: Option<NonZeroU32>,
}

impl LimitsFile {
    /// What a vault of this host lets in.
    fn limits(&self) -> Limits {
        let or = |given: Option<NonZeroU32>, standard: Rate| match given {
            Some(count) => Rate { count: count.get(), ..standard },
            None => standard,
        };
        let (connection, session) = (Limit::CONNECTION, Limit::SESSION);
        Limits {
            connection: Limit {
                messages: or(self.connection_messages_per_minute, connection.messages),
                bytes: connection.bytes.map(|bytes| or(self.connection_bytes_per_hour, bytes)),
                ..connection
            },
            session: Limit { messages: or(self.session_commands_per_minute, session.messages), ..session },
        }
    }

    /// Says in the log that a limit lets in more than the standard does.
    fn warn_of_high_ones(limits: &Limits) {
        let standard = Limits::default();
        let is_higher = |given: Option<Rate>, standard: Option<Rate>| {
            given.zip(standard).is_some_and(|(given, standard)| given.count > standard.count)
        };
        let has_higher = is_higher(Some(limits.connection.messages), Some(standard.connection.messages))
            || is_higher(limits.connection.bytes, standard.connection.bytes)
            || is_higher(Some(limits.session.messages), Some(standard.session.messages));
        if has_higher {
            tracing::warn!("limits of senders are above the standard; only a test needs that");
        }
    }
}

/// The part `[sealer]` of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum SealerFile {
    /// A PKCS#11 token.
    Pkcs11 {
        /// The vendor's module, a shared library.
        module: PathBuf,
        /// Label of the token.
        token: String,
        /// Label of the key on it; made at the first start.
        key: String,
        /// The user PIN of the token, mode 0600.
        pin_file: PathBuf,
    },
    /// A TPM 2.0; needs a program that was built with it.
    Tpm {
        /// The way to it, such as `device:/dev/tpmrm0`.
        tcti: String,
        /// The key that it sealed; made at the first start.
        key_file: PathBuf,
    },
}

impl File {
    /// The one sealer that the file names. Paths count from the folder of `path`.
    fn sealer(&self, path: &Path) -> Result<SealerConfig> {
        match (&self.key_file, &self.sealer) {
            (Some(key_file), None) => Ok(SealerConfig::KeyFile(beside(path, key_file))),
            (None, Some(SealerFile::Pkcs11 { module, token, key, pin_file })) => {
                Ok(SealerConfig::Pkcs11(Pkcs11Config {
                    module: beside(path, module),
                    token: token.clone(),
                    key: key.clone(),
                    pin_file: beside(path, pin_file),
                }))
            }
            (None, Some(SealerFile::Tpm { tcti, key_file })) => tpm(tcti, beside(path, key_file)),
            (Some(_), Some(_)) => {
                bail!("{}: name either key_file or [sealer], not both: vaults have one sealer", path.display())
            }
            (None, None) => bail!("{}: name what seals the vaults: key_file or [sealer]", path.display()),
        }
    }
}

#[cfg(feature = "tpm")]
#[expect(clippy::unnecessary_wraps, reason = "a program without TPM refuses here")]
fn tpm(tcti: &str, key_file: PathBuf) -> Result<SealerConfig> {
    Ok(SealerConfig::Tpm(vettid_vault::host::sealer::tpm::TpmConfig { tcti: tcti.to_owned(), key_file }))
}

#[cfg(not(feature = "tpm"))]
fn tpm(_: &str, _: PathBuf) -> Result<SealerConfig> {
    bail!("this program was built without TPM; build it with: cargo build -p vettid --features tpm")
}

fn default_files_bytes() -> u64 {
    vettid_nats::pieces::DEFAULT_MOST_BYTES
}

fn default_log() -> String {
    "info".into()
}

#[derive(Serialize)]
struct Ready<'a> {
    ready: &'static str,
    host_id: &'a HostId,
    vaults: Vec<MemberId>,
    /// Vaults that lie here and cannot start; the log says why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    broken: Vec<MemberId>,
}

/// Services over HTTPS.
struct HttpsJoining {
    operator: Operator,
    token: String,
}

impl Joining for HttpsJoining {
    async fn join(&self, asked: JoinHost) -> Result<HostJoined, JoinFailed> {
        let joined = self.operator.post("/v1/hosts", Some(&self.token), &asked).await;
        joined.map_err(|error| JoinFailed(format!("{error:#}")))
    }
}

/// Runs until told to stop.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    Ok(serve(&arguments.config).await?)
}

async fn serve(path: &Path) -> Result<()> {
    let file: File = read_config(path)?;
    if file.version != 1 {
        bail!("{}: this program reads version 1 of the file", path.display());
    }
    log(&file.log)?;
    trust::warn_unless_without();
    let stop = stop_on_signal()?;
    let authority = read(&beside(path, &file.ca_file))?;
    let token = read(&beside(path, &file.join_token_file))?.trim().to_owned();
    let joining = HttpsJoining { operator: Operator::new(&file.services_url, &authority)?, token };
    let config = HostConfig {
        host_id: file.host_id.clone(),
        state: beside(path, &file.state),
        sealer: file.sealer(path)?,
        broker_tls: ClientTls::trusting(&authority)?,
        public_endpoint: file.public_endpoint,
        peers: Arc::new(file.peer_brokers),
        files_bytes: file.files_bytes,
        handlers: vettid_handlers::native().build().context("the table of handlers is not sound")?,
        limits: file.limits.limits(),
    };
    LimitsFile::warn_of_high_ones(&config.limits);
    let host = Host::start_patiently(config, &joining).await.context("the host does not start")?;
    let broken = host.broken().keys().copied().collect();
    say_ready(&Ready { ready: "host", host_id: &file.host_id, vaults: host.members(), broken })?;
    // On a thread of the runtime: from the first one, which only waits, everything would cross over to another.
    let running = tokio::spawn(async move { host.run(&joining, stop).await });
    running.await.context("the host failed")?.context("the host failed")
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(sealing: &str) -> Result<SealerConfig> {
        let text = format!(
            "version = 1\nhost_id = \"host-1\"\nstate = \"state\"\nservices_url = \"https://services.test\"\n\
             ca_file = \"ca.pem\"\njoin_token_file = \"token\"\n{sealing}"
        );
        toml::from_str::<File>(&text)?.sealer(Path::new("/etc/vettid/host.toml"))
    }

    const TOKEN: &str = "[sealer]\nkind = \"pkcs11\"\nmodule = \"/usr/lib/p11.so\"\ntoken = \"t\"\nkey = \"k\"\n";

    #[test]
    fn limits_are_those_of_the_standard_where_nothing_else_is_said() {
        let limits = |text: &str| toml::from_str::<LimitsFile>(text).map(|file| file.limits());
        assert_eq!(limits("").unwrap(), Limits::default());
        let one = limits("connection_messages_per_minute = 7").unwrap();
        let messages = Rate { count: 7, per_seconds: 60 };
        assert_eq!(one, Limits { connection: Limit { messages, ..Limit::CONNECTION }, session: Limit::SESSION });
        let others = limits("connection_bytes_per_hour = 8\nsession_commands_per_minute = 9").unwrap();
        assert_eq!(others.connection.bytes, Some(Rate { count: 8, per_seconds: 3600 }));
        assert_eq!(others.session.messages, Rate { count: 9, per_seconds: 60 });
        for wrong in ["connection_messages_per_minute = 0", "connection_messages_per_minute = -1", "messages = 1"] {
            assert!(limits(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_host_has_exactly_one_sealer() {
        let key_file = file("key_file = \"host.key\"").unwrap();
        assert_eq!(key_file, SealerConfig::KeyFile("/etc/vettid/host.key".into()));
        let token = file(&format!("{TOKEN}pin_file = \"token.pin\"")).unwrap();
        let SealerConfig::Pkcs11(token) = token else { panic!("{token:?}") };
        assert_eq!((token.module, token.pin_file), ("/usr/lib/p11.so".into(), "/etc/vettid/token.pin".into()));
        for (wrong, why) in [
            (String::new(), "key_file or [sealer]"),
            (format!("key_file = \"host.key\"\n{TOKEN}pin_file = \"token.pin\""), "not both"),
            (TOKEN.to_owned(), "pin_file"),
            (format!("{TOKEN}pin_file = \"x\"\npin = \"1234\""), "pin"),
            ("[sealer]\nkind = \"none\"".to_owned(), "none"),
        ] {
            let error = file(&wrong).unwrap_err();
            assert!(format!("{error:#}").contains(why), "{error:#}");
        }
        #[cfg(not(feature = "tpm"))]
        assert!(
            format!("{:#}", file("[sealer]\nkind = \"tpm\"\ntcti = \"x\"\nkey_file = \"y\"").unwrap_err())
                .contains("--features tpm")
        );
    }
}

//! What the operator decides before services start. Read and checked by the caller; nothing here reads the environment.

use std::net::SocketAddr;
use std::path::PathBuf;
use vettid_core::directory::Periods;
use vettid_wire::contract::Rate;

/// Configuration of services.
#[derive(Debug, Clone)]
pub struct Config {
    /// Everything of services lies below this folder; it is made with mode 0700 if it is missing.
    pub data_dir: PathBuf,
    /// The key of the sealed files, mode 0600. Made at the first start; best kept on another medium than `data_dir`.
    pub key_file: PathBuf,
    /// The `nats-server` program.
    pub nats_server: PathBuf,
    /// Where the HTTP API listens. Port 0 takes a free one at the first start and keeps it.
    pub listen: SocketAddr,
    /// The address of the HTTP API as members reach it, such as `https://vettid.example`; `None` takes `listen`.
    pub public_url: Option<String>,
    /// Names and addresses in the certificate of the HTTP API, besides those of this machine.
    pub certificate_names: Vec<String>,
    /// Browser origins that may speak to the broker by WebSocket.
    pub websocket_origins: Vec<String>,
    /// Room for the broker's streams, in bytes.
    pub broker_disk_bytes: u64,
    /// How much strangers may ask.
    pub limits: Limits,
    /// How the domains of services are looked at.
    pub dns: Dns,
}

/// How the domains of services are looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dns {
    /// The servers that are asked, each by itself; most of them must say the same. None: those of the system, as one.
    pub servers: Vec<SocketAddr>,
    /// How often, and how long what was found counts.
    pub periods: Periods,
}

/// Rate limits, for each source address (IPv6: for each /64).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Endpoints that need no token.
    pub open: Rate,
    /// Questions about the directory.
    pub directory: Rate,
    /// New enrolments.
    pub enrolments: Rate,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            open: Rate { count: 60, per_seconds: 60 },
            directory: Rate { count: 600, per_seconds: 60 },
            enrolments: Rate { count: 10, per_seconds: 3600 },
        }
    }
}

/// Room for the broker's streams where nothing else is said: 4 GiB.
pub const DEFAULT_BROKER_DISK_BYTES: u64 = 4 << 30;

//! What the operator decides before a host starts. Read and checked by the caller; nothing here reads the environment.

use super::sealer::SealerConfig;
use std::path::PathBuf;
use std::sync::Arc;
use vettid_core::allowance::Limits;
use vettid_handler::handlers::Handlers;
use vettid_nats::tls::ClientTls;
use vettid_wire::id::HostId;

/// Configuration of a host.
#[derive(Clone)]
pub struct HostConfig {
    /// The name of the host.
    pub host_id: HostId,
    /// Everything of the host lies below this folder.
    pub state: PathBuf,
    /// What seals the storage keys.
    pub sealer: SealerConfig,
    /// Whom the broker's certificate is checked against.
    pub broker_tls: ClientTls,
    /// The broker's address as other parties reach it; `None` takes the one that services name.
    pub public_endpoint: Option<String>,
    /// Further brokers on which peers may live.
    pub peers: Arc<Vec<String>>,
    /// Room for the large values of all vaults here, in bytes: pieces of files, and stored states.
    pub files_bytes: u64,
    /// What vaults do with events.
    pub handlers: Handlers,
    /// How much each sender may send to a vault. Only a test or a measurement takes more than the standard.
    pub limits: Limits,
}

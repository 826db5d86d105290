//! The contract on offer: its versions, and publishing a new one.

use crate::{ClientError, GatewayClient};
use serde::{Deserialize, Serialize};
use vettid_wire::base64::Base64Url;
use vettid_wire::contract::Contract;
use vettid_wire::time::Timestamp;

/// A published version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContractVersion {
    /// The contract.
    pub contract: Contract,
    /// Its hash; requests quote it.
    pub contract_hash: Base64Url,
    /// When it was published.
    pub published_at: Timestamp,
}

#[derive(Deserialize)]
struct ContractVersions {
    versions: Vec<ContractVersion>,
}

impl GatewayClient {
    /// Every version of the contract that was published, the oldest first. Scope `contract`, as for publishing.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn contract_versions(&self) -> Result<Vec<ContractVersion>, ClientError> {
        let published: ContractVersions = self.get(&["v1", "contract", "versions"], &[]).await?;
        Ok(published.versions)
    }

    /// Publishes a version of the contract, with a `contract_version` above all before, and offers it to every member. Until a member
    /// accepts it, the service gets nothing from that member.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn publish_contract(&self, contract: &Contract) -> Result<ContractVersion, ClientError> {
        self.post(&["v1", "contract", "versions"], contract).await
    }
}

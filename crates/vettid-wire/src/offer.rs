//! New versions of a contract: offered by its service, and decided by the member. From when a vault took an offer until its
//! owner decides, the service gets nothing.

use crate::base64::{Base64, Base64Url};
use crate::connection::ConnectionState;
use crate::contract::{Acceptance, Contract, CounterSignature};
use crate::id::{ConnectionId, KeyId, ServiceId};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Largest canonical form of a contract in bytes: two of them have room in one answer to the app.
pub const MAX_CONTRACT_BYTES: usize = 20 * 1024;

/// A service offers a new version of its contract to a connected member (ctx `vettid/contract-offer/1`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContractOffer {
    /// The connection.
    pub connection_id: ConnectionId,
    /// The new version.
    pub contract: Contract,
    /// When it was offered.
    pub offered_at: Timestamp,
    /// The service's signing key.
    pub key_id: KeyId,
    /// Over everything else.
    pub signature: Base64,
}

/// A version that its member has not decided about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfferedContract {
    /// As the service published it.
    pub contract: Contract,
    /// Its hash (spec 2.14).
    pub contract_hash: Base64Url,
    /// When the vault took the offer, and the terms before it were frozen.
    pub received_at: Timestamp,
}

/// A contract that the member signed, and the service under that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedContract {
    /// As the service published it.
    pub contract: Contract,
    /// Its hash (spec 2.14).
    pub contract_hash: Base64Url,
    /// The member's signed acceptance.
    pub acceptance: Acceptance,
    /// The service's counter-signature, once it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter_signature: Option<CounterSignature>,
}

/// The contract of one connection as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContractView {
    /// The connection.
    pub connection_id: ConnectionId,
    /// The service's name.
    pub display_name: String,
    /// The service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_id: Option<ServiceId>,
    /// Where the connection stands.
    pub state: ConnectionState,
    /// What was accepted last. Frozen while another version is offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_force: Option<SignedContract>,
    /// What waits for the owner's decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered: Option<OfferedContract>,
    /// Fields of what is offered, else of what is in force, for which the vault holds no value; optional ones too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_fields: Vec<String>,
}

/// The contracts of all connections with services, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContractList {
    /// At most [`MAX_LISTED_CONTRACTS`].
    pub contracts: Vec<ContractSummary>,
}

/// Most contracts in one list.
pub const MAX_LISTED_CONTRACTS: usize = 200;

/// The contract of one connection, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContractSummary {
    /// The connection.
    pub connection_id: ConnectionId,
    /// The service's name.
    pub display_name: String,
    /// The service, while the connection lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_id: Option<ServiceId>,
    /// Where the connection stands.
    pub state: ConnectionState,
    /// The version that was accepted last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// The version that waits for the owner's decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered_version: Option<u64>,
}

/// Owner's command: accept or reject a new version, or choose anew among the optional fields of the one in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecideContract {
    /// The connection.
    pub connection_id: ConnectionId,
    /// What the owner has read: another version that came meanwhile is not decided by it.
    pub contract_hash: Base64Url,
    /// Accept it, or end the connection.
    pub accept: bool,
    /// The optional fields that are agreed to.
    #[serde(default)]
    pub optional_fields: Vec<String>,
}

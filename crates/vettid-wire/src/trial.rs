//! The dry run of a contract: what it would have handed out over the last days, computed by the member's vault and kept nowhere.

use crate::id::ConnectionId;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Most days that are looked back.
pub const MAX_TRIAL_DAYS: u32 = 90;

/// Owner's command: try the contract that waits for the owner, else the one in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TryContract {
    /// The connection.
    pub connection_id: ConnectionId,
    /// Days to look back, from 1 to [`MAX_TRIAL_DAYS`].
    pub days: u32,
    /// The optional fields that the owner would agree to.
    #[serde(default)]
    pub optional_fields: Vec<String>,
}

/// Whose past requests were tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialBasis {
    /// Those of this very service.
    OwnRequests,
    /// The service has none yet: those of the owner's other services, each taken as if this one had made it.
    OtherServices,
}

/// What a contract would have handed out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContractTrial {
    /// The connection.
    pub connection_id: ConnectionId,
    /// The version that was tried.
    pub contract_version: u64,
    /// Whose requests were tried.
    pub basis: TrialBasis,
    /// Nothing since then is left out.
    pub since: Timestamp,
    /// Requests that were tried.
    pub tried: u64,
    /// By field of the contract, in its order, then fields that were asked for and are not in it.
    pub fields: Vec<FieldTrial>,
}

/// What would have become of requests for one field.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldTrial {
    /// The field.
    pub field: String,
    /// Whether the vault holds a value now.
    pub is_stored: bool,
    /// Requests that were tried.
    pub asked: u64,
    /// Of these, answered at once with the value.
    pub handed_out: u64,
    /// Answered after the owner said yes.
    pub after_consent: u64,
    /// Answered that there is no value.
    pub empty: u64,
    /// Refused, by check of the contract.
    pub refused: Vec<RefusedCount>,
    /// Whether the value leaves at once when the contract is accepted, unasked.
    pub leaves_at_once: bool,
    /// Sent unasked after changes of the value in that time, as far as they were recorded for services.
    pub sent: u64,
    /// What the owner's rules of today would have made of the requests that the contract lets through. All other numbers are what the
    /// contract says without them.
    #[serde(default)]
    pub by_rules: RuleCounts,
    /// Requests of that time that the contract's rates would have let through at most, however often the service had asked.
    pub at_most: u64,
}

/// How many requests the owner's rules would have changed the end of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleCounts {
    /// Denied.
    pub denied: u64,
    /// The owner would have been asked, where the contract lets the request through.
    pub asked: u64,
    /// Answered with yes in place of the owner.
    pub answered: u64,
}

/// How many requests one check would have refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefusedCount {
    /// The check, as in the audit.
    pub check: String,
    /// How many.
    pub requests: u64,
}

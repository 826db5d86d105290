//! Control commands of services to hosts and vaults (spec 2.15). Always signed.

use crate::base64::Base64;
use crate::event::EventType;
use crate::id::{EventId, HostId, KeyId, MemberId};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A command lives at most this long, in milliseconds.
pub const MAX_LIFE_MS: i64 = 5 * 60 * 1000;
/// Allowed difference between the clocks, in milliseconds.
pub const MAX_SKEW_MS: i64 = 60 * 1000;

/// A signed command (ctx `vettid/control/1`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlCommand {
    /// Carried out once.
    pub command_id: EventId,
    /// What to do.
    pub command: EventType,
    /// Whom it is for.
    pub target: Target,
    /// Parameters of the command.
    pub params: Value,
    /// When it was given.
    pub issued_at: Timestamp,
    /// Who gave it.
    pub issued_by: String,
    /// At most five minutes later.
    pub expires_at: Timestamp,
    /// The signing key.
    pub key_id: KeyId,
    /// Rises for each signing key and target.
    pub sequence: u64,
    /// Further approvals, for disruptive commands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Approval>,
    /// Over everything else.
    pub signature: Base64,
}

/// Whom a command is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type", content = "id", deny_unknown_fields)]
pub enum Target {
    /// Every host.
    Global,
    /// One host.
    Enclave(HostId),
    /// The host that runs this vault.
    User(MemberId),
}

/// A further approval of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// The approving key.
    pub key_id: KeyId,
    /// Over the command without signature and approvals.
    pub signature: Base64,
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlResult {
    /// The command.
    pub command_id: EventId,
    /// What came of it.
    pub outcome: ControlOutcome,
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ControlOutcome {
    /// Carried out.
    Done(Value),
    /// Refused; the reason is in the host's audit.
    Refused,
    /// This host does not run that vault.
    NotHoldingUser,
}

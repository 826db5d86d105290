//! The statement of what one service ever got: under which contracts, field by field, and who decided. Never a value. Form only;
//! what it proves is computed and checked elsewhere.

use crate::audit::ExportedEntry;
use crate::authorisation::Claim;
use crate::base64::{Base64, Base64Url};
use crate::contract::{Acceptance, Contract, CounterSignature, Tier};
use crate::digest::Digest;
use crate::id::{ConnectionId, Fingerprint, KeyId, MemberId, RequestId, ServiceId};
use crate::key::TypedKey;
use crate::key_record::KeyRecord;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Most entries in one part.
pub const MAX_PART_ENTRIES: usize = 2_000;

/// Who let a value go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecidedBy {
    /// The contract alone, as its member signed it.
    Contract,
    /// The member, asked about this request.
    Owner,
    /// A rule of the member's.
    Rule,
}

/// A value that left, or what was said of one, as the audit has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServedField {
    /// The connection.
    pub connection_id: ConnectionId,
    /// Name of the field, or of what the service had stored and read back.
    pub field: String,
    /// The category in which the service had stored it; absent for fields of the member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// What was said of the field instead of its value, such as `age_over_18`; absent where the value left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// What for, as the service said when it asked, or as the contract says of what is sent unasked or stored.
    pub purpose: String,
    /// How the contract hands it out.
    pub tier: Tier,
    /// The contract in force.
    pub contract_hash: Base64Url,
    /// Its version.
    pub contract_version: u64,
    /// Who let it go.
    pub decided_by: DecidedBy,
    /// The request; absent for what was sent unasked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
}

/// Owner's command: one part of the statement about a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskStatement {
    /// The connection.
    pub connection_id: ConnectionId,
    /// Which part, from 0: first each contract, then the numbers of the entries.
    pub part: u32,
}

/// One part of a statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatementPart {
    /// The head as of now.
    pub head: StatementHead,
    /// Names the key that signed the head.
    pub key_record: KeyRecord,
    /// A contract, as long as there is one of this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<KeptContract>,
    /// Numbers of audit entries, rising.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<u64>,
}

/// What the vault signs (ctx `vettid/statement/1`): nothing else was ever handed out on this connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatementHead {
    /// Form of the statement; 1.
    pub version: u8,
    /// Whose vault it is.
    pub guid: MemberId,
    /// Identity of the vault.
    pub vault_fp: Fingerprint,
    /// The connection.
    pub connection_id: ConnectionId,
    /// The service.
    pub service_id: ServiceId,
    /// How many acceptances there are.
    pub contracts: u64,
    /// SHA-256 of the canonical list of the contracts.
    pub contracts_hash: Digest,
    /// How many values were handed out.
    pub entries: u64,
    /// SHA-256 of the canonical list of their numbers in the audit chain.
    pub entries_hash: Digest,
    /// Entries of the audit chain.
    pub audit_size: u64,
    /// RFC 6962 root over their hashes.
    pub audit_root: Digest,
    /// When the statement was made.
    pub made_at: Timestamp,
    /// The vault's signing key.
    pub key_id: KeyId,
    /// Over everything else.
    pub signature: Base64,
}

/// An acceptance with everything to check it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptContract {
    /// As the service published it.
    pub contract: Contract,
    /// The member's signed acceptance.
    pub acceptance: Acceptance,
    /// The service's counter-signature, if it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter_signature: Option<CounterSignature>,
    /// The service's key record when it came: whose key made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_record: Option<KeyRecord>,
    /// In the place of the record, as vaults kept it before they kept that: the key alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_key: Option<TypedKey>,
}

/// An entry of the audit chain, and that it is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvedEntry {
    /// The entry with its detail.
    pub entry: ExportedEntry,
    /// RFC 6962 audit path up to the root of the head.
    pub path: Vec<Digest>,
}

/// One line of a statement (JSON Lines): head, key record, contracts in order, entries in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatementLine {
    /// First line.
    Statement(Box<StatementHead>),
    /// Second line: the vault's signed key record.
    KeyRecord(Value),
    /// An acceptance.
    Contract(Box<KeptContract>),
    /// A value that was handed out.
    Served(Box<ProvedEntry>),
}

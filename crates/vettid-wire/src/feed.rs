//! The feed: the member's own time line of events.

use crate::audit::{ExportHead, ExportedEntry};
use crate::event::EventType;
use crate::id::{ConnectionId, RequestId};
use crate::key_record::KeyRecord;
use crate::refusal::RefusalCode;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Most entries in one answer.
pub const MAX_ENTRIES: u32 = 200;

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedEntry {
    /// Place in the feed, from 1.
    pub number: u64,
    /// When it happened.
    pub at: Timestamp,
    /// The event that led to it.
    pub event_type: EventType,
    /// With whom, if with anybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<ConnectionId>,
    /// The request that waits for the owner, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// How urgent it is.
    pub severity: Severity,
    /// What came of it.
    pub outcome: Outcome,
    /// One sentence for the owner.
    pub summary: String,
}

/// How urgent a feed entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// For the record.
    Info,
    /// The owner should look.
    Notice,
    /// Something was refused or went wrong.
    Warning,
    /// Somebody may be attacking.
    Alarm,
}

/// What came of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Carried out.
    Done,
    /// Waits for the owner.
    Pending,
    /// Approved by the owner.
    Approved,
    /// Denied by the owner.
    Denied,
    /// Refused by the vault.
    Refused(RefusalCode),
}

/// Asks for entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListFeed {
    /// Only entries with a smaller number; `None` starts at the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// At most this many, up to [`MAX_ENTRIES`].
    pub limit: u32,
}

/// Entries, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedList {
    /// Newest first.
    pub entries: Vec<FeedEntry>,
}

/// Most audit entries in one answer.
pub const MAX_AUDIT_ENTRIES: u32 = 500;

/// Asks for a stretch of the audit chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportAudit {
    /// First entry, from 0.
    pub from: u64,
    /// At most this many, up to [`MAX_AUDIT_ENTRIES`].
    pub limit: u32,
}

/// A stretch of the audit chain; the app joins stretches to the lines of one export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditStretch {
    /// Whose chain.
    pub head: ExportHead,
    /// The vault's signed key record.
    pub key_record: KeyRecord,
    /// In order.
    pub entries: Vec<ExportedEntry>,
    /// Entries in the chain when the answer was made.
    pub size: u64,
    /// Signed checkpoint note over all of them, with the stretch that reaches the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
}

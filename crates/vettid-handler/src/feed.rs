//! What a handler may write beside its answer: a line for the owner's feed, a line for the operator's log.

use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::id::RequestId;

/// Longest summary in bytes.
pub const MAX_SUMMARY_BYTES: usize = 300;

/// A note for the owner's feed. The vault adds number, time, event type and connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedNote {
    /// How urgent it is.
    pub severity: Severity,
    /// What came of the event.
    pub outcome: Outcome,
    /// One sentence for the owner.
    pub summary: String,
    /// The request that the owner may decide.
    pub request_id: Option<RequestId>,
}

/// How loud a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// For the author of the handler.
    Debug,
    /// For the record.
    Info,
    /// Something is odd.
    Warn,
    /// Something failed.
    Error,
}

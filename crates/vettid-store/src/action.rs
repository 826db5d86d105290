//! Tokens of the HTTP API that were used, and the operations that they carried. A token is spent in the transaction of
//! what it carries, so a crash in between leaves it, and its operation, as if it had never come.

use vettid_wire::digest::Digest;
use vettid_wire::id::{EventId, MemberId, OperationId};
use vettid_wire::time::Timestamp;

/// An operation and its request are held together for so long at least, in milliseconds: 90 days.
pub const OPERATION_LIFE_MS: i64 = 90 * 24 * 60 * 60 * 1000;

/// A token at the moment of its use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spent {
    /// Names the token.
    pub jti: EventId,
    /// The member.
    pub guid: MemberId,
    /// The action.
    pub action: String,
    /// The operation.
    pub op_id: OperationId,
    /// SHA-256 of the body.
    pub req_hash: Digest,
    /// When the token would have died.
    pub expires_at: Timestamp,
    /// Now.
    pub at: Timestamp,
}

//! Proofs of answers: what lets a service check, then and later and without the member's vault, what it was answered. Whose key signed is
//! known from the handshake alone, so this is nothing to show to third parties.
//! Form only: hashes and signatures are computed and checked elsewhere.

use crate::base64::{Base64, Base64Url};
use crate::envelope::InReplyTo;
use crate::id::{ConnectionId, KeyId};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Ties an answer to its question and to the connection (ctx `vettid/answer/1`). Stands in the answer as `proof`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerProof {
    /// The connection.
    pub connection_id: ConnectionId,
    /// The event that is answered.
    pub question: InReplyTo,
    /// SHA-256 of the canonical bytes of the answer without this proof.
    pub answer_hash: Base64Url,
    /// When it was answered.
    pub answered_at: Timestamp,
    /// The member's pairwise key of the connection.
    pub key_id: KeyId,
    /// Over everything else.
    pub signature: Base64,
}

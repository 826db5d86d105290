//! What lies open while the vault works on it, in memory only: operations between their two commits, and grants. A vault
//! that is locked, restarted or killed has an empty desk.

use std::collections::HashMap;
use std::fmt;
use vettid_core::credential::grant::Grants;
use vettid_core::credential::issuer::operation::Counted;
use vettid_crypto::secret::SecretBytes;
use vettid_crypto::secret_box::BoxKey;
use vettid_wire::credential::UseRequest;
use vettid_wire::envelope::InReplyTo;
use vettid_wire::id::{OperationId, SecretId, SessionKeyId};
use vettid_wire::secret::{Curve, Operation, SecretKind};

/// Most operations between their two commits.
const MAX_COUNTED: usize = 64;

/// The desk.
#[derive(Debug, Default)]
pub struct Desk {
    counted: HashMap<OperationId, Waiting>,
    /// What grants opened.
    pub grants: Grants<OpenSecret>,
    /// Whether the next password has to wait; `None`: to be looked at.
    pub(super) is_waiting: Option<bool>,
}

/// An operation whose attempt is part of the commit under way. Its password is evaluated after that commit.
#[derive(Debug)]
pub struct Waiting {
    /// What was counted.
    pub counted: Counted,
    /// The request.
    pub request: UseRequest,
    /// Whom to answer.
    pub session: SessionKeyId,
    /// The event that brought it, with the hash of its body.
    pub question: InReplyTo,
}

/// One secret that a grant opened.
pub struct OpenSecret {
    /// The secret.
    pub secret_id: SecretId,
    /// The one operation.
    pub operation: Operation,
    /// What it is.
    pub kind: SecretKind,
    /// Curve of a signing key.
    pub curve: Option<Curve>,
    /// Its value.
    pub value: SecretBytes,
    /// The key of the boxes under this grant.
    pub key: BoxKey,
}

impl fmt::Debug for OpenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenSecret")
    }
}

impl Desk {
    /// Lays an operation down; `false` if too many lie there.
    pub fn lay(&mut self, waiting: Waiting) -> bool {
        let room = self.counted.len() < MAX_COUNTED;
        if room {
            self.counted.insert(waiting.request.op_id, waiting);
        }
        room
    }

    /// Takes an operation up again.
    pub fn take(&mut self, op_id: OperationId) -> Option<Waiting> {
        self.counted.remove(&op_id)
    }

    /// Clears the desk and wipes what lay on it.
    pub fn clear(&mut self) {
        self.counted.clear();
        self.grants.lock();
    }
}

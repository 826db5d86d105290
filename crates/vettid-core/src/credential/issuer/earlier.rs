//! What an issuer remembers of earlier versions, for recoveries alone (spec 2.7.6, 2.11): enough to recognise a package of a
//! recovery container that is a little older than the credential, and to prove itself to whoever holds it. Their keys are gone,
//! so none of them is ever opened, and none of them is a login.

use serde::{Deserialize, Serialize};
use vettid_crypto::lat::LedgerAuthToken;
use vettid_wire::id::OperationId;

use super::keys::IssuedKeys;
use super::operation::Effect;
use super::record::{Ask, Issue, IssuerRecord};

/// So many versions before the current one are recognised.
const EARLIER_VERSIONS: usize = 3;

/// A version before the current one.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EarlierIssue {
    issue: Issue,
    #[serde(with = "vettid_crypto::stored")]
    token: LedgerAuthToken,
}

/// What is remembered.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Earlier {
    /// Newest first.
    issues: Vec<EarlierIssue>,
    /// The operation that made the newest version; its answer holds the package.
    newest_op: Option<OperationId>,
    /// First version of the present password: whoever holds an earlier one cannot prove it.
    password_since: u64,
}

impl Earlier {
    /// Of a first version.
    pub(super) fn of(op_id: OperationId) -> Self {
        Self { newest_op: Some(op_id), ..Self::default() }
    }

    pub(super) fn newest_op(&self) -> Option<OperationId> {
        self.newest_op
    }

    /// An operation made a version out of `base`.
    pub(super) fn made(&mut self, op_id: OperationId, version: u64, base: u64, effect: &Effect) {
        self.newest_op = Some(op_id);
        let new_password = effect.inner.as_ref().is_some_and(|inner| inner.hash.is_some());
        self.password_since = if new_password { version } else { self.password_since.min(base) };
    }

    /// The version of before is not current any more.
    pub(super) fn keep(&mut self, before: Issue, record: &IssuerRecord, issued: &[IssuedKeys]) {
        let keys = issued.iter().find(|keys| keys.version == before.version);
        if let Some(keys) = keys.filter(|_| record.current.version != before.version) {
            self.issues.insert(0, EarlierIssue { issue: before, token: keys.token.duplicate() });
            self.issues.truncate(EARLIER_VERSIONS);
        }
    }

    /// The token of an earlier version under the present password.
    pub(super) fn token(&self, version: u64) -> Option<(&Issue, &LedgerAuthToken)> {
        let found = self.issues.iter().find(|earlier| earlier.issue.version == version);
        found.filter(|_| version >= self.password_since).map(|found| (&found.issue, &found.token))
    }

    /// Whether the request holds a genuine earlier version under the present password.
    pub(super) fn recognises(&self, ask: &Ask) -> bool {
        self.token(ask.version).is_some_and(|(issue, _)| issue.blob_hash == ask.blob_hash && issue.lat == ask.lat)
    }

    /// After a restore nothing of it is trusted.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

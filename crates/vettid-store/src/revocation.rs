//! NATS users that were cut off; each account's token carries its list.

use vettid_wire::time::Timestamp;

/// A user that was cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Public NKey of the account.
    pub account_nkey: String,
    /// Public NKey of the user.
    pub user_nkey: String,
    /// Tokens issued until then are refused.
    pub revoked_at: Timestamp,
}

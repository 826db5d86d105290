//! The one place of this crate that reads the clock: to know whether a token still counts.

use std::time::{SystemTime, UNIX_EPOCH};
use vettid_wire::time::Timestamp;

/// Now, by the clock of this machine.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the clock of this shell")]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

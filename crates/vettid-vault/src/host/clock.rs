//! The one place where the host reads the clock; everything else takes the time as an argument.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use vettid_wire::time::Timestamp;

/// Now, in whole milliseconds.
#[expect(clippy::disallowed_methods, reason = "the clock of this shell")]
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp::from_unix_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

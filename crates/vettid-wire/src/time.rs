//! Points in time on the wire: RFC 3339 UTC with exactly three decimals. Reads no clock.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

const FORM: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// Length of the form.
const FORM_BYTES: usize = 24;

/// Latest point in time on the wire: the end of the year 9999, in milliseconds since 1970.
const MAX_UNIX_MS: i64 = 253_402_300_799_999;

/// Milliseconds since 1970-01-01T00:00:00Z, within the years 1970 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since 1970; held within the years 1970 to 9999.
    #[must_use]
    pub fn from_unix_ms(unix_ms: i64) -> Self {
        Self(unix_ms.clamp(0, MAX_UNIX_MS))
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn unix_ms(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970.
    #[must_use]
    pub fn unix_seconds(self) -> i64 {
        self.0 / 1000
    }

    /// Later by `ms` milliseconds (earlier when negative).
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        Self::from_unix_ms(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to `self`; negative when `earlier` is later.
    #[must_use]
    pub fn since_ms(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000).map_err(|_| fmt::Error)?;
        let mut text = [0; FORM_BYTES];
        at.format_into(&mut text.as_mut_slice(), FORM).map_err(|_| fmt::Error)?;
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

/// The text is not `YYYY-MM-DDTHH:MM:SS.mmmZ`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a time of the form YYYY-MM-DDTHH:MM:SS.mmmZ")]
pub struct InvalidTimestamp;

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;
    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        let at = PrimitiveDateTime::parse(text, FORM).map_err(|_| InvalidTimestamp)?;
        let unix_ms = at.assume_utc().unix_timestamp_nanos() / 1_000_000;
        let stamp = Self(i64::try_from(unix_ms).map_err(|_| InvalidTimestamp)?);
        let exact = (0..=MAX_UNIX_MS).contains(&stamp.0) && stamp.to_string() == text;
        if exact { Ok(stamp) } else { Err(InvalidTimestamp) }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::parsed(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_form_only() {
        let text = "2026-11-21T00:00:00.000Z";
        assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
        for wrong in [
            "2026-11-21T00:00:00Z",
            "2026-11-21T00:00:00.000+00:00",
            "2026-11-21t00:00:00.000z",
            "2026-11-21T00:00:60.000Z",
            "2026-02-30T00:00:00.000Z",
            "1969-12-31T23:59:59.999Z",
            "+2026-11-21T00:00:00.000Z",
            " 2026-11-21T00:00:00.000Z",
            "",
        ] {
            assert!(wrong.parse::<Timestamp>().is_err(), "{wrong}");
        }
    }
}

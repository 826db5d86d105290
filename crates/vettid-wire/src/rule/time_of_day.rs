//! A minute of the day. Which day, and where, is said by others.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Minutes of a day.
const DAY_MINUTES: u16 = 24 * 60;

/// The text is not `HH:MM`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a time of the day such as 08:00")]
pub struct InvalidTimeOfDay;

/// A time of the day from `00:00` to `24:00`, as `HH:MM`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeOfDay(u16);

impl TimeOfDay {
    /// So many minutes after midnight, from 0 to 1440.
    #[must_use]
    pub fn from_minutes(minutes: u16) -> Option<Self> {
        (minutes <= DAY_MINUTES).then_some(Self(minutes))
    }

    /// Minutes after midnight.
    #[must_use]
    pub fn minutes(self) -> u16 {
        self.0
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl fmt::Debug for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for TimeOfDay {
    type Err = InvalidTimeOfDay;
    fn from_str(text: &str) -> Result<Self, InvalidTimeOfDay> {
        let (hours, minutes) = text.split_once(':').ok_or(InvalidTimeOfDay)?;
        let number = |text: &str| text.parse::<u16>().ok();
        let (hours, minutes) = number(hours).zip(number(minutes)).ok_or(InvalidTimeOfDay)?;
        let time = Self::from_minutes(hours.saturating_mul(60).saturating_add(minutes)).ok_or(InvalidTimeOfDay)?;
        // One spelling for each.
        if time.to_string() == text { Ok(time) } else { Err(InvalidTimeOfDay) }
    }
}

impl Serialize for TimeOfDay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeOfDay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::parsed(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_for_each_minute() {
        for minutes in 0..=DAY_MINUTES {
            let time = TimeOfDay::from_minutes(minutes).unwrap();
            assert_eq!(time.to_string().parse(), Ok(time));
        }
        for wrong in ["", "8:00", "08:60", "24:01", "08:0", "0800", "+8:00", "07:60", "-1:00", "08:00:00"] {
            assert_eq!(wrong.parse::<TimeOfDay>(), Err(InvalidTimeOfDay), "{wrong}");
        }
    }
}

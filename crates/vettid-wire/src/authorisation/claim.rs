//! What a vault can say about its member: the value of a field, or that the member is of an age, without the date of birth.

use crate::data::is_field_name;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::fmt;
use std::str::FromStr;

/// The field that ages are derived from.
pub const DATE_OF_BIRTH: &str = "date_of_birth";
const AGE_OVER: &str = "age_over_";
/// Highest age that can be asked for, in years.
const MAX_YEARS: u16 = 150;

/// Not the name of a field, and not `age_over_` with 1 to 150 years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a claim such as name or age_over_18")]
pub struct InvalidClaim;

/// A claim: the name of a field, or `age_over_18` and the like.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claim(String);

impl Claim {
    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The age that it is about, in years.
    #[must_use]
    pub fn years(&self) -> Option<u16> {
        self.0.strip_prefix(AGE_OVER)?.parse().ok()
    }

    /// The field that it is made from, which the contract has to name.
    #[must_use]
    pub fn field(&self) -> &str {
        if self.years().is_some() { DATE_OF_BIRTH } else { &self.0 }
    }
}

impl FromStr for Claim {
    type Err = InvalidClaim;
    fn from_str(text: &str) -> Result<Self, InvalidClaim> {
        let sound = match text.strip_prefix(AGE_OVER) {
            Some(years) => {
                let plain = !years.starts_with('0') && years.bytes().all(|b| b.is_ascii_digit());
                plain && years.parse().is_ok_and(|years: u16| (1..=MAX_YEARS).contains(&years))
            }
            None => is_field_name(text),
        };
        if sound { Ok(Self(text.to_owned())) } else { Err(InvalidClaim) }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Claim {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Claim {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::parsed(deserializer)
    }
}

/// A claim with what the vault says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvenClaim {
    /// The claim.
    pub claim: Claim,
    /// The value of the field, or whether the member is of that age.
    pub value: Value,
}

/// A day of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// Whether whoever was born on this day has completed so many years on `today`. Whoever was born on 29 February completes a
    /// year on 1 March where there is no such day.
    #[must_use]
    pub fn is_over(self, years: u16, today: Self) -> bool {
        Self { year: self.year.saturating_add(years), ..self } <= today
    }
}

impl FromStr for Date {
    type Err = InvalidClaim;
    /// Reads `YYYY-MM-DD`, alone or at the beginning of a time of the standard.
    fn from_str(text: &str) -> Result<Self, InvalidClaim> {
        let day = text.split_once('T').map_or(text, |(day, _)| day);
        let mut parts = day.split('-');
        let mut part = |digits: usize| {
            let part = parts.next().filter(|part| part.len() == digits && part.bytes().all(|b| b.is_ascii_digit()));
            part.and_then(|part| part.parse::<u16>().ok()).ok_or(InvalidClaim)
        };
        let (year, month, day) = (part(4)?, part(2)?, part(2)?);
        let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match month {
            4 | 6 | 9 | 11 => 30,
            2 if is_leap => 29,
            2 => 28,
            _ => 31,
        };
        if parts.next().is_some() || !(1..=12).contains(&month) || !(1..=days).contains(&day) {
            return Err(InvalidClaim);
        }
        let narrow = |number: u16| u8::try_from(number).map_err(|_| InvalidClaim);
        Ok(Self { year, month: narrow(month)?, day: narrow(day)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_names_the_field_that_it_is_made_from() {
        let claim = |text: &str| text.parse::<Claim>().unwrap();
        assert_eq!((claim("age_over_18").field(), claim("age_over_18").years()), (DATE_OF_BIRTH, Some(18)));
        assert_eq!((claim("name").field(), claim("name").years()), ("name", None));
        for wrong in
            ["", "Name", "age_over_", "age_over_0", "age_over_018", "age_over_151", "age_over_x", "age_over_+18"]
        {
            assert!(wrong.parse::<Claim>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_age_is_completed_on_the_birthday_and_not_a_day_before() {
        let day = |text: &str| text.parse::<Date>().unwrap();
        let born = day("2008-11-21");
        assert!(born.is_over(18, day("2026-11-21T00:00:00.000Z")));
        assert!(!born.is_over(18, day("2026-11-20")) && !born.is_over(19, day("2026-11-21")));
        let leap = day("2008-02-29");
        assert!(!leap.is_over(18, day("2026-02-28")) && leap.is_over(18, day("2026-03-01")));
        for wrong in
            ["2026-02-29", "2026-13-01", "2026-1-01", "2026-00-10", "2026-04-31", "26-04-30", "2026-04-30-1", ""]
        {
            assert!(wrong.parse::<Date>().is_err(), "{wrong}");
        }
    }
}

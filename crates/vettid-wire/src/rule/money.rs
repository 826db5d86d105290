//! Amounts of money as decimal texts: never a floating point number.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Most digits before the point.
const MAX_WHOLE_DIGITS: usize = 12;
/// Most digits after the point.
const MAX_DECIMALS: usize = 4;

/// The text is not an amount or a currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {0}")]
pub struct InvalidMoney(&'static str);

/// A number of units of a currency, such as `20` or `19.90`: up to twelve digits, and up to four after a point. Never
/// negative. Equal are texts, so `20` and `20.0` differ; [`Money::ten_thousandths`] compares.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Money(String);

impl Money {
    /// The amount in ten-thousandths of a unit.
    #[must_use]
    pub fn ten_thousandths(&self) -> i64 {
        let (whole, decimals) = self.0.split_once('.').unwrap_or((&self.0, ""));
        // Both are short runs of digits.
        format!("{whole}{decimals:0<MAX_DECIMALS$}").parse().unwrap_or(i64::MAX)
    }
}

impl FromStr for Money {
    type Err = InvalidMoney;
    fn from_str(text: &str) -> Result<Self, InvalidMoney> {
        let (whole, decimals) = text.split_once('.').map_or((text, None), |(whole, rest)| (whole, Some(rest)));
        let digits =
            |text: &str, most: usize| (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        let plain = digits(whole, MAX_WHOLE_DIGITS) && (whole == "0" || !whole.starts_with('0'));
        if plain && decimals.is_none_or(|decimals| digits(decimals, MAX_DECIMALS)) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidMoney("an amount such as 20 or 19.90"))
        }
    }
}

/// A currency by its three capital letters (ISO 4217).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency(String);

impl Currency {
    /// The letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Currency {
    type Err = InvalidMoney;
    fn from_str(text: &str) -> Result<Self, InvalidMoney> {
        let plain = text.len() == 3 && text.bytes().all(|b| b.is_ascii_uppercase());
        if plain { Ok(Self(text.to_owned())) } else { Err(InvalidMoney("a currency such as EUR")) }
    }
}

/// An amount of money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Amount {
    /// How much.
    pub amount: Money,
    /// Of what.
    pub currency: Currency,
}

macro_rules! as_text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::text::parsed(deserializer)
            }
        }
    };
}

as_text!(Money);
as_text!(Currency);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_plain_decimals() {
        for (text, ten_thousandths) in
            [("0", 0), ("20", 200_000), ("19.90", 199_000), ("0.0001", 1), ("999999999999.9999", 9_999_999_999_999_999)]
        {
            assert_eq!(text.parse::<Money>().unwrap().ten_thousandths(), ten_thousandths, "{text}");
        }
        for wrong in ["", ".5", "5.", "05", "-1", "+1", "1e3", "1,5", "1.00000", "1000000000000", "1.5.5", " 1", "٣"] {
            assert!(wrong.parse::<Money>().is_err(), "{wrong}");
        }
        for wrong in ["", "eur", "EURO", "E R", "€€€"] {
            assert!(wrong.parse::<Currency>().is_err(), "{wrong}");
        }
    }
}

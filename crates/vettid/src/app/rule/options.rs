//! The conditions of a rule on the command line.

use crate::failure::Failure;
use clap::Args;
use vettid_wire::data::is_field_name;
use vettid_wire::event::EventType;
use vettid_wire::id::{ConnectionId, RuleId};
use vettid_wire::rule::{
    AmountLimit, CountLimit, Currency, EVENTS, Hours, Money, Period, Rule, RuleOutcome, TimeOfDay, UTC_OFFSET_MINUTES,
};

/// Conditions; each that is left out always holds.
#[derive(Debug, Args)]
pub(super) struct Conditions {
    /// Only events of this connection: its id, its name, or the id of a service
    #[arg(long, value_name = "CONNECTION")]
    pub(super) from: Option<String>,
    /// Only requests for this field
    #[arg(long, value_name = "FIELD", value_parser = field)]
    field: Option<String>,
    /// Only amounts up to this one, such as 20EUR
    #[arg(long, value_name = "AMOUNT", value_parser = amount)]
    up_to: Option<(Money, Currency)>,
    /// Only amounts of more than this one
    #[arg(long, value_name = "AMOUNT", value_parser = amount)]
    above: Option<(Money, Currency)>,
    /// Of a rule that allows: so many events an hour, day or week, such as 3/day
    #[arg(long, value_name = "N/PERIOD", value_parser = count, conflicts_with = "beyond")]
    at_most: Option<CountLimit>,
    /// Of a rule that denies or asks: only beyond so many events
    #[arg(long, value_name = "N/PERIOD", value_parser = count)]
    beyond: Option<CountLimit>,
    /// Only at this time of the day, such as 08:00-20:00 or 22:00-06:00
    #[arg(long, value_name = "FROM-UNTIL", value_parser = hours)]
    hours: Option<Hours>,
    /// Your clock against UTC, for hours, days and weeks; summer time is not followed
    #[arg(long, value_name = "+HH:MM", default_value = "+00:00", value_parser = utc, allow_hyphen_values = true)]
    utc: i32,
}

impl Conditions {
    /// Whether no condition was given.
    pub(super) fn is_empty(&self) -> bool {
        let Self { from, field, up_to, above, at_most, beyond, hours, utc: _ } = self;
        let texts = from.is_none() && field.is_none();
        texts && up_to.is_none() && above.is_none() && at_most.is_none() && beyond.is_none() && hours.is_none()
    }

    /// The rule.
    pub(super) fn rule(
        self,
        rule_id: RuleId,
        outcome: RuleOutcome,
        event_type: Option<EventType>,
        connection_id: Option<ConnectionId>,
    ) -> Result<Rule, Failure> {
        let count = match (outcome, self.at_most, self.beyond) {
            (RuleOutcome::Allow, _, Some(_)) => return Err(Failure::usage("a rule that allows takes --at-most")),
            (RuleOutcome::Deny | RuleOutcome::Ask, Some(_), _) => {
                return Err(Failure::usage("a rule that denies or asks takes --beyond"));
            }
            (_, at_most, beyond) => at_most.or(beyond),
        };
        let amount = limit(self.up_to, self.above)?;
        let (field, hours, utc_offset_minutes) = (self.field, self.hours, self.utc);
        Ok(Rule { rule_id, outcome, event_type, connection_id, field, amount, count, hours, utc_offset_minutes })
    }
}

fn limit(up_to: Option<(Money, Currency)>, above: Option<(Money, Currency)>) -> Result<Option<AmountLimit>, Failure> {
    let currencies = [&up_to, &above].into_iter().flatten().map(|(_, currency)| currency);
    let Some(currency) = currencies.clone().next().cloned() else { return Ok(None) };
    if currencies.into_iter().any(|other| *other != currency) {
        return Err(Failure::usage("both amounts must be in one currency"));
    }
    let money = |amount: Option<(Money, Currency)>| amount.map(|(money, _)| money);
    Ok(Some(AmountLimit { currency, at_most: money(up_to), above: money(above) }))
}

pub(super) fn outcome(text: &str) -> Result<RuleOutcome, &'static str> {
    match text {
        "allow" => Ok(RuleOutcome::Allow),
        "deny" => Ok(RuleOutcome::Deny),
        "ask" => Ok(RuleOutcome::Ask),
        _ => Err("allow, deny or ask"),
    }
}

/// A word for an event, or its event type.
pub(super) fn event(text: &str) -> Result<EventType, String> {
    let meant = match text {
        "data" => "data request",
        other => other,
    };
    let found = EVENTS.iter().find(|event| event.noun == meant || event.name == meant);
    let parsed = found.and_then(|event| event.name.parse().ok());
    parsed.ok_or_else(|| {
        let words: Vec<_> = EVENTS.iter().map(|event| event.noun.split(' ').next().unwrap_or(event.noun)).collect();
        words.join(" or ")
    })
}

fn field(text: &str) -> Result<String, &'static str> {
    if is_field_name(text) { Ok(text.to_owned()) } else { Err("1 to 64 of a-z, 0-9 and _") }
}

fn amount(text: &str) -> Result<(Money, Currency), &'static str> {
    let at = text.len().saturating_sub(3);
    let parts =
        text.split_at_checked(at).and_then(|(money, currency)| Some((money.parse().ok()?, currency.parse().ok()?)));
    parts.ok_or("an amount and its currency, such as 19.90EUR")
}

fn count(text: &str) -> Result<CountLimit, &'static str> {
    let period = |text: &str| match text {
        "hour" => Some(Period::Hour),
        "day" => Some(Period::Day),
        "week" => Some(Period::Week),
        _ => None,
    };
    let parts = text.split_once('/').and_then(|(count, per)| Some((count.parse().ok()?, period(per)?)));
    parts.map(|(count, per)| CountLimit { count, per }).ok_or("a number and hour, day or week, such as 3/day")
}

fn hours(text: &str) -> Result<Hours, &'static str> {
    let parts = text.split_once('-').and_then(|(from, until)| Some((from.parse().ok()?, until.parse().ok()?)));
    parts.map(|(from, until)| Hours { from, until }).ok_or("two times of the day, such as 08:00-20:00")
}

/// Minutes ahead of UTC.
fn utc(text: &str) -> Result<i32, &'static str> {
    let (sign, distance) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(distance), _) => (1, distance),
        (None, Some(distance)) => (-1, distance),
        (None, None) => return Err(UTC),
    };
    let minutes = distance.parse::<TimeOfDay>().map_err(|_| UTC)?.minutes();
    let minutes = sign * i32::from(minutes);
    if UTC_OFFSET_MINUTES.contains(&minutes) { Ok(minutes) } else { Err(UTC) }
}

const UTC: &str = "between -12:00 and +14:00, such as +01:00";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_in_words() {
        assert_eq!(utc("-01:30"), Ok(-90));
        assert_eq!(utc("+14:00"), Ok(840));
        assert!(utc("01:00").is_err() && utc("+14:01").is_err() && utc("-12:01").is_err());
        assert_eq!(count("3/day"), Ok(CountLimit { count: 3, per: Period::Day }));
        assert!(count("3").is_err() && count("x/day").is_err() && count("3/year").is_err());
        assert_eq!(
            amount("19.90EUR").map(|(money, currency)| format!("{money} {currency}")),
            Ok("19.90 EUR".to_owned())
        );
        assert!(
            amount("EUR").is_err() && amount("5").is_err() && amount("5\u{20ac}").is_err() && amount("-5EUR").is_err()
        );
        assert_eq!(event("login").map(|event| event.to_string()), Ok("auth.challenge".to_owned()));
        assert_eq!(event("data").map(|event| event.to_string()), Ok("data.request".to_owned()));
        let known = "login or data or request or transaction or payment or authorisation or consent or signature or proof or message or storage";
        assert_eq!(event("call"), Err(known.to_owned()));
        assert!(hours("08:00-20:00").is_ok() && hours("8-20").is_err());
    }

    #[test]
    fn two_currencies_are_no_limit() {
        let euro = || amount("5EUR").ok();
        assert!(limit(euro(), amount("1USD").ok()).is_err());
        assert!(limit(euro(), amount("1EUR").ok()).unwrap().is_some());
        assert!(limit(None, None).unwrap().is_none());
    }
}

//! What a rule must be beyond its grammar. A rule that allows says exactly what: nothing that is added later to a
//! connection or to this standard may fall under it unseen.

use super::{EVENTS, MAX_COUNT, Rule, RuleOutcome, RuledEvent, UTC_OFFSET_MINUTES};
use crate::data::is_field_name;

/// Why a rule is not sound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRule {
    /// The event is not one that rules decide.
    #[error("no rule can decide this type of event")]
    Event,
    /// An allowing rule leaves its connection or its event open.
    #[error("a rule that allows must name its connection and its event")]
    AllowsTooMuch,
    /// An allowing rule leaves the field open.
    #[error("a rule that allows a data request must name the field")]
    AllowsAnyField,
    /// An allowing rule leaves the amount open.
    #[error("a rule that allows a payment must say up to which amount")]
    AllowsAnyAmount,
    /// A name outside the grammar.
    #[error("the name of a field has 1 to 64 of a-z, 0-9 and _")]
    Field,
    /// A condition on an amount that says nothing or can never hold.
    #[error("an amount needs an upper limit, or a lower one below it")]
    Amount,
    /// The number of events.
    #[error("a count is between 1 and {MAX_COUNT}")]
    Count,
    /// A part of the day without length.
    #[error("the hours must begin and end at different times, and begin before 24:00")]
    Hours,
    /// A place without such a clock.
    #[error("the distance from UTC is between -12:00 and +14:00")]
    UtcOffset,
}

impl Rule {
    /// Checks what the grammar alone cannot.
    pub fn check(&self) -> Result<(), InvalidRule> {
        self.check_among(EVENTS)
    }

    /// The same where rules can decide these events.
    pub fn check_among(&self, events: &[RuledEvent]) -> Result<(), InvalidRule> {
        let named = |event: &&RuledEvent| self.event_type.as_ref().is_some_and(|name| name.as_str() == event.name);
        let event = events.iter().find(named);
        if self.event_type.is_some() && event.is_none() {
            return Err(InvalidRule::Event);
        }
        self.check_conditions()?;
        if self.outcome == RuleOutcome::Allow { self.check_allowing(event) } else { Ok(()) }
    }

    fn check_conditions(&self) -> Result<(), InvalidRule> {
        if self.field.as_deref().is_some_and(|field| !is_field_name(field)) {
            return Err(InvalidRule::Field);
        }
        let bounds = self.amount.as_ref().map(|limit| (&limit.above, &limit.at_most));
        match bounds {
            Some((None, None)) => return Err(InvalidRule::Amount),
            Some((Some(above), Some(most))) if above.ten_thousandths() >= most.ten_thousandths() => {
                return Err(InvalidRule::Amount);
            }
            _ => {}
        }
        if self.count.is_some_and(|limit| !(1..=MAX_COUNT).contains(&limit.count)) {
            return Err(InvalidRule::Count);
        }
        let empty = |hours: super::Hours| {
            let (from, until) = (hours.from.minutes(), hours.until.minutes());
            from == 24 * 60 || from == until || (from == 0 && until == 24 * 60)
        };
        if self.hours.is_some_and(empty) {
            return Err(InvalidRule::Hours);
        }
        if UTC_OFFSET_MINUTES.contains(&self.utc_offset_minutes) { Ok(()) } else { Err(InvalidRule::UtcOffset) }
    }

    fn check_allowing(&self, event: Option<&RuledEvent>) -> Result<(), InvalidRule> {
        let (Some(event), Some(_)) = (event, self.connection_id) else {
            return Err(InvalidRule::AllowsTooMuch);
        };
        if event.field_at.is_some() && self.field.is_none() {
            return Err(InvalidRule::AllowsAnyField);
        }
        let most = self.amount.as_ref().and_then(|limit| limit.at_most.as_ref());
        if event.amount_at.is_some() && most.is_none() { Err(InvalidRule::AllowsAnyAmount) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn checked(change: &[(&str, Value)]) -> Result<(), InvalidRule> {
        let mut rule = json!({"rule_id": "a", "outcome": "allow", "event_type": "auth.challenge",
            "connection_id": "018f6b1e-7c1a-7000-8000-000000000003"});
        for (name, value) in change {
            rule[*name] = value.clone();
        }
        crate::json::from_value::<Rule>(rule).unwrap().check()
    }

    #[test]
    fn a_rule_that_allows_says_what() {
        assert_eq!(checked(&[]), Ok(()));
        assert_eq!(checked(&[("connection_id", Value::Null)]), Err(InvalidRule::AllowsTooMuch));
        assert_eq!(checked(&[("event_type", Value::Null)]), Err(InvalidRule::AllowsTooMuch));
        assert_eq!(checked(&[("event_type", json!("data.request"))]), Err(InvalidRule::AllowsAnyField));
        assert_eq!(checked(&[("event_type", json!("data.request")), ("field", json!("address"))]), Ok(()));
        let open = [("outcome", json!("deny")), ("event_type", Value::Null), ("connection_id", Value::Null)];
        assert_eq!(checked(&open), Ok(()));
        assert_eq!(checked(&[("event_type", json!("messaging.text"))]), Err(InvalidRule::Event));
    }

    #[test]
    fn conditions_that_say_nothing_are_named() {
        let hours = |from: &str, until: &str| [("hours", json!({"from": from, "until": until}))];
        assert_eq!(checked(&hours("22:00", "06:00")), Ok(()));
        assert_eq!(checked(&hours("08:00", "08:00")), Err(InvalidRule::Hours));
        assert_eq!(checked(&hours("00:00", "24:00")), Err(InvalidRule::Hours));
        assert_eq!(checked(&hours("24:00", "08:00")), Err(InvalidRule::Hours));
        assert_eq!(checked(&[("count", json!({"count": 0, "per": "day"}))]), Err(InvalidRule::Count));
        assert_eq!(checked(&[("count", json!({"count": 1001, "per": "day"}))]), Err(InvalidRule::Count));
        assert_eq!(checked(&[("utc_offset_minutes", json!(841))]), Err(InvalidRule::UtcOffset));
        assert_eq!(checked(&[("field", json!("Address!"))]), Err(InvalidRule::Field));
        assert_eq!(checked(&[("amount", json!({"currency": "EUR"}))]), Err(InvalidRule::Amount));
        let never = json!({"currency": "EUR", "above": "5.0", "at_most": "5"});
        assert_eq!(checked(&[("amount", never)]), Err(InvalidRule::Amount));
    }
}

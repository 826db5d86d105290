//! A rule as a sentence. Says everything that the rule says, and nothing else.

use super::{AmountLimit, CountLimit, Hours, Period, Rule, RuleOutcome, find};
use std::fmt::Write;

impl Rule {
    /// The rule in words. `who` is the name of its connection, as the caller may show it.
    #[must_use]
    pub fn sentence(&self, who: Option<&str>) -> String {
        let mut text = self.what();
        if let Some(field) = &self.field {
            let _ = write!(text, " for {field}");
        }
        if let Some(limit) = &self.amount {
            text += &amount(limit);
        }
        match (self.connection_id, who) {
            (None, _) => text += " from any connection",
            (Some(_), Some(name)) => text += &format!(" from {name}"),
            (Some(id), None) => text += &format!(" from connection {id}"),
        }
        if let Some(Hours { from, until }) = self.hours {
            let _ = write!(text, " between {from} and {until}");
        }
        if let Some(limit) = self.count {
            text += &count(limit, self.outcome);
        }
        if self.hours.is_some() || self.count.is_some() {
            let _ = write!(text, " ({})", utc(self.utc_offset_minutes));
        }
        text
    }

    fn what(&self) -> String {
        let verb = match self.outcome {
            RuleOutcome::Allow => "Allow",
            RuleOutcome::Deny => "Deny",
            RuleOutcome::Ask => "Ask about",
        };
        let noun = match &self.event_type {
            None => "every request",
            Some(event_type) => find(event_type).map_or(event_type.as_str(), |event| event.noun),
        };
        format!("{verb} {noun}")
    }
}

fn amount(limit: &AmountLimit) -> String {
    let currency = &limit.currency;
    match (&limit.above, &limit.at_most) {
        (Some(above), Some(most)) => format!(" of more than {above} and up to {most} {currency}"),
        (Some(above), None) => format!(" of more than {above} {currency}"),
        (None, Some(most)) => format!(" of up to {most} {currency}"),
        (None, None) => format!(" in {currency}"),
    }
}

fn count(limit: CountLimit, outcome: RuleOutcome) -> String {
    let word = if outcome == RuleOutcome::Allow { "at most" } else { "beyond" };
    let period = match limit.per {
        Period::Hour => "an hour",
        Period::Day => "a day",
        Period::Week => "a week",
    };
    format!(", {word} {} {period}", limit.count)
}

fn utc(offset_minutes: i32) -> String {
    if offset_minutes == 0 {
        return "UTC".to_owned();
    }
    let sign = if offset_minutes < 0 { '-' } else { '+' };
    let distance = offset_minutes.unsigned_abs();
    format!("UTC{sign}{:02}:{:02}", distance / 60, distance % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sentences_say_all_conditions() {
        let id = "018f6b1e-7c1a-7000-8000-000000000003";
        let cases = [
            (
                json!({"outcome": "allow", "event_type": "auth.challenge", "connection_id": id,
                    "hours": {"from": "08:00", "until": "20:00"}, "count": {"count": 3, "per": "day"}}),
                "Allow login from shop between 08:00 and 20:00, at most 3 a day (UTC)",
            ),
            (
                json!({"outcome": "deny", "event_type": "data.request", "field": "address",
                    "count": {"count": 10, "per": "week"}, "utc_offset_minutes": -90}),
                "Deny data request for address from any connection, beyond 10 a week (UTC-01:30)",
            ),
            (
                json!({"outcome": "ask", "connection_id": id,
                    "amount": {"currency": "EUR", "above": "20", "at_most": "99.50"}}),
                "Ask about every request of more than 20 and up to 99.50 EUR from shop",
            ),
        ];
        for (mut rule, sentence) in cases {
            rule["rule_id"] = json!("r");
            let rule: Rule = crate::json::from_value(rule).unwrap();
            assert_eq!(rule.sentence(Some("shop")), sentence);
        }
    }
}

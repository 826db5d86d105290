//! Rules as sentences, and what they would have decided.

use super::{Removed, Stored};
use crate::output::{Page, Show, count, minute};
use vettid_wire::rule::{self, RuleList, RuleView, Ruled, TestReport, TestedEvent, Verdict};

impl Show for Stored {
    fn show(&self, page: &mut Page) {
        page.line(format!("Stored the rule {}.", self.stored.rule.rule_id));
        page.line(format!("{}.", self.stored.sentence));
        page.gap();
        page.next("To see what it would have decided", "vettid app rule test");
    }
}

impl Show for Removed {
    fn show(&self, page: &mut Page) {
        page.line(format!("Removed the rule {}.", self.removed));
    }
}

impl Show for RuleList {
    fn show(&self, page: &mut Page) {
        if self.rules.is_empty() {
            page.line("No rules: you are asked about everything that your contracts leave open.");
            page.next("To add one", "vettid app rule add --help");
            return;
        }
        let rows: Vec<_> =
            self.rules.iter().map(|view| [view.rule.rule_id.to_string(), view.sentence.clone()]).collect();
        page.table(["RULE", "WHAT IT SAYS"], &rows);
    }
}

impl Show for RuleView {
    fn show(&self, page: &mut Page) {
        page.line(format!("{}.", self.sentence));
        page.field("name", self.rule.rule_id.to_string());
        page.field("since", minute(self.set_at));
        if let (Some(counted), Some(limit)) = (self.counted, self.rule.count) {
            let period = match limit.per {
                rule::Period::Hour => "hour",
                rule::Period::Day => "day",
                rule::Period::Week => "week",
            };
            page.field("met", format!("{} this {period}", count(counted.into(), "event")));
        }
        page.gap();
        page.block(&self.policy);
    }
}

impl Show for TestReport {
    fn show(&self, page: &mut Page) {
        page.line(format!("Since {}: {} that rules can decide.", minute(self.since), count(self.tried, "event")));
        for tally in &self.rules {
            page.line(format!("  {} matches {} and decides {}", tally.rule_id, tally.matching, tally.decides));
        }
        if self.events.is_empty() {
            return;
        }
        page.gap();
        let rows: Vec<_> = self.events.iter().map(row).collect();
        page.table(["WHEN", "FROM", "WHAT", "WAS", "WOULD BE"], &rows);
    }
}

fn row(event: &TestedEvent) -> [String; 5] {
    let noun = rule::find(&event.event_type).map_or(event.event_type.as_str(), |event| event.noun);
    let mut what = noun.to_owned();
    if let Some(field) = &event.field {
        what += &format!(" for {field}");
    }
    if let Some(amount) = &event.amount {
        what += &format!(" of {} {}", amount.amount, amount.currency);
    }
    [minute(event.at), event.display_name.clone(), what, ruled(&event.was), ruled(&event.would_be)]
}

fn ruled(ruled: &Ruled) -> String {
    let verdict = match ruled.verdict {
        Verdict::Allow => "allowed",
        Verdict::Deny => "denied",
        Verdict::Ask => "asked",
        Verdict::Contract => "by contract",
    };
    let rules: Vec<_> = ruled.rules.iter().map(ToString::to_string).collect();
    if rules.is_empty() { verdict.to_owned() } else { format!("{verdict} ({})", rules.join(", ")) }
}

//! The owner's rules: the typed form of one rule, and the commands about rules. A form that passes its checks is still
//! no policy: whether its conditions fit its event is decided where the rule is translated. Decides nothing.

use crate::event::EventType;
use crate::id::{ConnectionId, RuleId};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

mod catalogue;
mod check;
mod money;
mod sentence;
mod time_of_day;

pub use catalogue::{EVENTS, RuledEvent, find};
pub use check::InvalidRule;
pub use money::{Amount, Currency, InvalidMoney, Money};
pub use time_of_day::{InvalidTimeOfDay, TimeOfDay};

/// Most rules of one owner.
pub const MAX_RULES: usize = 50;
/// Most events that a rule counts in one period.
pub const MAX_COUNT: u32 = 1_000;
/// Furthest from UTC, in minutes: 12 hours behind, 14 hours ahead.
pub const UTC_OFFSET_MINUTES: std::ops::RangeInclusive<i32> = -12 * 60..=14 * 60;
/// Furthest back that rules are tried on past events, in days.
pub const MAX_TEST_DAYS: u32 = 90;
/// Most past events in one answer.
pub const MAX_TESTED_EVENTS: usize = 100;

/// One rule of the owner. A condition that is absent always holds; a rule matches when all of its conditions do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Chosen by the owner; named by the audit.
    pub rule_id: RuleId,
    /// What happens when it matches.
    pub outcome: RuleOutcome,
    /// Only events of this type, one of [`EVENTS`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_type: Option<EventType>,
    /// Only events of this connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<ConnectionId>,
    /// Only requests for this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Only requests about such an amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<AmountLimit>,
    /// Only so many events of each period, or only those beyond.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<CountLimit>,
    /// Only at this time of the day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<Hours>,
    /// Minutes by which the owner's clock is ahead of UTC; days, weeks and times of the day follow it.
    #[serde(default, skip_serializing_if = "is_utc")]
    pub utc_offset_minutes: i32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_utc(utc_offset_minutes: &i32) -> bool {
    *utc_offset_minutes == 0
}

/// What a rule does with an event that it matches. Of several, deny wins over ask, and ask over allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleOutcome {
    /// The vault answers yes without asking, where it would ask.
    Allow,
    /// The vault answers no.
    Deny,
    /// The owner is asked, also where the contract alone would not ask.
    Ask,
}

/// A condition on the amount of a request. At least one bound is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AmountLimit {
    /// Only amounts in this currency.
    pub currency: Currency,
    /// At most this much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<Money>,
    /// More than this much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above: Option<Money>,
}

/// A condition on how many events a rule met in the present period. A rule that allows matches the first `count` of
/// them, a rule that denies or asks those beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CountLimit {
    /// How many, from 1 to [`MAX_COUNT`].
    pub count: u32,
    /// In what.
    pub per: Period,
}

/// A period of the owner's calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// From one full hour to the next.
    Hour,
    /// From midnight to midnight.
    Day,
    /// From the midnight before Monday to the next one.
    Week,
}

/// A part of the day; it may go over midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// From this minute on.
    pub from: TimeOfDay,
    /// Until before this minute.
    pub until: TimeOfDay,
}

/// Owner's command: store a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetRule {
    /// The rule.
    pub rule: Rule,
}

/// What became of a rule that was to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RuleStored {
    /// It is in force.
    Stored(Box<RuleView>),
    /// It is no sound rule; nothing was changed.
    Invalid(RuleProblem),
}

/// Why a rule is not sound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleProblem {
    /// One sentence for the owner.
    pub reason: String,
}

/// A rule in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleView {
    /// The rule.
    pub rule: Rule,
    /// The same as a sentence.
    pub sentence: String,
    /// The same as a Cedar policy.
    pub policy: String,
    /// When it was stored.
    pub set_at: Timestamp,
    /// How many events it met in the present period, if it counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<u32>,
}

/// Every rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleList {
    /// By id.
    pub rules: Vec<RuleView>,
}

/// Names a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleRef {
    /// The rule.
    pub rule_id: RuleId,
}

/// Owner's command: try the rules on past events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestRules {
    /// How far back, in days from 1 to [`MAX_TEST_DAYS`].
    pub days: u32,
    /// As if this rule were stored, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Rule>,
}

/// What came of trying the rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RulesTested {
    /// They were tried.
    Tested(TestReport),
    /// The rule to try is not sound.
    Invalid(RuleProblem),
}

/// What the rules would have decided. Counts begin at zero with the first event that is tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestReport {
    /// Events since then were tried.
    pub since: Timestamp,
    /// How many were tried.
    pub tried: u64,
    /// The newest of them, at most [`MAX_TESTED_EVENTS`], newest first.
    pub events: Vec<TestedEvent>,
    /// For each rule, over all that were tried; by id.
    pub rules: Vec<RuleTally>,
}

/// One past event under the rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestedEvent {
    /// When it happened.
    pub at: Timestamp,
    /// What it was.
    pub event_type: EventType,
    /// Whose it was.
    pub connection_id: ConnectionId,
    /// The name of that connection.
    pub display_name: String,
    /// The field that it was for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The amount that it was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
    /// What was decided then.
    pub was: Ruled,
    /// What the rules would decide.
    pub would_be: Ruled,
    /// The rules that match it, each by itself; by id.
    pub matching: Vec<RuleId>,
}

/// Who decides an event, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ruled {
    /// What happens.
    pub verdict: Verdict,
    /// The rules that say so; none where rules say nothing.
    pub rules: Vec<RuleId>,
}

/// What happens with an event that passed its contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Rules answer yes.
    Allow,
    /// Rules answer no.
    Deny,
    /// The owner is asked.
    Ask,
    /// The contract answers yes, and no rule objects.
    Contract,
}

/// One rule over all events that were tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleTally {
    /// The rule.
    pub rule_id: RuleId,
    /// Events that it matches.
    pub matching: u64,
    /// Of these, the ones that it decides.
    pub decides: u64,
}

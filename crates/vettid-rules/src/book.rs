//! Rules that were translated and validated, and what they decide. Cedar decides: a forbidding policy wins over every
//! permitting one, and what no policy permits is not answered.

use crate::facts::Facts;
use crate::policy::{self, LOCK, OPEN};
use crate::schema::{self, ANSWER, CONSIDER, action};
use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, Policy, PolicyId, PolicySet,
    Request, Response, RestrictedExpression, Schema, ValidationMode, Validator,
};
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use vettid_wire::id::RuleId;
use vettid_wire::rule::{InvalidRule, Rule, Ruled, RuledEvent, Verdict};
use vettid_wire::time::Timestamp;

/// Marks the policy that matches whatever was counted.
const UNCOUNTED: &str = ":uncounted";

/// Why a rule cannot be in force.
#[derive(Debug, thiserror::Error)]
pub enum Unsound {
    /// Its form says too little or too much.
    #[error(transparent)]
    Form(#[from] InvalidRule),
    /// Two rules have one id.
    #[error("two rules have the id {0}")]
    Twice(RuleId),
    /// Its policy does not fit the schema: a condition that its event does not have, or one that can never hold.
    #[error("the rule does not fit its event: {0}")]
    Misfit(String),
    /// The engine does not understand what the translation gave it.
    #[error("the policy of the rule cannot be read: {0}")]
    Unreadable(String),
}

/// What rules say about one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// What happens, and which rules say so.
    pub ruled: Ruled,
    /// Every rule that matches, whatever it says; by id.
    pub matching: BTreeSet<RuleId>,
    /// The rules that count this event; by id.
    pub counting: BTreeSet<RuleId>,
    /// A policy could not be evaluated. Then nothing is answered without the owner.
    pub broken: bool,
}

/// A set of sound rules, ready to decide.
#[derive(Debug)]
pub struct RuleBook {
    events: &'static [RuledEvent],
    schema: Schema,
    rules: BTreeMap<RuleId, Rule>,
    deciding: PolicySet,
    matching: PolicySet,
}

impl RuleBook {
    /// Translates and validates rules about these events.
    pub fn new(events: &'static [RuledEvent], rules: impl IntoIterator<Item = Rule>) -> Result<Self, Unsound> {
        let (schema, _) = Schema::from_cedarschema_str(&schema::text(events)).map_err(unreadable)?;
        let (deciding, matching) = (PolicySet::new(), PolicySet::new());
        let mut book = Self { events, schema, rules: BTreeMap::new(), deciding, matching };
        for (name, text) in policy::built_in() {
            add(&mut book.deciding, name, &text)?;
        }
        for rule in rules {
            book.add(rule)?;
        }
        book.validate()?;
        Ok(book)
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &BTreeMap<RuleId, Rule> {
        &self.rules
    }

    fn add(&mut self, rule: Rule) -> Result<(), Unsound> {
        rule.check_among(self.events)?;
        let id = rule.rule_id.clone();
        if self.rules.contains_key(&id) {
            return Err(Unsound::Twice(id));
        }
        add(&mut self.deciding, id.as_str(), &policy::text(&rule))?;
        add(&mut self.matching, id.as_str(), &policy::matching(&rule, true))?;
        if rule.count.is_some() {
            add(&mut self.matching, &format!("{id}{UNCOUNTED}"), &policy::matching(&rule, false))?;
        }
        self.rules.insert(id, rule);
        Ok(())
    }

    /// A warning is as good as an error: it tells of a policy that can never apply.
    fn validate(&self) -> Result<(), Unsound> {
        let validator = Validator::new(self.schema.clone());
        for policies in [&self.deciding, &self.matching] {
            let result = validator.validate(policies, ValidationMode::Strict);
            let error = result.validation_errors().map(ToString::to_string).next();
            let found = error.or_else(|| result.validation_warnings().map(ToString::to_string).next());
            if let Some(misfit) = found {
                return Err(Unsound::Misfit(misfit));
            }
        }
        Ok(())
    }

    /// Decides an event. `counted` says how many events each counting rule met in its present period; a rule that is not
    /// named there met none.
    #[must_use]
    pub fn decide(&self, facts: &Facts, now: Timestamp, counted: &BTreeMap<RuleId, u32>) -> Decided {
        let is_ruled = self.events.iter().any(|event| event.name == facts.event_type.as_str());
        // Most members have no rules; what is built in says then what is said without the engine.
        if !is_ruled || self.rules.is_empty() {
            return Decided::silent(facts, false);
        }
        self.evaluate(facts, now, counted).unwrap_or_else(|_| Decided::silent(facts, true))
    }

    fn evaluate(&self, facts: &Facts, now: Timestamp, counted: &BTreeMap<RuleId, u32>) -> Result<Decided, Unsound> {
        let question = Question::new(self, facts, now, counted)?;
        let considered = question.ask(CONSIDER, &self.deciding)?;
        let answered = question.ask(ANSWER, &self.deciding)?;
        let matched = question.ask(CONSIDER, &self.matching)?;
        let (matching, counting) = self.matched(&matched);
        let broken = [&considered, &answered, &matched].iter().any(|response| has_errors(response));
        let ruled = rule(facts, &considered, &answered, broken);
        Ok(Decided { ruled, matching, counting, broken })
    }

    fn matched(&self, response: &Response) -> (BTreeSet<RuleId>, BTreeSet<RuleId>) {
        let named: BTreeSet<&str> = response.diagnostics().reason().map(AsRef::as_ref).collect();
        let of = |suffix: &str| {
            let named = |id: &&RuleId| named.contains(format!("{id}{suffix}").as_str());
            self.rules.keys().filter(named).cloned().collect()
        };
        (of(""), of(UNCOUNTED))
    }
}

impl Decided {
    /// The rules are there and cannot be evaluated: the owner is asked.
    #[must_use]
    pub fn unknown(facts: &Facts) -> Self {
        Self::silent(facts, true)
    }

    /// No rule says anything. If the engine failed, the owner is asked.
    fn silent(facts: &Facts, broken: bool) -> Self {
        let asks = facts.asks || facts.locked || broken;
        let verdict = if asks { Verdict::Ask } else { Verdict::Contract };
        let ruled = Ruled { verdict, rules: vec![] };
        Self { ruled, matching: BTreeSet::new(), counting: BTreeSet::new(), broken }
    }
}

/// Deny wins over ask, and ask over allow.
fn rule(facts: &Facts, considered: &Response, answered: &Response, broken: bool) -> Ruled {
    let rules = reasons(answered);
    match (considered.decision(), answered.decision()) {
        (Decision::Deny, _) => Ruled { verdict: Verdict::Deny, rules: reasons(considered) },
        _ if broken => Ruled { verdict: Verdict::Ask, rules: vec![] },
        (_, Decision::Allow) if facts.asks => Ruled { verdict: Verdict::Allow, rules },
        (_, Decision::Deny) if facts.asks || facts.locked || !rules.is_empty() => {
            Ruled { verdict: Verdict::Ask, rules }
        }
        _ => Ruled { verdict: Verdict::Contract, rules: vec![] },
    }
}

/// The rules that a response names, by id.
fn reasons(response: &Response) -> Vec<RuleId> {
    let names: BTreeSet<&str> = response.diagnostics().reason().map(AsRef::as_ref).collect();
    let rules = names.into_iter().filter(|name| *name != LOCK && *name != OPEN);
    rules.filter_map(|name| name.parse().ok()).collect()
}

fn has_errors(response: &Response) -> bool {
    response.diagnostics().errors().next().is_some()
}

/// One event as Cedar sees it.
struct Question<'b> {
    book: &'b RuleBook,
    event: &'b str,
    principal: EntityUid,
    resource: EntityUid,
    context: Context,
    entities: Entities,
}

impl<'b> Question<'b> {
    fn new(
        book: &'b RuleBook,
        facts: &'b Facts,
        now: Timestamp,
        counted: &BTreeMap<RuleId, u32>,
    ) -> Result<Self, Unsound> {
        let (principal, resource) = (uid("Connection", &facts.connection_id.to_string())?, uid("Request", "asked")?);
        let counts = uid("Counted", "now")?;
        let locked = ("locked".to_owned(), RestrictedExpression::new_bool(facts.locked));
        let request = Entity::new(resource.clone(), [locked].into(), Default::default()).map_err(unreadable)?;
        let counting = book.rules.values().filter(|rule| rule.count.is_some()).map(|rule| {
            let number = counted.get(&rule.rule_id).copied().unwrap_or(0);
            (rule.rule_id.to_string(), RestrictedExpression::new_long(number.into()))
        });
        let tagged = Entity::new_with_tags(counts.clone(), [], [], counting).map_err(unreadable)?;
        let entities = Entities::from_entities([request, tagged], Some(&book.schema)).map_err(unreadable)?;
        let context = context(facts, now, counts)?;
        Ok(Self { book, event: facts.event_type.as_str(), principal, resource, context, entities })
    }

    fn ask(&self, group: &str, policies: &PolicySet) -> Result<Response, Unsound> {
        let request = Request::new(
            self.principal.clone(),
            uid("Action", &action(group, self.event))?,
            self.resource.clone(),
            self.context.clone(),
            Some(&self.book.schema),
        );
        let request = request.map_err(unreadable)?;
        Ok(Authorizer::new().is_authorized(&request, policies, &self.entities))
    }
}

fn context(facts: &Facts, now: Timestamp, counts: EntityUid) -> Result<Context, Unsound> {
    let mut pairs = vec![
        ("now".to_owned(), RestrictedExpression::new_datetime(now.to_string())),
        ("counted".to_owned(), RestrictedExpression::new_entity_uid(counts)),
    ];
    if let Some(field) = &facts.field {
        pairs.push(("field".to_owned(), RestrictedExpression::new_string(field.clone())));
    }
    if let Some(amount) = &facts.amount {
        let value = RestrictedExpression::new_decimal(policy::decimal(&amount.amount));
        let currency = RestrictedExpression::new_string(amount.currency.to_string());
        let record = RestrictedExpression::new_record([("currency".to_owned(), currency), ("value".to_owned(), value)]);
        pairs.push(("amount".to_owned(), record.map_err(unreadable)?));
    }
    Context::from_pairs(pairs).map_err(unreadable)
}

fn uid(kind: &str, id: &str) -> Result<EntityUid, Unsound> {
    let name = EntityTypeName::from_str(&format!("VettID::{kind}")).map_err(unreadable)?;
    Ok(EntityUid::from_type_name_and_id(name, EntityId::new(id)))
}

fn add(policies: &mut PolicySet, name: &str, text: &str) -> Result<(), Unsound> {
    let policy = Policy::parse(Some(PolicyId::new(name)), text).map_err(unreadable)?;
    policies.add(policy).map_err(unreadable)
}

fn unreadable(error: impl std::fmt::Display) -> Unsound {
    Unsound::Unreadable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use vettid_wire::id::ConnectionId;
    use vettid_wire::rule::EVENTS;

    #[test]
    fn without_rules_the_engine_says_what_is_said_without_it() {
        let book = RuleBook::new(EVENTS, []).unwrap();
        let now = Timestamp::from_unix_ms(1_800_000_000_000);
        let connection_id = ConnectionId::v7(now, [1; 10]);
        for event in EVENTS {
            for (asks, locked) in [(false, false), (false, true), (true, false), (true, true)] {
                let facts = Facts {
                    event_type: event.name.parse().unwrap(),
                    connection_id,
                    field: None,
                    amount: None,
                    asks,
                    locked,
                };
                let engine = book.evaluate(&facts, now, &BTreeMap::new()).unwrap();
                assert_eq!(engine, book.decide(&facts, now, &BTreeMap::new()), "{facts:?}");
            }
        }
    }
}

//! What the rules say about one event that passed its contract, and what follows. A rule can only make it narrower: an
//! event that the contract lets through is asked about or denied, one that the owner would be asked about is answered.

use super::{book, calendar, counter_key, met};
use crate::agreement::lock;
use crate::authorisation;
use crate::connection::Connection;
use crate::credential::secrets;
use crate::failure::Failure;
use crate::login;
use crate::projection::UnreadableState;
use crate::request;
use crate::step::Step;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use vettid_core::rule::Counter;
use vettid_rules::{Decided, Facts};
use vettid_wire::auth::Decision;
use vettid_wire::contract::Tier;
use vettid_wire::event::{DataRequest, EventRow, EventType, ServiceMessageSend};
use vettid_wire::id::{ConnectionId, RuleId};
use vettid_wire::json::JsonError;
use vettid_wire::rule::{self, Rule, Ruled, Verdict};

/// What the rules say about one event.
pub enum Ruling {
    /// Rules do not decide such events, or the owner already did.
    None,
    /// The same request was asked before: it gets what it got then.
    Repeated,
    /// They said this.
    Made(Box<Made>),
}

/// What the rules said.
pub struct Made {
    /// What they looked at.
    pub facts: Facts,
    decided: Decided,
    counting: Vec<Rule>,
}

/// Asks the rules about an event under its contract.
pub fn on(
    step: &mut Step<'_>,
    connection: &Connection,
    event_type: &EventType,
    body: &Value,
    tier: Option<Tier>,
) -> Result<Ruling, Failure> {
    let Some(event) = rule::find(event_type) else {
        return Ok(Ruling::None);
    };
    let asked = body.get("request_id").and_then(Value::as_str).and_then(|id| id.parse().ok());
    if let Some(id) = asked
        && request::get(&step.draft, connection.connection_id, id)?.is_some()
    {
        return Ok(Ruling::Repeated);
    }
    let terms = lock::of_event(step, connection, event_type, body)?;
    if terms.is_some_and(|(_, known)| known) {
        return Ok(Ruling::Repeated);
    }
    let mut facts = Facts::read(event, event_type.clone(), connection.connection_id, body);
    // Of a message the owner is told, and never asked.
    let is_message = event_type.as_str() == ServiceMessageSend::ROW.name;
    facts.asks = !is_message && tier.is_none_or(|tier| tier == Tier::Consent);
    facts.locked |= terms.is_some_and(|(locked, _)| locked);
    facts.locked |= login::is_locked(step, event_type, body)?;
    facts.locked |= authorisation::is_one(event_type);
    facts.locked |= names_a_secret(step, facts.field.as_deref())?;
    Ok(Ruling::Made(Box::new(made(step, facts)?)))
}

/// Asks the rules about a value that is to be sent unasked: as if the service asked for the field now.
pub fn on_push(step: &mut Step<'_>, connection_id: ConnectionId, field: &str) -> Result<Ruling, Failure> {
    let facts = Facts {
        event_type: DataRequest::ROW.event_type(),
        connection_id,
        field: Some(field.to_owned()),
        amount: None,
        asks: false,
        locked: names_a_secret(step, Some(field))?,
    };
    Ok(Ruling::Made(Box::new(made(step, facts)?)))
}

fn made(step: &mut Step<'_>, facts: Facts) -> Result<Made, Failure> {
    let Some(book) = book(step)? else {
        let decided = Decided::unknown(&facts);
        return Ok(Made { facts, decided, counting: vec![] });
    };
    let mut counted: BTreeMap<RuleId, u32> = BTreeMap::new();
    for rule in book.rules().values() {
        if let Some(met) = met(&step.draft, rule, &step.clocks)? {
            counted.insert(rule.rule_id.clone(), met);
        }
    }
    let decided = book.decide(&facts, step.now, &counted);
    let counting = decided.counting.iter().filter_map(|id| book.rules().get(id).cloned()).collect();
    Ok(Made { facts, decided, counting })
}

/// A field that goes by the name of a critical secret is never handed out by a rule.
fn names_a_secret(step: &Step<'_>, field: Option<&str>) -> Result<bool, Failure> {
    let Some(field) = field else { return Ok(false) };
    Ok(secret_fields(step)?.is_none_or(|names| names.contains(field)))
}

/// The critical secrets as fields would be named; `None` if that is not known.
pub fn secret_fields(step: &Step<'_>) -> Result<Option<BTreeSet<String>>, Failure> {
    let list = secrets::list(step)?.ok();
    Ok(list.map(|list| list.secrets.iter().map(|secret| as_field(&secret.label)).collect()))
}

/// A label as it would be written as the name of a field.
fn as_field(label: &str) -> String {
    label.trim().chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}

impl Ruling {
    /// The same where rules may not decide: what they may decide is asked about.
    #[must_use]
    pub fn asked(self) -> Self {
        if matches!(self, Self::None) { self } else { Self::Repeated }
    }

    /// The tier under which the event is handled: never a wider one.
    pub fn tier(&self, tier: Option<Tier>) -> Option<Tier> {
        let narrower = match self {
            Self::None => false,
            Self::Repeated => true,
            Self::Made(made) => matches!(made.decided.ruled.verdict, Verdict::Deny | Verdict::Ask),
        };
        if narrower { tier.map(|_| Tier::Consent) } else { tier }
    }

    /// The answer that rules give in place of the owner.
    pub fn answer(&self) -> Option<(Decision, &Ruled)> {
        let Self::Made(made) = self else { return None };
        match made.decided.ruled.verdict {
            Verdict::Allow => Some((Decision::Approve, &made.decided.ruled)),
            Verdict::Deny => Some((Decision::Deny, &made.decided.ruled)),
            Verdict::Ask | Verdict::Contract => None,
        }
    }

    /// Whether the event must not be answered without a question. A handler that does so all the same is not heard.
    pub fn objects(&self) -> bool {
        let Self::Made(made) = self else { return false };
        let Ruled { verdict, rules } = &made.decided.ruled;
        match verdict {
            Verdict::Deny => true,
            Verdict::Ask => !rules.is_empty() || !made.facts.asks,
            Verdict::Allow | Verdict::Contract => false,
        }
    }

    /// Lets the rules count the event, whatever they decided.
    pub fn count(&self, step: &mut Step<'_>) -> Result<(), UnreadableState> {
        let Self::Made(made) = self else { return Ok(()) };
        for rule in &made.counting {
            let Some(calendar) = calendar(rule) else { continue };
            let key = counter_key(&rule.rule_id);
            let counter = Counter::after(step.draft.get(&key)?, calendar, &step.clocks);
            step.draft.put(key, &counter)?;
        }
        Ok(())
    }

    /// Writes what was looked at and who decided into the detail of an audit entry.
    pub fn note(&self, detail: &mut Value) -> Result<(), JsonError> {
        if let (Some((facts, ruled)), Some(detail)) = (self.record(), detail.as_object_mut()) {
            detail.insert("facts".into(), serde_json::to_value(facts).map_err(JsonError::Shape)?);
            detail.insert("ruled".into(), serde_json::to_value(ruled).map_err(JsonError::Shape)?);
        }
        Ok(())
    }

    /// For the audit: what was looked at and who decided.
    pub fn record(&self) -> Option<(&Facts, &Ruled)> {
        let Self::Made(made) = self else { return None };
        Some((&made.facts, &made.decided.ruled))
    }
}

//! Entries of acts that tell nothing by themselves, so that every event that changed something is in the feed. What the owner
//! does in person is seen as it happens.

use super::{Note, marks};
use crate::connection;
use crate::projection::UnreadableState;
use crate::step::Step;
use serde_json::Value;
use vettid_wire::event::{self, EventType, Lane};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::id::ConnectionId;

/// Upkeep: it changes nothing that its owner has, and is in the audit chain alone (docs/decisions/0135).
const UPKEEP: &[&str] = &[
    "session.refresh",
    "credential.utk.replenish",
    "credential.challenge",
    "credential.confirm",
    "vault.lock.setup",
    "feed.tag",
    "feed.archive",
    "feed.remove",
    "feed.read",
    "messaging.receipt",
    "messaging.seen",
    "messaging.read",
    "service_message.read",
    "messaging.tidy",
    "call.answer",
    "call.candidates",
];

/// A command of the owner was carried out, and everything from `told` on was told meanwhile.
pub fn of_owner(step: &mut Step<'_>, event_type: &EventType, body: &Value, told: usize) -> Result<(), UnreadableState> {
    if step.told.len() == told && !UPKEEP.contains(&event_type.as_str()) {
        let connection = connection_of(step, body)?;
        let summary = sentence(event_type, body, connection.as_ref().map(|(_, name)| name.as_str()));
        step.tell(Note {
            event_type: event_type.clone(),
            connection_id: connection.map(|(id, _)| id),
            request_id: None,
            severity: Severity::Info,
            outcome: Outcome::Done,
            summary,
        })?;
    }
    let own = step.told.iter().skip(told).filter(|entry| entry.severity < Severity::Warning);
    own.map(|entry| entry.number).try_for_each(|number| marks::see(&mut step.draft, number))
}

/// The connection that a command names, with its name.
fn connection_of(step: &Step<'_>, body: &Value) -> Result<Option<(ConnectionId, String)>, UnreadableState> {
    let named = body.get("connection_id").and_then(Value::as_str).and_then(|id| id.parse().ok());
    let Some(id) = named else { return Ok(None) };
    Ok(connection::get(&step.draft, id)?.map(|connection| (id, connection.display_name)))
}

fn sentence(event_type: &EventType, body: &Value, name: Option<&str>) -> String {
    let field = body.get("field").and_then(Value::as_str).filter(|field| vettid_wire::data::is_field_name(field));
    match (event_type.as_str(), field, name) {
        ("data.set", Some(field), _) => format!("You stored your {field}"),
        ("data.remove", Some(field), _) => format!("You removed your {field}"),
        ("messaging.send", _, Some(name)) => format!("You wrote to {name}"),
        ("messaging.remove", _, Some(name)) => format!("You removed a message with {name}"),
        ("messaging.react", _, Some(name)) => format!("You reacted to a message with {name}"),
        ("messaging.settings", _, Some(name)) => format!("You changed what holds for your messages with {name}"),
        ("service_message.remove", _, Some(name)) => format!("You removed a message of {name}"),
        ("service_message.mute", _, Some(name)) => {
            format!("You changed whether messages of {name} come with a notification")
        }
        ("call.settings", _, Some(name)) => format!("You changed whether {name} may ring"),
        ("call.settings", ..) => "You changed when nobody may ring".to_owned(),
        ("connection.label", _, Some(name)) => format!("You changed your own name for {name}"),
        ("connection.tag", _, Some(name)) => format!("You changed your tags of {name}"),
        ("stored.delete", _, Some(name)) => format!("You deleted something that {name} had stored with you"),
        ("vault.lock", ..) => "You locked your vault".to_owned(),
        ("vault.lock.auto", ..) => "You changed when your vault locks itself".to_owned(),
        ("grant.use", ..) => "A secret was used under a grant".to_owned(),
        ("grant.end", ..) => "You ended a grant".to_owned(),
        ("feed.policy", ..) => "You changed what happens to old entries of your feed".to_owned(),
        (_, _, name) => described(event_type, name),
    }
}

/// What the row says of the event.
fn described(event_type: &EventType, name: Option<&str>) -> String {
    let what =
        event::find(Lane::Owner, event_type).map_or(event_type.as_str(), |row| row.summary.trim_end_matches('.'));
    match name {
        Some(name) => format!("{name}: {what}"),
        None => format!("Your command: {what}"),
    }
}

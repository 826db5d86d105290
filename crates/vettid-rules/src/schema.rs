//! The Cedar schema of the rules, made from the catalogue of events. Each event has two actions: to consider it at all,
//! and to answer it without the owner.

use vettid_wire::rule::RuledEvent;

/// Group of every action that asks whether the event may be looked at.
pub(crate) const CONSIDER: &str = "consider";
/// Group of every action that asks whether the vault may answer yes by itself.
pub(crate) const ANSWER: &str = "answer";

/// The action of a group for one event.
pub(crate) fn action(group: &str, event: &str) -> String {
    format!("{group} {event}")
}

/// The schema in Cedar's own language.
pub(crate) fn text(events: &[RuledEvent]) -> String {
    let mut text = format!(
        "namespace VettID {{\n  entity Connection;\n  entity Counted tags Long;\n  entity Request = {{ locked: Bool }};\n  \
         action \"{CONSIDER}\", \"{ANSWER}\";\n"
    );
    for event in events {
        text += &actions(event);
    }
    text + "}\n"
}

fn actions(event: &RuledEvent) -> String {
    let name = event.name;
    let mut context = "now: datetime, counted: Counted".to_owned();
    if event.field_at.is_some() {
        context += ", field?: String";
    }
    if event.amount_at.is_some() {
        context += ", amount?: { currency: String, value: decimal }";
    }
    let one = |group| {
        let action = action(group, name);
        format!(
            "  action \"{action}\" in [\"{group}\", \"{name}\"] appliesTo {{ principal: Connection, resource: Request, \
             context: {{ {context} }} }};\n"
        )
    };
    format!("  action \"{name}\";\n{}{}", one(CONSIDER), one(ANSWER))
}

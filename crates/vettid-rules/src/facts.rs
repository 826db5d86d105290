//! What rules may look at of one event. Values of the owner are not among it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use vettid_wire::data::is_field_name;
use vettid_wire::event::EventType;
use vettid_wire::id::ConnectionId;
use vettid_wire::rule::{Amount, RuledEvent};

/// One event that passed keys, row, time, contract and rate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Its type.
    pub event_type: EventType,
    /// Whose it is.
    pub connection_id: ConnectionId,
    /// The field that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The amount that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
    /// Whether the owner is asked where no rule says anything; otherwise the contract lets it through.
    pub asks: bool,
    /// Whether it touches what only the owner may open: then no rule answers yes.
    pub locked: bool,
}

impl Facts {
    /// Reads what rules look at from the body of an event. A body whose field or amount cannot be read is locked.
    #[must_use]
    pub fn read(event: &RuledEvent, event_type: EventType, connection_id: ConnectionId, body: &Value) -> Self {
        let text = |at: &str| body.pointer(at).and_then(Value::as_str);
        let field = event.field_at.map(|at| text(at).filter(|name| is_field_name(name)).map(str::to_owned));
        let amount = event.amount_at.map(|(amount, currency)| {
            Some(Amount { amount: text(amount)?.parse().ok()?, currency: text(currency)?.parse().ok()? })
        });
        let unreadable = field == Some(None) || amount == Some(None);
        Self {
            event_type,
            connection_id,
            field: field.flatten(),
            amount: amount.flatten(),
            asks: true,
            locked: unreadable,
        }
    }
}

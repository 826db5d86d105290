//! The events that rules can decide, one row each: those that the owner would be asked about, or that a contract lets through.

use crate::event::{self, EventRow, EventType};

/// One kind of event as rules see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuledEvent {
    /// Its event type.
    pub name: &'static str,
    /// What it is called in a sentence.
    pub noun: &'static str,
    /// Where its body names a field, as a JSON pointer.
    pub field_at: Option<&'static str>,
    /// Where its body has an amount and its currency, as JSON pointers.
    pub amount_at: Option<(&'static str, &'static str)>,
}

/// Every event that rules can decide.
pub const EVENTS: &[RuledEvent] = &[
    RuledEvent { name: event::AuthChallenge::ROW.name, noun: "login", field_at: None, amount_at: None },
    RuledEvent { name: event::DataRequest::ROW.name, noun: "data request", field_at: Some("/field"), amount_at: None },
    RuledEvent { name: event::RequestTerms::ROW.name, noun: "request", field_at: None, amount_at: AMOUNT_OF_TERMS },
    RuledEvent {
        name: event::TransactionTerms::ROW.name,
        noun: "transaction",
        field_at: None,
        amount_at: AMOUNT_OF_TERMS,
    },
    RuledEvent { name: event::PaymentRequest::ROW.name, noun: "payment", field_at: None, amount_at: AMOUNT_ASKED },
    RuledEvent {
        name: event::TransactionRequest::ROW.name,
        noun: "authorisation",
        field_at: None,
        amount_at: AMOUNT_ASKED,
    },
    RuledEvent { name: event::ConsentRequest::ROW.name, noun: "consent", field_at: None, amount_at: None },
    RuledEvent { name: event::DocumentSign::ROW.name, noun: "signature", field_at: None, amount_at: None },
    RuledEvent { name: event::IdentityVerify::ROW.name, noun: "proof", field_at: None, amount_at: None },
    RuledEvent { name: event::ServiceMessageSend::ROW.name, noun: "message", field_at: None, amount_at: None },
    RuledEvent { name: event::DataStore::ROW.name, noun: "storage", field_at: None, amount_at: None },
];

/// What services want paid. No rule approves it all the same: the password is wanted.
const AMOUNT_ASKED: Option<(&str, &str)> = Some(("/amount/value", "/amount/currency"));

/// Terms about anything but money have none, so no rule can approve them.
const AMOUNT_OF_TERMS: Option<(&str, &str)> = Some(("/terms/money/amount", "/terms/money/currency"));

/// The row of an event type; `None` means that no rule can decide it.
#[must_use]
pub fn find(event_type: &EventType) -> Option<&'static RuledEvent> {
    EVENTS.iter().find(|event| event.name == event_type.as_str())
}

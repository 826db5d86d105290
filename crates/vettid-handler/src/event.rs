//! What a handler is given: the event, where it came from, and what the vault has already checked about it.

use vettid_wire::auth::Decision;
use vettid_wire::base64::Base64Url;
use vettid_wire::contract::{Permission, Tier};
use vettid_wire::event::{self, EventType, Lane, Row};
use vettid_wire::id::{ConnectionId, EventId, ServiceId};
use vettid_wire::time::Timestamp;

/// One opened event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Everything but the body.
    pub context: Context,
    /// The body: canonical JSON of the row's request type, at most the row's cap.
    pub payload: Vec<u8>,
}

/// Everything that the vault vouches for about an event. A handler believes this, never the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// Names the event; the same over redeliveries.
    pub event_id: EventId,
    /// What it is.
    pub event_type: EventType,
    /// Where it came from, and with it its authority.
    pub lane: Lane,
    /// The vault's clock when it took up the event (again); a handler has no other clock.
    pub occurred_at: Timestamp,
    /// Who sent it; `None` for the owner.
    pub peer: Option<Peer>,
    /// What became of the question that the handler asked, when the event waited for the owner.
    pub answer: Option<Answer>,
}

/// The sender of an event on an active connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The connection.
    pub connection_id: ConnectionId,
    /// Its name as the owner sees it.
    pub display_name: String,
    /// The contract side of it; `None` for another member.
    pub service: Option<Service>,
}

/// A connected service and what its contract gave this event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The service.
    pub service_id: ServiceId,
    /// Hash of the contract in force.
    pub contract_hash: Base64Url,
    /// What the contract allows beside reading fields.
    pub permissions: Vec<Permission>,
    /// The sites of the service's signed profile on which it may ask for a login.
    pub origins: Vec<String>,
    /// The tier under which the field that this event names is handed out, after contract, acceptance and rate were
    /// checked; `None` when the event names no field.
    pub tier: Option<Tier>,
}

/// What became of a question to the owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The owner decided.
    Decided(Decided),
    /// Nobody answered before the question expired; it counts as denied.
    Expired,
}

/// The owner's decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// Yes or no.
    pub decision: Decision,
    /// When the owner decided, by the vault's clock.
    pub decided_at: Timestamp,
    /// How the vault recognised the owner (RFC 8176 values, such as `user` or `pwd`).
    pub method: Vec<String>,
}

impl Context {
    /// The connected service that sent the event, if a service did.
    #[must_use]
    pub fn service(&self) -> Option<(&Peer, &Service)> {
        let peer = self.peer.as_ref()?;
        Some((peer, peer.service.as_ref()?))
    }
}

/// The row on which a reply to a connection or a service travels: `data.response` answers `data.request`,
/// `auth.response` answers `auth.challenge`. `None` where the wire has no such event.
#[must_use]
pub fn answer_row(lane: Lane, event_type: &EventType) -> Option<&'static Row> {
    let back = match lane {
        Lane::Service => Lane::Member,
        Lane::Connection => Lane::Connection,
        _ => return None,
    };
    let noun = event_type.as_str().split('.').next()?;
    event::find(back, &format!("{noun}.response").parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_answered_on_rows_of_the_member_lane() {
        let answer = |lane, name: &str| answer_row(lane, &name.parse().unwrap()).map(|row| row.name);
        assert_eq!(answer(Lane::Service, "data.request"), Some("data.response"));
        assert_eq!(answer(Lane::Service, "auth.challenge"), Some("auth.response"));
        assert_eq!(answer(Lane::Service, "connection.ready"), None);
        assert_eq!(answer(Lane::Connection, "messaging.text"), None);
        assert_eq!(answer(Lane::Owner, "data.get"), None);
    }
}

//! What is fixed about one event type on one lane: its origin, how it travels and where it arrives. Knows no single event.

use super::EventType;
use crate::id::{ConnectionId, MemberId};
use crate::subject::{Pattern, Subject};
use serde::{Deserialize, Serialize};

/// Where an event comes from and whom it reaches. The authority of an event is its lane, never its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// App to vault before a session exists: handshake messages.
    Bootstrap,
    /// App to vault inside a session: commands of the owner.
    Owner,
    /// Vault to app, unasked.
    App,
    /// Holder of an invitation to vault or service: handshake messages.
    Invite,
    /// A connected member's vault to a vault.
    Connection,
    /// A connected service to a vault.
    Service,
    /// A connected member's vault to a service.
    Member,
    /// Vault (through its host) to services.
    Services,
}

impl Lane {
    /// Every lane.
    pub const ALL: [Self; 8] = [
        Self::Bootstrap,
        Self::Owner,
        Self::App,
        Self::Invite,
        Self::Connection,
        Self::Service,
        Self::Member,
        Self::Services,
    ];
}

/// How an event travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Captured by the receiver's inbox stream and acknowledged after the receiver's commit.
    Durable,
    /// Core NATS: whoever listens now.
    BestEffort,
}

/// Everything that is fixed about one event type on one lane.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Name, such as `data.request`.
    pub name: &'static str,
    /// Origin and authority.
    pub lane: Lane,
    /// Durable or best effort.
    pub delivery: Delivery,
    /// Interactive events are refused later than this many milliseconds after their timestamp.
    pub within_ms: Option<i64>,
    /// Largest plaintext in bytes.
    pub cap_bytes: usize,
    /// What it is for, one line.
    pub summary: &'static str,
}

impl Row {
    /// The name as a checked type.
    #[must_use]
    pub fn event_type(&self) -> EventType {
        EventType(self.name.to_owned())
    }

    /// Whether its events travel on the subjects of calls.
    #[must_use]
    pub fn is_call(&self) -> bool {
        self.lane == Lane::Connection && self.name.starts_with("call.")
    }

    /// The subject on which an event of this row reaches one peer of a connection.
    #[must_use]
    pub fn to_peer(&self, peer: MemberId, connection: ConnectionId) -> Subject {
        if self.is_call() {
            Subject::Call(peer, connection, self.event_type())
        } else {
            Subject::ForOwner(peer, connection, self.event_type())
        }
    }

    /// The subjects on which events of this row reach any vault, for streams and subscriptions of a host.
    #[must_use]
    pub fn arrival(&self) -> Option<Pattern> {
        let event = Some(self.event_type());
        match self.lane {
            Lane::Bootstrap | Lane::Owner => Some(Pattern::ForVault(None, event)),
            Lane::Invite => Some(Pattern::Invite(None, None)),
            Lane::Connection if self.is_call() => Some(Pattern::Call(None, None, event)),
            Lane::Connection | Lane::Member => Some(Pattern::ForOwner(None, None, event)),
            Lane::Service => Some(Pattern::FromService(None, None, event)),
            Lane::Services => Some(Pattern::ForServices(None, event)),
            Lane::App => None,
        }
    }
}

//! Which events a receiver gets by which way, from the event rows: the durable ones through its inbox stream, the
//! others by subscription. Must never list a subject in both ways: the event would run twice.

use vettid_wire::event::{Delivery, Lane, ROWS};
use vettid_wire::id::MemberId;
use vettid_wire::subject::{Pattern, message_space};

/// Who receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Receiver {
    /// A vault, or the host of many.
    Vault,
    /// A service.
    Service,
}

impl Receiver {
    /// The lanes whose events reach this receiver.
    #[must_use]
    pub fn lanes(self) -> &'static [Lane] {
        match self {
            Self::Vault => &[Lane::Bootstrap, Lane::Owner, Lane::Invite, Lane::Connection, Lane::Service],
            Self::Service => &[Lane::Invite, Lane::Member],
        }
    }

    /// The subjects of its durable events, of every member: the subjects of its inbox stream.
    #[must_use]
    pub fn durable(self) -> Vec<Pattern> {
        self.arrivals(Delivery::Durable)
    }

    /// The subjects of its other events, of every member: its subscriptions. The owner's lane is taken as a whole where
    /// no row of it is durable, so that an unknown command can be refused by name.
    #[must_use]
    pub fn best_effort(self) -> Vec<Pattern> {
        let owner_lane = Pattern::ForVault(None, None);
        let whole =
            self == Self::Vault && !self.durable().iter().any(|pattern| matches!(pattern, Pattern::ForVault(..)));
        let rest = self.arrivals(Delivery::BestEffort).into_iter();
        if !whole {
            return rest.collect();
        }
        std::iter::once(owner_lane).chain(rest.filter(|pattern| !matches!(pattern, Pattern::ForVault(..)))).collect()
    }

    fn arrivals(self, delivery: Delivery) -> Vec<Pattern> {
        let rows = ROWS.iter().filter(|row| self.lanes().contains(&row.lane) && row.delivery == delivery);
        let mut patterns = Vec::new();
        for pattern in rows.filter_map(vettid_wire::event::Row::arrival) {
            if !patterns.contains(&pattern) {
                patterns.push(pattern);
            }
        }
        patterns
    }
}

/// The same subjects for one member alone.
#[must_use]
pub fn of_member(pattern: Pattern, member: MemberId) -> Pattern {
    let guid = Some(member);
    match pattern {
        Pattern::ForVault(_, event) => Pattern::ForVault(guid, event),
        Pattern::ForApp(_, event) => Pattern::ForApp(guid, event),
        Pattern::AppInbox(_, device) => Pattern::AppInbox(guid, device),
        Pattern::EventTypes(_) => Pattern::EventTypes(guid),
        Pattern::ForServices(_, event) => Pattern::ForServices(guid, event),
        Pattern::ForOwner(_, connection, event) => Pattern::ForOwner(guid, connection, event),
        Pattern::Invite(_, invite) => Pattern::Invite(guid, invite),
        Pattern::FromService(_, service, event) => Pattern::FromService(guid, service, event),
        Pattern::OwnerProfile(_) => Pattern::OwnerProfile(guid),
        Pattern::OwnerProfileGet(_) => Pattern::OwnerProfileGet(guid),
        Pattern::PeerInbox(_, name) => Pattern::PeerInbox(guid, name),
        Pattern::Call(_, connection, event) => Pattern::Call(guid, connection, event),
        Pattern::ControlUser(_) => Pattern::ControlUser(guid),
        Pattern::Journal(_) => Pattern::Journal(guid),
        same @ (Pattern::ControlGlobal
        | Pattern::ControlEnclave(_)
        | Pattern::Broadcast
        | Pattern::Directory
        | Pattern::One(_)) => same,
    }
}

/// All durable events of one member, for a consumer that serves it. One pattern, not one for each row: a server compares
/// the patterns of a consumer with each other, and nine thousand of them keep it busy for seconds.
#[must_use]
pub fn durable_of_member(member: MemberId) -> String {
    format!("{}.>", message_space(member))
}

/// Last values: what the stream [`Profiles`](super::broker::Stream::Profiles) keeps.
#[must_use]
pub fn last_values() -> Vec<Pattern> {
    vec![Pattern::OwnerProfile(None), Pattern::EventTypes(None)]
}

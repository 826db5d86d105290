//! What arrives at a host for one of its vaults: from the inbox, where it is kept until the vault is done with it, or by best effort.

use super::LATER;
use super::actor::Work;
use super::turns::Turn;
use bytes::Bytes;
use vettid_nats::inbox::InboxMessage;
use vettid_wire::subject::Subject;

/// An event for a vault.
#[derive(Debug)]
pub(super) enum Arrival {
    /// The inbox has it until it is acknowledged.
    Durable(Box<InboxMessage>),
    /// Nobody else has it. Whoever misses an answer asks again.
    BestEffort(Subject, Bytes),
}

impl Arrival {
    /// Where it was sent.
    pub(super) fn subject(&self) -> &Subject {
        match self {
            Self::Durable(message) => &message.subject,
            Self::BestEffort(subject, _) => subject,
        }
    }

    /// As something to do in the turn of its service.
    pub(super) fn into_work(self, turn: Option<Turn>) -> Work {
        match self {
            Self::Durable(message) => Work::Durable(message, turn),
            Self::BestEffort(subject, bytes) => Work::BestEffort(subject, bytes, turn),
        }
    }

    /// What a vault had no room for.
    pub(super) fn of_refused(work: Work) -> Option<Self> {
        match work {
            Work::Durable(message, _) => Some(Self::Durable(message)),
            Work::BestEffort(subject, bytes, _) => Some(Self::BestEffort(subject, bytes)),
            _ => None,
        }
    }

    /// It comes again a little later: by itself if it is durable, and otherwise when it is asked again.
    pub(super) async fn put_off(self) {
        if let Self::Durable(message) = self
            && let Err(error) = message.later(LATER).await
        {
            tracing::warn!(%error, "an event was not put off and will come again");
        }
    }
}

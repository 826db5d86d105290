//! Which of two credentials for the same user is the newer one. Tokens tell their end in whole seconds, and after a change of signing
//! keys two of them may be signed within one second: then the event that brought the newer one decides. Must never prefer
//! one that ends earlier: what arrives late, or is sent again, takes the place of nothing.

use vettid_wire::id::EventId;
use vettid_wire::time::Timestamp;

/// What orders the credentials that one side of a connection issues for the other; the greater one is newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Standing {
    /// When it ends; `None` for one that is not taken any more, or for none at all.
    pub expires_at: Option<Timestamp>,
    /// The event that brought it, which names its time in milliseconds; `None` for the one of the handshake.
    pub event: Option<EventId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(seconds: i64, event_ms: Option<i64>) -> Standing {
        let at = Timestamp::from_unix_ms;
        Standing { expires_at: Some(at(seconds * 1000)), event: event_ms.map(|ms| EventId::v7(at(ms), [7; 10])) }
    }

    #[test]
    fn the_later_end_is_newer_and_within_a_second_the_later_event() {
        let handshake = standing(100, None);
        let in_the_same_second = standing(100, Some(100_400));
        let still = standing(100, Some(100_900));
        let a_second_later = standing(101, Some(100_100));
        let order = [handshake, in_the_same_second, still, a_second_later];
        assert!(order.is_sorted_by(|before, after| before < after), "{order:?}");
        let over = Standing { expires_at: None, ..still };
        assert!(over < handshake && still <= still);
    }
}

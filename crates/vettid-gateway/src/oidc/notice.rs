//! What clients are told behind the browser's back: that a session has ended, that a member decided. Kept until the client
//! has it, or it is of no use any more. Values alone; nothing here sends.

use serde::{Deserialize, Serialize};
use vettid_wire::time::Timestamp;

/// The first pause after a notice that was not taken, in milliseconds; each further one is twice as long.
const FIRST_PAUSE_MS: i64 = 1_000;
/// Longest pause, in milliseconds.
const LONGEST_PAUSE_MS: i64 = 600_000;

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Told {
    /// A session has ended (OpenID Connect Back-Channel Logout).
    Logout {
        /// The client.
        client_id: String,
        /// The member, as this client knows it.
        subject: String,
        /// The session.
        sid: String,
    },
    /// A member decided (CIBA, ping).
    Ping {
        /// The question, as the client knows it.
        auth_req_id: String,
        /// What the client recognises the provider by.
        token: String,
    },
}

/// A notice on its way, by its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Notice {
    /// Where to.
    pub address: String,
    /// What.
    pub told: Told,
    /// How often it was tried in vain.
    pub attempts: u32,
    /// Not before.
    pub next_at: Timestamp,
    /// Of no use afterwards.
    pub give_up_at: Timestamp,
}

impl Notice {
    /// A notice that is due now.
    pub(super) fn new(now: Timestamp, address: &str, told: Told, give_up_at: Timestamp) -> Self {
        Self { address: address.to_owned(), told, attempts: 0, next_at: now, give_up_at }
    }

    /// It was not taken; `false` if it is given up.
    pub(super) fn in_vain(&mut self, now: Timestamp) -> bool {
        let pause = FIRST_PAUSE_MS.saturating_mul(1 << self.attempts.min(20)).min(LONGEST_PAUSE_MS);
        self.attempts = self.attempts.saturating_add(1);
        self.next_at = now.plus_ms(pause);
        self.next_at <= self.give_up_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let at = |ms: i64| Timestamp::from_unix_ms(1_800_000_000_000 + ms);
        let told = Told::Ping { auth_req_id: "a".to_owned(), token: "t".to_owned() };
        let mut notice = Notice::new(at(0), "https://shop.example/ping", told, at(4_000_000));
        let mut pauses = Vec::new();
        let mut now = at(0);
        while notice.in_vain(now) {
            pauses.push(notice.next_at.since_ms(now) / 1000);
            now = notice.next_at;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600, 600]);
    }
}

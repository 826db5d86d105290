//! What clients are told behind the browser's back: that a session has ended, that a member decided. Kept until the client
//! has it, or it is of no use any more. Values alone; nothing here sends.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
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
        /// The session, as this client knows it.
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

/// What is to be sent now: of each address that is not busy the notice that has been due for longest, at most `most`.
pub(super) fn due<'a>(
    all: impl Iterator<Item = (&'a String, &'a Notice)>,
    now: Timestamp,
    busy: &HashSet<String>,
    most: usize,
) -> Vec<(String, Notice)> {
    let mut first: BTreeMap<&str, (&String, &Notice)> = BTreeMap::new();
    for (id, notice) in all.filter(|(_, notice)| notice.next_at <= now && !busy.contains(&notice.address)) {
        let place = first.entry(&notice.address).or_insert((id, notice));
        if notice.next_at < place.1.next_at {
            *place = (id, notice);
        }
    }
    let mut due: Vec<_> = first.into_values().collect();
    due.sort_by_key(|(_, notice)| notice.next_at);
    due.into_iter().take(most).map(|(id, notice)| (id.clone(), notice.clone())).collect()
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

    #[test]
    fn each_address_has_one_at_a_time_and_the_oldest_goes_first() {
        let at = |ms: i64| Timestamp::from_unix_ms(1_800_000_000_000 + ms);
        let notice = |address: &str, due_ms: i64| Notice {
            next_at: at(due_ms),
            ..Notice::new(at(0), address, Told::Ping { auth_req_id: String::new(), token: String::new() }, at(9_000))
        };
        let all = [
            ("1", notice("shop", 40)),
            ("2", notice("shop", 20)),
            ("3", notice("bank", 10)),
            ("4", notice("clinic", 30)),
            ("5", notice("later", 51)),
        ]
        .map(|(id, notice)| (id.to_owned(), notice));
        let ids = |busy: &[&str], most| {
            let busy = busy.iter().map(|one| (*one).to_owned()).collect();
            let due = due(all.iter().map(|(id, notice)| (id, notice)), at(50), &busy, most);
            due.into_iter().map(|(id, _)| id).collect::<Vec<_>>().concat()
        };
        assert_eq!(ids(&[], 9), "324");
        assert_eq!(ids(&["bank", "clinic"], 9), "2");
        assert_eq!(ids(&[], 2), "32");
    }
}

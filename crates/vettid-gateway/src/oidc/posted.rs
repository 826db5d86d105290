//! Requests that a browser brought in a form of another site. Its cookie does not come along with such a form, so each waits here
//! until the browser comes again by a GET. In memory alone. Pure. Each counts once, and not for long.

use super::form::Parameters;
use super::handle::HandleHash;
use std::collections::HashMap;
use vettid_wire::time::Timestamp;

/// A request waits this long for its browser, in milliseconds.
const LIFE_MS: i64 = 60_000;
/// Most requests that wait, and most bytes of all of them.
const MOST: usize = 10_000;
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// A request that waits for its browser.
#[derive(Debug)]
struct Waiting {
    parameters: Parameters,
    expires_at: Timestamp,
}

/// All that wait, by the hash of their reference.
#[derive(Debug, Default)]
pub(super) struct Posted {
    all: HashMap<HandleHash, Waiting>,
    bytes: usize,
}

impl Posted {
    /// Keeps a request; `false` if too many wait.
    pub(super) fn add(&mut self, now: Timestamp, reference: HandleHash, parameters: Parameters) -> bool {
        let bytes = parameters.bytes();
        if !self.has_room(bytes) {
            self.all.retain(|_, waiting| now <= waiting.expires_at);
            self.bytes = self.all.values().map(|waiting| waiting.parameters.bytes()).sum();
        }
        let has_room = self.has_room(bytes);
        if has_room {
            self.bytes = self.bytes.saturating_add(bytes);
            self.all.insert(reference, Waiting { parameters, expires_at: now.plus_ms(LIFE_MS) });
        }
        has_room
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.all.len() < MOST && self.bytes.saturating_add(bytes) <= MOST_BYTES
    }

    /// Takes a request out, once.
    pub(super) fn take(&mut self, now: Timestamp, reference: &str) -> Option<Parameters> {
        let waiting = self.all.remove(&HandleHash::of(reference))?;
        self.bytes = self.bytes.saturating_sub(waiting.parameters.bytes());
        (now <= waiting.expires_at).then_some(waiting.parameters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_800_000_000_000 + second * 1000)
    }

    #[test]
    fn a_request_counts_once_and_not_for_long() {
        let (mut posted, request) = (Posted::default(), Parameters::read(b"a=1&b=2").unwrap());
        for reference in ["a", "b"] {
            assert!(posted.add(at(0), HandleHash::of(reference), request.clone()));
        }
        assert_eq!(posted.take(at(60), "a"), Some(request));
        assert_eq!(posted.take(at(60), "a"), None, "a second time");
        assert_eq!(posted.take(at(61), "b"), None, "too late");
        assert_eq!(posted.bytes, 0);
    }

    #[test]
    fn what_waits_has_a_bound_and_what_is_over_makes_room() {
        let large = Parameters::read(format!("a={}", "x".repeat(MOST_BYTES / 2)).as_bytes()).unwrap();
        let mut posted = Posted::default();
        assert!(posted.add(at(0), HandleHash::of("a"), large.clone()));
        assert!(!posted.add(at(1), HandleHash::of("b"), large.clone()));
        assert!(posted.add(at(61), HandleHash::of("b"), large));
        let small = Parameters::read(b"a=1").unwrap();
        let mut posted = Posted::default();
        assert!((0..MOST).all(|number| posted.add(at(0), HandleHash::of(&number.to_string()), small.clone())));
        assert!(!posted.add(at(1), HandleHash::of("x"), small));
    }
}

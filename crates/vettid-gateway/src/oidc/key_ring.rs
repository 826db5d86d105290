//! The keys that sign ID tokens: one signs, the next one is published before it does, the last one stays until what it
//! signed is over. Pure; the shell makes the keys and stores them before they are published.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use vettid_crypto::jose::{KeyFailed, NotGenuine, TokenKey};
use vettid_crypto::stored;
use vettid_wire::time::Timestamp;

/// A key is published this long before it signs, in milliseconds (1 day): longer than anybody may keep the old set.
const AHEAD_MS: i64 = 24 * 3600 * 1000;
/// How long others may keep the set of keys, in seconds.
pub(super) const KEEP_SECONDS: u32 = 3600;

/// One key. `Serialize` is for the sealed state alone.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RingKey {
    /// The key.
    #[serde(with = "stored")]
    key: TokenKey,
    /// It signs from then on, until the next one does.
    signs_from: Timestamp,
}

/// The keys, oldest first. `Serialize` is for the sealed state alone.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct KeyRing {
    keys: Vec<RingKey>,
}

impl KeyRing {
    /// When a key that has to be made now begins to sign; `None`: nothing is due.
    pub(super) fn due(&self, now: Timestamp, life_ms: i64) -> Option<Timestamp> {
        let Some(last) = self.keys.last() else {
            return Some(now);
        };
        let next = last.signs_from.plus_ms(life_ms);
        // After a long stop the next key still is published for a day before it signs.
        (now >= next.plus_ms(-AHEAD_MS)).then(|| next.max(now.plus_ms(AHEAD_MS)))
    }

    /// Takes a key in.
    pub(super) fn add(&mut self, key: TokenKey, signs_from: Timestamp) {
        self.keys.push(RingKey { key, signs_from });
    }

    /// Drops keys whose last token is over; whether there were any. `token_life_ms`: longest life of a token.
    pub(super) fn drop_dead(&mut self, now: Timestamp, token_life_ms: i64) -> bool {
        let ended: Vec<Timestamp> =
            self.keys.iter().skip(1).map(|next| next.signs_from.plus_ms(token_life_ms)).collect();
        let dead = ended.iter().take_while(|end| **end < now).count();
        self.keys.drain(..dead);
        dead > 0
    }

    /// The key that signs now.
    fn signer(&self, now: Timestamp) -> Result<&TokenKey, KeyFailed> {
        let signing = self.keys.iter().rev().find(|ring| ring.signs_from <= now);
        signing.or(self.keys.first()).map(|ring| &ring.key).ok_or(KeyFailed)
    }

    /// Signs claims.
    pub(super) fn sign(&self, now: Timestamp, kind: &str, claims: &impl Serialize) -> Result<String, KeyFailed> {
        self.signer(now)?.sign(kind, claims)
    }

    /// Opens a token that one of the keys signed. Its times and audience are still to be checked.
    pub(super) fn open(&self, kind: &str, token: &str) -> Result<serde_json::Map<String, Value>, NotGenuine> {
        self.keys.iter().find_map(|ring| ring.key.open(kind, token).ok()).ok_or(NotGenuine)
    }

    /// The set of public keys (RFC 7517).
    pub(super) fn jwks(&self) -> Result<Value, KeyFailed> {
        let keys: Result<Vec<Value>, KeyFailed> = self.keys.iter().map(|ring| ring.key.public_jwk()).collect();
        Ok(json!({ "keys": keys? }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 24 * 3600 * 1000;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_800_000_000_000).plus_ms(day * DAY_MS)
    }

    fn named(jwks: &Value) -> Vec<String> {
        jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_next_key_is_published_before_it_signs_and_the_last_one_stays() {
        let mut ring = KeyRing::default();
        assert_eq!(ring.due(at(0), 90 * DAY_MS), Some(at(0)));
        ring.add(TokenKey::generate().unwrap(), at(0));
        assert_eq!(ring.due(at(88), 90 * DAY_MS), None);
        assert_eq!(ring.due(at(89), 90 * DAY_MS), Some(at(90)));
        let old = ring.sign(at(89), "JWT", &json!({"n": 1})).unwrap();
        ring.add(TokenKey::generate().unwrap(), at(90));
        let published = named(&ring.jwks().unwrap());
        assert_eq!(published.len(), 2);
        let kid = |token: &str| {
            let head = vettid_wire::base64::decode_url(token.split('.').next().unwrap()).unwrap();
            serde_json::from_slice::<Value>(&head).unwrap()["kid"].as_str().unwrap().to_owned()
        };
        assert_eq!(kid(&ring.sign(at(89), "JWT", &json!({})).unwrap()), published[0], "the next one does not sign yet");
        assert_eq!(kid(&ring.sign(at(90), "JWT", &json!({})).unwrap()), published[1]);
        assert!(!ring.drop_dead(at(90), DAY_MS));
        assert!(ring.open("JWT", &old).is_ok());
        assert!(ring.drop_dead(at(92), DAY_MS));
        assert!(ring.open("JWT", &old).is_err());
        assert_eq!(named(&ring.jwks().unwrap()), published[1..]);
    }

    #[test]
    fn after_a_long_stop_a_key_is_still_published_ahead() {
        let mut ring = KeyRing::default();
        ring.add(TokenKey::generate().unwrap(), at(0));
        assert_eq!(ring.due(at(400), 90 * DAY_MS), Some(at(401)));
        assert!(ring.sign(at(400), "JWT", &json!({})).is_ok());
    }

    #[test]
    fn a_stored_ring_is_the_same_ring() {
        let mut ring = KeyRing::default();
        ring.add(TokenKey::generate().unwrap(), at(0));
        let back: KeyRing = serde_json::from_str(&serde_json::to_string(&ring).unwrap()).unwrap();
        assert_eq!(back.jwks().unwrap(), ring.jwks().unwrap());
    }
}

//! The keys that sign ID tokens: one signs, the next one is published before it does, the last one stays until what it
//! signed is over. After that its public half still tells which older tokens are genuine, where a client shows one to name a
//! member. Pure; the shell makes the keys and stores them before they are published.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use vettid_crypto::jose::{KeyFailed, NotGenuine, RetiredKey, TokenKey};
use vettid_crypto::stored;
use vettid_wire::time::Timestamp;

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

/// The public half of a key that signs no more and is published no more.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Retired {
    key: RetiredKey,
    /// Forgotten then.
    until: Timestamp,
}

/// The keys, oldest first. `Serialize` is for the sealed state alone.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct KeyRing {
    keys: Vec<RingKey>,
    #[serde(default)]
    retired: Vec<Retired>,
}

/// How long keys count, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyLives {
    /// A key signs for so long.
    pub signs_ms: i64,
    /// It is published for so long before that.
    pub ahead_ms: i64,
    /// Longest life of a token that it signs.
    pub token_ms: i64,
    /// What it signed names a member for so long after its last signature.
    pub hint_ms: i64,
}

impl KeyRing {
    /// When a key that has to be made now begins to sign; `None`: nothing is due.
    pub(super) fn due(&self, now: Timestamp, lives: KeyLives) -> Option<Timestamp> {
        let Some(last) = self.keys.last() else {
            return Some(now);
        };
        let next = last.signs_from.plus_ms(lives.signs_ms);
        // After a long stop the next key still is published for a day before it signs.
        (now >= next.plus_ms(-lives.ahead_ms)).then(|| next.max(now.plus_ms(lives.ahead_ms)))
    }

    /// Takes a key in.
    pub(super) fn add(&mut self, key: TokenKey, signs_from: Timestamp) {
        self.keys.push(RingKey { key, signs_from });
    }

    /// Retires keys whose last token is over, and forgets retired ones of which no hint counts any more; whether there were any.
    pub(super) fn retire(&mut self, now: Timestamp, lives: KeyLives) -> bool {
        let last_signatures: Vec<Timestamp> = self.keys.iter().skip(1).map(|next| next.signs_from).collect();
        let over = last_signatures.iter().take_while(|last| last.plus_ms(lives.token_ms) < now).count();
        let kept_before = self.retired.len();
        self.retired.retain(|retired| now <= retired.until);
        let forgotten = kept_before > self.retired.len();
        for (ring, last) in self.keys.drain(..over).zip(last_signatures) {
            self.retired.push(Retired { key: ring.key.retired(), until: last.plus_ms(lives.hint_ms) });
        }
        over > 0 || forgotten
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

    /// Opens an ID token that one of the keys signed, also one that signs no more: it may be over, and names a member or a
    /// session. Its audience is still to be checked.
    pub(super) fn open_hint(&self, token: &str) -> Result<serde_json::Map<String, Value>, NotGenuine> {
        let present = self.keys.iter().find_map(|ring| ring.key.open("JWT", token).ok());
        let former = || self.retired.iter().find_map(|retired| retired.key.open("JWT", token).ok());
        present.or_else(former).ok_or(NotGenuine)
    }

    /// The set of public keys (RFC 7517); none that is retired.
    pub(super) fn jwks(&self) -> Result<Value, KeyFailed> {
        let keys: Result<Vec<Value>, KeyFailed> = self.keys.iter().map(|ring| ring.key.public_jwk()).collect();
        Ok(json!({ "keys": keys? }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 24 * 3600 * 1000;

    const LIVES: KeyLives =
        KeyLives { signs_ms: 90 * DAY_MS, ahead_ms: DAY_MS, token_ms: DAY_MS, hint_ms: 30 * DAY_MS };

    fn at(day: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_800_000_000_000).plus_ms(day * DAY_MS)
    }

    fn named(jwks: &Value) -> Vec<String> {
        jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_next_key_is_published_before_it_signs_and_the_last_one_stays() {
        let mut ring = KeyRing::default();
        assert_eq!(ring.due(at(0), LIVES), Some(at(0)));
        ring.add(TokenKey::generate().unwrap(), at(0));
        assert_eq!(ring.due(at(88), LIVES), None);
        assert_eq!(ring.due(at(89), LIVES), Some(at(90)));
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
        assert!(!ring.retire(at(90), LIVES));
        assert!(ring.open_hint(&old).is_ok());
        assert!(ring.retire(at(92), LIVES));
        assert_eq!(named(&ring.jwks().unwrap()), published[1..]);
    }

    #[test]
    fn what_a_retired_key_signed_is_genuine_for_as_long_as_it_may_name_a_member() {
        let mut ring = KeyRing::default();
        ring.add(TokenKey::generate().unwrap(), at(0));
        let [old, other_kind] = ["JWT", "logout+jwt"].map(|kind| ring.sign(at(89), kind, &json!({"n": 1})).unwrap());
        ring.add(TokenKey::generate().unwrap(), at(90));
        assert!(ring.retire(at(92), LIVES));
        let mut ring: KeyRing = serde_json::from_str(&serde_json::to_string(&ring).unwrap()).unwrap();
        assert!(!ring.retire(at(120), LIVES));
        assert_eq!(ring.open_hint(&old).unwrap()["n"], 1);
        assert!(ring.open_hint(&other_kind).is_err(), "a token of another kind");
        assert!(ring.retire(at(121), LIVES), "thirty days after its last signature");
        assert!(ring.open_hint(&old).is_err());
    }

    #[test]
    fn a_ring_of_before_is_read() {
        let mut ring = KeyRing::default();
        ring.add(TokenKey::generate().unwrap(), at(0));
        let mut stored = serde_json::to_value(&ring).unwrap();
        stored.as_object_mut().unwrap().remove("retired").unwrap();
        assert_eq!(serde_json::from_value::<KeyRing>(stored).unwrap().jwks().unwrap(), ring.jwks().unwrap());
    }

    #[test]
    fn after_a_long_stop_a_key_is_still_published_ahead() {
        let mut ring = KeyRing::default();
        ring.add(TokenKey::generate().unwrap(), at(0));
        assert_eq!(ring.due(at(400), LIVES), Some(at(401)));
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

//! The keys that sign the credentials of the account's users: when they change, what services are told of that, and who signs meanwhile
//! (docs/decisions/0180). Nothing is signed by a key that the broker does not know; no private half leaves.

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use vettid_crypto::nats::key::{AccountKey, InvalidKey};
use vettid_crypto::secret::Secret32;
use vettid_crypto::stored;
use vettid_wire::enrolment::SigningKeysRotated;
use vettid_wire::service_keys::ServiceSigningNkeys;
use vettid_wire::time::Timestamp;

/// They sign for this long, in milliseconds (90 days), as those of a vault do. What the keys before them signed is taken for as
/// long again, and nothing that they sign lives longer.
pub(crate) const LIFE_MS: i64 = 90 * 24 * 3600 * 1000;

/// One generation of keys. `Serialize` is for the sealed state alone.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SigningKeys {
    #[serde(with = "stored")]
    vault: Secret32,
    #[serde(with = "stored")]
    connection: Secret32,
    #[serde(with = "stored")]
    claim: Secret32,
}

impl SigningKeys {
    /// Fresh keys.
    pub(crate) fn random(rng: &mut dyn CryptoRng) -> Self {
        let [vault, connection, claim] = std::array::from_fn(|_| Secret32::random(rng));
        Self { vault, connection, claim }
    }

    /// Signs the gateway's own user.
    pub(crate) fn vault(&self) -> Result<AccountKey, InvalidKey> {
        AccountKey::from_secret(self.vault.duplicate())
    }

    /// Signs the users of connected members.
    pub(crate) fn connection(&self) -> Result<AccountKey, InvalidKey> {
        AccountKey::from_secret(self.connection.duplicate())
    }

    /// Signs the holders of invitations.
    pub(crate) fn claim(&self) -> Result<AccountKey, InvalidKey> {
        AccountKey::from_secret(self.claim.duplicate())
    }

    /// The public halves.
    pub(crate) fn public(&self) -> Result<ServiceSigningNkeys, InvalidKey> {
        let text = |key: AccountKey| key.public().to_string();
        Ok(ServiceSigningNkeys {
            vault: text(self.vault()?),
            connection: text(self.connection()?),
            claim: text(self.claim()?),
        })
    }
}

/// Keys that services were told, or are about to be told, and did not confirm yet.
#[derive(Debug, Serialize, Deserialize)]
struct Successors {
    since: Timestamp,
    keeps_former: bool,
    keys: SigningKeys,
}

/// The keys after the first change, and those that wait for the next one. `Serialize` is for the sealed state alone.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Signing {
    /// They sign; absent: those of the registration do.
    current: Option<Current>,
    successors: Option<Successors>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Current {
    /// When they were made.
    since: Timestamp,
    /// When they signed first.
    from: Timestamp,
    keys: SigningKeys,
}

/// What services are to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Announced {
    /// When the keys were made.
    pub since: Timestamp,
    /// Their public halves.
    pub keys: ServiceSigningNkeys,
    /// Whether what the keys before them signed is taken until the next change.
    pub keeps_former: bool,
}

/// What is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Due {
    /// Services have to be told.
    Announce(Announced),
    /// New keys have to be made.
    Make,
    /// Nothing before this time.
    At(Timestamp),
}

impl Signing {
    /// The keys that sign, if they are not those of the registration.
    pub(crate) fn current(&self) -> Option<&SigningKeys> {
        self.current.as_ref().map(|current| &current.keys)
    }

    /// When the keys that sign were made.
    pub(crate) fn since(&self, registered: Timestamp) -> Timestamp {
        self.current.as_ref().map_or(registered, |current| current.since)
    }

    /// Since when they sign; what was signed earlier is of former keys.
    pub(crate) fn from(&self) -> Option<Timestamp> {
        self.current.as_ref().map(|current| current.from)
    }

    /// What is due now; `made_at` is the time of the first keys.
    pub(crate) fn due(&self, made_at: Timestamp, now: Timestamp) -> Result<Due, InvalidKey> {
        if let Some(announced) = self.announced()? {
            return Ok(Due::Announce(announced));
        }
        let due_at = self.since(made_at).plus_ms(LIFE_MS);
        Ok(if due_at <= now { Due::Make } else { Due::At(due_at) })
    }

    /// What services have to be told of keys that do not sign yet.
    pub(crate) fn announced(&self) -> Result<Option<Announced>, InvalidKey> {
        let announced = |waiting: &Successors| {
            let Successors { since, keeps_former, keys } = waiting;
            Ok(Announced { since: *since, keys: keys.public()?, keeps_former: *keeps_former })
        };
        self.successors.as_ref().map(announced).transpose()
    }

    /// Services know younger keys than those that wait, so the broker will never take these: others take their place.
    pub(crate) fn renew(&mut self, now: Timestamp, rng: &mut dyn CryptoRng) {
        if let Some(waiting) = self.successors.take() {
            self.make(waiting.keeps_former, now, rng);
        }
    }

    /// Makes keys that are to sign once services have confirmed them. Keys that wait for that are kept, because the broker may
    /// know them already; a wish to cut off is added and never taken back. Gives when they were made.
    pub(crate) fn make(&mut self, keeps_former: bool, now: Timestamp, rng: &mut dyn CryptoRng) -> Timestamp {
        let fresh = || Successors { since: now, keeps_former, keys: SigningKeys::random(rng) };
        let waiting = self.successors.get_or_insert_with(fresh);
        waiting.keeps_former &= keeps_former;
        waiting.since
    }

    /// The broker has the keys: they sign from now on. `false` if something else waits.
    pub(crate) fn succeed(&mut self, confirmed: SigningKeysRotated, now: Timestamp) -> bool {
        let is_meant =
            |keys: &mut Successors| keys.since == confirmed.since && keys.keeps_former == confirmed.keeps_former;
        let Some(Successors { since, keys, .. }) = self.successors.take_if(is_meant) else {
            return false;
        };
        self.current = Some(Current { since, from: now, keys });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;

    fn start() -> Timestamp {
        Timestamp::from_unix_ms(1_790_000_000_000)
    }

    fn announced(signing: &Signing, now: Timestamp) -> Announced {
        match signing.due(start(), now).unwrap() {
            Due::Announce(announced) => announced,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn keys_change_after_ninety_days_and_sign_once_services_have_them() {
        let (mut signing, mut rng) = (Signing::default(), random::system());
        let day_90 = start().plus_ms(LIFE_MS);
        assert_eq!(signing.due(start(), day_90.plus_ms(-1)).unwrap(), Due::At(day_90));
        assert_eq!(signing.due(start(), day_90).unwrap(), Due::Make);
        signing.make(true, day_90, &mut rng);
        let asked = announced(&signing, day_90);
        assert!(signing.current().is_none(), "services do not have them yet");

        let done = SigningKeysRotated { since: asked.since, keeps_former: true };
        assert!(!signing.succeed(SigningKeysRotated { keeps_former: false, ..done }, day_90));
        assert!(!signing.succeed(SigningKeysRotated { since: start(), ..done }, day_90));
        assert!(signing.succeed(done, day_90.plus_ms(5)));
        assert_eq!(signing.current().unwrap().public().unwrap(), asked.keys);
        assert_eq!((signing.since(start()), signing.from()), (day_90, Some(day_90.plus_ms(5))));
        assert_eq!(signing.due(start(), day_90.plus_ms(5)).unwrap(), Due::At(day_90.plus_ms(LIFE_MS)));
        assert!(!signing.succeed(done, day_90), "it is done");
    }

    #[test]
    fn keys_that_wait_are_kept_and_a_wish_to_cut_off_is_never_taken_back() {
        let (mut signing, mut rng) = (Signing::default(), random::system());
        let first = signing.make(true, start(), &mut rng);
        let asked = announced(&signing, start());
        assert_eq!(signing.make(false, start().plus_ms(9), &mut rng), first);
        assert_eq!(signing.make(true, start().plus_ms(9), &mut rng), first);
        assert_eq!(announced(&signing, start()), Announced { keeps_former: false, ..asked.clone() });
        assert!(!signing.succeed(SigningKeysRotated { since: first, keeps_former: true }, start()));
        signing.renew(start().plus_ms(20), &mut rng);
        let younger = announced(&signing, start());
        assert!(younger.since > first && younger.keys != asked.keys && !younger.keeps_former);
        let text = serde_json::to_string(&signing).unwrap();
        let mut again: Signing = serde_json::from_str(&text).unwrap();
        assert!(!again.succeed(SigningKeysRotated { since: first, keeps_former: false }, start()));
        assert!(again.succeed(SigningKeysRotated { since: younger.since, keeps_former: false }, start()));
        assert_eq!(again.current().unwrap().public().unwrap(), younger.keys);
    }
}

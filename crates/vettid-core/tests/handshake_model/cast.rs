//! Who takes part, what leaks, and the codes that are shown.

use crate::parties::{Side, answer, closing, opening, shape};
use rand::SeedableRng;
use rand::rngs::StdRng;
use vettid_crypto::identity::SigningKey;
use vettid_crypto::key_record::{self, Draft, kem_key};
use vettid_crypto::suite::x25519;
use vettid_wire::handshake::{Invitation, InvitationSecret};
use vettid_wire::id::Fingerprint;
use vettid_wire::key_record::{KeyRecord, KeyRole};

pub(crate) const ALICE: usize = 0;
pub(crate) const BOB: usize = 1;
pub(crate) const MALLORY: usize = 2;
/// Everybody who keeps to the protocol.
pub(crate) const HONEST: [usize; 2] = [ALICE, BOB];

/// What the attacker has from the start. Everything that lasts longer than a handshake leaks in the end in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Leaks {
    /// The content of every code, as somebody has who reads the text message with the link.
    pub codes: bool,
    /// The private half of every prekey.
    pub prekeys: bool,
    /// Identity and signing keys, by member.
    pub keys: [bool; 2],
}

/// Three members with all their keys.
pub(crate) struct Cast {
    pub sides: [Side; 3],
    /// Records that name Alice or Bob, carry Mallory's signing key and are signed by nobody who may.
    pub forged: [KeyRecord; 2],
}

impl Cast {
    pub(crate) fn new() -> Self {
        let mut rng = StdRng::seed_from_u64(1);
        let names = ["Alice", "Bob", "Mallory"];
        let sides = [1, 2, 3].map(|n| Side::new(&mut rng, shape(KeyRole::Vault, n, names[usize::from(n) - 1])));
        let forged = HONEST.map(|who| forged(&sides[who], &sides[MALLORY]));
        Self { sides, forged }
    }

    pub(crate) fn fingerprint(&self, who: usize) -> Fingerprint {
        self.sides[who].record.fingerprint()
    }

    /// Whose fingerprint this is.
    pub(crate) fn who(&self, fingerprint: &Fingerprint) -> usize {
        (0..self.sides.len()).find(|&who| self.fingerprint(who) == *fingerprint).unwrap()
    }

    pub(crate) fn opening(&self, who: usize) -> vettid_core::handshake::Opening {
        vettid_core::handshake::Opening { profile: None, ..opening(&self.sides[who]) }
    }

    pub(crate) fn answer(&self, who: usize) -> vettid_core::handshake::Answer {
        vettid_core::handshake::Answer { profile: None, ..answer(&self.sides[who]) }
    }

    pub(crate) fn closing() -> vettid_core::handshake::Closing {
        closing()
    }
}

/// A record in the name of `victim` under Mallory's keys.
fn forged(victim: &Side, mallory: &Side) -> KeyRecord {
    let named = victim.record.record();
    let draft = Draft {
        role: named.role,
        guid: named.guid,
        signing_key: mallory.signing.verifying_key(),
        device_key: None,
        kem_keys: vec![kem_key(&mallory.kem.public_key(), named.issued_at, named.expires_at)],
        suites: vec![vettid_crypto::suite::Suite::X25519],
        issued_at: named.issued_at,
        expires_at: named.expires_at,
    };
    let record = key_record::build(draft, &mallory.identity, None).unwrap().record().clone();
    KeyRecord { identity_key: named.identity_key.clone(), ..record }
}

/// A code as it is shown to somebody, and what is behind it.
pub(crate) struct Code {
    pub invitation: Invitation,
    pub prekey: x25519::SecretKey,
    /// Shown by an honest inviter, as that one made it.
    pub genuine: bool,
}

impl Code {
    pub(crate) fn secret(&self) -> &[u8; 32] {
        self.invitation.secret.expose()
    }

    /// What Mallory shows in place of a genuine code: her own, and every mixture of it with what she may know.
    pub(crate) fn swapped(cast: &Cast, genuine: &Code, leaks: Leaks) -> Vec<Self> {
        let (own_key, own_secret) = (key(900), [77; 32]);
        let theirs = genuine.secret();
        let inviter = genuine.invitation.inviter_fp;
        let mallory = cast.fingerprint(MALLORY);
        let mut codes = vec![
            // Her own code, and the same under the inviter's name.
            Self::made(cast, genuine, mallory, key(900), own_secret),
            Self::made(cast, genuine, inviter, own_key, own_secret),
        ];
        if leaks.codes {
            codes.push(Self::made(cast, genuine, inviter, key(900), *theirs));
            codes.push(Self::around(cast, genuine, mallory));
        }
        codes
    }

    fn made(cast: &Cast, like: &Code, shown: Fingerprint, prekey: x25519::SecretKey, secret: [u8; 32]) -> Self {
        let mut invitation = like.invitation.duplicate();
        invitation.space = cast.sides[cast.who(&shown)].space();
        invitation.inviter_fp = shown;
        invitation.invite_key = *prekey.public_key().as_bytes();
        invitation.secret = InvitationSecret::from_bytes(secret);
        Self { invitation, prekey, genuine: false }
    }

    /// The inviter's prekey and secret under another fingerprint.
    fn around(cast: &Cast, like: &Code, shown: Fingerprint) -> Self {
        let prekey = x25519::SecretKey::from_secret(stored_secret(&like.prekey));
        Self::made(cast, like, shown, prekey, *like.secret())
    }
}

/// A private key that depends on its number alone.
pub(crate) fn key(number: u64) -> x25519::SecretKey {
    x25519::SecretKey::random(&mut StdRng::seed_from_u64(number))
}

/// Mallory's own signing keys and those that leaked to her.
pub(crate) fn stolen(cast: &Cast, leaks: Leaks, who: usize) -> Option<&SigningKey> {
    (who == MALLORY || leaks.keys[who]).then(|| &cast.sides[who].signing)
}

/// The bytes of a private key, by its stored form.
fn stored_secret(key: &x25519::SecretKey) -> vettid_crypto::secret::Secret32 {
    use vettid_crypto::stored::Stored;
    let text = serde_json::to_value(key.to_form()).unwrap();
    secret_of(text.as_str().unwrap())
}

/// A stored secret from its text.
pub(crate) fn secret_of(text: &str) -> vettid_crypto::secret::Secret32 {
    vettid_crypto::secret::Secret32::from_slice(&vettid_wire::base64::decode(text).unwrap()).unwrap()
}

//! The lock of a vault at rest: the keys that come from a PIN or a password, the storage key wrapped under each of them,
//! and the sealed box in which an attempt travels while the vault is locked (decision 0105).
//!
//! Must never keep a PIN or a password, nor tell how a wrong one differs.

use std::fmt;

use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use vettid_wire::id::{EventId, MemberId};
use vettid_wire::lock::{CHALLENGE_BYTES, SALT_BYTES, UnlockKind};
use zeroize::Zeroizing;

use crate::at_rest::StorageKey;
use crate::committed::{Padding, Schedule, Undecryptable};
use crate::kdf::{self, Lp};
use crate::password::{DeviceSecret, OutOfMemory, Password, PasswordSalt, argon2id};
use crate::secret::{Secret32, SecretBytes};
use crate::suite::{Suite, SuiteError, x25519};

const BOX_LABEL: &str = "vettid-unlock-v1";
const REPLY_LABEL: &str = "vettid-unlock-reply-v1";
const WRAP_LABEL: &str = "vettid-unlock-wrap-v1";
const ENC_BYTES: usize = 32;

macro_rules! unlock_secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name(Secret32);

        impl $name {
            /// The bytes. Never log them, nor send them outside the box of an attempt.
            #[must_use]
            pub fn expose(&self) -> &[u8; 32] {
                self.0.expose()
            }

            /// A second handle on the same secret, for a second try.
            #[must_use]
            pub fn duplicate(&self) -> Self {
                Self(self.0.duplicate())
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0.ct_eq(&other.0).into()
            }
        }

        impl Eq for $name {}
    };
}

unlock_secret!(
    /// The key that comes from a PIN or a password together with the app's device secret; unwraps a storage key.
    UnlockKey
);
unlock_secret!(
    /// Shows that an attempt comes from the app that set the lock, so that nobody else can use up its tries.
    DeviceProof
);
unlock_secret!(
    /// Leave of the running vault to change its lock once.
    Permit
);

/// A secret shows its kind only.
macro_rules! debug_by_name {
    ($($name:ident),*) => {
        $(impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(stringify!($name))
            }
        })*
    };
}

debug_by_name!(UnlockKey, DeviceProof, Permit, ReplyKey, ChallengeKey);

impl Permit {
    /// A fresh one.
    #[must_use]
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        Self(Secret32::random(rng))
    }

    /// One that the vault gave; `None` if it is none.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        Secret32::from_slice(bytes).map(Self)
    }
}

impl UnlockKey {
    /// From the digits of a PIN: `Exp(Ext(device_secret, Argon2id(digits, salt)), "vettid-unlock-pin-v1", 32)`. Whether they
    /// are a PIN, and a good one, is decided elsewhere.
    ///
    /// # Errors
    /// [`OutOfMemory`].
    pub fn of_pin(digits: &[u8], salt: &PasswordSalt, device: &DeviceSecret) -> Result<Self, OutOfMemory> {
        Self::derive(digits, salt, device, b"vettid-unlock-pin-v1")
    }

    /// From a password, with the label `vettid-unlock-password-v1`.
    ///
    /// # Errors
    /// [`OutOfMemory`].
    pub fn of_password(password: &Password, salt: &PasswordSalt, device: &DeviceSecret) -> Result<Self, OutOfMemory> {
        Self::derive(password.expose().as_bytes(), salt, device, b"vettid-unlock-password-v1")
    }

    fn derive(typed: &[u8], salt: &PasswordSalt, device: &DeviceSecret, label: &[u8]) -> Result<Self, OutOfMemory> {
        let hashed = argon2id(typed, salt.as_bytes())?;
        let prk = kdf::extract(device.expose(), hashed.expose());
        Ok(Self(kdf::expand_secret(&prk, &[label])))
    }
}

impl DeviceProof {
    /// `Exp(Ext("", device_secret), "vettid-unlock-device-v1", 32)`.
    #[must_use]
    pub fn of(device: &DeviceSecret) -> Self {
        Self(kdf::expand_secret(&kdf::extract(b"", device.expose()), &[b"vettid-unlock-device-v1"]))
    }

    /// What a host keeps to recognise it.
    #[must_use]
    pub fn stored(&self) -> [u8; 32] {
        kdf::h256_parts(&[b"vettid-unlock-device-store-v1", self.expose()])
    }

    /// Whether it is the one of which this was stored.
    #[must_use]
    pub fn matches(&self, stored: &[u8; 32]) -> bool {
        self.stored().ct_eq(stored).into()
    }
}

/// Where a wrapped storage key belongs. It opens nowhere else.
#[derive(Debug, Clone, Copy)]
pub struct WrapPlace {
    /// The member.
    pub guid: MemberId,
    /// Under which kind of key.
    pub kind: UnlockKind,
    /// Number of the lock.
    pub generation: u64,
}

impl WrapPlace {
    fn header(self) -> Vec<u8> {
        Lp::labelled(WRAP_LABEL).lp_str(&self.guid.to_string()).u8(number(self.kind)).u64(self.generation).finish()
    }
}

/// The storage key under an unlock key: `commit[32] ‖ nonce[24] ‖ ciphertext[32] ‖ tag[16]`.
#[must_use]
pub fn wrap(key: &UnlockKey, place: WrapPlace, storage_key: &StorageKey, rng: &mut dyn CryptoRng) -> Vec<u8> {
    let header = place.header();
    let schedule = Schedule { label: WRAP_LABEL, header: &header, shared: &key.0, psk: &[] };
    schedule.seal(rng, Padding::None, storage_key.expose())
}

/// The storage key back.
///
/// # Errors
/// [`Undecryptable`]: a wrong PIN or password, another app, another place, or changed bytes.
pub fn unwrap(key: &UnlockKey, place: WrapPlace, wrapped: &[u8]) -> Result<StorageKey, Undecryptable> {
    let header = place.header();
    let schedule = Schedule { label: WRAP_LABEL, header: &header, shared: &key.0, psk: &[] };
    let opened = schedule.open(Padding::None, wrapped)?;
    Secret32::from_slice(opened.expose()).map(StorageKey::from_secret).ok_or(Undecryptable)
}

fn number(kind: UnlockKind) -> u8 {
    match kind {
        UnlockKind::Pin => 1,
        UnlockKind::Password => 2,
    }
}

/// A key with its kind.
#[derive(Debug)]
pub struct Presented {
    /// PIN or password.
    pub kind: UnlockKind,
    /// The key that came from it.
    pub key: UnlockKey,
}

impl Presented {
    /// A second handle on the same secret, for a second try.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self { kind: self.kind, key: self.key.duplicate() }
    }
}

/// A lock that is to be set.
#[derive(Debug)]
pub struct NewLock {
    /// Leave of the running vault.
    pub permit: Permit,
    /// What opens the present lock, if there is one.
    pub current: Option<Presented>,
    /// The salt of the new PIN.
    pub pin_salt: PasswordSalt,
    /// The key of the new PIN.
    pub pin: UnlockKey,
    /// The salt of the new password.
    pub password_salt: PasswordSalt,
    /// The key of the new password.
    pub password: UnlockKey,
}

/// What an attempt wants.
#[derive(Debug)]
pub enum Wish {
    /// To unlock the vault.
    Unlock(Presented),
    /// To set or change its lock.
    Set(Box<NewLock>),
    /// To remove its lock.
    Remove(Removal),
}

/// The end of a lock: from then on the sealer of the host alone opens the vault again.
#[derive(Debug)]
pub struct Removal {
    /// Leave of the running vault.
    pub permit: Permit,
    /// What opens the present lock.
    pub current: Presented,
}

/// The content of an attempt's box.
#[derive(Debug)]
pub struct Attempt {
    /// Whose app it is.
    pub device: DeviceProof,
    /// What it wants.
    pub wish: Wish,
}

const UNLOCK: u8 = 1;
const SET: u8 = 2;
const REMOVE: u8 = 3;
const ATTEMPT_CAPACITY_BYTES: usize = 2 + 5 * 32 + 2 * SALT_BYTES;

impl Attempt {
    /// `u8 op ‖ device[32] ‖ …`; unlock: `u8 kind ‖ key[32]`; set: `permit[32] ‖ u8 kind or 0 ‖ key[32] or zeros ‖
    /// pin_salt[16] ‖ pin[32] ‖ password_salt[16] ‖ password[32]`; remove: `permit[32] ‖ u8 kind ‖ key[32]`.
    fn bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(ATTEMPT_CAPACITY_BYTES));
        let op = match self.wish {
            Wish::Unlock(_) => UNLOCK,
            Wish::Set(_) => SET,
            Wish::Remove(_) => REMOVE,
        };
        bytes.push(op);
        bytes.extend_from_slice(self.device.expose());
        match &self.wish {
            Wish::Unlock(presented) => put(&mut bytes, Some(presented)),
            Wish::Set(new) => {
                bytes.extend_from_slice(new.permit.expose());
                put(&mut bytes, new.current.as_ref());
                bytes.extend_from_slice(new.pin_salt.as_bytes());
                bytes.extend_from_slice(new.pin.expose());
                bytes.extend_from_slice(new.password_salt.as_bytes());
                bytes.extend_from_slice(new.password.expose());
            }
            Wish::Remove(removal) => {
                bytes.extend_from_slice(removal.permit.expose());
                put(&mut bytes, Some(&removal.current));
            }
        }
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (op, mut rest) = bytes.split_first()?;
        let device = DeviceProof(secret(&mut rest)?);
        let wish = match *op {
            UNLOCK => Wish::Unlock(presented(&mut rest)??),
            SET => Wish::Set(Box::new(NewLock {
                permit: Permit(secret(&mut rest)?),
                current: presented(&mut rest)?,
                pin_salt: salt(&mut rest)?,
                pin: UnlockKey(secret(&mut rest)?),
                password_salt: salt(&mut rest)?,
                password: UnlockKey(secret(&mut rest)?),
            })),
            REMOVE => Wish::Remove(Removal { permit: Permit(secret(&mut rest)?), current: presented(&mut rest)?? }),
            _ => return None,
        };
        rest.is_empty().then_some(Self { device, wish })
    }
}

fn put(bytes: &mut Vec<u8>, presented: Option<&Presented>) {
    bytes.push(presented.map_or(0, |presented| number(presented.kind)));
    bytes.extend_from_slice(presented.map_or(&[0; 32], |presented| presented.key.expose()));
}

fn secret(rest: &mut &[u8]) -> Option<Secret32> {
    let (bytes, after) = rest.split_at_checked(32)?;
    *rest = after;
    Secret32::from_slice(bytes)
}

fn salt(rest: &mut &[u8]) -> Option<PasswordSalt> {
    let (bytes, after) = rest.split_first_chunk::<SALT_BYTES>()?;
    *rest = after;
    Some(PasswordSalt::from_bytes(*bytes))
}

/// A key with its kind; the inner `None` stands for none at all.
fn presented(rest: &mut &[u8]) -> Option<Option<Presented>> {
    let (kind, after) = rest.split_first()?;
    *rest = after;
    let key = UnlockKey(secret(rest)?);
    match *kind {
        0 if key.expose() == &[0; 32] => Some(None),
        1 => Some(Some(Presented { kind: UnlockKind::Pin, key })),
        2 => Some(Some(Presented { kind: UnlockKind::Password, key })),
        _ => None,
    }
}

/// What the box of an attempt is bound to.
#[derive(Debug, Clone, Copy)]
pub struct AttemptPlace<'a> {
    /// The member.
    pub guid: MemberId,
    /// The event that carries it.
    pub event_id: EventId,
    /// The challenge that it uses up.
    pub challenge_id: &'a [u8; CHALLENGE_BYTES],
}

impl AttemptPlace<'_> {
    fn header(&self, key: &x25519::PublicKey, enc: &[u8; ENC_BYTES]) -> Vec<u8> {
        Lp::labelled(BOX_LABEL)
            .u16(Suite::X25519.id())
            .lp(key.as_bytes())
            .lp(enc)
            .lp_str(&self.guid.to_string())
            .lp_str(&self.event_id.to_string())
            .lp(self.challenge_id)
            .finish()
    }
}

/// The app's side: `enc[32] ‖ commit[32] ‖ nonce[24] ‖ ciphertext ‖ tag[16]`, padded so that its length does not tell what
/// it wants; and the key under which the answer comes.
///
/// # Errors
/// [`SuiteError::NonContributory`] for a challenge with a key of low order.
pub fn seal(
    key: &x25519::PublicKey,
    place: &AttemptPlace<'_>,
    attempt: &Attempt,
    rng: &mut dyn CryptoRng,
) -> Result<(Vec<u8>, ReplyKey), SuiteError> {
    let (shared, enc) = key.encapsulate(rng)?;
    let header = place.header(key, &enc);
    let schedule = Schedule { label: BOX_LABEL, header: &header, shared: &shared, psk: &[] };
    let mut sealed = enc.to_vec();
    sealed.append(&mut schedule.seal(rng, Padding::Bucket, &attempt.bytes()));
    Ok((sealed, ReplyKey { shared, header }))
}

/// The private half of one challenge. It opens one box and is gone.
pub struct ChallengeKey(x25519::SecretKey);

impl ChallengeKey {
    /// A fresh one.
    #[must_use]
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        Self(x25519::SecretKey::random(rng))
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> x25519::PublicKey {
        self.0.public_key()
    }

    /// Opens an attempt.
    ///
    /// # Errors
    /// [`Undecryptable`], whatever is wrong.
    pub fn open(self, place: &AttemptPlace<'_>, sealed: &[u8]) -> Result<(Attempt, ReplyKey), Undecryptable> {
        let (enc, boxed) = sealed.split_first_chunk::<ENC_BYTES>().ok_or(Undecryptable)?;
        let shared = self.0.decapsulate(enc)?;
        let header = place.header(&self.0.public_key(), enc);
        let schedule = Schedule { label: BOX_LABEL, header: &header, shared: &shared, psk: &[] };
        let content = schedule.open(Padding::Bucket, boxed)?;
        let attempt = Attempt::parse(content.expose()).ok_or(Undecryptable)?;
        Ok((attempt, ReplyKey { shared, header }))
    }
}

/// The key of the answer to one attempt; both sides have it, nobody else.
pub struct ReplyKey {
    shared: Secret32,
    header: Vec<u8>,
}

impl ReplyKey {
    fn schedule(&self) -> Schedule<'_> {
        Schedule { label: REPLY_LABEL, header: &self.header, shared: &self.shared, psk: &[] }
    }

    /// The host's side.
    #[must_use]
    pub fn seal(&self, answer: &[u8], rng: &mut dyn CryptoRng) -> Vec<u8> {
        self.schedule().seal(rng, Padding::Bucket, answer)
    }

    /// The app's side.
    ///
    /// # Errors
    /// [`Undecryptable`], whatever is wrong.
    pub fn open(&self, sealed: &[u8]) -> Result<SecretBytes, Undecryptable> {
        self.schedule().open(Padding::Bucket, sealed)
    }
}

#[cfg(test)]
#[path = "unlock/tests.rs"]
mod tests;

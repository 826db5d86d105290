//! The lock of the vault at rest, from the app's side (decisions 0105 and 0106): setting it, locking, unlocking. PIN and
//! password become keys here, together with a secret of this app; must never send, store or log what was typed.

mod failure;
mod lane;

pub use failure::LockError;

use crate::app::{App, ConnectionOf, Ports};
use crate::clock::Clock;
use crate::command::CommandError;
use crate::line::Line;
use crate::state::{self, Member, State};
use crate::store::Store;
use crate::transport::Connection;
use lane::Knock;
pub(crate) use lane::Lane;
use serde::{Deserialize, Serialize};
use vettid_core::credential::pin::Pin;
use vettid_crypto::identity::VerifyingKey;
use vettid_crypto::kdf::h256_parts;
use vettid_crypto::password::{DeviceSecret, Password, PasswordSalt};
use vettid_crypto::secret::Secret32;
use vettid_crypto::stored;
use vettid_crypto::unlock::{NewLock, Permit, Presented, Removal, UnlockKey, Wish};
use vettid_wire::credential::{LockBackup, SecretField};
use vettid_wire::event::{Nothing, VaultLock, VaultLockAuto, VaultLockSetup};
use vettid_wire::lock::{AutoLock, LockSalts, LockSettings, LockState, LockStatus, UnlockKind, UnlockResult};
use vettid_wire::time::Timestamp;

/// What the app remembers of the lock.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KnownLock {
    /// This app's half of every unlock key; made for the lock alone.
    #[serde(with = "stored")]
    device_secret: DeviceSecret,
    /// When it was made; `None` if that was not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made_at: Option<Timestamp>,
    /// The key of the unlock lane, from the running vault.
    lane_key: Option<VerifyingKey>,
    /// Most attempts that a host ever showed.
    attempts_total: u64,
    /// Whether a lock is set, as far as this app knows.
    is_set: bool,
}

/// What opens a lock, as it was typed.
#[derive(Debug)]
pub enum Typed {
    /// The PIN.
    Pin(Pin),
    /// The password.
    Password(Password),
}

impl Typed {
    fn kind(&self) -> UnlockKind {
        match self {
            Self::Pin(_) => UnlockKind::Pin,
            Self::Password(_) => UnlockKind::Password,
        }
    }

    /// The key under the salts that the lock names.
    fn presented(&self, salts: &LockSalts, device: &DeviceSecret) -> Result<Presented, LockError> {
        let salt = |bytes: &vettid_wire::base64::Base64| {
            bytes.to_array().map(PasswordSalt::from_bytes).map_err(|_| LockError::WrongHost)
        };
        let key = match self {
            Self::Pin(pin) => UnlockKey::of_pin(pin.expose(), &salt(&salts.pin)?, device)?,
            Self::Password(password) => UnlockKey::of_password(password, &salt(&salts.password)?, device)?,
        };
        Ok(Presented { kind: self.kind(), key })
    }
}

impl<P: Ports> App<P> {
    /// Locks the vault now.
    ///
    /// # Errors
    /// [`CommandError::Refused`] with `not_available` as long as no lock is set.
    pub async fn lock(&self) -> Result<(), CommandError> {
        self.command::<VaultLock>(Nothing {}).await.map(|Nothing {}| ())
    }

    /// Sets after how many minutes without a command the vault locks itself; `None`: never.
    ///
    /// # Errors
    /// [`CommandError`].
    pub async fn lock_after(&self, idle_minutes: Option<u32>) -> Result<AutoLock, CommandError> {
        self.command::<VaultLockAuto>(AutoLock { idle_minutes }).await
    }

    /// How the lock is; works while the vault is locked.
    ///
    /// # Errors
    /// [`LockError`].
    pub async fn lock_status(&self) -> Result<LockStatus, LockError> {
        let mut knock = self.knock().await?;
        let outcome = knock.status().await;
        knock.close().await;
        outcome
    }

    /// What the running vault says of its lock; `None` while it is locked, or if it does not say.
    ///
    /// # Errors
    /// [`CommandError`].
    pub async fn lock_settings(&self) -> Result<Option<LockSettings>, CommandError> {
        match self.status().await {
            Ok(status) => Ok(status.health.lock),
            Err(CommandError::VaultLocked) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Unlocks the vault.
    ///
    /// # Errors
    /// [`LockError`], among them [`LockError::Wrong`].
    pub async fn unlock(&self, typed: &Typed) -> Result<LockStatus, LockError> {
        let mut knock = self.knock().await?;
        let outcome = knock.unlock(typed).await;
        knock.close().await;
        outcome
    }

    /// Sets or changes the lock. `current` opens the present one, if there is one.
    ///
    /// # Errors
    /// [`LockError`], among them [`LockError::CurrentNeeded`].
    pub async fn set_lock(&self, pin: &Pin, password: &Password, current: Option<&Typed>) -> Result<(), LockError> {
        let mut line = self.open().await?;
        let outcome = set(&mut line, pin, password, current).await;
        line.close().await;
        outcome
    }

    /// Removes the lock: from then on the host alone opens the vault. `current` is the present PIN or password.
    ///
    /// # Errors
    /// [`LockError`], among them [`LockError::Wrong`].
    pub async fn remove_lock(&self, current: &Typed) -> Result<(), LockError> {
        let mut line = self.open().await?;
        let outcome = remove(&mut line, current).await;
        line.close().await;
        outcome
    }

    /// Connects for the unlock lane, without a session.
    async fn knock(&self) -> Result<Knock<'_, P>, LockError> {
        let hold = self.ports.store().hold().await.map_err(CommandError::from)?;
        let mut member = match state::load(&hold).map_err(CommandError::from)? {
            Some(State::Enrolled(member)) => *member,
            Some(State::Enrolling(_)) => return Err(CommandError::EnrolmentUnfinished.into()),
            None => return Err(CommandError::NotEnrolled.into()),
        };
        if member.lock.as_ref().and_then(|lock| lock.lane_key.as_ref()).is_none() {
            return Err(LockError::NoLock);
        }
        let connection = self.connect_somehow(&mut member).await?;
        Ok(Knock { app: self, hold, member, connection })
    }
}

/// Sets the lock over an open line: the session gives leave and the lane key, the lane takes the keys.
async fn set<P: Ports>(
    line: &mut Line<'_, P>,
    pin: &Pin,
    password: &Password,
    current: Option<&Typed>,
) -> Result<(), LockError> {
    let mut rng = line.app.ports.random();
    if line.member.lock.is_none() {
        let device_secret = DeviceSecret::random(&mut rng);
        let made_at = Some(line.now());
        line.member.lock = Some(KnownLock { device_secret, made_at, lane_key: None, attempts_total: 0, is_set: false });
        line.save()?;
    }
    let permit = line.ask::<VaultLockSetup>(&Nothing {}).await?;
    let lane_key = VerifyingKey::from_typed(&permit.lane_key).map_err(|_| LockError::WrongHost)?;
    let permit = Permit::from_slice(permit.permit.as_bytes()).ok_or(LockError::WrongHost)?;
    if let Some(lock) = &mut line.member.lock {
        // The session says who the lane is; the numbers of another lane mean nothing.
        if lock.lane_key.replace(lane_key).is_some_and(|before| before != lane_key) {
            lock.attempts_total = 0;
        }
    }
    line.save()?;
    let (pin_salt, password_salt) = (PasswordSalt::random(&mut rng), PasswordSalt::random(&mut rng));
    let now = line.now();
    let mut lane = Lane::of(&line.connection, &mut line.member, now, &mut rng)?;
    let challenge = lane.challenge().await?;
    let device = lane.device_secret();
    let current = match (&challenge.status.salts, current) {
        (Some(_), None) => return Err(LockError::CurrentNeeded),
        (Some(salts), Some(typed)) => Some(typed.presented(salts, device)?),
        (None, _) => None,
    };
    let new = NewLock {
        permit,
        current,
        pin: UnlockKey::of_pin(pin.expose(), &pin_salt, device)?,
        pin_salt,
        password: UnlockKey::of_password(password, &password_salt, device)?,
        password_salt,
    };
    let set = lane.attempt(&challenge, Wish::Set(Box::new(new))).await;
    line.save()?;
    match set? {
        Some(outcome) => lane::expect(UnlockResult::Changed, outcome).map(|_| ())?,
        // The lane tells by its next challenge whether the lock was changed.
        None => {
            let now = line.now();
            let mut lane = Lane::of(&line.connection, &mut line.member, now, &mut rng)?;
            let after = lane.challenge().await?.status;
            if after.generation == challenge.status.generation {
                return Err(LockError::NoAnswer);
            }
        }
    }
    line.member.lock.iter_mut().for_each(|lock| lock.is_set = true);
    Ok(line.save()?)
}

/// Removes the lock over an open line, as [`set`] sets it.
async fn remove<P: Ports>(line: &mut Line<'_, P>, current: &Typed) -> Result<(), LockError> {
    let permit = line.ask::<VaultLockSetup>(&Nothing {}).await?;
    let permit = Permit::from_slice(permit.permit.as_bytes()).ok_or(LockError::WrongHost)?;
    let (now, mut rng) = (line.now(), line.app.ports.random());
    let mut lane = Lane::of(&line.connection, &mut line.member, now, &mut rng)?;
    let challenge = lane.challenge().await?;
    let salts = challenge.status.salts.as_ref().ok_or(LockError::NoLock)?;
    let current = current.presented(salts, lane.device_secret())?;
    let removed = lane.attempt(&challenge, Wish::Remove(Removal { permit, current })).await;
    line.save()?;
    match removed? {
        Some(outcome) => lane::expect(UnlockResult::Changed, outcome).map(|_| ())?,
        // The lane tells by its next challenge whether the lock is gone.
        None => {
            let now = line.now();
            let mut lane = Lane::of(&line.connection, &mut line.member, now, &mut rng)?;
            if lane.challenge().await?.status.generation != 0 {
                return Err(LockError::NoAnswer);
            }
        }
    }
    line.member.lock.iter_mut().for_each(|lock| lock.is_set = false);
    Ok(line.save()?)
}

impl<P: Ports> Knock<'_, P> {
    async fn status(&mut self) -> Result<LockStatus, LockError> {
        let status = self.challenge().await.map(|challenge| challenge.status);
        self.save()?;
        status
    }

    async fn unlock(&mut self, typed: &Typed) -> Result<LockStatus, LockError> {
        let (now, mut rng) = (self.app.ports.clock().now(), self.app.ports.random());
        let mut lane = Lane::of(&self.connection, &mut self.member, now, &mut rng)?;
        let outcome = unlock(&mut lane, typed).await;
        self.save()?;
        outcome
    }
}

/// Unlocks over an open lane; a vault that is open stays so.
pub(crate) async fn unlock<C: Connection>(lane: &mut Lane<'_, C>, typed: &Typed) -> Result<LockStatus, LockError> {
    let challenge = lane.challenge().await?;
    let Some(salts) = &challenge.status.salts else {
        return Err(LockError::NoLock);
    };
    if challenge.status.state == LockState::Open {
        return Ok(challenge.status);
    }
    let presented = typed.presented(salts, lane.device_secret())?;
    match lane.attempt(&challenge, Wish::Unlock(presented)).await? {
        Some(outcome) => lane::expect(UnlockResult::Unlocked, outcome),
        None => {
            let after = lane.challenge().await?.status;
            if after.state == LockState::Open { Ok(after) } else { Err(LockError::NoAnswer) }
        }
    }
}

/// Whether the lane says that the vault is locked; `false` if it cannot be asked, or no lock was ever set.
pub(crate) async fn is_locked<P: Ports>(line: &mut Line<'_, P>) -> bool {
    if !line.member.lock.as_ref().is_some_and(|lock| lock.is_set) {
        return false;
    }
    let (now, mut rng) = (line.now(), line.app.ports.random());
    let Ok(mut lane) = Lane::of(&line.connection, &mut line.member, now, &mut rng) else {
        return false;
    };
    lane.challenge_once().await.is_ok_and(|found| found.is_some_and(|found| found.status.state == LockState::Locked))
}

impl<P: Ports> Knock<'_, P> {
    fn save(&mut self) -> Result<(), LockError> {
        Ok(state::save_member(&mut self.hold, &self.member).map_err(CommandError::from)?)
    }

    async fn challenge(&mut self) -> Result<vettid_wire::lock::Challenge, LockError> {
        let (now, mut rng) = (self.app.ports.clock().now(), self.app.ports.random());
        Lane::of(&self.connection, &mut self.member, now, &mut rng)?.challenge().await
    }

    async fn close(self) {
        self.connection.close().await;
    }
}

impl KnownLock {
    /// What a recovery container holds of it; `None` before the vault named its lane.
    pub(crate) fn backup(&self) -> Option<LockBackup> {
        let lane_key = self.lane_key.as_ref()?.typed();
        let device_secret = SecretField::new(self.device_secret.expose().to_vec());
        Some(LockBackup { device_secret, lane_key, attempts_total: self.attempts_total })
    }

    /// The same on a new device; `None` if it cannot be that. The lane tells whether a lock is set.
    pub(crate) fn recovered(backup: &LockBackup) -> Option<Self> {
        Some(Self {
            device_secret: DeviceSecret::from_secret(Secret32::from_slice(backup.device_secret.expose())?),
            // A container does not tell.
            made_at: None,
            lane_key: Some(VerifyingKey::from_typed(&backup.lane_key).ok()?),
            attempts_total: backup.attempts_total,
            is_set: true,
        })
    }

    /// When the device secret was made, where that is recorded.
    pub(crate) fn made_at(&self) -> Option<Timestamp> {
        self.made_at
    }

    /// Another one needs another container.
    pub(crate) fn digest(&self) -> Option<[u8; 32]> {
        let lane_key = self.lane_key.as_ref()?;
        Some(h256_parts(&[self.device_secret.expose(), lane_key.as_bytes()]))
    }

    fn lane_key(&self) -> Option<&VerifyingKey> {
        self.lane_key.as_ref()
    }

    /// Takes over what a challenge shows; a total that fell shows a host that went back.
    fn observe(&mut self, status: &LockStatus) -> Result<(), LockError> {
        let (known, found) = (self.attempts_total, status.attempts_total);
        if found < known {
            return Err(LockError::WentBack { known, found });
        }
        self.attempts_total = found;
        self.is_set |= status.generation > 0;
        Ok(())
    }
}

/// A connection type, named once.
type Wire<P> = ConnectionOf<P>;

fn lock_of(member: &mut Member) -> Result<&mut KnownLock, LockError> {
    member.lock.as_mut().ok_or(LockError::NoLock)
}

//! Why a lock was not set or opened.

use crate::command::CommandError;
use crate::transport::TransportError;
use vettid_crypto::password::OutOfMemory;

/// Why a lock was not set or opened.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// State, broker or vault cannot be used.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// This app set no lock.
    #[error("this vault has no lock that this app knows")]
    NoLock,
    /// The PIN or the password is wrong.
    #[error("the PIN or the password is wrong")]
    Wrong {
        /// PINs that are still tried.
        pin_tries_left: u8,
        /// How long no password is tried, in milliseconds.
        password_wait_ms: i64,
    },
    /// Too many wrong PINs.
    #[error("too many wrong PINs: only the password unlocks the vault")]
    PasswordRequired,
    /// Too many wrong passwords.
    #[error("too many wrong passwords: the next one is tried in {} minutes", wait_minutes(*wait_ms))]
    Wait {
        /// So long, in milliseconds.
        wait_ms: i64,
    },
    /// A lock is changed with the present PIN or password only.
    #[error("the lock is set: the present PIN or password is needed to change it")]
    CurrentNeeded,
    /// The host does not take the attempt.
    #[error("the host of the vault did not take the attempt")]
    NotTaken,
    /// The host could not do it now.
    #[error("the host of the vault could not do it now")]
    Unavailable,
    /// The lane did not answer.
    #[error("the host of the vault did not answer")]
    NoAnswer,
    /// What answers is not the lane that the vault named.
    #[error("what answers for the vault is not its host")]
    WrongHost,
    /// The host counts fewer attempts than before.
    #[error("the host went back: it had counted {known} attempts and shows {found}")]
    WentBack {
        /// Most seen.
        known: u64,
        /// Shown now.
        found: u64,
    },
    /// A key could not be derived.
    #[error(transparent)]
    Memory(#[from] OutOfMemory),
}

fn wait_minutes(wait_ms: i64) -> i64 {
    wait_ms.saturating_add(59_999) / 60_000
}

impl From<TransportError> for LockError {
    fn from(error: TransportError) -> Self {
        Self::Command(error.into())
    }
}

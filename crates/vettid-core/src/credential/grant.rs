//! Grants: one entry of the password opens one secret for one class of operation, a few times, for a few minutes. They live
//! in memory only and end with the lock. Must never be stored, nor outlive the monotonic clock's word.

use super::attempts::{BootId, Clocks};

/// How long a grant lives if nothing else was chosen.
pub const DEFAULT_MINUTES: u32 = 15;
/// Shortest and longest life.
pub const MINUTES: std::ops::RangeInclusive<u32> = 5..=60;
const MINUTE_MS: u64 = 60_000;

/// How long a grant lives: 5 to 60 minutes, or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrantLife(u32);

/// The number of minutes is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a grant lives 5 to 60 minutes, or 0 for none")]
pub struct InvalidLife;

impl Default for GrantLife {
    fn default() -> Self {
        Self(DEFAULT_MINUTES)
    }
}

impl GrantLife {
    /// For secrets that ask for the password each time.
    pub const NONE: Self = Self(0);

    /// From the `ttl_minutes` of a policy; absent means [`DEFAULT_MINUTES`].
    ///
    /// # Errors
    /// [`InvalidLife`].
    pub fn new(minutes: Option<u32>) -> Result<Self, InvalidLife> {
        match minutes {
            None => Ok(Self::default()),
            Some(minutes) if minutes == 0 || MINUTES.contains(&minutes) => Ok(Self(minutes)),
            Some(_) => Err(InvalidLife),
        }
    }

    /// So many minutes; 0 for none.
    #[must_use]
    pub fn minutes(self) -> u32 {
        self.0
    }
}

/// What a grant is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantScope {
    /// Class of operations, such as `sign_transaction`.
    pub operation: String,
    /// Name of the one secret.
    pub secret: String,
}

/// One grant, with what it opens; `T` wipes itself when dropped.
#[derive(Debug)]
struct Grant<T> {
    scope: GrantScope,
    uses_left: u32,
    until_ms: u64,
    boot_id: BootId,
    kept: T,
}

/// The grants of one unlocked session.
#[derive(Debug)]
pub struct Grants<T>(Vec<Grant<T>>);

impl<T> Default for Grants<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Grants<T> {
    /// Adds a grant in place of an earlier one of the same scope. A life of 0 or no use keeps nothing: `kept` is dropped.
    pub fn add(&mut self, clocks: &Clocks, scope: GrantScope, life: GrantLife, uses: u32, kept: T) {
        self.end(&scope);
        if life != GrantLife::NONE && uses > 0 {
            let until_ms = clocks.monotonic_ms.saturating_add(u64::from(life.0) * MINUTE_MS);
            self.0.push(Grant { scope, uses_left: uses, until_ms, boot_id: clocks.boot_id, kept });
        }
    }

    /// Lets `act` use what a grant keeps, once; `None` when there is no live grant for exactly this scope.
    pub fn use_once<R>(&mut self, clocks: &Clocks, scope: &GrantScope, act: impl FnOnce(&T) -> R) -> Option<R> {
        self.expire(clocks);
        let grant = self.0.iter_mut().find(|grant| grant.scope == *scope)?;
        grant.uses_left = grant.uses_left.saturating_sub(1);
        let result = act(&grant.kept);
        self.0.retain(|grant| grant.uses_left > 0);
        Some(result)
    }

    /// Ends one grant.
    pub fn end(&mut self, scope: &GrantScope) {
        self.0.retain(|grant| grant.scope != *scope);
    }

    /// Ends every grant: the app was locked, the session ended, or the vault stops.
    pub fn lock(&mut self) {
        self.0.clear();
    }

    /// Wipes what has expired; a shell calls this from time to time. Grants of another run of the machine are gone.
    pub fn expire(&mut self, clocks: &Clocks) {
        self.0.retain(|grant| grant.boot_id == clocks.boot_id && clocks.monotonic_ms < grant.until_ms);
    }

    /// Number of live grants.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests;

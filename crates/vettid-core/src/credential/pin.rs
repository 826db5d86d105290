//! PINs that unlock an app (spec 2.9): their shape, and five tries until the password is needed. A PIN protects what lies on
//! a device against a passer-by; must never stand in for the password towards an issuer.

use serde::{Deserialize, Serialize};
use vettid_crypto::secret::SecretBytes;

/// Fewest digits.
pub const MIN_DIGITS: usize = 6;
/// Most digits.
pub const MAX_DIGITS: usize = 32;
/// Wrong tries in a row until the password is needed.
pub const MAX_TRIES: u32 = 5;
/// A block of so many digits that makes up the whole PIN is a repeat.
const LONGEST_REPEAT: usize = 3;

/// A PIN of the right shape. Its digits are for a key derivation alone.
pub struct Pin(SecretBytes);

/// Why a text cannot be a PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnfitPin {
    /// Something else than digits.
    #[error("a PIN has digits only")]
    NotDigits,
    /// Fewer than [`MIN_DIGITS`] or more than [`MAX_DIGITS`].
    #[error("a PIN has {MIN_DIGITS} to {MAX_DIGITS} digits")]
    Length,
    /// `111111`, `121212`, `123123`.
    #[error("a PIN does not repeat itself")]
    Repeats,
    /// `123456`, `987654`, `890123`.
    #[error("a PIN does not count up or down")]
    Sequence,
}

impl Pin {
    /// Judges a new PIN, or reads one that is only checked.
    ///
    /// # Errors
    /// [`UnfitPin`].
    pub fn new(typed: &str) -> Result<Self, UnfitPin> {
        let digits = typed.as_bytes();
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(UnfitPin::NotDigits);
        }
        if !(MIN_DIGITS..=MAX_DIGITS).contains(&digits.len()) {
            return Err(UnfitPin::Length);
        }
        if (1..=LONGEST_REPEAT).any(|period| repeats(digits, period)) {
            return Err(UnfitPin::Repeats);
        }
        if [1, 9].into_iter().any(|step| counts(digits, step)) {
            return Err(UnfitPin::Sequence);
        }
        Ok(Self(SecretBytes::copied_from(digits)))
    }

    /// The digits. Never log, store or send them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.expose()
    }
}

impl std::fmt::Debug for Pin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Pin")
    }
}

fn repeats(digits: &[u8], period: usize) -> bool {
    digits.iter().zip(digits.iter().skip(period)).all(|(earlier, later)| earlier == later)
}

/// Counts up by `step`, modulo ten; 9 counts down.
fn counts(digits: &[u8], step: u8) -> bool {
    let value = |digit: &u8| digit - b'0';
    digits.iter().zip(digits.iter().skip(1)).all(|(earlier, later)| (value(earlier) + step) % 10 == value(later))
}

/// The tries of one device; stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinTries {
    wrong: u32,
}

/// The tries are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many wrong PINs: the password is needed")]
pub struct PasswordNeeded;

impl PinTries {
    /// Counts a try. Store it before the PIN is compared.
    ///
    /// # Errors
    /// [`PasswordNeeded`]; nothing is to be compared.
    pub fn count(&mut self) -> Result<(), PasswordNeeded> {
        if self.wrong >= MAX_TRIES {
            return Err(PasswordNeeded);
        }
        self.wrong += 1;
        Ok(())
    }

    /// The PIN was right, or the password was given. Store it.
    pub fn reset(&mut self) {
        self.wrong = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn easy_pins_are_refused() {
        let cases = [
            ("12345", UnfitPin::Length),
            ("", UnfitPin::Length),
            ("12345a", UnfitPin::NotDigits),
            ("１２３９４５", UnfitPin::NotDigits),
            ("000000", UnfitPin::Repeats),
            ("121212", UnfitPin::Repeats),
            ("1212121", UnfitPin::Repeats),
            ("495495", UnfitPin::Repeats),
            ("123456", UnfitPin::Sequence),
            ("890123", UnfitPin::Sequence),
            ("9876543", UnfitPin::Sequence),
            ("210987", UnfitPin::Sequence),
        ];
        for (typed, why) in cases {
            assert_eq!(Pin::new(typed).err(), Some(why), "{typed}");
        }
        assert_eq!(Pin::new(&"4958".repeat(9)).err(), Some(UnfitPin::Length));
        for typed in ["495827", "112233", "123457", "12345612"] {
            assert_eq!(Pin::new(typed).unwrap().expose(), typed.as_bytes());
        }
        assert_eq!(format!("{:?}", Pin::new("495827").unwrap()), "Pin");
    }

    /// Test plan 4.8: n accepted, n + 1 refused, and the count survives a restart.
    #[test]
    fn five_tries_and_then_the_password() {
        let mut tries = PinTries::default();
        for _ in 0..MAX_TRIES {
            let stored = serde_json::to_string(&tries).unwrap();
            tries = serde_json::from_str(&stored).unwrap();
            assert_eq!(tries.count(), Ok(()));
        }
        assert_eq!(tries.count(), Err(PasswordNeeded));
        assert_eq!(tries.count(), Err(PasswordNeeded));
        tries.reset();
        assert_eq!(tries.count(), Ok(()));
    }
}

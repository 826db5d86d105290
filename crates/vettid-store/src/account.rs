//! A member's account with the operator: how the portal knows the member.

use std::fmt;
use std::str::FromStr;
use vettid_wire::digest::Digest;
use vettid_wire::id::MemberId;
use vettid_wire::time::Timestamp;

/// Longest name in bytes.
pub const MAX_NAME_BYTES: usize = 64;

/// How a member signs in: 1 to 64 of `a-z 0-9 . _ + @ -`. Capital letters are taken as small ones.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountName(String);

/// The text is not a name of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to {MAX_NAME_BYTES} of a-z 0-9 . _ + @ -")]
pub struct InvalidName;

impl AccountName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccountName {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._+@-".contains(&b);
        let fits = (1..=MAX_NAME_BYTES).contains(&text.len()) && text.bytes().all(plain);
        if fits { Ok(Self(text.to_ascii_lowercase())) } else { Err(InvalidName) }
    }
}

impl fmt::Debug for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccountName")
    }
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The member.
    pub guid: MemberId,
    /// Unique.
    pub name: AccountName,
    /// Of the portal session's token.
    pub portal_token_hash: Digest,
    /// When it was opened.
    pub created_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_spelling() {
        assert_eq!("Alice@Example.org".parse::<AccountName>().unwrap().as_str(), "alice@example.org");
        for wrong in ["", "a b", "a\n", "\u{e9}", "a/b", "'; --", &"a".repeat(65)] {
            assert!(wrong.parse::<AccountName>().is_err(), "{wrong:?}");
        }
        assert_eq!(format!("{:?}", "alice".parse::<AccountName>().unwrap()), "AccountName");
    }
}

//! The durable steps in the life of a credential, by name. Whoever changes the issuer's state says which step it is, so that a
//! test can end the vault before and after the commit of each, and can tell that it left none out.

use std::fmt;

/// What a commit makes durable of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Durable {
    /// Transaction keys before the first credential.
    FirstKeys,
    /// A creation could not be read: its transaction key is used up.
    KeyUsedUp,
    /// The credential, its first version and the answer.
    Created,
    /// An attempt counts, and its transaction key is reserved; the password was not evaluated yet.
    Counted,
    /// The password was right: effect, next version and answer.
    Done,
    /// The password was wrong.
    Failed,
    /// An earlier copy was used; it counts as a failed attempt.
    Stale,
    /// A wait goes on in the present run.
    Waiting,
    /// The app has stored the next version.
    Confirmed,
    /// Further transaction keys.
    Replenished,
    /// A secret was used under a grant.
    UsedUnderGrant,
}

impl Durable {
    /// Every step that there is.
    pub const ALL: [Self; 11] = [
        Self::FirstKeys,
        Self::KeyUsedUp,
        Self::Created,
        Self::Counted,
        Self::Done,
        Self::Failed,
        Self::Stale,
        Self::Waiting,
        Self::Confirmed,
        Self::Replenished,
        Self::UsedUnderGrant,
    ];
}

impl fmt::Display for Durable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FirstKeys => "first keys",
            Self::KeyUsedUp => "key used up",
            Self::Created => "created",
            Self::Counted => "counted",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Stale => "stale",
            Self::Waiting => "waiting",
            Self::Confirmed => "confirmed",
            Self::Replenished => "replenished",
            Self::UsedUnderGrant => "used under a grant",
        })
    }
}

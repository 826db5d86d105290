//! The lock of a vault at rest, on its host (decisions 0105 and 0106): the lock records, the unlock lane that works while a
//! vault is locked, and what the host does when one is unlocked. Must never keep a storage key that its member locked.

pub(super) mod host;
pub(super) mod keeper;
pub(super) mod lane;
pub(super) mod record;

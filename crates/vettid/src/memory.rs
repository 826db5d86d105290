//! The memory of this process: it holds keys and member data, so no core dump of it is written, by this process or by one
//! that it starts, and no other user's program may look into it.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use std::io;

/// Switches core dumps off.
pub(crate) fn keep_off_the_disk() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

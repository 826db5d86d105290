//! What a vault knows for a while and never stores: no journal, snapshot or backup has it, and a vault that is locked or restarted
//! has forgotten it.

use crate::call::texts::CallTexts;
use crate::location::places::Places;

/// What is in memory only.
#[derive(Debug, Default)]
pub struct Fleeting {
    /// What the apps of the call that is on said to each other.
    pub call: CallTexts,
    /// Where people are.
    pub places: Places,
}

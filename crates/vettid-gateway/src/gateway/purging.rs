//! What was removed is gone from the files of the database as well, also if the gateway is killed between the commit and that: until
//! it is done the state says that it is owed.

use crate::clock;
use crate::random;
use crate::state::{Draft, Loaded, State, StateError};
use vettid_wire::id::EventId;

/// Where it stands what is owed.
const OWED: &str = "purge/";

/// Names what is owed after one commit.
type Owed = EventId;

/// What the gateway before this one owed.
pub(super) fn owed(loaded: &Loaded) -> Result<Vec<Owed>, StateError> {
    loaded.values(OWED)
}

/// Makes changes durable; nothing that they removed is left on the disk, nor what earlier ones removed that still owe that.
pub(super) async fn purge(state: &State, mut draft: Draft, mut owed: Vec<Owed>) -> Result<(), StateError> {
    let own = Owed::v7(clock::now(), random::bytes());
    draft.put(key(own), &own)?;
    owed.push(own);
    state.purge(draft).await?;
    let mut done = state.draft();
    owed.into_iter().for_each(|one| done.remove(key(one)));
    state.commit(done).await
}

fn key(owed: Owed) -> String {
    format!("{OWED}{owed}")
}

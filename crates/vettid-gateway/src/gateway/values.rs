//! Values that members' vaults hand out unasked: the latest of each field is kept as long as it may be, sealed in the state, and
//! is gone from memory and disk when that is over. Never gives out a value whose time is over.

use super::{Shared, lock};
use crate::clock;
use crate::connection::Live;
use crate::state::{Draft, Loaded, StateError};
use crate::webhook::{Event, EventKind};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use vettid_wire::data::{Keep, Snapshot, SnapshotState, is_field_name};
use vettid_wire::id::ConnectionId;
use vettid_wire::time::Timestamp;

const VALUES: &str = "value/";

/// The latest of each field of each connection.
pub(super) type Values = BTreeMap<(ConnectionId, String), Kept>;

/// The latest that came of a field. `Serialize` is for the sealed state alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    connection_id: ConnectionId,
    field: String,
    /// Outlives the value, so that an earlier one does not come back.
    number: u64,
    received_at: Timestamp,
    value: Option<(Value, Keep)>,
}

/// A value that a member's vault handed out unasked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = KeptValue)]
pub struct ValueView {
    /// Name of the field.
    pub field: String,
    /// Its value.
    #[schema(value_type = Value)]
    pub value: Value,
    /// When it came.
    #[schema(value_type = String, format = DateTime)]
    pub received_at: Timestamp,
    /// How long it may be kept.
    #[schema(value_type = Value)]
    pub keep: Keep,
}

impl Kept {
    fn is_over(&self, now: Timestamp) -> bool {
        self.value.as_ref().is_some_and(|(_, keep)| keep.is_over(now))
    }

    fn view(&self, now: Timestamp) -> Option<ValueView> {
        let (value, keep) = self.value.clone().filter(|(_, keep)| !keep.is_over(now))?;
        Some(ValueView { field: self.field.clone(), value, received_at: self.received_at, keep })
    }
}

/// What the state holds.
pub(super) fn load(loaded: &Loaded) -> Result<Values, StateError> {
    let all: Vec<Kept> = loaded.values(VALUES)?;
    Ok(all.into_iter().map(|kept| ((kept.connection_id, kept.field.clone()), kept)).collect())
}

/// Takes a value; `false` if it is not one of this connection, or not the latest.
pub(super) async fn take(shared: &Shared, live: &Live, snapshot: Snapshot) -> Result<bool, StateError> {
    let (id, now) = (live.record.connection_id, clock::now());
    let Snapshot { connection_id, contract_hash, field, number, state } = snapshot;
    let is_own = connection_id == id && contract_hash == live.record.contract_hash && is_field_name(&field);
    let key = (id, field.clone());
    let latest = lock(&shared.values).get(&key).map_or(0, |kept| kept.number);
    if !is_own || number <= latest {
        return Ok(false);
    }
    let value = match state {
        SnapshotState::Value { value, keep } if !keep.is_over(now) => Some((value, keep)),
        SnapshotState::Value { .. } | SnapshotState::Gone => None,
    };
    let kept = Kept { connection_id: id, field, number, received_at: now, value };
    let mut draft = shared.state.draft();
    draft.put(state_key(&key), &kept)?;
    // That there is one, and not the value: that is had by a call, for as long as it may be kept.
    let state = if kept.value.is_some() { "value" } else { "gone" };
    let body = json!({"field": kept.field, "number": number, "state": state});
    shared.tell(&mut draft, now, &Event::of(EventKind::DataSnapshot, id, body))?;
    // What it replaces may be kept as long as it was given for, which ends before the time of this one does.
    let is_gone = kept.value.is_none();
    if is_gone {
        shared.purge(draft).await?
    } else {
        shared.commit(draft).await?
    };
    lock(&shared.values).insert(key, kept);
    Ok(true)
}

/// What may be given out now, by name of the field.
pub(super) fn list(shared: &Shared, id: ConnectionId) -> Vec<ValueView> {
    let now = clock::now();
    let values = lock(&shared.values);
    values.values().filter(|kept| kept.connection_id == id).filter_map(|kept| kept.view(now)).collect()
}

/// Takes what there is of such connections out of the state; `true` if that is something.
pub(super) fn leave_out(values: &Values, draft: &mut Draft, is_over: impl Fn(ConnectionId) -> bool) -> bool {
    let mut gone = values.keys().filter(|(id, _)| is_over(*id)).peekable();
    let is_some = gone.peek().is_some();
    gone.for_each(|key| draft.remove(state_key(key)));
    is_some
}

/// Forgets values whose time is over.
pub(super) async fn sweep(shared: &Shared) {
    let now = clock::now();
    let over: Vec<Kept> = lock(&shared.values).values().filter(|kept| kept.is_over(now)).cloned().collect();
    let mut draft = shared.state.draft();
    for kept in over {
        let key = (kept.connection_id, kept.field.clone());
        let emptied = Kept { value: None, ..kept };
        if let Err(error) = draft.put(state_key(&key), &emptied) {
            tracing::error!(%error, "a value could not be removed");
            continue;
        }
        lock(&shared.values).insert(key, emptied);
    }
    if let Err(error) = shared.purge(draft).await {
        tracing::error!(%error, "values whose time is over could not be removed from the disk");
    }
}

fn state_key((id, field): &(ConnectionId, String)) -> String {
    format!("{VALUES}{id}/{field}")
}

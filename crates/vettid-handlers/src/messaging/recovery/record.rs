//! How far the conversation of a connection has come together again after a restore of this vault.

use crate::messaging::{conversation, damaged, encode};
use serde::{Deserialize, Serialize};
use vettid_handler::host::Host;
use vettid_handler::reply::HandlerError;
use vettid_wire::id::ConnectionId;
use vettid_wire::messaging::TextMessage;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

/// Most late messages that wait until own numbers are known.
const MAX_LATE: u32 = 256;
/// Revisions of one incarnation: those of the next one are all higher.
const REVISIONS: u64 = 1 << 32;
/// Revisions stay below what the wire can carry.
const MAX_INCARNATION: u64 = 1 << 20;

/// What is known of the recovery of one conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recovery {
    /// Since when.
    pub(super) begun_at: Timestamp,
    /// As which the vault was restored.
    incarnation: u64,
    /// The number of the last own message in the state that the vault came back from.
    pub(super) sent_up_to: u64,
    /// The highest own number that the peer ever saw; absent until it said so.
    pub(super) highest: Option<u64>,
    /// Own messages were looked at up to this place.
    pub(super) looked_at: u64,
    /// Nothing is left to be done.
    pub(super) is_over: bool,
    /// The owner was told that messages come back.
    pub(super) has_told: bool,
}

impl Recovery {
    pub(super) fn begun(begun_at: Timestamp, incarnation: u64, sent_up_to: u64) -> Self {
        Self { begun_at, incarnation, sent_up_to, highest: None, looked_at: 0, is_over: false, has_told: false }
    }
}

pub(super) fn get(host: &mut dyn Host, id: ConnectionId) -> Result<Option<Recovery>, HandlerError> {
    conversation::read(host, &key(id))
}

pub(super) fn put(host: &mut dyn Host, id: ConnectionId, recovery: &Recovery) -> Result<(), HandlerError> {
    Ok(host.put(&key(id), &encode(recovery)?)?)
}

/// Whether it is known which numbers are free, so that a message can be sent.
pub(in crate::messaging) fn is_settled(host: &mut dyn Host, id: ConnectionId) -> Result<bool, HandlerError> {
    Ok(get(host, id)?.is_none_or(|recovery| recovery.highest.is_some()))
}

/// What this side did before a restore may have had revisions up to here.
pub(in crate::messaging) fn revision_floor(host: &mut dyn Host, id: ConnectionId) -> Result<u64, HandlerError> {
    let incarnation = get(host, id)?.map_or(1, |recovery| recovery.incarnation);
    Ok(incarnation.saturating_sub(1).min(MAX_INCARNATION) * REVISIONS)
}

/// Keeps a message that is to be sent anew until own numbers are known.
pub(super) fn put_late(host: &mut dyn Host, id: ConnectionId, late: &TextMessage) -> Result<(), HandlerError> {
    let key = format!("{}{}", late_prefix(id), late.message_id);
    let is_full = host.list_keys(&late_prefix(id), MAX_LATE)?.len() >= usize::try_from(MAX_LATE).unwrap_or(usize::MAX);
    if is_full && host.get(&key)?.is_none() {
        return Err(RefusalCode::RateLimited.into());
    }
    Ok(host.put(&key, &encode(late)?)?)
}

/// Takes some of them out.
pub(super) fn take_late(
    host: &mut dyn Host,
    id: ConnectionId,
    at_once: usize,
) -> Result<Vec<TextMessage>, HandlerError> {
    let mut late = Vec::new();
    for key in host.list_keys(&late_prefix(id), u32::try_from(at_once).unwrap_or(u32::MAX))? {
        late.push(conversation::read(host, &key)?.ok_or_else(damaged)?);
        host.delete(&key)?;
    }
    Ok(late)
}

fn key(id: ConnectionId) -> String {
    format!("restored/{id}")
}

fn late_prefix(id: ConnectionId) -> String {
    format!("late/{id}/")
}

//! What the owner does with messages of services. The services learn nothing of it.

use super::{MUTED, PREFIX, Stored, emptied, find, key, of_connection};
use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::projection::UnreadableState;
use crate::step::Step;
use vettid_wire::connection::PeerKind;
use vettid_wire::event::Nothing;
use vettid_wire::id::ConnectionId;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::service_message::{
    ListServiceMessages, MAX_LISTED, Mute, MuteService, MutedService, ServiceMessageList, ServiceMessageRef,
    ServiceMessageView,
};

/// `service_message.list`.
pub fn list(step: &Step<'_>, asked: &ListServiceMessages) -> Result<Result<ServiceMessageList, RefusalCode>, Failure> {
    let prefix = asked.connection_id.map_or_else(|| PREFIX.to_owned(), of_connection);
    let mut all: Vec<Stored> = step.draft.values(&prefix)?;
    all.retain(|stored| stored.text.is_some() && !(asked.unread && stored.message.read_at.is_some()));
    all.sort_by_key(|stored| std::cmp::Reverse((stored.message.received_at, stored.message.message_id)));
    let limit = usize::from(asked.limit.min(MAX_LISTED));
    let messages = all.into_iter().take(limit).map(|stored| stored.message).collect();
    Ok(Ok(ServiceMessageList { messages, muted: muted(step)? }))
}

fn muted(step: &Step<'_>) -> Result<Vec<MutedService>, UnreadableState> {
    let mut muted = Vec::new();
    for place in step.draft.keys(MUTED, usize::MAX) {
        let id: Option<ConnectionId> = place.strip_prefix(MUTED).and_then(|id| id.parse().ok());
        let mute: Option<Mute> = step.draft.get(&place)?;
        let found = id.map(|id| connection::get(&step.draft, id)).transpose()?.flatten();
        if let (Some(connection), Some(mute)) = (found, mute.filter(|mute| mute.holds(step.now))) {
            muted.push(view(connection, Some(mute)));
        }
    }
    Ok(muted)
}

fn view(connection: Connection, mute: Option<Mute>) -> MutedService {
    MutedService { connection_id: connection.connection_id, display_name: connection.display_name, mute }
}

/// `service_message.read`.
pub fn read(
    step: &mut Step<'_>,
    asked: &ServiceMessageRef,
) -> Result<Result<ServiceMessageView, RefusalCode>, Failure> {
    let Some(mut stored) = find(&step.draft, asked.connection_id, asked.message_id)? else {
        return Ok(Err(RefusalCode::NotFound));
    };
    let Some(text) = stored.text.clone() else { return Ok(Err(RefusalCode::NotFound)) };
    if stored.message.read_at.is_none() {
        stored.message.read_at = Some(step.now);
        step.draft.put(key(asked.connection_id, asked.message_id), &stored)?;
    }
    Ok(Ok(ServiceMessageView { message: stored.message, text }))
}

/// `service_message.remove`. The id stays known for a while, so that the same message is not taken again.
pub fn remove(step: &mut Step<'_>, asked: &ServiceMessageRef) -> Result<Result<Nothing, RefusalCode>, Failure> {
    let stored = find(&step.draft, asked.connection_id, asked.message_id)?.filter(|stored| stored.text.is_some());
    let Some(stored) = stored else { return Ok(Err(RefusalCode::NotFound)) };
    step.draft.put(key(asked.connection_id, asked.message_id), &emptied(stored))?;
    Ok(Ok(Nothing {}))
}

/// `service_message.mute`.
pub fn mute(step: &mut Step<'_>, asked: &MuteService) -> Result<Result<MutedService, RefusalCode>, Failure> {
    let found = connection::get(&step.draft, asked.connection_id)?;
    let active = found.filter(|connection| connection.is_active() && connection.kind == PeerKind::Service);
    let Some(connection) = active else { return Ok(Err(RefusalCode::NotFound)) };
    let place = format!("{MUTED}{}", asked.connection_id);
    match &asked.mute {
        Some(mute) if !mute.holds(step.now) => return Ok(Err(RefusalCode::InvalidRequest)),
        Some(mute) => step.draft.put(place, mute)?,
        None => step.draft.remove(&place),
    }
    Ok(Ok(view(connection, asked.mute)))
}

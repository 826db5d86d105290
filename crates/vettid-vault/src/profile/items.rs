//! Items of the profile, each with its audience. An item without an audience is seen by nobody.

use super::{publish_again, signed};
use crate::card;
use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::projection::{Draft, UnreadableState};
use crate::step::Step;
use std::collections::BTreeMap;
use vettid_wire::data::is_field_name;
use vettid_wire::id::ConnectionId;
use vettid_wire::profile::{
    Audience, ItemName, ItemValue, MAX_ITEMS, PreviewProfile, ProfileItem, ProfileItems, SignedProfile,
};
use vettid_wire::refusal::RefusalCode;

const PREFIX: &str = "profile_item/";

type Answered<T> = Result<Result<T, RefusalCode>, Failure>;

fn key(name: &str) -> String {
    format!("{PREFIX}{name}")
}

fn all(draft: &Draft<'_>) -> Result<Vec<ProfileItem>, UnreadableState> {
    draft.values(PREFIX)
}

/// The items that a connection sees; `None`: that whoever reads the published profile sees.
pub fn shown_to(
    draft: &Draft<'_>,
    receiver: Option<ConnectionId>,
) -> Result<BTreeMap<String, ItemValue>, UnreadableState> {
    let tags = receiver.map(|id| card::of(draft, id)).transpose()?.unwrap_or_default().tags;
    let sees = |audience: &Audience| {
        let is_named = receiver.is_some_and(|id| audience.connections.contains(&id));
        audience.everybody || is_named || !audience.tags.is_disjoint(&tags)
    };
    let items = all(draft)?.into_iter().filter(|item| sees(&item.audience));
    Ok(items.map(|item| (item.name, item.value)).collect())
}

/// Owner's command: the items.
pub fn list(step: &Step<'_>) -> Answered<ProfileItems> {
    Ok(Ok(ProfileItems { items: all(&step.draft)? }))
}

/// Owner's command: puts an item in, or in the place of the one of its name.
pub fn set(step: &mut Step<'_>, item: &ProfileItem) -> Answered<ProfileItems> {
    let is_new = !step.draft.has(&key(&item.name));
    let is_full = is_new && all(&step.draft)?.len() >= MAX_ITEMS;
    if !is_field_name(&item.name) || !item.value.is_sound() || is_full {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    step.draft.put(key(&item.name), item)?;
    changed(step)
}

/// Owner's command: takes an item out.
pub fn remove(step: &mut Step<'_>, asked: &ItemName) -> Answered<ProfileItems> {
    if !step.draft.has(&key(&asked.name)) {
        return Ok(Err(RefusalCode::NotFound));
    }
    step.draft.remove(&key(&asked.name));
    changed(step)
}

fn changed(step: &mut Step<'_>) -> Answered<ProfileItems> {
    publish_again(step)?;
    list(step)
}

/// Owner's command: the profile as a connection sees it.
pub fn preview(step: &Step<'_>, asked: &PreviewProfile) -> Answered<SignedProfile> {
    if let Some(id) = asked.connection_id
        && !connection::get(&step.draft, id)?.is_some_and(|connection: Connection| connection.is_live())
    {
        return Ok(Err(RefusalCode::NotFound));
    }
    Ok(Ok(signed(step, asked.connection_id)?))
}

//! What the owner notes about a connection: a name of its own and tags. The other side never sees them.

use crate::connection;
use crate::failure::Failure;
use crate::projection::{Draft, UnreadableState};
use crate::step::Step;
use crate::{upkeep, view};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use vettid_wire::connection::{ConnectionView, LabelConnection, MAX_LABEL_CHARS, MAX_TAGS, TagConnection};
use vettid_wire::feed::Tag;
use vettid_wire::id::ConnectionId;
use vettid_wire::refusal::RefusalCode;

/// The notes about one connection.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Card {
    /// The owner's own name for it.
    pub label: Option<String>,
    /// In alphabetical order.
    pub tags: BTreeSet<Tag>,
}

/// The notes about a connection; none if there are none.
pub fn of(draft: &Draft<'_>, id: ConnectionId) -> Result<Card, UnreadableState> {
    Ok(draft.get(&key(id))?.unwrap_or_default())
}

fn put(draft: &mut Draft<'_>, id: ConnectionId, card: &Card) -> Result<(), UnreadableState> {
    if *card == Card::default() {
        draft.remove(&key(id));
        return Ok(());
    }
    draft.put(key(id), card)
}

fn key(id: ConnectionId) -> String {
    format!("card/{id}")
}

/// Whether a text may be a label: one line of printable characters that is not too long.
#[must_use]
pub fn is_label(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= MAX_LABEL_CHARS && !text.chars().any(char::is_control)
}

/// Notes the name that was given with an invitation.
pub fn put_label(draft: &mut Draft<'_>, id: ConnectionId, label: String) -> Result<(), UnreadableState> {
    let card = Card { label: Some(label), ..of(draft, id)? };
    put(draft, id, &card)
}

/// Owner's command: the name of one's own.
pub fn label(step: &mut Step<'_>, asked: &LabelConnection) -> Result<Result<ConnectionView, RefusalCode>, Failure> {
    if asked.label.as_deref().is_some_and(|label| !is_label(label)) {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    change(step, asked.connection_id, |card| card.label.clone_from(&asked.label))
}

/// Owner's command: tags.
pub fn tag(step: &mut Step<'_>, asked: &TagConnection) -> Result<Result<ConnectionView, RefusalCode>, Failure> {
    change(step, asked.connection_id, |card| {
        card.tags.extend(asked.add.iter().cloned());
        card.tags.retain(|tag| !asked.remove.contains(tag));
    })
}

fn change(
    step: &mut Step<'_>,
    id: ConnectionId,
    act: impl FnOnce(&mut Card),
) -> Result<Result<ConnectionView, RefusalCode>, Failure> {
    let Some(connection) = connection::get(&step.draft, id)? else {
        return Ok(Err(RefusalCode::NotFound));
    };
    let mut card = of(&step.draft, id)?;
    act(&mut card);
    if card.tags.len() > MAX_TAGS {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    put(&mut step.draft, id, &card)?;
    // Tags decide what the connection sees of the profile.
    upkeep::look_soon_at(&mut step.draft, step.now, id)?;
    Ok(Ok(view::changed(step, &connection)?))
}

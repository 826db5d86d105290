//! Reactions to messages: at most one of each side, the newest one. One that overtook its message waits for it, within bounds.

use super::conversation::{self, Kept, find, update};
use super::{encode, member, recovery};
use crate::shown;
use vettid_handler::event::Context;
use vettid_handler::feed::FeedNote;
use vettid_handler::handler::Outcome;
use vettid_handler::host::Host;
use vettid_handler::reply::HandlerError;
use vettid_wire::event::{EventRow, MessagingReaction, Nothing};
use vettid_wire::feed::{Outcome as FeedOutcome, Severity};
use vettid_wire::id::{ConnectionId, EventId};
use vettid_wire::messaging::{MAX_REACTION_BYTES, React, Reaction};
use vettid_wire::refusal::RefusalCode;

/// Most reactions of one connection that wait for their messages.
const MAX_EARLY: u32 = 100;

/// `messaging.react`: the owner reacts to a message, or takes the reaction back.
pub(super) fn react(host: &mut dyn Host, _: &Context, request: React) -> Result<Outcome<Nothing>, HandlerError> {
    let React { connection_id, message_id, symbol } = request;
    check(symbol.as_deref())?;
    let (key, mut kept) = find(host, connection_id, message_id)?.ok_or(RefusalCode::NotFound)?;
    if kept.view.own_reaction == symbol {
        return Ok(Outcome::Reply(Nothing {}));
    }
    kept.own_revision = kept.own_revision.max(recovery::revision_floor(host, connection_id)?) + 1;
    kept.view.own_reaction.clone_from(&symbol);
    let reaction = Reaction { message_id, symbol, revision: kept.own_revision };
    host.send(connection_id, &MessagingReaction::ROW.event_type(), &encode(&reaction)?)?;
    update(host, &key, &kept)?;
    Ok(Outcome::Reply(Nothing {}))
}

/// `messaging.reaction`: the peer reacts to a message, or takes its reaction back.
pub(super) fn reaction(
    host: &mut dyn Host,
    context: &Context,
    reaction: Reaction,
) -> Result<Outcome<Nothing>, HandlerError> {
    let peer = member(context)?;
    check(reaction.symbol.as_deref())?;
    if reaction.revision == 0 {
        return Err(RefusalCode::InvalidRequest.into());
    }
    let Some((key, mut kept)) = find(host, peer.connection_id, reaction.message_id)? else {
        return wait(host, peer.connection_id, &reaction).map(|()| Outcome::Done);
    };
    let is_told = reaction.symbol.is_some();
    if take(&mut kept, reaction) {
        update(host, &key, &kept)?;
        if is_told {
            host.feed(&FeedNote {
                severity: Severity::Info,
                outcome: FeedOutcome::Done,
                summary: format!("{} reacted to a message", shown::name(&peer.display_name)),
                request_id: None,
            })?;
        }
    }
    Ok(Outcome::Done)
}

/// A message arrived: a reaction that overtook it holds now.
pub(super) fn catch_up(host: &mut dyn Host, connection_id: ConnectionId, kept: &mut Kept) -> Result<(), HandlerError> {
    let key = early_key(connection_id, kept.view.message_id);
    if let Some(early) = conversation::read::<Reaction>(host, &key)? {
        take(kept, early);
        host.delete(&key)?;
    }
    Ok(())
}

/// Keeps a reaction whose message did not arrive yet.
fn wait(host: &mut dyn Host, connection_id: ConnectionId, reaction: &Reaction) -> Result<(), HandlerError> {
    let key = early_key(connection_id, reaction.message_id);
    let known: Option<Reaction> = conversation::read(host, &key)?;
    if known.as_ref().is_some_and(|known| known.revision >= reaction.revision) {
        return Ok(());
    }
    let waiting = host.list_keys(&format!("early/{connection_id}/"), MAX_EARLY)?.len();
    if known.is_none() && waiting >= usize::try_from(MAX_EARLY).unwrap_or(usize::MAX) {
        return Err(RefusalCode::NotFound.into());
    }
    Ok(host.put(&key, &encode(reaction)?)?)
}

/// `false` if a newer one is known.
pub(super) fn take(kept: &mut Kept, reaction: Reaction) -> bool {
    let is_newer = reaction.revision > kept.peer_revision;
    if is_newer {
        kept.peer_revision = reaction.revision;
        kept.view.peer_reaction = reaction.symbol;
    }
    is_newer
}

pub(super) fn check(symbol: Option<&str>) -> Result<(), RefusalCode> {
    let is_fine = symbol.is_none_or(|symbol| shown::is_symbol(symbol, MAX_REACTION_BYTES));
    if is_fine { Ok(()) } else { Err(RefusalCode::InvalidRequest) }
}

fn early_key(connection_id: ConnectionId, message_id: EventId) -> String {
    format!("early/{connection_id}/{message_id}")
}

//! What holds for the messages of one connection: whether the peer is told what was read, and whether messages disappear, which
//! both sides have to want. Neither side can make the other one's messages disappear.

use super::{conversation, encode, member, recovery};
use crate::shown;
use serde::{Deserialize, Serialize};
use vettid_handler::event::Context;
use vettid_handler::feed::FeedNote;
use vettid_handler::handler::Outcome;
use vettid_handler::host::Host;
use vettid_handler::reply::HandlerError;
use vettid_wire::event::{EventRow, MessagingDisappear, Nothing};
use vettid_wire::feed::{Outcome as FeedOutcome, Severity};
use vettid_wire::id::ConnectionId;
use vettid_wire::messaging::{Disappearing, MAX_DISAPPEAR_S, MIN_DISAPPEAR_S, MessagingSettings, SetMessaging};
use vettid_wire::refusal::RefusalCode;

/// What both sides chose for a connection; what was never chosen is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Chosen {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    read_receipts: Option<bool>,
    /// After how long the owner wants messages to disappear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) own_after_s: Option<u32>,
    #[serde(default)]
    own_revision: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    peer_after_s: Option<u32>,
    #[serde(default)]
    peer_revision: u64,
}

impl Chosen {
    /// Whether the peer is told what was read.
    pub(super) fn has_read_receipts(&self) -> bool {
        self.read_receipts.unwrap_or(true)
    }

    /// After how long messages disappear: what both sides want.
    pub(super) fn agreed_s(&self) -> Option<u32> {
        self.own_after_s.filter(|_| self.own_after_s == self.peer_after_s)
    }

    fn view(&self) -> MessagingSettings {
        MessagingSettings {
            read_receipts: self.has_read_receipts(),
            disappear_after_s: self.own_after_s,
            peer_disappear_after_s: self.peer_after_s,
            is_disappearing: self.agreed_s().is_some(),
        }
    }
}

/// `messaging.settings`: reads or changes what holds for one connection. A new wish is told to the peer.
pub(super) fn settings(
    host: &mut dyn Host,
    _: &Context,
    request: SetMessaging,
) -> Result<Outcome<MessagingSettings>, HandlerError> {
    let id = request.connection_id;
    let before = chosen(host, id)?;
    let mut now = Chosen { read_receipts: request.read_receipts.or(before.read_receipts), ..before };
    if let Some(after_s) = request.disappear_after_s {
        now.own_after_s = Some(after_s).filter(|after_s| *after_s != 0);
        check(now.own_after_s)?;
    }
    if now.own_after_s != before.own_after_s {
        now.own_revision = now.own_revision.max(recovery::revision_floor(host, id)?) + 1;
        let wish = Disappearing { after_s: now.own_after_s, revision: now.own_revision };
        host.send(id, &MessagingDisappear::ROW.event_type(), &encode(&wish)?)?;
    }
    if now != before {
        host.put(&key(id), &encode(&now)?)?;
    }
    Ok(Outcome::Reply(now.view()))
}

/// `messaging.disappear`: after how long the peer wants messages to disappear.
pub(super) fn disappear(
    host: &mut dyn Host,
    context: &Context,
    wish: Disappearing,
) -> Result<Outcome<Nothing>, HandlerError> {
    let peer = member(context)?;
    check(wish.after_s)?;
    let mut chosen = chosen(host, peer.connection_id)?;
    if wish.revision <= chosen.peer_revision {
        return Ok(Outcome::Done);
    }
    (chosen.peer_after_s, chosen.peer_revision) = (wish.after_s, wish.revision);
    host.put(&key(peer.connection_id), &encode(&chosen)?)?;
    let name = shown::name(&peer.display_name);
    let summary = match (chosen.peer_after_s, chosen.agreed_s()) {
        (None, _) => format!("{name} does not want messages to disappear"),
        (Some(_), Some(agreed_s)) => format!("Messages with {name} disappear {} after delivery now", length(agreed_s)),
        (Some(wish_s), None) => {
            format!("{name} wants messages to disappear {} after delivery; they do once you agree", length(wish_s))
        }
    };
    host.feed(&FeedNote { severity: Severity::Notice, outcome: FeedOutcome::Done, summary, request_id: None })?;
    Ok(Outcome::Done)
}

/// A time after which messages may disappear, or none.
pub(super) fn check(after_s: Option<u32>) -> Result<(), RefusalCode> {
    let is_fine = after_s.is_none_or(|after_s| (MIN_DISAPPEAR_S..=MAX_DISAPPEAR_S).contains(&after_s));
    if is_fine { Ok(()) } else { Err(RefusalCode::InvalidRequest) }
}

pub(super) fn chosen(host: &mut dyn Host, connection_id: ConnectionId) -> Result<Chosen, HandlerError> {
    Ok(conversation::read(host, &key(connection_id))?.unwrap_or_default())
}

fn key(connection_id: ConnectionId) -> String {
    format!("settings/{connection_id}")
}

/// In the largest unit that gives a whole number.
fn length(seconds: u32) -> String {
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let unit = units.into_iter().find(|(length, _)| seconds.is_multiple_of(*length));
    let (length, name) = unit.unwrap_or((1, "second"));
    let count = seconds / length;
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}

//! Events of connections and services. The order of the checks is fixed: keys, replay, row, time, contract, handler.
//! Nothing happens for a sender that is not an active connection; an authenticated sender is told why.

use crate::agreement;
use crate::authorisation;
use crate::call;
use crate::channels::ChannelName;
use crate::connection::{self, Connection};
use crate::contract;
use crate::failure::Failure;
use crate::feed::Note;
use crate::file;
use crate::location;
use crate::login;
use crate::mark::{self, Seen};
use crate::messages;
use crate::profile::sync;
use crate::renewal;
use crate::resync;
use crate::revocation;
use crate::rotation;
use crate::rule::ruling::{self, Ruling};
use crate::service::{batch, message};
use crate::step::Step;
use crate::stored;
use serde_json::Value;
use std::sync::Arc;
use vettid_core::allowance::Room;
use vettid_core::channel::in_reply_to_canonical;
use vettid_core::grants::mint::way_back_name;
use vettid_core::window::Freshness;
use vettid_wire::base64::Base64Url;
use vettid_wire::connection::PeerKind;
use vettid_wire::envelope::{Content, Envelope, InReplyTo};
use vettid_wire::event::{self, Delivery, EventRow, EventType, Lane, Row};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::id::EventId;
use vettid_wire::json as vjson;
use vettid_wire::refusal::{EventRefused, RefusalCode};
use vettid_wire::subject::Subject;
use vettid_wire::time::Timestamp;

mod admission;
mod again;
mod handling;
mod outcome;
mod question;

pub use question::resume;
pub(crate) use question::{BY_RULE, end_waiting};

use admission::{Admitted, admit};
use handling::{context, handle};
use outcome::{Done, Marked, Refused, finish};

/// Clocks may differ by this much, in milliseconds.
pub const MAX_SKEW_MS: i64 = 120_000;

/// One event of a peer, opened.
struct Arrived {
    event_id: EventId,
    event_type: EventType,
    sealed_at: Timestamp,
    lane: Lane,
    content: Content<Value>,
    body_hash: Base64Url,
    question: InReplyTo,
    /// Bytes on the wire.
    size: u64,
    /// Bytes of the canonical body.
    body_bytes: usize,
    /// It was sealed in the running epoch.
    is_running: bool,
}

/// Whether an envelope was one of an active connection (docs/decisions/0178).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// It opened under the keys of its connection.
    Yes,
    /// Its epoch is closed, so nothing was tried, and an event of its id was taken up before.
    Before,
    /// It did not, for whatever reason.
    No,
}

/// Takes up one envelope that arrived on a connection's or service's subject.
///
/// `size` is that of the envelope on the wire, in bytes.
pub fn receive(
    step: &mut Step<'_>,
    lane: Lane,
    subject: &Subject,
    envelope: &Envelope,
    size: u64,
) -> Result<Opened, Failure> {
    if let Some(opened) = resync::out_of_line(step, subject, envelope)? {
        return Ok(opened);
    }
    let Some(connection) = sender(step, subject, envelope)? else {
        return Ok(Opened::No);
    };
    let name = ChannelName::Connection(connection.connection_id);
    let Some(channel) = step.channels.get(&step.draft, name)? else {
        return Ok(Opened::No);
    };
    let Ok(opened) = channel.open(subject, envelope) else {
        let has_closed = channel.has_closed(envelope.encryption.epoch);
        let scope = connection.connection_id.to_string();
        let is_repeated = has_closed && mark::is_known(&step.draft, &scope, envelope.event_id);
        return Ok(if is_repeated { Opened::Before } else { Opened::No });
    };
    let (allowance, is_running) = (*channel.allowance(), opened.epoch == channel.epoch());
    let body = vjson::canonical(&opened.content.body)?;
    let question = in_reply_to_canonical(envelope.event_id, &body);
    let arrived = Arrived {
        event_id: envelope.event_id,
        event_type: envelope.event_type.clone(),
        sealed_at: envelope.timestamp,
        lane,
        body_hash: question.body_hash.clone(),
        question,
        content: opened.content,
        size,
        body_bytes: body.len(),
        is_running,
    };
    // While the key confirmation is under way, what overtook it comes again.
    let overtook = !connection.is_active() && arrived.event_type != event::ConnectionReady::ROW.event_type();
    let handled = if overtook { Err(Failure::Retry) } else { take_up(step, &connection, &arrived, opened.freshness) };
    if let Err(failure) = &handled
        && let Some(channel) = step.channels.get(&step.draft, name)?
    {
        if opened.freshness == Freshness::New {
            channel.unmark(opened.epoch, opened.sequence);
        }
        if !matches!(failure, Failure::Wait(_)) {
            // It was counted and will be once more when it comes again.
            *channel.allowance() = allowance;
        }
    }
    handled.map(|()| Opened::Yes)
}

/// Takes up an envelope of a peer that comes back after its credential ran out.
pub fn receive_by_way_back(step: &mut Step<'_>, subject: &Subject, bytes: &[u8]) -> Result<Opened, Failure> {
    let Ok(envelope) = Envelope::read(bytes) else {
        return Ok(Opened::No);
    };
    if let Some(opened) = resync::out_of_line(step, subject, &envelope)? {
        return Ok(opened);
    }
    let lane = match sender(step, subject, &envelope)?.map(|connection| connection.kind) {
        Some(PeerKind::Member) => Lane::Connection,
        Some(PeerKind::Service) => Lane::Service,
        None => return Ok(Opened::No),
    };
    receive(step, lane, subject, &envelope, u64::try_from(bytes.len()).unwrap_or(u64::MAX))
}

/// The connection that may use this subject with these keys, if it is active.
fn sender(step: &Step<'_>, subject: &Subject, envelope: &Envelope) -> Result<Option<Arc<Connection>>, Failure> {
    let Some(key_id) = envelope.encryption.connection_key_id else {
        return Ok(None);
    };
    let Some(id) = connection::by_key(&step.draft, key_id)? else {
        return Ok(None);
    };
    if connection::is_buried(&step.draft, id) {
        return Ok(None);
    }
    let connection =
        connection::shared(&step.draft, id)?.filter(|connection| connection.is_active() || connection.awaits_ready());
    Ok(connection.filter(|connection| match subject {
        Subject::ForOwner(_, named, event_type) | Subject::Call(_, named, event_type) => {
            let is_call = event::find(Lane::Connection, event_type).is_some_and(Row::is_call);
            let may_stand_here = is_call == matches!(subject, Subject::Call(..));
            let is_own = *named == id && connection.service_id().is_none();
            is_own && may_stand_here && *event_type == envelope.event_type
        }
        Subject::FromService(_, named, event_type) => {
            connection.service_id() == Some(named) && *event_type == envelope.event_type
        }
        // The way back of a peer whose credential ran out carries a new one, and nothing else.
        Subject::Invite(_, named) => {
            *named == way_back_name(id) && envelope.event_type == event::ConnectionCredential::ROW.event_type()
        }
        _ => false,
    }))
}

fn take_up(
    step: &mut Step<'_>,
    connection: &Connection,
    arrived: &Arrived,
    freshness: Freshness,
) -> Result<(), Failure> {
    if arrived.lane == Lane::Connection && file::peer::is_of_pieces(&arrived.event_type) {
        if freshness != Freshness::New || step.identity.is_behind(arrived.content.to_incarnation) {
            step.dropped += 1;
            return Ok(());
        }
        return file::peer::receive(step, connection, &arrived.event_type, arrived.content.body.clone());
    }
    let room = room_for(step, connection, arrived)?;
    if let Room::Later(wait_ms) = room {
        return Err(Failure::Wait(wait_ms));
    }
    let below_window = freshness == Freshness::TooOld;
    if room == Room::Dropped {
        step.dropped += 1;
        return Ok(());
    }
    if below_window && !marks_reach(step, arrived) {
        return Ok(());
    }
    let scope = connection.connection_id.to_string();
    match mark::look_up(&step.draft, &scope, arrived.event_id, &arrived.body_hash)? {
        Seen::Before(_) | Seen::Over | Seen::OtherBody if below_window => return Ok(()),
        // What is over the limit is not answered twice.
        Seen::Before(_) | Seen::Over if room == Room::Refused => return Ok(()),
        Seen::Before(Some(answer)) => return again::answer_again(step, connection, arrived, answer),
        Seen::Over => return again::refuse(step, connection, arrived, RefusalCode::Expired),
        // Nothing is remembered of what was read, so it is read again.
        Seen::Before(None) if arrived.lane == Lane::Service && stored::service::reads(&arrived.event_type) => {}
        Seen::Before(None) => return Ok(()),
        Seen::OtherBody => {
            return finish(step, connection, arrived, Err(RefusalCode::Conflict), Marked::No, &Ruling::None);
        }
        // The sequence is used and the event unknown: it was refused before, or its sender was put back to an earlier state and
        // counts again from there. Either way it has no effect, and its sender has to know (docs/decisions/0157).
        Seen::Never if freshness == Freshness::Seen && marks_reach(step, arrived) => {
            return finish(step, connection, arrived, Err(RefusalCode::Conflict), Marked::No, &Ruling::None);
        }
        Seen::Never if freshness == Freshness::Seen => return Ok(()),
        Seen::Never if room == Room::Refused => {
            let refused = Err(RefusalCode::RateLimited);
            return finish(step, connection, arrived, refused, Marked::Yes(None), &Ruling::None);
        }
        Seen::Never if step.identity.is_behind(arrived.content.to_incarnation) => {
            return finish(step, connection, arrived, Err(RefusalCode::Unavailable), Marked::No, &Ruling::None);
        }
        Seen::Never => {}
    }
    let before = connection::buckets(&step.draft, connection.connection_id)?;
    let mut buckets = before.clone();
    let (decided, ruling) = match admit(step, connection, arrived, &mut buckets)? {
        Ok(admitted) => {
            let body = &arrived.content.body;
            let mut ruling = ruling::on(step, connection, &arrived.event_type, body, admitted.tier)?;
            // Before this vault was restored it may have been decided already: nobody but the owner decides it now.
            if arrived.content.to_incarnation < step.identity.incarnation {
                ruling = ruling.asked();
            }
            let done = act(step, connection, arrived, &admitted, &ruling)?;
            (done.map_err(|code| Refused::after_admission(&arrived.event_type, code)), ruling)
        }
        Err(refused) => {
            login::warn_of_copy(step, connection, (&arrived.event_type, &arrived.content.body), refused.code)?;
            (Err(refused), Ruling::None)
        }
    };
    // What the event set off may have used rates of its own; only what admitting it took is stored here.
    let used = (buckets != before).then_some(buckets);
    finish(step, connection, arrived, decided, Marked::Yes(used), &ruling)
}

/// Room for an event under the limit of every connection. An event without a time limit loses nothing by waiting; the
/// others are refused in words. Repetitions are counted, too: each is opened and may be answered.
fn room_for(step: &mut Step<'_>, connection: &Connection, arrived: &Arrived) -> Result<Room, Failure> {
    let row = event::find(arrived.lane, &arrived.event_type);
    let may_wait = row.is_some_and(|row| row.delivery == Delivery::Durable && row.within_ms.is_none());
    let (now, limit) = (step.now, step.limits.connection);
    let channel = step.channels.get(&step.draft, ChannelName::Connection(connection.connection_id))?;
    let channel = channel.ok_or(Failure::Retry)?;
    Ok(channel.allowance().admit(now, &limit, arrived.size, may_wait.then_some(arrived.sealed_at)))
}

/// Whether the marks tell a repetition of this event even where the window does not reach. A peer that restarts passes over
/// the sequences that it had reserved, so what it sent before may fall below the window though it never arrived; events
/// that must arrive are then told apart by their ids, which are kept longer than this.
fn marks_reach(step: &Step<'_>, arrived: &Arrived) -> bool {
    let durable = |row: &&Row| row.delivery == Delivery::Durable && row.within_ms.is_none();
    let age_ms = step.now.since_ms(arrived.sealed_at);
    event::find(arrived.lane, &arrived.event_type).filter(durable).is_some()
        && (-MAX_SKEW_MS..mark::KEEP_MS / 2).contains(&age_ms)
}

/// Carries out an admitted event.
fn act(
    step: &mut Step<'_>,
    connection: &Connection,
    arrived: &Arrived,
    admitted: &Admitted,
    ruling: &Ruling,
) -> Result<Result<Done, RefusalCode>, Failure> {
    let Admitted { row, tier, fields } = admitted;
    let (row, tier) = (*row, *tier);
    match row.name {
        "connection.ready" => crate::establish::ready(step, connection, arrived.content.body.clone())
            .map(|done| done.map(|()| Done::Quiet)),
        "connection.credential" => renewal::receive(step, connection, arrived.event_id, arrived.content.body.clone())
            .map(|done| done.map(|()| Done::Quiet)),
        "profile.changed" => sync::receive(step, connection, arrived.content.body.clone(), arrived.is_running)
            .map(|done| done.map(|()| Done::Quiet)),
        "connection.rekey" => {
            rotation::receive(step, connection, arrived.content.body.clone()).map(|done| done.map(|()| Done::Quiet))
        }
        "connection.revoked" => {
            revocation::by_peer(step, connection, arrived.content.body.clone()).map(|done| done.map(|()| Done::Quiet))
        }
        "login.finished" => {
            login::finished(step, connection, arrived.content.body.clone()).map(|done| done.map(|()| Done::Quiet))
        }
        "request.terms" | "transaction.terms" | "agreement.answer" | "agreement.outcome" => {
            let (part, body) = ((row, arrived.sealed_at), arrived.content.body.clone());
            agreement::peer::receive(step, connection, part, body, ruling).map(|done| done.map(|()| Done::Quiet))
        }
        _ if arrived.lane == Lane::Service && authorisation::is_one(&arrived.event_type) => {
            let (asked, body) = ((&arrived.event_type, &arrived.question), &arrived.content.body);
            let taken = authorisation::receive(step, connection, asked, body, ruling)?;
            Ok(taken.map(|answer| answer.map_or(Done::Quiet, Done::Answered)))
        }
        "data.batch.request" => {
            let asks_all = arrived.content.to_incarnation < step.identity.incarnation;
            let (question, body) = (&arrived.question, &arrived.content.body);
            let taken = batch::receive(step, connection, (question, body), fields, asks_all)?;
            Ok(taken.map(Done::Answered))
        }
        "service_message.send" => {
            let taken = message::receive(step, connection, &arrived.question, &arrived.content.body, ruling)?;
            Ok(taken.map(Done::Answered))
        }
        _ if arrived.lane == Lane::Service && stored::service::is_one(&arrived.event_type) => {
            let (asked, body) = ((&arrived.event_type, &arrived.question), &arrived.content.body);
            let taken = stored::service::receive(step, connection, asked, body, ruling)?;
            Ok(taken.map(|answer| answer.map_or(Done::Quiet, Done::Answered)))
        }
        // Only whoever came back asks for what it lost.
        "messaging.resume" if !resync::has_come_back(&step.draft, connection.connection_id) => {
            Ok(Err(RefusalCode::NotAllowed))
        }
        "contract.offered" => {
            contract::offered(step, connection, arrived.content.body.clone()).map(|done| done.map(|()| Done::Quiet))
        }
        "contract.countersigned" => contract::countersigned(step, connection, arrived.content.body.clone())
            .map(|done| done.map(|()| Done::Quiet)),
        "file.received" => {
            file::peer::received(step, connection, arrived.content.body.clone()).map(|done| done.map(|()| Done::Quiet))
        }
        _ if row.is_call() => call::peer::receive(step, connection, row, arrived.content.body.clone())
            .map(|done| done.map(|()| Done::Quiet)),
        "location.share" | "location.end" => {
            let taken = location::receive(step, connection, row, arrived.content.body.clone())?;
            let done = |taken| if taken == location::Taken::Passing { Done::Passing } else { Done::Quiet };
            Ok(taken.map(done))
        }
        "event.refused" => {
            peer_refused(step, connection, arrived.content.body.clone()).map(|done| done.map(|()| Done::Quiet))
        }
        _ => {
            let tier = ruling.tier(tier);
            let context = context(step, connection, arrived.lane, arrived.event_id, &arrived.event_type, tier, None)?;
            let body = &arrived.content.body;
            if let Err(code) = file::peer::check(step, connection, &arrived.event_type, body)? {
                return Ok(Err(code));
            }
            let done = handle(step, connection, &context, body, ruling)?;
            if done.is_ok() {
                file::peer::came(step, connection, &arrived.event_type, body)?;
            }
            messages::look_soon(step, &arrived.event_type)?;
            Ok(done)
        }
    }
}

/// Who acted, for the audit.
#[must_use]
pub fn actor(connection: &Connection) -> String {
    match connection.service_id() {
        Some(service) => format!("service:{service}"),
        None => format!("connection:{}", connection.connection_id),
    }
}

/// The peer says that an event of this vault had no effect there.
fn peer_refused(step: &mut Step<'_>, connection: &Connection, body: Value) -> Result<Result<(), RefusalCode>, Failure> {
    let Ok(refused) = vjson::from_value::<EventRefused>(body) else {
        return Ok(Err(RefusalCode::InvalidRequest));
    };
    if refused.event_type == event::CallOffer::ROW.event_type() {
        call::peer::refused(step, connection)?;
    }
    step.tell(Note {
        event_type: refused.event_type.clone(),
        connection_id: Some(connection.connection_id),
        request_id: None,
        severity: Severity::Warning,
        outcome: Outcome::Refused(refused.code),
        summary: format!("{} refused {} ({})", connection.display_name, refused.event_type, refused.code),
    })?;
    Ok(Ok(()))
}

//! What a message on the member's lane is, once opened: an answer, a notice, or nothing that counts. Pure; opening marks
//! the sequence. Must never tell apart, towards the sender, why something does not count.

use crate::connection::Live;
use crate::question::Answer;
use serde_json::Value;
use vettid_core::channel::Channel;
use vettid_core::grants::mint::way_back_name;
use vettid_core::window::Freshness;
use vettid_wire::data::Snapshot;
use vettid_wire::envelope::{Content, Envelope, InReplyTo};
use vettid_wire::event::{
    self, ConsentWithdrawn, ContractAccepted, DataSnapshot, EventRow as _, Lane, MemberCredential,
    MemberProfileChanged, MemberRekey, MemberRevoked, Row,
};
use vettid_wire::id::EventId;
use vettid_wire::json;
use vettid_wire::login::LoginOpened;
use vettid_wire::subject::Subject;

/// An opened message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// An answer, and the question that it names.
    Answer(Box<Answer>, Option<InReplyTo>),
    /// A notice that the connection is over, its signature not checked yet.
    Notice(Value),
    /// A step towards the keys of the next epoch, its signature not checked yet.
    Rekey(Value),
    /// A consent is taken back, its signature not checked yet.
    Withdrawal(Value),
    /// The member accepted a version of the contract, its signature not checked yet.
    Accepted(Value),
    /// A value that the member's vault hands out unasked.
    Snapshot(Snapshot),
    /// A fresh credential for the member's space, and the event that brings it.
    Credential(EventId, Value),
    /// The member's app opened the link of a waiting page.
    LoginOpened(LoginOpened),
    /// A new version of the member's profile, its signature not checked yet.
    Profile(Value),
}

/// The message does not count: nothing is done, nobody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Dropped {
    /// The connection has no keys.
    #[error("the connection is not active")]
    NotActive,
    /// The event type is not one of the member's lane.
    #[error("unsupported event")]
    Unsupported,
    /// Not an envelope, or it does not open.
    #[error("undecryptable")]
    Undecryptable,
    /// Seen before, or too old to tell.
    #[error("repeated")]
    Repeated,
    /// Larger than its row allows, or of another shape.
    #[error("malformed")]
    Malformed,
}

/// The place of a message on its channel, which counts as seen from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    epoch: u64,
    sequence: u64,
}

impl Mark {
    /// The message could not be handled and will come again: it counts as not seen.
    pub(crate) fn take_back(self, channel: &mut Channel) {
        channel.unmark(self.epoch, self.sequence);
    }
}

/// Opens a message that arrived for a connection. After it the shell looks at what the channel owes.
///
/// # Errors
/// [`Dropped`].
pub(crate) fn open(live: &mut Live, subject: &Subject, payload: &[u8]) -> Result<(Arrived, Mark), Dropped> {
    let event_type = match subject {
        Subject::ForOwner(_, _, event_type) => event_type.clone(),
        // The way back of a member whose credential ran out carries a new one, and nothing else.
        Subject::Invite(_, named) if *named == way_back_name(live.record.connection_id) => {
            MemberCredential::ROW.event_type()
        }
        _ => return Err(Dropped::Unsupported),
    };
    let row = event::find(Lane::Member, &event_type).ok_or(Dropped::Unsupported)?;
    let channel = live.channel.as_mut().ok_or(Dropped::NotActive)?;
    // Base64, padding and the fields around it make less than twice the content.
    if payload.len() > row.cap_bytes * 2 + 16 * 1024 {
        return Err(Dropped::Malformed);
    }
    let envelope = Envelope::read(payload).map_err(|_| Dropped::Undecryptable)?;
    if envelope.event_type != event_type {
        return Err(Dropped::Undecryptable);
    }
    let opened = channel.open(subject, &envelope).map_err(|_| Dropped::Undecryptable)?;
    if opened.freshness != Freshness::New {
        return Err(Dropped::Repeated);
    }
    let mark = Mark { epoch: opened.epoch, sequence: opened.sequence };
    read(row, envelope.event_id, opened.content).map(|arrived| (arrived, mark))
}

fn read(row: &Row, event_id: EventId, content: Content<Value>) -> Result<Arrived, Dropped> {
    if row.name == MemberRevoked::ROW.name {
        return Ok(Arrived::Notice(content.body));
    }
    if row.name == MemberCredential::ROW.name {
        return Ok(Arrived::Credential(event_id, content.body));
    }
    if row.name == ConsentWithdrawn::ROW.name {
        return Ok(Arrived::Withdrawal(content.body));
    }
    if row.name == ContractAccepted::ROW.name {
        return Ok(Arrived::Accepted(content.body));
    }
    if row.name == MemberProfileChanged::ROW.name {
        return Ok(Arrived::Profile(content.body));
    }
    if row.name == MemberRekey::ROW.name {
        return Ok(Arrived::Rekey(content.body));
    }
    if row.name == event::LoginOpened::ROW.name {
        return json::from_value(content.body).map(Arrived::LoginOpened).map_err(|_| Dropped::Malformed);
    }
    if row.name == DataSnapshot::ROW.name {
        return json::from_value(content.body).map(Arrived::Snapshot).map_err(|_| Dropped::Malformed);
    }
    let answer = Answer::read(row, content.body).map_err(|_| Dropped::Malformed)?;
    Ok(Arrived::Answer(Box::new(answer), content.in_reply_to))
}

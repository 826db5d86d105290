//! How far files came, as their owner sees it, and what the store's outcomes lead to.

use super::{Incoming, Outgoing, Stage, owner, peer};
use crate::app;
use crate::failure::Failure;
use crate::owner::{Outcomes, wrap};
use crate::pieces::{Command, Found, Then};
use crate::send;
use crate::step::Step;
use serde::Serialize;
use serde_json::Value;
use vettid_wire::base64::Base64;
use vettid_wire::event::{self, EventRow, EventType, Nothing};
use vettid_wire::file::{FileState, FileView, PieceBytes, UploadStatus, pieces_of};
use vettid_wire::id::{ConnectionId, EventId, SessionKeyId};
use vettid_wire::messaging::Direction;
use vettid_wire::refusal::RefusalCode;

/// A file of the peer's.
pub(super) fn received(step: &Step<'_>, id: ConnectionId, message_id: EventId, file: &Incoming) -> FileView {
    let pieces = pieces_of(file.manifest.size_bytes);
    let pieces_there = match file.state {
        FileState::Here => pieces,
        FileState::OnItsWay => step.files.fetches.get(&(id, message_id)).map_or(0, |fetch| fetch.here()),
        FileState::Waiting | FileState::Failed => 0,
    };
    FileView {
        message_id,
        direction: Direction::Received,
        file: file.manifest.summary(),
        state: file.state,
        pieces_there,
        pieces,
        problem: file.problem,
    }
}

/// A file of the owner's.
pub(super) fn sent(step: &Step<'_>, message_id: EventId, file: &Outgoing) -> FileView {
    let pieces = pieces_of(file.manifest.size_bytes);
    let handed_out = step.files.handed_out(file.manifest.file_id);
    let (state, pieces_there, problem) = match file.state {
        Stage::Arrived => (FileState::Here, pieces, None),
        Stage::Ended(problem) => (FileState::Failed, 0, Some(problem)),
        Stage::Prepared | Stage::Offered => (FileState::OnItsWay, handed_out, None),
    };
    let file = file.manifest.summary();
    FileView { message_id, direction: Direction::Sent, file, state, pieces_there, pieces, problem }
}

/// Takes up what the store did, for whoever waits for it.
pub(super) fn outcome(step: &mut Step<'_>, then: &Then, found: &Found) -> Result<(), Failure> {
    match then {
        Then::Answer { session, question, to } => {
            let (event_type, outcome) = answer(step, *to, found)?;
            reply(step, *session, &event_type, question.clone(), &outcome)
        }
        Then::Serve { connection_id, file_id, index } => match found {
            Found::Bytes(bytes) => peer::serve(step, *connection_id, *file_id, *index, Some(bytes.clone())),
            Found::Missing => peer::serve(step, *connection_id, *file_id, *index, None),
            _ => Ok(()),
        },
        Then::Fetched { connection_id, message_id, index } => {
            let kept = match found {
                Found::Kept => peer::Kept::Yes,
                Found::NoRoom => peer::Kept::NoRoom,
                _ => peer::Kept::No,
            };
            peer::stored(step, *connection_id, *message_id, *index, kept)
        }
        Then::GoOn { connection_id, message_id } => {
            let here = if let Found::Listed(here) = found { Some(here) } else { None };
            peer::listed(step, *connection_id, *message_id, here)
        }
    }
}

/// What a command that waited for the store is answered.
fn answer(step: &mut Step<'_>, to: Command, found: &Found) -> Result<(EventType, Outcomes), Failure> {
    let (event_type, outcome) = match to {
        Command::Put { file_id, index } => {
            let is_known = owner::prepared(step, file_id)?.is_some();
            let outcome = match found {
                Found::Kept if is_known => {
                    step.files.has_piece(file_id, index);
                    value(&Nothing {})
                }
                Found::Kept => Err(RefusalCode::NotFound),
                Found::NoRoom => Err(RefusalCode::NoRoom),
                _ => Err(RefusalCode::Unavailable),
            };
            (event::FilePut::ROW.event_type(), outcome)
        }
        Command::Status { file_id } => {
            let outcome = match (found, owner::prepared(step, file_id)?) {
                (Found::Listed(stored), Some(file)) => {
                    step.files.has_pieces(file_id, stored.clone());
                    let all = 0..pieces_of(file.manifest.size_bytes);
                    value(&UploadStatus { missing: all.filter(|index| !stored.contains(index)).collect() })
                }
                (_, None) => Err(RefusalCode::NotFound),
                _ => Err(RefusalCode::Unavailable),
            };
            (event::FileUploadStatus::ROW.event_type(), outcome)
        }
        Command::Get => {
            let outcome = match found {
                Found::Bytes(bytes) => value(&PieceBytes { bytes: Base64::new(bytes.clone()) }),
                Found::Missing => Err(RefusalCode::NotAvailable),
                _ => Err(RefusalCode::Unavailable),
            };
            (event::FilePieceGet::ROW.event_type(), outcome)
        }
    };
    Ok((event_type, outcome))
}

fn value(body: &impl Serialize) -> Result<Value, RefusalCode> {
    serde_json::to_value(body).map_err(|_| RefusalCode::Unavailable)
}

/// Answers in the session that asked, if it is still there.
fn reply(
    step: &mut Step<'_>,
    session: SessionKeyId,
    event_type: &EventType,
    question: vettid_wire::envelope::InReplyTo,
    outcome: &Outcomes,
) -> Result<(), Failure> {
    if app::session(&step.draft, session)?.is_none() {
        return Ok(());
    }
    send::to_app(step, session, event_type, question.event_id, wrap(outcome), Some(question))
}

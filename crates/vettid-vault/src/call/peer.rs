//! What connected members say about calls. Nothing of a call reaches anybody but the two whose call it is.

use super::texts::{Texts, Who};
use super::{Brought, code_of, current, follow, line, put_line, settings};
use crate::connection::Connection;
use crate::failure::Failure;
use crate::peer::actor;
use crate::step::Step;
use serde_json::Value;
use vettid_core::call::{Heard, Welcome};
use vettid_wire::call::{AddCandidates, CallAnswer, CallEnd, CallOffer, CallRef, EndReason};
use vettid_wire::event::Row;
use vettid_wire::id::CallId;
use vettid_wire::json as vjson;
use vettid_wire::refusal::RefusalCode;

type Taken = Result<Result<(), RefusalCode>, Failure>;

/// Takes up one event about a call.
pub fn receive(step: &mut Step<'_>, connection: &Connection, row: &Row, body: Value) -> Taken {
    let Ok((id, heard, texts)) = read(step, row, body) else { return Ok(Err(RefusalCode::InvalidRequest)) };
    let before = current(step)?;
    let is_new = matches!(heard, Heard::Offer(..)) && !before.knows(id);
    let welcome = settings::welcome(step, connection)?;
    if is_new && welcome != Welcome::Nothing && !settings::count(step, connection.connection_id)? {
        return Ok(Err(RefusalCode::RateLimited));
    }
    let mut after = before.clone();
    let effects = match after.hear(step.now, connection.connection_id, welcome, (id, heard)) {
        Ok(effects) => effects,
        Err(refused) => return Ok(Err(code_of(refused))),
    };
    put_line(step, &before, &after)?;
    follow(step, &after, effects, Some(Brought { who: Who::Peer, texts }), &actor(connection))?;
    Ok(Ok(()))
}

/// The other side refused a call of the owner: it will not ring.
pub fn refused(step: &mut Step<'_>, connection: &Connection) -> Result<(), Failure> {
    let before = line(&step.draft)?;
    let of_connection = before.live().filter(|call| call.is_outgoing && call.connected_at.is_none());
    let Some(call) = of_connection.filter(|call| call.connection_id == connection.connection_id) else {
        return Ok(());
    };
    let mut after = before.clone();
    let over = (call.call_id, Heard::End(EndReason::Failed, None));
    if let Ok(effects) = after.hear(step.now, connection.connection_id, Welcome::Nothing, over) {
        put_line(step, &before, &after)?;
        follow(step, &after, effects, None, &actor(connection))?;
    }
    Ok(())
}

/// What an event says to the line, and of the apps what is new.
fn read(step: &Step<'_>, row: &Row, body: Value) -> Result<(CallId, Heard, Texts), vjson::JsonError> {
    let fresh = |id: CallId, texts: Texts| step.fleeting.call.fresh(id, Who::Peer, texts);
    Ok(match row.name {
        "call.offer" => {
            let CallOffer { call_id, placed_at, description, candidates } = vjson::from_value(body)?;
            let texts = fresh(call_id, Texts { description: Some(description), candidates });
            (call_id, Heard::Offer(placed_at, texts.load()), texts)
        }
        "call.answer" => {
            let CallAnswer { call_id, answered_at, description, candidates } = vjson::from_value(body)?;
            let texts = fresh(call_id, Texts { description: Some(description), candidates });
            (call_id, Heard::Answer(answered_at, texts.load()), texts)
        }
        "call.candidates" => {
            let AddCandidates { call_id, candidates } = vjson::from_value(body)?;
            let texts = fresh(call_id, Texts::of(candidates));
            (call_id, Heard::Candidates(texts.load()), texts)
        }
        "call.ringing" => (vjson::from_value::<CallRef>(body)?.call_id, Heard::Ringing, Texts::default()),
        "call.connected" => (vjson::from_value::<CallRef>(body)?.call_id, Heard::Connected, Texts::default()),
        _ => {
            let CallEnd { call_id, reason, unheard_at } = vjson::from_value(body)?;
            (call_id, Heard::End(reason, unheard_at), Texts::default())
        }
    })
}

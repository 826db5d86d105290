//! Renewal of the NATS credentials of connections: each side issues the other's, and sends a fresh one at half life, unasked. With it
//! comes a way back: a token with which a side whose credential ran out can say one thing, namely that it is there again. No private
//! key travels, and nothing here outlives the connection.

use crate::connection::{self, Connection};
use crate::establish;
use crate::failure::Failure;
use crate::projection::{Draft, UnreadableState};
use crate::send;
use crate::step::Step;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use vettid_core::grants::mint;
use vettid_core::grants::newest::Standing;
use vettid_crypto::nats::key::UserPublic;
use vettid_crypto::nats::token::UserJwt;
use vettid_crypto::nats::user::UserClaims;
use vettid_wire::connection::ConnectionCredential;
use vettid_wire::event::{self, EventRow};
use vettid_wire::handshake::Claim;
use vettid_wire::id::{ConnectionId, EventId};
use vettid_wire::json as vjson;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

/// A credential is renewed when this much of its life is over, in milliseconds (half of seven days).
const RENEW_AFTER_MS: i64 = 7 * 24 * 3600 * 1000 / 2;
/// A side whose credential ran out says so again after this time, in milliseconds (one day).
const ASK_AGAIN_MS: i64 = 24 * 3600 * 1000;

/// A peer that says again that its credential ran out gets no second one before this time, in milliseconds (one hour).
const ANSWER_AGAIN_MS: i64 = 3600 * 1000;

/// What is known of the two credentials of a connection.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Credentials {
    /// When the peer's was issued last.
    pub issued_at: Option<Timestamp>,
    /// When this side said last that its own ran out.
    asked_at: Option<Timestamp>,
    /// The event that brought this side's own; `None` for the one of the handshake.
    #[serde(default)]
    brought_by: Option<EventId>,
}

fn key(id: ConnectionId) -> String {
    format!("credentials/{id}")
}

/// What is known of the two credentials of a connection.
pub fn of(draft: &Draft<'_>, id: ConnectionId) -> Result<Credentials, UnreadableState> {
    Ok(draft.get(&key(id))?.unwrap_or_default())
}

/// Forgets it.
pub fn forget(draft: &mut Draft<'_>, id: ConnectionId) {
    draft.remove(&key(id));
}

/// Until when this side's credential is taken; `None` if there is none that is.
#[must_use]
pub fn own_expires_at(now: Timestamp, connection: &Connection) -> Option<Timestamp> {
    expires_at(now, connection.jwt.clone()?)
}

fn expires_at(now: Timestamp, jwt: String) -> Option<Timestamp> {
    UserClaims::received(&UserJwt::unchecked(jwt), now).ok().map(|claims| claims.expires_at)
}

/// What time asks of one connection. Gives when to look again.
pub fn pass_time(step: &mut Step<'_>, connection: &Connection) -> Result<Option<Timestamp>, Failure> {
    let known = of(&step.draft, connection.connection_id)?;
    let issued_at = known.issued_at.unwrap_or(connection.created_at);
    // What former keys signed is replaced before the broker forgets them.
    let is_of_former_keys = issued_at < step.identity.signing_from();
    let renew_at = if is_of_former_keys { step.now } else { issued_at.plus_ms(RENEW_AFTER_MS) };
    let own_expires_at = own_expires_at(step.now, connection);
    let ask_at = known.asked_at.map_or(step.now, |asked_at| asked_at.plus_ms(ASK_AGAIN_MS));
    let asks = own_expires_at.is_none() && ask_at <= step.now;
    if asks || renew_at <= step.now {
        issue(step, connection, known, own_expires_at.is_none())?;
        return Ok(None);
    }
    Ok(Some(renew_at.min(own_expires_at.unwrap_or(ask_at))).filter(|at| *at > step.now))
}

/// Issues a fresh credential for the peer and sends it.
fn issue(step: &mut Step<'_>, connection: &Connection, known: Credentials, asks: bool) -> Result<(), Failure> {
    let id = connection.connection_id;
    let asked_at = if asks { Some(step.now) } else { known.asked_at };
    step.draft.put(key(id), &Credentials { issued_at: Some(step.now), asked_at, ..known })?;
    let (Some(jwt), Some(way_back)) = (establish::credential_for(step, connection)?, way_back_for(step, connection)?)
    else {
        return Ok(());
    };
    let body = ConnectionCredential { jwt, way_back, asks };
    let Some(row) = send::row_to(connection.kind, &event::ConnectionCredential::ROW.event_type()) else {
        return Ok(());
    };
    let has_way_back = connection.claim.is_some() && connection.claim_id == Some(mint::way_back_name(id));
    if asks && has_way_back {
        send::by_way_back(step, connection, row, body)?;
    } else {
        send::to_peer(step, connection, row, body, None)?;
    }
    Ok(())
}

/// The token names the peer's own key, so whoever cuts that user off cuts this way, too.
fn way_back_for(step: &Step<'_>, connection: &Connection) -> Result<Option<String>, Failure> {
    let Some(user) = connection.peer_nkey.as_ref().and_then(|text| text.parse::<UserPublic>().ok()) else {
        return Ok(None);
    };
    let (account, signing) = (step.identity.message_account()?, step.identity.claim_signing()?);
    let minted = mint::way_back(connection.connection_id, &user, account.public(), &signing, step.now)?;
    Ok(Some(minted.jwt.as_str().to_owned()))
}

/// The peer sent a fresh credential; if its own ran out, it gets one at once.
pub fn receive(
    step: &mut Step<'_>,
    connection: &Connection,
    event: EventId,
    body: Value,
) -> Result<Result<(), RefusalCode>, Failure> {
    let Ok(sent) = vjson::from_value::<ConnectionCredential>(body) else {
        return Ok(Err(RefusalCode::InvalidRequest));
    };
    let Some(mut connection) = connection::get(&step.draft, connection.connection_id)? else {
        return Ok(Err(RefusalCode::NotConnected));
    };
    let mut known = of(&step.draft, connection.connection_id)?;
    let held = Standing { expires_at: own_expires_at(step.now, &connection), event: known.brought_by };
    let is_newer = Standing { expires_at: expires_at(step.now, sent.jwt.clone()), event: Some(event) } > held;
    // What lay in the inbox for long may have run out; what came out of order may be older than what is here.
    if is_newer {
        if !establish::is_usable(step.now, &connection, &sent.jwt) {
            return Ok(Err(RefusalCode::InvalidRequest));
        }
        connection.jwt = Some(sent.jwt);
        connection.claim = Some(Claim { messagespace_uri: connection.space.clone(), token: sent.way_back });
        connection.claim_id = Some(mint::way_back_name(connection.connection_id));
        connection::put(&mut step.draft, &connection)?;
        known.brought_by = Some(event);
        step.draft.put(key(connection.connection_id), &known)?;
    }
    let is_answered = known.issued_at.is_some_and(|at| step.now.since_ms(at) < ANSWER_AGAIN_MS);
    if sent.asks && !is_answered {
        issue(step, &connection, known, false)?;
    }
    Ok(Ok(()))
}

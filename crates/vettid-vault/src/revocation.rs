//! The end of a connection: tombstone first, in the same commit the signed notice and the end of everything that was
//! waiting; then the broker cuts the peer's user off (spec 2.5.4).

use crate::call;
use crate::channels::ChannelName;
use crate::connection::{self, Connection, CutOff};
use crate::failure::Failure;
use crate::feed::Note;
use crate::location;
use crate::login;
use crate::outbox::{Ended, Route};
use crate::profile::sync;
use crate::projection::{Draft, UnreadableState};
use crate::service::{held, message, snapshot};
use crate::step::Step;
use crate::{contract, establish, file, mark, outbox, renewal, request, resync, rotation, send, upkeep, view};
use serde_json::Value;
use vettid_crypto::identity::VerifyingKey;
use vettid_crypto::signature::{self, Context, sign_object};
use vettid_wire::base64::Base64;
use vettid_wire::connection::{
    ConnectionState, ConnectionView, RevocationNotice, RevocationReason, Revoke, RevokedBy, Tombstone,
};
use vettid_wire::event::{ConnectionRevoke, ConnectionRevoked, EventRow};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::id::{ConnectionId, EventId};
use vettid_wire::json;
use vettid_wire::refusal::RefusalCode;

const KIND: &str = "connection_revocation";
/// Under this prefix stand the users that services still have to cut off.
const CUT_OFF: &str = "cut_off/";

/// The users that services still have to cut off.
pub fn to_cut_off(draft: &Draft<'_>) -> Result<Vec<CutOff>, UnreadableState> {
    draft.values(CUT_OFF)
}

/// Services have cut a user off.
pub fn was_cut_off(draft: &mut Draft<'_>, user_nkey: &str) {
    draft.remove(&format!("{CUT_OFF}{user_nkey}"));
}

/// The owner ends a connection.
pub fn by_owner(step: &mut Step<'_>, asked: &Revoke) -> Result<Result<ConnectionView, RefusalCode>, Failure> {
    let Some(connection) = connection::get(&step.draft, asked.connection_id)? else {
        return Ok(Err(RefusalCode::NotFound));
    };
    if connection.state == ConnectionState::Revoked {
        return Ok(Ok(view::changed(step, &connection)?));
    }
    let notice = if connection.is_active() { Some(notice(step, &connection, asked.reason)?) } else { None };
    let ended = end(step, connection, RevokedBy::Owner, Some(asked.reason), notice)?;
    step.tell(Note {
        event_type: ConnectionRevoke::ROW.event_type(),
        connection_id: Some(ended.connection_id),
        request_id: None,
        severity: Severity::Notice,
        outcome: Outcome::Done,
        summary: format!("You ended the connection with {}", ended.display_name),
    })?;
    Ok(Ok(view::changed(step, &ended)?))
}

/// The peer ended the connection: its notice must be signed by its own key.
pub fn by_peer(step: &mut Step<'_>, connection: &Connection, body: Value) -> Result<Result<(), RefusalCode>, Failure> {
    let Some(peer) = &connection.peer else {
        return Ok(Err(RefusalCode::NotConnected));
    };
    let Ok(key) = VerifyingKey::from_typed(&peer.signing_key) else {
        return Ok(Err(RefusalCode::NotAllowed));
    };
    let Ok(notice) = signature::open::<RevocationNotice>(Context::Revocation, &key, body) else {
        return Ok(Err(RefusalCode::InvalidRequest));
    };
    if notice.get().connection_id != connection.connection_id || notice.get().kind != KIND {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    let Some(connection) = connection::get(&step.draft, connection.connection_id)? else {
        return Ok(Err(RefusalCode::NotConnected));
    };
    let reason = notice.get().reason;
    let ended = end(step, connection, RevokedBy::Peer, Some(reason), None)?;
    step.tell(Note {
        event_type: ConnectionRevoked::ROW.event_type(),
        connection_id: Some(ended.connection_id),
        request_id: None,
        severity: Severity::Notice,
        outcome: Outcome::Done,
        summary: format!("{} ended the connection: {}", ended.display_name, of_peer(reason)),
    })?;
    Ok(Ok(()))
}

/// A reason in words, as its receiver reads it.
fn of_peer(reason: RevocationReason) -> &'static str {
    match reason {
        RevocationReason::UserRequested => "its owner wished so",
        RevocationReason::KeyCompromise => "keys may be known to somebody else",
        RevocationReason::ContractRejected => "the contract was rejected",
    }
}

/// Wipes what the notice of an ended connection left with, once nothing of it is on its way any more (spec 2.5.4 d). Whether it is
/// wiped.
pub fn wipe_ways(step: &mut Step<'_>, id: ConnectionId) -> Result<bool, Failure> {
    let has_left = !outbox::waiting(&step.draft)?.iter().any(|post| post.route == Route::Peer(id));
    if has_left && let Some(mut connection) = connection::get(&step.draft, id)? {
        connection.strip_ways();
        connection::put(&mut step.draft, &connection)?;
    }
    Ok(has_left)
}

/// Seals the notice while the keys are still there. Returns its place in the outbox.
fn notice(step: &mut Step<'_>, connection: &Connection, reason: RevocationReason) -> Result<u64, Failure> {
    let signing = step.identity.signing_key();
    let notice = RevocationNotice {
        kind: KIND.into(),
        notice_id: EventId::v7(step.now, step.random()),
        connection_id: connection.connection_id,
        revoked_at: step.now,
        reason,
        key_id: signing.key_id(),
        signature: Base64::default(),
    };
    let body = sign_object(Context::Revocation, signing, &notice)?;
    let Some(row) = send::row_to(connection.kind, &ConnectionRevoked::ROW.event_type()) else {
        return Ok(0);
    };
    send::to_peer(step, connection, row, json::from_value::<Value>(body)?, None)?;
    Ok(step.posts.last().map_or(0, |post| post.number))
}

/// Has services cut the peer's user off, if this vault may have issued it a credential.
pub fn cut_off(step: &mut Step<'_>, connection: &mut Connection) -> Result<(), Failure> {
    let issued =
        connection.is_active() || matches!(connection.state, ConnectionState::Accepted | ConnectionState::Reconciling);
    let Some(user_nkey) = connection.peer_nkey.take().filter(|_| issued) else {
        return Ok(());
    };
    let account_nkey = step.identity.message_account()?.public().as_str().to_owned();
    let cut_off = CutOff { account_nkey, user_nkey, revoked_at: step.now };
    Ok(ask_to_cut_off(&mut step.draft, &cut_off)?)
}

/// Has services cut a user off, as part of the commit.
pub fn ask_to_cut_off(draft: &mut Draft<'_>, cut_off: &CutOff) -> Result<(), UnreadableState> {
    draft.put(format!("{CUT_OFF}{}", cut_off.user_nkey), cut_off)
}

/// Tombstone, no keys, nothing waiting, no user at the broker.
fn end(
    step: &mut Step<'_>,
    mut connection: Connection,
    by: RevokedBy,
    reason: Option<RevocationReason>,
    notice: Option<u64>,
) -> Result<Connection, Failure> {
    let id = connection.connection_id;
    let tombstone = Tombstone {
        connection_id: id,
        guid: connection.peer_guid(),
        display_name: connection.display_name.clone(),
        revoked_at: step.now,
        revoked_by: by,
        reason,
    };
    connection::bury(&mut step.draft, &tombstone)?;
    call::cut(step, id)?;
    location::cut(step, id)?;
    step.channels.wipe(&mut step.draft, ChannelName::Connection(id));
    rotation::forget(&mut step.draft, id);
    renewal::forget(&mut step.draft, id);
    sync::forget(&mut step.draft, id);
    resync::forget(step, id)?;
    file::end_connection(step, id)?;
    if let Some(key_id) = connection.key_id.take() {
        connection::forget_key(&mut step.draft, key_id);
    }
    for waiting in request::of_connection(&step.draft, id)? {
        request::remove(&mut step.draft, &waiting);
    }
    outbox::withdraw(&mut step.draft, id, notice.unwrap_or(0))?;
    step.ended.push(Ended { connection: id, notice });
    // What earlier events of this very commit had to say to the peer does not leave after the tombstone, either.
    step.posts.retain(|post| !outbox::leaves_on(post, id) || Some(post.number) == notice);
    step.draft.remove(&format!("handshake/{}", connection.handshake_id));
    establish::abandon(step, id)?;
    connection::forget_buckets(&mut step.draft, id);
    login::forget(&mut step.draft, id);
    held::end(step, id)?;
    mark::end(&mut step.draft, &id.to_string());
    contract::forget_offer(&mut step.draft, id);
    snapshot::end(&mut step.draft, id)?;
    message::end(&mut step.draft, id)?;
    cut_off(step, &mut connection)?;
    connection.state = ConnectionState::Revoked;
    connection.strip();
    if notice.is_none() {
        connection.strip_ways();
    }
    upkeep::look_soon_at(&mut step.draft, step.now, id)?;
    connection::put(&mut step.draft, &connection)?;
    Ok(connection)
}

//! Sealing what leaves the vault: answers to the app, events to connections, refusals. Nothing leaves here that is not
//! sealed, and nothing to a connection that is not active.

use crate::app;
use crate::channels::ChannelName;
use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::kept;
use crate::login;
use crate::mark::StoredAnswer;
use crate::outbox::{Post, Route};
use crate::step::Step;
use serde::Serialize;
use serde_json::Value;
use std::borrow::Borrow;
use vettid_core::answer;
use vettid_core::channel::Channel;
use vettid_core::grants::mint::way_back_name;
use vettid_crypto::signature::{Context as SignatureContext, sign_object};
use vettid_handler::event::Context;
use vettid_handler::host::HostError;
use vettid_wire::auth::{AuthAssertion, Decision};
use vettid_wire::base64::Base64;
use vettid_wire::connection::PeerKind;
use vettid_wire::envelope::{Content, InReplyTo};
use vettid_wire::event::{self, AuthChallenge, Delivery, EventRow, EventType, Lane, Row};
use vettid_wire::id::{ConnectionId, EventId, SessionKeyId};
use vettid_wire::json;
use vettid_wire::refusal::{EventRefused, RefusalCode};
use vettid_wire::subject::Subject;
use vettid_wire::time::Timestamp;

/// The row on which this vault sends an event type to a peer of this kind.
#[must_use]
pub fn row_to(kind: PeerKind, event_type: &EventType) -> Option<&'static Row> {
    let lane = match kind {
        PeerKind::Member => Lane::Connection,
        PeerKind::Service => Lane::Member,
    };
    event::find(lane, event_type)
}

/// Sends an event of a handler to an active connection.
pub fn to_connection(
    step: &mut Step<'_>,
    id: ConnectionId,
    event_type: &EventType,
    body: Value,
    in_reply_to: Option<InReplyTo>,
) -> Result<EventId, HostError> {
    let unavailable = |_| HostError::Unavailable;
    let connection = connection::get(&step.draft, id).map_err(unavailable)?.ok_or(HostError::NotConnected)?;
    if !connection.is_active() {
        return Err(HostError::NotConnected);
    }
    let row = row_to(connection.kind, event_type).ok_or(HostError::Invalid)?;
    if json::canonical(&body).map_err(|_| HostError::Invalid)?.len() > row.cap_bytes {
        return Err(HostError::Quota);
    }
    to_peer(step, &connection, row, body, in_reply_to).map_err(|_| HostError::Unavailable)
}

/// Seals an event for the peer of a connection and posts it.
pub fn to_peer(
    step: &mut Step<'_>,
    connection: &Connection,
    row: &Row,
    body: impl Serialize,
    in_reply_to: Option<InReplyTo>,
) -> Result<EventId, Failure> {
    let event_id = EventId::v7(step.now, step.random());
    let (id, event_type) = (connection.connection_id, row.event_type());
    let subject = row.to_peer(connection.peer_guid(), id);
    let to_incarnation = incarnation_of(step, ChannelName::Connection(id))?;
    if kept::is_kept(&event_type) && row.lane == Lane::Connection {
        let body = serde_json::to_value(&body).map_err(json::JsonError::Shape)?;
        kept::keep(step, id, (event_id, event_type.clone()), (body, in_reply_to.clone()), to_incarnation)?;
    }
    let (name, to) = (ChannelName::Connection(id), (&subject, event_id, &event_type));
    let sealed = seal(step, name, to, Content { body, to_incarnation, in_reply_to, expires_at: None })?;
    step.post(post(step, Route::Peer(id), subject, event_id, row.delivery, sealed))?;
    Ok(event_id)
}

/// Sends an event again under the id that it had, to a peer whose vault was restored meanwhile.
///
/// `to_incarnation` is the one that it was addressed to first.
pub fn again(
    step: &mut Step<'_>,
    connection: &Connection,
    (row, event_id): (&Row, EventId),
    (body, in_reply_to): (Value, Option<InReplyTo>),
    to_incarnation: u64,
) -> Result<(), Failure> {
    let (id, event_type) = (connection.connection_id, row.event_type());
    let subject = Subject::ForOwner(connection.peer_guid(), id, event_type.clone());
    let (name, to) = (ChannelName::Connection(id), (&subject, event_id, &event_type));
    let sealed = seal(step, name, to, Content { body, to_incarnation, in_reply_to, expires_at: None })?;
    let post = post(step, Route::Peer(id), subject, event_id, row.delivery, sealed);
    Ok(step.post(post)?)
}

/// Seals an event for the peer of a connection and posts it on the one subject that is open to this side after its credential
/// ran out.
pub fn by_way_back(
    step: &mut Step<'_>,
    connection: &Connection,
    row: &Row,
    body: impl Serialize,
) -> Result<EventId, Failure> {
    let event_id = EventId::v7(step.now, step.random());
    let (id, event_type) = (connection.connection_id, row.event_type());
    let subject = Subject::Invite(connection.peer_guid(), way_back_name(id));
    let name = ChannelName::Connection(id);
    let content = Content { body, to_incarnation: incarnation_of(step, name)?, in_reply_to: None, expires_at: None };
    let sealed = seal(step, name, (&subject, event_id, &event_type), content)?;
    step.post(post(step, Route::Claim(id), subject, event_id, row.delivery, sealed))?;
    Ok(event_id)
}

/// Tells an authenticated peer that its event had no effect, and if the vault can tell when there is room again. Gives the answer,
/// to be given again.
pub fn refuse(
    step: &mut Step<'_>,
    connection: &Connection,
    (event_id, event_type): (EventId, &EventType),
    (code, retry_at): (RefusalCode, Option<Timestamp>),
    in_reply_to: Option<InReplyTo>,
) -> Result<Option<StoredAnswer>, Failure> {
    let refused = "event.refused".parse().ok().and_then(|name| row_to(connection.kind, &name));
    let Some(row) = refused else { return Ok(None) };
    let body = EventRefused { event_id, event_type: event_type.clone(), code, retry_at, proof: None };
    let body = serde_json::to_value(body).map_err(json::JsonError::Shape)?;
    let body = match &in_reply_to {
        Some(question) => proven(step, connection, row, body, question)?,
        None => body,
    };
    to_peer(step, connection, row, &body, in_reply_to)?;
    Ok(Some(StoredAnswer { event_type: row.event_type(), body }))
}

/// An answer as it leaves: with the proof of it, if it goes to a service and its row has one. A login has its own.
pub fn proven(
    step: &Step<'_>,
    connection: &Connection,
    row: &Row,
    body: Value,
    question: &InReplyTo,
) -> Result<Value, Failure> {
    let is_proven = row.lane == Lane::Member && row.name != event::AuthResponse::ROW.name;
    if !is_proven {
        return Ok(body);
    }
    Ok(answer::prove(step.now, &connection.pairwise, connection.connection_id, question.clone(), body)?)
}

/// Answers the app: `forApp.{event}.{event_id}` under the session.
pub fn to_app(
    step: &mut Step<'_>,
    session: SessionKeyId,
    event_type: &EventType,
    event_id: EventId,
    body: impl Serialize,
    in_reply_to: Option<InReplyTo>,
) -> Result<(), Failure> {
    let subject = Subject::ForApp(step.identity.guid, event_type.clone(), event_id);
    let name = ChannelName::Session(session);
    let content = Content { body, to_incarnation: incarnation_of(step, name)?, in_reply_to, expires_at: None };
    let sealed = seal(step, name, (&subject, event_id, event_type), content)?;
    step.posts.push(post(step, Route::Host, subject, event_id, Delivery::BestEffort, sealed));
    Ok(())
}

/// Tells the app something unasked, if it has a session.
pub fn push<R: EventRow>(step: &mut Step<'_>, body: impl Borrow<R::Request>) -> Result<(), Failure> {
    let session = app::running(&step.draft)?;
    // Whoever could not prove an earlier session is told nothing.
    let Some(session) = session.filter(|session| !session.limited) else { return Ok(()) };
    let event_id = EventId::v7(step.now, step.random());
    to_app(step, session.key_id, &R::ROW.event_type(), event_id, body.borrow(), None)
}

/// Signs an object where the event's row lets the vault sign: the answer to a login, by the pairwise key.
pub fn sign_for_row(step: &Step<'_>, context: &Context, object: Value) -> Result<Vec<u8>, HostError> {
    let signs = context.lane == AuthChallenge::ROW.lane && context.event_type.as_str() == AuthChallenge::ROW.name;
    let peer = context.peer.as_ref().filter(|_| signs).ok_or(HostError::Denied)?;
    let connection = connection::get(&step.draft, peer.connection_id).map_err(|_| HostError::Unavailable)?;
    let connection = connection.filter(Connection::is_active).ok_or(HostError::NotConnected)?;
    let object = tied(step, peer.connection_id, object)?;
    let signed =
        sign_object(SignatureContext::AuthResponse, &connection.pairwise, &object).map_err(|_| HostError::Invalid)?;
    json::canonical(&signed).map_err(|_| HostError::Invalid)
}

/// A yes to a login is tied to the waiting browser by the vault itself; what a handler says about that is not heard.
fn tied(step: &Step<'_>, connection: ConnectionId, mut object: Value) -> Result<Value, HostError> {
    let assertion: AuthAssertion = json::from_value(object.clone()).map_err(|_| HostError::Invalid)?;
    if assertion.decision == Decision::Approve {
        let login = login::get(&step.draft, connection, assertion.request_id).map_err(|_| HostError::Unavailable)?;
        let proof = login.and_then(|login| login.proof()).ok_or(HostError::Denied)?;
        let proof = serde_json::to_value(proof).map_err(|_| HostError::Invalid)?;
        object.as_object_mut().ok_or(HostError::Invalid)?.insert("proof".to_owned(), proof);
    }
    Ok(object)
}

/// The incarnation of the other side.
fn incarnation_of(step: &mut Step<'_>, name: ChannelName) -> Result<u64, Failure> {
    let channel = step.channels.get(&step.draft, name)?;
    Ok(channel.ok_or(Failure::Retry)?.peer_incarnation())
}

fn seal(
    step: &mut Step<'_>,
    name: ChannelName,
    (subject, event_id, event_type): (&Subject, EventId, &EventType),
    content: Content<impl Serialize>,
) -> Result<Vec<u8>, Failure> {
    let channel: &mut Channel = step.channels.get(&step.draft, name)?.ok_or(Failure::Retry)?;
    let sealed = channel.seal(step.now, step.rng, subject, event_id, event_type, &content)?;
    if step.channels.must_store(name) {
        step.channels.store(&mut step.draft, name)?;
    }
    Ok(sealed)
}

/// A message as it leaves.
#[must_use]
pub fn post(
    step: &Step<'_>,
    route: Route,
    subject: Subject,
    event_id: EventId,
    delivery: Delivery,
    bytes: Vec<u8>,
) -> Post {
    Post { number: 0, route, subject, event_id, delivery, bytes: Base64::new(bytes), created_at: step.now }
}

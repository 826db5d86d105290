//! Commands of the owner, inside the app's session. What changed something is marked and audited; what only read is
//! answered without a commit.

mod nouns;

use crate::app::{self, Session};
use crate::channels::ChannelName;
use crate::credential::{self, operation, secrets};
use crate::failure::Failure;
use crate::handler_host::{FieldAuthority, HandlerHost};
use crate::mark::{self, Mark, Seen, StoredAnswer};
use crate::peer::MAX_SKEW_MS;
use crate::service::{batch, held, snapshot};
use crate::step::Step;
use crate::{
    audit, authorisation, card, establish, feed, file, flood, inventory, lock, login, outbox, profile, recovery,
    request, restore, revocation, rotation, send, signing_keys, view,
};
use nouns::{
    of_agreement, of_authorisation, of_call, of_contract, of_feed, of_file, of_location, of_login, of_rule,
    of_service_message, of_stored,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use vettid_core::allowance::Room;
use vettid_core::channel::{in_reply_to, in_reply_to_canonical};
use vettid_core::window::Freshness;
use vettid_crypto::audit::checkpoint::Checkpoint;
use vettid_handler::event::{Answer as OwnerAnswer, Context, Decided, Event};
use vettid_handler::reply::{HandlerError, Reply};
use vettid_wire::audit::{ExportHead, Outcome as AuditOutcome};
use vettid_wire::auth::Decision;
use vettid_wire::envelope::{Answer, Content, Envelope, InReplyTo};
use vettid_wire::event::{self, EventRow, EventType, Lane, Nothing, Row};
use vettid_wire::feed::{AuditStretch, Outcome, Severity};
use vettid_wire::id::{ConnectionId, EventId};
use vettid_wire::json as vjson;
use vettid_wire::messaging::MessageRef;
use vettid_wire::refusal::{Refusal, RefusalCode};
use vettid_wire::request::RequestList;
use vettid_wire::session::{VaultHealth, is_open_to_limited};
use vettid_wire::subject::Subject;

/// The outcome of a command: the body of its answer, or why not.
pub type Outcomes = Result<Value, RefusalCode>;

/// Takes up one envelope that arrived in the owner's lane.
pub fn receive(step: &mut Step<'_>, subject: &Subject, envelope: &Envelope) -> Result<(), Failure> {
    let session = match envelope.encryption.connection_key_id {
        Some(key_id) => app::session(&step.draft, key_id)?,
        None => None,
    };
    let Some(session) = session else {
        step.dropped += 1;
        return Ok(());
    };
    let name = ChannelName::Session(session.key_id);
    let Some(channel) = step.channels.get(&step.draft, name)? else {
        step.dropped += 1;
        return Ok(());
    };
    let Ok(opened) = channel.open(subject, envelope) else {
        step.dropped += 1;
        return Ok(());
    };
    let before = *channel.allowance();
    let room = channel.allowance().admit(step.now, &step.limits.session, 0, None);
    let handled = match room {
        Room::Taken => take_up(step, &session, envelope, &opened.content, opened.freshness),
        // Nobody waits for a command: the app asks again.
        Room::Refused => {
            let question = in_reply_to(envelope.event_id, &opened.content.body)?;
            answer(step, &session, &envelope.event_type, question, &Err(RefusalCode::RateLimited))
        }
        Room::Later(_) | Room::Dropped => {
            step.dropped += 1;
            Ok(())
        }
    };
    if (handled.is_err() || room != Room::Taken)
        && opened.freshness == Freshness::New
        && let Some(channel) = step.channels.get(&step.draft, name)?
    {
        channel.unmark(opened.epoch, opened.sequence);
    }
    if handled.is_err()
        && let Some(channel) = step.channels.get(&step.draft, name)?
    {
        *channel.allowance() = before;
    }
    handled
}

fn take_up(
    step: &mut Step<'_>,
    session: &Session,
    envelope: &Envelope,
    content: &Content<Value>,
    freshness: Freshness,
) -> Result<(), Failure> {
    let (event_id, event_type) = (envelope.event_id, &envelope.event_type);
    let is_use = event_type.as_str() == event::CredentialUse::ROW.name;
    let body = vjson::canonical(&content.body)?;
    let question = in_reply_to_canonical(event_id, &body);
    let recovers = session.limited && recovery::is_candidate(&step.draft, session.key_id)?;
    if session.limited && !is_open_to_limited(event_type) && !(recovers && is_open_to_recovery(event_type)) {
        // Nothing, not even what was answered in an earlier session.
        return answer(step, session, event_type, question, &Err(RefusalCode::Locked));
    }
    if freshness == Freshness::TooOld {
        return Ok(());
    }
    match mark::look_up(&step.draft, app::SCOPE, event_id, &question.body_hash)? {
        Seen::Before(answer) => return answer_again(step, session, event_type, question, answer),
        Seen::OtherBody => {
            return answer(step, session, event_type, question, &Err(RefusalCode::Conflict));
        }
        Seen::Never if freshness != Freshness::New => return Ok(()),
        // No answer to the owner is over; without one there is nothing to say.
        Seen::Over => return Ok(()),
        Seen::Never => {}
    }
    if step.identity.is_behind(content.to_incarnation) {
        return answer(step, session, event_type, question, &Err(RefusalCode::Unavailable));
    }
    if restore::is_pending(&step.draft) && !restore::is_open(event_type) {
        return answer(step, session, event_type, question, &Err(RefusalCode::OnHold));
    }
    // A fresh credential is fetched by programs, too; everything else shows that the owner is here.
    step.lock.owner_was_here |= *event_type != event::SessionRefresh::ROW.event_type();
    let told = step.told.len();
    let outcome = match admit(step, envelope, content, body.len()) {
        Ok(_) if is_use => match operation::begin(step, session, &question, &content.body)? {
            Some(outcome) => outcome,
            None => return Ok(step.channels.store(&mut step.draft, ChannelName::Session(session.key_id))?),
        },
        Ok(row) if file::owner::waits_for_store(row) => {
            match file::owner::to_store(step, session, row, &question, &content.body)? {
                Ok(()) => return Ok(()),
                Err(code) => Err(code),
            }
        }
        Ok(row) => act(step, session, row, event_id, &content.body)?,
        Err(code) => Err(code),
    };
    // Of where the owner is nothing is remembered, not even that it was said.
    if *event_type == event::LocationUpdate::ROW.event_type() {
        if !step.draft.step_is_empty() {
            step.channels.store(&mut step.draft, ChannelName::Session(session.key_id))?;
        }
        return answer(step, session, event_type, question, &outcome);
    }
    // The operation of a credential is its own mark.
    if !step.draft.step_is_empty() && !is_use {
        if outcome.is_ok() {
            feed::of_owner(step, event_type, &content.body, told)?;
        }
        let stored = StoredAnswer {
            event_type: event_type.clone(),
            body: serde_json::to_value(wrap(&outcome)).unwrap_or(Value::Null),
        };
        mark::put(
            &mut step.draft,
            app::SCOPE,
            event_id,
            &Mark::new(question.body_hash.clone(), step.now, Some(stored)),
        )?;
        let ended = if outcome.is_ok() { AuditOutcome::Success } else { AuditOutcome::Refused };
        step.audit("app", event_type, ended, json!({"event_id": event_id, "refusal": outcome.as_ref().err()}))?;
        step.channels.store(&mut step.draft, ChannelName::Session(session.key_id))?;
    }
    answer(step, session, event_type, question, &outcome)
}

/// What a device that recovers may do beyond a limited session: see how the credential stands, and get transaction keys, for
/// those of its container may be too old.
fn is_open_to_recovery(event_type: &EventType) -> bool {
    [event::CredentialStatus::ROW.name, event::CredentialReplenish::ROW.name].contains(&event_type.as_str())
}

/// The body of an answer.
pub fn wrap(outcome: &Outcomes) -> Answer<Value> {
    match outcome {
        Ok(value) => Answer::Success(value.clone()),
        Err(code) => Answer::Refused(Refusal { code: *code }),
    }
}

fn answer(
    step: &mut Step<'_>,
    session: &Session,
    event_type: &EventType,
    question: InReplyTo,
    outcome: &Outcomes,
) -> Result<(), Failure> {
    send::to_app(step, session.key_id, event_type, question.event_id, wrap(outcome), Some(question))
}

fn answer_again(
    step: &mut Step<'_>,
    session: &Session,
    event_type: &EventType,
    question: InReplyTo,
    stored: Option<StoredAnswer>,
) -> Result<(), Failure> {
    let Some(stored) = stored else { return Ok(()) };
    send::to_app(step, session.key_id, event_type, question.event_id, stored.body, Some(question))
}

/// Row, size of the body in bytes, and time.
fn admit(
    step: &Step<'_>,
    envelope: &Envelope,
    content: &Content<Value>,
    size: usize,
) -> Result<&'static Row, RefusalCode> {
    let row = event::find(Lane::Owner, &envelope.event_type).ok_or(RefusalCode::UnsupportedEvent)?;
    let age_ms = step.now.since_ms(envelope.timestamp);
    let late = row.within_ms.is_some_and(|within_ms| age_ms > within_ms) || age_ms < -MAX_SKEW_MS;
    let expired = content.expires_at.is_some_and(|at| at < step.now);
    match () {
        () if size > row.cap_bytes => Err(RefusalCode::InvalidRequest),
        () if late || expired => Err(RefusalCode::Expired),
        () => Ok(row),
    }
}

/// Carries out a command: by the vault itself, or by a handler.
fn act(
    step: &mut Step<'_>,
    session: &Session,
    row: &Row,
    event_id: EventId,
    body: &Value,
) -> Result<Outcomes, Failure> {
    if recovery::holds_event(step, row.name)? {
        return Ok(Err(RefusalCode::OnHold));
    }
    match row.name {
        "session.refresh" => run::<event::SessionRefresh>(body, |request| app::refresh(step, session, &request)),
        "vault.health" => run::<event::VaultHealth>(body, |_| health(step)),
        "vault.restore" => run::<event::VaultRestore>(body, |request| restore::by_owner(step, session, &request)),
        // The vault alone says when a conversation has to be brought together.
        "messaging.recover" => Ok(Err(RefusalCode::NotAllowed)),
        "vault.lock" => run::<event::VaultLock>(body, |_| lock::lock(step)),
        "vault.lock.setup" => run::<event::VaultLockSetup>(body, |_| lock::setup(step)),
        "vault.lock.auto" => run::<event::VaultLockAuto>(body, |request| lock::auto(step, &request)),
        "connection.invite" => run::<event::ConnectionInvite>(body, |request| establish::invite(step, &request)),
        "connection.invitation.list" => run::<event::ConnectionInvitations>(body, |_| establish::invitations(step)),
        "connection.uninvite" => run::<event::ConnectionUninvite>(body, |asked| establish::uninvite(step, &asked)),
        "connection.accept" => run::<event::ConnectionAccept>(body, |request| establish::accept(step, &request)),
        "connection.review" => run::<event::ConnectionReview>(body, |request| view::one(step, request.connection_id)),
        "connection.list" => run::<event::ConnectionList>(body, |request| view::list(step, &request)),
        "profile.item.set" => run::<event::ProfileItemSet>(body, |item| profile::items::set(step, &item)),
        "profile.item.remove" => run::<event::ProfileItemRemove>(body, |asked| profile::items::remove(step, &asked)),
        "profile.item.list" => run::<event::ProfileItemList>(body, |_| profile::items::list(step)),
        "profile.preview" => run::<event::ProfilePreview>(body, |asked| profile::items::preview(step, &asked)),
        "connection.label" => run::<event::ConnectionLabel>(body, |request| card::label(step, &request)),
        "connection.tag" => run::<event::ConnectionTag>(body, |request| card::tag(step, &request)),
        "connection.decide" => run::<event::ConnectionDecide>(body, |request| establish::decide(step, &request)),
        "connection.verify" => run::<event::ConnectionVerify>(body, |one| view::verify(step, one.connection_id)),
        "connection.health" => run::<event::AskHealth>(body, |request| inventory::health(step, &request)),
        "key.rotate" => run::<event::SigningKeyRotate>(body, |request| signing_keys::rotate(step, &request)),
        "key.list" => run::<event::AskKeys>(body, |request| inventory::keys(step, &request)),
        "connection.rotate" => run::<event::RotateKeys>(body, |request| rotation::by_owner(step, &request)),
        "connection.revoke" => run::<event::ConnectionRevoke>(body, |request| revocation::by_owner(step, &request)),
        "credential.status" => run::<event::CredentialStatus>(body, |_| credential::status(step)),
        "credential.utk.replenish" => run::<event::CredentialReplenish>(body, |of| credential::replenish(step, &of)),
        "credential.create" => run::<event::CredentialCreate>(body, |request| credential::create(step, &request)),
        "credential.challenge" => {
            run::<event::CredentialChallenge>(body, |request| credential::challenge(step, session, &request))
        }
        "credential.confirm" => run::<event::CredentialConfirm>(body, |request| credential::confirm(step, &request)),
        "secret.list" => run::<event::SecretList>(body, |_| secrets::list(step)),
        "grant.use" => run::<event::GrantUse>(body, |request| secrets::use_granted(step, event_id, &request)),
        "grant.end" => run::<event::GrantEnd>(body, |request| secrets::end_grant(step, &request)),
        "data.held.list" => run::<event::DataHeld>(body, |asked| held::list(step, &asked)),
        "request.list" => run::<event::RequestList>(body, |_| requests(step)),
        "request.decide" => run::<event::RequestDecide>(body, |request| decide(step, &request)),
        "authorisation.list" | "authorisation.export" | "consent.withdraw" => of_authorisation(step, row, body),
        "messaging.send" => send_message(step, row, event_id, body),
        "messaging.remove" => {
            let removed = by_handler(step, row, event_id, body)?;
            if let (Ok(_), Ok(message)) = (&removed, vjson::from_value::<MessageRef>(body.clone())) {
                file::forget(step, message.connection_id, message.message_id)?;
            }
            Ok(removed)
        }
        name if name.starts_with("file.") => of_file(step, row, body),
        name if name.starts_with("agreement.") => of_agreement(step, row, body),
        name if name.starts_with("location.") => of_location(step, row, body),
        name if name.starts_with("contract.") => of_contract(step, row, body),
        name if name.starts_with("call.") => of_call(step, row, body),
        name if name.starts_with("service_message.") => of_service_message(step, row, body),
        name if name.starts_with("feed.") => of_feed(step, row, body),
        name if name.starts_with("rule.") => of_rule(step, row, body),
        name if name.starts_with("stored.") => of_stored(step, row, body),
        "login.open" | "login.settings" | "browser.list" | "browser.forget" => of_login(step, row, body),
        "connection.unmute" => run::<event::ConnectionUnmute>(body, |asked| flood::unmute(step, asked.connection_id)),
        "audit.export" => run::<event::AuditExport>(body, |request| export(step, &request)),
        "data.set" | "data.remove" => {
            let done = by_handler(step, row, event_id, body)?;
            if let (Ok(_), Some(field)) = (&done, body.get("field").and_then(Value::as_str)) {
                snapshot::changed(&mut step.draft, field);
                snapshot::flush(step)?;
            }
            Ok(done)
        }
        _ => by_handler(step, row, event_id, body),
    }
}

/// Sends a message, and with it the file that it is to carry.
fn send_message(step: &mut Step<'_>, row: &Row, event_id: EventId, body: &Value) -> Result<Outcomes, Failure> {
    let manifest = match file::owner::to_send(step, body)? {
        Ok(manifest) => manifest,
        Err(code) => return Ok(Err(code)),
    };
    let sent = by_handler(step, row, event_id, body)?;
    let connection_id = body.get("connection_id").and_then(Value::as_str).and_then(|id| id.parse().ok());
    if let (Ok(_), Some(manifest), Some(connection_id)) = (&sent, manifest, connection_id) {
        file::owner::sent(step, connection_id, event_id, manifest)?;
    }
    Ok(sent)
}

/// Reads the request of a row and writes its reply.
fn run<R: EventRow>(
    body: &Value,
    command: impl FnOnce(R::Request) -> Result<Result<R::Reply, RefusalCode>, Failure>,
) -> Result<Outcomes, Failure>
where
    R::Request: DeserializeOwned,
    R::Reply: Serialize,
{
    let Ok(request) = vjson::from_value::<R::Request>(body.clone()) else {
        return Ok(Err(RefusalCode::InvalidRequest));
    };
    match command(request)? {
        Ok(reply) => Ok(Ok(serde_json::to_value(reply).map_err(vjson::JsonError::Shape)?)),
        Err(code) => Ok(Err(code)),
    }
}

fn by_handler(step: &mut Step<'_>, row: &Row, event_id: EventId, body: &Value) -> Result<Outcomes, Failure> {
    let event_type: EventType = row.event_type();
    let Some(handler) = step.handlers.find(Lane::Owner, &event_type).cloned() else {
        return Ok(Err(RefusalCode::UnsupportedEvent));
    };
    let context = Context { event_id, event_type, lane: Lane::Owner, occurred_at: step.now, peer: None, answer: None };
    let event = Event { context: context.clone(), payload: vjson::canonical(body)? };
    let before = step.savepoint();
    let mut host = HandlerHost::new(step, &context, &handler.manifest().name, FieldAuthority::Owner);
    let replied = handler.handle(&mut host, &event);
    if let Some(failure) = host.into_failure() {
        return Err(failure.into());
    }
    let refused = match replied {
        Ok(Reply::Body(body)) => return Ok(Ok(vjson::parse(&body)?)),
        Ok(Reply::None) => return Ok(Ok(json!(Nothing {}))),
        Ok(Reply::Ask(_)) => RefusalCode::NotAllowed,
        Err(HandlerError::Refuse(code)) => code,
        Err(HandlerError::Retry(_) | HandlerError::Fault(_)) => RefusalCode::Unavailable,
    };
    step.roll_back(before);
    Ok(Err(refused))
}

fn health(step: &Step<'_>) -> Result<Result<VaultHealth, RefusalCode>, Failure> {
    let connections = crate::connection::all(&step.draft)?.iter().filter(|connection| connection.is_active()).count();
    Ok(Ok(VaultHealth {
        now: step.now,
        incarnation: step.identity.incarnation,
        journal_sequence: step.journal_number,
        audit_size: audit::chain(&step.draft)?.size(),
        dropped_events: step.dropped,
        outbox_size: u64::try_from(outbox::size(&step.draft)).unwrap_or(u64::MAX),
        connections: u64::try_from(connections).unwrap_or(u64::MAX),
        lock: Some(crate::lock::settings(step)?),
        awaits_restore: restore::is_pending(&step.draft),
        reconciling: restore::reconciling(&step.draft)?,
    }))
}

fn requests(step: &Step<'_>) -> Result<Result<RequestList, RefusalCode>, Failure> {
    let open = request::all(&step.draft)?.into_iter().filter(request::Waiting::is_open).map(|waiting| waiting.shown);
    let open = open.filter(|shown| shown.expires_at > step.now);
    let requests = open.map(|shown| authorisation::with_needs(step, shown)).collect::<Result<_, _>>()?;
    Ok(Ok(RequestList { requests }))
}

/// The owner's decision: the waiting event is handled again with it.
fn decide(
    step: &mut Step<'_>,
    asked: &vettid_wire::request::Decide,
) -> Result<Result<vettid_wire::request::Decided, RefusalCode>, Failure> {
    let Some(waiting) = request::shown_as(&step.draft, asked.request_id)? else {
        return Ok(Err(RefusalCode::NotFound));
    };
    if waiting.shown.expires_at <= step.now {
        return Ok(Err(RefusalCode::Expired));
    }
    if authorisation::is_one(&waiting.event_type) {
        return authorisation::decide(step, &waiting, asked);
    }
    if batch::is_one(&waiting.event_type) {
        return batch::decide(step, &waiting, asked);
    }
    if !asked.fields.is_empty() {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    let vettid_core::login::Decided { decision, method, return_to, .. } = match login::decide(step, &waiting, asked)? {
        Ok(outcome) => outcome,
        Err(code) => return Ok(Err(code)),
    };
    let decided = Decided { decision, decided_at: step.now, method };
    if let Err(code) = crate::peer::resume(step, &waiting, OwnerAnswer::Decided(decided))? {
        return Ok(Err(code));
    }
    flood::decided(step, &waiting, decision)?;
    let (outcome, word) = match decision {
        Decision::Approve => (Outcome::Approved, "approved"),
        Decision::Deny => (Outcome::Denied, "denied"),
    };
    step.tell(feed::Note {
        event_type: waiting.event_type.clone(),
        connection_id: Some(waiting.shown.connection_id),
        request_id: Some(asked.request_id),
        severity: Severity::Info,
        outcome,
        summary: format!("You {word} {} of {}", waiting.event_type, waiting.shown.display_name),
    })?;
    Ok(Ok(vettid_wire::request::Decided { request_id: asked.request_id, decision, return_to }))
}

fn export(
    step: &Step<'_>,
    asked: &vettid_wire::feed::ExportAudit,
) -> Result<Result<AuditStretch, RefusalCode>, Failure> {
    let chain = audit::chain(&step.draft)?;
    let entries = audit::entries(&step.draft, asked.from, asked.limit)?;
    let reached = asked.from.saturating_add(u64::try_from(entries.len()).unwrap_or(0));
    let checkpoint =
        (reached >= chain.size()).then(|| Checkpoint::of(&chain).sign(step.identity.guid, step.identity.signing_key()));
    Ok(Ok(AuditStretch {
        head: ExportHead {
            version: 1,
            guid: step.identity.guid,
            vault_fp: step.identity.fingerprint(),
            exported_at: step.now,
        },
        key_record: step.identity.key_record.record().clone(),
        entries,
        size: chain.size(),
        checkpoint,
    }))
}

/// The connection of a command, or that there is none.
pub fn find_connection(
    step: &Step<'_>,
    id: ConnectionId,
) -> Result<Result<crate::connection::Connection, RefusalCode>, Failure> {
    Ok(crate::connection::get(&step.draft, id)?.ok_or(RefusalCode::NotFound))
}

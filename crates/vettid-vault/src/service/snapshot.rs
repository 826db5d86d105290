//! Fields that the contract lets out unasked: after acceptance, and after each change. What a service has not fetched yet is
//! replaced by what is newer; what the rates have no room for waits. Nothing leaves that the contract in force does not name or
//! that a rule of the owner keeps back, and no value without its line of the statement.

use crate::connection::{self, Connection};
use crate::contract::{check_not_frozen, note_served};
use crate::failure::Failure;
use crate::feed::Note;
use crate::field;
use crate::outbox;
use crate::projection::{Draft, UnreadableState};
use crate::rule::ruling::{self, Ruling};
use crate::send;
use crate::service::held;
use crate::step::Step;
use serde::{Deserialize, Serialize};
use serde_json::json;
use vettid_core::channel::body_hash;
use vettid_core::contract::{self, AcceptedContract, Breach};
use vettid_wire::audit::Outcome as AuditOutcome;
use vettid_wire::base64::Base64Url;
use vettid_wire::contract::Retention;
use vettid_wire::data::{Snapshot, SnapshotState};
use vettid_wire::event::{DataSnapshot, EventRow};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::id::ConnectionId;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::statement::DecidedBy;

/// Under this prefix stands what was sent last.
const SENT: &str = "snapshot/sent/";
/// Under this prefix stand the connections that follow a field.
const FOLLOWED: &str = "snapshot/of/";
/// Under this prefix stands what has to be sent.
const OWED: &str = "snapshot/owed/";
/// Under this prefix stands what the owner's rules keep back, and that the owner was told.
const HELD_BACK: &str = "snapshot/held_back/";
/// A number is the incarnation and what was sent in it.
const INCARNATION_BITS: u32 = 32;
/// Most that one step sends, if its commit has room for so much.
const AT_ONCE: usize = 16;

/// What was sent last of a field on a connection.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Sent {
    number: u64,
    /// Hash of the value; `None`: that there is none.
    value_hash: Option<Base64Url>,
    /// Its place in the outbox.
    post: u64,
}

/// A contract came into force: its fields are followed from now on, and others are no more.
pub fn follow(step: &mut Step<'_>, id: ConnectionId) -> Result<(), UnreadableState> {
    let Some(accepted) = connection::contract(&step.draft, id)? else {
        return Ok(());
    };
    for key in step.draft.keys(FOLLOWED, usize::MAX) {
        if key.ends_with(&format!("/{id}")) {
            step.draft.remove(&key);
        }
    }
    forget_held_back(&mut step.draft, id);
    for name in contract::snapshots(&accepted) {
        step.draft.put_bytes(format!("{FOLLOWED}{name}/{id}"), Vec::new());
        step.draft.put_bytes(owed(id, name), Vec::new());
    }
    Ok(())
}

/// The owner changed a field.
pub fn changed(draft: &mut Draft<'_>, name: &str) {
    let prefix = format!("{FOLLOWED}{name}/");
    for key in draft.keys(&prefix, usize::MAX) {
        if let Some(id) = key.strip_prefix(&prefix).and_then(|id| id.parse().ok()) {
            draft.put_bytes(owed(id, name), Vec::new());
        }
    }
}

fn forget_held_back(draft: &mut Draft<'_>, id: ConnectionId) {
    for key in draft.keys(&format!("{HELD_BACK}{id}/"), usize::MAX) {
        draft.remove(&key);
    }
}

/// A connection ended.
pub fn end(draft: &mut Draft<'_>, id: ConnectionId) -> Result<(), UnreadableState> {
    forget_held_back(draft, id);
    for key in draft.keys(&format!("{SENT}{id}/"), usize::MAX) {
        let name = key.rsplit('/').next().unwrap_or_default().to_owned();
        draft.remove(&format!("{FOLLOWED}{name}/{id}"));
        draft.remove(&key);
    }
    for key in draft.keys(&format!("{OWED}{id}/"), usize::MAX) {
        let name = key.rsplit('/').next().unwrap_or_default().to_owned();
        draft.remove(&format!("{FOLLOWED}{name}/{id}"));
        draft.remove(&key);
    }
    Ok(())
}

/// Sends what is owed, as far as the rates and the commit have room; what is left is for the next step.
pub fn flush(step: &mut Step<'_>) -> Result<(), Failure> {
    let keys = step.draft.keys(OWED, usize::MAX);
    let mut sent = 0;
    for key in keys {
        let Some((id, name)) = read(&key) else {
            step.draft.remove(&key);
            continue;
        };
        if sent == AT_ONCE || !step.has_room() {
            return Ok(());
        }
        match push(step, id, name)? {
            Pushed::Sent => sent += 1,
            Pushed::Needless => {}
            Pushed::Later => continue,
        }
        step.draft.remove(&key);
    }
    Ok(())
}

enum Pushed {
    Sent,
    /// The service has it, or may not have it.
    Needless,
    Later,
}

fn push(step: &mut Step<'_>, id: ConnectionId, name: &str) -> Result<Pushed, Failure> {
    let found = connection::get(&step.draft, id)?.filter(Connection::is_active);
    let Some((connection, accepted)) = found.zip(connection::contract(&step.draft, id)?) else {
        return Ok(Pushed::Needless);
    };
    // While a version waits for the owner the service gets nothing.
    if check_not_frozen(&step.draft, id)?.is_err() {
        return Ok(Pushed::Later);
    }
    let last: Sent = step.draft.get(&sent(id, name))?.unwrap_or_default();
    let value = field::get(&step.draft, name)?.map(|stored| stored.value);
    let value_hash = value.as_ref().map(body_hash).transpose()?;
    // A vault that was restored does not know what was sent meanwhile: it counts above that, and says again what it has.
    let base = step.identity.incarnation << INCARNATION_BITS;
    if last.value_hash == value_hash && (last.number > base || value_hash.is_none()) {
        return Ok(Pushed::Needless);
    }
    if !contract::snapshots(&accepted).any(|followed| followed == name) {
        return Ok(Pushed::Needless);
    }
    let ruling = if value.is_some() { ruling::on_push(step, id, name)? } else { Ruling::None };
    if ruling.objects() {
        hold_back(step, &connection, name, &ruling)?;
        return Ok(Pushed::Later);
    }
    let mut buckets = connection::buckets(&step.draft, id)?;
    match contract::push_field(step.now, &accepted, &mut buckets, name) {
        Ok(()) => connection::put_buckets(&mut step.draft, id, &buckets)?,
        Err(Breach::OverRate) => return Ok(Pushed::Later),
        Err(_) => return Ok(Pushed::Needless),
    }
    let number = last.number.max(base) + 1;
    let state = match value {
        Some(value) => {
            let purpose = accepted.contract.field(name).map_or("", |field| &field.purpose);
            note_served(step, &connection, (name, purpose), None, DecidedBy::Contract)?;
            SnapshotState::Value { value, keep: held::hand_out(step, id, name, retention(&accepted, name))? }
        }
        None => SnapshotState::Gone,
    };
    let body =
        Snapshot { connection_id: id, contract_hash: accepted.contract_hash, field: name.to_owned(), number, state };
    // Of what no broker has taken yet the last value wins.
    outbox::done(&mut step.draft, last.post);
    step.posts.retain(|post| post.number == 0 || post.number != last.post);
    send::to_peer(step, &connection, &DataSnapshot::ROW, body, None)?;
    let post = step.posts.last().map_or(0, |post| post.number);
    step.draft.put(sent(id, name), &Sent { number, value_hash, post })?;
    ruling.count(step)?;
    step.draft.remove(&held_back(id, name));
    tell(step, &connection, (name, number), &ruling)?;
    Ok(Pushed::Sent)
}

/// A rule keeps it back: it waits until the rules let it out, which is looked at with each tick, and the owner is told once.
fn hold_back(step: &mut Step<'_>, connection: &Connection, name: &str, ruling: &Ruling) -> Result<(), Failure> {
    let id = connection.connection_id;
    if step.draft.has(&held_back(id, name)) {
        return Ok(());
    }
    step.draft.put_bytes(held_back(id, name), Vec::new());
    ruling.count(step)?;
    let event_type = DataSnapshot::ROW.event_type();
    let mut detail = json!({"connection_id": id, "field": name, "refusal": RefusalCode::Denied});
    ruling.note(&mut detail)?;
    step.audit("vault", &event_type, AuditOutcome::Refused, detail)?;
    let rules = ruling.record().map(|(_, ruled)| ruled.rules.iter().map(ToString::to_string).collect::<Vec<_>>());
    let by = rules.filter(|names| !names.is_empty()).map_or("your rules".to_owned(), |names| names.join(", "));
    step.tell(Note {
        event_type,
        connection_id: Some(id),
        request_id: None,
        severity: Severity::Notice,
        outcome: Outcome::Refused(RefusalCode::Denied),
        summary: format!("{} is not sent your {name}: kept back by {by}", connection.display_name),
    })?;
    Ok(())
}

fn retention(accepted: &AcceptedContract, name: &str) -> Retention {
    accepted.contract.field(name).map_or(Retention::Session, |field| field.retention)
}

fn tell(
    step: &mut Step<'_>,
    connection: &Connection,
    (name, number): (&str, u64),
    ruling: &Ruling,
) -> Result<(), Failure> {
    let event_type = DataSnapshot::ROW.event_type();
    let mut detail = json!({"connection_id": connection.connection_id, "field": name, "number": number});
    ruling.note(&mut detail)?;
    step.audit("vault", &event_type, AuditOutcome::Success, detail)?;
    step.tell(Note {
        event_type,
        connection_id: Some(connection.connection_id),
        request_id: None,
        severity: Severity::Info,
        outcome: Outcome::Done,
        summary: format!("{} was sent your {name} as it is now", connection.display_name),
    })?;
    Ok(())
}

fn sent(id: ConnectionId, name: &str) -> String {
    format!("{SENT}{id}/{name}")
}

fn held_back(id: ConnectionId, name: &str) -> String {
    format!("{HELD_BACK}{id}/{name}")
}

fn owed(id: ConnectionId, name: &str) -> String {
    format!("{OWED}{id}/{name}")
}

fn read(key: &str) -> Option<(ConnectionId, &str)> {
    let (id, name) = key.strip_prefix(OWED)?.split_once('/')?;
    Some((id.parse().ok()?, name))
}

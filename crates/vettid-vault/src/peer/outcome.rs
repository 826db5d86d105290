//! How an event of a peer ends: mark, audit, replay window, and for refusals the answer and the feed. Nothing ends without an
//! audit entry.

use super::{Arrived, actor};
use crate::authorisation::Unfit;
use crate::channels::ChannelName;
use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::feed::Note;
use crate::mark::{self, Mark, StoredAnswer};
use crate::rotation;
use crate::rule::ruling::Ruling;
use crate::send;
use crate::service::batch;
use crate::step::Step;
use crate::stored;
use serde_json::{Value, json};
use vettid_core::contract::{Breach, Buckets, NotSent};
use vettid_wire::audit::Outcome as AuditOutcome;
use vettid_wire::data::batch::MAX_BATCH_FIELDS;
use vettid_wire::event::{self, EventRow, EventType};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::id::ConnectionId;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

/// What is done with an event that passed.
pub(super) enum Done {
    /// No answer is due.
    Quiet,
    /// It is gone as it came: nothing remembers it but the replay window.
    Passing,
    /// This is the answer.
    Answered(StoredAnswer),
}

/// Whether an event is remembered as processed, and what it left of the rates of a contract.
pub(super) enum Marked {
    Yes(Option<Buckets>),
    No,
}

/// Why an event has no effect, and how urgent that is for the owner.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refused {
    pub(super) code: RefusalCode,
    severity: Severity,
    /// The check of the contract that failed.
    breach: Option<Breach>,
    /// Not before then is there room again.
    retry_at: Option<Timestamp>,
}

impl Refused {
    /// The contract let it through. A thing that a service stored and that is there no more is nothing to worry about.
    pub(super) fn after_admission(event_type: &EventType, code: RefusalCode) -> Self {
        let is_gone = code == RefusalCode::NotFound && stored::service::is_one(event_type);
        if is_gone { Self { code, severity: Severity::Info, breach: None, retry_at: None } } else { code.into() }
    }
}

impl From<RefusalCode> for Refused {
    fn from(code: RefusalCode) -> Self {
        let severity = match code {
            RefusalCode::Conflict => Severity::Alarm,
            // Its owner knows: it waits for them.
            RefusalCode::ContractFrozen => Severity::Info,
            _ => Severity::Warning,
        };
        Self { code, severity, breach: None, retry_at: None }
    }
}

impl From<Breach> for Refused {
    fn from(breach: Breach) -> Self {
        Self { code: breach.code(), severity: breach.severity(), breach: Some(breach), retry_at: None }
    }
}

impl From<Unfit> for Refused {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Contract(breach) => breach.into(),
            Unfit::Other(code) => code.into(),
        }
    }
}

impl From<NotSent> for Refused {
    fn from(refused: NotSent) -> Self {
        Self { retry_at: refused.retry_at, ..Self::from(refused.breach) }
    }
}

/// Mark, rate, replay window, audit, and for refusals the answer and the feed.
pub(super) fn finish(
    step: &mut Step<'_>,
    connection: &Connection,
    arrived: &Arrived,
    decided: Result<Done, impl Into<Refused>>,
    marked: Marked,
    ruling: &Ruling,
) -> Result<(), Failure> {
    let decided = decided.map_err(Into::into);
    let (id, event_type) = (connection.connection_id, &arrived.event_type);
    if matches!(decided, Ok(Done::Passing)) {
        rotation::keep_up(step, connection)?;
        return Ok(step.channels.store(&mut step.draft, ChannelName::Connection(id))?);
    }
    let (answer, refused) = match decided {
        Ok(Done::Quiet | Done::Passing) => (None, None),
        Ok(Done::Answered(answer)) => (Some(answer), None),
        Err(refused) => (refuse(step, connection, arrived, refused)?, Some(refused)),
    };
    if let Marked::Yes(buckets) = marked {
        let mark = Mark::new(arrived.body_hash.clone(), step.now, answer);
        mark::put(&mut step.draft, &id.to_string(), arrived.event_id, &mark)?;
        if let Some(buckets) = buckets {
            connection::put_buckets(&mut step.draft, id, &buckets)?;
        }
    }
    let outcome = if refused.is_none() { AuditOutcome::Success } else { AuditOutcome::Refused };
    let code = refused.map(|refused| refused.code);
    let mut detail = json!({"event_id": arrived.event_id, "refusal": code});
    if let (Some(breach), Some(detail)) = (refused.and_then(|refused| refused.breach), detail.as_object_mut()) {
        detail.insert("failed_check".into(), breach.to_string().into());
    }
    if let (Some(_), Some(asked), Some(detail)) = (code, asked(arrived, id), detail.as_object_mut()) {
        // What was refused would be handed out by another contract: the dry run wants to know.
        detail.insert("asked".into(), asked);
    }
    if code.is_none() {
        ruling.note(&mut detail)?;
    }
    step.audit(&actor(connection), event_type, outcome, detail)?;
    rotation::keep_up(step, connection)?;
    step.channels.store(&mut step.draft, ChannelName::Connection(id))?;
    Ok(())
}

/// Which field a request was for, or which ones, as far as these are names of fields.
fn asked(arrived: &Arrived, connection_id: ConnectionId) -> Option<Value> {
    let name_in = |of: &Value| {
        let name = of.get("field").and_then(Value::as_str);
        name.filter(|name| vettid_wire::data::is_field_name(name)).map(str::to_owned)
    };
    let body = &arrived.content.body;
    if arrived.event_type == event::DataRequest::ROW.event_type() {
        return name_in(body).map(|field| json!({"connection_id": connection_id, "field": field}));
    }
    let several = body.get("fields").and_then(Value::as_array).filter(|_| batch::is_one(&arrived.event_type))?;
    let fields: Vec<_> = several.iter().take(MAX_BATCH_FIELDS).filter_map(name_in).collect();
    Some(json!({"connection_id": connection_id, "fields": fields}))
}

fn refuse(
    step: &mut Step<'_>,
    connection: &Connection,
    arrived: &Arrived,
    refused: Refused,
) -> Result<Option<StoredAnswer>, Failure> {
    let Refused { code, severity, retry_at, .. } = refused;
    let (event_id, event_type) = (arrived.event_id, &arrived.event_type);
    if *event_type == event::EventRefused::ROW.event_type() {
        // Two vaults would refuse each other's refusals for ever.
        return Ok(None);
    }
    let answer =
        send::refuse(step, connection, (event_id, event_type), (code, retry_at), Some(arrived.question.clone()))?;
    let field =
        arrived.content.body.get("field").and_then(Value::as_str).filter(|name| vettid_wire::data::is_field_name(name));
    let about = field.map_or_else(|| event_type.to_string(), |field| format!("{event_type} for {field}"));
    step.tell(Note {
        event_type: event_type.clone(),
        connection_id: Some(connection.connection_id),
        request_id: None,
        severity,
        outcome: Outcome::Refused(code),
        summary: format!("{}: {about} was refused ({code})", connection.display_name),
    })?;
    Ok(answer)
}

//! Events of a service about what it stores. Whether its contract lets them through is decided before; a service reaches what
//! stands under its own connection and nothing else. Of what is read nothing is remembered: a repeated event reads again.

use super::{Kept, filling, find, is_over, items, put, remove, used};
use crate::connection::{self, Connection};
use crate::contract;
use crate::failure::Failure;
use crate::feed::Note;
use crate::mark::StoredAnswer;
use crate::projection::{Draft, UnreadableState};
use crate::rule::ruling::Ruling;
use crate::send;
use crate::step::Step;
use serde_json::Value;
use vettid_core::contract::storage::StorageAct;
use vettid_wire::base64::Base64Url;
use vettid_wire::data::is_field_name;
use vettid_wire::envelope::InReplyTo;
use vettid_wire::event::{
    DataStore, DataStoredDelete, DataStoredGet, DataStoredList, DataStoredResponse, EventRow, EventType,
};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::id::{ConnectionId, RequestId};
use vettid_wire::json as vjson;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::stored::{
    ListStored, MAX_LISTED, MAX_VALUE_BYTES, NameStored, StorageUse, StoreData, StoredItem, StoredOutcome,
    StoredResponse, is_stored_name, size_bytes,
};
use vettid_wire::time::Timestamp;

/// What a service asks, read and looked at for what needs no state.
pub enum Asked {
    /// To store a value of this size.
    Put(StoreData, u64),
    /// To read one thing.
    Get(NameStored),
    /// To list.
    List(ListStored),
    /// To delete one thing.
    Delete(NameStored),
}

/// Whether an event is about what a service stores.
#[must_use]
pub fn is_one(event_type: &EventType) -> bool {
    [DataStore::ROW.name, DataStoredDelete::ROW.name].contains(&event_type.as_str()) || reads(event_type)
}

/// Whether it only reads.
#[must_use]
pub fn reads(event_type: &EventType) -> bool {
    [DataStoredGet::ROW.name, DataStoredList::ROW.name].contains(&event_type.as_str())
}

/// Reads the body of an event.
///
/// # Errors
/// `invalid_request`: not of its form, a name outside the grammar, a value that is too large, a time that is over.
pub fn read(now: Timestamp, event_type: &EventType, body: &Value) -> Result<Asked, RefusalCode> {
    let asked = match event_type.as_str() {
        name if name == DataStore::ROW.name => {
            let asked: StoreData = of_form(body)?;
            let size_bytes = value_size(&asked)?;
            Asked::Put(asked, size_bytes)
        }
        name if name == DataStoredGet::ROW.name => Asked::Get(of_form(body)?),
        name if name == DataStoredDelete::ROW.name => Asked::Delete(of_form(body)?),
        _ => Asked::List(of_form(body)?),
    };
    if asked.is_sound(now) { Ok(asked) } else { Err(RefusalCode::InvalidRequest) }
}

fn of_form<T: serde::de::DeserializeOwned>(body: &Value) -> Result<T, RefusalCode> {
    vjson::from_value(body.clone()).map_err(|_| RefusalCode::InvalidRequest)
}

fn value_size(asked: &StoreData) -> Result<u64, RefusalCode> {
    let value = vjson::canonical(&asked.value).map_err(|_| RefusalCode::InvalidRequest)?;
    if value.len() > MAX_VALUE_BYTES {
        return Err(RefusalCode::InvalidRequest);
    }
    size_bytes(&asked.category, &asked.name, &asked.value).map_err(|_| RefusalCode::InvalidRequest)
}

impl Asked {
    fn is_sound(&self, now: Timestamp) -> bool {
        let named = |category: &str, name: &str| is_field_name(category) && is_stored_name(name);
        match self {
            Self::Put(asked, _) => {
                named(&asked.category, &asked.name) && asked.expires_at.is_none_or(|expires_at| expires_at > now)
            }
            Self::Get(asked) | Self::Delete(asked) => named(&asked.category, &asked.name),
            Self::List(asked) => {
                let within = |category: &String| asked.category.as_ref().is_none_or(|only| only == category);
                let after = asked.after.as_ref();
                asked.category.as_deref().is_none_or(is_field_name)
                    && after.is_none_or(|place| named(&place.category, &place.name) && within(&place.category))
                    && asked.limit.is_none_or(|limit| (1..=MAX_LISTED).contains(&limit))
            }
        }
    }

    /// The contract that the service says it has.
    #[must_use]
    pub fn contract_hash(&self) -> &Base64Url {
        match self {
            Self::Put(asked, _) => &asked.contract_hash,
            Self::Get(asked) | Self::Delete(asked) => &asked.contract_hash,
            Self::List(asked) => &asked.contract_hash,
        }
    }

    fn request_id(&self) -> RequestId {
        match self {
            Self::Put(asked, _) => asked.request_id,
            Self::Get(asked) | Self::Delete(asked) => asked.request_id,
            Self::List(asked) => asked.request_id,
        }
    }
}

/// What the contract has to allow for it.
pub fn wanted<'a>(draft: &Draft<'_>, id: ConnectionId, asked: &'a Asked) -> Result<StorageAct<'a>, UnreadableState> {
    Ok(match asked {
        Asked::Put(asked, size_bytes) => {
            let filling = filling(draft, id, (&asked.category, &asked.name), *size_bytes)?;
            StorageAct::Put { category: &asked.category, filling }
        }
        Asked::Get(asked) | Asked::Delete(asked) => StorageAct::One(&asked.category),
        Asked::List(asked) => StorageAct::List(asked.category.as_deref()),
    })
}

/// Does what the contract let through and sends the answer; `question` names its event. What is remembered of it: nothing where it
/// was read.
pub fn receive(
    step: &mut Step<'_>,
    connection: &Connection,
    (event_type, question): (&EventType, &InReplyTo),
    body: &Value,
    ruling: &Ruling,
) -> Result<Result<Option<StoredAnswer>, RefusalCode>, Failure> {
    let asked = match read(step.now, event_type, body) {
        Ok(asked) => asked,
        Err(code) => return Ok(Err(code)),
    };
    // There is nobody to ask: what no rule lets through as it is, is denied.
    if ruling.objects() || matches!(ruling, Ruling::Repeated) {
        return Ok(Err(RefusalCode::Denied));
    }
    ruling.count(step)?;
    let outcome = match &asked {
        Asked::Put(asked, size_bytes) => store(step, connection, asked, *size_bytes)?,
        Asked::Get(asked) => get(step, connection, asked)?,
        Asked::List(asked) => Ok(list(step, connection, asked)?),
        Asked::Delete(asked) => delete(step, connection, asked)?,
    };
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(code) => return Ok(Err(code)),
    };
    let row = &DataStoredResponse::ROW;
    let response = StoredResponse { request_id: asked.request_id(), outcome, proof: None };
    let response = serde_json::to_value(response).map_err(vjson::JsonError::Shape)?;
    let body = send::proven(step, connection, row, response, question)?;
    send::to_peer(step, connection, row, &body, Some(question.clone()))?;
    Ok(Ok((!reads(event_type)).then(|| StoredAnswer { event_type: row.event_type(), body })))
}

type Done = Result<Result<StoredOutcome, RefusalCode>, Failure>;

fn store(step: &mut Step<'_>, connection: &Connection, asked: &StoreData, size_bytes: u64) -> Done {
    let Some(service_id) = connection.service_id() else {
        return Ok(Err(RefusalCode::NotAllowed));
    };
    let item = StoredItem {
        category: asked.category.clone(),
        name: asked.name.clone(),
        size_bytes,
        stored_at: step.now,
        expires_at: asked.expires_at,
    };
    let kept = Kept { item: item.clone(), value: asked.value.clone() };
    put(&mut step.draft, connection.connection_id, service_id, &kept)?;
    tell(step, connection, &DataStore::ROW.event_type(), ("stored", &item))?;
    Ok(Ok(StoredOutcome::Stored { item, used: storage_use(&step.draft, connection.connection_id)? }))
}

fn get(step: &mut Step<'_>, connection: &Connection, asked: &NameStored) -> Done {
    let id = connection.connection_id;
    let Some(Kept { item, value }) = find(&step.draft, step.now, id, &asked.category, &asked.name)? else {
        return Ok(Err(RefusalCode::NotFound));
    };
    contract::note_read_back(step, connection, (&item.category, &item.name), asked.request_id)?;
    Ok(Ok(StoredOutcome::Read { item, value }))
}

fn list(step: &Step<'_>, connection: &Connection, asked: &ListStored) -> Result<StoredOutcome, Failure> {
    let id = connection.connection_id;
    let accepted = connection::contract(&step.draft, id)?;
    let storage = accepted.as_ref().and_then(|accepted| accepted.contract.storage.as_ref());
    let limit = usize::from(asked.limit.unwrap_or(MAX_LISTED));
    let is_own = |item: &StoredItem| {
        let declared = storage.is_some_and(|storage| storage.category(&item.category).is_some());
        declared && !is_over(item, step.now)
    };
    let within = (id, asked.category.as_deref());
    let mut items = items(&step.draft, within, asked.after.as_ref(), limit + 1, is_own)?;
    let more = items.len() > limit;
    items.truncate(limit);
    Ok(StoredOutcome::Listed { items, more, used: storage_use(&step.draft, id)? })
}

fn delete(step: &mut Step<'_>, connection: &Connection, asked: &NameStored) -> Done {
    let id = connection.connection_id;
    let found = find(&step.draft, step.now, id, &asked.category, &asked.name)?;
    let Some(Kept { item, .. }) = found else {
        return Ok(Err(RefusalCode::NotFound));
    };
    remove(&mut step.draft, id, &item.category, &item.name)?;
    tell(step, connection, &DataStoredDelete::ROW.event_type(), ("deleted", &item))?;
    Ok(Ok(StoredOutcome::Deleted { used: storage_use(&step.draft, id)? }))
}

fn storage_use(draft: &Draft<'_>, id: ConnectionId) -> Result<StorageUse, UnreadableState> {
    let accepted = connection::contract(draft, id)?;
    let quota_bytes = accepted.and_then(|accepted| accepted.contract.storage).map_or(0, |storage| storage.quota_bytes);
    let (used_bytes, items) = used(draft, id)?.map_or((0, 0), |used| (used.used_bytes, used.items));
    Ok(StorageUse { quota_bytes, used_bytes, items })
}

fn tell(
    step: &mut Step<'_>,
    connection: &Connection,
    event_type: &EventType,
    (did, item): (&str, &StoredItem),
) -> Result<(), UnreadableState> {
    step.tell(Note {
        event_type: event_type.clone(),
        connection_id: Some(connection.connection_id),
        request_id: None,
        severity: Severity::Info,
        outcome: Outcome::Done,
        summary: format!("{} {did} {} in {} with you", connection.display_name, item.name, item.category),
    })
}

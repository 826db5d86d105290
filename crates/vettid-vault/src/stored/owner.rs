//! Commands of the owner about what services stored. The owner sees and deletes everything, whether its connection is still
//! there or not.

use super::{Kept, USE, Used, find, is_over, items, of_connection, remove, use_key, used};
use crate::connection;
use crate::failure::Failure;
use crate::step::Step;
use std::collections::BTreeMap;
use vettid_wire::contract::{Permission, Storage};
use vettid_wire::id::ConnectionId;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::stored::{
    BrowseStored, DeleteStored, MAX_LISTED, StoredByService, StoredDeleted, StoredInCategory, StoredItem, StoredList,
    StoredRef, StoredValue,
};

/// `stored.list`.
pub fn list(step: &Step<'_>, asked: &BrowseStored) -> Result<Result<StoredList, RefusalCode>, Failure> {
    let limit = asked.limit.unwrap_or(MAX_LISTED);
    if !(1..=MAX_LISTED).contains(&limit) {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    match asked.connection_id {
        Some(id) if asked.after_connection.is_none() => of_one(step, id, asked, usize::from(limit)),
        None if asked.category.is_none() && asked.after.is_none() => of_all(step, asked, usize::from(limit)).map(Ok),
        _ => Ok(Err(RefusalCode::InvalidRequest)),
    }
}

fn of_all(step: &Step<'_>, asked: &BrowseStored, limit: usize) -> Result<StoredList, Failure> {
    let first = asked.after_connection.map_or_else(|| USE.to_owned(), |after| format!("{}\0", use_key(after)));
    let mut keys = step.draft.keys_from(USE, &first, limit + 1);
    let more = keys.len() > limit;
    keys.truncate(limit);
    let mut services = Vec::new();
    for key in keys {
        if let Some(used) = step.draft.get::<Used>(&key)? {
            services.push(by_service(step, used)?.0);
        }
    }
    Ok(StoredList { services, items: vec![], more })
}

fn of_one(
    step: &Step<'_>,
    id: ConnectionId,
    asked: &BrowseStored,
    limit: usize,
) -> Result<Result<StoredList, RefusalCode>, Failure> {
    let within = |category: &String| asked.category.as_ref().is_none_or(|only| only == category);
    if !asked.after.as_ref().is_none_or(|place| within(&place.category)) {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    let Some(used) = used_or_nothing(step, id)? else {
        return Ok(Err(RefusalCode::NotFound));
    };
    let (mut service, storage) = by_service(step, used)?;
    service.categories = categories(step, id, storage.as_ref())?;
    let is_there = |item: &StoredItem| !is_over(item, step.now);
    let within = (id, asked.category.as_deref());
    let mut items = items(&step.draft, within, asked.after.as_ref(), limit + 1, is_there)?;
    let more = items.len() > limit;
    items.truncate(limit);
    Ok(Ok(StoredList { services: vec![service], items, more }))
}

/// What a connection takes, or that a service on it took nothing yet.
fn used_or_nothing(step: &Step<'_>, id: ConnectionId) -> Result<Option<Used>, Failure> {
    if let Some(used) = used(&step.draft, id)? {
        return Ok(Some(used));
    }
    let service_id = connection::get(&step.draft, id)?.and_then(|connection| connection.service_id().cloned());
    Ok(service_id.map(|service_id| Used { connection_id: id, service_id, used_bytes: 0, items: 0 }))
}

/// What a service stored, without its categories, and what its contract lets it store.
fn by_service(step: &Step<'_>, used: Used) -> Result<(StoredByService, Option<Storage>), Failure> {
    let id = used.connection_id;
    let found = connection::get(&step.draft, id)?;
    let ended = !found.as_ref().is_some_and(connection::Connection::is_live);
    let display_name = found.map_or_else(|| used.service_id.to_string(), |connection| connection.display_name);
    let contract = connection::contract(&step.draft, id)?.map(|accepted| accepted.contract).filter(|_| !ended);
    let contract = contract.filter(|contract| contract.permissions.contains(&Permission::StoreData));
    let storage = contract.and_then(|contract| contract.storage);
    let service = StoredByService {
        connection_id: id,
        display_name,
        service_id: used.service_id,
        ended,
        quota_bytes: storage.as_ref().map(|storage| storage.quota_bytes),
        used_bytes: used.used_bytes,
        items: used.items,
        categories: vec![],
    };
    Ok((service, storage))
}

/// Those of the contract and those with something in them, by name.
fn categories(step: &Step<'_>, id: ConnectionId, storage: Option<&Storage>) -> Result<Vec<StoredInCategory>, Failure> {
    let empty = |category: &str, purpose: Option<String>| StoredInCategory {
        category: category.to_owned(),
        purpose,
        used_bytes: 0,
        items: 0,
    };
    let declared = storage.into_iter().flat_map(|storage| &storage.categories);
    let mut all: BTreeMap<String, StoredInCategory> = declared
        .map(|declared| (declared.category.clone(), empty(&declared.category, Some(declared.purpose.clone()))))
        .collect();
    for key in step.draft.keys(&of_connection(id), usize::MAX) {
        let Some(Kept { item, .. }) = step.draft.get(&key)? else { continue };
        let of = all.entry(item.category.clone()).or_insert_with(|| empty(&item.category, None));
        of.used_bytes = of.used_bytes.saturating_add(item.size_bytes);
        of.items = of.items.saturating_add(1);
    }
    Ok(all.into_values().collect())
}

/// `stored.get`.
pub fn get(step: &Step<'_>, asked: &StoredRef) -> Result<Result<StoredValue, RefusalCode>, Failure> {
    let found = find(&step.draft, step.now, asked.connection_id, &asked.category, &asked.name)?;
    Ok(found.map(|Kept { item, value }| StoredValue { item, value }).ok_or(RefusalCode::NotFound))
}

/// `stored.delete`.
pub fn delete(step: &mut Step<'_>, asked: &DeleteStored) -> Result<Result<StoredDeleted, RefusalCode>, Failure> {
    if asked.category.is_none() && asked.name.is_some() {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    let id = asked.connection_id;
    let is_wanted = |item: &StoredItem| asked.name.as_ref().is_none_or(|name| *name == item.name);
    let wanted = items(&step.draft, (id, asked.category.as_deref()), None, usize::MAX, is_wanted)?;
    let mut deleted = StoredDeleted { items: 0, bytes: 0 };
    for item in wanted {
        remove(&mut step.draft, id, &item.category, &item.name)?;
        deleted.items = deleted.items.saturating_add(1);
        deleted.bytes = deleted.bytes.saturating_add(item.size_bytes);
    }
    Ok(if deleted.items == 0 { Err(RefusalCode::NotFound) } else { Ok(deleted) })
}

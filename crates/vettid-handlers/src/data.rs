//! The owner's commands over personal data. What services may read of it is the matter of `data_request`.

use serde_json::Value;
use vettid_handler::event::Context;
use vettid_handler::handler::Outcome;
use vettid_handler::handlers::HandlersBuilder;
use vettid_handler::host::{Field, Host};
use vettid_handler::manifest::{FieldScope, HostCall, Manifest};
use vettid_handler::reply::HandlerError;
use vettid_wire::data::{FieldList, FieldName, FieldView, SetField, is_field_name};
use vettid_wire::event::{DataGet, DataList, DataRemove, DataSet, Nothing};
use vettid_wire::json;
use vettid_wire::refusal::RefusalCode;

/// What the handlers may do.
pub const MANIFEST: Manifest =
    Manifest::linked("data", &[HostCall::FieldRead, HostCall::FieldWrite], &[], FieldScope::Authorised);

/// Largest value in canonical bytes: it must fit into a reply together with its name.
pub const MAX_VALUE_BYTES: usize = 48 * 1024;
/// Deepest nesting of a value: replies wrap it into further objects.
pub const MAX_VALUE_DEPTH: usize = 12;
/// Most stored fields: their list must fit into a reply.
pub const MAX_FIELDS: usize = 256;

/// Adds the handlers of this file.
#[must_use]
pub fn add(handlers: HandlersBuilder) -> HandlersBuilder {
    handlers
        .on::<DataSet>(&MANIFEST, set)
        .on::<DataGet>(&MANIFEST, get)
        .on::<DataList>(&MANIFEST, list)
        .on::<DataRemove>(&MANIFEST, remove)
}

/// `data.set`: stores one field.
pub fn set(host: &mut dyn Host, context: &Context, request: SetField) -> Result<Outcome<FieldView>, HandlerError> {
    let value = check(&request)?;
    let fields = host.field_list()?;
    if fields.len() >= MAX_FIELDS && fields.iter().all(|field| field.field != request.field) {
        return Err(RefusalCode::NotAllowed.into());
    }
    host.field_put(&request.field, &value)?;
    Ok(Outcome::Reply(FieldView { field: request.field, value: request.value, updated_at: context.occurred_at }))
}

/// `data.get`: reads one field.
pub fn get(host: &mut dyn Host, _: &Context, request: FieldName) -> Result<Outcome<FieldView>, HandlerError> {
    let field = host.field(&request.field)?.ok_or(RefusalCode::NotFound)?;
    let value = value_of(&field)?;
    Ok(Outcome::Reply(FieldView { field: request.field, value, updated_at: field.updated_at }))
}

/// `data.list`: the names of the stored fields.
pub fn list(host: &mut dyn Host, _: &Context, _: Nothing) -> Result<Outcome<FieldList>, HandlerError> {
    Ok(Outcome::Reply(FieldList { fields: host.field_list()? }))
}

/// `data.remove`: removes one field.
pub fn remove(host: &mut dyn Host, _: &Context, request: FieldName) -> Result<Outcome<Nothing>, HandlerError> {
    host.field(&request.field)?.ok_or(RefusalCode::NotFound)?;
    host.field_delete(&request.field)?;
    Ok(Outcome::Reply(Nothing {}))
}

/// The value of a stored field; a value that cannot be read is a failure of the vault, not of the asker.
pub(crate) fn value_of(field: &Field) -> Result<Value, HandlerError> {
    json::parse(&field.value).map_err(|_| HandlerError::Retry("a stored field is not readable".to_owned()))
}

/// The canonical bytes of a value that may be stored.
fn check(request: &SetField) -> Result<Vec<u8>, RefusalCode> {
    let value = json::canonical(&request.value).map_err(|_| RefusalCode::InvalidRequest)?;
    let fits = value.len() <= MAX_VALUE_BYTES && is_within(&request.value, MAX_VALUE_DEPTH);
    let is_value = is_field_name(&request.field) && !request.value.is_null();
    if fits && is_value { Ok(value) } else { Err(RefusalCode::InvalidRequest) }
}

fn is_within(value: &Value, depth: usize) -> bool {
    match value {
        Value::Array(items) => depth > 0 && items.iter().all(|item| is_within(item, depth - 1)),
        Value::Object(map) => depth > 0 && map.values().all(|item| is_within(item, depth - 1)),
        _ => true,
    }
}

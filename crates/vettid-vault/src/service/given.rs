//! Values in answers that were given before: whether they may still be had when the same event comes again. Nothing is given again
//! that its service may not keep any more, or could not have now.

use super::held;
use crate::connection;
use crate::contract;
use crate::failure::Failure;
use crate::field;
use crate::mark::StoredAnswer;
use crate::step::Step;
use serde::Deserialize as _;
use serde_json::Value;
use vettid_core::contract::check_read;
use vettid_wire::data::Keep;
use vettid_wire::event::{BatchAnswered, DataResponse, EventRow};
use vettid_wire::id::ConnectionId;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

/// A value in an answer: of which field, and how long it may be kept.
type Given<'a> = (&'a str, Keep);

/// The values that an answer has.
#[must_use]
pub fn values(answer: &StoredAnswer) -> Vec<Given<'_>> {
    if answer.event_type.as_str() == DataResponse::ROW.name {
        let served = answer.body.pointer("/outcome/served");
        return served.and_then(|served| given(served.get("field"), served)).into_iter().collect();
    }
    if answer.event_type.as_str() != BatchAnswered::ROW.name {
        return vec![];
    }
    let fields = answer.body.pointer("/outcome/answered/fields").and_then(Value::as_array).into_iter().flatten();
    fields.filter_map(|field| given(field.get("field"), field.pointer("/outcome/served")?)).collect()
}

fn given<'a>(field: Option<&'a Value>, served: &Value) -> Option<Given<'a>> {
    Some((field?.as_str()?, Keep::deserialize(served.get("keep")?).ok()?))
}

/// When the first of the values in an answer is over by the clock.
#[must_use]
pub fn ends_at(answer: &StoredAnswer) -> Option<Timestamp> {
    values(answer).into_iter().filter_map(|(_, keep)| keep.until()).min()
}

/// Whether an answer may be given again on this connection: each of its values may still be kept, also under the contract of now,
/// which is not frozen, names its field, and the field is there.
pub fn may_be_had_again(
    step: &Step<'_>,
    id: ConnectionId,
    answer: &StoredAnswer,
) -> Result<Result<(), RefusalCode>, Failure> {
    let values = values(answer);
    if values.is_empty() {
        return Ok(Ok(()));
    }
    if let Err(code) = contract::check_not_frozen(&step.draft, id)? {
        return Ok(Err(code));
    }
    let Some(accepted) = connection::shared_contract(&step.draft, id)? else {
        return Ok(Err(RefusalCode::NotInContract));
    };
    let answered_at = answer.body.pointer("/proof/answered_at").and_then(|at| Timestamp::deserialize(at).ok());
    for (name, keep) in values {
        if let Err(breach) = check_read(&accepted, name) {
            return Ok(Err(breach.code()));
        }
        let now_kept = accepted.contract.field(name).zip(answered_at);
        let now_kept = now_kept.map(|(field, at)| held::keep_from(at, field.retention));
        if [Some(keep), now_kept].into_iter().flatten().any(|keep| keep.is_over(step.now)) {
            return Ok(Err(RefusalCode::Expired));
        }
        if field::get(&step.draft, name)?.is_none() {
            return Ok(Err(RefusalCode::NotAvailable));
        }
    }
    Ok(Ok(()))
}

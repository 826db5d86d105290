//! Commands about what services stored with the owner. Reads the bodies; what is done stands with what is stored.

use super::{Outcomes, run};
use crate::failure::Failure;
use crate::step::Step;
use crate::stored::owner;
use serde_json::Value;
use vettid_wire::event::{self, Row};
use vettid_wire::refusal::RefusalCode;

/// Carries out a command about what services stored.
pub(super) fn act(step: &mut Step<'_>, row: &Row, body: &Value) -> Result<Outcomes, Failure> {
    match row.name {
        "stored.list" => run::<event::StoredList>(body, |asked| owner::list(step, &asked)),
        "stored.get" => run::<event::StoredGet>(body, |asked| owner::get(step, &asked)),
        "stored.delete" => run::<event::StoredDelete>(body, |asked| owner::delete(step, &asked)),
        _ => Ok(Err(RefusalCode::UnsupportedEvent)),
    }
}

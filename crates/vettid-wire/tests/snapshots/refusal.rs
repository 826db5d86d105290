//! Samples of refusals.

use crate::sample::Samples;
use crate::value;
use vettid_wire::refusal::{EventRefused, Refusal, RefusalCode};

const CODES: [RefusalCode; 19] = [
    RefusalCode::UnsupportedEvent,
    RefusalCode::InvalidRequest,
    RefusalCode::NotAllowed,
    RefusalCode::NotConnected,
    RefusalCode::NotInContract,
    RefusalCode::ContractMismatch,
    RefusalCode::ContractFrozen,
    RefusalCode::RateLimited,
    RefusalCode::Denied,
    RefusalCode::Expired,
    RefusalCode::Spent,
    RefusalCode::RetentionTooLong,
    RefusalCode::NotAvailable,
    RefusalCode::NotFound,
    RefusalCode::Conflict,
    RefusalCode::Locked,
    RefusalCode::OnHold,
    RefusalCode::NoRoom,
    RefusalCode::Unavailable,
];

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("refusal");
    samples.cases("RefusalCode", CODES);
    samples.object("Refusal", Refusal { code: RefusalCode::NotFound }).open(&[""]);
    let (event_id, event_type) = (value::event(), value::event_type("messaging.text"));
    let proof = Some(crate::answer::proof());
    let refused =
        EventRefused { event_id, event_type, code: RefusalCode::RateLimited, retry_at: Some(value::at(7)), proof };
    samples.object("EventRefused", refused).optional(&["/proof", "/retry_at"]);
    samples
}

//! Samples of requests for several fields.

use crate::sample::Samples;
use crate::value;
use vettid_wire::contract::Retention;
use vettid_wire::data::Keep;
use vettid_wire::data::batch::{BatchField, BatchOutcome, BatchRequest, BatchResponse, FieldAnswer, FieldOutcome};
use vettid_wire::refusal::RefusalCode;

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("batch");
    let request_id = value::request();
    let asked = BatchField { field: "address".to_owned(), retention: Some(Retention::Session) };
    let request = BatchRequest {
        request_id,
        service_id: value::service(),
        connection_id: value::connection(),
        contract_hash: value::bytes_url(32),
        fields: vec![asked.clone()],
        purpose: "To deliver what you order".to_owned(),
    };
    assert!(request.is_sound());
    samples.object("BatchRequest", request).optional(&["/fields/0/retention"]);
    samples.object("BatchField", asked).optional(&["/retention"]);
    let served = FieldOutcome::Served { value: value::address(), keep: Keep::Session { until: value::at(15) } };
    let refused = FieldOutcome::Refused { code: RefusalCode::Denied };
    let answer = FieldAnswer { field: "address".to_owned(), outcome: refused.clone() };
    let answered = BatchOutcome::Answered { fields: vec![answer.clone()] };
    let proof = Some(crate::answer::proof());
    let response = BatchResponse { request_id, outcome: answered.clone(), proof };
    samples.object("BatchResponse", response).optional(&["/proof"]);
    samples.cases("BatchOutcome", [BatchOutcome::Pending { expires_at: value::at(15) }, answered]);
    samples.object("FieldAnswer", answer);
    samples.case("FieldOutcome", served).open(&["/served/value"]);
    samples.cases("FieldOutcome", [refused]);
    samples
}

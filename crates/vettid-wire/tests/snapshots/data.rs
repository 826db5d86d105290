//! Samples of personal data and the requests to read it.

use crate::sample::Samples;
use crate::value;
use vettid_wire::contract::Retention;
use vettid_wire::data::{
    DataOutcome, DataRequest, DataResponse, FieldList, FieldName, FieldSummary, FieldView, HeldList, HeldValue, Keep,
    ListHeld, SetField, Snapshot, SnapshotState,
};
use vettid_wire::refusal::RefusalCode;

const FIELD: &str = "address";

fn served() -> DataOutcome {
    DataOutcome::Served { field: FIELD.to_owned(), value: value::address(), keep: Some(keep()) }
}

fn keep() -> Keep {
    Keep::TimeLimited { until: value::at(30) }
}

fn request() -> DataRequest {
    DataRequest {
        request_id: value::request(),
        service_id: value::service(),
        connection_id: value::connection(),
        contract_hash: value::bytes_url(32),
        field: FIELD.to_owned(),
        purpose: "To deliver order 1042".to_owned(),
        retention: Some(Retention::TimeLimited { days: 7 }),
    }
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("data");
    let (field, updated_at) = (FIELD.to_owned(), value::at(0));
    samples.object("SetField", SetField { field: field.clone(), value: value::address() }).open(&["/value"]);
    samples.object("FieldName", FieldName { field: field.clone() });
    let view = FieldView { field: field.clone(), value: value::address(), updated_at };
    samples.object("FieldView", view).open(&["/value"]);
    samples.object("FieldList", FieldList { fields: vec![FieldSummary { field: field.clone(), updated_at }] });
    samples.object("FieldSummary", FieldSummary { field, updated_at });
    samples.object("DataRequest", request()).optional(&["/retention"]);
    let proof = Some(crate::answer::proof());
    let response = DataResponse { request_id: value::request(), outcome: served(), proof };
    samples
        .object("DataResponse", response)
        .open(&["/outcome/served/value"])
        .optional(&["/outcome/served/keep", "/proof"]);
    samples.case("DataOutcome", served()).open(&["/served/value"]).optional(&["/served/keep"]);
    let state = || SnapshotState::Value { value: value::address(), keep: keep() };
    let snapshot = Snapshot {
        connection_id: value::connection(),
        contract_hash: value::bytes_url(32),
        field: FIELD.to_owned(),
        number: 3,
        state: state(),
    };
    samples.object("Snapshot", snapshot).open(&["/state/value/value"]);
    samples.case("SnapshotState", state()).open(&["/value/value"]);
    samples.case("SnapshotState", SnapshotState::Gone);
    let held = HeldValue {
        connection_id: value::connection(),
        field: FIELD.to_owned(),
        served_at: value::at(0),
        keep: keep(),
        ended_at: Some(value::at(30)),
    };
    samples.object("HeldList", HeldList { held: vec![held.clone()] }).optional(&["/held/0/ended_at"]);
    samples.object("HeldValue", held).optional(&["/ended_at"]);
    samples.object("ListHeld", ListHeld { connection_id: Some(value::connection()) }).optional(&["/connection_id"]);
    samples.cases("Keep", [Keep::Session { until: value::at(1) }, keep(), Keep::UntilRevoked]);
    samples.case("DataOutcome", DataOutcome::Pending { expires_at: value::at(5) });
    samples.case("DataOutcome", DataOutcome::Refused { code: RefusalCode::NotInContract });
    samples
}

//! Samples of control commands and their results.

use crate::sample::Samples;
use crate::value;
use serde_json::json;
use vettid_wire::control::{Approval, ControlCommand, ControlOutcome, ControlResult, Target};

fn approval() -> Approval {
    Approval { key_id: value::kem_key_id(), signature: value::signature() }
}

fn command() -> ControlCommand {
    ControlCommand {
        command_id: value::event(),
        command: value::event_type("vault.deploy"),
        target: Target::Enclave(value::host()),
        params: json!({ "guid": value::member() }),
        issued_at: value::at(0),
        issued_by: "services".to_owned(),
        expires_at: value::at(5),
        key_id: value::key_id(),
        sequence: 9,
        approvals: vec![approval()],
        signature: value::signature(),
    }
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("control");
    samples.object("ControlCommand", command()).optional(&["/approvals"]).open(&["/params"]);
    for target in [Target::Global, Target::Enclave(value::host()), Target::User(value::member())] {
        samples.case("Target", target);
    }
    samples.object("Approval", approval());
    let result = ControlResult { command_id: value::event(), outcome: ControlOutcome::Done(json!({ "ok": true })) };
    samples.object("ControlResult", result).open(&["/outcome/done"]);
    samples.case("ControlOutcome", ControlOutcome::Done(json!({ "ok": true }))).open(&["/done"]);
    samples.cases("ControlOutcome", [ControlOutcome::Refused, ControlOutcome::NotHoldingUser]);
    samples
}

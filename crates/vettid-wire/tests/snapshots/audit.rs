//! Samples of audit entries and exports.

use crate::sample::Samples;
use crate::value;
use serde_json::json;
use vettid_wire::audit::{Detail, Entry, ExportHead, ExportLine, ExportedEntry, Outcome};

pub(crate) fn entry() -> Entry {
    Entry {
        seq: 7,
        ts: value::at(0),
        actor: format!("connection:{}", value::connection()),
        event_type: "messaging.text".to_owned(),
        reference: Some(value::message().to_string()),
        outcome: Outcome::Success,
        detail_hash: value::digest(),
        prev: value::previous_digest(),
    }
}

pub(crate) fn detail() -> Detail {
    Detail { salt: value::bytes(16), value: json!({ "number": 1 }) }
}

pub(crate) fn head() -> ExportHead {
    ExportHead { version: 1, guid: value::member(), vault_fp: value::fingerprint(), exported_at: value::at(1) }
}

pub(crate) fn exported() -> ExportedEntry {
    ExportedEntry { entry: entry(), detail: Some(detail()) }
}

/// The text of a signed checkpoint note.
pub(crate) fn checkpoint() -> String {
    format!("vettid.dev/audit/{}\n8\n{}\n", value::member(), value::digest())
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("audit");
    samples.cases("Outcome", [Outcome::Success, Outcome::Refused, Outcome::Failure]);
    samples.object("Entry", entry()).optional(&["/ref"]);
    samples.object("Detail", detail()).open(&["/value"]);
    samples.object("ExportHead", head());
    samples.object("ExportedEntry", exported()).optional(&["/detail"]).open(&["/detail/value"]);
    samples.case("ExportLine", ExportLine::Head(head()));
    samples.case("ExportLine", ExportLine::KeyRecord(json!({ "type": "vettid_key_record" }))).open(&["/key_record"]);
    samples
        .case("ExportLine", ExportLine::Entry(exported()))
        .optional(&["/entry/detail"])
        .open(&["/entry/detail/value"]);
    samples.case("ExportLine", ExportLine::Checkpoint(checkpoint()));
    samples
}

//! Samples of statements.

use crate::contract::{acceptance, contract, counter_signature};
use crate::sample::Samples;
use crate::value;
use vettid_wire::audit::{Detail, Entry, ExportedEntry, Outcome};
use vettid_wire::contract::Tier;
use vettid_wire::key_record::{KeyRecord, KeyRole};
use vettid_wire::statement::{
    AskStatement, DecidedBy, KeptContract, ProvedEntry, ServedField, StatementHead, StatementLine, StatementPart,
};

fn kept() -> KeptContract {
    KeptContract {
        contract: contract(),
        acceptance: acceptance(),
        counter_signature: Some(counter_signature()),
        service_record: Some(KeyRecord { device_key: None, role: KeyRole::Service, ..crate::key_record::record() }),
        service_key: Some(value::ed25519()),
    }
}

fn head() -> StatementHead {
    StatementHead {
        version: 1,
        guid: value::member(),
        vault_fp: value::fingerprint(),
        connection_id: value::connection(),
        service_id: value::service(),
        contracts: 1,
        contracts_hash: value::digest(),
        entries: 1,
        entries_hash: value::digest(),
        audit_size: 80,
        audit_root: value::previous_digest(),
        made_at: value::at(9),
        key_id: value::key_id(),
        signature: value::signature(),
    }
}

fn proved() -> ProvedEntry {
    let entry = Entry {
        seq: 41,
        ts: value::at(4),
        actor: "service:demo-shop".to_owned(),
        event_type: "data.response".to_owned(),
        reference: Some(value::request().to_string()),
        outcome: Outcome::Success,
        detail_hash: value::digest(),
        prev: value::previous_digest(),
    };
    let detail = Some(Detail { salt: value::bytes(16), value: serde_json::json!({"served": "see ServedField"}) });
    ProvedEntry { entry: ExportedEntry { entry, detail }, path: vec![value::digest()] }
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("statement");
    samples.cases("DecidedBy", [DecidedBy::Contract, DecidedBy::Owner, DecidedBy::Rule]);
    let served = ServedField {
        connection_id: value::connection(),
        field: "address".to_owned(),
        category: None,
        claim: Some("age_over_18".parse().unwrap()),
        purpose: "To deliver order 1042".to_owned(),
        tier: Tier::OnDemand,
        contract_hash: value::bytes_url(32),
        contract_version: 2,
        decided_by: DecidedBy::Owner,
        request_id: Some(value::request()),
    };
    let read_back = ServedField {
        field: "order-1042".to_owned(),
        category: Some("receipts".to_owned()),
        purpose: "Receipts of what you ordered".to_owned(),
        decided_by: DecidedBy::Contract,
        ..served
    };
    samples.object("ServedField", read_back).optional(&["/category", "/claim", "/request_id"]);
    samples.object("AskStatement", AskStatement { connection_id: value::connection(), part: 0 });
    samples.object("StatementHead", head());
    samples.object("KeptContract", kept()).optional(&[
        "/contract/fields/0/rate",
        "/contract/fields/1/access",
        "/counter_signature",
        "/service_record",
        "/service_key",
    ]);
    samples
        .object("ProvedEntry", proved())
        .optional(&["/entry/entry/ref", "/entry/detail"])
        .open(&["/entry/detail/value"]);
    let part = StatementPart {
        head: head(),
        key_record: crate::key_record::record(),
        contract: Some(kept()),
        entries: vec![41],
    };
    samples.object("StatementPart", part).optional(&[
        "/contract/contract/fields/0/rate",
        "/contract/contract/fields/1/access",
        "/contract/counter_signature",
        "/contract/service_record",
        "/contract/service_key",
        "/contract",
        "/entries",
    ]);
    samples.case("StatementLine", StatementLine::Statement(Box::new(head())));
    let record = serde_json::json!({"key_record_version": "1.0"});
    samples.case("StatementLine", StatementLine::KeyRecord(record)).open(&["/key_record"]);
    samples.case("StatementLine", StatementLine::Contract(Box::new(kept()))).optional(&[
        "/contract/contract/fields/0/rate",
        "/contract/contract/fields/1/access",
        "/contract/counter_signature",
        "/contract/service_record",
        "/contract/service_key",
    ]);
    samples
        .case("StatementLine", StatementLine::Served(Box::new(proved())))
        .optional(&["/served/entry/entry/ref", "/served/entry/detail"])
        .open(&["/served/entry/detail/value"]);
    samples
}

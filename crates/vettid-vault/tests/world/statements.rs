//! The statement of what the shop ever got: everything that left, nothing else, and not a bit of it can be changed.

use crate::authorisations::{approve, proof, want};
use crate::contracts::{answer, offer, version};
use crate::flows::{ask_field, decide, request_id};
use crate::town::{ALICE, Town};
use rand::RngExt;
use serde_json::{Value, json};
use vettid_core::statement::{Countersigned, StatementError, StatementReport, verify, write};
use vettid_crypto::audit::export::write_line;
use vettid_wire::audit::ExportLine;
use vettid_wire::feed::AuditStretch;
use vettid_wire::id::{ConnectionId, Fingerprint};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::statement::{DecidedBy, StatementPart};

fn export(town: &mut Town) -> String {
    let (mut text, mut from) = (Vec::new(), 0u64);
    loop {
        let stretch: AuditStretch = town.ask(ALICE, "audit.export", json!({"from": from, "limit": 100})).unwrap();
        from += u64::try_from(stretch.entries.len()).unwrap();
        for entry in stretch.entries {
            text.extend(write_line(&ExportLine::Entry(entry)).unwrap());
        }
        if stretch.checkpoint.is_some() {
            return String::from_utf8(text).unwrap();
        }
    }
}

pub(crate) fn statement(town: &mut Town, id: ConnectionId) -> String {
    let (mut contracts, mut entries) = (vec![], vec![]);
    for part in 0.. {
        let body = json!({"connection_id": id, "part": part});
        let mut got: StatementPart = town.ask(ALICE, "contract.statement.export", body).unwrap();
        let is_end = got.contract.is_none() && got.entries.is_empty();
        contracts.extend(got.contract.take());
        entries.append(&mut got.entries);
        if is_end {
            return write(got.head, &got.key_record, &contracts, &entries, &export(town)).unwrap();
        }
    }
    unreachable!()
}

/// Five values under two versions, asked for, unasked and in a proof, by the contract and by the owner, and requests that got nothing.
fn served(seed: u64) -> (Town, ConnectionId) {
    let mut town = Town::settled(seed);
    for field in ["address", "email", "licence", "phone", "size", "size_2"] {
        let _: Value = town.ask(ALICE, "data.set", json!({"field": field, "value": "hidden value"})).unwrap();
    }
    let id = town.connect_shop();
    for field in ["email", "city", "passport"] {
        let request = request_id(&mut town);
        ask_field(&mut town, field, request);
    }
    let licence = request_id(&mut town);
    ask_field(&mut town, "licence", licence);
    decide(&mut town, licence, "approve").unwrap();
    let _: Value = town.ask(ALICE, "data.set", json!({"field": "date_of_birth", "value": "2000-05-17"})).unwrap();
    let (proved, _) = want(&mut town, &proof(&["age_over_18", "phone"]));
    approve(&mut town, proved).unwrap();
    offer(&mut town, &version(2));
    let frozen = request_id(&mut town);
    ask_field(&mut town, "address", frozen);
    answer(&mut town, id, &version(2), true, &["phone"]).unwrap();
    town.shop.contract = version(2);
    let last = request_id(&mut town);
    ask_field(&mut town, "size_2", last);
    // A field that is gone is told as well, and is no value.
    let _: Value = town.ask(ALICE, "data.remove", json!({"field": "size"})).unwrap();
    town.run();
    (town, id)
}

fn check(report: &StatementReport) {
    let got: Vec<_> = report
        .served
        .iter()
        .map(|(_, served)| {
            (served.field.as_str(), served.contract_version, served.decided_by, served.request_id.is_some())
        })
        .collect();
    let wanted = [
        ("size", 1, DecidedBy::Contract, false),
        ("email", 1, DecidedBy::Contract, true),
        ("licence", 1, DecidedBy::Owner, true),
        ("date_of_birth", 1, DecidedBy::Owner, true),
        ("phone", 1, DecidedBy::Owner, true),
        ("size_2", 2, DecidedBy::Contract, true),
    ];
    assert_eq!(got, wanted);
    let said: Vec<_> = report.served.iter().filter_map(|(_, served)| served.claim.as_ref()).collect();
    assert_eq!(said.iter().map(ToString::to_string).collect::<Vec<_>>(), ["age_over_18"], "and no date");
    let signed: Vec<_> = report.contracts.iter().map(|checked| checked.countersigned).collect();
    assert_eq!(signed, [Countersigned::ByService, Countersigned::No]);
    assert!(report.contracts[0].kept.service_record.is_some());
}

#[test]
fn everything_that_left_stands_in_it_and_outlives_the_connection() {
    let (mut town, id) = served(1);
    let text = statement(&mut town, id);
    assert!(!text.contains("hidden value") && !text.contains("2000-05-17"));
    let own = town.nodes[ALICE].vault.fingerprint();
    check(&verify(&text, Some(own)).unwrap());
    let other = verify(&text, Some(Fingerprint::from_bytes([1; 32])));
    assert!(matches!(other, Err(StatementError::OtherVault)));
    town.nodes[ALICE].crash();
    let body = json!({"connection_id": id, "reason": "user_requested"});
    let _: Value = town.ask(ALICE, "connection.revoke", body).unwrap();
    town.run();
    check(&verify(&statement(&mut town, id), Some(own)).unwrap());
    let none = json!({"connection_id": town.shop.guid, "part": 0});
    assert_eq!(town.ask::<Value>(ALICE, "contract.statement.export", none), Err(RefusalCode::NotFound));
    town.check(ALICE);
}

#[test]
fn no_line_can_be_changed_left_out_doubled_moved_or_borrowed() {
    let (mut town, id) = served(2);
    let text = statement(&mut town, id);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2 + 2 + 6);
    let joined = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    for at in 0..lines.len() {
        let mut changed = lines.clone();
        changed.remove(at);
        assert!(verify(&joined(&changed), None).is_err(), "without line {at}");
        changed.insert(at, lines[at]);
        changed.insert(at, lines[at]);
        assert!(verify(&joined(&changed), None).is_err(), "line {at} twice");
        if at + 1 < lines.len() {
            let mut changed = lines.clone();
            changed.swap(at, at + 1);
            assert!(verify(&joined(&changed), None).is_err(), "line {at} moved");
        }
    }
    // Every letter and digit, one after the other, becomes another one.
    for at in (0..text.len()).filter(|at| text.as_bytes()[*at].is_ascii_alphanumeric()) {
        let mut bytes = text.clone().into_bytes();
        let before = bytes[at];
        bytes[at] = match before {
            b'9' => b'8',
            b'z' => b'y',
            b'Z' => b'Y',
            other => other + 1,
        };
        if town.rng.random_range(0..32) == 0 {
            let changed = String::from_utf8(bytes).unwrap();
            assert!(
                verify(&changed, None).is_err(),
                "byte {at}: {}",
                &text[at.saturating_sub(40)..(at + 10).min(text.len())]
            );
        }
    }
    assert!(verify(text.trim_end(), None).is_err() && verify("", None).is_err());
    // A line of another vault's statement fits nowhere.
    let (mut other, other_id) = served(3);
    let foreign = statement(&mut other, other_id);
    for (at, line) in foreign.lines().enumerate() {
        let mut changed = lines.clone();
        changed[at] = line;
        assert!(verify(&joined(&changed), None).is_err(), "line {at} of another");
    }
}

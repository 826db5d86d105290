//! What a statement proves: whose counter-signature stands under an acceptance, of the service that the member accepted or of nobody that
//! the file can name; and which lines can be one of it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::json;
use vettid_core::channel::body_hash;
use vettid_core::contract::contract_hash;
use vettid_core::statement::{Countersigned, StatementError, StatementReport, VERSION, list_hash, verify, write};
use vettid_crypto::audit::merkle::Tree;
use vettid_crypto::audit::{detail_hash, entry_hash};
use vettid_crypto::identity::SigningKey;
use vettid_crypto::key_record::{self, Draft};
use vettid_crypto::secret::Secret32;
use vettid_crypto::signature::{Context, sign_object};
use vettid_crypto::suite::{KemSecretKey, Suite};
use vettid_wire::audit::{Detail, Entry, ExportLine, ExportedEntry, Outcome};
use vettid_wire::base64::Base64;
use vettid_wire::contract::{Acceptance, Contract, ContractField, CounterSignature, Tier};
use vettid_wire::digest::Digest;
use vettid_wire::id::{ConnectionId, MemberId};
use vettid_wire::json as vjson;
use vettid_wire::key_record::{KeyRecord, KeyRole};
use vettid_wire::statement::{DecidedBy, KeptContract, ServedField, StatementHead};
use vettid_wire::time::Timestamp;

fn connection() -> ConnectionId {
    ConnectionId::from_bytes([2; 16])
}

fn now() -> Timestamp {
    Timestamp::from_unix_ms(1_800_000_000_000)
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&Secret32::from_bytes([seed; 32]))
}

fn guid() -> MemberId {
    MemberId::from_bytes([1; 16])
}

/// The record in which an identity certifies a signing key.
fn record(role: KeyRole, identity: &SigningKey, signing: &SigningKey) -> KeyRecord {
    let kem = KemSecretKey::generate(Suite::X25519, &mut StdRng::seed_from_u64(1)).unwrap().public_key();
    let end = now().plus_ms(1000);
    let draft = Draft {
        role,
        guid: guid(),
        signing_key: signing.verifying_key(),
        device_key: None,
        kem_keys: vec![key_record::kem_key(&kem, now(), end)],
        suites: vec![Suite::X25519],
        issued_at: now(),
        expires_at: end,
    };
    key_record::build(draft, identity, None).unwrap().record().clone()
}

/// The member's vault, the service's identity and its signing key.
fn parties() -> (SigningKey, SigningKey, SigningKey) {
    (key(1), key(2), key(3))
}

fn contract() -> Contract {
    vjson::read(
        br#"{"service_id":"demo-shop","contract_version":1,"description":"d","fields":[
        {"field":"email","tier":"required","purpose":"p","retention":"session"}],"permissions":[],
        "rate":{"count":9,"per_seconds":60},"terms_url":"t","privacy_url":"p"}"#,
    )
    .unwrap()
}

/// What the member accepted of the service with this identity, not countersigned.
fn accepted(service: &SigningKey, sequence: u64) -> KeptContract {
    let (vault, contract) = (parties().0, contract());
    let acceptance = Acceptance {
        contract_hash: contract_hash(&contract).unwrap(),
        contract_version: contract.contract_version,
        service_id: contract.service_id.clone(),
        service_fp: service.verifying_key().fingerprint(),
        member_fp: vault.verifying_key().fingerprint(),
        connection_id: connection(),
        optional_fields_accepted: vec![],
        accepted_at: now(),
        sequence,
        key_id: vault.key_id(),
        signature: Base64::default(),
    };
    let acceptance = vjson::from_value(sign_object(Context::ContractAccept, &vault, &acceptance).unwrap()).unwrap();
    KeptContract { contract, acceptance, counter_signature: None, service_record: None, service_key: None }
}

/// The same for a contract that was changed since.
fn signed_again(kept: KeptContract) -> KeptContract {
    let contract_hash = contract_hash(&kept.contract).unwrap();
    let acceptance = Acceptance { contract_hash, ..kept.acceptance };
    let acceptance =
        vjson::from_value(sign_object(Context::ContractAccept, &parties().0, &acceptance).unwrap()).unwrap();
    KeptContract { acceptance, ..kept }
}

/// The same, countersigned with a key.
fn countersigned(signing: &SigningKey) -> KeptContract {
    let kept = accepted(&parties().1, 1);
    let counter = CounterSignature {
        acceptance_hash: body_hash(&kept.acceptance).unwrap(),
        connection_id: connection(),
        countersigned_at: now(),
        key_id: signing.key_id(),
        signature: Base64::default(),
    };
    let counter = vjson::from_value(sign_object(Context::ContractCounter, signing, &counter).unwrap()).unwrap();
    KeptContract { counter_signature: Some(counter), ..kept }
}

/// A statement that the vault signed, whatever is in it: nothing was handed out.
fn verified(contracts: &[KeptContract]) -> Result<StatementReport, StatementError> {
    stated(contracts, &[])
}

/// The same over a chain of these entries, each of which is said to be one of what was handed out.
fn stated(contracts: &[KeptContract], chain: &[ExportedEntry]) -> Result<StatementReport, StatementError> {
    let (vault, mut tree, mut export) = (parties().0, Tree::new(), String::new());
    for line in chain {
        tree.push(entry_hash(&line.entry).unwrap().as_bytes());
        export += &String::from_utf8(vjson::canonical(&ExportLine::Entry(line.clone())).unwrap()).unwrap();
        export.push('\n');
    }
    let numbers: Vec<u64> = (0..tree.size()).collect();
    let head = StatementHead {
        version: VERSION,
        guid: guid(),
        vault_fp: vault.verifying_key().fingerprint(),
        connection_id: connection(),
        service_id: "demo-shop".parse().unwrap(),
        contracts: u64::try_from(contracts.len()).unwrap(),
        contracts_hash: list_hash(&contracts).unwrap(),
        entries: tree.size(),
        entries_hash: list_hash(&numbers).unwrap(),
        audit_size: tree.size(),
        audit_root: Digest::from_bytes(tree.root()),
        made_at: now(),
        key_id: vault.key_id(),
        signature: Base64::default(),
    };
    let head = vjson::from_value(sign_object(Context::Statement, &vault, &head).unwrap()).unwrap();
    let text = write(head, &record(KeyRole::Vault, &vault, &vault), contracts, &numbers, &export).unwrap();
    verify(&text, None)
}

/// The only entry of a chain: what left, and with which event.
fn entry(served: &ServedField, event_type: &str) -> ExportedEntry {
    let detail = Detail { salt: Base64::new([0; 16]), value: json!({ "served": served }) };
    let entry = Entry {
        seq: 0,
        ts: now(),
        actor: "service:demo-shop".to_owned(),
        event_type: event_type.to_owned(),
        reference: None,
        outcome: Outcome::Success,
        detail_hash: detail_hash(&detail).unwrap(),
        prev: Digest::from_bytes([0; 32]),
    };
    ExportedEntry { entry, detail: Some(detail) }
}

fn proves(kept: KeptContract) -> Countersigned {
    verified(&[kept]).unwrap().contracts[0].countersigned
}

fn is_refused(kept: KeptContract) -> bool {
    matches!(verified(&[kept]), Err(StatementError::Contract(3)))
}

#[test]
fn a_counter_signature_is_the_services_if_its_identity_certifies_the_key() {
    let (_, service, signing) = parties();
    assert_eq!(proves(accepted(&service, 1)), Countersigned::No);
    let service_record = Some(record(KeyRole::Service, &service, &signing));
    assert_eq!(proves(KeptContract { service_record, ..countersigned(&signing) }), Countersigned::ByService);
    let report = verified(&[accepted(&service, 1), accepted(&service, 2)]).unwrap();
    assert_eq!(report.service_fp(), Some(service.verifying_key().fingerprint()));
}

#[test]
fn a_counter_signature_under_a_foreign_key_is_refused() {
    let (vault, service, signing) = parties();
    let stranger = key(9);
    let under = |record: KeyRecord, signing: &SigningKey| KeptContract {
        service_record: Some(record),
        ..countersigned(signing)
    };
    assert!(is_refused(under(record(KeyRole::Service, &stranger, &stranger), &stranger)), "of another service");
    assert!(is_refused(under(record(KeyRole::Service, &vault, &vault), &vault)), "of the member");
    assert!(is_refused(under(record(KeyRole::Vault, &service, &signing), &signing)), "of no service");
    assert!(is_refused(under(record(KeyRole::Service, &service, &signing), &stranger)), "by another key");
    let mut forged = record(KeyRole::Service, &service, &signing);
    forged.signing_key = stranger.verifying_key().typed();
    assert!(is_refused(under(forged, &stranger)), "that its identity did not certify");
    // One half without the other, and a record beside a key.
    assert!(is_refused(countersigned(&signing)));
    let service_record = Some(record(KeyRole::Service, &service, &signing));
    assert!(is_refused(KeptContract { service_record: service_record.clone(), ..accepted(&service, 1) }));
    let service_key = Some(signing.verifying_key().typed());
    assert!(is_refused(KeptContract { service_record, service_key, ..countersigned(&signing) }));
}

#[test]
fn a_key_without_a_record_is_the_services_only_if_it_is_its_identity() {
    let (_, service, signing) = parties();
    let under =
        |key: &SigningKey| KeptContract { service_key: Some(key.verifying_key().typed()), ..countersigned(key) };
    assert_eq!(proves(under(&service)), Countersigned::ByService);
    assert_eq!(proves(under(&signing)), Countersigned::ByUnknownKey);
    assert_eq!(proves(under(&key(9))), Countersigned::ByUnknownKey);
    let other = KeptContract { service_key: Some(service.verifying_key().typed()), ..countersigned(&key(9)) };
    assert!(is_refused(other));
}

#[test]
fn acceptances_of_two_services_are_no_statement() {
    let contracts = [accepted(&parties().1, 1), accepted(&key(9), 2)];
    assert!(matches!(verified(&contracts), Err(StatementError::Contract(4))));
}

/// A claim leaves in a proof alone, and is one about its own field.
#[test]
fn a_claim_is_a_line_of_the_field_that_it_is_made_from() {
    let mut kept = accepted(&parties().1, 1);
    kept.contract.fields[0].field = "date_of_birth".to_owned();
    kept.contract.fields.push(ContractField { field: "email".to_owned(), ..kept.contract.fields[0].clone() });
    let kept = signed_again(kept);
    let line = |field: &str, claim: Option<&str>, event_type: &str| {
        let served = ServedField {
            connection_id: connection(),
            field: field.to_owned(),
            category: None,
            claim: claim.map(|claim| claim.parse().unwrap()),
            purpose: "to sell you wine".to_owned(),
            tier: Tier::Required,
            contract_hash: kept.acceptance.contract_hash.clone(),
            contract_version: 1,
            decided_by: DecidedBy::Owner,
            request_id: None,
        };
        stated(std::slice::from_ref(&kept), &[entry(&served, event_type)])
    };
    let of_age = Some("age_over_18");
    let report = line("date_of_birth", of_age, "authorisation.response").unwrap();
    assert_eq!(report.served[0].1.claim.as_ref().unwrap().to_string(), "age_over_18");
    assert!(line("date_of_birth", None, "data.response").is_ok());
    for (field, event_type) in [("email", "authorisation.response"), ("date_of_birth", "data.response")] {
        assert!(matches!(line(field, of_age, event_type), Err(StatementError::Entry(4))), "{field} {event_type}");
    }
}

//! Whose counter-signature stands under an acceptance: of the service that the member accepted, or of nobody that the file can name.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use rand::SeedableRng;
use rand::rngs::StdRng;
use vettid_core::channel::body_hash;
use vettid_core::contract::contract_hash;
use vettid_core::statement::{Countersigned, StatementError, StatementReport, VERSION, list_hash, verify, write};
use vettid_crypto::audit::merkle::Tree;
use vettid_crypto::identity::SigningKey;
use vettid_crypto::key_record::{self, Draft};
use vettid_crypto::secret::Secret32;
use vettid_crypto::signature::{Context, sign_object};
use vettid_crypto::suite::{KemSecretKey, Suite};
use vettid_wire::base64::Base64;
use vettid_wire::contract::{Acceptance, Contract, CounterSignature};
use vettid_wire::digest::Digest;
use vettid_wire::id::{ConnectionId, MemberId};
use vettid_wire::json;
use vettid_wire::key_record::{KeyRecord, KeyRole};
use vettid_wire::statement::{KeptContract, StatementHead};
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
    json::read(
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
    let acceptance = json::from_value(sign_object(Context::ContractAccept, &vault, &acceptance).unwrap()).unwrap();
    KeptContract { contract, acceptance, counter_signature: None, service_record: None, service_key: None }
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
    let counter = json::from_value(sign_object(Context::ContractCounter, signing, &counter).unwrap()).unwrap();
    KeptContract { counter_signature: Some(counter), ..kept }
}

/// A statement that the vault signed, whatever is in it: nothing was handed out.
fn verified(contracts: &[KeptContract]) -> Result<StatementReport, StatementError> {
    let vault = parties().0;
    let head = StatementHead {
        version: VERSION,
        guid: guid(),
        vault_fp: vault.verifying_key().fingerprint(),
        connection_id: connection(),
        service_id: "demo-shop".parse().unwrap(),
        contracts: u64::try_from(contracts.len()).unwrap(),
        contracts_hash: list_hash(&contracts).unwrap(),
        entries: 0,
        entries_hash: list_hash(&Vec::<u64>::new()).unwrap(),
        audit_size: 0,
        audit_root: Digest::from_bytes(Tree::new().root()),
        made_at: now(),
        key_id: vault.key_id(),
        signature: Base64::default(),
    };
    let head = json::from_value(sign_object(Context::Statement, &vault, &head).unwrap()).unwrap();
    let text = write(head, &record(KeyRole::Vault, &vault, &vault), contracts, &[], "").unwrap();
    verify(&text, None)
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

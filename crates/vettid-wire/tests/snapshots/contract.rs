//! Samples of contracts, acceptances and counter-signatures.

use crate::sample::Samples;
use crate::storage::storage;
use crate::value;
use vettid_wire::contract::{
    Acceptance, Access, Contract, ContractField, CounterSignature, Permission, Rate, Retention, Tier,
};

fn field(field: &str, tier: Tier, retention: Retention, rate: Option<Rate>) -> ContractField {
    let purpose = "To deliver what you order".to_owned();
    ContractField { field: field.to_owned(), tier, access: Access::OnDemand, purpose, retention, rate }
}

fn rate() -> Rate {
    Rate { count: 5, per_seconds: 60 }
}

pub(crate) fn contract() -> Contract {
    Contract {
        service_id: value::service(),
        contract_version: 2,
        description: "Delivery of orders".to_owned(),
        fields: vec![
            field("address", Tier::OnDemand, Retention::TimeLimited { days: 30 }, Some(rate())),
            ContractField { access: Access::OneTime, ..field("birth_date", Tier::Optional, Retention::Session, None) },
        ],
        permissions: vec![Permission::RequestAuthentication, Permission::SendMessages],
        notifications_per_hour: None,
        storage: None,
        rate: Rate { count: 60, per_seconds: 3600 },
        terms_url: "https://shop.example/terms".to_owned(),
        privacy_url: "https://shop.example/privacy".to_owned(),
    }
}

pub(crate) fn acceptance() -> Acceptance {
    Acceptance {
        contract_hash: value::bytes_url(32),
        contract_version: 2,
        service_id: value::service(),
        service_fp: value::peer_fingerprint(),
        member_fp: value::fingerprint(),
        connection_id: value::connection(),
        optional_fields_accepted: vec!["birth_date".to_owned()],
        accepted_at: value::at(1),
        sequence: 1,
        key_id: value::key_id(),
        signature: value::signature(),
    }
}

pub(crate) fn counter_signature() -> CounterSignature {
    CounterSignature {
        acceptance_hash: value::bytes_url(32),
        connection_id: value::connection(),
        countersigned_at: value::at(2),
        key_id: value::key_id(),
        signature: value::signature(),
    }
}

#[test]
fn the_sample_is_a_sound_contract() {
    assert_eq!(contract().validate(), Ok(()));
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("contract");
    let whole = Contract { notifications_per_hour: Some(3), storage: Some(storage()), ..contract() };
    samples.object("Contract", whole).optional(&["/notifications_per_hour", "/storage"]);
    let once = ContractField { access: Access::OneTime, ..contract().fields.remove(0) };
    samples.object("ContractField", once).optional(&["/access", "/rate"]);
    samples.cases("Tier", [Tier::Required, Tier::Optional, Tier::OnDemand, Tier::Consent]);
    samples.cases("Access", [Access::OnDemand, Access::OneTime, Access::Snapshot]);
    samples.cases("Retention", [Retention::Session, Retention::TimeLimited { days: 30 }, Retention::UntilRevoked]);
    let permissions = [
        Permission::RequestAuthentication,
        Permission::RequestPayment,
        Permission::SendMessages,
        Permission::StoreData,
        Permission::Call,
        Permission::RequestConsent,
        Permission::RequestSignature,
        Permission::RequestProof,
    ];
    samples.cases("Permission", permissions);
    samples.object("Rate", rate());
    samples.object("Acceptance", acceptance());
    samples.object("CounterSignature", counter_signature());
    samples
}

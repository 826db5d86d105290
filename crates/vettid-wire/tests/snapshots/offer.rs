//! Samples of new versions of contracts.

use crate::contract::{acceptance, contract, counter_signature};
use crate::sample::Samples;
use crate::value;
use vettid_wire::connection::ConnectionState;
use vettid_wire::offer::{
    ContractList, ContractOffer, ContractSummary, ContractView, DecideContract, OfferedContract, SignedContract,
};

fn offered() -> OfferedContract {
    OfferedContract { contract: contract(), contract_hash: value::bytes_url(32), received_at: value::at(3) }
}

fn signed() -> SignedContract {
    SignedContract {
        contract: contract(),
        contract_hash: value::bytes_url(32),
        acceptance: acceptance(),
        counter_signature: Some(counter_signature()),
    }
}

fn summary() -> ContractSummary {
    ContractSummary {
        connection_id: value::connection(),
        display_name: "Shop".to_owned(),
        service_id: Some(value::service()),
        state: ConnectionState::Active,
        version: Some(1),
        offered_version: Some(2),
    }
}

const OF_FIELDS: [&str; 2] = ["/contract/fields/0/rate", "/contract/fields/1/access"];

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("offer");
    let offer = ContractOffer {
        connection_id: value::connection(),
        contract: contract(),
        offered_at: value::at(2),
        key_id: value::key_id(),
        signature: value::signature(),
    };
    samples.object("ContractOffer", offer).optional(&OF_FIELDS);
    samples.object("OfferedContract", offered()).optional(&OF_FIELDS);
    samples.object("SignedContract", signed()).optional(&[
        "/contract/fields/0/rate",
        "/contract/fields/1/access",
        "/counter_signature",
    ]);
    let view = ContractView {
        connection_id: value::connection(),
        display_name: "Shop".to_owned(),
        service_id: Some(value::service()),
        state: ConnectionState::Active,
        in_force: Some(signed()),
        offered: Some(offered()),
        missing_fields: vec!["birth_date".to_owned()],
    };
    samples.object("ContractView", view).optional(&[
        "/service_id",
        "/in_force/contract/fields/0/rate",
        "/in_force/contract/fields/1/access",
        "/in_force/counter_signature",
        "/in_force",
        "/offered/contract/fields/0/rate",
        "/offered/contract/fields/1/access",
        "/offered",
        "/missing_fields",
    ]);
    samples.object("ContractList", ContractList { contracts: vec![summary()] }).optional(&[
        "/contracts/0/service_id",
        "/contracts/0/version",
        "/contracts/0/offered_version",
    ]);
    samples.object("ContractSummary", summary()).optional(&["/service_id", "/version", "/offered_version"]);
    let decide = DecideContract {
        connection_id: value::connection(),
        contract_hash: value::bytes_url(32),
        accept: true,
        optional_fields: vec!["birth_date".to_owned()],
    };
    samples.object("DecideContract", decide).optional(&["/optional_fields"]);
    samples
}

//! Samples of the dry run of a contract.

use crate::sample::Samples;
use crate::value;
use vettid_wire::trial::{ContractTrial, FieldTrial, RefusedCount, RuleCounts, TrialBasis, TryContract};

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("trial");
    let asked = TryContract { connection_id: value::connection(), days: 90, optional_fields: vec!["email".to_owned()] };
    samples.object("TryContract", asked).optional(&["/optional_fields"]);
    samples.cases("TrialBasis", [TrialBasis::OwnRequests, TrialBasis::OtherServices]);
    let refused = RefusedCount { check: "rate".to_owned(), requests: 2 };
    samples.object("RefusedCount", refused.clone());
    let by_rules = RuleCounts { denied: 2, asked: 1, answered: 1 };
    samples.object("RuleCounts", by_rules);
    let field = FieldTrial {
        field: "address".to_owned(),
        is_stored: true,
        asked: 9,
        handed_out: 5,
        after_consent: 1,
        empty: 1,
        refused: vec![refused],
        leaves_at_once: false,
        sent: 0,
        by_rules,
        at_most: 540,
    };
    samples.object("FieldTrial", field.clone()).optional(&["/by_rules"]);
    let trial = ContractTrial {
        connection_id: value::connection(),
        contract_version: 2,
        basis: TrialBasis::OwnRequests,
        since: value::at(0),
        tried: 9,
        fields: vec![field],
    };
    samples.object("ContractTrial", trial).optional(&["/fields/0/by_rules"]);
    samples
}

//! The statement of what a service got, as the app that wrote it and whoever verifies it see it.

use crate::output::{Page, Show, count, minute};
use serde::Serialize;
use vettid_core::statement::{CheckedContract, Countersigned, StatementReport};
use vettid_wire::id::{ConnectionId, Fingerprint, MemberId, ServiceId};
use vettid_wire::statement::{DecidedBy, ServedField};
use vettid_wire::time::Timestamp;

/// What a statement that holds says.
#[derive(Serialize)]
pub(crate) struct View {
    guid: MemberId,
    vault_fingerprint: Fingerprint,
    service_id: ServiceId,
    service_fingerprint: Option<Fingerprint>,
    connection_id: ConnectionId,
    made_at: Timestamp,
    contracts: Vec<Accepted>,
    served: Vec<Served>,
    vault_compared: bool,
}

#[derive(Serialize)]
struct Accepted {
    version: u64,
    contract_hash: String,
    accepted_at: Timestamp,
    optional_fields: Vec<String>,
    countersigned: Countersigned,
}

#[derive(Serialize)]
struct Served {
    at: Timestamp,
    #[serde(flatten)]
    what: ServedField,
}

impl From<StatementReport> for View {
    fn from(report: StatementReport) -> Self {
        let service_fingerprint = report.service_fp();
        let contracts = report.contracts.into_iter().map(|CheckedContract { kept, countersigned }| Accepted {
            version: kept.contract.contract_version,
            contract_hash: kept.acceptance.contract_hash.to_string(),
            accepted_at: kept.acceptance.accepted_at,
            optional_fields: kept.acceptance.optional_fields_accepted,
            countersigned,
        });
        Self {
            guid: report.head.guid,
            vault_fingerprint: report.head.vault_fp,
            service_id: report.head.service_id,
            service_fingerprint,
            connection_id: report.head.connection_id,
            made_at: report.head.made_at,
            contracts: contracts.collect(),
            served: report.served.into_iter().map(|(at, what)| Served { at, what }).collect(),
            vault_compared: report.vault_compared,
        }
    }
}

impl Show for View {
    fn show(&self, page: &mut Page) {
        let number =
            |of: &dyn Fn(&&Served) -> bool| u64::try_from(self.served.iter().filter(of).count()).unwrap_or(u64::MAX);
        let values = count(number(&|served| served.what.claim.is_none()), "value");
        let also = match number(&|served| served.what.claim.is_some()) {
            0 => String::new(),
            claims => format!(", and {} proved", count(claims, "claim")),
        };
        page.line(format!("The statement holds: {values} handed out to {}{also}.", self.service_id));
        page.field("member", self.guid.to_string());
        page.field("vault", self.vault_fingerprint.to_string());
        if let Some(service) = &self.service_fingerprint {
            page.field("service", service.to_string());
        }
        page.field("connection", self.connection_id.to_string());
        page.field("made", minute(self.made_at));
        for accepted in &self.contracts {
            let by = match accepted.countersigned {
                Countersigned::ByService => "signed by both",
                Countersigned::ByUnknownKey => {
                    "signed by the member; the counter-signature cannot be tied to the service"
                }
                Countersigned::No => "signed by the member",
            };
            page.field("contract", format!("version {}, {}, {by}", accepted.version, minute(accepted.accepted_at)));
        }
        page.gap();
        let rows: Vec<_> = self.served.iter().map(row).collect();
        page.table(["WHEN", "FIELD", "VERSION", "DECIDED BY", "WHAT FOR"], &rows);
        if !self.vault_compared {
            page.gap();
            page.line("Compare the line \"vault\" with what the app shows, or pass it with --party.");
        }
    }
}

fn row(served: &Served) -> [String; 5] {
    let decided = match served.what.decided_by {
        DecidedBy::Contract => "the contract",
        DecidedBy::Owner => "the member",
        DecidedBy::Rule => "a rule",
    };
    let ServedField { field, category, claim, contract_version, purpose, .. } = &served.what;
    let field = match (category, claim) {
        (Some(category), _) => format!("its own {category}/{field}"),
        (None, Some(claim)) => format!("{field}, as {claim} only"),
        (None, None) => field.clone(),
    };
    [minute(served.at), field, contract_version.to_string(), decided.to_owned(), purpose.clone()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::shown;
    use vettid_wire::base64::Base64Url;
    use vettid_wire::contract::Tier;

    fn served(claim: Option<&str>) -> Served {
        let connection_id = ConnectionId::from_bytes([1; 16]);
        let what = ServedField {
            connection_id,
            field: "date_of_birth".to_owned(),
            category: None,
            claim: claim.map(|claim| claim.parse().unwrap()),
            purpose: "to sell you wine".to_owned(),
            tier: Tier::Consent,
            contract_hash: Base64Url::new([2; 32]),
            contract_version: 1,
            decided_by: DecidedBy::Owner,
            request_id: None,
        };
        Served { at: Timestamp::default(), what }
    }

    fn accepted(version: u64, countersigned: Countersigned) -> Accepted {
        let contract_hash = Base64Url::new([2; 32]).to_string();
        Accepted { version, contract_hash, accepted_at: Timestamp::default(), optional_fields: vec![], countersigned }
    }

    #[test]
    fn values_claims_and_who_signed_are_told_apart() {
        let signed = [Countersigned::ByService, Countersigned::ByUnknownKey, Countersigned::No];
        let view = View {
            guid: MemberId::from_bytes([3; 16]),
            vault_fingerprint: Fingerprint::from_bytes([4; 32]),
            service_id: "demo-shop".parse().unwrap(),
            service_fingerprint: None,
            connection_id: ConnectionId::from_bytes([1; 16]),
            made_at: Timestamp::default(),
            contracts: (1..).zip(signed).map(|(version, by)| accepted(version, by)).collect(),
            served: vec![served(None), served(Some("age_over_18"))],
            vault_compared: true,
        };
        let text = shown(&view);
        for line in [
            "holds: 1 value handed out to demo-shop, and 1 claim proved.",
            "version 1, 1970-01-01 00:00 UTC, signed by both\n",
            "version 2, 1970-01-01 00:00 UTC, signed by the member; the counter-signature cannot be tied to the service\n",
            "version 3, 1970-01-01 00:00 UTC, signed by the member\n",
            "  date_of_birth  ",
            "date_of_birth, as age_over_18 only",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}

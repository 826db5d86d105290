//! Contracts and what changed between two of them, for people and scripts.

use super::super::connection::show_contract;
use crate::contract::ShownChanges;
use crate::failure::{Exit, Failure};
use crate::output::{Page, Show, minute};
use serde::Serialize;
use vettid_core::contract::diff::{Change, changes};
use vettid_wire::connection::ConnectionState;
use vettid_wire::id::ConnectionId;
use vettid_wire::offer::{ContractList, ContractView, SignedContract};

/// What a version that waits would change.
#[derive(Serialize)]
pub(super) struct Diff {
    connection_id: ConnectionId,
    before: u64,
    after: u64,
    changes: Vec<Change>,
}

impl Diff {
    pub(super) fn of(view: ContractView) -> Result<Self, Failure> {
        let (Some(signed), Some(offered)) = (view.in_force, view.offered) else {
            return Err(Failure::new(Exit::Refused, "there are no two versions to compare")
                .next("look: vettid app contract show SERVICE"));
        };
        Ok(Self {
            connection_id: view.connection_id,
            before: signed.contract.contract_version,
            after: offered.contract.contract_version,
            changes: changes(&signed.contract, &offered.contract),
        })
    }
}

impl Show for Diff {
    fn show(&self, page: &mut Page) {
        page.line(format!("Version {} in the place of version {}:", self.after, self.before));
        ShownChanges(&self.changes).show(page);
        page.gap();
        let (id, version) = (self.connection_id, self.after);
        page.next("To accept", &format!("vettid app contract accept {id} --version {version}"));
        page.next(
            "To reject, which ends the connection",
            &format!("vettid app contract reject {id} --version {version}"),
        );
    }
}

impl Show for ContractView {
    fn show(&self, page: &mut Page) {
        page.line(format!("Contract with {}", self.display_name));
        page.field("connection", self.connection_id.to_string());
        if let Some(service) = &self.service_id {
            page.field("service", service.as_str());
        }
        if self.state == ConnectionState::Revoked {
            page.line("The connection is over: the service gets nothing.");
        }
        if let Some(signed) = &self.in_force {
            show_signed(
                signed,
                self.offered.is_some(),
                if self.offered.is_some() { &[] } else { &self.missing_fields },
                page,
            );
        }
        let Some(offered) = &self.offered else { return };
        page.gap();
        page.line(format!("Offered since {}: nothing is handed out until you decide.", minute(offered.received_at)));
        show_contract(&offered.contract, &self.missing_fields, page);
        if let Some(signed) = &self.in_force {
            page.gap();
            page.line("What it changes:");
            ShownChanges(&changes(&signed.contract, &offered.contract)).show(page);
            page.gap();
            let (id, version) = (self.connection_id, offered.contract.contract_version);
            page.next("To accept", &format!("vettid app contract accept {id} --version {version}"));
            let reject = format!("vettid app contract reject {id} --version {version}");
            page.next("To reject, which ends the connection", &reject);
        }
    }
}

fn show_signed(signed: &SignedContract, is_frozen: bool, missing: &[String], page: &mut Page) {
    show_contract(&signed.contract, missing, page);
    let acceptance = &signed.acceptance;
    page.field("accepted", format!("{}, for the {}. time", minute(acceptance.accepted_at), acceptance.sequence));
    let chosen = &acceptance.optional_fields_accepted;
    page.field("optional fields", if chosen.is_empty() { "none".to_owned() } else { chosen.join(", ") });
    let counter = if signed.counter_signature.is_some() {
        "by you and the service"
    } else {
        "by you; the service's signature is still to come"
    };
    page.field("signed", counter);
    page.field("hash", signed.contract_hash.to_string());
    if is_frozen {
        page.field("frozen", "a newer version waits for you");
    }
}

impl Show for ContractList {
    fn show(&self, page: &mut Page) {
        if self.contracts.is_empty() {
            page.line("No contracts: you are not connected with a service.");
            return;
        }
        let number = |version: Option<u64>| version.map_or_else(String::new, |version| version.to_string());
        let rows: Vec<_> = self
            .contracts
            .iter()
            .map(|summary| {
                let id = summary.service_id.as_ref().map(ToString::to_string).unwrap_or_default();
                let waits = match (summary.state, summary.offered_version) {
                    (ConnectionState::Active, Some(_)) => "frozen: decide",
                    (ConnectionState::Active, None) => "in force",
                    (ConnectionState::Review, _) => "waits for you",
                    (ConnectionState::Revoked, _) => "ended",
                    _ => "not in force",
                };
                let name = summary.display_name.clone();
                [
                    name,
                    id,
                    number(summary.version),
                    number(summary.offered_version),
                    waits.to_owned(),
                    summary.connection_id.to_string(),
                ]
            })
            .collect();
        page.table(["NAME", "SERVICE", "VERSION", "OFFERED", "STATE", "CONNECTION"], &rows);
    }
}

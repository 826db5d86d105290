//! `vettid app contract dry-run`: what a contract would have handed out, before it is accepted. The vault computes it; nothing is handed out
//! by it, and nothing counts against anybody's rate.

use super::super::Client;
use super::super::advice::command;
use super::{Optional, Service, get};
use crate::failure::Failure;
use crate::output::{Output, Page, Show, count, minute};
use clap::Args;
use vettid_wire::event::ContractTest;
use vettid_wire::trial::{ContractTrial, FieldTrial, MAX_TRIAL_DAYS, RuleCounts, TrialBasis, TryContract};

#[derive(Debug, Args)]
pub(in crate::app) struct DryRun {
    #[command(flatten)]
    service: Service,
    /// How far back
    #[arg(long, value_name = "DAYS", default_value_t = MAX_TRIAL_DAYS, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_TRIAL_DAYS)))]
    days: u32,
    #[command(flatten)]
    optional: Optional,
}

pub(super) async fn run(wanted: DryRun, app: &Client, output: Output) -> Result<(), Failure> {
    let view = get(&wanted.service, app).await?;
    let before = view.in_force.as_ref().map(|signed| signed.acceptance.optional_fields_accepted.clone());
    let newest = view.offered.as_ref().map(|offered| &offered.contract);
    let newest = newest.or(view.in_force.as_ref().map(|signed| &signed.contract));
    let agreed = newest.map(|contract| wanted.optional.fields(contract, &before.unwrap_or_default()));
    let (connection_id, optional_fields) = (view.connection_id, agreed.unwrap_or_default());
    let asked = TryContract { connection_id, days: wanted.days, optional_fields };
    Ok(output.result(&app.command::<ContractTest>(asked).await.map_err(command)?)?)
}

impl Show for ContractTrial {
    fn show(&self, page: &mut Page) {
        let whose = match self.basis {
            TrialBasis::OwnRequests => "this service made",
            TrialBasis::OtherServices => "your other services made, each as if this one had asked",
        };
        page.line(format!("Version {}, tried on what happened since {}.", self.contract_version, minute(self.since)));
        page.line(format!("{} that {whose}.", count(self.tried, "request")));
        page.gap();
        let rows: Vec<_> = self.fields.iter().map(row).collect();
        page.table(["FIELD", "ASKED", "HANDED OUT", "AFTER YOUR YES", "REFUSED", "AT MOST", ""], &rows);
        page.gap();
        page.line("AT MOST is how often the contract lets the service read in that time, however often it asks.");
        show_rules(&self.fields, page);
        page.line("Nothing was handed out by this.");
    }
}

/// What the owner's rules would have changed of it, apart from what the contract says.
fn show_rules(fields: &[FieldTrial], page: &mut Page) {
    let changed: Vec<_> = fields.iter().filter(|trial| trial.by_rules != RuleCounts::default()).collect();
    if changed.is_empty() {
        return page.line("Your rules of today would have changed nothing of this.");
    }
    page.gap();
    page.line("Your rules of today would have changed, of what the contract lets through:");
    let rows: Vec<_> = changed.into_iter().map(rule_row).collect();
    page.table(["FIELD", "DENIED", "ASKED OF YOU", "ANSWERED FOR YOU"], &rows);
    page.gap();
}

fn rule_row(trial: &FieldTrial) -> [String; 4] {
    let RuleCounts { denied, asked, answered } = trial.by_rules;
    [trial.field.clone(), denied.to_string(), asked.to_string(), answered.to_string()]
}

fn row(trial: &FieldTrial) -> [String; 7] {
    let refused: u64 = trial.refused.iter().map(|count| count.requests).sum();
    let remark = match (trial.leaves_at_once, trial.sent, trial.is_stored) {
        (true, 0, _) => "sent at once when you accept".to_owned(),
        (true, sent, _) => format!("sent at once when you accept; sent {sent} times after changes"),
        (false, _, false) => "not stored".to_owned(),
        (false, ..) => String::new(),
    };
    let numbers = [trial.asked, trial.handed_out, trial.after_consent, refused, trial.at_most];
    let [asked, handed_out, after_consent, refused, at_most] = numbers.map(|number| number.to_string());
    [trial.field.clone(), asked, handed_out, after_consent, refused, at_most, remark]
}

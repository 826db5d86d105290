//! `vettid app transaction`: fixed terms between members, to which the other side says yes or no.

use super::Client;
use super::agreement::{self, Approve, New, One};
use super::credential::failure as credential_failure;
use super::password::PasswordInput;
use crate::failure::Failure;
use crate::output::{Output, Page, Show};
use clap::{Args, Subcommand};
use vettid_wire::agreement::{AgreementKind, FreePayments};
use vettid_wire::rule::{Currency, Money};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Propose fixed terms to a connected member
    #[command(after_help = "\
Examples:
  vettid app transaction new CONNECTION money --amount 20 --currency EUR --payer them \\
    --payee Alice --note lunch
  vettid app transaction new CONNECTION --answer-within 1h document lease.pdf

What you pay needs a verified connection and your password. CONNECTION is from `vettid app connection list`.")]
    New(New),
    /// List transactions, newest first
    #[command(after_help = "Example:\n  vettid app transaction list")]
    List,
    /// Show one transaction: exactly what is signed
    #[command(after_help = "Example:\n  vettid app transaction show ID")]
    Show(One),
    /// Approve the terms that you saw
    #[command(after_help = "\
Examples:
  vettid app transaction approve ID
  vettid app transaction approve ID --terms HASH --password-stdin < password.txt")]
    Approve(Approve),
    /// Say no
    #[command(after_help = "Example:\n  vettid app transaction deny ID")]
    Deny(One),
    /// Take your terms back, while nobody approved them
    #[command(after_help = "Example:\n  vettid app transaction withdraw ID")]
    Withdraw(One),
    /// Say up to how much a payment of yours needs no password
    #[command(after_help = "\
Examples:
  vettid app transaction limit --currency EUR --at-most 20
  vettid app transaction limit --currency EUR --none

At first every payment needs it. Below the limit your rules may approve, too.")]
    Limit(Limit),
}

#[derive(Debug, Args)]
pub(super) struct Limit {
    /// In which currency
    #[arg(long)]
    pub(super) currency: Currency,
    /// At most this much each
    #[arg(long, value_name = "AMOUNT", required_unless_present = "none")]
    pub(super) at_most: Option<Money>,
    /// Every payment needs the password
    #[arg(long, conflicts_with = "at_most")]
    none: bool,
    #[command(flatten)]
    pub(super) password: PasswordInput,
}

pub(super) async fn run(wanted: Command, app: &Client, output: Output) -> Result<(), Failure> {
    match wanted {
        Command::New(new) => agreement::new(app, output, AgreementKind::Transaction, new).await,
        Command::List => Ok(output.result(&agreement::list(app, Some(AgreementKind::Transaction)).await?)?),
        Command::Show(One { id }) => agreement::show(app, output, id).await,
        Command::Approve(approve) => agreement::approve(app, output, approve).await,
        Command::Deny(One { id }) => agreement::deny(app, output, id).await,
        Command::Withdraw(One { id }) => agreement::withdraw(app, output, id).await,
        Command::Limit(Limit { currency, at_most, password, .. }) => {
            let limit = FreePayments { currency, at_most };
            let set = app.free_payments(limit, &mut password.present()?).await.map_err(credential_failure)?;
            Ok(output.result(&set)?)
        }
    }
}

impl Show for FreePayments {
    fn show(&self, page: &mut Page) {
        page.line(match &self.at_most {
            Some(most) => format!("Payments up to {most} {} need no password from now on.", self.currency),
            None => format!("Every payment in {} needs your password.", self.currency),
        });
    }
}

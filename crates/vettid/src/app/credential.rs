//! `vettid app credential`: makes the Vault Credential and the Services Credential under one password, and shows how they
//! stand. Also turns what went wrong with one into a sentence, an exit code and what to do next.

use super::password::{NO_TERMINAL, PasswordInput, Source};
use super::{Client, advice, recovery};
use crate::failure::{Exit, Failure};
use crate::output::{Output, Page, Show, count, length, minute};
use clap::{Args, Subcommand};
use serde::Serialize;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use vettid_client::member_api::ActionError;
use vettid_client::services_credential::{BothCreated, BothStates};
use vettid_client::vault_credential::{CredentialError, CredentialState};
use vettid_wire::refusal::RefusalCode;

pub(super) const BY_STDIN: &str = "write the password into the first line of standard input and add --password-stdin";
const CREATE: &str = "vettid app credential create";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make your Vault Credential and your Services Credential, once, with a password that only you know
    #[command(after_help = "\
Examples:
  vettid app credential create
  vettid app credential create --grant-minutes 0
  vettid app credential create --password-stdin < password.txt

The password has at least 12 characters. It is never stored, and nobody can tell it to you: write it down where only
you find it.")]
    Create(Create),
    /// Show how it stands: wrong passwords, waits, grants
    #[command(after_help = "Examples:\n  vettid app credential status\n  vettid app --json credential status")]
    Status,
    /// On a device that recovered: give your Services Credential a secret of this device, under the same password
    #[command(after_help = "\
Examples:
  vettid app credential renew
  vettid app credential renew --password-stdin < password.txt

Until then whoever has the old device has its half of that password. It waits as long as the recovery is fresh; a change of
the password does the same.")]
    Renew(PasswordInput),
    /// Give up an operation whose outcome cannot be found out; it may have been carried out, once
    #[command(after_help = "Example:\n  vettid app credential give-up")]
    GiveUp,
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// Longest time for which a grant may open a secret, in minutes: 5 to 60, or 0 for never [default: 15]
    #[arg(long, value_name = "MINUTES", value_parser = grant_minutes)]
    grant_minutes: Option<u32>,
    #[command(flatten)]
    password: PasswordInput,
}

/// 5 to 60, or 0.
pub(super) fn grant_minutes(text: &str) -> Result<u32, &'static str> {
    let minutes = text.parse().ok().filter(|minutes| *minutes == 0 || (5..=60).contains(minutes));
    minutes.ok_or("5 to 60, or 0")
}

pub(super) async fn run(wanted: Command, app: &Client, output: Output) -> Result<(), Failure> {
    match wanted {
        Command::Create(Create { grant_minutes, password }) => {
            // An app that holds one of the two has a password already.
            let is_first = !app.holds_vault_credential().await.map_err(failure)?;
            let mut source = if is_first { password.first()? } else { password.present()? };
            source.judge_by(app.context_words().await.map_err(advice::command)?);
            create(app, output, grant_minutes, &mut source).await
        }
        Command::Status => {
            let BothStates { vault, services, renewal_is_due } = app.credential_states().await.map_err(failure)?;
            let (services, unknown) =
                services.map_or_else(|error| (None, Some(error.to_string())), |told| (Some(told), None));
            Ok(output.result(&Status { vault, services, services_unknown: unknown, renewal_is_due })?)
        }
        Command::Renew(password) => {
            let renewed = app.renew_services_credential(&mut password.present()?).await.map_err(failure)?;
            Ok(output.result(&Renewed { renewed })?)
        }
        Command::GiveUp => {
            let given_up = app.give_up_operation().await.map_err(failure)?;
            Ok(output.result(&GivenUp { given_up })?)
        }
    }
}

async fn create(app: &Client, output: Output, grant_minutes: Option<u32>, source: &mut Source) -> Result<(), Failure> {
    let created = app.create_credentials(grant_minutes, source).await.map_err(failure)?;
    Ok(output.result(&Made(created))?)
}

/// After an enrolment: makes the credential right away, if somebody sits there who wants it.
pub(super) async fn offer(app: &Client, output: Output) -> Result<(), Failure> {
    if !output.is_text() {
        return Ok(());
    }
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Ok(output.remark(&format!("Your critical secrets have no lock yet. To make one: {CREATE}"))?);
    }
    write!(io::stderr(), "\nMake your Vault Credential now, the lock of your critical secrets? [Y/n] ")?;
    let mut answer = String::new();
    io::stdin().lock().take(64).read_line(&mut answer)?;
    if answer.is_empty() || answer.trim().to_lowercase().starts_with('n') {
        return Ok(output.remark(&format!("Not made. To make it later: {CREATE}"))?);
    }
    let context = app.context_words().await.map_err(advice::command)?;
    create(app, output, None, &mut Source::New("New password", context)).await
}

/// What went wrong with the credential.
pub(super) fn failure(error: CredentialError) -> Failure {
    let text = error.to_string();
    let failure = |exit| Failure::new(exit, &text);
    let after = |ms: Option<u64>| {
        ms.map(|ms| format!("wait {}, then try again", length(i64::try_from(ms).unwrap_or(i64::MAX))))
    };
    match error {
        CredentialError::Command(error) => advice::command(error),
        CredentialError::Services(ActionError::Services(error)) => recovery::services(&error, &text),
        CredentialError::Services(_) => failure(Exit::Other).next("update this program"),
        CredentialError::NotAlone => failure(Exit::Other).next("vettid app password change"),
        CredentialError::NotIntact => {
            failure(Exit::Refused).next("ask the operator of your services what happened to it")
        }
        CredentialError::Exists => failure(Exit::Usage).next("for another password: vettid app password change"),
        CredentialError::NoCredential => failure(Exit::State).next(CREATE),
        CredentialError::HeldElsewhere => failure(Exit::State).next("use the app that made it"),
        CredentialError::EarlierDone { .. } => {
            failure(Exit::Other).next("if you want it once more, run the same command again")
        }
        CredentialError::WrongPassword { retry_after_ms } => {
            failure(Exit::Refused).next(after(retry_after_ms).unwrap_or_else(|| "try again".to_owned()))
        }
        CredentialError::Wait { retry_after_ms } => {
            failure(Exit::Refused).next(after(retry_after_ms).unwrap_or_else(|| "try again later".to_owned()))
        }
        CredentialError::OnHold { .. } => failure(Exit::Refused)
            .next("wait, or approve on the old device: vettid app recovery approve")
            .refusal(RefusalCode::OnHold),
        CredentialError::TooOld => failure(Exit::Refused)
            .next("nothing brings this credential back; keep on with the old device, or let the vault be made anew"),
        CredentialError::Locked => failure(Exit::Refused).next("see how it stands: vettid app credential status"),
        CredentialError::Stale => failure(Exit::Refused)
            .next("use the app with the newest copy; if you did not use one elsewhere, somebody else has it"),
        CredentialError::InDoubt => failure(Exit::Other).next("vettid app credential give-up"),
        CredentialError::NotTheIssuer(_) | CredentialError::Untrusted(_) => {
            failure(Exit::Refused).next("do not type your password; ask the operator what happened to it")
        }
        CredentialError::Refused { code, .. } => failure(Exit::Refused).next(refused(code)).refusal(code),
        CredentialError::Password(_) if text == NO_TERMINAL => failure(Exit::Usage).next(BY_STDIN),
        CredentialError::Password(_) => failure(Exit::Usage),
        CredentialError::Value(_) => failure(Exit::Usage),
        CredentialError::OutOfMemory(_) => failure(Exit::Other).next("free 64 MiB of memory, then try again"),
        CredentialError::Overtaken | CredentialError::Interrupted => {
            failure(Exit::Other).next("run the same command again")
        }
        CredentialError::CannotBegin(_) | CredentialError::Unreadable { .. } | CredentialError::Form(_) => {
            failure(Exit::Other).next("update this program")
        }
    }
}

fn refused(code: RefusalCode) -> &'static str {
    match code {
        RefusalCode::NotFound => "there is no such secret; see: vettid app secret list",
        RefusalCode::NotAllowed => {
            "there is no room for it, or its limits do not allow it; see: vettid app secret list"
        }
        RefusalCode::InvalidRequest => "check that the value and the kind of the secret fit each other",
        _ => "see: vettid app credential status",
    }
}

#[derive(Serialize)]
struct Made(BothCreated);

impl Show for Made {
    fn show(&self, page: &mut Page) {
        page.line("Your Vault Credential is made. From now on a password stands before your critical secrets.");
        page.line(match self.0.services {
            Some(_) => "Your Services Credential is made, too, under the same password: it guards your recovery.",
            None => "Services have a credential of yours that this app does not hold.",
        });
        page.line("Write the password down where only you find it: nobody can tell it to you.");
        page.next("Next", "vettid app secret add LABEL --kind seed-phrase");
    }
}

#[derive(Serialize)]
struct GivenUp {
    given_up: bool,
}

impl Show for GivenUp {
    fn show(&self, page: &mut Page) {
        page.line(if self.given_up {
            "Gave the open operation up. It may have been carried out, once."
        } else {
            "No operation is open."
        });
    }
}

#[derive(Serialize)]
struct Renewed {
    renewed: bool,
}

impl Show for Renewed {
    fn show(&self, page: &mut Page) {
        page.line(if self.renewed {
            "Your Services Credential has a secret of this device now."
        } else {
            "Your Services Credential has a secret of this device already; no password was needed."
        });
    }
}

#[derive(Serialize)]
struct Status {
    #[serde(flatten)]
    vault: CredentialState,
    services: Option<CredentialState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    services_unknown: Option<String>,
    renewal_is_due: bool,
}

impl Show for Status {
    fn show(&self, page: &mut Page) {
        let CredentialState { issuer, held_here, grants_here, .. } = &self.vault;
        if !issuer.exists {
            page.line("There is no Vault Credential yet.");
            page.next("To make it", CREATE);
            return;
        }
        page.line(match (held_here, issuer.locked) {
            (false, _) => "Your vault has a credential that this app does not hold.",
            (true, true) => "Your Vault Credential is locked after too many wrong passwords.",
            (true, false) => "Your Vault Credential is ready.",
        });
        show_state(page, &self.vault);
        if let Some(hold) = &issuer.recovery {
            page.field("on hold until", minute(hold.hold_until));
        }
        page.field("open grants", format!("{}, of them {grants_here} for this app", issuer.grants));
        page.gap();
        match (&self.services, &self.services_unknown) {
            (Some(services), _) if services.issuer.exists => {
                page.line(match (services.held_here, services.issuer.locked) {
                    (false, _) => "Services have a credential of yours that this app does not hold.",
                    (true, true) => "Your Services Credential is locked after too many wrong passwords.",
                    (true, false) => "Your Services Credential is ready.",
                });
                show_state(page, services);
                if self.renewal_is_due {
                    page.line("It still has the secret of your old device. Once nothing is on hold:");
                    page.line("  vettid app credential renew");
                }
            }
            (Some(_), _) => {
                page.line("There is no Services Credential yet.");
                page.next("To make it", CREATE);
            }
            (None, unknown) => {
                let why = unknown.as_deref().unwrap_or("services did not say");
                page.line(format!("How your Services Credential stands is not known: {why}"));
            }
        }
    }
}

fn show_state(page: &mut Page, state: &CredentialState) {
    let issuer = &state.issuer;
    page.field("version", format!("{} of epoch {}", issuer.cek_version, issuer.credential_epoch));
    page.field("wrong in a row", issuer.attempts.to_string());
    page.field("attempts ever", issuer.attempts_total.to_string());
    if let Some(wait_ms) = issuer.retry_after_ms.filter(|wait_ms| *wait_ms > 0) {
        page.field("next try in", length(i64::try_from(wait_ms).unwrap_or(i64::MAX)));
    }
    page.field("keys here", count(state.keys_here as u64, "transaction key"));
}

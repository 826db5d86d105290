//! `vettid app session`: the way back into a session when the vault remembers none of this app's earlier ones.

use super::Client;
use super::credential::failure;
use super::password::PasswordInput;
use crate::failure::Failure;
use crate::output::{Output, Page, Show};
use clap::Subcommand;
use serde::Serialize;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Prove the password of your Vault Credential, so that the vault takes this app's commands again
    #[command(after_help = "\
Examples:
  vettid app session restore
  vettid app session restore --password-stdin < password.txt

Needed only after the vault lost what it knew of this app's sessions, for example with a restore. Any other command that
asks for the password does the same.")]
    Restore(PasswordInput),
}

pub(super) async fn run(wanted: Command, app: &Client, output: Output) -> Result<(), Failure> {
    let Command::Restore(input) = wanted;
    let restored = app.restore_session(&mut input.present()?).await.map_err(failure)?;
    Ok(output.result(&Restored { restored })?)
}

#[derive(Serialize)]
struct Restored {
    restored: bool,
}

impl Show for Restored {
    fn show(&self, page: &mut Page) {
        page.line(if self.restored {
            "Your vault takes this app's commands again."
        } else {
            "Your vault takes this app's commands already; no password was needed."
        });
    }
}

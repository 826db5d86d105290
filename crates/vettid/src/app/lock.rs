//! `vettid app lock` and `vettid app unlock`: the lock of the vault at rest. PIN and password are typed without echo, or come
//! line by line from standard input; never from the command line.

use super::input::{self, Hidden};
use super::password::chosen;
use super::{Client, advice};
use crate::failure::Failure;
use crate::output::{Output, Page, Show, length};
use clap::{Args, Subcommand};
use serde::Serialize;
use vettid_client::lock::{LockError, Typed};
use vettid_core::credential::pin::Pin;
use vettid_crypto::password::Password;
use vettid_wire::lock::{AutoLock, LockSettings, LockState, LockStatus, MAX_IDLE_MINUTES, SealerKind};

const EXAMPLES: &str = "\
Examples:
  vettid app lock setup
  vettid app lock
  vettid app lock after 15m
  vettid app lock remove
  vettid app lock status";

pub(super) const UNLOCK_EXAMPLES: &str = "\
Examples:
  vettid app unlock
  vettid app unlock --password";

/// Options of `vettid app lock`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct LockArguments {
    #[command(subcommand)]
    command: Option<LockCommand>,
}

impl LockArguments {
    /// Whether the recovery container may have to follow: it holds what opens the lock.
    pub(super) fn changes_container(&self) -> bool {
        matches!(self.command, Some(LockCommand::Setup { .. } | LockCommand::Remove { .. }))
    }
}

#[derive(Debug, Subcommand)]
enum LockCommand {
    /// Set or change PIN and password; without a terminal: the PIN, then the password, one line each
    #[command(after_help = "\
Examples:
  vettid app lock setup
  vettid app lock setup --with-password")]
    Setup {
        /// Whether the present lock is opened with its password; without a terminal, its line comes first
        #[arg(long)]
        with_password: bool,
    },
    /// Lock the vault by itself after a time without a command, such as 15m; `never` turns that off
    #[command(after_help = "Examples:\n  vettid app lock after 15m\n  vettid app lock after never")]
    After {
        /// How long, at least a minute
        #[arg(value_name = "TIME", value_parser = idle)]
        time: Idle,
    },
    /// Remove the lock with the PIN or password: then the vault runs whenever its host does
    #[command(after_help = "Examples:\n  vettid app lock remove\n  vettid app lock remove --password")]
    Remove {
        /// Type the password instead of the PIN
        #[arg(long)]
        password: bool,
    },
    /// Whether the vault is locked, how many tries are left, when it locks itself, and what its host seals with
    #[command(after_help = "Examples:\n  vettid app lock status\n  vettid app --json lock status")]
    Status,
}

/// Options of `vettid app unlock`.
#[derive(Debug, Args)]
#[command(after_help = UNLOCK_EXAMPLES)]
pub(super) struct UnlockArguments {
    /// Unlock with the password instead of the PIN
    #[arg(long)]
    password: bool,
}

#[derive(Debug, Clone, Copy)]
struct Idle(Option<u32>);

fn idle(text: &str) -> Result<Idle, String> {
    if text == "never" {
        return Ok(Idle(None));
    }
    let minutes = input::seconds(text)? / 60;
    if (1..=MAX_IDLE_MINUTES).contains(&minutes) {
        Ok(Idle(Some(minutes)))
    } else {
        Err("1m to 168h, or never".to_owned())
    }
}

/// `vettid app lock`.
pub(super) async fn run(arguments: LockArguments, app: &Client, output: Output) -> Result<(), Failure> {
    match arguments.command {
        None => {
            app.lock().await.map_err(advice::lock_now)?;
            Ok(output.result(&Done("Your vault is locked. What others send waits for you."))?)
        }
        Some(LockCommand::Setup { with_password }) => setup(with_password, app, output).await,
        Some(LockCommand::After { time: Idle(minutes) }) => {
            let auto = app.lock_after(minutes).await.map_err(advice::command)?;
            Ok(output.result(&AutoView(auto))?)
        }
        Some(LockCommand::Remove { password }) => {
            let current = current(&mut Hidden::new(), password)?;
            app.remove_lock(&current).await.map_err(advice::lock)?;
            Ok(output.result(&Done("The lock is removed. Whoever has your vault's host can start your vault."))?)
        }
        Some(LockCommand::Status) => {
            // An app that knows no lock has no lane to ask; the vault tells.
            let status = match app.lock_status().await {
                Err(LockError::NoLock) => None,
                status => Some(status.map_err(advice::lock)?),
            };
            let is_locked = status.as_ref().is_some_and(|status| status.state == LockState::Locked);
            let settings = if is_locked { None } else { app.lock_settings().await.map_err(advice::command)? };
            Ok(output.result(&Standing { status, settings })?)
        }
    }
}

/// `vettid app unlock`.
pub(super) async fn unlock(arguments: UnlockArguments, app: &Client, output: Output) -> Result<(), Failure> {
    let typed = current(&mut Hidden::new(), arguments.password)?;
    let status = app.unlock(&typed).await.map_err(advice::lock)?;
    Ok(output.result(&StatusView(status))?)
}

async fn setup(with_password: bool, app: &Client, output: Output) -> Result<(), Failure> {
    let mut hidden = Hidden::new();
    let is_set = match app.lock_status().await {
        Ok(status) => status.generation > 0,
        Err(LockError::NoLock) => false,
        Err(error) => return Err(advice::lock(error)),
    };
    let current = if is_set { Some(current(&mut hidden, with_password)?) } else { None };
    let pin = hidden.chosen("New PIN, at least six digits")?;
    let pin = Pin::new(&pin).map_err(Failure::usage)?;
    let password = hidden.chosen("New password of the vault")?;
    let context = app.context_words().await.map_err(advice::command)?;
    let password = chosen(&password, &context).map_err(Failure::usage)?;
    app.set_lock(&pin, &password, current.as_ref()).await.map_err(advice::lock)?;
    Ok(output.result(&Done(
        "The lock is set. From its next start on, your vault waits for your PIN or password. \
         If you lose this device, this password and your recovery phrase open it, if your recovery is on \
         (vettid app recovery status); without a recovery nothing does.",
    ))?)
}

/// The present PIN or password.
fn current(hidden: &mut Hidden, is_password: bool) -> Result<Typed, Failure> {
    if is_password {
        let typed = hidden.line("Password of the vault")?;
        return Password::new(&typed).map(Typed::Password).map_err(Failure::usage);
    }
    let typed = hidden.line("PIN of the vault")?;
    Pin::new(&typed).map(Typed::Pin).map_err(Failure::usage)
}

#[derive(Serialize)]
struct Done(&'static str);

impl Show for Done {
    fn show(&self, page: &mut Page) {
        page.line(self.0);
    }
}

struct AutoView(AutoLock);

impl Serialize for AutoView {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl Show for AutoView {
    fn show(&self, page: &mut Page) {
        match self.0.idle_minutes {
            Some(minutes) => page.line(format!("Your vault locks itself after {minutes} minutes without a command.")),
            None => page.line("Your vault does not lock itself."),
        }
    }
}

/// How the lock stands, from the host's lane and from the vault.
#[derive(Serialize)]
struct Standing {
    #[serde(flatten)]
    status: Option<LockStatus>,
    /// Absent while the vault is locked.
    settings: Option<LockSettings>,
}

impl Show for Standing {
    fn show(&self, page: &mut Page) {
        match (&self.status, &self.settings) {
            (Some(status), _) => show_status(status, page),
            (None, Some(LockSettings { is_set: true, .. })) => {
                page.line("Your vault is open. It has a lock that this app knows nothing of.");
            }
            (None, _) => page.line("Your vault is open and has no lock."),
        }
        let Some(LockSettings { idle_minutes, sealer, .. }) = &self.settings else {
            return page.line("When it locks itself, and what its host seals with, it tells when it is unlocked.");
        };
        let itself = idle_minutes.map_or("never".to_owned(), |minutes| format!("after {minutes} minutes"));
        page.field("locks itself", itself);
        if let Some(sealer) = sealer {
            page.field("host seals with", sealed_with(*sealer));
        }
    }
}

fn sealed_with(sealer: SealerKind) -> &'static str {
    match sealer {
        SealerKind::KeyFile => "a key file: who copies its whole disk has it too",
        SealerKind::Pkcs11 => "a PKCS#11 token",
        SealerKind::Tpm => "a TPM",
    }
}

struct StatusView(LockStatus);

impl Serialize for StatusView {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl Show for StatusView {
    fn show(&self, page: &mut Page) {
        show_status(&self.0, page);
    }
}

fn show_status(status: &LockStatus, page: &mut Page) {
    let LockStatus { state, generation, attempts_total, pin_tries_left, password_wait_ms, .. } = status;
    page.line(match (state, generation) {
        (LockState::Locked, _) => "Your vault is locked.",
        (LockState::Open, 0) => "Your vault is open and has no lock.",
        (LockState::Open, _) => "Your vault is open.",
    });
    if *generation > 0 {
        page.field("PIN tries left", pin_tries_left.to_string());
        page.field("attempts ever", attempts_total.to_string());
    }
    if *password_wait_ms > 0 {
        page.field("password in", length(*password_wait_ms));
    }
}

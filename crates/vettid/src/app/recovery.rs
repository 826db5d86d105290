//! `vettid app recovery`: the phrase that brings the credential back on a new device. The words are shown once, at a terminal
//! and nowhere else, and read from standard input; they never stand in a result, in JSON or in an argument.

use super::password::{PasswordInput, Source};
use super::{Client, advice, credential, input};
use crate::failure::{Exit, Failure};
use crate::output::{Output, Page, Show, length, minute};
use clap::{Args, Subcommand};
use serde::Serialize;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use vettid_client::lock::LockError;
use vettid_client::member_api::ActionError;
use vettid_client::recovery::{NoPhrase, PhraseDesk, RecoveryError, RecoveryStatus, Replaced, Restored};
use vettid_client::services::ServicesError;
use vettid_client::vault_credential::{NoPassword, PasswordSource};
use vettid_crypto::password::Password;
use vettid_crypto::recovery::{PhraseLength, RecoveryPhrase};
use vettid_wire::recovery::{CredentialBackupStatus, RecoveryDecided};
use vettid_wire::refusal::RefusalCode;
use zeroize::Zeroizing;

/// Words of one line on the screen.
const WORDS_IN_A_LINE: usize = 6;
/// What a device does whose phrase was taken and whose vault is shut.
const GO_ON: &str = "run the command again within three days: the code and the phrase are not needed any more";
const ENABLE: &str = "make a phrase: vettid app recovery enable";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a recovery phrase and leave a container with services that only this phrase opens
    #[command(after_help = "\
Examples:
  vettid app recovery enable
  vettid app recovery enable --words 12

The words are shown once. Write them on paper; you type them back to confirm. A new phrase makes the one
before it worthless.")]
    Enable(Enable),
    /// Remove the container at services: your phrase opens nothing any more
    #[command(after_help = "\
Examples:
  vettid app recovery disable
  vettid app recovery disable --password-stdin < password.txt")]
    Disable(Disable),
    /// How your recovery stands, here and at services
    #[command(after_help = "\
Examples:
  vettid app recovery status
  vettid app --json recovery status")]
    Status,
    /// Take your credential over on this new device, with a code from the portal and the phrase
    #[command(after_help = "\
Examples:
  vettid app --ca-file operator.pem recovery restore --code-file code.txt

The code is used up by one try. If your vault is locked, the password of its lock is asked for next; a PIN
does not do here. Your password makes this device the one; the old device is cut off then.
What is of high value waits for 24 hours, or until the old device approves. If a password has to wait,
or something breaks off after the phrase was taken, run the command again: it asks for passwords only.")]
    Restore(Restore),
    /// On the old device: the recovery on the new one is mine, nothing has to wait
    #[command(after_help = "\
Examples:
  vettid app recovery approve")]
    Approve,
    /// On the old device: the recovery is not mine, cut the new device off
    #[command(after_help = "\
Examples:
  vettid app recovery deny")]
    Deny,
}

#[derive(Debug, Args)]
pub(super) struct Enable {
    /// How many words: 12 or 24
    #[arg(long, value_name = "NUMBER", default_value = "24", value_parser = words)]
    words: PhraseLength,
    #[command(flatten)]
    password: PasswordInput,
}

#[derive(Debug, Args)]
pub(super) struct Disable {
    #[command(flatten)]
    password: PasswordInput,
}

#[derive(Debug, Args)]
pub(super) struct Restore {
    /// Read the code from this file instead of the first line of standard input; the phrase is the next line
    #[arg(long, value_name = "FILE")]
    code_file: Option<PathBuf>,
    /// Read the password from the next line of standard input instead of asking for it; if the vault is locked,
    /// the password of its lock is the line before
    #[arg(long)]
    password_stdin: bool,
}

fn words(text: &str) -> Result<PhraseLength, String> {
    match text {
        "12" => Ok(PhraseLength::Words12),
        "24" => Ok(PhraseLength::Words24),
        _ => Err("12 or 24".to_owned()),
    }
}

pub(super) async fn run(command: Command, app: &Client, output: Output) -> Result<(), Failure> {
    match command {
        Command::Enable(Enable { words, password }) => {
            if !io::stderr().is_terminal() {
                return Err(no_terminal());
            }
            let mut password = password.present()?;
            let enabled = app.enable_recovery(words, &mut Terminal, &mut password).await.map_err(failure)?;
            Ok(output.result(&Enabled(enabled))?)
        }
        Command::Disable(Disable { password }) => {
            app.disable_recovery(&mut password.present()?).await.map_err(credential::failure)?;
            Ok(output.result(&Disabled { enabled: false })?)
        }
        Command::Status => Ok(output.result(&Standing(app.recovery_status().await.map_err(failure)?))?),
        Command::Restore(restore) => run_restore(restore, app, output).await,
        Command::Approve => decide(app, true, output).await,
        Command::Deny => decide(app, false, output).await,
    }
}

/// Code and phrase, unless they were taken before, and then the password.
async fn run_restore(wanted: Restore, app: &Client, output: Output) -> Result<(), Failure> {
    if !app.is_recovering().await.map_err(failure)? {
        if !app.waits_for_vault().await.map_err(failure)? && !take_over(&wanted, app, output).await? {
            return Ok(());
        }
        if app.waits_for_vault().await.map_err(failure)? {
            let mut password = password(&wanted, "Password of the vault's lock");
            app.enter_vault(&mut *password).await.map_err(failure)?;
        }
        output.remark("The phrase is right, and your vault let this device in. It waits for your password.")?;
    }
    let replaced = app.finish_recovery(&mut *password(&wanted, "Password")).await.map_err(failure)?;
    Ok(output.result(&Done(replaced))?)
}

/// Code and phrase; `false` if there is no vault to enter.
async fn take_over(wanted: &Restore, app: &Client, output: Output) -> Result<bool, Failure> {
    let code = match &wanted.code_file {
        Some(path) => input::line(Some(path), "")?,
        None => {
            ask("Paste the code from the portal, then Enter")?;
            input::next_line()?
        }
    };
    let restored = app.restore(&code, &mut Terminal).await.map_err(failure)?;
    if restored.vault_is_away {
        output.remark("The phrase is right, and the code is used up. Your vault is locked, or its host is away.")?;
    } else if !restored.enrolled {
        output.result(&Back(restored))?;
        return Ok(false);
    }
    Ok(true)
}

/// A password, as the command line says.
fn password(wanted: &Restore, prompt: &'static str) -> Box<dyn PasswordSource> {
    if wanted.password_stdin { Box::new(NextLine) } else { Box::new(Source::Typed(prompt)) }
}
async fn decide(app: &Client, approve: bool, output: Output) -> Result<(), Failure> {
    Ok(output.result(&Said(app.decide_recovery(approve).await.map_err(failure)?))?)
}

/// The password as the next line, read when it is needed.
struct NextLine;

impl PasswordSource for NextLine {
    fn password(&mut self) -> Result<Password, NoPassword> {
        let line = input::next_line().map_err(|error| NoPassword::new(error.error().to_owned()))?;
        Password::new(&line).map_err(NoPassword::new)
    }
}

/// Brings the container up to date after a command that may have changed the credential. The command itself has its outcome
/// already, so a failure here is only told.
pub(super) async fn keep_up(app: &Client, output: Output) -> Result<(), Failure> {
    if let Err(error) = app.finish_services_credential().await {
        output.remark(&format!("your Services Credential is not up to date: {error}"))?;
        output.remark("it is tried again with the next command; see: vettid app credential status")?;
    }
    if let Err(error) = app.refresh_recovery().await {
        output.remark(&format!("your recovery container is not up to date: {error}"))?;
        output.remark("it is tried again with the next command; see: vettid app recovery status")?;
    }
    Ok(())
}

/// Where the words are shown and typed.
struct Terminal;

impl PhraseDesk for Terminal {
    fn show(&mut self, phrase: &RecoveryPhrase) -> Result<(), NoPhrase> {
        let mut screen = io::stderr();
        if !screen.is_terminal() {
            return Err(NoPhrase(no_terminal().error().to_owned()));
        }
        let text = numbered(phrase);
        let shown = screen.write_all(text.as_bytes()).and_then(|()| screen.flush());
        shown.map_err(|error| NoPhrase(error.to_string()))
    }

    fn typed(&mut self) -> Result<Zeroizing<String>, NoPhrase> {
        let no_phrase = |error: Failure| NoPhrase(error.error().to_owned());
        ask("Type the words of your recovery phrase, then Enter").map_err(|error| NoPhrase(error.to_string()))?;
        input::next_line().map_err(no_phrase)
    }
}

fn numbered(phrase: &RecoveryPhrase) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(1024));
    text.push_str("Write these words on paper. They are not shown again.\n\n");
    for (index, word) in phrase.expose().split(' ').enumerate() {
        text.push_str(if index % WORDS_IN_A_LINE == 0 { "  " } else { " " });
        text.push_str(word);
        if index % WORDS_IN_A_LINE == WORDS_IN_A_LINE - 1 {
            text.push('\n');
        }
    }
    text.push('\n');
    text
}

fn ask(prompt: &str) -> io::Result<()> {
    if io::stdin().is_terminal() || io::stderr().is_terminal() {
        writeln!(io::stderr(), "{prompt}:")?;
    }
    Ok(())
}

fn no_terminal() -> Failure {
    Failure::usage("the phrase is shown at a terminal only, so that no file or log keeps it")
        .next("run the command at a terminal, without redirecting standard error")
}

fn failure(error: RecoveryError) -> Failure {
    let text = error.to_string();
    let failure = |exit| Failure::new(exit, &text);
    match error {
        RecoveryError::NotEnrolled => failure(Exit::State).next("enrol it: vettid app enroll"),
        RecoveryError::AlreadyEnrolled => failure(Exit::Usage).next("use another profile: --profile NAME"),
        RecoveryError::NoCredential => failure(Exit::State).next("make one: vettid app credential create"),
        RecoveryError::NoPhrase(_) | RecoveryError::Phrase(_) | RecoveryError::NotTheSame => {
            failure(Exit::Usage).next("nothing was changed; run the command again")
        }
        RecoveryError::Code(_) | RecoveryError::Expired { .. } => {
            failure(Exit::Usage).next("make a new code in the portal")
        }
        RecoveryError::NothingToDecide => failure(Exit::Usage).next("see how it stands: vettid app recovery status"),
        RecoveryError::OnHold { .. } => failure(Exit::Refused)
            .next("the phrase of before stays good; wait, or approve on the old device: vettid app recovery approve")
            .refusal(RefusalCode::OnHold),
        RecoveryError::PhraseGuarded => failure(Exit::Refused)
            .next("the phrase of before stays good, and brings that credential back: vettid app recovery restore"),
        RecoveryError::VaultShut => failure(Exit::Refused)
            .next(format!("unlock it on the old device, with vettid app unlock, or wait for its host; {GO_ON}")),
        RecoveryError::VaultAway => failure(Exit::Unreachable).next(format!("ask your operator, or wait; {GO_ON}")),
        RecoveryError::Lock(error) => lock(error),
        RecoveryError::NotRecovering | RecoveryError::NotWaiting => {
            failure(Exit::Usage).next("begin with a code: vettid app recovery restore")
        }
        RecoveryError::Enrolment(error) => advice::enrolment(error),
        RecoveryError::NoTrust => failure(Exit::Usage).next("name the operator's certificate with --ca-file FILE"),
        RecoveryError::Services(ActionError::Services(error)) => services(&error, &text),
        RecoveryError::NotGenuine => {
            failure(Exit::Refused).next("compare each word with the paper, then make a new code in the portal")
        }
        RecoveryError::Store(error) => advice::store(&error),
        RecoveryError::Credential(error) => credential::failure(error),
        RecoveryError::Memory(_) => failure(Exit::Other).next("close other programs, then try again"),
        RecoveryError::Services(_)
        | RecoveryError::Sign(_)
        | RecoveryError::TooLarge(_)
        | RecoveryError::Interrupted => failure(Exit::Other),
    }
}

/// The lock of the vault stands between the new device and the rest of its recovery.
fn lock(error: LockError) -> Failure {
    let text = error.to_string();
    match error {
        LockError::Wrong { password_wait_ms: 0, .. } => {
            Failure::new(Exit::Refused, "the password of the vault's lock is wrong").next(GO_ON)
        }
        LockError::Wrong { password_wait_ms, .. } => {
            Failure::new(Exit::Refused, "the password of the vault's lock is wrong")
                .next(format!("wait for {}; {GO_ON}", length(password_wait_ms)))
        }
        LockError::Wait { .. } => Failure::new(Exit::Refused, text).next(GO_ON),
        LockError::Unavailable | LockError::NoAnswer => Failure::new(Exit::Unreachable, text).next(GO_ON),
        error => advice::lock(error),
    }
}

pub(super) fn services(error: &ServicesError, text: &str) -> Failure {
    match error {
        ServicesError::Unreachable(_) => {
            Failure::new(Exit::Unreachable, text).next("check the network, then try again")
        }
        ServicesError::Refused { status: 401 } => {
            Failure::new(Exit::Refused, text).next("this device is not the member's app any more; see the portal")
        }
        ServicesError::Refused { status: 429 } => {
            Failure::new(Exit::Refused, text).next("wait an hour, then try again")
        }
        ServicesError::Refused { status: 423 } => {
            Failure::new(Exit::Refused, "your vault is locked, or its host is away").next("try again later")
        }
        ServicesError::Refused { .. } => Failure::new(Exit::Refused, text)
            .next("compare each word with the paper, and make a new code in the portal"),
        ServicesError::OnHold => Failure::new(Exit::Refused, text).next("vettid app recovery status"),
        ServicesError::Unreadable(_) => Failure::new(Exit::Other, text).next("update this program"),
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Enabled(CredentialBackupStatus);

impl Show for Enabled {
    fn show(&self, page: &mut Page) {
        page.line("Your recovery is on. Keep the paper where nobody else finds it.");
        page.line("This app keeps the container at services up to date by itself.");
    }
}

#[derive(Serialize)]
struct Disabled {
    enabled: bool,
}

impl Show for Disabled {
    fn show(&self, page: &mut Page) {
        page.line("Your recovery is off: services keep no container, and the words on the paper open nothing.");
        page.line(ENABLE);
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Standing(RecoveryStatus);

impl Show for Standing {
    fn show(&self, page: &mut Page) {
        let status = &self.0;
        let Some(stored_at) = status.services.stored_at.filter(|_| status.services.enabled) else {
            page.line("Your recovery is off.");
            page.line(ENABLE);
            return;
        };
        page.line("Your recovery is on.");
        page.field("container of", minute(stored_at));
        page.field("up to date", if status.is_current { "yes" } else { "no" });
        page.field("kept up here", if status.kept_up_here { "yes" } else { "no" });
        if let Some(hold) = &status.services.recovery {
            page.field("recovered", minute(hold.recovered_at));
            page.field("on hold until", minute(hold.hold_until));
            page.line("If this is the old device: is the recovery yours?");
            page.line("  vettid app recovery approve    or    vettid app recovery deny");
        }
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Back(Restored);

impl Show for Back {
    fn show(&self, page: &mut Page) {
        page.line("Your credential is on this device.");
        page.field("member", self.0.guid.to_string());
        page.field("on hold until", minute(self.0.hold_until));
        page.gap();
        page.line("You have no vault at this operator, so there is nothing that it opens.");
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Done(Replaced);

impl Show for Done {
    fn show(&self, page: &mut Page) {
        let Replaced { guid, hold, container_is_current, .. } = &self.0;
        page.line("This device is your app now, and the old one is cut off.");
        page.field("member", guid.to_string());
        if let Some(hold) = hold {
            page.field("on hold until", minute(hold.hold_until));
            page.line("Until then your secrets can be listed and added to, and not used, changed or removed.");
        }
        if !container_is_current {
            page.line("The recovery container is not up to date; the next use of a secret tries again.");
        }
        page.next("Next", "vettid app secret list");
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Said(RecoveryDecided);

impl Show for Said {
    fn show(&self, page: &mut Page) {
        page.line(if self.0.approve {
            "Approved. Nothing waits on the new device any more, and this one can be put away."
        } else {
            "Denied. The new device is cut off. Change your phrase: vettid app recovery enable"
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_shown_in_its_order() {
        let typed = "abandon ".repeat(11) + "about";
        let phrase = RecoveryPhrase::parse(&typed).unwrap();
        let shown = numbered(&phrase);
        let words: Vec<_> = shown.lines().skip(2).flat_map(str::split_whitespace).collect();
        assert_eq!(words.join(" "), typed);
    }

    #[test]
    fn twelve_or_twenty_four() {
        assert_eq!((words("12"), words("24")), (Ok(PhraseLength::Words12), Ok(PhraseLength::Words24)));
        assert!(words("15").is_err());
    }
}

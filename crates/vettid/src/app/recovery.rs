//! `vettid app recovery`: the phrase that brings the credential back on a new device. The words are shown once, at a terminal
//! and nowhere else, and read from standard input; they never stand in a result, in JSON or in an argument.

use super::password::PasswordInput;
use super::{Client, advice, credential, input};
use crate::failure::{Exit, Failure};
use crate::output::{Output, Page, Show, minute};
use clap::{Args, Subcommand};
use serde::Serialize;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use vettid_client::member_api::ActionError;
use vettid_client::recovery::{NoPhrase, PhraseDesk, RecoveryError, RecoveryStatus, Restored};
use vettid_client::services::ServicesError;
use vettid_crypto::recovery::{PhraseLength, RecoveryPhrase};
use vettid_wire::recovery::CredentialBackupStatus;
use zeroize::Zeroizing;

/// Words of one line on the screen.
const WORDS_IN_A_LINE: usize = 6;
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

The code is used up by one try. The old device is cut off.")]
    Restore(Restore),
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
        Command::Restore(Restore { code_file }) => {
            let code = match code_file {
                Some(path) => input::line(Some(&path), "")?,
                None => {
                    ask("Paste the code from the portal, then Enter")?;
                    input::next_line()?
                }
            };
            let restored = app.restore(&code, &mut Terminal).await.map_err(failure)?;
            Ok(output.result(&Back(restored))?)
        }
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
        }
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Back(Restored);

impl Show for Back {
    fn show(&self, page: &mut Page) {
        page.line("Your credential is on this device, and the old device is cut off.");
        page.field("member", self.0.guid.to_string());
        page.field("on hold until", minute(self.0.hold_until));
        page.gap();
        page.line("Your vault does not know this device yet: once its operator lets it in, enrol this profile with a");
        page.line("code of the vault, and then change your password, which gives this device a secret of its own.");
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

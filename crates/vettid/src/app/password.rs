//! `vettid app password`, and how every command gets a password: typed where nobody sees it, or from the first line of
//! standard input. Never from the command line, and never shown.

use super::credential::failure;
use super::{Client, input};
use crate::failure::Failure;
use crate::output::{Output, Page, Show};
use clap::{Args, Subcommand};
use serde::Serialize;
use std::io::{self, IsTerminal, Write};
use vettid_client::strength::AppEstimator;
use vettid_client::vault_credential::{NoPassword, PasswordSource};
use vettid_core::credential::policy::{UnfitChoice, choose_password};
use vettid_crypto::password::Password;
use zeroize::Zeroizing;

/// Tries for a new password at a terminal.
const TRIES: usize = 3;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Change the password; your secrets stay as they are
    #[command(after_help = "\
Examples:
  vettid app password change
  printf '%s\\n%s\\n' \"$PRESENT\" \"$NEW\" | vettid app password change --password-stdin")]
    Change(Change),
}

#[derive(Debug, Args)]
pub(super) struct Change {
    /// Read the present password from the first line of standard input and the new one from the second
    #[arg(long)]
    password_stdin: bool,
}

/// How a command gets the password.
#[derive(Debug, Args)]
pub(super) struct PasswordInput {
    /// Read the password from the first line of standard input instead of asking for it
    #[arg(long)]
    password_stdin: bool,
}

pub(super) async fn run(wanted: Command, app: &Client, output: Output) -> Result<(), Failure> {
    let Command::Change(Change { password_stdin }) = wanted;
    let (mut present, mut new) = if password_stdin {
        (Source::Line(Some(input::next_line()?)), Source::NewLine(Some(input::next_line()?), Vec::new()))
    } else {
        require_terminal()?;
        (Source::Typed("Present password"), Source::New("New password", Vec::new()))
    };
    new.judge_by(app.context_words().await.map_err(super::advice::command)?);
    app.change_passwords(&mut present, &mut new).await.map_err(failure)?;
    Ok(output.result(&Changed { changed: true })?)
}

impl PasswordInput {
    /// Where the password of an existing credential comes from. A line of standard input is read at once, so that the rest
    /// of it is the command's.
    pub(super) fn present(&self) -> Result<Source, Failure> {
        // A grant may make the password needless, so a missing terminal shows only when it is needed.
        if self.password_stdin { Ok(Source::Line(Some(input::next_line()?))) } else { Ok(Source::Typed("Password")) }
    }

    /// Where the first password comes from.
    pub(super) fn first(&self) -> Result<Source, Failure> {
        if self.password_stdin {
            return Ok(Source::NewLine(Some(input::next_line()?), Vec::new()));
        }
        require_terminal()?;
        Ok(Source::New("New password", Vec::new()))
    }
}

/// Where a password comes from.
pub(super) enum Source {
    /// A line that was read; used once.
    Line(Option<Zeroizing<String>>),
    /// A line that was read, for a new password: it has to be a good one.
    NewLine(Option<Zeroizing<String>>, Vec<String>),
    /// Typed once.
    Typed(&'static str),
    /// Typed twice, and it has to be a good one.
    New(&'static str, Vec<String>),
}

impl Source {
    /// A new password must hold more than these words of the account.
    pub(super) fn judge_by(&mut self, words: Vec<String>) {
        if let Self::NewLine(_, context) | Self::New(_, context) = self {
            *context = words;
        }
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Source")
    }
}

impl PasswordSource for Source {
    fn password(&mut self) -> Result<Password, NoPassword> {
        match self {
            Self::Line(line) => Password::new(&taken(line)?).map_err(NoPassword::new),
            Self::NewLine(line, context) => chosen(&taken(line)?, context).map_err(NoPassword::new),
            Self::Typed(what) => Password::new(&hidden(what)?).map_err(NoPassword::new),
            Self::New(what, context) => new_password(what, context),
        }
    }
}

fn taken(line: &mut Option<Zeroizing<String>>) -> Result<Zeroizing<String>, NoPassword> {
    line.take().ok_or_else(|| NoPassword::new("the password was used already"))
}

/// A new password, if it is good enough.
pub(super) fn chosen(typed: &str, context: &[String]) -> Result<Password, UnfitChoice> {
    let context: Vec<&str> = context.iter().map(String::as_str).collect();
    choose_password(typed, &context, &AppEstimator)
}

fn new_password(what: &str, context: &[String]) -> Result<Password, NoPassword> {
    for _ in 0..TRIES {
        let typed = hidden(&format!("{what}, 12 characters or more"))?;
        let problem = match chosen(&typed, context) {
            Ok(password) if *hidden("The same once more")? == *typed => return Ok(password),
            Ok(_) => "the two are not the same".to_owned(),
            Err(unfit) => unfit.to_string(),
        };
        writeln!(io::stderr(), "{problem}").map_err(NoPassword::new)?;
    }
    Err(NoPassword::new("no password was chosen"))
}

/// What is typed at the terminal, without showing it.
pub(super) fn hidden(prompt: &str) -> Result<Zeroizing<String>, NoPassword> {
    if !io::stdin().is_terminal() {
        return Err(NoPassword::new(NO_TERMINAL));
    }
    input::unseen(prompt).map_err(NoPassword::new)
}

/// Why nobody is asked.
pub(super) const NO_TERMINAL: &str = "there is no terminal at which to type the password";

fn require_terminal() -> Result<(), Failure> {
    if io::stdin().is_terminal() { Ok(()) } else { Err(Failure::usage(NO_TERMINAL).next(super::credential::BY_STDIN)) }
}

#[derive(Serialize)]
struct Changed {
    changed: bool,
}

impl Show for Changed {
    fn show(&self, page: &mut Page) {
        page.line("Your credentials have a new password. The former one opens nothing any more.");
        page.line("Write it down where only you find it: nobody can tell it to you.");
    }
}

//! `vettid app message export`: takes a conversation home, stretch by stretch, into a file that nobody else may read. A file that
//! is there is not touched unless that was asked for, and never left half written.

use super::super::Client;
use super::super::advice::command;
use super::{body, headline};
use crate::failure::{Exit, Failure};
use crate::output::{Output, Page, Show, count, text_of};
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use vettid_wire::event::MessagingExport;
use vettid_wire::id::ConnectionId;
use vettid_wire::messaging::{ExportMessages, MessageView};

#[derive(Debug, Args)]
pub(in crate::app) struct Export {
    /// The connection
    #[arg(value_name = "ID")]
    connection: ConnectionId,
    /// Write to this file; only you may read it
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Lines of JSON for programs, or text for people
    #[arg(long, value_name = "FORM", default_value = "json-lines")]
    form: Form,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    JsonLines,
    Text,
}

pub(super) async fn run(wanted: Export, app: &Client, output: Output) -> Result<(), Failure> {
    let named = |error: io::Error| failure(&wanted.to, &error);
    if !wanted.force && wanted.to.try_exists().map_err(named)? {
        return Err(named(io::ErrorKind::AlreadyExists.into()).next("choose another name, or add --force"));
    }
    let draft = Draft::new(&wanted.to).map_err(named)?;
    let messages = write(&wanted, &draft, app).await?;
    draft.keep(&wanted.to, wanted.force).map_err(named)?;
    Ok(output.result(&Written { file: wanted.to, messages })?)
}

/// Writes the conversation, and counts its messages.
async fn write(wanted: &Export, draft: &Draft, app: &Client) -> Result<u64, Failure> {
    let named = |error: io::Error| failure(&wanted.to, &error);
    let mut file = BufWriter::new(&draft.file);
    let (mut next, mut messages) = (Some(1), 0);
    while let Some(from) = next {
        let request = ExportMessages { connection_id: wanted.connection, from };
        let stretch = app.command::<MessagingExport>(request).await.map_err(command)?;
        for message in &stretch.messages {
            file.write_all(line(wanted.form, message)?.as_bytes()).map_err(named)?;
            messages += 1;
        }
        next = stretch.next.filter(|next| *next > from);
    }
    file.flush().map_err(named)?;
    draft.file.sync_all().map_err(named)?;
    Ok(messages)
}

fn line(form: Form, message: &MessageView) -> io::Result<String> {
    match form {
        Form::JsonLines => Ok(format!("{}\n", serde_json::to_string(message).map_err(io::Error::other)?)),
        Form::Text => Ok(text_of(&Entry(message))),
    }
}

fn failure(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Other, format_args!("{}: {error}", path.display()))
}

/// A file beside its place, which goes unless it is kept.
struct Draft {
    path: PathBuf,
    file: File,
}

impl Draft {
    fn new(place: &Path) -> io::Result<Self> {
        let mut name = place.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let path = place.with_file_name(name);
        let file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path)?;
        Ok(Self { path, file })
    }

    /// Puts the file into its place; without `force` only if nothing is there.
    fn keep(self, place: &Path, force: bool) -> io::Result<()> {
        if force { fs::rename(&self.path, place) } else { fs::hard_link(&self.path, place) }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Kept under its own name, or never to be: this name goes. After a rename nothing has it.
        let _gone = fs::remove_file(&self.path);
    }
}

/// One message of a text for people.
struct Entry<'a>(&'a MessageView);

impl Show for Entry<'_> {
    fn show(&self, page: &mut Page) {
        page.line(headline(self.0));
        body(self.0, &[], page);
        page.gap();
    }
}

#[derive(Serialize)]
struct Written {
    file: PathBuf,
    messages: u64,
}

impl Show for Written {
    fn show(&self, page: &mut Page) {
        page.line(format!("Wrote {} to {}.", count(self.messages, "message"), self.file.display()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_file_that_is_there_stays_unless_it_is_to_be_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("bob.jsonl");
        let draft = |text: &str| {
            let draft = Draft::new(&place).unwrap();
            (&draft.file).write_all(text.as_bytes()).unwrap();
            draft
        };
        draft("one").keep(&place, false).unwrap();
        assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(draft("two").keep(&place, false).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&place).unwrap(), "one");
        draft("three").keep(&place, true).unwrap();
        assert_eq!(fs::read_to_string(&place).unwrap(), "three");
        drop(draft("half"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no drafts are left");
    }
}

//! `vettid app file`: files between connected members. The name that a peer gave a file says nothing about where it goes, and a file that
//! is there is not touched unless that was asked for.

mod part;
mod progress;

use super::advice::command;
use super::{Client, input};
use crate::failure::{Exit, Failure};
use crate::output::{Output, Page, Show};
use clap::{Args, Subcommand};
use part::Part;
use progress::Bar;
use serde::Serialize;
use std::fs::File;
use std::path::{Path, PathBuf};
use vettid_client::file::{FileFailure, FileToSend};
use vettid_wire::digest::Digest;
use vettid_wire::event::{FileFetch, FileList as ListRow, FileStatus};
use vettid_wire::file::{
    FileList, FileProblem, FileState, FileSummary, FileView, ListFiles, UNKNOWN_MEDIA_TYPE, is_file_name,
    is_media_type, plain_file_name,
};
use vettid_wire::id::{ConnectionId, EventId};
use vettid_wire::messaging::{Direction, MAX_TEXT_BYTES, MessageRef};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Send a file of up to 100 MiB; the same command goes on where it was interrupted
    #[command(after_help = "\
Examples:
  vettid app file send ID holiday.jpg
  vettid app file send ID scan-0001.pdf --name contract.pdf
  vettid app --json file send ID holiday.jpg --text-file words.txt

ID is the connection's, from `vettid app connection list`. With --json, progress is told line by line on standard error.")]
    Send(Send),
    /// Save the file of a message; the same command goes on where it was interrupted
    #[command(after_help = "\
Examples:
  vettid app file get ID MESSAGE --to holiday.jpg
  vettid app file get ID MESSAGE --to Downloads/
  vettid app file get ID MESSAGE --to holiday.jpg --force

Into a folder it goes under the name that its sender gave it, made plain. Only you may read it.")]
    Get(Get),
    /// Show the files of a connection, newest first, and how far each came
    #[command(after_help = "Example:\n  vettid app file list ID")]
    List {
        /// The connection
        #[arg(value_name = "ID")]
        connection: ConnectionId,
    },
    /// Show how far the file of a message came
    #[command(after_help = "Example:\n  vettid app file status ID MESSAGE")]
    Status(Named),
    /// Have your vault fetch a file that waits for your word, without saving it yet
    #[command(after_help = "Example:\n  vettid app file fetch ID MESSAGE")]
    Fetch(Named),
}

/// The file of one message.
#[derive(Debug, Args)]
pub(super) struct Named {
    /// The connection
    #[arg(value_name = "ID")]
    connection: ConnectionId,
    /// The message, from `vettid app file list`
    #[arg(value_name = "MESSAGE")]
    message: EventId,
}

impl From<Named> for MessageRef {
    fn from(named: Named) -> Self {
        Self { connection_id: named.connection, message_id: named.message }
    }
}

#[derive(Debug, Args)]
pub(super) struct Send {
    /// The connection
    #[arg(value_name = "ID")]
    connection: ConnectionId,
    /// The file
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Its name for the receiver, in place of its own
    #[arg(long, value_name = "NAME", value_parser = file_name)]
    name: Option<String>,
    /// What it is, such as image/png, in place of what its name says
    #[arg(long, value_name = "TYPE", value_parser = media_type)]
    media_type: Option<String>,
    /// Send this text with it
    #[arg(long, value_name = "FILE")]
    text_file: Option<PathBuf>,
    /// The message that this one answers
    #[arg(long, value_name = "MESSAGE")]
    reply_to: Option<EventId>,
}

#[derive(Debug, Args)]
pub(super) struct Get {
    #[command(flatten)]
    message: Named,
    /// Save it here; a folder gives it its own name
    #[arg(long, value_name = "PATH")]
    to: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
}

fn file_name(text: &str) -> Result<String, String> {
    if is_file_name(text) { Ok(text.to_owned()) } else { Err("a plain name without folders, up to 255 bytes".into()) }
}

fn media_type(text: &str) -> Result<String, String> {
    if is_media_type(text) { Ok(text.to_owned()) } else { Err("a type and a subtype, such as image/png".into()) }
}

pub(super) async fn run(wanted: Command, app: &Client, output: Output) -> Result<(), Failure> {
    match wanted {
        Command::Send(wanted) => send(wanted, app, output).await,
        Command::Get(wanted) => get(wanted, app, output).await,
        Command::List { connection } => {
            let asked = ListFiles { connection_id: connection };
            Ok(output.result(&app.command::<ListRow>(asked).await.map_err(command)?)?)
        }
        Command::Status(named) => Ok(output.result(&app.command::<FileStatus>(named.into()).await.map_err(command)?)?),
        Command::Fetch(named) => Ok(output.result(&app.command::<FileFetch>(named.into()).await.map_err(command)?)?),
    }
}

async fn send(wanted: Send, app: &Client, output: Output) -> Result<(), Failure> {
    let named = |error: std::io::Error| part::failure(&wanted.path, &error);
    let text = match &wanted.text_file {
        Some(file) => input::text(Some(file), MAX_TEXT_BYTES, "")?.trim_end().to_owned(),
        None => String::new(),
    };
    let mut content = File::open(&wanted.path).map_err(named)?;
    if !content.metadata().map_err(named)?.is_file() {
        return Err(Failure::usage("only a plain file can be sent"));
    }
    let own_name = wanted.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = wanted.name.unwrap_or_else(|| plain_file_name(&own_name));
    let media_type = wanted.media_type.unwrap_or_else(|| guessed(&name).to_owned());
    let file = FileToSend { connection_id: wanted.connection, name, media_type, text, reply_to: wanted.reply_to };
    let mut bar = Bar::new(output);
    let sent = app.send_file(file, &mut content, &mut |progress| bar.show(progress)).await;
    bar.end();
    let sent = sent.map_err(failure)?;
    Ok(output.result(&Sent { message_id: sent.message_id, file: sent.file.summary() })?)
}

async fn get(wanted: Get, app: &Client, output: Output) -> Result<(), Failure> {
    let message = MessageRef::from(wanted.message);
    let is_folder = wanted.to.is_dir();
    if !is_folder {
        part::is_free(&wanted.to, wanted.force)?;
    }
    let mut bar = Bar::new(output);
    let manifest = app.await_file(&message, &mut |progress| bar.show(progress)).await;
    let manifest = manifest.map_err(|error| ended(&bar, error))?;
    let place = if is_folder { wanted.to.join(plain_file_name(&manifest.name)) } else { wanted.to };
    part::is_free(&place, wanted.force)?;
    let mut part = Part::open(&place, message.message_id)?;
    let read = app.read_file(&message, &manifest, part.file(), &mut |progress| bar.show(progress)).await;
    if let Err(error) = read {
        if matches!(error, FileFailure::Damaged) {
            part.discard();
        }
        return Err(ended(&bar, error));
    }
    part.keep(&place, wanted.force)?;
    bar.end();
    let FileSummary { media_type, size_bytes, sha256, .. } = manifest.summary();
    Ok(output.result(&Saved { file: place, media_type, size_bytes, sha256 })?)
}

fn ended(bar: &Bar, error: FileFailure) -> Failure {
    bar.end();
    failure(error)
}

fn failure(error: FileFailure) -> Failure {
    let text = error.to_string();
    match error {
        FileFailure::Command(error) => command(error),
        FileFailure::Content(_) => Failure::new(Exit::Other, text),
        FileFailure::TooLarge => Failure::usage(text),
        FileFailure::Changed => Failure::new(Exit::Other, text).next("send it again when nobody writes to it"),
        FileFailure::NotKept => Failure::new(Exit::Unreachable, text).next("try again in a moment"),
        FileFailure::Damaged => {
            Failure::new(Exit::Other, text).next("run the same command again; if it stays so, ask for the file anew")
        }
        FileFailure::WillNotCome(_) => Failure::new(Exit::Refused, text).next("ask for the file anew"),
    }
}

/// What a name says about the kind of a file. Nobody relies on it.
fn guessed(name: &str) -> &'static str {
    let ending = Path::new(name).extension().map(|ending| ending.to_string_lossy().to_lowercase());
    match ending.as_deref().unwrap_or_default() {
        "txt" | "md" => "text/plain",
        "csv" => "text/csv",
        "html" | "htm" => "text/html",
        "json" => "application/json",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "svg" => "image/svg+xml",
        "mp3" => "audio/mpeg",
        "ogg" => "audio/ogg",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        _ => UNKNOWN_MEDIA_TYPE,
    }
}

#[derive(Serialize)]
struct Sent {
    message_id: EventId,
    file: FileSummary,
}

impl Show for Sent {
    fn show(&self, page: &mut Page) {
        page.line(format!("Sent {}. Your vault delivers it, also while you are away.", described(&self.file)));
        page.field("message", self.message_id.to_string());
    }
}

#[derive(Serialize)]
struct Saved {
    file: PathBuf,
    media_type: String,
    size_bytes: u64,
    sha256: Digest,
}

impl Show for Saved {
    fn show(&self, page: &mut Page) {
        page.line(format!("Saved {} to {}.", size(self.size_bytes), self.file.display()));
        page.field("sender says", format!("it is {}", self.media_type));
    }
}

impl Show for FileView {
    fn show(&self, page: &mut Page) {
        page.line(format!("{}  {}  {}", described(&self.file), state(self), self.message_id));
    }
}

impl Show for FileList {
    fn show(&self, page: &mut Page) {
        if self.files.is_empty() {
            page.line("No files yet.");
        }
        self.files.iter().for_each(|file| file.show(page));
    }
}

/// Name, size and kind of a file.
pub(super) fn described(file: &FileSummary) -> String {
    format!("{} ({}, {})", file.name, size(file.size_bytes), file.media_type)
}

/// How far a file came, in words.
fn state(view: &FileView) -> String {
    let of = format!("{} of {}", view.pieces_there, view.pieces);
    match (view.state, view.direction, view.problem) {
        (FileState::Here, Direction::Received, _) => "here".to_owned(),
        (FileState::Here, Direction::Sent, _) => "sent, with the other side's vault".to_owned(),
        (FileState::OnItsWay, Direction::Sent, _) => format!("sent, on its way ({of})"),
        (FileState::OnItsWay, Direction::Received, _) => format!("on its way ({of})"),
        (FileState::Waiting, _, Some(FileProblem::NoRoom)) => "waits: your vault has no room for it".to_owned(),
        (FileState::Waiting, ..) => "waits for your word: vettid app file get".to_owned(),
        (FileState::Failed, _, Some(FileProblem::Gone)) => "failed: not held by its sender any more".to_owned(),
        (FileState::Failed, _, Some(FileProblem::Ended)) => "failed: the connection ended".to_owned(),
        (FileState::Failed, _, Some(FileProblem::Expired)) => "failed: not fetched in time".to_owned(),
        (FileState::Failed, ..) => "failed".to_owned(),
    }
}

/// A size for people.
fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 2] = [(1024 * 1024, "MiB"), (1024, "KiB")];
    match UNITS.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_for_people() {
        let shown = [0, 1023, 1024, 1536, 8 << 20, 104_857_600].map(size);
        assert_eq!(shown, ["0 bytes", "1023 bytes", "1.0 KiB", "1.5 KiB", "8.0 MiB", "100.0 MiB"]);
    }

    #[test]
    fn every_guess_is_a_media_type() {
        for ending in "txt md csv html htm json pdf zip png jpg jpeg gif webp svg mp3 ogg mp4 webm".split(' ') {
            let guess = guessed(&format!("a.{}", ending.to_uppercase()));
            assert!(is_media_type(guess) && guess != UNKNOWN_MEDIA_TYPE, "{ending}");
        }
        assert_eq!((guessed("a"), guessed("a.xyz")), (UNKNOWN_MEDIA_TYPE, UNKNOWN_MEDIA_TYPE));
    }
}

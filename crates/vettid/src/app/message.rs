//! `vettid app message`: messages between connected members.

mod export;

use super::advice::command;
use super::{Client, input};
use crate::failure::Failure;
use crate::output::{Output, Page, Show, count, length, minute};
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use std::path::PathBuf;
use vettid_wire::event::{
    MessagingGet, MessagingList, MessagingReact, MessagingRead, MessagingRemove, MessagingSend,
    MessagingSettings as SettingsRow,
};
use vettid_wire::id::{ConnectionId, EventId};
use vettid_wire::messaging::{
    Direction, ListMessages, MAX_DISAPPEAR_S, MAX_TEXT_BYTES, MIN_DISAPPEAR_S, MarkRead, MarkedRead, MessageList,
    MessageRef, MessageState, MessageView, MessagingSettings, React, SendText, Sent, SetMessaging,
};
use vettid_wire::time::Timestamp;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Send a text; it comes from standard input or a file, never from the command line
    #[command(after_help = "\
Examples:
  echo 'See you at eight.' | vettid app message send ID
  vettid app message send ID --text-file letter.txt
  echo 'Fine with me.' | vettid app message send ID --reply-to MESSAGE

ID is the connection's, from `vettid app connection list`.")]
    Send(Send),
    /// Show the messages of a connection, oldest first, and how far each came
    #[command(after_help = "Example:\n  vettid app message list ID")]
    List {
        /// The connection
        #[arg(value_name = "ID")]
        connection: ConnectionId,
    },
    /// Show one message with everything that is known of it
    #[command(after_help = "Example:\n  vettid app message show ID MESSAGE")]
    Show {
        #[command(flatten)]
        message: Named,
    },
    /// Mark received messages as read; the sender is told, unless you switched that off
    #[command(after_help = "\
Examples:
  vettid app message read ID
  vettid app message read ID MESSAGE")]
    Read {
        /// The connection
        #[arg(value_name = "ID")]
        connection: ConnectionId,
        /// This message alone
        #[arg(value_name = "MESSAGE")]
        message: Option<EventId>,
    },
    /// React to a message with one short symbol, or take your reaction back
    #[command(after_help = "\
Examples:
  vettid app message react ID MESSAGE 👍
  vettid app message react ID MESSAGE --remove")]
    React {
        #[command(flatten)]
        message: Named,
        /// The symbol
        #[arg(value_name = "SYMBOL", required_unless_present = "remove")]
        symbol: Option<String>,
        /// Take the reaction back
        #[arg(long, conflicts_with = "symbol")]
        remove: bool,
    },
    /// Remove a message on your side; the other side keeps it
    #[command(after_help = "Example:\n  vettid app message remove ID MESSAGE")]
    Remove {
        #[command(flatten)]
        message: Named,
    },
    /// Show or change what holds for the messages of a connection
    #[command(after_help = "\
Examples:
  vettid app message settings ID
  vettid app message settings ID --disappear-after 7d
  vettid app message settings ID --disappear-after off
  vettid app message settings ID --read-receipts off")]
    Settings(Settings),
    /// Export a conversation to a file, as lines of JSON or as text
    #[command(after_help = "\
Examples:
  vettid app message export ID --to bob.jsonl
  vettid app message export ID --to bob.txt --form text --force

The messages stand in the order in which your vault got or wrote them.")]
    Export(export::Export),
}

/// One message.
#[derive(Debug, Args)]
pub(super) struct Named {
    /// The connection
    #[arg(value_name = "ID")]
    connection: ConnectionId,
    /// The message, from `vettid app message list`
    #[arg(value_name = "MESSAGE")]
    message: EventId,
}

#[derive(Debug, Args)]
pub(super) struct Settings {
    /// The connection
    #[arg(value_name = "ID")]
    connection: ConnectionId,
    /// Whether the other side is told what you have read
    #[arg(long, value_name = "ON/OFF")]
    read_receipts: Option<Switch>,
    /// After how long messages disappear, such as 10m, 12h or 7d, or off; they do once both sides want the same
    #[arg(long, value_name = "TIME", value_parser = disappear_after)]
    disappear_after: Option<u32>,
}

/// A length of time in seconds; 0 for `off`.
fn disappear_after(text: &str) -> Result<u32, String> {
    let wrong = || "a number and m, h or d, from 5m to 365d, such as 12h, or off".to_owned();
    let seconds = match text.chars().last() {
        _ if text == "off" => return Ok(0),
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => return Err(wrong()),
    };
    let number = text.get(..text.len() - 1).and_then(|number| number.parse::<u32>().ok());
    let length = number.and_then(|number| number.checked_mul(seconds));
    length.filter(|length| (MIN_DISAPPEAR_S..=MAX_DISAPPEAR_S).contains(length)).ok_or_else(wrong)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
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
    /// Read the text from this file instead of standard input
    #[arg(long, value_name = "FILE")]
    text_file: Option<PathBuf>,
    /// The message that this one answers
    #[arg(long, value_name = "MESSAGE")]
    reply_to: Option<EventId>,
}

pub(super) async fn run(wanted: Command, app: &Client, output: Output) -> Result<(), Failure> {
    match wanted {
        Command::Send(wanted) => Ok(output.result(&send(wanted, app).await?)?),
        Command::List { connection } => {
            let request = ListMessages { connection_id: connection };
            Ok(output.result(&app.command::<MessagingList>(request).await.map_err(command)?)?)
        }
        Command::Show { message } => {
            Ok(output.result(&app.command::<MessagingGet>(message.into()).await.map_err(command)?)?)
        }
        Command::Read { connection, message } => Ok(output.result(&read(connection, message, app).await?)?),
        Command::React { message, symbol, remove: _ } => Ok(output.result(&react(message, symbol, app).await?)?),
        Command::Export(wanted) => export::run(wanted, app, output).await,
        Command::Remove { message } => {
            let request = MessageRef::from(message);
            app.command::<MessagingRemove>(request.clone()).await.map_err(command)?;
            Ok(output.result(&Removed { message_id: request.message_id })?)
        }
        Command::Settings(Settings { connection, read_receipts, disappear_after }) => {
            let read_receipts = read_receipts.map(|switch| switch == Switch::On);
            let request = SetMessaging { connection_id: connection, read_receipts, disappear_after_s: disappear_after };
            Ok(output.result(&app.command::<SettingsRow>(request).await.map_err(command)?)?)
        }
    }
}

async fn send(wanted: Send, app: &Client) -> Result<Sent, Failure> {
    let text = input::text(wanted.text_file.as_deref(), MAX_TEXT_BYTES, "Type your message")?;
    let text = text.trim_end().to_owned();
    if text.is_empty() {
        return Err(Failure::usage("the message is empty"));
    }
    let request = SendText { reply_to: wanted.reply_to, ..SendText::new(wanted.connection, text) };
    app.command::<MessagingSend>(request).await.map_err(command)
}

async fn react(message: Named, symbol: Option<String>, app: &Client) -> Result<Reacted, Failure> {
    let Named { connection: connection_id, message: message_id } = message;
    let request = React { connection_id, message_id, symbol: symbol.clone() };
    app.command::<MessagingReact>(request).await.map_err(command)?;
    Ok(Reacted { message_id, symbol })
}

/// Marks until nothing unread is left: the vault takes a bounded number at once.
async fn read(connection_id: ConnectionId, message_id: Option<EventId>, app: &Client) -> Result<MarkedRead, Failure> {
    let mut marked = 0;
    loop {
        let request = MarkRead { connection_id, message_id };
        let done = app.command::<MessagingRead>(request).await.map_err(command)?;
        marked += done.marked;
        if !done.has_more || done.marked == 0 {
            return Ok(MarkedRead { marked, ..done });
        }
    }
}

impl Show for Sent {
    fn show(&self, page: &mut Page) {
        page.line("Sent. Your vault delivers it, also while you are away.");
    }
}

/// What the owner's reaction to a message is now.
#[derive(Serialize)]
struct Reacted {
    message_id: EventId,
    symbol: Option<String>,
}

impl Show for Reacted {
    fn show(&self, page: &mut Page) {
        page.line(match &self.symbol {
            Some(symbol) => format!("You reacted with {symbol}"),
            None => "Your reaction is taken back.".to_owned(),
        });
    }
}

/// A message that is gone on this side.
#[derive(Serialize)]
struct Removed {
    message_id: EventId,
}

impl Show for Removed {
    fn show(&self, page: &mut Page) {
        page.line("Removed on your side. The other side keeps its copy.");
    }
}

impl Show for MarkedRead {
    fn show(&self, page: &mut Page) {
        page.line(match self.marked {
            0 => "Nothing was unread.".to_owned(),
            marked => format!("Marked {} as read.", count(marked, "message")),
        });
    }
}

impl Show for MessagingSettings {
    fn show(&self, page: &mut Page) {
        page.field("read receipts", if self.read_receipts { "on" } else { "off" });
        let wish = |after_s: Option<u32>| after_s.map_or_else(|| "never".to_owned(), |s| length(i64::from(s) * 1000));
        page.field("you want", format!("messages to disappear: {}", wish(self.disappear_after_s)));
        page.field("they want", format!("messages to disappear: {}", wish(self.peer_disappear_after_s)));
        page.field("so messages", if self.is_disappearing { "disappear after delivery" } else { "stay" });
    }
}

impl Show for MessageList {
    fn show(&self, page: &mut Page) {
        if self.messages.is_empty() {
            page.line("No messages yet.");
        }
        for message in &self.messages {
            page.line(headline(message));
            body(message, &self.messages, page);
        }
        if self.missing > 0 {
            page.line(format!("{} missing: later ones arrived, but not these.", is_or_are(self.missing)));
        }
        if self.unread > 0 {
            page.line(format!("{} unread.", is_or_are(self.unread)));
        }
    }
}

impl Show for MessageView {
    fn show(&self, page: &mut Page) {
        page.line(headline(self));
        page.field("number", self.number.to_string());
        page.field("written", minute(self.sent_at));
        let times = [
            ("delivered", self.delivered_at),
            ("read", self.read_at),
            ("failed", self.failed_at),
            ("disappears", self.disappears_at),
        ];
        for (name, at) in times {
            at.into_iter().for_each(|at| page.field(name, minute(at)));
        }
        body(self, &[], page);
    }
}

/// What a message says, what it answers, and the reactions to it.
fn body(message: &MessageView, others: &[MessageView], page: &mut Page) {
    if let Some(answered) = message.reply_to {
        let found = others.iter().find(|other| other.message_id == answered);
        let quoted = found.map_or_else(|| answered.to_string(), |other| format!("\"{}\"", beginning(&other.text)));
        page.block(&format!("in reply to {quoted}"));
    }
    page.block(&message.text);
    if let Some(file) = &message.file {
        page.block(&format!("file: {}", super::file::described(file)));
    }
    for (who, reaction) in [("you", &message.own_reaction), ("they", &message.peer_reaction)] {
        reaction.iter().for_each(|symbol| page.block(&format!("{who} reacted {symbol}")));
    }
}

/// The first words of a text.
fn beginning(text: &str) -> String {
    const MOST: usize = 40;
    let line = text.lines().next().unwrap_or_default();
    let cut: String = line.chars().take(MOST).collect();
    if cut.len() < text.len() { format!("{cut}…") } else { cut }
}

fn is_or_are(number: u64) -> String {
    format!("{} {}", count(number, "message"), if number == 1 { "is" } else { "are" })
}

fn headline(message: &MessageView) -> String {
    let at = minute(message.sent_at);
    let state = match (message.direction, message.state()) {
        (Direction::Received, MessageState::Read) => "received".to_owned(),
        (Direction::Received, _) => "received, unread".to_owned(),
        (Direction::Sent, MessageState::Read) => format!("sent, read{}", since(message.read_at)),
        (Direction::Sent, MessageState::Delivered) => format!("sent, delivered{}", since(message.delivered_at)),
        (Direction::Sent, MessageState::Failed) => "sent, failed: not delivered in time".to_owned(),
        (Direction::Sent, MessageState::Sent) => "sent, not delivered yet".to_owned(),
    };
    format!("{at}  {state}  {}", message.message_id)
}

fn since(at: Option<Timestamp>) -> String {
    at.map(|at| format!(" {}", minute(at))).unwrap_or_default()
}

//! `vettid app message`: texts between connected members.

use super::advice::command;
use super::{Client, input};
use crate::failure::Failure;
use crate::output::{Output, Page, Show, minute};
use clap::{Args, Subcommand};
use std::path::PathBuf;
use vettid_wire::event::{MessagingList, MessagingSend};
use vettid_wire::id::ConnectionId;
use vettid_wire::messaging::{Direction, ListMessages, MAX_TEXT_BYTES, MessageList, MessageView, SendText, Sent};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Send a text; it comes from standard input or a file, never from the command line
    #[command(after_help = "\
Examples:
  echo 'See you at eight.' | vettid app message send ID
  vettid app message send ID --text-file letter.txt

ID is the connection's, from `vettid app connection list`.")]
    Send(Send),
    /// Show the messages of a connection, oldest first
    #[command(after_help = "Example:\n  vettid app message list ID")]
    List {
        /// The connection
        #[arg(value_name = "ID")]
        connection: ConnectionId,
    },
}

#[derive(Debug, Args)]
pub(super) struct Send {
    /// The connection
    #[arg(value_name = "ID")]
    connection: ConnectionId,
    /// Read the text from this file instead of standard input
    #[arg(long, value_name = "FILE")]
    text_file: Option<PathBuf>,
}

pub(super) async fn run(wanted: Command, app: &Client, output: Output) -> Result<(), Failure> {
    match wanted {
        Command::Send(send) => {
            let text = input::text(send.text_file.as_deref(), MAX_TEXT_BYTES, "Type your message")?;
            let text = text.trim_end().to_owned();
            if text.is_empty() {
                return Err(Failure::usage("the message is empty"));
            }
            let request = SendText { connection_id: send.connection, text };
            output.result(&app.command::<MessagingSend>(request).await.map_err(command)?)?;
        }
        Command::List { connection } => {
            let request = ListMessages { connection_id: connection };
            output.result(&app.command::<MessagingList>(request).await.map_err(command)?)?;
        }
    }
    Ok(())
}

impl Show for Sent {
    fn show(&self, page: &mut Page) {
        page.line("Sent. Your vault delivers it, also while you are away.");
    }
}

impl Show for MessageList {
    fn show(&self, page: &mut Page) {
        if self.messages.is_empty() {
            page.line("No messages yet.");
        }
        for message in &self.messages {
            page.line(headline(message));
            page.block(&message.text);
        }
    }
}

fn headline(message: &MessageView) -> String {
    let at = minute(message.sent_at);
    match (message.direction, message.delivered_at) {
        (Direction::Received, _) => format!("{at}  received"),
        (Direction::Sent, Some(delivered)) => {
            format!("{at}  sent, delivered {}", minute(delivered))
        }
        (Direction::Sent, None) => format!("{at}  sent, not delivered yet"),
    }
}

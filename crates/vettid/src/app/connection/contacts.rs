//! Finding connections, the owner's own names and tags for them, and the comparison that makes them verified.

use super::super::Client;
use super::super::advice::command;
use super::One;
use crate::failure::Failure;
use crate::output::{Output, Page, Show};
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use vettid_wire::connection::{
    ConnectionState, LabelConnection, ListConnections, RevocationReason, Revoke, TagConnection,
};
use vettid_wire::event::{ConnectionLabel, ConnectionList, ConnectionRevoke, ConnectionTag, ConnectionVerify};
use vettid_wire::feed::Tag;
use vettid_wire::id::ConnectionId;

#[derive(Debug, Args)]
pub(in crate::app) struct Wanted {
    /// Only with this tag; may be given more than once
    #[arg(long, value_name = "TAG")]
    tag: Vec<Tag>,
    /// Only with this text in name, label or tags
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Only in this state
    #[arg(long, value_enum, value_name = "STATE")]
    in_state: Option<State>,
    /// Only those after this one, when there are many
    #[arg(long, value_name = "ID")]
    after: Option<ConnectionId>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum State {
    /// You answered an invitation; the other side has not reacted yet
    Requested,
    /// It waits for your decision
    Review,
    /// You accepted; the other side comes next
    Accepted,
    /// Both accepted
    Active,
    /// One of you said no
    Rejected,
    /// Nobody decided in time
    Expired,
    /// The handshake failed
    Failed,
    /// One of you ended it
    Ended,
}

impl From<State> for ConnectionState {
    fn from(state: State) -> Self {
        match state {
            State::Requested => Self::Requested,
            State::Review => Self::Review,
            State::Accepted => Self::Accepted,
            State::Active => Self::Active,
            State::Rejected => Self::Rejected,
            State::Expired => Self::Expired,
            State::Failed => Self::Aborted,
            State::Ended => Self::Revoked,
        }
    }
}

#[derive(Debug, Args)]
pub(in crate::app) struct Label {
    #[command(flatten)]
    one: One,
    /// Your name for it
    #[arg(value_name = "TEXT", required_unless_present = "remove")]
    text: Option<String>,
    /// Take your name off it
    #[arg(long, conflicts_with = "text")]
    remove: bool,
}

#[derive(Debug, Subcommand)]
pub(in crate::app) enum Tagging {
    /// Put tags on a connection
    #[command(after_help = "Example:\n  vettid app connection tag add ID choir friend")]
    Add(Tags),
    /// Take tags off a connection
    #[command(after_help = "Example:\n  vettid app connection tag remove ID friend")]
    Remove(Tags),
}

#[derive(Debug, Args)]
pub(in crate::app) struct Tags {
    #[command(flatten)]
    one: One,
    /// Letters in lower case, digits, - and _
    #[arg(value_name = "TAG", required = true)]
    tags: Vec<Tag>,
}

#[derive(Debug, Args)]
pub(in crate::app) struct Compared {
    #[command(flatten)]
    one: One,
    /// They are not the same: end the connection at once
    #[arg(long)]
    different: bool,
}

pub(super) async fn list(wanted: Wanted, app: &Client, output: Output) -> Result<(), Failure> {
    let request = ListConnections {
        text: wanted.search,
        tags: wanted.tag.into_iter().collect(),
        state: wanted.in_state.map(ConnectionState::from),
        after: wanted.after,
        limit: None,
    };
    Ok(output.result(&app.command::<ConnectionList>(request).await.map_err(command)?)?)
}

pub(super) async fn label(label: Label, app: &Client, output: Output) -> Result<(), Failure> {
    let request = LabelConnection { connection_id: label.one.connection, label: label.text };
    Ok(output.result(&app.command::<ConnectionLabel>(request).await.map_err(command)?)?)
}

pub(super) async fn tag(tagging: Tagging, app: &Client, output: Output) -> Result<(), Failure> {
    let (one, add, remove) = match tagging {
        Tagging::Add(tags) => (tags.one, tags.tags, vec![]),
        Tagging::Remove(tags) => (tags.one, vec![], tags.tags),
    };
    let [add, remove] = [add, remove].map(|tags| tags.into_iter().collect());
    let request = TagConnection { connection_id: one.connection, add, remove };
    Ok(output.result(&app.command::<ConnectionTag>(request).await.map_err(command)?)?)
}

pub(super) async fn verify(compared: Compared, app: &Client, output: Output) -> Result<(), Failure> {
    let connection_id = compared.one.connection;
    if compared.different {
        let request = Revoke { connection_id, reason: RevocationReason::KeyCompromise };
        return Ok(output.result(&app.command::<ConnectionRevoke>(request).await.map_err(command)?)?);
    }
    Ok(output.result(&app.command::<ConnectionVerify>(compared.one.reference()).await.map_err(command)?)?)
}

/// A connection may ask again.
#[derive(Serialize)]
pub(super) struct Unmuted {
    pub(super) unmuted: bool,
}

impl Show for Unmuted {
    fn show(&self, page: &mut Page) {
        page.line("It may ask you again.");
    }
}

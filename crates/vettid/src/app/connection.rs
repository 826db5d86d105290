//! `vettid app connection`: inviting, accepting, reviewing, deciding, verifying and ending connections.

mod contacts;
mod health;
mod invitations;
mod picture;
mod view;

pub(super) use view::{may, show_contract};

use super::advice::command;
use super::badge::{self, Badged};
use super::contract::Fill;
use super::{Client, input};
use crate::failure::Failure;
use crate::output::Output;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;
use vettid_wire::connection::{
    AcceptInvitation, ConnectionRef, Decide, Invite, PeerKind, RevocationReason, Revoke, RotateKeys,
};
use vettid_wire::event::{
    self, ConnectionAccept, ConnectionDecide, ConnectionInvite, ConnectionReview, ConnectionRevoke, ContractGet,
};
use vettid_wire::handshake::{Invitation, InvitationKind};
use vettid_wire::id::{ConnectionId, InviteId};
use vettid_wire::inventory::AskHealth;
use view::Fresh;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make an invitation; whoever gets it can answer it once
    #[command(after_help = "\
Examples:
  vettid app connection invite
  vettid app connection invite --label 'Bob, from work' --life 24h
  vettid app connection invite --life 24h --qr-png invitation.png

Up to 10m it is also shown as a QR code. Give link and picture only to the person you mean: the secret is in both, so a
file of it is written for your eyes only and never over another one.")]
    Invite(InviteOptions),
    /// List the invitations that nobody has answered yet
    #[command(after_help = "Example:\n  vettid app connection invitations")]
    Invitations,
    /// Take an invitation back that nobody has answered yet
    #[command(after_help = "\
Example:
  vettid app connection uninvite INVITATION

Its link and QR code lead nowhere from then on. Who has answered already waits for your decision: vettid app connection list")]
    Uninvite {
        /// Which one, as the list of invitations names it
        #[arg(value_name = "INVITATION")]
        invitation: InviteId,
    },
    /// Answer an invitation; the link comes from standard input or a file
    #[command(after_help = "\
Examples:
  vettid app connection accept < link.txt
  vettid app connection accept --link-file link.txt --in-person")]
    Accept(Accept),
    /// List your connections, all or those that fit
    #[command(after_help = "\
Examples:
  vettid app connection list
  vettid app connection list --in-state active --tag choir
  vettid app connection list --search bob")]
    List(contacts::Wanted),
    /// Give a connection a name of your own; the other side never sees it
    #[command(after_help = "\
Examples:
  vettid app connection label ID 'Bob from the choir'
  vettid app connection label ID --remove")]
    Label(contacts::Label),
    /// Tag a connection; the other side never sees it
    #[command(subcommand)]
    Tag(contacts::Tagging),
    /// Let a connection ask again that is silent because you denied it three times
    #[command(after_help = "Example:\n  vettid app connection unmute ID")]
    Unmute(One),
    /// Show one connection: who it is, what it asks, how to check it
    #[command(after_help = "Example:\n  vettid app connection review ID")]
    Review(One),
    /// Accept or reject a connection that waits for you
    #[command(after_help = "\
Examples:
  vettid app connection decide ID --accept
  vettid app connection decide ID --accept --optional email,birthday
  vettid app connection decide ID --accept --set address=@address.txt
  vettid app connection decide ID --accept --fill
  vettid app connection decide ID --reject

What the contract of a service needs and you have not stored is stored first: from standard input, a file (FIELD=@FILE) or a question
(--fill), never from the command line.")]
    Decide(Decision),
    /// Say whether safety number or symbols are the same on both sides
    #[command(after_help = "\
Examples:
  vettid app connection verify ID
  vettid app connection verify ID --different

Compare in person or by voice, never in the connection itself. If they differ, somebody sits between the two of you:
--different ends the connection at once.")]
    Verify(contacts::Compared),
    /// How your connections are kept: age of keys, access to the other side's broker, last traffic
    #[command(after_help = "\
Examples:
  vettid app connection health
  vettid app connection health ID
  vettid app --json connection health ID")]
    Health(Health),
    /// Make new keys on a connection at once, for instance because somebody may know the present ones
    #[command(after_help = "\
Examples:
  vettid app connection rekey ID
  vettid app connection rekey --all

Keys are renewed by themselves every 7 days or 1,000 messages. The new ones are used as soon as the other side has
answered; connections that did not answer an earlier rotation yet are listed.")]
    Rekey(Rekey),
    /// End a connection at once
    #[command(after_help = "Example:\n  vettid app connection revoke ID --reason user-requested")]
    Revoke(End),
}

#[derive(Debug, Args)]
pub(super) struct InviteOptions {
    /// A note for your own list
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// How long it can be answered, up to 24h
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = input::seconds)]
    life: u32,
    /// Write the QR code into this new file, as PNG
    #[arg(long, value_name = "FILE")]
    qr_png: Option<PathBuf>,
    /// Write the QR code into this new file, as SVG
    #[arg(long, value_name = "FILE")]
    qr_svg: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Accept {
    /// Read the link from this file instead of standard input
    #[arg(long, value_name = "FILE")]
    link_file: Option<PathBuf>,
    /// You scanned it from the other person's own screen; the connection counts as verified
    #[arg(long)]
    in_person: bool,
}

#[derive(Debug, Args)]
pub(super) struct One {
    /// The connection, from `vettid app connection list`
    #[arg(value_name = "ID")]
    connection: ConnectionId,
}

#[derive(Debug, Args)]
pub(super) struct Decision {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    answer: Answer,
    /// Of a service's contract: the optional fields that you agree to
    #[arg(long, value_name = "FIELDS", value_delimiter = ',', conflicts_with = "reject")]
    optional: Vec<String>,
    #[command(flatten)]
    fill: Fill,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Answer {
    /// Accept it
    #[arg(long)]
    accept: bool,
    /// Reject it
    #[arg(long)]
    reject: bool,
}

#[derive(Debug, Args)]
pub(super) struct Health {
    /// The connection, from `vettid app connection list`; without it, all active ones
    #[arg(value_name = "ID")]
    connection: Option<ConnectionId>,
    /// Only those after this one, when there are many
    #[arg(long, value_name = "ID", conflicts_with = "connection")]
    after: Option<ConnectionId>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Rekey {
    /// The connection, from `vettid app connection list`
    #[arg(value_name = "ID")]
    connection: Option<ConnectionId>,
    /// All active connections
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Args)]
pub(super) struct End {
    #[command(flatten)]
    one: One,
    /// Told to the other side
    #[arg(long, value_enum)]
    reason: Reason,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Reason {
    UserRequested,
    KeyCompromise,
    ContractRejected,
}

pub(super) async fn run(wanted: Command, app: &Client, output: Output) -> Result<(), Failure> {
    match wanted {
        Command::Invite(options) => invite(options, app, output).await,
        Command::Invitations => invitations::list(app, output).await,
        Command::Uninvite { invitation } => invitations::take_back(invitation, app, output).await,
        Command::Accept(accept) => {
            let request = AcceptInvitation { link: link(&accept)?, in_person: accept.in_person };
            Ok(output.result(&app.command::<ConnectionAccept>(request).await.map_err(command)?)?)
        }
        Command::List(wanted) => contacts::list(wanted, app, output).await,
        Command::Label(label) => contacts::label(label, app, output).await,
        Command::Tag(tagging) => contacts::tag(tagging, app, output).await,
        Command::Unmute(one) => {
            app.command::<event::ConnectionUnmute>(one.reference()).await.map_err(command)?;
            Ok(output.result(&contacts::Unmuted { unmuted: true })?)
        }
        Command::Review(one) => {
            let view = app.command::<ConnectionReview>(one.reference()).await.map_err(command)?;
            let badge = badge::of_view(&view, app).await?;
            let contract = view.contract.clone().filter(|_| view.kind == PeerKind::Service);
            Ok(output.result(&Badged::new(view, badge).compared(contract.as_ref(), app).await?)?)
        }
        Command::Decide(decision) => {
            decision.fill(app, output).await?;
            Ok(output.result(&app.command::<ConnectionDecide>(decision.request()).await.map_err(command)?)?)
        }
        Command::Verify(compared) => contacts::verify(compared, app, output).await,
        Command::Health(wanted) => {
            let request = AskHealth { connection_id: wanted.connection, after: wanted.after };
            Ok(output.result(&app.command::<event::AskHealth>(request).await.map_err(command)?)?)
        }
        Command::Rekey(wanted) => {
            let request = RotateKeys { connection_id: wanted.connection };
            let report = app.command::<event::RotateKeys>(request).await.map_err(command)?;
            Ok(output.result(&view::Rotation::new(report, wanted.all))?)
        }
        Command::Revoke(end) => {
            Ok(output.result(&app.command::<ConnectionRevoke>(end.request()).await.map_err(command)?)?)
        }
    }
}

async fn invite(options: InviteOptions, app: &Client, output: Output) -> Result<(), Failure> {
    let request = Invite { label: options.label, life_seconds: Some(options.life) };
    let invited = app.command::<ConnectionInvite>(request).await.map_err(command)?;
    let code = picture::code(&invited.link)?;
    if let Some(path) = &options.qr_png {
        picture::write_png(&code, path)?;
    }
    if let Some(path) = &options.qr_svg {
        picture::write_svg(&code, path)?;
    }
    let files = [options.qr_png, options.qr_svg].into_iter().flatten().collect();
    Ok(output.result(&Fresh::new(invited, options.life, &code, files))?)
}

/// The link, after a look at it: what is not an invitation for a connection never leaves this machine.
fn link(accept: &Accept) -> Result<String, Failure> {
    let text = input::line(accept.link_file.as_deref(), "Paste the link of the invitation, then Enter")?;
    let invitation = Invitation::read(&text).map_err(super::advice::invitation)?;
    if invitation.kind == InvitationKind::Enroll {
        let failure = Failure::usage("this code enrols an app; it is not an invitation for a connection");
        return Err(failure.next("to enrol this app: vettid app enroll --code-file FILE"));
    }
    Ok(text.to_string())
}

impl One {
    fn reference(self) -> ConnectionRef {
        ConnectionRef { connection_id: self.connection }
    }
}

impl Decision {
    /// Stores what the contract of a service needs and was given, before the yes; tells what is missing.
    async fn fill(&self, app: &Client, output: Output) -> Result<(), Failure> {
        if !self.answer.accept {
            let unused = Failure::usage("nothing is stored for a connection that is rejected");
            return if self.fill.is_wanted() { Err(unused.next("leave out --set and --fill")) } else { Ok(()) };
        }
        let connection_id = self.one.connection;
        let asked = ConnectionRef { connection_id };
        let view = app.command::<ConnectionReview>(asked).await.map_err(command)?;
        if view.kind != PeerKind::Service {
            let unused = Failure::usage("this is not a service: it has no contract that needs data");
            return if self.fill.is_wanted() { Err(unused.next("leave out --set and --fill")) } else { Ok(()) };
        }
        // The view of the contract names missing optional fields, too.
        let asked = ConnectionRef { connection_id };
        let view = app.command::<ContractGet>(asked).await.map_err(command)?;
        let Some(offered) = view.offered else { return Ok(()) };
        self.fill.run(&offered.contract, &self.optional, &view.missing_fields, app, output).await
    }

    fn request(self) -> Decide {
        Decide { connection_id: self.one.connection, accept: self.answer.accept, optional_fields: self.optional }
    }
}

impl End {
    fn request(self) -> Revoke {
        let reason = match self.reason {
            Reason::UserRequested => RevocationReason::UserRequested,
            Reason::KeyCompromise => RevocationReason::KeyCompromise,
            Reason::ContractRejected => RevocationReason::ContractRejected,
        };
        Revoke { connection_id: self.one.connection, reason }
    }
}

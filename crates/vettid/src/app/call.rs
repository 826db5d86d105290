//! `vettid app call`: the signalling of calls, for programs that bring the media. What they say to each other comes from standard input
//! or a file, never from the command line.

use super::advice;
use super::{Client, input};
use crate::failure::{Exit, Failure};
use crate::output::{Output, Page, Show, length, minute};
use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use std::path::{Path, PathBuf};
use vettid_client::call::CallWatched;
use vettid_client::command::CommandError;
use vettid_wire::call::{
    AddCandidates, CallDetail, CallList, CallRef, CallSettings, CallState, CallView, Candidate, Description, EndReason,
    ListCalls, MAX_CANDIDATES_BYTES, MAX_DESCRIPTION_BYTES, MAX_LISTED, MayRing, PlaceCall, SetCalls, TakeCall,
};
use vettid_wire::event::{
    AddCandidates as AddRow, CallGet, CallList as ListRow, CallSettings as SettingsRow, DeclineCall, HangUpCall,
    PlaceCall as PlaceRow, TakeCall as TakeRow,
};
use vettid_wire::id::{CallId, ConnectionId};
use vettid_wire::refusal::RefusalCode;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Call a connected member, with your side's description (SDP) from standard input or a file
    #[command(after_help = "\
Examples:
  vettid app call offer CONNECTION --sdp-file offer.sdp
  my-phone describe | vettid app --json call offer CONNECTION

Prints the id of the call. It rings for 45 seconds; `vettid app call watch` shows what becomes of it.")]
    Offer {
        /// Whom to call
        #[arg(value_name = "CONNECTION")]
        connection: ConnectionId,
        #[command(flatten)]
        sdp: Sdp,
    },
    /// Answer the call that rings, with your side's description (SDP) from standard input or a file
    #[command(after_help = "Example:\n  vettid app call answer CALL --sdp-file answer.sdp")]
    Answer {
        #[command(flatten)]
        call: Named,
        #[command(flatten)]
        sdp: Sdp,
    },
    /// Do not take the call that rings
    #[command(after_help = "Example:\n  vettid app call decline CALL")]
    Decline(Named),
    /// Give the other side further ways to reach you: one candidate in each line of standard input or a file
    #[command(after_help = "\
Examples:
  my-phone candidates | vettid app call candidate CALL
  vettid app call candidate CALL --candidates-file candidates.txt")]
    Candidate {
        #[command(flatten)]
        call: Named,
        /// Read the candidates from this file instead of standard input
        #[arg(long, value_name = "FILE")]
        candidates_file: Option<PathBuf>,
    },
    /// End a call
    #[command(after_help = "Example:\n  vettid app call hang-up CALL")]
    HangUp(Named),
    /// Show one call, and while it lasts what the other side said
    #[command(after_help = "Example:\n  vettid app --json call show CALL")]
    Show(Named),
    /// List calls, newest first
    #[command(after_help = "\
Examples:
  vettid app call list
  vettid app call list --with CONNECTION --limit 5")]
    List {
        /// Only calls with this connection
        #[arg(long, value_name = "CONNECTION")]
        with: Option<ConnectionId>,
        /// At most this many
        #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_LISTED)))]
        limit: u32,
    },
    /// Stay connected and show each change of a call as it happens
    #[command(after_help = "\
Examples:
  vettid app call watch
  vettid app --json call watch | my-phone

Prints one call per line with --json: its state, and everything the other side said so far. Ends with Ctrl-C.")]
    Watch,
    /// Show or change who may ring, and when nobody may
    #[command(after_help = "\
Examples:
  vettid app call settings
  vettid app call settings --with CONNECTION --may-ring always
  vettid app call settings --quiet-for 8h
  vettid app call settings --quiet-for off

A connection may ring once it is verified, unless you say otherwise. While it is quiet, and before a connection is
verified, nothing rings and you are told of each call. The caller cannot tell any of this from a vault that is away.")]
    Settings {
        /// The connection that `--may-ring` is about
        #[arg(long, value_name = "CONNECTION")]
        with: Option<ConnectionId>,
        /// Whether it may ring
        #[arg(long, value_name = "WHEN", requires = "with")]
        may_ring: Option<Ring>,
        /// How long nothing rings, such as 30m or 8h, or off
        #[arg(long, value_name = "TIME", value_parser = quiet)]
        quiet_for: Option<u32>,
    },
}

/// One call.
#[derive(Debug, Args)]
pub(super) struct Named {
    /// The call
    #[arg(value_name = "CALL")]
    call: CallId,
}

#[derive(Debug, Args)]
pub(super) struct Sdp {
    /// Read the description from this file instead of standard input
    #[arg(long, value_name = "FILE")]
    sdp_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Ring {
    /// Once the connection is verified
    Verified,
    /// Always
    Always,
    /// Never; you hear nothing of its calls
    Never,
}

impl From<Ring> for MayRing {
    fn from(ring: Ring) -> Self {
        match ring {
            Ring::Verified => Self::Verified,
            Ring::Always => Self::Always,
            Ring::Never => Self::Never,
        }
    }
}

impl From<Named> for CallRef {
    fn from(named: Named) -> Self {
        Self { call_id: named.call }
    }
}

/// A length of time in seconds; 0 for `off`.
fn quiet(text: &str) -> Result<u32, String> {
    if text == "off" { Ok(0) } else { input::seconds(text) }
}

pub(super) async fn run(wanted: Command, app: &Client, output: Output) -> Result<(), Failure> {
    let view = match wanted {
        Command::Offer { connection, sdp } => {
            let description = sdp.read()?;
            let request = PlaceCall { call_id: app.fresh_call_id(), connection_id: connection, description };
            app.command::<PlaceRow>(request).await
        }
        Command::Answer { call, sdp } => {
            app.command::<TakeRow>(TakeCall { call_id: call.call, description: sdp.read()? }).await
        }
        Command::Decline(call) => app.command::<DeclineCall>(call.into()).await,
        Command::HangUp(call) => app.command::<HangUpCall>(call.into()).await,
        Command::Candidate { call, candidates_file } => {
            let candidates = candidates(candidates_file.as_deref())?;
            app.command::<AddRow>(AddCandidates { call_id: call.call, candidates }).await
        }
        Command::Show(call) => {
            return Ok(output.result(&app.command::<CallGet>(call.into()).await.map_err(failure)?)?);
        }
        Command::List { with, limit } => {
            let request = ListCalls { connection_id: with, limit };
            return Ok(output.result(&app.command::<ListRow>(request).await.map_err(failure)?)?);
        }
        Command::Watch => return watch(app, output).await,
        Command::Settings { with, may_ring, quiet_for } => {
            let quiet_until = quiet_for.map(|seconds| app.after_ms(i64::from(seconds) * 1000));
            let request = SetCalls { connection_id: with, may_ring: may_ring.map(Into::into), quiet_until };
            return Ok(output.result(&app.command::<SettingsRow>(request).await.map_err(failure)?)?);
        }
    };
    Ok(output.result(&view.map_err(failure)?)?)
}

async fn watch(app: &Client, output: Output) -> Result<(), Failure> {
    let interrupted = tokio::signal::ctrl_c();
    let mut watch = app.watch_calls();
    tokio::pin!(interrupted);
    loop {
        tokio::select! {
            end = &mut interrupted => {
                end.context("the signal cannot be waited for")?;
                return Ok(());
            }
            watched = watch.next() => match watched.map_err(advice::command)? {
                CallWatched::Call(detail) => output.result(&*detail)?,
                CallWatched::Connected => output.remark("Connected. Waiting for calls; Ctrl-C ends.")?,
                CallWatched::Away { error, retry_ms } => {
                    output.remark(&format!("Not connected ({error}). Next try in {}.", length(retry_ms)))?;
                }
            },
        }
    }
}

impl Sdp {
    fn read(&self) -> Result<Description, Failure> {
        let text = input::text(self.sdp_file.as_deref(), MAX_DESCRIPTION_BYTES, "The description of your side")?;
        Description::new(text.to_string()).map_err(Failure::usage)
    }
}

/// One in each line.
fn candidates(file: Option<&Path>) -> Result<Vec<Candidate>, Failure> {
    let text = input::text(file, 2 * MAX_CANDIDATES_BYTES, "One candidate in each line")?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let candidates = lines.map(|line| Candidate::new(line.to_owned())).collect::<Result<Vec<_>, _>>();
    match candidates.map_err(Failure::usage)? {
        none if none.is_empty() => Err(Failure::usage("there is no candidate in the input")),
        candidates => Ok(candidates),
    }
}

fn failure(error: CommandError) -> Failure {
    let next = match &error {
        CommandError::Refused { code: RefusalCode::NotAllowed, .. } => {
            Some("you are in another call, or this one does not ring; see: vettid app call list")
        }
        CommandError::Refused { code: RefusalCode::NotFound, .. } => {
            Some("there is no such call any more; see: vettid app call list")
        }
        _ => None,
    };
    match next {
        Some(next) => Failure::new(Exit::Refused, error.to_string()).next(next),
        None => advice::command(error),
    }
}

fn state(call: &CallView) -> &'static str {
    match (call.state, call.reason) {
        (CallState::Calling, _) => "calling",
        (CallState::RingingThere, _) => "ringing there",
        (CallState::Ringing, _) => "ringing",
        (CallState::Answered, _) => "answered, waiting for the other side",
        (CallState::Connected, _) => "connected",
        (CallState::Ended, None | Some(EndReason::HungUp)) => "ended",
        (CallState::Ended, Some(EndReason::Declined)) => "declined",
        (CallState::Ended, Some(EndReason::Busy)) => "busy",
        (CallState::Ended, Some(EndReason::TimedOut)) => "timed out",
        (CallState::Ended, Some(EndReason::NotReachable)) => "not reachable",
        (CallState::Ended, Some(EndReason::Crossed)) => "crossed another call",
        (CallState::Ended, Some(EndReason::Failed)) => "failed",
        (CallState::Ended, Some(EndReason::Revoked)) => "ended with the connection",
    }
}

fn headline(call: &CallView) -> String {
    let direction = if call.is_outgoing { "to" } else { "of" };
    format!("Call {direction} {}: {}", call.display_name, state(call))
}

/// How long the two were connected.
fn lasted(call: &CallView) -> Option<String> {
    let (from, to) = (call.connected_at?, call.ended_at?);
    Some(length(to.since_ms(from)))
}

impl Show for CallView {
    fn show(&self, page: &mut Page) {
        page.line(headline(self));
        page.field("call", self.call_id.to_string());
        page.field("placed", minute(self.placed_at));
        lasted(self).iter().for_each(|lasted| page.field("connected for", lasted));
    }
}

impl Show for CallDetail {
    fn show(&self, page: &mut Page) {
        self.call.show(page);
        if let Some(description) = &self.description {
            page.line("  the other side:");
            page.block(description.expose());
        }
        self.candidates.iter().for_each(|candidate| page.block(candidate.expose()));
    }
}

impl Show for CallList {
    fn show(&self, page: &mut Page) {
        if self.calls.is_empty() {
            page.line("No calls yet.");
            return;
        }
        let row = |call: &CallView| {
            let direction = if call.is_outgoing { "to" } else { "from" };
            let state = lasted(call).unwrap_or_else(|| state(call).to_owned());
            [minute(call.placed_at), format!("{direction} {}", call.display_name), state, call.call_id.to_string()]
        };
        let rows: Vec<_> = self.calls.iter().map(row).collect();
        page.table(["PLACED", "WITH", "CALL", "ID"], &rows);
    }
}

impl Show for CallSettings {
    fn show(&self, page: &mut Page) {
        let quiet = self.quiet_until.map_or_else(|| "no".to_owned(), |until| format!("until {}", minute(until)));
        page.field("quiet", quiet);
        if let Some(may_ring) = self.may_ring {
            page.field(
                "may ring",
                match may_ring {
                    MayRing::Verified => "once the connection is verified",
                    MayRing::Always => "always",
                    MayRing::Never => "never",
                },
            );
        }
    }
}

//! `vettid app`: the member's app in a terminal. Each noun has its own file; this one picks the state and opens the app.

mod advice;
mod agreement;
mod authorisation;
mod badge;
mod call;
mod connection;
mod contract;
mod credential;
mod data;
mod enroll;
mod export;
mod feed;
mod file;
mod input;
pub(crate) mod keys;
mod location;
mod lock;
mod login;
mod member_api;
mod message;
mod password;
mod ports;
pub(crate) mod private_file;
mod profile;
mod record;
mod recovery;
mod registry;
mod request;
mod rule;
mod secret;
mod service_message;
mod services;
mod session;
mod settled;
mod status;
mod stored;
mod transaction;
mod transport;
mod watch;

use crate::failure::Failure;
use crate::output::Output;
use crate::surroundings::Surroundings;
use clap::{Args, Subcommand};
use ports::Ports;
use std::path::PathBuf;
use vettid_client::app::App;

/// The app with real ports.
type Client = App<Ports>;

/// Options of every `vettid app` command.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Folder in which apps keep their state [default: $XDG_DATA_HOME/vettid/app]
    #[arg(long, global = true, value_name = "DIR", help_heading = HEADING)]
    state: Option<PathBuf>,
    /// Which app: each profile is enrolled on its own
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        default_value = "default",
        value_parser = input::profile_name,
        help_heading = HEADING
    )]
    profile: String,
    /// Certificate authority (PEM) of services and broker; kept from enrolment on
    #[arg(long, global = true, value_name = "FILE", help_heading = HEADING)]
    ca_file: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

const HEADING: &str = "Options of every app command";

const EXAMPLES: &str = "\
Examples:
  vettid app enroll --code-file code.txt
  vettid app profile set --name Alice
  vettid app connection invite
  vettid app --profile bob connection accept < link.txt
  vettid app --json connection list

Exit codes: see `vettid --help`.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Make this app yours: enrol it with the code from the portal
    Enroll(enroll::Arguments),
    /// What your connections see of you
    #[command(subcommand)]
    Profile(profile::Command),
    /// Your personal data, field by field
    #[command(subcommand)]
    Data(data::Command),
    /// The lock of your critical secrets: your Vault Credential
    #[command(subcommand)]
    Credential(credential::Command),
    /// The password of your Vault Credential
    #[command(subcommand)]
    Password(password::Command),
    /// Your critical secrets: seed phrases, keys, passwords
    #[command(subcommand)]
    Secret(secret::Command),
    /// People and services you are connected with
    #[command(subcommand)]
    Connection(connection::Command),
    /// Your contracts with services: what each may have, and new versions
    #[command(subcommand)]
    Contract(contract::Command),
    /// What services stored with you
    #[command(subcommand)]
    Stored(stored::Command),
    /// Messages with your connections
    #[command(subcommand)]
    Message(message::Command),
    /// What services wrote to you, and whom you muted
    #[command(subcommand)]
    ServiceMessage(service_message::Command),
    /// Calls with your connections: who rings, and what their apps need to find each other
    #[command(subcommand)]
    Call(call::Command),
    /// Where you are, shown to a connection for a while, and where they are
    #[command(subcommand)]
    Location(location::Command),
    /// Files to and from your connections
    #[command(subcommand)]
    File(file::Command),
    /// What waits for your decision, and requests between you and other members
    #[command(subcommand)]
    Request(request::Command),
    /// Log in with VettID: open the link of a page
    #[command(subcommand)]
    Login(login::Command),
    /// The browsers that log you in without the link
    #[command(subcommand)]
    Browser(login::Browsers),
    /// Fixed terms between you and another member: yes or no
    #[command(subcommand)]
    Transaction(transaction::Command),
    /// What you consented to, and taking it back
    #[command(subcommand)]
    Consent(authorisation::Consent),
    /// Signed records of what you agreed on
    #[command(subcommand)]
    Record(record::Command),
    /// Your rules: what your vault answers without asking you, and what never
    #[command(subcommand)]
    Rule(rule::Command),
    /// What happened, newest first
    #[command(subcommand)]
    Feed(feed::Command),
    /// The record of everything your vault did
    #[command(subcommand)]
    Audit(export::Command),
    /// The phrase that brings your credential back on a new device
    #[command(subcommand)]
    Recovery(recovery::Command),
    /// This app's session with your vault
    #[command(subcommand)]
    Session(session::Command),
    /// Lock your vault now, or set its PIN and password
    Lock(lock::LockArguments),
    /// Unlock your vault with PIN or password
    Unlock(lock::UnlockArguments),
    /// Every key pair of your vault: what it is for, its age, when it changes
    #[command(after_help = keys::EXAMPLES)]
    Keys(keys::Arguments),
    /// The registry that tells you who services are: whose word your app takes
    #[command(after_help = registry::EXAMPLES)]
    Registry(registry::Arguments),
    /// How your vault is
    #[command(after_help = status::EXAMPLES)]
    Status,
    /// Stay connected and show what happens
    #[command(after_help = watch::EXAMPLES)]
    Watch,
}

/// Runs one command of the app.
pub(crate) async fn run(arguments: Arguments, surroundings: &Surroundings, output: Output) -> Result<(), Failure> {
    let trust = arguments.ca_file.as_deref().map(input::certificate_file).transpose()?;
    let app = Client::new(Ports::open(&folder(&arguments, surroundings)?)?, trust);
    let changes_container = match &arguments.command {
        Command::Credential(_) | Command::Password(_) | Command::Secret(_) | Command::Session(_) => true,
        Command::Request(_) | Command::Transaction(_) => true,
        Command::Lock(lock) => lock.changes_container(),
        _ => false,
    };
    let outcome = dispatch(arguments.command, &app, output).await;
    if changes_container {
        recovery::keep_up(&app, output).await?;
    }
    for settled in app.take_settled() {
        output.notice(&settled::View::from(settled))?;
    }
    outcome
}

async fn dispatch(command: Command, app: &Client, output: Output) -> Result<(), Failure> {
    match command {
        Command::Enroll(command) => enroll::run(command, app, output).await,
        Command::Profile(command) => profile::run(command, app, output).await,
        Command::Data(command) => data::run(command, app, output).await,
        Command::Credential(command) => credential::run(command, app, output).await,
        Command::Password(command) => password::run(command, app, output).await,
        Command::Secret(command) => secret::run(command, app, output).await,
        Command::Connection(command) => connection::run(command, app, output).await,
        Command::Contract(command) => contract::run(command, app, output).await,
        Command::Stored(command) => stored::run(command, app, output).await,
        Command::Message(command) => message::run(command, app, output).await,
        Command::ServiceMessage(command) => service_message::run(command, app, output).await,
        Command::Call(command) => call::run(command, app, output).await,
        Command::Location(command) => location::run(command, app, output).await,
        Command::File(command) => file::run(command, app, output).await,
        Command::Request(command) => request::run(command, app, output).await,
        Command::Login(command) => login::run(command, app, output).await,
        Command::Browser(command) => login::browsers(command, app, output).await,
        Command::Transaction(command) => transaction::run(command, app, output).await,
        Command::Consent(command) => authorisation::consent(command, app, output).await,
        Command::Record(command) => record::run(command, app, output).await,
        Command::Rule(command) => rule::run(command, app, output).await,
        Command::Feed(command) => feed::run(command, app, output).await,
        Command::Audit(command) => export::run(command, app, output).await,
        Command::Recovery(command) => recovery::run(command, app, output).await,
        Command::Session(command) => session::run(command, app, output).await,
        Command::Lock(arguments) => lock::run(arguments, app, output).await,
        Command::Unlock(arguments) => lock::unlock(arguments, app, output).await,
        Command::Keys(arguments) => keys::run(app, arguments, output).await,
        Command::Registry(arguments) => registry::run(app, arguments, output).await,
        Command::Status => status::run(app, output).await,
        Command::Watch => watch::run(app, output).await,
    }
}

/// The folder of the chosen profile.
fn folder(arguments: &Arguments, surroundings: &Surroundings) -> Result<PathBuf, Failure> {
    let default = || surroundings.data_home.as_ref().map(|home| home.join("vettid/app"));
    let state = arguments.state.clone().or_else(default);
    let state = state.ok_or_else(|| {
        Failure::usage("there is no home folder in which to keep the app's state").next("name one with --state DIR")
    })?;
    Ok(state.join(&arguments.profile))
}

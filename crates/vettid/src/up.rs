//! `vettid up`: everything on one machine, on loopback: broker, services, registry, two vaults and the examples' gateways. A
//! second start goes on with the same data. `--demo` plays the main job and succeeds only if each outcome was seen at the
//! other party.

mod actors;
mod demo;
mod example;
mod people;
mod ports;
mod process;
mod stack;

use crate::failure::Failure;
use anyhow::{Context as _, Result};
use people::{People, Person};
use stack::{Stack, StackPlan};
use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};

/// Options of `vettid up`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vettid up
  vettid up --data ~/vettid-demo
  vettid up --demo
  vettid up --demo --step      # waits for Enter before each step")]
pub(crate) struct Arguments {
    /// Folder that keeps everything; a second start goes on with it
    #[arg(long, value_name = "DIR", default_value = "vettid-data")]
    data: PathBuf,
    /// The `nats-server` program, 2.12 or newer
    #[arg(long, value_name = "FILE", default_value = "nats-server")]
    nats_server: PathBuf,
    /// Look up the domains of services at this DNS server; without it, at those of the system
    #[arg(long, value_name = "ADDRESS")]
    dns_server: Vec<SocketAddr>,
    /// What the processes log, such as `debug`
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log: String,
    /// Play the main job in the terminal, then stop
    #[arg(long)]
    demo: bool,
    /// Wait for Enter before each step of the demo
    #[arg(long, requires = "demo")]
    step: bool,
}

/// Runs until Ctrl-C, or until the demo is through.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    Ok(up(arguments).await?)
}

async fn up(arguments: Arguments) -> Result<()> {
    let _lock = lock(&arguments.data)?;
    let Arguments { data, nats_server, log, dns_server, .. } = &arguments;
    let plan = StackPlan::new(data, nats_server, log, dns_server)?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let told = async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    };
    tokio::pin!(told);
    say("Starting VettID on this machine …")?;
    let mut stack = tokio::select! {
        stack = Stack::start(plan) => stack?,
        () = &mut told => return Ok(()),
    };
    let outcome = tokio::select! {
        outcome = serve(&mut stack, &arguments) => outcome,
        () = &mut told => {
            say("\nStopping …")?;
            Ok(())
        }
    };
    stack.stop().await?;
    outcome
}

async fn serve(stack: &mut Stack, arguments: &Arguments) -> Result<()> {
    let people = People::open(stack).await?;
    if arguments.demo {
        say(&places(stack))?;
        return demo::play(stack, &people, arguments.step).await;
    }
    say(&welcome(stack, &people))?;
    tokio::select! {
        ended = stack.first_to_end() => anyhow::bail!("{ended}"),
        failed = people.remove_used_codes() => failed,
    }
}

/// One start at a time for one folder.
fn lock(data: &PathBuf) -> Result<File> {
    std::fs::create_dir_all(data).with_context(|| format!("cannot make {}", data.display()))?;
    let path = data.join("up.lock");
    let file = File::create(&path).with_context(|| format!("cannot open {}", path.display()))?;
    file.try_lock()
        .with_context(|| format!("another `vettid up` uses {}; stop it, or choose another --data", data.display()))?;
    Ok(file)
}

/// What runs where, and what had to move.
fn places(stack: &Stack) -> String {
    let mut text = format!(
        "\nVettID runs on this machine. Everything listens on loopback only.\n\n\
         \x20 broker      {}\n\x20 web socket  wss://127.0.0.1:{}\n\x20 services    {}   (HTTP API and registry)\n\
         \x20 vaults      host-1, host-2\n",
        stack.nats(),
        stack.websocket(),
        stack.url(),
    );
    for (example, url) in stack.examples() {
        text.push_str(&format!("  demo {:<6} {url}\n", example.name));
    }
    text.push_str(&format!("  data, logs  {}\n", stack.folder().display()));
    for moved in stack.moved() {
        text.push_str(&format!("\nNote: {moved}.\n"));
    }
    text
}

/// What runs where, and what to type next.
fn welcome(stack: &Stack, people: &People) -> String {
    let mut text = places(stack);
    for person in people.all() {
        text.push_str(&enrolment_hint(stack, person));
    }
    text.push_str("\nPress Ctrl-C to stop. Start again with the same --data to go on.\n");
    text
}

fn enrolment_hint(stack: &Stack, person: &Person) -> String {
    let app = format!("{} app --state {} --profile {}", program(), stack.people_folder().display(), person.name);
    match &person.code_file {
        Some(code) => format!(
            "\n{}'s vault is ready for its app (the code dies in ten minutes):\n  {app} --ca-file {} enroll --code-file {}\n",
            person.title,
            stack.ca_file().display(),
            code.display(),
        ),
        None => format!("\n{}'s app is enrolled:\n  {app} status\n", person.title),
    }
}

/// This program, as it was called.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "vettid".into())
}

/// A line for people.
fn say(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

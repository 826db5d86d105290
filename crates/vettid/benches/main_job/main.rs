//! The main job, measured on the real configuration: broker with TLS, encryption at rest and a sync for each write;
//! services, a host with two vaults, a gateway. What it is held against is measured on the same server, in the same rounds.
//! A figure never stands for something that did not happen: each answer is checked, and one wrong answer ends the run.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock and its own surroundings")]

mod app;
mod arguments;
#[expect(dead_code, reason = "the bench under load looks at one process")]
mod busy;
mod figures;
#[expect(dead_code, reason = "the benchmark does not ask how far an enrolment is")]
#[path = "../../src/https.rs"]
mod https;
mod measured;
mod pairs;
mod parties;
mod raw;
mod raw_post;
mod report;
mod rounds;
mod sealing;
mod stack;

use anyhow::{Context as _, Result};
use arguments::Arguments;
use measured::{Measured, Starts};
use parties::Parties;
use raw::Raw;
use stack::Stack;
use std::process::ExitCode;
use std::time::Instant;
use zeroizing_alloc::ZeroAlloc;

/// As in the program: every piece of memory that is given back is wiped.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<std::alloc::System> = ZeroAlloc(std::alloc::System);

fn main() -> ExitCode {
    match arguments::read().and_then(|arguments| arguments.map_or(Ok(()), run)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = report::say(&format!("the benchmark failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    report::log(arguments.log.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    let measured = runtime.block_on(measure(&arguments))?;
    report::print(&measured)?;
    let path = report::write(&measured)?;
    report::say(&format!("\nwritten to {}", path.display()))
}

async fn measure(arguments: &Arguments) -> Result<Measured> {
    let folder = tempfile::tempdir()?;
    report::say("starting broker, services, host and gateway, enrolling two apps, connecting …")?;
    let stack = Stack::start(folder.path()).await?;
    let first = stack.took();
    let (parties, raw) = (Parties::meet(&stack).await?, Raw::open(&stack).await?);
    let shop = parties.shop();
    let samples = rounds::play(&stack, parties, raw, arguments).await?;
    report::say("starting everything again …")?;
    let stack = stack.start_again().await?;
    let (later, begin) = (stack.took(), Instant::now());
    shop.read(stack.gateway()).await.context("after the second start")?;
    let served = later + begin.elapsed();
    stack.stop().await?;
    Ok(Measured { samples, starts: Starts { first, later, served } })
}

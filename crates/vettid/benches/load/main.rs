//! A service with a thousand members under load: how many reads a core of the vaults' host serves, how long a read takes at half of
//! that, and what an honest service feels while another one floods. Broker, services and host are processes of their own; each
//! answer is checked, and one wrong answer ends the run.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock and its surroundings, and stops at the first surprise"
)]

mod bare;
#[expect(dead_code, reason = "the main job counts all processes together")]
#[path = "../main_job/busy.rs"]
mod busy;
mod drive;
#[expect(dead_code, reason = "the main job has works of its own")]
#[path = "../main_job/figures.rs"]
mod figures;
#[expect(dead_code, reason = "the program asks more")]
#[path = "../../src/https.rs"]
mod https;
mod machine;
#[expect(dead_code, reason = "the tests ask more of a member")]
#[path = "../../tests/up/letters/member.rs"]
mod member;
#[expect(dead_code, reason = "the main job publishes as well")]
#[path = "../main_job/raw.rs"]
mod raw;
mod report;
mod stack;
mod town;

use anyhow::{Context as _, Result, ensure};
use bare::Bare;
use figures::Samples;
use machine::{Cores, Share};
use raw::Raw;
use report::{Report, say};
use stack::Stack;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use town::Service;
use zeroizing_alloc::ZeroAlloc;

/// As in the program: every piece of memory that is given back is wiped.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<std::alloc::System> = ZeroAlloc(std::alloc::System);

const MEMBERS: usize = 1000;
/// As in the program: after so many steps a thread looks for what arrived. Here also for who comes.
const LOOK_AFTER: u32 = 4;
/// Reads under way at full load.
const AT_ONCE: usize = 64;
/// Half of the reads a second that are wanted of one core of the host.
const HALF_OF_WANTED: f64 = 500.0;
/// The stream of the bare questions has room for no more.
const LONGEST_BARE: Duration = Duration::from_secs(15);
/// Reads a second of the honest service beside a flood.
const HONEST_PER_SECOND: f64 = 50.0;
/// Alternations of quiet and flood.
const ROUNDS: usize = 4;
/// No limit of a contract.
const UNLIMITED: &str = r#"{"count": 1000000000, "per_seconds": 1}"#;
/// What the flooding service agreed to with each member.
const AGREED: &str = r#"{"count": 5, "per_seconds": 60}"#;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Cargo adds this; without it a test runner only wants to know what there is.
    if !arguments.iter().any(|word| word == "--bench") {
        return ExitCode::SUCCESS;
    }
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = say(&format!("the benchmark failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let value = |name: &str| arguments.iter().skip_while(|word| *word != name).nth(1);
    let members = value("--members").map_or(Ok(MEMBERS), |text| text.parse()).context("--members needs a number")?;
    let seconds = value("--seconds").map_or(Ok(12), |text| text.parse()).context("--seconds needs a number")?;
    let threads =
        value("--host-threads").map(|text| text.parse()).transpose().context("--host-threads needs a number")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .event_interval(LOOK_AFTER)
        .global_queue_interval(LOOK_AFTER)
        .build()
        .context("no runtime")?;
    let report = runtime.block_on(measure(members, threads, Duration::from_secs(seconds)))?;
    report.print()?;
    say(&format!("\nwritten to {}", report.write()?.display()))
}

async fn measure(members: usize, host_threads: Option<usize>, lasting: Duration) -> Result<Report> {
    let folder = tempfile::tempdir()?;
    say(&format!("starting everything, then {members} members enrol and accept two contracts each …"))?;
    let stack = Arc::new(Stack::start(folder.path(), members, host_threads).await?);
    let gateways = [stack.gateway("shop", UNLIMITED, members).await?, stack.gateway("flood", AGREED, members).await?];
    let begin = Instant::now();
    let tell = |done: usize| if done.is_multiple_of(100) { say(&format!("  {done} members")) } else { Ok(()) };
    let mut services = town::settle(&stack, &gateways, members, tell).await?;
    let settled = begin.elapsed();
    let (flooder, shop) = (services.pop().context("no flooder")?, services.pop().context("no shop")?);
    say("measuring …")?;
    let report = works(&stack, &shop, &flooder, lasting).await?;
    for gateway in gateways {
        gateway.stop().await;
    }
    Ok(Report { members, host_threads, settled, ..report })
}

async fn works(stack: &Stack, shop: &Service, flooder: &Service, lasting: Duration) -> Result<Report> {
    let mut raw = Raw::open(stack).await?;
    // Warms up: each member once.
    drive::each(shop, AT_ONCE).await?;
    let raw_alone = raw.requests(2000).await?;
    let alone = drive::in_turn(shop, 500).await?;
    let before = busy::of(stack.host())?;
    let full = drive::closed(shop, AT_ONCE, lasting).await?;
    let full = full.busy(busy::of(stack.host())?.saturating_sub(before));
    let quarter = coming(shop, full.per_second() / 4.0, lasting).await?;
    let half = coming(shop, full.per_second() / 2.0, lasting).await?;
    let wanted = coming(shop, HALF_OF_WANTED, lasting).await?;
    let bare = Bare::open(stack).await?;
    let bare_lasting = lasting.min(LONGEST_BARE);
    let bare_half = bare.coming(full.per_second() / 2.0, bare_lasting).await?;
    let bare_wanted = bare.coming(HALF_OF_WANTED, bare_lasting).await?;
    drop(bare);
    let raw_again = raw.requests(2000).await?;
    raw.close().await;
    let (mut quiet, mut flooded, mut flood, mut flood_lasted) =
        <(Samples, Samples, (usize, usize), Duration)>::default();
    let turn = lasting / 2;
    for _ in 0..ROUNDS {
        quiet.add(drive::reads(shop, HONEST_PER_SECOND, turn).await?);
        let begin = Instant::now();
        let (samples, answers) = beside_a_flood(shop, flooder, turn).await?;
        flood_lasted += begin.elapsed();
        flooded.add(samples);
        flood = (flood.0 + answers.0, flood.1 + answers.1);
    }
    ensure!(flood.1 > 0, "the flood met no limit: {flood:?}");
    let mut raw = raw_alone;
    raw.add(raw_again);
    let (members, host_threads, settled) = (0, None, Duration::ZERO);
    Ok(Report {
        members,
        host_threads,
        settled,
        raw,
        alone,
        full,
        quarter,
        half,
        wanted,
        bare_half,
        bare_wanted,
        quiet,
        flooded,
        flood,
        flood_lasted,
    })
}

/// Reads that come at this rate, and what the cores did meanwhile.
async fn coming(shop: &Service, per_second: f64, lasting: Duration) -> Result<(Samples, Share)> {
    let before = Cores::so_far()?;
    let samples = drive::reads(shop, per_second, lasting).await?;
    Ok((samples, Cores::share_since(before)?))
}

/// The honest service while another one asks as much as it can.
async fn beside_a_flood(shop: &Service, flooder: &Service, lasting: Duration) -> Result<(Samples, (usize, usize))> {
    let stop = CancellationToken::new();
    let flooding = {
        let (flooder, stop) = (flooder.clone(), stop.clone());
        tokio::spawn(async move { drive::flood(&flooder, AT_ONCE, &stop).await })
    };
    let samples = drive::reads(shop, HONEST_PER_SECOND, lasting).await;
    stop.cancel();
    Ok((samples?, flooding.await??))
}

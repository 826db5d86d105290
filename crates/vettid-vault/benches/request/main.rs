//! What one `data.request` takes of a core in the vault itself: from the sealed event to the commit applied and the sealed
//! answer. Beside it, in the same rounds, the sealing, opening, signing and hashing that it cannot do without. No broker is
//! between. Each answer is checked, and one wrong answer ends the run.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a bench may fail loudly")]

#[path = "../../tests/world/app.rs"]
mod app;
mod baseline;
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/world/node.rs"]
mod node;
mod reads;
mod report;
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/world/shop.rs"]
mod shop;
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/world/town.rs"]
mod town;

use baseline::Baseline;
use reads::Reads;
use report::{Report, Sample};
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;
use zeroizing_alloc::ZeroAlloc;

/// As in the program: every piece of memory that is given back is wiped.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<std::alloc::System> = ZeroAlloc(std::alloc::System);

const ROUNDS: usize = 40;
/// How often each work is done in one round.
const EACH: usize = 50;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Cargo adds this; without it a test runner only wants to know what there is.
    if !arguments.iter().any(|word| word == "--bench") {
        return;
    }
    let mut reads = Reads::new();
    let mut baseline = Baseline::of(&reads.one());
    let mut samples = Vec::new();
    for round in 0..=ROUNDS {
        for _ in 0..EACH {
            let (read, least) = (reads.one(), baseline.one());
            // The first round warms up.
            if round > 0 {
                samples.push(Sample { handled: read.handled, applied: read.applied, least });
            }
        }
    }
    let report = Report::of(&samples);
    report.write();
    report.print(arguments.iter().any(|word| word == "--json"));
}

/// The time that this thread has used of a core so far: what else runs on the machine does not count.
fn core_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}

//! Ways to ask: one after the other, as many at a time as wished, or as people come, who do not wait for each other. In the last, a
//! sample begins when the question was due, so a stall counts for everybody who came in it.

use crate::figures::Samples;
use crate::town::{Answer, Service};
use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::task::{JoinSet, spawn_blocking};
use tokio_util::sync::CancellationToken;

/// Each member once, with so many under way.
pub(crate) async fn each(service: &Service, at_once: usize) -> Result<()> {
    let askers = (0..at_once).map(|asker| {
        let service = service.clone();
        tokio::spawn(async move {
            for member in (asker..service.members()).step_by(at_once) {
                service.served(member).await?;
            }
            anyhow::Ok(())
        })
    });
    try_join_all(askers).await?.into_iter().collect()
}

/// So often, each when the one before was answered.
pub(crate) async fn in_turn(service: &Service, times: usize) -> Result<Samples> {
    let mut each = Vec::with_capacity(times);
    for member in 0..times {
        let begin = Instant::now();
        service.served(member).await?;
        each.push(begin.elapsed());
    }
    Ok(Samples::in_turn(each))
}

/// With so many under way for so long, each at a random member.
pub(crate) async fn closed(service: &Service, at_once: usize, lasting: Duration) -> Result<Samples> {
    let begin = Instant::now();
    let askers = (0..at_once).map(|asker| tokio::spawn(one_after_another(service.clone(), asker, begin + lasting)));
    let each: Result<Vec<_>> = try_join_all(askers).await?.into_iter().collect();
    Ok(Samples::overlapping(each?.concat(), begin.elapsed()))
}

async fn one_after_another(service: Service, seed: usize, until: Instant) -> Result<Vec<Duration>> {
    let (mut random, mut each) = (StdRng::seed_from_u64(seed as u64), Vec::new());
    while Instant::now() < until {
        let begin = Instant::now();
        service.served(random.random_range(0..service.members())).await?;
        each.push(begin.elapsed());
    }
    Ok(each)
}

/// So many a second on average, at random times, each at a random member. A thread of its own keeps the times: timers of the runtime
/// know milliseconds alone.
pub(crate) async fn open<Asking>(
    people: usize,
    per_second: f64,
    lasting: Duration,
    ask: impl Fn(usize) -> Asking + Send + 'static,
) -> Result<Samples>
where
    Asking: Future<Output = Result<()>> + Send + 'static,
{
    ensure!(per_second > 0.0, "nobody comes");
    let (runtime, begin) = (Handle::current(), Instant::now());
    let asked = spawn_blocking(move || {
        let (mut random, mut asked, mut due) = (StdRng::seed_from_u64(7), JoinSet::new(), Duration::ZERO);
        while due < lasting {
            // Between two who come at random lies an exponential time.
            due += Duration::from_secs_f64(-(1.0 - random.random::<f64>()).ln() / per_second);
            let (asking, when) = (ask(random.random_range(0..people)), begin + due);
            std::thread::sleep(when.saturating_duration_since(Instant::now()));
            asked.spawn_on(async move { asking.await.map(|()| when.elapsed()) }, &runtime);
        }
        asked
    });
    let each: Result<Vec<_>> = asked.await?.join_all().await.into_iter().collect();
    Ok(Samples::overlapping(each?, begin.elapsed()))
}

/// Reads of a service that come at random times.
pub(crate) async fn reads(service: &Service, per_second: f64, lasting: Duration) -> Result<Samples> {
    let asked = service.clone();
    open(service.members(), per_second, lasting, move |member| {
        let service = asked.clone();
        async move { service.served(member).await }
    })
    .await
}

/// As much as goes, until told to stop; how many were served and how many refused.
pub(crate) async fn flood(service: &Service, at_once: usize, stop: &CancellationToken) -> Result<(usize, usize)> {
    let askers = (0..at_once).map(|asker| tokio::spawn(flood_one(service.clone(), asker, stop.clone())));
    let each: Result<Vec<_>> = try_join_all(askers).await?.into_iter().collect();
    Ok(each?.into_iter().fold((0, 0), |(served, refused), (one, other)| (served + one, refused + other)))
}

async fn flood_one(service: Service, seed: usize, stop: CancellationToken) -> Result<(usize, usize)> {
    let (mut random, mut served, mut refused) = (StdRng::seed_from_u64(seed as u64), 0, 0);
    while !stop.is_cancelled() {
        match service.read(random.random_range(0..service.members())).await? {
            Answer::Served => served += 1,
            Answer::TooOften => refused += 1,
        }
    }
    Ok((served, refused))
}

//! The gateway is a process that is killed with SIGKILL at one durable step after the other while events flow. The receiver
//! is told of everything that happened, and of each thing under one id only.

use crate::http::Program;
use crate::world::member::{Member, Service};
use crate::world::process::{self, Process};
use crate::world::receiver::Receiver;
use crate::world::{PATIENCE, World, mark};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;
use vettid_wire::data::{DataOutcome, Keep};
use vettid_wire::id::RequestId;

/// How often the gateway is killed; the n-th time soon after its n-th durable step.
const KILLS: u32 = 14;
/// Requests between two kills.
const REQUESTS: u32 = 4;

#[tokio::test(flavor = "multi_thread")]
async fn no_event_is_lost_and_none_has_two_ids() {
    no_event_is_lost(World::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: cargo xtask test --only databases"]
async fn postgres_no_event_is_lost_and_none_has_two_ids() {
    no_event_is_lost(World::start_on_postgres().await).await;
}

async fn no_event_is_lost(world: World) {
    let seed = rand::random::<u64>();
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let config = process::written(&world, folder.path());
    let receiver = Receiver::start().await;
    let mut moods = StdRng::seed_from_u64(seed ^ 1);
    receiver.answer(move |_| if moods.random_bool(0.4) { 500 } else { 200 });

    // A member connects while nobody kills anything; then it answers whatever it is asked, again and again.
    let gateway = world.gateway().await;
    let program = Program::of(&world, &gateway);
    let hook = program.post("/v1/webhooks", json!({"url": receiver.url("hook")})).await.1;
    let mut member = Member::new(&world).await;
    let service = member.connect(&gateway, &[]).await;
    let connection = service.connection_id;
    gateway.stop().await;
    let answering = tokio::spawn(answer_all(member, service));

    let mut wanted = BTreeSet::new();
    for round in 0..KILLS {
        let gateway = Process::start(&config).await;
        let program = program.at(&gateway.base);
        let asking = tokio::spawn(ask(program, format!("/v1/connections/{connection}/data-requests"), round));
        grown(&world.log_path(), 1 + round % 7).await;
        tokio::time::sleep(Duration::from_micros(random.random_range(0..4_000))).await;
        gateway.kill().await;
        wanted.extend(asking.await.unwrap());
    }
    let gateway = Process::start(&config).await;
    let program = program.at(&gateway.base);
    // What was cut off is called again under its name: the same request, not another one.
    for round in 0..KILLS {
        wanted.extend(ask(program.clone(), format!("/v1/connections/{connection}/data-requests"), round).await);
    }
    assert_eq!(wanted.len(), usize::try_from(KILLS * REQUESTS).unwrap(), "seed {seed}");
    let told = || receiver.all().iter().filter_map(request_of).collect::<BTreeSet<_>>();
    let all = async {
        while !told().is_superset(&wanted) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let missing = || wanted.difference(&told()).cloned().collect::<Vec<_>>();
    assert!(tokio::time::timeout(4 * PATIENCE, all).await.is_ok(), "seed {seed}: never told of {:?}", missing());
    let empty = |body: &Value| body["waiting"] == json!(0);
    crate::webhooks::until(&program, &format!("/v1/webhooks/{}", hook["webhook_id"].as_str().unwrap()), empty).await;
    judge(&receiver, &wanted, seed);
    gateway.kill().await;
    answering.abort();
    world.shut().await;
}

/// Nothing under two ids, nothing that nobody asked for, and the same bytes each time.
fn judge(receiver: &Receiver, wanted: &BTreeSet<String>, seed: u64) {
    let (mut ids, mut bodies) = (BTreeMap::new(), BTreeMap::new());
    let mut kinds: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for event in receiver.all() {
        let body = bodies.entry(event.id.clone()).or_insert_with(|| event.body.clone());
        assert_eq!(*body, event.body, "seed {seed}: {} says two things", event.id);
        match request_of(&event) {
            Some(request) => {
                assert!(wanted.contains(&request), "seed {seed}: {request} was never asked");
                let id = ids.entry(request.clone()).or_insert_with(|| event.id.clone());
                assert_eq!(*id, event.id, "seed {seed}: {request} has two ids");
            }
            None => drop(kinds.entry(event.kind()).or_default().insert(event.id)),
        }
    }
    let once = BTreeSet::from(["connection.active".to_owned(), "contract.accepted".to_owned()]);
    assert_eq!(kinds.keys().cloned().collect::<BTreeSet<_>>(), once, "seed {seed}");
    assert!(kinds.values().all(|ids| ids.len() == 1), "seed {seed}: {kinds:?}");
}

fn request_of(event: &crate::world::receiver::Received) -> Option<String> {
    event.json().pointer("/data/request_id").and_then(Value::as_str).map(str::to_owned)
}

/// Asks under the names of a round, until the gateway is gone; gives the requests whose ids were told.
async fn ask(program: Program, path: String, round: u32) -> Vec<String> {
    let mut told = Vec::new();
    for number in 0..REQUESTS {
        let body = json!({"field": "address", "purpose": "delivery", "wait_ms": 20 * (number % 2)});
        let Some((status, view)) = program.try_named(&path, &format!("{round}-{number}"), body).await else {
            return told;
        };
        assert!(status.is_success(), "{view}");
        told.push(view.get("request_id").and_then(Value::as_str).unwrap().to_owned());
    }
    told
}

/// Answers each question, also when it comes again.
async fn answer_all(mut member: Member, mut service: Service) {
    loop {
        let (subject, bytes) = member.next_or_never().await;
        let Some(asked) = service.question(&subject, &bytes) else {
            continue;
        };
        let request_id: RequestId = asked.data().request_id;
        let value = format!("Main Street {request_id}").into();
        let outcome = DataOutcome::Served { field: asked.data().field, value, keep: Some(Keep::UntilRevoked) };
        service.answer(&asked, outcome).await;
    }
}

/// Waits until the state has grown this many times.
async fn grown(path: &Path, times: u32) {
    let length = || mark(path);
    let (mut seen, mut left) = (length(), times);
    let reached = async {
        while left > 0 {
            let now = length();
            if now != seen {
                (seen, left) = (now, left - 1);
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.unwrap();
}

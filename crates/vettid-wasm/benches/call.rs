//! What the sandbox costs: one `data.request` by the linked-in handler and by its component, and loading the component.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a bench may fail loudly")]

#[path = "../tests/sandbox/built.rs"]
mod built;
#[path = "../../vettid-handlers/tests/native/cases/mod.rs"]
mod cases;

use cases::Expect;
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;
use vettid_handler::event::Event;
use vettid_handler::handlers::Handlers;
use vettid_handler::reply::Reply;
use vettid_handler::testing::MemoryHost;
use vettid_handlers::{data_request, native};
use vettid_wasm::limits::Limits;
use vettid_wasm::sandbox::Sandbox;

/// A vault that serves a field, the request for it, and what comes of it.
fn served() -> (MemoryHost, Event, Expect) {
    let mut scenario = cases::all().into_iter().find(|scenario| scenario.name == "OnDemand is served at once").unwrap();
    let (event, expect) = scenario.steps.remove(0);
    (scenario.host, event, expect)
}

fn measure(criterion: &mut Criterion, name: &str, handlers: &Handlers) {
    let (host, event, expect) = served();
    expect.check(name, &host.clone().run(handlers, &event));
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| {
            let mut host = host.clone();
            assert!(matches!(host.run(handlers, black_box(&event)), Ok(Reply::Body(_))));
        });
    });
}

fn call(criterion: &mut Criterion) {
    let linked = native().build().unwrap();
    measure(criterion, "data.request, linked in", &linked);
    let sandbox = Sandbox::new().unwrap();
    let bytes = built::component("data_request");
    let load = || sandbox.load(&bytes, &data_request::MANIFEST.host_calls, Limits::default()).unwrap();
    let (_, event, _) = served();
    let components = Handlers::builder().register(
        event.context.lane,
        event.context.event_type,
        Arc::new(data_request::MANIFEST),
        Arc::new(load()),
    );
    measure(criterion, "data.request, component", &components.build().unwrap());
    let mut slow = criterion.benchmark_group("load");
    slow.sample_size(10).bench_function("compile data_request", |bencher| bencher.iter(|| black_box(load())));
    slow.finish();
}

criterion_group!(benches, call);
criterion_main!(benches);

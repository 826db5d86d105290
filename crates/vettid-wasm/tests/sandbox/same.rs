//! The same events through the linked-in handlers and through their components: the same replies, the same effects.

use crate::{built, cases};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use vettid_handler::event::Event;
use vettid_handler::handler::Handler;
use vettid_handler::handlers::Handlers;
use vettid_handler::manifest::{HostCall, Manifest};
use vettid_handler::testing::MemoryHost;
use vettid_handlers::{auth_challenge, data, data_request, messaging, native, profile};
use vettid_wasm::limits::Limits;
use vettid_wasm::sandbox::Sandbox;

const MANIFESTS: [Manifest; 5] =
    [profile::MANIFEST, data::MANIFEST, data_request::MANIFEST, messaging::MANIFEST, auth_challenge::MANIFEST];

/// The linked-in handlers, and a table of the same rows with their components.
fn both() -> (Handlers, Handlers) {
    let sandbox = Sandbox::new().unwrap();
    let load = |manifest: &Manifest| -> Arc<dyn Handler> {
        let bytes = built::component(&manifest.name);
        Arc::new(sandbox.load(&bytes, &manifest.host_calls, Limits::default()).unwrap())
    };
    let components: BTreeMap<_, _> = MANIFESTS.iter().map(|manifest| (manifest.name.clone(), load(manifest))).collect();
    let linked = native().build().unwrap();
    let table = linked.rows().fold(Handlers::builder(), |table, (lane, event_type, handler)| {
        let component = Arc::clone(&components[&handler.manifest().name]);
        table.register(lane, event_type.clone(), Arc::new(handler.manifest().clone()), component)
    });
    (linked, table.build().unwrap())
}

#[test]
fn every_case_comes_out_the_same() {
    let (linked, components) = both();
    for scenario in cases::all() {
        let (mut one, mut other) = (scenario.host.clone(), scenario.host);
        for (number, (event, expect)) in scenario.steps.iter().enumerate() {
            let name = format!("{} (step {})", scenario.name, number + 1);
            let result = other.run(&components, event);
            expect.check(&name, &result);
            assert_eq!(one.run(&linked, event), result, "{name}");
            assert_eq!(one, other, "{name}");
        }
    }
}

/// Some bytes of an event's body are changed, cut off or repeated.
fn mutate(event: &mut Event, changes: &[(Index, u8)]) {
    for (place, change) in changes {
        let index = place.index(event.payload.len() + 1);
        match (change % 4, event.payload.get_mut(index)) {
            (0, _) => event.payload.truncate(index),
            (1, _) => event.payload.insert(index, *change),
            (_, Some(byte)) => *byte = byte.wrapping_add(*change),
            (_, None) => event.payload.extend_from_within(..),
        }
    }
}

#[test]
fn spoilt_bodies_come_out_the_same() {
    let (linked, components) = both();
    let steps: Vec<(MemoryHost, Event)> = cases::all()
        .into_iter()
        .flat_map(|scenario| {
            let host = scenario.host;
            scenario.steps.into_iter().map(move |(event, _)| (host.clone(), event))
        })
        .collect();
    let spoilt = (any::<Index>(), prop::collection::vec((any::<Index>(), any::<u8>()), 1..4));
    let mut runner = TestRunner::new(Config { cases: 400, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&spoilt, |(step, changes)| {
        let (host, mut event) = step.get(&steps).clone();
        mutate(&mut event, &changes);
        let (mut one, mut other) = (host.clone(), host);
        prop_assert_eq!(one.run(&linked, &event), other.run(&components, &event));
        prop_assert_eq!(one, other);
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn components_import_what_their_manifests_name_and_no_more() {
    let sandbox = Sandbox::new().unwrap();
    for manifest in &MANIFESTS {
        let bytes = built::component(&manifest.name);
        let component = sandbox.load(&bytes, &HostCall::ALL, Limits::default()).unwrap();
        let imported: BTreeSet<_> = component.host_calls().iter().collect();
        assert_eq!(imported, manifest.host_calls.iter().collect(), "{}", manifest.name);
    }
}

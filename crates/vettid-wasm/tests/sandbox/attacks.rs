//! Hostile components: each is stopped, named, and leaves nothing behind.

use crate::{cases, text};
use std::sync::mpsc;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use vettid_handler::event::Event;
use vettid_handler::handler::Handler;
use vettid_handler::handlers::Handlers;
use vettid_handler::host::{Host, HostError};
use vettid_handler::manifest::{FieldScope, HostCall, Manifest};
use vettid_handler::reply::{Fault, HandlerError, Reply};
use vettid_handler::testing::MemoryHost;
use vettid_wasm::component::ComponentHandler;
use vettid_wasm::limits::{Limits, MAX_COMPONENT_BYTES};
use vettid_wasm::sandbox::{LoadError, Sandbox};

static SANDBOX: LazyLock<Sandbox> = LazyLock::new(|| Sandbox::new().unwrap());

/// Writes a reply of "none" and returns its place: discriminants of `ok` and of `none`, each aligned to eight bytes.
const NONE: &str = "(i32.store8 (i32.const 16) (i32.const 0)) (i32.store8 (i32.const 24) (i32.const 1)) (i32.const 16)";

/// Much time, much fuel: what ends a run is what the test is about.
const AMPLE: Limits =
    Limits { memory_bytes: 1024 * 1024, deadline_ms: 60_000, fuel: u64::MAX, call_bytes: 1024 * 1024 };

fn load(handle: &str, limits: Limits) -> ComponentHandler {
    SANDBOX.load(&binary(&text::component(handle)), &[HostCall::Store], limits).unwrap()
}

fn binary(component: &str) -> Vec<u8> {
    wat::parse_str(component).unwrap_or_else(|error| panic!("{error}"))
}

fn event() -> Event {
    cases::owner("test.event", serde_json::json!({}))
}

fn run(handle: &str, limits: Limits) -> Result<Reply, HandlerError> {
    load(handle, limits).handle(&mut MemoryHost::default(), &event())
}

fn fault(fault: Fault) -> Result<Reply, HandlerError> {
    Err(HandlerError::Fault(fault))
}

fn refused(bytes: &[u8]) -> LoadError {
    SANDBOX.load(bytes, &HostCall::ALL, AMPLE).unwrap_err()
}

#[test]
fn a_harmless_component_runs() {
    assert_eq!(run(NONE, AMPLE), Ok(Reply::None));
}

#[test]
fn an_endless_loop_ends_with_its_time() {
    let limits = Limits { deadline_ms: 50, ..AMPLE };
    assert_eq!(run("(loop (br 0)) unreachable", limits), fault(Fault::Deadline));
}

#[test]
fn an_endless_loop_ends_with_its_fuel() {
    let limits = Limits { fuel: 1_000_000, ..AMPLE };
    assert_eq!(run("(loop (br 0)) unreachable", limits), fault(Fault::Fuel));
}

#[test]
fn a_memory_bomb_gets_no_more_than_its_limit() {
    let bomb = "(loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable";
    assert_eq!(run(bomb, AMPLE), fault(Fault::Memory));
    let modest = format!("(drop (memory.grow (i32.const 15))) {NONE}");
    assert_eq!(run(&modest, AMPLE), Ok(Reply::None), "sixteen pages are a MiB");
    let limits = Limits { memory_bytes: 1024, ..AMPLE };
    assert_eq!(run(NONE, limits), fault(Fault::Memory), "not even its first page fits");
}

#[test]
fn deep_recursion_and_a_crash_are_traps() {
    assert_eq!(run("(call $deeper (i32.const 0))", AMPLE), fault(Fault::Trap));
    assert_eq!(run("unreachable", AMPLE), fault(Fault::Trap));
    assert_eq!(run("(i32.const 0x7fffffff)", AMPLE), fault(Fault::Trap), "a reply outside its memory");
}

#[test]
fn a_reply_that_claims_more_than_the_memory_holds_is_a_trap() {
    let lie = "(i32.store8 (i32.const 16) (i32.const 0)) (i32.store8 (i32.const 24) (i32.const 0))
        (i32.store (i32.const 32) (i32.const 0)) (i32.store (i32.const 36) (i32.const 0x10000000)) (i32.const 16)";
    assert_eq!(run(lie, AMPLE), fault(Fault::Trap));
}

#[test]
fn a_question_without_a_proper_id_is_a_fault() {
    let ask = "(i32.store8 (i32.const 16) (i32.const 0)) (i32.store8 (i32.const 24) (i32.const 2)) (i32.const 16)";
    assert_eq!(run(ask, AMPLE), fault(Fault::Reply));
}

/// One call that hands over eight MiB: the host does not even copy them.
#[test]
fn a_flood_in_one_call_is_stopped_before_the_host() {
    let limits = Limits { memory_bytes: 16 * 1024 * 1024, call_bytes: 256 * 1024, ..AMPLE };
    let flood = format!(
        "(drop (memory.grow (i32.const 160)))
        (call $put (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0x800000) (i32.const 64)) {NONE}"
    );
    let mut host = MemoryHost::default();
    assert_eq!(load(&flood, limits).handle(&mut host, &event()), fault(Fault::Output));
    assert_eq!(host, MemoryHost::default());
}

/// A thousand calls that hand over 32 KiB each, whatever the host says.
#[test]
fn a_flood_of_calls_is_stopped_by_the_guard() {
    let flood = format!(
        "(local $left i32) (local.set $left (i32.const 1000)) (i32.store8 (i32.const 0) (i32.const 97))
        (loop
          (call $put (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0x8000) (i32.const 64))
          (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
        {NONE}"
    );
    let manifest = Manifest::linked("flood", &[HostCall::Store], &[], FieldScope::NONE);
    let component = Arc::new(load(&flood, AMPLE));
    let event = event();
    let handlers = Handlers::builder()
        .register(event.context.lane, event.context.event_type.clone(), Arc::new(manifest), component)
        .build()
        .unwrap();
    let mut host = MemoryHost::default();
    assert_eq!(host.run(&handlers, &event), fault(Fault::Output));
    assert_eq!(host, MemoryHost::default());
}

/// A host whose calls take their time.
struct SlowHost;

impl Host for SlowHost {
    fn put(&mut self, _: &str, _: &[u8]) -> Result<(), HostError> {
        let (_open, nothing) = mpsc::channel::<()>();
        assert!(nothing.recv_timeout(Duration::from_millis(300)).is_err());
        Ok(())
    }
}

#[test]
fn the_time_of_host_calls_counts() {
    let limits = Limits { deadline_ms: 50, ..AMPLE };
    let call = format!("(call $put (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 64)) {NONE}");
    assert_eq!(load(&call, limits).handle(&mut SlowHost, &event()), fault(Fault::Deadline));
    assert_eq!(load(&call, AMPLE).handle(&mut SlowHost, &event()), Ok(Reply::None));
}

#[test]
fn nothing_survives_an_event() {
    let remembers =
        format!("(if (i32.load (i32.const 512)) (then unreachable)) (i32.store (i32.const 512) (i32.const 1)) {NONE}");
    let component = load(&remembers, AMPLE);
    for _ in 0..3 {
        assert_eq!(component.handle(&mut MemoryHost::default(), &event()), Ok(Reply::None));
    }
}

#[test]
fn a_stopped_component_does_not_hold_up_the_next_event() {
    let crash = load("unreachable", AMPLE);
    let sound = load(NONE, AMPLE);
    for _ in 0..200 {
        assert_eq!(crash.handle(&mut MemoryHost::default(), &event()), fault(Fault::Trap));
        assert_eq!(sound.handle(&mut MemoryHost::default(), &event()), Ok(Reply::None));
    }
}

#[test]
fn foreign_imports_are_refused_at_load() {
    assert_eq!(refused(&binary(text::WASI)), LoadError::ForeignImport("wasi:cli/environment@0.2.0".to_owned()));
    assert_eq!(refused(&binary(text::NETWORK)), LoadError::ForeignImport("vettid:handler/network@1.0.0".to_owned()));
}

#[test]
fn imports_outside_the_manifest_are_refused_at_load() {
    let component = binary(&text::component(NONE));
    let refused = SANDBOX.load(&component, &[HostCall::Log], AMPLE).unwrap_err();
    assert_eq!(refused, LoadError::Undeclared(HostCall::Store));
}

#[test]
fn what_is_no_handler_is_refused_at_load() {
    for bytes in [vec![], b"not webassembly".to_vec(), text::component(NONE).into_bytes(), binary("(module)")] {
        assert!(matches!(refused(&bytes), LoadError::Malformed(_)), "{bytes:?}");
    }
    let mut cut = binary(&text::component(NONE));
    cut.truncate(cut.len() - 1);
    assert!(matches!(refused(&cut), LoadError::Malformed(_)));
    assert!(matches!(refused(&binary("(component)")), LoadError::OtherWorld(_)));
    assert_eq!(refused(&vec![0; MAX_COMPONENT_BYTES + 1]), LoadError::TooLarge);
}

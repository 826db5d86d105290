//! The table of handlers and the guard in front of the host: what a manifest does not name, what a lane does not allow, and
//! what is too much for one event has no effect.
#![expect(clippy::unwrap_used, reason = "tests may fail loudly")]

use std::borrow::Cow;
use std::sync::Arc;
use vettid_handler::event::{Context, Event, Peer};
use vettid_handler::feed::{FeedNote, Level};
use vettid_handler::guard::{MAX_CALLS, MAX_KEY_BYTES, MAX_NOTES, MAX_SENDS, MAX_VALUE_BYTES};
use vettid_handler::handler::{Handler, Outcome};
use vettid_handler::handlers::{BuildError, Handlers};
use vettid_handler::host::{Host, HostError};
use vettid_handler::manifest::{FieldScope, HostCall, Manifest};
use vettid_handler::reply::{Fault, HandlerError, MAX_REPLY_BYTES, Reply};
use vettid_handler::testing::{Effect, MemoryHost};
use vettid_wire::event::{DataGet, DataList, EventType, Lane, Nothing};
use vettid_wire::feed::{Outcome as FeedOutcome, Severity};
use vettid_wire::id::{ConnectionId, EventId};
use vettid_wire::profile::PublicProfile;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

/// A handler made of a closure.
struct Program<F>(F);

impl<F> Handler for Program<F>
where
    F: Fn(&mut dyn Host) -> Result<Reply, HandlerError> + Send + Sync,
{
    fn handle(&self, host: &mut dyn Host, _: &Event) -> Result<Reply, HandlerError> {
        (self.0)(host)
    }
}

fn name(text: &str) -> EventType {
    text.parse().unwrap()
}

fn connection(last: u8) -> ConnectionId {
    ConnectionId::from_bytes([last; 16])
}

fn event(lane: Lane) -> Event {
    let peer = Peer { connection_id: connection(1), display_name: "Bob".to_owned(), service: None };
    let context = Context {
        event_id: EventId::from_bytes([9; 16]),
        event_type: name("test.event"),
        lane,
        occurred_at: Timestamp::from_unix_ms(1_000),
        peer: Some(peer).filter(|_| lane != Lane::Owner),
        answer: None,
    };
    Event { context, payload: b"{}".to_vec() }
}

fn manifest(host_calls: &[HostCall]) -> Manifest {
    Manifest {
        name: Cow::Borrowed("test"),
        host_calls: host_calls.to_vec().into(),
        sends: vec![Cow::Borrowed("messaging.text")].into(),
        fields: FieldScope::Named(vec![Cow::Borrowed("address")].into()),
    }
}

/// Runs a program as the handler of an event, and gives what came of it and the host afterwards.
fn run(
    lane: Lane,
    host_calls: &[HostCall],
    program: impl Fn(&mut dyn Host) -> Result<Reply, HandlerError> + Send + Sync + 'static,
) -> (Result<Reply, HandlerError>, MemoryHost) {
    let handler = Arc::new(Program(program));
    let handlers = Handlers::builder().register(lane, name("test.event"), Arc::new(manifest(host_calls)), handler);
    let mut host = MemoryHost { connections: [1, 2].map(connection).into(), ..MemoryHost::default() };
    let result = host.run(&handlers.build().unwrap(), &event(lane));
    (result, host)
}

/// What one host call of a handler comes to.
fn call<R: Send + 'static>(
    lane: Lane,
    host_calls: &[HostCall],
    call: impl Fn(&mut dyn Host) -> Result<R, HostError> + Send + Sync + 'static,
) -> Result<(), HostError> {
    let refused = Arc::new(std::sync::Mutex::new(Ok(())));
    let seen = Arc::clone(&refused);
    let (result, _) = run(lane, host_calls, move |host| {
        *seen.lock().unwrap() = call(host).map(|_| ());
        Ok(Reply::None)
    });
    assert_eq!(result, Ok(Reply::None));
    *refused.lock().unwrap()
}

fn note(summary: &str) -> FeedNote {
    FeedNote { severity: Severity::Info, outcome: FeedOutcome::Done, summary: summary.to_owned(), request_id: None }
}

/// One call of each group, of the kind that the owner may make.
fn one_call(group: HostCall, host: &mut dyn Host) -> Result<(), HostError> {
    match group {
        HostCall::Store => host.put("key", b"1"),
        HostCall::FieldRead => host.field("address").map(|_| ()),
        HostCall::FieldWrite => host.field_put("address", b"1"),
        HostCall::Sign => host.sign(b"{}").map(|_| ()),
        HostCall::Profile => host.publish_profile(&PublicProfile::default()).map(|_| ()),
        HostCall::Send => host.send(connection(1), &name("messaging.text"), b"{}").map(|_| ()),
        HostCall::Feed => host.feed(&note("done")),
        HostCall::Log => {
            host.log(Level::Info, "done");
            Ok(())
        }
    }
}

#[test]
fn a_handler_calls_only_what_its_manifest_names() {
    for group in HostCall::ALL {
        let others: Vec<_> = HostCall::ALL.into_iter().filter(|other| *other != group).collect();
        let (_, host) =
            run(Lane::Owner, &others, move |host| Ok(one_call(group, host).map_or(Reply::None, |()| Reply::None)));
        assert_eq!(host.effects, [], "{group}");
        if group != HostCall::Log {
            assert_eq!(
                call(Lane::Owner, &others, move |host| one_call(group, host)),
                Err(HostError::Denied),
                "{group}"
            );
        }
        if group != HostCall::Sign {
            assert_eq!(call(Lane::Owner, &[group], move |host| one_call(group, host)), Ok(()), "{group}");
        }
    }
}

#[test]
fn only_the_owner_changes_fields_and_profile() {
    for lane in [Lane::Connection, Lane::Service, Lane::Invite, Lane::Bootstrap] {
        for group in [HostCall::FieldWrite, HostCall::Profile] {
            assert_eq!(
                call(lane, &HostCall::ALL, move |host| one_call(group, host)),
                Err(HostError::Denied),
                "{lane:?} {group}"
            );
        }
        assert_eq!(call(lane, &HostCall::ALL, |host| host.field_list()), Err(HostError::Denied), "{lane:?}");
        assert_eq!(call(lane, &HostCall::ALL, |host| host.field_delete("address")), Err(HostError::Denied), "{lane:?}");
        assert_eq!(call(lane, &HostCall::ALL, |host| host.profile()), Err(HostError::Denied), "{lane:?}");
    }
}

#[test]
fn an_event_reaches_no_other_connection_than_its_own() {
    let send = |to: u8| move |host: &mut dyn Host| host.send(connection(to), &name("messaging.text"), b"{}");
    assert_eq!(call(Lane::Connection, &[HostCall::Send], send(1)), Ok(()));
    assert_eq!(call(Lane::Connection, &[HostCall::Send], send(2)), Err(HostError::Denied));
    assert_eq!(call(Lane::Owner, &[HostCall::Send], send(2)), Ok(()));
    assert_eq!(call(Lane::Owner, &[HostCall::Send], send(3)), Err(HostError::NotConnected));
}

#[test]
fn only_event_types_of_the_manifest_are_sent_and_only_in_their_size() {
    let send = |event_type: &str, bytes: usize| {
        let event_type = name(event_type);
        call(Lane::Owner, &[HostCall::Send], move |host| host.send(connection(1), &event_type, &vec![b'0'; bytes]))
    };
    assert_eq!(send("messaging.text", 64 * 1024), Ok(()));
    assert_eq!(send("messaging.text", 64 * 1024 + 1), Err(HostError::Quota));
    assert_eq!(send("messaging.receipt", 2), Err(HostError::Denied));
    assert_eq!(send("connection.revoked", 2), Err(HostError::Denied));
}

#[test]
fn fields_outside_the_manifest_and_malformed_names_are_not_read() {
    let read = |field: &'static str| call(Lane::Owner, &[HostCall::FieldRead], move |host| host.field(field));
    assert_eq!(read("address"), Ok(()));
    assert_eq!(read("phone"), Err(HostError::Denied));
    assert_eq!(read("../address"), Err(HostError::Invalid));
}

#[test]
fn keys_and_values_have_a_form() {
    let put =
        |key: String, bytes: usize| call(Lane::Owner, &[HostCall::Store], move |host| host.put(&key, &vec![0; bytes]));
    assert_eq!(put("a/B_9.c-d".to_owned(), MAX_VALUE_BYTES), Ok(()));
    assert_eq!(put("a".repeat(MAX_KEY_BYTES), 1), Ok(()));
    assert_eq!(put("a".to_owned(), MAX_VALUE_BYTES + 1), Err(HostError::Quota));
    for key in [String::new(), "a b".to_owned(), "ä".to_owned(), "a\n".to_owned(), "a".repeat(MAX_KEY_BYTES + 1)] {
        assert_eq!(put(key.clone(), 1), Err(HostError::Invalid), "{key:?}");
    }
    assert_eq!(call(Lane::Owner, &[HostCall::Store], |host| host.list_keys("", 10)), Ok(()));
    assert_eq!(call(Lane::Owner, &[HostCall::Store], |host| host.list_keys("*", 10)), Err(HostError::Invalid));
}

#[test]
fn too_much_for_one_event_is_a_fault_even_if_the_handler_goes_on() {
    let overdrawn = Err(HandlerError::Fault(Fault::Output));
    let repeat = |times: u32, group: HostCall| {
        run(Lane::Owner, &HostCall::ALL, move |host| {
            for _ in 0..times {
                let _ = one_call(group, host);
            }
            Ok(Reply::None)
        })
    };
    for (most, group) in [(MAX_CALLS, HostCall::Store), (MAX_SENDS, HostCall::Send), (MAX_NOTES, HostCall::Feed)] {
        assert_eq!(repeat(most, group).0, Ok(Reply::None), "{group}");
        let (result, host) = repeat(most + 1, group);
        assert_eq!((result, host.effects), (overdrawn.clone(), vec![]), "{group}");
    }
    let (result, _) = run(Lane::Owner, &HostCall::ALL, |host| {
        for _ in 0..9 {
            let _ = host.put("key", &[0; MAX_VALUE_BYTES]);
        }
        Ok(Reply::None)
    });
    assert_eq!(result, overdrawn);
}

#[test]
fn notes_and_log_lines_are_single_short_lines() {
    let feed = |summary: String| call(Lane::Owner, &[HostCall::Feed], move |host| host.feed(&note(&summary)));
    assert_eq!(feed("New message from Bob".to_owned()), Ok(()));
    for summary in [String::new(), "two\nlines".to_owned(), "x".repeat(301)] {
        assert_eq!(feed(summary.clone()), Err(HostError::Invalid), "{summary:?}");
    }
    let (_, host) = run(Lane::Owner, &[HostCall::Log], |host| {
        host.log(Level::Warn, "odd");
        host.log(Level::Warn, "two\nlines");
        host.log(Level::Warn, &"x".repeat(401));
        Ok(Reply::None)
    });
    assert_eq!(host.effects, [Effect::Log(Level::Warn, "odd".to_owned())]);
}

#[test]
fn a_reply_has_a_size() {
    let reply = |bytes: usize| run(Lane::Owner, &[], move |_| Ok(Reply::Body(vec![b'0'; bytes]))).0;
    assert!(reply(MAX_REPLY_BYTES).is_ok());
    assert_eq!(reply(MAX_REPLY_BYTES + 1), Err(HandlerError::Fault(Fault::Reply)));
}

#[test]
fn effects_of_a_handler_that_fails_are_taken_back() {
    for error in
        [HandlerError::Refuse(RefusalCode::Denied), HandlerError::Retry("later".to_owned()), Fault::Trap.into()]
    {
        let failure = error.clone();
        let (result, host) = run(Lane::Owner, &HostCall::ALL, move |host| {
            host.put("key", b"1")?;
            Err(failure.clone())
        });
        assert_eq!((result, host.store.len()), (Err(error), 0));
    }
}

fn nothing(_: &mut dyn Host, _: &Context, _: Nothing) -> Result<Outcome<vettid_wire::data::FieldList>, HandlerError> {
    Ok(Outcome::Done)
}

#[test]
fn two_handlers_for_one_event_are_no_table() {
    let first = Manifest::linked("first", &[], &[], FieldScope::NONE);
    let second = Manifest::linked("second", &[], &[], FieldScope::NONE);
    let twice = Handlers::builder().on::<DataList>(&first, nothing).on::<DataList>(&second, nothing).build();
    let clash = BuildError::TwoHandlers {
        event_type: name("data.list"),
        lane: Lane::Owner,
        first: "first".to_owned(),
        second: "second".to_owned(),
    };
    assert_eq!(twice.unwrap_err(), clash);
}

#[test]
fn a_package_cannot_take_the_store_of_a_linked_in_handler() {
    let linked = Manifest::linked("data", &[], &[], FieldScope::NONE);
    let program: Arc<dyn Handler> = Arc::new(Program(|_: &mut dyn Host| Ok(Reply::None)));
    let package = Handlers::builder().on::<DataList>(&linked, nothing).register(
        Lane::Service,
        name("test.event"),
        Arc::new(linked.clone()),
        program,
    );
    assert_eq!(package.build().unwrap_err(), BuildError::SharedName("data".to_owned()));
}

#[test]
fn handlers_are_found_by_lane_and_event_alone() {
    let first = Manifest::linked("first", &[], &[], FieldScope::NONE);
    let get = |_: &mut dyn Host, _: &Context, _: vettid_wire::data::FieldName| Err(RefusalCode::NotFound.into());
    let handlers = Handlers::builder().on::<DataList>(&first, nothing).on::<DataGet>(&first, get).build().unwrap();
    assert!(handlers.find(Lane::Owner, &name("data.list")).is_some());
    assert!(handlers.find(Lane::Service, &name("data.list")).is_none());
    assert!(handlers.find(Lane::Owner, &name("data.set")).is_none());
    assert_eq!(handlers.event_types(), [name("data.get"), name("data.list")]);
}

#[test]
fn host_calls_are_read_as_they_are_written() {
    for call in HostCall::ALL {
        assert_eq!(call.to_string().parse(), Ok(call));
    }
    assert!("network".parse::<HostCall>().is_err());
}

//! The table of cases against the linked-in handlers, and what an event does to the vault beside its reply.

use crate::cases::{BOB, REQUEST, at, event_id, member, owner, service};
use serde_json::json;
use vettid_handler::event::Event;
use vettid_handler::handlers::Handlers;
use vettid_handler::host::{Field, HostError};
use vettid_handler::reply::{HandlerError, Reply};
use vettid_handler::testing::{Effect, MemoryHost};
use vettid_handlers::native;
use vettid_wire::base64::Base64Url;
use vettid_wire::contract::Tier;
use vettid_wire::event::Lane;
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::json::canonical;

fn handlers() -> Handlers {
    native().build().unwrap()
}

fn host() -> MemoryHost {
    MemoryHost { connections: [BOB.parse().unwrap()].into(), ..MemoryHost::default() }
}

#[test]
fn every_case_comes_out_as_the_table_says() {
    let handlers = handlers();
    for scenario in crate::cases::all() {
        let mut host = scenario.host;
        for (number, (event, expect)) in scenario.steps.iter().enumerate() {
            expect.check(&format!("{} (step {})", scenario.name, number + 1), &host.run(&handlers, event));
        }
    }
}

#[test]
fn a_refused_event_leaves_no_trace() {
    let handlers = handlers();
    for scenario in crate::cases::all() {
        let mut host = scenario.host;
        for (event, _) in &scenario.steps {
            let before = host.clone();
            if host.run(&handlers, event).is_err() {
                assert_eq!(host, before, "{}", scenario.name);
            }
        }
    }
}

#[test]
fn the_table_of_handlers_is_the_one_that_is_published() {
    let handlers = handlers();
    let rows: Vec<_> =
        handlers.rows().map(|(lane, event, handler)| format!("{lane:?} {event} {}", handler.manifest().name)).collect();
    assert_eq!(
        rows,
        [
            "Owner data.get data",
            "Owner data.list data",
            "Owner data.remove data",
            "Owner data.set data",
            "Owner messaging.export messaging",
            "Owner messaging.get messaging",
            "Owner messaging.list messaging",
            "Owner messaging.react messaging",
            "Owner messaging.read messaging",
            "Owner messaging.recover messaging",
            "Owner messaging.remove messaging",
            "Owner messaging.send messaging",
            "Owner messaging.settings messaging",
            "Owner messaging.tidy messaging",
            "Owner profile.get profile",
            "Owner profile.update profile",
            "Connection messaging.disappear messaging",
            "Connection messaging.reaction messaging",
            "Connection messaging.receipt messaging",
            "Connection messaging.resume messaging",
            "Connection messaging.resumed messaging",
            "Connection messaging.returned messaging",
            "Connection messaging.seen messaging",
            "Connection messaging.text messaging",
            "Service auth.challenge auth_challenge",
            "Service data.request data_request",
        ]
    );
    assert_eq!(handlers.event_types().len(), 26);
    assert!(handlers.find(Lane::Connection, &"messaging.send".parse().unwrap()).is_none(), "a peer gives no commands");
}

fn text(text: &str) -> Event {
    member("messaging.text", json!({"message_id": event_id(1), "number": 1, "text": text, "sent_at": at(0)}))
}

#[test]
fn a_message_leads_to_one_receipt_and_one_note_that_does_not_quote_it() {
    let (handlers, mut host) = (handlers(), host());
    host.run(&handlers, &text("the secret word")).unwrap();
    let receipt = json!({"message_id": event_id(1), "received_at": at(0)});
    let own: Vec<_> = host.effects.iter().filter(|effect| !matches!(effect, Effect::Put(..))).collect();
    let [Effect::Feed(note), Effect::Send(to, event_type, payload)] = own[..] else { panic!("{own:?}") };
    assert_eq!((to.to_string().as_str(), event_type.as_str()), (BOB, "messaging.receipt"));
    assert_eq!(payload, &canonical(&receipt).unwrap());
    assert_eq!(
        (note.severity, note.outcome, note.summary.as_str()),
        (Severity::Notice, Outcome::Done, "New message from Bob")
    );
}

#[test]
fn a_repeated_message_leads_to_the_same_receipt_alone() {
    let (handlers, mut host) = (handlers(), host());
    host.run(&handlers, &text("hi")).unwrap();
    let first = host.effects.last().cloned();
    let before = host.effects.len();
    host.run(&handlers, &crate::cases::later(text("hi"), 7, 60_000)).unwrap();
    assert_eq!(host.effects.len(), before + 1);
    assert_eq!(host.effects.last().cloned(), first);
}

#[test]
fn a_sent_message_travels_under_the_id_of_its_command() {
    let (handlers, mut host) = (handlers(), host());
    host.run(&handlers, &owner("messaging.send", json!({"connection_id": BOB, "text": "hi"}))).unwrap();
    let sent = host.effects.iter().find_map(|effect| match effect {
        Effect::Send(_, event_type, payload) => Some((event_type.to_string(), payload.clone())),
        _ => None,
    });
    let body = json!({"message_id": event_id(0), "number": 1, "text": "hi", "sent_at": at(0)});
    assert_eq!(sent, Some(("messaging.text".to_owned(), canonical(&body).unwrap())));
}

fn consent_request() -> Event {
    let body = json!({
        "request_id": REQUEST, "service_id": "demo-shop", "connection_id": BOB, "contract_hash": Base64Url::new([7; 32]),
        "field": "address", "purpose": "To deliver your order",
    });
    service("data.request", Some(Tier::Consent), body)
}

#[test]
fn the_owner_sees_who_asked_for_what_and_what_came_of_it() {
    let (handlers, mut host) = (handlers(), host());
    host.fields.insert("address".to_owned(), Field { value: b"\"Z\"".to_vec(), updated_at: at(0) });
    let asked = consent_request();
    host.run(&handlers, &asked).unwrap();
    host.run(&handlers, &crate::cases::decided(asked.clone(), vettid_wire::auth::Decision::Deny)).unwrap();
    host.run(&handlers, &crate::cases::decided(asked, vettid_wire::auth::Decision::Approve)).unwrap();
    let notes = host.effects.iter().map(|effect| match effect {
        Effect::Feed(note) => (note.summary.as_str(), note.outcome, note.request_id.unwrap().to_string()),
        other => panic!("{other:?}"),
    });
    let expected = [
        ("Demo Shop asks to read your address", Outcome::Pending, REQUEST.to_owned()),
        ("Demo Shop was not given your address", Outcome::Denied, REQUEST.to_owned()),
        ("Demo Shop read your address", Outcome::Approved, REQUEST.to_owned()),
    ];
    assert_eq!(notes.collect::<Vec<_>>(), expected);
}

#[test]
fn without_the_owners_word_the_host_gives_no_field_of_the_consent_tier() {
    let mut host = host();
    host.fields.insert("address".to_owned(), Field { value: b"1".to_vec(), updated_at: at(0) });
    host.begin(&consent_request().context);
    assert_eq!(vettid_handler::host::Host::field(&mut host, "address"), Err(HostError::Denied));
}

#[test]
fn a_deceptive_name_of_a_connection_is_shown_without_its_tricks() {
    let (handlers, mut host) = (handlers(), host());
    let mut event = text("hi");
    event.context.peer.as_mut().unwrap().display_name = format!("Bank\u{202e}\n{}", "x".repeat(500));
    assert_eq!(host.run(&handlers, &event), Ok(Reply::None));
    let note =
        host.effects.iter().find_map(|effect| if let Effect::Feed(note) = effect { Some(&note.summary) } else { None });
    assert_eq!(note, Some(&format!("New message from Bank{}", "x".repeat(76))));
}

#[test]
fn a_damaged_store_is_said_and_not_covered_up() {
    let (handlers, mut host) = (handlers(), host());
    host.run(&handlers, &text("hi")).unwrap();
    let key = host.store.keys().find(|key| key.starts_with("text/")).unwrap().clone();
    host.store.insert(key, b"{".to_vec());
    let list = owner("messaging.list", json!({"connection_id": BOB}));
    assert!(matches!(host.run(&handlers, &list), Err(HandlerError::Retry(_))));
}

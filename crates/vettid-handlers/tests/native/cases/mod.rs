//! The table of cases for the first-party handlers: scenarios of events and what comes of each. The same table is run
//! against the linked-in handlers and against their components.

mod auth_challenge;
mod data;
mod data_request;
mod messaging;
mod profile;

use serde_json::Value;
use vettid_handler::event::{Answer, Context, Decided, Event, Peer, Service};
use vettid_handler::reply::{HandlerError, Reply};
use vettid_handler::testing::MemoryHost;
use vettid_wire::auth::Decision;
use vettid_wire::base64::Base64Url;
use vettid_wire::contract::{Permission, Tier};
use vettid_wire::event::Lane;
use vettid_wire::id::EventId;
use vettid_wire::json;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

/// The connection of most cases.
pub(crate) const BOB: &str = "018f6b1e-7c1a-7000-8000-00000000000b";
/// Another connection.
pub(crate) const CAROL: &str = "018f6b1e-7c1a-7000-8000-00000000000c";
/// The request of most cases.
pub(crate) const REQUEST: &str = "018f6b1e-7c1a-7000-8000-0000000000aa";
/// When the events of a scenario begin.
pub(crate) const START: &str = "2026-11-21T10:00:00.000Z";

/// Events that happen to one vault, in order.
pub(crate) struct Scenario {
    /// What it shows.
    pub(crate) name: String,
    /// The vault before.
    pub(crate) host: MemoryHost,
    /// Each event and what comes of it.
    pub(crate) steps: Vec<(Event, Expect)>,
}

/// What comes of an event.
#[derive(Debug)]
pub(crate) enum Expect {
    /// This reply.
    Body(Value),
    /// Done, nothing is answered.
    None,
    /// The owner is asked this.
    Ask {
        /// The question.
        ask: Value,
        /// The reply for now.
        interim: Option<Value>,
    },
    /// Refused.
    Refuse(RefusalCode),
}

/// Every scenario.
pub(crate) fn all() -> Vec<Scenario> {
    [profile::all(), data::all(), data_request::all(), messaging::all(), auth_challenge::all()]
        .into_iter()
        .flatten()
        .collect()
}

pub(crate) fn scenario(name: impl Into<String>, steps: Vec<(Event, Expect)>) -> Scenario {
    let connections = [BOB, CAROL].map(|id| id.parse().unwrap()).into();
    Scenario { name: name.into(), host: MemoryHost { connections, ..MemoryHost::default() }, steps }
}

impl Expect {
    /// Fails unless `result` is what was expected.
    pub(crate) fn check(&self, name: &str, result: &Result<Reply, HandlerError>) {
        match (self, result) {
            (Self::Body(wanted), Ok(Reply::Body(body))) => {
                assert_eq!(&value(body), wanted, "{name}")
            }
            (Self::None, Ok(Reply::None)) => {}
            (Self::Ask { ask, interim }, Ok(Reply::Ask(question))) => {
                assert_eq!(&serde_json::to_value(&question.ask).unwrap(), ask, "{name}");
                assert_eq!(&question.interim.as_deref().map(value), interim, "{name}");
                assert_eq!(question.request_id.to_string(), REQUEST, "{name}");
            }
            (Self::Refuse(code), Err(HandlerError::Refuse(refused))) => {
                assert_eq!(refused, code, "{name}")
            }
            (wanted, got) => panic!("{name}: wanted {wanted:?}, got {got:?}"),
        }
    }
}

fn value(bytes: &[u8]) -> Value {
    json::parse(bytes).unwrap()
}

/// Milliseconds after the start of a scenario.
pub(crate) fn at(ms: i64) -> Timestamp {
    START.parse::<Timestamp>().unwrap().plus_ms(ms)
}

/// The id of the n-th event.
pub(crate) fn event_id(number: u8) -> EventId {
    EventId::from_bytes([1, 0x8f, 0x6b, 0x1e, 0x7c, 0x1a, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0xee, number])
}

fn event(lane: Lane, event_type: &str, peer: Option<Peer>, body: &Value) -> Event {
    let context = Context {
        event_id: event_id(0),
        event_type: event_type.parse().unwrap(),
        lane,
        occurred_at: at(0),
        peer,
        answer: None,
    };
    Event { context, payload: json::canonical(body).unwrap() }
}

/// A command of the owner.
pub(crate) fn owner(event_type: &str, body: Value) -> Event {
    event(Lane::Owner, event_type, None, &body)
}

/// An event of a connected member.
pub(crate) fn member(event_type: &str, body: Value) -> Event {
    let peer = Peer { connection_id: BOB.parse().unwrap(), display_name: "Bob".to_owned(), service: None };
    event(Lane::Connection, event_type, Some(peer), &body)
}

/// An event of a connected service.
pub(crate) fn service(event_type: &str, tier: Option<Tier>, body: Value) -> Event {
    let service = Service {
        service_id: "demo-shop".parse().unwrap(),
        contract_hash: Base64Url::new([7; 32]),
        permissions: vec![Permission::RequestAuthentication],
        origins: vec![
            "https://shop.example".to_owned(),
            "http://localhost:8090".to_owned(),
            "http://shop.example".to_owned(),
        ],
        tier,
    };
    let peer =
        Peer { connection_id: BOB.parse().unwrap(), display_name: "Demo Shop".to_owned(), service: Some(service) };
    event(Lane::Service, event_type, Some(peer), &body)
}

/// The same event at another time, with another id.
pub(crate) fn later(mut event: Event, number: u8, ms: i64) -> Event {
    event.context.event_id = event_id(number);
    event.context.occurred_at = at(ms);
    event
}

/// The same event after the owner decided.
pub(crate) fn decided(mut event: Event, decision: Decision) -> Event {
    event.context.occurred_at = at(20_000);
    let method = vec!["user".to_owned()];
    event.context.answer = Some(Answer::Decided(Decided { decision, decided_at: at(19_000), method }));
    event
}

/// The same event after nobody decided in time.
pub(crate) fn expired(mut event: Event) -> Event {
    event.context.occurred_at = at(60_000);
    event.context.answer = Some(Answer::Expired);
    event
}

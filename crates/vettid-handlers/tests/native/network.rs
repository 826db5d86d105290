//! Messages between two vaults over a network that repeats, reorders and loses what it carries.

use crate::cases::{BOB, at, event_id, later, member, owner};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use vettid_handler::event::Event;
use vettid_handler::handlers::Handlers;
use vettid_handler::reply::Reply;
use vettid_handler::testing::{Effect, MemoryHost};
use vettid_handlers::native;
use vettid_wire::json::parse;

/// Two vaults and everything that was ever put on the way between them.
struct World {
    handlers: Handlers,
    alice: MemoryHost,
    bob: MemoryHost,
    to_bob: Vec<Value>,
    to_alice: Vec<Value>,
    clock: i64,
}

#[derive(Debug, Clone)]
enum Happening {
    /// Alice writes.
    Write(String),
    /// Some earlier message arrives at Bob, perhaps again.
    Message(Index),
    /// Some earlier receipt arrives at Alice, perhaps again.
    Receipt(Index),
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let one = prop_oneof![
        2 => "[a-z ]{1,12}".prop_map(Happening::Write),
        4 => any::<Index>().prop_map(Happening::Message),
        3 => any::<Index>().prop_map(Happening::Receipt),
    ];
    prop::collection::vec(one, 0..60)
}

impl World {
    fn new() -> Self {
        let host = || MemoryHost { connections: [BOB.parse().unwrap()].into(), ..MemoryHost::default() };
        let handlers = native().build().unwrap();
        Self { handlers, alice: host(), bob: host(), to_bob: vec![], to_alice: vec![], clock: 0 }
    }

    fn timed(&mut self, event: Event) -> Event {
        self.clock += 10;
        later(event, u8::try_from(self.clock / 10).unwrap(), self.clock)
    }

    fn happens(&mut self, happening: &Happening) {
        match happening {
            Happening::Write(text) => {
                let event = self.timed(owner("messaging.send", json!({"connection_id": BOB, "text": text})));
                self.alice.run(&self.handlers, &event).unwrap();
                self.to_bob.extend(take_sent(&mut self.alice));
            }
            Happening::Message(index) if !self.to_bob.is_empty() => self.arrives_at_bob(index.index(self.to_bob.len())),
            Happening::Receipt(index) if !self.to_alice.is_empty() => {
                self.arrives_at_alice(index.index(self.to_alice.len()))
            }
            Happening::Message(_) | Happening::Receipt(_) => {}
        }
    }

    fn arrives_at_bob(&mut self, index: usize) {
        let event = self.timed(member("messaging.text", self.to_bob[index].clone()));
        assert_eq!(self.bob.run(&self.handlers, &event), Ok(Reply::None));
        self.to_alice.extend(take_sent(&mut self.bob));
    }

    fn arrives_at_alice(&mut self, index: usize) {
        let event = self.timed(member("messaging.receipt", self.to_alice[index].clone()));
        assert_eq!(self.alice.run(&self.handlers, &event), Ok(Reply::None));
    }

    fn list(&self, host: &MemoryHost) -> Vec<Value> {
        let list = owner("messaging.list", json!({"connection_id": BOB}));
        let Ok(Reply::Body(body)) = host.clone().run(&self.handlers, &list) else { panic!("no list") };
        parse(&body).unwrap()["messages"].as_array().unwrap().clone()
    }
}

fn take_sent(host: &mut MemoryHost) -> Vec<Value> {
    let effects = std::mem::take(&mut host.effects);
    let sent = effects.into_iter().filter_map(|effect| match effect {
        Effect::Send(_, _, payload) => Some(parse(&payload).unwrap()),
        _ => None,
    });
    sent.collect()
}

fn key(message: &Value, names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| message[name].clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn each_message_is_stored_once_in_order_whatever_the_network_does(happenings in happenings()) {
        let mut world = World::new();
        for happening in &happenings {
            world.happens(happening);
        }
        // What can still arrive arrives, backwards.
        for index in (0..world.to_bob.len()).rev() {
            world.arrives_at_bob(index);
        }
        for index in (0..world.to_alice.len()).rev() {
            world.arrives_at_alice(index);
        }
        let written = happenings.iter().filter_map(|happening| match happening {
            Happening::Write(text) => Some(Value::from(text.clone())),
            _ => None,
        });
        let (sent, received) = (world.list(&world.alice), world.list(&world.bob));
        let texts: Vec<_> = received.iter().map(|message| message["text"].clone()).collect();
        prop_assert_eq!(texts, written.collect::<Vec<_>>());
        let same = ["message_id", "number", "text", "sent_at", "delivered_at"];
        let keys = |list: &[Value]| list.iter().map(|message| key(message, &same)).collect::<Vec<_>>();
        prop_assert_eq!(keys(&sent), keys(&received));
        prop_assert!(sent.iter().all(|message| message["delivered_at"].is_string()));
    }

    #[test]
    fn only_what_was_received_is_marked_as_delivered(happenings in happenings()) {
        let mut world = World::new();
        for happening in &happenings {
            world.happens(happening);
        }
        let received: BTreeSet<_> = world.list(&world.bob).iter().map(|message| message["message_id"].to_string()).collect();
        for message in world.list(&world.alice) {
            let is_marked = message.get("delivered_at").is_some();
            prop_assert!(!is_marked || received.contains(&message["message_id"].to_string()));
        }
    }
}

#[test]
fn ids_of_two_connections_do_not_meet() {
    let mut world = World::new();
    world.alice.connections.insert(crate::cases::CAROL.parse().unwrap());
    let text = |who: &str| {
        let mut event =
            member("messaging.text", json!({"message_id": event_id(1), "number": 1, "text": who, "sent_at": at(0)}));
        event.context.peer.as_mut().unwrap().connection_id = who.parse().unwrap();
        event
    };
    for who in [BOB, crate::cases::CAROL] {
        assert_eq!(world.alice.run(&world.handlers, &text(who)), Ok(Reply::None));
    }
    assert_eq!(world.list(&world.alice).len(), 1);
}

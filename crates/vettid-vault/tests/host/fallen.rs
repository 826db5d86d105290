//! A fault of the program that one event meets: it costs its own vault a little time, and the other vaults and the host nothing.

use crate::desk::{Desk, received, until};
use crate::mailbox::{Sender, sealed_texts};
use crate::town::{ALICE, BOB};
use serde_json::{Value, json};
use std::sync::Arc;
use vettid_handler::event::Event;
use vettid_handler::handler::Handler;
use vettid_handler::handlers::{Handlers, Registered};
use vettid_handler::host::Host;
use vettid_handler::reply::{HandlerError, Reply};
use vettid_wire::base64::Base64;
use vettid_wire::control::ControlOutcome;
use vettid_wire::subject::Subject;

/// Falls over a word, and is the handler that it stands for otherwise.
struct Fragile(Registered);

impl Handler for Fragile {
    fn handle(&self, host: &mut dyn Host, event: &Event) -> Result<Reply, HandlerError> {
        assert!(!event.payload.windows(4).any(|word| word == b"trap"), "a fault of the program");
        self.0.handle(host, event)
    }
}

fn fragile() -> Handlers {
    let sound = vettid_handlers::native().build().unwrap();
    let fragile = sound.rows().fold(Handlers::builder(), |table, (lane, event_type, handler)| {
        let manifest = Arc::new(handler.manifest().clone());
        table.register(lane, event_type.clone(), manifest, Arc::new(Fragile(handler.clone())))
    });
    fragile.build().unwrap()
}

async fn reloads(desk: &mut Desk) -> Value {
    let ControlOutcome::Done(health) = desk.command("host-1", "health.request", json!({})).await else {
        panic!("no health")
    };
    assert_eq!((&health["vaults"], &health["broken"]), (&json!(2), &json!({})));
    health["reloads"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_the_program_falls_over_is_kept_apart_and_everything_else_is_handled() {
    let mut desk = Desk::open().await;
    let mut town = desk.town(["host-1", "host-1"]);
    let id = town.connect();
    let texts = ["one", "two", "trap", "three", "four"].map(str::to_owned);
    let letters = sealed_texts(&mut town, ALICE, BOB, id, &texts);
    desk.publish(&town, ALICE).await;
    desk.publish(&town, BOB).await;
    let sender = Sender::open(&desk, &town, ALICE, id).await;
    // They wait when the host starts, so that they come in one batch.
    sender.send(&letters).await;
    desk.handlers = Some(fragile());
    let running = desk.run("host-1").await;
    let (reader, shared) = (&desk, tokio::sync::Mutex::new(town));
    until("the good ones are there and the bad one is in quarantine", || async {
        let mut town = shared.lock().await;
        reader.read_back(&mut town, BOB).await;
        received(&mut town, BOB, id).len() == 4 && town.nodes[BOB].vault.quarantined().unwrap().messages == 1
    })
    .await;
    let mut town = shared.into_inner();
    let mut texts = received(&mut town, BOB, id);
    texts.sort();
    assert_eq!(texts, ["four", "one", "three", "two"]);
    let kept = town.nodes[BOB].vault.state().all();
    let kept = kept.iter().find(|(key, _)| key.starts_with("quarantine/")).unwrap().1.clone().unwrap();
    let kept: (Subject, Base64) = serde_json::from_slice(&kept).unwrap();
    assert_eq!((kept.0, kept.1.as_bytes()), (letters[2].0.clone(), letters[2].1.as_slice()), "sealed as it came");
    // Bob's vault fell five times, and nothing else did.
    assert_eq!(reloads(&mut desk).await, json!(5));
    sender.send(&sealed_texts(&mut town, ALICE, BOB, id, &["five".into()])).await;
    let (reader, shared) = (&desk, tokio::sync::Mutex::new(town));
    until("it goes on", || async {
        let mut town = shared.lock().await;
        reader.read_back(&mut town, BOB).await;
        received(&mut town, BOB, id).len() == 5
    })
    .await;
    assert_eq!(reloads(&mut desk).await, json!(5));
    running.stop().await;
    desk.broker.shut().await;
}

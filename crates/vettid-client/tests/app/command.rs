//! Commands over a broker that loses, repeats, changes and mixes up what passes: each has one effect, and only its own
//! answer counts.

use crate::world::World;
use std::time::Duration;
use vettid_client::command::CommandError;
use vettid_client::intent::Outcome;
use vettid_wire::data::{FieldName, SetField};
use vettid_wire::envelope::Envelope;
use vettid_wire::event::{DataGet, DataSet, MessagingSend, Nothing, ProfileGet, VaultHealth};
use vettid_wire::id::{ConnectionId, EventId};
use vettid_wire::messaging::SendText;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::subject::Subject;

fn text(text: &str) -> SendText {
    SendText::new(ConnectionId::from_bytes([5; 16]), text)
}

fn texts(world: &World) -> Vec<String> {
    world.vault.lock().unwrap().texts.clone()
}

#[tokio::test(start_paused = true)]
async fn a_value_comes_back() {
    let world = World::enrolled().await;
    let address = serde_json::json!({"street": "Main Street 1", "city": "Bern"});
    world.app().command::<DataSet>(SetField { field: "address".into(), value: address.clone() }).await.unwrap();
    let view = world.app().command::<DataGet>(FieldName { field: "address".into() }).await.unwrap();
    assert_eq!(view.value, address);
}

#[tokio::test(start_paused = true)]
async fn nothing_leaves_in_clear() {
    let world = World::enrolled().await;
    world.app().command::<MessagingSend>(text("canary-canary")).await.unwrap();
    let wires = world.broker.wires.lock().unwrap();
    assert!(wires.published.iter().all(|(_, bytes)| !bytes.windows(6).any(|window| window == b"canary")));
    assert_eq!(texts(&world), ["canary-canary"]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_asked_for_again() {
    let world = World::enrolled().await;
    let mut seen = 0;
    world.broker.fault(move |post| {
        seen += 1;
        if seen == 1 { vec![] } else { vec![post] }
    });
    world.app().command::<MessagingSend>(text("once")).await.unwrap();
    assert_eq!(texts(&world), ["once"]);
    assert_eq!(world.broker.count("messaging.send"), 2);
    // A question that only reads is asked again under a new sequence too.
    let mut seen = 0;
    world.broker.fault(move |post| {
        seen += 1;
        if seen == 1 { vec![] } else { vec![post] }
    });
    assert!(world.app().command::<VaultHealth>(Nothing {}).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_repeated_answer_counts_once() {
    let world = World::enrolled().await;
    world.broker.fault(|post| vec![post.clone(), post.clone(), post]);
    for number in 0..3 {
        world.app().command::<MessagingSend>(text(&format!("{number}"))).await.unwrap();
    }
    assert_eq!(texts(&world), ["0", "1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_changed_answer_is_passed_over() {
    let world = World::enrolled().await;
    let mut place = 0;
    world.broker.fault(move |(subject, payload)| {
        place += 97;
        let mut changed = payload.clone();
        let at = place % changed.len();
        changed[at] ^= 1;
        let mut moved = Envelope::read(&payload).unwrap();
        moved.sequence += 1;
        let moved = serde_json::to_vec(&moved).unwrap();
        [changed, moved, b"not an envelope".to_vec(), payload].map(|payload| (subject.clone(), payload)).into()
    });
    for number in 0..20 {
        world.app().command::<MessagingSend>(text(&format!("{number}"))).await.unwrap();
    }
    assert_eq!(texts(&world).len(), 20);
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_another_question_is_passed_over() {
    let world = World::enrolled().await;
    let vault = world.vault.clone();
    let clock = world.clock.clone();
    world.broker.fault(move |(subject, payload)| {
        let Subject::ForApp(_, event_type, event_id) = &subject else { panic!() };
        // The vault's own keys, the right subject, but the answer names another event or another body.
        let mut vault = vault.lock().unwrap();
        let fine = serde_json::json!({"status": "success", "value": {"message_id": EventId::from_bytes([9; 16])}});
        let mut quote = |event_id, body: &str| {
            let in_reply_to = vettid_core::channel::in_reply_to(event_id, &body).unwrap();
            vault
                .seal(
                    clock.time(),
                    event_type,
                    *match &subject {
                        Subject::ForApp(_, _, id) => id,
                        _ => panic!(),
                    },
                    &fine,
                    Some(in_reply_to),
                )
                .unwrap()
        };
        let other_event = quote(EventId::from_bytes([8; 16]), "x");
        let other_body = quote(*event_id, "x");
        vec![other_event, other_body, (subject.clone(), payload)]
    });
    let sent = world.app().command::<MessagingSend>(text("mine")).await.unwrap();
    assert_ne!(sent.message_id, EventId::from_bytes([9; 16]));
}

#[tokio::test(start_paused = true)]
async fn a_silent_vault_is_told_and_the_same_command_runs_once() {
    let world = World::enrolled().await;
    world.broker.fault(|_| vec![]);
    let error = world.app().command::<MessagingSend>(text("once")).await.unwrap_err();
    assert!(matches!(error, CommandError::NoAnswer { has_effect: true, .. }), "{error}");
    assert_eq!(texts(&world), ["once"], "it arrived, only the answer did not");
    world.broker.no_fault();
    world.app().command::<MessagingSend>(text("once")).await.unwrap();
    assert_eq!(texts(&world), ["once"]);
    // It is over now: the same text again is a new message.
    world.app().command::<MessagingSend>(text("once")).await.unwrap();
    assert_eq!(texts(&world), ["once", "once"]);
}

#[tokio::test(start_paused = true)]
async fn the_same_command_runs_once_even_much_later() {
    let world = World::enrolled().await;
    world.broker.fault(|_| vec![]);
    world.app().command::<MessagingSend>(text("arrived")).await.unwrap_err();
    world.broker.no_fault();
    world.pass(Duration::from_secs(600)).await;
    world.app().command::<MessagingSend>(text("arrived")).await.unwrap();
    assert_eq!(texts(&world), ["arrived"]);
    // One that never arrived is too late under its old id, and is carried out under a new one.
    world.broker.wires.lock().unwrap().deaf = true;
    world.app().command::<MessagingSend>(text("lost")).await.unwrap_err();
    world.broker.wires.lock().unwrap().deaf = false;
    world.pass(Duration::from_secs(600)).await;
    world.app().command::<MessagingSend>(text("lost")).await.unwrap();
    assert_eq!(texts(&world), ["arrived", "lost"]);
}

#[tokio::test(start_paused = true)]
async fn the_next_command_tells_what_became_of_the_one_before() {
    let world = World::enrolled().await;
    world.broker.fault(|_| vec![]);
    world.app().command::<MessagingSend>(text("arrived")).await.unwrap_err();
    world.broker.no_fault();
    let app = world.app();
    app.command::<VaultHealth>(Nothing {}).await.unwrap();
    let settled = app.take_settled();
    assert_eq!((settled.len(), settled[0].outcome), (1, Outcome::CarriedOut));
    assert_eq!(settled[0].event_type.as_str(), "messaging.send");

    world.broker.wires.lock().unwrap().deaf = true;
    world.app().command::<MessagingSend>(text("lost")).await.unwrap_err();
    world.broker.wires.lock().unwrap().deaf = false;
    world.pass(Duration::from_secs(600)).await;
    let app = world.app();
    app.command::<MessagingSend>(text("next")).await.unwrap();
    assert_eq!(app.take_settled()[0].outcome, Outcome::Refused(RefusalCode::Expired));
    assert_eq!(texts(&world), ["arrived", "next"]);
    assert!(app.take_settled().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_typed() {
    let world = World::enrolled().await;
    let error = world.app().command::<DataGet>(FieldName { field: "none".into() }).await.unwrap_err();
    assert!(matches!(error, CommandError::Refused { code: RefusalCode::NotFound, .. }), "{error}");
    let error = world.app().command::<ProfileGet>(Nothing {}).await.unwrap_err();
    assert!(matches!(error, CommandError::Refused { code: RefusalCode::UnsupportedEvent, .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_is_not_sent() {
    let world = World::enrolled().await;
    let published = world.broker.wires.lock().unwrap().published.len();
    let error = world.app().command::<MessagingSend>(text(&"x".repeat(65 * 1024))).await.unwrap_err();
    assert!(matches!(error, CommandError::TooLarge { cap_bytes: 65_536 }), "{error}");
    assert_eq!(world.broker.wires.lock().unwrap().published.len(), published);
}

#[tokio::test(start_paused = true)]
async fn commands_wait_for_each_other() {
    let world = World::enrolled().await;
    let (one, other) = (world.app(), world.app());
    let (one, other) = tokio::join!(one.command::<MessagingSend>(text("1")), other.command::<MessagingSend>(text("2")));
    assert!(one.is_ok() && other.is_ok());
    assert_eq!(texts(&world).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_down_is_told() {
    let world = World::enrolled().await;
    world.broker.wires.lock().unwrap().down = true;
    let error = world.app().command::<VaultHealth>(Nothing {}).await.unwrap_err();
    assert!(matches!(error, CommandError::Transport(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn without_an_enrolled_app_nothing_is_sent() {
    let world = World::new();
    assert!(matches!(world.app().command::<VaultHealth>(Nothing {}).await, Err(CommandError::NotEnrolled)));
}

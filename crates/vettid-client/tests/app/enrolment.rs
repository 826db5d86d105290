//! From a code to a member's app, with everything on the way lost, repeated, interrupted or forged.

use crate::impostor::Impostor;
use crate::vault::Vault;
use crate::world::World;
use vettid_client::command::CommandError;
use vettid_client::enrolment::{EnrolmentError, Existing};
use vettid_client::services::ServicesError;
use vettid_wire::enrolment::EnrolmentState;
use vettid_wire::event::{Nothing, VaultHealth};
use vettid_wire::handshake::{Invitation, InvitationKind};

const ALL_STEPS: [&str; 4] = ["scan", "authenticate", "nats-bootstrap", "finalize"];

fn text(code: &Invitation) -> String {
    code.to_text().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_code_makes_an_app() {
    let world = World::new();
    let enrolled = world.enrol().await;
    let vault = world.vault.lock().unwrap().fingerprint();
    assert_eq!((enrolled.vault_fingerprint, enrolled.services_informed), (vault, true));
    assert_eq!(world.operator.inner.lock().unwrap().steps, ALL_STEPS);
    let state = world.operator.inner.lock().unwrap().enrolment.as_ref().unwrap().state();
    assert_eq!(state, Some(EnrolmentState::Completed));
    assert!(world.app().command::<VaultHealth>(Nothing {}).await.is_ok());
    let inbox = format!("OwnerSpace.{}.forApp._r.phone-1", enrolled.guid);
    assert!(world.broker.wires.lock().unwrap().sign_ins.iter().all(|seen| *seen == inbox));
}

#[tokio::test(start_paused = true)]
async fn a_vault_with_another_fingerprint_is_refused() {
    let world = World::new();
    let code = world.code();
    // Somebody shows a code with the vault's fingerprint and keys of their own, and answers in its place.
    let (impostor, prekey) = Impostor::new(world.clock.time(), &code);
    world.vault.lock().unwrap().impostor = Some(impostor);
    let forged = Invitation { invite_key: prekey, ..code };
    let error = world.app().enrol(&text(&forged), Existing::Keep).await.unwrap_err();
    assert!(matches!(error, EnrolmentError::WrongVault), "{error}");
    assert!(world.vault.lock().unwrap().impostor.as_ref().unwrap().answered);
    assert!(matches!(world.app().command::<VaultHealth>(Nothing {}).await, Err(CommandError::EnrolmentUnfinished)));
    assert_eq!(world.broker.count("app.bootstrap"), 1, "the third message is never sent");
}

#[tokio::test(start_paused = true)]
async fn a_code_of_another_vault_does_not_open() {
    let world = World::new();
    let code = world.code();
    // The code names another fingerprint: no key of the handshake agrees with the vault's.
    let other = Vault::new(world.clock.time()).fingerprint();
    let forged = Invitation { inviter_fp: other, ..code };
    assert!(matches!(world.app().enrol(&text(&forged), Existing::Keep).await, Err(EnrolmentError::NoAnswer)));
}

#[tokio::test(start_paused = true)]
async fn lost_and_repeated_answers_change_nothing() {
    let world = World::new();
    let mut seen = 0;
    world.broker.fault(move |post| {
        seen += 1;
        match seen {
            1 | 3 => vec![],
            _ => vec![post.clone(), post],
        }
    });
    let enrolled = world.enrol().await;
    assert!(enrolled.services_informed);
    // The responder raises an alarm for other bytes, so each was sent again as it was.
    assert!(world.broker.count("app.bootstrap") >= 4);
}

#[tokio::test(start_paused = true)]
async fn garbage_on_the_answer_subject_is_passed_over() {
    let world = World::new();
    world.broker.fault(|(subject, payload)| {
        let mut changed = payload.clone();
        let place = changed.len() / 2;
        changed[place] ^= 1;
        vec![(subject.clone(), b"{}".to_vec()), (subject.clone(), changed), (subject, payload)]
    });
    assert!(world.enrol().await.services_informed);
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_enrolment_goes_on_with_the_same_code() {
    let world = World::new();
    let code = text(&world.code());
    world.broker.wires.lock().unwrap().deaf = true;
    assert!(matches!(world.app().enrol(&code, Existing::Keep).await, Err(EnrolmentError::NoAnswer)));
    assert!(matches!(world.app().command::<VaultHealth>(Nothing {}).await, Err(CommandError::EnrolmentUnfinished)));
    world.broker.wires.lock().unwrap().deaf = false;
    assert!(world.app().enrol(&code, Existing::Keep).await.unwrap().services_informed);
    let wires = world.broker.wires.lock().unwrap();
    let first: Vec<_> =
        wires.published.iter().filter(|(subject, _)| subject.to_string().ends_with("bootstrap")).collect();
    assert!(first[..4].iter().all(|post| post.1 == first[0].1), "the stored bytes are sent again");
    assert_eq!(world.operator.inner.lock().unwrap().steps, ALL_STEPS);
}

#[tokio::test(start_paused = true)]
async fn the_last_message_is_sent_again_by_whatever_comes_next() {
    let world = World::new();
    let code = text(&world.code());
    // From the second message on nothing reaches the app.
    let mut seen = 0;
    world.broker.fault(move |post| {
        seen += 1;
        if seen == 1 { vec![post] } else { vec![] }
    });
    let error = world.app().enrol(&code, Existing::Keep).await.unwrap_err();
    assert!(matches!(error, EnrolmentError::First(CommandError::NoAnswer { .. })), "{error}");
    world.broker.no_fault();
    assert!(world.app().command::<VaultHealth>(Nothing {}).await.is_ok());
    assert!(world.app().enrol(&code, Existing::Keep).await.unwrap().services_informed);
}

#[tokio::test(start_paused = true)]
async fn codes_that_cannot_be_used_say_why() {
    let world = World::new();
    let code = world.code();
    let app = world.app();
    assert!(matches!(app.enrol("hello", Existing::Keep).await, Err(EnrolmentError::Invitation(_))));
    let connect = Invitation { kind: InvitationKind::Connect, enrolment: None, ..code.duplicate() };
    assert!(matches!(app.enrol(&text(&connect), Existing::Keep).await, Err(EnrolmentError::WrongKind)));
    world.clock.set(600_000);
    assert!(matches!(app.enrol(&text(&code), Existing::Keep).await, Err(EnrolmentError::Expired { .. })));
    assert!(world.operator.inner.lock().unwrap().steps.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_enrolled_app_is_not_lost_by_mistake() {
    let world = World::enrolled().await;
    let code = text(&world.code());
    assert!(matches!(world.app().enrol(&code, Existing::Keep).await, Err(EnrolmentError::AlreadyEnrolled)));
    assert!(world.app().enrol(&code, Existing::Replace).await.is_ok());
    assert!(world.app().command::<VaultHealth>(Nothing {}).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn services_cannot_lead_to_another_member() {
    let world = World::new();
    let other = Vault::new(world.clock.time()).guid;
    world.operator.inner.lock().unwrap().leads_to = Some(other);
    let error = world.app().enrol(&text(&world.code()), Existing::Keep).await.unwrap_err();
    assert!(matches!(error, EnrolmentError::OtherMember), "{error}");
    assert!(world.broker.wires.lock().unwrap().sign_ins.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_of_services_is_told() {
    for step in ["scan", "authenticate", "nats-bootstrap"] {
        let world = World::new();
        world.operator.inner.lock().unwrap().loses = Some(step);
        let error = world.app().enrol(&text(&world.code()), Existing::Keep).await.unwrap_err();
        assert!(
            matches!(error, EnrolmentError::Services { source: ServicesError::Unreachable(_), .. }),
            "{step}: {error}"
        );
    }
    let world = World::new();
    world.operator.inner.lock().unwrap().loses = Some("finalize");
    assert!(!world.enrol().await.services_informed);
    assert!(world.app().command::<VaultHealth>(Nothing {}).await.is_ok());
}

//! The app dies at each step on its disk, in each way. Afterwards the credential works, and each operation happened at most
//! once and as it is told.

use crate::brittle::{Break, How};
use crate::credential::{PASSWORD, note, types};
use crate::world::World;
use vettid_client::intent::Outcome;
use vettid_client::vault_credential::CredentialError;

const NEW: &str = "another horse, another staple";
/// No flow takes more steps.
const MOST_STEPS: usize = 40;
/// Nor fewer: session, intent, new slot, older slot.
const FEWEST_STEPS: usize = 4;

fn break_after(world: &World, steps: usize, how: How) {
    *world.breaks.lock().unwrap() = Some(Break { steps, how });
}

/// Whether the break did not come; it never comes later then.
fn came_through(world: &World) -> bool {
    world.breaks.lock().unwrap().take().is_some()
}

/// Adds a secret with a break after so many steps, and looks at everything afterwards; `true` once no step is left.
async fn add_with_break(steps: usize, how: How) -> bool {
    let world = World::with_credential().await;
    break_after(&world, steps, how);
    let added = world.app().add_secret(note("Door", "1234"), &mut types(PASSWORD)).await;
    if came_through(&world) {
        added.unwrap();
        return true;
    }
    let app = world.app();
    let state = app.credential_state().await.unwrap();
    assert!(state.held_here, "{steps} {how:?}");
    let told = app.take_settled();
    let done = world.labels().len();
    assert!(done <= 1, "{steps} {how:?}");
    // What was carried out is either known already or told.
    let told_done = told.iter().any(|told| told.outcome == Outcome::CarriedOut);
    assert!(!told_done || done == 1, "{steps} {how:?}: {told:?}");
    if done == 0 {
        world.app().add_secret(note("Door", "1234"), &mut types(PASSWORD)).await.unwrap();
    }
    assert_eq!(world.show(world.secret_id("Door"), PASSWORD).await.unwrap(), "1234", "{steps} {how:?}");
    false
}

async fn create_with_break(steps: usize, how: How) -> bool {
    let world = World::enrolled().await;
    break_after(&world, steps, how);
    let created = world.app().create_credential(None, &mut types(PASSWORD)).await;
    if came_through(&world) {
        created.unwrap();
        return true;
    }
    match world.app().create_credential(None, &mut types(PASSWORD)).await {
        Ok(_) | Err(CredentialError::Exists) => {}
        Err(error) => panic!("{steps} {how:?}: {error}"),
    }
    let added = world.app().add_secret(note("Door", "1234"), &mut types(PASSWORD)).await.unwrap();
    assert_eq!(world.show(added.secret_id, PASSWORD).await.unwrap(), "1234", "{steps} {how:?}");
    assert_eq!(world.vault.lock().unwrap().credential.count("credential.create"), 1);
    false
}

async fn change_with_break(steps: usize, how: How) -> bool {
    let world = World::with_credential().await;
    let added = world.app().add_secret(note("Door", "1234"), &mut types(PASSWORD)).await.unwrap();
    break_after(&world, steps, how);
    let changed = world.app().change_password(&mut types(PASSWORD), &mut types(NEW)).await;
    if came_through(&world) {
        changed.unwrap();
        return true;
    }
    world.app().credential_state().await.unwrap();
    let is_changed = world.vault.lock().unwrap().credential.count("credential.password.change") == 1;
    let password = if is_changed { NEW } else { PASSWORD };
    assert_eq!(world.show(added.secret_id, password).await.unwrap(), "1234", "{steps} {how:?}");
    false
}

macro_rules! at_each_step {
    ($($name:ident: $flow:ident, $how:expr;)*) => {
        $(
            #[tokio::test(start_paused = true)]
            async fn $name() {
                let mut steps = 0;
                while !$flow(steps, $how).await {
                    steps += 1;
                    assert!(steps < MOST_STEPS, "the flow does not end");
                }
                assert!(steps >= FEWEST_STEPS, "the flow has {steps} steps on the disk");
            }
        )*
    };
}

at_each_step! {
    adding_before_a_step: add_with_break, How::Before;
    adding_after_a_step: add_with_break, How::After;
    adding_with_a_torn_slot: add_with_break, How::Torn;
    creating_before_a_step: create_with_break, How::Before;
    creating_after_a_step: create_with_break, How::After;
    creating_with_a_torn_slot: create_with_break, How::Torn;
    changing_before_a_step: change_with_break, How::Before;
    changing_after_a_step: change_with_break, How::After;
    changing_with_a_torn_slot: change_with_break, How::Torn;
}

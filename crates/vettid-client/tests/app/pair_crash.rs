//! The app ends before and after each named durable step of the Services Credential, and at each step on its disk while both
//! credentials are made or changed. Afterwards both take the same password, and each thing happened once.

use crate::brittle::{Break, How};
use crate::credential::note;
use crate::world::{World, WorldPorts};
use std::future::Future;
use vettid_client::app::App;
use vettid_client::services_credential::BothStates;
use vettid_client::store::Place;
use vettid_client::store::disk::{Act, DurableStep, Moment, Target};
use vettid_client::vault_credential::{CredentialError, Derivation, NoPassword, PasswordSource};
use vettid_core::credential::CHANGE_PASSWORD;
use vettid_crypto::kdf::h256;
use vettid_crypto::password::{
    DeviceSecret, InnerKey, OutOfMemory, Password, PasswordKeys, PasswordProof, PasswordSalt,
};
use vettid_crypto::secret::Secret32;
use vettid_wire::services_credential::REMOVE_BACKUP;

const FIRST: &str = "correct horse battery staple";
const SECOND: &str = "another horse, another staple";
/// A command is given again so often at most.
const PATIENCE: usize = 4;
/// Named steps of one file.
const STEPS_OF_EACH: usize = 7;
/// No flow takes more steps on the disk.
const MOST_STEPS: usize = 60;

/// Types a password. Its keys are cheap: what is tried here is the order of steps.
struct Typist(&'static str);

impl PasswordSource for Typist {
    fn password(&mut self) -> Result<Password, NoPassword> {
        Password::new(self.0).map_err(NoPassword::new)
    }

    fn derivation(&self) -> Derivation {
        cheap_keys
    }
}

fn cheap_keys(password: &Password, salt: &PasswordSalt, device: &DeviceSecret) -> Result<PasswordKeys, OutOfMemory> {
    let key = |part: &[u8]| {
        let all = [part, password.expose().as_bytes(), salt.as_bytes().as_slice(), device.expose()].concat();
        Secret32::from_bytes(h256(&all))
    };
    Ok(PasswordKeys { proof: PasswordProof::from_secret(key(b"proof")), inner: InnerKey::from_secret(key(b"inner")) })
}

/// Runs one command in a process of its own; `None` if it was ended.
async fn run<T, F>(world: &World, command: impl FnOnce(App<WorldPorts>) -> F) -> Option<Result<T, CredentialError>>
where
    T: Send + 'static,
    F: Future<Output = Result<T, CredentialError>> + Send + 'static,
{
    tokio::spawn(command(world.app())).await.ok()
}

async fn create(world: &World) {
    for _ in 0..PATIENCE {
        let created = run(world, async |app: App<_>| app.create_credentials(None, &mut Typist(FIRST)).await).await;
        match created {
            None | Some(Err(CredentialError::Command(_))) => {}
            Some(Ok(made)) => return assert!(made.services.is_some()),
            Some(Err(CredentialError::Exists)) => return,
            Some(Err(error)) => panic!("{error:?}"),
        }
    }
    panic!("the credentials cannot be made");
}

/// Changes the password.
async fn change(world: &World) {
    for _ in 0..PATIENCE {
        let change = async |app: App<_>| app.change_passwords(&mut Typist(FIRST), &mut Typist(SECOND)).await;
        let changed = run(world, change).await;
        let is_fine = matches!(
            changed,
            None | Some(Ok(()) | Err(CredentialError::EarlierDone { .. } | CredentialError::Command(_)))
        );
        assert!(is_fine, "{changed:?}");
        look(world).await;
        match world.counts(CHANGE_PASSWORD) {
            (1, 1) => return,
            counts => assert_eq!(counts, (0, 0), "one has another password than the other"),
        }
    }
    panic!("the password cannot be changed");
}

/// A look finishes what was left open.
async fn look(world: &World) {
    for _ in 0..PATIENCE {
        let looked = run(world, async |app: App<_>| app.credential_states().await).await;
        if let Some(Ok(BothStates { vault, services: Ok(services), .. })) = looked {
            return assert!(vault.held_here && services.held_here);
        }
    }
    panic!("the credentials are lost");
}

/// A guarded act, once.
async fn remove(world: &World, number: usize, password: &'static str) {
    for _ in 0..PATIENCE {
        let removed = run(world, async move |app: App<_>| app.disable_recovery(&mut Typist(password)).await).await;
        assert!(matches!(removed, None | Some(Ok(()) | Err(CredentialError::Command(_)))), "{removed:?}");
        let finished = run(world, async |app: App<_>| app.finish_services_credential().await).await;
        let done = world.counts(REMOVE_BACKUP).1;
        if done == number && matches!(finished, Some(Ok(()))) {
            return;
        }
        assert!(done < number || finished.is_none() || matches!(finished, Some(Err(_))), "done {done} times");
        if done == number {
            return;
        }
    }
    panic!("the right password does not work");
}

/// Both credentials take this password, and no other.
async fn takes(world: &World, password: &'static str, other: &'static str) {
    remove(world, world.counts(REMOVE_BACKUP).1 + 1, password).await;
    let wrong = world.app().disable_recovery(&mut Typist(other)).await;
    assert!(matches!(wrong, Err(CredentialError::WrongPassword { .. })), "{wrong:?}");
    world.app().add_secret(note("Door", "1234"), &mut Typist(password)).await.unwrap();
    assert_eq!(world.counts("credential.create"), (1, 1));
}

/// The app ends before and after each named step of one file of the Services Credential, the first times that it comes there.
async fn at_each_step_of(place: Place) {
    let steps: Vec<_> = DurableStep::all().filter(|step| step.target == Target::Value(place)).collect();
    assert_eq!(steps.len(), STEPS_OF_EACH);
    for step in steps {
        let is_in_place = matches!(step.act, Act::Overwrite | Act::SyncContent | Act::Wipe);
        let last = if place == Place::ServicesCredential && is_in_place { 2 } else { 1 };
        for moment in [Moment::Before, Moment::After] {
            for time in 1..=last {
                let world = World::enrolled().await;
                *world.executioner.aim.lock().unwrap() = Some((step, moment, time));
                create(&world).await;
                change(&world).await;
                for number in 1..=2 {
                    remove(&world, number, SECOND).await;
                }
                assert!(world.executioner.aim.lock().unwrap().is_none(), "nobody ended {moment:?} {step}, {time}");
            }
        }
    }
}

/// The named steps that the tests below end at are all that there are for the Services Credential.
#[test]
fn no_step_of_the_services_credential_is_left_out() {
    let tried = [Place::ServicesCredential, Place::ServicesSlotA, Place::ServicesSlotB].map(Target::Value);
    let named = DurableStep::all().filter(|step| step.to_string().starts_with("services-"));
    assert!(named.into_iter().all(|step| tried.contains(&step.target)));
    assert_eq!(DurableStep::all().filter(|step| tried.contains(&step.target)).count(), 3 * STEPS_OF_EACH);
}

async fn create_with_break(steps: usize, how: How) -> bool {
    let world = World::enrolled().await;
    *world.breaks.lock().unwrap() = Some(Break { steps, how });
    create(&world).await;
    let came_through = world.breaks.lock().unwrap().take().is_some();
    takes(&world, FIRST, SECOND).await;
    came_through
}

async fn change_with_break(steps: usize, how: How) -> bool {
    let world = World::enrolled().await;
    create(&world).await;
    *world.breaks.lock().unwrap() = Some(Break { steps, how });
    change(&world).await;
    let came_through = world.breaks.lock().unwrap().take().is_some();
    takes(&world, SECOND, FIRST).await;
    came_through
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
                assert!(steps > 8, "the flow has {steps} steps on the disk");
            }
        )*
    };
}

at_each_step! {
    making_both_before_a_step: create_with_break, How::Before;
    making_both_with_a_torn_slot: create_with_break, How::Torn;
    changing_both_before_a_step: change_with_break, How::Before;
    changing_both_with_a_torn_slot: change_with_break, How::Torn;
}

macro_rules! at_each_named_step {
    ($($name:ident: $place:expr;)*) => {
        $(
            #[tokio::test(start_paused = true)]
            async fn $name() {
                at_each_step_of($place).await;
            }
        )*
    };
}

at_each_named_step! {
    ended_at_the_state_of_the_services_credential: Place::ServicesCredential;
    ended_at_its_first_slot: Place::ServicesSlotA;
    ended_at_its_second_slot: Place::ServicesSlotB;
}

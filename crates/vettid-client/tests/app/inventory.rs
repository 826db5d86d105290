//! The ages of the keys that lie with the app: recorded when a key is made, new with another password, and unknown where an
//! earlier program made it.

use crate::credential::{PASSWORD, note, types};
use crate::world::World;
use serde_json::{Value, json};
use std::time::Duration;
use vettid_client::random::SystemRandom;
use vettid_client::store::file::{FileHold, FileStore};
use vettid_client::store::{Hold as _, Place, Store as _};
use vettid_core::credential::holder::slot::Slot;
use vettid_wire::inventory::KeyUse;
use vettid_wire::secret::{OpenGrant, Operation};
use vettid_wire::time::Timestamp;

const NEW: &str = "another horse, another staple";
const MINUTE: Duration = Duration::from_secs(60);

/// Names and ages of the keys for this use.
async fn ages(world: &World, role: KeyUse) -> Vec<(String, Option<Timestamp>)> {
    let keys = world.app().key_inventory().await.unwrap().keys;
    keys.into_iter().filter(|key| key.role == role).map(|key| (key.id, key.since)).collect()
}

async fn hold(world: &World) -> FileHold {
    FileStore::new(world.folder.path().join("app"), SystemRandom::new().unwrap()).hold().await.unwrap()
}

fn change(hold: &mut FileHold, place: Place, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(hold.load(place).unwrap().unwrap().expose()).unwrap();
    change(&mut value);
    hold.save(place, &serde_json::to_vec(&value).unwrap()).unwrap();
}

/// Takes every time out that an earlier program did not write, and adds a lock in the form of then.
async fn make_old(world: &World) {
    let mut hold = hold(world).await;
    for place in [Place::SlotA, Place::SlotB, Place::ServicesSlotA, Place::ServicesSlotB] {
        let bytes = hold.load(place).unwrap();
        if let Some(mut slot) = bytes.and_then(|bytes| Slot::from_bytes(bytes.expose())) {
            slot.password.made_at = None;
            let bytes = slot.to_bytes().unwrap();
            assert!(!String::from_utf8_lossy(bytes.expose()).contains("made_at"));
            hold.save(place, bytes.expose()).unwrap();
        }
    }
    change(&mut hold, Place::Credential, |kept| {
        assert!(kept["grants"][0].as_object_mut().unwrap().remove("opened_at").is_some());
    });
    let device_secret = vettid_wire::base64::encode(&[7; 32]);
    let lock = json!({"device_secret": device_secret, "lane_key": null, "attempts_total": 0, "is_set": false});
    change(&mut hold, Place::App, |app| app["state"]["enrolled"]["lock"] = lock);
}

#[tokio::test(start_paused = true)]
async fn each_device_secret_is_as_old_as_its_password_and_each_grant_as_its_opening() {
    let world = World::enrolled().await;
    let made_at = world.clock.time();
    world.app().create_credentials(None, &mut types(PASSWORD)).await.unwrap();
    let device_secrets =
        |at: Timestamp| ["vault credential", "services credential"].map(|name| (name.to_owned(), Some(at))).to_vec();
    assert_eq!(ages(&world, KeyUse::DeviceSecret).await, device_secrets(made_at));

    world.pass(MINUTE).await;
    let door = world.app().add_secret(note("Door", "1234"), &mut types(PASSWORD)).await.unwrap().secret_id;
    let opened_at = world.clock.time();
    let wanted = OpenGrant { secret_id: door, operation: Operation::Reveal, uses: 3, minutes: 5 };
    world.app().open_grant(wanted, &mut types(PASSWORD)).await.unwrap();
    assert_eq!(ages(&world, KeyUse::Grant).await, [(door.to_string(), Some(opened_at))]);
    assert_eq!(ages(&world, KeyUse::DeviceSecret).await, device_secrets(made_at), "a use makes no other secret");

    world.pass(MINUTE).await;
    let changed_at = world.clock.time();
    world.app().change_passwords(&mut types(PASSWORD), &mut types(NEW)).await.unwrap();
    assert_eq!(ages(&world, KeyUse::DeviceSecret).await, device_secrets(changed_at));
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_program_made_is_listed_without_an_age() {
    let world = World::with_both().await;
    let door = world.app().add_secret(note("Door", "1234"), &mut types(PASSWORD)).await.unwrap().secret_id;
    let wanted = OpenGrant { secret_id: door, operation: Operation::Reveal, uses: 3, minutes: 5 };
    world.app().open_grant(wanted, &mut types(PASSWORD)).await.unwrap();
    make_old(&world).await;
    let unknown = |name: &str| (name.to_owned(), None);
    let names = ["lock of the vault", "vault credential", "services credential"];
    assert_eq!(ages(&world, KeyUse::DeviceSecret).await, names.map(unknown));
    assert_eq!(ages(&world, KeyUse::Grant).await, [unknown(&door.to_string())]);

    // What is in use goes on, and the next password has an age.
    world.pass(MINUTE).await;
    assert_eq!(world.show(door, PASSWORD).await.unwrap(), "1234");
    let changed_at = world.clock.time();
    world.app().change_passwords(&mut types(PASSWORD), &mut types(NEW)).await.unwrap();
    let now: Vec<_> = ages(&world, KeyUse::DeviceSecret).await.into_iter().map(|(_, since)| since).collect();
    assert_eq!(now, [None, Some(changed_at), Some(changed_at)]);
}

//! One lock on a real folder: what opens it, what is counted, what a crash or a thief finds.

use super::*;
use crate::host::sealer::key_file::KeyFile;
use getrandom::SysRng;
use rand_core::UnwrapErr;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use vettid_core::credential::attempts::BootId;
use vettid_crypto::at_rest;
use vettid_crypto::identity::VerifyingKey;
use vettid_crypto::password::{DeviceSecret, PasswordSalt};
use vettid_crypto::secret::Secret32;
use vettid_crypto::suite::x25519;
use vettid_crypto::unlock::{Removal, UnlockKey, seal};
use vettid_wire::id::EventId;
use vettid_wire::lock::UnlockKind;
use vettid_wire::lock::UnlockResult::{Changed, PasswordRequired, Refused, Unlocked, Wait, Wrong};
use vettid_wire::time::Timestamp;

fn rng() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

fn at(monotonic_ms: u64) -> Clocks {
    Clocks { now: Timestamp::from_unix_ms(0), monotonic_ms, boot_id: BootId([1; 16]) }
}

fn guid() -> MemberId {
    "550e8400-e29b-41d4-a716-446655440000".parse().unwrap()
}

fn event() -> EventId {
    "018f6b1e-7c1a-7000-8000-000000000001".parse().unwrap()
}

/// The keys of an app. Each is derived once: Argon2id takes its time on purpose.
struct App {
    pin: UnlockKey,
    password: UnlockKey,
    other: UnlockKey,
}

impl App {
    fn new() -> Self {
        let device = DeviceSecret::from_secret(Secret32::from_bytes([0xd5; 32]));
        let of =
            |digits: &str| UnlockKey::of_pin(digits.as_bytes(), &PasswordSalt::from_bytes([1; 16]), &device).unwrap();
        Self { pin: of("831940"), password: of("555555555555"), other: of("192837") }
    }

    fn attempt(&self, wish: Wish) -> Attempt {
        let device = DeviceSecret::from_secret(Secret32::from_bytes([0xd5; 32]));
        Attempt { device: DeviceProof::of(&device), wish }
    }

    fn unlock(&self, kind: UnlockKind, key: &UnlockKey) -> Attempt {
        self.attempt(Wish::Unlock(Presented { kind, key: key.duplicate() }))
    }

    fn set(&self, permit: u8, pin: &UnlockKey, current: Option<Presented>) -> Attempt {
        let new = NewLock {
            permit: Permit::from_slice(&[permit; 32]).unwrap(),
            current,
            pin_salt: PasswordSalt::from_bytes([1; 16]),
            pin: pin.duplicate(),
            password_salt: PasswordSalt::from_bytes([2; 16]),
            password: self.password.duplicate(),
        };
        self.attempt(Wish::Set(Box::new(new)))
    }
}

impl App {
    fn remove(&self, permit: u8, pin: &UnlockKey) -> Attempt {
        let permit = Permit::from_slice(&[permit; 32]).unwrap();
        let current = Presented { kind: UnlockKind::Pin, key: pin.duplicate() };
        self.attempt(Wish::Remove(Removal { permit, current }))
    }
}

struct Place {
    folder: TempDir,
    app: App,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), app: App::new() }
    }

    fn keys(&self) -> Arc<StorageKeys> {
        let sealer = KeyFile::open_or_create(&self.folder.path().join("host.key"), &mut rng()).unwrap();
        Arc::new(StorageKeys::new(self.folder.path().join("vaults"), Box::new(sealer)).unwrap())
    }

    /// The keeper as a host finds it at its start.
    fn keeper(&self) -> Keeper {
        Keeper::open(guid(), self.keys(), &at(0), &mut rng()).unwrap()
    }

    /// A vault with a lock that was set a moment ago.
    fn locked(&self) -> (Keeper, StorageKey) {
        let made = self.keys().create(guid(), at(0).now, &mut rng()).unwrap();
        let mut keeper = self.keeper();
        keeper.permit(Permit::from_slice(&[9; 32]).unwrap(), &at(0));
        assert_eq!(result(&mut keeper, &self.app.set(9, &self.app.pin, None)), Changed);
        keeper.is(LockState::Locked);
        (keeper, made)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("vaults").join(name)
    }
}

fn challenge(keeper: &mut Keeper, clocks: &Clocks) -> Challenge {
    let nonce = Base64Url::new([3; 16]);
    let asked = AskChallenge { event_id: event(), timestamp: clocks.now, nonce: nonce.clone() };
    let challenge = keeper.challenge(&asked, clocks, &mut rng()).unwrap();
    let lane = VerifyingKey::from_typed(&keeper.lane_key()).unwrap();
    signature::verify(Context::UnlockChallenge, &lane, &challenge).unwrap();
    assert_eq!((challenge.guid, &challenge.nonce), (guid(), &nonce));
    challenge
}

fn sealed(challenge: &Challenge, attempt: &Attempt) -> (UnlockAttempt, ReplyKey) {
    let challenge_id = challenge.challenge_id.to_array().unwrap();
    let place = AttemptPlace { guid: guid(), event_id: event(), challenge_id: &challenge_id };
    let key = x25519::PublicKey::from_slice(challenge.box_key.as_bytes()).unwrap();
    let (bytes, reply) = seal(&key, &place, attempt, &mut rng()).unwrap();
    let sent =
        UnlockAttempt { event_id: event(), challenge_id: challenge.challenge_id.clone(), sealed: Base64::new(bytes) };
    (sent, reply)
}

fn take(keeper: &mut Keeper, attempt: &Attempt, clocks: &Clocks) -> Taken {
    let (sent, _) = sealed(&challenge(keeper, clocks), attempt);
    keeper.attempt(&sent, clocks, &mut rng()).unwrap().unwrap()
}

fn result(keeper: &mut Keeper, attempt: &Attempt) -> UnlockResult {
    take(keeper, attempt, &at(0)).result
}

#[test]
fn pin_and_password_open_and_nothing_else_does() {
    let place = Place::new();
    let (mut keeper, made) = place.locked();
    let app = &place.app;
    for (kind, key) in [(UnlockKind::Pin, &app.pin), (UnlockKind::Password, &app.password)] {
        let taken = take(&mut keeper, &app.unlock(kind, key), &at(0));
        assert_eq!((taken.result, taken.key.unwrap().expose()), (Unlocked, made.expose()));
    }
    assert_eq!(result(&mut keeper, &app.unlock(UnlockKind::Pin, &app.other)), Wrong);
    assert_eq!(result(&mut keeper, &app.unlock(UnlockKind::Pin, &app.password)), Wrong);
    assert_eq!(result(&mut keeper, &app.unlock(UnlockKind::Password, &app.pin)), Wrong);
    let status = keeper.status(&at(0));
    assert_eq!((status.attempts_total, status.pin_tries_left, status.state), (5, 3, LockState::Locked));
}

#[test]
fn five_wrong_pins_leave_the_password_alone() {
    let place = Place::new();
    let (mut keeper, _) = place.locked();
    let app = &place.app;
    for _ in 0..5 {
        assert_eq!(result(&mut keeper, &app.unlock(UnlockKind::Pin, &app.other)), Wrong);
    }
    assert_eq!(result(&mut keeper, &app.unlock(UnlockKind::Pin, &app.pin)), PasswordRequired);
    let taken = take(&mut keeper, &app.unlock(UnlockKind::Password, &app.password), &at(0));
    assert_eq!((taken.result, taken.wrong), (Unlocked, 5));
    assert_eq!(result(&mut keeper, &app.unlock(UnlockKind::Pin, &app.pin)), Unlocked);
}

#[test]
fn counts_and_waits_outlive_the_process() {
    let place = Place::new();
    let (mut keeper, _) = place.locked();
    let app = &place.app;
    for _ in 0..2 {
        assert_eq!(result(&mut keeper, &app.unlock(UnlockKind::Pin, &app.other)), Wrong);
    }
    for _ in 0..4 {
        assert_eq!(result(&mut keeper, &app.unlock(UnlockKind::Password, &app.other)), Wrong);
    }
    // Nothing told the old one that it ends.
    std::mem::forget(keeper);
    let mut keeper = place.keeper();
    let status = keeper.status(&at(0));
    assert_eq!((status.pin_tries_left, status.attempts_total, status.password_wait_ms), (3, 6, 60_000));
    assert_eq!(status.state, LockState::Locked);
    let right = app.unlock(UnlockKind::Password, &app.password);
    assert_eq!(take(&mut keeper, &right, &at(59_999)).result, Wait);
    assert_eq!(take(&mut keeper, &right, &at(60_000)).result, Unlocked);
}

/// The count is on the disk before the key is tried: a host that cannot write tries nothing.
#[test]
fn what_cannot_be_counted_is_not_tried() {
    let place = Place::new();
    let (mut keeper, _) = place.locked();
    let (sent, _) = sealed(&challenge(&mut keeper, &at(0)), &place.app.unlock(UnlockKind::Pin, &place.app.pin));
    // A folder stands where the next record would be written.
    let next = place.file(&format!("{}.lock.next", guid()));
    fs::create_dir(&next).unwrap();
    assert!(keeper.attempt(&sent, &at(0), &mut rng()).is_err());
    fs::remove_dir(&next).unwrap();
    assert_eq!(keeper.status(&at(0)).pin_tries_left, 4, "a try that was begun is given back");
}

#[test]
fn a_recorded_attempt_opens_nothing() {
    let place = Place::new();
    let (mut keeper, _) = place.locked();
    let app = &place.app;
    let (sent, _) = sealed(&challenge(&mut keeper, &at(0)), &app.unlock(UnlockKind::Pin, &app.pin));
    assert_eq!(keeper.attempt(&sent, &at(0), &mut rng()).unwrap().unwrap().result, Unlocked);
    keeper.is(LockState::Locked);
    assert!(keeper.attempt(&sent, &at(0), &mut rng()).unwrap().is_none());
    let other = challenge(&mut keeper, &at(0));
    let moved = UnlockAttempt { challenge_id: other.challenge_id, ..sent.clone() };
    assert!(keeper.attempt(&moved, &at(0), &mut rng()).unwrap().is_none());
    let mut after_a_restart = place.keeper();
    assert!(after_a_restart.attempt(&sent, &at(0), &mut rng()).unwrap().is_none());
    assert_eq!(keeper.status(&at(0)).attempts_total, 1);
}

#[test]
fn a_challenge_is_good_once_and_for_a_minute() {
    let place = Place::new();
    let (mut keeper, _) = place.locked();
    let right = place.app.unlock(UnlockKind::Pin, &place.app.pin);
    let (late, _) = sealed(&challenge(&mut keeper, &at(0)), &right);
    assert!(keeper.attempt(&late, &at(CHALLENGE_LIFE_MS), &mut rng()).unwrap().is_none());
    let (pushed_out, _) = sealed(&challenge(&mut keeper, &at(0)), &right);
    let (kept, _) = sealed(&challenge(&mut keeper, &at(0)), &right);
    for _ in 0..MAX_CHALLENGES - 1 {
        challenge(&mut keeper, &at(1));
    }
    assert!(keeper.attempt(&pushed_out, &at(1), &mut rng()).unwrap().is_none());
    assert_eq!(keeper.attempt(&kept, &at(1), &mut rng()).unwrap().unwrap().result, Unlocked);
}

/// Whoever has not the app's state uses up no tries.
#[test]
fn a_stranger_is_not_counted() {
    let place = Place::new();
    let (mut keeper, _) = place.locked();
    let stranger = DeviceSecret::from_secret(Secret32::from_bytes([0xd6; 32]));
    let wish = Wish::Unlock(Presented { kind: UnlockKind::Pin, key: place.app.pin.duplicate() });
    let attempt = Attempt { device: DeviceProof::of(&stranger), wish };
    assert_eq!(result(&mut keeper, &attempt), Refused);
    assert_eq!(keeper.status(&at(0)).attempts_total, 0);
}

#[test]
fn a_lock_is_changed_with_permit_and_present_key_only() {
    let place = Place::new();
    let (mut keeper, made) = place.locked();
    let app = &place.app;
    let pin = || Some(Presented { kind: UnlockKind::Pin, key: app.pin.duplicate() });
    let permit = || Permit::from_slice(&[8; 32]).unwrap();
    assert_eq!(result(&mut keeper, &app.set(8, &app.other, pin())), Refused, "without a permit");
    keeper.permit(permit(), &at(0));
    assert_eq!(result(&mut keeper, &app.set(8, &app.other, pin())), Refused, "while locked");
    keeper.is(LockState::Open);
    for (said, current, wanted) in [
        (7, pin(), Refused),
        (8, None, Refused),
        (8, Some(Presented { kind: UnlockKind::Pin, key: app.other.duplicate() }), Wrong),
        (8, pin(), Changed),
        (8, pin(), Refused),
    ] {
        if said == 8 && wanted != Refused || current.is_none() || said == 7 {
            keeper.permit(permit(), &at(0));
        }
        assert_eq!(result(&mut keeper, &app.set(said, &app.other, current)), wanted);
    }
    keeper.permit(permit(), &at(0));
    let late = take(&mut keeper, &app.set(8, &app.pin, pin()), &at(PERMIT_LIFE_MS.unsigned_abs()));
    assert_eq!(late.result, Refused, "too late");
    let status = keeper.status(&at(0));
    assert_eq!((status.generation, status.attempts_total), (2, 2));
    let mut keeper = place.keeper();
    assert_eq!(result(&mut keeper, &app.unlock(UnlockKind::Pin, &app.pin)), Wrong, "the old PIN still opens");
    let taken = take(&mut keeper, &app.unlock(UnlockKind::Pin, &app.other), &at(0));
    assert_eq!(taken.key.unwrap().expose(), made.expose());
}

/// A crash between the two files: the lock stands, and the storage key that the sealer alone gives goes.
#[test]
fn the_setting_of_a_lock_is_finished_after_a_crash() {
    let place = Place::new();
    let plain = place.file(&format!("{}.sealed", guid()));
    place.keys().create(guid(), at(0).now, &mut rng()).unwrap();
    let before = fs::read(&plain).unwrap();
    let mut keeper = place.keeper();
    keeper.permit(Permit::from_slice(&[9; 32]).unwrap(), &at(0));
    assert_eq!(result(&mut keeper, &place.app.set(9, &place.app.pin, None)), Changed);
    assert!(!plain.exists());
    fs::write(&plain, before).unwrap();
    let keeper = place.keeper();
    assert!(!plain.exists() && keeper.has_lock());
    assert_eq!(place.keys().members().unwrap(), [guid()]);
    assert!(matches!(place.keys().create(guid(), at(0).now, &mut rng()), Err(StorageKeyError::Locked(_))));
}

/// A thief with every file of the host and its sealer: no file opens to the storage key, nor holds it.
#[test]
fn a_stolen_disk_does_not_open_the_vault() {
    let place = Place::new();
    let (_, made) = place.locked();
    let key = fs::read(place.folder.path().join("host.key")).unwrap();
    let key = StorageKey::from_secret(Secret32::from_slice(&key).unwrap());
    assert!(place.keys().get(guid()).unwrap().is_none());
    let mut opened = 0;
    for path in files(place.folder.path()) {
        let bytes = fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        for purpose in [format!("vettid-vault-lock/{}", guid()), format!("vettid-vault-storage-key/{}", guid())] {
            let Ok(content) = at_rest::open_file(&key, &purpose, &bytes) else { continue };
            opened += 1;
            let text = String::from_utf8(content.expose().to_vec()).unwrap();
            for form in [vettid_wire::base64::encode(made.expose()), hex_of(made.expose())] {
                assert!(!text.contains(&form), "{name} holds the storage key");
            }
        }
        assert!(!bytes.windows(32).any(|window| window == made.expose()), "{name} holds the storage key");
    }
    assert_eq!(opened, 1, "the thief could not even open the lock record: this test shows nothing");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What unlocking costs the host: the app's Argon2id is not part of it. Printed, not judged.
#[test]
fn the_time_of_an_unlock() {
    let place = Place::new();
    let (mut keeper, _) = place.locked();
    let mut times: Vec<_> = (0..20)
        .map(|_| {
            let (sent, _) = sealed(&challenge(&mut keeper, &at(0)), &place.app.unlock(UnlockKind::Pin, &place.app.pin));
            let started = tokio::time::Instant::now();
            assert_eq!(keeper.attempt(&sent, &at(0), &mut rng()).unwrap().unwrap().result, Unlocked);
            started.elapsed()
        })
        .collect();
    times.sort();
    show(&format!("an unlock at the host, without loading the vault: median {:?}, slowest {:?}", times[10], times[19]));
}

fn show(text: &str) {
    eprintln!("{text}");
}

#[test]
fn a_lock_is_removed_with_leave_and_key_alone() {
    let place = Place::new();
    let (mut keeper, made) = place.locked();
    let app = &place.app;
    let permit = |keeper: &mut Keeper| keeper.permit(Permit::from_slice(&[8; 32]).unwrap(), &at(0));
    permit(&mut keeper);
    assert_eq!(result(&mut keeper, &app.remove(8, &app.pin)), Refused, "it is locked");
    keeper.is(LockState::Open);
    assert_eq!(result(&mut keeper, &app.remove(8, &app.pin)), Refused, "nobody gave leave");
    permit(&mut keeper);
    assert_eq!(result(&mut keeper, &app.remove(8, &app.other)), Wrong);
    assert!(place.keys().get(guid()).unwrap().is_none());
    permit(&mut keeper);
    assert_eq!(result(&mut keeper, &app.remove(8, &app.pin)), Changed);
    assert_eq!(place.keys().get(guid()).unwrap().unwrap().expose(), made.expose());
    let (before, again) = (keeper.status(&at(0)), place.keeper());
    assert_eq!(again.status(&at(0)), before, "the same after a restart");
    assert_eq!((before.generation, before.attempts_total, before.state), (0, 2, LockState::Open));
    assert!(!again.has_lock() && before.salts.is_none());
    permit(&mut keeper);
    assert_eq!(result(&mut keeper, &app.set(8, &app.other, None)), Changed);
    let status = keeper.status(&at(0));
    assert_eq!((status.generation, status.attempts_total), (2, 2), "numbers go on");
}

/// The host dies, or cannot write, after the sealer has the key again and before the lock is out of the record.
#[test]
fn a_removal_that_was_broken_off_leaves_the_lock() {
    let place = Place::new();
    let (mut keeper, made) = place.locked();
    keeper.is(LockState::Open);
    place.keys().put_back(guid(), &made, None, &mut rng()).unwrap();
    drop(keeper);
    let mut keeper = place.keeper();
    assert!(keeper.has_lock());
    assert!(place.keys().get(guid()).unwrap().is_none(), "the sealer's way is closed again");
    assert_eq!(result(&mut keeper, &place.app.unlock(UnlockKind::Pin, &place.app.pin)), Unlocked);
}

/// Two minutes after the beginning.
fn later() -> Clocks {
    Clocks { now: Timestamp::from_unix_ms(120_000), ..at(120_000) }
}

/// The key stays the same while locks come and go, and so does its time.
#[test]
fn the_age_of_the_storage_key_outlives_locks() {
    let place = Place::new();
    let (mut keeper, _) = place.locked();
    let age = keeper.made_at();
    assert_eq!((age.storage, age.lane), (Some(at(0).now), Some(at(0).now)));
    let again = Keeper::open(guid(), place.keys(), &later(), &mut rng()).unwrap();
    assert_eq!(again.made_at(), age, "another start");
    keeper.is(LockState::Open);
    keeper.permit(Permit::from_slice(&[8; 32]).unwrap(), &at(0));
    assert_eq!(result(&mut keeper, &place.app.remove(8, &place.app.pin)), Changed);
    assert_eq!((place.keys().made_at(guid()).unwrap(), keeper.made_at()), (age.storage, age));
}

/// Neither the files nor the record of an earlier program tell a time, and a lock that is set now makes none up.
#[test]
fn keys_of_an_earlier_program_have_no_age() {
    let place = Place::new();
    let made = place.keys().create(guid(), at(0).now, &mut rng()).unwrap();
    drop(place.keeper());
    let mut record: serde_json::Value =
        serde_json::from_slice(place.keys().lock_record(guid()).unwrap().unwrap().expose()).unwrap();
    assert!(record.as_object_mut().unwrap().remove("made_at").is_some());
    place.keys().keep_lock_record(guid(), &serde_json::to_vec(&record).unwrap(), &mut rng()).unwrap();
    place.keys().put_back(guid(), &made, None, &mut rng()).unwrap();
    let mut keeper = Keeper::open(guid(), place.keys(), &later(), &mut rng()).unwrap();
    assert_eq!(keeper.made_at(), MadeAt::default());
    keeper.permit(Permit::from_slice(&[9; 32]).unwrap(), &at(0));
    assert_eq!(result(&mut keeper, &place.app.set(9, &place.app.pin, None)), Changed);
    assert_eq!(place.keeper().made_at(), MadeAt::default());
}

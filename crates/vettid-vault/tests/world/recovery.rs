//! A new device in the place of a lost one: what the phrase alone, services alone and an old container are good for, and what
//! the old device may say.

use crate::app::App;
use crate::credential::{PASSWORD, add, begun, list, reveal, status};
use crate::node::clocks;
use crate::town::{ALICE, DAY_MS, MINUTE_MS, Town};
use crate::wallet::{Ended, Wallet, boxed, keys_of, value};
use serde_json::{Value, json};
use vettid_core::credential::{CHANGE_PASSWORD, REPLACE_DEVICE};
use vettid_crypto::password::{PasswordSalt, StoredPassword};
use vettid_crypto::secret_box::Boxed;
use vettid_crypto::signature::{self, Context};
use vettid_vault::manager::Event;
use vettid_wire::base64::{Base64, Base64Url};
use vettid_wire::credential::{ChangePassword, CredentialPackage, TransactionKey, UseStatus};
use vettid_wire::enrolment::EnrolVault;
use vettid_wire::id::{EventId, SecretId};
use vettid_wire::recovery::{DecideRecovery, DeviceReplaced, RecoverVault, ReplaceDevice};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::secret::{Operation, SecretKind, UseSecret};

/// What a container holds.
struct Container {
    package: CredentialPackage,
    keys: Vec<TransactionKey>,
}

fn container(town: &Town, wallet: &Wallet) -> Container {
    let keys = wallet.holder.unused_keys(town.now).cloned().collect();
    Container { package: wallet.package(), keys }
}

/// A recovery, as services open it.
struct Recovery {
    recovery_id: EventId,
    /// The app that is not in use: the new one until [`Recovery::swap`], then the old one.
    other: App,
}

impl Recovery {
    /// Services open a recovery for a fresh device; the code.
    fn open(town: &mut Town) -> (Self, Option<String>) {
        let other = App::new(town.nodes[ALICE].guid, town.now, &mut town.rng);
        let recovery = Self { recovery_id: town.fresh_event(), other };
        let code = recovery.ask_for_code(town, recovery.recovery_id);
        (recovery, code)
    }

    fn ask_for_code(&self, town: &mut Town, recovery_id: EventId) -> Option<String> {
        let enrol = EnrolVault {
            guid: town.nodes[ALICE].guid,
            expires_at: town.now.plus_ms(10 * MINUTE_MS),
            token: "token".into(),
            services_url: "https://services.test".into(),
            session_id: town.fresh_event(),
        };
        let asked = RecoverVault { enrol, recovery_id, app_key: self.other.signing.verifying_key().typed() };
        let made = town.nodes[ALICE].vault.recovery_code(clocks(town.now), &mut town.rng, &asked).ok()?;
        town.nodes[ALICE].keep(&made.prepared);
        Some(made.done.qr)
    }

    /// The other app is in the member's hand now.
    fn swap(&mut self, town: &mut Town) {
        std::mem::swap(&mut town.apps[ALICE], &mut self.other);
    }

    /// Opened, and the new device enrolled and in hand.
    fn begun(town: &mut Town) -> Self {
        let (mut recovery, code) = Self::open(town);
        recovery.swap(town);
        enrol(town, &code.unwrap()).unwrap();
        recovery
    }

    /// The old device's word, while the new one is in hand.
    fn said(&self, town: &Town, approve: bool) -> DecideRecovery {
        let (key, guid) = (&self.other.signing, town.nodes[ALICE].guid);
        let unsigned = DecideRecovery {
            guid,
            recovery_id: self.recovery_id,
            approve,
            app_key: key.verifying_key().typed(),
            issued_at: town.now,
            nonce: Base64Url::new([1; 16]),
            key_id: key.key_id(),
            signature: Base64::default(),
        };
        let signature = signature::sign(Context::ServiceRequest, key, &unsigned).unwrap();
        DecideRecovery { signature, ..unsigned }
    }

    fn decide(&self, town: &mut Town, approve: bool) {
        let said = self.said(town, approve);
        assert!(hear(town, &said));
    }

    /// The operation by which the device in hand takes the old one's place.
    fn replace(&self, town: &mut Town, wallet: &mut Wallet, password: &str) -> Ended<DeviceReplaced> {
        let (recovery_id, app_key) = (self.recovery_id, town.apps[ALICE].signing.verifying_key().typed());
        wallet.run(town, REPLACE_DEVICE, password, |op_id, town| {
            let next = keys_of(password);
            let inner = next.inner.unwrap();
            let sealed_inner_key = boxed(town, password, (Boxed::InnerKey, op_id), inner.expose());
            let hash = StoredPassword::new(PasswordSalt::from_bytes([8; 16]), &next.proof).to_string();
            value(ReplaceDevice { recovery_id, app_key, password: ChangePassword { hash, sealed_inner_key } })
        })
    }
}

/// Services hand on what the old device said; whether the vault took it.
fn hear(town: &mut Town, said: &DecideRecovery) -> bool {
    let decided = town.nodes[ALICE].vault.decide_recovery(clocks(town.now), &mut town.rng, &value(said));
    let taken = decided.is_ok();
    decided.into_iter().for_each(|decided| town.nodes[ALICE].keep(&decided.prepared));
    taken
}

fn enrol(town: &mut Town, code: &str) -> Option<()> {
    let (initiator, hs1) = town.apps[ALICE].enrol(code, town.now, &mut town.rng);
    town.shake(ALICE, "app.bootstrap", "app.bootstrap", initiator, &hs1)
}

fn silent(town: &mut Town) -> bool {
    let event_id = town.fresh_event();
    town.ask_as::<Value>(ALICE, "vault.health", json!({}), event_id).is_none()
}

fn health(town: &mut Town) -> Result<Value, RefusalCode> {
    town.ask(ALICE, "vault.health", json!({}))
}

fn pass(town: &mut Town, ms: i64) {
    town.now = town.now.plus_ms(ms);
    town.handle(ALICE, &[Event::Tick]).unwrap();
}

/// What a reveal is refused with.
fn revealed(town: &mut Town, wallet: &mut Wallet, secret_id: SecretId) -> Result<Vec<u8>, RefusalCode> {
    if status(town).recovery.is_none() {
        return Ok(reveal(town, wallet, secret_id, PASSWORD));
    }
    wallet.prepare(town, "secret.use", PASSWORD, |_, _| {
        value(UseSecret { secret_id, operation: Operation::Reveal, input: None })
    });
    let refused = wallet.send(town).err();
    wallet.holder.give_up();
    Err(refused.unwrap())
}

#[test]
fn a_new_device_takes_the_place_of_the_old_one_and_waits_a_day() {
    let (mut town, mut old) = begun(300);
    let note = add(&mut town, &mut old, SecretKind::Note, b"remember");
    let Container { package, keys } = container(&town, &old);
    let mut recovery = Recovery::begun(&mut town);
    assert_eq!(health(&mut town).err(), Some(RefusalCode::Locked), "nothing but the password is taken");
    // The old device goes on until then.
    recovery.swap(&mut town);
    assert!(health(&mut town).is_ok());
    recovery.swap(&mut town);

    let mut wallet = Wallet::recovered(&town, ALICE, package, keys);
    let replaced = recovery.replace(&mut town, &mut wallet, PASSWORD).unwrap().unwrap();
    assert_eq!(replaced.hold_until, Some(town.now.plus_ms(DAY_MS)));
    assert!(health(&mut town).is_ok());
    assert_eq!(list(&mut town).len(), 1);
    recovery.swap(&mut town);
    assert!(silent(&mut town), "the old session is gone");
    let (initiator, hs1) = town.apps[ALICE].resume(true, town.now, &mut town.rng);
    assert_eq!(town.shake(ALICE, "session.start", "session.finish", initiator, &hs1), None, "and there is no new one");
    recovery.swap(&mut town);
    assert_eq!(town.nodes[ALICE].vault.to_cut_off().unwrap().len(), 1, "its user at the broker is cut off");

    assert_eq!(revealed(&mut town, &mut wallet, note), Err(RefusalCode::OnHold));
    assert_eq!(town.ask::<Value>(ALICE, "vault.lock.setup", json!({})).err(), Some(RefusalCode::OnHold));
    pass(&mut town, DAY_MS - MINUTE_MS);
    town.nodes[ALICE].crash();
    assert_eq!(revealed(&mut town, &mut wallet, note), Err(RefusalCode::OnHold));
    pass(&mut town, 2 * MINUTE_MS);
    assert_eq!(revealed(&mut town, &mut wallet, note), Ok(b"remember".to_vec()));
    town.check(ALICE);
}

#[test]
fn the_old_device_lifts_the_hold_and_nobody_else_does() {
    let (mut town, mut old) = begun(301);
    let note = add(&mut town, &mut old, SecretKind::Note, b"remember");
    let Container { package, keys } = container(&town, &old);
    let mut recovery = Recovery::begun(&mut town);
    let mut wallet = Wallet::recovered(&town, ALICE, package, keys);
    recovery.replace(&mut town, &mut wallet, PASSWORD).unwrap().unwrap();
    let right = recovery.said(&town, true);
    recovery.swap(&mut town);
    let by_new = recovery.said(&town, true);
    recovery.swap(&mut town);
    let denied = DecideRecovery { approve: false, ..right.clone() };
    let unsigned = DecideRecovery { signature: Base64::new([0; 64]), ..right.clone() };
    for wrong in [by_new, denied, unsigned] {
        assert!(!hear(&mut town, &wrong));
    }
    let other = DecideRecovery { recovery_id: town.fresh_event(), ..right.clone() };
    assert!(hear(&mut town, &other), "another recovery, about which there is nothing to be said");
    assert_eq!(revealed(&mut town, &mut wallet, note), Err(RefusalCode::OnHold));
    assert!(hear(&mut town, &right));
    assert_eq!(revealed(&mut town, &mut wallet, note), Ok(b"remember".to_vec()));
    assert!(hear(&mut town, &right), "once more changes nothing");
    town.check(ALICE);
}

#[test]
fn services_alone_gain_nothing() {
    let (mut town, mut old) = begun(302);
    let note = add(&mut town, &mut old, SecretKind::Note, b"remember");
    let (mut recovery, code) = Recovery::open(&mut town);
    // Another device than the named one has no place.
    let named = std::mem::replace(&mut recovery.other, App::new(town.nodes[ALICE].guid, town.now, &mut town.rng));
    recovery.swap(&mut town);
    assert_eq!(enrol(&mut town, code.as_ref().unwrap()), None);
    recovery.swap(&mut town);
    recovery.other = named;
    // As long as the device has not come it may get another code, and the one before is worth nothing; later it may not.
    let another = recovery.ask_for_code(&mut town, recovery.recovery_id);
    recovery.swap(&mut town);
    assert_eq!(enrol(&mut town, &code.unwrap()), None);
    enrol(&mut town, &another.unwrap()).unwrap();
    recovery.swap(&mut town);
    assert_eq!(recovery.ask_for_code(&mut town, recovery.recovery_id), None);
    recovery.swap(&mut town);
    for event in ["vault.health", "secret.list", "feed.list", "session.refresh"] {
        assert_eq!(town.ask::<Value>(ALICE, event, json!({})).err(), Some(RefusalCode::Locked), "{event}");
    }
    // Blobs that are not the member's count for nothing, so they lock nobody out.
    let before = status(&mut town).attempts_total;
    let Container { mut package, keys } = container(&town, &old);
    package.encrypted_blob = Base64::new([7; 600]);
    for version in [package.cek_version, 1, 99] {
        let mut package = wallet_copy(&package);
        (package.cek_version, package.ledger_auth_token.version) = (version, version);
        let mut wallet = Wallet::recovered(&town, ALICE, package, keys.clone());
        assert!(refused(&mut town, &recovery, &mut wallet), "{version}");
    }
    assert_eq!(status(&mut town).attempts_total, before);
    // The new session dies with the recovery, and the old device never noticed but for the alarm.
    recovery.swap(&mut town);
    assert_eq!(reveal(&mut town, &mut old, note, PASSWORD), b"remember");
    pass(&mut town, 3 * DAY_MS);
    recovery.swap(&mut town);
    assert!(silent(&mut town));
    recovery.swap(&mut town);
    town.check(ALICE);
}

fn wallet_copy(package: &CredentialPackage) -> CredentialPackage {
    serde_json::from_value(value(package)).unwrap()
}

/// Whether challenge or operation are refused; neither counts.
fn refused(town: &mut Town, recovery: &Recovery, wallet: &mut Wallet) -> bool {
    let key = wallet.holder.challenge(town.now, &mut town.rng, REPLACE_DEVICE, "credential.use").unwrap();
    if town.ask::<Value>(ALICE, "credential.challenge", key.request.clone()).is_err() {
        return true;
    }
    recovery.prepared(town, wallet);
    wallet.send(town).is_err()
}

impl Recovery {
    fn prepared(&self, town: &mut Town, wallet: &mut Wallet) {
        let (recovery_id, app_key) = (self.recovery_id, town.apps[ALICE].signing.verifying_key().typed());
        wallet.prepare(town, REPLACE_DEVICE, PASSWORD, |_, _| {
            let password = ChangePassword { hash: String::new(), sealed_inner_key: Base64::default() };
            value(ReplaceDevice { recovery_id, app_key, password })
        });
    }
}

#[test]
fn a_wrong_password_counts_and_leaves_the_old_device_in_its_place() {
    let (mut town, old) = begun(303);
    let Container { package, keys } = container(&town, &old);
    let mut recovery = Recovery::begun(&mut town);
    let mut wallet = Wallet::recovered(&town, ALICE, package, keys);
    let before = status(&mut town).attempts_total;
    let wrong = recovery.replace(&mut town, &mut wallet, "wrong password");
    assert_eq!(wrong, Err(UseStatus::WrongPassword));
    let now = status(&mut town);
    assert_eq!((now.attempts, now.attempts_total), (1, before + 1));
    assert_eq!(health(&mut town).err(), Some(RefusalCode::Locked));
    recovery.swap(&mut town);
    assert!(health(&mut town).is_ok());
    recovery.swap(&mut town);
    recovery.replace(&mut town, &mut wallet, PASSWORD).unwrap().unwrap();
    assert!(health(&mut town).is_ok());
    town.check(ALICE);
}

#[test]
fn a_denied_recovery_is_over_before_and_after_the_password() {
    let (mut town, old) = begun(304);
    let Container { package, keys } = container(&town, &old);
    let mut recovery = Recovery::begun(&mut town);
    recovery.decide(&mut town, false);
    assert!(silent(&mut town), "the new device is cut off");
    recovery.swap(&mut town);
    assert!(health(&mut town).is_ok());

    let mut recovery = Recovery::begun(&mut town);
    let mut wallet = Wallet::recovered(&town, ALICE, package, keys);
    recovery.replace(&mut town, &mut wallet, PASSWORD).unwrap().unwrap();
    recovery.decide(&mut town, false);
    assert!(silent(&mut town), "the new device is cut off");
    // The vault still has an app, so that no code of services brings another one in.
    assert_eq!(town.code(ALICE), None);
    recovery.swap(&mut town);
    assert!(silent(&mut town));
    town.resume(ALICE, false);
    assert_eq!(health(&mut town).err(), Some(RefusalCode::Locked), "the old device recovers in its turn");
}

#[test]
fn a_container_a_few_versions_old_recovers_with_what_was_stored_since() {
    let (mut town, mut old) = begun(305);
    let first = container(&town, &old);
    add(&mut town, &mut old, SecretKind::Note, b"one");
    let second = container(&town, &old);
    let mut newest = None;
    for text in [b"two", b"six", b"ten"] {
        newest = Some(add(&mut town, &mut old, SecretKind::Note, text));
    }
    let mut recovery = Recovery::begun(&mut town);
    // Four versions behind is too far.
    let wallet = Wallet::recovered(&town, ALICE, first.package, first.keys);
    let challenge = wallet.holder.challenge(town.now, &mut town.rng, REPLACE_DEVICE, "credential.use").unwrap();
    let told = town.ask::<Value>(ALICE, "credential.challenge", challenge.request.clone());
    assert_eq!(told.err(), Some(RefusalCode::NotAvailable));
    // Three are not, and nothing is lost. A key of the container that was used meanwhile is replaced first.
    let live = json!({"live_key_ids": []});
    let fresh: vettid_wire::credential::ReplenishedKeys = town.ask(ALICE, "credential.utk.replenish", live).unwrap();
    let mut wallet = Wallet::recovered(&town, ALICE, second.package, vec![]);
    wallet.holder.replenished(fresh);
    assert_eq!(recovery.replace(&mut town, &mut wallet, "wrong password"), Err(UseStatus::WrongPassword));
    recovery.replace(&mut town, &mut wallet, PASSWORD).unwrap().unwrap();
    recovery.decide(&mut town, true);
    assert_eq!(reveal(&mut town, &mut wallet, newest.unwrap(), PASSWORD), b"ten");
    assert_eq!(list(&mut town).len(), 4);
    recovery.swap(&mut town);
    assert!(silent(&mut town));
    recovery.swap(&mut town);
    town.check(ALICE);
}

#[test]
fn a_container_from_before_a_new_password_is_refused() {
    let (mut town, mut old) = begun(307);
    let Container { package, .. } = container(&town, &old);
    let changed: Result<Value, _> = old
        .run(&mut town, CHANGE_PASSWORD, PASSWORD, |op_id, town| {
            let next = keys_of("a different password");
            let sealed_inner_key =
                boxed(town, PASSWORD, (Boxed::InnerKey, op_id), next.inner.as_ref().unwrap().expose());
            let hash = StoredPassword::new(PasswordSalt::from_bytes([8; 16]), &next.proof).to_string();
            value(ChangePassword { hash, sealed_inner_key })
        })
        .unwrap();
    assert!(changed.is_ok());
    let _recovery = Recovery::begun(&mut town);
    let fresh = town.ask(ALICE, "credential.utk.replenish", json!({"live_key_ids": []})).unwrap();
    let mut wallet = Wallet::recovered(&town, ALICE, package, vec![]);
    wallet.holder.replenished(fresh);
    let challenge = wallet.holder.challenge(town.now, &mut town.rng, REPLACE_DEVICE, "credential.use").unwrap();
    let told = town.ask::<Value>(ALICE, "credential.challenge", challenge.request.clone());
    assert_eq!(told.err(), Some(RefusalCode::NotAvailable));
}

/// Ten wrong passwords with their waits.
fn lock(town: &mut Town, wallet: &mut Wallet) {
    for _ in 0..10 {
        wallet.prepare(town, "secret.use", "wrong password", |_, _| json!({}));
        let result = wallet.send(town).unwrap();
        assert_eq!(wallet.take::<Value>(town, result), Err(UseStatus::WrongPassword));
        town.now = town.now.plus_ms(DAY_MS);
    }
    assert!(status(town).locked);
}

#[test]
fn a_lock_ends_by_the_phrase_after_a_day_or_by_the_old_device_at_once() {
    for approved in [false, true] {
        let (mut town, mut old) = begun(306);
        let Container { package, .. } = container(&town, &old);
        lock(&mut town, &mut old);
        town.resume(ALICE, true);
        let (mut recovery, code) = Recovery::open(&mut town);
        assert!(status(&mut town).locked, "services alone end no lock");
        recovery.swap(&mut town);
        enrol(&mut town, &code.unwrap()).unwrap();
        assert!(status(&mut town).locked);
        let mut wallet = Wallet::recovered(&town, ALICE, package, vec![]);
        let fresh = town.ask(ALICE, "credential.utk.replenish", json!({"live_key_ids": []})).unwrap();
        wallet.holder.replenished(fresh);
        assert!(matches!(recovery.replace(&mut town, &mut wallet, PASSWORD), Err(UseStatus::Wait)));
        wallet.holder.give_up();
        let now = status(&mut town);
        assert_eq!((now.locked, now.retry_after_ms), (false, Some(DAY_MS.unsigned_abs())));
        if approved {
            recovery.decide(&mut town, true);
        } else {
            pass(&mut town, DAY_MS);
        }
        let replaced = recovery.replace(&mut town, &mut wallet, PASSWORD).unwrap().unwrap();
        assert_eq!(replaced.hold_until.is_none(), approved);
        town.check(ALICE);
    }
}

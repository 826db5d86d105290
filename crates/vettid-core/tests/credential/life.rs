//! The life of a credential with real cryptography: each row of the table of spec 2.7, and what stands around it.

use crate::sides::{
    Crash, ENDPOINT, HOST, SECRETS, SIGN, Sides, Told, guid, inner_key, issuer_print, parts, payload, stored_password,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::json;
use vettid_core::credential::attempts::BootId;
use vettid_core::credential::holder::record::{Next, SlotName, Untrusted};
use vettid_core::credential::holder::{Holder, Received};
use vettid_core::credential::issuer::Begin;
use vettid_core::credential::issuer::operation::{Effect, Verdict};
use vettid_core::credential::issuer::record::{Confirmation, KnownByApp, Mode, NotInBackup, Refusal};
use vettid_core::credential::{CHANGE_PASSWORD, REPLACE_SECRETS, RESTORE};
use vettid_crypto::credential::InnerPlace;
use vettid_wire::base64::Base64;
use vettid_wire::credential::{ChallengeRequest, InnerUpdate, LatId, ReplenishKeys, UseRequest, UseStatus};
use vettid_wire::id::OperationId;
use vettid_wire::json;

/// Row 1: no effect before the second commit, and the same bytes go on from the first.
#[test]
fn a_crash_before_the_second_commit_has_no_effect_and_is_not_counted_again() {
    for crash in [Crash::BeforeCompare, Crash::BeforeSecondCommit] {
        let mut sides = Sides::new();
        let request = sides.ask(SIGN, json!({}), payload(1, false));
        assert!(sides.handle(&request, crash).is_none());
        assert!(sides.handle(&request, crash).is_none());
        assert_eq!((sides.effects.len(), sides.issuer.record().attempts.total), (0, 1));
        let told = sides.handle(&sides.request(), Crash::Never).unwrap().bytes();
        sides.take(&told).unwrap();
        assert_eq!(sides.effects.values().sum::<u32>(), 1);
        assert_eq!(sides.issuer.record().attempts.consecutive, 0);
    }
}

/// Row 2: the answer was lost.
#[test]
fn a_repeat_gets_the_same_bytes_and_has_no_second_effect() {
    let mut sides = Sides::new();
    let request = sides.ask(SIGN, json!({ "amount": "5" }), payload(1, false));
    let first = sides.handle(&request, Crash::Never).unwrap().bytes();
    for _ in 0..3 {
        assert_eq!(sides.handle(&sides.request(), Crash::Never).unwrap().bytes(), first);
    }
    sides.take(&first).unwrap();
    assert_eq!(sides.confirm(), Some(Confirmation::Promoted));
    assert_eq!(sides.handle(&request, Crash::Never).unwrap().bytes(), first);
    assert_eq!(sides.effects.values().sum::<u32>(), 1);
}

/// Row 3: the slot was torn while it was written.
#[test]
fn a_torn_slot_shows_and_the_base_slot_still_works() {
    let mut sides = Sides::new();
    let request = sides.ask(SIGN, json!({}), payload(1, false));
    let told = sides.handle(&request, Crash::Never).unwrap().bytes();
    let base = sides.slot_bytes(SlotName::A);
    sides.take(&told).unwrap();
    let whole = sides.slot_bytes(SlotName::B).unwrap();
    for length in [0, 5, 41, 42, whole.len() / 2, whole.len() - 1] {
        sides.load([base.clone(), Some(whole[..length].to_vec())]);
        assert_eq!(sides.versions(), [1], "{length} bytes");
    }
    // Another letter inside the blob still is a slot in form; only the digest tells.
    let mut changed = whole;
    let blob = changed.windows(14).position(|window| window == b"encrypted_blob").unwrap();
    changed[blob + 30] = if changed[blob + 30] == b'A' { b'B' } else { b'A' };
    sides.load([base, Some(changed)]);
    assert_eq!((sides.versions(), sides.holder.next()), (vec![1], Next::SendAgain(request.op_id)));
    let again = sides.handle(&sides.request(), Crash::Never).unwrap().bytes();
    assert!(matches!(sides.take(&again), Ok(Received::Have { .. })));
    assert_eq!((sides.versions(), sides.confirm()), (vec![1, 2], Some(Confirmation::Promoted)));
    assert_eq!(sides.versions(), [2]);
}

/// Rows 4 and 5: CONFIRM or CONFIRMED was lost.
#[test]
fn confirmation_is_idempotent_and_may_be_implicit() {
    let mut sides = Sides::new();
    let request = sides.ask(SIGN, json!({}), payload(1, false));
    let told = sides.handle(&request, Crash::Never).unwrap().bytes();
    sides.take(&told).unwrap();
    let Next::Confirm(confirm) = sides.holder.next() else { unreachable!("a package was stored") };
    assert_eq!(sides.issuer.confirm(&confirm).0, Confirmation::Promoted);
    assert_eq!(sides.confirm(), Some(Confirmation::Already));
    // Implicit: the app gives the operation up after it stored its package, and uses that one.
    let request = sides.ask(SIGN, json!({}), payload(1, false));
    let told = sides.handle(&request, Crash::Never).unwrap().bytes();
    sides.take(&told).unwrap();
    sides.holder.give_up();
    let request = sides.ask(SIGN, json!({}), payload(1, false));
    assert_eq!((request.cek_version, request.slots.len()), (3, 2));
    let told = sides.handle(&request, Crash::Never).unwrap().bytes();
    assert_eq!((sides.issuer.record().floor, sides.issuer.record().current.version), (3, 3));
    sides.take(&told).unwrap();
    assert_eq!((sides.versions(), sides.confirm()), (vec![3, 4], Some(Confirmation::Promoted)));
}

/// What a slot says is not stored besides: a start takes it from there, whether the older slot was freed or not.
#[test]
fn a_start_takes_from_the_slots_what_was_not_stored() {
    let mut sides = Sides::new();
    let request = sides.ask(SIGN, json!({}), payload(1, false));
    let before = serde_json::to_vec(sides.holder.state()).unwrap();
    let start = |sides: &Sides| {
        let [a, b] = [SlotName::A, SlotName::B].map(|name| sides.slot_bytes(name));
        Holder::load(serde_json::from_slice(&before).unwrap(), a.as_deref(), b.as_deref())
    };
    assert_eq!(start(&sides).next(), Next::SendAgain(request.op_id));
    let told = sides.handle(&request, Crash::Never).unwrap().bytes();
    sides.take(&told).unwrap();
    let unconfirmed = start(&sides);
    assert!(matches!(unconfirmed.next(), Next::Confirm(confirm) if confirm.cek_version == 2));
    assert_eq!(unconfirmed.state().record, sides.holder.state().record);
    assert!(unconfirmed.request().is_some());
    assert_eq!(sides.confirm(), Some(Confirmation::Promoted));
    let confirmed = start(&sides);
    assert_eq!((confirmed.next(), confirmed.request()), (Next::Nothing, None));
    assert_eq!(confirmed.state().record, sides.holder.state().record);
    assert_eq!((confirmed.state().record.attempts_total, confirmed.state().record.highest_version), (1, 2));
    let (now, held) = (sides.clocks.now, sides.holder.state());
    assert!(confirmed.unused_keys(now).all(|key| key.key_id != request.key_id));
    assert_eq!(confirmed.state().keys.len(), held.keys.len());
}

/// Row 6: the answer was discarded, and another operation is begun with the same version.
#[test]
fn another_operation_drops_the_pending_version_and_skips_its_number() {
    let mut sides = Sides::new();
    let request = sides.ask(SIGN, json!({}), payload(1, false));
    let lost = sides.handle(&request, Crash::Never).unwrap().bytes();
    sides.holder.give_up();
    let request = sides.ask(SIGN, json!({}), payload(1, false));
    let told = sides.handle(&request, Crash::Never).unwrap().bytes();
    assert!(matches!(sides.take(&lost), Err(Untrusted::NotAsked)));
    sides.take(&told).unwrap();
    assert_eq!((sides.versions(), sides.confirm()), (vec![1, 3], Some(Confirmation::Promoted)));
}

/// Row 7: a copy of the credential from before.
#[test]
fn a_stale_credential_is_counted_once_and_never_evaluated() {
    let mut sides = Sides::new();
    let copy = sides.ask(SIGN, json!({}), payload(1, false));
    sides.holder.give_up();
    sides.once();
    let before = sides.issuer.record().attempts;
    for _ in 0..3 {
        let result = sides.handle(&copy, Crash::Never).unwrap().result();
        assert_eq!((result.status, result.credential_package.is_none()), (UseStatus::StaleCredential, true));
    }
    let after = sides.issuer.record().attempts;
    assert_eq!((after.consecutive, after.total), (before.consecutive + 1, before.total + 1));
    assert_eq!(sides.effects.len(), 1);
    sides.once();
}

/// Its attempt was counted while its version was current, so it is not counted again.
#[test]
fn an_attempt_that_became_stale_is_counted_once() {
    let mut sides = Sides::new();
    let overtaken = sides.ask(SIGN, json!({}), payload(9, false));
    assert!(sides.handle(&overtaken, Crash::BeforeCompare).is_none());
    sides.holder.give_up();
    sides.once();
    let before = sides.issuer.record().attempts;
    let result = sides.handle(&overtaken, Crash::Never).unwrap().result();
    assert_eq!((result.status, sides.issuer.record().attempts), (UseStatus::StaleCredential, before));
}

#[test]
fn a_replaced_version_sends_the_app_to_its_other_slot() {
    let mut sides = Sides::new();
    let old = sides.ask(SIGN, json!({ "n": 1 }), payload(1, false));
    sides.holder.give_up();
    let request = sides.ask(SIGN, json!({ "n": 2 }), payload(1, false));
    let told = sides.handle(&request, Crash::Never).unwrap().bytes();
    sides.take(&told).unwrap();
    // The one that was given up comes late, and takes the place of the version that the app has stored.
    let late = sides.handle(&old, Crash::Never).unwrap().bytes();
    assert!(matches!(sides.take(&late), Err(Untrusted::NotAsked)));
    assert_eq!(sides.confirm(), Some(Confirmation::StalePending));
    assert_eq!((sides.versions(), sides.holder.next()), (vec![1], Next::Nothing));
    sides.once();
    assert_eq!(sides.effects.values().copied().collect::<Vec<_>>(), [1, 1, 1]);
}

#[test]
fn a_wrong_password_is_counted_and_one_operation_gives_no_free_guesses() {
    let mut sides = Sides::new();
    let wrong = sides.ask(SIGN, json!({}), payload(9, false));
    assert!(sides.handle(&wrong, Crash::BeforeCompare).is_none());
    // The same request with another payload, before the first guess was answered: another attempt.
    let proof = sides.operations[&wrong.op_id].record.proof_hash;
    let another = UseRequest { encrypted_password_hash: Base64::new([0; 136]), ..wrong.clone() };
    assert!(sides.handle(&another, Crash::BeforeCompare).is_none());
    assert_ne!(sides.operations[&wrong.op_id].record.proof_hash, proof);
    assert_eq!(sides.issuer.record().attempts.total, 2);
    let told = sides.handle(&wrong, Crash::Never).unwrap().result();
    assert_eq!((told.status, told.attempts_total), (UseStatus::WrongPassword, 3));
    // Now it is over: the same bytes hear the same, others nothing, and its key is gone.
    assert_eq!(sides.handle(&wrong, Crash::Never).unwrap().result().attempts_total, 3);
    assert!(matches!(sides.handle(&another, Crash::Never), Some(Told::Refused(Refusal::OtherRequest))));
    assert_eq!(sides.issuer.record().attempts.total, 3);
    let answer = json::canonical(&told).unwrap();
    assert!(matches!(sides.take(&answer), Ok(Received::Ended(UseStatus::WrongPassword))));
    assert!(sides.holder.unused_keys(sides.clocks.now).all(|key| key.key_id != wrong.key_id));
    sides.once();
}

/// Test plan 4.8, through the whole issuer, which restarts after each step.
#[test]
fn ten_wrong_passwords_lock_and_waits_are_kept() {
    let mut sides = Sides::new();
    for attempt in 1..=10_u64 {
        let wrong = sides.ask(SIGN, json!({}), payload(9, false));
        if attempt > 4 {
            let early = sides.handle(&wrong, Crash::Never).unwrap().result();
            assert_eq!(early.status, UseStatus::Wait, "{attempt}");
            assert_eq!(early.attempts_total, attempt - 1);
            let answer = json::canonical(&early).unwrap();
            assert!(matches!(sides.take(&answer), Ok(Received::Open { .. })));
            sides.clocks.monotonic_ms += early.retry_after_ms.unwrap();
        }
        let told = sides.handle(&wrong, Crash::Never).unwrap().bytes();
        assert!(matches!(sides.take(&told), Ok(Received::Ended(UseStatus::WrongPassword))), "{attempt}");
        let fresh = sides.issuer.replenish(&sides.clocks, &mut sides.rng, &live(&sides.holder));
        sides.holder.replenished(fresh);
    }
    let right = sides.ask(SIGN, json!({}), payload(1, false));
    sides.clocks.monotonic_ms += 1_000_000_000;
    let told = sides.handle(&right, Crash::Never).unwrap().result();
    assert_eq!((told.status, told.attempts_total, sides.effects.len()), (UseStatus::Locked, 10, 0));
}

#[test]
fn a_wait_goes_on_after_the_machine_restarted() {
    let mut sides = Sides::new();
    for _ in 1..=4 {
        let wrong = sides.ask(SIGN, json!({}), payload(9, false));
        let told = sides.handle(&wrong, Crash::Never).unwrap().bytes();
        sides.take(&told).unwrap();
    }
    sides.clocks.boot_id = BootId([2; 16]);
    sides.clocks.monotonic_ms = 0;
    sides.clocks.now = sides.clocks.now.plus_ms(24 * 60 * 60 * 1000);
    let right = sides.ask(SIGN, json!({}), payload(1, false));
    for (monotonic_ms, left_ms) in [(0, 60_000), (59_999, 1)] {
        sides.clocks.monotonic_ms = monotonic_ms;
        let result = sides.handle(&right, Crash::Never).unwrap().result();
        assert_eq!((result.status, result.retry_after_ms), (UseStatus::Wait, Some(left_ms)));
    }
    sides.clocks.monotonic_ms = 60_000;
    assert_eq!(sides.handle(&right, Crash::Never).unwrap().result().status, UseStatus::Done);
}

fn live(holder: &Holder) -> ReplenishKeys {
    ReplenishKeys { live_key_ids: holder.state().keys.iter().map(|key| key.key_id.clone()).collect() }
}

type Change = fn(&mut UseRequest);

#[test]
fn every_bound_field_binds_the_password_proof() {
    let changes: [(&str, Change); 12] = [
        ("op_id", |r| r.op_id = OperationId::from_bytes([0xab; 16])),
        ("action", |r| r.action = CHANGE_PASSWORD.to_owned()),
        ("unnamed action", |r| r.action = "export".to_owned()),
        ("params", |r| r.params = json!({ "amount": "6" })),
        ("version", |r| r.cek_version = 2),
        ("blob", |r| r.encrypted_blob = flipped(&r.encrypted_blob)),
        ("enc", |r| r.ephemeral_public_key = flipped(&r.ephemeral_public_key)),
        ("lat version", |r| r.lat.version += 1),
        ("lat id", |r| r.lat.lat_id = LatId::from_random([9; 16])),
        ("payload", |r| r.encrypted_password_hash = flipped(&r.encrypted_password_hash)),
        ("short payload", |r| r.encrypted_password_hash = Base64::new([])),
        ("long payload", |r| r.encrypted_password_hash = Base64::new([1; 168])),
    ];
    for (field, change) in changes {
        let mut sides = Sides::new();
        let mut request = sides.ask(SIGN, json!({ "amount": "5" }), payload(1, true));
        change(&mut request);
        let told = sides.handle(&request, Crash::Never).unwrap();
        let refused = match &told {
            Told::Refused(_) => true,
            Told::Result(bytes) => {
                json::read::<vettid_wire::credential::UseResult>(bytes).unwrap().status != UseStatus::Done
            }
        };
        assert!(refused && sides.effects.is_empty(), "{field}: {told:?}");
    }
    for other_key in 1..3 {
        let mut sides = Sides::new();
        let mut request = sides.ask(SIGN, json!({}), payload(1, true));
        request.key_id = sides.holder.unused_keys(sides.clocks.now).nth(other_key).unwrap().key_id.clone();
        assert_eq!(sides.handle(&request, Crash::Never).unwrap().result().status, UseStatus::WrongPassword);
    }
}

fn flipped(bytes: &Base64) -> Base64 {
    let mut bytes = bytes.as_bytes().to_vec();
    *bytes.first_mut().unwrap() ^= 1;
    Base64::new(bytes)
}

#[test]
fn what_is_not_genuine_is_refused_before_it_is_counted() {
    let changes: [(Change, Refusal); 5] = [
        (|r| r.encrypted_blob = flipped(&r.encrypted_blob), Refusal::NotGenuine),
        (|r| r.ephemeral_public_key = flipped(&r.ephemeral_public_key), Refusal::NotGenuine),
        (|r| r.lat.lat_id = LatId::from_random([9; 16]), Refusal::NotGenuine),
        (|r| r.cek_version = 2, Refusal::NeverIssued),
        (|r| r.action = "export".to_owned(), Refusal::NotAuthorized),
    ];
    for (change, why) in changes {
        let mut sides = Sides::new();
        let mut request = sides.ask(SIGN, json!({}), payload(1, false));
        change(&mut request);
        assert!(
            matches!(sides.handle(&request, Crash::Never), Some(Told::Refused(refusal)) if refusal == why),
            "{why:?}"
        );
        assert_eq!((sides.issuer.record().attempts.total, sides.operations.len()), (0, 1));
    }
}

#[test]
fn the_issuer_proves_itself_for_one_host_action_endpoint_and_key() {
    let sides = Sides::new();
    let (now, rng) = (sides.clocks.now, &mut StdRng::from_seed([2; 32]));
    let challenge =
        |rng: &mut StdRng, action: &str, endpoint: &str| sides.holder.challenge(now, rng, action, endpoint).unwrap();
    let prove = |rng: &mut StdRng, host: &str, endpoint: &str, asked: &ChallengeRequest| {
        sides.issuer.prove(now, rng, (host, endpoint), asked).unwrap()
    };
    let asked = challenge(rng, SIGN, ENDPOINT);
    let answer = prove(rng, HOST, ENDPOINT, &asked.request);
    assert!(sides.holder.verify(HOST, asked, &answer).is_ok());
    // A relay: the app is connected to another host than the issuer answers for.
    let asked = challenge(rng, SIGN, ENDPOINT);
    let answer = prove(rng, HOST, ENDPOINT, &asked.request);
    assert!(sides.holder.verify("nats://broker.example.evil", asked, &answer).is_err());
    // The issuer was asked for something else than the app wants.
    let other_key = sides.holder.unused_keys(now).nth(3).unwrap().key_id.clone();
    let changes: [&dyn Fn(&mut ChallengeRequest); 3] =
        [&|r| r.action = "export".to_owned(), &|r| r.key_id = other_key.clone(), &|r| {
            r.lat.client_nonce = Base64::new([0; 32])
        }];
    for change in changes {
        let asked = challenge(rng, SIGN, ENDPOINT);
        let mut relayed = asked.request.clone();
        change(&mut relayed);
        let answer = prove(rng, HOST, ENDPOINT, &relayed);
        assert!(sides.holder.verify(HOST, asked, &answer).is_err());
    }
    let asked = challenge(rng, SIGN, "credential.other");
    let answer = prove(rng, HOST, ENDPOINT, &asked.request);
    assert!(sides.holder.verify(HOST, asked, &answer).is_err());
    // Unknown token or key: nothing is proven.
    let mut unknown = challenge(rng, SIGN, ENDPOINT).request;
    unknown.lat.lat_id = LatId::from_random([9; 16]);
    assert!(sides.issuer.prove(now, rng, (HOST, ENDPOINT), &unknown).is_none());
    let mut unknown = challenge(rng, SIGN, ENDPOINT).request;
    unknown.key_id = "tk_00000000000000000000000000000000".parse().unwrap();
    assert!(sides.issuer.prove(now, rng, (HOST, ENDPOINT), &unknown).is_none());
}

#[test]
fn keys_run_down_to_ten_and_are_filled_up_inside_the_answer() {
    let mut sides = Sides::new();
    let counts: Vec<usize> = (0..25)
        .map(|_| {
            sides.once();
            let of_issuer = sides.issuer.record().pool.unused(sides.clocks.now).count();
            assert_eq!(sides.holder.unused_keys(sides.clocks.now).count(), of_issuer);
            of_issuer
        })
        .collect();
    assert!(counts.iter().all(|count| (11..=20).contains(count)), "{counts:?}");
    assert_eq!(counts.iter().filter(|count| **count == 20).count(), 2, "{counts:?}");
}

#[test]
fn an_unknown_transaction_key_is_answered_with_the_live_ones() {
    let mut sides = Sides::new();
    sides.clocks.now = sides.clocks.now.plus_ms(10);
    let request = sides.ask(SIGN, json!({}), payload(1, false));
    sides.clocks.now = sides.clocks.now.plus_ms(31 * 24 * 60 * 60 * 1000);
    let told = sides.handle(&request, Crash::Never).unwrap().bytes();
    assert!(matches!(sides.take(&told), Ok(Received::Ended(UseStatus::UnknownTransactionKey))));
    assert_eq!((sides.holder.state().keys.len(), sides.holder.needs_keys(sides.clocks.now)), (0, true));
    let fresh = sides.issuer.replenish(&sides.clocks, &mut sides.rng, &live(&sides.holder));
    assert_eq!((fresh.new_transaction_keys.len(), fresh.live_key_ids.len()), (20, 20));
    sides.holder.replenished(fresh);
    sides.once();
}

#[test]
fn a_password_changes_with_its_salt_and_device_secret_and_its_secrets() {
    let mut sides = Sides::new();
    let place = InnerPlace { guid: guid(), issuer: issuer_print(), inner_seq: 2 };
    let secrets = Base64::new(place.seal(&inner_key(2), SECRETS, &mut sides.rng));
    let update = InnerUpdate { inner_seq: 2, secrets, hash: Some(stored_password(2).to_string()) };
    let params = serde_json::to_value(&update).unwrap();
    let request = sides.try_ask(CHANGE_PASSWORD, params, payload(1, false), Some(parts(2))).unwrap();
    let told = sides.handle(&request, Crash::Never).unwrap().bytes();
    sides.take(&told).unwrap();
    let salt = |sides: &Sides, name| *sides.slot(name).unwrap().password.salt.as_bytes();
    assert_eq!((salt(&sides, SlotName::A), salt(&sides, SlotName::B)), ([1; 16], [2; 16]));
    assert_eq!(sides.confirm(), Some(Confirmation::Promoted));
    let old = sides.ask(SIGN, json!({}), payload(1, false));
    let told = sides.handle(&old, Crash::Never).unwrap().bytes();
    assert!(matches!(sides.take(&told), Ok(Received::Ended(UseStatus::WrongPassword))));
    let new = sides.ask(SIGN, json!({}), payload(2, true));
    let Begin::Started(started) = sides.issuer.begin(&sides.clocks, &new, None).unwrap() else {
        unreachable!("the version is current")
    };
    let Verdict::Right(proven) = sides.issuer.compare(started.committed(), &new).unwrap() else {
        unreachable!("the password is right")
    };
    assert_eq!(proven.open_secrets().unwrap().expose(), SECRETS);
    let resealed = proven.reseal_secrets(b"{}", &mut sides.rng).unwrap();
    assert_eq!(resealed.inner_seq, 3);
    // Upkeep that does not fit the credential is no upkeep.
    let hash = update.hash.clone();
    let unfit = [
        (REPLACE_SECRETS, InnerUpdate { inner_seq: 3, hash, ..update.clone() }),
        (CHANGE_PASSWORD, InnerUpdate { inner_seq: 3, hash: None, ..update.clone() }),
        (CHANGE_PASSWORD, InnerUpdate { inner_seq: 3, hash: Some("$argon2id$".to_owned()), ..update.clone() }),
        (REPLACE_SECRETS, InnerUpdate { inner_seq: 2, hash: None, ..update }),
    ];
    for (action, update) in unfit {
        let params = serde_json::to_value(update).unwrap();
        let request = UseRequest { action: action.to_owned(), params, ..new.clone() };
        assert!(Effect::of_upkeep(&proven, &request).is_err());
    }
}

#[test]
fn a_restored_vault_takes_one_version_once_and_goes_on_above_everything_known() {
    let mut sides = Sides::new();
    sides.once();
    let backup = serde_json::to_vec(&sides.issuer).unwrap();
    sides.once();
    let known = KnownByApp { epoch: 1, highest_version: 3, consecutive: 2, attempts_total: 7 };
    // The app still holds version 3; it takes back the version of the backup from its recovery container.
    let newer = sides.ask(SIGN, json!({}), payload(1, false));
    sides.holder.give_up();
    sides.issuer = serde_json::from_slice(&backup).unwrap();
    assert_eq!(sides.issuer.restore(9, &known), Err(NotInBackup));
    sides.issuer.restore(2, &known).unwrap();
    assert_eq!(sides.issuer.record().attempts.total, 7);
    assert!(matches!(sides.handle(&newer, Crash::Never), Some(Told::Refused(Refusal::WrongMode))));
    assert_eq!(sides.issuer.record().mode, Mode::Restoring);
}

#[test]
fn a_restore_rotates_at_once_into_a_higher_epoch() {
    let mut sides = Sides::new();
    sides.once();
    let known = KnownByApp { epoch: 1, highest_version: 8, consecutive: 0, attempts_total: 2 };
    sides.issuer.restore(2, &known).unwrap();
    assert_eq!(sides.issuer.record().pool.unused(sides.clocks.now).count(), 0);
    let challenge = sides.holder.challenge(sides.clocks.now, &mut sides.rng, RESTORE, ENDPOINT).unwrap();
    assert!(sides.issuer.prove(sides.clocks.now, &mut sides.rng, (HOST, ENDPOINT), &challenge.request).is_none());
    let fresh = sides.issuer.replenish(&sides.clocks, &mut sides.rng, &live(&sides.holder));
    sides.holder.replenished(fresh);
    let other = sides.ask(SIGN, json!({}), payload(1, false));
    assert!(matches!(sides.handle(&other, Crash::Never), Some(Told::Refused(Refusal::WrongMode))));
    sides.holder.give_up();
    let restore = sides.ask(RESTORE, json!({}), payload(1, false));
    let told = sides.handle(&restore, Crash::Never).unwrap().bytes();
    sides.take(&told).unwrap();
    assert_eq!((sides.versions(), sides.holder.state().record.epoch), (vec![9, 2], 2));
    assert_eq!(sides.confirm(), Some(Confirmation::Promoted));
    assert_eq!(sides.issuer.record().mode, Mode::Active);
    let again = sides.ask(RESTORE, json!({}), payload(1, false));
    assert!(matches!(sides.handle(&again, Crash::Never), Some(Told::Refused(Refusal::WrongMode))));
    sides.holder.give_up();
    sides.once();
}

#[test]
fn a_rolled_back_issuer_shows() {
    let mut sides = Sides::new();
    let backup = serde_json::to_vec(&sides.issuer).unwrap();
    for attempt in 1..=2 {
        let wrong = sides.ask(SIGN, json!({}), payload(9, false));
        let told = sides.handle(&wrong, Crash::Never).unwrap().bytes();
        sides.take(&told).unwrap();
        assert_eq!(sides.holder.state().record.attempts_total, attempt);
    }
    sides.issuer = serde_json::from_slice(&backup).unwrap();
    let right = sides.ask(SIGN, json!({}), payload(1, false));
    let told = sides.handle(&right, Crash::Never).unwrap().bytes();
    assert!(matches!(sides.take(&told), Err(Untrusted::RolledBack)));
    assert_eq!(sides.versions(), [1]);
}

#[test]
fn a_package_that_is_not_ours_is_not_stored() {
    let mut sides = Sides::new();
    let request = sides.ask(SIGN, json!({}), payload(1, false));
    let told = sides.handle(&request, Crash::Never).unwrap().bytes();
    let text = String::from_utf8(told).unwrap();
    let cases = [
        (text.replace(r#""prev_cek_version":1"#, r#""prev_cek_version":7"#), Untrusted::WrongBase),
        (text.replace(r#""prev_cek_version":1,"#, ""), Untrusted::WrongBase),
        (text.replace(r#""credential_epoch":1"#, r#""credential_epoch":0"#), Untrusted::RolledBack),
        (text.replace(&guid().to_string(), "04040404-0404-0404-0404-040404040405"), Untrusted::NotGenuine),
    ];
    for (changed, why) in cases {
        assert_ne!(changed, text);
        assert_eq!(sides.take(changed.as_bytes()).unwrap_err(), why);
        assert_eq!(sides.versions(), [1]);
    }
    sides.take(text.as_bytes()).unwrap();
    // With both slots filled, the base is the version that was used, not just any that is stored.
    sides.holder.give_up();
    let request = sides.ask(SIGN, json!({}), payload(1, false));
    let told = sides.handle(&request, Crash::Never).unwrap().bytes();
    let other_base = String::from_utf8(told).unwrap().replace(r#""prev_cek_version":2"#, r#""prev_cek_version":1"#);
    assert_eq!(sides.take(other_base.as_bytes()).unwrap_err(), Untrusted::WrongBase);
    assert_eq!(sides.versions(), [1, 2]);
}

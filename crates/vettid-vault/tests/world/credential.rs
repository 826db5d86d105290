//! The Vault Credential in the town: what the member does with it, what a wrong password costs, and that an operation has
//! one effect whenever the vault dies.

use crate::node::Crash;
use crate::town::{ALICE, MINUTE_MS, Town};
use crate::wallet::{Wallet, boxed, keys_of, value};
use serde_json::{Value, json};
use vettid_core::credential::CHANGE_PASSWORD;
use vettid_crypto::identity::{Signature, VerifyingKey};
use vettid_crypto::password::{PasswordSalt, StoredPassword};
use vettid_crypto::secret_box::{BoxKey, Boxed, Occasion};
use vettid_wire::base64::Base64;
use vettid_wire::credential::{ChangePassword, CredentialStatus, JournalHead, UseResult, UseStatus};
use vettid_wire::event::Nothing;
use vettid_wire::feed::AuditStretch;
use vettid_wire::id::SecretId;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::secret::{
    Add, AddSecret, Curve, GrantOpened, Input, OpenGrant, Operation, Remove, Rotate, RotateSecret, SecretKind,
    SecretList, SecretRef, SecretSummary, Use, UseSecret, Used,
};

pub(crate) const PASSWORD: &str = "correct horse battery";
const PHRASE: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

pub(crate) fn begun(seed: u64) -> (Town, Wallet) {
    let mut town = Town::new(seed);
    town.enrol(ALICE);
    let wallet = Wallet::create(&mut town, ALICE, PASSWORD);
    (town, wallet)
}

pub(crate) fn status(town: &mut Town) -> CredentialStatus {
    town.ask(ALICE, "credential.status", json!({})).unwrap()
}

pub(crate) fn list(town: &mut Town) -> Vec<SecretSummary> {
    town.ask::<SecretList>(ALICE, "secret.list", json!({})).unwrap().secrets
}

fn add_as(
    town: &mut Town,
    wallet: &mut Wallet,
    kind: (SecretKind, Option<Curve>),
    bytes: &[u8],
    grant_minutes: Option<u32>,
) -> Result<SecretId, RefusalCode> {
    let secret_id = wallet.secret_id(town);
    let added = wallet.act::<Add>(town, PASSWORD, |op_id, town| AddSecret {
        secret_id,
        label: format!("{:?}", kind.0),
        kind: kind.0,
        curve: kind.1,
        category: None,
        grant_minutes,
        sealed: boxed(town, PASSWORD, (Boxed::Value(secret_id), op_id), bytes),
    });
    added.unwrap().map(|summary| summary.secret_id)
}

pub(crate) fn add(town: &mut Town, wallet: &mut Wallet, kind: SecretKind, bytes: &[u8]) -> SecretId {
    add_as(town, wallet, (kind, None), bytes, None).unwrap()
}

pub(crate) fn reveal(town: &mut Town, wallet: &mut Wallet, secret_id: SecretId, password: &str) -> Vec<u8> {
    let op = wallet.prepare(town, "secret.use", password, |_, _| {
        value(UseSecret { secret_id, operation: Operation::Reveal, input: None })
    });
    let result = wallet.send(town).unwrap();
    let Used::Sealed(sealed) = wallet.take::<Used>(town, result).unwrap().unwrap() else { panic!("not revealed") };
    wallet.open(password, (Boxed::Value(secret_id), Occasion::Operation(op)), &sealed)
}

#[test]
fn a_secret_is_added_used_replaced_and_removed() {
    let (mut town, mut wallet) = begun(1);
    let phrase = add(&mut town, &mut wallet, SecretKind::SeedPhrase, PHRASE.as_bytes());
    let key = add_as(&mut town, &mut wallet, (SecretKind::SigningKey, Some(Curve::Ed25519)), &[7; 32], None).unwrap();
    assert_eq!(reveal(&mut town, &mut wallet, phrase, PASSWORD), PHRASE.as_bytes());
    let message = Input::Message(Base64::new(b"hello"));
    let signed = wallet.act::<Use>(&mut town, PASSWORD, |_, _| UseSecret {
        secret_id: key,
        operation: Operation::Sign,
        input: Some(message),
    });
    let Used::Signature(signature) = signed.unwrap().unwrap() else { panic!("not signed") };
    let listed = list(&mut town);
    assert_eq!(
        listed.iter().map(|secret| (secret.secret_id, secret.uses)).collect::<Vec<_>>(),
        [(phrase, 1), (key, 1)]
    );
    let public = listed[1].public_key.clone().unwrap();
    let public = VerifyingKey::from_bytes(public.as_bytes().try_into().unwrap()).unwrap();
    let signature = Signature::from_bytes(signature.as_bytes().try_into().unwrap());
    assert!(public.verify(b"hello", &signature).is_ok());
    rotated(&mut town, &mut wallet, phrase);
    let removed = wallet.act::<Remove>(&mut town, PASSWORD, |_, _| SecretRef { secret_id: phrase });
    assert_eq!(removed.unwrap().unwrap().secret_id, phrase);
    assert_eq!(list(&mut town).len(), 1);
    town.check(ALICE);
}

fn rotated(town: &mut Town, wallet: &mut Wallet, secret_id: SecretId) {
    let other = PHRASE.replace("abandon", "zoo").replace("about", "wrong");
    let done = wallet.act::<Rotate>(town, PASSWORD, |op_id, town| RotateSecret {
        secret_id,
        sealed: boxed(town, PASSWORD, (Boxed::Value(secret_id), op_id), other.as_bytes()),
    });
    assert!(done.unwrap().unwrap().rotated_at.is_some());
    assert_eq!(reveal(town, wallet, secret_id, PASSWORD), other.as_bytes());
}

#[test]
fn what_is_no_such_secret_is_refused_and_the_credential_goes_on() {
    let (mut town, mut wallet) = begun(2);
    for (kind, curve, bytes) in [
        (SecretKind::SeedPhrase, None, b"not a phrase".as_slice()),
        (SecretKind::SigningKey, Some(Curve::P256), &[0; 32]),
        (SecretKind::SigningKey, None, &[1; 32]),
        (SecretKind::Number, None, b"abc"),
        (SecretKind::File, None, &[1; 9000]),
        (SecretKind::Note, None, b""),
    ] {
        assert_eq!(
            add_as(&mut town, &mut wallet, (kind, curve), bytes, None),
            Err(RefusalCode::InvalidRequest),
            "{kind:?}"
        );
    }
    let unknown = SecretId::from_bytes([9; 16]);
    let used = wallet.act::<Use>(&mut town, PASSWORD, |_, _| UseSecret {
        secret_id: unknown,
        operation: Operation::Reveal,
        input: None,
    });
    assert_eq!(used.unwrap().err(), Some(RefusalCode::NotFound));
    assert!(list(&mut town).is_empty());
    let full = (0..8).find_map(|_| add_as(&mut town, &mut wallet, (SecretKind::File, None), &[1; 8000], None).err());
    assert_eq!(full, Some(RefusalCode::NotAllowed), "the blob has a largest size");
    assert!(!list(&mut town).is_empty());
    assert_eq!(status(&mut town).attempts, 0);
    town.check(ALICE);
}

#[test]
fn there_is_one_credential() {
    let (mut town, mut wallet) = begun(3);
    let key = wallet.holder.unused_keys(town.now).next().unwrap().clone();
    let another = wallet.creation(&mut town, &key, "another password");
    let refused = town.ask::<Value>(ALICE, "credential.create", another);
    assert_eq!(refused.err(), Some(RefusalCode::NotAllowed));
    assert!(status(&mut town).exists);
}

#[test]
fn a_wrong_password_is_counted_waited_for_and_locks() {
    let (mut town, mut wallet) = begun(4);
    let reveal = |_, _: &mut Town| {
        value(UseSecret { secret_id: SecretId::from_bytes([9; 16]), operation: Operation::Reveal, input: None })
    };
    for attempt in 1..=10_u32 {
        wallet.prepare(&mut town, "secret.use", "wrong password", reveal);
        loop {
            let result = wallet.send(&mut town).unwrap();
            match wallet.take::<Value>(&mut town, result) {
                Err(UseStatus::WrongPassword) => break,
                Err(UseStatus::Wait) => {
                    town.nodes[ALICE].crash();
                    town.now = town.now.plus_ms(i64::try_from(status(&mut town).retry_after_ms.unwrap()).unwrap());
                }
                other => panic!("{other:?}"),
            }
        }
        town.nodes[ALICE].crash();
        let status = status(&mut town);
        assert_eq!((status.attempts, status.locked), (attempt, attempt == 10));
        assert_eq!(status.retry_after_ms.is_some(), (4..10).contains(&attempt), "attempt {attempt}");
    }
    town.now = town.now.plus_ms(365 * 24 * 60 * MINUTE_MS);
    wallet.prepare_locked(&mut town);
    let feed = town.feed(ALICE);
    assert_eq!(feed.entries.iter().filter(|entry| entry.summary.starts_with("Wrong password")).count(), 10);
    town.check(ALICE);
}

impl Wallet {
    /// Not even the right password is looked at.
    fn prepare_locked(&mut self, town: &mut Town) {
        let asked = UseSecret { secret_id: SecretId::from_bytes([9; 16]), operation: Operation::Reveal, input: None };
        let live_key_ids = vec![];
        let fresh = town
            .ask(self.who, "credential.utk.replenish", vettid_wire::credential::ReplenishKeys { live_key_ids })
            .unwrap();
        self.holder.replenished(fresh);
        self.prepare(town, "secret.use", PASSWORD, |_, _| value(asked));
        let result = self.send(town).unwrap();
        assert_eq!(self.take::<Value>(town, result), Err(UseStatus::Locked));
    }
}

/// The vault dies at every place of an operation; the app sends the same request again.
#[test]
fn an_operation_has_one_effect_whenever_the_vault_dies() {
    for (seed, crash) in [Crash::BeforeCommit, Crash::AfterCommit, Crash::BeforeSecondCommit, Crash::AfterSecondCommit]
        .into_iter()
        .enumerate()
    {
        let (mut town, mut wallet) = begun(100 + seed as u64);
        let key = add_as(&mut town, &mut wallet, (SecretKind::SigningKey, Some(Curve::P256)), &[7; 32], None).unwrap();
        let before = status(&mut town);
        wallet.prepare(&mut town, "secret.use", PASSWORD, |_, _| {
            let input = Some(Input::Message(Base64::new(b"pay 10")));
            value(UseSecret { secret_id: key, operation: Operation::Sign, input })
        });
        town.next_crash = Some(crash);
        let first = wallet.send(&mut town).unwrap();
        let again = wallet.send(&mut town).unwrap();
        assert_eq!(value(&first), value(&again), "{crash:?}");
        assert!(matches!(wallet.take::<Used>(&mut town, first), Ok(Ok(Used::Signature(_)))), "{crash:?}");
        assert_eq!(list(&mut town)[0].uses, 1, "{crash:?}");
        let after = status(&mut town);
        assert_eq!(after.attempts_total, before.attempts_total + 1, "{crash:?}");
        assert_eq!((after.attempts, after.cek_version), (0, before.cek_version + 1), "{crash:?}");
        town.check(ALICE);
    }
}

/// A thief who kills the vault between the counting and the comparing gains no guess.
#[test]
fn a_guess_is_counted_although_the_vault_dies() {
    for crash in [Crash::AfterCommit, Crash::BeforeSecondCommit] {
        let (mut town, mut wallet) = begun(110);
        let before = status(&mut town).attempts_total;
        wallet.prepare(&mut town, "secret.use", "wrong password", |_, _| {
            value(UseSecret { secret_id: SecretId::from_bytes([9; 16]), operation: Operation::Reveal, input: None })
        });
        town.next_crash = Some(crash);
        let request = wallet.request();
        let event_id = town.fresh_event();
        let sealed = town.apps[ALICE].seal("credential.use", &request, event_id, town.now, &mut town.rng);
        town.give(ALICE, vec![sealed]);
        assert_eq!(status(&mut town).attempts_total, before + 1, "{crash:?}");
        let counted = uses(&mut town).into_iter().filter(|detail| detail["attempt"] == before + 1);
        assert_eq!(counted.count(), 1, "no audit, no act: {crash:?}");
    }
}

#[test]
fn a_changed_password_opens_what_was_stored_before() {
    let (mut town, mut wallet) = begun(6);
    let note = add(&mut town, &mut wallet, SecretKind::Note, b"remember");
    let new = "a different password";
    let changed: Result<Nothing, _> = wallet
        .run(&mut town, CHANGE_PASSWORD, PASSWORD, |op_id, town| {
            let next = keys_of(new);
            let inner = next.inner.unwrap();
            let sealed_inner_key = boxed(town, PASSWORD, (Boxed::InnerKey, op_id), inner.expose());
            let hash = StoredPassword::new(PasswordSalt::from_bytes([8; 16]), &next.proof).to_string();
            value(ChangePassword { hash, sealed_inner_key })
        })
        .unwrap();
    assert!(changed.is_ok());
    assert_eq!(reveal(&mut town, &mut wallet, note, new), b"remember");
    wallet.prepare(&mut town, "secret.use", PASSWORD, |_, _| {
        value(UseSecret { secret_id: note, operation: Operation::Reveal, input: None })
    });
    let result = wallet.send(&mut town).unwrap();
    assert_eq!(wallet.take::<Value>(&mut town, result), Err(UseStatus::WrongPassword));
}

fn open_grant(
    town: &mut Town,
    wallet: &mut Wallet,
    secret_id: SecretId,
    (uses, minutes): (u32, u32),
) -> Result<(GrantOpened, BoxKey), RefusalCode> {
    let op = wallet.prepare(town, "secret.grant", PASSWORD, |_, _| {
        value(OpenGrant { secret_id, operation: Operation::Reveal, uses, minutes })
    });
    let result = wallet.send(town).unwrap();
    let opened = wallet.take::<GrantOpened>(town, result).unwrap()?;
    let key = wallet.open(PASSWORD, (Boxed::GrantKey(secret_id), Occasion::Operation(op)), &opened.sealed_key);
    Ok((opened, BoxKey::from_slice(&key).unwrap()))
}

fn under_grant(town: &mut Town, secret_id: SecretId, operation: Operation) -> Option<Result<Used, RefusalCode>> {
    let event_id = town.fresh_event();
    town.ask_as(ALICE, "grant.use", UseSecret { secret_id, operation, input: None }, event_id)
}

#[test]
fn a_grant_opens_one_operation_on_one_secret_a_few_times_for_a_while() {
    let (mut town, mut wallet) = begun(7);
    let note = add(&mut town, &mut wallet, SecretKind::Note, b"remember");
    let other = add(&mut town, &mut wallet, SecretKind::Note, b"forget");
    assert_eq!(under_grant(&mut town, note, Operation::Reveal), Some(Err(RefusalCode::NotAllowed)));
    let (_, key) = open_grant(&mut town, &mut wallet, note, (2, 10)).unwrap();
    assert_eq!(under_grant(&mut town, other, Operation::Reveal), Some(Err(RefusalCode::NotAllowed)));
    assert_eq!(under_grant(&mut town, note, Operation::Sign), Some(Err(RefusalCode::NotAllowed)));
    for _ in 0..2 {
        let event_id = town.fresh_event();
        let asked = UseSecret { secret_id: note, operation: Operation::Reveal, input: None };
        let used: Used = town.ask_as(ALICE, "grant.use", asked, event_id).unwrap().unwrap();
        let Used::Sealed(sealed) = used else { panic!("not revealed") };
        let opened = wallet.open_under(&key, (Boxed::Value(note), Occasion::Event(event_id)), &sealed);
        assert_eq!(opened, b"remember");
    }
    assert_eq!(under_grant(&mut town, note, Operation::Reveal), Some(Err(RefusalCode::NotAllowed)), "used up");
    open_grant(&mut town, &mut wallet, note, (9, 10)).unwrap();
    town.now = town.now.plus_ms(11 * MINUTE_MS);
    assert_eq!(under_grant(&mut town, note, Operation::Reveal), Some(Err(RefusalCode::NotAllowed)), "too late");
    open_grant(&mut town, &mut wallet, note, (9, 10)).unwrap();
    town.nodes[ALICE].crash();
    assert_eq!(under_grant(&mut town, note, Operation::Reveal), Some(Err(RefusalCode::NotAllowed)), "restarted");
    assert_eq!(list(&mut town)[0].uses, 2);
    town.check(ALICE);
}

#[test]
fn policies_bound_what_a_grant_may_be() {
    let (mut town, mut wallet) = begun(8);
    let never = add_as(&mut town, &mut wallet, (SecretKind::Note, None), b"x", Some(0)).unwrap();
    let note = add(&mut town, &mut wallet, SecretKind::Note, b"y");
    for (secret, uses, minutes) in [(never, 1, 5), (note, 1, 16), (note, 1, 0)] {
        assert_eq!(
            open_grant(&mut town, &mut wallet, secret, (uses, minutes)).err(),
            Some(RefusalCode::NotAllowed),
            "{minutes}"
        );
    }
    for (uses, minutes) in [(0, 5), (101, 5), (1, 4)] {
        let refused = open_grant(&mut town, &mut wallet, note, (uses, minutes)).err();
        assert_eq!(refused, Some(RefusalCode::InvalidRequest), "{uses} {minutes}");
    }
    open_grant(&mut town, &mut wallet, note, (1, 15)).unwrap();
}

/// Neither the journal nor an answer that is kept holds a value, a password or an inner key in clear.
#[test]
fn values_and_passwords_are_in_no_stored_state() {
    let (mut town, mut wallet) = begun(9);
    let canary = b"canary 078-05-1120 canary";
    let note = add(&mut town, &mut wallet, SecretKind::Note, canary);
    reveal(&mut town, &mut wallet, note, PASSWORD);
    let keys = keys_of(PASSWORD);
    let (inner, proof) = (keys.inner.unwrap(), keys.proof);
    let wanted: [&[u8]; 3] = [canary, inner.expose(), proof.expose()];
    for (key, stored) in town.nodes[ALICE].vault.state().all() {
        let stored = stored.unwrap();
        for wanted in wanted {
            let base64 = vettid_wire::base64::encode(wanted);
            let found = [wanted, base64.trim_end_matches('=').as_bytes()]
                .into_iter()
                .any(|form| stored.windows(form.len()).any(|window| window == form));
            assert!(!found, "{key}");
        }
    }
}

/// A session that could not be tied to an earlier one is open for the password alone, and opens with it.
#[test]
fn a_limited_session_takes_the_credential_and_nothing_else() {
    let (mut town, mut wallet) = begun(10);
    let note = add(&mut town, &mut wallet, SecretKind::Note, b"remember");
    town.resume(ALICE, false);
    assert_eq!(town.ask::<Value>(ALICE, "vault.health", json!({})), Err(RefusalCode::Locked));
    assert_eq!(town.ask::<Value>(ALICE, "secret.list", json!({})), Err(RefusalCode::Locked));
    // Without a transaction key no password could be shown.
    let fresh = town.ask(ALICE, "credential.utk.replenish", json!({"live_key_ids": []})).unwrap();
    wallet.holder.replenished(fresh);
    wallet.prepare(&mut town, "secret.use", "wrong password", |_, _| {
        value(UseSecret { secret_id: note, operation: Operation::Reveal, input: None })
    });
    let result = wallet.send(&mut town).unwrap();
    assert_eq!(wallet.take::<Value>(&mut town, result), Err(UseStatus::WrongPassword));
    assert_eq!(town.ask::<Value>(ALICE, "vault.health", json!({})), Err(RefusalCode::Locked));
    assert_eq!(reveal(&mut town, &mut wallet, note, PASSWORD), b"remember");
    assert!(town.ask::<Value>(ALICE, "vault.health", json!({})).is_ok());
}

/// After the password was proved, the next session is tied to the limited one; without it, nothing can be tied to that.
#[test]
fn a_restored_session_is_followed_by_a_full_one() {
    let (mut town, mut wallet) = begun(11);
    for restored in [false, true] {
        town.resume(ALICE, false);
        if restored {
            wallet.prepare(&mut town, "session.restore", PASSWORD, |_, _| json!({}));
            let result = wallet.send(&mut town).unwrap();
            assert_eq!(wallet.take::<Value>(&mut town, result), Ok(Ok(json!({}))));
        }
        let unproved = town.apps[ALICE].unproved.take().unwrap();
        town.apps[ALICE].resumes.insert(0, unproved);
        let (initiator, hs1) = town.apps[ALICE].resume(true, town.now, &mut town.rng);
        let shaken = town.shake(ALICE, "session.start", "session.finish", initiator, &hs1);
        assert_eq!(shaken.is_some(), restored);
        if !restored {
            town.apps[ALICE].resumes.remove(0);
        }
    }
    assert!(town.ask::<Value>(ALICE, "vault.health", json!({})).is_ok());
}

/// The details of the audit entries of operations.
fn uses(town: &mut Town) -> Vec<Value> {
    let mut details = Vec::new();
    loop {
        let body = json!({"from": details.len(), "limit": 100});
        let stretch: AuditStretch = town.ask(ALICE, "audit.export", body).unwrap();
        details.extend(stretch.entries.into_iter().map(|exported| (exported.entry.event_type, exported.detail)));
        if details.len() as u64 >= stretch.size {
            break;
        }
    }
    let of_use = details.into_iter().filter(|(event_type, _)| event_type == "credential.use");
    of_use.filter_map(|(_, detail)| Some(detail?.value)).collect()
}

/// An app that has seen more of the journal than the vault has knows better: nothing is counted, tried or done.
#[test]
fn a_vault_that_was_put_back_does_nothing_with_the_credential() {
    let (mut town, mut wallet) = begun(12);
    let note = add(&mut town, &mut wallet, SecretKind::Note, b"remember");
    wallet.prepare(&mut town, "secret.use", PASSWORD, |_, _| {
        value(UseSecret { secret_id: note, operation: Operation::Reveal, input: None })
    });
    let before = status(&mut town);
    let head = before.journal_head.unwrap();
    let mut request = wallet.request();
    let later = JournalHead { sequence: head.sequence + 100, ..head.clone() };
    let newer = JournalHead { incarnation: head.incarnation + 1, ..head.clone() };
    for seen in [later, newer] {
        request.journal_head = Some(seen);
        assert_eq!(town.ask::<Value>(ALICE, "credential.use", &request), Err(RefusalCode::Conflict));
    }
    assert_eq!(status(&mut town).attempts_total, before.attempts_total);
    request.journal_head = Some(head);
    let result: UseResult = town.ask(ALICE, "credential.use", &request).unwrap();
    assert!(matches!(wallet.take::<Used>(&mut town, result), Ok(Ok(Used::Sealed(_)))));
}

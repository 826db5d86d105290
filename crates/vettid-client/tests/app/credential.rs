//! The Vault Credential from the app's side, against the real issuer over the real channel: each flow, wrong passwords, and
//! vaults that are not what they were.

use crate::world::World;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use vettid_client::command::CommandError;
use vettid_client::intent::Outcome;
use vettid_client::random::SystemRandom;
use vettid_client::strength::AppEstimator;
use vettid_client::vault_credential::{
    Added, CredentialError, Gained, NewSecret, NoPassword, PasswordSource, SecretValue,
};
use vettid_core::credential::holder::record::Untrusted;
use vettid_core::credential::policy::{UnfitChoice, choose_password};
use vettid_crypto::password::Password;
use vettid_crypto::secret::SecretBytes;
use vettid_wire::base64::Base64;
use vettid_wire::id::SecretId;
use vettid_wire::profile::PublicProfile;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::secret::{Curve, GrantRef, Input, OpenGrant, Operation, SecretKind, UseSecret};

pub(crate) const PASSWORD: &str = "correct horse battery staple";
const OTHER: &str = "another horse, another staple";
const PHRASE: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

/// Somebody who types, and how often.
#[derive(Clone)]
pub(crate) struct Typist {
    text: &'static str,
    pub(crate) typed: Arc<Mutex<usize>>,
}

pub(crate) fn types(text: &'static str) -> Typist {
    Typist { text, typed: Arc::default() }
}

impl Typist {
    fn count(&self) -> usize {
        *self.typed.lock().unwrap()
    }
}

impl PasswordSource for Typist {
    fn password(&mut self) -> Result<Password, NoPassword> {
        *self.typed.lock().unwrap() += 1;
        Password::new(self.text).map_err(NoPassword::new)
    }
}

pub(crate) fn note(label: &str, text: &str) -> NewSecret {
    secret(label, SecretKind::Note, text)
}

fn secret(label: &str, kind: SecretKind, text: &str) -> NewSecret {
    let value = SecretValue::new(kind, None, SecretBytes::copied_from(text.as_bytes())).unwrap();
    NewSecret { label: label.to_owned(), category: None, grant_minutes: None, value }
}

fn reveal(secret_id: SecretId) -> UseSecret {
    UseSecret { secret_id, operation: Operation::Reveal, input: None }
}

impl World {
    /// A world with a credential.
    pub(crate) async fn with_credential() -> Self {
        let world = Self::enrolled().await;
        world.app().create_credential(None, &mut types(PASSWORD)).await.unwrap();
        world
    }

    pub(crate) async fn show(&self, secret_id: SecretId, password: &'static str) -> Result<String, CredentialError> {
        match self.app().use_secret(reveal(secret_id), &mut types(password)).await? {
            Gained::Value(value) => Ok(String::from_utf8(value.expose().to_vec()).unwrap()),
            Gained::Signature(_) => panic!("a signature"),
        }
    }

    pub(crate) fn secret_id(&self, label: &str) -> SecretId {
        self.vault.lock().unwrap().credential.secret(label)
    }

    pub(crate) fn labels(&self) -> Vec<String> {
        self.vault.lock().unwrap().credential.labels().iter().map(|&label| label.to_owned()).collect()
    }

    async fn add(&self, new: NewSecret) -> SecretId {
        self.app().add_secret(new, &mut types(PASSWORD)).await.unwrap().secret_id
    }

    fn issuer<T>(&self, look: impl FnOnce(&mut crate::issuer::TestIssuer) -> T) -> T {
        look(&mut self.vault.lock().unwrap().credential)
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_added_shown_rotated_and_removed() {
    let world = World::with_credential().await;
    let phrase = world.add(secret("Savings", SecretKind::SeedPhrase, PHRASE)).await;
    let note = world.add(note("Door", "1234")).await;
    assert_eq!(world.show(phrase, PASSWORD).await.unwrap(), PHRASE);
    assert_eq!(world.show(note, PASSWORD).await.unwrap(), "1234");
    let value = SecretValue::new(SecretKind::Note, None, SecretBytes::new(b"5678".to_vec())).unwrap();
    let rotated = world.app().rotate_secret(note, value, &mut types(PASSWORD)).await.unwrap();
    assert!(rotated.rotated_at.is_some());
    assert_eq!(world.show(note, PASSWORD).await.unwrap(), "5678");
    world.app().remove_secret(note, &mut types(PASSWORD)).await.unwrap();
    let left = world.app().secrets().await.unwrap();
    assert_eq!(left.iter().map(|secret| secret.label.as_str()).collect::<Vec<_>>(), ["Savings"]);
    let state = world.app().credential_state().await.unwrap();
    // Made once, used seven times; each version is confirmed.
    assert_eq!((state.held_here, state.issuer.cek_version, state.issuer.attempts_total), (true, 8, 7));
}

#[tokio::test(start_paused = true)]
async fn a_credential_is_made_once() {
    let world = World::with_credential().await;
    let mut typist = types(OTHER);
    assert!(matches!(world.app().create_credential(None, &mut typist).await, Err(CredentialError::Exists)));
    let other_device = World { folder: tempfile::tempdir().unwrap(), ..world };
    other_device.enrol().await;
    let again = other_device.app().create_credential(None, &mut typist).await;
    assert!(matches!(again, Err(CredentialError::HeldElsewhere)), "{again:?}");
    let shown = other_device.show(SecretId::from_bytes([1; 16]), PASSWORD).await;
    assert!(matches!(shown, Err(CredentialError::NoCredential)), "{shown:?}");
    assert_eq!(typist.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_signing_key_signs() {
    let world = World::with_credential().await;
    for curve in [Curve::Ed25519, Curve::Secp256k1, Curve::P256] {
        let value = SecretValue::new_signing_key(curve, SystemRandom::new().unwrap());
        let new = NewSecret { label: format!("{curve:?}"), category: None, grant_minutes: None, value };
        let secret_id = world.add(new).await;
        let input = Some(Input::Message(Base64::new(b"pay 5".to_vec())));
        let wanted = UseSecret { secret_id, operation: Operation::Sign, input };
        let gained = world.app().use_secret(wanted, &mut types(PASSWORD)).await.unwrap();
        assert!(matches!(&gained, Gained::Signature(signature) if signature.len() == 64), "{gained:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_passwords_are_counted_and_have_to_wait() {
    let world = World::with_credential().await;
    let secret_id = world.add(note("Door", "1234")).await;
    for number in 1..=4 {
        let shown = world.show(secret_id, OTHER).await;
        let Err(CredentialError::WrongPassword { retry_after_ms }) = shown else { panic!("{shown:?}") };
        assert_eq!(retry_after_ms.is_some(), number == 4, "{number}: {retry_after_ms:?}");
    }
    // Nobody is asked for a password that would not be looked at.
    let mut typist = types(PASSWORD);
    let shown = world.app().use_secret(reveal(secret_id), &mut typist).await;
    assert!(matches!(shown, Err(CredentialError::Wait { retry_after_ms: Some(_) })), "{shown:?}");
    assert_eq!(typist.count(), 0);
    world.pass(Duration::from_secs(61)).await;
    assert_eq!(world.show(secret_id, PASSWORD).await.unwrap(), "1234");
    let state = world.app().credential_state().await.unwrap();
    assert_eq!((state.issuer.attempts, state.issuer.attempts_total), (0, 6));
}

#[tokio::test(start_paused = true)]
async fn the_password_changes() {
    let world = World::with_credential().await;
    let secret_id = world.add(note("Door", "1234")).await;
    world.app().change_password(&mut types(PASSWORD), &mut types(OTHER)).await.unwrap();
    assert!(matches!(world.show(secret_id, PASSWORD).await, Err(CredentialError::WrongPassword { .. })));
    assert_eq!(world.show(secret_id, OTHER).await.unwrap(), "1234");
    let changed = world.app().change_password(&mut types(PASSWORD), &mut types(PASSWORD)).await;
    assert!(matches!(changed, Err(CredentialError::WrongPassword { .. })), "{changed:?}");
    assert_eq!(world.show(secret_id, OTHER).await.unwrap(), "1234");
}

#[tokio::test(start_paused = true)]
async fn a_refused_change_keeps_the_password() {
    let world = World::with_credential().await;
    let secret_id = world.add(note("Door", "1234")).await;
    world.issuer(|issuer| issuer.refuse = Some(RefusalCode::NotAllowed));
    let changed = world.app().change_password(&mut types(PASSWORD), &mut types(OTHER)).await;
    assert!(matches!(changed, Err(CredentialError::Refused { code: RefusalCode::NotAllowed, .. })), "{changed:?}");
    assert_eq!(world.show(secret_id, PASSWORD).await.unwrap(), "1234");
}

#[tokio::test(start_paused = true)]
async fn a_grant_goes_without_the_password_until_it_ends() {
    let world = World::with_credential().await;
    let secret_id = world.add(note("Door", "1234")).await;
    let wanted = OpenGrant { secret_id, operation: Operation::Reveal, uses: 3, minutes: 5 };
    let grant = world.app().open_grant(wanted.clone(), &mut types(PASSWORD)).await.unwrap();
    assert_eq!(world.app().credential_state().await.unwrap().grants_here, 1);
    let mut typist = types(PASSWORD);
    let gained = world.app().use_secret(reveal(secret_id), &mut typist).await.unwrap();
    assert!(matches!(gained, Gained::Value(value) if value.expose() == b"1234"));
    assert_eq!(typist.count(), 0);
    // A vault that was restarted knows no grants: the password is asked for.
    world.issuer(crate::issuer::TestIssuer::restart);
    let gained = world.app().use_secret(reveal(secret_id), &mut typist).await.unwrap();
    assert!(matches!(gained, Gained::Value(value) if value.expose() == b"1234"));
    assert_eq!((typist.count(), world.app().credential_state().await.unwrap().grants_here), (1, 0));
    // And one that has ended is not even tried.
    world.app().open_grant(wanted, &mut types(PASSWORD)).await.unwrap();
    world.clock.set(grant.expires_at.since_ms(world.clock.time()) + 1);
    let before = world.broker.count("grant.use");
    world.app().use_secret(reveal(secret_id), &mut typist).await.unwrap();
    assert_eq!((typist.count(), world.broker.count("grant.use")), (2, before));
}

#[tokio::test(start_paused = true)]
async fn a_grant_is_ended() {
    let world = World::with_credential().await;
    let secret_id = world.add(note("Door", "1234")).await;
    let wanted = OpenGrant { secret_id, operation: Operation::Reveal, uses: 3, minutes: 5 };
    world.app().open_grant(wanted, &mut types(PASSWORD)).await.unwrap();
    world.app().end_grant(GrantRef { secret_id, operation: Operation::Reveal }).await.unwrap();
    let state = world.app().credential_state().await.unwrap();
    assert_eq!((state.grants_here, state.issuer.grants), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_impostor_gets_no_password() {
    let world = World::with_credential().await;
    world.issuer(|issuer| issuer.is_impostor = true);
    let mut typist = types(PASSWORD);
    let shown = world.app().use_secret(reveal(SecretId::from_bytes([1; 16])), &mut typist).await;
    assert!(matches!(shown, Err(CredentialError::NotTheIssuer(_))), "{shown:?}");
    assert_eq!((typist.count(), world.broker.count("credential.use")), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_vault_that_forgot_attempts_is_refused() {
    let world = World::with_credential().await;
    let secret_id = world.add(note("Door", "1234")).await;
    let before = world.issuer(|issuer| issuer.snapshot());
    assert!(matches!(world.show(secret_id, OTHER).await, Err(CredentialError::WrongPassword { .. })));
    world.issuer(|issuer| issuer.roll_back(before));
    let mut typist = types(PASSWORD);
    let shown = world.app().use_secret(reveal(secret_id), &mut typist).await;
    assert!(matches!(shown, Err(CredentialError::Untrusted(Untrusted::RolledBack))), "{shown:?}");
    assert_eq!(typist.count(), 0);
    assert!(matches!(world.app().credential_state().await, Err(CredentialError::Untrusted(Untrusted::RolledBack))));
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_the_folder_is_found_out() {
    let world = World::with_credential().await;
    let secret_id = world.add(note("Door", "1234")).await;
    let copy = tempfile::tempdir().unwrap();
    let (app, kept) = (world.folder.path().join("app"), copy.path().join("app"));
    copy_files(&app, &kept);
    assert_eq!(world.show(secret_id, PASSWORD).await.unwrap(), "1234");
    for name in ["credential", "credential-a", "credential-b"] {
        let _ = std::fs::remove_file(app.join(name));
        let _ = std::fs::copy(kept.join(name), app.join(name));
    }
    let shown = world.show(secret_id, PASSWORD).await;
    assert!(matches!(shown, Err(CredentialError::Command(_) | CredentialError::Stale)), "{shown:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_replaced_falls_back() {
    let world = World::with_credential().await;
    let copy = tempfile::tempdir().unwrap();
    let (app, kept) = (world.folder.path().join("app"), copy.path().join("app"));
    copy_files(&app, &kept);
    world.broker.wires.lock().unwrap().deaf_to = Some("credential.confirm");
    world.add(note("First", "1")).await;
    // The same version is used once more, by the app as it was before; so the vault lets go of the version that waits.
    let second = tempfile::tempdir().unwrap();
    copy_files(&app, &second.path().join("app"));
    copy_files(&kept, &app);
    world.add(note("Second", "2")).await;
    copy_files(&second.path().join("app"), &app);
    world.broker.wires.lock().unwrap().deaf_to = None;
    assert!(!is_free(&app.join("credential-a")) && !is_free(&app.join("credential-b")));
    assert!(world.app().credential_state().await.unwrap().held_here);
    assert!(!is_free(&app.join("credential-a")) && is_free(&app.join("credential-b")));
    let third = world.add(note("Third", "3")).await;
    assert_eq!(world.show(third, PASSWORD).await.unwrap(), "3");
}

/// Whether a slot was wiped.
fn is_free(slot: &std::path::Path) -> bool {
    std::fs::read(slot).unwrap().iter().all(|byte| *byte == 0)
}

fn copy_files(from: &std::path::Path, to: &std::path::Path) {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_found_and_nothing_is_done_twice() {
    let world = World::with_credential().await;
    // The vault carries the addition out, and its answers are lost.
    world.broker.fault(|post| if post.0.to_string().contains("credential.use") { vec![] } else { vec![post] });
    let added = world.app().add_secret(note("Door", "1234"), &mut types(PASSWORD)).await;
    let silent = matches!(&added, Err(CredentialError::Command(CommandError::NoAnswer { has_effect: true, .. })));
    assert!(silent, "{added:?}");
    world.broker.no_fault();
    let mut typist = types(PASSWORD);
    let app = world.app();
    let again = app.add_secret(note("Door", "1234"), &mut typist).await;
    assert!(matches!(&again, Err(CredentialError::EarlierDone { action, .. }) if action.as_str() == "secret.add"));
    let told = app.take_settled();
    assert!(matches!(&told[..], [told] if told.outcome == Outcome::CarriedOut), "{told:?}");
    assert_eq!((typist.count(), world.labels()), (0, vec!["Door".to_owned()]));
    assert_eq!(world.show(world.secret_id("Door"), PASSWORD).await.unwrap(), "1234");
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_goes_under_a_new_event() {
    let world = World::with_credential().await;
    world.broker.wires.lock().unwrap().before = None;
    world.issuer(|issuer| issuer.die_between = true);
    let added = world.app().add_secret(note("Door", "1234"), &mut types(PASSWORD)).await;
    assert!(matches!(added, Err(CredentialError::Command(CommandError::Refused { .. }))), "{added:?}");
    assert_eq!(world.issuer(|issuer| issuer.attempts_total()), 1);
    world.pass(Duration::from_secs(200)).await;
    let app = world.app();
    app.credential_state().await.unwrap();
    assert!(matches!(&app.take_settled()[..], [told] if told.outcome == Outcome::CarriedOut));
    // The attempt that was counted before the vault died is not counted again.
    assert_eq!(world.issuer(|issuer| (issuer.attempts_total(), issuer.count("secret.add"))), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn many_secrets_take_one_password() {
    let world = World::with_credential().await;
    let mut typist = types(PASSWORD);
    let (mut stored, mut refused) = (Vec::new(), Vec::new());
    world.issuer(|issuer| issuer.refuse = Some(RefusalCode::NotAllowed));
    let secrets = (0..30).map(|number| note(&format!("{number}"), "text")).collect();
    world
        .app()
        .add_secrets(secrets, &mut typist, &mut |added| match added {
            Added::Stored(summary) => stored.push(summary.label),
            Added::Refused { label, .. } => refused.push(label),
        })
        .await
        .unwrap();
    assert_eq!((typist.count(), stored.len(), refused), (1, 29, vec!["0".to_owned()]));
    assert_eq!(world.labels(), stored);
}

#[tokio::test(start_paused = true)]
async fn nothing_secret_leaves_or_lies_in_clear() {
    let world = World::with_credential().await;
    let secret_id = world.add(note("Label-in-clear", "canary-value")).await;
    world.show(secret_id, PASSWORD).await.unwrap();
    let holds = |bytes: &[u8]| {
        ["canary-value", PASSWORD, "Label-in-clear"]
            .iter()
            .any(|text| bytes.windows(text.len()).any(|w| w == text.as_bytes()))
    };
    assert!(world.broker.wires.lock().unwrap().published.iter().all(|(_, bytes)| !holds(bytes)));
    let mut files = 0;
    for entry in std::fs::read_dir(world.folder.path().join("app")).unwrap() {
        let path = entry.unwrap().path();
        assert!(!holds(&std::fs::read(&path).unwrap()), "{path:?}");
        files += 1;
    }
    assert_eq!(files, 6, "lock, key, state, credential and two slots");
}

/// A journal that was put back, or went another way, is noticed before the password is typed; operations say what was seen.
#[tokio::test(start_paused = true)]
async fn a_journal_that_went_back_gets_no_password() {
    let world = World::with_credential().await;
    let id = world.add(note("Door", "1234")).await;
    let sequence = world.issuer(|issuer| issuer.seen.clone()).unwrap().sequence;
    assert_eq!(sequence, world.vault.lock().unwrap().journal_sequence);
    world.vault.lock().unwrap().journal_sequence -= 1;
    let mut typist = types(PASSWORD);
    let refused = world.app().use_secret(reveal(id), &mut typist).await;
    let went_back = |error| matches!(error, Err(CredentialError::Command(CommandError::WentBack(_))));
    assert!(went_back(refused.map(drop)));
    world.vault.lock().unwrap().journal_sequence += 1;
    world.vault.lock().unwrap().history += 1;
    assert!(went_back(world.app().use_secret(reveal(id), &mut typist).await.map(drop)));
    assert_eq!(typist.count(), 0);
    world.vault.lock().unwrap().journal_sequence += 1;
    assert_eq!(world.show(id, PASSWORD).await.unwrap(), "1234");
}

/// Name, address and ids of the account are what a guesser tries first.
#[tokio::test(start_paused = true)]
async fn a_new_password_is_judged_by_the_words_of_the_account() {
    let world = World::enrolled().await;
    let more = [("email".to_owned(), "mila.zemanova@mail.example".to_owned())].into();
    world.vault.lock().unwrap().profile = Some(PublicProfile { first_name: "Hrabalova".into(), more });
    let words = world.app().context_words().await.unwrap();
    let context: Vec<&str> = words.iter().map(String::as_str).collect();
    for typed in ["hrabalova2024x", "MilaZemanova77", &world.vault.lock().unwrap().guid.to_string()] {
        assert_eq!(choose_password(typed, &context, &AppEstimator).err(), Some(UnfitChoice::Context), "{typed}");
    }
    assert!(choose_password(PASSWORD, &context, &AppEstimator).is_ok());
}

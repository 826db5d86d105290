//! Both credentials under one password, against two real issuers: what is made and changed together, what the Services
//! Credential guards, and services that are not what they were.

use crate::credential::{PASSWORD, note, types};
use crate::world::World;
use vettid_client::member_api::ActionError;
use vettid_client::services::ServicesError;
use vettid_client::vault_credential::{CredentialError, NoPassword, PasswordSource};
use vettid_core::credential::CHANGE_PASSWORD;
use vettid_crypto::password::Password;
use vettid_wire::services_credential::{OPEN_SECRETS, REMOVE_BACKUP};

const NEW: &str = "another horse, another staple";

impl World {
    /// A world with both credentials.
    pub(crate) async fn with_both() -> Self {
        let world = Self::enrolled().await;
        let made = world.app().create_credentials(None, &mut types(PASSWORD)).await.unwrap();
        assert_eq!(made.services.map(|services| services.cek_version), Some(1));
        world
    }

    /// How often each issuer carried this out.
    pub(crate) fn counts(&self, action: &str) -> (usize, usize) {
        let vault = self.vault.lock().unwrap().credential.count(action);
        (vault, self.operator.desk.lock().unwrap().count(action))
    }
}

/// Nobody is asked.
pub(crate) struct Nobody;

impl PasswordSource for Nobody {
    fn password(&mut self) -> Result<Password, NoPassword> {
        panic!("a password was asked for");
    }
}

#[tokio::test(start_paused = true)]
async fn one_password_is_typed_once_and_makes_both() {
    let world = World::enrolled().await;
    let mut typist = types(PASSWORD);
    world.app().create_credentials(None, &mut typist).await.unwrap();
    assert_eq!(*typist.typed.lock().unwrap(), 1);
    let states = world.app().credential_states().await.unwrap();
    assert!(states.vault.held_here && states.services.unwrap().held_here);
    assert_eq!(world.counts("credential.create"), (1, 1));
    let again = world.app().create_credentials(None, &mut Nobody).await;
    assert!(matches!(again, Err(CredentialError::Exists)), "{again:?}");
    world.app().disable_recovery(&mut types(PASSWORD)).await.unwrap();
    assert_eq!(world.counts(REMOVE_BACKUP), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_password_is_a_change_of_both() {
    let world = World::with_both().await;
    let (mut present, mut new) = (types(PASSWORD), types(NEW));
    world.app().change_passwords(&mut present, &mut new).await.unwrap();
    assert_eq!((*present.typed.lock().unwrap(), *new.typed.lock().unwrap()), (1, 1));
    assert_eq!(world.counts(CHANGE_PASSWORD), (1, 1));
    let old = world.app().disable_recovery(&mut types(PASSWORD)).await;
    assert!(matches!(old, Err(CredentialError::WrongPassword { .. })), "{old:?}");
    world.app().disable_recovery(&mut types(NEW)).await.unwrap();
    world.app().add_secret(note("Door", "1234"), &mut types(NEW)).await.unwrap();
    // The inner layer opens under the new password: it can be changed once more.
    world.app().change_passwords(&mut types(NEW), &mut types(PASSWORD)).await.unwrap();
    assert_eq!(world.counts(CHANGE_PASSWORD), (2, 2));
    let alone = world.app().change_password(&mut Nobody, &mut Nobody).await;
    assert!(matches!(alone, Err(CredentialError::NotAlone)), "{alone:?}");
}

#[tokio::test(start_paused = true)]
async fn an_app_with_the_vault_credential_alone_gets_the_other_one_under_its_password() {
    let world = World::with_credential().await;
    let wrong = world.app().create_credentials(None, &mut types(NEW)).await;
    assert!(matches!(wrong, Err(CredentialError::WrongPassword { .. })), "{wrong:?}");
    assert_eq!(world.counts("credential.create"), (1, 0), "not under a password that is not the vault's");
    world.app().create_credentials(None, &mut types(PASSWORD)).await.unwrap();
    assert_eq!(world.counts("credential.create"), (1, 1));
    world.app().disable_recovery(&mut types(PASSWORD)).await.unwrap();
    world.app().change_passwords(&mut types(PASSWORD), &mut types(NEW)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_relay_shows_before_a_password_is_typed() {
    let world = World::with_both().await;
    world.operator.desk.lock().unwrap().origin = "https://elsewhere.test";
    let removed = world.app().disable_recovery(&mut Nobody).await;
    assert!(matches!(removed, Err(CredentialError::NotTheIssuer(_))), "{removed:?}");
    let changed = world.app().change_passwords(&mut Nobody, &mut Nobody).await;
    assert!(matches!(changed, Err(CredentialError::NotTheIssuer(_))), "{changed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_change_that_services_do_not_take_changes_nothing() {
    let world = World::with_both().await;
    world.operator.desk.lock().unwrap().holds = true;
    let held = world.app().change_passwords(&mut types(PASSWORD), &mut types(NEW)).await;
    let on_hold = matches!(held, Err(CredentialError::Services(ActionError::Services(ServicesError::OnHold))));
    assert!(on_hold, "{held:?}");
    let removed = world.app().disable_recovery(&mut types(PASSWORD)).await;
    assert!(removed.is_err() && world.counts(REMOVE_BACKUP) == (0, 0), "nothing is left open: {removed:?}");
    world.operator.desk.lock().unwrap().holds = false;
    world.operator.desk.lock().unwrap().is_away = true;
    let away = world.app().change_passwords(&mut types(PASSWORD), &mut types(NEW)).await;
    assert!(matches!(away, Err(CredentialError::Services(_))), "{away:?}");
    let states = world.app().credential_states().await.unwrap();
    assert!(states.vault.held_here && states.services.is_err(), "the vault is there without services");
    world.operator.desk.lock().unwrap().is_away = false;
    let wrong = world.app().change_passwords(&mut types(NEW), &mut types(NEW)).await;
    assert!(matches!(wrong, Err(CredentialError::WrongPassword { .. })), "{wrong:?}");
    assert_eq!(world.counts(CHANGE_PASSWORD), (0, 0));
    world.app().change_passwords(&mut types(PASSWORD), &mut types(NEW)).await.unwrap();
    assert_eq!(world.counts(CHANGE_PASSWORD), (1, 1));
    assert!(world.counts(OPEN_SECRETS).1 >= 1);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_the_vault_refuses_does_not_reach_services() {
    let world = World::with_both().await;
    world.vault.lock().unwrap().credential.refuse = Some(vettid_wire::refusal::RefusalCode::NotAllowed);
    let refused = world.app().change_passwords(&mut types(PASSWORD), &mut types(NEW)).await;
    assert!(matches!(refused, Err(CredentialError::Refused { .. })), "{refused:?}");
    assert_eq!(world.counts(CHANGE_PASSWORD), (0, 0));
    world.app().disable_recovery(&mut types(PASSWORD)).await.unwrap();
    world.app().change_passwords(&mut types(PASSWORD), &mut types(NEW)).await.unwrap();
    assert_eq!(world.counts(CHANGE_PASSWORD), (1, 1));
}

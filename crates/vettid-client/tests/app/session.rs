//! Sessions: their age, a vault that forgot them, and a vault that went back.

use crate::credential::{PASSWORD, note, types};
use crate::vault::{HOUR_MS, Vault};
use crate::world::World;
use std::time::Duration;
use vettid_client::command::{CommandError, WentBack};
use vettid_client::session::MAX_SENT;
use vettid_client::vault_credential::CredentialError;
use vettid_core::credential::CHANGE_PASSWORD;
use vettid_wire::event::{MessagingSend, Nothing, VaultHealth};
use vettid_wire::id::ConnectionId;
use vettid_wire::messaging::SendText;

async fn health(world: &World) -> Result<(), CommandError> {
    world.app().command::<VaultHealth>(Nothing {}).await.map(drop)
}

fn vault<T>(world: &World, change: impl FnOnce(&mut Vault) -> T) -> T {
    change(&mut world.vault.lock().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_vault_that_forgot_the_session_gets_a_new_one() {
    let world = World::enrolled().await;
    vault(&world, Vault::forget_session);
    let request = SendText::new(ConnectionId::from_bytes([5; 16]), "once");
    world.app().command::<MessagingSend>(request).await.unwrap();
    assert_eq!(vault(&world, |vault| vault.texts.len()), 1);
    assert_eq!((world.broker.count("session.start"), world.broker.count("session.finish")), (1, 1));
    assert!(!vault(&world, |vault| vault.limited));
}

#[tokio::test(start_paused = true)]
async fn a_command_that_ran_before_the_restart_does_not_run_again() {
    let world = World::enrolled().await;
    let shared = world.vault.clone();
    // The vault carries the command out, restarts before its answer is out, and forgets the session.
    let mut restarted = false;
    world.broker.fault(move |post| {
        if restarted {
            return vec![post];
        }
        restarted = true;
        shared.lock().unwrap().forget_session();
        vec![]
    });
    let request = SendText::new(ConnectionId::from_bytes([5; 16]), "once");
    world.app().command::<MessagingSend>(request).await.unwrap();
    assert_eq!(vault(&world, |vault| vault.texts.len()), 1);
    assert_eq!(world.broker.count("session.start"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_old_session_is_replaced_before_it_is_used() {
    let world = World::enrolled().await;
    // Kept alive by its credential: renewed at half of its life, so a day later the app may still connect.
    for _ in 0..2 {
        world.clock.set(13 * HOUR_MS);
        health(&world).await.unwrap();
    }
    assert_eq!(world.broker.count("session.start"), 1);
    assert_eq!(world.broker.count("session.refresh"), 1, "the new session brought a credential of its own");
}

#[tokio::test(start_paused = true)]
async fn a_session_of_many_messages_is_replaced() {
    let world = World::enrolled().await;
    let before = vault(&world, |vault| vault.opened);
    let count = usize::try_from(MAX_SENT).unwrap() - before;
    for _ in 0..count {
        health(&world).await.unwrap();
    }
    assert_eq!(world.broker.count("session.start"), 0);
    health(&world).await.unwrap();
    assert_eq!(world.broker.count("session.start"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_went_back_makes_a_new_session() {
    let world = World::enrolled().await;
    world.clock.set(HOUR_MS);
    vault(&world, Vault::forget_session);
    health(&world).await.unwrap();
    world.clock.set(-HOUR_MS / 2);
    health(&world).await.unwrap();
    assert_eq!(world.broker.count("session.start"), 2);
}

#[tokio::test(start_paused = true)]
async fn the_secret_before_the_last_still_makes_a_session() {
    let world = World::enrolled().await;
    vault(&world, Vault::forget_session);
    health(&world).await.unwrap();
    // The vault lost the newest secret, as after a crash in the middle of the last handshake.
    vault(&world, |vault| {
        vault.forget_session();
        vault.resumes.remove(0);
    });
    health(&world).await.unwrap();
    assert!(!vault(&world, |vault| vault.limited));
}

#[tokio::test(start_paused = true)]
async fn a_limited_session_is_told_clearly() {
    let world = World::enrolled().await;
    vault(&world, Vault::lose_sessions);
    let error = health(&world).await.unwrap_err();
    assert!(matches!(error, CommandError::LimitedSession), "{error}");
    assert!(vault(&world, |vault| vault.limited));
    let opened = vault(&world, |vault| vault.opened);
    assert!(matches!(health(&world).await, Err(CommandError::LimitedSession)));
    assert_eq!(vault(&world, |vault| vault.opened), opened, "no command is sent in a limited session");
}

#[tokio::test(start_paused = true)]
async fn a_vault_that_was_away_for_a_while_does_not_end_in_a_limited_session() {
    let world = World::enrolled().await;
    vault(&world, Vault::forget_session);
    world.broker.wires.lock().unwrap().deaf = true;
    let wires = world.broker.wires.clone();
    // It comes back while the app tries without a secret.
    let comes_back = async move {
        tokio::time::sleep(Duration::from_secs(17)).await;
        wires.lock().unwrap().deaf = false;
    };
    let (asked, ()) = tokio::join!(health(&world), comes_back);
    asked.unwrap();
    assert!(!vault(&world, |vault| vault.limited));
}

#[tokio::test(start_paused = true)]
async fn limited_sessions_do_not_push_out_the_shared_secrets() {
    let world = World::enrolled().await;
    let kept = vault(&world, |vault| {
        vault.forget_session();
        std::mem::take(&mut vault.resumes)
    });
    for _ in 0..3 {
        assert!(matches!(health(&world).await, Err(CommandError::LimitedSession)));
    }
    vault(&world, |vault| vault.resumes = kept);
    health(&world).await.unwrap();
    assert!(!vault(&world, |vault| vault.limited));
}

#[tokio::test(start_paused = true)]
async fn a_lost_end_of_a_handshake_is_made_good() {
    let world = World::enrolled().await;
    vault(&world, Vault::forget_session);
    // The answer to the last message is lost again and again; then the next process goes on.
    world.broker.fault(|post| if post.0.to_string().contains("session.finish") { vec![] } else { vec![post] });
    assert!(matches!(health(&world).await, Err(CommandError::NoAnswer { .. })));
    world.broker.no_fault();
    health(&world).await.unwrap();
    assert_eq!(world.broker.count("session.start"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_credential_is_renewed_at_half_of_its_life() {
    let world = World::enrolled().await;
    world.clock.set(12 * HOUR_MS - 1);
    health(&world).await.unwrap();
    assert_eq!(world.broker.count("session.refresh"), 0);
    world.clock.set(HOUR_MS);
    health(&world).await.unwrap();
    assert_eq!(world.broker.count("session.refresh"), 1);
    health(&world).await.unwrap();
    assert_eq!(world.broker.count("session.refresh"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_vault_that_went_back_is_refused() {
    let world = World::enrolled().await;
    world.app().status().await.unwrap();
    vault(&world, |vault| vault.journal_sequence = 9);
    let error = world.app().status().await.unwrap_err();
    assert!(matches!(error, CommandError::WentBack(WentBack::Journal { known: 10, found: 9 })), "{error}");

    // A restored vault has a higher incarnation, and may have a shorter journal.
    vault(&world, |vault| {
        vault.incarnation = 2;
        vault.forget_session();
    });
    assert_eq!(world.app().status().await.unwrap().health.journal_sequence, 9);
    vault(&world, |vault| {
        vault.incarnation = 1;
        vault.forget_session();
    });
    let error = health(&world).await.unwrap_err();
    assert!(matches!(error, CommandError::WentBack(WentBack::Incarnation { known: 2, found: 1 })), "{error}");
}

#[tokio::test(start_paused = true)]
async fn older_keys_of_the_vault_are_refused() {
    let world = World::enrolled().await;
    let old = vault(&world, |vault| vault.record.clone());
    vault(&world, |vault| {
        vault.rotate(world.clock.time());
        vault.forget_session();
    });
    health(&world).await.unwrap();
    vault(&world, |vault| {
        vault.record = old;
        vault.forget_session();
    });
    let error = health(&world).await.unwrap_err();
    assert!(matches!(error, CommandError::WentBack(WentBack::KeyRecord { known: 2, found: 1 })), "{error}");
}

/// The vault lost the secrets of earlier sessions: the password ends the limit, and the session after the next one has none.
#[tokio::test(start_paused = true)]
async fn the_password_ends_the_limit_of_a_session() {
    let world = World::with_credential().await;
    vault(&world, Vault::lose_sessions);
    assert!(matches!(health(&world).await, Err(CommandError::LimitedSession)));
    let wrong = world.app().restore_session(&mut types("not the password at all")).await;
    assert!(matches!(wrong, Err(CredentialError::WrongPassword { .. })), "{wrong:?}");
    assert!(matches!(health(&world).await, Err(CommandError::LimitedSession)));
    assert!(world.app().restore_session(&mut types(PASSWORD)).await.unwrap());
    health(&world).await.unwrap();
    vault(&world, Vault::forget_session);
    health(&world).await.unwrap();
    assert!(!vault(&world, |vault| vault.limited), "the secret of the restored session was kept on both sides");
    assert!(!world.app().restore_session(&mut types(PASSWORD)).await.unwrap(), "there is nothing to restore");
}

/// Whatever needs the password ends the limit by itself; commands of before are sent after that.
#[tokio::test(start_paused = true)]
async fn the_use_of_a_secret_ends_the_limit_too() {
    let world = World::with_credential().await;
    world.app().add_secret(note("Door", "1234"), &mut types(PASSWORD)).await.unwrap();
    vault(&world, Vault::lose_sessions);
    assert_eq!(world.show(world.secret_id("Door"), PASSWORD).await.unwrap(), "1234");
    health(&world).await.unwrap();
    assert!(!vault(&world, |vault| vault.limited));
}

/// Transaction keys live for thirty days; without a live one the password still ends the limit.
#[tokio::test(start_paused = true)]
async fn a_limited_session_without_a_live_key_is_restored_too() {
    let world = World::with_credential().await;
    vault(&world, Vault::lose_sessions);
    world.clock.set(31 * 24 * HOUR_MS);
    assert!(matches!(health(&world).await, Err(CommandError::LimitedSession)));
    assert!(world.app().restore_session(&mut types(PASSWORD)).await.unwrap());
    health(&world).await.unwrap();
    assert!(!vault(&world, |vault| vault.limited));
}

/// Making the Services Credential needs the vault's password, so it goes through a limited session and ends the limit.
#[tokio::test(start_paused = true)]
async fn the_second_credential_is_made_in_a_limited_session() {
    let world = World::with_credential().await;
    vault(&world, Vault::lose_sessions);
    assert!(world.app().holds_vault_credential().await.unwrap());
    let made = world.app().create_credentials(None, &mut types(PASSWORD)).await.unwrap();
    assert!(made.services.is_some());
    health(&world).await.unwrap();
    assert!(!vault(&world, |vault| vault.limited));
}

#[tokio::test(start_paused = true)]
async fn a_first_credential_is_not_made_in_a_limited_session() {
    let world = World::enrolled().await;
    vault(&world, Vault::lose_sessions);
    assert!(!world.app().holds_vault_credential().await.unwrap());
    let made = world.app().create_credentials(None, &mut types(PASSWORD)).await;
    assert!(matches!(made, Err(CredentialError::Command(CommandError::LimitedSession))), "{made:?}");
}

/// Both passwords change together in a limited session, and what services guard is guarded there, too.
#[tokio::test(start_paused = true)]
async fn an_app_with_both_credentials_goes_on_in_a_limited_session() {
    let world = World::with_both().await;
    vault(&world, Vault::lose_sessions);
    world.app().disable_recovery(&mut types(PASSWORD)).await.unwrap();
    assert!(matches!(health(&world).await, Err(CommandError::LimitedSession)), "services vouch for no session");
    let new = "another horse, another staple";
    let wrong = world.app().change_passwords(&mut types(new), &mut types(new)).await;
    assert!(matches!(wrong, Err(CredentialError::WrongPassword { .. })), "{wrong:?}");
    assert_eq!(world.counts(CHANGE_PASSWORD), (0, 0));
    world.app().change_passwords(&mut types(PASSWORD), &mut types(new)).await.unwrap();
    assert_eq!(world.counts(CHANGE_PASSWORD), (1, 1));
    health(&world).await.unwrap();
    world.app().disable_recovery(&mut types(new)).await.unwrap();
}

/// The app dies after the vault has lifted the limit and before it has heard so.
#[tokio::test(start_paused = true)]
async fn a_limit_that_was_lifted_unheard_stays_lifted() {
    let world = World::with_credential().await;
    vault(&world, Vault::lose_sessions);
    assert!(matches!(health(&world).await, Err(CommandError::LimitedSession)));
    vault(&world, Vault::keep_resumption);
    health(&world).await.unwrap();
    assert!(!vault(&world, |vault| vault.limited));
}

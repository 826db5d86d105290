//! A device that recovers when the vault is shut, with a container from before containers told of a lock.

use crate::pair::Nobody;
use crate::world::World;
use vettid_client::recovery::{NoPhrase, PhraseDesk, RecoveryError};
use vettid_crypto::recovery::{RecoveryPhrase, RecoverySalt};
use vettid_wire::base64::Base64;
use vettid_wire::credential::{CredentialBackup, CredentialPackage, LatId, LedgerToken, SecretField};
use vettid_wire::id::{EventId, Fingerprint, MemberId};
use vettid_wire::json;
use vettid_wire::recovery::{RecoveredCredentials, RecoveryCode, RecoverySaltAnswer};
use zeroize::Zeroizing;

const PHRASE: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

struct Paper;

impl PhraseDesk for Paper {
    fn show(&mut self, _: &RecoveryPhrase) -> Result<(), NoPhrase> {
        panic!("a phrase was shown");
    }

    fn typed(&mut self) -> Result<Zeroizing<String>, NoPhrase> {
        Ok(Zeroizing::new(PHRASE.to_owned()))
    }
}

fn content(guid: MemberId) -> Vec<u8> {
    let token = SecretField::new(vec![6; 32]);
    let package = CredentialPackage {
        user_guid: guid,
        encrypted_blob: Base64::new([7; 72]),
        ephemeral_public_key: Base64::new([8; 32]),
        credential_epoch: 2,
        cek_version: 43,
        prev_cek_version: Some(42),
        ledger_auth_token: LedgerToken { lat_id: LatId::from_random([9; 16]), token, version: 43 },
        new_transaction_keys: Vec::new(),
    };
    let backup = CredentialBackup {
        services_credential: None,
        vault_credentials: vec![package],
        vault_fp: Fingerprint::from_bytes([5; 32]),
        password_salt: Base64::new([3; 16]),
        device_secret: SecretField::new(vec![4; 32]),
        transaction_keys: Vec::new(),
        credential_epoch: 2,
        journal_head: None,
        vault_seen: None,
        lock: None,
    };
    json::canonical(&backup).unwrap()
}

/// Puts a container of this member under the phrase; the code for it.
fn at_services(world: &World, guid: MemberId) -> String {
    let salt = RecoverySalt::from_bytes([2; 16]);
    let keys = RecoveryPhrase::parse(PHRASE).unwrap().keys(&salt).unwrap();
    let container = keys.seal(1, &content(guid), &mut vettid_client::random::SystemRandom::new().unwrap()).unwrap();
    let recovered = RecoveredCredentials {
        guid,
        recovery_id: EventId::from_bytes([8; 16]),
        container: Base64::new(container),
        hold_until: world.clock.time().plus_ms(1),
        enrolment: None,
        vault_is_away: true,
    };
    let answer = RecoverySaltAnswer { salt: Base64::new([2; 16]) };
    world.operator.desk.lock().unwrap().container = Some((answer, recovered));
    let code = RecoveryCode {
        services_url: "https://services.test".to_owned(),
        guid,
        token: "t".repeat(43),
        expires_at: world.clock.time().plus_ms(600_000),
    };
    code.to_text().unwrap()
}

#[tokio::test]
async fn an_old_container_and_a_shut_vault_are_told_clearly_and_nothing_is_lost() {
    let world = World::new();
    let guid = world.vault.lock().unwrap().guid;
    let code = at_services(&world, guid);
    assert!(!world.app().waits_for_vault().await.unwrap());
    let restored = world.app().restore(&code, &mut Paper).await.unwrap();
    assert_eq!((restored.enrolled, restored.vault_is_away, restored.cek_version), (false, true, 43));
    // As often as is tried; no password is asked for, because it would open nothing.
    for _ in 0..2 {
        assert!(world.app().waits_for_vault().await.unwrap());
        let shut = world.app().enter_vault(&mut Nobody).await;
        assert!(matches!(shut, Err(RecoveryError::VaultShut)), "{shut:?}");
    }
}

//! A vault changes the keys that sign the credentials of its users, on a real broker: what they sign is taken, and what former keys
//! signed for as long as the vault said.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod world;

use std::sync::Arc;
use vettid_core::grants::credential::Credential;
use vettid_core::grants::mint::{self, MemberIdentity};
use vettid_crypto::nats::key::{AccountKey, UserKey};
use vettid_nats::clock;
use vettid_nats::connection::{ConnectError, Connection, RequestError};
use vettid_testkit::operator::fresh_key;
use vettid_wire::enrolment::{RotateSigningKeys, SigningKeysRotated, SigningNkeys};
use vettid_wire::event;
use vettid_wire::id::MemberId;
use vettid_wire::time::Timestamp;
use world::World;
use world::host::{TestHost, VaultOfTest};
use world::letter::Letter;

/// One generation of signing keys.
struct Keys {
    app: AccountKey,
    connection: AccountKey,
    service: AccountKey,
    claim: AccountKey,
}

impl Keys {
    fn fresh() -> Self {
        let [app, connection, service, claim] = std::array::from_fn(|_| fresh_key().unwrap());
        Self { app, connection, service, claim }
    }

    fn public(&self) -> SigningNkeys {
        let text = |key: &AccountKey| key.public().to_string();
        SigningNkeys {
            app: text(&self.app),
            connection: text(&self.connection),
            service: text(&self.service),
            claim: text(&self.claim),
        }
    }
}

/// A member whose vault changes keys.
struct Member {
    world: World,
    host: TestHost,
    guid: MemberId,
    vault: Arc<VaultOfTest>,
    publishing: Connection,
}

impl Member {
    async fn new() -> Self {
        let world = World::start().await;
        let host = world.host("host-a").await;
        let member = world.member("alice").await;
        member.app(&world).await;
        let (vault, publishing) = (host.vault(member.guid), host.publishing(&world).await.unwrap());
        Self { world, host, guid: member.guid, vault, publishing }
    }

    async fn rotate(
        &self,
        keys: &SigningNkeys,
        since: Timestamp,
        keeps_former: bool,
    ) -> Result<SigningKeysRotated, RequestError> {
        let request = RotateSigningKeys { since, keys: keys.clone(), keeps_former };
        let letter = Letter::new::<event::RotateSigningKeys>(self.guid, &self.vault, &request);
        letter.send::<event::RotateSigningKeys>(&self.host.joined, &self.publishing).await
    }

    /// What a user says who comes with a credential that this key signed.
    async fn lets_in(&self, identity: &MemberIdentity, signing: &AccountKey) -> bool {
        let account = match identity {
            MemberIdentity::App(_) => self.vault.owner_account.public(),
            _ => self.vault.message_account.public(),
        };
        let key: Arc<UserKey> = Arc::new(fresh_key().unwrap());
        let minted = mint::member(identity, key.public(), account, signing, clock::now()).unwrap();
        let credential = Credential::member(identity, self.guid, key, minted.jwt, clock::now()).unwrap();
        match Connection::open(&self.world.endpoint(), credential).await {
            Ok(_) => true,
            Err(ConnectError::Refused) => false,
            Err(other) => panic!("{other}"),
        }
    }

    async fn lets_app_in(&self, signing: &AccountKey) -> bool {
        self.lets_in(&MemberIdentity::App("phone".parse().unwrap()), signing).await
    }

    async fn lets_peer_in(&self, signing: &AccountKey) -> bool {
        let peer = MemberIdentity::Connection("0190a1b2-c3d4-7e5f-8a6b-123456789abc".parse().unwrap());
        self.lets_in(&peer, signing).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_former_keys_signed_is_taken_until_the_next_change() {
    let alice = Member::new().await;
    let (second, third) = (Keys::fresh(), Keys::fresh());
    assert!(!alice.lets_app_in(&second.app).await, "nobody knows these keys yet");
    let now = clock::now();
    let first_change = alice.rotate(&second.public(), now, true).await.unwrap();
    assert_eq!(first_change, SigningKeysRotated { since: now, keeps_former: true });
    assert!(alice.lets_app_in(&second.app).await && alice.lets_app_in(&alice.vault.app_signing).await);
    assert!(alice.lets_peer_in(&second.connection).await && alice.lets_peer_in(&alice.vault.connection_signing).await);
    assert!(!alice.lets_app_in(&second.connection).await, "a key signs for one role only");
    assert!(!alice.lets_peer_in(&second.app).await, "a key signs for one role only");

    // Asking again changes nothing: the former keys are still those of before.
    alice.rotate(&second.public(), now, true).await.unwrap();
    assert!(alice.lets_app_in(&alice.vault.app_signing).await);

    alice.rotate(&third.public(), now.plus_ms(1), true).await.unwrap();
    assert!(alice.lets_app_in(&third.app).await && alice.lets_app_in(&second.app).await);
    assert!(!alice.lets_app_in(&alice.vault.app_signing).await, "two changes ago");
    assert!(!alice.lets_peer_in(&alice.vault.connection_signing).await, "two changes ago");

    let alice = Member { world: alice.world.restart().await, ..alice };
    assert!(alice.lets_app_in(&third.app).await && !alice.lets_app_in(&alice.vault.app_signing).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn former_keys_are_cut_off_at_once_if_the_vault_says_so() {
    let alice = Member::new().await;
    let second = Keys::fresh();
    let now = clock::now();
    alice.rotate(&second.public(), now, true).await.unwrap();
    // The vault learned of a theft while it waited for the answer.
    alice.rotate(&second.public(), now, false).await.unwrap();
    assert!(alice.lets_app_in(&second.app).await && alice.lets_peer_in(&second.connection).await);
    assert!(!alice.lets_app_in(&alice.vault.app_signing).await);
    assert!(!alice.lets_peer_in(&alice.vault.connection_signing).await);
    // What was given up does not come back.
    alice.rotate(&second.public(), now, true).await.unwrap();
    assert!(!alice.lets_app_in(&alice.vault.app_signing).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_cannot_be_this_vaults_or_are_old_have_no_effect() {
    let alice = Member::new().await;
    let (second, other) = (Keys::fresh(), Keys::fresh());
    let now = clock::now();
    alice.rotate(&second.public(), now, true).await.unwrap();
    let bob = alice.world.member("bob").await;
    bob.app(&alice.world).await;
    let bobs = alice.host.vault(bob.guid);
    let of = |key: &AccountKey| SigningNkeys { app: key.public().to_string(), ..other.public() };
    let twice = SigningNkeys { app: other.public().claim, ..other.public() };
    let no_key = SigningNkeys { app: format!("{}B", "A".repeat(55)), ..other.public() };
    for (what, keys, since) in [
        ("older than those on record", other.public(), now.plus_ms(-1)),
        ("other keys of the same time", other.public(), now),
        ("in the future", other.public(), now.plus_ms(3_600_000)),
        ("a key of somebody else", of(&bobs.app_signing), now.plus_ms(1)),
        ("an account of its own", of(&alice.vault.owner_account), now.plus_ms(1)),
        ("one key in two roles", twice, now.plus_ms(1)),
        ("no key", no_key, now.plus_ms(1)),
    ] {
        let outcome = alice.rotate(&keys, since, true).await;
        assert!(matches!(outcome, Err(RequestError::TimedOut)), "{what}: {outcome:?}");
    }
    let request = RotateSigningKeys { since: now.plus_ms(1), keys: other.public(), keeps_former: false };
    let forged = Letter::new::<event::RotateSigningKeys>(alice.guid, &bobs, &request);
    let outcome = forged.send::<event::RotateSigningKeys>(&alice.host.joined, &alice.publishing).await;
    assert!(matches!(outcome, Err(RequestError::TimedOut)), "signed by another vault: {outcome:?}");
    assert!(alice.lets_app_in(&second.app).await && alice.lets_app_in(&alice.vault.app_signing).await);
    assert!(!alice.lets_app_in(&other.app).await);
}

//! A service's gateway changes the keys that sign the credentials of its account's users, on a real broker: at the word of the account alone,
//! with an overlap, over registering again and a restart.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod world;

use std::sync::Arc;
use vettid_core::grants::credential::Credential;
use vettid_core::grants::mint::{self, MemberIdentity};
use vettid_crypto::nats::key::{AccountKey, UserKey};
use vettid_crypto::service_keys;
use vettid_nats::clock;
use vettid_nats::connection::{ConnectError, Connection};
use vettid_testkit::operator::fresh_key;
use vettid_wire::base64::Base64;
use vettid_wire::enrolment::{RegisterService, ServiceRegistered, SigningKeysRotated};
use vettid_wire::id::{ConnectionId, MemberId};
use vettid_wire::service_keys::{RotateServiceKeys, ServiceSigningNkeys};
use vettid_wire::time::Timestamp;
use world::World;

/// One generation of signing keys.
struct Keys {
    vault: AccountKey,
    connection: AccountKey,
    claim: AccountKey,
}

impl Keys {
    fn fresh() -> Self {
        let [vault, connection, claim] = std::array::from_fn(|_| fresh_key().unwrap());
        Self { vault, connection, claim }
    }

    fn public(&self) -> ServiceSigningNkeys {
        let text = |key: &AccountKey| key.public().to_string();
        ServiceSigningNkeys { vault: text(&self.vault), connection: text(&self.connection), claim: text(&self.claim) }
    }
}

/// A registered service.
struct Shop {
    world: World,
    account: AccountKey,
    first: Keys,
    registration: RegisterService,
}

impl Shop {
    async fn open() -> Self {
        let (account, first): (AccountKey, Keys) = (fresh_key().unwrap(), Keys::fresh());
        let ServiceSigningNkeys { vault, connection, claim } = first.public();
        let registration = RegisterService {
            service_id: "shop".parse().unwrap(),
            guid: MemberId::from_bytes([1; 16]),
            account_nkey: account.public().to_string(),
            vault_signing_nkey: vault,
            connection_signing_nkey: connection,
            claim_signing_nkey: claim,
        };
        let shop = Self { world: World::start().await, account, first, registration };
        shop.register().await;
        shop
    }

    async fn register(&self) {
        let token = self.world.services.service_token();
        self.world.post("/v1/services", Some(&token), &self.registration).await.ok::<ServiceRegistered>();
    }

    fn request(&self, keys: &ServiceSigningNkeys, since: Timestamp, keeps_former: bool) -> RotateServiceKeys {
        let RegisterService { service_id, guid, .. } = self.registration.clone();
        let (keys, signature) = (keys.clone(), Base64::default());
        RotateServiceKeys { service_id, guid, since, keys, keeps_former, signature }
    }

    async fn rotate(&self, keys: &Keys, since: Timestamp, keeps_former: bool) -> SigningKeysRotated {
        let request = service_keys::sign(&self.account, self.request(&keys.public(), since, keeps_former)).unwrap();
        self.world.post("/v1/services/keys", None, &request).await.ok()
    }

    /// What a user says who comes with a credential that this key signed.
    async fn lets_in(&self, identity: &MemberIdentity, signing: &AccountKey) -> bool {
        let (guid, key) = (self.registration.guid, Arc::<UserKey>::new(fresh_key().unwrap()));
        let minted = mint::member(identity, key.public(), self.account.public(), signing, clock::now()).unwrap();
        let credential = Credential::member(identity, guid, key, minted.jwt, clock::now()).unwrap();
        match Connection::open(&self.world.endpoint(), credential).await {
            Ok(_) => true,
            Err(ConnectError::Refused) => false,
            Err(other) => panic!("{other}"),
        }
    }

    /// Whether gateway and members come in under these keys: both, or neither.
    async fn takes(&self, keys: &Keys) -> bool {
        let member = MemberIdentity::Connection(ConnectionId::from_bytes([9; 16]));
        let gateway = MemberIdentity::HomeService(self.registration.guid);
        let both = [self.lets_in(&gateway, &keys.vault).await, self.lets_in(&member, &keys.connection).await];
        assert_eq!(both[0], both[1]);
        both[0]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_former_keys_signed_is_taken_until_the_next_change_over_a_restart() {
    let shop = Shop::open().await;
    let (second, third, now) = (Keys::fresh(), Keys::fresh(), clock::now());
    assert!(shop.takes(&shop.first).await && !shop.takes(&second).await, "nobody knows the second ones yet");
    assert_eq!(shop.rotate(&second, now, true).await, SigningKeysRotated { since: now, keeps_former: true });
    assert!(shop.takes(&second).await && shop.takes(&shop.first).await);
    // Asking again changes nothing, and registering again does not bring the first keys back in the place of the others.
    shop.rotate(&second, now, true).await;
    shop.register().await;
    assert!(shop.takes(&second).await && shop.takes(&shop.first).await);
    shop.rotate(&third, now.plus_ms(1), true).await;
    assert!(shop.takes(&third).await && shop.takes(&second).await && !shop.takes(&shop.first).await);

    let shop = Shop { world: shop.world.restart().await, ..shop };
    shop.register().await;
    assert!(shop.takes(&third).await && shop.takes(&second).await && !shop.takes(&shop.first).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn former_keys_are_cut_off_at_once_if_the_gateway_says_so() {
    let shop = Shop::open().await;
    let (second, now) = (Keys::fresh(), clock::now());
    shop.rotate(&second, now, true).await;
    shop.rotate(&second, now, false).await;
    assert!(shop.takes(&second).await && !shop.takes(&shop.first).await);
    // What was given up does not come back.
    shop.rotate(&second, now, true).await;
    assert!(!shop.takes(&shop.first).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_the_account_does_not_want_or_that_cannot_be_its_own_have_no_effect() {
    let shop = Shop::open().await;
    let (second, other, now) = (Keys::fresh(), Keys::fresh(), clock::now());
    shop.rotate(&second, now, true).await;
    let next = now.plus_ms(1);
    let sign = |key: &AccountKey, request| service_keys::sign(key, request).unwrap();
    let request = shop.request(&other.public(), next, false);
    let unknown = RotateServiceKeys { service_id: "bank".parse().unwrap(), ..request.clone() };
    for (what, wrong) in [
        ("not signed", request.clone()),
        ("signed by a signing key", sign(&second.vault, request.clone())),
        (
            "changed after it was signed",
            RotateServiceKeys { since: next.plus_ms(1), ..sign(&shop.account, request.clone()) },
        ),
        ("of a service that is not there", sign(&shop.account, unknown)),
    ] {
        assert_eq!(shop.world.post("/v1/services/keys", None, &wrong).await.refusal(), (401, "unauthorized"), "{what}");
    }
    let of = |keys: ServiceSigningNkeys, since| sign(&shop.account, shop.request(&keys, since, false));
    let taken = ServiceSigningNkeys { vault: shop.account.public().to_string(), ..other.public() };
    let twice = ServiceSigningNkeys { vault: other.public().claim, ..other.public() };
    let no_key = ServiceSigningNkeys { claim: format!("{}B", "A".repeat(55)), ..other.public() };
    for (what, wrong, status) in [
        ("older than those on record", of(other.public(), now.plus_ms(-1)), 409),
        ("other keys of the same time", of(other.public(), now), 409),
        ("the account's own key", of(taken, next), 409),
        ("one key in two roles", of(twice, next), 409),
        ("a key of before", of(shop.first.public(), next), 409),
        ("in the future", of(other.public(), now.plus_ms(3_600_000)), 400),
        ("no key", of(no_key, next), 400),
    ] {
        let answer = shop.world.post("/v1/services/keys", None, &wrong).await;
        assert_eq!(answer.refusal().0, status, "{what}");
    }
    assert!(shop.takes(&second).await && shop.takes(&shop.first).await && !shop.takes(&other).await);
}

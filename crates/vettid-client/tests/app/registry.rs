//! The registry whose word the app takes: the first one that it met, over restarts, until the member says otherwise.

use crate::operator::Operator;
use crate::world::World;
use std::collections::BTreeMap;
use vettid_client::directory::{DirectoryApi, Met, WhyNoComparison, WhyNot};
use vettid_client::random::SystemRandom;
use vettid_client::services::{ServicesAddress, ServicesError};
use vettid_crypto::identity::SigningKey;
use vettid_crypto::key_record::{self, Draft, kem_key};
use vettid_crypto::secret::Secret32;
use vettid_crypto::signature::{self, Context};
use vettid_crypto::suite::{KemSecretKey, Suite};
use vettid_wire::base64::Base64;
use vettid_wire::category::{AskComparison, ComparisonBasis};
use vettid_wire::contract::Contract;
use vettid_wire::directory::{AskStandings, Level, ServiceStanding, Standings, VerifiedDomain};
use vettid_wire::id::{Fingerprint, MemberId};
use vettid_wire::key_record::KeyRole;
use vettid_wire::profile::{PublicProfile, SignedProfile};
use vettid_wire::time::Timestamp;

const DAY_MS: i64 = 24 * 3600 * 1000;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&Secret32::from_bytes([seed; 32]))
}

fn fingerprint(seed: u8) -> Fingerprint {
    key(seed).verifying_key().fingerprint()
}

fn profile(identity: &SigningKey, now: Timestamp) -> SignedProfile {
    let (guid, ends) = (MemberId::from_bytes([9; 16]), now.plus_ms(300 * DAY_MS));
    let kem = KemSecretKey::generate(Suite::X25519, &mut SystemRandom::new().unwrap()).unwrap();
    let draft = Draft {
        role: KeyRole::Registry,
        guid,
        signing_key: identity.verifying_key(),
        device_key: None,
        kem_keys: vec![kem_key(&kem.public_key(), now, ends)],
        suites: vec![Suite::X25519],
        issued_at: now,
        expires_at: ends,
    };
    let profile = SignedProfile {
        profile_version: "1.0".to_owned(),
        guid,
        public_key: identity.verifying_key().typed(),
        key_record: key_record::build(draft, identity, None).unwrap().record().clone(),
        restore_key: None,
        public: PublicProfile { first_name: "Registry".to_owned(), ..PublicProfile::default() },
        service: None,
        items: BTreeMap::new(),
        event_types: vec![],
        supported: vec![],
        sequence: 1,
        updated_at: now,
        valid_until: now.plus_ms(20 * DAY_MS),
        key_id: identity.key_id(),
        signature: Base64::default(),
    };
    SignedProfile { signature: signature::sign(Context::Profile, identity, &profile).unwrap(), ..profile }
}

/// The shop, as its vault met it.
fn shop() -> Met {
    Met { service_id: "demo-shop".parse().unwrap(), fingerprint: fingerprint(77) }
}

fn standing(identity: &SigningKey, now: Timestamp) -> ServiceStanding {
    let domain = VerifiedDomain { domain: "example.org".parse().unwrap(), since: now, checked_at: now };
    let standing = ServiceStanding {
        service_id: shop().service_id,
        guid: MemberId::from_bytes([1; 16]),
        service_fp: Some(shop().fingerprint),
        level: Level::Verified,
        domain: Some(domain),
        certification: None,
        issued_at: now,
        valid_until: now.plus_ms(DAY_MS),
        key_id: identity.key_id(),
        signature: Base64::default(),
    };
    let signature = signature::sign(Context::ServiceStanding, identity, &standing).unwrap();
    ServiceStanding { signature, ..standing }
}

impl Operator {
    fn registry(&self) -> Result<SigningKey, ServicesError> {
        let seed = self.inner.lock().unwrap().registry;
        seed.map(key).ok_or(ServicesError::Refused { status: 503 })
    }
}

impl DirectoryApi for Operator {
    async fn standings(&self, _: ServicesAddress<'_>, _: &AskStandings) -> Result<Standings, ServicesError> {
        let (identity, now) = (self.registry()?, self.clock.time());
        Ok(Standings { registry: profile(&identity, now), standings: vec![standing(&identity, now)] })
    }

    async fn comparison(&self, _: ServicesAddress<'_>, _: &AskComparison) -> Result<ComparisonBasis, ServicesError> {
        Ok(ComparisonBasis { registry: profile(&self.registry()?, self.clock.time()), statistics: None })
    }
}

fn answers_as(world: &World, seed: Option<u8>) {
    world.operator.inner.lock().unwrap().registry = seed;
}

/// Why the shop is not shown as verified, if it is not.
async fn why(world: &World) -> Option<WhyNot> {
    let badge = world.app().badges(&[shop()]).await.unwrap().pop().unwrap();
    assert_eq!(badge.level == Level::Verified, badge.reason.is_none());
    badge.reason
}

async fn why_not_compared(world: &World) -> WhyNoComparison {
    let contract: Contract =
        serde_json::from_value(serde_json::json!({"service_id": "demo-shop", "contract_version": 1,
        "description": "d", "fields": [], "permissions": [], "rate": {"count": 5, "per_seconds": 60},
        "terms_url": "t", "privacy_url": "p"}))
        .unwrap();
    world.app().comparison(&contract).await.unwrap().reason.unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_first_registry_is_remembered_and_another_one_needs_the_members_word() {
    let world = World::enrolled().await;
    answers_as(&world, None);
    assert_eq!(why(&world).await, Some(WhyNot::Unreachable));
    assert_eq!(world.app().registry().await.unwrap().fingerprint, None, "nobody was met");
    answers_as(&world, Some(1));
    let since = world.clock.time();
    assert_eq!(why(&world).await, None);
    tokio::time::advance(std::time::Duration::from_secs(60)).await;

    // Another key, as soon as it comes, says nothing at all; also to a comparison, and after a restart.
    answers_as(&world, Some(2));
    for _ in 0..2 {
        assert_eq!(why(&world).await, Some(WhyNot::OtherRegistry));
        assert_eq!(why_not_compared(&world).await, WhyNoComparison::OtherRegistry);
    }
    let view = world.app().registry().await.unwrap();
    assert_eq!((view.fingerprint, view.since), (Some(fingerprint(1)), Some(since)));
    assert_eq!((view.found, view.is_believed), (Some(fingerprint(2)), false));
    answers_as(&world, Some(1));
    assert_eq!(why(&world).await, None, "the one that is known is believed all the time");

    // The member's word is about one key.
    world.app().trust_registry(fingerprint(2)).await.unwrap();
    assert_eq!(why(&world).await, Some(WhyNot::OtherRegistry));
    answers_as(&world, Some(3));
    assert_eq!(why(&world).await, Some(WhyNot::OtherRegistry));
    answers_as(&world, Some(2));
    assert_eq!(why(&world).await, None);
    assert_eq!(why_not_compared(&world).await, WhyNoComparison::NoCategory);
    assert!(world.app().registry().await.unwrap().is_believed);
}

//! A badge is shown for what the registry signed about this very service, and for nothing else.

use super::*;
use vettid_crypto::identity::SigningKey;
use vettid_crypto::key_record::{self, Draft, kem_key};
use vettid_crypto::secret::Secret32;
use vettid_crypto::signature::{self, Context};
use vettid_crypto::suite::{KemSecretKey, Suite};
use vettid_wire::base64::Base64;
use vettid_wire::id::MemberId;
use vettid_wire::key_record::KeyRole;
use vettid_wire::profile::{PublicProfile, SignedProfile};

const DAY_MS: i64 = 24 * 3600 * 1000;

fn now() -> Timestamp {
    Timestamp::from_unix_ms(1_800_000_000_000)
}

fn key(byte: u8) -> SigningKey {
    SigningKey::from_seed(&Secret32::from_bytes([byte; 32]))
}

/// A party's own profile.
fn profile_of(identity: &SigningKey, role: KeyRole) -> SignedProfile {
    let (guid, ends) = (MemberId::from_bytes([9; 16]), now().plus_ms(300 * DAY_MS));
    let kem = KemSecretKey::generate(Suite::X25519, &mut rand::rng()).unwrap();
    let draft = Draft {
        role,
        guid,
        signing_key: identity.verifying_key(),
        device_key: None,
        kem_keys: vec![kem_key(&kem.public_key(), now(), ends)],
        suites: vec![Suite::X25519],
        issued_at: now(),
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
        items: std::collections::BTreeMap::new(),
        event_types: vec![],
        supported: vec![],
        sequence: 1,
        updated_at: now(),
        valid_until: now().plus_ms(20 * DAY_MS),
        key_id: identity.key_id(),
        signature: Base64::default(),
    };
    SignedProfile { signature: signature::sign(Context::Profile, identity, &profile).unwrap(), ..profile }
}

fn met(fingerprint_of: u8) -> Met {
    let fingerprint = key(fingerprint_of).verifying_key().fingerprint();
    Met { service_id: "demo-shop".parse().unwrap(), fingerprint }
}

fn standing(level: Level) -> ServiceStanding {
    let domain = VerifiedDomain { domain: "example.org".parse().unwrap(), since: now(), checked_at: now() };
    ServiceStanding {
        service_id: "demo-shop".parse().unwrap(),
        guid: MemberId::from_bytes([1; 16]),
        service_fp: Some(met(2).fingerprint),
        level,
        domain: (level > Level::Unverified).then_some(domain),
        certification: None,
        issued_at: now(),
        valid_until: now().plus_ms(DAY_MS),
        key_id: key(1).key_id(),
        signature: Base64::default(),
    }
}

fn signed(standing: ServiceStanding, by: u8) -> Standings {
    let draft = ServiceStanding { key_id: key(by).key_id(), ..standing };
    let signature = signature::sign(Context::ServiceStanding, &key(by), &draft).unwrap();
    Standings {
        registry: profile_of(&key(1), KeyRole::Registry),
        standings: vec![ServiceStanding { signature, ..draft }],
    }
}

/// The badge under the registry that came with it.
fn badge(met: &Met, said: &Standings, now: Timestamp) -> Badge {
    let registry = genuine(said.registry.clone(), now).ok_or(Doubt::NotGenuine);
    super::badge(met, (&registry, &said.standings), now)
}

fn compared(contract: &Contract, basis: ComparisonBasis, now: Timestamp) -> Comparison {
    let registry = genuine(basis.registry, now).ok_or(Doubt::NotGenuine);
    super::compared(contract, (registry, basis.statistics), now)
}

fn why(met: &Met, said: &Standings, at: Timestamp) -> Option<WhyNot> {
    let badge = badge(met, said, at);
    assert_eq!(badge.reason.is_none(), badge.level > Level::Unverified);
    assert_eq!(badge.domain.is_some(), badge.level > Level::Unverified);
    badge.reason
}

#[test]
fn a_level_is_shown_only_under_the_registrys_signature_for_this_identity_and_in_its_time() {
    let verified = signed(standing(Level::Verified), 1);
    assert_eq!(why(&met(2), &verified, now()), None);
    assert_eq!(badge(&met(2), &verified, now()).domain.unwrap().domain.as_str(), "example.org");
    assert_eq!(why(&met(3), &verified, now()), Some(WhyNot::OtherIdentity));
    assert_eq!(why(&met(2), &verified, now().plus_ms(DAY_MS)), Some(WhyNot::NotGenuine));
    assert_eq!(why(&met(2), &signed(standing(Level::Unverified), 1), now()), Some(WhyNot::NotProved));
    let other = Met { service_id: "bank".parse().unwrap(), ..met(2) };
    assert_eq!(why(&other, &verified, now()), Some(WhyNot::NotListed));
    // The service signs for itself, with its own profile beside it or with that of the registry.
    let own = signed(standing(Level::Verified), 2);
    assert_eq!(why(&met(2), &own, now()), Some(WhyNot::NotGenuine));
    for role in [KeyRole::Vault, KeyRole::Service] {
        let posing = Standings { registry: profile_of(&key(2), role), ..own.clone() };
        assert_eq!(why(&met(2), &posing, now()), Some(WhyNot::NotGenuine));
    }
    let changed = ServiceStanding { level: Level::Verified, ..standing(Level::Verified) };
    let forged = Standings { standings: vec![changed], ..verified };
    assert_eq!(why(&met(2), &forged, now()), Some(WhyNot::NotGenuine));
}

fn contract(fields: &[&str]) -> Contract {
    let field = |name: &&str| serde_json::json!({"field": name, "tier": "on_demand", "purpose": "To deliver", "retention": "session"});
    let fields: Vec<_> = fields.iter().map(field).collect();
    serde_json::from_value(serde_json::json!({"service_id": "demo-shop", "contract_version": 1, "description": "d",
        "fields": fields, "permissions": [], "rate": {"count": 5, "per_seconds": 60},
        "terms_url": "t", "privacy_url": "p"}))
    .unwrap()
}

fn basis(asked: &[&[&str]], by: u8) -> ComparisonBasis {
    let contracts: Vec<_> = asked.iter().map(|fields| contract(fields)).collect();
    let draft = CategoryStatistics {
        service_id: "demo-shop".parse().unwrap(),
        category: "shop".parse().unwrap(),
        counted: vettid_core::comparison::count(&contracts),
        issued_at: now(),
        valid_until: now().plus_ms(DAY_MS),
        key_id: key(by).key_id(),
        signature: Base64::default(),
    };
    let signature = signature::sign(Context::CategoryStatistics, &key(by), &draft).unwrap();
    let registry = profile_of(&key(1), KeyRole::Registry);
    ComparisonBasis { registry, statistics: Some(CategoryStatistics { signature, ..draft }) }
}

#[test]
fn a_contract_is_compared_only_with_what_the_registry_counted_and_signed() {
    let (usual, asked) = (["address"].as_slice(), contract(&["address", "passport"]));
    let found = compared(&asked, basis(&[usual; 14], 1), now());
    assert_eq!((found.services, found.reason), (Some(14), None));
    assert_eq!(found.unusual, [Unusual::Field { field: "passport".to_owned(), services: 0 }]);
    let why = |basis, at| {
        let found = compared(&asked, basis, at);
        assert_eq!((found.services, found.unusual), (None, vec![]));
        found.reason.unwrap()
    };
    assert_eq!(why(basis(&[usual; 4], 1), now()), WhyNoComparison::TooFew);
    assert_eq!(why(basis(&[usual; 14], 2), now()), WhyNoComparison::NotGenuine);
    assert_eq!(why(basis(&[usual; 14], 1), now().plus_ms(DAY_MS)), WhyNoComparison::NotGenuine);
    let unsaid = ComparisonBasis { statistics: None, ..basis(&[], 1) };
    assert_eq!(why(unsaid, now()), WhyNoComparison::NoCategory);
    let mut of_another = basis(&[usual; 14], 1);
    of_another.statistics.as_mut().unwrap().service_id = "bank".parse().unwrap();
    assert_eq!(why(of_another, now()), WhyNoComparison::NotGenuine);
}

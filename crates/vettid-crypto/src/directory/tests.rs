//! Nothing of a claim or of what the registry says can be changed, and none of it comes from somebody else.

use super::*;
use crate::secret::Secret32;
use vettid_wire::base64::Base64Url;
use vettid_wire::directory::{Certification, VerifiedDomain};
use vettid_wire::id::MemberId;

const HOUR_MS: i64 = 3_600_000;

fn identity(byte: u8) -> SigningKey {
    SigningKey::from_seed(&Secret32::from_bytes([byte; 32]))
}

fn account(byte: u8) -> AccountKey {
    AccountKey::from_secret(Secret32::from_bytes([byte; 32])).unwrap()
}

fn now() -> Timestamp {
    Timestamp::from_unix_ms(1_800_000_000_000)
}

fn claim() -> DomainClaim {
    DomainClaim {
        service_id: "demo-shop".parse().unwrap(),
        guid: MemberId::from_bytes([1; 16]),
        domain: "example.org".parse().unwrap(),
        public_key: identity(1).verifying_key().typed(),
        challenge: Base64Url::new([3; 32]),
        at: now(),
        key_id: identity(1).key_id(),
        signature: Base64::default(),
    }
}

#[test]
fn a_claim_needs_both_signatures_and_nothing_of_it_can_be_changed() {
    let signed = sign_claim(&identity(1), &account(2), claim()).unwrap();
    let key = verify_claim(account(2).public(), &signed).unwrap();
    assert_eq!(key.fingerprint(), identity(1).verifying_key().fingerprint());
    assert!(verify_claim(account(3).public(), &signed).is_err(), "another account");
    // Signed by the account alone, over the identity of somebody else.
    let borrowed = |claim: DomainClaim| {
        let mut asked = ClaimDomain { claim, signature: Base64::default() };
        asked.signature = Base64::new(account(2).sign(&signed_bytes(Context::DomainAccount, &asked).unwrap()));
        asked
    };
    let right = signed.claim.clone();
    assert!(verify_claim(account(2).public(), &borrowed(right.clone())).is_ok());
    for (what, wrong) in [
        ("another key", DomainClaim { public_key: identity(4).verifying_key().typed(), ..right.clone() }),
        ("another service", DomainClaim { service_id: "bank".parse().unwrap(), ..right.clone() }),
        ("another domain", DomainClaim { domain: "example.net".parse().unwrap(), ..right.clone() }),
        ("another challenge", DomainClaim { challenge: Base64Url::new([4; 32]), ..right.clone() }),
        ("another time", DomainClaim { at: now().plus_ms(1), ..right.clone() }),
        ("no signature", DomainClaim { signature: Base64::default(), ..right.clone() }),
    ] {
        assert!(verify_claim(account(2).public(), &borrowed(wrong.clone())).is_err(), "{what}");
        let kept = ClaimDomain { claim: wrong, signature: signed.signature.clone() };
        assert!(verify_claim(account(2).public(), &kept).is_err(), "{what}");
    }
}

fn standing(level: Level) -> ServiceStanding {
    let domain = VerifiedDomain { domain: "example.org".parse().unwrap(), since: now(), checked_at: now() };
    let until = now().plus_ms(HOUR_MS);
    let certification = Certification { reason: "Register of companies".to_owned(), since: now(), until };
    let draft = ServiceStanding {
        service_id: "demo-shop".parse().unwrap(),
        guid: MemberId::from_bytes([1; 16]),
        service_fp: Some(identity(1).verifying_key().fingerprint()),
        level,
        domain: (level > Level::Unverified).then_some(domain),
        certification: (level == Level::Certified).then_some(certification),
        issued_at: now(),
        valid_until: now().plus_ms(24 * HOUR_MS),
        key_id: identity(9).key_id(),
        signature: Base64::default(),
    };
    sign(draft)
}

fn sign(draft: ServiceStanding) -> ServiceStanding {
    let signature = signature::sign(Context::ServiceStanding, &identity(9), &draft).unwrap();
    ServiceStanding { signature, ..draft }
}

fn verified(standing: ServiceStanding, at: Timestamp) -> Result<Verified<ServiceStanding>, StandingError> {
    verify_standing(&identity(9).verifying_key(), standing, at)
}

#[test]
fn only_the_registry_says_how_well_a_service_is_known() {
    for level in [Level::Unverified, Level::Verified, Level::Certified] {
        assert_eq!(verified(standing(level), now()).unwrap().get().level, level);
    }
    // A service signs for itself.
    let own = ServiceStanding { key_id: identity(1).key_id(), ..standing(Level::Verified) };
    let signature = signature::sign(Context::ServiceStanding, &identity(1), &own).unwrap();
    assert_eq!(verified(ServiceStanding { signature, ..own }, now()), Err(StandingError::Signature));
    for (what, wrong) in [
        ("a higher level", ServiceStanding { level: Level::Certified, ..standing(Level::Verified) }),
        ("a longer time", ServiceStanding { valid_until: now().plus_ms(99 * HOUR_MS), ..standing(Level::Verified) }),
        ("another service", ServiceStanding { service_id: "bank".parse().unwrap(), ..standing(Level::Verified) }),
        ("another key", {
            let service_fp = Some(identity(4).verifying_key().fingerprint());
            ServiceStanding { service_fp, ..standing(Level::Verified) }
        }),
    ] {
        assert_eq!(verified(wrong, now()), Err(StandingError::Signature), "{what}");
    }
}

#[test]
fn a_level_without_what_it_needs_is_none() {
    let verified_only = standing(Level::Verified);
    for wrong in [
        ServiceStanding { domain: None, ..verified_only.clone() },
        ServiceStanding { service_fp: None, ..verified_only.clone() },
        ServiceStanding { level: Level::Certified, ..verified_only.clone() },
        ServiceStanding { level: Level::Unverified, ..verified_only },
    ] {
        assert_eq!(verified(sign(wrong), now()), Err(StandingError::Form));
    }
}

#[test]
fn a_level_ends_with_its_time_and_that_of_the_operators_word() {
    let after = |hours: i64| now().plus_ms(hours * HOUR_MS);
    assert!(verified(standing(Level::Verified), after(23)).is_ok());
    assert_eq!(verified(standing(Level::Verified), after(24)), Err(StandingError::Time));
    assert_eq!(verified(standing(Level::Verified), after(-1)), Err(StandingError::Time));
    assert_eq!(verified(standing(Level::Certified), after(1)), Err(StandingError::Time));
}

#[test]
fn a_level_is_not_that_of_somebody_with_another_key() {
    let known = verified(standing(Level::Verified), now()).unwrap();
    assert_eq!(level_of(&known, &identity(1).verifying_key().fingerprint()), Level::Verified);
    assert_eq!(level_of(&known, &identity(2).verifying_key().fingerprint()), Level::Unverified);
}

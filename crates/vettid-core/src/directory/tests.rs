//! Every sequence of looks over days, against what the rules say in words.

use super::*;
use proptest::prelude::*;

const PERIODS: Periods = Periods { check_ms: DAY_MS, grace_ms: 3 * DAY_MS, blind_ms: 7 * DAY_MS, standing_ms: DAY_MS };

fn day(days: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_800_000_000_000).plus_ms(days * DAY_MS)
}

fn claimed() -> Claimed {
    Claimed::new("example.org".parse().unwrap(), Fingerprint::from_bytes([1; 32]), day(0))
}

fn after(findings: &[Finding]) -> (Claimed, Vec<Change>) {
    let mut claimed = claimed();
    let looks = (0..).zip(findings);
    let changes = looks.map(|(days, found)| claimed.observe(day(days), *found, PERIODS)).collect();
    (claimed, changes)
}

#[test]
fn a_record_that_is_found_verifies_and_one_that_is_lost_ends_that_after_the_grace() {
    use Change::{Back, Ended, Missing, None, Verified};
    use Finding::{Absent, Confirmed, Unknown};
    let (claimed, changes) = after(&[Unknown, Absent, Confirmed, Confirmed, Absent, Absent, Absent, Absent, Absent]);
    assert_eq!(changes, [None, None, Verified, None, Missing, None, None, Ended, None]);
    assert!(!claimed.is_verified(day(8), PERIODS));
    let (claimed, changes) = after(&[Confirmed, Absent, Absent, Confirmed]);
    assert_eq!(changes, [Verified, Missing, None, Back]);
    assert_eq!((claimed.since, claimed.checked_at, claimed.lost_since), (Some(day(0)), Some(day(3)), Option::None));
    // A failing DNS does not stop the grace.
    let (_, changes) = after(&[Confirmed, Absent, Unknown, Unknown, Unknown]);
    assert_eq!(changes, [Verified, Missing, None, None, Ended]);
}

#[test]
fn whoever_cannot_be_looked_at_for_a_week_is_verified_no_more() {
    let mut claimed = claimed();
    assert_eq!(claimed.observe(day(0), Finding::Confirmed, PERIODS), Change::Verified);
    for days in 1..7 {
        assert_eq!(claimed.observe(day(days), Finding::Unknown, PERIODS), Change::None);
        assert!(claimed.is_verified(day(days), PERIODS));
    }
    // Also if nobody looks at all.
    assert!(!claimed.is_verified(day(7), PERIODS));
    assert_eq!(claimed.observe(day(7), Finding::Unknown, PERIODS), Change::Ended);
    assert_eq!(claimed.observe(day(8), Finding::Confirmed, PERIODS), Change::Verified);
    assert_eq!(claimed.since, Some(day(8)));
}

#[test]
fn a_record_that_is_back_after_the_end_begins_anew() {
    let mut claimed = claimed();
    claimed.observe(day(0), Finding::Confirmed, PERIODS);
    assert_eq!(claimed.observe(day(9), Finding::Confirmed, PERIODS), Change::Verified);
    assert_eq!(claimed.since, Some(day(9)));
}

fn verification() -> Verification {
    let mut verification = Verification::none("demo-shop".parse().unwrap(), MemberId::from_bytes([1; 16]));
    verification.claim("example.org".parse().unwrap(), Fingerprint::from_bytes([1; 32]), day(0));
    verification
}

fn said(verification: &Verification, at: Timestamp) -> ServiceStanding {
    verification.standing(at, PERIODS, registry_key())
}

fn registry_key() -> KeyId {
    "k_utkd2ec6y33ntxd64zqbcj2x5a".parse().unwrap()
}

fn look(verification: &mut Verification, at: Timestamp, found: Finding) {
    verification.claimed.as_mut().unwrap().observe(at, found, PERIODS);
}

#[test]
fn the_operators_word_counts_for_whoever_controls_the_domain_and_only_in_its_time() {
    let mut known = verification();
    let reason = "Register of companies".to_owned();
    known.certification = Some(Certification { reason, since: day(0), until: day(2) });
    assert_eq!(said(&known, day(0)).level, Level::Unverified, "no domain yet");
    look(&mut known, day(0), Finding::Confirmed);
    let standing = said(&known, day(0));
    assert_eq!((standing.level, standing.valid_until), (Level::Certified, day(1)));
    look(&mut known, day(1), Finding::Confirmed);
    assert_eq!(said(&known, day(1).plus_ms(DAY_MS / 2)).valid_until, day(2), "not beyond the word");
    look(&mut known, day(2), Finding::Confirmed);
    let standing = said(&known, day(2));
    assert_eq!((standing.level, standing.certification), (Level::Verified, None));
    // Another key is somebody else.
    known.certification = Some(Certification { reason: "again".to_owned(), since: day(2), until: day(9) });
    known.claim("example.org".parse().unwrap(), Fingerprint::from_bytes([2; 32]), day(3));
    assert_eq!((said(&known, day(3)).level, known.certification), (Level::Unverified, None));
}

#[test]
fn the_same_claim_again_changes_nothing() {
    let mut known = verification();
    look(&mut known, day(0), Finding::Confirmed);
    let before = known.clone();
    known.claim("example.org".parse().unwrap(), Fingerprint::from_bytes([1; 32]), day(5));
    assert_eq!(known, before);
}

fn finding() -> impl Strategy<Value = Finding> {
    prop_oneof![Just(Finding::Confirmed), Just(Finding::Absent), Just(Finding::Unknown)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Looks at random hours, against the whole story read again each time.
    #[test]
    fn a_service_is_verified_only_while_its_record_was_lately_found(
        looks in prop::collection::vec((1_i64..60, finding()), 1..30),
    ) {
        let (mut claimed, mut hours, mut story) = (claimed(), 0, vec![]);
        for (later, found) in looks {
            hours += later;
            let at = day(0).plus_ms(hours * 3_600_000);
            let before = claimed.is_verified(at, PERIODS);
            claimed.observe(at, found, PERIODS);
            story.push((at, found));
            let verified = claimed.is_verified(at, PERIODS);
            prop_assert_eq!(verified, reference(&story, at));
            if found != Finding::Confirmed {
                prop_assert!(before || !verified, "a look that failed raised the level");
            }
        }
    }
}

/// Verified: found at least once, not longer ago than a week, and since then not missing for the grace.
fn reference(story: &[(Timestamp, Finding)], at: Timestamp) -> bool {
    let Some(last) = story.iter().rposition(|(_, found)| *found == Finding::Confirmed) else { return false };
    let missing = story[last..].iter().find(|(_, found)| *found == Finding::Absent);
    at.since_ms(story[last].0) < PERIODS.blind_ms
        && missing.is_none_or(|(since, _)| at.since_ms(*since) < PERIODS.grace_ms)
}

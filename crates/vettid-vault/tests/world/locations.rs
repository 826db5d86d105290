//! Alice shows Bob where she is: as exactly as she said, as long as she said, and nothing of it is written anywhere.

use crate::town::{ALICE, BOB, Faults, MINUTE_MS, Town};
use serde_json::{Value, json};
use vettid_core::location::coarse;
use vettid_wire::id::ConnectionId;
use vettid_wire::location::{LocationList, LocationUpdated, Position, Precision, SeenLocation, ShareView};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

const HOME: Position = Position { latitude_udeg: 52_520_008, longitude_udeg: 13_404_954 };
const WORK: Position = Position { latitude_udeg: 48_137_154, longitude_udeg: 11_576_124 };

fn connected(seed: u64) -> (Town, ConnectionId) {
    let mut town = Town::settled(seed);
    let id = town.connect();
    (town, id)
}

fn share(town: &mut Town, id: ConnectionId, minutes: i64, precision: &str) -> Result<ShareView, RefusalCode> {
    let body = json!({"connection_id": id, "duration_ms": minutes * MINUTE_MS, "precision": precision});
    let shared = town.ask(ALICE, "location.share", body);
    town.run();
    shared
}

fn update_at(town: &mut Town, position: Position, taken_at: Timestamp) -> Result<LocationUpdated, RefusalCode> {
    let updated = town.ask(ALICE, "location.update", json!({"position": position, "taken_at": taken_at}));
    town.run();
    updated
}

/// A later position, so long after the one before that it is sent on.
fn update(town: &mut Town, position: Position) -> LocationUpdated {
    for _ in 0..5 {
        town.tick();
    }
    let now = town.now;
    update_at(town, position, now).unwrap()
}

fn list(town: &mut Town, who: usize) -> LocationList {
    town.ask(who, "location.list", json!({})).unwrap()
}

fn seen(town: &mut Town) -> Option<SeenLocation> {
    list(town, BOB).seen.pop()
}

fn stop(town: &mut Town, id: ConnectionId) -> Result<ShareView, RefusalCode> {
    let stopped = town.ask(ALICE, "location.stop", json!({"connection_id": id}));
    town.run();
    stopped
}

/// No commit of either vault ever held a position.
fn assert_unwritten(town: &Town, places: &[Position]) {
    for node in &town.nodes {
        let written = node.written();
        for place in places {
            for number in [place.latitude_udeg, place.longitude_udeg] {
                let text = number.to_string();
                let holds = |value: &Vec<u8>| value.windows(text.len()).any(|part| part == text.as_bytes());
                assert!(!written.iter().any(holds), "{text}");
            }
        }
    }
}

#[test]
fn a_connection_sees_where_the_owner_is_as_exactly_as_it_may() {
    let (mut town, id) = connected(1_000);
    let cases = [
        ("exact", Precision::Exact),
        ("100m", Precision::HundredMetres),
        ("1km", Precision::Kilometre),
        ("10km", Precision::TenKilometres),
    ];
    let mut shown = vec![HOME];
    for (name, precision) in cases {
        share(&mut town, id, 60, name).unwrap();
        let before = seen(&mut town).unwrap();
        assert_eq!((before.precision, before.position), (precision, None));
        assert_eq!(update(&mut town, HOME), LocationUpdated { sent_to: 1, shares: 1 });
        town.now = town.now.plus_ms(30_000);
        let now = seen(&mut town).unwrap();
        assert_eq!(now.position, Some(coarse(HOME, precision)));
        assert_eq!(now.position == Some(HOME), precision == Precision::Exact);
        assert!(now.age_ms.unwrap() >= 30_000);
        shown.extend(now.position);
    }
    assert_eq!(list(&mut town, ALICE).shared.len(), 1, "a new share takes the place of the one before");
    stop(&mut town, id).unwrap();
    assert_eq!(seen(&mut town), None);
    assert_eq!(stop(&mut town, id), Err(RefusalCode::NotFound));
    assert_unwritten(&town, &shown);
    let audit = town.ask::<Value>(ALICE, "audit.export", json!({"from": 0, "limit": 200})).unwrap().to_string();
    assert!(audit.contains("shown_ms") && !audit.contains("location.update"), "{audit}");
    for who in [ALICE, BOB] {
        town.check(who);
    }
}

#[test]
fn positions_are_neither_marked_nor_told() {
    let (mut town, id) = connected(1_001);
    share(&mut town, id, 60, "1km").unwrap();
    update(&mut town, HOME);
    let told = [ALICE, BOB].map(|who| town.feed(who).entries.len());
    let marks = |town: &Town, who: usize| {
        town.nodes[who].vault.state().all().keys().filter(|key| key.starts_with("mark")).count()
    };
    let marked = [ALICE, BOB].map(|who| marks(&town, who));
    for _ in 0..30 {
        assert_eq!(update(&mut town, HOME).sent_to, 1);
    }
    assert_eq!([ALICE, BOB].map(|who| town.feed(who).entries.len()), told);
    assert_eq!([ALICE, BOB].map(|who| marks(&town, who)), marked);
    assert_unwritten(&town, &[HOME, coarse(HOME, Precision::Kilometre)]);
}

#[test]
fn an_earlier_position_never_replaces_a_later_one() {
    let (mut town, id) = connected(1_002);
    share(&mut town, id, 60, "exact").unwrap();
    let guid = town.nodes[BOB].guid;
    let mut letters = vec![];
    let mut latest = town.now;
    for place in [HOME, WORK] {
        town.now = town.now.plus_ms(6_000);
        latest = town.now;
        let now = latest;
        let _: LocationUpdated =
            town.ask(ALICE, "location.update", json!({"position": place, "taken_at": now})).unwrap();
        letters.extend(town.take_inbox(guid));
    }
    for (subject, bytes) in letters.into_iter().rev() {
        town.post(subject, bytes);
        town.run();
        assert_eq!(seen(&mut town).unwrap().position, Some(WORK));
    }
    // Nor does it leave; nor one that is not of now; nor too many.
    town.now = town.now.plus_ms(6_000);
    assert_eq!(update_at(&mut town, HOME, latest).unwrap().sent_to, 0);
    assert_eq!(update_at(&mut town, HOME, latest.plus_ms(-1)).unwrap().sent_to, 0);
    let now = town.now;
    assert_eq!(update_at(&mut town, HOME, now.plus_ms(-10 * MINUTE_MS)), Err(RefusalCode::InvalidRequest));
    assert_eq!(update_at(&mut town, HOME, now.plus_ms(10 * MINUTE_MS)), Err(RefusalCode::InvalidRequest));
    let later = town.now;
    assert_eq!(update_at(&mut town, WORK, later).unwrap().sent_to, 1);
    assert_eq!(update_at(&mut town, WORK, later.plus_ms(1)).unwrap(), LocationUpdated { sent_to: 0, shares: 1 });
    let nowhere = Position { latitude_udeg: 90_000_001, longitude_udeg: 0 };
    assert_eq!(update_at(&mut town, nowhere, later), Err(RefusalCode::InvalidRequest));
}

#[test]
fn it_ends_when_its_time_is_over_on_both_sides() {
    let (mut town, id) = connected(1_003);
    for minutes in [0, 24 * 60 + 1] {
        assert_eq!(share(&mut town, id, minutes, "1km"), Err(RefusalCode::InvalidRequest));
    }
    share(&mut town, id, 1, "1km").unwrap();
    update(&mut town, HOME);
    assert!(seen(&mut town).unwrap().position.is_some());
    town.now = town.now.plus_ms(MINUTE_MS);
    // Before anything ticks it is shown no more.
    assert_eq!(seen(&mut town), None);
    let now = town.now;
    assert_eq!(update_at(&mut town, HOME, now).unwrap(), LocationUpdated { sent_to: 0, shares: 0 });
    town.tick();
    for who in [ALICE, BOB] {
        assert_eq!(list(&mut town, who), LocationList { shared: vec![], seen: vec![] });
        let keys = town.nodes[who].vault.state().all();
        assert!(!keys.keys().any(|key| key.starts_with("location_share/") || key.starts_with("location_seen/")));
    }
    let told: Vec<String> = town.feed(ALICE).entries.into_iter().map(|entry| entry.summary).collect();
    assert_eq!(told[0], "Bob does not see any more where you are");
}

#[test]
fn what_comes_after_the_end_shows_nothing() {
    let (mut town, id) = connected(1_004);
    share(&mut town, id, 60, "exact").unwrap();
    update(&mut town, HOME);
    let guid = town.nodes[BOB].guid;
    town.now = town.now.plus_ms(6_000);
    let now = town.now;
    let _: LocationUpdated = town.ask(ALICE, "location.update", json!({"position": WORK, "taken_at": now})).unwrap();
    let late = town.take_inbox(guid);
    assert_eq!(late.len(), 1);
    stop(&mut town, id).unwrap();
    for (subject, bytes) in late {
        town.post(subject, bytes);
    }
    town.run();
    assert_eq!(seen(&mut town), None);

    // So does a revocation, and what still comes is of no connection.
    share(&mut town, id, 60, "exact").unwrap();
    update(&mut town, HOME);
    let body = json!({"connection_id": id, "reason": "user_requested"});
    let _: Value = town.ask(BOB, "connection.revoke", body).unwrap();
    assert_eq!(seen(&mut town), None);
    town.run();
    assert_eq!(list(&mut town, ALICE).shared, []);
    assert_eq!(share(&mut town, id, 60, "exact"), Err(RefusalCode::NotConnected));
}

#[test]
fn a_restart_forgets_positions_and_keeps_shares() {
    let (mut town, id) = connected(1_005);
    share(&mut town, id, 60, "1km").unwrap();
    update(&mut town, HOME);
    town.nodes[BOB].crash();
    assert_eq!(seen(&mut town).unwrap().position, None);
    town.nodes[ALICE].crash();
    assert_eq!(update(&mut town, WORK).sent_to, 1);
    assert_eq!(seen(&mut town).unwrap().position, Some(coarse(WORK, Precision::Kilometre)));
}

#[test]
fn on_a_bad_day_the_end_arrives_all_the_same() {
    for seed in 0..6 {
        let (mut town, id) = connected(1_010 + seed);
        town.faults = Faults { lose: 30, repeat: 30, crash: 3, reorder: true };
        for n in 0..8 {
            let precision = ["exact", "100m", "1km", "10km"][n % 4];
            let body = json!({"connection_id": id, "duration_ms": 60 * MINUTE_MS, "precision": precision});
            let _: ShareView = town.ask(ALICE, "location.share", body).unwrap();
            for place in [HOME, WORK] {
                town.now = town.now.plus_ms(6_000);
                let now = town.now;
                let _: Value = town.ask(ALICE, "location.update", json!({"position": place, "taken_at": now})).unwrap();
                town.run_a_while();
            }
        }
        let _: ShareView = town.ask(ALICE, "location.stop", json!({"connection_id": id})).unwrap();
        town.faults = Faults::default();
        town.run();
        assert_eq!(seen(&mut town), None, "seed {seed}");
        town.check(BOB);
    }
}

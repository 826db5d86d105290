//! NATS credentials of connections over weeks in which nobody does anything, at a broker that refuses what ran out.

use crate::town::{ALICE, BOB, DAY_MS, Town};
use serde_json::{Value, json};
use vettid_core::grants::mint::WAY_BACK_MS;
use vettid_crypto::nats::token::UserJwt;
use vettid_crypto::nats::user::UserClaims;
use vettid_wire::id::ConnectionId;
use vettid_wire::subject::Subject;

fn pass_days(town: &mut Town, days: i64) {
    (0..days * 2).for_each(|_| town.pass_half_day());
}

fn is_let_in(town: &Town, who: usize, id: ConnectionId) -> bool {
    let jwt = town.nodes[who].vault.connection(id).unwrap().unwrap().jwt.clone().unwrap();
    UserClaims::received(&UserJwt::unchecked(jwt), town.now).is_ok()
}

/// Both write and both read.
fn works(town: &mut Town, id: ConnectionId, text: &str) -> bool {
    for who in [ALICE, BOB] {
        town.resume(who, true);
        let _: Value = town.ask(who, "messaging.send", json!({"connection_id": id, "text": text})).unwrap();
    }
    pass_days(town, 1);
    [ALICE, BOB].into_iter().all(|who| {
        town.resume(who, true);
        town.texts(who, id, "received").iter().any(|(_, received)| received == text)
    })
}

#[test]
fn connections_stay_alive_for_weeks_with_nobody_doing_anything() {
    let mut town = Town::settled(80);
    let id = town.connect();
    for _ in 0..60 {
        pass_days(&mut town, 1);
        assert!(is_let_in(&town, ALICE, id) && is_let_in(&town, BOB, id), "{}", town.now);
    }
    assert!(works(&mut town, id, "after two months"));
    town.check(ALICE);
    town.check(BOB);
}

#[test]
fn a_vault_that_was_away_for_weeks_comes_back_by_itself() {
    for who in [ALICE, BOB] {
        let mut town = Town::settled(81);
        let id = town.connect();
        pass_days(&mut town, 5);
        town.away = Some(who);
        pass_days(&mut town, 30);
        assert!(!is_let_in(&town, ALICE, id) && !is_let_in(&town, BOB, id), "both credentials ran out meanwhile");
        town.away = None;
        pass_days(&mut town, 2);
        assert!(is_let_in(&town, ALICE, id) && is_let_in(&town, BOB, id));
        assert!(works(&mut town, id, "back"));
    }
}

#[test]
fn both_away_for_longer_than_the_way_back_lasts_have_to_connect_anew() {
    let mut town = Town::settled(82);
    let id = town.connect();
    pass_days(&mut town, 5);
    town.now = town.now.plus_ms(WAY_BACK_MS + 5 * DAY_MS);
    pass_days(&mut town, 3);
    assert!(!is_let_in(&town, ALICE, id) && !is_let_in(&town, BOB, id));
}

#[test]
fn the_way_back_carries_a_credential_and_nothing_else() {
    let mut town = Town::settled(83);
    let id = town.connect();
    let shop = town.connect_shop();
    pass_days(&mut town, 4);
    let way = Subject::Invite(town.nodes[ALICE].guid, vettid_core::grants::mint::way_back_name(shop));
    // A question of the service that somebody puts on the way back does not even open.
    let request_id = crate::flows::request_id(&mut town);
    let request = town.shop.data_request("address", request_id);
    let (_, (_, sealed)) = town.shop.seal("data.request", request, town.now, &mut town.rng);
    let (before, got) = (town.nodes[ALICE].vault.dropped(), town.shop.got.len());
    for bytes in [sealed, b"{}".to_vec(), vec![]] {
        town.post(way.clone(), bytes);
    }
    let other = Subject::Invite(town.nodes[ALICE].guid, vettid_core::grants::mint::way_back_name(id));
    town.post(other, b"{}".to_vec());
    town.run();
    assert_eq!((town.nodes[ALICE].vault.dropped() - before, town.shop.got.len()), (4, got));
}

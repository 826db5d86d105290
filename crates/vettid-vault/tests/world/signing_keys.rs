//! The keys that sign the credentials of the vault's users: changed by time and by the owner, used once services have them.

use crate::town::{ALICE, BOB, DAY_MS, Town};
use serde_json::{Value, json};
use vettid_vault::manager::Event;
use vettid_vault::signing_keys::LIFE_MS;
use vettid_wire::base64::Base64Url;
use vettid_wire::enrolment::{RotateSigningKeys, SigningKeysRotated};
use vettid_wire::id::ConnectionId;
use vettid_wire::inventory::{KeyInventory, KeyPolicy, KeyUse};

fn announced(town: &Town) -> Option<RotateSigningKeys> {
    town.nodes[ALICE].vault.announced().unwrap()
}

/// Services do what Alice's vault asked for.
fn confirm(town: &mut Town, keys: &RotateSigningKeys) {
    let done = SigningKeysRotated { since: keys.since, keeps_former: keys.keeps_former };
    while town.handle(ALICE, &[Event::SigningKeysRotated(done)]).is_none() {}
}

/// Which key signed what lets Bob into Alice's account.
fn issuer_of_bobs(town: &Town, id: ConnectionId) -> String {
    let jwt = town.nodes[BOB].vault.connection(id).unwrap().unwrap().jwt.clone().unwrap();
    let claims: Base64Url = jwt.split('.').nth(1).unwrap().parse().unwrap();
    let claims: Value = serde_json::from_slice(claims.as_bytes()).unwrap();
    claims["iss"].as_str().unwrap().to_owned()
}

fn signing(town: &Town) -> String {
    town.nodes[ALICE].vault.public().unwrap().connection_signing_nkey
}

fn pass_days(town: &mut Town, days: i64) {
    (0..days * 2).for_each(|_| town.pass_half_day());
}

#[test]
fn keys_change_after_ninety_days_and_sign_once_services_have_them() {
    let mut town = Town::settled(90);
    let id = town.connect();
    let first = signing(&town);
    pass_days(&mut town, LIFE_MS / DAY_MS - 1);
    assert_eq!(announced(&town), None);
    pass_days(&mut town, 2);
    let asked = announced(&town).unwrap();
    assert!(asked.keeps_former);
    assert_eq!(
        (signing(&town), issuer_of_bobs(&town, id)),
        (first.clone(), first.clone()),
        "services do not have them yet"
    );

    // A confirmation of something else changes nothing, and a crash forgets nothing.
    let other = RotateSigningKeys { keeps_former: false, ..asked.clone() };
    confirm(&mut town, &other);
    confirm(&mut town, &RotateSigningKeys { since: asked.since.plus_ms(1), ..asked.clone() });
    town.nodes[ALICE].crash();
    assert_eq!((announced(&town), signing(&town)), (Some(asked.clone()), first.clone()));

    confirm(&mut town, &asked);
    assert_eq!((announced(&town), signing(&town)), (None, asked.keys.connection.clone()));
    pass_days(&mut town, 1);
    assert_eq!(issuer_of_bobs(&town, id), asked.keys.connection, "what former keys signed is replaced at once");
    town.nodes[ALICE].crash();
    assert_eq!((announced(&town), signing(&town)), (None, asked.keys.connection.clone()));
    pass_days(&mut town, LIFE_MS / DAY_MS - 3);
    assert_eq!(announced(&town), None);
    pass_days(&mut town, 3);
    assert!(announced(&town).is_some_and(|next| next.keys != asked.keys));
}

#[test]
fn the_owner_changes_them_at_once_and_may_cut_off_the_former_ones() {
    let mut town = Town::settled(91);
    let id = town.connect();
    let made: Value = town.ask(ALICE, "key.rotate", json!({"cuts_off": false})).unwrap();
    let asked = announced(&town).unwrap();
    assert_eq!(made["since"], json!(asked.since));
    // The broker may know these keys already, so they stay; what the owner asks for on top of it is added.
    let again: Value = town.ask(ALICE, "key.rotate", json!({"cuts_off": true})).unwrap();
    assert_eq!(again, made);
    let cutting = RotateSigningKeys { keeps_former: false, ..asked.clone() };
    assert_eq!(announced(&town), Some(cutting.clone()));
    let relented: Value = town.ask(ALICE, "key.rotate", json!({"cuts_off": false})).unwrap();
    assert_eq!((relented, announced(&town)), (made, Some(cutting.clone())));
    confirm(&mut town, &asked);
    assert_eq!(announced(&town), Some(cutting.clone()), "the former keys are not cut off yet");
    confirm(&mut town, &cutting);
    assert_eq!((announced(&town), signing(&town)), (None, asked.keys.connection.clone()));
    pass_days(&mut town, 1);
    assert_eq!(issuer_of_bobs(&town, id), asked.keys.connection);

    let keys: KeyInventory = town.ask(ALICE, "key.list", json!({})).unwrap();
    let signs = keys.keys.iter().find(|key| key.role == KeyUse::ConnectionSigning).unwrap();
    assert_eq!((&signs.id, signs.policy), (&asked.keys.connection, KeyPolicy::Signing));
    assert_eq!((signs.since, signs.next_rotation), (Some(asked.since), Some(asked.since.plus_ms(LIFE_MS))));
}

/// Tokens tell their end in whole seconds; what is signed anew within the second in which the former one was signed counts all the
/// same. Else a cut right after connecting would leave the peer outside until half of the credential's life is over.
#[test]
fn keys_that_change_within_a_second_leave_the_peer_with_what_the_newest_ones_signed() {
    let mut town = Town::settled(92);
    let id = town.connect();
    let second = town.now.plus_ms(1000 - town.now.unix_ms() % 1000);
    for passed_ms in [0, 300, 600] {
        town.now = second.plus_ms(passed_ms);
        let _: Value = town.ask(ALICE, "key.rotate", json!({"cuts_off": true})).unwrap();
        let asked = announced(&town).unwrap();
        confirm(&mut town, &asked);
        while town.handle(ALICE, &[Event::Tick]).is_none() {}
        while town.deliver() {}
        assert_eq!(town.now, second.plus_ms(passed_ms), "time passed");
        assert_eq!(issuer_of_bobs(&town, id), asked.keys.connection, "after {passed_ms} ms");
    }
}

//! What the owner notes about connections, how they are found, and what is left when one ends.

use crate::town::{ALICE, BOB, DAY_MS, Town};
use serde_json::{Value, json};
use vettid_wire::connection::{ConnectionList, ConnectionState, ConnectionView, RevocationReason, RevokedBy};
use vettid_wire::id::ConnectionId;
use vettid_wire::refusal::RefusalCode;

fn found(town: &mut Town, asked: Value) -> Vec<ConnectionId> {
    let list: ConnectionList = town.ask(ALICE, "connection.list", asked).unwrap();
    list.connections.into_iter().map(|view| view.connection_id).collect()
}

#[test]
fn connections_have_names_and_tags_of_their_owners_own_and_are_found_by_them() {
    let mut town = Town::settled(90);
    let (bob, shop) = (town.connect(), town.connect_shop());
    let label = json!({"connection_id": bob, "label": "Bob from the choir"});
    let named: ConnectionView = town.ask(ALICE, "connection.label", label).unwrap();
    assert_eq!(named.label.as_deref(), Some("Bob from the choir"));
    for (id, tags) in [(bob, json!(["choir", "friend"])), (shop, json!(["friend"]))] {
        let _: ConnectionView = town.ask(ALICE, "connection.tag", json!({"connection_id": id, "add": tags})).unwrap();
    }
    assert_eq!(found(&mut town, json!({})), [bob, shop]);
    assert_eq!(found(&mut town, json!({"tags": ["friend"]})), [bob, shop]);
    assert_eq!(found(&mut town, json!({"tags": ["friend", "choir"]})), [bob]);
    for text in ["FROM THE", "bob", "choi"] {
        assert_eq!(found(&mut town, json!({"text": text})), [bob], "{text}");
    }
    assert_eq!(found(&mut town, json!({"text": "nobody"})), []);
    assert_eq!(found(&mut town, json!({"state": "revoked"})), []);
    assert_eq!(found(&mut town, json!({"state": "active", "after": bob})), [shop]);
    let taken = json!({"connection_id": bob, "add": ["old"], "remove": ["friend"]});
    let view: ConnectionView = town.ask(ALICE, "connection.tag", taken).unwrap();
    assert_eq!(view.tags.iter().map(|tag| tag.as_str()).collect::<Vec<_>>(), ["choir", "old"]);
    let none: ConnectionView = town.ask(ALICE, "connection.label", json!({"connection_id": bob})).unwrap();
    assert_eq!(none.label, None);
    let his = town.view(BOB, bob);
    assert_eq!((his.label, his.tags.len()), (None, 0), "the other side sees nothing of it");
    town.check(ALICE);
}

#[test]
fn labels_and_tags_have_bounds() {
    let mut town = Town::settled(91);
    let bob = town.connect();
    for label in ["", " ", "two\nlines", &"x".repeat(61)] {
        let asked = town.ask::<Value>(ALICE, "connection.label", json!({"connection_id": bob, "label": label}));
        assert_eq!(asked, Err(RefusalCode::InvalidRequest), "{label:?}");
    }
    let many: Vec<String> = (0..17).map(|n| format!("tag{n}")).collect();
    let asked = town.ask::<Value>(ALICE, "connection.tag", json!({"connection_id": bob, "add": many}));
    assert_eq!(asked, Err(RefusalCode::InvalidRequest));
    let nobody: ConnectionId = "018f6b1e-7c1a-7000-8000-000000000001".parse().unwrap();
    let asked = town.ask::<Value>(ALICE, "connection.label", json!({"connection_id": nobody, "label": "x"}));
    assert_eq!(asked, Err(RefusalCode::NotFound));
}

#[test]
fn the_note_of_an_invitation_becomes_the_name_of_whoever_answers() {
    let mut town = Town::settled(92);
    let invited: Value = town.ask(ALICE, "connection.invite", json!({"label": "The new neighbour"})).unwrap();
    let view: ConnectionView = town.ask(BOB, "connection.accept", json!({"link": invited["link"]})).unwrap();
    town.run();
    let hers = town.view(ALICE, view.connection_id);
    assert_eq!((hers.label.as_deref(), hers.display_name.as_str()), (Some("The new neighbour"), "Bob"));
    assert_eq!(town.view(BOB, view.connection_id).label, None);
}

fn open_invitations(town: &mut Town) -> Vec<Value> {
    let list: Value = town.ask(ALICE, "connection.invitation.list", json!({})).unwrap();
    list["invitations"].as_array().unwrap().clone()
}

#[test]
fn an_invitation_is_listed_until_it_is_answered_or_taken_back() {
    let mut town = Town::settled(97);
    let made = |town: &mut Town, label: &str, life: u32| -> Value {
        town.now = town.now.plus_ms(1);
        town.ask(ALICE, "connection.invite", json!({"label": label, "life_seconds": life})).unwrap()
    };
    let (kept, back) = (made(&mut town, "kept", 600), made(&mut town, "taken back", 600));
    made(&mut town, "short", 60);
    let labels = |open: &[Value]| open.iter().map(|one| one["label"].clone()).collect::<Vec<_>>();
    assert_eq!(labels(&open_invitations(&mut town)), ["kept", "taken back", "short"]);
    assert!(!open_invitations(&mut town).iter().any(|one| one.to_string().contains("#")), "a list shows no link");

    let taken = json!({"invite_id": back["invite_id"]});
    let _: Value = town.ask(ALICE, "connection.uninvite", taken.clone()).unwrap();
    assert_eq!(town.ask::<Value>(ALICE, "connection.uninvite", taken), Err(RefusalCode::NotFound));
    assert_eq!(town.nodes[ALICE].vault.to_cut_off().unwrap().len(), 1, "its holder stays at the broker");
    town.nodes[ALICE].crash();
    for (link, arrives) in [(&back["link"], false), (&kept["link"], true)] {
        let view: ConnectionView = town.ask(BOB, "connection.accept", json!({"link": link})).unwrap();
        town.run();
        let hers: Result<ConnectionView, _> =
            town.ask(ALICE, "connection.review", json!({"connection_id": view.connection_id}));
        assert_eq!(hers.is_ok(), arrives, "{hers:?}");
    }
    assert_eq!(labels(&open_invitations(&mut town)), ["short"], "what was answered is not open");
    let answered = json!({"invite_id": kept["invite_id"]});
    assert_eq!(town.ask::<Value>(ALICE, "connection.uninvite", answered), Err(RefusalCode::NotFound));
    town.now = town.now.plus_ms(61_000);
    assert_eq!(open_invitations(&mut town), [] as [Value; 0]);
    town.check(ALICE);
}

/// The places of Alice's state in which this stands.
fn keeping(town: &Town, what: &[u8]) -> Vec<String> {
    let has = |value: &[u8]| value.windows(what.len()).any(|part| part == what);
    let state = town.nodes[ALICE].vault.state().all();
    state.into_iter().filter(|(_, value)| value.as_deref().is_some_and(has)).map(|(key, _)| key).collect()
}

#[test]
fn of_an_ended_connection_its_name_remains_and_nothing_to_reach_it_with() {
    for ends in [ALICE, BOB] {
        let mut town = Town::new(93);
        for (who, name, city) in [(ALICE, "Alice", "Altona"), (BOB, "Bob", "Barmbek")] {
            town.enrol(who);
            let public = json!({"first_name": name, "more": {"city": city}});
            let _: Value = town.ask(who, "profile.update", json!({"public": public})).unwrap();
        }
        let id = town.connect();
        let _: Value = town.ask(BOB, "messaging.send", json!({"connection_id": id, "text": "remember me"})).unwrap();
        town.run();
        let seed = town.nodes[ALICE].vault.connection(id).unwrap().unwrap().nkey_seed.duplicate();
        assert!(!keeping(&town, b"Barmbek").is_empty());
        let body = json!({"connection_id": id, "reason": "key_compromise"});
        let _: ConnectionView = town.ask(ends, "connection.revoke", body).unwrap();
        town.run();
        town.now = town.now.plus_ms(DAY_MS);
        town.tick();
        town.resume(ALICE, true);
        let view = town.view(ALICE, id);
        let by = if ends == ALICE { RevokedBy::Owner } else { RevokedBy::Peer };
        let ending = view.ending.unwrap();
        assert_eq!((view.state, ending.by), (ConnectionState::Revoked, by));
        assert_eq!(ending.reason, Some(RevocationReason::KeyCompromise));
        assert_eq!((view.display_name.as_str(), view.peer), ("Bob", Some(town.nodes[BOB].guid)));
        assert!(view.profile.is_none() && view.safety_number.is_none());
        let kept = keeping(&town, b"Barmbek");
        assert!(kept.is_empty(), "the profile is gone: {kept:?}");
        let left = town.nodes[ALICE].vault.connection(id).unwrap().unwrap();
        assert!(left.jwt.is_none() && left.nkey_seed != seed, "nothing to reach the other side with is left");
        assert_eq!(town.texts(ALICE, id, "received"), [(1, "remember me".to_owned())], "what was said stays");
        town.check(ALICE);
    }
}

#[test]
fn a_page_of_the_list_is_as_short_as_is_asked_for() {
    let mut town = Town::settled(93);
    let mut all = [town.connect(), town.connect_shop()];
    all.sort_unstable();
    let page = |town: &mut Town, asked: Value| -> Result<ConnectionList, RefusalCode> {
        town.ask(ALICE, "connection.list", asked)
    };
    let first = page(&mut town, json!({"limit": 1})).unwrap();
    assert_eq!((first.connections[0].connection_id, first.connections.len(), first.more), (all[0], 1, true));
    let second = page(&mut town, json!({"limit": 1, "after": all[0]})).unwrap();
    assert_eq!((second.connections[0].connection_id, second.connections.len(), second.more), (all[1], 1, false));
    for limit in [0, 201] {
        assert_eq!(page(&mut town, json!({"limit": limit})).unwrap_err(), RefusalCode::InvalidRequest, "{limit}");
    }
}

#[test]
fn a_list_of_many_leaves_none_out() {
    let mut town = Town::settled(94);
    let mut all: Vec<_> = (0..40).map(|_| town.connect()).collect();
    all.sort_unstable();
    assert_eq!(found(&mut town, json!({})), all);
    for at in [0, 14, 15, 16, 17, 39] {
        assert_eq!(found(&mut town, json!({"after": all[at]})), all[at + 1..], "{at}");
    }
}

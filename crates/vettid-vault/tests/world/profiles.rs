//! Profiles: what each connection sees of them, and how contacts keep themselves up to date.

use crate::town::{ALICE, BOB, DAY_MS, Town};
use serde_json::{Value, json};
use vettid_core::channel::Channel;
use vettid_wire::connection::ConnectionView;
use vettid_wire::envelope::Content;
use vettid_wire::event::EventType;
use vettid_wire::id::ConnectionId;
use vettid_wire::profile::{ItemValue, ProfileItems, SignedProfile};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::subject::Subject;

fn set(town: &mut Town, name: &str, value: Value, audience: Value) -> Result<ProfileItems, RefusalCode> {
    town.ask(ALICE, "profile.item.set", json!({"name": name, "value": value, "audience": audience}))
}

fn preview(town: &mut Town, id: Option<ConnectionId>) -> SignedProfile {
    let asked = id.map_or(json!({}), |id| json!({"connection_id": id}));
    town.ask(ALICE, "profile.preview", asked).unwrap()
}

/// Names of the items that Bob knows of Alice.
fn known(town: &mut Town, id: ConnectionId) -> Vec<String> {
    town.view(BOB, id).profile.unwrap().items.into_keys().collect()
}

/// What Alice's vault published for everybody.
fn published(town: &Town) -> Vec<Vec<u8>> {
    let posts = town.log.iter().filter(|post| post.subject == Subject::OwnerProfile(town.nodes[ALICE].guid));
    posts.map(|post| post.bytes.as_bytes().to_vec()).collect()
}

/// The keys of Alice's side of a connection, as a vault has them that went back to an earlier state.
fn channel(town: &Town, id: ConnectionId) -> Channel {
    let state = town.nodes[ALICE].vault.state().all();
    let is_it = |key: &String| key.starts_with("channel/") && key.ends_with(&id.to_string());
    let (_, value) = state.into_iter().find(|(key, _)| is_it(key)).unwrap();
    serde_json::from_slice(&value.unwrap()).unwrap()
}

/// Upkeep runs on both sides, and what it sends arrives.
fn settle(town: &mut Town) {
    town.tick();
    town.run();
}

#[test]
fn each_connection_sees_what_it_may_and_nothing_else() {
    let mut town = Town::settled(100);
    let (bob, shop) = (town.connect(), town.connect_shop());
    set(&mut town, "age", json!({"age": {"band": [30, 39]}}), json!({"everybody": true})).unwrap();
    set(&mut town, "home", json!({"location": "Hamburg"}), json!({"tags": ["friend"]})).unwrap();
    set(&mut town, "mail", json!({"text": "a@mail.example"}), json!({"connections": [bob]})).unwrap();
    set(&mut town, "site", json!({"link": "https://alice.example"}), json!({})).unwrap();
    let names = |profile: &SignedProfile| profile.items.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&preview(&mut town, None)), ["age"]);
    assert_eq!(names(&preview(&mut town, Some(shop))), ["age"]);
    assert_eq!(names(&preview(&mut town, Some(bob))), ["age", "mail"]);
    settle(&mut town);
    assert_eq!(known(&mut town, bob), ["age", "mail"], "as the preview says");
    // A tag widens what Bob sees, and taking it off narrows it again.
    for (tag, sees) in [("add", vec!["age", "home", "mail"]), ("remove", vec!["age", "mail"])] {
        let _: ConnectionView =
            town.ask(ALICE, "connection.tag", json!({"connection_id": bob, tag: ["friend"]})).unwrap();
        settle(&mut town);
        assert_eq!(known(&mut town, bob), sees, "{tag}");
    }
    let _: ProfileItems = town.ask(ALICE, "profile.item.remove", json!({"name": "mail"})).unwrap();
    settle(&mut town);
    assert_eq!(known(&mut town, bob), ["age"]);
    let published = published(&town);
    assert!(!published.is_empty());
    for bytes in published {
        let text = String::from_utf8(bytes).unwrap();
        assert!(
            !text.contains("Hamburg") && !text.contains("a@mail.example") && !text.contains("alice.example"),
            "{text}"
        );
    }
    town.check(ALICE);
    town.check(BOB);
}

#[test]
fn a_profile_says_what_its_vault_takes() {
    let mut town = Town::settled(101);
    let profile = preview(&mut town, None);
    let text = profile.supported.iter().find(|event| event.event_type == "messaging.text").unwrap();
    assert!(!text.version.is_empty() && text.permissions.contains(&"store".to_owned()), "{text:?}");
    assert!(!profile.supported.iter().any(|event| event.event_type == "messaging.send"), "commands are the owner's");
}

#[test]
fn contacts_keep_themselves_up_to_date() {
    let mut town = Town::settled(102);
    let id = town.connect();
    let before = town.view(BOB, id).profile.unwrap();
    let changed = json!({"public": {"first_name": "Alicia", "more": {"city": "Kiel"}}});
    let _: Value = town.ask(ALICE, "profile.update", changed).unwrap();
    settle(&mut town);
    let view = town.view(BOB, id);
    let after = view.profile.unwrap();
    assert_eq!((view.display_name.as_str(), after.public.more["city"].as_str()), ("Alicia", "Kiel"));
    assert!(after.sequence > before.sequence);
    assert!(town.feed(BOB).entries.iter().any(|entry| entry.summary == "Alice is called Alicia now"));
    // Nothing is sent while nothing changes.
    let sent = town.log.len();
    settle(&mut town);
    assert_eq!(town.log.len(), sent);
}

#[test]
fn a_profile_is_renewed_before_it_runs_out() {
    let mut town = Town::settled(103);
    let id = town.connect();
    for _ in 0..90 {
        town.pass_half_day();
    }
    town.resume(BOB, true);
    let view = town.view(BOB, id);
    let profile = view.profile.unwrap();
    assert!(!view.profile_stale && profile.valid_until.since_ms(town.now) > 9 * DAY_MS, "{}", profile.valid_until);
    assert!(
        !town.feed(BOB).entries.iter().any(|entry| entry.summary.contains("has a new profile")),
        "it says what it said"
    );
}

#[test]
fn a_profile_that_ran_out_stays_and_is_marked() {
    let mut town = Town::settled(104);
    let id = town.connect();
    town.away = Some(ALICE);
    for _ in 0..62 {
        town.pass_half_day();
    }
    town.resume(BOB, true);
    let view = town.view(BOB, id);
    assert!(view.profile_stale);
    assert_eq!(view.profile.unwrap().public.first_name, "Alice");
}

/// A vault that went back to an earlier state says what it said before: nobody believes it, and it shows.
#[test]
fn an_earlier_profile_replaces_nothing() {
    let mut town = Town::settled(105);
    let id = town.connect();
    let old = preview(&mut town, Some(id));
    let newer = json!({"public": {"first_name": "Alicia"}});
    let _: Value = town.ask(ALICE, "profile.update", newer).unwrap();
    settle(&mut town);
    assert!(!town.view(BOB, id).profile_stale);
    let mut channel = channel(&town, id);
    let mut later = |town: &mut Town, profile: Value| {
        let (event_id, event_type) = (town.fresh_event(), "profile.changed".parse::<EventType>().unwrap());
        let subject = Subject::ForOwner(town.nodes[BOB].guid, id, event_type.clone());
        let content =
            Content { body: json!({"profile": profile}), to_incarnation: 1, in_reply_to: None, expires_at: None };
        let bytes = channel.seal(town.now, &mut town.rng, &subject, event_id, &event_type, &content).unwrap();
        town.post(subject, bytes);
        town.run();
        town.view(BOB, id)
    };
    let view = later(&mut town, serde_json::to_value(&old).unwrap());
    assert!(view.profile_stale, "an earlier one came");
    assert_eq!(view.display_name, "Alicia");
    // What nobody signed changes nothing.
    let mut forged = serde_json::to_value(&old).unwrap();
    forged["sequence"] = json!(1_000);
    assert_eq!(later(&mut town, forged).display_name, "Alicia");
    // The next true one makes it good.
    let _: Value = town.ask(ALICE, "profile.update", json!({"public": {"first_name": "Alice"}})).unwrap();
    settle(&mut town);
    let view = town.view(BOB, id);
    assert!(!view.profile_stale);
    assert_eq!(view.display_name, "Alice");
}

#[test]
fn items_have_bounds() {
    let mut town = Town::settled(106);
    let nobody = json!({});
    for (name, value) in [
        ("Age", json!({"age": {"years": 34}})),
        ("age", json!({"age": {"band": [40, 30]}})),
        ("site", json!({"link": "http://plain.example"})),
        ("home", json!({"location": ""})),
    ] {
        assert_eq!(set(&mut town, name, value, nobody.clone()), Err(RefusalCode::InvalidRequest), "{name}");
    }
    for number in 0..40 {
        set(&mut town, &format!("item{number}"), json!({"text": "x"}), nobody.clone()).unwrap();
    }
    assert_eq!(set(&mut town, "one_more", json!({"text": "x"}), nobody.clone()), Err(RefusalCode::InvalidRequest));
    let changed = set(&mut town, "item0", json!({"text": "y"}), nobody).unwrap();
    assert_eq!(changed.items[0].value, ItemValue::Text("y".into()));
    let gone = town.ask::<Value>(ALICE, "profile.item.remove", json!({"name": "nothing"}));
    assert_eq!(gone, Err(RefusalCode::NotFound));
}

/// What the shop was told of Alice last, and how often it was told.
fn told(town: &Town) -> (usize, Option<SignedProfile>) {
    let all = town.shop.got.iter().filter(|(name, ..)| name == "profile.changed");
    let profiles: Vec<SignedProfile> =
        all.map(|(_, body, _)| serde_json::from_value(body["profile"].clone()).unwrap()).collect();
    (profiles.len(), profiles.last().cloned())
}

#[test]
fn a_service_is_told_what_it_may_see_and_when_that_changes() {
    let mut town = Town::settled(107);
    let (bob, shop) = (town.connect(), town.connect_shop());
    settle(&mut town);
    assert_eq!(told(&town).0, 0, "the handshake told all of it");
    set(&mut town, "mail", json!({"text": "a@mail.example"}), json!({"connections": [bob]})).unwrap();
    settle(&mut town);
    assert_eq!(told(&town).0, 0, "nothing changed for the shop");
    set(&mut town, "age", json!({"age": {"band": [30, 39]}}), json!({"connections": [shop]})).unwrap();
    settle(&mut town);
    let (times, profile) = told(&town);
    let first = profile.unwrap();
    assert_eq!(
        (times, first.items.keys().map(String::as_str).collect::<Vec<_>>()),
        (1, vec!["age"]),
        "as the preview says"
    );
    let _: Value = town.ask(ALICE, "profile.update", json!({"public": {"first_name": "Alicia"}})).unwrap();
    settle(&mut town);
    let (times, profile) = told(&town);
    let second = profile.unwrap();
    assert_eq!((times, second.public.first_name.as_str()), (2, "Alicia"));
    assert!(second.sequence > first.sequence);
    vettid_crypto::profile::verify(second, town.now).unwrap();
    town.check(ALICE);
}

#[test]
fn a_new_profile_of_a_service_is_taken_and_an_earlier_or_foreign_one_is_not() {
    let mut town = Town::settled(108);
    let id = town.connect_shop();
    let later = |town: &mut Town, profile: SignedProfile| {
        let now = town.now;
        let (_, (subject, bytes)) = town.shop.seal("profile.changed", json!({"profile": profile}), now, &mut town.rng);
        town.post(subject, bytes);
        town.run();
        let view = town.view(ALICE, id);
        (view.display_name, view.profile_stale)
    };
    let of = |town: &Town, name: &str, sequence| town.shop.profile_of(&town.shop.signing, name, sequence, town.now);
    let newer = of(&town, "Better Shop", 5);
    assert_eq!(later(&mut town, newer), ("Better Shop".into(), false));
    assert!(town.feed(ALICE).entries.iter().any(|entry| entry.summary == "Shop is called Better Shop now"));
    let earlier = of(&town, "Old Shop", 4);
    assert_eq!(later(&mut town, earlier), ("Better Shop".into(), true), "an earlier one is marked");
    let forged = SignedProfile { sequence: 9, ..of(&town, "Forged Shop", 8) };
    assert_eq!(later(&mut town, forged).0, "Better Shop");
    let mut member = of(&town, "A Member", 10);
    member.service = None;
    let key = &town.shop.signing;
    let signed = vettid_crypto::signature::sign_object(vettid_crypto::signature::Context::Profile, key, &member);
    let member = serde_json::from_value(signed.unwrap()).unwrap();
    assert_eq!(later(&mut town, member).0, "Better Shop", "a service does not become a member");
    let next = of(&town, "Best Shop", 11);
    assert_eq!(later(&mut town, next), ("Best Shop".into(), false));
}

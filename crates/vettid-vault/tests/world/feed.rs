//! The feed as its owner uses it: everything is in it, what is asked for is found, and what is removed is gone from the feed
//! and from nowhere else.

#[path = "../../../vettid-core/tests/feed/model.rs"]
#[expect(dead_code, reason = "its own crate tests policies with it, too")]
mod model;

use crate::flows::request_id;
use crate::node::clocks;
use crate::town::{ALICE, BOB, DAY_MS, Faults, Town};
use model::Model;
use rand::RngExt;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use vettid_core::allowance::{Limit, Limits};
use vettid_vault::manager::{Event, Handled};
use vettid_wire::audit::ExportedEntry;
use vettid_wire::contract::Rate;
use vettid_wire::event::{EventRow, FeedItem};
use vettid_wire::feed::{
    AuditStretch, FeedChanged, FeedPolicy, Filter, FoundEntries, MarkedEntry, Shelf, UnreadCounts,
};
use vettid_wire::id::ConnectionId;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::subject::Subject;

fn search(town: &mut Town, filter: &Filter) -> Vec<MarkedEntry> {
    let found: FoundEntries = town.ask(ALICE, "feed.search", json!({"filter": filter, "limit": 200})).unwrap();
    assert_eq!((found.entries.len() as u64, found.next_before), (found.found, None));
    found.entries
}

fn text(text: &str) -> Filter {
    Filter { text: Some(text.to_owned()), shelf: Shelf::All, ..Filter::default() }
}

fn unread(town: &mut Town) -> UnreadCounts {
    town.ask(ALICE, "feed.unread", json!({})).unwrap()
}

fn changed(town: &mut Town, name: &str, body: Value) -> u64 {
    town.ask::<FeedChanged>(ALICE, name, body).unwrap().changed
}

fn audit(town: &mut Town) -> Vec<ExportedEntry> {
    let stretch: AuditStretch = town.ask(ALICE, "audit.export", json!({"from": 0, "limit": 500})).unwrap();
    assert_eq!(stretch.entries.len() as u64, stretch.size);
    stretch.entries
}

/// Alice and Bob are connected, and he wrote three times.
fn after_three_texts(seed: u64) -> (Town, ConnectionId) {
    let mut town = Town::settled(seed);
    let id = town.connect();
    for n in 1..=3 {
        let _: Value = town.ask(BOB, "messaging.send", json!({"connection_id": id, "text": n.to_string()})).unwrap();
        town.run();
    }
    (town, id)
}

/// What changes something is told, and what the owner did needs nobody to look at it.
#[test]
fn every_act_is_in_the_feed() {
    let mut town = Town::settled(300);
    let id = town.connect();
    let acts = [
        ("data.set", json!({"field": "address", "value": "Elm 1"}), "You stored your address"),
        ("data.remove", json!({"field": "address"}), "You removed your address"),
        ("profile.update", json!({"public": {"first_name": "Alicia"}}), "You published a new version of your profile"),
        ("messaging.send", json!({"connection_id": id, "text": "hello"}), "You wrote to Bob"),
        ("vault.lock.auto", json!({"idle_minutes": 10}), "You changed when your vault locks itself"),
        ("connection.verify", json!({"connection_id": id}), "You verified Bob"),
        ("connection.invite", json!({}), "You made an invitation"),
        ("feed.policy", json!({"policy": {}}), "You changed what happens to old entries of your feed"),
        (
            "connection.revoke",
            json!({"connection_id": id, "reason": "user_requested"}),
            "You ended the connection with Bob",
        ),
    ];
    for (name, body, summary) in acts {
        let before = unread(&mut town);
        let newest = town.feed(ALICE).entries.first().map_or(0, |entry| entry.number);
        let _: Value = town.ask(ALICE, name, body).unwrap();
        let told: Vec<_> = search(&mut town, &Filter { shelf: Shelf::All, ..Filter::default() })
            .into_iter()
            .filter(|marked| marked.entry.number > newest)
            .collect();
        assert_eq!(told.len(), 1, "{name}: {told:?}");
        assert_eq!((told[0].entry.summary.as_str(), told[0].is_read), (summary, true), "{name}");
        assert_eq!(told[0].entry.event_type.as_str(), name);
        assert_eq!(unread(&mut town), before, "{name}");
    }
    let newest = town.feed(ALICE).entries[0].number;
    for (name, body) in [("data.list", json!({})), ("feed.read", json!({"up_to": newest}))] {
        let _: Value = town.ask(ALICE, name, body).unwrap();
        assert_eq!(town.feed(ALICE).entries[0].number, newest, "{name}");
    }
}

#[test]
fn entries_are_found_seen_tagged_archived_and_removed() {
    let (mut town, id) = after_three_texts(301);
    let texts = search(&mut town, &text("mess BÖB"));
    assert_eq!(texts.len(), 3);
    assert!(texts.iter().all(|marked| marked.entry.summary == "New message from Bob" && !marked.is_read));
    let numbers: Vec<u64> = texts.iter().map(|marked| marked.entry.number).collect();
    let counts = unread(&mut town);
    let of_bob = counts.connections.iter().find(|of| of.connection_id == id).unwrap().unread;

    assert_eq!(changed(&mut town, "feed.read", json!({"numbers": [numbers[0], 999]})), 1);
    assert_eq!(changed(&mut town, "feed.read", json!({"numbers": [numbers[0]]})), 0);
    let now = unread(&mut town);
    assert_eq!((now.unread, now.connections[0].unread), (counts.unread - 1, of_bob - 1));

    let tagged = json!({"numbers": [numbers[1]], "add": ["tax", "2026"], "remove": []});
    assert_eq!(changed(&mut town, "feed.tag", tagged), 1);
    assert_eq!(changed(&mut town, "feed.archive", json!({"numbers": [numbers[1]], "archive": true})), 1);
    town.snapshot(ALICE);
    town.nodes[ALICE].crash();
    let tags: BTreeSet<_> = ["tax".parse().unwrap()].into();
    let current = Filter { tags: tags.clone(), ..Filter::default() };
    assert_eq!(search(&mut town, &current), []);
    let archived = search(&mut town, &Filter { shelf: Shelf::Archive, ..current });
    assert_eq!(archived.len(), 1);
    assert_eq!((archived[0].entry.number, archived[0].archived_at), (numbers[1], Some(town.now)));
    assert_eq!(search(&mut town, &text("tax 202"))[0].entry.number, numbers[1], "a tag is a word");

    let before = audit(&mut town);
    assert_eq!(changed(&mut town, "feed.remove", json!({"numbers": numbers})), 3);
    let after = audit(&mut town);
    assert!(
        after.len() == before.len() + 1 && after.starts_with(&before),
        "the chain keeps what it has, and the removal"
    );
    assert_eq!(search(&mut town, &text("message")), []);
    assert_eq!(town.ask::<MarkedEntry>(ALICE, "feed.get", json!({"number": numbers[0]})), Err(RefusalCode::NotFound));
    let stored = town.nodes[ALICE].vault.state().all();
    assert!(!stored.keys().any(|key| key.contains(&format!("{:020}", numbers[1])) && key.starts_with("feed")));
    assert_eq!(town.texts(ALICE, id, "received").len(), 3, "the messages are not the feed");
    town.check(ALICE);
}

#[test]
fn everything_is_seen_up_to_an_entry() {
    let (mut town, _) = after_three_texts(302);
    let newest = town.feed(ALICE).entries[0].number;
    assert_eq!(changed(&mut town, "feed.read", json!({"up_to": newest - 1})), newest - 1);
    assert_eq!(unread(&mut town).unread, 1);
    assert_eq!(changed(&mut town, "feed.read", json!({"up_to": 1})), 0);
    assert_eq!(unread(&mut town).unread, 1, "what was seen stays seen");
    assert_eq!(changed(&mut town, "feed.read", json!({"up_to": u64::from(u32::MAX)})), 1);
    let _: Value = town.ask(BOB, "profile.get", json!({})).unwrap();
    assert_eq!(unread(&mut town), UnreadCounts { unread: 0, urgent: 0, connections: vec![] });
}

#[test]
fn what_is_too_much_is_refused_and_changes_nothing() {
    let (mut town, _) = after_three_texts(303);
    let many: Vec<u64> = (1..=201).collect();
    let tags: Vec<String> = (0..9).map(|n| format!("t{n}")).collect();
    let wrong = [
        ("feed.remove", json!({"numbers": many})),
        ("feed.archive", json!({"numbers": many, "archive": true})),
        ("feed.read", json!({"numbers": many})),
        ("feed.tag", json!({"numbers": [1], "add": tags, "remove": []})),
        ("feed.tag", json!({"numbers": [1], "add": ["Two Words"], "remove": []})),
        ("feed.search", json!({"filter": text(&"x".repeat(257)), "limit": 1})),
        ("feed.policy", json!({"policy": {"archive_after_days": 0}})),
    ];
    let state = |town: &Town| {
        let all = town.nodes[ALICE].vault.state().all();
        all.into_iter().filter(|(key, _)| key.starts_with("feed")).collect::<Vec<_>>()
    };
    let before = state(&town);
    for (name, body) in wrong {
        assert_eq!(town.ask::<Value>(ALICE, name, body), Err(RefusalCode::InvalidRequest), "{name}");
    }
    assert_eq!(state(&town), before);
}

#[test]
fn a_policy_archives_then_removes_and_leaves_alarms_that_nobody_saw() {
    let (mut town, _) = after_three_texts(304);
    let subject = Subject::ForVault(town.nodes[ALICE].guid, "data.get".parse().unwrap());
    town.handle(ALICE, &[Event::Quarantine { subject, bytes: vec![7] }]);
    let warning = town.feed(ALICE).entries[0].number;
    let policy = FeedPolicy { archive_after_days: Some(10), remove_archived_after_days: Some(20) };
    let set: FeedPolicy = town.ask(ALICE, "feed.policy", json!({"policy": policy})).unwrap();
    assert_eq!((set, town.ask(ALICE, "feed.policy", json!({}))), (policy, Ok(policy)));
    let all = search(&mut town, &text("")).len();
    // (days that pass, current entries, entries of the archive); setting the policy made the newest entry.
    for (days, current, archived) in [(0, all, 0), (9, all, 0), (1, 1, all - 1), (19, 1, all - 1), (1, 1, 0)] {
        town.now = town.now.plus_ms(days * DAY_MS);
        town.tick();
        town.resume(ALICE, true);
        let shelves = [Shelf::Current, Shelf::Archive].map(|shelf| Filter { shelf, ..Filter::default() });
        let counts = shelves.map(|filter| search(&mut town, &filter).len());
        assert_eq!(counts, [current, archived], "after {days} days more");
    }
    assert_eq!(search(&mut town, &text("")).len(), 1);
    assert_eq!(changed(&mut town, "feed.read", json!({"numbers": [warning]})), 1);
    for days in [1, 20] {
        town.now = town.now.plus_ms(days * DAY_MS);
        town.tick();
        town.resume(ALICE, true);
    }
    assert_eq!(search(&mut town, &text("")), []);
    let by_policy =
        |exported: &&ExportedEntry| exported.entry.actor == "vault" && exported.entry.event_type == "feed.policy";
    assert_eq!(audit(&mut town).iter().filter(by_policy).count(), 4, "each time is in the chain");
    town.check(ALICE);
}

/// Commands that arrive together share a commit: the later ones see what the earlier ones did.
#[test]
fn a_search_sees_what_the_same_commit_changes() {
    let (mut town, _) = after_three_texts(305);
    let numbers: Vec<u64> = search(&mut town, &text("message")).iter().map(|marked| marked.entry.number).collect();
    let commands = [
        ("feed.remove", json!({"numbers": [numbers[0]]})),
        ("feed.tag", json!({"numbers": [numbers[1]], "add": ["kept"], "remove": []})),
        ("feed.read", json!({"up_to": numbers[2]})),
        ("feed.search", json!({"filter": text("message"), "limit": 1})),
    ];
    let ids: Vec<_> = commands.iter().map(|_| town.fresh_event()).collect();
    let mut sealed = vec![];
    for ((name, body), id) in commands.iter().zip(&ids) {
        sealed.push(town.apps[ALICE].seal(name, body, *id, town.now, &mut town.rng));
    }
    let commits = town.nodes[ALICE].commits();
    assert_eq!(town.give(ALICE, sealed), Some(vec![Handled::Done; 4]));
    assert_eq!(town.nodes[ALICE].commits(), commits + 1);
    let found: FoundEntries = town.answer(ALICE, ids[3]).unwrap().unwrap();
    assert_eq!((found.found, found.next_before), (2, Some(numbers[1])));
    assert_eq!((found.entries[0].entry.number, found.entries[0].tags.len()), (numbers[1], 1));
    let rest: FoundEntries =
        town.ask(ALICE, "feed.search", json!({"filter": text("message"), "limit": 1, "before": numbers[1]})).unwrap();
    assert_eq!((rest.entries[0].entry.number, rest.entries[0].is_read, rest.next_before), (numbers[2], true, None));
}

/// One command of the owner, drawn at random, and what it does to the model.
fn random_command(town: &mut Town, model: &mut Model) {
    let most = model.entries.keys().last().copied().unwrap_or(1) + 2;
    let numbers: BTreeSet<u64> = (0..3).map(|_| town.rng.random_range(1..most)).collect();
    let known =
        |model: &Model| numbers.iter().filter(|number| model.entries.contains_key(number)).copied().collect::<Vec<_>>();
    match town.rng.random_range(0..6) {
        0 => {
            changed(town, "feed.remove", json!({"numbers": numbers}));
            model.entries.retain(|number, _| !numbers.contains(number));
        }
        1 | 2 => {
            let archive = town.rng.random_range(0..3) > 0;
            let now = town.now;
            changed(town, "feed.archive", json!({"numbers": numbers, "archive": archive}));
            for number in known(model) {
                let marked = model.entries.get_mut(&number).unwrap();
                marked.archived_at = archive.then(|| marked.archived_at.unwrap_or(now));
            }
        }
        3 => {
            let up_to = town.rng.random_range(0..most);
            changed(town, "feed.read", json!({"up_to": up_to}));
            model.read_up_to = model.read_up_to.max(up_to.min(most - 2));
        }
        _ => {
            changed(town, "feed.tag", json!({"numbers": numbers, "add": ["tax"], "remove": []}));
            for number in known(model) {
                model.entries.get_mut(&number).unwrap().tags.insert("tax".parse().unwrap());
            }
        }
    }
}

fn bad_day(seed: u64) {
    let (mut town, id) = after_three_texts(seed);
    let session = Limit { messages: Rate { count: 1_000_000, per_seconds: 60 }, ..Limit::SESSION };
    town.nodes.iter_mut().for_each(|node| node.limit(Limits { session, ..Limits::default() }));
    let mut model = Model::default();
    for marked in search(&mut town, &text("")) {
        model.entries.insert(marked.entry.number, marked);
    }
    town.faults = Faults { lose: 20, repeat: 25, crash: 15, reorder: true };
    for _ in 0..25 {
        random_command(&mut town, &mut model);
        let shelf = [Shelf::Current, Shelf::Archive, Shelf::All][town.rng.random_range(0..3)];
        let only_unread = town.rng.random_range(0..2) == 0;
        let tags = if town.rng.random_range(0..3) == 0 { ["tax".parse().unwrap()].into() } else { BTreeSet::new() };
        let connection_id = (town.rng.random_range(0..3) == 0).then_some(id);
        let filter = Filter { shelf, only_unread, tags, connection_id, ..Filter::default() };
        let found: Vec<u64> = search(&mut town, &filter).iter().map(|marked| marked.entry.number).collect();
        assert_eq!(found, model.matching(&filter), "seed {seed} {filter:?}");
    }
    town.check(ALICE);
}

#[test]
fn on_bad_days_the_feed_is_what_its_owner_made_of_it() {
    (310..330).for_each(bad_day);
}

/// Nobody waits for the push, and a service does wait for its answer.
#[test]
fn the_app_is_told_after_the_answer_has_left() {
    let mut town = Town::settled(88);
    let _: Value = town.ask(ALICE, "data.set", json!({"field": "email", "value": "a"})).unwrap();
    town.connect_shop();
    let id = request_id(&mut town);
    let body = town.shop.data_request("email", id);
    let (_, (subject, bytes)) = town.shop.seal("data.request", body, town.now, &mut town.rng);
    let Town { nodes, shop, now, rng, .. } = &mut town;
    let vault = &mut nodes[ALICE].vault;
    let answered = vault.handle(clocks(*now), rng, &[Event::Message { subject, bytes }]);
    let to: Vec<_> = answered.posts.iter().map(|post| post.subject.clone()).collect();
    assert!(matches!(to.as_slice(), [Subject::ForOwner(guid, ..)] if *guid == shop.guid), "{to:?}");
    vault.committed(&answered.commit.unwrap()).unwrap();
    let [Event::Told(entries)] = answered.afterwards.as_slice() else { panic!("{:?}", answered.afterwards) };
    assert_eq!(entries.len(), 1);
    let told = vault.handle(clocks(*now), rng, &answered.afterwards);
    let to: Vec<_> = told.posts.iter().map(|post| post.subject.clone()).collect();
    assert!(matches!(to.as_slice(), [Subject::ForApp(_, name, _)] if *name == FeedItem::ROW.event_type()), "{to:?}");
    assert_eq!((told.handled, told.afterwards.len()), (vec![Handled::Done], 0));
}

//! Calls between Alice and Bob: who rings, who hears what, and that nothing of what their apps say is stored anywhere.

use crate::node::Crash;
use crate::town::{ALICE, BOB, Faults, MINUTE_MS, Town};
use rand::RngExt;
use serde_json::{Value, json};
use vettid_core::call::LONGEST_MS;
use vettid_wire::call::{CallDetail, CallList, CallState, CallView, EndReason, RING_MS};
use vettid_wire::envelope::Envelope;
use vettid_wire::id::{CallId, ConnectionId};
use vettid_wire::json as vjson;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::subject::Subject;

const OFFER: &str = "v=0\r\no=offer-canary 1 1 IN IP4 192.0.2.1\r\n";
const ANSWER: &str = "v=0\r\no=answer-canary 1 1 IN IP4 192.0.2.2\r\n";

fn verified(seed: u64) -> (Town, ConnectionId) {
    let mut town = Town::settled(seed);
    let id = town.connect();
    for who in [ALICE, BOB] {
        let _: Value = town.ask(who, "connection.verify", json!({"connection_id": id})).unwrap();
    }
    (town, id)
}

fn fresh_call(town: &mut Town) -> CallId {
    CallId::from_bytes(town.fresh_event().to_bytes())
}

fn place(town: &mut Town, who: usize, id: ConnectionId) -> CallId {
    let call_id = fresh_call(town);
    let body = json!({"call_id": call_id, "connection_id": id, "description": OFFER});
    let view: CallView = town.ask(who, "call.offer", body).unwrap();
    assert_eq!(view.state, CallState::Calling);
    call_id
}

fn answer(town: &mut Town, who: usize, call_id: CallId) -> Result<CallView, RefusalCode> {
    town.ask(who, "call.answer", json!({"call_id": call_id, "description": ANSWER}))
}

fn get(town: &mut Town, who: usize, call_id: CallId) -> Result<CallDetail, RefusalCode> {
    town.ask(who, "call.get", json!({"call_id": call_id}))
}

fn state(town: &mut Town, who: usize, call_id: CallId) -> CallState {
    get(town, who, call_id).unwrap().call.state
}

fn reason(town: &mut Town, who: usize, call_id: CallId) -> Option<EndReason> {
    get(town, who, call_id).unwrap().call.reason
}

fn pass(town: &mut Town, seconds: i64) {
    for _ in 0..seconds {
        town.tick();
        town.run();
    }
}

/// Sentences of the feed about calls, newest first.
fn told(town: &mut Town, who: usize) -> Vec<String> {
    let feed = town.feed(who);
    let of_calls = feed.entries.into_iter().filter(|entry| entry.event_type.as_str().starts_with("call."));
    of_calls.map(|entry| entry.summary).collect()
}

/// What was pushed to an app about calls and not looked at yet.
fn pushed(town: &mut Town, who: usize) -> Vec<CallDetail> {
    let is_push = |subject: &Subject| matches!(subject, Subject::ForApp(_, name, _) if name.as_str() == "call.changed");
    let guid = town.nodes[who].guid;
    let mut all: Vec<_> = town
        .answers
        .values()
        .flatten()
        .filter(|(subject, _)| is_push(subject) && subject.member() == Some(guid))
        .cloned()
        .collect();
    all.sort_by_key(|(_, bytes)| Envelope::read(bytes).unwrap().sequence);
    let opened = all.iter().filter_map(|(subject, bytes)| town.apps[who].open(subject, bytes));
    opened.map(|content| vjson::from_value(content.body).unwrap()).collect()
}

/// Nothing of what the apps said is in anything that was ever committed.
fn assert_unwritten(town: &Town) {
    let holds = |value: &Vec<u8>, text: &[u8]| value.windows(text.len()).any(|part| part == text);
    for node in &town.nodes {
        let written = node.written();
        assert!(written.iter().any(|value| holds(value, b"Alice")), "what is written can be read");
        for text in ["offer-canary", "answer-canary", "192.0.2."] {
            assert!(!written.iter().any(|value| holds(value, text.as_bytes())), "{text}");
        }
    }
}

#[test]
fn a_call_from_the_first_ring_to_the_end() {
    let (mut town, id) = verified(900);
    let call_id = place(&mut town, ALICE, id);
    town.run();
    let rings = get(&mut town, BOB, call_id).unwrap();
    assert_eq!((rings.call.state, rings.call.is_outgoing), (CallState::Ringing, false));
    assert_eq!(rings.description.unwrap().expose(), OFFER);
    assert_eq!(state(&mut town, ALICE, call_id), CallState::RingingThere);
    assert_eq!(told(&mut town, BOB), ["Alice is calling"]);

    // Candidates before the answer are kept, each once.
    for candidates in [json!(["one", "two"]), json!(["two", "three"])] {
        let body = json!({"call_id": call_id, "candidates": candidates});
        let _: CallView = town.ask(ALICE, "call.candidates", body).unwrap();
        town.run();
    }
    let candidates = get(&mut town, BOB, call_id).unwrap().candidates;
    assert_eq!(candidates.iter().map(|c| c.expose()).collect::<Vec<_>>(), ["one", "two", "three"]);

    assert_eq!(answer(&mut town, BOB, call_id).unwrap().state, CallState::Answered);
    let body = json!({"call_id": call_id, "candidates": ["four"]});
    let _: CallView = town.ask(BOB, "call.candidates", body).unwrap();
    town.run();
    let connected = get(&mut town, ALICE, call_id).unwrap();
    assert_eq!(connected.call.state, CallState::Connected);
    assert_eq!(connected.description.unwrap().expose(), ANSWER);
    assert_eq!(connected.candidates.len(), 1);
    assert_eq!(state(&mut town, BOB, call_id), CallState::Connected);
    assert_unwritten(&town);

    // A second call while one is on.
    let body = json!({"call_id": fresh_call(&mut town), "connection_id": id, "description": OFFER});
    assert_eq!(town.ask::<CallView>(BOB, "call.offer", body), Err(RefusalCode::NotAllowed));

    pass(&mut town, 74);
    let _: CallView = town.ask(BOB, "call.hang_up", json!({"call_id": call_id})).unwrap();
    town.run();
    for who in [ALICE, BOB] {
        let over = get(&mut town, who, call_id).unwrap();
        assert_eq!((over.call.state, over.call.reason), (CallState::Ended, Some(EndReason::HungUp)));
        assert_eq!((over.description, over.candidates.len()), (None, 0));
        let list: CallList = town.ask(who, "call.list", json!({"limit": 10})).unwrap();
        assert_eq!(list.calls, [over.call]);
        town.check(who);
    }
    assert_eq!(told(&mut town, ALICE), ["You talked to Bob, whom you called, for 1 min 15 s", "You called Bob"]);
    assert_eq!(told(&mut town, BOB), ["You talked to Alice, who called you, for 1 min 15 s", "Alice is calling"]);
    assert_unwritten(&town);
    let stretch = town.ask::<Value>(BOB, "audit.export", json!({"from": 0, "limit": 100})).unwrap().to_string();
    assert!(stretch.contains("lasted_ms") && !stretch.contains("canary"));

    // The app saw each change as it happened, the last one without anything to reach anybody by.
    let pushed = pushed(&mut town, BOB);
    let mut states: Vec<_> = pushed.iter().map(|detail| format!("{:?}", detail.call.state)).collect();
    states.dedup();
    assert_eq!(states, ["Ringing", "Answered", "Connected", "Ended"]);
    assert!(pushed[0].description.is_some() && pushed.last().unwrap().description.is_none());
}

#[test]
fn what_is_declined_or_not_answered_ends_on_both_sides() {
    let (mut town, id) = verified(901);
    let call_id = place(&mut town, ALICE, id);
    town.run();
    let _: CallView = town.ask(BOB, "call.decline", json!({"call_id": call_id})).unwrap();
    town.run();
    assert_eq!([ALICE, BOB].map(|who| reason(&mut town, who, call_id)), [Some(EndReason::Declined); 2]);

    let call_id = place(&mut town, BOB, id);
    pass(&mut town, RING_MS / 1000 + 1);
    assert_eq!([ALICE, BOB].map(|who| reason(&mut town, who, call_id)), [Some(EndReason::TimedOut); 2]);
    assert_eq!(told(&mut town, ALICE)[0], "You missed a call of Bob");
    assert_eq!(answer(&mut town, ALICE, call_id), Err(RefusalCode::NotFound));
}

#[test]
fn whoever_is_away_hears_of_the_call_later() {
    let (mut town, id) = verified(902);
    town.away = Some(BOB);
    let call_id = place(&mut town, ALICE, id);
    for _ in 0..=RING_MS / 1000 {
        town.tick();
    }
    assert_eq!(reason(&mut town, ALICE, call_id), Some(EndReason::NotReachable));
    assert_eq!(told(&mut town, ALICE)[0], "Your call to Bob did not reach anybody");
    // The offers lie at the door until he is back, and none of them rings.
    town.now = town.now.plus_ms(10 * MINUTE_MS);
    town.away = None;
    town.run();
    let told = told(&mut town, BOB);
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("You missed a call of Alice at 2026-11-21T"), "{told:?}");
    assert_eq!(state(&mut town, BOB, call_id), CallState::Ended);
}

#[test]
fn a_lost_call_is_told_once_even_when_nothing_but_its_end_arrives() {
    let (mut town, id) = verified(903);
    let call_id = place(&mut town, ALICE, id);
    let guid = town.nodes[BOB].guid;
    for _ in 0..RING_MS / 1000 {
        town.take_inbox(guid);
        town.tick();
    }
    let last = town.take_inbox(guid);
    let end = last.into_iter().find(|(subject, _)| subject.to_string().ends_with("call.end")).unwrap();
    for _ in 0..3 {
        town.post(end.0.clone(), end.1.clone());
    }
    town.run();
    assert_eq!(told(&mut town, BOB).len(), 1);
    assert_eq!(state(&mut town, BOB, call_id), CallState::Ended);
}

#[test]
fn nobody_rings_whom_the_owner_did_not_let() {
    let mut town = Town::settled(904);
    let id = town.connect();
    let set = |town: &mut Town, body: Value| town.ask::<Value>(BOB, "call.settings", body).unwrap();
    let quiet = town.now.plus_ms(60 * MINUTE_MS);
    let cases = [
        // Not verified: told, and nothing rings.
        (json!({"connection_id": id}), false, 1),
        (json!({"connection_id": id, "may_ring": "always"}), true, 1),
        (json!({"quiet_until": quiet}), false, 1),
        (json!({"connection_id": id, "may_ring": "never"}), false, 0),
        (json!({"connection_id": id, "may_ring": "always", "quiet_until": town.now}), true, 1),
    ];
    for (settings, rings, tells) in cases {
        set(&mut town, settings.clone());
        let before = told(&mut town, BOB).len();
        let call_id = place(&mut town, ALICE, id);
        pass(&mut town, 12);
        let here = get(&mut town, BOB, call_id).ok().map(|detail| detail.call.state);
        assert_eq!(here == Some(CallState::Ringing), rings, "{settings}");
        assert_eq!(told(&mut town, BOB).len() - before, tells, "{settings}");
        // The caller cannot tell that it was not let in from somebody who is away.
        let there = if rings { CallState::RingingThere } else { CallState::Calling };
        assert_eq!(state(&mut town, ALICE, call_id), there);
        pass(&mut town, RING_MS / 1000);
        let ended = if rings { EndReason::TimedOut } else { EndReason::NotReachable };
        assert_eq!(reason(&mut town, ALICE, call_id), Some(ended));
        // That the call came to nothing is no second thing to tell.
        assert_eq!(told(&mut town, BOB).len() - before, tells + usize::from(rings), "{settings}");
        town.now = town.now.plus_ms(5 * MINUTE_MS);
    }
    let both_or_none = town.ask::<Value>(BOB, "call.settings", json!({"may_ring": "never"}));
    assert_eq!(both_or_none, Err(RefusalCode::InvalidRequest));
}

#[test]
fn a_connection_rings_only_so_often() {
    let (mut town, id) = verified(905);
    for n in 0..8 {
        let call_id = place(&mut town, ALICE, id);
        town.run();
        let expected = if n < 6 { CallState::RingingThere } else { CallState::Ended };
        assert_eq!(state(&mut town, ALICE, call_id), expected, "call {n}");
        let _: CallView = town.ask(ALICE, "call.hang_up", json!({"call_id": call_id})).unwrap();
        town.run();
        if n >= 6 {
            assert_eq!(reason(&mut town, ALICE, call_id), Some(EndReason::Failed));
        }
    }
    let rang = told(&mut town, BOB).iter().filter(|told| *told == "Alice is calling").count();
    assert_eq!(rang, 6);
    town.now = town.now.plus_ms(10 * MINUTE_MS);
    let call_id = place(&mut town, ALICE, id);
    town.run();
    assert_eq!(state(&mut town, ALICE, call_id), CallState::RingingThere);
}

#[test]
fn both_call_at_once() {
    let (mut town, id) = verified(906);
    let calls = [place(&mut town, ALICE, id), place(&mut town, BOB, id)];
    town.run();
    let (winner, call_id) = if calls[0] < calls[1] { (ALICE, calls[0]) } else { (BOB, calls[1]) };
    assert_eq!(state(&mut town, winner, call_id), CallState::RingingThere);
    assert_eq!(answer(&mut town, 1 - winner, call_id).unwrap().state, CallState::Answered);
    town.run();
    assert_eq!([ALICE, BOB].map(|who| state(&mut town, who, call_id)), [CallState::Connected; 2]);
}

#[test]
fn a_revocation_ends_the_call_and_nothing_of_it_is_taken_any_more() {
    let (mut town, id) = verified(907);
    let call_id = place(&mut town, ALICE, id);
    town.run();
    answer(&mut town, BOB, call_id).unwrap();
    town.run();
    let _: Value =
        town.ask(BOB, "connection.revoke", json!({"connection_id": id, "reason": "user_requested"})).unwrap();
    assert_eq!(reason(&mut town, BOB, call_id), Some(EndReason::Revoked));
    let body = json!({"call_id": call_id, "candidates": ["late"]});
    assert_eq!(town.ask::<CallView>(BOB, "call.candidates", body.clone()), Err(RefusalCode::NotFound));
    let _: CallView = town.ask(ALICE, "call.candidates", body).unwrap();
    let told_before = told(&mut town, BOB).len();
    town.run();
    assert_eq!(reason(&mut town, ALICE, call_id), Some(EndReason::Revoked));
    assert_eq!(told(&mut town, BOB).len(), told_before);
    let body = json!({"call_id": fresh_call(&mut town), "connection_id": id, "description": OFFER});
    assert_eq!(town.ask::<CallView>(ALICE, "call.offer", body), Err(RefusalCode::NotConnected));
    assert_unwritten(&town);
}

#[test]
fn a_vault_that_was_restarted_ends_what_was_not_connected() {
    let (mut town, id) = verified(908);
    let call_id = place(&mut town, ALICE, id);
    town.run();
    town.nodes[BOB].crash();
    pass(&mut town, 1);
    assert_eq!([ALICE, BOB].map(|who| reason(&mut town, who, call_id)), [Some(EndReason::Failed); 2]);
    assert_eq!(told(&mut town, BOB)[0], "You missed a call of Alice");

    // One that is connected needs nothing of what was forgotten.
    let call_id = place(&mut town, BOB, id);
    town.run();
    answer(&mut town, ALICE, call_id).unwrap();
    town.run();
    town.nodes[ALICE].crash();
    pass(&mut town, 10);
    assert_eq!([ALICE, BOB].map(|who| state(&mut town, who, call_id)), [CallState::Connected; 2]);
    let _: CallView = town.ask(ALICE, "call.hang_up", json!({"call_id": call_id})).unwrap();
    town.run();
    assert_eq!(reason(&mut town, BOB, call_id), Some(EndReason::HungUp));
}

#[test]
fn on_bad_days_both_sides_end_in_the_same_call_or_in_none() {
    for seed in 0..12 {
        bad_day(seed);
    }
}

fn bad_day(seed: u64) {
    let (mut town, id) = verified(950 + seed);
    for who in [ALICE, BOB] {
        let body = json!({"connection_id": id, "may_ring": "always"});
        let _: Value = town.ask(who, "call.settings", body).unwrap();
    }
    town.faults = Faults { lose: 25, repeat: 20, crash: if seed.is_multiple_of(2) { 0 } else { 4 }, reorder: true };
    let mut calls = vec![];
    for _ in 0..40 {
        let who = town.rng.random_range(0..2);
        let list: CallList = town.ask(who, "call.list", json!({"limit": 1})).unwrap();
        let live =
            list.calls.first().filter(|call| call.state != CallState::Ended).map(|call| (call.call_id, call.state));
        // What is refused because the other side was quicker is refused.
        let _: Result<Value, RefusalCode> = match (live, town.rng.random_range(0..4)) {
            (None, _) => {
                let call_id = fresh_call(&mut town);
                calls.push(call_id);
                town.ask(who, "call.offer", json!({"call_id": call_id, "connection_id": id, "description": OFFER}))
            }
            (Some((call_id, CallState::Ringing)), _) => {
                town.ask(who, "call.answer", json!({"call_id": call_id, "description": ANSWER}))
            }
            (Some((call_id, _)), 0) => town.ask(who, "call.hang_up", json!({"call_id": call_id})),
            (Some((call_id, _)), n) => {
                town.ask(who, "call.candidates", json!({"call_id": call_id, "candidates": [format!("c{n}")]}))
            }
        };
        town.run_a_while();
        if town.rng.random_range(0..6) == 0 {
            town.now = town.now.plus_ms(MINUTE_MS);
        }
    }
    town.faults = Faults::default();
    pass(&mut town, RING_MS / 1000 + 10);
    let live = [ALICE, BOB].map(|who| {
        let list: CallList = town.ask(who, "call.list", json!({"limit": 100})).unwrap();
        let live: Vec<_> = list.calls.iter().filter(|call| call.state != CallState::Ended).collect();
        live.iter().map(|call| (call.call_id, call.state)).collect::<Vec<_>>()
    });
    assert_eq!(live[0], live[1], "seed {seed}");
    assert!(live[0].iter().all(|(_, state)| *state == CallState::Connected), "seed {seed} {live:?}");
    assert_unwritten(&town);
    town.now = town.now.plus_ms(LONGEST_MS);
    pass(&mut town, 2);
    for call_id in calls {
        for who in [ALICE, BOB] {
            let known = get(&mut town, who, call_id).ok();
            assert!(known.is_none_or(|detail| detail.call.state == CallState::Ended), "seed {seed}");
        }
    }
    for who in [ALICE, BOB] {
        town.check(who);
    }
}

#[test]
fn a_command_that_is_lost_with_its_answer_places_one_call() {
    let (mut town, id) = verified(909);
    let call_id = fresh_call(&mut town);
    town.next_crash = Some(Crash::AfterCommit);
    let body = json!({"call_id": call_id, "connection_id": id, "description": OFFER});
    let _: CallView = town.ask(ALICE, "call.offer", body.clone()).unwrap();
    town.run();
    let list: CallList = town.ask(ALICE, "call.list", json!({"limit": 10})).unwrap();
    assert_eq!(list.calls.len(), 1);
    // The same call under another command is not placed again.
    assert!(town.ask::<CallView>(ALICE, "call.offer", body).is_err());
}

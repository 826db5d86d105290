//! Cases of text messages between members.

use super::{BOB, CAROL, Expect, Scenario, at, event_id, later, member, owner, scenario, service};
use serde_json::{Value, json};
use vettid_handler::event::Event;
use vettid_wire::refusal::RefusalCode;

const UNKNOWN: &str = "018f6b1e-7c1a-7000-8000-00000000dead";

pub(crate) fn all() -> Vec<Scenario> {
    let mut scenarios = vec![
        sent_and_delivered(),
        received(),
        both_directions(),
        long_list(),
        quota(),
        sent_and_read(),
        read_here(),
        numbers(),
        failed(),
        answered(),
        reacted(),
        early_reaction(),
        exported(),
        disappearing(),
        one_sided(),
        removed(),
        given_back(),
    ];
    scenarios.extend(refused());
    scenarios
}

fn send(to: &str, text: &str, number: u8, ms: i64) -> Event {
    later(owner("messaging.send", json!({"connection_id": to, "text": text})), number, ms)
}

fn sent(number: u8) -> Expect {
    Expect::Body(json!({"message_id": event_id(number)}))
}

fn list(of: &str) -> Event {
    owner("messaging.list", json!({"connection_id": of}))
}

fn listed(messages: &[Value]) -> Expect {
    let is_unread = |message: &&Value| message["direction"] == "received" && message.get("read_at").is_none();
    let unread = messages.iter().filter(is_unread).count();
    let mut list = json!({"messages": messages});
    if unread > 0 {
        list["unread"] = unread.into();
    }
    Expect::Body(list)
}

fn read(messages: &[u8], ms: i64) -> Event {
    let ids: Vec<_> = messages.iter().map(|number| event_id(*number)).collect();
    member("messaging.seen", json!({"message_ids": ids, "read_at": at(ms)}))
}

/// The same message, read after so many milliseconds.
fn read_at(mut message: Value, ms: i64) -> Value {
    message["read_at"] = json!(at(ms));
    message
}

fn tidy(ms: i64) -> Event {
    later(owner("messaging.tidy", json!({})), 0x70, ms)
}

fn marked(marked: u64, has_more: bool) -> Expect {
    Expect::Body(json!({"marked": marked, "has_more": has_more}))
}

fn body(message: u8, number: u64, text: &str, sent_ms: i64) -> Value {
    json!({"message_id": event_id(message), "number": number, "text": text, "sent_at": at(sent_ms)})
}

fn text(message: u8, number: u64, text: &str, sent_ms: i64, ms: i64) -> Event {
    later(member("messaging.text", body(message, number, text, sent_ms)), message, ms)
}

fn view(mut body: Value, direction: &str, delivered_ms: Option<i64>) -> Value {
    body["direction"] = direction.into();
    if let Some(ms) = delivered_ms {
        body["delivered_at"] = json!(at(ms));
    }
    body
}

fn receipt(of: u8, ms: i64) -> Event {
    member("messaging.receipt", json!({"message_id": event_id(of), "received_at": at(ms)}))
}

fn sent_and_delivered() -> Scenario {
    let first = body(1, 1, "Hello", 0);
    let second = body(2, 2, "Are you there?\nTell me.", 1000);
    scenario(
        "a sent message is marked when its receipt comes, and repeated commands and receipts change nothing",
        vec![
            (send(BOB, "Hello", 1, 0), sent(1)),
            (send(BOB, "Are you there?\nTell me.", 2, 1000), sent(2)),
            (send(CAROL, "Other numbers", 3, 2000), sent(3)),
            (receipt(1, 1500), Expect::None),
            (receipt(1, 9000), Expect::None),
            (send(BOB, "Hello", 1, 3000), sent(1)),
            (send(BOB, "Not hello", 1, 3000), Expect::Refuse(RefusalCode::Conflict)),
            (list(BOB), listed(&[view(first, "sent", Some(1500)), view(second, "sent", None)])),
            (list(CAROL), listed(&[view(body(3, 1, "Other numbers", 2000), "sent", None)])),
        ],
    )
}

fn received() -> Scenario {
    scenario(
        "a received message is stored once, in its sender's order",
        vec![
            (text(2, 2, "second", -100, 0), Expect::None),
            (text(1, 1, "first", -200, 10), Expect::None),
            (text(2, 2, "second", -100, 20), Expect::None),
            (text(2, 2, "changed", -100, 30), Expect::Refuse(RefusalCode::Conflict)),
            (
                list(BOB),
                listed(&[
                    view(body(1, 1, "first", -200), "received", Some(10)),
                    view(body(2, 2, "second", -100), "received", Some(0)),
                ]),
            ),
            (list(CAROL), listed(&[])),
        ],
    )
}

fn both_directions() -> Scenario {
    scenario(
        "a conversation stands in the order of writing; a clock that is ahead counts as now",
        vec![
            (send(BOB, "one", 1, 0), sent(1)),
            (text(2, 1, "two", 90_000, 1000), Expect::None),
            (send(BOB, "three", 3, 2000), sent(3)),
            (
                list(BOB),
                listed(&[
                    view(body(1, 1, "one", 0), "sent", None),
                    view(body(2, 1, "two", 90_000), "received", Some(1000)),
                    view(body(3, 2, "three", 2000), "sent", None),
                ]),
            ),
            (receipt(2, 5000), Expect::Refuse(RefusalCode::NotFound)),
            (text(3, 2, "under an id of ours", 0, 3000), Expect::Refuse(RefusalCode::Conflict)),
        ],
    )
}

fn long_list() -> Scenario {
    let long = "x".repeat(32 * 1024);
    scenario(
        "a list holds the newest messages that fit",
        vec![
            (send(BOB, &long, 1, 0), sent(1)),
            (send(BOB, &long, 2, 1), sent(2)),
            (send(BOB, "short", 3, 2), sent(3)),
            (
                list(BOB),
                listed(&[view(body(2, 2, &long, 1), "sent", None), view(body(3, 3, "short", 2), "sent", None)]),
            ),
        ],
    )
}

fn sent_and_read() -> Scenario {
    let first = view(body(1, 1, "one", 0), "sent", Some(400));
    let second = view(body(2, 2, "two", 10), "sent", Some(500));
    let third = view(body(3, 3, "three", 20), "sent", None);
    scenario(
        "a read receipt marks what it names, and stands for a receipt that is late",
        vec![
            (send(BOB, "one", 1, 0), sent(1)),
            (send(BOB, "two", 2, 10), sent(2)),
            (send(BOB, "three", 3, 20), sent(3)),
            (receipt(1, 400), Expect::None),
            (read(&[1, 2, 9], 500), Expect::None),
            (read(&[2], 900), Expect::None),
            (receipt(2, 450), Expect::None),
            (list(BOB), listed(&[read_at(first.clone(), 500), read_at(second, 500), third])),
            (
                owner("messaging.get", json!({"connection_id": BOB, "message_id": event_id(1)})),
                Expect::Body(read_at(first, 500)),
            ),
            (
                owner("messaging.get", json!({"connection_id": CAROL, "message_id": event_id(1)})),
                Expect::Refuse(RefusalCode::NotFound),
            ),
        ],
    )
}

fn read_here() -> Scenario {
    let mark = |ms| later(owner("messaging.read", json!({"connection_id": BOB})), 0x60, ms);
    let mark_one = |number: u8, ms| {
        let body = json!({"connection_id": BOB, "message_id": event_id(number)});
        later(owner("messaging.read", body), 0x61, ms)
    };
    let one = view(body(1, 1, "one", 0), "received", Some(1));
    let two = view(body(2, 2, "two", 2), "received", Some(3));
    scenario(
        "what the owner marks is read once, and a repeated message stays read",
        vec![
            (text(1, 1, "one", 0, 1), Expect::None),
            (text(2, 2, "two", 2, 3), Expect::None),
            (list(BOB), listed(&[one.clone(), two.clone()])),
            (mark_one(1, 10), marked(1, false)),
            (mark_one(1, 11), marked(0, false)),
            (mark_one(9, 11), Expect::Refuse(RefusalCode::NotFound)),
            (list(BOB), listed(&[read_at(one.clone(), 10), two.clone()])),
            (mark(20), marked(1, false)),
            (mark(30), marked(0, false)),
            (text(1, 1, "one", 0, 40), Expect::None),
            (list(BOB), listed(&[read_at(one, 10), read_at(two, 20)])),
        ],
    )
}

fn numbers() -> Scenario {
    let with_missing = |messages: &[Value], missing: u64| match listed(messages) {
        Expect::Body(mut list) => {
            list["missing"] = missing.into();
            Expect::Body(list)
        }
        other => other,
    };
    let at_ms = |ms| later(list(BOB), 0x50, ms);
    let first = view(body(1, 1, "one", 900), "received", Some(70_000));
    let third = view(body(3, 3, "three", 500), "received", Some(1000));
    let fifth = view(body(5, 5, "five", 600), "received", Some(2000));
    let now = [third.clone(), fifth.clone()];
    scenario(
        "numbers that were passed over are missing after a minute; the order is that of the numbers, not of the clock",
        vec![
            (text(3, 3, "three", 500, 1000), Expect::None),
            (text(5, 5, "five", 600, 2000), Expect::None),
            (at_ms(60_999), listed(&now)),
            (at_ms(61_000), with_missing(&now, 3)),
            (text(1, 1, "one", 900, 70_000), Expect::None),
            (at_ms(70_000), with_missing(&[first, third, fifth], 2)),
            (text(2, 2, "two", 0, 71_000), Expect::None),
            (text(4, 4, "four", 0, 71_000), Expect::None),
            (later(owner("messaging.read", json!({"connection_id": BOB})), 0x51, 80_000), marked(5, false)),
            (
                at_ms(200_000),
                listed(&[
                    read_at(view(body(1, 1, "one", 900), "received", Some(70_000)), 80_000),
                    read_at(view(body(2, 2, "two", 0), "received", Some(71_000)), 80_000),
                    read_at(view(body(3, 3, "three", 500), "received", Some(1000)), 80_000),
                    read_at(view(body(4, 4, "four", 0), "received", Some(71_000)), 80_000),
                    read_at(view(body(5, 5, "five", 600), "received", Some(2000)), 80_000),
                ]),
            ),
        ],
    )
}

fn failed() -> Scenario {
    let month = 30 * 24 * 3_600_000;
    let message = |number: u8| json!({"connection_id": BOB, "message_id": event_id(number)});
    let mut lost = view(body(2, 2, "two", 5), "sent", None);
    lost["failed_at"] = json!(at(month + 5));
    scenario(
        "what nobody confirms for thirty days has failed, once, and may still be delivered later",
        vec![
            (send(BOB, "one", 1, 0), sent(1)),
            (send(BOB, "two", 2, 5), sent(2)),
            (tidy(10), Expect::Body(json!({"undelivered": [], "removed": [], "next_at": at(month)}))),
            (receipt(1, 20), Expect::None),
            (tidy(month), Expect::Body(json!({"undelivered": [], "removed": [], "next_at": at(month + 5)}))),
            (tidy(month + 5), Expect::Body(json!({"undelivered": [message(2)], "removed": []}))),
            (tidy(month + 6), Expect::Body(json!({"undelivered": [], "removed": []}))),
            (list(BOB), listed(&[view(body(1, 1, "one", 0), "sent", Some(20)), lost])),
            (receipt(2, month + 50), Expect::None),
            (
                list(BOB),
                listed(&[
                    view(body(1, 1, "one", 0), "sent", Some(20)),
                    view(body(2, 2, "two", 5), "sent", Some(month + 50)),
                ]),
            ),
        ],
    )
}

fn answered() -> Scenario {
    let reply = |to: u8| json!({"connection_id": BOB, "text": "yes", "reply_to": event_id(to)});
    let send = |to: u8| later(owner("messaging.send", reply(to)), 3, 20);
    let with_reply = |mut body: Value, to: u8| {
        body["reply_to"] = json!(event_id(to));
        body
    };
    let first = view(body(1, 1, "Are you there?", 0), "received", Some(1));
    let unknown = with_reply(body(2, 2, "about what you do not have", 5), 0x44);
    scenario(
        "a reply names a message of the same conversation; the receiver may not have that one",
        vec![
            (text(1, 1, "Are you there?", 0, 1), Expect::None),
            (later(member("messaging.text", unknown.clone()), 2, 6), Expect::None),
            (send(0x45), Expect::Refuse(RefusalCode::NotFound)),
            (send(1), sent(3)),
            (send(1), sent(3)),
            (
                list(BOB),
                listed(&[
                    first,
                    view(unknown, "received", Some(6)),
                    view(with_reply(body(3, 1, "yes", 20), 1), "sent", None),
                ]),
            ),
        ],
    )
}

fn reaction(of: u8, symbol: Option<&str>, revision: u64) -> Event {
    let mut body = json!({"message_id": event_id(of), "revision": revision});
    if let Some(symbol) = symbol {
        body["symbol"] = symbol.into();
    }
    member("messaging.reaction", body)
}

fn react(of: u8, symbol: Option<&str>) -> Event {
    let mut body = json!({"connection_id": BOB, "message_id": event_id(of)});
    if let Some(symbol) = symbol {
        body["symbol"] = symbol.into();
    }
    owner("messaging.react", body)
}

fn reacted() -> Scenario {
    let with = |own: Option<&str>, peer: Option<&str>| {
        let mut message = view(body(1, 1, "one", 0), "sent", None);
        own.into_iter().for_each(|symbol| message["own_reaction"] = symbol.into());
        peer.into_iter().for_each(|symbol| message["peer_reaction"] = symbol.into());
        listed(&[message])
    };
    let done = || Expect::Body(json!({}));
    scenario(
        "each side has one reaction, the newest; what is older and comes later changes nothing",
        vec![
            (send(BOB, "one", 1, 0), sent(1)),
            (reaction(1, Some("👍"), 1), Expect::None),
            (react(1, Some("❤️")), done()),
            (list(BOB), with(Some("❤️"), Some("👍"))),
            (reaction(1, None, 3), Expect::None),
            (reaction(1, Some("🎉"), 2), Expect::None),
            (list(BOB), with(Some("❤️"), None)),
            (react(1, None), done()),
            (react(1, None), done()),
            (list(BOB), with(None, None)),
        ],
    )
}

fn early_reaction() -> Scenario {
    let mut steps = vec![
        (reaction(1, Some("👍"), 2), Expect::None),
        (reaction(1, Some("🎉"), 1), Expect::None),
        (text(1, 1, "one", 0, 1), Expect::None),
    ];
    let mut message = view(body(1, 1, "one", 0), "received", Some(1));
    message["peer_reaction"] = "👍".into();
    steps.push((list(BOB), listed(&[message])));
    steps.extend((100..200).map(|number| (reaction(number, Some("👍"), 1), Expect::None)));
    steps.push((reaction(200, Some("👍"), 1), Expect::Refuse(RefusalCode::NotFound)));
    steps.push((reaction(100, None, 2), Expect::None));
    scenario("a reaction that overtook its message waits for it, within bounds", steps)
}

fn given_back() -> Scenario {
    let begin = owner("messaging.recover", json!({"begin": {"connection_id": BOB, "incarnation": 2}}));
    let back = |number: u8, at_number: u64| {
        let message = body(number, at_number, "lost", 10);
        member("messaging.returned", json!({"message": message, "received_at": at(20)}))
    };
    let late = member("messaging.returned", json!({"message": body(7, 2, "late", 30)}));
    let resumed = member("messaging.resumed", json!({"highest": 2, "received": {"up_to": 2}}));
    let returned = |number: u8, at_number: u64, text: &str, ms: i64, delivered: Option<i64>| {
        let mut message = view(body(number, at_number, text, ms), "sent", delivered);
        message["is_returned"] = true.into();
        message
    };
    let before = view(body(1, 1, "known", 0), "sent", Some(0));
    let shown = [before, returned(2, 2, "lost", 10, Some(20)), returned(7, 3, "late", 30, None)];
    scenario(
        "what the peer gives back after a restore is there once, and the next number is free",
        vec![
            (back(2, 2), Expect::Refuse(RefusalCode::NotAllowed)),
            (send(BOB, "known", 1, 0), sent(1)),
            (begin, Expect::Body(json!({}))),
            (send(BOB, "too early", 3, 0), Expect::Refuse(RefusalCode::Unavailable)),
            (back(2, 2), Expect::None),
            (back(2, 2), Expect::None),
            (back(4, 1), Expect::None),
            (late.clone(), Expect::None),
            (resumed, Expect::None),
            (late, Expect::None),
            (back(5, 9), Expect::Refuse(RefusalCode::InvalidRequest)),
            (list(BOB), listed(&shown)),
            (send(BOB, "after", 6, 40), sent(6)),
        ],
    )
}

fn exported() -> Scenario {
    let export = |from: u64| owner("messaging.export", json!({"connection_id": BOB, "from": from}));
    let long = "x".repeat(30 * 1024);
    let first = view(body(1, 1, &long, 0), "sent", None);
    let second = view(body(2, 1, "late", -500), "received", Some(10));
    let third = view(body(3, 2, &long, 20), "sent", None);
    let stretch = |messages: &[&Value], next: Option<u64>| {
        let mut stretch = json!({"messages": messages});
        next.into_iter().for_each(|next| stretch["next"] = next.into());
        Expect::Body(stretch)
    };
    scenario(
        "an export goes through a conversation from its beginning, in stretches that fit into a reply",
        vec![
            (export(1), stretch(&[], None)),
            (send(BOB, &long, 1, 0), sent(1)),
            (text(2, 1, "late", -500, 10), Expect::None),
            (send(BOB, &long, 3, 20), sent(3)),
            (export(0), stretch(&[&first, &second], Some(3))),
            (export(3), stretch(&[&third], None)),
            (export(4), stretch(&[], None)),
            (export(u64::MAX >> 12), stretch(&[], None)),
        ],
    )
}

fn set(after_s: u32) -> Event {
    owner("messaging.settings", json!({"connection_id": BOB, "disappear_after_s": after_s}))
}

fn wish(after_s: Option<u32>, revision: u64) -> Event {
    let mut body = json!({"revision": revision});
    after_s.into_iter().for_each(|after_s| body["after_s"] = after_s.into());
    member("messaging.disappear", body)
}

fn settings(own: Option<u32>, peer: Option<u32>, is_disappearing: bool) -> Expect {
    let mut settings = json!({"read_receipts": true, "is_disappearing": is_disappearing});
    own.into_iter().for_each(|after_s| settings["disappear_after_s"] = after_s.into());
    peer.into_iter().for_each(|after_s| settings["peer_disappear_after_s"] = after_s.into());
    Expect::Body(settings)
}

fn ending(mut message: Value, end_ms: Option<i64>) -> Value {
    message["disappear_after_s"] = 600.into();
    end_ms.into_iter().for_each(|ms| message["disappears_at"] = json!(at(ms)));
    message
}

fn disappearing() -> Scenario {
    let gone = |number: u8, ms: i64| json!({"connection_id": BOB, "message_id": event_id(number), "told_at": at(ms)});
    let tidied = |removed: &[Value], next_ms: Option<i64>| {
        let mut tidied = json!({"undelivered": [], "removed": removed});
        next_ms.into_iter().for_each(|ms| tidied["next_at"] = json!(at(ms)));
        Expect::Body(tidied)
    };
    let timed = |mut body: Value| {
        body["disappear_after_s"] = 600.into();
        body
    };
    let received = timed(body(2, 1, "two", 20));
    let arrives = |number, ms| later(member("messaging.text", timed(body(2, 1, "two", 20))), number, ms);
    let three = view(body(3, 2, "three", 90_000), "sent", None);
    let month = 30 * 24 * 3_600_000;
    scenario(
        "what both sides want to disappear does so at its time after delivery, and leaves nothing",
        vec![
            (set(600), settings(Some(600), None, false)),
            (wish(Some(600), 1), Expect::None),
            (send(BOB, "one", 1, 0), sent(1)),
            (list(BOB), listed(&[ending(view(body(1, 1, "one", 0), "sent", None), None)])),
            (later(receipt(1, 999_999_999), 0x10, 10_000), Expect::None),
            (arrives(2, 20_000), Expect::None),
            (arrives(4, 25_000), Expect::None),
            (wish(None, 2), Expect::None),
            (send(BOB, "three", 3, 90_000), sent(3)),
            (
                list(BOB),
                listed(&[
                    ending(view(body(1, 1, "one", 0), "sent", Some(999_999_999)), Some(610_000)),
                    ending(view(received, "received", Some(20_000)), Some(620_000)),
                    three.clone(),
                ]),
            ),
            (tidy(609_999), tidied(&[], Some(610_000))),
            (tidy(610_000), tidied(&[gone(1, 0)], Some(620_000))),
            (tidy(620_000), tidied(&[gone(2, 20_000)], Some(90_000 + month))),
            (list(BOB), listed(&[three])),
        ],
    )
}

fn one_sided() -> Scenario {
    let mut timed = body(1, 1, "one", 0);
    timed["disappear_after_s"] = 600.into();
    scenario(
        "nobody makes anything disappear that the other side did not want so, and an older wish changes nothing",
        vec![
            (wish(Some(600), 2), Expect::None),
            (wish(None, 1), Expect::None),
            (later(member("messaging.text", timed), 1, 10), Expect::None),
            (list(BOB), listed(&[view(body(1, 1, "one", 0), "received", Some(10))])),
            (set(1200), settings(Some(1200), Some(600), false)),
            (send(BOB, "two", 2, 20), sent(2)),
            (set(600), settings(Some(600), Some(600), true)),
            (set(0), settings(None, Some(600), false)),
            (set(299), Expect::Refuse(RefusalCode::InvalidRequest)),
            (set(365 * 24 * 3600 + 1), Expect::Refuse(RefusalCode::InvalidRequest)),
            (wish(Some(1), 3), Expect::Refuse(RefusalCode::InvalidRequest)),
            (
                list(BOB),
                listed(&[view(body(1, 1, "one", 0), "received", Some(10)), view(body(2, 1, "two", 20), "sent", None)]),
            ),
        ],
    )
}

fn removed() -> Scenario {
    let remove = |number: u8| owner("messaging.remove", json!({"connection_id": BOB, "message_id": event_id(number)}));
    let month = 30 * 24 * 3_600_000;
    scenario(
        "what the owner removes is gone on this side, and is neither missing nor undelivered",
        vec![
            (text(1, 1, "one", 0, 1), Expect::None),
            (send(BOB, "two", 2, 10), sent(2)),
            (remove(1), Expect::Body(json!({}))),
            (remove(1), Expect::Refuse(RefusalCode::NotFound)),
            (remove(2), Expect::Body(json!({}))),
            (later(list(BOB), 0x51, 200_000), listed(&[])),
            (tidy(month + 10), Expect::Body(json!({"undelivered": [], "removed": []}))),
        ],
    )
}

fn quota() -> Scenario {
    let mut full = scenario("a full store refuses and forgets nothing", vec![]);
    full.host.max_keys = Some(6);
    full.steps = vec![
        (text(1, 1, "fits", 0, 0), Expect::None),
        (text(2, 2, "does not", 0, 1), Expect::Refuse(RefusalCode::Unavailable)),
        (send(BOB, "nor does this", 3, 2), Expect::Refuse(RefusalCode::Unavailable)),
        (list(BOB), listed(&[view(body(1, 1, "fits", 0), "received", Some(0))])),
    ];
    full
}

fn refused() -> Vec<Scenario> {
    let by_service =
        |name: &str, body: Value| service(name, None, body).context.peer.map(|peer| (name.to_owned(), peer));
    let mut from_service = member("messaging.text", body(1, 1, "hi", 0));
    from_service.context.peer = by_service("messaging.text", json!({})).map(|(_, peer)| peer);
    let mut from_nobody = member("messaging.text", body(1, 1, "hi", 0));
    from_nobody.context.peer = None;
    let cases = [
        ("an empty text", send(BOB, "", 1, 0), RefusalCode::InvalidRequest),
        ("a long text", send(BOB, &"x".repeat(32 * 1024 + 1), 1, 0), RefusalCode::InvalidRequest),
        ("a text that grows by its escapes", send(BOB, &"\u{1}".repeat(10_000), 1, 0), RefusalCode::InvalidRequest),
        ("nobody to send to", send(UNKNOWN, "hi", 1, 0), RefusalCode::NotConnected),
        ("number zero", text(1, 0, "hi", 0, 0), RefusalCode::InvalidRequest),
        ("an empty text of a peer", text(1, 1, "", 0, 0), RefusalCode::InvalidRequest),
        ("a peer's text that grows", text(1, 1, &"\u{1}".repeat(10_000), 0, 0), RefusalCode::InvalidRequest),
        ("a text of a service", from_service, RefusalCode::NotAllowed),
        ("a text of nobody", from_nobody, RefusalCode::NotAllowed),
        ("a reaction of two words", reaction(1, Some("so nice"), 1), RefusalCode::InvalidRequest),
        ("a reaction without a revision", reaction(1, Some("👍"), 0), RefusalCode::InvalidRequest),
        ("a long reaction of the owner", react(1, Some(&"👍".repeat(9))), RefusalCode::InvalidRequest),
        ("a reaction to nothing", react(1, Some("👍")), RefusalCode::NotFound),
        ("a read receipt for nothing", read(&[], 0), RefusalCode::InvalidRequest),
        ("a read receipt for too much", read(&[1; 101], 0), RefusalCode::InvalidRequest),
        ("a receipt for nothing", receipt(9, 0), RefusalCode::NotFound),
        ("an unknown key", member("messaging.text", json!({"text": "hi"})), RefusalCode::InvalidRequest),
        ("an owner's command on a member's lane", member("messaging.send", json!({})), RefusalCode::UnsupportedEvent),
    ];
    let cases = cases.into_iter();
    cases.map(|(what, event, code)| scenario(format!("refused: {what}"), vec![(event, Expect::Refuse(code))])).collect()
}

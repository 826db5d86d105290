//! The index of the feed against a naive model: whatever is put in, changed and taken out, a search finds what reading every
//! entry finds.
#![expect(clippy::unwrap_used, reason = "tests")]

mod model;

use model::Model;
use proptest::collection::{btree_set, vec};
use proptest::option::{of, weighted};
use proptest::prelude::*;
use vettid_core::feed::{Due, Index, View, due};
use vettid_wire::feed::{FeedEntry, FeedPolicy, Filter, MarkedEntry, Outcome, Severity, Shelf, Tag};
use vettid_wire::id::ConnectionId;
use vettid_wire::time::Timestamp;

const DAY_MS: i64 = 24 * 3600 * 1000;
const WORDS: [&str; 8] = ["Bob", "address", "Straße", "José", "read", "you", "税金の請求", "ad"];
const ASKED: [&str; 9] = ["bob", "ADD", "jose", "stra", "re", "税金", "nobody", "", "you read"];
const KINDS: [&str; 4] = ["messaging.text", "messaging.receipt", "data.request", "data.requested.twice"];
const ASKED_KINDS: [&str; 5] = ["messaging", "messaging.text", "data.request", "mess", "x.y"];

/// What happens to the feed.
#[derive(Debug, Clone)]
enum Act {
    Put(MarkedEntry),
    Remove(u64),
    ReadUpTo(u64),
}

fn connection(n: u8) -> ConnectionId {
    ConnectionId::from_bytes([n; 16])
}

fn severity() -> impl Strategy<Value = Severity> {
    prop::sample::select(vec![Severity::Info, Severity::Notice, Severity::Warning, Severity::Alarm])
}

fn tags(most: usize) -> impl Strategy<Value = std::collections::BTreeSet<Tag>> {
    btree_set(prop::sample::select(vec!["tax", "home", "todo"]).prop_map(|tag| tag.parse().unwrap()), 0..=most)
}

fn day() -> impl Strategy<Value = Timestamp> {
    (0..6i64).prop_map(|day| Timestamp::default().plus_ms(day * DAY_MS))
}

fn marked() -> impl Strategy<Value = MarkedEntry> {
    let summary = vec(prop::sample::select(&WORDS[..]), 1..4).prop_map(|words| words.join(", "));
    let kind = prop::sample::select(&KINDS[..]);
    let entry = (1..12u64, day(), kind, of(0..3u8), severity(), summary).prop_map(
        |(number, at, kind, peer, severity, summary)| FeedEntry {
            number,
            at,
            event_type: kind.parse().unwrap(),
            connection_id: peer.map(connection),
            request_id: None,
            severity,
            outcome: Outcome::Done,
            summary,
        },
    );
    (entry, any::<bool>(), weighted(0.3, day()), tags(2)).prop_map(|(entry, is_read, archived_at, tags)| MarkedEntry {
        entry,
        is_read,
        archived_at,
        tags,
    })
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => marked().prop_map(Act::Put),
        2 => (1..12u64).prop_map(Act::Remove),
        1 => (0..12u64).prop_map(Act::ReadUpTo),
    ]
}

fn filter() -> impl Strategy<Value = Filter> {
    let text = weighted(0.5, prop::sample::select(&ASKED[..]).prop_map(str::to_owned));
    let kind = weighted(0.4, prop::sample::select(&ASKED_KINDS[..]).prop_map(str::to_owned));
    let shelf = prop::sample::select(vec![Shelf::Current, Shelf::Archive, Shelf::All]);
    let time = (weighted(0.3, day()), weighted(0.3, day()));
    let peer = weighted(0.3, (0..3u8).prop_map(connection));
    (text, kind, peer, time, weighted(0.3, severity()), any::<bool>(), shelf, tags(1)).prop_map(
        |(text, kind, connection_id, (since, until), severity, only_unread, shelf, tags)| Filter {
            text,
            kind,
            connection_id,
            since,
            until,
            severity,
            only_unread,
            shelf,
            tags,
        },
    )
}

/// The same acts on an index, with the later ones only seen by a view, and on the model.
struct Both {
    index: Index,
    model: Model,
    later: Vec<(u64, Option<MarkedEntry>)>,
}

impl Both {
    fn after(acts: &[Act], committed: usize) -> Self {
        let mut both = Self { index: Index::default(), model: Model::default(), later: vec![] };
        for (n, act) in acts.iter().enumerate() {
            both.act(act, n < committed);
        }
        both
    }

    fn act(&mut self, act: &Act, is_committed: bool) {
        let (number, marked) = match act {
            Act::Put(marked) => (marked.entry.number, Some(marked)),
            Act::Remove(number) => (*number, None),
            Act::ReadUpTo(number) => {
                self.model.read_up_to = *number;
                return;
            }
        };
        match marked {
            Some(marked) => self.model.entries.insert(number, marked.clone()),
            None => self.model.entries.remove(&number),
        };
        match marked {
            _ if !is_committed => self.later.push((number, marked.cloned())),
            Some(marked) => self.index.put(marked),
            None => self.index.remove(number),
        }
    }

    fn view(&self) -> View<'_> {
        let mut view = View::new(&self.index, self.model.read_up_to);
        self.later.iter().for_each(|(number, marked)| view.change(*number, marked.as_ref()));
        view
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_search_finds_what_reading_everything_finds(
        acts in vec(act(), 0..25), committed in 0..30usize, filter in filter(), before in of(1..13u64), limit in 0..5usize,
    ) {
        let both = Both::after(&acts, committed);
        let (view, model) = (both.view(), &both.model);
        let all = model.matching(&filter);
        let page: Vec<u64> = all.iter().copied().filter(|number| before.is_none_or(|before| *number < before)).collect();
        let found = view.search(&filter, before, limit);
        prop_assert_eq!(found.found, all.len() as u64);
        prop_assert_eq!(&found.numbers, &page[..page.len().min(limit)]);
        prop_assert_eq!(found.has_more, page.len() > limit);
    }

    #[test]
    fn what_is_unread_is_counted(acts in vec(act(), 0..25), committed in 0..30usize) {
        let both = Both::after(&acts, committed);
        let (view, model) = (both.view(), &both.model);
        let filter = |connection_id, severity| Filter { connection_id, severity, only_unread: true, ..Filter::default() };
        let count = |filter: &Filter| model.matching(filter).len() as u64;
        let counts = view.unread(usize::MAX);
        prop_assert_eq!(counts.unread, count(&filter(None, None)));
        prop_assert_eq!(counts.urgent, count(&filter(None, Some(Severity::Warning))));
        for peer in 0..3 {
            let id = connection(peer);
            let counted = counts.connections.iter().find(|of| of.connection_id == id).map_or(0, |of| of.unread);
            prop_assert_eq!(counted, count(&filter(Some(id), None)));
        }
        prop_assert!(counts.connections.is_sorted_by_key(|of| std::cmp::Reverse(of.unread)));
    }

    #[test]
    fn a_policy_takes_what_is_old_and_seen(
        acts in vec(act(), 0..25), committed in 0..30usize, archive in of(1..4u32), remove in of(1..4u32), at_most in 0..6usize,
    ) {
        let both = Both::after(&acts, committed);
        let (view, model) = (both.view(), &both.model);
        let policy = FeedPolicy { archive_after_days: archive, remove_archived_after_days: remove };
        let now = Timestamp::default().plus_ms(6 * DAY_MS);
        let whole = due(&view, &policy, now, usize::MAX);
        let sorted = |mut numbers: Vec<u64>| { numbers.sort_unstable(); numbers };
        let expected = Due { archive: model.old(&policy, now, false), remove: model.old(&policy, now, true), has_more: false };
        let found = Due { archive: sorted(whole.archive.clone()), remove: sorted(whole.remove.clone()), ..whole.clone() };
        prop_assert_eq!(found, expected);
        let part = due(&view, &policy, now, at_most);
        let count = whole.archive.len() + whole.remove.len();
        prop_assert_eq!(part.archive.len() + part.remove.len(), count.min(at_most));
        prop_assert_eq!(part.has_more, count > at_most);
        prop_assert!(whole.archive.starts_with(&part.archive) && whole.remove.starts_with(&part.remove));
    }
}

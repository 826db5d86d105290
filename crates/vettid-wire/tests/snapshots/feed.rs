//! Samples of the feed and of stretches of the audit chain.

use crate::sample::Samples;
use crate::{audit, key_record, value};
use std::collections::BTreeSet;
use vettid_wire::feed::{
    ArchiveEntries, AuditStretch, EntryNumber, EntryNumbers, ExportAudit, FeedChanged, FeedEntry, FeedList, FeedPolicy,
    Filter, FoundEntries, ListFeed, MarkedEntry, Outcome, ReadEntries, SearchFeed, SetFeedPolicy, Severity, Shelf, Tag,
    TagEntries, UnreadCounts, UnreadOfConnection,
};
use vettid_wire::refusal::RefusalCode;

fn entry() -> FeedEntry {
    FeedEntry {
        number: 12,
        at: value::at(0),
        event_type: value::event_type("data.request"),
        connection_id: Some(value::connection()),
        request_id: Some(value::request()),
        severity: Severity::Notice,
        outcome: Outcome::Pending,
        summary: "Demo Shop asks for your address".to_owned(),
    }
}

fn tags(names: &[&str]) -> BTreeSet<Tag> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn marked() -> MarkedEntry {
    MarkedEntry { entry: entry(), is_read: true, archived_at: Some(value::at(3)), tags: tags(&["home", "tax"]) }
}

fn filter() -> Filter {
    Filter {
        text: Some("address".to_owned()),
        kind: Some("data".to_owned()),
        connection_id: Some(value::connection()),
        since: Some(value::at(0)),
        until: Some(value::at(5)),
        severity: Some(Severity::Notice),
        only_unread: true,
        shelf: Shelf::All,
        tags: tags(&["tax"]),
    }
}

fn marks(samples: &mut Samples) {
    samples.text("Tag", "tax".parse::<Tag>().unwrap());
    samples.object("MarkedEntry", marked()).optional(&["/archived_at"]);
    samples.cases("Shelf", [Shelf::Current, Shelf::Archive, Shelf::All]);
    let optional = &["/text", "/kind", "/connection_id", "/since", "/until", "/severity"];
    samples.object("Filter", filter()).optional(optional);
    let search = SearchFeed { filter: Filter::default(), before: Some(12), limit: 50 };
    samples.object("SearchFeed", search).optional(&["/before"]);
    let found = FoundEntries { entries: vec![], found: 7, next_before: Some(5) };
    samples.object("FoundEntries", found).optional(&["/next_before"]);
    let numbers = BTreeSet::from([3, 12]);
    samples.object("EntryNumber", EntryNumber { number: 12 });
    samples.object("EntryNumbers", EntryNumbers { numbers: numbers.clone() });
    let (add, remove) = (tags(&["tax"]), tags(&["todo"]));
    samples.object("TagEntries", TagEntries { numbers: numbers.clone(), add, remove });
    samples.object("ArchiveEntries", ArchiveEntries { numbers: numbers.clone(), archive: true });
    samples.cases("ReadEntries", [ReadEntries::Numbers(numbers), ReadEntries::UpTo(12)]);
    samples.object("FeedChanged", FeedChanged { changed: 2 });
    let of_connection = UnreadOfConnection { connection_id: value::connection(), unread: 2 };
    samples.object("UnreadCounts", UnreadCounts { unread: 3, urgent: 1, connections: vec![of_connection] });
    samples.object("UnreadOfConnection", of_connection);
    let policy = FeedPolicy { archive_after_days: Some(30), remove_archived_after_days: Some(365) };
    samples.object("FeedPolicy", policy).optional(&["/archive_after_days", "/remove_archived_after_days"]);
    let set = SetFeedPolicy { policy: Some(policy) };
    samples.object("SetFeedPolicy", set).optional(&["/policy"]);
}

fn stretch() -> AuditStretch {
    AuditStretch {
        head: audit::head(),
        key_record: key_record::record(),
        entries: vec![audit::exported()],
        size: 8,
        checkpoint: Some(audit::checkpoint()),
    }
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("feed");
    samples.object("FeedEntry", entry()).optional(&["/connection_id", "/request_id"]);
    samples.cases("Severity", [Severity::Info, Severity::Notice, Severity::Warning, Severity::Alarm]);
    let refused = Outcome::Refused(RefusalCode::RateLimited);
    samples.cases("Outcome", [Outcome::Done, Outcome::Pending, Outcome::Approved, Outcome::Denied, refused]);
    samples.object("ListFeed", ListFeed { before: Some(12), limit: 50 }).optional(&["/before"]);
    samples.object("FeedList", FeedList { entries: vec![entry()] });
    samples.object("ExportAudit", ExportAudit { from: 0, limit: 500 });
    samples.object("AuditStretch", stretch()).optional(&["/checkpoint"]).open(&["/entries/0/detail/value"]);
    marks(&mut samples);
    samples
}

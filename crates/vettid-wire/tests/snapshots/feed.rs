//! Samples of the feed and of stretches of the audit chain.

use crate::sample::Samples;
use crate::{audit, key_record, value};
use vettid_wire::feed::{AuditStretch, ExportAudit, FeedEntry, FeedList, ListFeed, Outcome, Severity};
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
    samples
}

//! The feed: the member's own time line of events.

use crate::audit::{ExportHead, ExportedEntry};
use crate::event::EventType;
use crate::id::{ConnectionId, InvalidId, RequestId};
use crate::key_record::KeyRecord;
use crate::refusal::RefusalCode;
use crate::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// Most entries in one answer, and most entries that one command changes.
pub const MAX_ENTRIES: u32 = 200;
/// Most tags of one entry.
pub const MAX_TAGS: usize = 8;
/// Longest tag in characters.
pub const MAX_TAG_CHARS: usize = 32;
/// Longest text that is searched for, in bytes.
pub const MAX_TEXT_BYTES: usize = 256;
/// Longest time of a policy in days.
pub const MAX_POLICY_DAYS: u32 = 36_500;

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedEntry {
    /// Place in the feed, from 1.
    pub number: u64,
    /// When it happened.
    pub at: Timestamp,
    /// The event that led to it.
    pub event_type: EventType,
    /// With whom, if with anybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<ConnectionId>,
    /// The request that waits for the owner, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// How urgent it is.
    pub severity: Severity,
    /// What came of it.
    pub outcome: Outcome,
    /// One sentence for the owner.
    pub summary: String,
}

/// How urgent a feed entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// For the record.
    Info,
    /// The owner should look.
    Notice,
    /// Something was refused or went wrong.
    Warning,
    /// Somebody may be attacking.
    Alarm,
}

/// What came of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Carried out.
    Done,
    /// Waits for the owner.
    Pending,
    /// Approved by the owner.
    Approved,
    /// Denied by the owner.
    Denied,
    /// Refused by the vault.
    Refused(RefusalCode),
}

/// Asks for entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListFeed {
    /// Only entries with a smaller number; `None` starts at the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// At most this many, up to [`MAX_ENTRIES`].
    pub limit: u32,
}

/// Entries, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedList {
    /// Newest first.
    pub entries: Vec<FeedEntry>,
}

/// A word that the owner puts on entries: letters and digits without capitals, `-` and `_`, 1 to 32 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(String);

impl Tag {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Tag {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let plain = text.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
        let fits = (1..=MAX_TAG_CHARS).contains(&text.chars().count());
        if plain && fits && text.to_lowercase() == text { Ok(Self(text.to_owned())) } else { Err(InvalidId("tag")) }
    }
}

impl Serialize for Tag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Tag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::parsed(deserializer)
    }
}

/// An entry with what its owner made of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarkedEntry {
    /// The entry, which never changes.
    pub entry: FeedEntry,
    /// Whether the owner saw it, or made it happen.
    pub is_read: bool,
    /// Since when it is in the archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived_at: Option<Timestamp>,
    /// In alphabetical order, at most [`MAX_TAGS`].
    pub tags: BTreeSet<Tag>,
}

/// Which part of the feed is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shelf {
    /// What is not in the archive.
    #[default]
    Current,
    /// The archive.
    Archive,
    /// Both.
    All,
}

/// What entries must be like. Every condition that is named has to hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Words, each of which is part of a word of the entry; accents and capitals do not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// An event type (`messaging.text`) or its beginning up to a dot (`messaging`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// With this connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<ConnectionId>,
    /// Not before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// At least this urgent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Only what the owner has not seen.
    pub only_unread: bool,
    /// Current entries, the archive, or both.
    pub shelf: Shelf,
    /// Carries every one of these.
    pub tags: BTreeSet<Tag>,
}

/// Owner's command: find entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchFeed {
    /// What they must be like.
    pub filter: Filter,
    /// Only entries with a smaller number; `None` starts at the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// At most this many, up to [`MAX_ENTRIES`].
    pub limit: u32,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoundEntries {
    /// Newest first.
    pub entries: Vec<MarkedEntry>,
    /// How many entries are like that, on this page and on all others.
    pub found: u64,
    /// `before` of the next page, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_before: Option<u64>,
}

/// Names one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryNumber {
    /// Its place in the feed.
    pub number: u64,
}

/// Names entries, at most [`MAX_ENTRIES`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryNumbers {
    /// Their places in the feed.
    pub numbers: BTreeSet<u64>,
}

/// Owner's command: put tags on entries, or take them off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagEntries {
    /// Which entries.
    pub numbers: BTreeSet<u64>,
    /// To put on.
    pub add: BTreeSet<Tag>,
    /// To take off.
    pub remove: BTreeSet<Tag>,
}

/// Owner's command: move entries into the archive or back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveEntries {
    /// Which entries.
    pub numbers: BTreeSet<u64>,
    /// Into the archive, or back out of it.
    pub archive: bool,
}

/// Owner's command: entries were seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ReadEntries {
    /// These, at most [`MAX_ENTRIES`].
    Numbers(BTreeSet<u64>),
    /// Every entry up to this one.
    UpTo(u64),
}

/// What a command did to the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedChanged {
    /// How many entries are different now.
    pub changed: u64,
}

/// How many current entries the owner has not seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnreadCounts {
    /// All of them.
    pub unread: u64,
    /// Those that are warnings or alarms.
    pub urgent: u64,
    /// By connection, most first, at most [`MAX_ENTRIES`] connections.
    pub connections: Vec<UnreadOfConnection>,
}

/// How much of one connection the owner has not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnreadOfConnection {
    /// The connection.
    pub connection_id: ConnectionId,
    /// How many entries.
    pub unread: u64,
}

/// What happens to old entries by itself. A time that is not named never comes. No unread warning or alarm is touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedPolicy {
    /// Days after which an entry goes into the archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive_after_days: Option<u32>,
    /// Days after which an entry is removed from the archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove_archived_after_days: Option<u32>,
}

impl FeedPolicy {
    /// Whether each time that is named is at least one day and at most [`MAX_POLICY_DAYS`].
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let named = [self.archive_after_days, self.remove_archived_after_days];
        named.into_iter().flatten().all(|days| (1..=MAX_POLICY_DAYS).contains(&days))
    }
}

/// Owner's command: read the policy, or set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetFeedPolicy {
    /// The policy from now on; `None` only reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<FeedPolicy>,
}

/// Most audit entries in one answer.
pub const MAX_AUDIT_ENTRIES: u32 = 500;

/// Asks for a stretch of the audit chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportAudit {
    /// First entry, from 0.
    pub from: u64,
    /// At most this many, up to [`MAX_AUDIT_ENTRIES`].
    pub limit: u32,
}

/// A stretch of the audit chain; the app joins stretches to the lines of one export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditStretch {
    /// Whose chain.
    pub head: ExportHead,
    /// The vault's signed key record.
    pub key_record: KeyRecord,
    /// In order.
    pub entries: Vec<ExportedEntry>,
    /// Entries in the chain when the answer was made.
    pub size: u64,
    /// Signed checkpoint note over all of them, with the stretch that reaches the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_have_one_form() {
        for right in ["tax", "tax-2026", "r\u{e4}chnung", "\u{7a0e}", "a_b", &"x".repeat(MAX_TAG_CHARS)] {
            assert_eq!(right.parse::<Tag>().unwrap().as_str(), right);
        }
        for wrong in ["", "Tax", "two words", "a,b", "a\u{202e}b", "\u{200b}", &"x".repeat(MAX_TAG_CHARS + 1)] {
            assert!(wrong.parse::<Tag>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_policy_names_no_day_zero() {
        let policy = |archive_after_days| FeedPolicy { archive_after_days, remove_archived_after_days: Some(30) };
        assert!(policy(None).is_valid() && policy(Some(1)).is_valid() && policy(Some(MAX_POLICY_DAYS)).is_valid());
        assert!(!policy(Some(0)).is_valid() && !policy(Some(MAX_POLICY_DAYS + 1)).is_valid());
    }
}

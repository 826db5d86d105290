//! Messages of services to their members: what a service says, its receipt, and what the owner does with them. Form only; a
//! receipt says that the vault took a message, and nothing here can say that it was read.

use crate::agreement::is_visible;
use crate::answer::AnswerProof;
use crate::base64::Base64Url;
use crate::id::{ConnectionId, RequestId, ServiceId};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Longest subject in bytes.
pub const MAX_SUBJECT_BYTES: usize = 150;
/// Longest text in bytes.
pub const MAX_TEXT_BYTES: usize = 4_000;
/// Most lines of a text.
pub const MAX_LINES: usize = 60;
/// A message waits at most this long for the member's vault, in milliseconds (7 days).
pub const MAX_LIFE_MS: i64 = 7 * 24 * 3600 * 1000;
/// Most messages in one list.
pub const MAX_LISTED: u16 = 100;

/// A text of a service as a screen shows it: nothing in it starts like an address, so no screen makes a link of it.
#[must_use]
pub fn unlinked(text: &str) -> String {
    const STARTS: [(&str, &str); 3] = [("://", "[:]//"), ("www.", "www[.]"), ("mailto:", "mailto[:]")];
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let start = STARTS.iter().find(|(start, _)| {
            let begins = rest.get(..start.len());
            begins.is_some_and(|begins| begins.eq_ignore_ascii_case(start))
        });
        let (length, instead) = start.map_or((first.len_utf8(), None), |(start, instead)| (start.len(), Some(instead)));
        let (taken, left) = rest.split_at(length);
        shown.push_str(instead.map_or(taken, |instead| *instead));
        rest = left;
    }
    shown
}

/// A service tells its member something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceMessage {
    /// Stays the same over retries; one that was taken is not taken twice.
    pub message_id: RequestId,
    /// The service.
    pub service_id: ServiceId,
    /// The connection it writes on.
    pub connection_id: ConnectionId,
    /// The accepted contract.
    pub contract_hash: Base64Url,
    /// What the member is to make of it.
    pub kind: MessageKind,
    /// One line.
    pub subject: String,
    /// Plain text; lines end with `\n`. An address in it is text like everything else.
    pub text: String,
}

impl ServiceMessage {
    /// Whether a member may be shown it: in bounds, and nothing that cannot be seen or turns the direction of writing.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let is_line = |line: &str| line.is_empty() || is_visible(line, MAX_TEXT_BYTES);
        let is_framed = self.text.starts_with('\n') || self.text.ends_with('\n');
        let in_bounds = (1..=MAX_TEXT_BYTES).contains(&self.text.len()) && self.text.split('\n').count() <= MAX_LINES;
        in_bounds && !is_framed && self.text.split('\n').all(is_line) && is_visible(&self.subject, MAX_SUBJECT_BYTES)
    }
}

/// What a member is to make of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// To be known.
    Information,
    /// The member has to do something.
    Action,
    /// Something is wrong.
    Warning,
}

/// The member's vault took a message. Says nothing about whether anybody reads it, or was told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageAccepted {
    /// The message.
    pub message_id: RequestId,
    /// When it was taken first.
    pub accepted_at: Timestamp,
    /// Lets the service show it to others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<AnswerProof>,
}

/// Owner's command: list messages of services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListServiceMessages {
    /// Only those of this connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<ConnectionId>,
    /// Only those that were not read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unread: bool,
    /// At most so many, up to [`MAX_LISTED`].
    pub limit: u16,
}

/// Messages of services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceMessageList {
    /// Newest first.
    pub messages: Vec<ServiceMessageSummary>,
    /// The services that are muted now.
    pub muted: Vec<MutedService>,
}

/// A message without its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceMessageSummary {
    /// The message.
    pub message_id: RequestId,
    /// Where it came from.
    pub connection_id: ConnectionId,
    /// The name of the service when it came.
    pub display_name: String,
    /// What the member is to make of it.
    pub kind: MessageKind,
    /// One line, as the service wrote it.
    pub subject: String,
    /// When the vault took it.
    pub received_at: Timestamp,
    /// Whether its owner was told: false of what came while the service was muted.
    pub notified: bool,
    /// When its owner read it first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_at: Option<Timestamp>,
}

/// Names a message of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceMessageRef {
    /// Where it came from.
    pub connection_id: ConnectionId,
    /// The message.
    pub message_id: RequestId,
}

/// A message with its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceMessageView {
    /// Everything but the text.
    pub message: ServiceMessageSummary,
    /// As the service wrote it.
    pub text: String,
}

/// Owner's command: messages of a service come without a notification, or with one again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MuteService {
    /// The connection.
    pub connection_id: ConnectionId,
    /// From now on; absent: not any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mute: Option<Mute>,
}

/// How long a service is muted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mute {
    /// Until then; absent: until its owner says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl Mute {
    /// Whether it holds.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// A service whose messages come without a notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MutedService {
    /// The connection.
    pub connection_id: ConnectionId,
    /// Its name.
    pub display_name: String,
    /// How long; absent: it is not muted any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mute: Option<Mute>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(subject: &str, text: &str) -> ServiceMessage {
        ServiceMessage {
            message_id: RequestId::from_bytes([1; 16]),
            service_id: "demo-shop".parse().unwrap(),
            connection_id: ConnectionId::from_bytes([2; 16]),
            contract_hash: Base64Url::new([3; 32]),
            kind: MessageKind::Information,
            subject: subject.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn what_hides_something_or_is_too_long_is_not_shown() {
        let long = "x".repeat(MAX_TEXT_BYTES);
        let lines = vec!["x"; MAX_LINES].join("\n");
        for text in ["On its way.", "Two\nlines", "One\n\nparagraph", "See https://shop.example/1", &long, &lines] {
            assert!(message("Your order", text).is_sound(), "{text}");
        }
        let (long, lines) = (format!("{long}x"), format!("{lines}\nx"));
        for text in ["", "\n", "x\n", "\nx", "a\u{202e}b", "a\u{7}b", "a\tb", "a\rb", "a\u{200b}b", &long, &lines] {
            assert!(!message("Your order", text).is_sound(), "{text:?}");
        }
        let long = "x".repeat(MAX_SUBJECT_BYTES + 1);
        for subject in ["", " ", "two\nlines", "a\u{1b}[31mb", "a\u{2066}b", &long] {
            assert!(!message(subject, "x").is_sound(), "{subject:?}");
        }
    }

    #[test]
    fn nothing_looks_like_a_link() {
        for (text, shown) in [
            ("See https://shop.example/1 now", "See https[:]//shop.example/1 now"),
            ("WWW.shop.example, www.b.example", "www[.]shop.example, www[.]b.example"),
            ("MailTo:a@b.example", "mailto[:]a@b.example"),
            ("schön: // nothing – ☕", "schön: // nothing – ☕"),
            ("", ""),
        ] {
            assert_eq!(unlinked(text), shown);
            assert_eq!(unlinked(shown), shown);
        }
    }

    #[test]
    fn a_mute_ends_when_it_says() {
        let at = Timestamp::from_unix_ms;
        assert!(Mute { until: None }.holds(at(i64::MAX / 2)));
        assert!(Mute { until: Some(at(10)) }.holds(at(9)) && !Mute { until: Some(at(10)) }.holds(at(10)));
    }
}

//! What the server forbids. It says so in a line of text, some time after the fact; here the line becomes a value and
//! finds the operation that it belongs to. Must never keep more denials than fit a small bound.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::broadcast::{self, error::RecvError};

/// What was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// To publish.
    Publish,
    /// To publish with this reply subject.
    ReplyTo,
    /// To subscribe.
    Subscribe,
}

/// The server forbids something to this user.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("the broker denies this user to {} there", match .action {
    Action::Publish => "publish",
    Action::ReplyTo => "take answers",
    Action::Subscribe => "subscribe",
})]
pub struct Denial {
    /// What was tried.
    pub action: Action,
    /// On which subject.
    pub subject: String,
}

impl Denial {
    /// Reads the server's line, such as `Permissions Violation for Publish to "a.b"`.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let lower = line.to_ascii_lowercase();
        let start = lower.find("permissions violation for ")?;
        let rest = line.get(start + "permissions violation for ".len()..)?;
        let actions = [
            ("publish with reply of \"", Action::ReplyTo),
            ("publish to \"", Action::Publish),
            ("subscription to \"", Action::Subscribe),
        ];
        let lower = rest.to_ascii_lowercase();
        let (words, action) = actions.into_iter().find(|(words, _)| lower.starts_with(words))?;
        let subject = rest.get(words.len()..)?.split('"').next()?;
        Some(Self { action, subject: subject.to_owned() })
    }
}

/// Denials remembered; older ones are forgotten first come, first served, and then cost a round trip again.
const REMEMBERED: usize = 256;
const WATCHED: usize = 64;

/// The denials of one connection.
pub(super) struct Denials {
    remembered: Mutex<BTreeSet<Denial>>,
    watchers: broadcast::Sender<Denial>,
}

impl Denials {
    pub(super) fn new() -> Self {
        Self { remembered: Mutex::default(), watchers: broadcast::Sender::new(WATCHED) }
    }

    pub(super) fn note(&self, denial: Denial) {
        let mut remembered = self.remembered();
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert(denial.clone());
        drop(remembered);
        // Without a watcher nobody needs to know now.
        let _ = self.watchers.send(denial);
    }

    /// After a connect: a new token may allow what the old one did not.
    pub(super) fn forget(&self) {
        self.remembered().clear();
    }

    /// Refuses what the server is known to forbid.
    pub(super) fn known(&self, action: Action, subject: &str) -> Result<(), Denial> {
        let denial = Denial { action, subject: subject.to_owned() };
        if self.remembered().contains(&denial) { Err(denial) } else { Ok(()) }
    }

    /// Refuses requests when the server is known to forbid the private inbox: their answers cannot come.
    pub(super) fn known_below(&self, inbox: &str) -> Result<(), Denial> {
        let remembered = self.remembered();
        let denied =
            remembered.iter().find(|denial| denial.action == Action::Subscribe && is_below(&denial.subject, inbox));
        denied.map_or(Ok(()), |denial| Err(denial.clone()))
    }

    pub(super) fn watch(&self) -> DenialWatch {
        DenialWatch(self.watchers.subscribe())
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, BTreeSet<Denial>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_below(subject: &str, prefix: &str) -> bool {
    subject.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'))
}

/// The denials from now on.
pub(super) struct DenialWatch(broadcast::Receiver<Denial>);

impl DenialWatch {
    pub(super) fn into_receiver(self) -> broadcast::Receiver<Denial> {
        self.0
    }

    /// Waits for one that fits.
    pub(super) async fn find(&mut self, fits: impl Fn(&Denial) -> bool) -> Denial {
        loop {
            match self.0.recv().await {
                Ok(denial) if fits(&denial) => return denial,
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                // The connection is gone: whoever waits here waits for its other half.
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// Waits for one that hits a request: its subject, its reply subject, or the inbox for the answer.
    pub(super) async fn of_request(&mut self, subject: &str, inbox: &str) -> Denial {
        self.find(|denial| match denial.action {
            Action::Publish => denial.subject == subject,
            Action::ReplyTo | Action::Subscribe => is_below(&denial.subject, inbox),
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_server_are_read() {
        let cases = [
            ("Permissions Violation for Publish to \"a.b\"", Action::Publish, "a.b"),
            ("Permissions Violation for Publish with Reply of \"_r.x.1\"", Action::ReplyTo, "_r.x.1"),
            ("Permissions Violation for Subscription to \"a.>\"", Action::Subscribe, "a.>"),
            ("Permissions Violation for Subscription to \"A.>\" using queue \"q\"", Action::Subscribe, "A.>"),
        ];
        for (line, action, subject) in cases {
            assert_eq!(Denial::parse(line), Some(Denial { action, subject: subject.to_owned() }), "{line}");
        }
        for other in [
            "",
            "User Authentication Expired",
            "Permissions Violation for",
            "Permissions Violation for Dancing to \"a\"",
        ] {
            assert_eq!(Denial::parse(other), None, "{other}");
        }
    }

    #[test]
    fn denials_are_remembered_until_the_next_connect() {
        let denials = Denials::new();
        denials.note(Denial { action: Action::Publish, subject: "a".into() });
        denials.note(Denial { action: Action::Subscribe, subject: "_r.x.y.*".into() });
        assert!(denials.known(Action::Publish, "a").is_err());
        assert!(denials.known(Action::Subscribe, "a").is_ok());
        assert!(denials.known_below("_r.x").is_err());
        assert!(denials.known_below("_r.xx").is_ok());
        denials.forget();
        assert!(denials.known(Action::Publish, "a").is_ok());
    }

    #[test]
    fn memory_is_bounded() {
        let denials = Denials::new();
        for number in 0..REMEMBERED * 3 {
            denials.note(Denial { action: Action::Publish, subject: number.to_string() });
        }
        assert!(denials.remembered().len() <= REMEMBERED);
    }
}

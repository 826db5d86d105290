//! The names by which clients know members, and the connections that they lead to. Anybody may show such a name, so looking
//! one up costs the same however many members there are.

use std::collections::HashMap;
use std::fmt;
use vettid_wire::base64::{decode_url, encode_url};
use vettid_wire::id::{ConnectionId, Fingerprint};

/// Names a member towards the clients of a sector: `sub`. 32 bytes, written as 43 characters of base64url.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Subject([u8; 32]);

/// Whom a client says that it expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hint {
    /// The one whom it knows by this name, if it does.
    Subject(Subject),
    /// By words that name nobody here. They are not kept.
    Nobody,
}

impl Subject {
    pub(super) fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// `None`: nobody has this name, in no sector.
    pub(super) fn read(text: &str) -> Option<Self> {
        // Told by its length before anything is copied.
        let bytes = if text.len() == 43 { decode_url(text).ok()? } else { return None };
        Some(Self(bytes.try_into().ok()?))
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&encode_url(&self.0))
    }
}

impl Hint {
    /// Reads what a client says.
    pub(super) fn read(text: &str) -> Self {
        Subject::read(text).map_or(Self::Nobody, Self::Subject)
    }
}

/// Whom the subjects of each sector lead to. A sector is read up when one of its subjects is looked up.
#[derive(Debug, Default)]
pub(super) struct Subjects(HashMap<String, Sector>);

#[derive(Debug, Default)]
struct Sector {
    connections: HashMap<Subject, Vec<ConnectionId>>,
    seen: usize,
}

impl Subjects {
    /// Every connection that a member ever had under this subject, oldest first. `since` gives the connections that were made
    /// after the first so many, `name` the subject of a member; each connection is named once.
    pub(super) fn find(
        &mut self,
        sector: &str,
        subject: &Subject,
        since: impl FnOnce(usize) -> Vec<(ConnectionId, Fingerprint)>,
        name: impl Fn(&Fingerprint) -> Subject,
    ) -> Vec<ConnectionId> {
        if !self.0.contains_key(sector) {
            self.0.insert(sector.to_owned(), Sector::default());
        }
        let Some(sector) = self.0.get_mut(sector) else { return Vec::new() };
        for (connection, member) in since(sector.seen) {
            sector.connections.entry(name(&member)).or_default().push(connection);
            sector.seen += 1;
        }
        sector.connections.get(subject).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn connection(number: u8) -> ConnectionId {
        ConnectionId::from_bytes([number; 16])
    }

    fn member(number: u8) -> Fingerprint {
        Fingerprint::from_bytes([number; 32])
    }

    #[test]
    fn nothing_but_43_characters_of_base64url_is_a_subject() {
        let right = encode_url(&[7; 32]);
        assert_eq!(Subject::read(&right).unwrap().to_string(), right);
        let wrong =
            ["", "alice", "alice@shop.example", &right[1..], &format!("{right}A"), &format!("{}+", &right[1..])];
        for text in wrong.into_iter().chain([&*"A".repeat(30_000)]) {
            assert_eq!(Subject::read(text), None, "{text}");
            assert_eq!(Hint::read(text), Hint::Nobody);
        }
    }

    #[test]
    fn each_connection_is_named_once_in_each_sector() {
        let (mut all, named) = (vec![(connection(1), member(1)), (connection(2), member(2))], Cell::new(0));
        let mut subjects = Subjects::default();
        let mut find = |all: &[(ConnectionId, Fingerprint)], sector: &str, number: u8| {
            let name = |member: &Fingerprint| {
                named.set(named.get() + 1);
                let first = if *member == self::member(1) { 1 } else { 2 };
                Subject::new([first; 32])
            };
            subjects.find(sector, &Subject::new([number; 32]), |seen| all[seen..].to_vec(), name)
        };
        for _ in 0..1_000 {
            assert_eq!(find(&all, "shop.example", 1), [connection(1)]);
            assert_eq!(find(&all, "shop.example", 9), [] as [ConnectionId; 0], "nobody");
        }
        assert_eq!(named.get(), 2);
        all.push((connection(3), member(1)));
        assert_eq!(find(&all, "shop.example", 1), [connection(1), connection(3)], "a connection that was made since");
        assert_eq!(find(&all, "bank.example", 2), [connection(2)]);
        assert_eq!(named.get(), 2 + 1 + 3);
    }
}

//! What a vault knows of files in memory only: which pieces are stored, what is asked for, and how much was handed out. A vault that
//! starts again has an empty desk and asks the store.

use super::SWEPT_EVERY_MS;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use vettid_core::rate::Bucket;
use vettid_core::transfer::Fetch;
use vettid_wire::contract::Rate;
use vettid_wire::file::pieces_of;
use vettid_wire::id::{ConnectionId, EventId, FileId};
use vettid_wire::time::Timestamp;

/// Files that are fetched at the same time from one connection, so that one whose sender is silent holds up no other.
pub(super) const MOST_OF_CONNECTION: usize = 4;
/// Files that are fetched at the same time from all of them.
const MOST_FETCHES: usize = 64;
/// A store that did not say which pieces are here is asked again after this time, in milliseconds.
const LIST_AGAIN_AFTER_MS: i64 = 30_000;
/// Bytes that are handed out to one connection: as often as its room could be filled, and once more.
const HANDED_OUT: Rate = Rate { count: 512 << 20, per_seconds: 3600 };
/// Events about pieces that are taken from one connection.
const EVENTS: Rate = Rate { count: 3_000, per_seconds: 60 };
/// Connections whose buckets are kept at once; a forgotten bucket is a full one, so these are many.
const MOST_METERS: usize = 10_000;

/// The desk.
#[derive(Debug, Default)]
pub struct FileDesk {
    /// Pieces of files that are being prepared, as far as the store was asked.
    uploads: HashMap<FileId, BTreeSet<u32>>,
    /// Files on their way here.
    pub(super) fetches: BTreeMap<(ConnectionId, EventId), Fetch>,
    /// Since when the store is being asked for the pieces of a file.
    listing: HashMap<(ConnectionId, EventId), Timestamp>,
    /// Pieces that the peer got of files that were sent.
    handed_out: HashMap<FileId, BTreeSet<u32>>,
    meters: HashMap<ConnectionId, Meter>,
    swept_at: Option<Timestamp>,
}

/// What one connection may still do.
#[derive(Debug)]
struct Meter {
    events: Bucket,
    bytes: Bucket,
}

impl FileDesk {
    /// A piece is stored.
    pub(super) fn has_piece(&mut self, file_id: FileId, index: u32) {
        self.uploads.entry(file_id).or_default().insert(index);
    }

    /// These pieces are stored.
    pub(super) fn has_pieces(&mut self, file_id: FileId, pieces: BTreeSet<u32>) {
        self.uploads.insert(file_id, pieces);
    }

    /// Whether every piece of a file of this size is known to be stored.
    pub(super) fn has_all(&self, file_id: FileId, size_bytes: u64) -> bool {
        let stored = self.uploads.get(&file_id);
        stored.is_some_and(|stored| (0..pieces_of(size_bytes)).all(|index| stored.contains(&index)))
    }

    /// Whether the store is to be asked which pieces of a file are here; it counts as asked.
    pub(super) fn is_to_be_listed(&mut self, file: (ConnectionId, EventId), now: Timestamp) -> bool {
        let is_asked = |since: &Timestamp| (0..LIST_AGAIN_AFTER_MS).contains(&now.since_ms(*since));
        let is_due = !self.listing.get(&file).is_some_and(is_asked);
        if is_due {
            self.listing.insert(file, now);
        }
        is_due
    }

    /// The store said which pieces of a file are here, or that it cannot.
    pub(super) fn listed(&mut self, file: &(ConnectionId, EventId)) {
        self.listing.remove(file);
    }

    /// Nothing is stored under this name any more.
    pub(super) fn forget_store(&mut self, store: FileId) {
        self.uploads.remove(&store);
        self.handed_out.remove(&store);
    }

    /// The peer was sent a piece.
    pub(super) fn hand_out(&mut self, file_id: FileId, index: u32) {
        self.handed_out.entry(file_id).or_default().insert(index);
    }

    /// So many pieces the peer was sent, as far as is known.
    pub(super) fn handed_out(&self, file_id: FileId) -> u32 {
        self.handed_out.get(&file_id).map_or(0, |pieces| u32::try_from(pieces.len()).unwrap_or(u32::MAX))
    }

    /// Whether one more event about pieces is taken from this connection.
    pub(super) fn admits(&mut self, connection_id: ConnectionId, now: Timestamp) -> bool {
        self.meter(connection_id, now).events.take(EVENTS, now)
    }

    /// Whether so many more bytes are handed out to this connection.
    pub(super) fn hands_out(&mut self, connection_id: ConnectionId, bytes: usize, now: Timestamp) -> bool {
        let (meter, bytes) = (self.meter(connection_id, now), u64::try_from(bytes).unwrap_or(u64::MAX));
        let has = meter.bytes.has(HANDED_OUT, bytes, now);
        if has {
            meter.bytes.spend(HANDED_OUT, bytes);
        }
        has
    }

    fn meter(&mut self, connection_id: ConnectionId, now: Timestamp) -> &mut Meter {
        if self.meters.len() >= MOST_METERS && !self.meters.contains_key(&connection_id) {
            self.meters.clear();
        }
        let full = || Meter { events: Bucket::full(EVENTS, now), bytes: Bucket::full(HANDED_OUT, now) };
        self.meters.entry(connection_id).or_insert_with(full)
    }

    /// Whether the store is to be looked through; it counts as done.
    pub(super) fn is_to_be_swept(&mut self, now: Timestamp) -> bool {
        let is_due = self.swept_at.is_none_or(|at| !(0..SWEPT_EVERY_MS).contains(&now.since_ms(at)));
        if is_due {
            self.swept_at = Some(now);
        }
        is_due
    }
}

/// Those files whose turn it is: a few of each connection.
pub(super) fn in_turn(waiting: Vec<(ConnectionId, EventId)>) -> Vec<(ConnectionId, EventId)> {
    let mut counts: HashMap<ConnectionId, usize> = HashMap::new();
    let mut has_place = |(id, _): &(ConnectionId, EventId)| {
        let count = counts.entry(*id).or_default();
        *count += 1;
        *count <= MOST_OF_CONNECTION
    };
    waiting.into_iter().filter(|file| has_place(file)).take(MOST_FETCHES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_whose_files_do_not_come_holds_up_no_other() {
        let id = |n| ConnectionId::from_bytes([n; 16]);
        let file = |connection, n| (id(connection), EventId::from_bytes([n; 16]));
        let mut waiting: Vec<_> = (0..100).map(|n| file(1, n)).collect();
        waiting.push(file(2, 0));
        let chosen = in_turn(waiting);
        assert_eq!(chosen.len(), MOST_OF_CONNECTION + 1);
        assert_eq!(chosen.last(), Some(&file(2, 0)));
    }

    #[test]
    fn a_store_that_does_not_answer_is_asked_again() {
        let (mut desk, now) = (FileDesk::default(), Timestamp::from_unix_ms(1_000_000_000));
        let file = (ConnectionId::from_bytes([1; 16]), EventId::from_bytes([1; 16]));
        let due: Vec<bool> =
            [0, 1, LIST_AGAIN_AFTER_MS].iter().map(|ms| desk.is_to_be_listed(file, now.plus_ms(*ms))).collect();
        assert_eq!(due, [true, false, true]);
        desk.listed(&file);
        assert!(desk.is_to_be_listed(file, now.plus_ms(LIST_AGAIN_AFTER_MS + 1)));
    }

    #[test]
    fn a_connection_gets_so_much_and_no_more() {
        let (mut desk, id, now) = (FileDesk::default(), ConnectionId::from_bytes([1; 16]), Timestamp::default());
        let taken = (0..5_000).filter(|_| desk.admits(id, now)).count();
        assert_eq!(taken, 3_000);
        let taken = (0..2_000).filter(|_| desk.hands_out(id, 512 << 10, now)).count();
        assert_eq!(taken, 1_024);
        assert!(desk.hands_out(ConnectionId::from_bytes([2; 16]), 512 << 10, now));
    }

    #[test]
    fn a_file_is_whole_when_each_of_its_pieces_is_known() {
        let (mut desk, file) = (FileDesk::default(), FileId::from_bytes([1; 16]));
        assert!(!desk.has_all(file, 0));
        desk.has_piece(file, 1);
        assert!(!desk.has_all(file, 600_000));
        desk.has_piece(file, 0);
        assert!(desk.has_all(file, 600_000) && !desk.has_all(file, 2_000_000));
        desk.forget_store(file);
        assert!(!desk.has_all(file, 600_000));
    }

    #[test]
    fn the_store_is_looked_through_at_the_start_and_now_and_then() {
        let (mut desk, now) = (FileDesk::default(), Timestamp::from_unix_ms(1_000_000_000));
        let due: Vec<bool> =
            [0, 1, SWEPT_EVERY_MS - 1, SWEPT_EVERY_MS].iter().map(|ms| desk.is_to_be_swept(now.plus_ms(*ms))).collect();
        assert_eq!(due, [true, false, false, true]);
    }
}

//! What a running process has in its memory, as root can read it on Linux.

use crate::canary::{Hit, Search};
use crate::processes::Process;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;

/// So much is read at once; pieces overlap by more than the longest needle.
const PIECE_BYTES: u64 = 1 << 20;
const OVERLAP_BYTES: u64 = 1 << 12;

/// Whether the memory of processes that switched dumps off can be read at all.
pub(crate) fn is_readable() -> bool {
    rustix::process::geteuid().is_root()
}

/// What is found in everything that this process can write to; and how much that is.
pub(crate) fn search(process: &Process, search: &Search) -> (u64, BTreeSet<Hit>) {
    let maps = fs::read_to_string(format!("/proc/{}/maps", process.id)).unwrap();
    let memory = File::open(format!("/proc/{}/mem", process.id)).unwrap();
    let (mut read_bytes, mut hits) = (0, BTreeSet::new());
    for line in maps.lines() {
        let mut fields = line.split_whitespace();
        let (range, modes) = (fields.next().unwrap(), fields.next().unwrap());
        if !modes.starts_with("rw") {
            continue;
        }
        let (start, end) = range.split_once('-').unwrap();
        let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
        let mut at = start;
        while at < end {
            let mut piece = vec![0; usize::try_from((end - at).min(PIECE_BYTES)).unwrap()];
            // A mapping may go away while it is looked at.
            let Ok(count) = memory.read_at(&mut piece, at) else { break };
            hits.extend(search.hits(&piece[..count]));
            let step = u64::try_from(count).unwrap();
            read_bytes += step;
            at = if step < PIECE_BYTES { end } else { at + step - OVERLAP_BYTES };
        }
    }
    (read_bytes, hits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canary::Canary;
    use crate::processes::below;

    #[test]
    fn what_lies_in_this_very_process_is_found() {
        if !is_readable() {
            return;
        }
        let planted = format!("planted {}", std::process::id()).into_bytes();
        let me = below(std::process::id()).into_iter().next().unwrap();
        let (read_bytes, hits) = search(&me, &Search::new(&[Canary::new("mine", planted)]));
        assert!(read_bytes > 1 << 20 && hits.iter().any(|hit| hit.form == "plain"), "{hits:?}");
    }
}

//! A list of different texts that stand for numbers. A text that nothing uses any more is forgotten, and its number given
//! to another one; no text stays in memory after the list.

use std::collections::BTreeMap;
use std::sync::Arc;
use zeroize::Zeroize;

/// The number of a text.
pub(super) type Id = u32;

/// Stands between two texts; no text holds it.
const GAP: char = '\n';

#[derive(Default)]
pub(super) struct Words {
    ids: BTreeMap<Arc<str>, Id>,
    known: Vec<Known>,
    free: Vec<Id>,
    /// Every text, one after the other, so that one pass looks for a part of any of them.
    line: String,
    /// Where each text begins in the line, in that order; a forgotten text is still named here.
    starts: Vec<(usize, Id)>,
}

/// A text, how many use it and where it stands in the line; no text if its number is free.
struct Known {
    text: Option<Arc<str>>,
    uses: u32,
    start: usize,
}

impl Words {
    /// The number of a text, counted as one more use.
    pub(super) fn take(&mut self, text: &str) -> Id {
        if let Some(&id) = self.ids.get(text) {
            if let Some(known) = self.known.get_mut(id as usize) {
                known.uses = known.uses.saturating_add(1);
            }
            return id;
        }
        let text: Arc<str> = Arc::from(text);
        let known = Known { text: Some(Arc::clone(&text)), uses: 1, start: self.line.len() };
        let id = self.free.pop().unwrap_or_else(|| Id::try_from(self.known.len()).unwrap_or(Id::MAX));
        self.starts.push((self.line.len(), id));
        self.line.push_str(&text);
        self.line.push(GAP);
        match self.known.get_mut(id as usize) {
            Some(place) => *place = known,
            None => self.known.push(known),
        }
        self.ids.insert(text, id);
        id
    }

    /// One use less of each of these numbers.
    pub(super) fn give_back(&mut self, ids: &[Id]) {
        for &id in ids {
            let Some(known) = self.known.get_mut(id as usize) else { continue };
            known.uses = known.uses.saturating_sub(1);
            if known.uses > 0 {
                continue;
            }
            let Some(text) = known.text.take() else { continue };
            let end = known.start + text.len();
            self.line.replace_range(known.start..end, &GAP.to_string().repeat(text.len()));
            self.ids.remove(&text);
            wipe(text);
            self.free.push(id);
        }
        if self.starts.len() > 2 * self.ids.len() + 64 {
            self.close_up();
        }
    }

    /// Writes the line anew, without what is forgotten.
    fn close_up(&mut self) {
        let mut line = String::with_capacity(self.line.len());
        self.starts.clear();
        for (id, known) in (0..).zip(&mut self.known) {
            let Some(text) = &known.text else { continue };
            known.start = line.len();
            self.starts.push((line.len(), id));
            line.push_str(text);
            line.push(GAP);
        }
        std::mem::replace(&mut self.line, line).zeroize();
    }

    /// The number of exactly this text.
    pub(super) fn get(&self, text: &str) -> Option<Id> {
        self.ids.get(text).copied()
    }

    /// The texts that this one is a part of.
    pub(super) fn containing(&self, part: &str) -> Set {
        let mut set = Set(vec![false; self.known.len()]);
        let mut starts = self.starts.iter().peekable();
        for (found, _) in self.line.match_indices(part) {
            let mut last = None;
            while let Some((_, id)) = starts.next_if(|(start, _)| *start <= found) {
                last = Some(*id);
            }
            last.into_iter().for_each(|id| set.add(id));
        }
        set
    }

    /// Every text that passes.
    pub(super) fn passing(&self, passes: impl Fn(&str) -> bool) -> Set {
        let mut set = Set(vec![false; self.known.len()]);
        self.ids.iter().filter(|(text, _)| passes(text)).for_each(|(_, id)| set.add(*id));
        set
    }

    /// How many different texts there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }
}

/// What the owner's entries say leaves nothing behind.
impl Drop for Words {
    fn drop(&mut self) {
        self.ids.clear();
        self.line.zeroize();
        self.known.iter_mut().filter_map(|known| known.text.take()).for_each(wipe);
    }
}

fn wipe(mut text: Arc<str>) {
    if let Some(text) = Arc::get_mut(&mut text) {
        text.zeroize();
    }
}

/// A set of numbers.
pub(super) struct Set(Vec<bool>);

impl Set {
    fn add(&mut self, id: Id) {
        if let Some(is_in) = self.0.get_mut(id as usize) {
            *is_in = true;
        }
    }

    pub(super) fn has(&self, id: Id) -> bool {
        self.0.get(id as usize).copied().unwrap_or(false)
    }

    pub(super) fn has_any(&self, ids: &[Id]) -> bool {
        ids.iter().any(|&id| self.has(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nothing_uses_is_forgotten_and_its_number_used_again() {
        let mut words = Words::default();
        let (a, b) = (words.take("a"), words.take("b"));
        assert_eq!((words.take("a"), words.len()), (a, 2));
        words.give_back(&[a]);
        assert_eq!(words.get("a"), Some(a));
        words.give_back(&[a]);
        assert_eq!((words.get("a"), words.len()), (None, 1));
        assert_eq!(words.take("c"), a);
        assert!(words.passing(|text| text == "c").has(a) && !words.passing(|text| text == "c").has(b));
    }

    #[test]
    fn parts_are_found_in_whatever_is_known() {
        let mut words = Words::default();
        let ids: Vec<Id> = (0..1_000).map(|n| words.take(&format!("word{n}x{n}"))).collect();
        words.give_back(&ids[..900]);
        let again: Vec<Id> = (0..50).map(|n| words.take(&format!("word{n}x{n}"))).collect();
        let known: Vec<(Id, String)> = again
            .iter()
            .copied()
            .zip((0..50).map(|n| format!("word{n}x{n}")))
            .chain(ids[900..].iter().copied().zip((900..1_000).map(|n| format!("word{n}x{n}"))))
            .collect();
        for part in ["word", "9", "x99", "49x49", "nothing", "d90"] {
            let set = words.containing(part);
            for (id, text) in &known {
                assert_eq!(set.has(*id), text.contains(part), "{part} in {text}");
            }
        }
    }
}

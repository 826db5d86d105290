//! What the two apps of the call that is on say to each other. It is in memory only and wiped when the call ends (docs/decisions/0167).

use vettid_core::call::Load;
use vettid_wire::call::{Candidate, Description};
use vettid_wire::id::CallId;

/// The texts of one call at most.
#[derive(Debug, Default)]
pub struct CallTexts {
    held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    call_id: CallId,
    own: Texts,
    peer: Texts,
}

/// What one side said.
#[derive(Debug, Default, Clone)]
pub struct Texts {
    /// Its description.
    pub description: Option<Description>,
    /// Its candidates, each once.
    pub candidates: Vec<Candidate>,
}

/// Which side said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// The owner's app.
    Own,
    /// The other side's.
    Peer,
}

impl Texts {
    /// Nothing but candidates.
    #[must_use]
    pub fn of(candidates: Vec<Candidate>) -> Self {
        Self { description: None, candidates }
    }

    /// How many candidates there are, and how long.
    #[must_use]
    pub fn load(&self) -> Load {
        let bytes = self.candidates.iter().map(|candidate| candidate.expose().len()).sum();
        Load { count: self.candidates.len(), bytes }
    }
}

impl CallTexts {
    /// Whether anything of this call is here.
    #[must_use]
    pub fn holds(&self, id: CallId) -> bool {
        self.held.as_ref().is_some_and(|held| held.call_id == id)
    }

    /// What one side of this call said so far.
    #[must_use]
    pub fn of(&self, id: CallId, who: Who) -> Texts {
        let held = self.held.as_ref().filter(|held| held.call_id == id);
        held.map(|held| if who == Who::Own { held.own.clone() } else { held.peer.clone() }).unwrap_or_default()
    }

    /// What is new of that.
    #[must_use]
    pub fn fresh(&self, id: CallId, who: Who, said: Texts) -> Texts {
        let known = self.of(id, who).candidates;
        let mut candidates: Vec<Candidate> = Vec::new();
        for candidate in said.candidates {
            if !known.contains(&candidate) && !candidates.contains(&candidate) {
                candidates.push(candidate);
            }
        }
        Texts { description: said.description, candidates }
    }

    /// Keeps what one side of this call said; of another call nothing is left.
    pub fn keep(&mut self, id: CallId, who: Who, said: Texts) {
        if !self.holds(id) {
            self.held = Some(Held { call_id: id, own: Texts::default(), peer: Texts::default() });
        }
        let Some(held) = self.held.as_mut() else { return };
        let texts = if who == Who::Own { &mut held.own } else { &mut held.peer };
        texts.candidates.extend(said.candidates);
        if said.description.is_some() {
            texts.description = said.description;
        }
    }

    /// Wipes whatever is not of this call.
    pub fn wipe_all_but(&mut self, id: Option<CallId>) {
        if id.is_none_or(|id| !self.holds(id)) {
            self.held = None;
        }
    }
}

//! Breadth-first search over every reachable world. States are kept as 128-bit fingerprints; a violation comes with the
//! shortest way to it. `VETTID_MODEL_STATES` sets how many states are visited.

use crate::world::{Bounds, Broken, Mutant, World};
use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Without the variable: about half a minute without optimisation.
const STATES: usize = 100_000;

/// How many states the whole search visits.
#[expect(clippy::disallowed_methods, reason = "a nightly run searches further than a commit")]
pub(crate) fn budget() -> usize {
    std::env::var("VETTID_MODEL_STATES").map_or(STATES, |text| text.parse().unwrap())
}

/// What a search found.
#[derive(Debug)]
pub(crate) struct Found {
    /// States visited.
    pub states: usize,
    /// Whether every reachable state within the bounds was visited.
    pub complete: bool,
    /// The first state of each broken rule, with the way to it.
    pub broken: Vec<(Broken, Vec<String>)>,
}

impl Found {
    pub(crate) fn rules(&self) -> Vec<Broken> {
        self.broken.iter().map(|(rule, _)| *rule).collect()
    }

    #[track_caller]
    pub(crate) fn assert_whole(&self) {
        let ways: Vec<_> = self.broken.iter().map(|(rule, way)| format!("{rule:?}:\n{}", way.join("\n"))).collect();
        assert!(ways.is_empty(), "after {} states: {}", self.states, ways.join("\n\n"));
    }
}

fn fingerprint(world: &World) -> u128 {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        world.hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}

struct Search<'a> {
    bounds: &'a Bounds,
    mutant: Mutant,
    seen: HashMap<u128, u32>,
    parents: Vec<u32>,
    /// From, to; for liveness.
    edges: Vec<(u32, u32)>,
    /// States from which the member is not held to finish: finished, cut off, or not expanded.
    excused: Vec<bool>,
    /// States where the search may stop short; they are no witness of being stuck.
    goals: Vec<bool>,
    queue: VecDeque<(u32, World)>,
    broken: Vec<(Broken, u32)>,
}

/// Visits at most `states`; stops at the first broken rule if `stop` says so.
pub(crate) fn search(bounds: &Bounds, mutant: Mutant, states: usize, stop: bool) -> Found {
    let mut search = Search {
        bounds,
        mutant,
        seen: HashMap::new(),
        parents: Vec::new(),
        edges: Vec::new(),
        excused: Vec::new(),
        goals: Vec::new(),
        queue: VecDeque::new(),
        broken: Vec::new(),
    };
    search.visit(World::start(bounds), 0);
    while let Some((index, world)) = search.queue.pop_front() {
        if search.parents.len() >= states || (stop && !search.broken.is_empty()) {
            search.queue.push_front((index, world));
            break;
        }
        for next in world.successors(bounds, mutant) {
            let to = search.visit(next, index);
            search.edges.push((index, to));
        }
    }
    search.result()
}

impl Search<'_> {
    fn visit(&mut self, world: World, from: u32) -> u32 {
        let number = u32::try_from(self.parents.len()).unwrap();
        let index = *self.seen.entry(fingerprint(&world)).or_insert(number);
        if index == number {
            self.parents.push(from);
            self.goals.push(world.is_finished(self.bounds));
            self.excused.push(world.is_cut_off(self.bounds));
            for rule in world.broken(self.bounds) {
                if self.broken.iter().all(|(known, _)| *known != rule) {
                    self.broken.push((rule, index));
                }
            }
            self.queue.push_back((index, world));
        }
        index
    }

    /// The first state from which no way leads to the end. A state that was not expanded counts as leading there.
    fn stuck(&self) -> Option<u32> {
        let mut can = self.goals.clone();
        for (index, _) in &self.queue {
            can[*index as usize] = true;
        }
        let mut back = vec![Vec::new(); can.len()];
        for (from, to) in &self.edges {
            back[*to as usize].push(*from);
        }
        let mut open: Vec<usize> = (0..can.len()).filter(|&index| can[index]).collect();
        while let Some(index) = open.pop() {
            for &from in &back[index] {
                if !std::mem::replace(&mut can[from as usize], true) {
                    open.push(from as usize);
                }
            }
        }
        (0..can.len()).find(|&index| !can[index] && !self.excused[index]).map(|index| u32::try_from(index).unwrap())
    }

    fn result(mut self) -> Found {
        if let Some(index) = self.stuck() {
            self.broken.push((Broken::Stuck, index));
        }
        let broken = self.broken.iter().map(|&(rule, index)| (rule, self.way_to(index))).collect();
        Found { states: self.parents.len(), complete: self.queue.is_empty(), broken }
    }

    /// The states on the shortest way, made again from the start.
    fn way_to(&self, index: u32) -> Vec<String> {
        let mut indices = vec![index];
        while let Some(&last) = indices.last().filter(|&&last| last != 0) {
            indices.push(self.parents[last as usize]);
        }
        let mut world = World::start(self.bounds);
        let mut way = vec![world.show()];
        for wanted in indices.into_iter().rev().skip(1) {
            let next = world.successors(self.bounds, self.mutant);
            world = next.into_iter().find(|next| self.seen.get(&fingerprint(next)) == Some(&wanted)).unwrap();
            way.push(world.show());
        }
        way
    }
}

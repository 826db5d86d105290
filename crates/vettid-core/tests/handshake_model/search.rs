//! Search over the worlds that can be reached, in turn from the nearest one and down the course that honest sides would take,
//! so that also a search that is cut short sees handshakes that end. `VETTID_MODEL_STATES` sets how many worlds are visited; a violation
//! comes with a way to it.

use crate::session::Mutant;
use crate::world::{Action, Broken, Model, Reached, Setting, World};
use std::collections::{HashMap, HashSet, VecDeque};

/// Worlds that each search visits without the variable: seconds without optimisation.
const STATES: usize = 2_500;

/// How many worlds each search visits.
#[expect(clippy::disallowed_methods, reason = "a nightly run searches further than a commit")]
pub(crate) fn budget() -> usize {
    std::env::var("VETTID_MODEL_STATES").map_or(STATES, |text| text.parse().unwrap())
}

/// What a search found.
#[derive(Debug)]
pub(crate) struct Found {
    /// Worlds visited.
    pub states: usize,
    /// Whether every reachable world was visited.
    pub complete: bool,
    /// The first world of each broken rule, with the way to it.
    pub broken: Vec<(Broken, Vec<String>)>,
    pub reached: HashSet<Reached>,
}

impl Found {
    pub(crate) fn rules(&self) -> Vec<Broken> {
        self.broken.iter().map(|(rule, _)| *rule).collect()
    }

    /// Nothing is broken but what this scenario gives up.
    #[track_caller]
    pub(crate) fn assert_whole(&self, given_up: &[Broken]) {
        let ways: Vec<_> = self
            .broken
            .iter()
            .filter(|(rule, _)| !given_up.contains(rule))
            .map(|(rule, way)| format!("{rule:?}:\n{}", way.join("\n")))
            .collect();
        assert!(ways.is_empty(), "after {} states: {}", self.states, ways.join("\n\n"));
    }
}

type Step = (u32, usize, Action);

/// Visits at most `states` worlds, and stops early once `wanted` is broken.
pub(crate) fn search(setting: &Setting, mutant: Mutant, states: usize, wanted: Option<Broken>) -> Found {
    let mut model = Model::new(setting, mutant);
    let first = model.start();
    let mut numbers = HashMap::from([(first.clone(), 0u32)]);
    let mut parents: Vec<Option<Step>> = vec![None];
    let mut broken: Vec<(Broken, u32)> = vec![];
    let mut reached = HashSet::new();
    let mut open = Open::default();
    open.add(0, first, true);
    while let Some((number, world, deep)) = open.next() {
        let is_found = wanted.is_some_and(|wanted| broken.iter().any(|(rule, _)| *rule == wanted));
        if numbers.len() >= states || is_found {
            open.add(number, world, deep);
            break;
        }
        for (seat, action, next) in model.successors(&world) {
            let fresh = u32::try_from(parents.len()).unwrap();
            if *numbers.entry(next.clone()).or_insert(fresh) != fresh {
                continue;
            }
            parents.push(Some((number, seat, action)));
            for rule in model.broken(&next) {
                if broken.iter().all(|(known, _)| *known != rule) {
                    broken.push((rule, fresh));
                }
            }
            reached.extend(model.reached(&next));
            open.add(fresh, next, deep);
        }
    }
    let broken = broken.into_iter().map(|(rule, number)| (rule, way_to(&model, &numbers, &parents, number))).collect();
    Found { states: numbers.len(), complete: open.is_empty(), broken, reached }
}

/// Worlds whose successors are not known yet.
#[derive(Default)]
struct Open {
    worlds: HashMap<u32, World>,
    near: VecDeque<u32>,
    deep: Vec<u32>,
    turn: bool,
}

impl Open {
    /// What follows from a world that was taken from the deep end goes there again.
    fn add(&mut self, number: u32, world: World, deep: bool) {
        self.worlds.insert(number, world);
        self.near.push_back(number);
        self.deep.extend(deep.then_some(number));
    }

    /// The next world, and whether it is from the deep end.
    fn next(&mut self) -> Option<(u32, World, bool)> {
        self.turn = !self.turn;
        loop {
            let deep = self.turn && !self.deep.is_empty();
            let number = if deep { self.deep.pop() } else { self.near.pop_front() }?;
            if let Some(world) = self.worlds.remove(&number) {
                return Some((number, world, deep));
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.worlds.is_empty()
    }
}

fn way_to(model: &Model<'_>, numbers: &HashMap<World, u32>, parents: &[Option<Step>], number: u32) -> Vec<String> {
    let mut way = vec![];
    let mut at = number;
    while let Some((from, seat, action)) = parents[at as usize] {
        way.push(model.tell(seat, action));
        at = from;
    }
    way.reverse();
    let world = numbers.iter().find(|(_, n)| **n == number).unwrap().0;
    way.push(model.show(world));
    way
}

//! Calls between two sides over a network that loses, repeats, delays and reorders: in whatever order things happen, both sides end
//! in the same call or in none, and nothing rings that is over.
#![expect(clippy::indexing_slicing, reason = "tests")]

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use vettid_core::call::{Effect, Heard, LONGEST_MS, Line, Load, Phase, REMEMBER_MS, Refused, Say, Unheard, Welcome};
use vettid_wire::call::{EndReason, MAX_CANDIDATES, RING_MS};
use vettid_wire::id::{CallId, ConnectionId};
use vettid_wire::time::Timestamp;

const ONE: Load = Load { count: 1, bytes: 10 };

fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_000_000_000 + ms)
}

fn connection() -> ConnectionId {
    ConnectionId::from_bytes([1; 16])
}

fn call(n: u8) -> CallId {
    CallId::from_bytes([n; 16])
}

/// What the other side hears.
fn heard(say: Say, own: Load) -> Heard {
    match say {
        Say::Offer(at) => Heard::Offer(at, own),
        Say::Ringing => Heard::Ringing,
        Say::Answer(at) => Heard::Answer(at, own),
        Say::Connected => Heard::Connected,
        Say::AllCandidates => Heard::Candidates(Load::default()),
        Say::NewCandidates => Heard::Candidates(ONE),
        Say::End(reason, at) => Heard::End(reason, at),
    }
}

#[derive(Default)]
struct Side {
    line: Line,
    /// Calls that rang, were over, and were missed.
    rang: BTreeSet<CallId>,
    ended: BTreeMap<CallId, i64>,
    missed: BTreeMap<CallId, i64>,
}

#[derive(Default)]
struct World {
    now: i64,
    sides: [Side; 2],
    /// On its way to each side.
    sent: [Vec<(CallId, Heard)>; 2],
    placed: u8,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Place(usize, u8),
    Answer(usize),
    HangUp(usize),
    Candidate(usize),
    /// Delivers one message, and keeps it for another time.
    Deliver(usize, usize, bool),
    Lose(usize, usize),
    Pass(i64),
}

impl World {
    fn follow(&mut self, who: usize, effects: Vec<Effect>) {
        for effect in effects {
            let side = &mut self.sides[who];
            match effect {
                Effect::Say(_, id, say) => self.sent[1 - who].push((id, heard(say, Load::default()))),
                Effect::Ring => {
                    let id = side.line.live().map(|call| call.call_id);
                    assert!(id.is_some_and(|id| side.rang.insert(id)), "rang twice");
                    assert!(id.is_some_and(|id| !side.ended.contains_key(&id)), "rang after its end");
                }
                Effect::Ended(ended) => {
                    assert_eq!(side.ended.insert(ended.call.call_id, self.now), None, "ended twice")
                }
                Effect::Missed(_, id, ..) => {
                    // What is forgotten is told from what is new by the list of calls.
                    let known = [side.missed.insert(id, self.now), side.ended.get(&id).copied()];
                    let forgotten = |at: &i64| self.now - at >= REMEMBER_MS;
                    assert!(known.iter().flatten().all(forgotten), "missed what was known");
                }
                Effect::Keep | Effect::Connected => {}
            }
        }
    }

    fn act(&mut self, who: usize, act: impl FnOnce(&mut Line, Timestamp) -> Result<Vec<Effect>, Refused>) {
        let before = self.sides[who].line.clone();
        match act(&mut self.sides[who].line, at(self.now)) {
            Ok(effects) => self.follow(who, effects),
            Err(_) => assert_eq!(self.sides[who].line, before, "a refusal changes nothing"),
        }
    }

    fn deliver(&mut self, who: usize, message: (CallId, Heard)) {
        self.act(who, |line, now| line.hear(now, connection(), Welcome::Rings, message));
    }

    fn tick(&mut self) {
        for who in [0, 1] {
            self.act(who, |line, now| Ok(line.tick(now)));
        }
    }

    fn step(&mut self, step: Step) {
        let live = |world: &Self, who: usize| world.sides[who].line.live().map_or(call(0), |call| call.call_id);
        match step {
            Step::Place(who, high) => {
                self.placed += 1;
                let id = CallId::from_bytes([if high > 127 { self.placed } else { 255 - self.placed }; 16]);
                self.act(who, |line, now| line.place(now, id, connection()));
            }
            Step::Answer(who) => {
                let id = live(self, who);
                self.act(who, |line, now| line.answer(now, id));
            }
            Step::HangUp(who) => {
                let id = live(self, who);
                self.act(who, |line, now| line.hang_up(now, id));
            }
            Step::Candidate(who) => {
                let id = live(self, who);
                self.act(who, |line, _| line.add_candidates(id, ONE));
            }
            Step::Deliver(who, n, keep) if !self.sent[who].is_empty() => {
                let place = n % self.sent[who].len();
                let message = if keep { self.sent[who][place] } else { self.sent[who].remove(place) };
                self.deliver(who, message);
            }
            Step::Lose(who, n) if !self.sent[who].is_empty() => {
                let place = n % self.sent[who].len();
                // The end is durable.
                if !matches!(self.sent[who][place].1, Heard::End(..)) {
                    self.sent[who].remove(place);
                }
            }
            Step::Deliver(..) | Step::Lose(..) => {}
            Step::Pass(ms) => {
                self.now += ms;
                self.tick();
            }
        }
    }

    fn settle(&mut self, seconds: i64) {
        self.drain();
        for _ in 0..seconds {
            self.now += 1_000;
            self.tick();
            self.drain();
        }
    }

    /// Until nothing is on its way.
    fn drain(&mut self) {
        while self.sent.iter().any(|sent| !sent.is_empty()) {
            for who in [0, 1] {
                for message in std::mem::take(&mut self.sent[who]) {
                    self.deliver(who, message);
                }
            }
        }
    }

    fn live(&self) -> [Option<(CallId, Phase)>; 2] {
        [0, 1].map(|who| self.sides[who].line.live().map(|call| (call.call_id, call.phase)))
    }
}

fn steps(lossy: bool) -> impl Strategy<Value = Vec<Step>> {
    let who = || 0..2usize;
    let deliver = (who(), any::<usize>(), any::<bool>()).prop_map(|(who, n, keep)| Step::Deliver(who, n, keep));
    let step = prop_oneof![
        2 => (who(), any::<u8>()).prop_map(|(who, high)| Step::Place(who, high)),
        2 => who().prop_map(Step::Answer),
        1 => who().prop_map(Step::HangUp),
        1 => who().prop_map(Step::Candidate),
        8 => deliver,
        2 => (who(), any::<usize>()).prop_map(move |(who, n)| if lossy { Step::Lose(who, n) } else { Step::Pass(1) }),
        2 => (1..4_000i64).prop_map(Step::Pass),
        1 => (5_000..50_000i64).prop_map(Step::Pass),
    ];
    proptest::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_sides_are_in_the_same_call_or_in_none(steps in steps(true)) {
        let mut world = World::default();
        steps.into_iter().for_each(|step| world.step(step));
        world.settle(6);
        // A call that nobody answers is over after a while, and one that was answered is connected.
        match world.live() {
            [None, None] => {}
            [Some((a, first)), Some((b, second))] => {
                prop_assert_eq!(a, b);
                let pair = [(first, second), (second, first)];
                let rings = (Phase::Calling { reached: true }, Phase::Ringing);
                prop_assert!(
                    (first == Phase::Connected && second == first) || pair.contains(&rings),
                    "{:?} {:?}", first, second
                );
            }
            other => prop_assert!(false, "{:?}", other),
        }
        world.settle(RING_MS / 1_000 + 1);
        let connected = world.live().map(|live| live.is_some_and(|(_, phase)| phase == Phase::Connected));
        prop_assert_eq!(connected[0], connected[1]);
        prop_assert_eq!(world.live().map(|live| live.is_some()), connected);
        world.now += LONGEST_MS + REMEMBER_MS;
        world.settle(2);
        world.now += REMEMBER_MS;
        world.settle(1);
        prop_assert!(world.sides.iter().all(|side| side.line.is_idle()));
    }
}

#[test]
fn both_call_at_once_and_the_smaller_id_goes_on() {
    for [first, second] in [[1, 2], [2, 1]] {
        let mut world = World::default();
        world.act(0, |line, now| line.place(now, call(first), connection()));
        world.act(1, |line, now| line.place(now, call(second), connection()));
        world.settle(1);
        let winner = usize::from(second < first);
        assert_eq!(world.live()[winner], Some((call(1), Phase::Calling { reached: true })));
        assert_eq!(world.live()[1 - winner], Some((call(1), Phase::Ringing)));
        assert!(world.sides[1 - winner].ended.contains_key(&call(2)));
    }
}

#[test]
fn a_second_call_is_busy_and_told_as_missed() {
    let mut world = World::default();
    world.act(0, |line, now| line.place(now, call(1), connection()));
    world.settle(1);
    let other = ConnectionId::from_bytes([2; 16]);
    let line = &mut world.sides[1].line;
    let now = at(world.now);
    let effects = line.hear(now, other, Welcome::Rings, (call(7), Heard::Offer(now, ONE)));
    let busy = Effect::Say(other, call(7), Say::End(EndReason::Busy, None));
    assert_eq!(effects, Ok(vec![Effect::Missed(other, call(7), now, Unheard::Busy), busy]));
    assert_eq!(line.place(now, call(8), other), Err(Refused::Busy));
    // Nobody else can say anything about a call, nor about one that nobody placed.
    for said in [Heard::End(EndReason::HungUp, None), Heard::Candidates(ONE), Heard::Offer(now, ONE)] {
        assert_eq!(line.hear(now, other, Welcome::Rings, (call(1), said)), Err(Refused::Unknown));
    }
    assert_eq!(line.hear(now, other, Welcome::Rings, (call(9), Heard::Candidates(ONE))), Err(Refused::Unknown));
    assert_eq!(line.hear(now, other, Welcome::Rings, (call(9), Heard::Connected)), Err(Refused::Unknown));
}

#[test]
fn an_offer_that_comes_late_does_not_ring() {
    let mut line = Line::default();
    let now = at(RING_MS + 1);
    let effects = line.hear(now, connection(), Welcome::Rings, (call(1), Heard::Offer(at(0), ONE)));
    let missed = Effect::Missed(connection(), call(1), at(0), Unheard::Late);
    let over = Effect::Say(connection(), call(1), Say::End(EndReason::TimedOut, None));
    assert_eq!(effects, Ok(vec![missed, over]));
    assert!(line.live().is_none());
    // Once more: it is told again that it is over, and the owner hears nothing.
    let effects = line.hear(now, connection(), Welcome::Rings, (call(1), Heard::Offer(at(0), ONE)));
    assert_eq!(effects, Ok(vec![over]));
    let future = (call(2), Heard::Offer(at(10 * RING_MS), ONE));
    assert_eq!(line.hear(now, connection(), Welcome::Rings, future), Err(Refused::NotNow));
}

#[test]
fn whoever_may_not_ring_hears_nothing() {
    for (welcome, told) in [(Welcome::Told, 1), (Welcome::Nothing, 0)] {
        let mut line = Line::default();
        for _ in 0..3 {
            let offer = (call(1), Heard::Offer(at(0), ONE));
            let effects = line.hear(at(10), connection(), welcome, offer).unwrap_or_default();
            assert!(!effects.iter().any(|effect| matches!(effect, Effect::Say(..) | Effect::Ring)), "{effects:?}");
        }
        let end = (call(2), Heard::End(EndReason::NotReachable, Some(at(0))));
        assert_eq!(line.hear(at(20), connection(), welcome, end).map(|effects| effects.len()), Ok(told));
        assert_eq!(line.hear(at(20), connection(), welcome, end), Ok(vec![]));
    }
}

#[test]
fn candidates_before_the_answer_are_kept_and_bounded() {
    let mut world = World::default();
    world.act(0, |line, now| line.place(now, call(1), connection()));
    world.act(0, |line, _| line.add_candidates(call(1), ONE));
    assert_eq!(world.sent[1].len(), 1, "they wait until the other side knows the call");
    world.settle(1);
    assert_eq!(world.live()[1], Some((call(1), Phase::Ringing)));
    let line = &mut world.sides[1].line;
    let most = Load { count: MAX_CANDIDATES, bytes: 1 };
    let hear =
        |line: &mut Line, load| line.hear(at(0), connection(), Welcome::Rings, (call(1), Heard::Candidates(load)));
    assert_eq!(hear(line, most), Ok(vec![Effect::Keep]));
    assert_eq!(hear(line, ONE), Err(Refused::TooMuch));
    assert_eq!(line.add_candidates(call(1), Load { count: 1, bytes: 1 << 20 }), Err(Refused::TooMuch));
}

#[test]
fn a_revoked_connection_ends_its_call_and_is_told_nothing() {
    let mut world = World::default();
    world.act(0, |line, now| line.place(now, call(1), connection()));
    world.settle(1);
    let effects = world.sides[1].line.cut(connection());
    let [Effect::Ended(ended)] = effects[..] else { unreachable!("{effects:?}") };
    assert_eq!((ended.reason, ended.call.call_id), (EndReason::Revoked, call(1)));
    assert!(world.sides[1].line.is_idle());
}

#[test]
fn a_restart_ends_what_was_not_connected() {
    let mut line = Line::default();
    let rings = line.hear(at(0), connection(), Welcome::Rings, (call(1), Heard::Offer(at(0), ONE)));
    assert!(rings.is_ok_and(|effects| effects.contains(&Effect::Ring)));
    let effects = line.forget_texts(at(1));
    assert!(effects.contains(&Effect::Say(connection(), call(1), Say::End(EndReason::Failed, None))));
    assert!(line.live().is_none());
}

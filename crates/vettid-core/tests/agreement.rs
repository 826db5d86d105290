//! Every run of two sides over a network that keeps, repeats, delays and reorders whatever was ever sent, searched to the end
//! for a small number of rounds and times.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::{BTreeSet, HashSet};
use vettid_core::agreement::{Agreement, Message, Refused, State, Terms};
use vettid_wire::agreement::{AgreementKind as Kind, AgreementOutcome as Outcome};
use vettid_wire::auth::Decision;
use vettid_wire::digest::Digest;
use vettid_wire::time::Timestamp;

const LAST: i64 = 3;
const ROUNDS: u32 = 3;

fn at(n: i64) -> Timestamp {
    Timestamp::from_unix_ms(n)
}

fn hash(round: u32) -> Digest {
    Digest::from_bytes([u8::try_from(round).unwrap(); 32])
}

/// Terms are good for two units of time.
fn expires(now: i64) -> Timestamp {
    at(now + 2)
}

/// Both sides, and everything that was ever sent to each.
#[derive(Clone, PartialEq, Eq, Hash)]
struct World {
    now: i64,
    sides: [Option<Agreement>; 2],
    sent: [Vec<Message>; 2],
    /// When a maker decided, if one approved.
    approved: Option<(i64, Terms)>,
}

const BOTH: [usize; 2] = [0, 1];

impl World {
    fn new(kind: Kind) -> Self {
        let (proposer, message) = Agreement::propose(kind, hash(1), expires(0));
        Self { now: 0, sides: [Some(proposer), None], sent: [vec![], vec![message]], approved: None }
    }

    fn send(&mut self, to: usize, message: Option<Message>) {
        if let Some(message) = message.filter(|message| !self.sent[to].contains(message)) {
            self.sent[to].push(message);
        }
    }

    /// Something happens at one side; a refusal must change nothing.
    fn at_side(
        &self,
        who: usize,
        act: impl FnOnce(&mut Agreement, Timestamp) -> Result<Option<Message>, Refused>,
    ) -> Self {
        let mut next = self.clone();
        let Some(side) = next.sides[who].as_mut() else { return next };
        let before = *side;
        match act(side, at(self.now)) {
            Ok(message) => {
                let after = *side;
                if before.state() != after.state()
                    && after.state() == State::Ended(Outcome::Approved)
                    && next.approved.is_none()
                {
                    next.approved = Some((self.now, after.terms()));
                }
                next.send(1 - who, message);
            }
            Err(_) => assert_eq!(*side, before),
        }
        next
    }

    fn deliver(&self, kind: Kind, who: usize, message: Message) -> Self {
        match (&self.sides[who], message) {
            (None, Message::Terms(terms)) => {
                let mut next = self.clone();
                next.sides[who] = Agreement::receive_proposal(kind, terms).ok();
                next
            }
            (None, _) => self.clone(),
            (Some(_), message) => self.at_side(who, |side, now| side.receive(now, message)),
        }
    }

    /// Every world that one event leads to.
    fn next(&self, kind: Kind) -> Vec<Self> {
        let mut all = vec![];
        if self.now < LAST {
            all.push(Self { now: self.now + 1, ..self.clone() });
        }
        for who in BOTH {
            all.extend(self.sent[who].iter().map(|message| self.deliver(kind, who, *message)));
            all.push(self.at_side(who, |side, now| Ok(side.tick(now))));
            all.push(self.at_side(who, |side, _| side.withdraw().map(Some)));
            for shown in 1..=ROUNDS {
                for decision in [Decision::Approve, Decision::Deny] {
                    all.push(self.at_side(who, |side, now| side.answer(now, hash(shown), decision).map(Some)));
                }
                if shown < ROUNDS {
                    let until = expires(self.now);
                    all.push(
                        self.at_side(who, |side, now| side.counter(now, hash(shown), hash(shown + 1), until).map(Some)),
                    );
                }
            }
        }
        all
    }

    fn outcomes(&self) -> Vec<Outcome> {
        let ended = |side: &Agreement| match side.state() {
            State::Ended(outcome) => Some(outcome),
            State::Open | State::Answered(_) => None,
        };
        self.sides.iter().flatten().filter_map(ended).collect()
    }

    /// What must hold in every world.
    fn check(&self) {
        let outcomes = self.outcomes();
        let is_bound = |outcome: &Outcome| matches!(outcome, Outcome::Approved | Outcome::Denied);
        let alike = outcomes.windows(2).all(|two| two[0] == two[1]);
        assert!(alike || !outcomes.iter().any(is_bound), "the sides end in two ways: {outcomes:?}");
        if outcomes.contains(&Outcome::Approved) {
            let (when, terms) = self.approved.unwrap();
            assert!(at(when) < terms.expires_at, "approved after its time");
            let agreed = |side: &&Agreement| {
                let said_yes = [State::Ended(Outcome::Approved), State::Answered(Decision::Approve)];
                side.terms() == terms && said_yes.contains(&side.state())
            };
            assert_eq!(self.sides.iter().flatten().filter(agreed).count(), 2, "approved by one side alone");
        }
    }

    /// In the end time is over and everything arrives: both have ended, and alike.
    fn settle(&self, kind: Kind) {
        let mut world = self.clone();
        world.now = LAST + 3;
        loop {
            let before = world.clone();
            for who in BOTH {
                world = world.at_side(who, |side, now| Ok(side.tick(now)));
                for message in world.sent[who].clone() {
                    world = world.deliver(kind, who, message);
                    world.check();
                }
            }
            if world == before {
                break;
            }
        }
        let outcomes = world.outcomes();
        assert_eq!(outcomes.len(), 2, "somebody waits for ever");
        assert_eq!(outcomes[0], outcomes[1], "when everything has arrived, both name the same outcome");
    }
}

/// Searches all worlds; gives their number and the outcomes that were met.
fn search(kind: Kind) -> (usize, BTreeSet<String>) {
    let (mut seen, mut open, mut met) = (HashSet::new(), vec![World::new(kind)], BTreeSet::new());
    while let Some(world) = open.pop() {
        if !seen.insert(world.clone()) {
            continue;
        }
        world.check();
        world.settle(kind);
        met.extend(world.outcomes().iter().map(|outcome| format!("{outcome:?}")));
        open.extend(world.next(kind).into_iter().filter(|next| !seen.contains(next)));
    }
    (seen.len(), met)
}

#[test]
fn both_sides_of_a_transaction_end_alike_searched_to_the_end() {
    let (worlds, met) = search(Kind::Transaction);
    assert!(worlds > 50, "{worlds}");
    assert_eq!(met, ["Approved", "Denied", "Expired", "Withdrawn"].map(str::to_owned).into());
}

#[test]
fn both_sides_of_a_request_end_alike_searched_to_the_end() {
    let (worlds, met) = search(Kind::Request);
    assert!(worlds > 500, "{worlds}");
    assert_eq!(met, ["Approved", "Denied", "Expired", "Withdrawn"].map(str::to_owned).into());
}

#[test]
fn a_counter_proposal_ends_what_was_approved_before() {
    let (mut alice, first) = Agreement::propose(Kind::Request, hash(1), at(10));
    let Message::Terms(terms) = first else { panic!("no terms") };
    let mut bob = Agreement::receive_proposal(Kind::Request, terms).unwrap();
    let second = bob.counter(at(1), hash(1), hash(2), at(20)).unwrap();
    assert_eq!(bob.answer(at(1), hash(1), Decision::Approve), Err(Refused::NotTheTerms));
    assert_eq!(alice.receive(at(2), second), Ok(None));
    assert_eq!(alice.receive(at(2), Message::Answer(1, hash(1), Decision::Approve)), Err(Refused::NotTheTerms));
    assert!(alice.is_to_answer(at(2)) && !bob.is_to_answer(at(2)) && !alice.is_to_answer(at(20)));
    let yes = alice.answer(at(3), hash(2), Decision::Approve).unwrap();
    assert_eq!(alice.answer(at(3), hash(2), Decision::Approve), Err(Refused::Decided));
    let end = bob.receive(at(4), yes).unwrap();
    assert_eq!(bob.receive(at(99), yes), Ok(end), "a repetition gets the same outcome");
    assert_eq!(alice.receive(at(5), end.unwrap()), Ok(None));
    assert_eq!((alice.state(), bob.state()), (State::Ended(Outcome::Approved), State::Ended(Outcome::Approved)));
}

#[test]
fn terms_of_a_transaction_are_fixed() {
    let (_, first) = Agreement::propose(Kind::Transaction, hash(1), at(10));
    let Message::Terms(terms) = first else { panic!("no terms") };
    let mut bob = Agreement::receive_proposal(Kind::Transaction, terms).unwrap();
    assert_eq!(bob.counter(at(1), hash(1), hash(2), at(20)), Err(Refused::Fixed));
    assert_eq!(bob.withdraw(), Err(Refused::NotTheTerms));
}

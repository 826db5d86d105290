//! Everything at one moment: where the honest sides stand and what was sent. Steps are computed once for each side and message,
//! because a side does not see the rest of the world.

use crate::attacker::Attacker;
use crate::cast::{Cast, Code, HONEST, Leaks};
use crate::knowledge;
use crate::session::{Answered, Facts, Local, Mutant, Seat, Sessions, Stepped, text};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use vettid_core::handshake::Phase;
use vettid_crypto::secret::Secret32;
use vettid_crypto::suite::x25519;
use vettid_wire::base64::Base64;
use vettid_wire::handshake::{HandshakeMessage, Step};

/// A property that does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Broken {
    /// The attacker can compute a key that two honest sides use, at the latest after everything leaked.
    Secrecy,
    /// An initiator uses a key that the inviter of its code did not make with it.
    Agreement,
    /// A responder uses a key that the initiator it names does not use with it.
    AgreementBack,
    /// Two handshakes of honest sides have one key.
    Twice,
    /// A handshake goes on after a second message with other bytes.
    ConflictSurvives,
    /// One invitation or handshake is answered in two ways.
    TwoAnswers,
    /// Different keys show the same symbols, or one key shows two strings of them.
    Symbols,
    /// The attacker reads what an initiator says about itself.
    Profile,
}

/// Something that has to be possible, or a search would prove nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Reached {
    /// Two honest sides use the same key.
    Connected,
    /// Both sides finished, each with the attacker in place of the other.
    Between,
    /// The attacker finished in her own name.
    Herself,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    locals: Vec<u32>,
    observed: Vec<u32>,
}

/// A step of the whole world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    Open(usize),
    Decide,
    Deliver(u32),
    Forget,
}

struct Letter {
    message: HandshakeMessage,
    bytes: Base64,
    /// The honest side that sent it first.
    from: Option<usize>,
}

struct Pool {
    inputs: Vec<u32>,
    known: HashSet<[u8; 32]>,
    read: Vec<u32>,
}

type Next = Option<(u32, Option<u32>)>;

pub(crate) struct Model<'a> {
    pub sessions: Sessions<'a>,
    pub attacker: Attacker<'a>,
    pub leaks: Leaks,
    locals: Vec<(Local, Facts, usize)>,
    local_numbers: HashMap<(usize, Local), u32>,
    letters: Vec<Letter>,
    letter_numbers: HashMap<Base64, u32>,
    pools: HashMap<Vec<u32>, Rc<Pool>>,
    steps: HashMap<(usize, u32, Action), Next>,
    exposed: Vec<[u8; 32]>,
    symbols: HashMap<(usize, [u8; 32]), [u8; 7]>,
    two_strings: bool,
}

/// What stands fixed before the first step.
pub(crate) struct Setting {
    pub cast: Cast,
    pub codes: Vec<Code>,
    pub seats: Vec<Seat>,
    pub leaks: Leaks,
    pub cuts: bool,
}

impl<'a> Model<'a> {
    pub(crate) fn new(setting: &'a Setting, mutant: Mutant) -> Self {
        let Setting { cast, codes, seats, leaks, cuts } = setting;
        Self {
            sessions: Sessions { cast, codes, seats, mutant },
            attacker: Attacker { cast, codes, leaks: *leaks, cuts: *cuts },
            leaks: *leaks,
            locals: vec![],
            local_numbers: HashMap::new(),
            letters: vec![],
            letter_numbers: HashMap::new(),
            pools: HashMap::new(),
            steps: HashMap::new(),
            exposed: vec![],
            symbols: HashMap::new(),
            two_strings: false,
        }
    }

    pub(crate) fn start(&mut self) -> World {
        let seats = 0..self.sessions.seats.len();
        let locals = seats.map(|seat| self.local(seat, self.sessions.start(seat))).collect();
        World { locals, observed: vec![] }
    }

    fn local(&mut self, seat: usize, local: Local) -> u32 {
        let number = u32::try_from(self.locals.len()).unwrap();
        if let Some(&known) = self.local_numbers.get(&(seat, local.clone())) {
            return known;
        }
        let facts = self.sessions.facts(seat, &local);
        if let (Some(key), Some(symbols)) = (facts.epoch_key, facts.symbols) {
            self.two_strings |= *self.symbols.entry((seat, key)).or_insert(symbols) != symbols;
        }
        self.local_numbers.insert((seat, local.clone()), number);
        self.locals.push((local, facts, seat));
        number
    }

    fn letter(&mut self, message: HandshakeMessage, from: Option<usize>) -> u32 {
        let bytes = text(&message);
        let number = *self.letter_numbers.entry(bytes.clone()).or_insert(u32::try_from(self.letters.len()).unwrap());
        match self.letters.get_mut(number as usize) {
            Some(letter) => letter.from = letter.from.or(from),
            None => self.letters.push(Letter { message, bytes, from }),
        }
        number
    }

    /// Everything that can happen next.
    pub(crate) fn successors(&mut self, world: &World) -> Vec<(usize, Action, World)> {
        let pool = self.pool(&world.observed);
        let mut all = vec![];
        for seat in 0..world.locals.len() {
            let local = world.locals[seat];
            for action in self.actions(seat, local, &pool) {
                let Some((to, sent)) = self.step(seat, local, action) else { continue };
                let mut next = world.clone();
                next.locals[seat] = to;
                if let Some(sent) = sent.filter(|sent| !next.observed.contains(sent)) {
                    next.observed.push(sent);
                    next.observed.sort_unstable();
                }
                if next != *world {
                    all.push((seat, action, next));
                }
            }
        }
        all
    }

    /// What a side may do or get, the honest course last. What has ended takes nothing more: a test of single steps shows it.
    fn actions(&self, seat: usize, number: u32, pool: &Pool) -> Vec<Action> {
        let (local, facts, _) = &self.locals[number as usize];
        if local.stored.is_empty() {
            return self.sessions.seats[seat].codes.iter().rev().map(|&code| Action::Open(code)).collect();
        }
        let mut letters = pool.inputs.clone();
        letters.sort_by_key(|&letter| self.letters[letter as usize].from.is_some());
        let mut actions = vec![Action::Forget];
        if facts.phase != Phase::Aborted {
            actions.extend(letters.into_iter().map(Action::Deliver));
        }
        actions.push(Action::Decide);
        actions
    }

    fn step(&mut self, seat: usize, number: u32, action: Action) -> Next {
        if let Some(known) = self.steps.get(&(seat, number, action)) {
            return *known;
        }
        let local = self.locals[number as usize].0.clone();
        let stepped = match action {
            Action::Open(code) => Some(self.sessions.open(seat, code)),
            Action::Decide => self.sessions.decide(seat, &local),
            Action::Forget => self.sessions.forget(seat, &local),
            Action::Deliver(letter) => {
                let bytes = self.letters[letter as usize].bytes.clone();
                self.sessions.deliver(seat, &local, u64::from(letter), bytes.as_bytes())
            }
        };
        let next = stepped.map(|stepped| self.keep(seat, stepped));
        self.steps.insert((seat, number, action), next);
        next
    }

    fn keep(&mut self, seat: usize, stepped: Stepped) -> (u32, Option<u32>) {
        self.exposed.extend(stepped.exposed);
        let sent = stepped.sent.map(|bytes| self.letter(HandshakeMessage::read(&bytes).unwrap(), Some(seat)));
        (self.local(seat, stepped.local), sent)
    }

    fn pool(&mut self, observed: &[u32]) -> Rc<Pool> {
        if let Some(pool) = self.pools.get(observed) {
            return Rc::clone(pool);
        }
        let messages: Vec<_> = observed.iter().map(|&n| self.letters[n as usize].message.clone()).collect();
        let powers = self.attacker.powers(&messages);
        let ephemerals: Vec<_> =
            self.exposed.iter().map(|key| x25519::SecretKey::from_secret(Secret32::from_bytes(*key))).collect();
        let late = knowledge::late(self.attacker.cast, self.attacker.codes, &ephemerals, &messages);
        let known = powers.epoch_keys.into_iter().chain(late).collect();
        let read = powers.read.into_iter().map(|message| self.letter(message, None)).collect();
        let mut inputs = observed.to_vec();
        inputs.extend(powers.messages.into_iter().map(|message| self.letter(message, None)));
        inputs.sort_unstable();
        inputs.dedup();
        let pool = Rc::new(Pool { inputs, known, read });
        self.pools.insert(observed.to_vec(), Rc::clone(&pool));
        pool
    }

    /// What does not hold here.
    pub(crate) fn broken(&mut self, world: &World) -> Vec<Broken> {
        let pool = self.pool(&world.observed);
        let mut broken = vec![];
        for seat in 0..world.locals.len() {
            broken.extend(self.broken_at(world, &pool, seat));
        }
        let answers: HashSet<_> = world.observed.iter().map(|&n| self.place(n)).collect();
        broken.extend((answers.len() < world.observed.len()).then_some(Broken::TwoAnswers));
        broken.extend(self.two_strings.then_some(Broken::Symbols));
        let genuine = |&n: &u32| self.letters[n as usize].from.is_some_and(|seat| self.opened_genuine(world, seat));
        broken.extend(pool.read.iter().any(genuine).then_some(Broken::Profile));
        broken
    }

    fn place(&self, letter: u32) -> (usize, u8) {
        let letter = &self.letters[letter as usize];
        let number = match letter.message.step {
            Step::Hs1(_) => 1,
            Step::Hs2(_) => 2,
            Step::Hs3(_) => 3,
        };
        (letter.from.unwrap(), number)
    }

    fn opened_genuine(&self, world: &World, seat: usize) -> bool {
        self.of(world, seat).0.code.is_some_and(|code| self.sessions.codes[code].genuine)
    }

    fn of(&self, world: &World, seat: usize) -> (&Local, &Facts) {
        let (local, facts, _) = &self.locals[world.locals[seat] as usize];
        (local, facts)
    }

    /// The member that a side means to talk to: whom the code names, or who the initiator proved to be.
    fn meant(&self, world: &World, seat: usize) -> Option<usize> {
        let (local, facts) = self.of(world, seat);
        let named = local.code.map(|code| self.sessions.codes[code].invitation.inviter_fp);
        named.or(facts.peer).map(|fingerprint| self.sessions.cast.who(&fingerprint))
    }

    fn broken_at(&self, world: &World, pool: &Pool, seat: usize) -> Vec<Broken> {
        let (local, facts) = self.of(world, seat);
        let mut broken = vec![];
        if local.conflict && facts.phase != Phase::Aborted {
            broken.push(Broken::ConflictSurvives);
        }
        let Some(key) = facts.epoch_key.filter(|_| facts.accepted) else { return broken };
        for other in 0..world.locals.len() {
            let theirs = self.of(world, other).1;
            let same_side = self.is_inviter(seat) == self.is_inviter(other);
            if other != seat && same_side && theirs.accepted && theirs.epoch_key == Some(key) {
                broken.push(Broken::Twice);
            }
            if theirs.symbols.is_some() && (theirs.symbols == facts.symbols) != (theirs.epoch_key == Some(key)) {
                broken.push(Broken::Symbols);
            }
        }
        let trusted = |who: &usize| HONEST.contains(who) && !self.leaks.keys[*who];
        let Some(meant) = self.meant(world, seat).filter(trusted) else { return broken };
        if pool.known.contains(&key) {
            broken.push(Broken::Secrecy);
        }
        let agrees = (0..world.locals.len()).any(|other| self.agrees(world, seat, other, meant));
        let rule = if self.is_inviter(seat) { Broken::AgreementBack } else { Broken::Agreement };
        broken.extend((!agrees).then_some(rule));
        broken
    }

    fn is_inviter(&self, seat: usize) -> bool {
        self.sessions.seats[seat].invited.is_some()
    }

    /// Whether `other` is the side of `meant` that has the same key with `seat`, and knows it: an inviter once it answered, an
    /// initiator once it sent its last message.
    fn agrees(&self, world: &World, seat: usize, other: usize, meant: usize) -> bool {
        let ours = self.of(world, seat).1;
        let (local, theirs) = self.of(world, other);
        let peer = Some(self.sessions.cast.fingerprint(self.sessions.seats[seat].who));
        let wanted = Answered { hs_id: ours.hs_id, peer, epoch_key: ours.epoch_key };
        let Facts { hs_id, peer, epoch_key, .. } = *theirs;
        let knows = match self.is_inviter(other) {
            true => local.answered.contains(&wanted),
            false => theirs.accepted && wanted == Answered { hs_id, peer, epoch_key },
        };
        self.sessions.seats[other].who == meant && self.is_inviter(other) != self.is_inviter(seat) && knows
    }

    /// What was reached here.
    pub(crate) fn reached(&self, world: &World) -> Vec<Reached> {
        let accepted: Vec<_> = (0..world.locals.len())
            .filter(|&s| self.of(world, s).1.accepted)
            .map(|seat| (seat, self.of(world, seat).1))
            .collect();
        let mallory = self.sessions.cast.fingerprint(crate::cast::MALLORY);
        let with_mallory = |facts: &Facts| facts.peer == Some(mallory);
        let sides: HashSet<_> =
            accepted.iter().filter(|(_, f)| with_mallory(f)).map(|(seat, _)| self.is_inviter(*seat)).collect();
        let keys: HashSet<_> = accepted.iter().map(|(_, facts)| facts.epoch_key).collect();
        let mut reached = vec![];
        reached.extend((keys.len() < accepted.len()).then_some(Reached::Connected));
        reached.extend((!sides.is_empty()).then_some(Reached::Herself));
        reached.extend((sides.len() == 2).then_some(Reached::Between));
        reached
    }

    /// One line about a world.
    pub(crate) fn show(&self, world: &World) -> String {
        let phases: Vec<_> =
            (0..world.locals.len()).map(|seat| format!("{:?}", self.of(world, seat).1.phase)).collect();
        format!("{} after {} messages", phases.join(", "), world.observed.len())
    }

    /// What a step was, in words.
    pub(crate) fn tell(&self, seat: usize, action: Action) -> String {
        let name = self.sessions.cast.sides[self.sessions.seats[seat].who].record.record().guid;
        let place = if self.is_inviter(seat) { "inviter" } else { "opener" };
        let what = match action {
            Action::Deliver(letter) => {
                let letter = &self.letters[letter as usize];
                let kind = match letter.message.step {
                    Step::Hs1(_) => "hs1",
                    Step::Hs2(_) => "hs2",
                    Step::Hs3(_) => "hs3",
                };
                let from = letter.from.map_or("Mallory".to_owned(), |seat| format!("seat {seat}"));
                format!("gets {kind} of {from}")
            }
            other => format!("{other:?}"),
        };
        format!("{place} {name} (seat {seat}) {what}")
    }
}

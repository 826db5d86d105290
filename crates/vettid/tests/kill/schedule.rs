//! One schedule: a member who does this and that while processes die, and the oracle, who holds what both sides then say
//! against what may have happened.

use crate::driver::{Faults, World};
use crate::frame::{Command, Ended, Kill, Point, Report, Side};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use vettid_client::store::Place;
use vettid_client::store::disk::{DurableStep, Target};
use vettid_vault::credential::durable::Durable;
use vettid_wire::refusal::RefusalCode;

const WRONG: &str = "not the password of anybody";
/// So often at most an open operation is finished, or a wait is waited for.
const PATIENCE: usize = 40;
const FAULTS: Faults = Faults { lose: 4, repeat: 8, kill: 2 };

/// Every point at which a process can be made to end itself: before and after each durable step that the code has. What is
/// kept for recoveries is no part of the life of a credential: nobody here sets a recovery phrase. The steps of the Services
/// Credential are those of the same code at other places, and are ended in the client's own tests.
pub(crate) fn points() -> Vec<Point> {
    let elsewhere = [Place::Recovery, Place::ServicesCredential, Place::ServicesSlotA, Place::ServicesSlotB];
    let lived = DurableStep::all().filter(|step| !elsewhere.map(Target::Value).contains(&step.target));
    let app = lived.map(|step| (Side::App, step.to_string()));
    let vault = Durable::ALL.iter().map(|step| (Side::Vault, step.to_string()));
    app.chain(vault)
        .flat_map(|(side, step)| [false, true].map(|after| Point { side, step: step.clone(), after }))
        .collect()
}

/// What an app does once in its life: it makes its key and the file of its state.
const IN_ENROLMENT: [&str; 8] = [
    "key: write",
    "key: sync",
    "key: rename",
    "key: sync folder",
    "state: write",
    "state: sync",
    "state: rename",
    "state: sync folder",
];
/// What it does in each file time after time.
const IN_PLACE: [&str; 3] = ["overwrite", "sync content", "wipe"];

/// Two worlds to begin with: one with an enrolled app, one with a code only.
pub(crate) struct Bases {
    pub(crate) enrolled: PathBuf,
    pub(crate) bare: PathBuf,
    pub(crate) code: String,
}

impl Bases {
    pub(crate) fn make(folder: &Path) -> Self {
        let (enrolled, bare) = (folder.join("enrolled"), folder.join("bare"));
        fs::create_dir(&enrolled).unwrap();
        let mut world = World::new(StdRng::seed_from_u64(0), &enrolled);
        let code = world.code();
        copy(&enrolled, &bare);
        let ended = world.run(&Command::Enrol { code: code.clone() }, 0);
        assert_eq!(ended, Some((Ended::Done(None), vec![])));
        Self { enrolled, bare, code }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, to) = entry.map(|entry| (entry.path(), to.join(entry.file_name()))).unwrap();
        if path.is_dir() { copy(&path, &to) } else { fs::copy(&path, &to).map(drop).unwrap() }
    }
}

/// What the member does, before it is known with which secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Spoil,
    Add,
    Reveal,
    Guess,
    GuessUntilWait,
    Rotate,
    Remove,
    Change,
    Grant,
    Replenish,
}

const USUAL: [Wish; 9] = [
    Wish::Add,
    Wish::Add,
    Wish::Reveal,
    Wish::Reveal,
    Wish::Guess,
    Wish::Rotate,
    Wish::Remove,
    Wish::Change,
    Wish::Grant,
];

/// A secret as it must be: its value and how often it was used.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Secret {
    value: String,
    uses: u64,
}

struct Schedule {
    world: World,
    secrets: BTreeMap<String, Secret>,
    password: String,
    counter: u32,
    guesses: u32,
    known: Report,
    clones: BTreeMap<Vec<u8>, PathBuf>,
    log: Vec<String>,
}

/// What a schedule saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) killed: BTreeSet<Point>,
    pub(crate) deaths: usize,
    pub(crate) effects: usize,
    pub(crate) stale: usize,
}

/// Runs one schedule that is to die at this point first.
pub(crate) fn run(bases: &Bases, seed: u64, number: u64, target: &Point, folder: &Path) -> Seen {
    let is_bare = IN_ENROLMENT.contains(&target.step.as_str());
    copy(if is_bare { &bases.bare } else { &bases.enrolled }, folder);
    fs::create_dir(folder.join("clones")).unwrap();
    let mut world =
        World::new(StdRng::seed_from_u64(seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15))), folder);
    world.now_ms += 1000;
    let is_seldom = target.side == Side::App && !IN_PLACE.iter().any(|act| target.step.ends_with(act));
    let often = matches!(target.step.as_str(), "counted" | "done" | "confirmed")
        || target.side == Side::App && !is_seldom && !target.step.starts_with("credential-b");
    let nth = if often { world.rng.random_range(1..=3) } else { 1 };
    world.aim(Some(Kill { point: target.clone(), nth }));
    world.faults = FAULTS;
    let mut schedule = Schedule {
        world,
        secrets: BTreeMap::new(),
        password: "correct horse battery staple".into(),
        counter: 0,
        guesses: 0,
        known: Report::default(),
        clones: BTreeMap::new(),
        log: vec![format!("schedule {number} of seed {seed}, first to die: {target:?}, {nth}")],
    };
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| schedule.all(bases, is_bare, target)));
    match outcome {
        Ok(seen) => seen,
        Err(reason) => {
            eprintln!("{}", schedule.log.join("\n"));
            std::panic::resume_unwind(reason)
        }
    }
}

impl Schedule {
    fn all(&mut self, bases: &Bases, is_bare: bool, target: &Point) -> Seen {
        if is_bare {
            self.until_done(&Command::Enrol { code: bases.code.clone() });
        }
        let mut wishes = self.script(target);
        if wishes.first() == Some(&Wish::Spoil) {
            wishes.remove(0);
            self.by_hand(&Command::Spoil);
        }
        let create = Command::Create { password: self.password.clone() };
        self.until_done(&create);
        for wish in wishes {
            self.fulfil(wish);
            if !self.world.aims() && self.world.chance(50) {
                let points = points();
                let point = points[self.world.rng.random_range(0..points.len())].clone();
                let nth = self.world.rng.random_range(1..=2);
                self.world.aim(Some(Kill { point, nth }));
            }
        }
        let stale = self.try_clones();
        self.world.aim(None);
        self.world.faults = Faults::default();
        self.settle_accounts();
        let effects = self.known.operations.iter().filter(|(_, _, outcome)| outcome == "Success").count();
        Seen { killed: std::mem::take(&mut self.world.killed), deaths: self.world.deaths, effects, stale }
    }

    fn script(&mut self, target: &Point) -> Vec<Wish> {
        let count = self.world.rng.random_range(2..=4);
        let mut wishes: Vec<Wish> = (0..count).map(|_| USUAL[self.world.rng.random_range(0..USUAL.len())]).collect();
        let special = [
            ("key used up", Wish::Spoil, 5),
            ("failed", Wish::Guess, 0),
            ("waiting", Wish::GuessUntilWait, 3),
            ("replenished", Wish::Replenish, 10),
            ("used under a grant", Wish::Grant, 0),
        ];
        for (step, wish, percent) in special {
            if target.step == step || self.world.chance(percent) {
                let at = if wish == Wish::Spoil { 0 } else { self.world.rng.random_range(0..=wishes.len()) };
                wishes.insert(at, wish);
            }
        }
        if let Some(at) = wishes.iter().position(|wish| *wish == Wish::Spoil) {
            wishes.swap(0, at);
        }
        wishes
    }

    fn fresh(&mut self, what: &str) -> String {
        self.counter += 1;
        format!("{what} {}", self.counter)
    }

    fn any_label(&mut self) -> String {
        if self.secrets.is_empty() {
            self.add();
        }
        let at = self.world.rng.random_range(0..self.secrets.len().max(1));
        self.secrets.keys().nth(at).unwrap().clone()
    }

    fn fulfil(&mut self, wish: Wish) {
        match wish {
            Wish::Spoil => {}
            Wish::Add => self.add(),
            Wish::Reveal => self.reveal(),
            Wish::Guess => self.guess(),
            Wish::GuessUntilWait => self.guess_until_wait(),
            Wish::Rotate => {
                let (label, value, password) = (self.any_label(), self.fresh("value"), self.password.clone());
                let command = Command::Rotate { label: label.clone(), value: value.clone(), password };
                if self.perform(&command) {
                    self.secrets.get_mut(&label).unwrap().value = value;
                }
            }
            Wish::Remove => {
                let (label, password) = (self.any_label(), self.password.clone());
                if self.perform(&Command::Remove { label: label.clone(), password }) {
                    self.secrets.remove(&label);
                }
            }
            Wish::Change => {
                let (present, new) = (self.password.clone(), self.fresh("another long password"));
                if self.perform(&Command::Change { present, new: new.clone() }) {
                    self.password = new;
                }
            }
            Wish::Grant => {
                let (label, password) = (self.any_label(), self.password.clone());
                self.perform(&Command::Grant { label: label.clone(), password });
                assert!((0..PATIENCE).any(|_| !self.reveal_granted(&label)), "the grant does not end");
            }
            Wish::Replenish => self.by_hand(&Command::Replenish),
        }
    }

    fn add(&mut self) {
        for _ in 0..PATIENCE {
            let (label, value, password) = (self.fresh("label"), self.fresh("value"), self.password.clone());
            if self.perform(&Command::Add { label: label.clone(), value: value.clone(), password }) {
                self.secrets.insert(label, Secret { value, uses: 0 });
                return;
            }
        }
        panic!("nothing can be added: locked out");
    }

    /// The right password, until it works: in the end it always does.
    fn reveal(&mut self) {
        let label = self.any_label();
        for _ in 0..PATIENCE {
            let command = Command::Reveal { label: label.clone(), password: self.password.clone() };
            let (effect, ended) = self.perform_and_tell(&command);
            if effect {
                self.secrets.get_mut(&label).unwrap().uses += 1;
            }
            if let Some(Ended::Done(value)) = ended {
                assert_eq!(value.as_ref(), Some(&self.secrets[&label].value));
                self.guesses = 0;
                return;
            }
        }
        panic!("the right password does not work: locked out");
    }

    /// Whether the grant may still be open.
    fn reveal_granted(&mut self, label: &str) -> bool {
        let before = self.known.secrets[label];
        let ended = self.world.run(&Command::RevealGranted { label: label.to_owned() }, 1000);
        self.log.push(format!("reveal {label} under a grant: {ended:?}"));
        self.look_after(ended.is_none() || matches!(ended, Some((Ended::NoAnswer, _))));
        let used = self.known.secrets[label] - before;
        self.secrets.get_mut(label).unwrap().uses += used;
        match ended {
            Some((Ended::Done(value), _)) => assert_eq!((used, value), (1, Some(self.secrets[label].value.clone()))),
            Some((Ended::Asked, _)) => {
                assert_eq!(used, 0);
                return false;
            }
            None | Some((Ended::NoAnswer, _)) => assert!(used <= 1, "a use under a grant happened {used} times"),
            other => panic!("{other:?}"),
        }
        true
    }

    fn guess(&mut self) {
        if self.guesses >= 3 {
            self.reveal();
        }
        let label = self.any_label();
        self.guesses += 1;
        assert!(!self.perform(&Command::Reveal { label, password: WRONG.into() }), "a wrong password was right");
    }

    /// Four wrong passwords in a row have to wait. The wait goes on in the next run of the vault, where it is looked at.
    fn guess_until_wait(&mut self) {
        self.reveal();
        let label = self.any_label();
        for _ in 0..4 {
            assert!(!self.perform(&Command::Reveal { label: label.clone(), password: WRONG.into() }));
        }
        self.world.kill_vault();
        if let Some(slot) = self.clone_slots().pop() {
            self.thief(&slot, WRONG, u64::MAX);
        }
        self.reveal();
    }

    /// Until it succeeds; for what may be done again.
    fn until_done(&mut self, command: &Command) {
        for _ in 0..PATIENCE {
            let ended = self.world.run(command, 1000);
            self.log.push(format!("{command:?}: {ended:?}"));
            self.clone_slots();
            match ended {
                Some((Ended::Done(None), _)) => return self.look_after(false),
                None | Some((Ended::NoAnswer, _)) => {}
                other => panic!("{command:?}: {other:?}"),
            }
        }
        panic!("{command:?} does not end: locked out");
    }

    fn by_hand(&mut self, command: &Command) {
        let ended = self.world.run(command, 1000);
        self.log.push(format!("{command:?}: {ended:?}"));
        let is_fine = matches!(ended, None | Some((Ended::Status(_) | Ended::NoAnswer | Ended::Refused(_), _)));
        assert!(is_fine, "{command:?}: {ended:?}");
        self.look_after(true);
    }

    fn perform(&mut self, command: &Command) -> bool {
        self.perform_and_tell(command).0
    }

    /// Whether the command had its effect, and how it ended, if the app lived to tell it.
    fn perform_and_tell(&mut self, command: &Command) -> (bool, Option<Ended>) {
        let seen = self.known.operations.len();
        let (ended, mut told) = self.patiently(command);
        let is_open = matches!(ended, None | Some(Ended::NoAnswer));
        told.extend(self.finish(is_open));
        let action = action_of(command);
        let new = &self.known.operations[seen..];
        let effects = new.iter().filter(|(_, _, outcome)| outcome == "Success").count();
        assert!(effects <= 1, "{action} had {effects} effects: {new:?}");
        assert!(new.iter().all(|(_, of, _)| of == action), "something else was done: {new:?}");
        match &ended {
            Some(Ended::Done(_)) => assert_eq!(effects, 1, "{action} was told to be done"),
            None | Some(Ended::NoAnswer) => {}
            Some(Ended::Wrong) => assert_eq!(effects, 0, "{action} was done with a wrong password"),
            other => panic!("{action}: {other:?}"),
        }
        for (event_type, carried_out) in told.iter().filter(|(event_type, _)| event_type == action) {
            assert_eq!(*carried_out, effects == 1, "{event_type}: the member was told otherwise: {new:?}");
        }
        (effects == 1, ended)
    }

    fn patiently(&mut self, command: &Command) -> (Option<Ended>, Vec<(String, bool)>) {
        let mut advance_ms = 1000;
        for _ in 0..PATIENCE {
            let ended = self.world.run(command, advance_ms);
            self.log.push(format!("{command:?}: {ended:?}"));
            self.clone_slots();
            match ended {
                Some((Ended::Wait(wait_ms), _)) => advance_ms = i64::try_from(wait_ms).unwrap() + 1000,
                // A vault that dies counts commands that it may have read as taken; a minute later there is room.
                Some((Ended::Refused(code), _)) if code == RefusalCode::RateLimited.to_string() => advance_ms = 61_000,
                Some((ended, told)) => return (Some(ended), told),
                None => return (None, vec![]),
            }
        }
        panic!("a wait does not end: locked out");
    }

    /// Looks what both sides have, after finishing what may be open.
    fn finish(&mut self, is_open: bool) -> Vec<(String, bool)> {
        let mut told = Vec::new();
        for _ in 0..PATIENCE {
            if !is_open {
                break;
            }
            let ended = self.world.run(&Command::State, 1000);
            self.log.push(format!("state: {ended:?}"));
            self.clone_slots();
            match ended {
                Some((Ended::Done(None), more)) => {
                    told.extend(more);
                    break;
                }
                None | Some((Ended::NoAnswer | Ended::Wait(_), _)) => {}
                other => panic!("what was left open cannot be finished: {other:?}"),
            }
        }
        self.audit();
        told
    }

    fn look_after(&mut self, is_open: bool) {
        self.finish(is_open);
    }

    /// What must hold whatever happened.
    fn audit(&mut self) {
        let report = self.world.report();
        assert!(report.floor >= self.known.floor, "the floor fell");
        assert!(report.attempts_total >= self.known.attempts_total, "attempts fell");
        let guesses = u64::try_from(self.world.evaluated.len()).unwrap();
        assert!(report.attempts_total >= guesses, "{guesses} guesses, {} counted", report.attempts_total);
        let mut done = BTreeSet::new();
        for (op_id, _, outcome) in report.operations.iter().filter(|(_, _, outcome)| outcome == "Success") {
            assert!(done.insert(op_id.clone()), "{op_id} had its effect twice: {outcome}");
        }
        self.known = report;
    }

    /// Keeps a copy of every package that was ever in a slot; gives the present ones.
    fn clone_slots(&mut self) -> Vec<PathBuf> {
        let mut present = Vec::new();
        for name in ["credential-a", "credential-b"] {
            let Ok(bytes) = fs::read(self.world.app_folder().join(name)) else { continue };
            if bytes.iter().all(|byte| *byte == 0) {
                continue;
            }
            let path = self.world.folder.join("clones").join(format!("{}{}", self.clones.len(), &name[10..]));
            let path = self.clones.entry(bytes.clone()).or_insert_with(|| {
                fs::write(&path, &bytes).unwrap();
                path
            });
            present.push(path.clone());
        }
        present
    }

    /// Whoever copied the files comes with each package that is below the floor.
    fn try_clones(&mut self) -> usize {
        let mut stale = 0;
        let clones: Vec<PathBuf> = self.clones.values().cloned().collect();
        for batch in clones.chunks(3) {
            self.reveal();
            for slot in batch {
                let floor = self.known.floor;
                stale += usize::from(self.thief(slot, &self.password.clone(), floor));
            }
        }
        stale
    }

    /// Whether a package below the floor was refused as such.
    fn thief(&mut self, slot: &Path, password: &str, below: u64) -> bool {
        let evaluated = self.world.evaluated.len();
        let (slot, password) = (slot.to_str().unwrap().to_owned(), password.to_owned());
        let command = Command::Thief { slot, password, below };
        for tried in 0..PATIENCE {
            let ended = self.world.run(&command, 1000);
            self.log.push(format!("{command:?}: {ended:?}"));
            match ended {
                // The try before took the transaction key of the copy, and whoever was to answer it died.
                Some((Ended::Status(status), _)) if tried > 0 && status.ends_with("UnknownTransactionKey") => {
                    self.look_after(false);
                    let is_blind = self.world.evaluated.len() == evaluated;
                    assert!(is_blind || below == u64::MAX, "the password of a copy was looked at");
                    return false;
                }
                Some((Ended::Status(status), _)) => {
                    self.look_after(false);
                    if below == u64::MAX {
                        assert!(["Wait", "WrongPassword"].iter().any(|end| status.ends_with(end)), "{status}");
                        return false;
                    }
                    assert_eq!(self.world.evaluated.len(), evaluated, "the password of a copy was looked at: {status}");
                    assert!(["Skipped", "StaleCredential"].iter().any(|end| status.ends_with(end)), "{status}");
                    return status.ends_with("StaleCredential");
                }
                None | Some((Ended::NoAnswer, _)) => {}
                other => panic!("{other:?}"),
            }
        }
        panic!("no answer to a copy");
    }

    /// The member comes back to quiet: the right password works, and everything is as it must be.
    fn settle_accounts(&mut self) {
        self.look_after(true);
        self.reveal();
        let labels: Vec<String> = self.secrets.keys().cloned().collect();
        for label in labels {
            let command = Command::Reveal { label: label.clone(), password: self.password.clone() };
            let ended = self.world.run(&command, 1000);
            let secret = self.secrets.get_mut(&label).unwrap();
            assert_eq!(ended, Some((Ended::Done(Some(secret.value.clone())), vec![])));
            secret.uses += 1;
        }
        self.audit();
        let expected: BTreeMap<String, u64> =
            self.secrets.iter().map(|(label, secret)| (label.clone(), secret.uses)).collect();
        assert_eq!(self.known.secrets, expected);
    }
}

fn action_of(command: &Command) -> &'static str {
    match command {
        Command::Add { .. } => "secret.add",
        Command::Reveal { .. } => "secret.use",
        Command::Rotate { .. } => "secret.rotate",
        Command::Remove { .. } => "secret.remove",
        Command::Grant { .. } => "secret.grant",
        Command::Change { .. } => vettid_core::credential::CHANGE_PASSWORD,
        other => panic!("not an operation: {other:?}"),
    }
}

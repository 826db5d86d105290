//! The issuer of the searched world: its two commits, the crashes between them, and the thief at its door.

use super::{Bounds, Message, Mutant, Op, Use, World, clocks, digest, issue, other};
use std::collections::BTreeSet;
use vettid_core::credential::holder::record::SlotEntry;
use vettid_core::credential::issuer::record::{Ask, Confirmation, Judgement, OperationRecord};
use vettid_wire::credential::{Confirm, UseStatus};
use vettid_wire::id::OperationId;
use vettid_wire::time::Timestamp;

impl World {
    /// A request reaches the issuer.
    pub(super) fn use_arrives(&self, used: Use, bounds: &Bounds, mutant: Mutant, next: &mut Vec<Self>) {
        if self.comparing.is_some() || self.issuer.next_version > bounds.versions {
            return;
        }
        let ask = used.ask();
        let mut world = self.clone();
        world.is_mutated(&ask, mutant);
        let known = world.operations.get(&ask.op_id).map(|(record, _)| record.clone());
        let total = world.issuer.attempts.total;
        if mutant == Mutant::NoImplicitPromote && ask.version > world.issuer.current.version && known.is_none() {
            return;
        }
        match world.issuer.judge(&clocks(), known.as_ref(), &ask) {
            Judgement::Repeat => {
                let answer = world.operations.get(&ask.op_id).and_then(|(_, answer)| answer.clone());
                world.network.extend(answer);
            }
            Judgement::Refuse(refusal) => {
                world.network.extend(refusal.status().map(|status| other(ask.op_id, status, total)));
            }
            Judgement::Stale => {
                let record = world.issuer.count_stale(&clocks(), known.as_ref(), &ask);
                let answer = other(ask.op_id, UseStatus::StaleCredential, world.issuer.attempts.total);
                world.operations.insert(ask.op_id, (record, Some(answer.clone())));
                world.network.insert(answer);
            }
            Judgement::Compare => world.comparing = known.map(|known| (used, known)),
            Judgement::Count => {
                let before = world.issuer.clone();
                let record = world.issuer.count(&clocks(), &ask);
                if mutant == Mutant::CountAfter {
                    world.issuer = before;
                } else {
                    world.operations.insert(ask.op_id, (record.clone(), None));
                }
                world.comparing = Some((used, record));
            }
        }
        next.push(world);
    }

    /// Alters what the issuer stored, before it looks at a request.
    fn is_mutated(&mut self, ask: &Ask, mutant: Mutant) {
        match mutant {
            Mutant::AnyVersion => {
                let made = ask.version < self.issuer.next_version;
                if made && self.issuer.accepted(ask.version).is_none() {
                    self.issuer.current = issue(ask.version);
                }
            }
            Mutant::NoDedup | Mutant::NoDedupNoBurn => {
                self.operations.retain(|_, (_, answer)| answer.is_none());
                if mutant == Mutant::NoDedupNoBurn {
                    self.issuer.pool.add(ask.key_id.clone(), Timestamp::from_unix_ms(2));
                }
            }
            Mutant::ProofNotCompared => {
                if let Some((record, _)) = self.operations.get_mut(&ask.op_id) {
                    record.proof_hash = ask.proof_hash;
                }
            }
            _ => {}
        }
    }

    /// Between its commits the issuer crashes before the compare, after it, or goes on to the second commit.
    pub(super) fn issuer_goes_on(&self, bounds: &Bounds, mutant: Mutant, next: &mut Vec<Self>) {
        let Some((used, reserved)) = &self.comparing else { return };
        next.push(self.with(|world| world.comparing = None));
        let evaluated = self.with(|world| {
            world.comparing = None;
            if used.guess > 0 {
                world.guessed.insert(used.guess);
            }
        });
        next.push(evaluated.clone());
        let mut world = evaluated;
        let ask = used.ask();
        if mutant == Mutant::CountAfter {
            let _ = world.issuer.count(&clocks(), &ask);
            world.operations.insert(ask.op_id, (reserved.clone(), None));
        }
        let known = world.operations.get(&ask.op_id).map(|(record, _)| record.clone());
        let answered = if used.guess == 0 {
            world.finishes(*used, &ask, known.as_ref(), bounds)
        } else {
            let record = world.issuer.fail(known.as_ref(), &ask);
            let total = world.issuer.attempts.total;
            record.ok().map(|record| (record, other(ask.op_id, UseStatus::WrongPassword, total)))
        };
        let Some((record, answer)) = answered else { return };
        let stored = (mutant != Mutant::AnswerNotStored).then(|| answer.clone());
        if mutant == Mutant::ActiveOnly && used.guess == 0 {
            world.issuer.pending.take().into_iter().for_each(|pending| {
                world.issuer.floor = pending.issue.version;
                world.issuer.current = pending.issue;
            });
        }
        world.operations.insert(ask.op_id, (record, stored));
        world.network.insert(answer);
        next.push(world);
    }

    fn finishes(
        &mut self,
        used: Use,
        ask: &Ask,
        known: Option<&OperationRecord>,
        bounds: &Bounds,
    ) -> Option<(OperationRecord, Message)> {
        let (version, _) = self.issuer.next();
        if version > bounds.versions {
            return None;
        }
        let floor = self.issuer.floor;
        let record = self.issuer.finish(known, ask, issue(version)).ok()?;
        *self.effects.entry(used.op).or_default() += 1;
        self.guessed.clear();
        self.stale_effect |= used.version < floor;
        let blob_hash = digest(1, version, 0);
        let entry = SlotEntry { epoch: 1, version, derived_from: Some(used.version), blob_hash, op_id: ask.op_id };
        Some((record, Message::Done(entry, self.issuer.attempts.total)))
    }

    pub(super) fn confirm_arrives(&self, version: u64, op_id: OperationId, next: &mut Vec<Self>) {
        let mut world = self.clone();
        let confirm = Confirm { op_id, cek_version: version, blob_hash: digest(1, version, 0) };
        let total = world.issuer.attempts.total;
        let answer = match world.issuer.confirm(&confirm) {
            Confirmation::Promoted | Confirmation::Already => Some(Message::Confirmed(version)),
            Confirmation::StalePending => Some(other(op_id, UseStatus::StalePending, total)),
            Confirmation::Stale => Some(other(op_id, UseStatus::StaleCredential, total)),
            Confirmation::NotGenuine => None,
        };
        world.network.extend(answer);
        next.push(world);
    }

    /// The thief guesses with a clone of any blob: under an id of its own, or under the first one again.
    pub(super) fn thief_guesses(&self, bounds: &Bounds, mutant: Mutant, next: &mut Vec<Self>) {
        if self.next_guess >= bounds.guesses || self.comparing.is_some() {
            return;
        }
        let guess = self.next_guess + 1;
        let guessing = self.with(|world| world.next_guess = guess);
        for version in 1..self.issuer.next_version {
            for op in BTreeSet::from([Op::Thief(self.next_guess), Op::Thief(0)]) {
                guessing.use_arrives(Use { op, version, guess }, bounds, mutant, next);
            }
        }
    }
}

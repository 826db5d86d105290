//! The app of the searched world: what it begins and sends, what reaches it, and the crashes of its disk.

use super::{Bounds, Message, Mutant, Op, RETRIES, STATUSES, Use, World, digest};
use vettid_core::credential::holder::record::{Answered, Intent, Next, SlotEntry, SlotName, Slots, Take};

impl World {
    /// The app begins, sends what is due, or gives up.
    pub(super) fn member_acts(&self, bounds: &Bounds, next: &mut Vec<Self>) {
        if self.finished < bounds.ops && self.retry < RETRIES && self.holder.intent.is_none() && self.memory.is_none() {
            next.extend(self.begin());
        }
        next.push(self.with(|world| match world.holder.next() {
            Next::SendAgain(_) => world.network.extend(world.request.map(Message::Use)),
            Next::Confirm(confirm) => {
                world.network.insert(Message::Confirm(confirm.cek_version, confirm.op_id));
            }
            Next::Nothing => {}
        }));
        if self.given_up < bounds.give_ups && self.holder.intent.is_some() && self.memory.is_none() {
            next.push(self.with(|world| {
                world.given_up += 1;
                world.holder.intent = None;
                world.request = None;
                world.operation_is_over();
            }));
        }
    }

    fn begin(&self) -> Option<Self> {
        let (_, slot) = self.holder.slots.newest()?;
        let used = Use { op: Op::Member(self.finished, self.retry), version: slot.version, guess: 0 };
        let ask = used.ask();
        let intent = Intent {
            op_id: ask.op_id,
            request_hash: ask.request_hash,
            version: Some(ask.version),
            key_id: ask.key_id,
            attempts_total: self.holder.attempts_total,
        };
        Some(self.with(|world| {
            world.holder.begin(intent).unwrap();
            world.request = Some(used);
        }))
    }

    fn operation_is_over(&mut self) {
        self.finished += 1;
        self.retry = 0;
    }

    /// The answer in memory is written, torn, or lost; a crash may come before the record is stored as well.
    pub(super) fn app_writes(&self, mutant: Mutant, next: &mut Vec<Self>) {
        let Some((slot, entry, total)) = &self.memory else { return };
        let mut target = *slot;
        if mutant == Mutant::OverwriteNewest {
            target = self.holder.slots.newest().map_or(target, |(newest, _)| newest);
        }
        let wiped = |world: &mut Self| {
            world.memory = None;
            if mutant == Mutant::SingleSlot {
                world.holder.slots = Slots::default();
            }
        };
        next.push(self.with(|world| {
            wiped(world);
            world.holder.stored(target, entry.clone(), *total);
            if mutant == Mutant::FreesEarly {
                world.holder.slots.set(target.other(), None);
            }
        }));
        next.push(self.with(|world| {
            wiped(world);
            world.holder.slots.set(target, Some(entry.clone()));
            world.resume(*total);
        }));
        let unnoticed = SlotEntry { blob_hash: digest(9, entry.version, 0), ..entry.clone() };
        next.push(self.with(|world| {
            wiped(world);
            world.holder.slots.set(target, (mutant == Mutant::TornUnnoticed).then_some(unnoticed));
        }));
        next.push(self.with(|world| world.memory = None));
    }

    /// An answer reaches the app.
    pub(super) fn answer_arrives(&self, message: &Message, next: &mut Vec<Self>) {
        if self.memory.is_some() {
            return;
        }
        match message {
            Message::Done(entry, total) => {
                if let Take::Write(slot) = self.holder.take(entry, *total) {
                    next.push(self.with(|world| world.memory = Some((slot, entry.clone(), *total))));
                }
            }
            Message::Confirmed(version) => {
                let mut world = self.clone();
                let open = world.holder.intent.clone();
                let freed = world.holder.confirmed(*version);
                next.extend(freed.map(|slot| self.freed_and_crashed(slot)));
                if open.is_some() && world.holder.intent.is_none() {
                    world.request = None;
                    world.operation_is_over();
                }
                world.frees(freed, next);
            }
            Message::Other(op_id, code, total) => {
                let mut world = self.clone();
                let open = world.holder.intent.clone();
                let answered = world.holder.answered(*op_id, STATUSES[usize::from(*code)], *total);
                let closed = open.is_some() && world.holder.intent.is_none();
                if closed {
                    world.request = None;
                }
                match answered {
                    Ok(Answered::Over | Answered::FallBack(None)) => world.try_again(closed, None, next),
                    Ok(Answered::FallBack(slot)) => world.try_again(closed, slot, next),
                    Ok(Answered::Replaced(slot)) => {
                        if closed {
                            world.operation_is_over();
                        }
                        world.frees(slot, next);
                    }
                    Ok(Answered::Open) | Err(_) => next.push(world),
                }
            }
            Message::Use(_) | Message::Confirm(..) => {}
        }
    }

    /// The slot is freed, and a crash comes before anything else is stored.
    fn freed_and_crashed(&self, slot: SlotName) -> Self {
        self.with(|world| {
            world.holder.slots.set(slot, None);
            world.resume(0);
        })
    }

    /// What a start makes of the disk.
    fn resume(&mut self, total: u64) {
        if self.holder.resume(total).is_some() {
            self.request = None;
            self.operation_is_over();
        }
    }

    fn try_again(mut self, closed: bool, slot: Option<SlotName>, next: &mut Vec<Self>) {
        if closed {
            self.retry += 1;
        }
        self.frees(slot, next);
    }

    /// The record is stored; the slot is freed, or a crash comes before, or takes back what was not synced.
    fn frees(self, slot: Option<SlotName>, next: &mut Vec<Self>) {
        if let Some(slot) = slot {
            next.push(self.with(|world| world.holder.slots.set(slot, None)));
        }
        next.push(self);
    }
}

//! One step: everything that handling one event may read and change. The shell commits what the step kept and only
//! then sends what the step wanted sent.

use crate::audit::{self, AuditFailed};
use crate::channels::Channels;
use crate::credential::desk::Desk;
use crate::credential::durable::Durable;
use crate::feed::{self, Note};
use crate::file::desk::FileDesk;
use crate::fleeting::Fleeting;
use crate::identity::VaultIdentity;
use crate::lock::LockDesk;
use crate::manager::Event;
use crate::outbox::{self, Ended, Post};
use crate::pause::Pauses;
use crate::pieces::Wish;
use crate::projection::{Draft, UnreadableState};
use crate::rule::RuleDesk;
use rand_core::CryptoRng;
use serde_json::Value;
use vettid_core::allowance::Limits;
use vettid_core::credential::attempts::Clocks;
use vettid_core::feed::Index;
use vettid_core::journal::Changes;
use vettid_crypto::audit::Act;
use vettid_handler::handlers::Handlers;
use vettid_wire::audit::Outcome;
use vettid_wire::event::{Delivery, EventType};
use vettid_wire::feed::FeedEntry;
use vettid_wire::time::Timestamp;

/// A commit of so many bytes takes no more events: it has to fit into one record of the journal (1 MiB), with the largest thing that a
/// single event leads to, an answer of 96 KiB that is kept and lies sealed in the outbox (docs/decisions/0255).
pub const COMMIT_BYTES: usize = 512 * 1024;

/// The working place of one event.
pub struct Step<'s> {
    /// The vault's clock when the event was taken up.
    pub now: Timestamp,
    /// The same with the clock that nobody can set.
    pub clocks: Clocks,
    /// Randomness.
    pub rng: &'s mut dyn CryptoRng,
    /// The state, and the changes of this commit.
    pub draft: Draft<'s>,
    /// The vault's own keys.
    pub identity: &'s VaultIdentity,
    /// Sessions and connections under epoch keys.
    pub channels: &'s mut Channels,
    /// How much each sender may send.
    pub limits: Limits,
    /// What lies open in memory only.
    pub desk: &'s mut Desk,
    /// What is known for a while and never stored.
    pub fleeting: &'s mut Fleeting,
    /// Connections that are paused.
    pub pauses: &'s mut Pauses,
    /// What host and vault tell each other about the lock.
    pub lock: &'s mut LockDesk,
    /// What is known of files in memory only.
    pub files: &'s mut FileDesk,
    /// The owner's rules, translated.
    pub rules: &'s mut RuleDesk,
    /// The index of the feed, as it was before this commit.
    pub feed: &'s Index,
    /// The table of handlers.
    pub handlers: &'s Handlers,
    /// The address of the broker, as other parties reach it.
    pub endpoint: &'s str,
    /// What leaves after the commit.
    pub posts: Vec<Post>,
    /// What is taken up right after the commit.
    pub afterwards: Vec<Event>,
    /// What is to be done with stored pieces of files after the commit.
    pub wishes: Vec<Wish>,
    /// Connections that this commit ends.
    pub ended: Vec<Ended>,
    /// What this commit makes durable of the credential.
    pub durable: Vec<Durable>,
    /// New feed entries, to be pushed to the app.
    pub told: Vec<FeedEntry>,
    /// Number of the last commit before this one.
    pub journal_number: u64,
    /// Its hash.
    pub journal_hash: [u8; 32],
    /// Events that were dropped without an answer.
    pub dropped: u64,
}

impl Step<'_> {
    /// Ten random bytes, for an id.
    pub fn random(&mut self) -> [u8; 10] {
        let mut bytes = [0; 10];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    /// Writes an entry of the audit chain; without it the step must not be kept. Gives the number of the entry.
    pub fn audit(
        &mut self,
        actor: &str,
        event_type: &EventType,
        outcome: Outcome,
        detail: Value,
    ) -> Result<u64, AuditFailed> {
        let act = Act {
            ts: self.now,
            actor: actor.to_owned(),
            event_type: event_type.to_string(),
            reference: None,
            outcome,
            detail,
        };
        audit::append(&mut self.draft, self.rng, act)
    }

    /// Writes a note into the owner's feed.
    pub fn tell(&mut self, note: Note) -> Result<(), UnreadableState> {
        let entry = feed::add(&mut self.draft, self.now, note)?;
        self.told.push(entry);
        Ok(())
    }

    /// Sends after the commit: durable posts through the outbox, the others once.
    pub fn post(&mut self, post: Post) -> Result<(), UnreadableState> {
        let post = if post.delivery == Delivery::Durable { outbox::store(&mut self.draft, post)? } else { post };
        self.posts.push(post);
        Ok(())
    }

    /// Whether the commit may take more. What does many things in one step asks before each of them and leaves the others to a
    /// later step.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.draft.bytes_so_far() < COMMIT_BYTES
    }

    /// What the present event has done so far, to come back to.
    #[must_use]
    pub fn savepoint(&self) -> Savepoint {
        Savepoint {
            changes: self.draft.step_so_far(),
            posts: self.posts.len(),
            afterwards: self.afterwards.len(),
            durable: self.durable.len(),
            told: self.told.len(),
            lock_wishes: self.lock.wishes.len(),
            wishes: self.wishes.len(),
            ended: self.ended.len(),
        }
    }

    /// Forgets everything since the savepoint. What was sealed meanwhile is never sent; its sequences stay unused.
    pub fn roll_back(&mut self, to: Savepoint) {
        self.draft.reset_step(to.changes);
        self.posts.truncate(to.posts);
        self.afterwards.truncate(to.afterwards);
        self.durable.truncate(to.durable);
        self.told.truncate(to.told);
        self.lock.wishes.truncate(to.lock_wishes);
        self.wishes.truncate(to.wishes);
        self.ended.truncate(to.ended);
        self.channels.roll_back();
    }

    /// Makes what the present event did part of the commit.
    pub fn keep(&mut self) {
        self.draft.keep_step();
        self.channels.keep();
    }
}

/// A point inside the handling of one event.
pub struct Savepoint {
    changes: Changes,
    posts: usize,
    afterwards: usize,
    durable: usize,
    told: usize,
    lock_wishes: usize,
    wishes: usize,
    ended: usize,
}

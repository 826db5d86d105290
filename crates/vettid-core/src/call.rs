//! The calls of one member: at most one at a time, from the first ring to the end (docs/decisions/0168). What the apps say to each
//! other is not known here, only how much of it there is. It must never ring twice for one call, nor for one that is over.

use serde::{Deserialize, Serialize};
use vettid_wire::call::{EndReason, MAX_CANDIDATES, MAX_CANDIDATES_BYTES, RING_MS};
use vettid_wire::contract::Rate;
use vettid_wire::id::{CallId, ConnectionId};
use vettid_wire::time::Timestamp;

mod hear;

pub use hear::{Heard, Welcome};

/// What is not confirmed is said again after this time, in milliseconds.
pub const REPEAT_MS: i64 = 5_000;
/// Longest call, in milliseconds (12 hours).
pub const LONGEST_MS: i64 = 12 * 3_600_000;
/// A call that is over is remembered so long, in milliseconds: later than that nothing of it can ring.
pub const REMEMBER_MS: i64 = 5 * 60_000;
/// Most calls of one connection that are remembered.
pub const MAX_REMEMBERED: usize = 16;
/// How often one connection may ring.
pub const RINGS: Rate = Rate { count: 6, per_seconds: 600 };

/// How many candidates there are, and how long they are together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Load {
    /// How many.
    pub count: usize,
    /// Bytes of all of them.
    pub bytes: usize,
}

impl Load {
    fn plus(self, more: Self) -> Option<Self> {
        let sum = Self { count: self.count.saturating_add(more.count), bytes: self.bytes.saturating_add(more.bytes) };
        (sum.count <= MAX_CANDIDATES && sum.bytes <= MAX_CANDIDATES_BYTES).then_some(sum)
    }
}

/// Where a call stands that is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// This side calls.
    Calling {
        /// The other side said that it rings.
        reached: bool,
    },
    /// This side is called.
    Ringing,
    /// This side answered, and the other has not confirmed it.
    Answered,
    /// Both sides have what they need.
    Connected,
}

/// The call that is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The call.
    pub call_id: CallId,
    /// With whom.
    pub connection_id: ConnectionId,
    /// Whether this side placed it.
    pub is_outgoing: bool,
    /// Where it stands.
    pub phase: Phase,
    /// When it was placed, by the clock of the side that did.
    pub placed_at: Timestamp,
    /// When this side learned of it.
    pub since: Timestamp,
    /// When this side answered it.
    pub answered_at: Option<Timestamp>,
    /// When it was connected.
    pub connected_at: Option<Timestamp>,
    /// The other side was in this call then, by its own clock.
    peer_at: Option<Timestamp>,
    /// When the last thing was said that wants to be confirmed.
    said_at: Timestamp,
    own: Load,
    peer: Load,
}

/// A call that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Over {
    call_id: CallId,
    connection_id: ConnectionId,
    reason: EndReason,
    /// The other side never hears what became of it.
    is_silent: bool,
    at: Timestamp,
}

/// What to tell the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Say {
    /// It is called, since then; with the description and all candidates of this side.
    Offer(Timestamp),
    /// Its call rings.
    Ringing,
    /// Its call was answered then; with the description and all candidates of this side.
    Answer(Timestamp),
    /// Its answer arrived.
    Connected,
    /// All candidates of this side.
    AllCandidates,
    /// The candidates of the command at hand.
    NewCandidates,
    /// A call is over. If it placed it then and nobody said that it rings, the other side missed it.
    End(EndReason, Option<Timestamp>),
}

/// Why a call did not ring that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unheard {
    /// It came too late, or this side could not be reached.
    Late,
    /// This side is in another call.
    Busy,
    /// The owner did not let it ring.
    Quiet,
}

/// What follows from an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The other side is told.
    Say(ConnectionId, CallId, Say),
    /// What the event carried of the apps is kept with the call that is on.
    Keep,
    /// The owner is called.
    Ring,
    /// The owner was called, and nothing rang.
    Missed(ConnectionId, CallId, Timestamp, Unheard),
    /// The call is connected.
    Connected,
    /// This call is over.
    Ended(Ended),
}

/// A call that has just ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// As it was.
    pub call: Call,
    /// Why.
    pub reason: EndReason,
    /// Whether the other side ended it.
    pub by_peer: bool,
}

/// Why an act or an event has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is another call.
    #[error("there is another call")]
    Busy,
    /// No such call, or one of somebody else.
    #[error("no such call")]
    Unknown,
    /// Not in this state.
    #[error("not in this state of the call")]
    NotNow,
    /// More candidates than a call may have.
    #[error("too many candidates")]
    TooMuch,
}

type Done = Result<Vec<Effect>, Refused>;

/// The calls of one member.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Line {
    live: Option<Call>,
    over: Vec<Over>,
}

impl Line {
    /// The call that is on.
    #[must_use]
    pub fn live(&self) -> Option<&Call> {
        self.live.as_ref()
    }

    /// Whether anything has to be remembered.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.live.is_none() && self.over.is_empty()
    }

    /// Whether this call is on or was not long ago.
    #[must_use]
    pub fn knows(&self, id: CallId) -> bool {
        self.live.is_some_and(|call| call.call_id == id) || self.find_over(id).is_some()
    }

    /// The owner calls.
    ///
    /// # Errors
    /// [`Refused`]; nothing changed.
    pub fn place(&mut self, now: Timestamp, call_id: CallId, connection_id: ConnectionId) -> Done {
        if self.live.is_some() {
            return Err(Refused::Busy);
        }
        if self.knows(call_id) {
            return Err(Refused::NotNow);
        }
        self.live = Some(Call {
            call_id,
            connection_id,
            is_outgoing: true,
            phase: Phase::Calling { reached: false },
            placed_at: now,
            since: now,
            answered_at: None,
            connected_at: None,
            peer_at: None,
            said_at: now,
            own: Load::default(),
            peer: Load::default(),
        });
        Ok(vec![Effect::Keep, Effect::Say(connection_id, call_id, Say::Offer(now))])
    }

    /// The owner takes the call that rings.
    ///
    /// # Errors
    /// [`Refused`]; nothing changed.
    pub fn answer(&mut self, now: Timestamp, id: CallId) -> Done {
        let call = self.live.as_mut().filter(|call| call.call_id == id).ok_or(Refused::Unknown)?;
        if call.phase != Phase::Ringing {
            return Err(Refused::NotNow);
        }
        (call.phase, call.answered_at, call.said_at) = (Phase::Answered, Some(now), now);
        Ok(vec![Effect::Keep, Effect::Say(call.connection_id, id, Say::Answer(now))])
    }

    /// The owner ends a call, or does not take it.
    ///
    /// # Errors
    /// [`Refused`]; nothing changed.
    pub fn hang_up(&mut self, now: Timestamp, id: CallId) -> Done {
        let call = self.live.filter(|call| call.call_id == id).ok_or(Refused::Unknown)?;
        let reason = if call.phase == Phase::Ringing { EndReason::Declined } else { EndReason::HungUp };
        Ok(self.end(now, reason))
    }

    /// The owner's app has further candidates. They wait until the other side knows the call.
    ///
    /// # Errors
    /// [`Refused`]; nothing changed.
    pub fn add_candidates(&mut self, id: CallId, more: Load) -> Done {
        let call = self.live.as_mut().filter(|call| call.call_id == id).ok_or(Refused::Unknown)?;
        call.own = call.own.plus(more).ok_or(Refused::TooMuch)?;
        let mut effects = vec![Effect::Keep];
        if !matches!(call.phase, Phase::Calling { reached: false } | Phase::Ringing) {
            effects.push(Effect::Say(call.connection_id, id, Say::NewCandidates));
        }
        Ok(effects)
    }

    /// Time passed.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Effect> {
        self.over.retain(|over| now.since_ms(over.at) < REMEMBER_MS);
        let Some(call) = self.live else { return Vec::new() };
        let rang = |from: Timestamp| now.since_ms(from) >= RING_MS;
        match call.phase {
            Phase::Calling { reached } if rang(call.placed_at) => {
                self.end(now, if reached { EndReason::TimedOut } else { EndReason::NotReachable })
            }
            Phase::Calling { reached: false } => self.say_again(now, Say::Offer(call.placed_at)),
            Phase::Ringing if rang(call.since) => self.end(now, EndReason::TimedOut),
            Phase::Answered if call.answered_at.is_none_or(rang) => self.end(now, EndReason::Failed),
            Phase::Answered => self.say_again(now, Say::Answer(call.answered_at.unwrap_or(now))),
            Phase::Connected if call.connected_at.is_none_or(|at| now.since_ms(at) >= LONGEST_MS) => {
                self.end(now, EndReason::TimedOut)
            }
            Phase::Calling { .. } | Phase::Ringing | Phase::Connected => Vec::new(),
        }
    }

    fn say_again(&mut self, now: Timestamp, say: Say) -> Vec<Effect> {
        let Some(call) = self.live.as_mut().filter(|call| now.since_ms(call.said_at) >= REPEAT_MS) else {
            return Vec::new();
        };
        call.said_at = now;
        vec![Effect::Say(call.connection_id, call.call_id, say)]
    }

    /// What the apps said got lost, because this side was restarted: a call that is not connected cannot be any more.
    pub fn forget_texts(&mut self, now: Timestamp) -> Vec<Effect> {
        match self.live {
            Some(call) if call.phase != Phase::Connected => self.end(now, EndReason::Failed),
            _ => Vec::new(),
        }
    }

    /// A connection ended: nothing is said on it any more.
    pub fn cut(&mut self, connection: ConnectionId) -> Vec<Effect> {
        self.over.retain(|over| over.connection_id != connection);
        match self.live.take_if(|call| call.connection_id == connection) {
            Some(call) => vec![Effect::Ended(Ended { call, reason: EndReason::Revoked, by_peer: false })],
            None => Vec::new(),
        }
    }

    /// Ends the call that is on, from this side.
    fn end(&mut self, now: Timestamp, reason: EndReason) -> Vec<Effect> {
        let Some(call) = self.live.take() else { return Vec::new() };
        self.remember(now, call.call_id, call.connection_id, reason);
        let unheard_at = (call.phase == Phase::Calling { reached: false }).then_some(call.placed_at);
        vec![
            Effect::Ended(Ended { call, reason, by_peer: false }),
            Effect::Say(call.connection_id, call.call_id, Say::End(reason, unheard_at)),
        ]
    }

    fn remember(&mut self, now: Timestamp, call_id: CallId, connection_id: ConnectionId, reason: EndReason) {
        self.keep_over(Over { call_id, connection_id, reason, is_silent: false, at: now });
    }

    fn keep_over(&mut self, over: Over) {
        let of_connection = |old: &&Over| old.connection_id == over.connection_id;
        if self.over.iter().filter(of_connection).count() >= MAX_REMEMBERED
            && let Some(oldest) = self.over.iter().position(|old| old.connection_id == over.connection_id)
        {
            self.over.remove(oldest);
        }
        self.over.push(over);
    }

    fn find_over(&self, id: CallId) -> Option<Over> {
        self.over.iter().find(|over| over.call_id == id).copied()
    }
}

//! What the other side says about calls. Each event may come late, twice, or in another order; one about a call of somebody else, or
//! about none, has no effect.

use super::{Call, Done, Effect, Ended, Line, Load, Over, Phase, Refused, Say, Unheard};
use vettid_wire::call::{EndReason, RING_MS};
use vettid_wire::id::{CallId, ConnectionId};
use vettid_wire::time::Timestamp;

/// Clocks may differ by this much, in milliseconds.
const MAX_SKEW_MS: i64 = 120_000;

/// What the other side said about one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It calls, since then, and brings so many candidates.
    Offer(Timestamp, Load),
    /// The call of this side rings.
    Ringing,
    /// It answered then, and brings so many candidates.
    Answer(Timestamp, Load),
    /// The answer of this side arrived.
    Connected,
    /// So many further candidates.
    Candidates(Load),
    /// It is over; it was placed then, and the caller was never told that it rings.
    End(EndReason, Option<Timestamp>),
}

/// What the owner lets a connection do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Welcome {
    /// It rings.
    Rings,
    /// The owner is told of a missed call, and the caller hears nothing.
    Told,
    /// Nobody hears anything.
    Nothing,
}

impl Line {
    /// Takes up what a connection said about a call.
    ///
    /// # Errors
    /// [`Refused`]; nothing changed.
    pub fn hear(
        &mut self,
        now: Timestamp,
        connection: ConnectionId,
        welcome: Welcome,
        (id, heard): (CallId, Heard),
    ) -> Done {
        let live = self.live.filter(|call| call.call_id == id);
        let over = self.find_over(id);
        let owner = live.map(|call| call.connection_id).or(over.map(|over| over.connection_id));
        if owner.is_some_and(|owner| owner != connection) {
            return Err(Refused::Unknown);
        }
        match (live, over) {
            (Some(call), _) => self.of_live(now, call, heard),
            (None, Some(over)) => Ok(of_over(over, heard)),
            (None, None) => self.of_unknown(now, connection, welcome, (id, heard)),
        }
    }

    fn of_unknown(
        &mut self,
        now: Timestamp,
        connection: ConnectionId,
        welcome: Welcome,
        (id, heard): (CallId, Heard),
    ) -> Done {
        match heard {
            Heard::Offer(placed_at, load) => self.offered(now, connection, welcome, (id, placed_at, load)),
            // It may have overtaken its offer, which must not ring then.
            Heard::End(reason, unheard_at) => {
                self.remember(now, id, connection, reason);
                let told = unheard_at.filter(|_| welcome != Welcome::Nothing);
                Ok(told.map(|at| Effect::Missed(connection, id, at, Unheard::Late)).into_iter().collect())
            }
            Heard::Ringing | Heard::Answer(..) | Heard::Connected | Heard::Candidates(_) => Err(Refused::Unknown),
        }
    }

    /// A call comes in that this side does not know.
    fn offered(
        &mut self,
        now: Timestamp,
        connection: ConnectionId,
        welcome: Welcome,
        (id, placed_at, load): (CallId, Timestamp, Load),
    ) -> Done {
        let age_ms = now.since_ms(placed_at);
        if age_ms < -MAX_SKEW_MS {
            return Err(Refused::NotNow);
        }
        let peer = Load::default().plus(load).ok_or(Refused::TooMuch)?;
        // Whoever calls somebody wants to talk.
        let calls_it = self.live.is_some_and(|call| call.is_outgoing && call.connection_id == connection);
        let welcome = if calls_it { Welcome::Rings } else { welcome };
        if welcome != Welcome::Rings {
            self.keep_over(Over {
                call_id: id,
                connection_id: connection,
                reason: EndReason::NotReachable,
                is_silent: true,
                at: now,
            });
            let told = (welcome == Welcome::Told).then_some(Effect::Missed(connection, id, placed_at, Unheard::Quiet));
            return Ok(told.into_iter().collect());
        }
        if age_ms > RING_MS {
            return Ok(self.turn_away(now, (connection, id, placed_at), EndReason::TimedOut, Some(Unheard::Late)));
        }
        let mut effects = match self.live {
            None => Vec::new(),
            Some(live) if live.connection_id != connection => {
                return Ok(self.turn_away(now, (connection, id, placed_at), EndReason::Busy, Some(Unheard::Busy)));
            }
            Some(live) => match gives_way(&live, id, placed_at) {
                Ok(Gives::Own) => self.end(now, EndReason::Crossed),
                Ok(Gives::Earlier) => self.end_by_peer(now, EndReason::HungUp),
                Err(reason) => return Ok(self.turn_away(now, (connection, id, placed_at), reason, None)),
            },
        };
        self.live = Some(Call {
            call_id: id,
            connection_id: connection,
            is_outgoing: false,
            phase: Phase::Ringing,
            placed_at,
            since: now,
            answered_at: None,
            connected_at: None,
            peer_at: Some(placed_at),
            said_at: now,
            own: Load::default(),
            peer,
        });
        effects.extend([Effect::Keep, Effect::Ring, Effect::Say(connection, id, Say::Ringing)]);
        Ok(effects)
    }

    /// A call does not ring, and the caller is told why.
    fn turn_away(
        &mut self,
        now: Timestamp,
        (connection, id, placed_at): (ConnectionId, CallId, Timestamp),
        reason: EndReason,
        told: Option<Unheard>,
    ) -> Vec<Effect> {
        self.remember(now, id, connection, reason);
        let missed = told.map(|why| Effect::Missed(connection, id, placed_at, why));
        missed.into_iter().chain([Effect::Say(connection, id, Say::End(reason, None))]).collect()
    }

    fn of_live(&mut self, now: Timestamp, call: Call, heard: Heard) -> Done {
        let say = |say: Say| Effect::Say(call.connection_id, call.call_id, say);
        match (heard, call.phase) {
            // The two sides take turns: nobody says to a caller what only a caller says.
            (Heard::Offer(..) | Heard::Connected, _) if call.is_outgoing => Err(Refused::NotNow),
            (Heard::Ringing | Heard::Answer(..), _) if !call.is_outgoing => Err(Refused::NotNow),
            (Heard::Offer(..), Phase::Ringing) => Ok(vec![say(Say::Ringing)]),
            (Heard::Offer(..), Phase::Answered) => Ok(vec![say(Say::Answer(call.answered_at.unwrap_or(now)))]),
            (Heard::Ringing, Phase::Calling { reached: false }) => {
                self.change(|call| call.phase = Phase::Calling { reached: true });
                Ok(if call.own.count > 0 { vec![say(Say::AllCandidates)] } else { Vec::new() })
            }
            (Heard::Answer(answered_at, load), Phase::Calling { .. }) => self.connect(now, call, (answered_at, load)),
            (Heard::Answer(..), Phase::Connected) => Ok(vec![say(Say::Connected)]),
            (Heard::Connected, Phase::Answered) => {
                self.change(|call| (call.phase, call.connected_at) = (Phase::Connected, Some(now)));
                Ok(vec![Effect::Connected])
            }
            (Heard::Candidates(load), _) => {
                let peer = call.peer.plus(load).ok_or(Refused::TooMuch)?;
                self.change(|call| call.peer = peer);
                Ok(vec![Effect::Keep])
            }
            (Heard::End(reason, _), _) => Ok(self.end_by_peer(now, reason)),
            (Heard::Offer(..) | Heard::Ringing | Heard::Answer(..) | Heard::Connected, _) => Ok(Vec::new()),
        }
    }

    fn connect(&mut self, now: Timestamp, call: Call, (answered_at, load): (Timestamp, Load)) -> Done {
        let peer = call.peer.plus(load).ok_or(Refused::TooMuch)?;
        self.change(|call| {
            (call.phase, call.peer) = (Phase::Connected, peer);
            (call.connected_at, call.peer_at) = (Some(now), Some(answered_at));
        });
        let say = |say: Say| Effect::Say(call.connection_id, call.call_id, say);
        let mut effects = vec![Effect::Keep, Effect::Connected, say(Say::Connected)];
        // What says that it rings got lost, and with it the sign to send these.
        if call.phase == (Phase::Calling { reached: false }) && call.own.count > 0 {
            effects.push(say(Say::AllCandidates));
        }
        Ok(effects)
    }

    fn change(&mut self, change: impl FnOnce(&mut Call)) {
        if let Some(call) = self.live.as_mut() {
            change(call);
        }
    }

    fn end_by_peer(&mut self, now: Timestamp, reason: EndReason) -> Vec<Effect> {
        let Some(call) = self.live.take() else { return Vec::new() };
        self.remember(now, call.call_id, call.connection_id, reason);
        vec![Effect::Ended(Ended { call, reason, by_peer: true })]
    }
}

/// A call is over: the other side is told so again, but for what says the same.
fn of_over(over: Over, heard: Heard) -> Vec<Effect> {
    match heard {
        Heard::End(..) => Vec::new(),
        _ if over.is_silent => Vec::new(),
        _ => vec![Effect::Say(over.connection_id, over.call_id, Say::End(over.reason, None))],
    }
}

/// Which call ends for a new one of the same connection.
enum Gives {
    /// Both called at once, and the other side's call goes on.
    Own,
    /// The other side has left the earlier one.
    Earlier,
}

/// Whether the call that is on gives way to an offer of the same connection; if not, why the offer ends. Of two that cross, the one
/// with the smaller id goes on: both sides see the same.
fn gives_way(live: &Call, id: CallId, placed_at: Timestamp) -> Result<Gives, EndReason> {
    match live.peer_at {
        None if id < live.call_id => Ok(Gives::Own),
        None => Err(EndReason::Crossed),
        Some(peer_at) if placed_at > peer_at => Ok(Gives::Earlier),
        Some(_) => Err(EndReason::HungUp),
    }
}

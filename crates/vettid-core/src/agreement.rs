//! How two members come to one outcome about terms: one proposes, the other approves, denies or, where terms may change, makes
//! a counter-proposal. Whoever made the latest terms decides whether an answer came in time, so both sides end alike. It must
//! never approve terms that were replaced, or after their time.

use serde::{Deserialize, Serialize};
use vettid_wire::agreement::{AgreementKind as Kind, AgreementOutcome as Outcome, AgreementSide as Side};
use vettid_wire::auth::Decision;
use vettid_wire::digest::Digest;
use vettid_wire::time::Timestamp;

/// Most rounds of terms, so that no two vaults go on for ever.
pub const MAX_ROUNDS: u32 = 32;

/// Terms as the machine sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Terms {
    /// Counts the terms of one agreement, from 1.
    pub round: u32,
    /// Hash over the terms themselves.
    pub hash: Digest,
    /// From then on nobody can approve them.
    pub expires_at: Timestamp,
}

/// What one side tells the other. Each may arrive late, twice, or in another order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Message {
    /// New terms, approved by the side that made them.
    Terms(Terms),
    /// The answer to the terms of this round and hash.
    Answer(u32, Digest, Decision),
    /// The maker of the terms of this round says how it ended.
    Outcome(u32, Outcome),
}

/// Where one side stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The latest terms wait for an answer.
    Open,
    /// This side answered and waits for the outcome.
    Answered(Decision),
    /// It ended, for good.
    Ended(Outcome),
}

/// Why an act or a message has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It ended already, or this side answered already.
    #[error("this was decided already")]
    Decided,
    /// The other side is to answer, or the terms are not those that were shown.
    #[error("these are not the terms that wait for this answer")]
    NotTheTerms,
    /// The time of the terms is over.
    #[error("the time of the terms is over")]
    Expired,
    /// The terms of a transaction are fixed, or there were too many rounds.
    #[error("these terms cannot be changed")]
    Fixed,
    /// Something that this message builds on has not arrived yet: it is to be delivered again.
    #[error("an earlier message has not arrived yet")]
    Early,
    /// Nothing that the other side may say here.
    #[error("not a message for this state")]
    Nonsense,
}

/// One side of an agreement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Agreement {
    kind: Kind,
    own: Side,
    terms: Terms,
    state: State,
}

impl Agreement {
    /// This side proposes; gives what the other side is told.
    #[must_use]
    pub fn propose(kind: Kind, hash: Digest, expires_at: Timestamp) -> (Self, Message) {
        let terms = Terms { round: 1, hash, expires_at };
        (Self { kind, own: Side::Proposer, terms, state: State::Open }, Message::Terms(terms))
    }

    /// The other side proposed.
    ///
    /// # Errors
    /// [`Refused::Early`] for later terms: the first ones are still on their way.
    pub fn receive_proposal(kind: Kind, terms: Terms) -> Result<Self, Refused> {
        match terms.round {
            0 => Err(Refused::Nonsense),
            1 => Ok(Self { kind, own: Side::Asked, terms, state: State::Open }),
            _ => Err(Refused::Early),
        }
    }

    /// The latest terms.
    #[must_use]
    pub fn terms(&self) -> Terms {
        self.terms
    }

    /// Where this side stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Request or transaction.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Which side this is.
    #[must_use]
    pub fn side(&self) -> Side {
        self.own
    }

    /// Whether this side is to answer.
    #[must_use]
    pub fn is_to_answer(&self, now: Timestamp) -> bool {
        self.may_answer(now, self.terms.hash).is_ok()
    }

    /// This side answers the terms that it was shown.
    ///
    /// # Errors
    /// [`Refused`]; nothing changed.
    pub fn answer(&mut self, now: Timestamp, shown: Digest, decision: Decision) -> Result<Message, Refused> {
        self.may_answer(now, shown)?;
        self.state = State::Answered(decision);
        Ok(Message::Answer(self.terms.round, shown, decision))
    }

    /// This side makes other terms in place of those that it was shown; whoever approved those is not bound any more.
    ///
    /// # Errors
    /// [`Refused`]; nothing changed.
    pub fn counter(
        &mut self,
        now: Timestamp,
        shown: Digest,
        hash: Digest,
        expires_at: Timestamp,
    ) -> Result<Message, Refused> {
        self.may_answer(now, shown)?;
        if self.kind == Kind::Transaction || self.terms.round >= MAX_ROUNDS {
            return Err(Refused::Fixed);
        }
        self.terms = Terms { round: self.terms.round + 1, hash, expires_at };
        Ok(Message::Terms(self.terms))
    }

    /// This side takes its own terms back.
    ///
    /// # Errors
    /// [`Refused`]; nothing changed.
    pub fn withdraw(&mut self) -> Result<Message, Refused> {
        match self.state {
            State::Open if self.is_maker() => Ok(self.end(Outcome::Withdrawn)),
            State::Open | State::Answered(_) => Err(Refused::NotTheTerms),
            State::Ended(_) => Err(Refused::Decided),
        }
    }

    /// Time went by: the maker ends terms whose time is over, and tells it.
    pub fn tick(&mut self, now: Timestamp) -> Option<Message> {
        (self.state == State::Open && self.is_maker() && self.is_over(now)).then(|| self.end(Outcome::Expired))
    }

    /// A message of the other side; gives what it is told in return. A repeated message gets the same return and has no
    /// second effect.
    ///
    /// # Errors
    /// [`Refused`]; nothing changed.
    pub fn receive(&mut self, now: Timestamp, message: Message) -> Result<Option<Message>, Refused> {
        match message {
            Message::Terms(terms) => self.other_terms(now, terms),
            Message::Answer(round, hash, decision) => self.answered(now, round, hash, decision),
            Message::Outcome(round, outcome) => self.outcome(round, outcome).map(|()| None),
        }
    }

    fn other_terms(&mut self, now: Timestamp, terms: Terms) -> Result<Option<Message>, Refused> {
        if Side::maker(terms.round) == self.own || terms.round == 0 {
            return Err(Refused::Nonsense);
        }
        if terms.round <= self.terms.round {
            return Ok(None);
        }
        if terms.round != self.terms.round + 1 {
            return Err(Refused::Early);
        }
        if self.kind == Kind::Transaction || terms.round > MAX_ROUNDS {
            return Err(Refused::Fixed);
        }
        match self.state {
            State::Ended(outcome) => Ok(Some(Message::Outcome(self.terms.round, outcome))),
            State::Answered(_) => Err(Refused::Nonsense),
            State::Open if self.is_over(now) => Ok(Some(self.end(Outcome::Expired))),
            State::Open => {
                self.terms = terms;
                Ok(None)
            }
        }
    }

    fn answered(
        &mut self,
        now: Timestamp,
        round: u32,
        hash: Digest,
        decision: Decision,
    ) -> Result<Option<Message>, Refused> {
        if Side::maker(round) != self.own || round > self.terms.round {
            return Err(Refused::Nonsense);
        }
        if round < self.terms.round || hash != self.terms.hash {
            return Err(Refused::NotTheTerms);
        }
        Ok(Some(match (self.state, decision) {
            (State::Ended(outcome), _) => Message::Outcome(round, outcome),
            _ if self.is_over(now) => self.end(Outcome::Expired),
            (_, Decision::Approve) => self.end(Outcome::Approved),
            (_, Decision::Deny) => self.end(Outcome::Denied),
        }))
    }

    /// Only the maker of terms says how they ended. One that ended terms to which this side made a counter-proposal did not
    /// see it in time: what it says stands, even if this side has ended its own terms meanwhile.
    fn outcome(&mut self, round: u32, outcome: Outcome) -> Result<(), Refused> {
        if Side::maker(round) == self.own || round == 0 {
            return Err(Refused::Nonsense);
        }
        let is_ended = matches!(self.state, State::Ended(_));
        if round > self.terms.round {
            return if is_ended { Ok(()) } else { Err(Refused::Early) };
        }
        let countered = round + 1 == self.terms.round;
        let is_undone = matches!(outcome, Outcome::Expired | Outcome::Withdrawn);
        let fits = match (self.state, outcome) {
            (State::Ended(Outcome::Expired | Outcome::Withdrawn), _) if countered && is_undone => true,
            (State::Ended(_), _) => return Ok(()),
            (State::Answered(given), Outcome::Approved) => given == Decision::Approve && !countered,
            (State::Answered(given), Outcome::Denied) => given == Decision::Deny && !countered,
            (State::Open, Outcome::Approved | Outcome::Denied) => false,
            (_, Outcome::Expired | Outcome::Withdrawn) => countered || round == self.terms.round,
        };
        if !fits {
            return Err(Refused::Nonsense);
        }
        self.state = State::Ended(outcome);
        Ok(())
    }

    fn may_answer(&self, now: Timestamp, shown: Digest) -> Result<(), Refused> {
        match self.state {
            State::Answered(_) | State::Ended(_) => Err(Refused::Decided),
            State::Open if self.is_maker() || shown != self.terms.hash => Err(Refused::NotTheTerms),
            State::Open if self.is_over(now) => Err(Refused::Expired),
            State::Open => Ok(()),
        }
    }

    /// Whether this side made the latest terms.
    #[must_use]
    pub fn is_maker(&self) -> bool {
        Side::maker(self.terms.round) == self.own
    }

    fn is_over(&self, now: Timestamp) -> bool {
        now >= self.terms.expires_at
    }

    fn end(&mut self, outcome: Outcome) -> Message {
        self.state = State::Ended(outcome);
        Message::Outcome(self.terms.round, outcome)
    }
}

//! The control plane: what the HTTP API and the broker's subscriptions act on. Each act lives beside its noun; here is
//! only what they share.

use crate::broker::Broker;
use crate::comparison::Counts;
use crate::config::Limits;
use crate::http::limit::RateLimit;
use crate::keys::{Bootstraps, Keys};
use crate::member_keys::MemberKeys;
use crate::randomness::{self, SystemRandomness};
use crate::registry::Registry;
use crate::renewal::Nonces;
use crate::resolver::Resolver;
use crate::verification::Challenges;
use rand_core::Rng as _;
use std::sync::Arc;
use vettid_core::directory::Periods;
use vettid_crypto::action_token::NonceKey;
use vettid_nats::clock;
use vettid_store::audit::{Act, Actor, AuditEntry};
use vettid_store::ledger::Ledger;
use vettid_wire::id::{EventId, MemberId};
use vettid_wire::time::Timestamp;

/// Everything that a request may need.
pub(crate) struct ControlPlane {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) keys: Keys,
    pub(crate) bootstraps: Bootstraps,
    pub(crate) member_keys: MemberKeys,
    pub(crate) broker: Broker,
    pub(crate) registry: Registry,
    /// Looks up the records of domains.
    pub(crate) resolver: Box<dyn Resolver>,
    /// How long what was looked up counts.
    pub(crate) periods: Periods,
    /// Challenges for claims of domains.
    pub(crate) challenges: Challenges,
    /// What services of one kind ask, counted lately.
    pub(crate) counts: Counts,
    /// The address of the HTTP API, for enrolment codes.
    pub(crate) public_url: String,
    /// Requests without a token.
    pub(crate) open: RateLimit,
    /// Questions about the directory.
    pub(crate) directory: RateLimit,
    /// New enrolments.
    pub(crate) enrolments: RateLimit,
    /// Requests of known apps that were taken lately.
    pub(crate) nonces: Nonces,
    /// Makes the nonces of proofs; those of an earlier run are not taken.
    pub(crate) proof_nonces: NonceKey,
}

/// The parts of a control plane that the ledger does not hold.
pub(crate) struct Parts {
    pub(crate) keys: Keys,
    pub(crate) bootstraps: Bootstraps,
    pub(crate) member_keys: MemberKeys,
    pub(crate) broker: Broker,
    pub(crate) registry: Registry,
    pub(crate) resolver: Box<dyn Resolver>,
    pub(crate) periods: Periods,
    pub(crate) public_url: String,
    pub(crate) limits: Limits,
}

impl ControlPlane {
    /// Ready to act.
    pub(crate) fn new(ledger: Arc<dyn Ledger>, parts: Parts) -> Self {
        let Parts { keys, bootstraps, member_keys, broker, registry, resolver, periods, public_url, limits } = parts;
        let (open, enrolments) = (RateLimit::new(limits.open), RateLimit::new(limits.enrolments));
        let (nonces, proof_nonces) = (Nonces::default(), NonceKey::random(&mut randomness::system()));
        Self {
            ledger,
            keys,
            bootstraps,
            member_keys,
            broker,
            registry,
            resolver,
            periods,
            challenges: Challenges::default(),
            counts: Counts::default(),
            public_url,
            open,
            directory: RateLimit::new(limits.directory),
            enrolments,
            nonces,
            proof_nonces,
        }
    }

    /// Now.
    pub(crate) fn now(&self) -> Timestamp {
        clock::now()
    }

    /// The system's generator.
    pub(crate) fn rng(&self) -> SystemRandomness {
        randomness::system()
    }

    /// A new id for a session or a command.
    pub(crate) fn event_id(&self) -> EventId {
        EventId::v7(self.now(), self.ten_bytes())
    }

    /// A new member.
    pub(crate) fn member_id(&self) -> MemberId {
        MemberId::v7(self.now(), self.ten_bytes())
    }

    /// A line for the audit log, as of now.
    pub(crate) fn entry(&self, actor: Actor, act: Act) -> AuditEntry {
        AuditEntry { at: self.now(), actor, act }
    }

    fn ten_bytes(&self) -> [u8; 10] {
        let mut bytes = [0; 10];
        self.rng().fill_bytes(&mut bytes);
        bytes
    }
}

//! The app: its ports, and the way from a stored state to an open line with the vault.

use crate::clock::Clock;
use crate::command::CommandError;
use crate::intent::Settled;
use crate::line::Line;
use crate::random::SystemRandom;
use crate::services::ServicesApi;
use crate::state::{self, Member, State};
use crate::store::Store;
use crate::transport::{SignIn, Transport, TransportError};
use std::sync::{Mutex, PoisonError};
use vettid_wire::event::{EventRow, Lane};

/// What the app needs of the world around it.
pub trait Ports: Send + Sync {
    /// The broker.
    type Transport: Transport;
    /// The operator's services.
    type Services: ServicesApi;
    /// The place of the state.
    type Store: Store;
    /// The wall clock.
    type Clock: Clock;

    /// The broker.
    fn transport(&self) -> &Self::Transport;
    /// The operator's services.
    fn services(&self) -> &Self::Services;
    /// The place of the state.
    fn store(&self) -> &Self::Store;
    /// The wall clock.
    fn clock(&self) -> &Self::Clock;
    /// Randomness.
    fn random(&self) -> SystemRandom;
}

/// One app of one member.
#[derive(Debug)]
pub struct App<P> {
    pub(crate) ports: P,
    /// The authority (PEM) to trust in an enrolment; afterwards it is part of the state.
    pub(crate) trust: Option<String>,
    settled: Mutex<Vec<Settled>>,
}

impl<P: Ports> App<P> {
    /// An app with these ports. `trust` is the authority (PEM) of an operator with whom the app is to be enrolled; an
    /// enrolled app takes it instead of the one it remembers.
    #[must_use]
    pub fn new(ports: P, trust: Option<String>) -> Self {
        Self { ports, trust, settled: Mutex::default() }
    }

    /// Carries out one command of the owner.
    ///
    /// # Errors
    /// [`CommandError`]; after [`CommandError::NoAnswer`] the same command with the same request keeps its event id, so
    /// it is not carried out twice.
    pub async fn command<R: EventRow>(&self, request: R::Request) -> Result<R::Reply, CommandError> {
        const {
            assert!(matches!(R::ROW.lane, Lane::Owner), "the owner's app commands on the owner's lane");
        }
        let mut line = self.open().await?;
        let reply = line.ask::<R>(&request).await;
        line.close().await;
        reply
    }

    /// What became of earlier commands whose answers were missed; each is told once.
    pub fn take_settled(&self) -> Vec<Settled> {
        std::mem::take(&mut *self.settled.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn tell_settled(&self, settled: Settled) {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner).push(settled);
    }

    /// Holds the state and connects.
    pub(crate) async fn open(&self) -> Result<Line<'_, P>, CommandError> {
        let hold = self.ports.store().hold().await?;
        let member = match state::load(&hold)? {
            Some(State::Enrolled(member)) if member.recovering.is_some() => return Err(CommandError::Recovering),
            Some(State::Enrolled(member)) => *member,
            Some(State::Enrolling(_)) => return Err(CommandError::EnrolmentUnfinished),
            None => return Err(CommandError::NotEnrolled),
        };
        self.line(hold, member).await
    }

    /// Connects, if need be over the way back.
    pub(crate) async fn line(
        &self,
        hold: <P::Store as Store>::Hold,
        member: Member,
    ) -> Result<Line<'_, P>, CommandError> {
        match self.connect(&member).await {
            Ok(connection) => Ok(Line::new(self, hold, member, connection)),
            Err(error) if is_lost(&error) => self.way_back(hold, member, error).await,
            Err(error) => Err(error),
        }
    }

    /// Connects as the member's app.
    pub(crate) async fn connect(&self, member: &Member) -> Result<ConnectionOf<P>, CommandError> {
        let now = self.ports.clock().now();
        if member.credential.is_dead(now) {
            return Err(CommandError::CredentialDead { since: member.credential.expires_at });
        }
        let credential = member.credential.for_broker(member.guid, &member.device, now)?;
        let trust = self.trust_of(member);
        Ok(self.ports.transport().connect(SignIn { endpoint: &member.endpoint, trust, credential }).await?)
    }

    /// The authority (PEM) from which the certificates of broker and services must come.
    pub(crate) fn trust_of<'a>(&'a self, member: &'a Member) -> &'a str {
        self.trust.as_deref().unwrap_or(&member.trust)
    }
}

/// Whether services may know a way: to another credential if the broker does not take this one, or to the place where the
/// broker is now.
pub(crate) fn is_lost(error: &CommandError) -> bool {
    let is_shut_out = matches!(error, CommandError::CredentialDead { .. });
    let transport =
        matches!(error, CommandError::Transport(TransportError::NotAuthorized(_) | TransportError::Unreachable(_)));
    is_shut_out || transport
}

/// The connections of these ports.
pub(crate) type ConnectionOf<P> = <<P as Ports>::Transport as Transport>::Connection;

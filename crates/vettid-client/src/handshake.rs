//! The app's side of a handshake on the broker: a message travels as an event that names itself, is sent again with the
//! same bytes until it is answered, and an answer that does not fit is passed over.

use crate::identity::IdentityFailure;
use crate::transport::{Connection, Delivery, Subscription, TransportError};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use vettid_core::channel::Channel;
use vettid_core::handshake::{Closing, HandshakeFailure, Initiator, Outcome, Party, Phase};
use vettid_wire::base64::Base64;
use vettid_wire::event::EventType;
use vettid_wire::handshake::HandshakeMessage;
use vettid_wire::id::{EventId, MemberId};
use vettid_wire::json::{self, JsonError};
use vettid_wire::session::HandshakeEvent;
use vettid_wire::subject::{Pattern, Subject};
use vettid_wire::time::Timestamp;

/// How long each try waits for an answer.
const WAITS: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(3), Duration::from_secs(5)];

/// Why a handshake cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The other side holds the right secrets and is not the right vault, or breaks the protocol.
    #[error("the vault that answered is not the one that was meant")]
    WrongVault,
    /// A message of our own cannot be made.
    #[error("the handshake cannot go on: {0}")]
    Step(#[from] HandshakeFailure),
    /// The app's own key record cannot be renewed.
    #[error(transparent)]
    Identity(#[from] IdentityFailure),
    /// A message cannot be written.
    #[error("a handshake message cannot be written: {0}")]
    Form(#[from] JsonError),
    /// A message did not reach the broker.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

/// A handshake message as it is stored, sent, and sent again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sending {
    /// On which event it travels.
    event_type: EventType,
    /// Names the event; the answer quotes it.
    event_id: EventId,
    /// The bytes.
    bytes: Base64,
}

impl Sending {
    /// Wraps a message of the state machine.
    pub(crate) fn new(
        event_type: EventType,
        event_id: EventId,
        now: Timestamp,
        message: &[u8],
    ) -> Result<Self, JsonError> {
        let handshake = Some(HandshakeMessage::read(message)?);
        let bytes = json::canonical(&HandshakeEvent { event_id, timestamp: now, handshake })?;
        Ok(Self { event_type, event_id, bytes: Base64::new(bytes) })
    }

    /// Sends until `accept` takes an answer; `None` if there is none in time.
    async fn exchange<C: Connection, T>(
        &self,
        connection: &C,
        guid: MemberId,
        mut accept: impl FnMut(HandshakeEvent) -> Option<T> + Send,
    ) -> Result<Option<T>, TransportError> {
        let answers = Subject::ForApp(guid, self.event_type.clone(), self.event_id);
        let mut answers = connection.subscribe(&Pattern::One(answers)).await?;
        let subject = Subject::ForVault(guid, self.event_type.clone());
        for wait in WAITS {
            connection.publish(&subject, self.bytes.as_bytes()).await?;
            let accepted = async {
                loop {
                    if let Some(taken) = self.read(&answers.next().await?).and_then(&mut accept) {
                        return Ok(taken);
                    }
                }
            };
            if let Ok(taken) = tokio::time::timeout(wait, accepted).await {
                return taken.map(Some);
            }
        }
        Ok(None)
    }

    fn read(&self, delivery: &Delivery) -> Option<HandshakeEvent> {
        let event: HandshakeEvent = json::read(&delivery.payload).ok()?;
        (event.event_id == self.event_id).then_some(event)
    }
}

/// Sends the first message until the vault answers with a valid second one; `false` if it stays silent.
///
/// # Errors
/// [`HandshakeError::WrongVault`] for a second message that opens and is not this vault's.
pub(crate) async fn await_second<C: Connection>(
    connection: &C,
    guid: MemberId,
    sending: &Sending,
    initiator: &mut Initiator,
    now: Timestamp,
) -> Result<bool, HandshakeError> {
    let accept = |event: HandshakeEvent| {
        let bytes = event.handshake?.to_bytes().ok()?;
        initiator.receive(now, &bytes);
        match initiator.phase() {
            Phase::Hs2Received => Some(Ok(true)),
            Phase::Aborted => Some(Err(HandshakeError::WrongVault)),
            _ => None,
        }
    };
    sending.exchange(connection, guid, accept).await?.unwrap_or(Ok(false))
}

/// Makes the third message; the handshake gives its keys.
pub(crate) fn third(
    initiator: &mut Initiator,
    party: &Party<'_>,
    event_type: EventType,
    event_id: EventId,
    now: Timestamp,
    rng: &mut dyn rand_core::CryptoRng,
) -> Result<(Sending, Outcome), HandshakeError> {
    initiator.accept(now)?;
    let reaction = initiator.finish(now, rng, party, &Closing::default())?;
    let outcome = initiator.take_outcome().ok_or(HandshakeFailure::NotDue(initiator.phase()))?;
    let message = reaction.send.unwrap_or_default();
    Ok((Sending::new(event_type, event_id, now, &message)?, outcome))
}

/// Sends the third message until the vault says that it has it; `false` if it stays silent.
pub(crate) async fn await_end<C: Connection>(
    connection: &C,
    guid: MemberId,
    sending: &Sending,
) -> Result<bool, TransportError> {
    let accept = |event: HandshakeEvent| event.handshake.is_none().then_some(());
    Ok(sending.exchange(connection, guid, accept).await?.is_some())
}

/// The channel of a finished handshake; an app has one incarnation.
pub(crate) fn channel(outcome: Outcome) -> Channel {
    Channel::new(outcome.into_keys(1).0)
}

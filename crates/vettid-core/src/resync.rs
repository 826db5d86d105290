//! New keys between a vault that came back from an earlier state and a peer that may be many epochs ahead (spec §3 R15,
//! docs/decisions/0171). Pure. An incarnation is taken only on the word of the owner's app, only once, and only if it is
//! higher than every one before; keys are made only by an agreement that both vaults sign.

use crate::channel::{Channel, ChannelError, Keys};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use vettid_crypto::Undecryptable;
use vettid_crypto::envelope::{self, Binding, Outgoing};
use vettid_crypto::identity::{SigningKey, VerifyingKey};
use vettid_crypto::rekey::{self, NextEpoch, Offered, RekeyError};
use vettid_crypto::resync::{Lifeline, id_of};
use vettid_crypto::signature::{self, Context, SignatureError};
use vettid_crypto::stored;
use vettid_crypto::suite::{KemPublicKey, KemSecretKey, Suite};
use vettid_wire::base64::Base64;
use vettid_wire::envelope::{Content, Envelope};
use vettid_wire::event::{ConnectionResync, EventRow};
use vettid_wire::id::{EventId, Fingerprint, MemberId};
use vettid_wire::json::{self, JsonError};
use vettid_wire::key::TypedKey;
use vettid_wire::restore::{INCARNATION_VERSION, Incarnation, Resync, ResyncAnswer, ResyncAsk};
use vettid_wire::subject::Subject;
use vettid_wire::time::Timestamp;

/// Most restores of one peer that are taken within [`PERIOD_MS`].
pub const MOST_RESYNCS: usize = 4;
/// In milliseconds (one day).
pub const PERIOD_MS: i64 = 24 * 3600 * 1000;

/// Both sides of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Sides {
    /// This side.
    pub own: Fingerprint,
    /// The other side.
    pub peer: Fingerprint,
    /// This side's incarnation.
    pub own_incarnation: u64,
    /// The other side's incarnation.
    pub peer_incarnation: u64,
}

/// Why a peer's new incarnation is not taken.
#[derive(Debug, thiserror::Error)]
pub enum AskRefused {
    /// The app of the peer's owner did not say so, or it is not known which app that is.
    #[error("not the word of the peer's owner")]
    NotTheOwner,
    /// An incarnation that was taken before, or an earlier one.
    #[error("the incarnation is not higher than the last one")]
    NotNewer,
    /// Too many in one day.
    #[error("too many restores in one day")]
    TooMany,
    /// The half of the keys does not count.
    #[error(transparent)]
    Rekey(#[from] RekeyError),
}

/// The word of an owner's app that the vault goes on as this incarnation.
///
/// # Errors
/// If it cannot be signed.
pub fn incarnation(
    guid: MemberId,
    number: u64,
    restored_at: Timestamp,
    app: &SigningKey,
) -> Result<Incarnation, SignatureError> {
    let mut said = Incarnation {
        version: INCARNATION_VERSION,
        guid,
        incarnation: number,
        restored_at,
        key_id: app.key_id(),
        signature: Base64::default(),
    };
    said.signature = signature::sign(Context::Incarnation, app, &said)?;
    Ok(said)
}

/// Whether it is the word of this app about this member's vault.
#[must_use]
pub fn is_word_of(said: &Incarnation, guid: MemberId, app: &VerifyingKey) -> bool {
    said.version == INCARNATION_VERSION
        && said.guid == guid
        && signature::verify(Context::Incarnation, app, said).is_ok()
}

/// A restored vault that waits for the other half of its new keys with one peer.
#[derive(Debug, Serialize, Deserialize)]
pub struct Asking {
    #[serde(with = "stored")]
    offered: Offered,
}

impl Asking {
    /// The own half of the keys for this incarnation.
    ///
    /// # Errors
    /// [`RekeyError`].
    pub fn new(rng: &mut dyn CryptoRng, incarnation: u64, signer: &SigningKey) -> Result<Self, RekeyError> {
        Ok(Self { offered: rekey::offer(rng, Suite::X25519, 0, incarnation, signer)? })
    }

    /// What the peer is asked, each time with the same bytes.
    #[must_use]
    pub fn message(&self, incarnation: Incarnation) -> Resync {
        Resync::Ask(ResyncAsk { incarnation, rekey: self.offered.message().clone() })
    }

    /// The peer answered: the new channel.
    ///
    /// # Errors
    /// The state itself beside the reason.
    pub fn finish(
        self,
        lifeline: &Lifeline,
        sides: &Sides,
        answer: &ResyncAnswer,
        peer: &VerifyingKey,
    ) -> Result<Channel, (Box<Self>, AskRefused)> {
        let key = lifeline.agreement_key(sides.own_incarnation);
        if answer.incarnation != sides.own_incarnation {
            return Err((Box::new(self), AskRefused::NotNewer));
        }
        match self.offered.finish(&key, &answer.rekey, peer) {
            Ok(next) => Ok(channel(sides, next)),
            Err((offered, error)) => Err((Box::new(Self { offered: *offered }), error.into())),
        }
    }
}

/// What one side keeps of the restores of its peer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resyncs {
    /// The last one, and what was answered.
    last: Option<(ResyncAsk, ResyncAnswer)>,
    /// When the last few were taken.
    taken_at: Vec<Timestamp>,
}

/// Who asks, as this side knows it.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// The member.
    pub guid: MemberId,
    /// Signs for its vault.
    pub signing: &'a VerifyingKey,
    /// Signs for its owner; absent: nobody may.
    pub restore: Option<&'a VerifyingKey>,
}

/// What an ask comes to.
#[derive(Debug)]
pub enum Answered {
    /// New keys, and the answer that the peer makes them with.
    New(Box<Channel>, ResyncAnswer),
    /// It was answered before: the same again, and nothing changes.
    Again(ResyncAnswer),
}

impl Resyncs {
    /// Takes the ask of a peer. Nothing is changed where it is refused.
    ///
    /// # Errors
    /// [`AskRefused`].
    pub fn take(
        &mut self,
        now: Timestamp,
        rng: &mut dyn CryptoRng,
        (lifeline, sides, signer): (&Lifeline, Sides, &SigningKey),
        asker: &Asker<'_>,
        ask: &ResyncAsk,
    ) -> Result<Answered, AskRefused> {
        if let Some((_, answer)) = self.last.as_ref().filter(|(last, _)| last == ask) {
            return Ok(Answered::Again(answer.clone()));
        }
        let number = ask.incarnation.incarnation;
        let app = asker.restore.ok_or(AskRefused::NotTheOwner)?;
        if !is_word_of(&ask.incarnation, asker.guid, app) || ask.rekey.final_seq != number {
            return Err(AskRefused::NotTheOwner);
        }
        if number <= sides.peer_incarnation {
            return Err(AskRefused::NotNewer);
        }
        self.taken_at.retain(|at| now.since_ms(*at) < PERIOD_MS);
        if self.taken_at.len() >= MOST_RESYNCS {
            return Err(AskRefused::TooMany);
        }
        let key = lifeline.agreement_key(number);
        let (rekey, next) = rekey::answer(rng, &key, &ask.rekey, asker.signing, (0, number), signer)?;
        let answer = ResyncAnswer { incarnation: number, rekey };
        self.taken_at.push(now);
        self.last = Some((ask.clone(), answer.clone()));
        let sides = Sides { peer_incarnation: number, ..sides };
        Ok(Answered::New(Box::new(channel(&sides, next)), answer))
    }
}

fn channel(sides: &Sides, next: NextEpoch) -> Channel {
    Channel::new(Keys {
        key_id: id_of(&next.epoch_key),
        own: sides.own,
        peer: sides.peer,
        own_incarnation: sides.own_incarnation,
        peer_incarnation: sides.peer_incarnation,
        epoch_key: next.epoch_key,
        own_kem: next.own_kem,
        peer_kem: next.peer_kem.typed(),
    })
}

/// Seals a half of the keys for the long-lived key of the peer's key record.
///
/// # Errors
/// [`ChannelError`].
pub fn seal(
    (now, rng): (Timestamp, &mut dyn CryptoRng),
    (lifeline, sides, recipient): (&Lifeline, &Sides, &TypedKey),
    (subject, event_id): (&Subject, EventId),
    message: &Resync,
) -> Result<Vec<u8>, ChannelError> {
    let content =
        Content { body: message, to_incarnation: sides.peer_incarnation, in_reply_to: None, expires_at: None };
    let plaintext = json::canonical(&content)?;
    let recipient = KemPublicKey::from_typed(recipient)?;
    let subject = subject.to_string();
    let binding = Binding { subject: &subject, sender: &sides.own, recipient: &sides.peer };
    let outgoing = Outgoing {
        event_id,
        event_type: ConnectionResync::ROW.event_type(),
        timestamp: now,
        connection_key_id: Some(lifeline.key_id()),
        incarnation: sides.own_incarnation,
        epoch: 0,
        sequence: 1,
    };
    let envelope = envelope::seal(rng, &recipient, &lifeline.envelope_key(), &binding, outgoing, &plaintext)?;
    Ok(serde_json::to_vec(&envelope).map_err(JsonError::Shape)?)
}

/// Opens what [`seal`] made on the other side; gives it with the incarnation of its sender. Whether it was seen before is decided
/// by what lies inside.
///
/// # Errors
/// [`Undecryptable`], whatever is wrong.
pub fn open(
    (lifeline, sides, own_kem): (&Lifeline, &Sides, &KemSecretKey),
    subject: &Subject,
    envelope: &Envelope,
) -> Result<(Resync, u64), Undecryptable> {
    let encryption = &envelope.encryption;
    let is_addressed = encryption.connection_key_id == Some(lifeline.key_id())
        && encryption.key_id == own_kem.public_key().key_id()
        && (encryption.epoch, envelope.sequence) == (0, 1);
    if !is_addressed {
        return Err(Undecryptable);
    }
    let subject = subject.to_string();
    let binding = Binding { subject: &subject, sender: &sides.peer, recipient: &sides.own };
    let plaintext = envelope::open(own_kem, &lifeline.envelope_key(), &binding, envelope)?;
    let content = Content::<Value>::read(plaintext.expose()).map_err(|_| Undecryptable)?;
    let message = json::from_value(content.body).map_err(|_| Undecryptable)?;
    Ok((message, encryption.incarnation))
}

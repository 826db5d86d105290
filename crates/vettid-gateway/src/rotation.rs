//! Epoch rotation of a connection on the service's side (spec 2.5): the same step as in a vault, signed by the service. Pure; what
//! is to be sent stands in the outbox and may leave only after the commit.

use crate::connection::{Live, Post, Route};
use crate::handshake::GIVE_UP_AFTER_MS;
use rand_core::CryptoRng;
use serde_json::Value;
use vettid_core::channel::{ChannelError, RotationRefused};
use vettid_crypto::identity::SigningKey;
use vettid_wire::base64::Base64;
use vettid_wire::envelope::{Content, Envelope};
use vettid_wire::event::{EventRow as _, ServiceRekey};
use vettid_wire::handshake::RekeyMessage;
use vettid_wire::id::{EventId, ServiceId};
use vettid_wire::json::{self, JsonError};
use vettid_wire::subject::Subject;
use vettid_wire::time::Timestamp;

/// A step of a rotation could not be taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RotationFailed {
    /// It does not count; nothing changed.
    #[error(transparent)]
    Refused(#[from] RotationRefused),
    /// It has no form that can be read or written.
    #[error("the message has no form that can be read or written")]
    Form(#[from] JsonError),
    /// It cannot be sealed.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// There are no keys, or the member's key is not one.
    #[error("the connection has no keys")]
    NoKeys,
}

/// Who rotates.
#[derive(Clone, Copy)]
pub(crate) struct Own<'a> {
    /// The service.
    pub service_id: &'a ServiceId,
    /// Signs for it.
    pub signing: &'a SigningKey,
}

/// Takes a message of the member's. What it leads to stands in the outbox.
///
/// # Errors
/// [`RotationFailed`].
pub(crate) fn receive(
    now: Timestamp,
    rng: &mut dyn CryptoRng,
    own: Own<'_>,
    live: &mut Live,
    body: Value,
) -> Result<(), RotationFailed> {
    let message: RekeyMessage = json::from_value(body)?;
    let peer = live.record.member.signing().map_err(|_| RotationFailed::NoKeys)?;
    let channel = live.channel.as_mut().ok_or(RotationFailed::NoKeys)?;
    let answer = channel.take_rekey(now, rng, &message, own.signing, &peer)?;
    answer.map_or(Ok(()), |answer| tell(now, rng, own, live, &answer))
}

/// After an event of the member's, and from time to time: tells where an epoch ended, closes those that are over, and begins a
/// rotation that is due. `true` if the connection has to be stored.
///
/// # Errors
/// [`RotationFailed`].
pub(crate) fn keep_up(
    now: Timestamp,
    rng: &mut dyn CryptoRng,
    own: Own<'_>,
    live: &mut Live,
) -> Result<bool, RotationFailed> {
    if !live.record.is_active() {
        return Ok(false);
    }
    let Some(channel) = live.channel.as_mut() else {
        return Ok(false);
    };
    let mut changed = channel.pass_time(now);
    if channel.owes_switch() {
        let open = open_in(&live.record.outbox, channel.epoch().saturating_sub(1));
        if let Some(switch) = channel.switch(open) {
            tell(now, rng, own, live, &switch)?;
            changed = true;
        }
    }
    let Some(channel) = live.channel.as_mut().filter(|channel| channel.rotation_is_due(now)) else {
        return Ok(changed);
    };
    let offer = channel.offer_rotation(rng, own.signing)?;
    tell(now, rng, own, live, &offer)?;
    Ok(true)
}

fn tell(
    now: Timestamp,
    rng: &mut dyn CryptoRng,
    own: Own<'_>,
    live: &mut Live,
    message: &RekeyMessage,
) -> Result<(), RotationFailed> {
    let channel = live.channel.as_mut().ok_or(RotationFailed::NoKeys)?;
    let mut random = [0; 10];
    rng.fill_bytes(&mut random);
    let (event_id, event_type) = (EventId::v7(now, random), ServiceRekey::ROW.event_type());
    let subject = Subject::FromService(live.record.member.guid, own.service_id.clone(), event_type.clone());
    let to_incarnation = channel.peer_incarnation();
    let content = Content { body: message, to_incarnation, in_reply_to: None, expires_at: None };
    let bytes = channel.seal(now, rng, &subject, event_id, &event_type, &content)?;
    live.record.outbox.push(Post {
        message: event_id,
        route: Route::Service,
        subject,
        bytes: Base64::new(bytes),
        give_up_at: now.plus_ms(GIVE_UP_AFTER_MS),
    });
    Ok(())
}

/// The sequences of an epoch that still lie in the outbox.
fn open_in(outbox: &[Post], epoch: u64) -> Vec<u64> {
    let sealed = outbox.iter().filter(|post| post.route == Route::Service);
    let sealed = sealed.filter_map(|post| Envelope::read(post.bytes.as_bytes()).ok());
    sealed.filter(|sealed| sealed.encryption.epoch == epoch).map(|sealed| sealed.sequence).collect()
}

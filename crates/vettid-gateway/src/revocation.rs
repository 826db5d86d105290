//! The end of a connection: notices of members, and the service's own (spec 2.5.4). Pure. After the end there are no keys;
//! what still leaves is one sealed notice.

use crate::connection::{Live, Post, Route};
use crate::handshake::GIVE_UP_AFTER_MS;
use rand_core::CryptoRng;
use serde_json::Value;
use vettid_core::channel::ChannelError;
use vettid_crypto::identity::SigningKey;
use vettid_crypto::signature::{Context, SignatureError, open, sign_object};
use vettid_wire::base64::Base64;
use vettid_wire::connection::{ConnectionState, RevocationNotice, RevocationReason, RevokedBy, Tombstone};
use vettid_wire::envelope::Content;
use vettid_wire::event::{EventRow as _, ServiceRevoked};
use vettid_wire::id::{EventId, ServiceId};
use vettid_wire::json::{self, JsonError};
use vettid_wire::subject::Subject;
use vettid_wire::time::Timestamp;

const KIND: &str = "connection_revocation";

/// A notice that is not the member's for this connection. Nothing changes then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid notice of revocation")]
pub(crate) struct InvalidNotice;

/// The service's own notice could not be made. The connection is as it was.
#[derive(Debug, thiserror::Error)]
pub enum NoticeFailed {
    /// It cannot be signed.
    #[error("the notice cannot be signed")]
    Sign(#[from] SignatureError),
    /// It has no canonical form.
    #[error("the notice has no canonical form")]
    Form(#[from] JsonError),
    /// It cannot be sealed.
    #[error(transparent)]
    Channel(#[from] ChannelError),
}

/// Takes a member's notice: the connection is over at once.
///
/// # Errors
/// [`InvalidNotice`].
pub(crate) fn receive(live: &mut Live, notice: Value) -> Result<(), InvalidNotice> {
    let key = live.record.member.signing().map_err(|_| InvalidNotice)?;
    let notice = open::<RevocationNotice>(Context::Revocation, &key, notice).map_err(|_| InvalidNotice)?.into_inner();
    if notice.kind != KIND || notice.connection_id != live.record.connection_id {
        return Err(InvalidNotice);
    }
    bury(live, notice.revoked_at, RevokedBy::Peer, notice.reason);
    live.record.member.forget_credential();
    Ok(())
}

/// Ends the connection on this side. The notice stands in the outbox; the credential stays until it is delivered.
///
/// # Errors
/// [`NoticeFailed`].
pub(crate) fn revoke(
    now: Timestamp,
    rng: &mut dyn CryptoRng,
    service_id: &ServiceId,
    signing: &SigningKey,
    live: &mut Live,
    reason: RevocationReason,
) -> Result<(), NoticeFailed> {
    let post = notice(now, rng, service_id, signing, live, reason)?;
    bury(live, now, RevokedBy::Owner, reason);
    match post {
        Some(post) => live.record.outbox.push(post),
        None => live.record.member.forget_credential(),
    }
    Ok(())
}

fn notice(
    now: Timestamp,
    rng: &mut dyn CryptoRng,
    service_id: &ServiceId,
    signing: &SigningKey,
    live: &mut Live,
    reason: RevocationReason,
) -> Result<Option<Post>, NoticeFailed> {
    let Some(channel) = &mut live.channel else {
        return Ok(None);
    };
    let mut random = [0; 10];
    rng.fill_bytes(&mut random);
    let event_id = EventId::v7(now, random);
    let unsigned = RevocationNotice {
        kind: KIND.to_owned(),
        notice_id: event_id,
        connection_id: live.record.connection_id,
        revoked_at: now,
        reason,
        key_id: signing.key_id(),
        signature: Base64::default(),
    };
    let body: RevocationNotice = json::from_value(sign_object(Context::Revocation, signing, &unsigned)?)?;
    let event_type = ServiceRevoked::ROW.event_type();
    let subject = Subject::FromService(live.record.member.guid, service_id.clone(), event_type.clone());
    let to_incarnation = channel.peer_incarnation();
    let content = Content { body, to_incarnation, in_reply_to: None, expires_at: None };
    let bytes = channel.seal(now, rng, &subject, event_id, &event_type, &content)?;
    let give_up_at = now.plus_ms(GIVE_UP_AFTER_MS);
    Ok(Some(Post { message: event_id, route: Route::Service, subject, bytes: Base64::new(bytes), give_up_at }))
}

fn bury(live: &mut Live, revoked_at: Timestamp, revoked_by: RevokedBy, reason: RevocationReason) {
    let tombstone = Tombstone {
        connection_id: live.record.connection_id,
        guid: live.record.member.guid,
        display_name: live.record.member.display_name.clone(),
        revoked_at,
        revoked_by,
        reason: Some(reason),
    };
    live.end(ConnectionState::Revoked, Some(tombstone));
}

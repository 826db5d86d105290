//! What a connection knows of both profiles: the newest one of the member, as far as the member shows it to this service, and what the member was told of
//! the service (docs/decisions/0182). Pure. An earlier or forged profile never takes the place of a newer one.

use crate::connection::{Live, Post, Route};
use crate::handshake::{GIVE_UP_AFTER_MS, HandshakeFailed, Own};
use crate::profile;
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use vettid_core::channel::body_hash;
use vettid_crypto::profile::{ProfileError, VerifiedProfile, verify};
use vettid_wire::base64::{Base64, Base64Url};
use vettid_wire::envelope::Content;
use vettid_wire::event::{EventRow as _, ServiceProfileChanged};
use vettid_wire::id::EventId;
use vettid_wire::json::{self, JsonError};
use vettid_wire::profile::{ProfileChanged, SignedProfile};
use vettid_wire::subject::Subject;
use vettid_wire::time::Timestamp;

/// A profile is sent anew when it is valid for less than this, in milliseconds (10 of its 30 days).
const RENEW_BEFORE_MS: i64 = 10 * 24 * 3600 * 1000;

/// What a member was told last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    /// Of everything that it says, without sequence, times and signature; nor the contract, whose versions are offered on their own.
    content: Base64Url,
    sequence: u64,
    valid_until: Timestamp,
}

impl Told {
    /// By this profile.
    pub(crate) fn by(profile: &SignedProfile) -> Result<Self, JsonError> {
        let service = profile.service.as_ref().map(|service| (&service.service_id, &service.origins));
        let content =
            body_hash(&(&profile.public, service, &profile.event_types, &profile.supported, &profile.key_record))?;
        Ok(Self { content, sequence: profile.sequence, valid_until: profile.valid_until })
    }
}

/// The member's profile as this connection knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    /// The newest one, checked when it came.
    pub profile: SignedProfile,
    /// An earlier or expired one came after it: it may not be what the member says today.
    pub is_stale: bool,
}

/// Takes a profile of the member's. `false` if it does not count; whatever it is then, nothing of what is known is lost.
pub(crate) fn receive(now: Timestamp, live: &mut Live, body: Value) -> bool {
    let Ok(ProfileChanged { profile }) = json::from_value::<ProfileChanged>(body) else {
        return false;
    };
    let verified = match verify(profile, now) {
        Ok(verified) => verified,
        Err(ProfileError::Stale) => return mark_stale(live),
        Err(_) => return false,
    };
    let member = &mut live.record.member;
    if !(verified.get().guid == member.guid
        && verified.fingerprint() == member.fingerprint
        && verified.get().service.is_none())
    {
        return false;
    }
    if let Some(known) = &member.profile {
        if verified.get().sequence == known.profile.sequence {
            return true;
        }
        if !verified.replaces(&known.profile) {
            return mark_stale(live);
        }
        if !verified.follows(&known.profile.key_record) {
            return false;
        }
    }
    take(live, verified);
    true
}

fn mark_stale(live: &mut Live) -> bool {
    live.record.member.profile.iter_mut().for_each(|known| known.is_stale = true);
    true
}

fn take(live: &mut Live, verified: VerifiedProfile) {
    let member = &mut live.record.member;
    member.signing_key = verified.key_record().signing().typed();
    member.display_name = verified.get().public.first_name.chars().filter(|c| !c.is_control()).take(60).collect();
    member.profile = Some(Known { profile: verified.get().clone(), is_stale: false });
}

/// Tells the member what changed of the service, or what is about to run out. `true` if the connection has to be stored.
///
/// # Errors
/// [`HandshakeFailed`].
pub(crate) fn tell(
    now: Timestamp,
    rng: &mut dyn CryptoRng,
    own: Own<'_>,
    live: &mut Live,
) -> Result<bool, HandshakeFailed> {
    let is_known = live.record.told.as_ref().is_some_and(|told| told.sequence >= own.profile_sequence);
    if !live.record.is_active() || is_known {
        return Ok(false);
    }
    let contract = &own.contracts.newest().contract;
    let profile = profile::signed(now, own.identity, own.presentation, contract, own.profile_sequence)?;
    let next = Told::by(&profile)?;
    if let Some(told) = live.record.told.as_mut()
        && told.content == next.content
        && told.valid_until.plus_ms(-RENEW_BEFORE_MS) > now
    {
        // Looked at once for each number; after a start it is looked at again.
        told.sequence = next.sequence;
        return Ok(false);
    }
    let Some(channel) = live.channel.as_mut() else {
        return Ok(false);
    };
    let mut random = [0; 10];
    rng.fill_bytes(&mut random);
    let (event_id, event_type) = (EventId::v7(now, random), ServiceProfileChanged::ROW.event_type());
    let service_id = own.presentation.service_id.clone();
    let subject = Subject::FromService(live.record.member.guid, service_id, event_type.clone());
    let to_incarnation = channel.peer_incarnation();
    let content = Content { body: ProfileChanged { profile }, to_incarnation, in_reply_to: None, expires_at: None };
    let bytes = Base64::new(channel.seal(now, rng, &subject, event_id, &event_type, &content)?);
    let give_up_at = now.plus_ms(GIVE_UP_AFTER_MS);
    live.record.outbox.push(Post { message: event_id, route: Route::Service, subject, bytes, give_up_at });
    live.record.told = Some(next);
    Ok(true)
}

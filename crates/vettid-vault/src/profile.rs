//! The member's profile: the public part as the owner set it, signed and published as last value.

use crate::outbox::Route;
use crate::projection::{Draft, UnreadableState};
use crate::send;
use crate::step::Step;
use serde::{Deserialize, Serialize};
use vettid_crypto::signature::{Context, SignatureError, sign_object};
use vettid_wire::base64::Base64;
use vettid_wire::event::Delivery;
use vettid_wire::id::EventId;
use vettid_wire::json::{self, JsonError};
use vettid_wire::profile::{MAX_LIFE_MS, ProfileView, PublicProfile, SignedProfile};
use vettid_wire::subject::Subject;

const KEY: &str = "profile";

#[derive(Debug, Serialize, Deserialize)]
struct Published {
    public: PublicProfile,
    sequence: u64,
}

/// The profile could not be signed or stored.
#[derive(Debug, thiserror::Error)]
pub enum ProfileFailed {
    /// The stored profile cannot be read.
    #[error(transparent)]
    Unreadable(#[from] UnreadableState),
    /// It cannot be signed.
    #[error("the profile cannot be signed")]
    Sign(#[from] SignatureError),
    /// It has no canonical form.
    #[error("the profile has no canonical form")]
    Form(#[from] JsonError),
}

/// The owner's view.
pub fn view(draft: &Draft<'_>) -> Result<ProfileView, UnreadableState> {
    let published: Option<Published> = draft.get(KEY)?;
    Ok(published.map_or(ProfileView { public: None, sequence: 0 }, |p| ProfileView {
        public: Some(p.public),
        sequence: p.sequence,
    }))
}

/// Stores the public part under the next sequence and publishes it after the commit.
pub fn publish(step: &mut Step<'_>, public: PublicProfile) -> Result<u64, ProfileFailed> {
    let sequence = view(&step.draft)?.sequence + 1;
    step.draft.put(KEY.into(), &Published { public, sequence })?;
    let bytes = json::canonical(&signed(step)?)?;
    let event_id = EventId::v7(step.now, step.random());
    let subject = Subject::OwnerProfile(step.identity.guid);
    let post = send::post(step, Route::Host, subject, event_id, Delivery::Durable, bytes);
    step.post(post)?;
    Ok(sequence)
}

/// The signed profile as connections get it: valid for thirty days from now.
pub fn signed(step: &Step<'_>) -> Result<SignedProfile, ProfileFailed> {
    let view = view(&step.draft)?;
    let profile = SignedProfile {
        profile_version: "1.0".into(),
        guid: step.identity.guid,
        public_key: step.identity.signing_key().verifying_key().typed(),
        key_record: step.identity.key_record.record().clone(),
        public: view.public.unwrap_or_default(),
        service: None,
        event_types: step.handlers.event_types().iter().map(ToString::to_string).collect(),
        sequence: view.sequence,
        updated_at: step.now,
        valid_until: step.now.plus_ms(MAX_LIFE_MS),
        key_id: step.identity.signing_key().key_id(),
        signature: Base64::default(),
    };
    Ok(json::from_value(sign_object(Context::Profile, step.identity.signing_key(), &profile)?)?)
}

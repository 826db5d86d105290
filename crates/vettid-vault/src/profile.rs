//! The member's profile: the public part as the owner set it, signed and published as last value; items that only some see;
//! and what each connection was told last. Nothing is in a profile that its receiver is not meant to see.

use crate::app;
use crate::outbox::Route;
use crate::projection::{Draft, UnreadableState};
use crate::send;
use crate::step::Step;
use crate::upkeep;
use serde::{Deserialize, Serialize};
use vettid_crypto::signature::{Context, SignatureError, sign_object};
use vettid_handler::handlers::Handlers;
use vettid_handler::manifest::LINKED_VERSION;
use vettid_wire::base64::Base64;
use vettid_wire::event::{Delivery, Lane};
use vettid_wire::id::{ConnectionId, EventId};
use vettid_wire::json::{self, JsonError};
use vettid_wire::profile::{MAX_LIFE_MS, ProfileView, PublicProfile, SignedProfile, SupportedEvent};
use vettid_wire::subject::Subject;
use vettid_wire::time::Timestamp;

pub mod items;
pub mod sync;

const KEY: &str = "profile";

#[derive(Debug, Serialize, Deserialize)]
struct Published {
    public: PublicProfile,
    sequence: u64,
    /// Until when the published one is valid.
    #[serde(default)]
    valid_until: Option<Timestamp>,
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
    let valid_until = Some(step.now.plus_ms(MAX_LIFE_MS));
    step.draft.put(KEY.into(), &Published { public, sequence, valid_until })?;
    let bytes = json::canonical(&signed(step, None)?)?;
    let event_id = EventId::v7(step.now, step.random());
    let subject = Subject::OwnerProfile(step.identity.guid);
    let post = send::post(step, Route::Host, subject, event_id, Delivery::Durable, bytes);
    step.post(post)?;
    upkeep::look_soon(&mut step.draft);
    Ok(sequence)
}

/// Until when the published profile is valid; nothing before there is one.
fn valid_until(draft: &Draft<'_>) -> Result<Option<Timestamp>, UnreadableState> {
    let published: Option<Published> = draft.get(KEY)?;
    // One that was stored without its end is published anew.
    Ok(published.map(|published| published.valid_until.unwrap_or(Timestamp::from_unix_ms(0))))
}

/// Publishes what there is under the next sequence.
fn publish_again(step: &mut Step<'_>) -> Result<u64, ProfileFailed> {
    let public = view(&step.draft)?.public.unwrap_or_default();
    publish(step, public)
}

/// The signed profile as one connection gets it, or as it is published: valid for thirty days from now.
pub fn signed(step: &Step<'_>, receiver: Option<ConnectionId>) -> Result<SignedProfile, ProfileFailed> {
    let profile = unsigned(step, receiver)?;
    Ok(json::from_value(sign_object(Context::Profile, step.identity.signing_key(), &profile)?)?)
}

fn unsigned(step: &Step<'_>, receiver: Option<ConnectionId>) -> Result<SignedProfile, ProfileFailed> {
    let view = view(&step.draft)?;
    Ok(SignedProfile {
        profile_version: "1.0".into(),
        guid: step.identity.guid,
        public_key: step.identity.signing_key().verifying_key().typed(),
        key_record: step.identity.key_record.record().clone(),
        restore_key: app::get(&step.draft)?.map(|app| app.identity_key),
        public: view.public.unwrap_or_default(),
        service: None,
        items: items::shown_to(&step.draft, receiver)?,
        event_types: step.handlers.event_types().iter().map(ToString::to_string).collect(),
        supported: supported(step.handlers),
        sequence: view.sequence,
        updated_at: step.now,
        valid_until: step.now.plus_ms(MAX_LIFE_MS),
        key_id: step.identity.signing_key().key_id(),
        signature: Base64::default(),
    })
}

/// What others may send, with the handler that takes it and what its manifest lets it do.
fn supported(handlers: &Handlers) -> Vec<SupportedEvent> {
    let from_others = |lane: &Lane| matches!(lane, Lane::Connection | Lane::Service);
    let rows = handlers.rows().filter(|(lane, ..)| from_others(lane));
    rows.map(|(_, event_type, registered)| SupportedEvent {
        event_type: event_type.to_string(),
        handler: registered.manifest().name.to_string(),
        version: LINKED_VERSION.to_owned(),
        permissions: registered.manifest().host_calls.iter().map(ToString::to_string).collect(),
    })
    .collect()
}

//! The owner's profile: shown, checked and handed to the vault, which signs and publishes it. Keeps nothing itself.

use crate::shown::is_line;
use vettid_handler::event::Context;
use vettid_handler::feed::FeedNote;
use vettid_handler::handler::Outcome;
use vettid_handler::handlers::HandlersBuilder;
use vettid_handler::host::Host;
use vettid_handler::manifest::{FieldScope, HostCall, Manifest};
use vettid_handler::reply::HandlerError;
use vettid_wire::data::is_field_name;
use vettid_wire::event::{Nothing, ProfileGet, ProfileUpdate as Update};
use vettid_wire::feed::{Outcome as FeedOutcome, Severity};
use vettid_wire::profile::{ProfileUpdate, ProfileView, PublicProfile};
use vettid_wire::refusal::RefusalCode;

/// What the handler may do.
pub const MANIFEST: Manifest = Manifest::linked("profile", &[HostCall::Profile, HostCall::Feed], &[], FieldScope::NONE);

/// Longest first name in bytes.
pub const MAX_FIRST_NAME_BYTES: usize = 100;
/// Most further entries.
pub const MAX_ENTRIES: usize = 20;
/// Longest value of a further entry, in bytes.
pub const MAX_ENTRY_BYTES: usize = 300;

/// Adds the handlers of this file.
#[must_use]
pub fn add(handlers: HandlersBuilder) -> HandlersBuilder {
    handlers.on::<ProfileGet>(&MANIFEST, get).on::<Update>(&MANIFEST, update)
}

/// `profile.get`: the profile as it is published.
pub fn get(host: &mut dyn Host, _: &Context, _: Nothing) -> Result<Outcome<ProfileView>, HandlerError> {
    Ok(Outcome::Reply(host.profile()?))
}

/// `profile.update`: publishes a new public part under the next sequence.
pub fn update(host: &mut dyn Host, _: &Context, request: ProfileUpdate) -> Result<Outcome<ProfileView>, HandlerError> {
    let public = request.public;
    check(&public)?;
    let sequence = host.publish_profile(&public)?;
    host.feed(&FeedNote {
        severity: Severity::Info,
        outcome: FeedOutcome::Done,
        summary: "You published a new version of your profile".to_owned(),
        request_id: None,
    })?;
    Ok(Outcome::Reply(ProfileView { public: Some(public), sequence }))
}

fn check(public: &PublicProfile) -> Result<(), RefusalCode> {
    let is_entry = |(name, value): (&String, &String)| is_field_name(name) && is_line(value, MAX_ENTRY_BYTES);
    let fits = is_line(&public.first_name, MAX_FIRST_NAME_BYTES) && public.more.len() <= MAX_ENTRIES;
    if fits && public.more.iter().all(is_entry) { Ok(()) } else { Err(RefusalCode::InvalidRequest) }
}

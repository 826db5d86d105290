//! Messages between connected members. A message is stored once, whatever the network repeats or reorders, and its sender
//! learns how far it came. Texts never go into the feed or the log.

mod conversation;
mod disappear;
mod reaction;
mod receipts;
mod recovery;
mod settings;
mod text;
mod tidy;

use std::borrow::Cow;
use vettid_handler::event::{Context, Peer};
use vettid_handler::handlers::HandlersBuilder;
use vettid_handler::manifest::{FieldScope, HostCall, Manifest};
use vettid_handler::reply::{Fault, HandlerError};
use vettid_wire::event::{
    EventRow, MessagingDisappear, MessagingExport, MessagingGet, MessagingList, MessagingReact, MessagingReaction,
    MessagingRead, MessagingReceipt, MessagingRecover, MessagingRemove, MessagingResume, MessagingResumed,
    MessagingReturned, MessagingSeen, MessagingSend, MessagingSettings, MessagingText, MessagingTidy,
};
use vettid_wire::json;
use vettid_wire::refusal::RefusalCode;

pub use text::MAX_MESSAGE_BYTES;

/// What the handlers may do.
pub const MANIFEST: Manifest = Manifest::linked(
    "messaging",
    &[HostCall::Store, HostCall::Send, HostCall::Feed],
    &[
        Cow::Borrowed(MessagingText::ROW.name),
        Cow::Borrowed(MessagingReceipt::ROW.name),
        Cow::Borrowed(MessagingSeen::ROW.name),
        Cow::Borrowed(MessagingReaction::ROW.name),
        Cow::Borrowed(MessagingDisappear::ROW.name),
        Cow::Borrowed(MessagingResume::ROW.name),
        Cow::Borrowed(MessagingResumed::ROW.name),
        Cow::Borrowed(MessagingReturned::ROW.name),
    ],
    FieldScope::NONE,
);

/// Adds the handlers of this noun.
#[must_use]
pub fn add(handlers: HandlersBuilder) -> HandlersBuilder {
    handlers
        .on::<MessagingSend>(&MANIFEST, text::send)
        .on::<MessagingList>(&MANIFEST, conversation::list)
        .on::<MessagingGet>(&MANIFEST, conversation::get)
        .on::<MessagingExport>(&MANIFEST, conversation::export)
        .on::<MessagingRead>(&MANIFEST, receipts::read)
        .on::<MessagingSettings>(&MANIFEST, settings::settings)
        .on::<MessagingRemove>(&MANIFEST, disappear::remove)
        .on::<MessagingTidy>(&MANIFEST, tidy::tidy)
        .on::<MessagingText>(&MANIFEST, text::text)
        .on::<MessagingReceipt>(&MANIFEST, receipts::receipt)
        .on::<MessagingSeen>(&MANIFEST, receipts::seen)
        .on::<MessagingDisappear>(&MANIFEST, settings::disappear)
        .on::<MessagingReact>(&MANIFEST, reaction::react)
        .on::<MessagingReaction>(&MANIFEST, reaction::reaction)
        .on::<MessagingRecover>(&MANIFEST, recovery::recover)
        .on::<MessagingResume>(&MANIFEST, recovery::resume)
        .on::<MessagingResumed>(&MANIFEST, recovery::resumed)
        .on::<MessagingReturned>(&MANIFEST, recovery::returned)
}

/// Messages come from members, not from services.
fn member(context: &Context) -> Result<&Peer, RefusalCode> {
    context.peer.as_ref().filter(|peer| peer.service.is_none()).ok_or(RefusalCode::NotAllowed)
}

fn encode(value: &impl serde::Serialize) -> Result<Vec<u8>, HandlerError> {
    json::canonical(value).map_err(|_| HandlerError::Fault(Fault::Reply))
}

fn damaged() -> HandlerError {
    HandlerError::Retry("the store of messages is damaged".to_owned())
}

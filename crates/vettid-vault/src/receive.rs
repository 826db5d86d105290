//! Where an event goes: the lane follows from the subject alone.

use crate::failure::Failure;
use crate::manager::Event;
use crate::pause::{Pause, Sender};
use crate::step::Step;
use crate::{
    bootstrap, credential, establish, expiry, file, lock, outbox, owner, peer, quarantine, restore, revocation, send,
    signing_keys,
};
use vettid_wire::envelope::Envelope;
use vettid_wire::event::{self, FeedItem, Lane};
use vettid_wire::feed::FeedEntry;
use vettid_wire::subject::Subject;

/// A vault that was put back takes nothing before its owner's word: what others sent comes again after so many milliseconds.
const UNTIL_RESTORED_MS: i64 = 60_000;

/// Takes up one event.
pub fn one(step: &mut Step<'_>, event: &Event) -> Result<(), Failure> {
    match event {
        Event::Message { subject, bytes } => message(step, subject, bytes),
        Event::Tick => expiry::tick(step),
        Event::Sent(numbers) => {
            numbers.iter().for_each(|number| outbox::done(&mut step.draft, *number));
            Ok(())
        }
        Event::Quarantine { subject, bytes } => quarantine::keep(step, subject, bytes),
        Event::Compare(op_id) => credential::operation::compare(step, *op_id),
        Event::Lock(news) => lock::news(step, *news),
        Event::Pieces(done) => file::done(step, done),
        Event::Told(entries) => tell_app(step, entries),
        Event::CutOff(user_nkey) => {
            revocation::was_cut_off(&mut step.draft, user_nkey);
            Ok(())
        }
        Event::SigningKeysRotated(done) => signing_keys::confirmed(step, *done),
    }
}

/// Pushes new entries of the feed to the app.
pub fn tell_app(step: &mut Step<'_>, entries: &[FeedEntry]) -> Result<(), Failure> {
    entries.iter().try_for_each(|entry| send::push::<FeedItem>(step, entry))
}

fn message(step: &mut Step<'_>, subject: &Subject, bytes: &[u8]) -> Result<(), Failure> {
    if subject.member() != Some(step.identity.guid) {
        step.dropped += 1;
        return Ok(());
    }
    if quarantine::holds(&step.draft, bytes)? {
        return Ok(());
    }
    match subject {
        Subject::ForVault(_, event_type) if event::find(Lane::Bootstrap, event_type).is_some() => {
            bootstrap::receive(step, event_type, bytes)
        }
        Subject::Invite(..) | Subject::ForOwner(..) | Subject::Call(..) | Subject::FromService(..)
            if restore::is_pending(&step.draft) =>
        {
            Err(Failure::Wait(UNTIL_RESTORED_MS))
        }
        Subject::Invite(_, invite_id) => establish::receive(step, *invite_id, bytes),
        Subject::ForVault(..) => sealed(step, bytes, |step, envelope| owner::receive(step, subject, envelope)),
        Subject::ForOwner(..) | Subject::Call(..) => from_peer(step, Lane::Connection, subject, bytes),
        Subject::FromService(..) => from_peer(step, Lane::Service, subject, bytes),
        _ => {
            step.dropped += 1;
            Ok(())
        }
    }
}

/// Whoever sends too much that does not open has to wait; nothing of it is opened meanwhile.
fn from_peer(step: &mut Step<'_>, lane: Lane, subject: &Subject, bytes: &[u8]) -> Result<(), Failure> {
    let sender = Sender::on(subject);
    match sender.as_ref().map_or(Pause::None, |sender| step.pauses.ask(sender, step.now)) {
        Pause::None => {}
        Pause::Wait(wait_ms) => return Err(Failure::Wait(wait_ms)),
        Pause::Drop => {
            step.dropped += 1;
            return Ok(());
        }
    }
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let opened = match Envelope::read(bytes) {
        Ok(envelope) => {
            let opened = peer::receive(step, lane, subject, &envelope, size)?;
            let Envelope { event_id, sequence, .. } = &envelope;
            tracing::debug!(%event_id, sequence, epoch = envelope.encryption.epoch, ?opened, "from a connection");
            opened
        }
        Err(_) => peer::Opened::No,
    };
    if opened != peer::Opened::Yes {
        step.dropped += 1;
    }
    if opened == peer::Opened::No {
        sender.into_iter().for_each(|sender| step.pauses.undecryptable(sender, step.now));
    }
    Ok(())
}

/// Reads an envelope; what is none is dropped without a word.
fn sealed(
    step: &mut Step<'_>,
    bytes: &[u8],
    then: impl FnOnce(&mut Step<'_>, &Envelope) -> Result<(), Failure>,
) -> Result<(), Failure> {
    match Envelope::read(bytes) {
        Ok(envelope) => then(step, &envelope),
        Err(_) => {
            step.dropped += 1;
            Ok(())
        }
    }
}

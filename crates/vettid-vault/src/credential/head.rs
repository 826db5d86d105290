//! Where the journal stands, for the app to remember and to show again (spec §3 R14). A vault that is shown more than it
//! knows was put back behind its app's knowing: it must never act with the credential then.

use crate::step::Step;
use vettid_wire::credential::JournalHead;
use vettid_wire::digest::Digest;

/// The last commit before this step.
pub(super) fn of(step: &Step<'_>) -> JournalHead {
    let hash = Digest::from_bytes(step.journal_hash);
    JournalHead { incarnation: step.identity.incarnation, sequence: step.journal_number, hash }
}

/// Whether the app saw a later commit than this vault has, or another one of the same number.
pub(super) fn went_back(step: &Step<'_>, seen: Option<&JournalHead>) -> bool {
    let own = of(step);
    seen.is_some_and(|seen| {
        let (theirs, ours) = ((seen.incarnation, seen.sequence), (own.incarnation, own.sequence));
        theirs > ours || theirs == ours && seen.hash != own.hash
    })
}

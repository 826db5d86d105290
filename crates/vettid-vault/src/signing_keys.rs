//! Rotation of the keys that sign the credentials of users in the vault's two broker accounts: made here, told to services, used once
//! services have confirmed that the broker knows them. No private half leaves, and nothing is signed by a key that the broker does not know.

use crate::failure::Failure;
use crate::identity::{self, VaultIdentity};
use crate::projection::{Draft, UnreadableState};
use crate::step::Step;
use crate::upkeep;
use vettid_wire::enrolment::SigningKeysRotated;
use vettid_wire::inventory::{RotateSigning, SigningKeysMade};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

/// They sign for this long, in milliseconds (90 days). What the keys before them signed is taken for as long again, and
/// nothing that they sign lives longer.
pub const LIFE_MS: i64 = 90 * 24 * 3600 * 1000;

/// When new keys are made by themselves.
#[must_use]
pub fn due_at(identity: &VaultIdentity) -> Timestamp {
    identity.signing_since().plus_ms(LIFE_MS)
}

/// What time asks of the signing keys. Gives when to look again.
pub fn pass_time(step: &mut Step<'_>) -> Result<Timestamp, Failure> {
    let due_at = due_at(step.identity);
    if due_at > step.now {
        return Ok(due_at);
    }
    if !step.identity.has_successors() {
        make(step, true)?;
    }
    Ok(step.now.plus_ms(LIFE_MS))
}

/// Owner's command: new keys now.
pub fn rotate(step: &mut Step<'_>, asked: &RotateSigning) -> Result<Result<SigningKeysMade, RefusalCode>, Failure> {
    let made = make(step, !asked.cuts_off)?;
    Ok(made.map(|since| SigningKeysMade { since }).ok_or(RefusalCode::Unavailable))
}

fn make(step: &mut Step<'_>, keeps_former: bool) -> Result<Option<Timestamp>, Failure> {
    let Some(mut identity) = stored(&step.draft)? else {
        return Ok(None);
    };
    let since = identity.make_successors(keeps_former, step.now, step.rng);
    step.draft.put(identity::KEY.into(), &identity)?;
    Ok(Some(since))
}

/// The identity with what this commit changes of it.
fn stored(draft: &Draft<'_>) -> Result<Option<VaultIdentity>, UnreadableState> {
    draft.get(identity::KEY)
}

/// Services have the keys: they sign from now on, and credentials under the former keys are replaced at once.
pub fn confirmed(step: &mut Step<'_>, confirmed: SigningKeysRotated) -> Result<(), Failure> {
    let Some(mut identity) = stored(&step.draft)? else {
        return Ok(());
    };
    if identity.succeed(confirmed, step.now) {
        step.draft.put(identity::KEY.into(), &identity)?;
        upkeep::look_soon(&mut step.draft);
    }
    Ok(())
}

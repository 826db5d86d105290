//! A new device in the place of the member's app (spec 2.11, decisions 0104 and 0124). Services open a recovery and the one
//! device that they name enrols beside the app, with no right but to prove the member's password by the recovered credential.
//! Must never let a word of services alone change who the app is, lift a hold, or lift a lock.

use crate::app::{self, App};
use crate::bootstrap;
use crate::channels::ChannelName;
use crate::connection::CutOff;
use crate::credential;
use crate::failure::Failure;
use crate::feed::Note;
use crate::projection::{Draft, UnreadableState};
use crate::revocation;
use crate::step::Step;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use vettid_core::credential::attempts::Unlock;
use vettid_core::recovery::{HELD_ACTIONS, HELD_EVENTS, Hold, OPEN_LIFE_MS};
use vettid_crypto::identity::VerifyingKey;
use vettid_crypto::signature::{self, Context};
use vettid_wire::audit::Outcome as AuditOutcome;
use vettid_wire::enrolment::EnrolmentCode;
use vettid_wire::event::{CredentialUse, EventRow};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::id::{DeviceId, EventId, Fingerprint, KeyId, SessionKeyId};
use vettid_wire::json as vjson;
use vettid_wire::key::TypedKey;
use vettid_wire::recovery::{
    DecideRecovery, DeviceReplaced, RecoverVault, RecoveryDecided, RecoveryHold, ReplaceDevice,
};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

const OPEN: &str = "recovery/open";
const HELD: &str = "recovery/hold";
/// Under this prefix stand the recoveries that there were: none is opened twice, so no word about one counts for another.
const SEEN: &str = "recovery/seen/";

/// A recovery that was opened and is not over.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    recovery_id: EventId,
    /// The one app that may enrol.
    expected: Fingerprint,
    /// Of its code.
    prekey: KeyId,
    opened_at: Timestamp,
    code_until: Timestamp,
    /// The old device said that it is the member's own.
    approved: bool,
    /// It ended a lock of the credential already.
    unlocked: bool,
    /// The new device, once it enrolled.
    candidate: Option<App>,
}

/// An app that was replaced: what is needed to hear it, and to let it in again.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Former {
    fingerprint: Fingerprint,
    identity_key: TypedKey,
    device: DeviceId,
}

/// What is of high value waits.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Held {
    hold: Hold,
    /// The device before the first of several recoveries in a row.
    former: Former,
}

/// The recovery under way.
pub fn open(draft: &Draft<'_>) -> Result<Option<Open>, UnreadableState> {
    draft.get(OPEN)
}

fn held(draft: &Draft<'_>) -> Result<Option<Held>, UnreadableState> {
    draft.get(HELD)
}

impl Open {
    /// The new device.
    #[must_use]
    pub fn candidate(&self) -> Option<&App> {
        self.candidate.as_ref()
    }

    /// The same, taken out.
    #[must_use]
    pub fn into_candidate(self) -> Option<App> {
        self.candidate
    }

    /// Whether it is this recovery, of this device, and the device has not come yet.
    fn waits_for(&self, asked: &RecoverVault, device: &VerifyingKey) -> bool {
        self.recovery_id == asked.recovery_id && self.expects(&device.fingerprint()) && self.candidate.is_none()
    }

    /// Whether this code is that of the recovery.
    #[must_use]
    pub fn has_code(&self, prekey: &KeyId) -> bool {
        self.prekey == *prekey
    }

    /// Whether this app may enrol by it.
    #[must_use]
    pub fn expects(&self, app: &Fingerprint) -> bool {
        self.expected == *app
    }
}

/// Services say that somebody brought the recovery phrase: makes the code for the one new device. As long as that device has
/// not come, it may get another code in place of the one before.
pub fn begin(step: &mut Step<'_>, asked: &RecoverVault) -> Result<EnrolmentCode, Failure> {
    let seen = format!("{SEEN}{}", asked.recovery_id);
    let Ok(key) = VerifyingKey::from_typed(&asked.app_key) else { return Err(Failure::Retry) };
    let app = app::get(&step.draft)?.ok_or(Failure::Retry)?;
    let before = open(&step.draft)?.filter(|open| open.waits_for(asked, &key));
    let is_due = before.is_some() || !step.draft.has(&seen);
    let usable = asked.enrol.guid == step.identity.guid && is_due && app.identity_key != asked.app_key;
    if !usable || !credential::exists(&step.draft) {
        return Err(Failure::Retry);
    }
    cancel(step)?;
    let (code, prekey) = bootstrap::make_code(step, &asked.enrol)?;
    let open = Open {
        recovery_id: asked.recovery_id,
        expected: key.fingerprint(),
        prekey,
        opened_at: step.now,
        code_until: asked.enrol.expires_at,
        approved: before.as_ref().is_some_and(|before| before.approved),
        unlocked: before.as_ref().is_some_and(|before| before.unlocked),
        candidate: None,
    };
    step.draft.put(seen, &step.now)?;
    step.draft.put(OPEN.into(), &open)?;
    let summary = "A new device brought your recovery phrase. If that is not you: vettid app recovery deny";
    told(step, ("control", open.recovery_id), Severity::Alarm, Outcome::Pending, summary)?;
    Ok(code)
}

/// The new device enrolled, or began another session; `false` if it has no place here.
pub fn join(step: &mut Step<'_>, candidate: App) -> Result<bool, Failure> {
    let Some(mut open) = open(&step.draft)?.filter(|open| open.expects(&candidate.fingerprint)) else {
        return Ok(false);
    };
    open.candidate = Some(candidate);
    step.draft.put(OPEN.into(), &open)?;
    Ok(true)
}

/// Whether this session is that of a device that recovers.
pub fn is_candidate(draft: &Draft<'_>, session: SessionKeyId) -> Result<bool, UnreadableState> {
    let open = open(draft)?;
    Ok(open.and_then(|open| open.candidate).is_some_and(|candidate| candidate.session == Some(session)))
}

/// The new device showed that it holds the recovered credential. If that is locked, the phrase ends the lock after a day, and
/// the word of the old device at once (spec 2.9).
pub fn end_lock(step: &mut Step<'_>) -> Result<(), Failure> {
    let Some(mut open) = open(&step.draft)? else { return Ok(()) };
    if open.unlocked || !credential::is_locked(step)? {
        return Ok(());
    }
    let by = if open.approved { Unlock::OldDevice } else { Unlock::RecoveryPhrase };
    credential::unlock(step, by)?;
    open.unlocked = true;
    step.draft.put(OPEN.into(), &open)?;
    let summary = match by {
        Unlock::OldDevice => "The lock of your credential ended by the word of your old device",
        Unlock::RecoveryPhrase => "The lock of your credential ends in 24 hours by your recovery phrase",
    };
    told(step, ("app", open.recovery_id), Severity::Alarm, Outcome::Done, summary)
}

/// Whether the new device may take the place of the app with these parameters; what its operation gives then.
pub fn admit(step: &Step<'_>, asked: &ReplaceDevice) -> Result<Result<DeviceReplaced, RefusalCode>, Failure> {
    let open = open(&step.draft)?.filter(|open| open.recovery_id == asked.recovery_id);
    let Some(open) = open else { return Ok(Err(RefusalCode::NotAllowed)) };
    if open.candidate().is_none_or(|candidate| candidate.identity_key != asked.app_key) {
        return Ok(Err(RefusalCode::NotAllowed));
    }
    let hold = Hold::begin(open.recovery_id, &step.clocks);
    Ok(Ok(DeviceReplaced { hold_until: (!open.approved).then(|| hold.until(&step.clocks)) }))
}

/// The password was right: the new device is the app, the old one is nobody, and what is of high value waits. All of it in
/// the commit of the operation.
pub fn replace(step: &mut Step<'_>) -> Result<(), Failure> {
    let Some(open) = open(&step.draft)? else { return Err(Failure::Retry) };
    let (Some(new), Some(old)) = (open.candidate, app::get(&step.draft)?) else { return Err(Failure::Retry) };
    let before = held(&step.draft)?.map(|held| held.former);
    let former =
        Former { fingerprint: old.fingerprint, identity_key: old.identity_key.clone(), device: old.device.clone() };
    cut(step, &old)?;
    bootstrap::forget_handshakes(step);
    step.desk.grants.lock();
    app::put(&mut step.draft, &new)?;
    if let Some(session) = new.session {
        app::lift_limit(&mut step.draft, session)?;
    }
    step.draft.remove(OPEN);
    if open.approved {
        step.draft.remove(HELD);
    } else {
        let hold = Hold::begin(open.recovery_id, &step.clocks);
        step.draft.put(HELD.into(), &Held { hold, former: before.unwrap_or(former) })?;
    }
    let summary = "A new device took the place of your old one, which is cut off";
    told(step, ("app", open.recovery_id), Severity::Alarm, Outcome::Done, summary)
}

/// What the old device said, as services handed it on. Its own signature counts, not that of services. About a recovery that is
/// over nothing is left to be said, so a repetition changes nothing.
pub fn decide(step: &mut Step<'_>, received: &Value) -> Result<RecoveryDecided, Failure> {
    let asked: DecideRecovery = vjson::from_value(received.clone())?;
    if asked.guid != step.identity.guid {
        return Err(Failure::Retry);
    }
    let (open, held) = (open(&step.draft)?, held(&step.draft)?);
    let of_before = held.as_ref().map(|held| held.former.identity_key.clone());
    let open = open.filter(|open| open.recovery_id == asked.recovery_id);
    let held = held.filter(|held| held.hold.recovery_id == asked.recovery_id);
    if open.is_some() || held.is_some() {
        let present = app::get(&step.draft)?.map(|app| app.identity_key);
        let heard = of_before.or(present).filter(|key| *key == asked.app_key).ok_or(Failure::Retry)?;
        let key = VerifyingKey::from_typed(&heard).map_err(|_| Failure::Retry)?;
        signature::verify(Context::ServiceRequest, &key, received)?;
    }
    match (open, held) {
        (Some(open), _) => of_open(step, open, asked.approve)?,
        (None, Some(held)) => of_held(step, held, asked.approve)?,
        (None, None) => {}
    }
    Ok(RecoveryDecided { recovery_id: asked.recovery_id, approve: asked.approve })
}

fn of_open(step: &mut Step<'_>, mut open: Open, approve: bool) -> Result<(), Failure> {
    if !approve {
        let summary = "Your old device denied the recovery; the new device is cut off";
        told(step, ("old_device", open.recovery_id), Severity::Alarm, Outcome::Denied, summary)?;
        return cancel(step);
    }
    if open.unlocked || credential::is_locked(step)? {
        credential::unlock(step, Unlock::OldDevice)?;
        open.unlocked = true;
    }
    open.approved = true;
    step.draft.put(OPEN.into(), &open)?;
    let summary = "Your old device approved the recovery";
    told(step, ("old_device", open.recovery_id), Severity::Notice, Outcome::Approved, summary)
}

fn of_held(step: &mut Step<'_>, held: Held, approve: bool) -> Result<(), Failure> {
    step.draft.remove(HELD);
    let recovery_id = held.hold.recovery_id;
    if approve {
        let summary = "Your old device approved the recovery; nothing is on hold any more";
        return told(step, ("old_device", recovery_id), Severity::Notice, Outcome::Approved, summary);
    }
    reinstate(step, held.former)?;
    let summary = "Your old device denied the recovery; the new device is cut off";
    told(step, ("old_device", recovery_id), Severity::Alarm, Outcome::Denied, summary)
}

/// The new device is nobody. The old one is the app again, with nothing of before: without the password it can do nothing,
/// and its credential is an old one, so it recovers in its turn. A vault without an app would take any.
fn reinstate(step: &mut Step<'_>, former: Former) -> Result<(), Failure> {
    if let Some(new) = app::get(&step.draft)? {
        cut(step, &new)?;
    }
    bootstrap::forget_handshakes(step);
    step.desk.clear();
    let Former { fingerprint, identity_key, device } = former;
    let app = App {
        session: None,
        resume: None,
        previous_resume: None,
        unproved_resume: None,
        user_nkey: None,
        fingerprint,
        identity_key,
        device,
    };
    Ok(app::put(&mut step.draft, &app)?)
}

/// Ends the recovery under way, and the new device's way in.
fn cancel(step: &mut Step<'_>) -> Result<(), Failure> {
    let Some(open) = open(&step.draft)? else { return Ok(()) };
    bootstrap::forget_code(step, &open.prekey);
    if let Some(candidate) = &open.candidate {
        cut(step, candidate)?;
    }
    step.draft.remove(OPEN);
    Ok(())
}

/// No session, no keys, no user at the broker.
fn cut(step: &mut Step<'_>, app: &App) -> Result<(), Failure> {
    if let Some(session) = app.session {
        app::forget_session(step, session);
        step.channels.wipe(&mut step.draft, ChannelName::Session(session));
    }
    let Some(user_nkey) = app.user_nkey.clone() else { return Ok(()) };
    let account_nkey = step.identity.owner_account()?.public().as_str().to_owned();
    let cut_off = CutOff { account_nkey, user_nkey, revoked_at: step.now };
    Ok(revocation::ask_to_cut_off(&mut step.draft, &cut_off)?)
}

/// Whether this action of the credential waits for the end of a hold.
pub fn holds_action(step: &Step<'_>, action: &str) -> Result<bool, UnreadableState> {
    Ok(HELD_ACTIONS.contains(&action) && hold(step)?.is_some())
}

/// Whether this command of the owner does.
pub fn holds_event(step: &Step<'_>, event_type: &str) -> Result<bool, UnreadableState> {
    Ok(HELD_EVENTS.contains(&event_type) && hold(step)?.is_some())
}

/// The hold, as the member sees it.
pub fn hold(step: &Step<'_>) -> Result<Option<RecoveryHold>, UnreadableState> {
    let held = held(&step.draft)?.filter(|held| held.hold.left_ms(&step.clocks) > 0);
    Ok(held.map(|Held { hold, .. }| RecoveryHold {
        recovery_id: hold.recovery_id,
        recovered_at: hold.since,
        hold_until: hold.until(&step.clocks),
    }))
}

/// Lets time pass: what passed of a hold is stored, one that is over ends, and so does a recovery that nobody finished.
pub fn tick(step: &mut Step<'_>) -> Result<(), Failure> {
    if let Some(Held { hold, former }) = held(&step.draft)? {
        match hold.settled(&step.clocks) {
            Some(settled) if settled.left_ms(&step.clocks) > 0 => {
                step.draft.put(HELD.into(), &Held { hold: settled, former })?;
            }
            Some(_) => step.draft.remove(HELD),
            None => {}
        }
    }
    let Some(open) = open(&step.draft)? else { return Ok(()) };
    let unused = open.candidate.is_none() && step.now > open.code_until;
    if !unused && step.now.since_ms(open.opened_at) < OPEN_LIFE_MS {
        return Ok(());
    }
    let summary = "A recovery was begun and not finished; it is over";
    told(step, ("vault", open.recovery_id), Severity::Notice, Outcome::Refused(RefusalCode::Expired), summary)?;
    cancel(step)
}

/// Writes it into audit and feed.
fn told(
    step: &mut Step<'_>,
    (actor, recovery_id): (&str, EventId),
    severity: Severity,
    outcome: Outcome,
    summary: &str,
) -> Result<(), Failure> {
    let event_type = CredentialUse::ROW.event_type();
    let detail = json!({"recovery_id": recovery_id, "summary": summary});
    step.audit(actor, &event_type, AuditOutcome::Success, detail)?;
    let summary = summary.to_owned();
    step.tell(Note { event_type, connection_id: None, request_id: None, severity, outcome, summary })?;
    Ok(())
}

//! A vault that was put back to an earlier state goes on only at its owner's word, with the password where there is a
//! credential, and then as a new incarnation (spec §3 R15, R17, 2.7.6). Before that nothing of it leaves and nothing is taken.

use crate::app::{self, Session};
use crate::channels::ChannelName;
use crate::credential;
use crate::failure::Failure;
use crate::feed::Note;
use crate::identity::{self, VaultIdentity};
use crate::projection::{Draft, UnreadableState};
use crate::step::Step;
use crate::{agreement, authorisation, connection, login, profile, resync, rule, upkeep};
use serde::{Deserialize, Serialize};
use serde_json::json;
use vettid_core::contract::Buckets;
use vettid_core::credential::issuer::record::KnownByApp;
use vettid_core::resync::is_word_of;
use vettid_crypto::identity::VerifyingKey;
use vettid_wire::audit::Outcome as AuditOutcome;
use vettid_wire::connection::ConnectionState;
use vettid_wire::event::{self, EventRow, EventType, VaultRestore};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::restore::{Incarnation, RestoreVault, Restoring};
use vettid_wire::time::Timestamp;

const PENDING: &str = "restore/pending";
const SAID: &str = "restore/said";
/// What the owner may do before: look, prove the password, and say so.
const OPEN: [&str; 7] = [
    VaultRestore::ROW.name,
    event::VaultHealth::ROW.name,
    event::SessionRefresh::ROW.name,
    event::CredentialStatus::ROW.name,
    event::CredentialReplenish::ROW.name,
    event::CredentialChallenge::ROW.name,
    event::CredentialUse::ROW.name,
];

/// It was put back and waits for its owner's word.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Pending {
    put_back_at: Timestamp,
    /// The highest incarnation that its host knew of.
    known: u64,
    /// What the app said, while the password is still to come.
    agreed: Option<Incarnation>,
}

/// Whether this vault was put back and waits for its owner's word.
#[must_use]
pub fn is_pending(draft: &Draft<'_>) -> bool {
    draft.has(PENDING)
}

/// Whether the owner's app said its word and the password is to follow.
pub fn awaits_password(draft: &Draft<'_>) -> Result<bool, UnreadableState> {
    Ok(draft.get::<Pending>(PENDING)?.is_some_and(|pending| pending.agreed.is_some()))
}

/// Whether a command of the owner is taken while the vault waits.
#[must_use]
pub fn is_open(event_type: &EventType) -> bool {
    OPEN.contains(&event_type.as_str())
}

/// The word under which this vault became its present incarnation.
pub fn said(draft: &Draft<'_>) -> Result<Option<Incarnation>, UnreadableState> {
    draft.get(SAID)
}

/// The host put this vault back. Sessions of the app end with it: their keys may be in an old copy.
pub fn put_back(step: &mut Step<'_>, known: u64) -> Result<(), Failure> {
    if let Some(mut app) = app::get(&step.draft)? {
        if let Some(session) = app.session.take() {
            app::forget_session(step, session);
            step.channels.wipe(&mut step.draft, ChannelName::Session(session));
        }
        app::put(&mut step.draft, &app)?;
    }
    step.draft.put(PENDING.into(), &Pending { put_back_at: step.now, known, agreed: None })?;
    step.audit("host", &VaultRestore::ROW.event_type(), AuditOutcome::Success, json!({"put_back": true}))?;
    let summary = "Your vault was put back to an earlier state. It does nothing before your word";
    tell(step, Severity::Alarm, Outcome::Pending, summary.to_owned())
}

/// Owner's command.
pub fn by_owner(
    step: &mut Step<'_>,
    session: &Session,
    asked: &RestoreVault,
) -> Result<Result<Restoring, RefusalCode>, Failure> {
    let said = &asked.incarnation;
    let app = app::get(&step.draft)?.filter(|app| app.session == Some(session.key_id));
    let key = app.and_then(|app| VerifyingKey::from_typed(&app.identity_key).ok());
    if !key.is_some_and(|key| is_word_of(said, step.identity.guid, &key)) {
        return Ok(Err(RefusalCode::NotAllowed));
    }
    let Some(pending) = step.draft.get::<Pending>(PENDING)? else {
        let is_done = self::said(&step.draft)?.as_ref() == Some(said);
        let done = Restoring { incarnation: said.incarnation, needs_password: false };
        return Ok(if is_done { Ok(done) } else { Err(RefusalCode::NotAllowed) });
    };
    if said.incarnation <= step.identity.incarnation.max(pending.known) {
        return Ok(Err(RefusalCode::Conflict));
    }
    let needs_password = credential::exists(&step.draft);
    if !needs_password {
        // Nobody could prove more than that the word is the app's own.
        app::lift_limit(&mut step.draft, session.key_id)?;
        complete(step, said)?;
    } else if pending.agreed.as_ref() != Some(said) {
        let Some(known) = asked.credential else { return Ok(Err(RefusalCode::InvalidRequest)) };
        let by_app = KnownByApp {
            epoch: known.epoch,
            highest_version: known.highest_version,
            consecutive: 0,
            attempts_total: known.attempts_total,
        };
        if !credential::begin_restore(step, known.version, &by_app)? {
            return Ok(Err(RefusalCode::NotAvailable));
        }
        step.draft.put(PENDING.into(), &Pending { agreed: Some(said.clone()), ..pending })?;
    }
    Ok(Ok(Restoring { incarnation: said.incarnation, needs_password }))
}

/// The password was right: the vault goes on as the app said. In the commit of the operation.
pub fn proved(step: &mut Step<'_>) -> Result<(), Failure> {
    let agreed = step.draft.get::<Pending>(PENDING)?.and_then(|pending| pending.agreed);
    match agreed {
        Some(said) => complete(step, &said),
        None => Ok(()),
    }
}

fn complete(step: &mut Step<'_>, said: &Incarnation) -> Result<(), Failure> {
    let Some(mut identity) = step.draft.get::<VaultIdentity>(identity::KEY)? else { return Err(Failure::Retry) };
    identity.incarnation = said.incarnation;
    step.draft.put(identity::KEY.into(), &identity)?;
    step.draft.put(SAID.into(), said)?;
    step.draft.remove(PENDING);
    trust_no_counter(step)?;
    profile::publish_anew(step, said.incarnation)?;
    let asked = resync::begin(step, said)?;
    upkeep::look_soon(&mut step.draft);
    let detail = json!({"incarnation": said.incarnation, "connections": asked});
    step.audit("app", &VaultRestore::ROW.event_type(), AuditOutcome::Success, detail)?;
    let summary = format!(
        "Your vault goes on from an earlier state. {asked} connection(s) are asked for what it lost; what you kept, changed \
         or agreed to since then without them, and connections made since then, are gone"
    );
    tell(step, Severity::Alarm, Outcome::Done, summary)
}

/// What was used up since may look unused again: it counts as used up (spec §3 R17).
fn trust_no_counter(step: &mut Step<'_>) -> Result<(), Failure> {
    agreement::forget_leave(step);
    login::forget_all(&mut step.draft);
    authorisation::lock::forget_all(step);
    rule::spend(step)?;
    for connection in connection::all(&step.draft)? {
        if let Some(accepted) = connection::contract(&step.draft, connection.connection_id)? {
            let id = connection.connection_id;
            connection::put_buckets(&mut step.draft, id, &Buckets::empty(&accepted.contract, step.now))?;
            let mut spent = connection::spent(&step.draft, id)?;
            spent.close(&accepted);
            connection::put_spent(&mut step.draft, id, &spent)?;
        }
    }
    Ok(())
}

/// Connections with which keys are being made anew.
pub fn reconciling(draft: &Draft<'_>) -> Result<u64, UnreadableState> {
    let all = connection::all(draft)?;
    let count = all.iter().filter(|connection| connection.state == ConnectionState::Reconciling).count();
    Ok(u64::try_from(count).unwrap_or(u64::MAX))
}

fn tell(step: &mut Step<'_>, severity: Severity, outcome: Outcome, summary: String) -> Result<(), Failure> {
    let event_type = VaultRestore::ROW.event_type();
    step.tell(Note { event_type, connection_id: None, request_id: None, severity, outcome, summary })?;
    Ok(())
}

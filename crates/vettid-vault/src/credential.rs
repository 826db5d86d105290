//! The vault as the issuer of its member's Vault Credential (spec 2.6 to 2.9): what it stores of it, and the owner's
//! commands around it. Must never keep the inner key or a secret longer than one step, but for what a grant opens.

pub mod desk;
pub mod durable;
mod head;
pub mod inner;
mod keys;
pub mod operation;
pub mod secrets;
pub mod value;

pub(crate) use keys::keys;

use crate::app::Session;
use crate::failure::Failure;
use crate::feed::Note;
use crate::projection::{Draft, UnreadableState};
use crate::recovery;
use crate::step::Step;
use durable::Durable;
use serde_json::{Value, json};
use vettid_core::credential::REPLACE_DEVICE;
use vettid_core::credential::attempts::Unlock;
use vettid_core::credential::grant::GrantLife;
use vettid_core::credential::issuer::keys::KeyPool;
use vettid_core::credential::issuer::operation::Operation;
use vettid_core::credential::issuer::record::{Confirmation, KnownByApp};
use vettid_core::credential::issuer::{ConfirmAnswer, Issuer, NewCredential, creation_binding};
use vettid_crypto::kdf::h256;
use vettid_crypto::password::{PasswordSalt, StoredPassword};
use vettid_crypto::utk::{PasswordPayload, ProofRequest, request_hash};
use vettid_wire::audit::Outcome as AuditOutcome;
use vettid_wire::credential::{
    Binding, ChallengeRequest, Confirm, ConfirmReply, CreateCredential, CredentialPolicies, CredentialStatus,
    LatAnswer, ReplenishKeys, ReplenishedKeys, UseResult,
};
use vettid_wire::digest::Digest;
use vettid_wire::event::{self, EventRow};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::id::OperationId;
use vettid_wire::json as vjson;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::secret;

const ISSUER: &str = "credential/issuer";
const POOL: &str = "credential/pool";
const OPERATION: &str = "credential/operation/";
/// Wrong passwords in a row until the lock.
const MAX_FAILED_ATTEMPTS: u32 = 10;
/// Old operations that one new operation lets go of.
const FORGET_AT_ONCE: usize = 8;

/// Whether there is a credential.
#[must_use]
pub fn exists(draft: &Draft<'_>) -> bool {
    draft.has(ISSUER)
}

/// Whether too many wrong passwords locked it.
pub fn is_locked(step: &Step<'_>) -> Result<bool, UnreadableState> {
    let issuer = issuer(&step.draft)?;
    Ok(issuer.is_some_and(|issuer| issuer.record().attempts.is_locked(issuer.record().limit)))
}

/// Ends the lock, or the wait that took its place.
pub fn unlock(step: &mut Step<'_>, by: Unlock) -> Result<(), UnreadableState> {
    let Some(mut issuer) = issuer(&step.draft)? else { return Ok(()) };
    issuer.unlock(by, &step.clocks);
    put_issuer(step, &issuer, Durable::Waiting)
}

type Answered<T> = Result<Result<T, RefusalCode>, Failure>;

/// The issuer's state, once there is a credential.
pub(crate) fn issuer(draft: &Draft<'_>) -> Result<Option<Issuer>, UnreadableState> {
    draft.get(ISSUER)
}

/// Makes the issuer's state part of the commit, which is named by what it makes durable.
fn put_issuer(step: &mut Step<'_>, issuer: &Issuer, durable: Durable) -> Result<(), UnreadableState> {
    step.durable.push(durable);
    step.desk.is_waiting = None;
    step.draft.put(ISSUER.into(), issuer)
}

/// The same for the keys before there is a credential.
fn put_pool(step: &mut Step<'_>, pool: &KeyPool, durable: Durable) -> Result<(), UnreadableState> {
    step.durable.push(durable);
    step.draft.put(POOL.into(), pool)
}

fn operation(draft: &Draft<'_>, id: OperationId) -> Result<Option<Operation>, UnreadableState> {
    draft.get(&operation_key(id))
}

fn put_operation(draft: &mut Draft<'_>, id: OperationId, operation: &Operation) -> Result<(), UnreadableState> {
    draft.put(operation_key(id), operation)
}

fn operation_key(id: OperationId) -> String {
    format!("{OPERATION}{id}")
}

/// The stored answer of an operation that is over.
fn answer_of(operation: &Operation) -> Result<Option<Value>, Failure> {
    Ok(operation.answer.as_ref().map(|answer| vjson::parse_large(answer.expose())).transpose()?)
}

/// Lets go of operations that are older than they have to be kept, but for the one that made the newest version. Their ids rise with time, so the oldest come first.
fn forget_old(step: &mut Step<'_>, issuer: &Issuer) -> Result<(), UnreadableState> {
    let newest = issuer.newest_operation().map(operation_key);
    for key in step.draft.keys(OPERATION, FORGET_AT_ONCE) {
        if newest.as_ref() == Some(&key) {
            continue;
        }
        let old = step.draft.get::<Operation>(&key)?.is_some_and(|operation| operation.is_expendable(step.now));
        if !old {
            return Ok(());
        }
        step.draft.remove(&key);
    }
    Ok(())
}

/// Lets a wait after wrong passwords go on in the present run, and stores how much of it has passed. Without this a vault that
/// was restarted would say "wait" for ever: the app does not send a password that would not be looked at.
pub fn pass_time(step: &mut Step<'_>) -> Result<(), UnreadableState> {
    if step.desk.is_waiting == Some(false) {
        return Ok(());
    }
    let Some(mut issuer) = issuer(&step.draft)? else { return Ok(()) };
    let is_due = issuer.settle(&step.clocks);
    if is_due {
        put_issuer(step, &issuer, Durable::Waiting)?;
    }
    step.desk.is_waiting = Some(issuer.record().attempts.wait.is_some());
    Ok(())
}

/// The earlier state to which the vault was put back goes on with this version (spec 2.7.6), which is taken once, for a restore.
/// `false` if that state does not hold it.
pub fn begin_restore(step: &mut Step<'_>, version: u64, known: &KnownByApp) -> Result<bool, UnreadableState> {
    let Some(mut issuer) = issuer(&step.draft)? else { return Ok(false) };
    if issuer.restore(version, known).is_err() {
        return Ok(false);
    }
    step.desk.is_waiting = None;
    step.draft.put(ISSUER.into(), &issuer)?;
    Ok(true)
}

/// How the credential stands.
pub fn status(step: &mut Step<'_>) -> Answered<CredentialStatus> {
    step.desk.grants.expire(&step.clocks);
    let grants = u32::try_from(step.desk.grants.count()).unwrap_or(u32::MAX);
    let hold = recovery::hold(step)?;
    let Some(issuer) = issuer(&step.draft)? else {
        return Ok(Ok(CredentialStatus {
            grants,
            journal_head: Some(head::of(step)),
            recovery: hold,
            ..CredentialStatus::default()
        }));
    };
    let journal_head = Some(head::of(step));
    Ok(Ok(CredentialStatus { grants, journal_head, recovery: hold, ..issuer.status(&step.clocks) }))
}

/// Fresh transaction keys: of the credential, or for making the first one.
pub fn replenish(step: &mut Step<'_>, asked: &ReplenishKeys) -> Answered<ReplenishedKeys> {
    if let Some(mut issuer) = issuer(&step.draft)? {
        let fresh = issuer.replenish(&step.clocks, step.rng, asked);
        put_issuer(step, &issuer, Durable::Replenished)?;
        return Ok(Ok(fresh));
    }
    let (pool, fresh) = match step.draft.get::<KeyPool>(POOL)? {
        Some(mut pool) => {
            let fresh = pool.replenish(step.now, step.rng, asked);
            (pool, fresh)
        }
        None => {
            let (pool, keys) = KeyPool::new(step.now, step.rng);
            let live_key_ids = keys.iter().map(|key| key.key_id.clone()).collect();
            (pool, ReplenishedKeys { new_transaction_keys: keys, live_key_ids })
        }
    };
    put_pool(step, &pool, Durable::FirstKeys)?;
    Ok(Ok(fresh))
}

/// Makes the first credential. A repeat of the operation gets the same answer; another one is refused.
pub fn create(step: &mut Step<'_>, asked: &CreateCredential) -> Answered<UseResult> {
    let params = serde_json::to_value(&asked.terms).map_err(vjson::JsonError::Shape)?;
    let binding = creation_binding(asked.op_id, params, asked.key_id.clone());
    let request_hash = request_hash(&binding)?;
    if let Some(before) = operation(&step.draft, asked.op_id)? {
        let same = before.record.request_hash == request_hash;
        return match answer_of(&before)?.filter(|_| same) {
            Some(answer) => Ok(Ok(vjson::from_value(answer)?)),
            None => Ok(Err(RefusalCode::Conflict)),
        };
    }
    if step.draft.has(ISSUER) {
        return Ok(Err(RefusalCode::NotAllowed));
    }
    let (Some(salt), true) = (salt_of(asked), GrantLife::new(asked.terms.ttl_minutes).is_ok()) else {
        return Ok(Err(RefusalCode::InvalidRequest));
    };
    let Some(mut pool) = step.draft.get::<KeyPool>(POOL)? else {
        return Ok(Err(RefusalCode::InvalidRequest));
    };
    let proof_request = ProofRequest { guid: step.identity.guid, binding: &binding };
    let opened = pool.open(step.now, &proof_request, asked.encrypted_password_hash.as_bytes());
    let Ok(PasswordPayload { proof, inner: Some(inner) }) = opened else {
        // The key is used up all the same.
        put_pool(step, &pool, Durable::KeyUsedUp)?;
        return Ok(Err(RefusalCode::InvalidRequest));
    };
    let new = NewCredential {
        guid: step.identity.guid,
        issuer: step.identity.fingerprint(),
        epoch: 1,
        password: StoredPassword::new(salt, &proof),
        policies: policies(asked.terms.ttl_minutes),
        binding: Some(Binding { vault_id: step.identity.fingerprint(), bound_at: step.now }),
        secrets: inner::first(step, &inner)?,
        op_id: asked.op_id,
        request_hash,
        proof_hash: Digest::from_bytes(h256(asked.encrypted_password_hash.as_bytes())),
    };
    let created = Issuer::create(&step.clocks, step.rng, new, pool)?;
    put_issuer(step, &created.issuer, Durable::Created)?;
    put_operation(&mut step.draft, asked.op_id, &created.operation)?;
    step.draft.remove(POOL);
    tell(step, Severity::Notice, Outcome::Done, "Your vault credential was made".into())?;
    let answer = answer_of(&created.operation)?.unwrap_or(Value::Null);
    Ok(Ok(vjson::from_value(answer)?))
}

fn salt_of(asked: &CreateCredential) -> Option<PasswordSalt> {
    asked.terms.password_salt.as_bytes().try_into().ok().map(PasswordSalt::from_bytes)
}

fn policies(ttl_minutes: Option<u32>) -> CredentialPolicies {
    CredentialPolicies {
        ttl_minutes,
        max_failed_attempts: MAX_FAILED_ATTEMPTS,
        authorized_operations: secret::ACTIONS.iter().map(|&action| action.to_owned()).collect(),
    }
}

/// Proves to the app that this vault is the issuer, for `session`. `host` of the proof is `vettid://{guid}`: a vault has no other address.
pub fn challenge(step: &mut Step<'_>, session: &Session, asked: &ChallengeRequest) -> Answered<LatAnswer> {
    let Some(issuer) = issuer(&step.draft)? else {
        return Ok(Err(RefusalCode::NotFound));
    };
    let recovers = recovery::is_candidate(&step.draft, session.key_id)?;
    if (asked.action == REPLACE_DEVICE) != recovers {
        return Ok(Err(RefusalCode::NotAllowed));
    }
    if recovers && !issuer.knows(asked.lat.version) {
        return Ok(Err(RefusalCode::NotAvailable));
    }
    let host = format!("vettid://{}", step.identity.guid);
    let proof = issuer.prove(step.now, step.rng, (&host, event::CredentialUse::ROW.name), asked);
    if recovers && proof.is_some() {
        recovery::end_lock(step)?;
    }
    Ok(proof.ok_or(RefusalCode::InvalidRequest))
}

/// The app has stored the next version.
pub fn confirm(step: &mut Step<'_>, asked: &Confirm) -> Answered<ConfirmReply> {
    let Some(mut issuer) = issuer(&step.draft)? else {
        return Ok(Err(RefusalCode::NotFound));
    };
    let (confirmation, answer) = issuer.confirm(asked);
    match confirmation {
        Confirmation::Promoted => put_issuer(step, &issuer, Durable::Confirmed)?,
        Confirmation::Stale => alarm(step, "An earlier copy of your credential was presented")?,
        Confirmation::NotGenuine => alarm(step, "A credential that this vault never issued was presented")?,
        Confirmation::Already | Confirmation::StalePending => {}
    }
    Ok(match answer {
        ConfirmAnswer::Confirmed(confirmed) => Ok(ConfirmReply::Confirmed(confirmed)),
        ConfirmAnswer::Stale(result) => Ok(ConfirmReply::Stale(result)),
        ConfirmAnswer::Refused => Err(RefusalCode::InvalidRequest),
    })
}

/// Writes into the feed what happened to the credential.
fn tell(step: &mut Step<'_>, severity: Severity, outcome: Outcome, summary: String) -> Result<(), Failure> {
    let event_type = event::CredentialUse::ROW.event_type();
    step.tell(Note { event_type, connection_id: None, request_id: None, severity, outcome, summary })?;
    Ok(())
}

/// Somebody may have a copy of the credential.
fn alarm(step: &mut Step<'_>, summary: &str) -> Result<(), Failure> {
    tell(step, Severity::Alarm, Outcome::Refused(RefusalCode::NotAllowed), summary.to_owned())
}

/// Writes an operation into the audit chain.
fn audit(step: &mut Step<'_>, op_id: OperationId, action: &str, outcome: AuditOutcome) -> Result<(), Failure> {
    let detail = json!({"op_id": op_id, "action": action});
    step.audit("app", &event::CredentialUse::ROW.event_type(), outcome, detail)?;
    Ok(())
}

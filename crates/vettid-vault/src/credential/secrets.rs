//! The actions of an operation whose password was right: over the member's secrets, and the change of the password. Each
//! ends with a result, also when it could not be done; and uses under a grant, which need no password.

use super::desk::OpenSecret;
use super::durable::Durable;
use super::{inner, value};
use crate::agreement::lock;
use crate::authorisation;
use crate::failure::Failure;
use crate::login;
use crate::projection::UnreadableState;
use crate::recovery;
use crate::step::Step;
use serde::Serialize;
use serde_json::Value;
use value::Given;
use vettid_core::credential::grant::{GrantLife, GrantScope};
use vettid_core::credential::issuer::operation::{Effect, Proven};
use vettid_core::credential::{CHANGE_PASSWORD, REPLACE_DEVICE, RESTORE};
use vettid_crypto::password::{InnerKey, StoredPassword};
use vettid_crypto::secret::{Secret32, SecretBytes};
use vettid_crypto::secret_box::{BoxKey, BoxPlace, Boxed, For, Occasion};
use vettid_wire::agreement::{FreePayments, PermitTerms};
use vettid_wire::authorisation::PermitRequest;
use vettid_wire::base64::Base64;
use vettid_wire::credential::{ChangePassword, InnerUpdate, SecretField, UseRequest};
use vettid_wire::envelope::Answer;
use vettid_wire::event::Nothing;
use vettid_wire::id::{EventId, SecretId};
use vettid_wire::json as vjson;
use vettid_wire::login::PermitLogin;
use vettid_wire::recovery::ReplaceDevice;
use vettid_wire::refusal::{Refusal, RefusalCode};
use vettid_wire::secret::{
    self, Action, AddSecret, GrantOpened, GrantRef, InnerLayer, MAX_GRANT_USES, MAX_SECRETS, OpenGrant, Operation,
    RotateSecret, SecretList, SecretRef, SecretSummary, StoredSecret, UseSecret, Used, is_label,
};

const PREFIX: &str = "secret/";

/// What an action did.
pub(super) struct Done {
    /// For the credential's next form and the answer.
    pub(super) effect: Effect,
    /// It was refused; the credential rotates all the same.
    pub(super) refused: bool,
    /// The device that asked takes the place of the app.
    pub(super) replaces: bool,
    /// The vault goes on from the earlier state to which it was put back.
    pub(super) restores: bool,
    /// For the feed.
    pub(super) summary: Option<String>,
    /// Opened after the effect is part of the commit.
    pub(super) grant: Option<(GrantScope, GrantLife, u32, OpenSecret)>,
}

/// What one action gives; everything else of [`Done`] follows.
#[derive(Default)]
struct Outcome {
    result: Value,
    inner: Option<InnerUpdate>,
    replaces: bool,
    restores: bool,
    summary: Option<String>,
    grant: Option<(GrantScope, GrantLife, u32, OpenSecret)>,
}

type Acted = Result<Result<Outcome, RefusalCode>, Failure>;

/// Leaves an action with its refusal.
macro_rules! or_refuse {
    ($allowed:expr) => {
        match $allowed {
            Ok(value) => value,
            Err(code) => return Ok(Err(code)),
        }
    };
}

/// Carries out the action of a request. What the vault cannot read or does not know is refused.
pub(super) fn act(step: &mut Step<'_>, proven: &Proven, request: &UseRequest) -> Result<Done, Failure> {
    let acted = match request.action.as_str() {
        CHANGE_PASSWORD => with(request, |asked| change_password(step, proven, request, asked)),
        REPLACE_DEVICE => with(request, |asked| replace_device(step, proven, request, asked)),
        secret::Add::NAME => with(request, |asked| add(step, proven, request, asked)),
        secret::Use::NAME => with(request, |asked| use_once(step, proven, request, &asked)),
        secret::Rotate::NAME => with(request, |asked| rotate(step, proven, request, &asked)),
        secret::Remove::NAME => with(request, |asked| remove(step, proven, asked)),
        secret::Grant::NAME => with(request, |asked| grant(step, proven, request, &asked)),
        secret::Permit::NAME => with(request, |asked: PermitTerms| {
            let told = format!("You gave your password for this: {}", asked.terms.template());
            let permitted = or_refuse!(lock::permit(step, asked)?);
            Ok(Ok(Outcome { result: to_value(&permitted)?, summary: Some(told), ..Outcome::default() }))
        }),
        secret::PermitLogin::NAME => with(request, |asked: PermitLogin| {
            let permitted = or_refuse!(login::permit(step, &asked)?);
            let summary = Some("You gave your password for a login from an unknown browser".to_owned());
            Ok(Ok(Outcome { result: to_value(&permitted)?, summary, ..Outcome::default() }))
        }),
        secret::Free::NAME => with(request, |asked: FreePayments| {
            let told = free_sentence(&asked);
            let freed = or_refuse!(lock::free(step, asked)?);
            Ok(Ok(Outcome { result: to_value(&freed)?, summary: Some(told), ..Outcome::default() }))
        }),
        secret::PermitAnswer::NAME => with(request, |asked: PermitRequest| {
            let (permitted, title) = or_refuse!(authorisation::lock::permit(step, &asked)?);
            let told = format!("You gave your password for what a service asked for: {title}");
            Ok(Ok(Outcome { result: to_value(&permitted)?, summary: Some(told), ..Outcome::default() }))
        }),
        secret::FreeRequests::NAME => with(request, |asked: FreePayments| {
            let told = format!("For services: {}", free_sentence(&asked));
            let freed = or_refuse!(authorisation::lock::free(step, asked)?);
            Ok(Ok(Outcome { result: to_value(&freed)?, summary: Some(told), ..Outcome::default() }))
        }),
        RESTORE => with(request, |_: Nothing| {
            let result = to_value(&Nothing {})?;
            Ok(Ok(Outcome { result, restores: true, ..Outcome::default() }))
        }),
        // The right password is all that is wanted.
        secret::Restore::NAME => {
            with(request, |nothing: Nothing| Ok(Ok(Outcome { result: to_value(&nothing)?, ..Outcome::default() })))
        }
        _ => Ok(Err(RefusalCode::UnsupportedEvent)),
    }?;
    let refused = acted.is_err();
    let (answer, outcome) = match acted {
        Ok(mut outcome) => (Answer::Success(std::mem::take(&mut outcome.result)), outcome),
        Err(code) => (Answer::Refused(Refusal { code }), Outcome::default()),
    };
    let effect = Effect { action_result: to_value(&answer)?, inner: outcome.inner, policies: None };
    Ok(Done {
        effect,
        refused,
        replaces: outcome.replaces,
        restores: outcome.restores,
        summary: outcome.summary,
        grant: outcome.grant,
    })
}

fn free_sentence(asked: &FreePayments) -> String {
    match &asked.at_most {
        Some(most) => format!("Payments up to {most} {} need no password from now on", asked.currency),
        None => format!("Every payment in {} needs your password", asked.currency),
    }
}

fn with<P: serde::de::DeserializeOwned>(request: &UseRequest, act: impl FnOnce(P) -> Acted) -> Acted {
    match vjson::from_value::<P>(request.params.clone()) {
        Ok(params) => act(params),
        Err(_) => Ok(Err(RefusalCode::InvalidRequest)),
    }
}

fn to_value(value: &impl Serialize) -> Result<Value, Failure> {
    Ok(serde_json::to_value(value).map_err(vjson::JsonError::Shape)?)
}

fn place(step: &Step<'_>, boxed: Boxed, request: &UseRequest, opened_by: For) -> BoxPlace {
    BoxPlace { guid: step.identity.guid, boxed, occasion: Occasion::Operation(request.op_id), opened_by }
}

fn key_of(proven: &Proven) -> Result<BoxKey, RefusalCode> {
    proven.inner_key().map(BoxKey::of_password).ok_or(RefusalCode::InvalidRequest)
}

/// The value that the app boxed for the vault.
fn unbox(
    step: &Step<'_>,
    proven: &Proven,
    request: &UseRequest,
    (boxed, sealed): (Boxed, &Base64),
) -> Result<SecretBytes, RefusalCode> {
    let place = place(step, boxed, request, For::Vault);
    place.open(&key_of(proven)?, sealed.as_bytes()).map_err(|_| RefusalCode::InvalidRequest)
}

fn add(step: &mut Step<'_>, proven: &Proven, request: &UseRequest, asked: AddSecret) -> Acted {
    let mut layer = or_refuse!(inner::open(proven));
    let labelled = is_label(&asked.label) && asked.category.as_deref().is_none_or(is_label);
    if !labelled || GrantLife::new(asked.grant_minutes).is_err() {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    if layer.secrets.len() >= MAX_SECRETS {
        return Ok(Err(RefusalCode::NotAllowed));
    }
    if layer.secrets.iter().any(|secret| secret.secret_id == asked.secret_id) {
        return Ok(Err(RefusalCode::Conflict));
    }
    let value = or_refuse!(unbox(step, proven, request, (Boxed::Value(asked.secret_id), &asked.sealed)));
    if !value::fits(asked.kind, asked.curve, value.expose()) {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    let summary = SecretSummary {
        secret_id: asked.secret_id,
        label: asked.label,
        kind: asked.kind,
        curve: asked.curve,
        public_key: value::public_key(asked.curve, value.expose()),
        category: asked.category,
        created_at: step.now,
        rotated_at: None,
        last_used_at: None,
        uses: 0,
    };
    layer.secrets.push(StoredSecret {
        secret_id: asked.secret_id,
        kind: asked.kind,
        curve: asked.curve,
        grant_minutes: asked.grant_minutes,
        value: SecretField::new(value.expose().to_vec()),
    });
    let update = or_refuse!(inner::reseal(proven, &layer, step.rng)?);
    put(step, &summary)?;
    let told = format!("Secret “{}” was added", summary.label);
    Ok(Ok(Outcome { result: to_value(&summary)?, inner: Some(update), summary: Some(told), ..Outcome::default() }))
}

fn rotate(step: &mut Step<'_>, proven: &Proven, request: &UseRequest, asked: &RotateSecret) -> Acted {
    let mut layer = or_refuse!(inner::open(proven));
    let mut summary = or_refuse!(get(step, asked.secret_id)?);
    let value = or_refuse!(unbox(step, proven, request, (Boxed::Value(asked.secret_id), &asked.sealed)));
    let secret = or_refuse!(find(&mut layer, asked.secret_id));
    if !value::fits(secret.kind, secret.curve, value.expose()) {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    secret.value = SecretField::new(value.expose().to_vec());
    summary.public_key = value::public_key(secret.curve, value.expose());
    summary.rotated_at = Some(step.now);
    let update = or_refuse!(inner::reseal(proven, &layer, step.rng)?);
    end_grants(step, asked.secret_id);
    put(step, &summary)?;
    let told = format!("Secret “{}” has a new value", summary.label);
    Ok(Ok(Outcome { result: to_value(&summary)?, inner: Some(update), summary: Some(told), ..Outcome::default() }))
}

fn remove(step: &mut Step<'_>, proven: &Proven, asked: SecretRef) -> Acted {
    let mut layer = or_refuse!(inner::open(proven));
    let summary = or_refuse!(get(step, asked.secret_id)?);
    layer.secrets.retain(|secret| secret.secret_id != asked.secret_id);
    let update = or_refuse!(inner::reseal(proven, &layer, step.rng)?);
    end_grants(step, asked.secret_id);
    step.draft.remove(&key(asked.secret_id));
    let told = format!("Secret “{}” was removed", summary.label);
    Ok(Ok(Outcome { result: to_value(&asked)?, inner: Some(update), summary: Some(told), ..Outcome::default() }))
}

fn use_once(step: &mut Step<'_>, proven: &Proven, request: &UseRequest, asked: &UseSecret) -> Acted {
    let mut layer = or_refuse!(inner::open(proven));
    let secret = or_refuse!(find(&mut layer, asked.secret_id));
    let what = (secret.kind, secret.curve, secret.value.expose());
    let given = or_refuse!(value::apply(what, asked.operation, asked.input.as_ref()));
    let place = place(step, Boxed::Value(asked.secret_id), request, For::App);
    let used = boxed(step, given, place, &or_refuse!(key_of(proven)));
    let summary = or_refuse!(note_use(step, asked.secret_id)?);
    let told = format!("Secret “{}” was used to {}", summary.label, word(asked.operation));
    Ok(Ok(Outcome { result: to_value(&used)?, summary: Some(told), ..Outcome::default() }))
}

fn grant(step: &mut Step<'_>, proven: &Proven, request: &UseRequest, asked: &OpenGrant) -> Acted {
    let mut layer = or_refuse!(inner::open(proven));
    let secret = or_refuse!(find(&mut layer, asked.secret_id));
    let summary = or_refuse!(get(step, asked.secret_id)?);
    let life = or_refuse!(life_of(proven, secret, asked.minutes));
    if !(1..=MAX_GRANT_USES).contains(&asked.uses) {
        return Ok(Err(RefusalCode::InvalidRequest));
    }
    let key = BoxKey::random(step.rng);
    let place = place(step, Boxed::GrantKey(asked.secret_id), request, For::App);
    let sealed_key = Base64::new(place.seal(&or_refuse!(key_of(proven)), key.expose(), step.rng));
    let opened = OpenSecret {
        secret_id: asked.secret_id,
        operation: asked.operation,
        kind: secret.kind,
        curve: secret.curve,
        value: SecretBytes::copied_from(secret.value.expose()),
        key,
    };
    let expires_at = step.now.plus_ms(i64::from(asked.minutes) * 60_000);
    let (secret_id, operation) = (asked.secret_id, asked.operation);
    let told = format!(
        "Secret “{}” may be used to {} for {} minutes, at most {} times",
        summary.label,
        word(operation),
        asked.minutes,
        asked.uses
    );
    let result = to_value(&GrantOpened { secret_id, operation, expires_at, sealed_key })?;
    let grant = Some((scope(secret_id, operation), life, asked.uses, opened));
    Ok(Ok(Outcome { result, summary: Some(told), grant, ..Outcome::default() }))
}

/// The life of a grant, within what the policies of credential and secret allow.
fn life_of(proven: &Proven, secret: &StoredSecret, minutes: u32) -> Result<GrantLife, RefusalCode> {
    let policy = GrantLife::new(proven.body().policies.ttl_minutes).map_err(|_| RefusalCode::NotAllowed)?;
    let most = secret.grant_minutes.map_or(policy.minutes(), |own| own.min(policy.minutes()));
    let life = GrantLife::new(Some(minutes)).map_err(|_| RefusalCode::InvalidRequest)?;
    if minutes == 0 || minutes > most { Err(RefusalCode::NotAllowed) } else { Ok(life) }
}

fn change_password(step: &mut Step<'_>, proven: &Proven, request: &UseRequest, asked: ChangePassword) -> Acted {
    let bytes = or_refuse!(unbox(step, proven, request, (Boxed::InnerKey, &asked.sealed_inner_key)));
    let invalid = RefusalCode::InvalidRequest;
    let key = or_refuse!(Secret32::from_slice(bytes.expose()).map(InnerKey::from_secret).ok_or(invalid));
    if asked.hash.parse::<StoredPassword>().is_err() {
        return Ok(Err(invalid));
    }
    let update = or_refuse!(inner::rekey(proven, &key, asked.hash, step.rng));
    step.desk.grants.lock();
    let told = "The password of your credential was changed".to_owned();
    Ok(Ok(Outcome { result: to_value(&Nothing {})?, inner: Some(update), summary: Some(told), ..Outcome::default() }))
}

/// A device that recovers takes the place of the app, with a device secret of its own.
fn replace_device(step: &mut Step<'_>, proven: &Proven, request: &UseRequest, asked: ReplaceDevice) -> Acted {
    let replaced = or_refuse!(recovery::admit(step, &asked)?);
    let outcome = or_refuse!(change_password(step, proven, request, asked.password)?);
    Ok(Ok(Outcome { result: to_value(&replaced)?, replaces: true, summary: None, ..outcome }))
}

/// Uses a secret under a grant: no password, exactly the one operation, and the use is in the audit like any other.
pub fn use_granted(
    step: &mut Step<'_>,
    event_id: EventId,
    asked: &UseSecret,
) -> Result<Result<Used, RefusalCode>, Failure> {
    let guid = step.identity.guid;
    let boxed = Boxed::Value(asked.secret_id);
    let place = BoxPlace { guid, boxed, occasion: Occasion::Event(event_id), opened_by: For::App };
    let scope = scope(asked.secret_id, asked.operation);
    let (clocks, rng) = (step.clocks, &mut *step.rng);
    let used = step.desk.grants.use_once(&clocks, &scope, |open| {
        let what = (open.kind, open.curve, open.value.expose());
        value::apply(what, asked.operation, asked.input.as_ref()).map(|given| match given {
            Given::Signature(signature) => Used::Signature(Base64::new(signature)),
            Given::Secret(value) => Used::Sealed(Base64::new(place.seal(&open.key, value.expose(), rng))),
        })
    });
    let used = match used {
        Some(Ok(used)) => used,
        Some(Err(code)) => return Ok(Err(code)),
        None => return Ok(Err(RefusalCode::NotAllowed)),
    };
    step.durable.push(Durable::UsedUnderGrant);
    Ok(note_use(step, asked.secret_id)?.map(|_| used))
}

/// Ends a grant.
pub fn end_grant(step: &mut Step<'_>, asked: &GrantRef) -> Result<Result<Nothing, RefusalCode>, Failure> {
    step.desk.grants.end(&scope(asked.secret_id, asked.operation));
    Ok(Ok(Nothing {}))
}

/// Every secret without its value, oldest first.
pub fn list(step: &Step<'_>) -> Result<Result<SecretList, RefusalCode>, Failure> {
    Ok(Ok(SecretList { secrets: step.draft.values(PREFIX)? }))
}

fn boxed(step: &mut Step<'_>, given: Given, place: BoxPlace, key: &BoxKey) -> Used {
    match given {
        Given::Signature(signature) => Used::Signature(Base64::new(signature)),
        Given::Secret(value) => Used::Sealed(Base64::new(place.seal(key, value.expose(), step.rng))),
    }
}

fn note_use(step: &mut Step<'_>, id: SecretId) -> Result<Result<SecretSummary, RefusalCode>, UnreadableState> {
    let Ok(mut summary) = get(step, id)? else {
        return Ok(Err(RefusalCode::NotFound));
    };
    summary.last_used_at = Some(step.now);
    summary.uses = summary.uses.saturating_add(1);
    put(step, &summary)?;
    Ok(Ok(summary))
}

fn end_grants(step: &mut Step<'_>, id: SecretId) {
    for operation in [Operation::Sign, Operation::Decrypt, Operation::Reveal] {
        step.desk.grants.end(&scope(id, operation));
    }
}

fn scope(id: SecretId, operation: Operation) -> GrantScope {
    GrantScope { operation: word(operation).to_owned(), secret: id.to_string() }
}

fn word(operation: Operation) -> &'static str {
    match operation {
        Operation::Sign => "sign",
        Operation::Decrypt => "decrypt",
        Operation::Reveal => "reveal",
    }
}

fn find(layer: &mut InnerLayer, id: SecretId) -> Result<&mut StoredSecret, RefusalCode> {
    layer.secrets.iter_mut().find(|secret| secret.secret_id == id).ok_or(RefusalCode::NotFound)
}

fn get(step: &Step<'_>, id: SecretId) -> Result<Result<SecretSummary, RefusalCode>, UnreadableState> {
    Ok(step.draft.get(&key(id))?.ok_or(RefusalCode::NotFound))
}

fn put(step: &mut Step<'_>, summary: &SecretSummary) -> Result<(), UnreadableState> {
    step.draft.put(key(summary.secret_id), summary)
}

fn key(id: SecretId) -> String {
    format!("{PREFIX}{id}")
}

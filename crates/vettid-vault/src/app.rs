//! The owner's app: who it is, its running session, and its NATS credentials. One app at a time.

use crate::channels::ChannelName;
use crate::failure::Failure;
use crate::projection::{Draft, UnreadableState};
use crate::step::Step;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use vettid_core::grants::mint::{self, MemberIdentity};
use vettid_crypto::nats::key::UserPublic;
use vettid_crypto::secret::Secret32;
use vettid_crypto::stored;
use vettid_wire::id::{DeviceId, Fingerprint, SessionKeyId};
use vettid_wire::key::TypedKey;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::session::{RefreshReply, RefreshRequest};
use vettid_wire::time::Timestamp;

/// Under this name the marks of the app's events are kept; they outlive sessions.
pub const SCOPE: &str = "app";
const KEY: &str = "app";

/// The enrolled app.
#[derive(Debug, Serialize, Deserialize)]
pub struct App {
    /// Its identity.
    pub fingerprint: Fingerprint,
    /// Its identity key.
    pub identity_key: TypedKey,
    /// The device it runs on; names its private inbox.
    pub device: DeviceId,
    /// The running session.
    pub session: Option<SessionKeyId>,
    /// Resumption secret of the last finished handshake.
    pub resume: Option<Resume>,
    /// The one before, in case the app missed the last message.
    pub previous_resume: Option<Resume>,
    /// That of the running session while it is limited: it counts once the password was proved.
    #[serde(default)]
    pub unproved_resume: Option<Resume>,
    /// Public NKey of its user at the broker, as far as it is known.
    #[serde(default)]
    pub user_nkey: Option<String>,
}

impl App {
    /// From now on the next session may be tied to this handshake.
    pub fn keep_resumption(&mut self, resume: Resume) {
        self.previous_resume = self.resume.replace(resume);
    }
}

/// A resumption secret.
#[derive(Debug, Serialize, Deserialize)]
pub struct Resume(#[serde(with = "stored")] pub Secret32);

/// A session of the app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Names its keys.
    pub key_id: SessionKeyId,
    /// Neither side could prove an earlier handshake: nothing but `credential.use` is taken.
    pub limited: bool,
    /// When it began.
    pub started_at: Timestamp,
    /// The device.
    pub device: DeviceId,
}

/// The enrolled app, if there is one.
pub fn get(draft: &Draft<'_>) -> Result<Option<App>, UnreadableState> {
    draft.get(KEY)
}

/// The running session, if there is one, for whoever only looks.
pub fn running(draft: &Draft<'_>) -> Result<Option<Arc<Session>>, UnreadableState> {
    let running = draft.shared::<App>(KEY)?.and_then(|app| app.session);
    Ok(running.map(|key_id| draft.shared(&session_key(key_id))).transpose()?.flatten())
}

/// Stores the app.
pub fn put(draft: &mut Draft<'_>, app: &App) -> Result<(), UnreadableState> {
    draft.put(KEY.into(), app)
}

/// The session of these keys.
pub fn session(draft: &Draft<'_>, key_id: SessionKeyId) -> Result<Option<Session>, UnreadableState> {
    draft.get(&session_key(key_id))
}

/// Makes a session the running one; the one before ends.
pub fn begin_session(step: &mut Step<'_>, app: &mut App, session: &Session) -> Result<(), Failure> {
    if let Some(old) = app.session.replace(session.key_id) {
        forget_session(step, old);
        step.channels.wipe(&mut step.draft, ChannelName::Session(old));
    }
    step.draft.put(session_key(session.key_id), session)?;
    Ok(())
}

/// Forgets a session; its channel is another matter.
pub fn forget_session(step: &mut Step<'_>, key_id: SessionKeyId) {
    step.draft.remove(&session_key(key_id));
}

/// The member proved the password inside a limited session: it is one like any other from now on, and the next one can be
/// tied to it.
pub fn lift_limit(draft: &mut Draft<'_>, key_id: SessionKeyId) -> Result<(), UnreadableState> {
    let Some(limited) = session(draft, key_id)?.filter(|session| session.limited) else {
        return Ok(());
    };
    draft.put(session_key(key_id), &Session { limited: false, ..limited })?;
    let Some(mut app) = get(draft)? else {
        return Ok(());
    };
    if let Some(resume) = app.unproved_resume.take() {
        app.keep_resumption(resume);
    }
    put(draft, &app)
}

fn session_key(key_id: SessionKeyId) -> String {
    format!("session/{key_id}")
}

/// A fresh NATS credential for the app's own key.
pub fn refresh(
    step: &mut Step<'_>,
    session: &Session,
    asked: &RefreshRequest,
) -> Result<Result<RefreshReply, RefusalCode>, Failure> {
    if asked.device != session.device {
        return Ok(Err(RefusalCode::NotAllowed));
    }
    let Ok(user) = asked.nkey_pub.parse::<UserPublic>() else {
        return Ok(Err(RefusalCode::InvalidRequest));
    };
    if let Some(mut app) = get(&step.draft)?.filter(|app| app.user_nkey.as_ref() != Some(&asked.nkey_pub)) {
        app.user_nkey = Some(asked.nkey_pub.clone());
        put(&mut step.draft, &app)?;
    }
    Ok(Ok(credential(step, &asked.device, &user)?))
}

/// Issues the app's NATS credential.
pub fn credential(step: &Step<'_>, device: &DeviceId, user: &UserPublic) -> Result<RefreshReply, Failure> {
    let account = step.identity.owner_account()?;
    let identity = MemberIdentity::App(device.clone());
    let minted = mint::member(&identity, user, account.public(), &step.identity.app_signing()?, step.now)?;
    Ok(RefreshReply { jwt: minted.jwt.as_str().to_owned(), expires_at: minted.expires_at })
}

//! Logins (spec 2.14): which links the owner opened, which browsers are known, what a yes to each login takes. What is decided
//! stands in the core; here it is kept. A browser becomes known by the owner's word alone, never by a service's.

use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::feed::Note;
use crate::flood;
use crate::projection::{Draft, UnreadableState};
use crate::request::{self, Waiting};
use crate::send;
use crate::step::Step;
use serde_json::Value;
use vettid_core::login::{self, Decided, Known, Login, Opened};
use vettid_wire::auth::{AuthChallenge, Decision};
use vettid_wire::event::{self, EventRow, EventType, Nothing};
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::id::{ConnectionId, LoginId, RequestId};
use vettid_wire::json;
use vettid_wire::login::{
    BrowserList, BrowserRef, KnownBrowser, LoginFinished, LoginLevel, LoginLink, LoginOpened, LoginPermitted,
    LoginSettings, OpenLogin, OpenedLogin, PermitLogin, SetLogins,
};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::request::Decide;
use vettid_wire::time::Timestamp;

const OPENED: &str = "login_opened/";
const LOGINS: &str = "login/";
const BROWSERS: &str = "browsers/";
const SETTINGS: &str = "login_settings";
/// Most links that one connection has open.
const MAX_OPENED: usize = 16;
/// A link that was opened counts no longer than this, whatever it says, in milliseconds (ten minutes).
const MAX_OPEN_MS: i64 = 10 * 60 * 1000;
/// A code may be brought this long after the end of its question, in milliseconds (ten minutes).
const KEEP_MS: i64 = 10 * 60 * 1000;

fn opened_key(connection: ConnectionId, id: LoginId) -> String {
    format!("{OPENED}{connection}/{id}")
}

fn login_key(connection: ConnectionId, id: RequestId) -> String {
    format!("{LOGINS}{connection}/{id}")
}

fn browsers_key(connection: ConnectionId) -> String {
    format!("{BROWSERS}{connection}")
}

/// Whether an event asks for a login.
#[must_use]
pub fn is_login(event_type: &EventType) -> bool {
    *event_type == event::AuthChallenge::ROW.event_type()
}

/// How a login is protected, or why it is not.
pub fn assess(step: &Step<'_>, challenge: &AuthChallenge) -> Result<Result<LoginLevel, RefusalCode>, UnreadableState> {
    let id = challenge.connection_id;
    let opened = match &challenge.link {
        Some(link) => step.draft.get::<Opened>(&opened_key(id, link.login_id))?,
        None => None,
    };
    let (browsers, settings) = (browsers(&step.draft, id)?, settings(&step.draft)?);
    let known = Known { opened: opened.as_ref(), browsers: &browsers, allow_numbers: settings.allow_numbers };
    Ok(login::assess(step.now, challenge, known))
}

/// Whether the event asks for a login that no rule may approve: any but one from a known browser.
pub fn is_locked(step: &Step<'_>, event_type: &EventType, body: &Value) -> Result<bool, UnreadableState> {
    if !is_login(event_type) {
        return Ok(false);
    }
    let Ok(challenge) = json::from_value::<AuthChallenge>(body.clone()) else { return Ok(true) };
    Ok(assess(step, &challenge)? != Ok(LoginLevel::KnownBrowser))
}

/// The login of a question that is about to wait, or to be answered by a rule. Not stored yet.
pub fn begin(step: &mut Step<'_>, body: &[u8]) -> Result<Result<Login, RefusalCode>, Failure> {
    let challenge: AuthChallenge = json::read(body)?;
    let level = match assess(step, &challenge)? {
        Ok(level) => level,
        Err(code) => return Ok(Err(code)),
    };
    Ok(Ok(Login::begin(step.now, step.rng, &challenge, level)))
}

/// Stores a login with its question.
pub fn put(
    draft: &mut Draft<'_>,
    (connection, id): (ConnectionId, RequestId),
    login: &Login,
) -> Result<(), UnreadableState> {
    draft.put(login_key(connection, id), login)
}

/// The login of a question.
pub fn get(draft: &Draft<'_>, connection: ConnectionId, id: RequestId) -> Result<Option<Login>, UnreadableState> {
    draft.get(&login_key(connection, id))
}

/// Tells the owner loudly that an unknown browser wants in.
pub fn warn(
    step: &mut Step<'_>,
    connection: &Connection,
    waiting: &Waiting,
    login: &Login,
) -> Result<(), UnreadableState> {
    if login.level() != LoginLevel::Number {
        return Ok(());
    }
    step.tell(Note {
        event_type: waiting.event_type.clone(),
        connection_id: Some(connection.connection_id),
        request_id: Some(waiting.shown.request_id),
        severity: Severity::Alarm,
        outcome: Outcome::Pending,
        summary: format!("An unknown browser wants to be logged in as you at {}", connection.display_name),
    })
}

/// Takes the owner's decision about a question, whatever it is about.
pub fn decide(step: &mut Step<'_>, waiting: &Waiting, asked: &Decide) -> Result<Result<Decided, RefusalCode>, Failure> {
    let (connection, id) = (waiting.shown.connection_id, waiting.request_id);
    if !is_login(&waiting.event_type) {
        let extra = asked.number.is_some() || asked.remember;
        let method = vec!["user".to_owned()];
        let decided = Decided { decision: asked.decision, method, return_to: None, known: None };
        return Ok(if extra { Err(RefusalCode::InvalidRequest) } else { Ok(decided) });
    }
    let Some(mut login) = get(&step.draft, connection, id)? else { return Ok(Err(RefusalCode::NotFound)) };
    let decided = match login.decide(step.now, step.rng, asked) {
        Ok(decided) => decided,
        Err(code) => return Ok(Err(code)),
    };
    put(&mut step.draft, (connection, id), &login)?;
    if decided.decision == Decision::Approve {
        used(&mut step.draft, step.now, (connection, &login))?;
    }
    if let Some(browser) = decided.known.clone() {
        remember(step, browser)?;
    }
    Ok(Ok(decided))
}

/// Notes that a known browser was used, by the owner's yes or by that of a rule.
pub fn used(
    draft: &mut Draft<'_>,
    now: Timestamp,
    (connection, login): (ConnectionId, &Login),
) -> Result<(), UnreadableState> {
    if login.level() != LoginLevel::KnownBrowser {
        return Ok(());
    }
    let mut browsers = browsers(draft, connection)?;
    login.used(now, &mut browsers);
    draft.put(browsers_key(connection), &browsers)
}

/// Tells the owner of a refused login whose key counts no further than it did: somebody may hold a copy of it.
pub fn warn_of_copy(
    step: &mut Step<'_>,
    connection: &Connection,
    (event_type, body): (&EventType, &Value),
    code: RefusalCode,
) -> Result<(), UnreadableState> {
    if !is_login(event_type) || code != RefusalCode::NotAllowed {
        return Ok(());
    }
    let Ok(challenge) = json::from_value::<AuthChallenge>(body.clone()) else { return Ok(()) };
    let browsers = browsers(&step.draft, connection.connection_id)?;
    let Some(known) = login::went_back(&challenge, &browsers) else { return Ok(()) };
    let summary = format!(
        "A login at {} was refused: the key of {} counts no further than before, so it may have been copied. Forget that browser",
        known.origin, known.name
    );
    step.tell(Note {
        event_type: event_type.clone(),
        connection_id: Some(connection.connection_id),
        request_id: Some(challenge.request_id),
        severity: Severity::Alarm,
        outcome: Outcome::Refused(code),
        summary,
    })
}

fn remember(step: &mut Step<'_>, browser: KnownBrowser) -> Result<(), Failure> {
    let id = browser.connection_id;
    let mut browsers = browsers(&step.draft, id)?;
    let summary = format!("{} is a known browser at {} from now on", browser.name, browser.origin);
    login::remember(&mut browsers, browser);
    step.draft.put(browsers_key(id), &browsers)?;
    step.tell(Note {
        event_type: event::LoginFinished::ROW.event_type(),
        connection_id: Some(id),
        request_id: None,
        severity: Severity::Notice,
        outcome: Outcome::Done,
        summary,
    })?;
    Ok(())
}

/// The service says that the browser brought the code.
pub fn finished(step: &mut Step<'_>, connection: &Connection, body: Value) -> Result<Result<(), RefusalCode>, Failure> {
    let Ok(finished) = json::from_value::<LoginFinished>(body) else { return Ok(Err(RefusalCode::InvalidRequest)) };
    let id = connection.connection_id;
    let Some(mut login) = get(&step.draft, id, finished.request_id)? else { return Ok(Err(RefusalCode::NotFound)) };
    let known = match login.finish(step.now, &finished) {
        Ok(known) => known,
        Err(code) => return Ok(Err(code)),
    };
    put(&mut step.draft, (id, finished.request_id), &login)?;
    if let Some(browser) = known {
        remember(step, browser)?;
    }
    Ok(Ok(()))
}

/// With the password: the owner agrees to one login from an unknown browser.
pub fn permit(step: &mut Step<'_>, asked: &PermitLogin) -> Result<Result<LoginPermitted, RefusalCode>, Failure> {
    let Some(waiting) = request::shown_as(&step.draft, asked.request_id)? else {
        return Ok(Err(RefusalCode::NotFound));
    };
    let (connection, id) = (waiting.shown.connection_id, waiting.request_id);
    let Some(mut login) = get(&step.draft, connection, id)? else { return Ok(Err(RefusalCode::NotFound)) };
    let until = login.permit(step.now);
    put(&mut step.draft, (connection, id), &login)?;
    Ok(Ok(LoginPermitted { request_id: asked.request_id, until }))
}

/// Owner's command: a link was opened; the service is told.
pub fn open(step: &mut Step<'_>, asked: &OpenLogin) -> Result<Result<OpenedLogin, RefusalCode>, Failure> {
    let Ok(link) = LoginLink::read(&asked.link) else { return Ok(Err(RefusalCode::InvalidRequest)) };
    if link.expires_at <= step.now {
        return Ok(Err(RefusalCode::Expired));
    }
    let Some(connection) = service(step, &link)? else { return Ok(Err(RefusalCode::NotConnected)) };
    let id = connection.connection_id;
    if step.draft.keys(&format!("{OPENED}{id}/"), MAX_OPENED).len() >= MAX_OPENED {
        return Ok(Err(RefusalCode::RateLimited));
    }
    let (login_id, other_device) = (link.login_id, asked.other_device);
    // Nobody signed the link: it may end earlier than what was opened does, and not later.
    let expires_at = link.expires_at.min(step.now.plus_ms(MAX_OPEN_MS));
    let opened = Opened { login_id, origin: link.origin.clone(), other_device, expires_at };
    step.draft.put(opened_key(id, login_id), &opened)?;
    send::to_peer(step, &connection, &event::LoginOpened::ROW, LoginOpened { login_id, other_device }, None)?;
    Ok(Ok(OpenedLogin { connection_id: id, display_name: connection.display_name, origin: link.origin }))
}

/// The active connection with the service of a link, if the site is one of its own.
fn service(step: &Step<'_>, link: &LoginLink) -> Result<Option<Connection>, UnreadableState> {
    let is_its = |connection: &Connection| {
        let service = connection.peer.as_ref().and_then(|peer| peer.profile.service.as_ref());
        connection.service_id() == Some(&link.service_id)
            && service.is_some_and(|service| service.origins.contains(&link.origin))
    };
    Ok(connection::all(&step.draft)?.into_iter().filter(Connection::is_active).find(is_its))
}

/// The browsers that are known on a connection.
pub fn browsers(draft: &Draft<'_>, id: ConnectionId) -> Result<Vec<KnownBrowser>, UnreadableState> {
    Ok(draft.get(&browsers_key(id))?.unwrap_or_default())
}

/// Owner's command: lists the known browsers.
pub fn list(step: &Step<'_>) -> Result<Result<BrowserList, RefusalCode>, Failure> {
    let all: Vec<Vec<KnownBrowser>> = step.draft.values(BROWSERS)?;
    Ok(Ok(BrowserList { browsers: all.into_iter().flatten().collect() }))
}

/// Owner's command: forgets a known browser.
pub fn forget_browser(step: &mut Step<'_>, asked: &BrowserRef) -> Result<Result<Nothing, RefusalCode>, Failure> {
    let mut browsers = browsers(&step.draft, asked.connection_id)?;
    let before = browsers.len();
    browsers.retain(|browser| browser.browser_key != asked.browser_key);
    if browsers.len() == before {
        return Ok(Err(RefusalCode::NotFound));
    }
    if browsers.is_empty() {
        step.draft.remove(&browsers_key(asked.connection_id));
    } else {
        step.draft.put(browsers_key(asked.connection_id), &browsers)?;
    }
    Ok(Ok(Nothing {}))
}

fn settings(draft: &Draft<'_>) -> Result<LoginSettings, UnreadableState> {
    Ok(draft.get(SETTINGS)?.unwrap_or(LoginSettings { allow_numbers: true }))
}

/// Owner's command: reads the settings, or changes what is given.
pub fn set(step: &mut Step<'_>, asked: &SetLogins) -> Result<Result<LoginSettings, RefusalCode>, Failure> {
    let mut settings = settings(&step.draft)?;
    if let Some(allow_numbers) = asked.allow_numbers {
        settings.allow_numbers = allow_numbers;
        step.draft.put(SETTINGS.into(), &settings)?;
    }
    Ok(Ok(settings))
}

/// Forgets what is over.
pub fn tick(step: &mut Step<'_>) -> Result<(), UnreadableState> {
    for key in step.draft.keys(LOGINS, usize::MAX) {
        let over = step.draft.get::<Login>(&key)?.is_none_or(|login| login.expires_at().plus_ms(KEEP_MS) <= step.now);
        if over {
            step.draft.remove(&key);
        }
    }
    for key in step.draft.keys(OPENED, usize::MAX) {
        let over = step.draft.get::<Opened>(&key)?.is_none_or(|opened| opened.expires_at <= step.now);
        if over {
            step.draft.remove(&key);
        }
    }
    flood::tick(step)
}

/// Forgets everything of one connection, at its end.
pub fn forget(draft: &mut Draft<'_>, id: ConnectionId) {
    for prefix in [format!("{LOGINS}{id}/"), format!("{OPENED}{id}/")] {
        draft.keys(&prefix, usize::MAX).iter().for_each(|key| draft.remove(key));
    }
    draft.remove(&browsers_key(id));
    flood::forget(draft, id);
}

/// After a restore no browser is known: one may have been forgotten meanwhile.
pub fn forget_all(draft: &mut Draft<'_>) {
    for prefix in [LOGINS, OPENED, BROWSERS] {
        draft.keys(prefix, usize::MAX).iter().for_each(|key| draft.remove(key));
    }
}

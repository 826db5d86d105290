//! Logging members in: the waiting pages, the questions to the members, and the keys of browsers that members made known. What
//! counts is decided in [`crate::login`]; here it is asked, waited for and stored.

use super::{Gateway, RequestError, Shared, asking, lock, posts, put};
use crate::clock;
use crate::connection::{Live, Post, Route};
use crate::handshake::GIVE_UP_AFTER_MS;
use crate::login::{Begun, LoggedIn, LoginError, LoginProgress, Verifier, WaitingPage};
use crate::question::{Ask, BrowserProof, LoginRequest, Outcome};
use crate::random;
use crate::requests::Progress;
use crate::state::StateError;
use std::sync::Arc;
use std::time::Duration;
use vettid_core::channel::ChannelError;
use vettid_wire::base64::{Base64, Base64Url};
use vettid_wire::connection::ConnectionState;
use vettid_wire::envelope::Content;
use vettid_wire::event::{self, EventRow as _};
use vettid_wire::id::{ConnectionId, EventId, Fingerprint, LoginId, MemberId};
use vettid_wire::key::TypedKey;
use vettid_wire::login::{LoginFinished, LoginOpened};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::subject::Subject;

/// Most browsers that are known for one connection; the oldest gives way.
const MAX_BROWSERS: usize = 16;

/// Why a login cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum LoginFailed {
    /// A step that does not fit.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The member could not be asked.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// It could not be stored.
    #[error(transparent)]
    State(#[from] StateError),
    /// The member's vault could not be told.
    #[error(transparent)]
    Channel(#[from] ChannelError),
}

impl Gateway {
    /// A page of a program of the service begins to wait for a member. The caller puts the verifier into a cookie of that browser and shows link, QR code
    /// and, if there is one, the number.
    ///
    /// # Errors
    /// [`LoginError::Page`], [`LoginError::TooMany`].
    pub fn begin_login(&self, page: WaitingPage) -> Result<Begun, LoginError> {
        lock(&self.0.logins).begin(clock::now(), &mut random::system(), page)
    }

    /// The same for a page that anybody may open; such pages leave room for those of programs.
    ///
    /// # Errors
    /// As [`begin_login`](Self::begin_login).
    pub(crate) fn begin_login_for_anybody(&self, page: WaitingPage) -> Result<Begun, LoginError> {
        lock(&self.0.logins).begin_for_anybody(clock::now(), &mut random::system(), page)
    }

    /// The waiting browser shows its key, with its signature over [`Begun::to_sign`]. Before anybody is asked.
    ///
    /// # Errors
    /// See [`LoginError`].
    pub fn prove_browser(&self, id: LoginId, verifier: &Verifier, proof: BrowserProof) -> Result<(), LoginError> {
        lock(&self.0.logins).prove(clock::now(), (id, verifier), proof)
    }

    /// Asks a member without a link: the one that the browser's key leads to, or the one that `hint` names. Without a known key
    /// only if unknown browsers are let in by a number.
    ///
    /// # Errors
    /// [`LoginError::NotKnown`] if nobody may be asked, and see [`LoginFailed`].
    pub async fn push_login(
        &self,
        id: LoginId,
        verifier: &Verifier,
        hint: Option<ConnectionId>,
    ) -> Result<(), LoginFailed> {
        let shared = &self.0;
        let key = lock(&shared.logins).key_of(clock::now(), id, verifier)?;
        let known = key.map(|key| shared.connections_of(&key)).unwrap_or_default();
        let connection = hint.or_else(|| known.first().copied().filter(|_| known.len() == 1));
        let connection = connection.ok_or(LoginError::NotKnown)?;
        let member = shared.member_of(connection).await?;
        let by = (connection, member);
        let request = lock(&shared.logins).push(clock::now(), (id, verifier), by, known.contains(&connection))?;
        ask(shared, connection, request).await
    }

    /// The connections that were made after the first `seen`, with their members, in the order in which they were made.
    pub(crate) fn members_since(&self, seen: usize) -> Vec<(ConnectionId, Fingerprint)> {
        lock(&self.0.connections).members.get(seen..).unwrap_or_default().to_vec()
    }

    /// Whether unknown browsers may be let in by a number.
    pub(crate) fn lets_in_by_number(&self) -> bool {
        self.0.config.login.numbers
    }

    /// Whether the key that the waiting browser showed is one that this member made known.
    pub(crate) fn is_known_browser(&self, id: LoginId, verifier: &Verifier, member: ConnectionId) -> bool {
        let key = lock(&self.0.logins).key_of(clock::now(), id, verifier);
        key.ok().flatten().is_some_and(|key| self.0.connections_of(&key).contains(&member))
    }

    /// The browser waits no more for this login.
    pub(crate) fn give_up_login(&self, id: LoginId, verifier: &Verifier) {
        lock(&self.0.logins).give_up(clock::now(), id, verifier);
    }

    /// How far a login is, for the browser that waits: polls at most `wait`, and takes the code that the browser brought back.
    /// [`LoginProgress::LoggedIn`] is told once.
    ///
    /// # Errors
    /// [`LoginError::Unknown`] for another browser, and see [`LoginFailed`].
    pub async fn login(
        &self,
        id: LoginId,
        verifier: &Verifier,
        code: Option<&Base64Url>,
        wait: Duration,
    ) -> Result<LoginProgress, LoginFailed> {
        let shared = &self.0;
        let request = lock(&shared.logins).request_of(clock::now(), id, verifier)?;
        let outcome = match request.and_then(|id| shared.requests.get(id)) {
            None => None,
            Some(request) => {
                asking::wait_for(shared, &request, wait).await;
                match &*request.progress().borrow() {
                    Progress::Done(_, outcome) => Some(outcome.clone()),
                    Progress::Asked | Progress::Pending => None,
                }
            }
        };
        let key = lock(&shared.logins).key_of(clock::now(), id, verifier)?;
        let progress = lock(&shared.logins).progress(clock::now(), (id, verifier), outcome.as_ref(), code)?;
        match &progress {
            LoginProgress::LoggedIn(logged_in) => remember(shared, logged_in).await?,
            LoginProgress::Refused(RefusalCode::NotAllowed) => forget(shared, request, key.as_ref()).await?,
            _ => {}
        }
        Ok(progress)
    }
}

impl Shared {
    /// The connections whose member knows the browser with this key.
    fn connections_of(&self, key: &TypedKey) -> Vec<ConnectionId> {
        lock(&self.connections).by_browser.get(key).cloned().unwrap_or_default()
    }

    async fn member_of(&self, id: ConnectionId) -> Result<MemberId, RequestError> {
        let live = self.lock_live(id).await.ok_or(RequestError::UnknownConnection)?;
        let is_active = live.record.state == ConnectionState::Active;
        if is_active { Ok(live.record.member.guid) } else { Err(RequestError::NotConnected) }
    }
}

async fn ask(shared: &Arc<Shared>, id: ConnectionId, request: LoginRequest) -> Result<(), LoginFailed> {
    asking::ask(shared, id, Ask::Login(request), Duration::ZERO).await?;
    Ok(())
}

/// A member's app opened the link of a page: that member is asked.
pub(super) async fn opened(shared: &Arc<Shared>, by: (ConnectionId, MemberId), opened: &LoginOpened) {
    let request = lock(&shared.logins).opened(clock::now(), by, opened);
    let Some(request) = request else { return shared.count_dropped() };
    if let Err(error) = ask(shared, by.0, request).await {
        tracing::warn!(%error, "a member who opened a link could not be asked");
    }
}

/// The member's vault learns that the code arrived, and the browser's key is kept if the member wants it.
async fn remember(shared: &Arc<Shared>, logged_in: &LoggedIn) -> Result<(), LoginFailed> {
    let id = logged_in.connection_id;
    let Some(key) = &logged_in.remembered else { return Ok(()) };
    let Some(mut live) = shared.lock_live(id).await else { return Ok(()) };
    let browsers = &mut live.record.browsers;
    browsers.retain(|known| known != key);
    browsers.push(key.clone());
    let given_way = (browsers.len() > MAX_BROWSERS).then(|| browsers.remove(0));
    let post = match &logged_in.finished {
        Some(finished) => post(shared, &mut live, finished)?,
        None => None,
    };
    live.record.outbox.extend(post.clone());
    shared.store(&mut live).await?;
    drop(live);
    let mut connections = lock(&shared.connections);
    given_way.iter().for_each(|key| connections.forget_browser(id, key));
    connections.know_browser(id, key.clone());
    drop(connections);
    if let Some(post) = post {
        posts::spawn(shared, id, post);
    }
    Ok(())
}

fn post(shared: &Shared, live: &mut Live, finished: &LoginFinished) -> Result<Option<Post>, ChannelError> {
    let Some(channel) = live.channel.as_mut() else { return Ok(None) };
    let (now, row) = (clock::now(), event::LoginFinished::ROW);
    let service_id = shared.presentation.service_id.clone();
    let subject = Subject::FromService(live.record.member.guid, service_id, row.event_type());
    let message = EventId::v7(now, random::bytes());
    let content =
        Content { body: finished, to_incarnation: channel.peer_incarnation(), in_reply_to: None, expires_at: None };
    let sealed = channel.seal(now, &mut random::system(), &subject, message, &row.event_type(), &content)?;
    let give_up_at = now.plus_ms(row.within_ms.unwrap_or(GIVE_UP_AFTER_MS));
    Ok(Some(Post { message, route: Route::Service, subject, bytes: Base64::new(sealed), give_up_at }))
}

/// The member does not know this browser any more.
async fn forget(
    shared: &Shared,
    request: Option<vettid_wire::id::RequestId>,
    key: Option<&TypedKey>,
) -> Result<(), StateError> {
    let asked = request.and_then(|id| shared.requests.get(id));
    let Some((request, key)) = asked.zip(key) else { return Ok(()) };
    let id = request.question().connection_id;
    if !matches!(&*request.progress().borrow(), Progress::Done(_, Outcome::Refused { .. })) {
        return Ok(());
    }
    let Some(mut live) = shared.lock_live(id).await else { return Ok(()) };
    live.record.browsers.retain(|known| known != key);
    let mut draft = shared.state.draft();
    put(&mut draft, &mut live)?;
    shared.commit(draft).await?;
    drop(live);
    lock(&shared.connections).forget_browser(id, key);
    Ok(())
}

//! Logins that are under way: a browser, what its client asked for, and how far the member is. In memory alone: after a
//! restart the browser begins anew. Each is a login of the gateway's own ([`crate::login`]), whose verifier only the cookie of the
//! browser leads to; [`ask`] and [`progress`] are the seam for those that no browser waits for.

use super::authorize::AuthorizationRequest;
use super::handle::HandleHash;
use super::provider::Provider;
use crate::clock;
use crate::gateway::{LoginFailed, RequestError};
use crate::login::{Begun, LoggedIn, LoginError, LoginProgress, WaitingPage};
use crate::question::{Ask, LoginRequest};
use crate::random;
use crate::view::Status;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use vettid_core::login::pick_number;
use vettid_crypto::kdf::h256_parts;
use vettid_wire::auth::Display;
use vettid_wire::base64::Base64Url;
use vettid_wire::id::{ConnectionId, InviteId, LoginId, RequestId};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

/// Most logins under way at once, of all browsers and of those of one network.
const MOST: usize = 10_000;
const MOST_OF_ONE_NETWORK: usize = MOST / 8;
/// A browser may take this long, in milliseconds.
pub(super) const LIFE_MS: i64 = 600_000;

/// Where a browser comes back with a code, below the issuer.
pub(super) const RETURN: &str = "/login/return";

/// How far a login is.
#[derive(Debug, Clone)]
pub(super) enum Stage {
    /// Nobody is asked yet; whoever used this browser last may be offered.
    Choose(Option<ConnectionId>),
    /// An invitation is shown.
    Inviting {
        /// The invitation.
        invite_id: InviteId,
        /// Its link.
        link: String,
    },
    /// A member is waited for.
    Waiting(Attempt),
    /// The browser is let in; its page takes it back to the client, once.
    Approved {
        /// Who is expected, if somebody is.
        whom: Option<ConnectionId>,
        /// Who it is.
        by: LoggedIn,
    },
    /// Nothing came of it.
    Ended {
        /// Who was expected, if somebody was.
        whom: Option<ConnectionId>,
        /// Why.
        why: Ended,
    },
}

/// A login of the gateway that the browser waits for.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    /// The member who was chosen; no other is let in.
    pub whom: Option<ConnectionId>,
    /// The login. The verifier leaves the gateway no more than this does.
    pub begun: Arc<Begun>,
}

/// Why nothing came of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The member said no.
    Denied,
    /// The member's vault knows nothing that ties the login to this browser.
    NotTied,
    /// The member's vault refused for another reason.
    Refused,
    /// Nobody answered in time.
    Expired,
    /// The browser brought a code that is not the right one.
    WrongCode,
    /// The invitation led to no connection.
    NotConnected,
    /// Nothing but a number could tie a browser without script to the login, and numbers are off.
    NeedsScript,
    /// Too many logins wait, at all or in the browser's network.
    Crowded,
    /// The gateway could not go on.
    Failed,
}

/// How far a login is whose member is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nobody is asked yet.
    Waiting,
    /// The member is being asked.
    Asked,
    /// The member said yes on the same device: the code has to come.
    AwaitsCode,
    /// It is over; the stage says how.
    Over,
}

/// A login under way.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    /// What the client asked for.
    pub request: AuthorizationRequest,
    /// The member that the client insists on, if it does.
    pub only: Option<ConnectionId>,
    /// The browser that it belongs to.
    pub browser: HandleHash,
    /// Stands in every form of its pages.
    pub form_key: String,
    /// Shown to the member.
    pub display: Display,
    /// The first part of its address, if addresses tell browsers apart here.
    pub network: Option<String>,
    /// Whether the browser runs the script of the page.
    pub has_script: bool,
    /// How far it is.
    pub stage: Stage,
    /// Not taken later.
    pub ends_at: Timestamp,
}

/// All logins under way, by the id in their address.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    all: HashMap<String, Pending>,
    by_network: HashMap<String, usize>,
}

impl Waiting {
    /// Keeps a login; `false` if too many are under way, at all or from the browser's network.
    pub(super) fn add(&mut self, id: &str, pending: Pending) -> bool {
        let from_there = pending.network.as_ref().and_then(|network| self.by_network.get(network));
        let has_room = self.all.len() < MOST && from_there.is_none_or(|number| *number < MOST_OF_ONE_NETWORK);
        if has_room {
            if let Some(network) = &pending.network {
                *self.by_network.entry(network.clone()).or_default() += 1;
            }
            self.all.insert(id.to_owned(), pending);
        }
        has_room
    }

    fn remove(&mut self, id: &str) -> Option<Pending> {
        let pending = self.all.remove(id)?;
        if let Some(network) = &pending.network
            && let Some(number) = self.by_network.get_mut(network)
        {
            *number -= 1;
            if *number == 0 {
                self.by_network.remove(network);
            }
        }
        Some(pending)
    }

    /// Takes out what is over; gives how far each was.
    pub(super) fn sweep(&mut self, now: Timestamp) -> Vec<Stage> {
        let over = self.all.iter().filter(|(_, pending)| pending.ends_at < now);
        let over: Vec<String> = over.map(|(id, _)| id.clone()).collect();
        over.iter().filter_map(|id| self.remove(id)).map(|pending| pending.stage).collect()
    }

    /// How many other logins of the same network are at such a stage.
    pub(super) fn beside(&self, id: &str, pending: &Pending, is_such: impl Fn(&Stage) -> bool) -> usize {
        let Some(network) = &pending.network else { return 0 };
        let others = self.all.iter().filter(|(other, _)| *other != id);
        others.filter(|(_, other)| other.network.as_ref() == Some(network) && is_such(&other.stage)).count()
    }

    /// A login, for the browser that began it.
    pub(super) fn get(&self, now: Timestamp, id: &str, browser: &HandleHash) -> Option<Pending> {
        self.all.get(id).filter(|pending| pending.browser == *browser && now <= pending.ends_at).cloned()
    }

    /// Says how far a login is now; gives how far it was until then. If it is gone, nobody waits for the new stage either.
    pub(super) fn set(&mut self, id: &str, stage: Stage) -> Stage {
        match self.all.get_mut(id) {
            Some(pending) => std::mem::replace(&mut pending.stage, stage),
            None => stage,
        }
    }

    /// The invitation that is shown led to a connection: gives whom to ask, once. `None` if another look was faster.
    pub(super) fn connected(&mut self, id: &str, invite: InviteId, connection: ConnectionId) -> Option<ConnectionId> {
        let shown =
            |pending: &&mut Pending| matches!(pending.stage, Stage::Inviting { invite_id, .. } if invite_id == invite);
        let pending = self.all.get_mut(id).filter(shown)?;
        pending.stage = Stage::Choose(Some(connection));
        Some(connection)
    }

    /// Says what came of an attempt, if the login still waits for that one.
    pub(super) fn end(&mut self, id: &str, login: LoginId, stage: Stage) {
        let is_it = |pending: &Pending| matches!(&pending.stage, Stage::Waiting(now) if now.begun.login_id == login);
        if self.all.get(id).is_some_and(is_it) {
            self.set(id, stage);
        }
    }

    /// The browser ran the script of the page.
    pub(super) fn has_script(&mut self, id: &str) {
        if let Some(pending) = self.all.get_mut(id) {
            pending.has_script = true;
        }
    }

    /// The logins of a browser that wait for a member.
    pub(super) fn of(&self, now: Timestamp, browser: &HandleHash) -> Vec<(String, Pending)> {
        let is_own = |pending: &Pending| pending.browser == *browser && now <= pending.ends_at;
        let waits = |pending: &Pending| matches!(pending.stage, Stage::Waiting(_));
        let own = self.all.iter().filter(|(_, pending)| is_own(pending) && waits(pending));
        own.map(|(id, pending)| (id.clone(), pending.clone())).collect()
    }

    /// Takes a login out, once; the other logins of the browser go on under its new cookie.
    pub(super) fn take(&mut self, id: &str, next: &HandleHash) -> Option<Pending> {
        let pending = self.remove(id)?;
        for other in self.all.values_mut().filter(|other| other.browser == pending.browser) {
            other.browser = next.clone();
        }
        Some(pending)
    }

    /// Takes a login out that came to nothing.
    pub(super) fn forget(&mut self, id: &str) {
        self.remove(id);
    }
}

/// A login of the gateway for a browser. Nobody is asked yet.
///
/// # Errors
/// See [`LoginError`].
pub(super) fn begin(provider: &Provider, display: Display, whom: Option<ConnectionId>) -> Result<Attempt, LoginError> {
    let issuer = provider.issuer();
    let return_path = format!("{}{RETURN}", issuer.path());
    let begun =
        provider.gateway().begin_login_for_anybody(WaitingPage { origin: issuer.origin(), return_path, display })?;
    Ok(Attempt { whom, begun: Arc::new(begun) })
}

/// Gives up what logins were waiting for: nobody is to answer it any more.
pub(super) async fn give_up(provider: &Provider, stages: Vec<Stage>) {
    let mut invitations = Vec::new();
    for stage in stages {
        match stage {
            Stage::Waiting(former) => provider.gateway().give_up_login(former.begun.login_id, &former.begun.verifier),
            Stage::Inviting { invite_id, .. } => invitations.push(invite_id),
            Stage::Choose(_) | Stage::Approved { .. } | Stage::Ended { .. } => {}
        }
    }
    if invitations.is_empty() {
        return;
    }
    if let Err(error) = provider.gateway().withdraw_invitations(&invitations).await {
        tracing::error!(%error, "invitations of login pages could not be taken back");
    }
}

/// Takes what became of an attempt, and the code that the browser brought; waits a moment for the member. What comes of it is kept
/// even if the browser does not wait for the answer.
pub(super) async fn advance(
    provider: &Provider,
    id: &str,
    attempt: Attempt,
    code: Option<Base64Url>,
    wait: Duration,
) -> Step {
    let (own, id) = (provider.clone(), id.to_owned());
    let task = provider.tasks().spawn(async move {
        let begun = &attempt.begun;
        let progress = own.gateway().login(begun.login_id, &begun.verifier, code.as_ref(), wait).await;
        let (step, stage) = match progress {
            Ok(LoginProgress::Waiting) => return Step::Waiting,
            Ok(LoginProgress::Asked) => return Step::Asked,
            Ok(LoginProgress::AwaitsCode) => return Step::AwaitsCode,
            // Another look has just ended it and says how.
            Err(LoginFailed::Login(LoginError::Unknown)) if clock::now() < begun.expires_at => return Step::Asked,
            Ok(LoginProgress::LoggedIn(by)) => (Step::Over, Stage::Approved { whom: attempt.whom, by }),
            ended => (Step::Over, Stage::Ended { whom: attempt.whom, why: why(ended) }),
        };
        own.waiting().end(&id, begun.login_id, stage);
        step
    });
    task.await.unwrap_or(Step::Over)
}

/// Why nothing came of an attempt.
pub(super) fn why(ended: Result<LoginProgress, LoginFailed>) -> Ended {
    match ended {
        Ok(LoginProgress::Denied) => Ended::Denied,
        Ok(LoginProgress::Refused(RefusalCode::NotAllowed)) | Err(LoginFailed::Login(LoginError::NotKnown)) => {
            Ended::NotTied
        }
        Ok(LoginProgress::Refused(_)) => Ended::Refused,
        Ok(LoginProgress::Over) => Ended::WrongCode,
        Ok(LoginProgress::Expired) | Err(LoginFailed::Login(LoginError::Unknown)) => Ended::Expired,
        Ok(_) => Ended::Failed,
        Err(error) => {
            tracing::warn!(%error, "a login could not go on");
            Ended::Failed
        }
    }
}

/// What became of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    /// The member has not decided yet.
    Open,
    /// The member approved.
    Approved {
        /// When.
        auth_time: Timestamp,
        /// How the member was recognised.
        amr: Vec<String>,
    },
    /// The member said no.
    Denied,
    /// The member's vault said no by itself.
    Refused,
    /// Nobody answered in time.
    Expired,
}

/// Asks a member to log in; gives the question and the number that has to be shown where the login waits. `session`: names
/// what waits for it; the member's answer is bound to it.
pub(super) async fn ask(
    provider: &Provider,
    connection: ConnectionId,
    session: &[u8],
    display: Display,
) -> Result<(RequestId, u8), RequestError> {
    let session_hash = h256_parts(&[b"vettid-oidc session\0", session]);
    let number = pick_number(&mut random::system());
    let login =
        LoginRequest { number: Some(number), ..LoginRequest::new(&provider.issuer().origin(), session_hash, display) };
    let view = provider.gateway().ask(connection, Ask::Login(login), Duration::ZERO).await?;
    Ok((view.request_id, number))
}

/// What became of a question; waits a moment for it.
pub(super) async fn progress(provider: &Provider, request: RequestId, wait: Duration) -> Progress {
    match provider.gateway().request(request, wait).await.map(|view| view.status) {
        Some(Status::Asked | Status::Pending) => Progress::Open,
        Some(Status::Approved { auth_time, method, .. }) => Progress::Approved { auth_time, amr: method },
        Some(Status::Denied { .. }) => Progress::Denied,
        // No link was asked for, so no code counts.
        Some(
            Status::Refused { .. }
            | Status::Served { .. }
            | Status::Answered { .. }
            | Status::Accepted { .. }
            | Status::Done { .. }
            | Status::AwaitsCode { .. },
        ) => Progress::Refused,
        Some(Status::Expired) | None => Progress::Expired,
    }
}

#[cfg(test)]
mod tests;

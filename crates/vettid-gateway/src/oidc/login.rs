//! Logins that are under way: a browser, what its client asked for, and how far the member is. In memory alone: after a
//! restart the browser begins anew. The one seam to the gateway's own login: [`ask`] begins it, [`progress`] looks at it.

use super::authorize::AuthorizationRequest;
use super::handle::HandleHash;
use super::provider::Provider;
use crate::gateway::RequestError;
use crate::question::{Ask, LoginRequest};
use crate::random;
use crate::view::Status;
use std::collections::HashMap;
use std::time::Duration;
use vettid_core::login::pick_number;
use vettid_crypto::kdf::h256_parts;
use vettid_wire::auth::Display;
use vettid_wire::id::{ConnectionId, InviteId, RequestId};
use vettid_wire::time::Timestamp;

/// Most logins under way at once.
const MOST: usize = 10_000;
/// A browser may take this long, in milliseconds.
pub(super) const LIFE_MS: i64 = 600_000;

/// How far a login is.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// A member is asked.
    Asking {
        /// The member.
        connection_id: ConnectionId,
        /// The question.
        request_id: RequestId,
        /// What the page shows: the member's yes names it.
        number: u8,
    },
}

/// A login under way.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// How far it is.
    pub stage: Stage,
    /// Not taken later.
    pub ends_at: Timestamp,
}

/// All logins under way, by the id in their address.
#[derive(Debug, Default)]
pub(super) struct Waiting(HashMap<String, Pending>);

impl Waiting {
    /// Keeps a login; `false` if too many are under way.
    pub(super) fn add(&mut self, now: Timestamp, id: &str, pending: Pending) -> bool {
        if self.0.len() >= MOST {
            self.0.retain(|_, pending| now <= pending.ends_at);
        }
        let has_room = self.0.len() < MOST;
        if has_room {
            self.0.insert(id.to_owned(), pending);
        }
        has_room
    }

    /// A login, for the browser that began it.
    pub(super) fn get(&self, now: Timestamp, id: &str, browser: &HandleHash) -> Option<Pending> {
        self.0.get(id).filter(|pending| pending.browser == *browser && now <= pending.ends_at).cloned()
    }

    /// Says how far a login is now.
    pub(super) fn set(&mut self, id: &str, stage: Stage) {
        if let Some(pending) = self.0.get_mut(id) {
            pending.stage = stage;
        }
    }

    /// Takes a login out, once; the other logins of the browser go on under its new cookie.
    pub(super) fn take(&mut self, id: &str, next: &HandleHash) -> Option<Pending> {
        let pending = self.0.remove(id)?;
        for other in self.0.values_mut().filter(|other| other.browser == pending.browser) {
            other.browser = next.clone();
        }
        Some(pending)
    }

    /// Takes a login out that came to nothing.
    pub(super) fn forget(&mut self, id: &str) {
        self.0.remove(id);
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
        Some(Status::Refused { .. } | Status::Served { .. } | Status::Done { .. } | Status::AwaitsCode { .. }) => {
            Progress::Refused
        }
        Some(Status::Expired) | None => Progress::Expired,
    }
}

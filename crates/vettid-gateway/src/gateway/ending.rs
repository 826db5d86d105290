//! The end of a connection: nothing that was had on it is kept, and nothing that was asked on it will be answered. What must be
//! gone goes with the very commit of the end.

use super::{Gateway, RequestError, Shared, asking, lock, posts, put, values};
use crate::clock;
use crate::connection::Live;
use crate::question::Outcome;
use crate::random;
use crate::revocation;
use crate::state::{Draft, StateError};
use crate::webhook::{Event, EventKind};
use serde_json::json;
use std::sync::Arc;
use vettid_wire::connection::{ConnectionState, RevocationReason};
use vettid_wire::id::ConnectionId;
use vettid_wire::refusal::RefusalCode;

impl Gateway {
    /// Ends a connection at once and tells the member.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn revoke(&self, id: ConnectionId, reason: RevocationReason) -> Result<(), RequestError> {
        let shared = &self.0;
        let live = shared.live(id).ok_or(RequestError::UnknownConnection)?;
        let mut live = live.lock_owned().await;
        if !matches!(live.record.state, ConnectionState::Active | ConnectionState::Requested) {
            return Err(RequestError::NotConnected);
        }
        {
            let (identity, service_id) = (shared.identity(), &shared.presentation.service_id);
            let signing = identity.signing_key();
            revocation::revoke(clock::now(), &mut random::system(), service_id, signing, &mut live, reason)?;
        }
        shared.store_end(&mut live, EndedBy::Service).await?;
        let posts = live.record.outbox.clone();
        drop(live);
        shared.end_requests(id).await;
        for post in posts {
            posts::spawn(shared, id, post);
        }
        Ok(())
    }
}

impl Shared {
    /// Makes the end of a connection durable, and with the same commit that nothing that was had on it is kept. Who holds the
    /// connection takes no answer on it meanwhile.
    pub(super) async fn store_end(self: &Arc<Self>, live: &mut Live, by: EndedBy) -> Result<(), StateError> {
        let id = live.record.connection_id;
        let mut draft = self.state.draft();
        put(&mut draft, live)?;
        self.tell_end(&mut draft, live, by)?;
        let with_values = self.requests.with_values(id);
        let mut purges = asking::leave_out(&mut draft, &with_values);
        purges |= values::leave_out(&lock(&self.values), &mut draft, |of| of == id);
        let shared = Arc::clone(self);
        draft.then(move || {
            shared.requests.let_go(id);
            lock(&shared.values).retain(|(of, _), _| *of != id);
        });
        if purges { self.purge(draft).await } else { self.commit(draft).await }
    }

    /// After the end of a connection nothing that was asked on it will be answered.
    pub(super) async fn end_requests(&self, id: ConnectionId) {
        for request in self.requests.open_of(id) {
            asking::conclude(self, &request, Outcome::Refused { code: RefusalCode::NotConnected, retry_at: None })
                .await;
        }
    }

    /// Puts into the commit of a connection that is over that it is.
    fn tell_end(&self, draft: &mut Draft, live: &Live, by: EndedBy) -> Result<(), StateError> {
        let (now, id) = (clock::now(), live.record.connection_id);
        let body = json!({"contract_version": live.record.contract.contract_version});
        self.tell(draft, now, &Event::of(EventKind::ContractEnded, id, body))?;
        self.tell(draft, now, &Event::of(EventKind::ConnectionEnded, id, json!({"ended_by": by.name()})))
    }
}

/// Who ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndedBy {
    Member,
    Service,
}

impl EndedBy {
    fn name(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Service => "service",
        }
    }
}

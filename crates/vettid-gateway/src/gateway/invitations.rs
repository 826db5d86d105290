//! Invitations that nobody has answered. Programs of the service make them, and so do pages that anybody may open; such pages
//! must never take the room of the programs.

use super::{Gateway, Shared, invitation_key, lock};
use crate::clock;
use crate::connection::OpenInvitation;
use crate::handshake::{self, HandshakeFailed};
use crate::once;
use crate::random;
use crate::share;
use crate::state::StateError;
use crate::view::Invitation;
use vettid_wire::id::InviteId;

/// Why there is no invitation.
#[derive(Debug, thiserror::Error)]
pub enum InviteError {
    /// As many are open as the configuration allows.
    #[error("too many invitations are open")]
    TooManyOpen,
    /// It could not be made.
    #[error(transparent)]
    Failed(#[from] HandshakeFailed),
    /// It could not be stored.
    #[error(transparent)]
    State(#[from] StateError),
}

impl Gateway {
    /// Makes an invitation for one member, for a program of the service.
    ///
    /// # Errors
    /// See [`InviteError`].
    pub async fn invite(&self) -> Result<Invitation, InviteError> {
        self.0.invite(false).await
    }

    /// The same for a page that anybody may open. It gives the invitation back with
    /// [`withdraw_invitations`](Self::withdraw_invitations) when it shows it no more.
    ///
    /// # Errors
    /// See [`InviteError`].
    pub(crate) async fn invite_anybody(&self) -> Result<Invitation, InviteError> {
        self.0.invite(true).await
    }

    /// Whether an invitation may still be answered.
    pub(crate) fn is_open(&self, id: InviteId) -> bool {
        lock(&self.0.invitations).get(&id).is_some_and(|open| clock::now() < open.responder.expires_at())
    }

    /// Takes invitations back that nobody has answered; one that was answered goes on.
    ///
    /// # Errors
    /// See [`StateError`].
    pub(crate) async fn withdraw_invitations(&self, ids: &[InviteId]) -> Result<(), StateError> {
        let mut draft = self.0.state.draft();
        {
            let mut open = lock(&self.0.invitations);
            ids.iter().filter(|id| open.remove(*id).is_some()).for_each(|id| draft.remove(invitation_key(*id)));
        }
        self.0.commit(draft).await
    }

    /// How many invitations and waiting logins the pages that browsers of one network opened may have.
    pub(crate) fn share_of_one_network(&self) -> (usize, usize) {
        let config = &self.0.config;
        (share::of_one_network(config.limits.open_invitations), share::of_one_network(config.login.waiting))
    }
}

impl Shared {
    async fn invite(&self, for_anybody: bool) -> Result<Invitation, InviteError> {
        let now = clock::now();
        let style = &self.config.invitation;
        let (invitation, link) = {
            let identity = self.identity();
            let own = self.own(&identity);
            let life_ms = i64::from(style.life_seconds) * 1000;
            handshake::new_invitation(now, &mut random::system(), own, life_ms, style.page.as_deref())?
        };
        let invitation = OpenInvitation { for_anybody, ..invitation };
        let view = Invitation {
            invite_id: invitation.invite_id,
            link,
            created_at: now,
            expires_at: invitation.responder.expires_at(),
        };
        self.keep_invitation(invitation, &view).await?;
        Ok(view)
    }

    async fn keep_invitation(&self, invitation: OpenInvitation, view: &Invitation) -> Result<(), InviteError> {
        let (id, mut draft) = (invitation.invite_id, self.state.draft());
        draft.put(invitation_key(id), &invitation)?;
        once::answer(&mut draft, 201, view)?;
        // It takes its place before the commit, so that many at once cannot be more than there is room for.
        self.place(invitation)?;
        let stored = self.commit(draft).await;
        if stored.is_err() {
            lock(&self.invitations).remove(&id);
        }
        Ok(stored?)
    }

    fn place(&self, invitation: OpenInvitation) -> Result<(), InviteError> {
        let (mut open, most) = (lock(&self.invitations), self.config.limits.open_invitations);
        let of_anybody = || open.values().filter(|one| one.for_anybody).count();
        if open.len() >= most || (invitation.for_anybody && of_anybody() >= share::of_anybody(most)) {
            return Err(InviteError::TooManyOpen);
        }
        open.insert(invitation.invite_id, invitation);
        Ok(())
    }
}

//! The way out of a limited session: the password proves the member where no earlier handshake does (spec 2.5.2).

use super::desk::Desk;
use super::failure::CredentialError;
use super::password::Entry;
use crate::app::Ports;
use crate::command::CommandError;
use crate::line::Line;
use vettid_wire::event::{CredentialUse, EventRow, Nothing};
use vettid_wire::secret::Restore;

impl<P: Ports> Desk<'_, Line<'_, P>> {
    /// Ends the limit of the session; `false` if it has none, and then no password is asked for.
    pub(super) async fn restore_session(&mut self, entry: &mut Entry<'_>) -> Result<bool, CredentialError> {
        self.line.require_session_for(&CredentialUse::ROW.event_type()).await?;
        if !self.line.is_limited() {
            return Ok(false);
        }
        self.perform::<Restore>(entry, |_| Nothing {}).await?;
        if self.line.is_limited() { Err(CommandError::LimitedSession.into()) } else { Ok(true) }
    }
}

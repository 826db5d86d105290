//! Grants from the app's side: their keys are kept sealed until they expire, and open what comes under them.

use super::desk::{Desk, Performed};
use super::failure::CredentialError;
use super::kept::KeptGrant;
use super::password::Entry;
use super::secret::Gained;
use crate::app::Ports;
use crate::command::CommandError;
use crate::line::Line;
use serde::Serialize;
use vettid_crypto::secret::Secret32;
use vettid_crypto::secret_box::{BoxKey, Boxed, Occasion};
use vettid_wire::event::{EventRow, GrantEnd, GrantUse};
use vettid_wire::id::SecretId;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::secret::{Action, Grant, GrantOpened, GrantRef, OpenGrant, Operation, UseSecret};
use vettid_wire::time::Timestamp;

/// An open grant whose key this app holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct GrantKept {
    /// The secret.
    pub secret_id: SecretId,
    /// The one operation.
    pub operation: Operation,
    /// It ends then at the latest; earlier when the vault is locked or restarted, or when its uses are spent.
    pub expires_at: Timestamp,
}

impl<P: Ports> Desk<'_, Line<'_, P>> {
    /// Opens a grant and keeps its key.
    pub(super) async fn open_grant(
        &mut self,
        wanted: OpenGrant,
        entry: &mut Entry<'_>,
    ) -> Result<GrantKept, CredentialError> {
        let Performed { op_id, outcome, key } = self.perform::<Grant>(entry, |_| wanted.clone()).await?;
        let GrantOpened { secret_id, operation, expires_at, sealed_key } = outcome;
        let unreadable = CredentialError::Unreadable { action: Grant::NAME };
        if (secret_id, operation) != (wanted.secret_id, wanted.operation) {
            return Err(unreadable);
        }
        let boxed = Boxed::GrantKey(secret_id);
        let bytes = self.unbox(boxed, Occasion::Operation(op_id), &key, &sealed_key, Grant::NAME)?;
        let key = Secret32::from_slice(bytes.expose()).ok_or(unreadable)?;
        let now = self.line.now();
        self.kept()?.add_grant(now, KeptGrant { secret_id, operation, opened_at: Some(now), expires_at, key });
        self.save()?;
        Ok(GrantKept { secret_id, operation, expires_at })
    }

    /// Uses a secret under a grant; `None` if there is none, or none any more, and the password is needed.
    pub(super) async fn use_under_grant(&mut self, wanted: &UseSecret) -> Result<Option<Gained>, CredentialError> {
        let (now, UseSecret { secret_id, operation, .. }) = (self.line.now(), wanted);
        let grant = self.kept.as_ref().and_then(|kept| kept.grant(now, *secret_id, *operation));
        let Some(key) = grant.and_then(|grant| BoxKey::from_slice(grant.key.expose())) else {
            return Ok(None);
        };
        match self.line.ask_by_id::<GrantUse>(wanted).await {
            Ok((event_id, used)) => {
                let occasion = Occasion::Event(event_id);
                self.gained(&used, *secret_id, occasion, &key, GrantUse::ROW.name).map(Some)
            }
            // The vault ended it before its time; what the vault says of the input itself is the answer.
            Err(CommandError::Refused { code, .. }) if code != RefusalCode::InvalidRequest => {
                self.kept()?.end_grant(*secret_id, *operation);
                self.save()?;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Ends a grant, here first.
    pub(super) async fn end_grant(&mut self, grant: GrantRef) -> Result<(), CredentialError> {
        if let Some(kept) = &mut self.kept {
            kept.end_grant(grant.secret_id, grant.operation);
            self.save()?;
        }
        self.line.ask::<GrantEnd>(&grant).await?;
        Ok(())
    }
}

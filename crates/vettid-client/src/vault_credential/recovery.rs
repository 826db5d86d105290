//! What a start does before anything new: the operation that was left open is sent again, the newest package is confirmed
//! (spec 2.7, steps 5 and 6). All of it from what is stored alone.

use super::desk::{Desk, Sent, read};
use super::failure::CredentialError;
use super::issuer_line::IssuerLine;
use crate::intent::{Outcome, Settled};
use serde_json::Value;
use vettid_core::credential::holder::Received;
use vettid_core::credential::holder::record::{Next, Untrusted};
use vettid_core::credential::{CHANGE_PASSWORD, CREATE, REPLACE_DEVICE};
use vettid_wire::credential::{Confirm, ConfirmReply, UseRequest, UseStatus};
use vettid_wire::envelope::Answer;
use vettid_wire::event::{CredentialCreate, CredentialUse, EventRow, EventType};
use vettid_wire::json;
use vettid_wire::refusal::Refusal;
use vettid_wire::secret::{Action, Add, Remove, Rotate};
use vettid_wire::time::Timestamp;

/// Steps of a recovery: each of two slots and one operation is settled once, with room for a fall back.
const RECOVERY_STEPS: usize = 6;

impl<L: IssuerLine> Desk<'_, L> {
    /// Finishes what was left open, from what is stored alone. What became of an operation is told, and returned.
    pub(crate) async fn recover(&mut self) -> Result<Option<Settled>, CredentialError> {
        let mut settled = None;
        for _ in 0..RECOVERY_STEPS {
            let next = self.kept.as_ref().map_or(Next::Nothing, |kept| kept.holder.next());
            match next {
                Next::Nothing => return Ok(settled),
                Next::Confirm(confirm) => self.confirm(&confirm).await?,
                // The other credential comes first.
                Next::SendAgain(_) if self.kept()?.after.is_some() => return Ok(settled),
                Next::SendAgain(_) => settled = Some(self.settle().await?),
            }
        }
        Err(CredentialError::Overtaken)
    }

    /// As [`Self::recover`], before an action that must not happen twice: if the operation that was left open was the same
    /// action and was carried out, the present one is not begun.
    pub(crate) async fn recover_before(&mut self, action: &'static str) -> Result<(), CredentialError> {
        let settled = self.recover().await?;
        let is_repeat =
            [CREATE, CHANGE_PASSWORD, REPLACE_DEVICE, Add::NAME, Rotate::NAME, Remove::NAME].contains(&action);
        match settled {
            Some(Settled { event_type, started_at, outcome: Outcome::CarriedOut })
                if is_repeat && event_type.as_str() == action =>
            {
                Err(CredentialError::EarlierDone { action: event_type, started_at })
            }
            _ => Ok(()),
        }
    }

    /// Sends the operation again that was left open.
    async fn settle(&mut self) -> Result<Settled, CredentialError> {
        let (event_type, started_at) = self.described()?;
        let sent = self.send().await;
        if matches!(sent, Ok(Sent::Done(_))) {
            self.save()?;
        }
        let outcome = match sent {
            Ok(Sent::Done(result)) => match result.map(json::from_value::<Answer<Value>>) {
                Some(Ok(Answer::Refused(Refusal { code }))) => Outcome::Refused(code),
                Some(Err(_)) => Outcome::Unreadable,
                Some(Ok(Answer::Success(_))) | None => Outcome::CarriedOut,
            },
            Ok(Sent::Again)
            | Err(
                CredentialError::WrongPassword { .. }
                | CredentialError::Stale
                | CredentialError::Wait { .. }
                | CredentialError::Locked,
            ) => Outcome::NotCarriedOut,
            Err(error) => return Err(error),
        };
        let settled = Settled { event_type, started_at, outcome };
        self.line.tell(settled.clone());
        Ok(settled)
    }

    /// The action of the operation under way, and when it began.
    fn described(&mut self) -> Result<(EventType, Timestamp), CredentialError> {
        let now = self.line.now();
        let kept = self.kept()?;
        let started_at = kept.sending.as_ref().map_or(now, |sending| sending.started_at);
        let is_creation = kept.holder.state().record.intent.as_ref().is_some_and(|intent| intent.version.is_none());
        if is_creation {
            return Ok((CredentialCreate::ROW.event_type(), started_at));
        }
        let action = read::<UseRequest>(kept.holder.request())?.action;
        Ok((action.parse().unwrap_or(CredentialUse::ROW.event_type()), started_at))
    }

    /// Confirms the package that was just written. If it cannot be confirmed the operation is done all the same: its slot says
    /// so, and the next command confirms it.
    pub(super) async fn confirm_newest(&mut self) -> Result<(), CredentialError> {
        let next = self.kept.as_ref().map_or(Next::Nothing, |kept| kept.holder.next());
        let confirmed = match next {
            Next::Confirm(confirm) => self.confirm(&confirm).await.is_ok(),
            Next::Nothing | Next::SendAgain(_) => false,
        };
        if confirmed { Ok(()) } else { self.save() }
    }

    /// Confirms what the last operation stored. Its result stands whatever comes of that; the next command tries again.
    pub(crate) async fn finish(&mut self) {
        if std::mem::take(&mut self.is_unconfirmed) {
            // What could not be confirmed or stored lies in the slot, where the next command finds it.
            let _ = self.confirm_newest().await;
        }
    }

    /// Spec 2.7 step 5.
    async fn confirm(&mut self, confirm: &Confirm) -> Result<(), CredentialError> {
        let freed = match self.line.confirm(confirm).await? {
            ConfirmReply::Confirmed(confirmed) => {
                if (confirmed.op_id, confirmed.cek_version) != (confirm.op_id, confirm.cek_version) {
                    return Err(Untrusted::NotGenuine.into());
                }
                let freed = self.holder()?.confirmed(&confirmed);
                let kept = self.kept.as_mut().ok_or(CredentialError::NoCredential)?;
                kept.confirmed(self.line.hold(), freed)?;
                self.is_unconfirmed = false;
                return Ok(());
            }
            ConfirmReply::Stale(result) if result.status == UseStatus::StaleCredential => {
                return Err(CredentialError::Stale);
            }
            ConfirmReply::Stale(result) => match self.holder()?.receive(*result)? {
                Received::FallBack(freed) | Received::Replaced(freed) => freed,
                _ => return Err(Untrusted::NotGenuine.into()),
            },
        };
        self.save_and_free(freed)
    }

    /// The member gives an open operation up; `false` if none is open.
    pub(super) fn give_up(&mut self) -> Result<bool, CredentialError> {
        if self.kept.as_ref().is_none_or(|kept| kept.holder.state().record.intent.is_none()) {
            return Ok(false);
        }
        self.holder()?.give_up();
        self.save()?;
        Ok(true)
    }
}

//! The issuer proves that it made the credential, for one action and one transaction key, before a password is asked for
//! (spec 2.8). Must never let a password be typed for an issuer that did not.

use super::desk::Desk;
use super::failure::CredentialError;
use super::issuer_line::IssuerLine;
use crate::app::Ports;
use crate::command::CommandError;
use crate::line::Line;
use vettid_core::credential::REPLACE_DEVICE;
use vettid_core::credential::holder::record::Untrusted;
use vettid_core::credential::holder::request::ProvenIssuer;
use vettid_core::recovery::HELD_ACTIONS;
use vettid_wire::credential::ReplenishKeys;
use vettid_wire::refusal::RefusalCode;

impl<L: IssuerLine> Desk<'_, L> {
    /// The issuer proves that it made the credential, before a password is asked for (spec 2.8).
    /// Whether it would look at a password now is asked before one is typed, not again for each operation under it.
    pub(crate) async fn prove(
        &mut self,
        action: &'static str,
        is_typed: bool,
    ) -> Result<ProvenIssuer, CredentialError> {
        if self.holder()?.newest().is_none() {
            return Err(CredentialError::NoCredential);
        }
        // A limited session says nothing of attempts; the answer to the operation does.
        if !is_typed && !self.line.is_limited() {
            unless_limited(self.takes_passwords(action).await)?;
        }
        self.replenish().await?;
        match self.challenge(action).await {
            // The issuer does not know the transaction key any more, for example after a restore: both sides compare theirs.
            Err(error) if error.may_mean_unknown_key() => {
                self.compare_keys().await?;
                self.challenge(action).await
            }
            proven => proven,
        }
    }

    /// Whether the issuer would look at a password now, and carry this action out.
    async fn takes_passwords(&mut self, action: &str) -> Result<(), CredentialError> {
        let status = self.status().await?;
        match &status.recovery {
            Some(hold) if HELD_ACTIONS.contains(&action) => {
                return Err(CredentialError::OnHold { until: hold.hold_until });
            }
            _ => {}
        }
        match status.retry_after_ms {
            _ if status.locked => Err(CredentialError::Locked),
            Some(1..) => Err(CredentialError::Wait { retry_after_ms: status.retry_after_ms }),
            _ => Ok(()),
        }
    }

    async fn challenge(&mut self, action: &'static str) -> Result<ProvenIssuer, CredentialError> {
        let (now, mut random) = (self.line.now(), self.line.random());
        let challenge = self.holder()?.challenge(now, &mut random, action, L::endpoint())?;
        let answer = self.line.challenge(&challenge.request).await?;
        let host = self.line.host();
        Ok(self.holder()?.verify(&host, challenge, &answer)?)
    }

    /// Fresh transaction keys, if few are left.
    pub(super) async fn replenish(&mut self) -> Result<(), CredentialError> {
        let now = self.line.now();
        if self.holder()?.needs_keys(now) { self.compare_keys().await } else { Ok(()) }
    }

    /// Both sides forget the keys that the other one does not have. No operation is under way then, so each key here is an
    /// unused one.
    async fn compare_keys(&mut self) -> Result<(), CredentialError> {
        let now = self.line.now();
        let live_key_ids = self.holder()?.unused_keys(now).map(|key| key.key_id.clone()).collect();
        let (issuer, fresh) = self.line.replenish(&ReplenishKeys { live_key_ids }).await?;
        if issuer != self.holder()?.state().issuer {
            return Err(Untrusted::NotGenuine.into());
        }
        self.holder()?.replenished(fresh);
        self.save()
    }
}

impl<P: Ports> Desk<'_, Line<'_, P>> {
    /// As [`Desk::prove`] for a device that recovers: what it holds is shown first, for that may end a lock.
    pub(super) async fn prove_recovery(&mut self) -> Result<(), CredentialError> {
        self.replenish().await?;
        let proven = match self.challenge(REPLACE_DEVICE).await {
            Err(error) if error.may_mean_unknown_key() => {
                self.compare_keys().await?;
                self.challenge(REPLACE_DEVICE).await
            }
            proven => proven,
        };
        match proven {
            Err(CredentialError::Command(CommandError::Refused { code: RefusalCode::NotAvailable, .. })) => {
                return Err(CredentialError::TooOld);
            }
            proven => proven?,
        };
        self.takes_passwords(REPLACE_DEVICE).await
    }
}

/// What a limited session does not do goes without.
fn unless_limited(outcome: Result<(), CredentialError>) -> Result<(), CredentialError> {
    match outcome {
        Err(CredentialError::Command(CommandError::LimitedSession)) => Ok(()),
        outcome => outcome,
    }
}

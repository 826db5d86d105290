//! The issuer proves that it made the credential, for one action and one transaction key, before a password is asked for
//! (spec 2.8). Must never let a password be typed for an issuer that did not.

use super::desk::Desk;
use super::failure::CredentialError;
use super::issuer_line::IssuerLine;
use vettid_core::credential::holder::record::Untrusted;
use vettid_core::credential::holder::request::ProvenIssuer;
use vettid_wire::credential::ReplenishKeys;

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
        if !is_typed {
            self.takes_passwords().await?;
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

    pub(crate) async fn takes_passwords(&mut self) -> Result<(), CredentialError> {
        let status = self.status().await?;
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

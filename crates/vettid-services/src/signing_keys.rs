//! New signing keys of a vault: recorded, then made known to the broker, at the word of the vault alone. Services see public halves.

use crate::control_plane::ControlPlane;
use crate::vault_request::Refused;
use vettid_store::audit::{Act, Actor};
use vettid_store::ledger::LedgerError;
use vettid_wire::control::MAX_SKEW_MS;
use vettid_wire::enrolment::{RotateSigningKeys, SigningKeysRotated};
use vettid_wire::id::MemberId;

impl ControlPlane {
    /// Records the keys, then has the broker take what they sign. The same request again pushes again and changes nothing.
    pub(crate) async fn rotate_signing_keys(
        &self,
        guid: MemberId,
        request: RotateSigningKeys,
    ) -> Result<SigningKeysRotated, Refused> {
        if request.since.since_ms(self.now()) > MAX_SKEW_MS {
            return Err(Refused::InFuture);
        }
        if !self.accepts_signing(&request).map_err(|_| Refused::Malformed)? {
            return Err(Refused::ForeignKeys);
        }
        let RotateSigningKeys { since, keeps_former, .. } = request;
        let entry = self.entry(Actor::Vault(guid), Act::SigningKeysRotated { guid, since, keeps_former });
        let keys = self.ledger.rotate_signing(guid, &request, &entry).await.map_err(|error| match error {
            LedgerError::Conflict => Refused::ForeignKeys,
            _ => Refused::Failed,
        })?;
        self.push_vault(&keys).await.map_err(|_| Refused::Failed)?;
        Ok(SigningKeysRotated { since, keeps_former })
    }
}

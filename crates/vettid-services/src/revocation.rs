//! Cutting off users at the word of the vault that minted them.

use crate::control_plane::ControlPlane;
use crate::deployment::VaultAccounts;
use crate::http::error::ApiError;
use crate::vault_request::Refused;
use vettid_crypto::nats::key::UserPublic;
use vettid_store::audit::{Act, Actor};
use vettid_store::revocation::Revocation;
use vettid_store::vault::VaultKeys;
use vettid_wire::control::MAX_SKEW_MS;
use vettid_wire::enrolment::{RevokeUser, UserRevoked};
use vettid_wire::id::MemberId;

impl ControlPlane {
    /// Records the revocation, then makes the broker enforce it.
    pub(crate) async fn revoke_user(
        &self,
        guid: MemberId,
        keys: &VaultKeys,
        request: RevokeUser,
    ) -> Result<UserRevoked, Refused> {
        let accounts = VaultAccounts::read(keys).map_err(|_| Refused::Failed)?;
        let user: UserPublic = request.user_nkey.parse().map_err(|_| Refused::Malformed)?;
        if ![accounts.owner.as_str(), accounts.message.as_str()].contains(&request.account_nkey.as_str()) {
            return Err(Refused::ForeignAccount);
        }
        if request.revoked_at.since_ms(self.now()) > MAX_SKEW_MS {
            return Err(Refused::InFuture);
        }
        let revocation = Revocation {
            account_nkey: request.account_nkey,
            user_nkey: user.to_string(),
            revoked_at: request.revoked_at,
        };
        let act = Act::UserRevoked { account_nkey: revocation.account_nkey.clone(), user_nkey: user.to_string() };
        let recorded = self.ledger.revoke(&revocation, &self.entry(Actor::Vault(guid), act)).await;
        recorded.map_err(ApiError::from).map_err(|_| Refused::Failed)?;
        self.push_vault(keys).await.map_err(|_| Refused::Failed)?;
        Ok(UserRevoked { user_nkey: request.user_nkey })
    }
}

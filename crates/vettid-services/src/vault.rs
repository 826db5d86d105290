//! What the portal shows of a member's vault.

use crate::control_plane::ControlPlane;
use crate::http::error::ApiError;
use serde::{Deserialize, Serialize};
use vettid_crypto::identity::VerifyingKey;
use vettid_store::account::Account;
use vettid_store::vault::VaultState;
use vettid_wire::enrolment::EnrolmentState;
use vettid_wire::id::{Fingerprint, MemberId};
use vettid_wire::recovery::{CredentialBackupStatus, Notice};

/// `GET /v1/vault/state` (portal token).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultView {
    /// The member.
    pub guid: MemberId,
    /// `none`, `assigned`, `deployed` or `active`.
    pub vault: String,
    /// The vault's identity, once it is deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vault_fp: Option<Fingerprint>,
    /// The latest enrolment that is still open or complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrolment: Option<EnrolmentState>,
    /// The recovery container, and the latest recovery while it is on hold.
    pub credential_backup: CredentialBackupStatus,
    /// What happened around the member's credentials, newest first.
    pub notices: Vec<Notice>,
}

/// So many notices are shown.
const NOTICES: u32 = 20;

impl ControlPlane {
    /// The state of the member's vault.
    pub(crate) async fn vault_view(&self, account: &Account) -> Result<VaultView, ApiError> {
        let vault = self.ledger.vault(account.guid).await?;
        let enrolment = self.ledger.latest_enrolment(account.guid).await?;
        let identity = vault.as_ref().and_then(|vault| vault.keys.as_ref()).map(|keys| &keys.deployed.identity_key);
        let identity =
            identity.map(VerifyingKey::from_typed).transpose().map_err(|error| ApiError::internal(&error))?;
        Ok(VaultView {
            guid: account.guid,
            vault: vault.map_or("none", |vault| VaultState::name(vault.state)).to_owned(),
            vault_fp: identity.map(|key| key.fingerprint()),
            enrolment: enrolment.and_then(|enrolment| enrolment.state_at(self.now())),
            credential_backup: self.backup_status(account.guid).await?,
            notices: self.ledger.notices(account.guid, NOTICES).await?,
        })
    }
}

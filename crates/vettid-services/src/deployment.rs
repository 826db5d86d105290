//! Deploying a vault and showing an enrolment code: assignment to a host, the vault's keys, its two accounts on the
//! broker, the code. Every part may be repeated; a member never gets a second vault.

use crate::control_plane::ControlPlane;
use crate::http::error::ApiError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use vettid_core::control::{VAULT_DEPLOY, VAULT_ENROLL};
use vettid_core::enrolment::Enrolment;
use vettid_core::grants::account::{MessageSpaceKeys, OwnerSpaceKeys, hosted_message_space, hosted_owner_space};
use vettid_crypto::identity::VerifyingKey;
use vettid_crypto::nats::key::{AccountPublic, InvalidKey};
use vettid_store::account::Account;
use vettid_store::audit::{Act, Actor};
use vettid_store::vault::{Vault, VaultKeys};
use vettid_wire::control::ControlOutcome;
use vettid_wire::enrolment::{DeployVault, EnrolVault, EnrolmentCode, EnrolmentStarted, VaultDeployed};
use vettid_wire::id::HostId;
use vettid_wire::json;

/// Longest text of a code (spec 2.4 asks for 900 bytes at most).
const MAX_CODE_BYTES: usize = 900;

/// A vault's accounts and the keys that mint their users, checked for their kind.
pub(crate) struct VaultAccounts {
    pub(crate) owner: AccountPublic,
    pub(crate) owner_keys: OwnerSpaceKeys,
    pub(crate) message: AccountPublic,
    pub(crate) message_keys: MessageSpaceKeys,
}

impl VaultAccounts {
    /// Reads what a host reported.
    pub(crate) fn read(keys: &VaultKeys) -> Result<Self, InvalidKey> {
        let deployed = &keys.deployed;
        Ok(Self {
            owner: deployed.owner_account_nkey.parse()?,
            owner_keys: OwnerSpaceKeys {
                app: deployed.app_signing_nkey.parse()?,
                bootstrap: keys.bootstrap_signing_nkey.parse()?,
            },
            message: deployed.message_account_nkey.parse()?,
            message_keys: MessageSpaceKeys {
                connection: deployed.connection_signing_nkey.parse()?,
                service: deployed.service_signing_nkey.parse()?,
                claim: deployed.claim_signing_nkey.parse()?,
            },
        })
    }

    fn all(&self) -> [&AccountPublic; 6] {
        let Self { owner, owner_keys, message, message_keys } = self;
        [owner, &owner_keys.app, message, &message_keys.connection, &message_keys.service, &message_keys.claim]
    }
}

impl ControlPlane {
    /// Deploys the member's vault if there is none yet, and makes a code for it.
    pub(crate) async fn start_enrolment(&self, account: &Account) -> Result<EnrolmentStarted, ApiError> {
        let member = Actor::Member(account.guid);
        let entry = self.entry(member.clone(), Act::VaultAssigned(account.guid));
        let vault = self.ledger.assign_vault(account.guid, self.now(), &entry).await?;
        let keys = self.deployed(&vault).await?;
        self.push_vault(&keys).await?;
        let (enrolment, token) = Enrolment::start(self.event_id(), account.guid, self.now(), &mut self.rng());
        self.ledger
            .start_enrolment(&enrolment, &self.entry(member, Act::EnrolmentStarted(enrolment.session_id)))
            .await?;
        let params = EnrolVault {
            guid: account.guid,
            expires_at: enrolment.expires_at,
            token: token.expose(),
            services_url: self.public_url.clone(),
            session_id: enrolment.session_id,
        };
        let code: EnrolmentCode = self.command(&vault.host, VAULT_ENROLL, &params).await?;
        if code.qr.is_empty() || code.qr.len() > MAX_CODE_BYTES {
            return Err(ApiError::Unavailable);
        }
        let identity =
            VerifyingKey::from_typed(&keys.deployed.identity_key).map_err(|error| ApiError::internal(&error))?;
        let EnrolVault { session_id, expires_at, .. } = params;
        Ok(EnrolmentStarted { session_id, qr: code.qr, vault_fp: identity.fingerprint(), expires_at })
    }

    /// The vault's keys; its host makes them at the first time.
    async fn deployed(&self, vault: &Vault) -> Result<VaultKeys, ApiError> {
        if let Some(keys) = &vault.keys {
            return Ok(keys.clone());
        }
        let bootstrap = self.bootstraps.load_or_make(vault.guid).map_err(|error| ApiError::internal(&error))?;
        let deployed: VaultDeployed =
            self.command(&vault.host, VAULT_DEPLOY, &DeployVault { guid: vault.guid }).await?;
        let keys = VaultKeys { deployed, bootstrap_signing_nkey: bootstrap.public().to_string() };
        self.accept_keys(vault, &keys)?;
        let entry = self.entry(Actor::Host(vault.host.clone()), Act::VaultDeployed(vault.guid));
        self.ledger.record_keys(&keys, &entry).await?;
        Ok(keys)
    }

    /// What a host reports is believed only as far as it is about this vault and takes nobody else's place.
    fn accept_keys(&self, vault: &Vault, keys: &VaultKeys) -> Result<(), ApiError> {
        let accounts = VaultAccounts::read(keys).map_err(|error| ApiError::unavailable(&error))?;
        let identity = VerifyingKey::from_typed(&keys.deployed.identity_key);
        let foreign = accounts.all().into_iter().any(|key| self.keys.is_own(key));
        if keys.deployed.guid != vault.guid || identity.is_err() || foreign {
            tracing::error!(host = %vault.host, "a host reported keys that cannot be a vault's");
            return Err(ApiError::Unavailable);
        }
        Ok(())
    }

    /// Makes the vault's two accounts known to the broker, as they are now.
    pub(crate) async fn push_vault(&self, keys: &VaultKeys) -> Result<(), ApiError> {
        let accounts = VaultAccounts::read(keys).map_err(|error| ApiError::internal(&error))?;
        let (guid, operator) = (keys.deployed.guid, &self.keys.accounts);
        self.push(&accounts.owner, hosted_owner_space(guid, operator, &accounts.owner_keys)).await?;
        self.push(&accounts.message, hosted_message_space(guid, operator, &accounts.message_keys)).await
    }

    /// Has a host carry out a command and reads its answer.
    async fn command<R: DeserializeOwned>(
        &self,
        host: &HostId,
        command: &str,
        params: &impl Serialize,
    ) -> Result<R, ApiError> {
        match self.order(host, command, params).await? {
            ControlOutcome::Done(value) => json::from_value(value).map_err(|error| ApiError::unavailable(&error)),
            ControlOutcome::Refused => Err(ApiError::HostRefused),
            ControlOutcome::NotHoldingUser => Err(ApiError::Unavailable),
        }
    }
}

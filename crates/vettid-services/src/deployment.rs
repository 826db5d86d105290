//! Deploying a vault and showing an enrolment code: assignment to a host, the vault's keys, its two accounts on the
//! broker, the code. Every part may be repeated; a member never gets a second vault.

use crate::control_plane::ControlPlane;
use crate::http::error::ApiError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use vettid_core::control::{VAULT_DEPLOY, VAULT_ENROLL};
use vettid_core::enrolment::Enrolment;
use vettid_core::grants::account::{
    MessageSpaceKeys, OwnerSpaceKeys, hosted_message_space, hosted_owner_space, keep_former_app,
    keep_former_message_keys,
};
use vettid_crypto::identity::VerifyingKey;
use vettid_crypto::nats::key::{AccountPublic, InvalidKey};
use vettid_store::account::Account;
use vettid_store::audit::{Act, Actor};
use vettid_store::vault::{Vault, VaultKeys};
use vettid_wire::control::ControlOutcome;
use vettid_wire::enrolment::{
    DeployVault, EnrolVault, EnrolmentCode, EnrolmentStarted, RotateSigningKeys, SigningNkeys, VaultDeployed,
};
use vettid_wire::handshake::{EnrolmentPointer, Invitation, InvitationKind};
use vettid_wire::id::{Fingerprint, HostId};
use vettid_wire::json;

/// A vault's accounts and the keys that mint their users, checked for their kind.
pub(crate) struct VaultAccounts {
    pub(crate) owner: AccountPublic,
    pub(crate) owner_keys: OwnerSpaceKeys,
    pub(crate) message: AccountPublic,
    pub(crate) message_keys: MessageSpaceKeys,
    /// The key for apps before the one in `owner_keys`, and those before `message_keys`, while they are taken.
    former: Option<(AccountPublic, MessageSpaceKeys)>,
}

fn message_keys(signing: &SigningNkeys) -> Result<MessageSpaceKeys, InvalidKey> {
    Ok(MessageSpaceKeys {
        connection: signing.connection.parse()?,
        service: signing.service.parse()?,
        claim: signing.claim.parse()?,
    })
}

impl VaultAccounts {
    /// Reads what a host reported.
    pub(crate) fn read(keys: &VaultKeys) -> Result<Self, InvalidKey> {
        let (deployed, signing) = (&keys.deployed, keys.current_signing());
        let former = keys.signing.as_ref().and_then(|rotation| rotation.former.as_ref());
        let former = former.map(|former| Ok::<_, InvalidKey>((former.app.parse()?, message_keys(former)?)));
        Ok(Self {
            owner: deployed.owner_account_nkey.parse()?,
            owner_keys: OwnerSpaceKeys { app: signing.app.parse()?, bootstrap: keys.bootstrap_signing_nkey.parse()? },
            message: deployed.message_account_nkey.parse()?,
            message_keys: message_keys(&signing)?,
            former: former.transpose()?,
        })
    }

    fn all(&self) -> [&AccountPublic; 6] {
        let Self { owner, owner_keys, message, message_keys, former: _ } = self;
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
        let identity =
            VerifyingKey::from_typed(&keys.deployed.identity_key).map_err(|error| ApiError::internal(&error))?;
        accept_code(&code, &params, identity.fingerprint())?;
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
        let keys = VaultKeys { deployed, bootstrap_signing_nkey: bootstrap.public().to_string(), signing: None };
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

    /// Whether keys that a vault wants to sign with may be a vault's: each of another kind of its own, and none of them ours.
    pub(crate) fn accepts_signing(&self, asked: &RotateSigningKeys) -> Result<bool, InvalidKey> {
        let SigningNkeys { app, connection, service, claim } = &asked.keys;
        let keys = [app, connection, service, claim].map(|key| key.parse::<AccountPublic>());
        for key in keys {
            if self.keys.is_own(&key?) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes the vault's two accounts known to the broker, as they are now.
    pub(crate) async fn push_vault(&self, keys: &VaultKeys) -> Result<(), ApiError> {
        let accounts = VaultAccounts::read(keys).map_err(|error| ApiError::internal(&error))?;
        let (guid, operator) = (keys.deployed.guid, &self.keys.accounts);
        let mut owner = hosted_owner_space(guid, operator, &accounts.owner_keys);
        let mut message = hosted_message_space(guid, operator, &accounts.message_keys);
        if let Some((app, keys)) = &accounts.former {
            keep_former_app(&mut owner, guid, app);
            keep_former_message_keys(&mut message, guid, keys);
        }
        self.push(&accounts.owner, owner).await?;
        self.push(&accounts.message, message).await
    }

    /// Has a host carry out a command and reads its answer.
    pub(crate) async fn command<R: DeserializeOwned>(
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

/// A code is shown only if it leads to the vault on record, in this enrolment.
pub(crate) fn accept_code(code: &EnrolmentCode, asked: &EnrolVault, vault_fp: Fingerprint) -> Result<(), ApiError> {
    let invitation = Invitation::read(&code.qr).map_err(|error| ApiError::unavailable(&error))?;
    let pointer = EnrolmentPointer { services_url: asked.services_url.clone(), session_id: asked.session_id };
    let is_meant = invitation.kind == InvitationKind::Enroll
        && invitation.space.guid() == asked.guid
        && invitation.inviter_fp == vault_fp
        && invitation.token == asked.token
        && invitation.enrolment == Some(pointer)
        && invitation.expires_at <= asked.expires_at;
    if is_meant {
        Ok(())
    } else {
        tracing::error!("a host gave a code that does not lead to the vault it was asked for");
        Err(ApiError::Unavailable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vettid_wire::handshake::{InvitationSecret, SpaceUri};
    use vettid_wire::id::{EventId, InviteId, MemberId};
    use vettid_wire::time::Timestamp;

    const SERVICES: &str = "https://vettid.test";

    fn asked() -> EnrolVault {
        EnrolVault {
            guid: MemberId::from_bytes([1; 16]),
            expires_at: Timestamp::from_unix_ms(1_800_000_600_000),
            token: "t".repeat(43),
            services_url: SERVICES.to_owned(),
            session_id: EventId::from_bytes([2; 16]),
        }
    }

    fn vault_fp() -> Fingerprint {
        Fingerprint::from_bytes([7; 32])
    }

    fn invitation() -> Invitation {
        Invitation {
            kind: InvitationKind::Enroll,
            space: SpaceUri::new("tls://127.0.0.1:4222", asked().guid).unwrap(),
            token: asked().token,
            expires_at: asked().expires_at,
            inviter_hint: "Your vault".to_owned(),
            inviter_fp: vault_fp(),
            invite_key: [3; 32],
            invite_id: InviteId::from_bytes([4; 16]),
            secret: InvitationSecret::from_bytes([5; 32]),
            suites: vec![1],
            enrolment: Some(EnrolmentPointer { services_url: SERVICES.to_owned(), session_id: asked().session_id }),
        }
    }

    fn accepted(change: impl FnOnce(&mut Invitation)) -> bool {
        let mut invitation = invitation();
        change(&mut invitation);
        accept_code(&EnrolmentCode { qr: invitation.to_text().unwrap() }, &asked(), vault_fp()).is_ok()
    }

    #[test]
    fn a_code_is_shown_only_if_all_of_it_is_as_asked() {
        let pointer = |services_url: &str, session| {
            Some(EnrolmentPointer {
                services_url: services_url.to_owned(),
                session_id: EventId::from_bytes([session; 16]),
            })
        };
        assert!(accepted(|_| {}));
        assert!(accepted(|code| code.expires_at = code.expires_at.plus_ms(-1)));
        assert!(!accepted(|code| code.expires_at = code.expires_at.plus_ms(1)));
        assert!(!accepted(|code| code.inviter_fp = Fingerprint::from_bytes([8; 32])));
        assert!(!accepted(|code| code.token = "u".repeat(43)));
        assert!(!accepted(|code| code.enrolment = pointer("https://elsewhere.test", 2)));
        assert!(!accepted(|code| code.enrolment = pointer(SERVICES, 3)));
        assert!(!accepted(|code| {
            code.space = SpaceUri::new("tls://127.0.0.1:4222", MemberId::from_bytes([9; 16])).unwrap();
        }));
        assert!(!accepted(|code| {
            code.kind = InvitationKind::Connect;
            code.enrolment = None;
        }));
        assert!(accept_code(&EnrolmentCode { qr: "x".to_owned() }, &asked(), vault_fp()).is_err());
    }
}

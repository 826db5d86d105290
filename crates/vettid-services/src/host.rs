//! Hosts: they join with the operator's token and get two identities for thirty days, one that receives and one that
//! sends. Joining again renews; identities that were replaced are cut off.

use crate::control_plane::ControlPlane;
use crate::http::error::ApiError;
use vettid_core::grants::account::vault_host;
use vettid_core::grants::mint::{self, Minted, OperatorIdentity};
use vettid_core::grants::role::OperatorRole;
use vettid_crypto::nats::key::{AccountKey, UserPublic};
use vettid_store::audit::{Act, Actor};
use vettid_store::host::Host;
use vettid_store::revocation::Revocation;
use vettid_wire::enrolment::{HostJoined, JoinHost};

impl ControlPlane {
    /// Takes a host in, or renews its credentials.
    pub(crate) async fn join_host(&self, request: JoinHost) -> Result<HostJoined, ApiError> {
        let subscriber = self.mint_host(&request, OperatorRole::HostSubscribing)?;
        let publisher = self.mint_host(&request, OperatorRole::HostPublishing)?;
        let expires_at = subscriber.expires_at.min(publisher.expires_at);
        let host = Host {
            host_id: request.host_id,
            subscriber_nkey: request.subscriber_nkey,
            publisher_nkey: request.publisher_nkey,
            expires_at,
            last_seen: self.now(),
        };
        let actor = Actor::Host(host.host_id.clone());
        let before = self.ledger.join_host(&host, &self.entry(actor, Act::HostJoined(host.host_id.clone()))).await?;
        if let Some(before) = before {
            self.cut_off_replaced(&before, &host).await?;
        }
        Ok(HostJoined {
            nats_endpoint: self.broker.address(),
            subscriber_jwt: subscriber.jwt.to_string(),
            publisher_jwt: publisher.jwt.to_string(),
            control_key: self.keys.command_signing.verifying_key().typed(),
            services_kem: self.keys.envelopes.public_key().typed(),
            expires_at,
        })
    }

    fn mint_host(&self, request: &JoinHost, role: OperatorRole) -> Result<Minted, ApiError> {
        let (nkey, scoped): (&str, &AccountKey) = match role {
            OperatorRole::HostSubscribing => (&request.subscriber_nkey, &self.keys.host_subscribing),
            _ => (&request.publisher_nkey, &self.keys.host_publishing),
        };
        let user: UserPublic = nkey.parse().map_err(|_| ApiError::InvalidRequest)?;
        let identity = OperatorIdentity { role, process: request.host_id.clone() };
        let minted = mint::operator(&identity, &user, &self.keys.accounts.vault_host, scoped, self.now());
        minted.map_err(|error| ApiError::internal(&error))
    }

    /// A host that comes with other keys than before: whoever still holds the old ones is out.
    async fn cut_off_replaced(&self, before: &Host, now: &Host) -> Result<(), ApiError> {
        let in_use = [&now.subscriber_nkey, &now.publisher_nkey];
        let replaced =
            [&before.subscriber_nkey, &before.publisher_nkey].into_iter().filter(|nkey| !in_use.contains(nkey));
        let account_nkey = self.keys.accounts.vault_host.to_string();
        let mut any = false;
        for user_nkey in replaced {
            any = true;
            let act = Act::UserRevoked { account_nkey: account_nkey.clone(), user_nkey: user_nkey.clone() };
            let revocation =
                Revocation { account_nkey: account_nkey.clone(), user_nkey: user_nkey.clone(), revoked_at: self.now() };
            self.ledger.revoke(&revocation, &self.entry(Actor::Host(now.host_id.clone()), act)).await?;
        }
        if any { self.push_vault_host().await } else { Ok(()) }
    }

    async fn push_vault_host(&self) -> Result<(), ApiError> {
        let disk_bytes = self.broker.disk_bytes();
        let claims = vault_host(&self.keys.accounts, &self.keys.host_keys(), disk_bytes);
        self.push(&self.keys.accounts.vault_host, claims).await
    }
}

//! Services that members may connect with: their account on the broker and their entry in the directory.

use crate::control_plane::ControlPlane;
use crate::http::error::ApiError;
use serde::{Deserialize, Serialize};
use vettid_core::grants::account::{HomeKind, MessageSpaceKeys, home_message_space};
use vettid_core::grants::role::MemberRole;
use vettid_crypto::nats::account::AccountClaims;
use vettid_crypto::nats::key::{AccountPublic, InvalidKey};
use vettid_store::audit::{Act, Actor};
use vettid_store::service::Service;
use vettid_wire::enrolment::{RegisterService, ServiceRegistered};
use vettid_wire::id::{MemberId, ServiceId};

/// Room for the inbox and the profile of a service, in bytes. The broker reserves it when the service registers.
pub const SERVICE_DISK_BYTES: i64 = 96 << 20;

/// `GET /v1/registry/services/{service_id}`: where a service is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectoryEntry {
    /// The service.
    pub service_id: ServiceId,
    /// Its space.
    pub guid: MemberId,
    /// `{endpoint}/{guid}`, as in invitations.
    pub messagespace_uri: String,
}

struct ServiceAccount {
    itself: AccountPublic,
    claims: AccountClaims,
    keys: [AccountPublic; 4],
}

impl ServiceAccount {
    fn read(registration: &RegisterService) -> Result<Self, InvalidKey> {
        let itself: AccountPublic = registration.account_nkey.parse()?;
        let home: AccountPublic = registration.vault_signing_nkey.parse()?;
        let connection: AccountPublic = registration.connection_signing_nkey.parse()?;
        let claim: AccountPublic = registration.claim_signing_nkey.parse()?;
        // Services do not connect with services: the role is left out, and no key mints it.
        let keys =
            MessageSpaceKeys { connection: connection.clone(), service: connection.clone(), claim: claim.clone() };
        let mut claims =
            home_message_space(registration.guid, HomeKind::Service, &itself, &keys, &home, SERVICE_DISK_BYTES);
        claims.signing_keys.retain(|scope| scope.role != MemberRole::Service.name());
        Ok(Self { itself: itself.clone(), claims, keys: [itself, home, connection, claim] })
    }
}

impl ControlPlane {
    /// Makes the account of a service known to the broker.
    pub(crate) async fn register_service(&self, registration: RegisterService) -> Result<ServiceRegistered, ApiError> {
        let account = ServiceAccount::read(&registration).map_err(|_| ApiError::InvalidRequest)?;
        if account.keys.iter().any(|key| self.keys.is_own(key)) {
            return Err(ApiError::Conflict);
        }
        self.has_room(&registration.service_id).await?;
        let act = Act::ServiceRegistered(registration.service_id.clone());
        let entry = self.entry(Actor::Service(registration.service_id.clone()), act);
        self.ledger.register_service(&Service { registration, registered_at: self.now() }, &entry).await?;
        self.push(&account.itself, account.claims).await?;
        Ok(ServiceRegistered { nats_endpoint: self.broker.address() })
    }

    /// A service that the broker could not give its streams to is not taken in.
    async fn has_room(&self, service_id: &ServiceId) -> Result<(), ApiError> {
        let known = self.ledger.service(service_id).await?.is_some();
        if known || self.ledger.count_services().await? < self.broker.service_places() {
            Ok(())
        } else {
            Err(ApiError::NoRoom)
        }
    }

    /// The directory entry of a service.
    pub(crate) async fn directory_entry(&self, service_id: &ServiceId) -> Result<DirectoryEntry, ApiError> {
        let service = self.ledger.service(service_id).await?.ok_or(ApiError::NotFound)?;
        let RegisterService { service_id, guid, .. } = service.registration;
        let messagespace_uri = format!("{}/{guid}", self.broker.address());
        Ok(DirectoryEntry { service_id, guid, messagespace_uri })
    }
}

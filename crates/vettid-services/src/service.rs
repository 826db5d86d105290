//! Services that members may connect with: their account on the broker and their entry in the directory.

use crate::control_plane::ControlPlane;
use crate::http::error::ApiError;
use vettid_core::grants::account::{
    HomeKind, MessageSpaceKeys, home_message_space, keep_former_message_keys, keep_former_service,
};
use vettid_core::grants::role::MemberRole;
use vettid_crypto::nats::account::AccountClaims;
use vettid_crypto::nats::key::{AccountPublic, InvalidKey};
use vettid_crypto::service_keys;
use vettid_store::audit::{Act, Actor};
use vettid_store::service::Service;
use vettid_wire::control::MAX_SKEW_MS;
use vettid_wire::directory::DirectoryEntry;
use vettid_wire::enrolment::{RegisterService, ServiceRegistered, SigningKeysRotated};
use vettid_wire::id::ServiceId;
use vettid_wire::service_keys::{RotateServiceKeys, ServiceSigningNkeys};

/// Room for the inbox and the profile of a service, in bytes. The broker reserves it when the service registers.
pub const SERVICE_DISK_BYTES: i64 = 96 << 20;

/// The account of a service, as the broker is to know it.
struct ServiceAccount {
    itself: AccountPublic,
    claims: AccountClaims,
    keys: Vec<AccountPublic>,
}

/// The signing keys of one generation.
struct SigningKeys {
    vault: AccountPublic,
    message: MessageSpaceKeys,
}

impl SigningKeys {
    fn read(keys: &ServiceSigningNkeys) -> Result<Self, InvalidKey> {
        let connection: AccountPublic = keys.connection.parse()?;
        // Services do not connect with services: the role is left out, and no key mints it.
        let message =
            MessageSpaceKeys { connection: connection.clone(), service: connection, claim: keys.claim.parse()? };
        Ok(Self { vault: keys.vault.parse()?, message })
    }

    fn all(&self) -> [AccountPublic; 3] {
        [self.vault.clone(), self.message.connection.clone(), self.message.claim.clone()]
    }
}

impl ServiceAccount {
    fn read(service: &Service) -> Result<Self, InvalidKey> {
        let (guid, itself) = (service.registration.guid, service.registration.account_nkey.parse()?);
        let current = SigningKeys::read(&service.current_signing())?;
        let mut claims =
            home_message_space(guid, HomeKind::Service, &itself, &current.message, &current.vault, SERVICE_DISK_BYTES);
        if let Some(former) = service.signing.as_ref().and_then(|rotation| rotation.former.as_ref()) {
            let former = SigningKeys::read(former)?;
            keep_former_message_keys(&mut claims, guid, &former.message);
            keep_former_service(&mut claims, guid, &former.vault);
        }
        claims.signing_keys.retain(|scope| scope.role != MemberRole::Service.name());
        let keys = std::iter::once(itself.clone()).chain(current.all()).collect();
        Ok(Self { itself, claims, keys })
    }
}

impl ControlPlane {
    /// Makes the account of a service known to the broker.
    pub(crate) async fn register_service(&self, registration: RegisterService) -> Result<ServiceRegistered, ApiError> {
        let service = Service { registration, registered_at: self.now(), signing: None };
        let account = ServiceAccount::read(&service).map_err(|_| ApiError::InvalidRequest)?;
        if account.keys.iter().any(|key| self.keys.is_own(key)) {
            return Err(ApiError::Conflict);
        }
        let service_id = &service.registration.service_id;
        self.has_room(service_id).await?;
        let entry = self.entry(Actor::Service(service_id.clone()), Act::ServiceRegistered(service_id.clone()));
        self.ledger.register_service(&service, &entry).await?;
        // One that registers again may have other signing keys by now.
        let recorded = self.ledger.service(service_id).await?.ok_or(ApiError::NotFound)?;
        self.push_service(&recorded).await?;
        Ok(ServiceRegistered { nats_endpoint: self.broker.address() })
    }

    async fn push_service(&self, service: &Service) -> Result<(), ApiError> {
        let account = ServiceAccount::read(service).map_err(|error| ApiError::internal(&error))?;
        self.push(&account.itself, account.claims).await
    }

    /// Records new signing keys at the word of the account itself, then has the broker take what they sign. The same request again
    /// pushes again and changes nothing. Whether a service exists is not told to whoever cannot sign for it.
    pub(crate) async fn rotate_service_keys(&self, asked: RotateServiceKeys) -> Result<SigningKeysRotated, ApiError> {
        let known = self.ledger.service(&asked.service_id).await?.ok_or(ApiError::Unauthorized)?;
        let account: AccountPublic =
            known.registration.account_nkey.parse().map_err(|error: InvalidKey| ApiError::internal(&error))?;
        service_keys::verify(&account, &asked).map_err(|_| ApiError::Unauthorized)?;
        let keys = SigningKeys::read(&asked.keys).map_err(|_| ApiError::InvalidRequest)?;
        if asked.guid != known.registration.guid || asked.since.since_ms(self.now()) > MAX_SKEW_MS {
            return Err(ApiError::InvalidRequest);
        }
        if keys.all().iter().any(|key| self.keys.is_own(key)) {
            return Err(ApiError::Conflict);
        }
        let RotateServiceKeys { service_id, since, keeps_former, .. } = asked.clone();
        let act = Act::ServiceKeysRotated { service_id: service_id.clone(), since, keeps_former };
        let entry = self.entry(Actor::Service(service_id), act);
        let service = self.ledger.rotate_service_signing(&asked, &entry).await?;
        self.push_service(&service).await?;
        Ok(SigningKeysRotated { since, keeps_former })
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
        let standing = self.standing(&service).await?;
        let RegisterService { service_id, guid, .. } = service.registration;
        let messagespace_uri = format!("{}/{guid}", self.broker.address());
        Ok(DirectoryEntry { service_id, guid, messagespace_uri, standing })
    }
}

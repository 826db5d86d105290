//! How a device that brought the recovery phrase gets into the vault, also into one that was locked or away when it came. Must
//! never give a way in to another device than the one whose phrase was recognised.

use crate::control_plane::ControlPlane;
use crate::deployment::accept_code;
use crate::http::error::ApiError;
use crate::renewal::{NONCE_BYTES, is_timely};
use serde_json::Value;
use vettid_core::control::VAULT_RECOVER;
use vettid_core::enrolment::Enrolment;
use vettid_core::recovery::OPEN_LIFE_MS;
use vettid_crypto::identity::VerifyingKey;
use vettid_crypto::signature::{self, Context};
use vettid_store::audit::{Act, Actor};
use vettid_store::ledger::LedgerError;
use vettid_wire::enrolment::{EnrolVault, EnrolmentCode};
use vettid_wire::id::{EventId, MemberId};
use vettid_wire::json;
use vettid_wire::key::TypedKey;
use vettid_wire::recovery::{EnterVault, RecoverVault, VaultEntrance};

/// What a vault says when it is asked to let one device in.
pub(super) enum WayIn {
    /// There is no vault.
    NoVault,
    /// It is locked, or its host is away, for this reason.
    Away(ApiError),
    /// An enrolment of that device, and its code.
    Open(Enrolment, EnrolmentCode),
}

impl WayIn {
    /// The enrolment and its code, if there are any.
    pub(super) fn open(self) -> Option<(Enrolment, EnrolmentCode)> {
        match self {
            Self::Open(enrolment, code) => Some((enrolment, code)),
            Self::NoVault | Self::Away(_) => None,
        }
    }
}

impl ControlPlane {
    /// Asks the member's vault to let one device in.
    pub(super) async fn way_in(
        &self,
        guid: MemberId,
        recovery_id: EventId,
        app_key: &TypedKey,
    ) -> Result<WayIn, ApiError> {
        let vault = self.ledger.vault(guid).await?;
        let Some((vault, keys)) = vault.and_then(|vault| vault.keys.clone().map(|keys| (vault, keys))) else {
            return Ok(WayIn::NoVault);
        };
        let (enrolment, token) = Enrolment::start(self.event_id(), guid, self.now(), &mut self.rng());
        let enrol = EnrolVault {
            guid,
            expires_at: enrolment.expires_at,
            token: token.expose(),
            services_url: self.public_url.clone(),
            session_id: enrolment.session_id,
        };
        let params = RecoverVault { enrol, recovery_id, app_key: app_key.clone() };
        let code: EnrolmentCode = match self.command(&vault.host, VAULT_RECOVER, &params).await {
            Ok(code) => code,
            Err(away) => return Ok(WayIn::Away(away)),
        };
        let identity = VerifyingKey::from_typed(&keys.deployed.identity_key);
        let identity = identity.map_err(|error| ApiError::internal(&error))?;
        accept_code(&code, &params.enrol, identity.fingerprint())?;
        Ok(WayIn::Open(enrolment, code))
    }

    /// The device of the member's latest recovery asks for a way in, in place of any before. `received` is the body as it came:
    /// the signature is over that.
    pub(crate) async fn enter_vault(&self, received: Value) -> Result<VaultEntrance, ApiError> {
        let request: EnterVault = json::from_value(received.clone()).map_err(|_| ApiError::InvalidRequest)?;
        if !NONCE_BYTES.contains(&request.nonce.as_bytes().len()) {
            return Err(ApiError::InvalidRequest);
        }
        let key = VerifyingKey::from_typed(&request.app_key).ok();
        let genuine = key.filter(|key| signature::verify(Context::ServiceRequest, key, &received).is_ok());
        let now = self.now();
        let meant = self.ledger.latest_recovery(request.guid).await?.is_some_and(|latest| {
            latest.recovery_id == request.recovery_id
                && latest.app_key == request.app_key
                && latest.denied_at.is_none()
                && now.since_ms(latest.recovered_at) < OPEN_LIFE_MS
        });
        let Some(key) = genuine.filter(|_| meant && is_timely(request.issued_at, now)) else {
            return Err(ApiError::RecoveryRefused);
        };
        if !self.nonces.take(key.fingerprint(), request.nonce.as_bytes(), request.issued_at, now)? {
            return Err(ApiError::RecoveryRefused);
        }
        let EnterVault { guid, recovery_id, app_key, .. } = request;
        let (enrolment, code) = match self.way_in(guid, recovery_id, &app_key).await? {
            WayIn::Open(enrolment, code) => (enrolment, code),
            WayIn::Away(away) => {
                tracing::info!(?away, "a device that recovered finds its vault locked or away");
                return Err(ApiError::VaultAway);
            }
            WayIn::NoVault => return Err(ApiError::RecoveryRefused),
        };
        let entry = self.entry(Actor::Member(guid), Act::RecoveryEntered(recovery_id));
        match self.ledger.enter_vault((guid, recovery_id), &enrolment, &entry).await {
            Err(LedgerError::Missing) => Err(ApiError::RecoveryRefused),
            entered => Ok(entered.map(|()| VaultEntrance { enrolment: code.qr })?),
        }
    }
}

//! The Credential Backup Service (spec 2.11): keeps a container that it cannot open, and gives it to a new device that brings
//! a portal login, a single-use code and a proof of the phrase. A try is counted before it is looked at. Whether there is such
//! a code, a container or a member, whoever tries learns the same.

mod entrance;

use crate::action::Acting;
use crate::control_plane::ControlPlane;
use crate::http::error::ApiError;
use crate::renewal::{NONCE_BYTES, is_timely};
use entrance::WayIn;
use serde_json::Value;
use vettid_core::control::VAULT_RECOVERY_DECIDE;
use vettid_core::enrolment::BearerToken;
use vettid_core::recovery::{CODE_LIFE_MS, HOLD_MS};
use vettid_crypto::identity::VerifyingKey;
use vettid_crypto::recovery::{Head, RecoveryProof, RecoveryVerifier};
use vettid_crypto::secret::Secret32;
use vettid_crypto::signature::{self, Context};
use vettid_store::account::Account;
use vettid_store::audit::{Act, Actor};
use vettid_store::ledger::LedgerError;
use vettid_store::recovery::{CodeRow, Recovery, StoredBackup, Try};
use vettid_wire::base64::Base64;
use vettid_wire::id::MemberId;
use vettid_wire::json;
use vettid_wire::key::TypedKey;
use vettid_wire::recovery::{
    AskRecoverySalt, CredentialBackupStatus, DecideRecovery, MAX_CONTAINER_BYTES, Notice, NoticeKind,
    RecoverCredentials, RecoveredCredentials, RecoveryCode, RecoveryDecided, RecoveryHold, RecoverySaltAnswer,
    RecoveryStarted, StoreCredentialBackup,
};

impl ControlPlane {
    /// Keeps the app's container.
    pub(crate) async fn store_backup(
        &self,
        acting: Acting<StoreCredentialBackup>,
    ) -> Result<CredentialBackupStatus, ApiError> {
        let Acting { spent, request } = acting;
        let guid = spent.guid;
        let verifier = Secret32::from_slice(request.verifier.as_bytes()).ok_or(ApiError::InvalidRequest)?;
        let container = request.container.into_bytes();
        let head = Head::read(&container).filter(|_| container.len() <= MAX_CONTAINER_BYTES);
        if head.is_none_or(|head| head.sequence != request.sequence) {
            return Err(ApiError::InvalidRequest);
        }
        let is_same_phrase = match self.ledger.backup(guid).await? {
            Some(known) if *self.verifier(&known)?.expose() == *verifier.expose() => true,
            Some(_) => {
                self.require_allowed_phrase(guid, &request.verifier).await?;
                false
            }
            None => false,
        };
        if !is_same_phrase {
            self.require_no_hold(guid).await?;
        }
        let backup = StoredBackup {
            guid,
            sequence: request.sequence,
            container,
            sealed_verifier: self.member_keys.seal(&place(guid), verifier.expose()),
            stored_at: self.now(),
        };
        let enabled = Notice { at: backup.stored_at, what: NoticeKind::BackupEnabled };
        let told = (!is_same_phrase).then_some(&enabled);
        let entry = self.entry(Actor::Member(guid), Act::BackupStored(guid));
        self.ledger.store_backup(&backup, &spent, told, &entry).await?;
        self.backup_status(guid).await
    }

    /// How the member's container stands, for the app.
    pub(crate) async fn backup_status_of(&self, acting: Acting<Nothing>) -> Result<CredentialBackupStatus, ApiError> {
        let act = Act::ActionTaken { token: acting.spent.jti, action: acting.spent.action.clone() };
        self.ledger.spend(&acting.spent, &self.entry(Actor::Member(acting.spent.guid), act)).await?;
        self.backup_status(acting.spent.guid).await
    }

    /// How the member's container stands.
    pub(crate) async fn backup_status(&self, guid: MemberId) -> Result<CredentialBackupStatus, ApiError> {
        let backup = self.ledger.backup(guid).await?;
        Ok(CredentialBackupStatus {
            enabled: backup.is_some(),
            sequence: backup.as_ref().map(|backup| backup.sequence),
            stored_at: backup.map(|backup| backup.stored_at),
            recovery: self.recovery_hold(guid).await?,
        })
    }

    /// The latest recovery, while it holds back operations of high value.
    pub(crate) async fn recovery_hold(&self, guid: MemberId) -> Result<Option<RecoveryHold>, ApiError> {
        let latest = self.ledger.latest_recovery(guid).await?;
        let held = latest.filter(|latest| {
            latest.approved_at.is_none() && latest.denied_at.is_none() && self.now() < latest.hold_until
        });
        Ok(held.map(|recovery| RecoveryHold {
            recovery_id: recovery.recovery_id,
            recovered_at: recovery.recovered_at,
            hold_until: recovery.hold_until,
        }))
    }

    /// Refuses an operation of high value while a recovery is fresh.
    pub(crate) async fn require_no_hold(&self, guid: MemberId) -> Result<(), ApiError> {
        match self.recovery_hold(guid).await? {
            Some(hold) => Err(ApiError::OnHold(whole_seconds(hold.hold_until.since_ms(self.now())))),
            None => Ok(()),
        }
    }

    /// A code for one try, for the member in the portal; earlier ones die. Made whether or not there is a container.
    pub(crate) async fn start_recovery(&self, account: &Account) -> Result<RecoveryStarted, ApiError> {
        let (now, token) = (self.now(), BearerToken::random(&mut self.rng()));
        let row = CodeRow { token_hash: token.hash(), guid: account.guid, expires_at: now.plus_ms(CODE_LIFE_MS) };
        let code = RecoveryCode {
            services_url: self.public_url.clone(),
            guid: account.guid,
            token: token.expose(),
            expires_at: row.expires_at,
        };
        let qr = code.to_text().map_err(|error| ApiError::internal(&error))?;
        let entry = self.entry(Actor::Member(account.guid), Act::RecoveryStarted(account.guid));
        let told = Notice { at: now, what: NoticeKind::RecoveryStarted };
        self.ledger.start_recovery(&row, &told, &entry).await?;
        Ok(RecoveryStarted { qr, expires_at: row.expires_at })
    }

    /// The salt of the container behind a code; one that nobody can tell from it where there is none.
    pub(crate) async fn recovery_salt(&self, asked: &AskRecoverySalt) -> Result<RecoverySaltAnswer, ApiError> {
        let token = BearerToken::presented(&asked.token);
        let decoy = self.member_keys.decoy_salt(asked.token.as_bytes());
        let backup = self.ledger.backup_of_code(token.hash(), self.now()).await?;
        let salt = backup.and_then(|backup| Head::read(&backup.container)).map_or(decoy, |head| head.salt);
        Ok(RecoverySaltAnswer { salt: Base64::new(*salt.as_bytes()) })
    }

    /// One try of a new device. `received` is the body as it came: the signature is over that.
    pub(crate) async fn recover(&self, received: Value) -> Result<RecoveredCredentials, ApiError> {
        let request: RecoverCredentials = json::from_value(received.clone()).map_err(|_| ApiError::InvalidRequest)?;
        let proof = request.proof.to_array().map_err(|_| ApiError::InvalidRequest)?;
        let key = VerifyingKey::from_typed(&request.app_key).map_err(|_| ApiError::InvalidRequest)?;
        signature::verify(Context::ServiceRequest, &key, &received).map_err(|_| ApiError::InvalidRequest)?;
        let token = BearerToken::presented(&request.token);
        let entry = self.entry(Actor::Anonymous, Act::RecoveryTried);
        let (guid, backup) = match self.ledger.try_recovery(token.hash(), self.now(), &entry).await? {
            Try::TooOften { retry_after_ms } => return Err(ApiError::RateLimited(whole_seconds(retry_after_ms))),
            Try::Counted { guid, backup } => (Some(guid), backup),
            Try::Unknown => (None, None),
        };
        // Something is compared in every case.
        let verifier = match &backup {
            Some(backup) => self.verifier(backup)?,
            None => self.member_keys.decoy_verifier(),
        };
        let proven = verifier.verifies(request.token.as_bytes(), &RecoveryProof::from_bytes(proof));
        match (guid, backup.filter(|_| proven)) {
            (Some(guid), Some(backup)) => self.hand_over(guid, backup, &request).await,
            _ => Err(ApiError::RecoveryRefused),
        }
    }

    /// Has the vault open a way in for the new device, records the recovery, then gives the container to it. The old app keeps
    /// its place at the vault until the new device proves the password there. A vault that is locked or away keeps nothing back:
    /// what opens its lock lies in the container, and the device asks for the way in again.
    async fn hand_over(
        &self,
        guid: MemberId,
        backup: StoredBackup,
        request: &RecoverCredentials,
    ) -> Result<RecoveredCredentials, ApiError> {
        let (now, recovery_id) = (self.now(), self.event_id());
        let way_in = self.way_in(guid, recovery_id, &request.app_key).await?;
        let vault_is_away = matches!(way_in, WayIn::Away(_));
        let way_in = way_in.open();
        let recovery = Recovery {
            recovery_id,
            guid,
            app_key: request.app_key.clone(),
            old_app_key: self.device_before(guid).await?,
            recovered_at: now,
            hold_until: now.plus_ms(HOLD_MS),
            approved_at: None,
            denied_at: None,
            session_id: way_in.as_ref().map(|(enrolment, _)| enrolment.session_id),
        };
        let entry = self.entry(Actor::Member(guid), Act::Recovered(recovery_id));
        let enrolment = way_in.as_ref().map(|(enrolment, _)| enrolment);
        self.ledger.recover(&recovery, enrolment, &entry).await?;
        self.unlock_after_recovery(guid).await?;
        Ok(RecoveredCredentials {
            guid,
            recovery_id,
            container: Base64::new(backup.container),
            hold_until: recovery.hold_until,
            enrolment: way_in.map(|(_, code)| code.qr),
            vault_is_away,
        })
    }

    /// Whose approval lifts the hold: the member's app, and after several recoveries in a row the one before the first of them.
    async fn device_before(&self, guid: MemberId) -> Result<Option<TypedKey>, ApiError> {
        if self.recovery_hold(guid).await?.is_some() {
            let latest = self.ledger.latest_recovery(guid).await?;
            return Ok(latest.and_then(|latest| latest.old_app_key));
        }
        self.app_key(guid).await
    }

    /// Whether this is the key of the device that decides about a fresh recovery.
    pub(crate) async fn decides(&self, guid: MemberId, key: &TypedKey) -> Result<bool, ApiError> {
        if self.recovery_hold(guid).await?.is_none() {
            return Ok(false);
        }
        let latest = self.ledger.latest_recovery(guid).await?;
        Ok(latest.is_some_and(|latest| latest.old_app_key.as_ref() == Some(key)))
    }

    /// The old device lifts the hold, or ends the recovery. The vault hears it first, in its own words.
    pub(crate) async fn decide_recovery(&self, received: Value) -> Result<RecoveryDecided, ApiError> {
        let request: DecideRecovery = json::from_value(received.clone()).map_err(|_| ApiError::InvalidRequest)?;
        if !NONCE_BYTES.contains(&request.nonce.as_bytes().len()) {
            return Err(ApiError::InvalidRequest);
        }
        let key = VerifyingKey::from_typed(&request.app_key).ok();
        let genuine = key.filter(|key| signature::verify(Context::ServiceRequest, key, &received).is_ok());
        let latest = self.ledger.latest_recovery(request.guid).await?;
        let now = self.now();
        let meant = latest.as_ref().is_some_and(|latest| {
            latest.recovery_id == request.recovery_id
                && latest.old_app_key.as_ref() == Some(&request.app_key)
                && latest.approved_at.is_none()
                && latest.denied_at.is_none()
        });
        let Some(key) = genuine.filter(|_| meant && is_timely(request.issued_at, now)) else {
            return Err(ApiError::RecoveryRefused);
        };
        if !self.nonces.take(key.fingerprint(), request.nonce.as_bytes(), request.issued_at, now)? {
            return Err(ApiError::RecoveryRefused);
        }
        let has_way_in = latest.is_some_and(|latest| latest.session_id.is_some());
        self.tell_vault(&request, &received, has_way_in).await?;
        let DecideRecovery { guid, recovery_id, approve, .. } = request;
        let act = if approve { Act::RecoveryApproved(recovery_id) } else { Act::RecoveryDenied(recovery_id) };
        let entry = self.entry(Actor::Member(guid), act);
        match self.ledger.decide_recovery((guid, recovery_id), approve, now, &entry).await {
            Err(LedgerError::Missing) => Err(ApiError::RecoveryRefused),
            decided => Ok(decided.map(|()| RecoveryDecided { recovery_id, approve })?),
        }
    }

    /// The vault hears it. One that has opened no way in yet cannot lift a hold, and has nobody to cut off: a denial stands
    /// without it, an approval waits.
    async fn tell_vault(&self, asked: &DecideRecovery, received: &Value, has_way_in: bool) -> Result<(), ApiError> {
        let vault = self.ledger.vault(asked.guid).await?.filter(|vault| vault.keys.is_some());
        match vault {
            Some(vault) if has_way_in => {
                let _: RecoveryDecided = self.command(&vault.host, VAULT_RECOVERY_DECIDE, received).await?;
                Ok(())
            }
            None if has_way_in => Err(ApiError::RecoveryRefused),
            Some(_) if asked.approve => Err(ApiError::VaultAway),
            Some(_) | None => Ok(()),
        }
    }

    fn verifier(&self, backup: &StoredBackup) -> Result<RecoveryVerifier, ApiError> {
        let opened = self.member_keys.open(&place(backup.guid), &backup.sealed_verifier);
        let opened = opened.map_err(|error| ApiError::internal(&error))?;
        Secret32::from_slice(opened.expose()).map(RecoveryVerifier::from_secret).ok_or(ApiError::Internal)
    }
}

/// An empty object.
pub(crate) type Nothing = vettid_wire::event::Nothing;

fn place(guid: MemberId) -> String {
    format!("recovery/{guid}")
}

fn whole_seconds(ms: i64) -> u32 {
    u32::try_from(ms.max(0).saturating_add(999) / 1000).unwrap_or(u32::MAX)
}

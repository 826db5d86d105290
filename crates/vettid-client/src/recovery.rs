//! The recovery phrase and the Credential Backup Service, the app's side (spec 2.11): turning it on, keeping the container
//! up to date, and a new device that takes the credential over. The phrase is typed and shown here and nowhere else; it is
//! never stored, sent or logged.

mod content;
mod decide;
mod kept;
mod replace;
mod waiting;

pub use replace::Replaced;

use crate::app::{App, Ports};
use crate::clock::Clock;
use crate::enrolment::EnrolmentError;
use crate::lock::LockError;
use crate::member_api::{Acting, ActionError, MemberApi};
use crate::random;
use crate::services::{ServicesAddress, ServicesError};
use crate::services_credential;
use crate::state::{self, State};
use crate::store::{Store, StoreError};
use crate::vault_credential::{CredentialError, PasswordSource};
use content::Opened;
pub(crate) use kept::has_keys;
use kept::{Kept, NewDevice, Waiting};
use serde::Serialize;
use vettid_core::action::Action;
use vettid_crypto::identity::SigningKey;
use vettid_crypto::password::OutOfMemory;
use vettid_crypto::recovery::{
    ContentTooLarge, Head, InvalidPhrase, PhraseLength, RecoveryKeys, RecoveryPhrase, RecoverySalt,
};
use vettid_crypto::signature::{self, Context, SignatureError};
use vettid_wire::base64::Base64;
use vettid_wire::event::Nothing;
use vettid_wire::id::{EventId, MemberId, OperationId};
use vettid_wire::recovery::{
    AskRecoverySalt, CredentialBackupStatus, InvalidCode, RecoverCredentials, RecoveredCredentials, RecoveryCode,
    StoreCredentialBackup,
};
use vettid_wire::time::Timestamp;
use zeroize::Zeroizing;

/// The HTTP status with which services refuse a container under a phrase that nobody allowed.
const FORBIDDEN: u16 = 403;

/// Where a phrase is shown to the member and typed by the member.
pub trait PhraseDesk: Send {
    /// Shows the words, once.
    ///
    /// # Errors
    /// [`NoPhrase`] if they cannot be shown to the member alone.
    fn show(&mut self, phrase: &RecoveryPhrase) -> Result<(), NoPhrase>;

    /// What the member types.
    ///
    /// # Errors
    /// [`NoPhrase`] if nothing was typed.
    fn typed(&mut self) -> Result<Zeroizing<String>, NoPhrase>;
}

/// The member gave no phrase, or cannot be shown one.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoPhrase(pub String);

/// Why something about the recovery did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The app is not enrolled, and did not recover either.
    #[error("this app is not enrolled")]
    NotEnrolled,
    /// An app is enrolled here, or recovered here already.
    #[error("this profile holds an app already")]
    AlreadyEnrolled,
    /// There is nothing to recover yet.
    #[error("this app holds no Vault Credential yet")]
    NoCredential,
    /// No phrase.
    #[error(transparent)]
    NoPhrase(#[from] NoPhrase),
    /// What was typed is no phrase.
    #[error(transparent)]
    Phrase(#[from] InvalidPhrase),
    /// What was typed back is another phrase.
    #[error("these are not the words that were shown")]
    NotTheSame,
    /// Not the code of a recovery.
    #[error(transparent)]
    Code(#[from] InvalidCode),
    /// The code is past its time.
    #[error("the code expired at {at}")]
    Expired {
        /// When.
        at: Timestamp,
    },
    /// No authority to trust was given.
    #[error("the certificate authority of the operator is not known")]
    NoTrust,
    /// The vault did not let this device in.
    #[error(transparent)]
    Enrolment(#[from] EnrolmentError),
    /// No recovery is to be decided.
    #[error("there is no recovery to decide about")]
    NothingToDecide,
    /// No recovery is under way on this device.
    #[error("no recovery is under way on this device")]
    NotRecovering,
    /// Another phrase waits, because of a recovery.
    #[error("a recovery is fresh, so another phrase waits until {until}")]
    OnHold {
        /// Until then, unless the old device approves.
        until: Timestamp,
    },
    /// Services take another phrase only with the password of a credential that is not here.
    #[error("your phrase is guarded by a Services Credential that this app does not hold")]
    PhraseGuarded,
    /// The vault let the device in by now, or another one.
    #[error("this device waits at no vault")]
    NotWaiting,
    /// The vault did not open, and the container holds nothing that opens its lock.
    #[error("your vault is locked, or its host is away, and your container holds nothing that opens a lock")]
    VaultShut,
    /// The vault did not open, and no lock is what keeps it shut.
    #[error("your vault did not let this device in; its host is away")]
    VaultAway,
    /// The lock of the vault was not opened.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Services did not do it.
    #[error(transparent)]
    Services(#[from] ActionError),
    /// What services gave is not a container of this member that this phrase opens.
    #[error("what services gave does not open with this phrase")]
    NotGenuine,
    /// The state cannot be read or saved.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The credential cannot be kept.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The request cannot be signed.
    #[error("the request cannot be signed: {0}")]
    Sign(#[from] SignatureError),
    /// Not enough memory for the hash of the phrase.
    #[error(transparent)]
    Memory(#[from] OutOfMemory),
    /// More than a container takes.
    #[error(transparent)]
    TooLarge(#[from] ContentTooLarge),
    /// A task ended in a way that is a bug.
    #[error("hashing the phrase was interrupted")]
    Interrupted,
}

impl From<ServicesError> for RecoveryError {
    fn from(error: ServicesError) -> Self {
        Self::Services(error.into())
    }
}

/// How the recovery stands, here and at services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecoveryStatus {
    /// What services keep.
    #[serde(flatten)]
    pub services: CredentialBackupStatus,
    /// Whether this app keeps the container up to date.
    pub kept_up_here: bool,
    /// Whether the container holds the credential as it is now.
    pub is_current: bool,
}

/// What a recovery brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// The member.
    pub guid: MemberId,
    /// Names the recovery; the old device approves it by this.
    pub recovery_id: EventId,
    /// Epoch of the credential.
    pub credential_epoch: u64,
    /// Version of the credential.
    pub cek_version: u64,
    /// Operations of high value are refused until then, unless the old device approves.
    pub hold_until: Timestamp,
    /// Whether the vault let this device in; it waits for the password.
    pub enrolled: bool,
    /// There is a vault, and it is locked, or its host is away: [`App::enter_vault`] is next.
    pub vault_is_away: bool,
}

impl<P: Ports> App<P>
where
    P::Services: MemberApi,
{
    /// Makes a fresh phrase, has it typed back, and leaves a container with services that only this phrase opens. An earlier
    /// phrase is worth nothing any more; to replace one takes the password, where this app holds a Services Credential.
    ///
    /// # Errors
    /// [`RecoveryError`]; only after the phrase was typed back does anything change.
    pub async fn enable_recovery(
        &self,
        length: PhraseLength,
        desk: &mut dyn PhraseDesk,
        password: &mut dyn PasswordSource,
    ) -> Result<CredentialBackupStatus, RecoveryError> {
        let mut hold = self.ports.store().hold().await?;
        let known = Known::load(&hold)?;
        content::gather(&hold)?.ok_or(RecoveryError::NoCredential)?;
        let present: CredentialBackupStatus = self.act(&known, Action::BackupStatus, &Nothing {}).await?;
        if let Some(hold) = &present.recovery {
            return Err(RecoveryError::OnHold { until: hold.hold_until });
        }
        let phrase = RecoveryPhrase::generate(&mut self.ports.random(), length);
        desk.show(&phrase)?;
        let typed = RecoveryPhrase::parse(&desk.typed()?)?;
        if typed.expose() != phrase.expose() {
            return Err(RecoveryError::NotTheSame);
        }
        let keys = keys_of(phrase, RecoverySalt::random(&mut self.ports.random())).await?;
        let holds_credential = services_credential::is_held(&hold, known.parts().0)?;
        if present.enabled && holds_credential {
            self.allow_phrase(&mut hold, &keys.auth().verifier(), password).await?;
        }
        let mut kept = Kept::load(&hold)?.unwrap_or_default();
        kept.sequence = kept.sequence.max(present.sequence.unwrap_or(0));
        let made_at = Some(self.ports.clock().now());
        let before = (kept.keys.replace(keys), std::mem::replace(&mut kept.keys_made_at, made_at));
        kept.stored = None;
        let stored = self.upload(&mut hold, &known, &mut kept).await;
        let Err(RecoveryError::Services(ActionError::Services(
            error @ (ServicesError::Refused { .. } | ServicesError::OnHold),
        ))) = stored
        else {
            return stored;
        };
        // Services took nothing, so the phrase of before is the one to go on with.
        (kept.keys, kept.keys_made_at) = before;
        kept.save(&mut hold)?;
        let is_guarded = matches!(error, ServicesError::Refused { status: FORBIDDEN });
        if is_guarded && present.enabled && !holds_credential {
            return Err(RecoveryError::PhraseGuarded);
        }
        Err(error.into())
    }

    /// Leaves a newer container with services if the credential changed since the last one; `None` if none is due.
    ///
    /// # Errors
    /// [`RecoveryError`]; the next call tries again.
    pub async fn refresh_recovery(&self) -> Result<Option<CredentialBackupStatus>, RecoveryError> {
        let mut hold = self.ports.store().hold().await?;
        let Some(mut kept) = Kept::load(&hold)? else { return Ok(None) };
        let newest = content::newest(&hold)?;
        if kept.keys.is_none() || newest.is_none() || kept.stored == newest {
            return Ok(None);
        }
        let known = Known::load(&hold)?;
        self.upload(&mut hold, &known, &mut kept).await.map(Some)
    }

    /// How the recovery stands.
    ///
    /// # Errors
    /// [`RecoveryError`].
    pub async fn recovery_status(&self) -> Result<RecoveryStatus, RecoveryError> {
        let hold = self.ports.store().hold().await?;
        let known = Known::load(&hold)?;
        let services: CredentialBackupStatus = self.act(&known, Action::BackupStatus, &Nothing {}).await?;
        let kept = Kept::load(&hold)?.unwrap_or_default();
        let same = services.sequence.is_some_and(|sequence| sequence == kept.sequence);
        let is_current = same && kept.stored.is_some() && kept.stored == content::newest(&hold)?;
        Ok(RecoveryStatus { services, kept_up_here: kept.keys.is_some(), is_current })
    }

    /// A new device takes the credential over: code from the portal, phrase from the paper. The code is used up by it.
    ///
    /// # Errors
    /// [`RecoveryError`].
    pub async fn restore(&self, code: &str, desk: &mut dyn PhraseDesk) -> Result<Restored, RecoveryError> {
        let code = RecoveryCode::read(code)?;
        if self.ports.clock().now() >= code.expires_at {
            return Err(RecoveryError::Expired { at: code.expires_at });
        }
        let trust = self.trust.clone().ok_or(RecoveryError::NoTrust)?;
        let mut hold = self.ports.store().hold().await?;
        if matches!(state::load(&hold)?, Some(State::Enrolled(_))) {
            return Err(RecoveryError::AlreadyEnrolled);
        }
        let phrase = RecoveryPhrase::parse(&desk.typed()?)?;
        let at = ServicesAddress { url: &code.services_url, trust: &trust };
        let asked = AskRecoverySalt { token: code.token.clone() };
        let salt = self.ports.services().recovery_salt(at, &asked).await?.salt;
        let salt = salt.to_array().map(RecoverySalt::from_bytes).map_err(|_| RecoveryError::NotGenuine)?;
        let keys = keys_of(phrase, salt).await?;
        let signing = SigningKey::random(&mut self.ports.random());
        let request = recover_request(&code.token, &keys, &signing)?;
        let recovered = self.ports.services().recover(at, &request).await?;
        let device = NewDevice { guid: code.guid, signing, services_url: code.services_url, trust, waiting: None };
        let restored = self.take_over(&mut hold, keys, device, &recovered)?;
        if let Some(code) = &recovered.enrolment {
            self.enter(&mut hold, code).await?;
        }
        Ok(restored)
    }

    fn take_over(
        &self,
        hold: &mut <P::Store as Store>::Hold,
        keys: RecoveryKeys,
        mut device: NewDevice,
        recovered: &RecoveredCredentials,
    ) -> Result<Restored, RecoveryError> {
        let container = recovered.container.as_bytes();
        let opened = keys.open(container).map_err(|_| RecoveryError::NotGenuine)?;
        let sequence = Head::read(container).ok_or(RecoveryError::NotGenuine)?.sequence;
        let op_id = OperationId::v7(self.ports.clock().now(), random::bytes(&mut self.ports.random()));
        let guid = device.guid;
        let Opened { taken, before, seen, lock, services_salt } =
            content::read(opened.expose(), guid, op_id).ok_or(RecoveryError::NotGenuine)?;
        if recovered.guid != guid {
            return Err(RecoveryError::NotGenuine);
        }
        let RecoveredCredentials { recovery_id, hold_until, vault_is_away, .. } = *recovered;
        let enrolled = recovered.enrolment.is_some();
        device.waiting = (enrolled || vault_is_away).then_some(Waiting { recovery_id, seen, lock });
        let mut kept = Kept {
            keys: Some(keys),
            // A container does not tell.
            keys_made_at: None,
            sequence,
            stored: None,
            device: Some(device),
            before,
            inherited: services_salt,
        };
        kept.save(hold)?;
        let (credential_epoch, cek_version) = content::take_over(hold, taken)?;
        kept.stored = content::newest(hold)?;
        kept.save(hold)?;
        Ok(Restored { guid, recovery_id, credential_epoch, cek_version, hold_until, enrolled, vault_is_away })
    }

    /// The number is stored before the container leaves, so no number stands for two containers.
    async fn upload(
        &self,
        hold: &mut <P::Store as Store>::Hold,
        known: &Known,
        kept: &mut Kept,
    ) -> Result<CredentialBackupStatus, RecoveryError> {
        let (mut backup, newest) = content::gather(hold)?.ok_or(RecoveryError::NoCredential)?;
        backup.add_earlier(&mut kept.before);
        let content = backup.to_bytes()?;
        kept.sequence = kept.sequence.saturating_add(1);
        kept.save(hold)?;
        let keys = kept.keys.as_ref().ok_or(RecoveryError::NotEnrolled)?;
        let container = keys.seal(kept.sequence, content.expose(), &mut self.ports.random())?;
        let verifier = Base64::new(*keys.auth().verifier().expose());
        let request = StoreCredentialBackup { sequence: kept.sequence, container: Base64::new(container), verifier };
        let stored = self.act(known, Action::StoreBackup, &request).await?;
        kept.stored = Some(newest);
        kept.before = backup.into_before();
        kept.save(hold)?;
        Ok(stored)
    }

    async fn act<R: serde::de::DeserializeOwned>(
        &self,
        known: &Known,
        action: Action,
        body: &(impl Serialize + Sync),
    ) -> Result<R, RecoveryError> {
        let (guid, key, url, trust) = known.parts();
        let trust = self.trust.as_deref().unwrap_or(trust);
        let mut acting = Acting { at: ServicesAddress { url, trust }, guid, key, rng: self.ports.random() };
        Ok(acting.act(self.ports.services(), self.ports.clock(), action, body).await?)
    }
}

/// Whether the Services Credential still has the device secret that came with the container: whoever has the device before
/// has that, too (spec 2.1).
pub(crate) fn inherits_device_secret(hold: &impl crate::store::Hold) -> Result<bool, StoreError> {
    let inherited = Kept::load(hold)?.and_then(|kept| kept.inherited);
    Ok(inherited.is_some() && inherited == content::services_salt(hold)?)
}

/// No newer container is made from now on; what made them, for [`keep_again`].
pub(crate) fn stop_keeping(hold: &mut impl crate::store::Hold) -> Result<Option<RecoveryKeys>, StoreError> {
    let Some(mut kept) = Kept::load(hold)? else { return Ok(None) };
    let keys = kept.keys.take();
    kept.save(hold)?;
    Ok(keys)
}

/// The container is kept up to date again.
pub(crate) fn keep_again(hold: &mut impl crate::store::Hold, keys: Option<RecoveryKeys>) -> Result<(), StoreError> {
    match Kept::load(hold)? {
        Some(mut kept) => {
            kept.keys = keys;
            kept.save(hold)
        }
        None => Ok(()),
    }
}

/// Who this app is to services.
pub(crate) enum Known {
    Member(Box<state::Member>),
    Device(Box<NewDevice>),
}

impl Known {
    pub(crate) fn load(hold: &impl crate::store::Hold) -> Result<Self, RecoveryError> {
        if let Some(State::Enrolled(member)) = state::load(hold)? {
            return Ok(Self::Member(member));
        }
        let device = Kept::load(hold)?.and_then(|kept| kept.device);
        device.map(|device| Self::Device(Box::new(device))).ok_or(RecoveryError::NotEnrolled)
    }

    pub(crate) fn parts(&self) -> (MemberId, &SigningKey, &str, &str) {
        match self {
            Self::Member(member) => {
                (member.guid, member.identity.signing(), &member.origin.services_url, &member.trust)
            }
            Self::Device(device) => (device.guid, &device.signing, &device.services_url, &device.trust),
        }
    }
}

fn recover_request(token: &str, keys: &RecoveryKeys, key: &SigningKey) -> Result<RecoverCredentials, SignatureError> {
    let mut request = RecoverCredentials {
        token: token.to_owned(),
        proof: Base64::new(*keys.auth().prove(token.as_bytes()).as_bytes()),
        app_key: key.verifying_key().typed(),
        key_id: key.key_id(),
        signature: Base64::default(),
    };
    request.signature = signature::sign(Context::ServiceRequest, key, &request)?;
    Ok(request)
}

async fn keys_of(phrase: RecoveryPhrase, salt: RecoverySalt) -> Result<RecoveryKeys, RecoveryError> {
    let hashing = tokio::task::spawn_blocking(move || phrase.keys(&salt));
    Ok(hashing.await.map_err(|_| RecoveryError::Interrupted)??)
}

//! The Credential Backup Service (spec 2.11): bodies of the services' HTTP API for the recovery container, and the code that
//! lets a new device ask for it. Form only: nothing here seals, proves or opens.

use crate::base64::{Base64, Base64Url, decode_url, encode_url};
use crate::credential::ChangePassword;
use crate::enrolment::EnrolVault;
use crate::id::{EventId, KeyId, MemberId};
use crate::json;
use crate::key::TypedKey;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest container that services keep, in bytes.
pub const MAX_CONTAINER_BYTES: usize = 512 * 1024;
/// Longest text of a code.
pub const MAX_CODE_BYTES: usize = 2048;
const CODE_PREFIX: &str = "VRC1.";

/// `POST /v1/credentials/backup`: the app stores its recovery container.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreCredentialBackup {
    /// As in the head of the container; rises with each one.
    pub sequence: u64,
    /// `VCB1` container.
    pub container: Base64,
    /// `H256(auth)`, 32 bytes: recognises the proof of the phrase.
    pub verifier: Base64,
}

impl fmt::Debug for StoreCredentialBackup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreCredentialBackup").field("sequence", &self.sequence).finish_non_exhaustive()
    }
}

/// How a member's recovery container stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialBackupStatus {
    /// Whether there is one.
    pub enabled: bool,
    /// Its sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// When it was stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_at: Option<Timestamp>,
    /// The latest recovery, until its hold is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<RecoveryHold>,
}

/// A recovery whose device may not do everything yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecoveryHold {
    /// Names the recovery.
    pub recovery_id: EventId,
    /// When it was.
    pub recovered_at: Timestamp,
    /// Operations of high value are refused until then, unless the old device approves.
    pub hold_until: Timestamp,
}

/// `POST /v1/credentials/recover/start` (portal token): a code for one try of a new device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecoveryStarted {
    /// The text of the QR code; [`RecoveryCode::read`] reads it.
    pub qr: String,
    /// When it dies.
    pub expires_at: Timestamp,
}

/// What the QR code of a recovery holds. Whoever has it may try once; without the phrase that gives nothing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecoveryCode {
    /// Base URL of services.
    pub services_url: String,
    /// The member.
    pub guid: MemberId,
    /// Single-use token.
    pub token: String,
    /// When it dies.
    pub expires_at: Timestamp,
}

/// The text is not the code of a recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not a code for a recovery")]
pub struct InvalidCode;

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode")
    }
}

impl RecoveryCode {
    /// `VRC1.` and base64url of the canonical form.
    ///
    /// # Errors
    /// [`json::JsonError`] if a field lies outside the profile.
    pub fn to_text(&self) -> Result<String, json::JsonError> {
        Ok(format!("{CODE_PREFIX}{}", encode_url(&json::canonical(self)?)))
    }

    /// Reads the text, or a link that carries it as fragment.
    ///
    /// # Errors
    /// [`InvalidCode`].
    pub fn read(text: &str) -> Result<Self, InvalidCode> {
        if text.len() > MAX_CODE_BYTES {
            return Err(InvalidCode);
        }
        let text = text.trim();
        let text = text.split_once('#').map_or(text, |(_, fragment)| fragment);
        let coded = text.strip_prefix(CODE_PREFIX).ok_or(InvalidCode)?;
        let bytes = decode_url(coded).map_err(|_| InvalidCode)?;
        let code: Self = json::read(&bytes).map_err(|_| InvalidCode)?;
        if code.services_url.starts_with("https://") { Ok(code) } else { Err(InvalidCode) }
    }
}

/// `POST /v1/credentials/recover/salt`: what the phrase needs before it can prove itself. Uses nothing up.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskRecoverySalt {
    /// The token of the code.
    pub token: String,
}

impl fmt::Debug for AskRecoverySalt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AskRecoverySalt")
    }
}

/// The salt of the container. An unknown token gets one as well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecoverySaltAnswer {
    /// 16 bytes.
    pub salt: Base64,
}

/// `POST /v1/credentials/recover`: one try, which uses the token up.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecoverCredentials {
    /// The token of the code.
    pub token: String,
    /// Proof of the phrase for this token, 32 bytes.
    pub proof: Base64,
    /// The identity key of the new device's app.
    pub app_key: TypedKey,
    /// The signing key.
    pub key_id: KeyId,
    /// By the new app's key, over everything else (ctx `vettid/service-request/1`).
    pub signature: Base64,
}

impl fmt::Debug for RecoverCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoverCredentials")
    }
}

/// The container, and what the new device may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecoveredCredentials {
    /// The member.
    pub guid: MemberId,
    /// Names the recovery.
    pub recovery_id: EventId,
    /// `VCB1` container.
    pub container: Base64,
    /// Operations of high value are refused until then, unless the old device approves.
    pub hold_until: Timestamp,
    /// The code with which this device, and no other, enrols with the member's vault; absent if there is no vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrolment: Option<String>,
    /// There is a vault, and it opened no way in: it is locked, or its host is away. The device asks again
    /// (`/v1/credentials/recover/enter`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub vault_is_away: bool,
}

/// `POST /v1/credentials/recover/enter`: a device whose recovery was taken asks for a fresh way into the vault, within three days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnterVault {
    /// The member.
    pub guid: MemberId,
    /// Which recovery; the latest one of the member.
    pub recovery_id: EventId,
    /// The identity key of the new device's app.
    pub app_key: TypedKey,
    /// When it was signed; taken within two minutes.
    pub issued_at: Timestamp,
    /// 16 to 64 random bytes; taken once.
    pub nonce: Base64Url,
    /// The signing key.
    pub key_id: KeyId,
    /// By the new app's key, over everything else (ctx `vettid/service-request/1`).
    pub signature: Base64,
}

/// The way in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultEntrance {
    /// The code with which this device, and no other, enrols with the member's vault; good for ten minutes.
    pub enrolment: String,
}

/// `POST /v1/credentials/recover/decide`: the old device says whether the recovery is the member's own. Services hand it on to
/// the vault as it is, which knows the key of the old device itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecideRecovery {
    /// The member.
    pub guid: MemberId,
    /// Which recovery.
    pub recovery_id: EventId,
    /// Whether it is the member's own.
    pub approve: bool,
    /// The identity key of the old device's app.
    pub app_key: TypedKey,
    /// When it was signed; taken within two minutes.
    pub issued_at: Timestamp,
    /// 16 to 64 random bytes; taken once.
    pub nonce: Base64Url,
    /// The signing key.
    pub key_id: KeyId,
    /// By the old app's key, over everything else (ctx `vettid/service-request/1`).
    pub signature: Base64,
}

/// What the old device said has its effect: the hold is lifted, or the new device is cut off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecoveryDecided {
    /// Which recovery.
    pub recovery_id: EventId,
    /// What it said.
    pub approve: bool,
}

/// Parameters of the control command `vault.recover`: make an enrolment code for one device, which has to prove the member's
/// password before it takes the place of the member's app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecoverVault {
    /// As for the first app.
    pub enrol: EnrolVault,
    /// Names the recovery.
    pub recovery_id: EventId,
    /// The identity key of the one app that may use the code.
    pub app_key: TypedKey,
}

/// `params` of the action `device.replace`: this device takes the place of the member's app, with a secret of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplaceDevice {
    /// The recovery.
    pub recovery_id: EventId,
    /// The identity key of the new device's app.
    pub app_key: TypedKey,
    /// The password with the secret of the new device.
    pub password: ChangePassword,
}

/// The device is the member's app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceReplaced {
    /// What is of high value waits until then; absent once the old device approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_until: Option<Timestamp>,
}

/// Something about the member's own credentials that the member has to hear of on every channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: NoticeKind,
}

/// What a [`Notice`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// A recovery container was stored for the first time, or under another phrase.
    BackupEnabled,
    /// The recovery container was removed.
    BackupRemoved,
    /// A code for a recovery was made in the portal.
    RecoveryStarted,
    /// Somebody tried to recover.
    RecoveryTried,
    /// Somebody tried to recover too often; the try was not looked at.
    RecoveryTooOften,
    /// A new device brought the phrase; it takes the old one's place once it proves the password.
    Recovered,
    /// The old device approved the recovery.
    RecoveryApproved,
    /// The old device denied the recovery; the new device was cut off.
    RecoveryDenied,
    /// A wrong password for the credential at services.
    WrongPassword,
    /// A copy of an earlier credential was used, or one that is not genuine.
    CredentialAlarm,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(services_url: &str) -> RecoveryCode {
        RecoveryCode {
            services_url: services_url.to_owned(),
            guid: MemberId::from_bytes([1; 16]),
            token: "t".repeat(43),
            expires_at: Timestamp::from_unix_ms(1_800_000_000_000),
        }
    }

    #[test]
    fn a_code_is_read_as_text_and_as_link() {
        let code = code("https://vettid.test");
        let text = code.to_text().unwrap();
        assert_eq!(RecoveryCode::read(&text), Ok(code.clone()));
        assert_eq!(RecoveryCode::read(&format!(" https://vettid.test/recover#{text}\n")), Ok(code));
    }

    #[test]
    fn what_is_not_a_code_is_refused() {
        let text = code("https://vettid.test").to_text().unwrap();
        let plain = code("http://vettid.test").to_text().unwrap();
        for wrong in ["", "VRC1.", "VRC1.e30", &text[1..], &text[..text.len() - 1], &plain, &" ".repeat(2049)] {
            assert_eq!(RecoveryCode::read(wrong), Err(InvalidCode), "{wrong}");
        }
    }

    #[test]
    fn debug_shows_no_token() {
        let asked = AskRecoverySalt { token: "canary".to_owned() };
        assert!(!format!("{:?} {asked:?}", code("https://vettid.test")).contains("ttt"));
        assert!(!format!("{asked:?}").contains("canary"));
    }
}

//! The vault's own keys: its identity and the NKeys of its two accounts. Made here at first start; no private half
//! ever leaves, except inside the sealed journal.

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use vettid_core::handshake::Party;
use vettid_crypto::identity::SigningKey;
use vettid_crypto::key_record::{self, Draft, KeyRecordError, VerifiedKeyRecord};
use vettid_crypto::nats::key::{AccountKey, InvalidKey};
use vettid_crypto::secret::Secret32;
use vettid_crypto::stored;
use vettid_crypto::suite::{KemSecretKey, Suite, SuiteError};
use vettid_wire::enrolment::{RotateSigningKeys, SigningKeysRotated, SigningNkeys, VaultDeployed};
use vettid_wire::id::{Fingerprint, MemberId};
use vettid_wire::key_record::KeyRole;
use vettid_wire::time::Timestamp;

/// Key under which the identity stands in the state.
pub const KEY: &str = "identity";

/// A key record lives at most this long, in milliseconds (one year).
const RECORD_LIFE_MS: i64 = 365 * 24 * 3600 * 1000;

/// Who this vault is.
#[derive(Debug, Serialize, Deserialize)]
pub struct VaultIdentity {
    /// The member.
    pub guid: MemberId,
    /// Counts restores.
    pub incarnation: u64,
    /// The signed key record.
    pub key_record: VerifiedKeyRecord,
    #[serde(with = "stored")]
    signing: SigningKey,
    #[serde(with = "stored")]
    session_kem: KemSecretKey,
    #[serde(with = "stored")]
    owner_account: Secret32,
    #[serde(with = "stored")]
    app_signing: Secret32,
    #[serde(with = "stored")]
    message_account: Secret32,
    #[serde(with = "stored")]
    connection_signing: Secret32,
    #[serde(with = "stored")]
    service_signing: Secret32,
    #[serde(with = "stored")]
    claim_signing: Secret32,
    /// When the four signing keys were made; absent: with the identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signing_since: Option<Timestamp>,
    /// When they signed first; absent: since they were made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signing_from: Option<Timestamp>,
    /// Signing keys that services were told and did not confirm yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    successors: Option<SigningKeys>,
}

/// The keys that sign the credentials of users in the vault's two accounts.
#[derive(Debug, Serialize, Deserialize)]
struct SigningKeys {
    since: Timestamp,
    keeps_former: bool,
    #[serde(with = "stored")]
    app: Secret32,
    #[serde(with = "stored")]
    connection: Secret32,
    #[serde(with = "stored")]
    service: Secret32,
    #[serde(with = "stored")]
    claim: Secret32,
}

impl SigningKeys {
    fn request(&self) -> Result<RotateSigningKeys, InvalidKey> {
        let text = |key: &Secret32| {
            AccountKey::from_secret(key.duplicate()).map(|account| account.public().as_str().to_owned())
        };
        let keys = SigningNkeys {
            app: text(&self.app)?,
            connection: text(&self.connection)?,
            service: text(&self.service)?,
            claim: text(&self.claim)?,
        };
        Ok(RotateSigningKeys { since: self.since, keys, keeps_former: self.keeps_former })
    }
}

/// A new identity could not be made.
#[derive(Debug, thiserror::Error)]
pub enum IdentityFailed {
    /// The key record cannot be made.
    #[error("the key record cannot be made")]
    Record(#[from] KeyRecordError),
    /// The key for sessions cannot be made.
    #[error("the key for sessions cannot be made")]
    Kem(#[from] SuiteError),
}

impl VaultIdentity {
    /// Whether an event was first addressed to an incarnation after this one: then this vault is an old copy, and the event
    /// is not its own to run (docs/decisions/0096).
    #[must_use]
    pub fn is_behind(&self, to_incarnation: u64) -> bool {
        to_incarnation > self.incarnation
    }

    /// Fresh keys for a new vault.
    pub fn new(guid: MemberId, now: Timestamp, rng: &mut dyn CryptoRng) -> Result<Self, IdentityFailed> {
        let signing = SigningKey::random(rng);
        let session_kem = KemSecretKey::generate(Suite::X25519, rng)?;
        Ok(Self {
            guid,
            incarnation: 1,
            key_record: key_record(guid, &signing, &session_kem, now)?,
            signing,
            session_kem,
            owner_account: Secret32::random(rng),
            app_signing: Secret32::random(rng),
            message_account: Secret32::random(rng),
            connection_signing: Secret32::random(rng),
            service_signing: Secret32::random(rng),
            claim_signing: Secret32::random(rng),
            signing_since: None,
            signing_from: None,
            successors: None,
        })
    }

    /// When the keys that sign the credentials of users were made.
    #[must_use]
    pub fn signing_since(&self) -> Timestamp {
        self.signing_since.unwrap_or(self.key_record.record().issued_at)
    }

    /// Since when they sign; what was signed earlier is of former keys.
    #[must_use]
    pub fn signing_from(&self) -> Timestamp {
        self.signing_from.unwrap_or(self.key_record.record().issued_at)
    }

    /// Whether keys wait for services.
    #[must_use]
    pub fn has_successors(&self) -> bool {
        self.successors.is_some()
    }

    /// What services have to be told of keys that do not sign yet.
    pub fn announced(&self) -> Result<Option<RotateSigningKeys>, InvalidKey> {
        self.successors.as_ref().map(SigningKeys::request).transpose()
    }

    /// Makes keys that are to sign from now on; they do once services have confirmed them. Keys that wait for that
    /// are kept, because the broker may know them already. Gives when they were made.
    pub fn make_successors(&mut self, keeps_former: bool, now: Timestamp, rng: &mut dyn CryptoRng) -> Timestamp {
        let waiting = self.successors.get_or_insert_with(|| SigningKeys {
            since: now,
            keeps_former,
            app: Secret32::random(rng),
            connection: Secret32::random(rng),
            service: Secret32::random(rng),
            claim: Secret32::random(rng),
        });
        waiting.keeps_former &= keeps_former;
        waiting.since
    }

    /// Services did what was asked: the new keys sign now. `false` if something else waits.
    pub fn succeed(&mut self, confirmed: SigningKeysRotated, now: Timestamp) -> bool {
        let is_meant =
            |keys: &mut SigningKeys| keys.since == confirmed.since && keys.keeps_former == confirmed.keeps_former;
        let Some(keys) = self.successors.take_if(is_meant) else {
            return false;
        };
        self.signing_since = Some(keys.since);
        self.signing_from = Some(now);
        self.app_signing = keys.app;
        self.connection_signing = keys.connection;
        self.service_signing = keys.service;
        self.claim_signing = keys.claim;
        true
    }

    /// Signs for the vault and, until a credential exists, for the member.
    #[must_use]
    pub fn signing_key(&self) -> &SigningKey {
        &self.signing
    }

    /// The prekey for sessions of the app.
    #[must_use]
    pub fn session_kem(&self) -> &KemSecretKey {
        &self.session_kem
    }

    /// This vault as a side of a handshake.
    #[must_use]
    pub fn party(&self) -> Party<'_> {
        Party { key_record: &self.key_record, signing: &self.signing }
    }

    /// What other parties know this vault by.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.signing.verifying_key().fingerprint()
    }

    /// Names the account of the owner's lane, and signs nothing.
    pub fn owner_account(&self) -> Result<AccountKey, InvalidKey> {
        AccountKey::from_secret(self.owner_account.duplicate())
    }

    /// Signs the users of apps.
    pub fn app_signing(&self) -> Result<AccountKey, InvalidKey> {
        AccountKey::from_secret(self.app_signing.duplicate())
    }

    /// Names the account of connections and services, and signs nothing.
    pub fn message_account(&self) -> Result<AccountKey, InvalidKey> {
        AccountKey::from_secret(self.message_account.duplicate())
    }

    /// Signs the users of connected members.
    pub fn connection_signing(&self) -> Result<AccountKey, InvalidKey> {
        AccountKey::from_secret(self.connection_signing.duplicate())
    }

    /// Signs the users of connected services.
    pub fn service_signing(&self) -> Result<AccountKey, InvalidKey> {
        AccountKey::from_secret(self.service_signing.duplicate())
    }

    /// Signs the holders of invitations.
    pub fn claim_signing(&self) -> Result<AccountKey, InvalidKey> {
        AccountKey::from_secret(self.claim_signing.duplicate())
    }

    /// The public halves, for services.
    pub fn public(&self) -> Result<VaultDeployed, InvalidKey> {
        let text = |key: AccountKey| key.public().as_str().to_owned();
        Ok(VaultDeployed {
            guid: self.guid,
            identity_key: self.signing.verifying_key().typed(),
            owner_account_nkey: text(self.owner_account()?),
            app_signing_nkey: text(self.app_signing()?),
            message_account_nkey: text(self.message_account()?),
            connection_signing_nkey: text(self.connection_signing()?),
            service_signing_nkey: text(self.service_signing()?),
            claim_signing_nkey: text(self.claim_signing()?),
        })
    }
}

/// The first key record of a vault; signed by itself while there is no credential.
fn key_record(
    guid: MemberId,
    signing: &SigningKey,
    session_kem: &KemSecretKey,
    now: Timestamp,
) -> Result<VerifiedKeyRecord, KeyRecordError> {
    let expires_at = now.plus_ms(RECORD_LIFE_MS);
    let draft = Draft {
        role: KeyRole::Vault,
        guid,
        signing_key: signing.verifying_key(),
        device_key: None,
        kem_keys: vec![key_record::kem_key(&session_kem.public_key(), now, expires_at)],
        suites: vec![Suite::X25519],
        issued_at: now,
        expires_at,
    };
    key_record::build(draft, signing, None)
}

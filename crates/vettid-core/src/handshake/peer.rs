//! The other side, verified: its key record, its KEM key of epoch 0, and what it told inside the handshake.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use vettid_crypto::identity::VerifyingKey;
use vettid_crypto::key_record::{self, VerifiedKeyRecord};
use vettid_crypto::profile;
use vettid_crypto::suite::{KemPublicKey, Suite};
use vettid_wire::contract::{Acceptance, Contract};
use vettid_wire::handshake::{Claim, Hs1Payload, Hs2Payload};
use vettid_wire::id::{DeviceId, Fingerprint, MemberId};
use vettid_wire::key::TypedKey;
use vettid_wire::key_record::{KeyRecord, KeyRole};
use vettid_wire::profile::SignedProfile;
use vettid_wire::time::Timestamp;

use super::Refusal;

/// The other side. Everything in it is covered by its signature over the transcript.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its keys, verified.
    pub key_record: VerifiedKeyRecord,
    /// Its KEM key of epoch 0, of the handshake's suite.
    pub epoch_kem: TypedKey,
    /// Its profile, verified.
    pub profile: Option<SignedProfile>,
    /// Its public NKey, for which this side mints a JWT.
    pub nkey_pub: Option<String>,
    /// The JWT that it minted for this side's NKey.
    pub jwt: Option<String>,
    /// Its signing key for this connection alone.
    pub pairwise_key: Option<TypedKey>,
    /// From initiators: where the second message goes.
    pub claim: Option<Claim>,
    /// From apps: the device.
    pub device: Option<DeviceId>,
    /// From services: the contract on offer. Its content is not checked here.
    pub contract: Option<Contract>,
    /// To services: the acceptance of the contract. Its signature is not checked here.
    pub acceptance: Option<Acceptance>,
    /// Statement about the hardware, not checked here.
    pub attestation: Option<Value>,
    /// Its incarnation.
    pub incarnation: u64,
}

impl Peer {
    /// The fingerprint of its identity.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.key_record.fingerprint()
    }

    /// Its identity key.
    #[must_use]
    pub fn identity(&self) -> &VerifyingKey {
        self.key_record.identity()
    }

    /// Whose side it is.
    #[must_use]
    pub fn guid(&self) -> MemberId {
        self.key_record.record().guid
    }

    /// What an initiator says about itself.
    pub(super) fn initiator(payload: Hs1Payload, wanted: &Wanted) -> Result<Self, Refusal> {
        let key_record = wanted.key_record(&payload.identity_key, payload.key_record)?;
        let peer = Self {
            epoch_kem: wanted.epoch_kem(payload.epoch_kem)?,
            profile: payload.profile,
            nkey_pub: payload.nkey_pub,
            jwt: None,
            pairwise_key: payload.pairwise_key,
            claim: payload.claim,
            device: payload.device,
            contract: None,
            acceptance: None,
            attestation: payload.device_attestation,
            incarnation: payload.incarnation.unwrap_or(1),
            key_record,
        };
        peer.checked(wanted)
    }

    /// What a responder says about itself.
    pub(super) fn responder(payload: Hs2Payload, wanted: &Wanted) -> Result<Self, Refusal> {
        let key_record = wanted.key_record(&payload.identity_key, payload.key_record)?;
        let peer = Self {
            epoch_kem: wanted.epoch_kem(payload.epoch_kem)?,
            profile: payload.profile,
            nkey_pub: payload.nkey_pub,
            jwt: payload.jwt,
            pairwise_key: payload.pairwise_key,
            claim: None,
            device: None,
            contract: payload.contract,
            acceptance: None,
            attestation: payload.attestation,
            incarnation: payload.incarnation.unwrap_or(1),
            key_record,
        };
        peer.checked(wanted)
    }

    fn checked(self, wanted: &Wanted) -> Result<Self, Refusal> {
        if let Some(signed) = &self.profile {
            let verified = profile::verify(signed.clone(), wanted.now).map_err(|_| Refusal::Misbehaved)?;
            if verified.fingerprint() != self.fingerprint() || verified.get().guid != self.guid() {
                return Err(Refusal::Misbehaved);
            }
        }
        let pairwise = self.pairwise_key.as_ref().map(VerifyingKey::from_typed).transpose();
        if pairwise.is_err() || self.incarnation == 0 { Err(Refusal::Misbehaved) } else { Ok(self) }
    }
}

/// What the other side has to be.
pub(super) struct Wanted {
    pub(super) now: Timestamp,
    pub(super) role: KeyRole,
    pub(super) suite: Suite,
    pub(super) guid: Option<MemberId>,
}

impl Wanted {
    fn key_record(&self, identity: &TypedKey, record: KeyRecord) -> Result<VerifiedKeyRecord, Refusal> {
        let fits = record.identity_key == *identity
            && record.role == self.role
            && self.guid.is_none_or(|guid| guid == record.guid);
        if !fits {
            return Err(Refusal::Misbehaved);
        }
        key_record::verify(record, self.now).map_err(|_| Refusal::Misbehaved)
    }

    fn epoch_kem(&self, key: TypedKey) -> Result<TypedKey, Refusal> {
        match KemPublicKey::from_typed(&key) {
            Ok(kem) if kem.suite() == self.suite => Ok(key),
            _ => Err(Refusal::Misbehaved),
        }
    }
}

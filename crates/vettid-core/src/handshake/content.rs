//! What a side tells the other one inside the three messages, beyond keys, nonces and signatures.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use vettid_crypto::key_record::VerifiedKeyRecord;
use vettid_crypto::suite::KemPublicKey;
use vettid_wire::base64::Base64;
use vettid_wire::contract::{Acceptance, Contract};
use vettid_wire::handshake::Claim;
use vettid_wire::id::DeviceId;
use vettid_wire::json::JsonError;
use vettid_wire::key::TypedKey;
use vettid_wire::profile::SignedProfile;

use super::Refusal;

/// Inside the first message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Opening {
    /// The own profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<SignedProfile>,
    /// The own public NKey, for which the responder mints a JWT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nkey_pub: Option<String>,
    /// The own signing key for this connection alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pairwise_key: Option<TypedKey>,
    /// Where the second message goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// The app's device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// The device maker's statement about the device key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_attestation: Option<Value>,
    /// The own incarnation, if it is not 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<u64>,
}

/// Inside the second message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The own profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<SignedProfile>,
    /// The JWT for the initiator's NKey.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<String>,
    /// The own public NKey, for which the initiator mints a JWT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nkey_pub: Option<String>,
    /// The own signing key for this connection alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pairwise_key: Option<TypedKey>,
    /// The contract on offer, from services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract: Option<Contract>,
    /// Statement of the hardware that runs this side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attestation: Option<Value>,
    /// The own incarnation, if it is not 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<u64>,
}

/// Inside the third message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Closing {
    /// The JWT for the responder's NKey.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<String>,
    /// The signed acceptance of the contract, to services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acceptance: Option<Acceptance>,
    /// By the own device key over `th3`; due when the own key record names such a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_sig: Option<Base64>,
}

/// The fields of a payload as JSON.
pub(super) fn fields(content: &impl Serialize) -> Result<Map<String, Value>, JsonError> {
    match serde_json::to_value(content).map_err(JsonError::Shape)? {
        Value::Object(fields) => Ok(fields),
        _ => Ok(Map::new()),
    }
}

/// The fields of a payload with identity, key record and the KEM key of epoch 0.
pub(super) fn introduced(
    content: &impl Serialize,
    own: &VerifiedKeyRecord,
    epoch_kem: &KemPublicKey,
) -> Result<Map<String, Value>, JsonError> {
    let mut fields = fields(content)?;
    fields.insert("identity_key".to_owned(), own.identity().typed().to_string().into());
    fields.insert("key_record".to_owned(), serde_json::to_value(own.record()).map_err(JsonError::Shape)?);
    fields.insert("epoch_kem".to_owned(), epoch_kem.typed().to_string().into());
    Ok(fields)
}

/// Reads a payload as its type. What was received and what was read must be one and the same, so that nothing signed
/// inside it can have two forms.
pub(super) fn read<T: Serialize + DeserializeOwned>(payload: Map<String, Value>) -> Result<T, Refusal> {
    let received = Value::Object(payload);
    let typed = T::deserialize(&received).map_err(|_| Refusal::Misbehaved)?;
    let again = serde_json::to_value(&typed).map_err(|_| Refusal::Misbehaved)?;
    if again == received { Ok(typed) } else { Err(Refusal::Misbehaved) }
}

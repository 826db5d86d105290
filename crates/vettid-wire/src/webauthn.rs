//! What a WebAuthn authenticator gives when it is asked for a login (W3C Web Authentication, Level 3), and what is kept of
//! it. Data and sizes only; whether an assertion holds is decided where the keys are.

use crate::base64::Base64;
use serde::{Deserialize, Serialize};

/// Longest name of a credential, in bytes.
pub const MAX_CREDENTIAL_ID_BYTES: usize = 1023;
/// Authenticator data without extensions and without a new credential: hash, flags and counter.
pub const AUTHENTICATOR_DATA_BYTES: usize = 37;
/// Longest client data, in bytes.
pub const MAX_CLIENT_DATA_BYTES: usize = 1024;
/// Longest signature of ES256 in DER, in bytes.
pub const MAX_SIGNATURE_BYTES: usize = 72;

/// What an authenticator said for one login. Its signature, DER as it came, is over the data and the SHA-256 of the client data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assertion {
    /// Names the credential, 1 to 1,023 bytes.
    pub credential_id: Base64,
    /// SHA-256 of the host, flags and counter: 37 bytes.
    pub authenticator_data: Base64,
    /// What the browser says about the call, at most 1,024 bytes of JSON.
    pub client_data_json: Base64,
}

impl Assertion {
    /// Whether each part has a length that it may have.
    #[must_use]
    pub fn is_sized(&self) -> bool {
        (1..=MAX_CREDENTIAL_ID_BYTES).contains(&self.credential_id.as_bytes().len())
            && self.authenticator_data.as_bytes().len() == AUTHENTICATOR_DATA_BYTES
            && (1..=MAX_CLIENT_DATA_BYTES).contains(&self.client_data_json.as_bytes().len())
    }
}

/// What is kept of an authenticator beside its key, as its last assertion said it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authenticator {
    /// Names the credential there.
    pub credential_id: Base64,
    /// How often it signed; 0 for an authenticator that does not count.
    pub sign_count: u32,
    /// Whether the key may be copied to other devices of its owner (a synchronised passkey). Never changes.
    pub can_be_copied: bool,
    /// Whether it was.
    pub is_copied: bool,
}

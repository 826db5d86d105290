//! New signing keys of a service's account: what its gateway tells the operator's services. Public halves alone.

use crate::base64::Base64;
use crate::id::{MemberId, ServiceId};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// `POST /v1/services/keys`: these keys sign the credentials of a service's users from now on. Signed by the account's own key, which signs
/// nothing else. The answer is [`SigningKeysRotated`](crate::enrolment::SigningKeysRotated).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotateServiceKeys {
    /// The service.
    pub service_id: ServiceId,
    /// Its space.
    pub guid: MemberId,
    /// When the gateway made them; services take only keys that are younger than those they know.
    pub since: Timestamp,
    /// The keys.
    pub keys: ServiceSigningNkeys,
    /// Whether credentials under the keys that sign now are taken until the next change; if not, they are cut off at once.
    pub keeps_former: bool,
    /// 64 bytes.
    pub signature: Base64,
}

/// The public NKeys that sign the credentials of a service's users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSigningNkeys {
    /// Signs the gateway's own user.
    pub vault: String,
    /// Signs the users of connected members.
    pub connection: String,
    /// Signs the tokens of invitations.
    pub claim: String,
}

//! What waits for the owner's decision.

use crate::auth::{Decision, Display};
use crate::authorisation::AuthorisationView;
use crate::digest::Digest;
use crate::id::{ConnectionId, RequestId};
use crate::login::LoginCheck;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Every open request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestList {
    /// Oldest first.
    pub requests: Vec<PendingRequest>,
}

/// A request that waits for the owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PendingRequest {
    /// The request.
    pub request_id: RequestId,
    /// Who asks.
    pub connection_id: ConnectionId,
    /// The asking party's name.
    pub display_name: String,
    /// What is asked.
    pub ask: Ask,
    /// What the vault itself knows about a login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<LoginCheck>,
    /// When it arrived.
    pub received_at: Timestamp,
    /// Unanswered until then, it counts as denied.
    pub expires_at: Timestamp,
}

/// What is asked of the owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// To read a field of the consent tier.
    Data {
        /// Name of the field.
        field: String,
        /// What for.
        purpose: String,
    },
    /// To read several fields: a yes or a no for each.
    DataBatch {
        /// Names of the fields that need the owner's word.
        fields: Vec<String>,
        /// What for.
        purpose: String,
    },
    /// To log in.
    Login {
        /// The site.
        origin: String,
        /// What the service says about the browser.
        display: Display,
    },
    /// To give the member's word.
    Authorisation(Box<AuthorisationView>),
}

/// Owner's command: decide a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decide {
    /// The request.
    pub request_id: RequestId,
    /// Yes or no.
    pub decision: Decision,
    /// The one of three numbers that the waiting page shows, for a login from an unknown browser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u8>,
    /// Whether the browser counts as known from now on, where the level of the login allows it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub remember: bool,
    /// Hash of what was shown; without it nobody gives the member's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<Digest>,
    /// The fields that a yes is for, where several are asked for; what is not named is denied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
}

/// The decision was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decided {
    /// The request.
    pub request_id: RequestId,
    /// Yes or no; a wrong number is a no.
    pub decision: Decision,
    /// Where the browser of this device has to go for the login to count. Holds a code: a secret until it was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_to: Option<String>,
}

//! How members can see who the service is: the domain that it proves.

use crate::{ClientError, GatewayClient};
use serde::{Deserialize, Serialize};
use vettid_wire::directory::{Domain, Finding, Level};
use vettid_wire::time::Timestamp;

/// How well members know the service, as the registry says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// How well.
    pub level: Level,
    /// What the text record has to say; the name is `_vettid.` and the domain.
    pub record_text: String,
    /// The domain, if it is verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<ProvedDomain>,
    /// The operator's word, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certification: Option<OperatorsWord>,
}

/// A domain whose record was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvedDomain {
    /// The domain.
    pub domain: Domain,
    /// Since when it is verified without a gap.
    pub since: Timestamp,
    /// When its record was last found.
    pub checked_at: Timestamp,
}

/// Why the operator knows the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorsWord {
    /// What was looked at.
    pub reason: String,
    /// Ends by itself then.
    pub until: Timestamp,
}

/// What became of a claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimedDomain {
    /// Where the text record has to stand.
    pub record_name: String,
    /// What was found there just now. The registry looks again by itself.
    pub found: Finding,
    /// How well members know the service now.
    pub standing: Standing,
}

#[derive(Serialize)]
struct Claim<'a> {
    domain: &'a Domain,
}

impl GatewayClient {
    /// How well members know the service, and what its text record has to say. Scope `admin`, as for a claim.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn verification(&self) -> Result<Standing, ClientError> {
        self.get(&["v1", "verification"], &[]).await
    }

    /// Claims a domain: the operator's services look for its text record at once, and from then on regularly.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn claim_domain(&self, domain: &Domain) -> Result<ClaimedDomain, ClientError> {
        self.post(&["v1", "verification"], &Claim { domain }).await
    }
}

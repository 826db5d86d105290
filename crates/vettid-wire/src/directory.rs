//! What the registry says of services, signed by it: which domain a service controls, and how well the operator knows it. A level that
//! is not signed, or whose time is over, is none.

use crate::base64::{Base64, Base64Url};
use crate::id::{Fingerprint, KeyId, MemberId, ServiceId};
use crate::key::TypedKey;
use crate::profile::SignedProfile;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Longest domain in bytes; the name of its record has to be a name, too.
const MAX_DOMAIN_BYTES: usize = 240;
/// Longest label in bytes (RFC 1035).
const MAX_LABEL_BYTES: usize = 63;
/// Longest reason of a certification in bytes.
pub const MAX_REASON_BYTES: usize = 300;
/// What a record begins with.
const RECORD_FORM: &str = "vettid1";

/// A domain in ASCII and lower case, as it stands in DNS: letters of other scripts are written as `xn--…`, so that none looks like another
/// one. At least two labels, none of them a number at the end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Domain(String);

/// Not a domain of that form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a domain in ascii and lower case, such as example.org")]
pub struct InvalidDomain;

impl Domain {
    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where the record of the domain is looked up.
    #[must_use]
    pub fn record_name(&self) -> String {
        format!("_vettid.{}", self.0)
    }
}

/// What the record of a domain says: the service, and the identity key that it is spoken for with. One record for each service.
#[must_use]
pub fn record_text(service_id: &ServiceId, fingerprint: &Fingerprint) -> String {
    format!("{RECORD_FORM} service={service_id} key={fingerprint}")
}

impl FromStr for Domain {
    type Err = InvalidDomain;

    fn from_str(text: &str) -> Result<Self, InvalidDomain> {
        let labels: Vec<&str> = text.split('.').collect();
        let top_is_a_name = labels.last().is_some_and(|top| top.bytes().any(|byte| byte.is_ascii_lowercase()));
        let sound = text.len() <= MAX_DOMAIN_BYTES && labels.len() > 1 && labels.iter().all(|label| is_label(label));
        if sound && top_is_a_name { Ok(Self(text.to_owned())) } else { Err(InvalidDomain) }
    }
}

fn is_label(label: &str) -> bool {
    let sound = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=MAX_LABEL_BYTES).contains(&label.len())
        && label.bytes().all(sound)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

impl TryFrom<String> for Domain {
    type Error = InvalidDomain;

    fn try_from(text: String) -> Result<Self, InvalidDomain> {
        text.parse()
    }
}

impl From<Domain> for String {
    fn from(domain: Domain) -> Self {
        domain.0
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How well a service is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Nobody knows who it is.
    Unverified,
    /// It controls the domain that it names.
    Verified,
    /// That, and the operator knows who it is.
    Certified,
}

/// What the registry says of one service (ctx `vettid/service-standing/1`), by the registry's identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceStanding {
    /// The service.
    pub service_id: ServiceId,
    /// Its space.
    pub guid: MemberId,
    /// The identity key that it proved its domain with; who comes with another one is somebody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_fp: Option<Fingerprint>,
    /// How well it is known.
    pub level: Level,
    /// Its domain; only if it is verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<VerifiedDomain>,
    /// Why the operator knows it; only if it is certified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certification: Option<Certification>,
    /// When this was said.
    pub issued_at: Timestamp,
    /// Says nothing any more from then on.
    pub valid_until: Timestamp,
    /// The registry's key.
    pub key_id: KeyId,
    /// Over everything else.
    pub signature: Base64,
}

/// A domain whose record was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifiedDomain {
    /// The domain.
    pub domain: Domain,
    /// Since when it is verified without a gap.
    pub since: Timestamp,
    /// When its record was last found.
    pub checked_at: Timestamp,
}

/// The operator's word for a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certification {
    /// What was looked at.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// Ends by itself then.
    pub until: Timestamp,
}

/// `POST /v1/services/domain/challenge`: what has to be signed along with a claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskDomainChallenge {
    /// The service.
    pub service_id: ServiceId,
    /// The domain that it will claim.
    pub domain: Domain,
}

/// Good for one claim of this service and domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainChallenge {
    /// 32 random bytes.
    pub challenge: Base64Url,
    /// Not taken any more from then on.
    pub expires_at: Timestamp,
}

/// A service claims a domain (ctx `vettid/domain-claim/1`), by its identity key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainClaim {
    /// The service.
    pub service_id: ServiceId,
    /// Its space.
    pub guid: MemberId,
    /// The domain.
    pub domain: Domain,
    /// The identity key, whose fingerprint stands in the record.
    pub public_key: TypedKey,
    /// What the registry gave.
    pub challenge: Base64Url,
    /// When.
    pub at: Timestamp,
    /// The identity key.
    pub key_id: KeyId,
    /// Over everything else.
    pub signature: Base64,
}

/// `POST /v1/services/domain`: the claim, under the signature of the service's account (ctx `vettid/domain-account/1`), which only the
/// service that registered has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimDomain {
    /// The claim.
    pub claim: DomainClaim,
    /// 64 bytes, by the account.
    pub signature: Base64,
}

/// What a look at the record of a domain found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// The record is there and names service and key.
    Confirmed,
    /// There is no such record.
    Absent,
    /// DNS did not answer, or its answers disagree.
    Unknown,
}

/// What became of a claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainClaimed {
    /// What was found just now.
    pub found: Finding,
    /// What the registry says of the service from now on.
    pub standing: ServiceStanding,
}

/// `POST /v1/registry/certifications`: the operator's word for a service, or its end (ctx `vettid/certify-service/1`), by the key of the
/// operator's commands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertifyService {
    /// The service.
    pub service_id: ServiceId,
    /// What was looked at, or why it ends.
    pub reason: String,
    /// Ends by itself then; absent: ends now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// When this was said; commands are taken in this order.
    pub at: Timestamp,
    /// The operator's key.
    pub key_id: KeyId,
    /// Over everything else.
    pub signature: Base64,
}

/// Most services in one question about standings.
pub const MAX_STANDINGS: usize = 64;

/// `POST /v1/registry/standings`: how well these services are known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskStandings {
    /// At most [`MAX_STANDINGS`].
    pub services: Vec<ServiceId>,
}

/// What the registry says, with the profile whose key signs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standings {
    /// The registry.
    pub registry: SignedProfile,
    /// Of those services that it knows.
    pub standings: Vec<ServiceStanding>,
}

/// `GET /v1/registry/services/{service_id}`: where a service is reached, and what the registry says of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectoryEntry {
    /// The service.
    pub service_id: ServiceId,
    /// Its space.
    pub guid: MemberId,
    /// `{endpoint}/{guid}`, as in invitations.
    pub messagespace_uri: String,
    /// How well it is known.
    pub standing: ServiceStanding,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_has_one_form() {
        for right in ["example.org", "a.b", "shop-1.example.co.uk", "xn--e1afmkfd.xn--p1ai", "1.example"] {
            assert_eq!(right.parse::<Domain>().unwrap().as_str(), right);
        }
        let long = format!("{}.org", "a".repeat(64));
        for wrong in [
            "",
            "org",
            "Example.org",
            "example.org.",
            ".org",
            "a..b",
            "-a.org",
            "a-.org",
            "a_b.org",
            "пример.рф",
            "192.0.2.1",
            "example.org/x",
            "example.org:53",
            "exa mple.org",
            &long,
        ] {
            assert!(wrong.parse::<Domain>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_record_binds_service_and_key() {
        let (service, fingerprint) = ("demo-shop".parse().unwrap(), Fingerprint::from_bytes([1; 32]));
        let text = record_text(&service, &fingerprint);
        assert_eq!(text, format!("vettid1 service=demo-shop key={fingerprint}"));
        assert!(text.len() <= 255, "one text of a record has at most 255 bytes");
        assert_eq!("example.org".parse::<Domain>().unwrap().record_name(), "_vettid.example.org");
    }
}

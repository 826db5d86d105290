//! How members can see who the service is: the domain that it proves.

use super::body::Body;
use super::failure::{ApiFailure, unavailable};
use crate::gateway::{ClaimFailed, Gateway};
use crate::registration::RegistrationError;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vettid_wire::directory::{Certification, Domain, Finding, Level, ServiceStanding, VerifiedDomain};
use vettid_wire::time::Timestamp;

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(show, claim))
}

/// How well members know the service, as the registry says.
#[derive(Serialize, ToSchema)]
struct Standing {
    /// `unverified`, `verified` or `certified`.
    #[schema(value_type = String)]
    level: Level,
    /// What the text record has to say; the name is `_vettid.` and the domain.
    record_text: String,
    /// The domain, if it is verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<ProvedDomain>,
    /// The operator's word, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    certification: Option<OperatorsWord>,
}

/// A domain whose record was found.
#[derive(Serialize, ToSchema)]
struct ProvedDomain {
    /// The domain.
    #[schema(value_type = String)]
    domain: Domain,
    /// Since when it is verified without a gap.
    #[schema(value_type = String, format = "date-time")]
    since: Timestamp,
    /// When its record was last found.
    #[schema(value_type = String, format = "date-time")]
    checked_at: Timestamp,
}

/// Why the operator knows the service.
#[derive(Serialize, ToSchema)]
struct OperatorsWord {
    /// What was looked at.
    reason: String,
    /// Ends by itself then.
    #[schema(value_type = String, format = "date-time")]
    until: Timestamp,
}

/// A domain to be proved.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Claim {
    /// In ASCII and lower case, such as `example.org`.
    #[schema(value_type = String)]
    domain: Domain,
}

/// What became of the claim.
#[derive(Serialize, ToSchema)]
struct Claimed {
    /// Where the text record has to stand.
    record_name: String,
    /// What was found there just now: `confirmed`, `absent`, or `unknown` if DNS did not answer. The registry looks again by itself.
    #[schema(value_type = String)]
    found: Finding,
    /// How well members know the service now.
    standing: Standing,
}

/// How well members know the service, and what its text record has to say.
#[utoipa::path(
    get, path = "/v1/verification", tag = "verification", operation_id = "show_verification",
    security(("api_key" = ["admin"])),
    responses((status = 200, description = "As the registry says.", body = Standing)),
)]
async fn show(State(gateway): State<Gateway>) -> Result<Json<Standing>, ApiFailure> {
    let standing = gateway.standing().await.map_err(|error| unavailable(&error))?;
    Ok(Json(view(&gateway, standing)))
}

/// Claims a domain: services look for its text record at once, and from then on regularly.
#[utoipa::path(
    post, path = "/v1/verification", tag = "verification", operation_id = "claim_domain",
    security(("api_key" = ["admin"])),
    request_body = Claim,
    responses((status = 200, description = "The claim is recorded.", body = Claimed)),
)]
async fn claim(State(gateway): State<Gateway>, Body(asked): Body<Claim>) -> Result<Json<Claimed>, ApiFailure> {
    let record_name = asked.domain.record_name();
    let claimed = gateway.claim_domain(asked.domain).await.map_err(|error| failed(&error))?;
    Ok(Json(Claimed { record_name, found: claimed.found, standing: view(&gateway, claimed.standing) }))
}

/// What services refuse stays refused, however often it is asked.
fn failed(error: &ClaimFailed) -> ApiFailure {
    match error {
        ClaimFailed::Services(RegistrationError::ClaimRefused(
            status @ (StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN),
        )) => ApiFailure::unsound(format_args!(
            "services refused the claim ({status}): is the clock of the gateway's machine right, and do its services know this \
                 service?"
        )),
        error => unavailable(error),
    }
}

fn view(gateway: &Gateway, standing: ServiceStanding) -> Standing {
    let domain =
        standing.domain.map(|VerifiedDomain { domain, since, checked_at }| ProvedDomain { domain, since, checked_at });
    let certification =
        standing.certification.map(|Certification { reason, until, .. }| OperatorsWord { reason, until });
    Standing { level: standing.level, record_text: gateway.domain_record(), domain, certification }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_that_is_refused_is_no_fault_of_the_moment() {
        let said = |status| failed(&ClaimFailed::Services(RegistrationError::ClaimRefused(status)));
        let refused = said(StatusCode::UNAUTHORIZED);
        assert!(matches!(&refused, ApiFailure::Unsound(said) if said.contains("401") && said.contains("clock")));
        for status in [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS, StatusCode::NOT_FOUND] {
            assert!(matches!(said(status), ApiFailure::Unavailable), "{status}");
        }
    }
}

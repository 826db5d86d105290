//! What clients read before anything else: the metadata of the provider (OpenID Connect Discovery 1.0, RFC 8414) and its
//! public keys.

use crate::oidc::address::Issuer;
use crate::oidc::claims;
use crate::oidc::failure::Failure;
use crate::oidc::key_ring::KEEP_SECONDS;
use crate::oidc::provider::{Provider, unavailable};
use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use vettid_crypto::jose::{ASSERTION_ALGORITHMS, SIGNING_ALGORITHM};

/// `GET /.well-known/openid-configuration`.
pub(super) async fn metadata(State(provider): State<Provider>) -> Json<Value> {
    Json(document(&provider))
}

fn document(provider: &Provider) -> Value {
    let issuer = provider.issuer();
    let protocol = ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "amr", "sid"];
    let claims: BTreeSet<&str> = claims::served(&provider.settings().claims).into_iter().chain(protocol).collect();
    let methods = ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"];
    let numbers = provider.gateway().lets_in_by_number();
    let mut document = json!({
        "issuer": issuer.as_str(),
        "authorization_endpoint": issuer.at("/authorize"),
        "token_endpoint": issuer.at("/token"),
        "userinfo_endpoint": issuer.at("/userinfo"),
        "jwks_uri": issuer.at("/jwks"),
        "revocation_endpoint": issuer.at("/revoke"),
        "pushed_authorization_request_endpoint": issuer.at("/par"),
        "require_pushed_authorization_requests": false,
        "end_session_endpoint": issuer.at("/logout"),
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
        "scopes_supported": ["openid", "profile", "email", "address", "phone", "offline_access"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": [SIGNING_ALGORITHM],
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": ASSERTION_ALGORITHMS,
        "revocation_endpoint_auth_methods_supported": methods,
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "claims_supported": claims,
        "claims_parameter_supported": false,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "authorization_response_iss_parameter_supported": true,
    });
    if let (true, Some(all), Value::Object(more)) = (numbers, document.as_object_mut(), without_browser(issuer)) {
        all.extend(more);
    }
    document
}

/// What is announced where members may be asked without a browser: nothing but a number ties such a yes to whoever asked.
fn without_browser(issuer: &Issuer) -> Value {
    json!({
        "grant_types_supported": ["authorization_code", "refresh_token", "urn:openid:params:grant-type:ciba"],
        "backchannel_authentication_endpoint": issuer.at("/backchannel"),
        "backchannel_token_delivery_modes_supported": ["poll", "ping"],
        "backchannel_user_code_parameter_supported": false,
    })
}

/// `GET /jwks`.
pub(super) async fn jwks(State(provider): State<Provider>) -> Result<impl IntoResponse, Failure> {
    let keys = provider.ring().jwks().map_err(|error| unavailable(&error))?;
    Ok(([(CACHE_CONTROL, format!("public, max-age={KEEP_SECONDS}"))], Json(keys)))
}

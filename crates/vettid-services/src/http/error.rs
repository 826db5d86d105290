//! The one form of an error on the HTTP API: `{"error":{"code","message"}}`. A code and a sentence for people, never a
//! detail of the store, and the same whether or not what was asked for exists.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::error::Error;
use vettid_store::ledger::LedgerError;
use vettid_wire::base64::Base64Url;

/// Why a request had no effect.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// The body is malformed, or has an unknown field.
    InvalidRequest,
    /// No valid token.
    Unauthorized,
    /// No valid token with a proof by its holder; this nonce goes into the next proof.
    Unproven(Base64Url),
    /// The step of the enrolment is not due, late, repeated or unproven.
    EnrolmentRefused,
    /// The code, the phrase or the approval of a recovery is not right; which, is not said.
    RecoveryRefused,
    /// The credential is not there, not genuine, or may not be used for this; which, is not said.
    CredentialRefused,
    /// A recovery is too fresh for this; again after so many seconds, or when the old device approves.
    OnHold(u32),
    /// No such thing.
    NotFound,
    /// Another method is meant.
    MethodNotAllowed,
    /// The name of the account is taken.
    NameTaken,
    /// In conflict with what is recorded.
    Conflict,
    /// The body is too large.
    TooLarge,
    /// More requests than are allowed in this time; again after so many seconds.
    RateLimited(u32),
    /// The host or the vault does not allow it; that is not for the operator to decide.
    HostRefused,
    /// The vault is locked, or its host is away; unlocked, it can be asked.
    VaultAway,
    /// No host has joined.
    NoHost,
    /// The broker's disk is given away; the operator must make room.
    NoRoom,
    /// Not now; try again.
    Unavailable,
    /// A failure of ours.
    Internal,
}

impl ApiError {
    fn parts(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::InvalidRequest => (StatusCode::BAD_REQUEST, "invalid_request", "the request is malformed"),
            Self::Unauthorized | Self::Unproven(_) => {
                (StatusCode::UNAUTHORIZED, "unauthorized", "a valid token is needed")
            }
            Self::EnrolmentRefused => {
                (StatusCode::FORBIDDEN, "enrolment_refused", "this step is not possible; make a new code in the portal")
            }
            Self::RecoveryRefused => (
                StatusCode::FORBIDDEN,
                "recovery_refused",
                "this recovery is not possible; make a new code in the portal",
            ),
            Self::CredentialRefused => {
                (StatusCode::FORBIDDEN, "credential_refused", "the credential cannot be used for this")
            }
            Self::OnHold(_) => (
                StatusCode::FORBIDDEN,
                "on_hold",
                "a recovery is too fresh for this; wait, or approve it on the old device",
            ),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found", "there is no such thing"),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this is done with another method")
            }
            Self::NameTaken => (StatusCode::CONFLICT, "name_taken", "this name is taken; choose another one"),
            Self::Conflict => (StatusCode::CONFLICT, "conflict", "this contradicts what is recorded"),
            Self::VaultAway => (
                StatusCode::LOCKED,
                "vault_away",
                "the vault is locked, or its host is away; unlock it, or try again later",
            ),
            Self::HostRefused => (
                StatusCode::CONFLICT,
                "host_refused",
                "the vault does not allow this; ask for it in an app that is enrolled",
            ),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the request is too large"),
            Self::RateLimited(_) => {
                (StatusCode::TOO_MANY_REQUESTS, "rate_limited", "too many requests; try again later")
            }
            Self::NoHost => (
                StatusCode::SERVICE_UNAVAILABLE,
                "no_host",
                "no host for vaults has joined yet; try again when one has",
            ),
            Self::NoRoom => (
                StatusCode::SERVICE_UNAVAILABLE,
                "no_room",
                "the broker has no room for another service; the operator must give it more disk",
            ),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "not possible now; try again"),
            Self::Internal => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal", "the operator's services failed; try again")
            }
        }
    }

    /// A failure of ours: logged with its causes, shown without.
    pub(crate) fn internal(error: &(dyn Error + 'static)) -> Self {
        log(error, "request failed");
        Self::Internal
    }

    /// Something that another part did not do in time or refused; logged with its causes.
    pub(crate) fn unavailable(error: &(dyn Error + 'static)) -> Self {
        log(error, "request not possible now");
        Self::Unavailable
    }
}

fn log(error: &(dyn Error + 'static), message: &'static str) {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    tracing::error!(error = text, "{message}");
}

impl From<LedgerError> for ApiError {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::NameTaken => Self::NameTaken,
            LedgerError::NoHost => Self::NoHost,
            LedgerError::Conflict | LedgerError::Stale => Self::Conflict,
            LedgerError::Missing => Self::NotFound,
            LedgerError::Spent => Self::Unauthorized,
            LedgerError::Unreadable(_) | LedgerError::Backend(_) => Self::internal(&error),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, code, message) = self.parts();
        let mut response = (status, Json(json!({ "error": { "code": code, "message": message } }))).into_response();
        match self {
            Self::RateLimited(seconds) | Self::OnHold(seconds) => {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            Self::Unproven(nonce) => {
                response
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("DPoP algs=\"EdDSA\""));
                if let Ok(nonce) = HeaderValue::from_str(&nonce.to_string()) {
                    response.headers_mut().insert("dpop-nonce", nonce);
                }
            }
            _ => {}
        }
        response
    }
}

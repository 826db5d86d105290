//! What a call carries, read strictly: ids in the address, a query, a JSON body. Unknown names, other content types and
//! bodies where none is expected are refused.

use super::failure::ApiFailure;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use std::str::FromStr;

/// The id in the address. One that cannot be read names nothing: `not_found`.
pub(super) struct Id<T>(pub(super) T);

impl<T: FromStr + Send, S: Send + Sync> FromRequestParts<S> for Id<T> {
    type Rejection = ApiFailure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiFailure> {
        let path = Path::<String>::from_request_parts(parts, state).await.map_err(|_| ApiFailure::NotFound)?;
        path.parse().map(Self).map_err(|_| ApiFailure::NotFound)
    }
}

/// The query. Unknown names are refused by the type.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = ApiFailure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiFailure> {
        let query = Query::<T>::from_request_parts(parts, state).await.map_err(|_| ApiFailure::Invalid)?;
        Ok(Self(query.0))
    }
}

/// A JSON body. Unknown names are refused by the type.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiFailure;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiFailure> {
        if !is_json(request.headers()) {
            return Err(ApiFailure::ContentType);
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|_| ApiFailure::TooLarge)?;
        serde_json::from_slice(&bytes).map(Self).map_err(|_| ApiFailure::Invalid)
    }
}

/// No body, or an empty object.
pub(super) struct NoBody;

impl<S: Send + Sync> FromRequest<S> for NoBody {
    type Rejection = ApiFailure;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiFailure> {
        let is_json = is_json(request.headers());
        let bytes = Bytes::from_request(request, state).await.map_err(|_| ApiFailure::TooLarge)?;
        match serde_json::from_slice::<serde_json::Value>(&bytes) {
            _ if bytes.is_empty() => Ok(Self),
            Ok(body) if is_json && body.as_object().is_some_and(serde_json::Map::is_empty) => Ok(Self),
            _ if !is_json => Err(ApiFailure::ContentType),
            _ => Err(ApiFailure::Invalid),
        }
    }
}

/// `application/json`, in UTF-8 if it says so.
fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(Ok(value)), None) = (values.next().map(|value| value.to_str()), values.next()) else {
        return false;
    };
    let mut parts = value.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    is_json && parts.all(|part| part.eq_ignore_ascii_case("charset=utf-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_is_json() {
        let is = |value: &str| is_json(&HeaderMap::from_iter([(CONTENT_TYPE, value.parse().unwrap())]));
        assert!(
            is("application/json") && is("application/json; charset=utf-8") && is("Application/JSON;charset=UTF-8")
        );
        for wrong in ["text/plain", "application/json5", "application/json; charset=latin1", "", "json"] {
            assert!(!is(wrong), "{wrong}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}

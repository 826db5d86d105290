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

/// Characters that are said of what is wrong, at most.
const MOST_SAID: usize = 300;

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
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(query) => Ok(Self(query.0)),
            Err(rejected) => Err(ApiFailure::unsound(format!("the query: {}", without_values(&rejected.body_text())))),
        }
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
        read(&bytes).map(Self)
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

/// Reads a body, and says where it is not what it should be.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiFailure> {
    let mut text = serde_json::Deserializer::from_slice(bytes);
    let unsound = |place: &str, error: &serde_json::Error| {
        let (place, what) = (if place == "." { "the body" } else { place }, without_values(&error.to_string()));
        ApiFailure::unsound(format!("{place}: {what}"))
    };
    let read = serde_path_to_error::deserialize(&mut text);
    let read = read.map_err(|error| unsound(&error.path().to_string(), error.inner()))?;
    text.end().map_err(|error| unsound(".", &error))?;
    Ok(read)
}

/// What a parser found, without the values of the call: `expected …` is enough to find them.
pub(super) fn without_values(found: &str) -> String {
    let found = found.rsplit_once("query string: ").map_or(found, |(_, found)| found);
    let shows_value = ["invalid type: ", "invalid value: "].iter().any(|start| found.contains(start));
    let kept = match found.rsplit_once(", expected ") {
        Some((_, expected)) if shows_value => format!("expected {expected}"),
        _ if shows_value => "a value of another kind is expected".to_owned(),
        _ => found.to_owned(),
    };
    kept.chars().take(MOST_SAID).collect()
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

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Call {
        purpose: String,
        #[serde(default)]
        fields: Vec<Field>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Field {
        number: u8,
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place_and_without_its_value() {
        for (body, said) in [
            (r#"{}"#, "the body: missing field `purpose` at line 1 column 2"),
            (
                r#"{"purpose": "x", "wait": 5}"#,
                "wait: unknown field `wait`, expected `purpose` or `fields` at line 1 column 23",
            ),
            (
                r#"{"purpose": "x", "fields": [{"number": "hunter2"}]}"#,
                "fields[0].number: expected u8 at line 1 column 48",
            ),
            (r#"{"purpose": 17}"#, "purpose: expected a string at line 1 column 14"),
            (r#"{"purpose": "x"} x"#, "the body: trailing characters at line 1 column 18"),
        ] {
            assert_eq!(read::<Call>(body.as_bytes()).unwrap_err(), ApiFailure::unsound(said), "{body}");
        }
        assert_eq!(
            without_values("Failed to deserialize query string: limit: invalid digit found in string"),
            "limit: invalid digit found in string"
        );
        let long = read::<Call>(format!(r#"{{"{}": 1}}"#, "a".repeat(4000)).as_bytes()).unwrap_err();
        assert!(matches!(long, ApiFailure::Unsound(said) if said.len() < 5000));
    }

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

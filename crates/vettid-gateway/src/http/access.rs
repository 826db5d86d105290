//! Who may call what: the key of a call is looked up, and the scope that the description of the call names is asked for.
//! A call that the description does not name is refused to everybody.

use super::failure::ApiFailure;
use super::scope::Scope;
use crate::api_key::Caller;
use crate::bucket::Level;
use crate::clock;
use crate::gateway::Gateway;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{AUTHORIZATION, HOST, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use std::collections::HashMap;
use std::sync::Arc;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::{HttpMethod, Operation};

/// The name of the security scheme in the document.
pub(super) const SCHEME: &str = "api_key";
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEVEL: HeaderName = HeaderName::from_static("ratelimit");

/// Why a call is not let through.
enum Refused {
    Failure(ApiFailure),
    Rate(Level),
}

impl From<ApiFailure> for Refused {
    fn from(failure: ApiFailure) -> Self {
        Self::Failure(failure)
    }
}

/// The scopes of every call, one of which is needed; none: open to everybody.
type Needed = HashMap<(Method, String), Vec<Scope>>;

/// What decides about a call.
#[derive(Clone)]
pub(super) struct Access {
    needed: Arc<Needed>,
    gateway: Gateway,
}

impl Access {
    /// Reads the scopes out of the description of the calls.
    pub(super) fn new(document: &OpenApi, gateway: Gateway) -> Self {
        let mut needed = Needed::new();
        for (path, item) in &document.paths.paths {
            for (method, operation) in [
                (HttpMethod::Get, &item.get),
                (HttpMethod::Post, &item.post),
                (HttpMethod::Put, &item.put),
                (HttpMethod::Delete, &item.delete),
                (HttpMethod::Patch, &item.patch),
            ] {
                if let Some(operation) = operation {
                    let method = method_of(&method);
                    needed.insert((method, path.clone()), scopes(operation));
                }
            }
        }
        Self { needed: Arc::new(needed), gateway }
    }

    fn caller(&self, request: &Request) -> Option<(Caller, Result<Level, Level>)> {
        let shown = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok())?;
        self.gateway.key_table().call(clock::now(), shown.strip_prefix("Bearer ")?)
    }

    /// How much the key may still call, if one is needed.
    fn decide(&self, request: &mut Request) -> Result<Option<Level>, Refused> {
        let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
        // The router answers HEAD like GET, without the body.
        let method = if request.method() == Method::HEAD { Method::GET } else { request.method().clone() };
        let asked = (method, path.ok_or(ApiFailure::NotFound)?);
        let needed = self.needed.get(&asked).ok_or(ApiFailure::Forbidden)?;
        if needed.is_empty() {
            return Ok(None);
        }
        let (caller, level) = self.caller(request).ok_or(ApiFailure::Unauthorized)?;
        let level = level.map_err(Refused::Rate)?;
        if !needed.iter().any(|scope| caller.may(*scope)) {
            return Err(ApiFailure::Forbidden.into());
        }
        request.extensions_mut().insert(caller);
        Ok(Some(level))
    }
}

fn method_of(method: &HttpMethod) -> Method {
    match method {
        HttpMethod::Get => Method::GET,
        HttpMethod::Post => Method::POST,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Delete => Method::DELETE,
        HttpMethod::Options => Method::OPTIONS,
        HttpMethod::Head => Method::HEAD,
        HttpMethod::Patch => Method::PATCH,
        HttpMethod::Trace => Method::TRACE,
    }
}

/// The scopes in the security of an operation. A description that says nothing needs `admin`.
fn scopes(operation: &Operation) -> Vec<Scope> {
    let Some(security) = &operation.security else {
        return vec![Scope::Admin];
    };
    let all = serde_json::to_value(security).unwrap_or_default();
    let named = all.as_array().into_iter().flatten().filter_map(|one| one.get(SCHEME)?.as_array().cloned());
    let names: Vec<_> = named.flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect();
    let is_open =
        all.as_array().is_some_and(|all| all.iter().all(|one| one.as_object().is_some_and(|one| one.is_empty())));
    match (names.is_empty(), is_open) {
        (true, true) => vec![],
        (true, false) => vec![Scope::Admin],
        (false, _) => names.iter().map(|name| name.parse().unwrap_or(Scope::Admin)).collect(),
    }
}

/// Lets a call through if its key has the scope.
pub(super) async fn require_scope(State(access): State<Access>, mut request: Request, next: Next) -> Response {
    match access.decide(&mut request) {
        Ok(None) => next.run(request).await,
        Ok(Some(level)) => with_level(next.run(request).await, level),
        Err(Refused::Failure(failure)) => failure.into_response(),
        Err(Refused::Rate(level)) => {
            let mut response = with_level(ApiFailure::RateLimited.into_response(), level);
            put(&mut response, RETRY_AFTER, seconds(level.wait_ms).max(1).to_string());
            response
        }
    }
}

/// Says how much the key may still call, in the headers of the IETF draft `ratelimit-headers`.
fn with_level(mut response: Response, level: Level) -> Response {
    put(&mut response, POLICY, format!("\"key\";q={};w=60", level.most));
    put(&mut response, LEVEL, format!("\"key\";r={};t={}", level.left, seconds(level.full_after_ms)));
    response
}

fn put(response: &mut Response, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::from_str(&value) {
        response.headers_mut().insert(name, value);
    }
}

/// Whole seconds, rounded up.
fn seconds(ms: i64) -> i64 {
    (ms + 999) / 1000
}

/// Refuses pages of other sites that reach this machine under a name of their own (DNS rebinding).
pub(super) async fn require_own_host(request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).and_then(|value| value.to_str().ok());
    if host.is_some_and(is_own_host) { next.run(request).await } else { ApiFailure::NotFound.into_response() }
}

fn is_own_host(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next(),
        None => host.split(':').next(),
    };
    matches!(name, Some("localhost" | "127.0.0.1" | "::1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_served() {
        for right in ["localhost", "localhost:8090", "127.0.0.1:8090", "[::1]:8090", "[::1]"] {
            assert!(is_own_host(right), "{right}");
        }
        for wrong in ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8090", "[::2]", "10.0.0.1"]
        {
            assert!(!is_own_host(wrong), "{wrong}");
        }
    }
}

//! Who may call what: the key of a call is looked up, and the scope that the description of the call names is asked for.
//! A call that the description does not name is refused to everybody.

use super::failure::ApiFailure;
use super::scope::Scope;
use crate::key_file::ApiKey;
use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::http::header::{AUTHORIZATION, HOST};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::{HttpMethod, Operation};

/// The name of the security scheme in the document.
pub(super) const SCHEME: &str = "api_key";

/// Whoever makes a call: a program that showed a key.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    scopes: BTreeSet<Scope>,
}

impl Caller {
    /// Whether the key has the scope.
    pub(super) fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin)
    }
}

/// The scopes of every call, one of which is needed; none: open to everybody.
type Needed = HashMap<(Method, String), Vec<Scope>>;

/// What decides about a call.
#[derive(Clone)]
pub(super) struct Access {
    needed: Arc<Needed>,
    first: ApiKey,
}

impl Access {
    /// Reads the scopes out of the description of the calls. `first` is the key with every scope.
    pub(super) fn new(document: &OpenApi, first: ApiKey) -> Self {
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
        Self { needed: Arc::new(needed), first }
    }

    fn caller(&self, request: &Request) -> Option<Caller> {
        let shown = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok())?;
        let shown = shown.strip_prefix("Bearer ")?;
        self.first.is(shown).then(|| Caller { scopes: BTreeSet::from([Scope::Admin]) })
    }

    fn decide(&self, request: &mut Request) -> Result<(), ApiFailure> {
        let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
        let asked = (request.method().clone(), path.ok_or(ApiFailure::NotFound)?);
        let needed = self.needed.get(&asked).ok_or(ApiFailure::Forbidden)?;
        if needed.is_empty() {
            return Ok(());
        }
        let caller = self.caller(request).ok_or(ApiFailure::Unauthorized)?;
        if !needed.iter().any(|scope| caller.may(*scope)) {
            return Err(ApiFailure::Forbidden);
        }
        request.extensions_mut().insert(caller);
        Ok(())
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
        Ok(()) => next.run(request).await,
        Err(failure) => failure.into_response(),
    }
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

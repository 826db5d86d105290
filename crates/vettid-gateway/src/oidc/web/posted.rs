//! Forms of other sites. The cookie does not come along with them, so a handler that took one for what it is would think that
//! nobody is logged in, and could give the browser another cookie: any page could throw its visitors out of their sessions.

use super::authorize::go;
use crate::clock;
use crate::oidc::form::Parameters;
use crate::oidc::handle::Handle;
use crate::oidc::provider::Provider;
use crate::random;
use axum::response::Response;

/// Names a form that waits.
const POSTED: &str = "posted";

pub(super) const REPEATED: &str = "a parameter is repeated, or there are too many";

/// Keeps a checked form and has the browser come again to the same page by a GET, with its cookie. Sets none.
pub(super) fn again(provider: &Provider, page: &str, parameters: Parameters) -> Result<Response, &'static str> {
    let reference = Handle::new(random::bytes());
    if !provider.posted().add(clock::now(), reference.hash(), parameters) {
        return Err("too many requests are under way: try again in a minute");
    }
    Ok(go(&provider.issuer().at(&format!("{page}?{POSTED}={}", reference.expose()))))
}

/// The parameters of a query, or of the form that it names.
pub(super) fn of_query(provider: &Provider, query: Option<&str>) -> Result<Parameters, &'static str> {
    let parameters = Parameters::read(query.unwrap_or_default().as_bytes()).map_err(|_| REPEATED)?;
    let Some(reference) = parameters.get(POSTED) else {
        return Ok(parameters);
    };
    let found = provider.posted().take(clock::now(), reference);
    found.filter(|_| parameters.names().count() == 1).ok_or("the form is unknown, used, or older than a minute")
}

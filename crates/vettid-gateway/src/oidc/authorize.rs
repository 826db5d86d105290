//! Authorization requests: what a client may ask through a browser. Pure. An error goes back to the client only after the
//! address to send it to was found to be the client's own; before that it is shown to whoever sits in front.

use super::client::{Client, Registry};
use super::failure::Failure;
use super::form::Parameters;
use super::pushed::PREFIX;
use super::redirect;
use super::subject::Hint;
use std::collections::BTreeSet;

/// Longest `state` and `nonce` in bytes.
const MAX_TEXT_BYTES: usize = 2048;
/// Length of a challenge: SHA-256 in base64url.
const CHALLENGE_BYTES: usize = 43;

/// What a client wants of the person in front of the browser.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Prompt {
    /// Nothing may be asked.
    pub none: bool,
    /// The member is asked, whatever was before.
    pub login: bool,
    /// Whoever is known here is not taken for granted.
    pub select_account: bool,
}

/// A request that may be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AuthorizationRequest {
    /// The client.
    pub client_id: String,
    /// One of its addresses.
    pub redirect_uri: String,
    /// Handed back as it came.
    pub state: Option<String>,
    /// Stands in the ID token.
    pub nonce: Option<String>,
    /// What is asked for, without what is not known.
    pub scope: BTreeSet<String>,
    /// SHA-256 of the verifier, base64url.
    pub challenge: String,
    /// What may be asked of the person.
    pub prompt: Prompt,
    /// A login older than that, in seconds, does not count.
    pub max_age_seconds: Option<i64>,
    /// Whom the client expects.
    pub login_hint: Option<Hint>,
    /// An earlier ID token of whom the client expects.
    pub id_token_hint: Option<String>,
}

/// A request that is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rejected {
    /// Nobody is sent anywhere.
    Here(Failure),
    /// The browser goes back to the client.
    ToClient {
        /// One of the client's addresses.
        redirect_uri: String,
        /// As it came.
        state: Option<String>,
        /// Why.
        failure: Failure,
    },
}

/// Reads a request.
pub(super) fn read(parameters: &Parameters, clients: &Registry) -> Result<AuthorizationRequest, Rejected> {
    let here = |description| Rejected::Here(Failure::invalid(description));
    let client_id = parameters.get("client_id").ok_or_else(|| here("client_id is missing"))?;
    let client = clients.get(client_id).ok_or_else(|| here("client_id is not registered here"))?;
    let redirect_uri = parameters.get("redirect_uri").ok_or_else(|| here("redirect_uri is missing"))?;
    if !redirect::is_registered(&client.redirect_uris, redirect_uri, client.is_public()) {
        return Err(here("redirect_uri is not one that the client registered"));
    }
    let state = parameters.get("state").map(str::to_owned);
    let pushed_only = Failure::invalid("this client must push its requests and send the request_uri that it gets");
    let allowed = if client.require_pushed_authorization_requests { Err(pushed_only) } else { Ok(()) };
    allowed.and_then(|()| checked(parameters, client, redirect_uri)).map_err(|failure| Rejected::ToClient {
        redirect_uri: redirect_uri.to_owned(),
        state: state.filter(|state| state.len() <= MAX_TEXT_BYTES),
        failure,
    })
}

/// Reads a request of a client that has shown who it is: there is nobody to be sent anywhere yet.
pub(super) fn read_of(parameters: &Parameters, client: &Client) -> Result<AuthorizationRequest, Failure> {
    if parameters.get("client_id").is_some_and(|named| named != client.client_id) {
        return Err(Failure::invalid("client_id is another one than the client that speaks"));
    }
    let redirect_uri = parameters.get("redirect_uri").ok_or(Failure::invalid("redirect_uri is missing"))?;
    if !redirect::is_registered(&client.redirect_uris, redirect_uri, client.is_public()) {
        return Err(Failure::invalid("redirect_uri is not one that the client registered"));
    }
    checked(parameters, client, redirect_uri)
}

/// The reference that a browser brings in place of a request, and whose it is. What stands beside it could be somebody else's.
pub(super) fn reference(parameters: &Parameters) -> Option<Result<(&str, &str), Failure>> {
    let reference = parameters.get("request_uri").filter(|uri| uri.starts_with(PREFIX))?;
    let alone = parameters.names().all(|name| ["client_id", "request_uri"].contains(&name));
    let beside = Failure::invalid("beside the request_uri of a pushed request stands client_id and nothing else");
    Some(parameters.get("client_id").filter(|_| alone).map(|client_id| (client_id, reference)).ok_or(beside))
}

fn checked(parameters: &Parameters, client: &Client, redirect_uri: &str) -> Result<AuthorizationRequest, Failure> {
    refuse_what_is_not_done(parameters)?;
    let texts = [parameters.get("state"), parameters.get("nonce")];
    if texts.into_iter().flatten().any(|text| text.len() > MAX_TEXT_BYTES) {
        return Err(Failure::invalid("state and nonce have at most 2048 bytes"));
    }
    if client.require_nonce && !parameters.has("nonce") {
        return Err(Failure::invalid("this client must send a nonce"));
    }
    let owned = |name: &str| parameters.get(name).map(str::to_owned);
    Ok(AuthorizationRequest {
        client_id: client.client_id.clone(),
        redirect_uri: redirect_uri.to_owned(),
        state: owned("state"),
        nonce: owned("nonce"),
        scope: scope(parameters, client)?,
        challenge: challenge(parameters)?,
        prompt: prompt(parameters.get("prompt"))?,
        max_age_seconds: max_age(parameters.get("max_age"))?,
        login_hint: parameters.get("login_hint").map(Hint::read),
        id_token_hint: owned("id_token_hint"),
    })
}

fn refuse_what_is_not_done(parameters: &Parameters) -> Result<(), Failure> {
    if parameters.has("request") {
        return Err(Failure::new(
            "request_not_supported",
            "request objects are not read: send parameters, or push them",
        ));
    }
    if parameters.has("request_uri") {
        return Err(Failure::new(
            "request_uri_not_supported",
            "only a request_uri of the pushed request endpoint is read",
        ));
    }
    if parameters.get("response_type") != Some("code") {
        return Err(Failure::new("unsupported_response_type", "response_type is code"));
    }
    if parameters.get("response_mode").is_some_and(|mode| mode != "query") {
        return Err(Failure::invalid("response_mode is query"));
    }
    // A wish for `acr_values` is voluntary (OpenID Connect Core 3.1.2.1): it changes nothing, and no token claims an `acr`.
    Ok(())
}

/// PKCE is asked of everybody, and S256 alone: a request without a method would mean `plain`.
fn challenge(parameters: &Parameters) -> Result<String, Failure> {
    if parameters.get("code_challenge_method") != Some("S256") {
        return Err(Failure::invalid("PKCE is needed: code_challenge_method is S256"));
    }
    let challenge = parameters.get("code_challenge").ok_or(Failure::invalid("PKCE is needed: code_challenge"))?;
    let sound = challenge.len() == CHALLENGE_BYTES
        && challenge.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if sound { Ok(challenge.to_owned()) } else { Err(Failure::invalid("code_challenge is a SHA-256 in base64url")) }
}

/// What is asked for and known; what is not known is left out, as the standard says.
pub(super) fn scope(parameters: &Parameters, client: &Client) -> Result<BTreeSet<String>, Failure> {
    let asked = parameters.get("scope").unwrap_or_default().split(' ').filter(|scope| client.may_ask(scope));
    let scope: BTreeSet<String> = asked.map(str::to_owned).collect();
    if scope.contains("openid") { Ok(scope) } else { Err(Failure::new("invalid_scope", "scope contains openid")) }
}

fn prompt(text: Option<&str>) -> Result<Prompt, Failure> {
    let mut prompt = Prompt::default();
    for word in text.unwrap_or_default().split(' ').filter(|word| !word.is_empty()) {
        match word {
            "none" => prompt.none = true,
            // The member approves each login in the app; that is where consent is given.
            "login" | "consent" => prompt.login = true,
            "select_account" => prompt.select_account = true,
            _ => return Err(Failure::invalid("prompt is none, login, consent or select_account")),
        }
    }
    if prompt.none && (prompt.login || prompt.select_account) {
        return Err(Failure::invalid("prompt none stands alone"));
    }
    Ok(prompt)
}

fn max_age(text: Option<&str>) -> Result<Option<i64>, Failure> {
    let read = |text: &str| text.parse::<u32>().map_err(|_| Failure::invalid("max_age is a number of seconds"));
    text.map(read).transpose().map(|age| age.map(i64::from))
}

#[cfg(test)]
mod tests;

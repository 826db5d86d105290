//! A service asks the member to log in (spec 2.14). The service's signature was checked by the vault before; this handler
//! checks life and origin, asks the owner, and has the answer signed, a denial too. It never approves by itself.

use crate::shown;
use vettid_handler::event::{Answer, Context, Decided, Peer, Service};
use vettid_handler::feed::FeedNote;
use vettid_handler::handler::Outcome;
use vettid_handler::handlers::HandlersBuilder;
use vettid_handler::host::Host;
use vettid_handler::manifest::{FieldScope, HostCall, Manifest};
use vettid_handler::reply::{Fault, HandlerError};
use vettid_wire::auth::{AuthAssertion, AuthChallenge, AuthResponse, Decision, Display, MAX_LIFE_MS};
use vettid_wire::contract::Permission;
use vettid_wire::event::AuthChallenge as Row;
use vettid_wire::feed::{Outcome as FeedOutcome, Severity};
use vettid_wire::json;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::request::Ask;
use vettid_wire::time::Timestamp;

/// What the handler may do.
pub const MANIFEST: Manifest =
    Manifest::linked("auth_challenge", &[HostCall::Sign, HostCall::Feed], &[], FieldScope::NONE);

/// A service's clock may be ahead of the vault's by this much, in milliseconds.
pub const MAX_CLOCK_LEAD_MS: i64 = 30_000;
/// Longest origin in bytes.
pub const MAX_ORIGIN_BYTES: usize = 120;
/// Longest line about the browser, in bytes.
pub const MAX_DISPLAY_BYTES: usize = 120;
/// Length of nonce and session hash in bytes.
const TOKEN_BYTES: usize = 32;

/// Adds the handler of this file.
#[must_use]
pub fn add(handlers: HandlersBuilder) -> HandlersBuilder {
    handlers.on::<Row>(&MANIFEST, handle)
}

/// `auth.challenge`: asks the owner, then signs the decision.
pub fn handle(
    host: &mut dyn Host,
    context: &Context,
    request: AuthChallenge,
) -> Result<Outcome<AuthResponse>, HandlerError> {
    let (peer, service) = context.service().ok_or(RefusalCode::NotAllowed)?;
    check_asker(peer, service, &request)?;
    check_body(&request)?;
    check_life(context.occurred_at, &request)?;
    match &context.answer {
        None => ask(host, peer, request),
        Some(Answer::Expired) => Err(RefusalCode::Expired.into()),
        Some(Answer::Decided(decided)) => answer(host, context, peer, &request, decided),
    }
}

/// The body must say the same as the vault about who asks, and the site must be one of the service's own.
fn check_asker(peer: &Peer, service: &Service, request: &AuthChallenge) -> Result<(), RefusalCode> {
    let is_same = request.service_id == service.service_id && request.connection_id == peer.connection_id;
    let is_own_site = service.origins.contains(&request.origin) && is_origin(&request.origin);
    if !is_same || !is_own_site {
        return Err(RefusalCode::NotAllowed);
    }
    if service.permissions.contains(&Permission::RequestAuthentication) {
        Ok(())
    } else {
        Err(RefusalCode::NotInContract)
    }
}

/// Scheme and host, no path; without TLS only on the member's own machine.
fn is_origin(origin: &str) -> bool {
    let (host, is_local_only) = match (origin.strip_prefix("https://"), origin.strip_prefix("http://")) {
        (Some(host), _) => (host, false),
        (None, Some(host)) => (host, true),
        (None, None) => return false,
    };
    let plain = host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'));
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let is_local = matches!(name, "localhost" | "127.0.0.1") || name.ends_with(".localhost");
    plain && !host.is_empty() && origin.len() <= MAX_ORIGIN_BYTES && (is_local || !is_local_only)
}

fn check_body(request: &AuthChallenge) -> Result<(), RefusalCode> {
    let Display { browser, city, ip_prefix } = &request.display;
    let is_shown = [browser, city, ip_prefix].into_iter().all(|line| shown::is_line(line, MAX_DISPLAY_BYTES));
    let is_exact =
        request.nonce.as_bytes().len() == TOKEN_BYTES && request.session_hash.as_bytes().len() == TOKEN_BYTES;
    if is_shown && is_exact { Ok(()) } else { Err(RefusalCode::InvalidRequest) }
}

fn check_life(now: Timestamp, request: &AuthChallenge) -> Result<(), RefusalCode> {
    let life_ms = request.expires_at.since_ms(request.issued_at);
    let lead_ms = request.issued_at.since_ms(now);
    if !(1..=MAX_LIFE_MS).contains(&life_ms) || lead_ms > MAX_CLOCK_LEAD_MS {
        return Err(RefusalCode::InvalidRequest);
    }
    if request.expires_at <= now { Err(RefusalCode::Expired) } else { Ok(()) }
}

fn ask(host: &mut dyn Host, peer: &Peer, request: AuthChallenge) -> Result<Outcome<AuthResponse>, HandlerError> {
    host.feed(&note(peer, &request, "asks you to log in at", Severity::Notice, FeedOutcome::Pending))?;
    Ok(Outcome::Ask {
        request_id: request.request_id,
        ask: Ask::Login { origin: request.origin, display: request.display },
        expires_at: request.expires_at,
        interim: None,
    })
}

fn answer(
    host: &mut dyn Host,
    context: &Context,
    peer: &Peer,
    request: &AuthChallenge,
    decided: &Decided,
) -> Result<Outcome<AuthResponse>, HandlerError> {
    let assertion = json::canonical(&assertion(context, request, decided)).map_err(|_| Fault::Reply)?;
    let signed = host.sign(&assertion)?;
    let response =
        json::read(&signed).map_err(|_| HandlerError::Retry("the signed answer is not readable".to_owned()))?;
    let note = match decided.decision {
        Decision::Approve => note(peer, request, "logged you in at", Severity::Info, FeedOutcome::Approved),
        Decision::Deny => note(peer, request, "was denied to log you in at", Severity::Info, FeedOutcome::Denied),
    };
    host.feed(&note)?;
    Ok(Outcome::Reply(response))
}

fn assertion(context: &Context, request: &AuthChallenge, decided: &Decided) -> AuthAssertion {
    AuthAssertion {
        request_id: request.request_id,
        service_id: request.service_id.clone(),
        origin: request.origin.clone(),
        nonce: request.nonce.clone(),
        session_hash: request.session_hash.clone(),
        decision: decided.decision,
        connection_id: request.connection_id,
        auth_time: decided.decided_at,
        method: decided.method.clone(),
        issued_at: context.occurred_at,
        expires_at: request.expires_at,
    }
}

fn note(peer: &Peer, request: &AuthChallenge, verb: &str, severity: Severity, outcome: FeedOutcome) -> FeedNote {
    FeedNote {
        severity,
        outcome,
        summary: format!("{} {verb} {}", shown::name(&peer.display_name), request.origin),
        request_id: Some(request.request_id),
    }
}

//! Samples of login requests and answers.

use crate::sample::Samples;
use crate::{login, value, webauthn};
use vettid_wire::auth::{AuthAssertion, AuthChallenge, AuthResponse, Decision, Display};

pub(crate) fn display() -> Display {
    Display {
        browser: "Firefox on Linux".to_owned(),
        city: "Springfield".to_owned(),
        ip_prefix: "203.0.113.0/24".to_owned(),
    }
}

pub(crate) fn origin() -> String {
    "https://shop.example".to_owned()
}

fn challenge() -> AuthChallenge {
    AuthChallenge {
        request_id: value::request(),
        service_id: value::service(),
        connection_id: value::connection(),
        contract_hash: value::bytes_url(32),
        origin: origin(),
        nonce: value::bytes_url(32),
        session_hash: value::bytes_url(32),
        display: display(),
        link: Some(login::link()),
        browser_key: Some(value::p256()),
        browser_sig: Some(value::signature()),
        browser_assertion: Some(webauthn::assertion()),
        number: Some(42),
        issued_at: value::at(0),
        expires_at: value::at(2),
        key_id: value::key_id(),
        signature: value::signature(),
    }
}

fn assertion() -> AuthAssertion {
    AuthAssertion {
        request_id: value::request(),
        service_id: value::service(),
        origin: origin(),
        nonce: value::bytes_url(32),
        session_hash: value::bytes_url(32),
        decision: Decision::Approve,
        connection_id: value::connection(),
        auth_time: value::at(1),
        method: vec!["user".to_owned()],
        issued_at: value::at(1),
        expires_at: value::at(2),
    }
}

fn response() -> AuthResponse {
    let assertion = assertion();
    AuthResponse {
        request_id: assertion.request_id,
        service_id: assertion.service_id,
        origin: assertion.origin,
        nonce: assertion.nonce,
        session_hash: assertion.session_hash,
        decision: assertion.decision,
        connection_id: assertion.connection_id,
        auth_time: assertion.auth_time,
        method: assertion.method,
        proof: Some(login::proof()),
        issued_at: assertion.issued_at,
        expires_at: assertion.expires_at,
        key_id: value::key_id(),
        signature: value::signature(),
    }
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("auth");
    samples.object("Display", display());
    let parts = &["/link", "/browser_key", "/browser_sig", "/browser_assertion", "/number"];
    samples.object("AuthChallenge", challenge()).optional(parts);
    samples.cases("Decision", [Decision::Approve, Decision::Deny]);
    samples.object("AuthAssertion", assertion());
    samples.object("AuthResponse", response()).optional(&["/proof"]);
    samples
}

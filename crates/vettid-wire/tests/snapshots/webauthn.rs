//! Samples of what authenticators give.

use crate::sample::Samples;
use crate::value;
use vettid_wire::base64::Base64;
use vettid_wire::webauthn::{Assertion, Authenticator};

pub(crate) fn assertion() -> Assertion {
    Assertion {
        credential_id: value::signature(),
        authenticator_data: Base64::new([0x71; 37]),
        client_data_json: Base64::new(br#"{"type":"webauthn.get"}"#),
    }
}

pub(crate) fn authenticator() -> Authenticator {
    Authenticator { credential_id: value::signature(), sign_count: 7, can_be_copied: true, is_copied: false }
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("webauthn");
    samples.object("Assertion", assertion());
    samples.object("Authenticator", authenticator());
    samples
}

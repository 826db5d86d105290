//! Samples of the tokens of the services' HTTP API and their proofs.

use crate::sample::Samples;
use crate::value;
use vettid_wire::action::{ActionClaims, ActionGranted, ActionRequest, Confirmation, Jwk, ProofClaims, ProofHeader};

const ORIGIN: &str = "https://vettid.dev";
const ACTION: &str = "credential.use";
const ENDPOINT: &str = "/v1/credentials/use";
const SECONDS: i64 = 1_700_000_000;

fn request() -> ActionRequest {
    ActionRequest {
        guid: value::member(),
        app_key: value::ed25519(),
        action: ACTION.to_owned(),
        op_id: value::operation(),
        req_hash: value::digest(),
        issued_at: value::at(0),
        nonce: value::bytes_url(16),
        key_id: value::key_id(),
        signature: value::signature(),
    }
}

fn granted() -> ActionGranted {
    ActionGranted {
        token: value::jwt(),
        endpoint: ENDPOINT.to_owned(),
        nonce: value::bytes_url(24),
        expires_at: value::at(5),
    }
}

fn confirmation() -> Confirmation {
    Confirmation { jkt: value::bytes_url(32) }
}

fn claims() -> ActionClaims {
    ActionClaims {
        iss: ORIGIN.to_owned(),
        aud: ORIGIN.to_owned(),
        sub: value::member(),
        jti: value::event(),
        iat: SECONDS,
        nbf: SECONDS,
        exp: SECONDS + 300,
        action: ACTION.to_owned(),
        endpoint: ENDPOINT.to_owned(),
        op_id: value::operation(),
        req_hash: value::digest(),
        cnf: confirmation(),
    }
}

fn proof() -> ProofClaims {
    ProofClaims {
        htm: "POST".to_owned(),
        htu: format!("{ORIGIN}{ENDPOINT}"),
        iat: SECONDS,
        jti: value::bytes_url(16),
        ath: value::bytes_url(32),
        nonce: value::bytes_url(24),
    }
}

fn jwk() -> Jwk {
    Jwk { kty: "OKP".to_owned(), crv: "Ed25519".to_owned(), x: value::bytes_url(32) }
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("action");
    samples.object("ActionRequest", request());
    samples.object("ActionGranted", granted());
    samples.object("ActionClaims", claims());
    samples.object("Confirmation", confirmation());
    samples.object("ProofClaims", proof());
    samples.object("ProofHeader", ProofHeader { typ: "dpop+jwt".to_owned(), alg: "EdDSA".to_owned(), jwk: jwk() });
    samples.object("Jwk", jwk());
    samples
}

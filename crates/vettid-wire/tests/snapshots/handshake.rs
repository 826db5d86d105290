//! Samples of the three handshake messages and of what is sealed in them.

use crate::sample::Samples;
use crate::{contract, key_record, profile, value};
use serde_json::json;
use vettid_wire::base64::Base64;
use vettid_wire::handshake::{
    Claim, HandshakeMessage, Hs1, Hs1Payload, Hs2, Hs2Payload, Hs3, Hs3Payload, Role, SpaceUri, Step,
};

fn hs1() -> Hs1 {
    Hs1 {
        prekey_id: value::kem_key_id(),
        psk_id: Some(value::bytes_url(8)),
        e: value::bytes(32),
        kem: Base64::default(),
        commit: value::digest(),
    }
}

fn hs2() -> Hs2 {
    Hs2 { e: value::bytes(32), ct: Base64::default() }
}

/// A message of a role around a clear part.
pub(crate) fn message(role: Role, step: Step) -> HandshakeMessage {
    HandshakeMessage { hs_id: value::handshake(), suite: 1, role, step, c: value::bytes(64) }
}

pub(crate) fn first() -> HandshakeMessage {
    message(Role::Session, Step::Hs1(hs1()))
}

pub(crate) fn space() -> SpaceUri {
    SpaceUri::new("tls://nats.vettid.dev:4222", value::member()).unwrap()
}

fn claim() -> Claim {
    Claim { messagespace_uri: space(), token: value::jwt() }
}

fn hs1_payload() -> Hs1Payload {
    Hs1Payload {
        identity_key: value::ed25519(),
        key_record: key_record::record(),
        sig: value::signature(),
        epoch_kem: value::x25519(),
        profile: Some(profile::signed()),
        nkey_pub: Some(value::nkey('U')),
        pairwise_key: Some(value::ed25519()),
        claim: Some(claim()),
        device: Some(value::device()),
        device_attestation: Some(json!({ "format": "none" })),
        incarnation: Some(1),
    }
}

fn hs2_payload() -> Hs2Payload {
    Hs2Payload {
        identity_key: value::ed25519(),
        key_record: key_record::record(),
        sig: value::signature(),
        nonce: value::bytes(32),
        epoch_kem: value::x25519(),
        profile: Some(profile::signed()),
        jwt: Some(value::jwt()),
        nkey_pub: Some(value::nkey('U')),
        pairwise_key: Some(value::ed25519()),
        contract: Some(contract::contract()),
        attestation: Some(json!({ "format": "none" })),
        incarnation: Some(1),
    }
}

fn hs3_payload() -> Hs3Payload {
    Hs3Payload {
        nonce: value::bytes(32),
        sig: value::signature(),
        device_sig: Some(value::signature()),
        jwt: Some(value::jwt()),
        acceptance: Some(contract::acceptance()),
    }
}

fn payloads(samples: &mut Samples) {
    samples
        .object("Hs1Payload", hs1_payload())
        .optional(&[
            "/profile",
            "/nkey_pub",
            "/pairwise_key",
            "/claim",
            "/device",
            "/device_attestation",
            "/incarnation",
        ])
        .open(&["/device_attestation", "/profile/public/more"]);
    samples
        .object("Hs2Payload", hs2_payload())
        .optional(&["/profile", "/jwt", "/nkey_pub", "/pairwise_key", "/contract", "/attestation", "/incarnation"])
        .open(&["/attestation", "/profile/public/more"]);
    samples.object("Hs3Payload", hs3_payload()).optional(&["/device_sig", "/jwt", "/acceptance"]);
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("handshake");
    samples.cases("Role", [Role::Enroll, Role::Session, Role::Connect, Role::Service]);
    samples.case("HandshakeMessage", first()).optional(&["/h/psk_id"]);
    samples.case("HandshakeMessage", message(Role::Connect, Step::Hs2(hs2())));
    samples.case("HandshakeMessage", message(Role::Connect, Step::Hs3(Hs3 {})));
    samples.object("Hs1", hs1()).optional(&["/psk_id"]);
    samples.object("Hs2", hs2());
    samples.object("Hs3", Hs3 {});
    samples.object("Claim", claim());
    payloads(&mut samples);
    samples
}

//! Samples of new signing keys of services.

use crate::sample::Samples;
use crate::value;
use vettid_wire::base64::Base64;
use vettid_wire::id::MemberId;
use vettid_wire::service_keys::{RotateServiceKeys, ServiceSigningNkeys};

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("service_keys");
    let nkey = |role: &str| format!("A{role}");
    let keys = ServiceSigningNkeys { vault: nkey("VAULT"), connection: nkey("CONNECTION"), claim: nkey("CLAIM") };
    samples.object("ServiceSigningNkeys", keys.clone());
    let rotate = RotateServiceKeys {
        service_id: "demo-shop".parse().unwrap(),
        guid: MemberId::from_bytes([1; 16]),
        since: value::at(0),
        keys,
        keeps_former: true,
        signature: Base64::new([7; 64]),
    };
    samples.object("RotateServiceKeys", rotate);
    samples
}

//! Samples of epoch rotation.

use crate::sample::Samples;
use crate::value;
use vettid_wire::handshake::Rekey;

fn rekey() -> Rekey {
    Rekey {
        epoch: 1,
        eph: value::bytes(32),
        kem: Some(value::bytes(1184)),
        ct: Some(value::bytes(1088)),
        epoch_kem: value::x25519(),
        final_seq: 980,
        key_id: value::key_id(),
        signature: value::signature(),
    }
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("rekey");
    samples.object("Rekey", rekey()).optional(&["/kem", "/ct"]);
    samples
}

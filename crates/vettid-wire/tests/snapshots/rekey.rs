//! Samples of epoch rotation.

use crate::sample::Samples;
use crate::value;
use vettid_wire::handshake::{EpochSwitch, Rekey, RekeyMessage};

pub(crate) fn rekey() -> Rekey {
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
    let switched = EpochSwitch { epoch: 1, final_seq: 978, open: vec![970, 978] };
    samples.object("EpochSwitch", switched.clone()).optional(&["/open"]);
    for offered in [RekeyMessage::Offer(rekey()), RekeyMessage::Answer(rekey())] {
        let kind = if matches!(offered, RekeyMessage::Offer(_)) {
            &["/offer/kem", "/offer/ct"]
        } else {
            &["/answer/kem", "/answer/ct"]
        };
        samples.case("RekeyMessage", offered).optional(kind);
    }
    samples.case("RekeyMessage", RekeyMessage::Switched(switched)).optional(&["/switched/open"]);
    samples
}

//! Samples of a vault that comes back from an earlier state.

use crate::sample::Samples;
use crate::{rekey, value};
use vettid_wire::handshake::Rekey;
use vettid_wire::restore::{Incarnation, KnownCredential, RestoreVault, Restoring, Resync, ResyncAnswer, ResyncAsk};

fn incarnation() -> Incarnation {
    Incarnation {
        version: 1,
        guid: value::member(),
        incarnation: 2,
        restored_at: value::at(0),
        key_id: value::key_id(),
        signature: value::signature(),
    }
}

/// A half of the first epoch of new keys.
fn half() -> Rekey {
    Rekey { epoch: 0, final_seq: 2, kem: None, ct: None, ..rekey::rekey() }
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("restore");
    samples.object("Incarnation", incarnation());
    let known = KnownCredential { version: 4, highest_version: 6, epoch: 1, attempts_total: 9 };
    samples.object("KnownCredential", known);
    let asked = RestoreVault { incarnation: incarnation(), credential: Some(known) };
    samples.object("RestoreVault", asked).optional(&["/credential"]);
    samples.object("Restoring", Restoring { incarnation: 2, needs_password: true });
    let ask = ResyncAsk { incarnation: incarnation(), rekey: half() };
    samples.object("ResyncAsk", ask.clone());
    let answer = ResyncAnswer { incarnation: 2, rekey: half() };
    samples.object("ResyncAnswer", answer.clone());
    samples.cases("Resync", [Resync::Ask(ask), Resync::Answer(answer)]);
    samples
}

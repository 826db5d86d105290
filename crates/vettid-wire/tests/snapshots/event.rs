//! Samples of the words of the event rows.

use crate::sample::Samples;
use vettid_wire::event::Nothing;

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("event");
    samples.object("Nothing", Nothing {});
    samples
}

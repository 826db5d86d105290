//! Samples of the words of the event rows.

use crate::sample::Samples;
use vettid_wire::event::{Delivery, Lane, Nothing};

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("event");
    samples.cases("Lane", Lane::ALL);
    samples.cases("Delivery", [Delivery::Durable, Delivery::BestEffort]);
    samples.object("Nothing", Nothing {});
    samples
}

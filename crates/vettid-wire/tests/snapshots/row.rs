//! Samples of what is fixed about an event.

use crate::sample::Samples;
use vettid_wire::event::{Delivery, Lane};

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("row");
    samples.cases("Lane", Lane::ALL);
    samples.cases("Delivery", [Delivery::Durable, Delivery::BestEffort]);
    samples
}

//! Samples of shared locations.

use crate::sample::Samples;
use crate::value;
use vettid_wire::id::ShareId;
use vettid_wire::location::{
    LocationList, LocationUpdated, Position, Precision, SeenLocation, ShareEnded, ShareView, SharedLocation,
    StartShare, StopShare, UpdateLocation,
};

pub(crate) fn id() -> ShareId {
    ShareId::v7(value::at(0), [0x71; 10])
}

fn position() -> Position {
    Position { latitude_udeg: 52_519_500, longitude_udeg: 13_402_061 }
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("location");
    let (share_id, connection_id, until) = (id(), value::connection(), value::at(9));
    let (position, precision, taken_at) = (position(), Precision::Kilometre, value::at(1));
    let display_name = "Bob".to_owned();
    samples.cases(
        "Precision",
        [Precision::Exact, Precision::HundredMetres, Precision::Kilometre, Precision::TenKilometres],
    );
    samples.object("Position", position);
    samples.object("StartShare", StartShare { connection_id, duration_ms: 3_600_000, precision });
    samples.object("StopShare", StopShare { connection_id });
    samples.object("UpdateLocation", UpdateLocation { position, taken_at });
    samples.object("LocationUpdated", LocationUpdated { sent_to: 1, shares: 2 });
    let share = ShareView {
        share_id,
        connection_id,
        display_name: display_name.clone(),
        precision,
        started_at: value::at(0),
        until,
    };
    samples.object("ShareView", share.clone());
    let seen = SeenLocation {
        share_id,
        connection_id,
        display_name,
        precision,
        until,
        position: Some(position),
        taken_at: Some(taken_at),
        age_ms: Some(1_000),
    };
    samples.object("SeenLocation", seen.clone()).optional(&["/position", "/taken_at", "/age_ms"]);
    samples.object("LocationList", LocationList { shared: vec![share], seen: vec![seen] }).optional(&[
        "/seen/0/position",
        "/seen/0/taken_at",
        "/seen/0/age_ms",
    ]);
    samples
        .object("SharedLocation", SharedLocation { share_id, until, precision, position: Some(position), taken_at })
        .optional(&["/position"]);
    samples.object("ShareEnded", ShareEnded { share_id, until });
    samples
}

//! Samples of the app's session with its vault.

use crate::sample::Samples;
use crate::{handshake, lock, value};
use vettid_wire::session::{HandshakeEvent, RefreshReply, RefreshRequest, VaultHealth};

fn health() -> VaultHealth {
    VaultHealth {
        now: value::at(0),
        incarnation: 1,
        journal_sequence: 812,
        audit_size: 640,
        dropped_events: 0,
        outbox_size: 1,
        connections: 2,
        lock: Some(lock::settings()),
        awaits_restore: true,
        reconciling: 1,
    }
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("session");
    let event =
        HandshakeEvent { event_id: value::event(), timestamp: value::at(0), handshake: Some(handshake::first()) };
    samples.object("HandshakeEvent", event).optional(&["/handshake"]);
    samples.object("RefreshRequest", RefreshRequest { device: value::device(), nkey_pub: value::nkey('U') });
    samples.object("RefreshReply", RefreshReply { jwt: value::jwt(), expires_at: value::at(24 * 60) });
    let optional = &["/lock/idle_minutes", "/lock/sealer", "/lock", "/awaits_restore", "/reconciling"];
    samples.object("VaultHealth", health()).optional(optional);
    samples
}

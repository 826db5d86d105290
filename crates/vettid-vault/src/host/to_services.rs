//! Requests of a vault to services: sealed to the key of services, signed by the vault, answered in clear by whoever serves them. An
//! answer gains nobody anything; it only ends the asking.

use super::clock;
use super::ways::ServicesKeys;
use crate::manager::Vault;
use bytes::Bytes;
use getrandom::SysRng;
use rand_core::{Rng, UnwrapErr};
use vettid_crypto::envelope::{Binding, Outgoing, seal_signed};
use vettid_nats::connection::{Connection, REQUEST_TIMEOUT};
use vettid_wire::event::EventRow;
use vettid_wire::id::EventId;
use vettid_wire::json;
use vettid_wire::subject::Subject;

/// Sends a sealed request and reads the answer; `None` if there is none that can be read.
pub(super) async fn ask<R: EventRow>(publisher: &Connection, subject: &Subject, bytes: Bytes) -> Option<R::Reply> {
    match publisher.request(subject, bytes, REQUEST_TIMEOUT).await {
        Ok(answer) => json::read(&answer).ok(),
        Err(error) => {
            tracing::warn!(%error, request = R::ROW.name, "services did not carry out a request yet");
            None
        }
    }
}

/// The request as it goes on the wire.
pub(super) fn seal<R: EventRow>(vault: &Vault, services: &ServicesKeys, request: &R::Request) -> Option<Bytes> {
    let Ok(serde_json::Value::Object(body)) = serde_json::to_value(request) else {
        return None;
    };
    let (now, mut rng) = (clock::now(), UnwrapErr(SysRng));
    let mut random = [0; 10];
    rng.fill_bytes(&mut random);
    let subject = Subject::ForServices(vault.guid(), R::ROW.event_type()).to_string();
    let own = vault.fingerprint();
    let binding = Binding { subject: &subject, sender: &own, recipient: &services.fingerprint };
    let outgoing = Outgoing {
        event_id: EventId::v7(now, random),
        event_type: R::ROW.event_type(),
        timestamp: now,
        connection_key_id: None,
        incarnation: vault.identity().incarnation,
        epoch: 0,
        sequence: u64::try_from(now.unix_ms()).unwrap_or(0),
    };
    let envelope =
        seal_signed(&mut rng, &services.kem, vault.identity().signing_key(), &binding, outgoing, body).ok()?;
    serde_json::to_vec(&envelope).ok().map(Bytes::from)
}

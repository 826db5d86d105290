//! Samples of the envelope and of what lies inside. The two outer objects let unknown fields through: they authorise
//! nothing, and whatever counts in them is bound by the header of the sealed part.

use crate::sample::Samples;
use crate::value;
use vettid_wire::data::FieldName;
use vettid_wire::envelope::{Answer, Content, Encryption, Envelope, InReplyTo, Mode, VERSION};
use vettid_wire::refusal::{Refusal, RefusalCode};

fn encryption() -> Encryption {
    Encryption {
        v: VERSION,
        algorithm: "X25519+XChaCha20-Poly1305".to_owned(),
        mode: Mode::Psk,
        key_id: value::kem_key_id(),
        connection_key_id: Some(value::session_key()),
        ephemeral_public_key: value::bytes(32),
        incarnation: 1,
        epoch: 0,
    }
}

fn envelope() -> Envelope {
    Envelope {
        event_id: value::event(),
        event_type: value::event_type("data.get"),
        timestamp: value::at(0),
        sequence: 7,
        encrypted_payload: value::bytes(72 + 256),
        encryption: encryption(),
    }
}

fn body() -> FieldName {
    FieldName { field: "address".to_owned() }
}

fn content() -> Content<FieldName> {
    Content { body: body(), to_incarnation: 1, in_reply_to: Some(in_reply_to()), expires_at: Some(value::at(2)) }
}

fn in_reply_to() -> InReplyTo {
    InReplyTo { event_id: value::event(), body_hash: value::bytes_url(32) }
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("envelope");
    samples.cases("Mode", [Mode::Psk, Mode::Signed]);
    samples.object("Envelope", envelope()).open(&["", "/encryption"]);
    samples.object("Encryption", encryption()).optional(&["/connection_key_id"]).open(&[""]);
    samples.object("Content", content()).optional(&["/in_reply_to", "/expires_at"]);
    samples.object("InReplyTo", in_reply_to());
    samples.case("Answer", Answer::Success(body()));
    samples.case("Answer", Answer::<FieldName>::Refused(Refusal { code: RefusalCode::NotFound })).open(&["/value"]);
    samples
}

//! Samples of proofs of answers.

use crate::sample::Samples;
use crate::value;
use vettid_wire::answer::AnswerProof;
use vettid_wire::envelope::InReplyTo;

pub(crate) fn proof() -> AnswerProof {
    AnswerProof {
        connection_id: value::connection(),
        question: InReplyTo { event_id: value::event(), body_hash: value::bytes_url(32) },
        answer_hash: value::bytes_url(32),
        answered_at: value::at(3),
        key_id: value::key_id(),
        signature: value::signature(),
    }
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("answer");
    samples.object("AnswerProof", proof());
    samples
}

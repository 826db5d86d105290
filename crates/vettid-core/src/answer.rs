//! Proofs of answers: the member's pairwise key signs which question of which connection was answered with what (spec 2.14).
//! The service, to which the handshake certified that key, can check it offline; to anybody else it says nothing about whose key that is.

use crate::channel::body_hash;
use serde_json::Value;
use vettid_crypto::identity::{SigningKey, VerifyingKey};
use vettid_crypto::signature::{self, Context, SignatureError};
use vettid_wire::answer::AnswerProof;
use vettid_wire::base64::Base64;
use vettid_wire::envelope::InReplyTo;
use vettid_wire::id::ConnectionId;
use vettid_wire::json::{self, JsonError};
use vettid_wire::time::Timestamp;

/// The member of an answer under which its proof stands.
const PROOF: &str = "proof";

/// Why an answer proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum NotProven {
    /// It is not an object, or has no proof of the right shape.
    #[error("the answer has no proof")]
    Missing(#[source] Option<JsonError>),
    /// The proof is for another answer or another connection.
    #[error("the proof is for something else")]
    Other,
    /// The pairwise key did not sign it.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

/// Puts the proof into an answer. What is not an object stays as it is.
///
/// # Errors
/// [`SignatureError`] if the answer has no canonical form.
pub fn prove(
    now: Timestamp,
    pairwise: &SigningKey,
    connection_id: ConnectionId,
    question: InReplyTo,
    answer: Value,
) -> Result<Value, SignatureError> {
    let Value::Object(mut fields) = answer else { return Ok(answer) };
    fields.remove(PROOF);
    let proof = AnswerProof {
        connection_id,
        question,
        answer_hash: body_hash(&fields).map_err(SignatureError::NotSignable)?,
        answered_at: now,
        key_id: pairwise.key_id(),
        signature: Base64::default(),
    };
    fields.insert(PROOF.to_owned(), signature::sign_object(Context::Answer, pairwise, &proof)?);
    Ok(Value::Object(fields))
}

/// Checks the proof in an answer of this connection, signed by its pairwise key.
///
/// # Errors
/// [`NotProven`].
pub fn verify(pairwise: &VerifyingKey, connection: ConnectionId, answer: &Value) -> Result<AnswerProof, NotProven> {
    let mut fields = answer.as_object().cloned().ok_or(NotProven::Missing(None))?;
    let received = fields.remove(PROOF).ok_or(NotProven::Missing(None))?;
    let proof: AnswerProof = json::from_value(received).map_err(|error| NotProven::Missing(Some(error)))?;
    let proof = signature::check(Context::Answer, pairwise, proof)?.into_inner();
    let hash = body_hash(&fields).map_err(|error| NotProven::Missing(Some(error)))?;
    if proof.answer_hash == hash && proof.connection_id == connection { Ok(proof) } else { Err(NotProven::Other) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::in_reply_to;
    use serde_json::json;
    use vettid_crypto::secret::Secret32;
    use vettid_wire::id::EventId;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&Secret32::from_bytes([seed; 32]))
    }

    #[test]
    fn a_proof_holds_for_its_answer_key_and_connection_alone() {
        let connection = ConnectionId::from_bytes([1; 16]);
        let question = in_reply_to(EventId::from_bytes([2; 16]), &json!({"field": "address"})).unwrap();
        let now = Timestamp::from_unix_ms(1_000);
        let answer = json!({"outcome": {"served": {"field": "address", "value": "Elm 1"}}});
        let proven = prove(now, &key(1), connection, question.clone(), answer).unwrap();
        let proof = verify(&key(1).verifying_key(), connection, &proven).unwrap();
        assert_eq!((proof.question, proof.answered_at), (question.clone(), now));
        assert!(verify(&key(2).verifying_key(), connection, &proven).is_err());
        assert!(verify(&key(1).verifying_key(), ConnectionId::from_bytes([9; 16]), &proven).is_err());
        for (pointer, other) in [
            ("/outcome/served/value", json!("Elm 2")),
            ("/proof/answered_at", json!("2026-11-21T00:00:00.000Z")),
            ("/proof/question/event_id", json!("018f6b1e-7c1a-7000-8000-000000000001")),
            ("/proof", json!(null)),
        ] {
            let mut changed = proven.clone();
            *changed.pointer_mut(pointer).unwrap() = other;
            assert!(verify(&key(1).verifying_key(), connection, &changed).is_err(), "{pointer}");
        }
        // A proof that stood there before is replaced, not signed along.
        let again = prove(now, &key(1), connection, question, proven.clone()).unwrap();
        assert_eq!(again, proven);
    }
}

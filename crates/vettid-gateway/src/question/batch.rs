//! Questions for several fields, and what becomes of values in answers: an answer counts when it says something about each field that
//! was asked for, in that order, and about no other.

use super::{Asker, Judgement, Kind, MAX_PENDING_MS, NotAnAnswer, Outcome, Question, QuestionError};
use serde_json::Value;
use vettid_wire::data::batch::{BatchField, BatchOutcome, BatchRequest, BatchResponse, FieldAnswer, FieldOutcome};
use vettid_wire::id::RequestId;
use vettid_wire::json::JsonError;
use vettid_wire::time::Timestamp;

/// Which fields a program of the service wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The fields, in the order in which they are decided; none twice.
    pub fields: Vec<BatchField>,
    /// What for, shown to the member.
    pub purpose: String,
}

pub(super) fn request(asker: Asker<'_>, request_id: RequestId, asked: Batch) -> Result<(Kind, Value), QuestionError> {
    let request = BatchRequest {
        request_id,
        service_id: asker.service_id.clone(),
        connection_id: asker.connection_id,
        contract_hash: asker.contract_hash.clone(),
        fields: asked.fields,
        purpose: asked.purpose,
    };
    if !request.is_sound() {
        return Err(QuestionError::UnsoundBatch);
    }
    let fields = request.fields.iter().map(|asked| asked.field.clone()).collect();
    Ok((Kind::DataBatch { fields }, serde_json::to_value(request).map_err(JsonError::Shape)?))
}

/// What an answer says, its proof aside.
pub(super) fn judge(
    question: &Question,
    now: Timestamp,
    asked: &[String],
    response: BatchResponse,
) -> Result<Judgement, NotAnAnswer> {
    if response.request_id != question.request_id {
        return Err(NotAnAnswer::Contradiction);
    }
    match response.outcome {
        BatchOutcome::Answered { fields } => {
            let is_same = fields.iter().map(|answer| &answer.field).eq(asked);
            if is_same { Ok(Judgement::Done(Outcome::Fields { fields })) } else { Err(NotAnAnswer::Contradiction) }
        }
        BatchOutcome::Pending { expires_at } => {
            let latest = question.asked_at.plus_ms(MAX_PENDING_MS);
            if expires_at <= now { Err(NotAnAnswer::Time) } else { Ok(Judgement::Pending(expires_at.min(latest))) }
        }
    }
}

impl Outcome {
    /// Whether it holds a value of a member.
    #[must_use]
    pub fn holds_value(&self) -> bool {
        match self {
            Self::Served { .. } => true,
            Self::Fields { fields } => {
                fields.iter().any(|answer| matches!(answer.outcome, FieldOutcome::Served { .. }))
            }
            _ => false,
        }
    }

    /// Whether it holds a value that may not be kept any longer.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        let over =
            |answer: &FieldAnswer| matches!(&answer.outcome, FieldOutcome::Served { keep, .. } if keep.is_over(now));
        match self {
            Self::Served { keep, .. } => keep.is_over(now),
            Self::Fields { fields } => fields.iter().any(over),
            _ => false,
        }
    }

    /// The same without the values that may not be kept any longer.
    #[must_use]
    pub fn without_over(&self, now: Timestamp) -> Self {
        match self {
            Self::Served { field, keep, .. } if keep.is_over(now) => {
                Self::Served { field: field.clone(), value: Value::Null, keep: *keep }
            }
            Self::Fields { fields } => {
                let emptied = |answer: &FieldAnswer| match &answer.outcome {
                    FieldOutcome::Served { keep, .. } if keep.is_over(now) => {
                        let outcome = FieldOutcome::Served { value: Value::Null, keep: *keep };
                        FieldAnswer { field: answer.field.clone(), outcome }
                    }
                    _ => answer.clone(),
                };
                Self::Fields { fields: fields.iter().map(emptied).collect() }
            }
            other => other.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vettid_wire::data::Keep;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    #[test]
    fn a_value_whose_time_is_over_is_neither_kept_nor_stored() {
        let served = |field: &str, until| FieldAnswer {
            field: field.to_owned(),
            outcome: FieldOutcome::Served { value: field.into(), keep: Keep::TimeLimited { until: at(until) } },
        };
        let refused = FieldAnswer {
            field: "c".to_owned(),
            outcome: FieldOutcome::Refused { code: vettid_wire::refusal::RefusalCode::Denied },
        };
        let outcome = Outcome::Fields { fields: vec![served("a", 10), served("b", 20), refused.clone()] };
        assert!(outcome.holds_value() && !outcome.is_over(at(9)) && outcome.is_over(at(10)));
        assert_eq!(outcome.without_over(at(9)), outcome);
        let Outcome::Fields { fields } = outcome.without_over(at(10)) else { panic!("fields") };
        let values: Vec<_> = fields
            .iter()
            .filter_map(|answer| match &answer.outcome {
                FieldOutcome::Served { value, .. } => Some(value.clone()),
                FieldOutcome::Refused { .. } => None,
            })
            .collect();
        assert_eq!(values, [Value::Null, "b".into()]);
        assert!(!Outcome::Fields { fields: vec![refused] }.holds_value());
    }
}

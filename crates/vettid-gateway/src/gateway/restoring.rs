//! What outlived the program. All requests are known before anything arrives, so that no answer that waited for this start is
//! taken for one that nobody asked for; and what was had on a connection that is over is not taken up again.

use super::values::{self, Values};
use super::{CONNECTIONS, REQUESTS, Shared, asking, ended_key, records, request_key};
use crate::question::{Judgement, Question};
use crate::requests::Request;
use crate::state::{Draft, Loaded, StateError};
use serde::Deserialize;
use std::collections::HashSet;
use std::sync::Arc;
use vettid_wire::connection::ConnectionState;
use vettid_wire::id::ConnectionId;

/// A question that was stored, and its end.
type Asked = (Question, Option<asking::Ended>);

/// What the state holds of members' values, and who was asked.
pub(super) struct Outlived {
    /// Values that came unasked.
    pub values: Values,
    questions: Vec<Asked>,
    /// Whether something is taken out of the state that must be gone from its files.
    pub purges: bool,
}

/// How a connection stands, of all that is stored of it.
#[derive(Deserialize)]
struct Standing {
    connection_id: ConnectionId,
    state: ConnectionState,
}

/// Reads what outlived the program. What was had on a connection that is not active any more goes out of the state with this draft:
/// one that ended under an earlier version may have left it there.
pub(super) fn load(loaded: &Loaded, draft: &mut Draft) -> Result<Outlived, StateError> {
    let all: Vec<Standing> = loaded.values(CONNECTIONS)?;
    let active = all.into_iter().filter(|one| one.state == ConnectionState::Active).map(|one| one.connection_id);
    let active: HashSet<ConnectionId> = active.collect();
    let (mut purges, mut questions) = (false, Vec::new());
    for question in loaded.values::<Question>(REQUESTS)? {
        let ended: Option<asking::Ended> = loaded.value(&ended_key(question.request_id))?;
        let holds_value = ended.as_ref().is_some_and(|ended| ended.outcome.holds_value());
        if holds_value && !active.contains(&question.connection_id) {
            draft.remove(request_key(question.request_id));
            draft.remove(ended_key(question.request_id));
            purges = true;
        } else {
            questions.push((question, ended));
        }
    }
    let mut values = values::load(loaded)?;
    purges |= values::leave_out(&values, draft, |id| !active.contains(&id));
    values.retain(|(id, _), _| active.contains(id));
    Ok(Outlived { values, questions, purges })
}

/// Makes requests known; gives those that are still open. Nothing is sent and nobody is told of anything.
pub(super) fn know(shared: &Shared, outlived: Outlived) -> Vec<Arc<Request>> {
    let mut open = Vec::new();
    for (question, ended) in outlived.questions {
        let request = shared.requests.add(question, true);
        match ended {
            Some(ended) => {
                shared.requests.kept(request.question().request_id);
                request.set_evidence(ended.evidence);
                request.take(ended.at, Judgement::Done(ended.outcome));
            }
            None => open.push(request),
        }
    }
    open
}

/// Goes on with what is still open.
pub(super) async fn go_on(shared: &Arc<Shared>, open: Vec<Arc<Request>>) {
    for request in open {
        match records::outcome(shared, request.question().request_id) {
            // It was killed between storing the record and ending the request.
            Some(outcome) => asking::conclude(shared, &request, outcome).await,
            None => asking::spawn(shared, request, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::connection_key;
    use crate::gateway::purging;
    use crate::question::{Kind, Outcome};
    use crate::state::{Place, State};
    use serde_json::{Value, json};
    use std::path::Path;
    use vettid_crypto::at_rest::StorageKey;
    use vettid_crypto::secret::Secret32;
    use vettid_wire::base64::{Base64, Base64Url};
    use vettid_wire::data::Keep;
    use vettid_wire::id::{EventId, MemberId, RequestId};
    use vettid_wire::time::Timestamp;

    fn active() -> ConnectionId {
        ConnectionId::from_bytes([1; 16])
    }

    fn over() -> ConnectionId {
        ConnectionId::from_bytes([2; 16])
    }

    fn at() -> Timestamp {
        Timestamp::from_unix_ms(1_000_000)
    }

    async fn open(folder: &Path) -> (State, Loaded) {
        let key = StorageKey::from_secret(Secret32::from_bytes([1; 32]));
        State::open(Place::take(folder, None).await.unwrap(), key).await.unwrap()
    }

    fn question(number: u8, connection_id: ConnectionId) -> Question {
        Question {
            request_id: RequestId::from_bytes([number; 16]),
            event_id: EventId::from_bytes([number; 16]),
            connection_id,
            member: MemberId::from_bytes([0; 16]),
            body_hash: Base64Url::new([0; 32]),
            kind: Kind::Data { field: "address".to_owned() },
            envelope: Base64::default(),
            asked_at: at(),
            expires_at: at(),
        }
    }

    fn value(connection_id: ConnectionId) -> (String, Value) {
        let kept = json!({"connection_id": connection_id, "field": "address", "number": 1, "received_at": at(),
            "value": [SECRET, Keep::UntilRevoked]});
        (format!("value/{connection_id}/address"), kept)
    }

    const SECRET: &str = "Elm 1";

    /// A state as a gateway left it that was killed right after the end of a connection.
    async fn leave_behind(folder: &Path) {
        let (state, _) = open(folder).await;
        let mut draft = state.draft();
        for (id, standing) in [(active(), ConnectionState::Active), (over(), ConnectionState::Revoked)] {
            draft.put(connection_key(id), &json!({"connection_id": id, "state": standing})).unwrap();
            let (key, kept) = value(id);
            draft.put(key, &kept).unwrap();
        }
        let served = Outcome::Served { field: "address".to_owned(), value: SECRET.into(), keep: Keep::UntilRevoked };
        let ends = [
            (1, active(), Some(&served)),
            (2, over(), Some(&served)),
            (3, over(), Some(&Outcome::Expired)),
            (4, over(), None),
        ];
        for (number, id, outcome) in ends {
            let question = question(number, id);
            draft.put(request_key(question.request_id), &question).unwrap();
            if let Some(outcome) = outcome {
                let ended = asking::Ended { at: at(), outcome: outcome.clone(), evidence: None };
                draft.put(ended_key(question.request_id), &ended).unwrap();
            }
        }
        state.commit(draft).await.unwrap();
        state.close().await;
    }

    #[tokio::test]
    async fn values_of_connections_that_are_over_are_not_taken_up_again_and_leave_the_state() {
        let folder = tempfile::tempdir().unwrap();
        leave_behind(folder.path()).await;
        for is_first in [true, false] {
            let (state, loaded) = open(folder.path()).await;
            let mut draft = state.draft();
            let outlived = load(&loaded, &mut draft).unwrap();
            assert_eq!((outlived.purges, draft.is_empty()), (is_first, !is_first));
            assert_eq!(outlived.values.keys().map(|(id, _)| *id).collect::<Vec<_>>(), [active()]);
            let numbers = outlived.questions.iter().map(|(question, _)| question.request_id.to_bytes()[0]);
            assert_eq!(numbers.collect::<Vec<_>>(), [1, 3, 4]);
            if is_first {
                purging::purge(&state, draft, Vec::new()).await.unwrap();
            }
            state.close().await;
        }
        let (_state, loaded) = open(folder.path()).await;
        assert_eq!(loaded.value::<Value>(&value(over()).0).unwrap(), None);
        assert_eq!(loaded.value::<Value>(&ended_key(RequestId::from_bytes([2; 16]))).unwrap(), None);
        assert!(purging::owed(&loaded).unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_is_owed_after_a_commit_outlives_a_kill() {
        let folder = tempfile::tempdir().unwrap();
        let (state, _) = open(folder.path()).await;
        let owed = EventId::from_bytes([7; 16]);
        let mut draft = state.draft();
        draft.put(format!("purge/{owed}"), &owed).unwrap();
        state.commit(draft).await.unwrap();
        state.close().await;
        let (state, loaded) = open(folder.path()).await;
        assert_eq!(purging::owed(&loaded).unwrap(), [owed]);
        purging::purge(&state, state.draft(), vec![owed]).await.unwrap();
        state.close().await;
        assert!(purging::owed(&open(folder.path()).await.1).unwrap().is_empty());
    }
}

//! Requests that outlived the program. All of them are known before anything arrives, so that no answer that waited for this
//! start is taken for one that nobody asked for.

use super::{REQUESTS, Shared, asking, ended_key, records};
use crate::question::{Judgement, Question};
use crate::requests::Request;
use crate::state::{Loaded, StateError};
use std::sync::Arc;

/// A question that was stored, and its end.
pub(super) type Asked = (Question, Option<asking::Ended>);

/// The questions of the state.
pub(super) fn load(loaded: &Loaded) -> Result<Vec<Asked>, StateError> {
    let all: Vec<Question> = loaded.values(REQUESTS)?;
    let with_end = |question: Question| Ok((loaded.value(&ended_key(question.request_id))?, question));
    all.into_iter().map(|question| with_end(question).map(|(ended, question)| (question, ended))).collect()
}

/// Makes questions known; gives those that are still open. Nothing is sent and nobody is told of anything.
pub(super) fn know(shared: &Shared, all: Vec<Asked>) -> Vec<Arc<Request>> {
    let mut open = Vec::new();
    for (question, ended) in all {
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

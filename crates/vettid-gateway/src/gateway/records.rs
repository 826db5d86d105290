//! Answers that the service keeps: each is in the state, with its request, before any program hears of it and before the broker
//! is told that it arrived.

use super::{Gateway, Shared, asking, lock, upkeep};
use crate::clock;
use crate::connection::Live;
use crate::question::{Answer, Judgement, Outcome};
use crate::state::{Loaded, StateError};
use crate::view::{RecordView, RequestView};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::OwnedMutexGuard;
use vettid_crypto::authorisation::{verify_request, verify_withdrawal};
use vettid_wire::authorisation::{AuthorisationRecord, ConsentWithdrawal};
use vettid_wire::envelope::InReplyTo;
use vettid_wire::id::{ConnectionId, RequestId};
use vettid_wire::json::{self, JsonError};

const RECORDS: &str = "record/";

pub(super) type Records = HashMap<RequestId, Arc<AuthorisationRecord>>;

fn record_key(id: RequestId) -> String {
    format!("{RECORDS}{id}")
}

/// The records of the state.
pub(super) fn load(loaded: &Loaded) -> Result<Records, StateError> {
    let all: Vec<AuthorisationRecord> = loaded.values(RECORDS)?;
    Ok(all.into_iter().map(|record| (record.request.request_id, Arc::new(record))).collect())
}

/// Takes a signed answer: stores it with its request, then ends the request.
pub(super) async fn take(
    shared: &Arc<Shared>,
    live: OwnedMutexGuard<Live>,
    answer: Answer,
    in_reply_to: Option<&InReplyTo>,
) -> Result<(), StateError> {
    let now = clock::now();
    let request = answer.question(in_reply_to).and_then(|event| shared.requests.of_event(event));
    let request = request.filter(|request| request.question().connection_id == live.record.connection_id);
    let answerer = live.record.member.answerer();
    let (Some(request), Ok(answerer)) = (request.filter(|request| !request.is_done()), answerer) else {
        shared.count_dropped();
        return upkeep::keep_up(shared, live).await;
    };
    match request.judge(now, answer, in_reply_to, &answerer) {
        Ok(Judgement::Done(outcome)) => {
            let known = lock(&shared.records).contains_key(&request.question().request_id);
            if let Outcome::Answered { record, .. } = &outcome
                && !known
            {
                keep(shared, (**record).clone()).await?;
            }
            asking::conclude(shared, &request, outcome).await;
        }
        Ok(Judgement::Pending(_)) => {}
        Err(reason) => {
            tracing::warn!(%reason, "an answer does not count");
            shared.count_dropped();
        }
    }
    upkeep::keep_up(shared, live).await
}

/// Takes the notice that a consent does not hold any more.
pub(super) async fn withdrawn(
    shared: &Arc<Shared>,
    live: OwnedMutexGuard<Live>,
    body: Value,
) -> Result<(), StateError> {
    let withdrawal: Option<ConsentWithdrawal> = json::from_value(body).ok();
    let known = withdrawal.and_then(|withdrawal| {
        let record = lock(&shared.records).get(&withdrawal.request_id).cloned()?;
        let of_connection = record.request.connection_id == live.record.connection_id;
        let request = verify_request(record.request.clone()).ok().filter(|_| of_connection)?;
        verify_withdrawal(&request, &record.answer, &withdrawal).ok()?;
        Some(AuthorisationRecord { withdrawal: Some(withdrawal), ..(*record).clone() })
    });
    match known {
        Some(record) => keep(shared, record).await?,
        None => shared.count_dropped(),
    }
    upkeep::keep_up(shared, live).await
}

/// What came of a request whose record is kept.
pub(super) fn outcome(shared: &Shared, id: RequestId) -> Option<Outcome> {
    let record = lock(&shared.records).get(&id).cloned()?;
    Some(Outcome::answered((*record).clone()))
}

async fn keep(shared: &Shared, record: AuthorisationRecord) -> Result<(), StateError> {
    let id = record.request.request_id;
    let mut draft = shared.state.draft();
    draft.put(record_key(id), &record)?;
    shared.commit(draft).await?;
    lock(&shared.records).insert(id, Arc::new(record));
    Ok(())
}

impl Gateway {
    /// The record of an answered request: exactly the bytes that anybody can check offline.
    ///
    /// # Errors
    /// [`JsonError`] if it has no canonical form.
    pub fn record(&self, id: RequestId) -> Option<Result<Vec<u8>, JsonError>> {
        let record = lock(&self.0.records).get(&id).cloned()?;
        Some(json::canonical(&*record))
    }

    /// The requests of a connection that want the member's word and are open or ended a short time ago, and every record of it;
    /// oldest first.
    #[must_use]
    pub fn authorisations_on(&self, id: ConnectionId) -> (Vec<RequestView>, Vec<RecordView>) {
        let mut requests = self.0.requests.of_connection(id);
        requests.retain(|view| !matches!(view.kind, "data" | "data_batch" | "login" | "message"));
        requests.sort_by_key(|view| (view.asked_at, view.request_id));
        let records = lock(&self.0.records);
        let of_connection = records.values().filter(|record| record.request.connection_id == id);
        let mut records: Vec<_> = of_connection.map(|record| RecordView::of(record)).collect();
        records.sort_by_key(|view| (view.answered_at, view.request_id));
        (requests, records)
    }
}

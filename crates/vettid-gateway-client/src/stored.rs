//! What the service stores with its members. The gateway keeps none of it.

use crate::{ClientError, GatewayClient, Page, Request, body_of, checked, read};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use vettid_wire::id::ConnectionId;
use vettid_wire::stored::StoredPlace;
use vettid_wire::time::Timestamp;

/// Stores a value with a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoreData {
    /// A category of the contract.
    pub category: String,
    /// Its name in that category; what stood there is replaced.
    pub name: String,
    /// Any value of at most 24 KiB.
    pub value: Value,
    /// It is gone from then on; absent, it stays until somebody deletes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// How long the call waits for the answer, in milliseconds; 60 000 at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u32>,
}

/// A page of what the service stores with a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPage {
    /// The request; done, with what there is.
    #[serde(flatten)]
    pub request: Request,
    /// There are more: the `cursor` of the next page.
    pub next_cursor: Option<String>,
}

impl GatewayClient {
    /// Stores a value with a member, in place of what stood under its name. Scope `data:write`, as for all calls about what is
    /// stored.
    ///
    /// # Errors
    /// See [`ClientError`]. What the member's vault refuses is an answer.
    pub async fn store(&self, id: ConnectionId, data: &StoreData) -> Result<Request, ClientError> {
        self.post(&["v1", "connections", &id.to_string(), "stored"], data).await
    }

    /// Lists what the service stored with a member, by category and name, without values, at most 100 in a page. Waits at most
    /// `wait_ms` for the member's vault (60 000 at most, 10 000 if it is not said), as do the next two calls.
    ///
    /// # Errors
    /// See [`ClientError`]. What the member's vault refuses is an answer.
    pub async fn stored(
        &self,
        id: ConnectionId,
        category: Option<&str>,
        page: &Page,
        wait_ms: Option<u32>,
    ) -> Result<StoredPage, ClientError> {
        let filters = [("category", category.map(str::to_owned)), waiting(wait_ms)];
        self.list(&["v1", "connections", &id.to_string(), "stored"], &filters, page).await
    }

    /// Reads one thing back that the service stored with a member.
    ///
    /// # Errors
    /// See [`ClientError`]. What the member's vault refuses is an answer.
    pub async fn stored_value(
        &self,
        id: ConnectionId,
        place: &StoredPlace,
        wait_ms: Option<u32>,
    ) -> Result<Request, ClientError> {
        self.get(&["v1", "connections", &id.to_string(), "stored", &place.category, &place.name], &[waiting(wait_ms)])
            .await
    }

    /// Deletes one thing that the service stored with a member.
    ///
    /// # Errors
    /// See [`ClientError`]. What the member's vault refuses is an answer.
    pub async fn delete_stored(
        &self,
        id: ConnectionId,
        place: &StoredPlace,
        wait_ms: Option<u32>,
    ) -> Result<Request, ClientError> {
        let path = ["v1", "connections", &id.to_string(), "stored", &place.category, &place.name];
        let answer = self.send::<()>(Method::DELETE, &path, &[waiting(wait_ms)], None).await?;
        read(&body_of(checked(answer).await?).await?)
    }
}

fn waiting(wait_ms: Option<u32>) -> (&'static str, Option<String>) {
    ("wait_ms", wait_ms.map(|wait_ms| wait_ms.to_string()))
}

//! Calls a gateway from a program of its service: the calls of `docs/gateway-openapi.json` with types. Knows nothing of the
//! gateway's insides, keeps nothing, and repeats nothing by itself.

mod answer;
mod call;
mod failure;

pub use answer::{
    ApiKey, ApiKeyPage, Connection, ConnectionPage, CreatedApiKey, CreatedWebhook, Delivery, DeliveryPage, FieldAnswer,
    Invitation, Readiness, Refusal, Request, RequestPage, Status, StoredPage, Webhook, WebhookPage,
};
pub use call::{BatchRequest, DataRequest, LoginRequest, Message, NewApiKey, NewWebhook, Page, StoreData};
pub use failure::ClientError;

use answer::{Replayed, Trial};
use reqwest::{Client, Method, Response, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use vettid_wire::connection::ConnectionState;
use vettid_wire::id::{ConnectionId, EventId, RequestId};
use zeroize::Zeroizing;

/// A call may take this long: the longest wait for a member, and the way there and back.
const TIME_LIMIT: Duration = Duration::from_secs(75);
/// Largest answer in bytes.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// A gateway, called with one key. Clones share the connection.
#[derive(Clone)]
pub struct GatewayClient {
    client: Client,
    base: Url,
    key: Arc<Zeroizing<String>>,
    name: Option<String>,
}

impl fmt::Debug for GatewayClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GatewayClient({})", self.base)
    }
}

impl GatewayClient {
    /// A gateway at an address such as `http://127.0.0.1:8090`, called with an API key. `client` brings TLS, if the
    /// address needs it.
    ///
    /// # Errors
    /// [`ClientError::Address`].
    pub fn new(client: Client, address: &str, key: Zeroizing<String>) -> Result<Self, ClientError> {
        let base = Url::parse(address).map_err(|_| ClientError::Address)?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(ClientError::Address);
        }
        Ok(Self { client, base, key: Arc::new(key), name: None })
    }

    /// The same, whose calls that have an effect have it once: repeated under the same name and with the same content they
    /// are answered the same for a day. Take a fresh name for each call, such as the number of an order.
    #[must_use]
    pub fn under(&self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self.clone() }
    }

    /// Makes an invitation for one member. Scope `connections:write`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn invite(&self) -> Result<Invitation, ClientError> {
        self.post(&["v1", "invitations"], &serde_json::json!({})).await
    }

    /// Connections with members, the oldest first. Scope `connections:read`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn connections(
        &self,
        state: Option<ConnectionState>,
        page: &Page,
    ) -> Result<ConnectionPage, ClientError> {
        let state = state.and_then(|state| serde_json::to_value(state).ok());
        let state = state.and_then(|state| state.as_str().map(str::to_owned));
        self.list(&["v1", "connections"], &[("state", state)], page).await
    }

    /// One connection. Scope `connections:read`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn connection(&self, id: ConnectionId) -> Result<Connection, ClientError> {
        self.get(&["v1", "connections", &id.to_string()], &[]).await
    }

    /// Ends a connection and tells the member. Scope `connections:write`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn end_connection(&self, id: ConnectionId) -> Result<(), ClientError> {
        self.delete(&["v1", "connections", &id.to_string()]).await
    }

    /// Asks a member for a field of personal data. Scope `data:read`.
    ///
    /// # Errors
    /// See [`ClientError`]. What the member's vault refuses is an answer.
    pub async fn request_data(&self, id: ConnectionId, request: &DataRequest) -> Result<Request, ClientError> {
        self.post(&["v1", "connections", &id.to_string(), "data-requests"], request).await
    }

    /// Asks a member for several fields of personal data. Scope `data:read`.
    ///
    /// # Errors
    /// See [`ClientError`]. What the member's vault refuses of them is an answer, field by field.
    pub async fn request_batch(&self, id: ConnectionId, request: &BatchRequest) -> Result<Request, ClientError> {
        self.post(&["v1", "connections", &id.to_string(), "data-batches"], request).await
    }

    /// Asks a member to log in. Scope `login`.
    ///
    /// # Errors
    /// See [`ClientError`]. What the member denies is an answer.
    pub async fn request_login(&self, id: ConnectionId, request: &LoginRequest) -> Result<Request, ClientError> {
        self.post(&["v1", "connections", &id.to_string(), "logins"], request).await
    }

    /// Tells a member something. Scope `messages`.
    ///
    /// # Errors
    /// See [`ClientError`]. What is over the number of the hour is an answer, with the time from which there is room again.
    pub async fn send_message(&self, id: ConnectionId, message: &Message) -> Result<Request, ClientError> {
        self.post(&["v1", "connections", &id.to_string(), "messages"], message).await
    }

    /// Stores a value with a member, in place of what stood under its name. Scope `data:write`, as for all calls about what is
    /// stored.
    ///
    /// # Errors
    /// See [`ClientError`]. What the member's vault refuses is an answer.
    pub async fn store(&self, id: ConnectionId, data: &StoreData) -> Result<Request, ClientError> {
        self.post(&["v1", "connections", &id.to_string(), "stored"], data).await
    }

    /// Lists what the service stored with a member, without values.
    ///
    /// # Errors
    /// See [`ClientError`]. What the member's vault refuses is an answer.
    pub async fn stored(
        &self,
        id: ConnectionId,
        category: Option<&str>,
        page: &Page,
    ) -> Result<StoredPage, ClientError> {
        let category = [("category", category.map(str::to_owned))];
        self.list(&["v1", "connections", &id.to_string(), "stored"], &category, page).await
    }

    /// Reads one thing back that the service stored with a member.
    ///
    /// # Errors
    /// See [`ClientError`]. What the member's vault refuses is an answer.
    pub async fn stored_value(&self, id: ConnectionId, category: &str, name: &str) -> Result<Request, ClientError> {
        self.get(&["v1", "connections", &id.to_string(), "stored", category, name], &[]).await
    }

    /// Deletes one thing that the service stored with a member.
    ///
    /// # Errors
    /// See [`ClientError`]. What the member's vault refuses is an answer.
    pub async fn delete_stored(&self, id: ConnectionId, category: &str, name: &str) -> Result<Request, ClientError> {
        let path = ["v1", "connections", &id.to_string(), "stored", category, name];
        read(&body_of(checked(self.send::<()>(Method::DELETE, &path, &[], None).await?).await?).await?)
    }

    /// A request; waits for its end, at most `wait_ms` (60 000 at most).
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn request(&self, id: RequestId, wait_ms: u32) -> Result<Request, ClientError> {
        self.get(&["v1", "requests", &id.to_string()], &[("wait_ms", Some(wait_ms.to_string()))]).await
    }

    /// Requests that are open or ended a short time ago, the oldest first.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn requests(&self, connection: Option<ConnectionId>, page: &Page) -> Result<RequestPage, ClientError> {
        self.list(&["v1", "requests"], &[("connection_id", connection.map(|id| id.to_string()))], page).await
    }

    /// Makes a key; its text is told this once. Scope `admin`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn create_api_key(&self, key: &NewApiKey) -> Result<CreatedApiKey, ClientError> {
        self.post(&["v1", "api-keys"], key).await
    }

    /// Lists the keys. Scope `admin`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn api_keys(&self, page: &Page) -> Result<ApiKeyPage, ClientError> {
        self.list(&["v1", "api-keys"], &[], page).await
    }

    /// Takes a key back. Scope `admin`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn revoke_api_key(&self, key_id: &str) -> Result<(), ClientError> {
        self.delete(&["v1", "api-keys", key_id]).await
    }

    /// Registers a webhook; its secret is told this once. Scope `webhooks`, as for all calls about webhooks.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn add_webhook(&self, webhook: &NewWebhook) -> Result<CreatedWebhook, ClientError> {
        self.post(&["v1", "webhooks"], webhook).await
    }

    /// Lists the webhooks, the oldest first.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn webhooks(&self, page: &Page) -> Result<WebhookPage, ClientError> {
        self.list(&["v1", "webhooks"], &[], page).await
    }

    /// Forgets a webhook and everything that is on its way to it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn remove_webhook(&self, id: EventId) -> Result<(), ClientError> {
        self.delete(&["v1", "webhooks", &id.to_string()]).await
    }

    /// Gives a webhook a new secret; the former one signs besides for a day.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn renew_webhook_secret(&self, id: EventId) -> Result<CreatedWebhook, ClientError> {
        self.post(&["v1", "webhooks", &id.to_string(), "secret"], &serde_json::json!({})).await
    }

    /// Sends an event that says nothing; gives its id.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn test_webhook(&self, id: EventId) -> Result<EventId, ClientError> {
        let trial: Trial = self.post(&["v1", "webhooks", &id.to_string(), "test"], &serde_json::json!({})).await?;
        Ok(trial.event_id)
    }

    /// What is on its way to a webhook or was set aside.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn deliveries(&self, id: EventId, page: &Page) -> Result<DeliveryPage, ClientError> {
        self.list(&["v1", "webhooks", &id.to_string(), "deliveries"], &[], page).await
    }

    /// Sends again what was set aside, or one event of it; gives how many.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn replay_webhook(&self, id: EventId, event: Option<EventId>) -> Result<u64, ClientError> {
        let body = event.map_or_else(|| serde_json::json!({}), |event| serde_json::json!({"event_id": event}));
        let replayed: Replayed = self.post(&["v1", "webhooks", &id.to_string(), "replay"], &body).await?;
        Ok(replayed.replayed)
    }

    /// Whether the gateway can do its work, and what keeps it from it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn readiness(&self) -> Result<Readiness, ClientError> {
        let answer = self.send::<()>(Method::GET, &["readyz"], &[], None).await?;
        read(&body_of(answer).await?)
    }

    async fn list<T: DeserializeOwned>(
        &self,
        path: &[&str],
        filters: &[(&str, Option<String>)],
        page: &Page,
    ) -> Result<T, ClientError> {
        let limit = page.limit.map(|limit| limit.to_string());
        let query: Vec<_> =
            filters.iter().cloned().chain([("limit", limit), ("cursor", page.cursor.clone())]).collect();
        self.get(path, &query).await
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, Option<String>)],
    ) -> Result<T, ClientError> {
        read(&body_of(checked(self.send::<()>(Method::GET, path, query, None).await?).await?).await?)
    }

    async fn post<T: DeserializeOwned>(&self, path: &[&str], body: &impl Serialize) -> Result<T, ClientError> {
        read(&body_of(checked(self.send(Method::POST, path, &[], Some(body)).await?).await?).await?)
    }

    async fn delete(&self, path: &[&str]) -> Result<(), ClientError> {
        checked(self.send::<()>(Method::DELETE, path, &[], None).await?).await.map(drop)
    }

    async fn send<B: Serialize>(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, Option<String>)],
        body: Option<&B>,
    ) -> Result<Response, ClientError> {
        let mut url = self.base.clone();
        url.path_segments_mut().map_err(|()| ClientError::Address)?.pop_if_empty().extend(path);
        for (name, value) in query {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        let mut call = self.client.request(method, url).bearer_auth(self.key.as_str()).timeout(TIME_LIMIT);
        if let Some(body) = body {
            call = call.json(body);
            if let Some(name) = &self.name {
                call = call.header("idempotency-key", name);
            }
        }
        call.send().await.map_err(ClientError::Unreachable)
    }
}

/// The answer if it is a success, else what it refuses.
async fn checked(answer: Response) -> Result<Response, ClientError> {
    if answer.status().is_success() { Ok(answer) } else { Err(failure::of(answer).await) }
}

async fn body_of(mut answer: Response) -> Result<Vec<u8>, ClientError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(ClientError::Unreachable)? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER_BYTES {
            return Err(ClientError::TooLong);
        }
    }
    Ok(body)
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(body).map_err(ClientError::Unreadable)
}

//! Calls a gateway from a program of its service: every call of `docs/gateway-openapi.json` with types, and events of webhooks
//! verified. Knows nothing of the gateway's insides, keeps nothing, and repeats nothing by itself. Names that this build does not
//! know are passed over, so that a newer gateway can be called; what belongs to the published standard is read as strictly as it says.

mod api_key;
mod authorisation;
mod connection;
mod contract;
mod event;
mod failure;
mod key;
mod login;
mod page;
mod probe;
mod request;
mod stored;
mod verification;
mod webhook;

pub use api_key::{ApiKey, ApiKeyPage, CreatedApiKey, NewApiKey};
pub use authorisation::{AuthorisationRequest, Authorisations, Record};
pub use connection::{Connection, ConnectionPage, Invitation, KeptValue, MemberProfile, Refusal};
pub use contract::ContractVersion;
pub use event::{InvalidEvent, InvalidSecret, WebhookEvent, WebhookVerifier};
pub use failure::ClientError;
pub use login::{BegunLogin, BrowserProof, FinishLogin, LoginProgress, NewLogin, PushLogin};
pub use page::Page;
pub use probe::{Health, Readiness};
pub use request::{
    BatchRequest, DataRequest, FieldAnswer, LoginRequest, Message, Request, RequestFilter, RequestPage, Status,
};
pub use stored::{StoreData, StoredPage};
pub use verification::{ClaimedDomain, OperatorsWord, ProvedDomain, Standing};
pub use webhook::{CreatedWebhook, Delivery, DeliveryPage, NewWebhook, Webhook, WebhookPage};

use reqwest::{Client, Method, Response, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
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

    /// A `POST` that is answered with nothing.
    async fn tell(&self, path: &[&str], body: &impl Serialize) -> Result<(), ClientError> {
        checked(self.send(Method::POST, path, &[], Some(body)).await?).await.map(drop)
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

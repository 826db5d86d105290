//! Webhooks: where the gateway sends events. What arrives there is verified by [`crate::WebhookVerifier`].

use crate::{ClientError, GatewayClient, Page};
use serde::{Deserialize, Serialize};
use std::fmt;
use vettid_wire::id::EventId;
use vettid_wire::time::Timestamp;

/// A webhook to be registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewWebhook {
    /// Where events are sent: a public https address.
    pub url: String,
    /// Which events, such as `request.answered`; none named: all.
    pub events: Vec<String>,
    /// Whether events carry the answers of members.
    pub with_answers: bool,
}

/// A webhook, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Names it.
    pub webhook_id: EventId,
    /// Where events are sent.
    pub url: String,
    /// Which events; none named: all.
    pub events: Vec<String>,
    /// Whether events carry the answers of members.
    pub with_answers: bool,
    /// When it was registered.
    pub created_at: Timestamp,
    /// Since when nothing is sent to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_at: Option<Timestamp>,
    /// Events that are on their way.
    pub waiting: u64,
    /// Events that it did not take in time.
    pub set_aside: u64,
}

/// A webhook with the secret that is told once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedWebhook {
    /// The webhook.
    #[serde(flatten)]
    pub webhook: Webhook,
    /// Verifies its events.
    pub secret: String,
}

impl fmt::Debug for CreatedWebhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CreatedWebhook({})", self.webhook.webhook_id)
    }
}

/// A page of webhooks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookPage {
    /// The webhooks.
    pub webhooks: Vec<Webhook>,
    /// There are more: the `cursor` of the next page.
    pub next_cursor: Option<String>,
}

/// An event on its way to a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Names the event.
    pub event_id: EventId,
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: String,
    /// `waiting` or `set_aside`.
    pub status: String,
    /// When it happened.
    pub made_at: Timestamp,
    /// Attempts that failed.
    pub attempts: u32,
    /// When it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
    /// Why the last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// A page of deliveries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryPage {
    /// The deliveries.
    pub deliveries: Vec<Delivery>,
    /// There are more: the `cursor` of the next page.
    pub next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Trial {
    event_id: EventId,
}

#[derive(Deserialize)]
struct Replayed {
    replayed: u64,
}

impl GatewayClient {
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

    /// One webhook.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn webhook(&self, id: EventId) -> Result<Webhook, ClientError> {
        self.get(&["v1", "webhooks", &id.to_string()], &[]).await
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

    /// What is on its way to a webhook (`waiting`) or was `set_aside`, or one of both.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn deliveries(
        &self,
        id: EventId,
        status: Option<&str>,
        page: &Page,
    ) -> Result<DeliveryPage, ClientError> {
        let status = [("status", status.map(str::to_owned))];
        self.list(&["v1", "webhooks", &id.to_string(), "deliveries"], &status, page).await
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
}

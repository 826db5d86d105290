//! Invitations, connections with members, and what members' vaults hand out on them unasked.

use crate::{ClientError, GatewayClient, Page};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;
use vettid_wire::connection::ConnectionState;
use vettid_wire::data::Keep;
use vettid_wire::id::{ConnectionId, EventId, Fingerprint, InviteId, MemberId};
use vettid_wire::time::Timestamp;

/// An invitation. Its link is a secret until it is answered.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// Names it.
    pub invite_id: InviteId,
    /// The link, also the text of the QR code. Whoever holds it can answer it once.
    pub link: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// It cannot be answered later.
    pub expires_at: Timestamp,
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Invitation({})", self.invite_id)
    }
}

/// A connection with a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// The connection.
    pub connection_id: ConnectionId,
    /// The invitation that it came from.
    pub invite_id: InviteId,
    /// Where it stands.
    pub state: ConnectionState,
    /// The member's vault.
    pub member: MemberId,
    /// The member's identity.
    pub member_fingerprint: Fingerprint,
    /// The name that the member shows.
    pub display_name: String,
    /// The version of the contract.
    pub contract_version: u64,
    /// The version that was offered after that and that the member has not accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offered_version: Option<u64>,
    /// The optional fields that the member agreed to.
    pub optional_fields_accepted: Vec<String>,
    /// When the invitation was answered.
    pub created_at: Timestamp,
    /// What the member shows this service of itself; gone with the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<MemberProfile>,
    /// The last event that the member's vault refused and that was no open request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_refusal: Option<Refusal>,
}

/// The newest profile of a member that arrived, as far as the member shows it to this service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberProfile {
    /// Name and free entries.
    pub public: Value,
    /// Age, place, texts, links and files, by name.
    pub items: Value,
    /// Rises with each version.
    pub sequence: u64,
    /// When the member's vault made it.
    pub updated_at: Timestamp,
    /// It says nothing about later times.
    pub valid_until: Timestamp,
    /// An earlier or expired one came after it: it may not be what the member says today.
    pub is_stale: bool,
}

/// An event that had no effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The event.
    pub event_id: EventId,
    /// Its type.
    pub event_type: String,
    /// Why.
    pub code: String,
    /// When the refusal arrived.
    pub at: Timestamp,
}

/// A page of connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionPage {
    /// The connections.
    pub connections: Vec<Connection>,
    /// There are more: the `cursor` of the next page.
    pub next_cursor: Option<String>,
}

/// A value that a member's vault handed out unasked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptValue {
    /// Name of the field.
    pub field: String,
    /// Its value.
    pub value: Value,
    /// When it came.
    pub received_at: Timestamp,
    /// How long the service may keep the value.
    pub keep: Keep,
}

#[derive(Deserialize)]
struct KeptValues {
    values: Vec<KeptValue>,
}

impl GatewayClient {
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

    /// The latest values of the fields that the contract lets out unasked, by name of the field, for as long as they may be kept.
    /// Scope `data:read`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn values(&self, id: ConnectionId) -> Result<Vec<KeptValue>, ClientError> {
        let kept: KeptValues = self.get(&["v1", "connections", &id.to_string(), "values"], &[]).await?;
        Ok(kept.values)
    }
}

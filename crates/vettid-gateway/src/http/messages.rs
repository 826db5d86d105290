//! Messages to members: sent on a connection, told apart by whether the member's vault took them. What the vault refuses is a
//! result, not an error; whether a member reads a message is told nowhere.

use super::body::{Body, Id};
use super::failure::ApiFailure;
use super::requests::ask_member;
use crate::gateway::Gateway;
use crate::question::{Ask, Message};
use crate::view::RequestView;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vettid_wire::id::ConnectionId;
use vettid_wire::service_message::MessageKind;

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(send))
}

/// Tells a member something.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MessageCall {
    /// `information`, `action` (the member has to do something) or `warning`.
    #[schema(value_type = String, example = "information")]
    kind: MessageKind,
    /// One line of at most 150 bytes.
    subject: String,
    /// Plain text of at most 4 000 bytes and 60 lines. Addresses in it are shown as text and never as links.
    text: String,
    /// How long the message waits for the member's vault, in milliseconds; one day if it is not said, seven at most.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 604800000)]
    expires_in_ms: Option<i64>,
    /// How long the call waits for the receipt, in milliseconds; 10 000 if it is not said.
    #[serde(default)]
    #[schema(maximum = 60000)]
    wait_ms: Option<u64>,
}

/// Tells a member something. As many messages in any hour as the contract says; what is more is refused with the time from which
/// there is room again (`retry_at`), and never queued.
#[utoipa::path(
    post, path = "/v1/connections/{connection_id}/messages", tag = "requests", operation_id = "send_message",
    security(("api_key" = ["messages"])),
    params(("connection_id" = String, Path, description = "The connection.", format = "uuid")),
    request_body = MessageCall,
    responses(
        (status = 200, description = "The member's vault took the message, or refused it.", body = RequestView),
        (status = 202, description = "The message is on its way.", body = RequestView),
    ),
)]
async fn send(
    State(gateway): State<Gateway>,
    Id(id): Id<ConnectionId>,
    Body(call): Body<MessageCall>,
) -> Result<(StatusCode, Json<RequestView>), ApiFailure> {
    let MessageCall { kind, subject, text, expires_in_ms, wait_ms } = call;
    ask_member(&gateway, id, Ask::Message(Message { kind, subject, text, life_ms: expires_in_ms }), wait_ms).await
}

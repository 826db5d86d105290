//! What the former incarnation of a peer sealed and arrives only after the peer was restored. Of it nothing is taken but the end
//! of the connection; a text is given back, for its writer may not have it any more.

use super::{Former, former_key};
use crate::channels::ChannelName;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::mark::{self, Mark, Seen};
use crate::peer::{Opened, actor};
use crate::step::Step;
use crate::{messages, revocation};
use serde_json::json;
use vettid_core::channel::body_hash;
use vettid_wire::audit::Outcome as AuditOutcome;
use vettid_wire::envelope::Envelope;
use vettid_wire::event::{ConnectionRevoked, EventRow, MessagingText};
use vettid_wire::json as vjson;
use vettid_wire::messaging::{LateMessage, RecoverConversation, TextMessage};
use vettid_wire::subject::Subject;

/// Takes up one envelope under the keys before.
pub(super) fn receive(
    step: &mut Step<'_>,
    connection: &Connection,
    subject: &Subject,
    envelope: &Envelope,
) -> Result<Opened, Failure> {
    let id = connection.connection_id;
    let former: Former = step.draft.get(&former_key(id))?.unwrap_or_default();
    if !former.gives_back {
        // This vault was restored itself: the peer says it anew.
        return Ok(Opened::Yes);
    }
    let name = ChannelName::Former(id);
    let Some(channel) = step.channels.get(&step.draft, name)? else { return Ok(Opened::Yes) };
    let Ok(opened) = channel.open(subject, envelope) else { return Ok(Opened::No) };
    if envelope.event_type == ConnectionRevoked::ROW.event_type() {
        let ended = revocation::by_peer(step, connection, opened.content.body)?;
        tracing::info!(is_taken = ended.is_ok(), "a late notice of the end of a connection");
        return Ok(Opened::Yes);
    }
    let hash = body_hash(&opened.content.body)?;
    let scope = id.to_string();
    let is_new = mark::look_up(&step.draft, &scope, envelope.event_id, &hash)? == Seen::Never;
    if !is_new || envelope.event_type != MessagingText::ROW.event_type() {
        return Ok(Opened::Yes);
    }
    let Ok(message) = vjson::from_value::<TextMessage>(opened.content.body) else { return Ok(Opened::Yes) };
    let late = Box::new(LateMessage { connection_id: id, message });
    messages::recover(step, &RecoverConversation::Late(late))?;
    let mark = Mark::new(hash, step.now, None);
    mark::put(&mut step.draft, &scope, envelope.event_id, &mark)?;
    let detail = json!({"event_id": envelope.event_id});
    step.audit(&actor(connection), &envelope.event_type, AuditOutcome::Refused, detail)?;
    step.channels.store(&mut step.draft, name)?;
    Ok(Opened::Yes)
}

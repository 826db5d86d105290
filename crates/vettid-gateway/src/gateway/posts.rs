//! The outbox: what a connection still has to deliver is sent, byte for byte the same, until the member's inbox has it.

use super::Shared;
use crate::clock;
use crate::connection::{Live, Post, Route};
use crate::offering;
use crate::peers::PeerError;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use vettid_core::handshake::Phase;
use vettid_wire::connection::ConnectionState;
use vettid_wire::id::ConnectionId;

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

/// Sends a post that was stored.
pub(super) fn spawn(shared: &Arc<Shared>, id: ConnectionId, post: Post) {
    let (owner, post) = (Arc::clone(shared), Arc::new(post));
    shared.tasks.insist("the delivery of a message", move || {
        let (owner, post) = (Arc::clone(&owner), Arc::clone(&post));
        async move {
            let stop = owner.stop.clone();
            stop.run_until_cancelled(drive(&owner, id, &post)).await;
        }
    });
}

async fn drive(shared: &Shared, id: ConnectionId, post: &Post) {
    let mut pause = FIRST_PAUSE;
    while clock::now() <= post.give_up_at {
        match send(shared, id, post).await {
            Ok(true) => return finish(shared, id, post, true).await,
            Ok(false) => return,
            Err(error) if error.is_passing() => {
                tracing::info!(%error, "a message could not be delivered yet")
            }
            Err(error) => {
                tracing::warn!(%error, "a message cannot be delivered");
                break;
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    finish(shared, id, post, false).await;
}

/// `false`: the post was withdrawn.
async fn send(shared: &Shared, id: ConnectionId, post: &Post) -> Result<bool, PeerError> {
    let Some(live) = shared.lock_live(id).await else {
        return Ok(false);
    };
    if !live.record.outbox.contains(post) {
        return Ok(false);
    }
    let (hs_id, claim) = (live.record.hs_id(), live.record.member.claim.clone());
    let address = live.record.member.address(&shared.presentation.service_id);
    drop(live);
    let payload = Bytes::from(post.bytes.as_bytes().to_vec());
    match (post.route, claim, address) {
        (Route::Claim, Some(claim), _) => shared.peers.deliver_claimed(hs_id, &claim, post.message, payload).await?,
        (Route::Service, _, Ok(address)) => {
            shared.peers.deliver(id, &address, &post.subject, post.message, payload).await?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Takes a post out of the outbox.
async fn finish(shared: &Shared, id: ConnectionId, post: &Post, delivered: bool) {
    let Some(mut live) = shared.lock_live(id).await else {
        return;
    };
    live.record.outbox.retain(|other| other != post);
    settle(&mut live, post, delivered);
    if let Err(error) = shared.store(&mut live).await {
        tracing::error!(%error, "a delivery could not be noted");
    }
    let is_over = live.record.state == ConnectionState::Revoked;
    drop(live);
    if is_over {
        shared.peers.close(id).await;
    }
}

/// What a delivery, or its failure, means for the connection.
fn settle(live: &mut Live, post: &Post, delivered: bool) {
    if !delivered && offering::is_offer(post) {
        // It is offered again.
        live.record.offered_version = None;
    }
    match live.record.state {
        ConnectionState::Revoked if live.record.outbox.is_empty() => live.record.member.forget_credential(),
        ConnectionState::Requested if !delivered && post.route == Route::Claim => {
            let is_expired = live.record.responder.phase() == Phase::Expired;
            live.end(if is_expired { ConnectionState::Expired } else { ConnectionState::Aborted }, None);
            live.record.member.forget_credential();
        }
        _ => {}
    }
}

//! Upkeep of connections: steps of epoch rotations are stored before they are sent, and what is due is looked for from time to
//! time. Nothing here waits for the member.

use super::{Shared, lock, posts, put, put_acceptance};
use crate::acquaintance;
use crate::clock;
use crate::connection::Live;
use crate::offering::{self, Received};
use crate::random;
use crate::renewal;
use crate::rotation::{self, Own, RotationFailed};
use crate::state::StateError;
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::OwnedMutexGuard;
use vettid_wire::id::{ConnectionId, EventId};
use vettid_wire::time::Timestamp;

/// A member's step of a rotation.
pub(super) async fn rekey(
    shared: &Arc<Shared>,
    mut live: OwnedMutexGuard<Live>,
    body: Value,
) -> Result<(), StateError> {
    let before = live.record.outbox.clone();
    let taken = step(shared, |own| rotation::receive(clock::now(), &mut random::system(), own, &mut live, body));
    if let Err(refused) = taken {
        tracing::warn!(%refused, "a step of a rotation does not count");
        shared.count_dropped();
    }
    note_failure(step(shared, |own| rotation::keep_up(clock::now(), &mut random::system(), own, &mut live)));
    shared.store(&mut live).await?;
    send_new(shared, live, &before);
    Ok(())
}

/// A fresh credential of a member's.
pub(super) async fn credential(
    shared: &Arc<Shared>,
    mut live: OwnedMutexGuard<Live>,
    event: EventId,
    body: Value,
) -> Result<(), StateError> {
    let before = live.record.outbox.clone();
    let taken = {
        let identity = shared.identity();
        renewal::receive(clock::now(), &mut random::system(), shared.own(&identity), &mut live, event, body)
    };
    match taken {
        Ok(true) => {}
        Ok(false) => shared.count_dropped(),
        Err(error) => tracing::error!(%error, "a credential could not be answered"),
    }
    let id = live.record.connection_id;
    shared.store(&mut live).await?;
    send_new(shared, live, &before);
    shared.peers.close(id).await;
    Ok(())
}

/// The member accepted a version of the contract.
pub(super) async fn accepted(
    shared: &Arc<Shared>,
    mut live: OwnedMutexGuard<Live>,
    body: Value,
) -> Result<(), StateError> {
    let before = live.record.outbox.clone();
    let taken = {
        let identity = shared.identity();
        offering::receive(clock::now(), &mut random::system(), shared.own(&identity), &mut live, body)
    };
    let mut draft = shared.state.draft();
    match taken {
        Ok(Received::InForce) => {
            put_acceptance(&mut draft, &live)?;
            shared.tell_accepted(&mut draft, &live)?;
        }
        Ok(Received::Nothing) => {}
        Ok(Received::Forged) => shared.count_dropped(),
        Ok(Received::Refused(refused)) => {
            tracing::warn!(%refused, "an acceptance does not count");
            shared.count_dropped();
        }
        Err(error) => tracing::error!(%error, "an acceptance could not be countersigned"),
    }
    put(&mut draft, &mut live)?;
    shared.commit(draft).await?;
    send_new(shared, live, &before);
    Ok(())
}

/// Offers the newest version of the contract, if that is due.
fn offer(shared: &Shared, live: &mut Live) -> bool {
    let identity = shared.identity();
    let kept = offering::keep_up(clock::now(), &mut random::system(), shared.own(&identity), live);
    kept.unwrap_or_else(|error| {
        tracing::error!(%error, "a version of the contract could not be offered");
        true
    })
}

/// A new version of a member's profile.
pub(super) async fn profile(
    shared: &Arc<Shared>,
    mut live: OwnedMutexGuard<Live>,
    body: Value,
) -> Result<(), StateError> {
    if !acquaintance::receive(clock::now(), &mut live, body) {
        shared.count_dropped();
    }
    shared.store(&mut live).await?;
    keep_up(shared, live).await
}

/// Tells the member of a new version of the service's own profile.
fn tell(shared: &Shared, live: &mut Live) -> bool {
    let identity = shared.identity();
    let told = acquaintance::tell(clock::now(), &mut random::system(), shared.own(&identity), live);
    told.unwrap_or_else(|error| {
        tracing::error!(%error, "a member could not be told of the new profile");
        true
    })
}

fn renew(shared: &Shared, live: &mut Live, now: Timestamp) -> bool {
    let identity = shared.identity();
    let kept = renewal::keep_up(now, &mut random::system(), shared.own(&identity), live);
    kept.unwrap_or_else(|error| {
        tracing::error!(%error, "a member's credential could not be renewed");
        true
    })
}

/// After any other event of a member, and from time to time.
pub(super) async fn keep_up(shared: &Arc<Shared>, live: OwnedMutexGuard<Live>) -> Result<(), StateError> {
    keep_up_at(shared, live, clock::now()).await
}

async fn keep_up_at(shared: &Arc<Shared>, mut live: OwnedMutexGuard<Live>, now: Timestamp) -> Result<(), StateError> {
    let before = live.record.outbox.clone();
    let kept = step(shared, |own| rotation::keep_up(clock::now(), &mut random::system(), own, &mut live));
    let renewed = renew(shared, &mut live, now);
    let offered = offer(shared, &mut live);
    let told = tell(shared, &mut live);
    if note_failure(kept) || renewed || offered || told {
        shared.store(&mut live).await?;
    }
    send_new(shared, live, &before);
    Ok(())
}

/// Looks after every connection that nobody works on right now.
pub(super) async fn sweep(shared: &Arc<Shared>) {
    let all: Vec<_> = lock(&shared.connections).all.values().cloned().collect();
    for live in all {
        let Ok(live) = live.try_lock_owned() else { continue };
        if let Err(error) = keep_up(shared, live).await {
            tracing::error!(%error, "the upkeep of a connection could not be stored");
        }
    }
}

/// Looks after every connection at this time, and waits for those that somebody works on right now: after a change of keys no member is left
/// with what the broker does not take.
pub(super) async fn look_after_all(shared: &Arc<Shared>, now: Timestamp) {
    let all: Vec<_> = lock(&shared.connections).all.values().cloned().collect();
    for live in all {
        if let Err(error) = keep_up_at(shared, live.lock_owned().await, now).await {
            tracing::error!(%error, "the upkeep of a connection could not be stored");
        }
    }
}

fn step<T>(shared: &Shared, take: impl FnOnce(Own<'_>) -> T) -> T {
    let identity = shared.identity();
    let service_id = &shared.presentation.service_id;
    take(Own { service_id, signing: identity.signing_key() })
}

/// Whether something is to be stored; after a failure, whatever was sealed is not sent and its sequences stay unused.
fn note_failure(kept: Result<bool, RotationFailed>) -> bool {
    kept.unwrap_or_else(|error| {
        tracing::error!(%error, "a rotation could not go on");
        true
    })
}

fn send_new(shared: &Arc<Shared>, live: OwnedMutexGuard<Live>, before: &[crate::connection::Post]) {
    let id: ConnectionId = live.record.connection_id;
    let new: Vec<_> = live.record.outbox.iter().filter(|post| !before.contains(post)).cloned().collect();
    drop(live);
    new.into_iter().for_each(|post| posts::spawn(shared, id, post));
}

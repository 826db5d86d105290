//! Events on their way to webhooks: put into the commit of what they tell of, sent when that is durable, sent again until
//! they are taken. What a receiver was sent always has the same id.

mod table;

use super::{Gateway, Shared, lock};
use crate::clock;
use crate::once;
use crate::random;
use crate::state::{Draft, Loaded, StateError};
use crate::tasks::{Fault, caught};
use crate::webhook::address::{self, BadAddress};
use crate::webhook::patience::AfterFailure;
use crate::webhook::sender::{Attempt, Sender};
use crate::webhook::{
    DELIVERIES, Delivery, DeliveryView, Event, EventKind, MOST_WEBHOOKS, WEBHOOKS, Webhook, WebhookId, WebhookView,
    webhook_key,
};
use serde_json::json;
use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as SyncMutex};
use std::time::Duration;
use table::{LeftToDo, Table};
use tokio::sync::{Mutex, Notify};
use vettid_crypto::secret::Secret32;
use vettid_wire::id::{EventId, RequestId};
use vettid_wire::time::Timestamp;
use zeroize::Zeroizing;

/// Attempts at once.
const MOST_AT_ONCE: usize = 64;
/// How long nothing is looked for at most.
const ROUND: Duration = Duration::from_secs(3600);
/// That a webhook works is noted this seldom, in milliseconds.
const NOTE_AGAIN_MS: i64 = 3600 * 1000;

/// Why something about a webhook is not done.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// Events are not sent there.
    #[error(transparent)]
    Address(#[from] BadAddress),
    /// There are as many as there may be.
    #[error("there are too many webhooks")]
    TooMany,
    /// There is no such webhook.
    #[error("there is no such webhook")]
    Unknown,
    /// It could not be stored.
    #[error(transparent)]
    State(#[from] StateError),
}

/// What a webhook is to be.
#[derive(Debug, Clone)]
pub struct NewWebhook {
    /// Where to.
    pub url: String,
    /// Which events; none named: all.
    pub events: BTreeSet<EventKind>,
    /// Whether events carry the answers of members.
    pub with_answers: bool,
}

/// A webhook with the secret that signs its events.
#[derive(Debug)]
pub struct WebhookSecret {
    /// The webhook.
    pub webhook: WebhookView,
    /// `whsec_…`.
    pub secret: Zeroizing<String>,
}

/// All webhooks, and what is on its way to them.
#[derive(Debug)]
pub(super) struct Hooks {
    table: SyncMutex<Table>,
    /// Held while a webhook is changed.
    turn: Mutex<()>,
    sender: Sender,
    wake: Notify,
    next_sequence: AtomicU64,
    /// Deliveries that were taken, and attempts that failed, since the start.
    pub(super) taken: AtomicU64,
    pub(super) failed: AtomicU64,
}

impl Hooks {
    /// What the state holds.
    pub(super) fn load(loaded: &Loaded, sender: Sender, most_waiting: usize) -> Result<Self, StateError> {
        let mut table = Table::new(most_waiting);
        for webhook in loaded.values::<Webhook>(WEBHOOKS)? {
            table.webhooks.insert(webhook.webhook_id, Arc::new(webhook));
        }
        let mut next_sequence = 0;
        for delivery in loaded.values::<Delivery>(DELIVERIES)? {
            next_sequence = delivery.sequence + 1;
            table.add(Arc::new(delivery.completed()));
        }
        Ok(Self {
            table: SyncMutex::new(table),
            turn: Mutex::default(),
            sender,
            wake: Notify::new(),
            next_sequence: AtomicU64::new(next_sequence),
            taken: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        })
    }

    fn get(&self, id: WebhookId) -> Option<Arc<Webhook>> {
        lock(&self.table).webhooks.get(&id).cloned()
    }

    /// Changes the table and lets the queues be looked at.
    fn change(&self, change: impl FnOnce(&mut Table)) {
        change(&mut lock(&self.table));
        self.wake.notify_one();
    }

    /// Puts an event for some webhooks into a commit; it is sent when the commit is durable.
    fn put(
        self: &Arc<Self>,
        draft: &mut Draft,
        now: Timestamp,
        event: &Event,
        webhooks: &[Arc<Webhook>],
    ) -> Result<EventId, StateError> {
        let event_id = EventId::v7(now, random::bytes());
        let mut deliveries = Vec::with_capacity(webhooks.len());
        for webhook in webhooks {
            let sequence = self.next_sequence.fetch_add(1, Ordering::Relaxed);
            let delivery = Arc::new(Delivery::of(event, event_id, webhook, sequence, now));
            draft.put(delivery.key(), &*delivery)?;
            deliveries.push(delivery);
        }
        let hooks = Arc::clone(self);
        if !deliveries.is_empty() {
            draft.then(move || hooks.change(|table| deliveries.into_iter().for_each(|one| table.add(one))));
        }
        Ok(event_id)
    }

    /// The requests of which some webhook was not told yet.
    pub(super) fn requests(&self) -> HashSet<RequestId> {
        lock(&self.table).outbox.requests()
    }

    /// Those that are paused, in their order.
    pub(super) fn paused(&self) -> usize {
        lock(&self.table).webhooks.values().filter(|webhook| webhook.paused_at.is_some()).count()
    }

    /// How many deliveries wait, and how many are set aside.
    pub(super) fn counts(&self) -> (usize, usize) {
        let table = lock(&self.table);
        let counts = table.webhooks.keys().map(|id| table.outbox.counts(*id));
        counts.fold((0, 0), |(waiting, aside), (more_waiting, more_aside)| (waiting + more_waiting, aside + more_aside))
    }
}

impl Shared {
    /// Puts an event into a commit, for every webhook that wants it.
    pub(super) fn tell(&self, draft: &mut Draft, now: Timestamp, event: &Event) -> Result<(), StateError> {
        let wanting: Vec<_> = {
            let table = lock(&self.hooks.table);
            table.webhooks.values().filter(|webhook| webhook.wants(event.kind)).cloned().collect()
        };
        self.hooks.put(draft, now, event, &wanting).map(drop)
    }

    /// Stores a changed webhook.
    async fn change_webhook(&self, webhook: Webhook) -> Result<(), StateError> {
        let mut draft = self.state.draft();
        self.put_webhook(&mut draft, webhook)?;
        self.commit(draft).await
    }

    fn put_webhook(&self, draft: &mut Draft, webhook: Webhook) -> Result<(), StateError> {
        draft.put(webhook_key(webhook.webhook_id), &webhook)?;
        let hooks = Arc::clone(&self.hooks);
        draft.then(move || {
            hooks.change(|table| {
                let (id, is_paused) = (webhook.webhook_id, webhook.paused_at.is_some());
                table.webhooks.insert(id, Arc::new(webhook));
                if is_paused {
                    table.outbox.take_waiting(id).into_iter().for_each(|delivery| table.add(delivery));
                }
            });
        });
        Ok(())
    }
}

/// Sends what is due, until the gateway stops.
pub(super) async fn serve(shared: Arc<Shared>) {
    loop {
        let now = clock::now();
        let (due, next_at, left) = {
            let mut table = lock(&shared.hooks.table);
            let due = table.outbox.due(now, MOST_AT_ONCE);
            (due, table.outbox.next_at(), table.left_to_do())
        };
        tidy(&shared, now, left).await;
        for delivery in due {
            let owner = Arc::clone(&shared);
            shared.tasks.insist("the delivery of an event", move || attempt(Arc::clone(&owner), Arc::clone(&delivery)));
        }
        // What is due and was not taken waits for the end of an attempt, which wakes this.
        let pause_ms = next_at.map(|at| at.since_ms(now)).filter(|ms| *ms > 0);
        let pause = pause_ms.and_then(|ms| u64::try_from(ms).ok()).map_or(ROUND, Duration::from_millis);
        tokio::select! {
            () = shared.stop.cancelled() => return,
            () = shared.hooks.wake.notified() => {}
            () = tokio::time::sleep(pause.min(ROUND)) => {}
        }
    }
}

async fn tidy(shared: &Shared, now: Timestamp, left: LeftToDo) {
    let LeftToDo { surplus, dropped, full } = left;
    if dropped > 0 {
        tracing::warn!(dropped, "events that were set aside longest were dropped: there is room for no more");
    }
    forget(shared, surplus).await;
    for id in full {
        if let Err(error) = pause_full(shared, now, id).await {
            tracing::error!(%error, "a webhook for which too much waits could not be paused");
        }
    }
}

/// Pauses a webhook for which too much waits. What waits is set aside.
async fn pause_full(shared: &Shared, now: Timestamp, id: WebhookId) -> Result<(), StateError> {
    let _turn = shared.hooks.turn.lock().await;
    let is_full = lock(&shared.hooks.table).outbox.is_full(id);
    match shared.hooks.get(id).filter(|webhook| is_full && webhook.paused_at.is_none()) {
        Some(webhook) => {
            tracing::warn!(webhook_id = %id, "a webhook is paused, because too much waits for it: replay it");
            shared.change_webhook(Webhook { paused_at: Some(now), ..webhook.duplicate() }).await
        }
        None => Ok(()),
    }
}

async fn forget(shared: &Shared, surplus: Vec<Arc<Delivery>>) {
    let mut draft = shared.state.draft();
    surplus.iter().for_each(|delivery| draft.remove(delivery.key()));
    if let Err(error) = shared.commit(draft).await {
        tracing::error!(%error, "events that nobody takes could not be removed");
    }
}

async fn attempt(shared: Arc<Shared>, delivery: Arc<Delivery>) {
    let Some(webhook) = shared.hooks.get(delivery.webhook_id) else {
        return;
    };
    let attempt = tokio::select! {
        () = shared.stop.cancelled() => return,
        attempt = caught(shared.hooks.sender.send(clock::now(), &webhook, &delivery)) => attempt,
    };
    // An event over which the program falls counts as one that was not taken, and is set aside as any other.
    let attempt =
        attempt.unwrap_or_else(|Fault| Attempt::Failed("the gateway fell over a fault of its own".to_owned()));
    if let Err(error) = settle(&shared, delivery, attempt).await {
        tracing::error!(%error, "the delivery of an event could not be noted");
    }
}

/// Notes what came of an attempt.
async fn settle(shared: &Shared, delivery: Arc<Delivery>, attempt: Attempt) -> Result<(), StateError> {
    let now = clock::now();
    match attempt {
        Attempt::Taken => {
            shared.hooks.taken.fetch_add(1, Ordering::Relaxed);
            taken(shared, now, delivery).await
        }
        Attempt::Gone => {
            shared.hooks.failed.fetch_add(1, Ordering::Relaxed);
            set_aside(shared, now, &delivery, "the receiver wants no more events", true).await
        }
        Attempt::Failed(failure) => {
            shared.hooks.failed.fetch_add(1, Ordering::Relaxed);
            tracing::info!(webhook_id = %delivery.webhook_id, event_id = %delivery.event_id, failure, "an event was not taken");
            match delivery.after_failure(now, &shared.config.limits, random::bytes()) {
                AfterFailure::Aside => set_aside(shared, now, &delivery, &failure, false).await,
                AfterFailure::Again(next_at) => again(shared, next_at, &delivery, failure).await,
            }
        }
    }
}

async fn taken(shared: &Shared, now: Timestamp, delivery: Arc<Delivery>) -> Result<(), StateError> {
    let mut draft = shared.state.draft();
    draft.remove(delivery.key());
    let (hooks, id) = (Arc::clone(&shared.hooks), delivery.webhook_id);
    draft.then(move || hooks.change(|table| table.outbox.taken(&delivery)));
    shared.commit(draft).await?;
    let is_noted = |webhook: &Webhook| webhook.taken_at.is_some_and(|at| now.since_ms(at) < NOTE_AGAIN_MS);
    if shared.hooks.get(id).is_none_or(|webhook| is_noted(&webhook)) {
        return Ok(());
    }
    let _turn = shared.hooks.turn.lock().await;
    match shared.hooks.get(id).filter(|webhook| !is_noted(webhook)) {
        Some(webhook) => shared.change_webhook(Webhook { taken_at: Some(now), ..webhook.duplicate() }).await,
        None => Ok(()),
    }
}

async fn again(shared: &Shared, next_at: Timestamp, delivery: &Delivery, failure: String) -> Result<(), StateError> {
    let next = Arc::new(Delivery {
        attempts: delivery.attempts.saturating_add(1),
        next_at,
        failure: Some(failure),
        ..delivery.clone()
    });
    if shared.hooks.get(next.webhook_id).is_none() {
        return Ok(());
    }
    let mut draft = shared.state.draft();
    draft.put(next.key(), &*next)?;
    let hooks = Arc::clone(&shared.hooks);
    draft.then(move || {
        hooks.change(|table| table.again(next));
    });
    shared.commit(draft).await
}

/// Sets an event aside; the webhook too if it took nothing for as long.
async fn set_aside(
    shared: &Shared,
    now: Timestamp,
    delivery: &Delivery,
    failure: &str,
    is_gone: bool,
) -> Result<(), StateError> {
    let _turn = shared.hooks.turn.lock().await;
    let Some(webhook) = shared.hooks.get(delivery.webhook_id) else {
        return Ok(());
    };
    tracing::warn!(webhook_id = %delivery.webhook_id, event_id = %delivery.event_id, "an event was set aside");
    let aside = Arc::new(Delivery {
        attempts: delivery.attempts.saturating_add(1),
        failure: Some(failure.to_owned()),
        set_aside_at: Some(now),
        ..delivery.clone()
    });
    let mut draft = shared.state.draft();
    draft.put(aside.key(), &*aside)?;
    let hooks = Arc::clone(&shared.hooks);
    draft.then(move || {
        hooks.change(|table| {
            let dropped = table.outbox.aside(aside);
            table.drop_oldest(dropped);
        });
    });
    if is_gone || webhook.is_paused_with(delivery) {
        tracing::warn!(webhook_id = %webhook.webhook_id, "a webhook is paused: nothing is sent to it until it is replayed");
        shared.put_webhook(&mut draft, Webhook { paused_at: Some(now), ..webhook.duplicate() })?;
    }
    shared.commit(draft).await
}

impl Gateway {
    /// Registers a webhook; its secret is told here.
    ///
    /// # Errors
    /// See [`WebhookError`].
    pub async fn add_webhook(&self, new: NewWebhook) -> Result<WebhookSecret, WebhookError> {
        let (shared, now) = (&self.0, clock::now());
        address::check(&new.url, shared.config.webhooks.loopback)?;
        let _turn = shared.hooks.turn.lock().await;
        if lock(&shared.hooks.table).webhooks.len() >= MOST_WEBHOOKS {
            return Err(WebhookError::TooMany);
        }
        let webhook = Webhook {
            webhook_id: WebhookId::v7(now, random::bytes()),
            url: new.url,
            events: new.events,
            with_answers: new.with_answers,
            secret: Secret32::random(&mut random::system()),
            former_secret: None,
            secret_at: now,
            created_at: now,
            taken_at: None,
            paused_at: None,
        };
        let secret = WebhookSecret { webhook: Table::new(0).view(&webhook), secret: webhook.secret_text() };
        let mut draft = shared.state.draft();
        once::shown(&mut draft)?;
        shared.put_webhook(&mut draft, webhook)?;
        shared.commit(draft).await?;
        Ok(secret)
    }

    /// All webhooks, the oldest first.
    #[must_use]
    pub fn webhooks(&self) -> Vec<WebhookView> {
        let table = lock(&self.0.hooks.table);
        table.webhooks.values().map(|webhook| table.view(webhook)).collect()
    }

    /// One webhook.
    #[must_use]
    pub fn webhook(&self, id: EventId) -> Option<WebhookView> {
        let table = lock(&self.0.hooks.table);
        table.webhooks.get(&id).map(|webhook| table.view(webhook))
    }

    /// What is on its way to a webhook or was set aside, in order, each with its place.
    #[must_use]
    pub fn deliveries(&self, id: EventId) -> Option<Vec<(u64, DeliveryView)>> {
        let table = lock(&self.0.hooks.table);
        table.webhooks.contains_key(&id).then(|| table.outbox.views(id))
    }

    /// Forgets a webhook and everything that is on its way to it.
    ///
    /// # Errors
    /// See [`WebhookError`].
    pub async fn remove_webhook(&self, id: EventId) -> Result<(), WebhookError> {
        let shared = &self.0;
        let _turn = shared.hooks.turn.lock().await;
        shared.hooks.get(id).ok_or(WebhookError::Unknown)?;
        let mut draft = shared.state.draft();
        draft.remove(webhook_key(id));
        let hooks = Arc::clone(&shared.hooks);
        draft.then(move || {
            hooks.change(|table| {
                table.webhooks.remove(&id);
                let all = table.outbox.remove(id);
                table.surplus.extend(all);
            });
        });
        Ok(shared.commit(draft).await?)
    }

    /// Gives a webhook a new secret; the former one signs besides for a day.
    ///
    /// # Errors
    /// See [`WebhookError`].
    pub async fn renew_webhook_secret(&self, id: EventId) -> Result<WebhookSecret, WebhookError> {
        let (shared, now) = (&self.0, clock::now());
        let _turn = shared.hooks.turn.lock().await;
        let webhook = shared.hooks.get(id).ok_or(WebhookError::Unknown)?;
        let renewed = webhook.with_secret(now, Secret32::random(&mut random::system()));
        let secret = renewed.secret_text();
        let mut draft = shared.state.draft();
        once::shown(&mut draft)?;
        shared.put_webhook(&mut draft, renewed)?;
        shared.commit(draft).await?;
        let webhook = self.webhook(id).ok_or(WebhookError::Unknown)?;
        Ok(WebhookSecret { webhook, secret })
    }

    /// Sends an event that says nothing, to see whether it arrives; gives its id.
    ///
    /// # Errors
    /// See [`WebhookError`].
    pub async fn test_webhook(&self, id: EventId) -> Result<EventId, WebhookError> {
        let shared = &self.0;
        let webhook = shared.hooks.get(id).ok_or(WebhookError::Unknown)?;
        let event =
            Event { kind: EventKind::WebhookTest, connection_id: None, body: json!({"webhook_id": id}), answer: None };
        let mut draft = shared.state.draft();
        let event_id = shared.hooks.put(&mut draft, clock::now(), &event, &[webhook])?;
        once::answer(&mut draft, 202, &json!({"event_id": event_id}))?;
        shared.commit(draft).await?;
        Ok(event_id)
    }

    /// Sends again what was set aside, or one event of it; a paused webhook goes on. Gives how many are sent again.
    ///
    /// # Errors
    /// See [`WebhookError`].
    pub async fn replay_webhook(&self, id: EventId, event: Option<EventId>) -> Result<usize, WebhookError> {
        let (shared, now) = (&self.0, clock::now());
        let _turn = shared.hooks.turn.lock().await;
        let webhook = shared.hooks.get(id).ok_or(WebhookError::Unknown)?;
        let wanted = move |delivery: &Delivery| event.is_none_or(|event| event == delivery.event_id);
        let all = lock(&shared.hooks.table).outbox.of(id);
        let again: Vec<Arc<Delivery>> = all
            .iter()
            .filter(|delivery| delivery.set_aside_at.is_some() && wanted(delivery))
            .map(|delivery| {
                let fresh = Delivery {
                    attempts: 0,
                    set_aside_at: None,
                    tried_since: now,
                    next_at: now,
                    ..(**delivery).clone()
                };
                Arc::new(fresh)
            })
            .collect();
        let count = again.len();
        let mut draft = shared.state.draft();
        for delivery in &again {
            draft.put(delivery.key(), &**delivery)?;
        }
        if webhook.paused_at.is_some() {
            // What stays aside says so itself from now on.
            for delivery in all.iter().filter(|delivery| delivery.set_aside_at.is_some() && !wanted(delivery)) {
                draft.put(delivery.key(), &**delivery)?;
            }
            shared.put_webhook(&mut draft, Webhook { paused_at: None, ..webhook.duplicate() })?;
        }
        let hooks = Arc::clone(&shared.hooks);
        draft.then(move || {
            hooks.change(|table| {
                let sequences: BTreeSet<u64> = again.iter().map(|delivery| delivery.sequence).collect();
                table.outbox.take_aside(id, |delivery| sequences.contains(&delivery.sequence));
                again.into_iter().for_each(|delivery| table.add(delivery));
            });
        });
        once::answer(&mut draft, 202, &json!({"replayed": count}))?;
        shared.commit(draft).await?;
        Ok(count)
    }
}

//! The vaults of a host: each runs by itself, comes back after it stopped, or stays down if it is broken. One vault must
//! never hold up the others.

use super::actor::{Actor, Ended, QUEUE, Stopped};
use super::loader::Loaded;
use super::ways::Sender;
use super::{Host, HostFailed, Running, clock};
use bytes::Bytes;
use getrandom::SysRng;
use rand_core::UnwrapErr;
use tokio::sync::mpsc;
use tokio::task::JoinError;
use vettid_core::grants::delivery::{self, Receiver};
use vettid_nats::connection::Subscription;
use vettid_nats::profiles;
use vettid_wire::id::MemberId;
use vettid_wire::subject::{Pattern, Subject};

impl Host {
    /// A vault stopped: its journal decides what it is, so it is loaded again.
    pub(super) async fn ended(&mut self, ended: Result<(MemberId, Ended), JoinError>) -> Result<(), HostFailed> {
        let (member, (why, failures)) =
            ended.map_err(|error| HostFailed::Control(format!("a vault failed: {error}")))?;
        let rest = failures.rest();
        self.failures.insert(member, failures);
        if matches!(why, Err(Stopped::Locked)) {
            return self.locked_itself(member).await;
        }
        let key = self.vaults.remove(&member).and_then(|vault| vault.key);
        if let Err(error) = why {
            tracing::error!(%member, %error, "a vault stopped and is loaded again");
        }
        self.coming_back.insert(member);
        self.returning.spawn(self.loader.clone().load_again(member, rest, key));
        Ok(())
    }

    /// A vault that stopped was loaded again, or cannot be.
    pub(super) async fn returned(
        &mut self,
        returned: Result<(MemberId, Result<Loaded, HostFailed>), JoinError>,
    ) -> Result<(), HostFailed> {
        let (member, outcome) =
            returned.map_err(|error| HostFailed::Control(format!("a vault failed to load: {error}")))?;
        self.coming_back.remove(&member);
        match (outcome, self.unlocking.remove(&member)) {
            (Ok(loaded), Some(unlocking)) => self.unlocked(loaded, unlocking).await,
            (Ok(loaded), None) => {
                self.reloads += 1;
                self.run_vault(loaded).await
            }
            (Err(error), _) if error.is_of_one_vault() => self.give_up(member, &error).await,
            (Err(error), _) => Err(error),
        }
    }

    /// This one stays down; its events wait for whoever repairs it.
    pub(super) async fn give_up(&mut self, member: MemberId, error: &HostFailed) -> Result<(), HostFailed> {
        tracing::error!(%member, %error, "a vault cannot be loaded and stays down");
        self.broken.insert(member, error.to_string());
        Ok(self.inbox.detach(member).await?)
    }

    /// Makes a vault for a member, unless one runs here. A member whose journal exists gets no new storage key: nothing
    /// would ever open under it.
    pub(super) async fn deploy(&mut self, member: MemberId) -> Result<(), HostFailed> {
        if self.vaults.contains_key(&member)
            || self.coming_back.contains(&member)
            || self.lanes.locked().contains(&member)
        {
            return Ok(());
        }
        let (keys, journal) = (&self.loader.storage_keys, &self.loader.journal);
        if keys.get(member)?.is_none() {
            if journal.last_sequence(member).await? != 0 {
                return Err(HostFailed::StorageKeyLost);
            }
            keys.create(member, clock::now(), &mut UnwrapErr(SysRng))?;
        }
        self.lanes.open(member)?;
        let loaded = self.loader.load(member, None).await?;
        self.run_vault(loaded).await?;
        Ok(self.inbox.attach(member).await?)
    }

    pub(super) async fn run_vault(&mut self, loaded: Loaded) -> Result<(), HostFailed> {
        let Loaded { vault, sequence, places, key } = loaded;
        let member = vault.guid();
        let (work, queue) = mpsc::channel(QUEUE);
        let sender = Sender {
            publisher: self.publisher.clone(),
            brokers: self.brokers.clone(),
            services: self.services.clone(),
            work: work.downgrade(),
        };
        let (journal, stores) =
            (self.loader.journal.clone(), (self.loader.objects.clone(), self.loader.pieces.clone()));
        let failures = self.failures.remove(&member).unwrap_or_default();
        let actor = Actor::new(vault, (sequence, places), journal, stores, sender, queue);
        let actor = actor.behind(self.lanes.of(member)).after(failures);
        self.running.spawn(async move { (member, actor.run().await) });
        self.vaults.insert(member, Running { work, key });
        self.publish_event_types(member).await;
        self.listen(member).await
    }

    /// Tells the app what the vault can do. An app that misses it learns from the refusal of an event.
    async fn publish_event_types(&self, member: MemberId) {
        let event_types = serde_json::json!({ "event_types": self.loader.handlers.event_types() });
        let published =
            profiles::publish_event_types(&self.publisher, member, Bytes::from(event_types.to_string())).await;
        if let Err(error) = published {
            tracing::warn!(%error, "the event types of a vault were not published");
        }
    }

    /// Hears what comes for a vault by best effort; once, also when the vault is loaded again.
    pub(super) async fn listen(&mut self, member: MemberId) -> Result<(), HostFailed> {
        if !self.heard.insert(member) {
            return Ok(());
        }
        for pattern in best_effort_of(member) {
            let subscription = self.subscriber.subscribe(&pattern).await?;
            self.listening.spawn(forward(subscription, self.best_effort.clone()));
        }
        Ok(())
    }
}

/// What comes for a member's vault by best effort.
fn best_effort_of(member: MemberId) -> Vec<Pattern> {
    let patterns = Receiver::Vault.best_effort().into_iter();
    patterns.map(|pattern| delivery::of_member(pattern, member)).collect()
}

async fn forward(mut subscription: Subscription, to: mpsc::Sender<(Subject, Bytes)>) {
    while let Some(incoming) = subscription.next().await {
        let Ok(incoming) = incoming else { break };
        if to.send((incoming.subject, incoming.payload)).await.is_err() {
            break;
        }
    }
}

//! What a host does about locks: it unloads a vault that is locked, and loads one whose member came.

use super::lane::News;
use crate::host::actor::Work;
use crate::host::loader::Loaded;
use crate::host::{Host, HostFailed, Unlocking};
use crate::lock;
use std::collections::BTreeSet;
use std::time::Duration;
use vettid_crypto::at_rest::StorageKey;
use vettid_crypto::secret::Secret32;
use vettid_nats::inbox::{Inbox, Members};
use vettid_wire::id::MemberId;

impl Host {
    /// A lane tells something.
    pub(in crate::host) fn heard(&mut self, news: News) {
        match news {
            News::Unlock { member, key, wrong, runs } => {
                if self.vaults.contains_key(&member) {
                    // Whoever asked may have gone.
                    let _ = runs.send(());
                } else if !self.coming_back.contains(&member) {
                    self.broken.remove(&member);
                    self.coming_back.insert(member);
                    let loading = self.loader.clone().load_again(member, Duration::ZERO, Some(key));
                    self.returning.spawn(loading);
                    self.unlocking.insert(member, Unlocking { wrong, runs });
                }
            }
            News::Changed { member, key, wrong } => {
                if let Some(vault) = self.vaults.get_mut(&member) {
                    vault.key = key;
                    if vault.work.try_send(Work::Lock(lock::News::Changed { wrong })).is_err() {
                        tracing::warn!(%member, "a vault has too much to do; the change of its lock is not in its feed");
                    }
                }
            }
        }
    }

    /// A vault was locked: it is out of memory, and its events stay where they are. What was in hand must not count as
    /// undone, else it would use up the room of the other vaults; so the consumer begins anew without it.
    pub(in crate::host) async fn locked_itself(&mut self, member: MemberId) -> Result<(), HostFailed> {
        self.vaults.remove(&member);
        self.lanes.lock(member).await;
        self.inbox.detach(member).await?;
        let name = self.config.host_id.as_str().to_owned();
        Inbox::open(&self.subscriber, &name, Members::Only(BTreeSet::new())).await?;
        let served = self.vaults.keys().chain(&self.coming_back).copied().collect();
        self.inbox = Inbox::open(&self.subscriber, &name, Members::Only(served)).await?;
        tracing::info!(%member, "a vault was locked");
        Ok(())
    }

    /// A vault whose member came is loaded: it runs, learns of it, and gets the events that waited.
    pub(in crate::host) async fn unlocked(&mut self, loaded: Loaded, unlocking: Unlocking) -> Result<(), HostFailed> {
        let member = loaded.vault.guid();
        let Unlocking { wrong, runs } = unlocking;
        self.run_vault(loaded).await?;
        if let Some(vault) = self.vaults.get(&member) {
            // The queue is new and empty.
            let _ = vault.work.try_send(Work::Lock(lock::News::Unlocked { wrong }));
        }
        self.lanes.unlocked(member);
        self.inbox.attach(member).await?;
        let _ = runs.send(());
        tracing::info!(%member, "a vault was unlocked");
        Ok(())
    }
}

/// A second handle on a storage key, for the loader.
pub(in crate::host) fn duplicate(key: &StorageKey) -> StorageKey {
    StorageKey::from_secret(Secret32::copied_from(key.expose()))
}

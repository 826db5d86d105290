//! Vaults from their journals, outside of the host's loop. A journal that does not open or is not whole gives no vault;
//! nothing is repaired or made anew here.

use super::lock::host::duplicate;
use super::storage_key::StorageKeys;
use super::{HostFailed, clock};
use crate::manager::{CannotStart, Vault};
use bytes::Bytes;
use futures_util::FutureExt as _;
use getrandom::SysRng;
use rand_core::UnwrapErr;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use vettid_core::allowance::Limits;
use vettid_crypto::at_rest::StorageKey;
use vettid_handler::handlers::Handlers;
use vettid_nats::journal::Journal;
use vettid_nats::objects::{ObjectError, Objects};
use vettid_nats::pieces::Pieces;
use vettid_wire::id::MemberId;

/// Records of a vault between two places that are remembered, and so the most that are removed at once; up to twice as many where it was
/// loaded.
pub(super) const APART: u64 = 16;
/// Largest stored state of one vault, in bytes.
const MAX_SNAPSHOT_BYTES: u64 = 1 << 30;

/// What it takes to load a vault.
#[derive(Clone)]
pub(super) struct Loader {
    pub(super) storage_keys: Arc<StorageKeys>,
    pub(super) journal: Journal,
    pub(super) objects: Objects,
    pub(super) pieces: Pieces,
    pub(super) handlers: Handlers,
    /// The broker as other parties reach it.
    pub(super) endpoint: String,
    pub(super) limits: Limits,
}

/// A vault, and where its journal stands.
pub(super) struct Loaded {
    pub(super) vault: Vault,
    /// Sequence of its last record.
    pub(super) sequence: u64,
    /// Sequences of some of its records, in order and [`APART`] records apart.
    pub(super) places: Vec<u64>,
    /// The storage key of a vault with a lock, which nobody else could load again.
    pub(super) key: Option<StorageKey>,
}

impl Loader {
    /// Every vault whose storage key lies here, but for the absent; those that are broken by themselves do not hold up the others.
    pub(super) async fn every(
        &self,
        absent: &BTreeSet<MemberId>,
    ) -> Result<(Vec<Loaded>, BTreeMap<MemberId, String>), HostFailed> {
        let (mut loaded, mut broken) = (Vec::new(), BTreeMap::new());
        let members = self.storage_keys.members()?.into_iter();
        for member in members.filter(|member| !absent.contains(member)) {
            match self.load(member, None).await {
                Ok(vault) => loaded.push(vault),
                Err(error) if error.is_of_one_vault() => {
                    tracing::error!(%member, %error, "a vault cannot start and stays down");
                    broken.insert(member, error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        Ok((loaded, broken))
    }

    /// The same after a pause, as long as the broker is only not to be reached.
    pub(super) async fn load_again(
        self,
        member: MemberId,
        pause: Duration,
        key: Option<StorageKey>,
    ) -> (MemberId, Result<Loaded, HostFailed>) {
        loop {
            tokio::time::sleep(pause).await;
            match self.load(member, key.as_ref()).await {
                Err(error) if error.may_pass() && !error.is_of_one_vault() => {
                    tracing::warn!(%error, "a vault cannot be loaded yet");
                }
                outcome => return (member, outcome),
            }
        }
    }

    /// A vault from its journal. One that has none is new. `key` is the storage key of a vault with a lock.
    pub(super) async fn load(&self, member: MemberId, key: Option<&StorageKey>) -> Result<Loaded, HostFailed> {
        match self.read(member, key).await {
            // The stored state was replaced by a newer one after the journal was read, or older records went meanwhile.
            Err(
                HostFailed::Object(ObjectError::NotFound | ObjectError::Damaged)
                | HostFailed::Vault(CannotStart::Broken(_)),
            ) => self.read(member, key).await,
            outcome => outcome,
        }
    }

    /// A panic is a fault of the program with this vault, and no reason for the others not to run.
    async fn read(&self, member: MemberId, given: Option<&StorageKey>) -> Result<Loaded, HostFailed> {
        let read = AssertUnwindSafe(self.read_unguarded(member, given)).catch_unwind();
        read.await.unwrap_or(Err(HostFailed::Fell))
    }

    async fn read_unguarded(&self, member: MemberId, given: Option<&StorageKey>) -> Result<Loaded, HostFailed> {
        let key = || match given {
            Some(key) => Ok(duplicate(key)),
            None => self.storage_keys.get(member)?.ok_or(HostFailed::Vault(CannotStart::NoIdentity)),
        };
        let records = self.journal.load(member).collect().await?;
        let sequence = records.last().map_or(0, |record| record.sequence);
        let bytes: Vec<Vec<u8>> = records.iter().map(|record| record.bytes.to_vec()).collect();
        if bytes.is_empty() {
            // A new vault has no lock.
            return self.found(member, key()?).await;
        }
        let snapshot = match Vault::snapshot_name(member, key()?, &bytes)? {
            Some(name) => Some(self.objects.get(&name, MAX_SNAPSHOT_BYTES).await?),
            None => None,
        };
        let places =
            records.iter().step_by(usize::try_from(APART).unwrap_or(1)).map(|record| record.sequence).collect();
        let (handlers, endpoint) = (self.handlers.clone(), self.endpoint.clone());
        let vault = Vault::load(member, key()?, handlers, endpoint, &bytes, snapshot.as_deref())?;
        Ok(Loaded { vault: vault.limited_to(self.limits), sequence, places, key: given.map(duplicate) })
    }

    /// A new vault: its first commit is its identity.
    async fn found(&self, member: MemberId, key: StorageKey) -> Result<Loaded, HostFailed> {
        let (handlers, endpoint) = (self.handlers.clone(), self.endpoint.clone());
        let (mut vault, first) = Vault::found(member, key, handlers, endpoint, clock::now(), &mut UnwrapErr(SysRng))?;
        let sequence = self.journal.commit(member, 0, Bytes::copy_from_slice(&first.sealed)).await?;
        vault.committed(&first).map_err(CannotStart::from)?;
        Ok(Loaded { vault: vault.limited_to(self.limits), sequence, places: Vec::new(), key: None })
    }
}

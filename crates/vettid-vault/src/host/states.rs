//! Keeps the state of a vault as its journal stores it, sealed as it is, and puts one back later. For a host that does not run.
//! A vault that was put back waits for its owner's word: nothing here lets it go on.

use super::config::HostConfig;
use super::loader::Loader;
use super::storage_key::StorageKeys;
use super::{HostFailed, HostKeys, Joining, clock};
use crate::manager::{CannotStart, Vault};
use bytes::Bytes;
use getrandom::SysRng;
use rand_core::UnwrapErr;
use serde::{Deserialize, Serialize};
use vettid_core::credential::attempts::{BootId, Clocks};
use vettid_nats::connection::{Connection, Endpoint};
use vettid_nats::journal::Journal;
use vettid_nats::objects::{ObjectError, Objects};
use vettid_nats::pieces::Pieces;
use vettid_wire::base64::Base64;
use vettid_wire::id::MemberId;

/// Largest stored state of one vault, in bytes.
const MAX_STATE_BYTES: u64 = 1 << 30;

/// A state as it was kept: it opens under the vault's storage key alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptState {
    version: u32,
    member: MemberId,
    records: Vec<Base64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    object: Option<(String, Base64)>,
}

impl KeptState {
    /// Whose.
    #[must_use]
    pub fn member(&self) -> MemberId {
        self.member
    }

    /// What is written into a file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads such a file; `None` if it is none.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Self>(bytes).ok().filter(|state| state.version == 1)
    }
}

/// The stored states of the vaults of a host that does not run.
pub struct States {
    loader: Loader,
    publisher: Connection,
}

impl States {
    /// Joins services and connects, as the host would.
    ///
    /// # Errors
    /// [`HostFailed`].
    pub async fn open(config: &HostConfig, joining: &impl Joining) -> Result<Self, HostFailed> {
        let folder = config.state.join("vaults");
        let sealer = config.sealer.open(false, &mut UnwrapErr(SysRng))?;
        let storage_keys = StorageKeys::new(folder, sealer)?;
        let keys = HostKeys::open_or_make(&storage_keys)?;
        let joined = keys.join(config, joining).await?;
        let (_, publisher) = keys.credentials(config, &joined)?;
        let endpoint = Endpoint { address: joined.nats_endpoint.clone(), tls: config.broker_tls.clone() };
        let publisher = Connection::open(&endpoint, publisher).await?;
        let loader = Loader {
            storage_keys: std::sync::Arc::new(storage_keys),
            journal: Journal::new(publisher.clone()),
            objects: Objects::open(&publisher).await?,
            pieces: Pieces::new(publisher.clone(), config.files_bytes),
            handlers: config.handlers.clone(),
            endpoint: config.public_endpoint.clone().unwrap_or(endpoint.address),
            limits: config.limits,
        };
        Ok(Self { loader, publisher })
    }

    /// The state of a vault as it is stored now; it was read through once, so it opens and is whole.
    ///
    /// # Errors
    /// [`HostFailed`].
    pub async fn keep(&self, member: MemberId) -> Result<KeptState, HostFailed> {
        let records = self.loader.journal.load(member).collect().await?;
        let records: Vec<Base64> = records.iter().map(|record| Base64::new(record.bytes.to_vec())).collect();
        let mut state = KeptState { version: 1, member, records, object: None };
        if let Some(name) = self.object_of(&state)? {
            let object = self.loader.objects.get(&name, MAX_STATE_BYTES).await?;
            state.object = Some((name, Base64::new(object.to_vec())));
        }
        self.open_state(&state)?;
        Ok(state)
    }

    /// Puts a vault back to a state that was kept, in one record of its journal; then it waits for its owner's word. Gives the
    /// incarnation that the journal knew, which the next one has to be above; 0 if the journal was lost.
    ///
    /// # Errors
    /// [`HostFailed`]; the vault is as it was.
    pub async fn put_back(&self, state: &KeptState) -> Result<u64, HostFailed> {
        let member = state.member;
        let mut earlier = self.open_state(state)?;
        if self.loader.journal.last_sequence(member).await? == 0 {
            self.write_anew(state, earlier).await?;
            return Ok(0);
        }
        let present = self.loader.load(member, None).await?;
        let known = present.vault.identity().incarnation;
        let said = earlier.put_back(clocks(), &mut UnwrapErr(SysRng), known).map_err(CannotStart::from)?;
        earlier.committed(&said.prepared).map_err(CannotStart::from)?;
        let (name, object, record) = present.vault.replaced_by(&earlier, &mut UnwrapErr(SysRng));
        self.loader.objects.put(&name, &Bytes::from(object)).await?;
        let bytes = Bytes::copy_from_slice(&record.sealed);
        let sequence = self.loader.journal.commit(member, present.sequence, bytes).await?;
        // From here on the journal begins with the earlier state; before, nothing had happened.
        self.loader.journal.purge_below(member, sequence).await?;
        for stored in present.vault.states() {
            match self.loader.objects.delete(stored).await {
                Ok(()) | Err(ObjectError::NotFound) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(known)
    }

    /// The journal was lost: it is written as it was kept.
    async fn write_anew(&self, state: &KeptState, mut vault: Vault) -> Result<(), HostFailed> {
        if let Some((name, object)) = &state.object {
            self.loader.objects.put(name, &Bytes::copy_from_slice(object.as_bytes())).await?;
        }
        let mut last = 0;
        for record in &state.records {
            let bytes = Bytes::copy_from_slice(record.as_bytes());
            last = self.loader.journal.commit(state.member, last, bytes).await?;
        }
        let said = vault.put_back(clocks(), &mut UnwrapErr(SysRng), 0).map_err(CannotStart::from)?;
        let bytes = Bytes::copy_from_slice(&said.prepared.sealed);
        self.loader.journal.commit(state.member, last, bytes).await?;
        Ok(vault.committed(&said.prepared).map_err(CannotStart::from)?)
    }

    /// Closes the connection.
    ///
    /// # Errors
    /// If the broker is gone.
    pub async fn close(self) -> Result<(), HostFailed> {
        Ok(self.publisher.close().await?)
    }

    fn object_of(&self, state: &KeptState) -> Result<Option<String>, HostFailed> {
        let key = self.loader.storage_keys.get(state.member)?.ok_or(HostFailed::StorageKeyLost)?;
        Ok(Vault::snapshot_name(state.member, key, &records(state))?)
    }

    fn open_state(&self, state: &KeptState) -> Result<Vault, HostFailed> {
        let key = self.loader.storage_keys.get(state.member)?.ok_or(HostFailed::StorageKeyLost)?;
        let object = state.object.as_ref().map(|(_, object)| object.as_bytes());
        let (handlers, endpoint) = (self.loader.handlers.clone(), self.loader.endpoint.clone());
        Ok(Vault::load(state.member, key, handlers, endpoint, &records(state), object)?)
    }
}

fn records(state: &KeptState) -> Vec<Vec<u8>> {
    state.records.iter().map(|record| record.as_bytes().to_vec()).collect()
}

/// No wait of a credential is judged here, so the run of the machine does not matter.
fn clocks() -> Clocks {
    Clocks { now: clock::now(), monotonic_ms: 0, boot_id: BootId([0; 16]) }
}

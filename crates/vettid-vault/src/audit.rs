//! The vault's audit: each act appends an entry to the hash chain in its own commit. No audit, no act.

use crate::projection::{Draft, UnreadableState, numbered};
use rand_core::CryptoRng;
use vettid_crypto::audit::{Act, Chain};
use vettid_wire::audit::ExportedEntry;
use vettid_wire::feed::MAX_AUDIT_ENTRIES;
use vettid_wire::id::{Fingerprint, MemberId};
use vettid_wire::json::JsonError;

const CHAIN: &str = "audit_chain";
const PREFIX: &str = "audit/";

/// An entry could not be made; the act must not happen.
#[derive(Debug, thiserror::Error)]
pub enum AuditFailed {
    /// The stored chain or entry cannot be read.
    #[error(transparent)]
    Unreadable(#[from] UnreadableState),
    /// The detail has no canonical form.
    #[error("an audit entry has no canonical form")]
    Form(#[from] JsonError),
}

/// Begins the chain of a new vault.
pub fn begin(draft: &mut Draft<'_>, guid: MemberId, vault: &Fingerprint) -> Result<(), UnreadableState> {
    draft.put(CHAIN.into(), &Chain::new(guid, vault))
}

/// Appends an act; gives the number of its entry.
pub fn append(draft: &mut Draft<'_>, rng: &mut dyn CryptoRng, act: Act) -> Result<u64, AuditFailed> {
    let mut chain = chain(draft)?;
    let exported = chain.append(act, rng)?;
    draft.put(numbered(PREFIX, exported.entry.seq), &exported)?;
    draft.put(CHAIN.into(), &chain)?;
    Ok(exported.entry.seq)
}

/// The chain so far.
pub fn chain(draft: &Draft<'_>) -> Result<Chain, UnreadableState> {
    let missing = || UnreadableState { kind: CHAIN.into(), source: serde::de::Error::custom("missing") };
    draft.get(CHAIN)?.ok_or_else(missing)
}

/// Entries from this number on.
pub fn entries(draft: &Draft<'_>, from: u64, limit: u32) -> Result<Vec<ExportedEntry>, UnreadableState> {
    let until = from.saturating_add(u64::from(limit.min(MAX_AUDIT_ENTRIES)));
    let numbers = from..until.min(chain(draft)?.size());
    numbers.filter_map(|number| draft.get(&numbered(PREFIX, number)).transpose()).collect()
}

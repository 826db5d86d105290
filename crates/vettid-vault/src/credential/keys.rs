//! The keys of the Vault Credential as its owner sees them: the CEK of each version that is accepted, the token that goes with it, and
//! the transaction keys that are left. Names and times alone.

use super::{POOL, issuer, operation};
use crate::projection::UnreadableState;
use crate::step::Step;
use vettid_core::credential::issuer::Issuer;
use vettid_core::credential::issuer::keys::{KeyPool, LiveVersion};
use vettid_crypto::suite::Suite;
use vettid_wire::credential::TransactionKey;
use vettid_wire::inventory::{KeyHolder, KeyKind, KeyPolicy, KeyUse, KeyView};
use vettid_wire::time::Timestamp;

/// The keys that the issuer holds now.
pub(crate) fn keys(step: &Step<'_>) -> Result<Vec<KeyView>, UnreadableState> {
    if let Some(issuer) = issuer(&step.draft)? {
        let newest = issuer.newest_operation().map(|id| operation(&step.draft, id)).transpose()?.flatten();
        let mut keys = versions(&issuer, newest.map(|operation| operation.at));
        keys.extend(issuer.transaction_keys().into_iter().map(transaction));
        return Ok(keys);
    }
    let pool = step.draft.get::<KeyPool>(POOL)?;
    let waiting = pool.map(|pool| pool.transaction_keys()).unwrap_or_default();
    Ok(waiting.into_iter().map(transaction).collect())
}

/// Two keys for each version; when the newest version was made is known by the operation that made it.
fn versions(issuer: &Issuer, newest_made_at: Option<Timestamp>) -> Vec<KeyView> {
    let versions = issuer.live_versions();
    let newest = versions.iter().map(|live| live.version).max();
    let rows = |live: &LiveVersion| {
        let since = newest_made_at.filter(|_| Some(live.version) == newest);
        let cek = KeyView {
            id: format!("{} version {}", live.key_id, live.version),
            role: KeyUse::Credential,
            holder: KeyHolder::Vault,
            kind: KeyKind::Pair,
            suite: Suite::X25519.name().to_owned(),
            connection_id: None,
            since,
            policy: KeyPolicy::EachUse,
            next_rotation: None,
        };
        let token = KeyView {
            id: format!("{} version {}", live.lat_id, live.version),
            role: KeyUse::IssuerToken,
            holder: KeyHolder::Both,
            kind: KeyKind::Symmetric,
            suite: "HMAC-SHA256".to_owned(),
            ..cek.clone()
        };
        [cek, token]
    };
    versions.iter().flat_map(rows).collect()
}

fn transaction(key: TransactionKey) -> KeyView {
    KeyView {
        id: key.key_id.to_string(),
        role: KeyUse::Transaction,
        holder: KeyHolder::Vault,
        kind: KeyKind::Pair,
        suite: key.algorithm,
        connection_id: None,
        since: Some(key.created_at),
        policy: KeyPolicy::Once,
        next_rotation: Some(key.expires_at),
    }
}

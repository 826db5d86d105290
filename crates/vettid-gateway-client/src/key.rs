//! The gateway's own keys. Nothing secret is told.

use crate::{ClientError, GatewayClient};
use serde::Deserialize;
use vettid_wire::inventory::{KeyView, RotateSigning};
use vettid_wire::time::Timestamp;

#[derive(Deserialize)]
struct Keys {
    keys: Vec<KeyView>,
}

#[derive(Deserialize)]
struct Made {
    since: Timestamp,
}

impl GatewayClient {
    /// The keys of the gateway: its own ones, then those of the connections. Scope `admin`, as for changing them.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn keys(&self) -> Result<Vec<KeyView>, ClientError> {
        let listed: Keys = self.get(&["v1", "keys"], &[]).await?;
        Ok(listed.keys)
    }

    /// Makes new keys for signing what lets the gateway, members and holders of invitations in; gives when they were made. They sign as
    /// soon as the broker knows them. If somebody may know the present ones (`cuts_off`), what they signed ends at once, instead of with the
    /// next change.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn rotate_keys(&self, cuts_off: bool) -> Result<Timestamp, ClientError> {
        let made: Made = self.post(&["v1", "keys", "rotate"], &RotateSigning { cuts_off }).await?;
        Ok(made.since)
    }
}

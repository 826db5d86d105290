//! The face for the service's own programs: JSON over HTTP on a loopback address, for programs that show an API key. One
//! file per resource; routes, document and the scopes that are asked for come from the same attributes. Every error has
//! one form; nothing is told to whoever does not show a key.

mod access;
mod api_keys;
mod authorisations;
mod batches;
mod body;
mod call;
mod connections;
mod contract;
mod document;
mod failure;
mod idempotency;
mod invitations;
mod keys;
mod listing;
mod logins;
mod messages;
mod page;
mod probes;
mod requests;
mod router;
mod scope;
mod stored;
mod values;
mod verification;
mod wanted;
mod webhooks;

pub use document::document;
pub use scope::Scope;

use crate::config::Http;
use crate::face;
use crate::gateway::Gateway;
use crate::key_file::{ApiKey, KeyFileError};
use crate::tasks::Tasks;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Why the face is not served.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The API key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The address is taken or not allowed.
    #[error("{address} cannot be listened on")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Listens and serves until the token is cancelled; gives the address with its port.
pub(crate) async fn serve(
    gateway: Gateway,
    http: &Http,
    tasks: &Tasks,
    stop: CancellationToken,
) -> Result<SocketAddr, HttpError> {
    gateway.key_table().set_first(ApiKey::read_or_make(&http.api_key_file)?);
    let failed = |source| HttpError::Listen { address: http.listen, source };
    let listener = TcpListener::bind(http.listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let router = router::router(gateway, http.demo_page, tasks);
    tasks.keep("the http face", async move {
        face::serve("the http face", listener, router, stop).await;
    });
    Ok(address)
}

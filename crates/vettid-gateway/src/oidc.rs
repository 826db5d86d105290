//! Log in with VettID for programs that know nothing of VettID: an OpenID Connect provider (authorization code with PKCE).
//! Members approve in their app; the provider turns the signed answer into an ID token. Must never let a browser be sent
//! to an address that its client did not register, nor answer before what it answers is stored.

mod address;
mod authorize;
mod book;
mod claims;
pub mod client;
mod decoupled;
mod failure;
mod form;
mod handle;
mod key_ring;
mod login;
mod messenger;
mod notice;
mod posted;
mod provider;
mod pushed;
mod redirect;
mod registering;
pub mod settings;
mod shelf;
mod subject;
mod web;

pub use provider::OidcError;
pub(crate) use provider::{Kept, Provider};
pub use registering::{Registered, Registration, register, remove, renew_secret};

use crate::clock;
use crate::face;
use crate::gateway::Gateway;
use crate::tasks::Tasks;
use messenger::Messenger;
use settings::Oidc;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Between two rounds of tidying up.
const ROUND: Duration = Duration::from_secs(30);

/// Listens and serves until the token is cancelled; gives the address with its port.
pub(crate) async fn serve(
    gateway: Gateway,
    oidc: &Oidc,
    kept: Kept,
    tasks: &Tasks,
    stop: CancellationToken,
) -> Result<SocketAddr, OidcError> {
    let failed = |source| OidcError::Listen { address: oidc.listen, source };
    let listener = TcpListener::bind(oidc.listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let provider = Provider::open(gateway, oidc.clone(), kept, tasks.clone(), stop.clone()).await?;
    tasks.keep("tidying up of the openid provider", keep_tidy(provider.clone(), stop.clone()));
    let messenger = Messenger::new(provider.clone()).map_err(OidcError::Tls)?;
    tasks.keep("telling clients of logouts", messenger.run(stop.clone()));
    let router = web::router(provider);
    tasks.keep("the openid provider", async move {
        face::serve("the openid provider", listener, router, stop).await;
    });
    Ok(address)
}

async fn keep_tidy(provider: Provider, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(ROUND) => {}
        }
        if let Err(error) = provider.renew_keys().await {
            tracing::error!(%error, "the signing keys could not be renewed");
        }
        if let Err(error) = provider.end_lost_sessions().await {
            tracing::error!(%error, "sessions of members who left could not be ended");
        }
        let over = provider.waiting().sweep(clock::now());
        login::give_up(&provider, over).await;
        let swept = provider.step(|now, book| {
            book.sweep(now);
            Ok(())
        });
        if let Err(error) = swept.await {
            tracing::error!(%error, "what is over could not be removed");
        }
    }
}

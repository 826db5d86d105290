//! A client that does what it likes: it connects as a user but keeps to no grant.

use async_nats::{Auth, Client, ConnectOptions, Event, ServerError};
use tokio::sync::mpsc::UnboundedSender;
use vettid_core::grants::credential::Credential;
use vettid_nats::connection::Endpoint;

/// Connects; what the server says to it goes to `lines`.
pub(crate) async fn connect(endpoint: &Endpoint, credential: Credential, lines: UnboundedSender<String>) -> Client {
    let inbox = credential.inbox().to_owned();
    let auth = move |nonce: Vec<u8>| {
        let mut auth = Auth::new();
        auth.jwt = Some(credential.jwt().as_str().to_owned());
        auth.signature = credential.sign(&nonce).map(|signature| signature.to_vec());
        async move { Ok(auth) }
    };
    ConnectOptions::with_auth_callback(auth)
        .event_callback(move |event| {
            if let Event::ServerError(ServerError::Other(line)) = event {
                // Whoever does not want to hear it has dropped the other end.
                let _ = lines.send(line);
            }
            async {}
        })
        .require_tls(true)
        .tls_first()
        .tls_client_config(endpoint.tls.config())
        .custom_inbox_prefix(inbox)
        .connect(&endpoint.address)
        .await
        .unwrap()
}

//! Making a new client: an id, a secret that is shown once, and a line in the file of clients.

use super::client::{CibaMode, Client, ClientAuth, ClientError, ClientFile};
use super::handle::Handle;
use crate::random;
use std::path::Path;
use vettid_wire::base64::encode_url;
use zeroize::Zeroizing;

/// What is said about a new client.
#[derive(Debug, Clone, Default)]
pub struct Registration {
    /// Shown to members.
    pub name: String,
    /// Where browsers may be sent back to.
    pub redirect_uris: Vec<String>,
    /// What it may ask for; empty: the usual.
    pub scopes: Vec<String>,
    /// Whether it cannot keep a secret.
    pub public: bool,
    /// Its public keys, in place of a secret.
    pub jwks: Option<String>,
    /// Whether only requests that it pushed before are served.
    pub pushed_only: bool,
    /// Where browsers may be sent after a logout.
    pub post_logout_redirect_uris: Vec<String>,
    /// Where it is told that a session has ended.
    pub backchannel_logout_uri: Option<String>,
    /// Shared by clients that may compare their members.
    pub sector: Option<String>,
    /// Whether it may ask without a browser.
    pub ciba: Option<CibaMode>,
    /// Where it is told that a member decided.
    pub notification_endpoint: Option<String>,
}

/// A new client.
#[derive(Debug)]
pub struct Registered {
    /// Its id.
    pub client_id: String,
    /// Its secret, which nobody can show again.
    pub secret: Option<Zeroizing<String>>,
}

/// Makes a client and writes it into the file.
///
/// # Errors
/// See [`ClientError`].
pub fn register(path: &Path, registration: Registration) -> Result<Registered, ClientError> {
    let mut file = ClientFile::read(path)?;
    let client_id = format!("c_{}", encode_url(&random::bytes::<12>()));
    let auth = match (registration.public, &registration.jwks) {
        (true, _) => ClientAuth::None,
        (false, Some(_)) => ClientAuth::PrivateKeyJwt,
        (false, None) => ClientAuth::Secret,
    };
    let secret = (auth == ClientAuth::Secret).then(|| Handle::new(random::bytes()));
    let client = Client {
        client_id: client_id.clone(),
        name: registration.name,
        auth,
        secret_hash: secret.as_ref().map(|secret| secret.hash().as_str().to_owned()),
        jwks: registration.jwks,
        redirect_uris: registration.redirect_uris,
        scopes: registration.scopes,
        require_nonce: false,
        require_pushed_authorization_requests: registration.pushed_only,
        sector: registration.sector,
        post_logout_redirect_uris: registration.post_logout_redirect_uris,
        backchannel_logout_uri: registration.backchannel_logout_uri,
        ciba: registration.ciba,
        notification_endpoint: registration.notification_endpoint,
    };
    file.add(client, path)?;
    Ok(Registered { client_id, secret: secret.map(|secret| Zeroizing::new(secret.expose().to_owned())) })
}

//! Changes of the file of clients: a new one with an id and a secret that is shown once, a new secret, one client less. A
//! running gateway hears of none of them; it reads the file at its start.

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
    /// Whether a request without `nonce` is refused.
    pub require_nonce: bool,
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
    /// Whether another client may have its name: members see the name alone.
    pub same_name: bool,
}

/// A new client, or one with a new secret.
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
    if let Some(known) = file.client.iter().find(|known| known.name == registration.name && !registration.same_name) {
        return Err(ClientError::SameName { name: known.name.clone(), client_id: known.client_id.clone() });
    }
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
        require_nonce: registration.require_nonce,
        require_pushed_authorization_requests: registration.pushed_only,
        sector: registration.sector,
        post_logout_redirect_uris: registration.post_logout_redirect_uris,
        backchannel_logout_uri: registration.backchannel_logout_uri,
        ciba: registration.ciba,
        notification_endpoint: registration.notification_endpoint,
    };
    if let Some(reason) = client.problem() {
        return Err(ClientError::Unusable { reason });
    }
    file.add(client, path)?;
    Ok(Registered { client_id, secret: secret.map(|secret| told(&secret)) })
}

/// Takes a client out of the file; gives it as it was.
///
/// # Errors
/// See [`ClientError`].
pub fn remove(path: &Path, client_id: &str) -> Result<Client, ClientError> {
    let mut file = ClientFile::read(path)?;
    let place = place_of(&file, client_id)?;
    let client = file.client.remove(place);
    file.write(path)?;
    Ok(client)
}

/// Gives a client a new secret in the place of the one that it has.
///
/// # Errors
/// See [`ClientError`].
pub fn renew_secret(path: &Path, client_id: &str) -> Result<Registered, ClientError> {
    let mut file = ClientFile::read(path)?;
    let place = place_of(&file, client_id)?;
    let secret = Handle::new(random::bytes());
    if let Some(client) = file.client.get_mut(place) {
        let reason = match client.auth {
            ClientAuth::Secret => None,
            ClientAuth::None => Some("it is a public client, bound by PKCE alone"),
            ClientAuth::PrivateKeyJwt => Some("it signs with keys of its own"),
        };
        if let Some(reason) = reason {
            return Err(ClientError::NoSecret { client_id: client_id.to_owned(), reason });
        }
        client.secret_hash = Some(secret.hash().as_str().to_owned());
    }
    file.write(path)?;
    Ok(Registered { client_id: client_id.to_owned(), secret: Some(told(&secret)) })
}

fn place_of(file: &ClientFile, client_id: &str) -> Result<usize, ClientError> {
    let place = file.client.iter().position(|client| client.client_id == client_id);
    place.ok_or_else(|| ClientError::NoSuchClient { client_id: client_id.to_owned() })
}

fn told(secret: &Handle) -> Zeroizing<String> {
    Zeroizing::new(secret.expose().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;
    use tempfile::TempDir;

    fn place() -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clients.toml");
        (folder, path)
    }

    fn shop() -> Registration {
        let redirect_uris = vec!["https://shop.example/cb".to_owned()];
        Registration { name: "Shop".to_owned(), redirect_uris, ..Registration::default() }
    }

    #[test]
    fn a_second_client_of_one_name_has_to_be_wished() {
        let (_folder, path) = place();
        let first = register(&path, shop()).unwrap().client_id;
        let again = register(&path, shop()).unwrap_err();
        assert!(matches!(again, ClientError::SameName { client_id, .. } if client_id == first));
        let wished = Registration { same_name: true, require_nonce: true, ..shop() };
        let second = register(&path, wished).unwrap().client_id;
        let kept = ClientFile::read(&path).unwrap().client;
        let kept: Vec<_> = kept.iter().map(|client| (client.client_id.as_str(), client.require_nonce)).collect();
        assert_eq!(kept, [(first.as_str(), false), (second.as_str(), true)]);
    }

    #[test]
    fn a_new_secret_takes_the_place_of_the_old_one() {
        let (_folder, path) = place();
        let made = register(&path, shop()).unwrap();
        let before = ClientFile::read(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let renewed = renew_secret(&path, &made.client_id).unwrap();
        let (old, new) = (made.secret.unwrap(), renewed.secret.unwrap());
        let mut after = ClientFile::read(&path).unwrap();
        assert!(after.client[0].has_secret(&new) && !after.client[0].has_secret(&old));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        after.client[0].secret_hash.clone_from(&before.client[0].secret_hash);
        assert_eq!(after, before, "nothing else of it changes");
    }

    #[test]
    fn who_has_no_secret_gets_none() {
        let (_folder, path) = place();
        let public = register(&path, Registration { public: true, ..shop() }).unwrap();
        let before = fs::read(&path).unwrap();
        let refused = renew_secret(&path, &public.client_id).unwrap_err();
        assert!(matches!(&refused, ClientError::NoSecret { .. }) && refused.to_string().contains("public client"));
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_client_is_removed_and_the_others_stay() {
        let (_folder, path) = place();
        assert!(matches!(remove(&path, "c_none"), Err(ClientError::NoSuchClient { .. })));
        let first = register(&path, shop()).unwrap().client_id;
        let second = register(&path, Registration { name: "Till".to_owned(), ..shop() }).unwrap().client_id;
        assert_eq!(remove(&path, &first).unwrap().name, "Shop");
        assert_eq!(ClientFile::read(&path).unwrap().client[0].client_id, second);
        assert!(matches!(renew_secret(&path, &first), Err(ClientError::NoSuchClient { .. })));
        remove(&path, &second).unwrap();
        assert!(ClientFile::read(&path).unwrap().client.is_empty());
    }
}

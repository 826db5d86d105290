//! The clients: sites and programs that let people log in here. They stand in a file that `vettid gateway client` writes;
//! secrets of clients are kept as hashes.

use super::handle::HandleHash;
use super::redirect;
use crate::files::{self, FileError};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use url::{Origin, Url};
use vettid_crypto::jose::ClientKeys;

/// The only version of the file.
const VERSION: u32 = 1;
/// The scopes of a client that names none.
const USUAL_SCOPES: [&str; 5] = ["openid", "profile", "email", "address", "phone"];

/// How a client shows who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// Not at all: a program on the user's own machine, or in the browser. PKCE alone binds it.
    None,
    /// By a secret, in the header or in the form (`client_secret_basic`, `client_secret_post`).
    Secret,
    /// By an assertion that it signs (`private_key_jwt`).
    PrivateKeyJwt,
}

/// How a client learns that a member decided (CIBA).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CibaMode {
    /// It asks.
    Poll,
    /// It is told, then asks.
    Ping,
}

/// One client as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// Names it.
    pub client_id: String,
    /// Shown to members.
    pub name: String,
    /// How it shows who it is.
    pub auth: ClientAuth,
    /// SHA-256 of its secret, base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_hash: Option<String>,
    /// Its public keys: a JWK set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<String>,
    /// Where browsers may be sent back to; compared character for character.
    #[serde(default)]
    pub redirect_uris: Vec<String>,
    /// What it may ask for; empty: openid, profile, email, address, phone. `offline_access` allows refresh tokens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Whether a request without `nonce` is refused.
    #[serde(default)]
    pub require_nonce: bool,
    /// Whether only requests that it pushed before are served (RFC 9126).
    #[serde(default)]
    pub require_pushed_authorization_requests: bool,
    /// Clients of one sector know a member by the same subject; needed if the redirect URIs are on several hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sector: Option<String>,
    /// Where browsers may be sent after a logout.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub post_logout_redirect_uris: Vec<String>,
    /// Where it is told that a session has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backchannel_logout_uri: Option<String>,
    /// Whether it may ask members without a browser, and how it learns the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ciba: Option<CibaMode>,
    /// Where it is told that a member decided (ping).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notification_endpoint: Option<String>,
}

/// The file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientFile {
    /// Form of the file: 1.
    pub version: u32,
    /// The clients.
    #[serde(default)]
    pub client: Vec<Client>,
}

/// Why the clients are not used.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not TOML, an unknown key, or a value of another kind.
    #[error("{path} is not a sound file of clients")]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// The file cannot be written.
    #[error("the clients cannot be written")]
    Unwritable(#[source] Box<toml::ser::Error>),
    /// One client of the file cannot be meant.
    #[error("the client {client_id} is not usable: {reason}")]
    Unsound {
        /// Which.
        client_id: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// A new client cannot be meant.
    #[error("the client is not usable: {reason}")]
    Unusable {
        /// What is wrong.
        reason: &'static str,
    },
    /// Members could not tell the new client from one that is there.
    #[error("a client of the name `{name}` is there already: {client_id}")]
    SameName {
        /// The name of both.
        name: String,
        /// The one that is there.
        client_id: String,
    },
    /// No client has this id.
    #[error("there is no client {client_id}")]
    NoSuchClient {
        /// The id.
        client_id: String,
    },
    /// A client that has no secret gets none.
    #[error("the client {client_id} has no secret: {reason}")]
    NoSecret {
        /// Which.
        client_id: String,
        /// How it shows who it is instead.
        reason: &'static str,
    },
}

impl ClientFile {
    /// Reads and checks the file; one that is not there has no clients.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn read(path: &Path) -> Result<Self, ClientError> {
        if !path.exists() {
            return Ok(Self { version: VERSION, client: Vec::new() });
        }
        let text = files::read_text(path)?;
        let file: Self = toml::from_str(&text)
            .map_err(|source| ClientError::Form { path: path.to_owned(), source: Box::new(source) })?;
        file.check()?;
        Ok(file)
    }

    /// Adds a client and writes the file anew, mode 0600.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn add(&mut self, client: Client, path: &Path) -> Result<(), ClientError> {
        self.client.push(client);
        self.write(path)
    }

    /// Checks the clients and writes the file anew as a whole, mode 0600.
    pub(super) fn write(&self, path: &Path) -> Result<(), ClientError> {
        self.check()?;
        let text = toml::to_string(self).map_err(|error| ClientError::Unwritable(Box::new(error)))?;
        let fresh = path.with_extension("new");
        if fresh.exists() {
            std::fs::remove_file(&fresh).map_err(files::at(&fresh))?;
        }
        files::create_secret(&fresh, text.as_bytes())?;
        files::replace(&fresh, path).map_err(files::at(path))?;
        Ok(())
    }

    fn check(&self) -> Result<(), ClientError> {
        let mut seen = BTreeSet::new();
        for client in &self.client {
            let reason = if self.version != VERSION {
                Some("this program reads version 1 of the file")
            } else if !seen.insert(&client.client_id) {
                Some("another client has the same id")
            } else {
                client.problem()
            };
            if let Some(reason) = reason {
                return Err(ClientError::Unsound { client_id: client.client_id.clone(), reason });
            }
        }
        Ok(())
    }
}

impl Client {
    /// What is wrong with it, if anything.
    pub(super) fn problem(&self) -> Option<&'static str> {
        let id = &self.client_id;
        if !(1..=64).contains(&id.len())
            || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        {
            return Some("client_id has 1 to 64 letters, digits, - and _");
        }
        if !(1..=64).contains(&self.name.chars().count()) || self.name.chars().any(char::is_control) {
            return Some("name has 1 to 64 characters, on one line");
        }
        let addresses = self.redirect_uris.iter().chain(&self.post_logout_redirect_uris);
        if !addresses.clone().all(|address| redirect::may_be_registered(address)) {
            return Some("a redirect URI is https, or http on the own machine, without fragment, user, .. or *");
        }
        if self.redirect_uris.is_empty() && self.ciba.is_none() {
            return Some("a redirect URI is needed");
        }
        let posts = [&self.backchannel_logout_uri, &self.notification_endpoint];
        if !posts
            .into_iter()
            .flatten()
            .all(|address| redirect::may_be_registered(address) && address.starts_with("http"))
        {
            return Some("backchannel_logout_uri and notification_endpoint are https addresses");
        }
        self.problem_of_kind()
    }

    fn problem_of_kind(&self) -> Option<&'static str> {
        let (secret, keys) = (self.secret_hash.is_some(), self.jwks.is_some());
        let fits = match self.auth {
            ClientAuth::None => !secret && !keys,
            ClientAuth::Secret => secret && !keys,
            ClientAuth::PrivateKeyJwt => !secret && keys,
        };
        if !fits {
            return Some("auth = secret needs secret_hash, private_key_jwt needs jwks, none needs neither");
        }
        if self.jwks.as_ref().is_some_and(|keys| ClientKeys::read(keys).is_err()) {
            return Some("jwks is a set of public keys: RSA, P-256 or Ed25519");
        }
        if self.ciba.is_some() && self.auth == ClientAuth::None {
            return Some("ciba needs a client that shows who it is");
        }
        if (self.ciba == Some(CibaMode::Ping)) != self.notification_endpoint.is_some() {
            return Some("ciba = ping needs notification_endpoint, and nothing else has one");
        }
        if self.sector().is_none() {
            return Some("redirect URIs on several hosts, or none, need a sector");
        }
        None
    }

    /// What subjects of this client are made for: its sector, or the one host of its addresses.
    #[must_use]
    pub fn sector(&self) -> Option<String> {
        if let Some(sector) = &self.sector {
            return (!sector.is_empty()).then(|| sector.clone());
        }
        let place = |address: &String| {
            let url = Url::parse(address).ok()?;
            Some(url.host_str().unwrap_or(url.scheme()).to_owned())
        };
        let mut places = self.redirect_uris.iter().map(place);
        let first = places.next()??;
        places.all(|place| place.as_ref() == Some(&first)).then_some(first)
    }

    /// Whether it may ask for this.
    #[must_use]
    pub fn may_ask(&self, scope: &str) -> bool {
        if self.scopes.is_empty() {
            USUAL_SCOPES.contains(&scope)
        } else {
            self.scopes.iter().any(|known| known == scope)
        }
    }

    /// Whether it is a program of the user, without a secret.
    pub(super) fn is_public(&self) -> bool {
        self.auth == ClientAuth::None
    }

    /// Whether its scripts run at this origin: only those of a public client, where a browser comes back to it.
    pub(super) fn has_scripts_at(&self, origin: &str) -> bool {
        let origin_of = |address: &String| Some(Url::parse(address).ok()?.origin()).filter(Origin::is_tuple);
        let mut own = self.redirect_uris.iter().filter_map(origin_of);
        self.is_public() && own.any(|own| own.ascii_serialization() == origin)
    }

    /// Whether this is its secret.
    pub(super) fn has_secret(&self, shown: &str) -> bool {
        self.secret_hash.as_deref() == Some(HandleHash::of(shown).as_str())
    }
}

/// The clients, by id.
#[derive(Debug, Default)]
pub(super) struct Registry(BTreeMap<String, Client>);

impl Registry {
    /// Reads the file.
    pub(super) fn read(path: &Path) -> Result<Self, ClientError> {
        let file = ClientFile::read(path)?;
        Ok(Self(file.client.into_iter().map(|client| (client.client_id.clone(), client)).collect()))
    }

    /// Every client.
    pub(super) fn all(&self) -> impl Iterator<Item = &Client> {
        self.0.values()
    }

    /// One client.
    pub(super) fn get(&self, client_id: &str) -> Option<&Client> {
        self.0.get(client_id)
    }
}

/// A client for tests of what surrounds it.
#[cfg(test)]
pub(super) fn sample(client_id: &str, auth: ClientAuth) -> Client {
    Client {
        client_id: client_id.to_owned(),
        name: "Sample".to_owned(),
        auth,
        secret_hash: (auth == ClientAuth::Secret).then(|| HandleHash::of("secret").as_str().to_owned()),
        jwks: None,
        redirect_uris: vec!["https://shop.example/cb".to_owned()],
        scopes: Vec::new(),
        require_nonce: false,
        require_pushed_authorization_requests: false,
        sector: None,
        post_logout_redirect_uris: Vec::new(),
        backchannel_logout_uri: None,
        ciba: None,
        notification_endpoint: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_added_once_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clients.toml");
        let mut file = ClientFile::read(&path).unwrap();
        file.add(sample("a", ClientAuth::Secret), &path).unwrap();
        file.add(sample("b", ClientAuth::None), &path).unwrap();
        assert_eq!(ClientFile::read(&path).unwrap(), file);
        assert!(file.add(sample("a", ClientAuth::None), &path).is_err());
        assert_eq!(Registry::read(&path).unwrap().0.len(), 2, "what is refused is not written");
    }

    #[test]
    fn unsound_clients_are_refused() {
        let right = sample("a", ClientAuth::Secret);
        assert_eq!(right.problem(), None);
        let changes: [fn(&mut Client); 10] = [
            |client| client.client_id = "a b".to_owned(),
            |client| client.name = "a\nb".to_owned(),
            |client| client.redirect_uris = vec!["https://shop.example/cb#x".to_owned()],
            |client| client.redirect_uris.clear(),
            |client| client.secret_hash = None,
            |client| client.auth = ClientAuth::None,
            |client| client.jwks = Some("{}".to_owned()),
            |client| client.ciba = Some(CibaMode::Ping),
            |client| client.backchannel_logout_uri = Some("http://shop.example/x".to_owned()),
            |client| client.redirect_uris.push("https://other.example/cb".to_owned()),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut wrong = right.clone();
            change(&mut wrong);
            assert!(wrong.problem().is_some(), "{number}");
        }
    }

    #[test]
    fn scripts_of_public_clients_run_where_browsers_come_back() {
        let mut client = sample("a", ClientAuth::None);
        client.redirect_uris = ["https://app.example:8443/cb", "http://localhost:5173/cb", "com.example.app:/cb"]
            .map(str::to_owned)
            .to_vec();
        assert!(client.has_scripts_at("https://app.example:8443") && client.has_scripts_at("http://localhost:5173"));
        for other in [
            "https://app.example",
            "http://app.example:8443",
            "http://localhost",
            "null",
            "",
            "https://app.example:8443/",
            "https://APP.example:8443",
        ] {
            assert!(!client.has_scripts_at(other), "{other}");
        }
        assert!(
            !sample("b", ClientAuth::Secret).has_scripts_at("https://shop.example"),
            "it keeps a secret, so it has no scripts"
        );
    }

    #[test]
    fn the_sector_is_the_one_host() {
        let mut client = sample("a", ClientAuth::Secret);
        assert_eq!(client.sector().unwrap(), "shop.example");
        client.redirect_uris.push("https://other.example/cb".to_owned());
        client.sector = Some("group".to_owned());
        assert_eq!((client.sector().unwrap(), client.problem()), ("group".to_owned(), None));
    }

    #[test]
    fn refresh_tokens_are_for_those_who_registered_for_them() {
        let mut client = sample("a", ClientAuth::Secret);
        assert!(client.may_ask("email") && !client.may_ask("offline_access"));
        client.scopes = vec!["openid".to_owned(), "offline_access".to_owned()];
        assert!(!client.may_ask("email") && client.may_ask("offline_access"));
    }
}

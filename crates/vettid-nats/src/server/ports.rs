//! Where the server listens: chosen once by the system, then remembered, so that clients find it again.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::ServerError;
use super::store::{read, write};

/// The ports on the loopback address. `-1` in a configuration stands for "any".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ports {
    /// NATS with TLS.
    pub client: u16,
    /// WebSocket with TLS; 0 if there is none.
    pub websocket: u16,
    /// Health, over plain HTTP.
    pub monitoring: u16,
}

const FILE: &str = "ports.json";

impl Ports {
    /// The ports of the last time; a port that is taken by now, or never was chosen, is 0.
    pub(super) fn remembered(folder: &Path) -> Result<Self, ServerError> {
        let Some(text) = read(&folder.join(FILE))? else {
            return Ok(Self::default());
        };
        let last: Self = serde_json::from_str(&text)
            .map_err(|error| ServerError::File { path: folder.join(FILE), source: error.into() })?;
        Ok(Self {
            client: still_free(last.client, "client"),
            websocket: still_free(last.websocket, "websocket"),
            monitoring: still_free(last.monitoring, "monitoring"),
        })
    }

    pub(super) fn remember(self, folder: &Path) -> Result<(), ServerError> {
        let text = serde_json::to_string(&self)
            .map_err(|error| ServerError::File { path: folder.join(FILE), source: error.into() })?;
        write(&folder.join(FILE), text.as_bytes())
    }

    /// What the server wrote into its ports file.
    pub(super) fn announced(text: &str) -> Option<Self> {
        let announced: Announced = serde_json::from_str(text).ok()?;
        Some(Self {
            client: port_of(&announced.nats)?,
            websocket: announced.websocket.as_deref().map_or(Some(0), port_of)?,
            monitoring: port_of(&announced.monitoring)?,
        })
    }
}

#[derive(Deserialize)]
struct Announced {
    nats: Vec<String>,
    monitoring: Vec<String>,
    websocket: Option<Vec<String>>,
}

fn port_of(addresses: &[String]) -> Option<u16> {
    addresses.first()?.rsplit_once(':')?.1.parse().ok()
}

fn still_free(port: u16, what: &'static str) -> u16 {
    if port == 0 || TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
        return port;
    }
    tracing::warn!(port, what, "port of the broker is taken; another one is chosen");
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_chosen_anew() {
        let folder = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let ports = Ports { client: taken.local_addr().unwrap().port(), websocket: 0, monitoring: free };
        ports.remember(folder.path()).unwrap();
        let again = Ports::remembered(folder.path()).unwrap();
        assert_eq!(again, Ports { client: 0, websocket: 0, monitoring: free });
    }

    #[test]
    fn the_ports_file_of_the_server_is_read() {
        let text = r#"{"nats":["tls://127.0.0.1:41"],"monitoring":["http://127.0.0.1:43"],"websocket":["wss://127.0.0.1:42"]}"#;
        assert_eq!(Ports::announced(text), Some(Ports { client: 41, websocket: 42, monitoring: 43 }));
        let text = r#"{"nats":["tls://127.0.0.1:41"],"monitoring":["http://127.0.0.1:43"]}"#;
        assert_eq!(Ports::announced(text), Some(Ports { client: 41, websocket: 0, monitoring: 43 }));
        for half in ["", "{", r#"{"nats":[]}"#, r#"{"nats":[],"monitoring":[]}"#] {
            assert_eq!(Ports::announced(half), None, "{half}");
        }
    }
}

//! Where the parts listen: the same places at each start, and what had to be chosen anew because it was taken.

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

/// The ports on loopback; 0 stands for one that was never chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ports {
    pub(super) broker: u16,
    pub(super) web_socket: u16,
    pub(super) services: u16,
    /// Those of the examples' gateways, by the example's name.
    pub(super) gateways: BTreeMap<String, u16>,
}

impl Ports {
    /// Those of the last start.
    pub(super) fn of_last_start(folder: &Path) -> Result<Self> {
        let path = file(folder);
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("cannot read {}", path.display())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Remembers them for the next start.
    pub(super) fn keep(&self, folder: &Path) -> Result<()> {
        let path = file(folder);
        let text = format!("{}\n", serde_json::to_string(self)?);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// That of an example, or 0 if there was none or somebody else took it meanwhile. Services and broker see to theirs themselves.
    pub(super) fn free_for(&self, example: &str) -> u16 {
        let port = self.gateways.get(example).copied().unwrap_or(0);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() { port } else { 0 }
    }

    /// A line for each port that is another one than at the last start.
    pub(super) fn moved_since(&self, last: &Self) -> Vec<String> {
        let fixed = [
            ("broker".to_owned(), last.broker, self.broker),
            ("web socket".to_owned(), last.web_socket, self.web_socket),
            ("services".to_owned(), last.services, self.services),
        ];
        let gateways = self.gateways.iter().map(|(name, port)| {
            let before = last.gateways.get(name).copied().unwrap_or(0);
            (format!("demo {name}"), before, *port)
        });
        let pairs = fixed.into_iter().chain(gateways);
        let moved = pairs.filter(|(_, old, new)| *old != 0 && old != new);
        moved
            .map(|(name, old, new)| format!("{name}: port {old} of the last start is taken; now it is {new}"))
            .collect()
    }
}

/// The port at the end of an address.
pub(super) fn port_of(address: &str) -> u16 {
    address.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(0)
}

fn file(folder: &Path) -> PathBuf {
    folder.join("ports.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_kept_and_a_change_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let shop = |port| BTreeMap::from([("shop".to_owned(), port)]);
        let first = Ports { broker: 1, web_socket: 2, services: 3, gateways: shop(4) };
        assert_eq!(first.moved_since(&Ports::of_last_start(folder.path()).unwrap()), Vec::<String>::new());
        first.keep(folder.path()).unwrap();
        let gateways = shop(port_of("127.0.0.1:6"));
        let second = Ports { broker: port_of("tls://127.0.0.1:5"), gateways, ..first };
        let moved = second.moved_since(&Ports::of_last_start(folder.path()).unwrap());
        assert_eq!(
            moved,
            [
                "broker: port 1 of the last start is taken; now it is 5",
                "demo shop: port 4 of the last start is taken; now it is 6"
            ]
        );
        std::fs::write(file(folder.path()), "{}").unwrap();
        assert!(Ports::of_last_start(folder.path()).is_err());
    }

    #[test]
    fn a_taken_port_of_an_example_is_given_up() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let ports = Ports { gateways: BTreeMap::from([("bank".to_owned(), port)]), ..Ports::default() };
        assert_eq!((ports.free_for("bank"), ports.free_for("clinic")), (0, 0));
        drop(taken);
        assert_eq!(ports.free_for("bank"), port);
    }
}

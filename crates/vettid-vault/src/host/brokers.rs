//! The brokers that the vaults of a host go to: its own, under each address that it ever had, and those that the operator
//! named. Must never lead to an address that only a peer names (docs/decisions/0091).

use super::storage_key::{StorageKeyError, StorageKeys};
use getrandom::SysRng;
use rand_core::UnwrapErr;
use std::sync::Arc;
use vettid_nats::connection::Endpoint;
use vettid_wire::handshake::SpaceUri;
use vettid_wire::json;

/// Under this name the former addresses are kept.
const KEPT: &str = "broker-addresses";
/// Most former addresses that are remembered; the oldest are forgotten first.
const MOST_FORMER: usize = 64;

/// Where peers may live, and how they are reached.
#[derive(Debug, Clone)]
pub struct Brokers {
    own: Endpoint,
    former: Vec<String>,
    named: Arc<Vec<String>>,
}

impl Brokers {
    /// The own broker at its present address, and further ones that the operator named. The present address is kept with
    /// the former ones before anybody learns it.
    ///
    /// # Errors
    /// If the kept addresses cannot be read or written.
    pub fn open(keys: &StorageKeys, own: Endpoint, named: Arc<Vec<String>>) -> Result<Self, StorageKeyError> {
        let mut former: Vec<String> = match keys.kept(KEPT)? {
            Some(bytes) => json::read(&bytes).map_err(|_| StorageKeyError::Kept(KEPT))?,
            None => Vec::new(),
        };
        if former.last() != Some(&own.address) {
            former.retain(|address| *address != own.address);
            former.push(own.address.clone());
            former.drain(..former.len().saturating_sub(MOST_FORMER));
            let bytes = serde_json::Value::from(former.clone()).to_string();
            keys.keep(KEPT, bytes.as_bytes(), &mut UnwrapErr(SysRng))?;
        }
        Ok(Self { own, former, named })
    }

    /// How the broker of a space is reached; `None` if this host does not go there.
    #[must_use]
    pub fn endpoint(&self, space: &SpaceUri) -> Option<Endpoint> {
        let address = space.endpoint();
        if self.named.iter().any(|named| named == address) && address != self.own.address {
            return Some(Endpoint { address: address.to_owned(), tls: self.own.tls.clone() });
        }
        self.former.iter().any(|former| former == address).then(|| self.own.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::clock;
    use crate::host::sealer::key_file::KeyFile;
    use std::path::Path;
    use vettid_nats::tls::{CertificateAuthority, ClientTls};
    use vettid_wire::id::MemberId;

    fn keys(folder: &Path) -> StorageKeys {
        let sealer = KeyFile::open_or_create(&folder.join("host.key"), &mut UnwrapErr(SysRng)).unwrap();
        StorageKeys::new(folder.join("vaults"), Box::new(sealer)).unwrap()
    }

    fn brokers(folder: &Path, own: &str, named: &[&str]) -> Brokers {
        let authority = CertificateAuthority::generate(clock::now()).unwrap();
        let tls = ClientTls::trusting(authority.certificate_pem()).unwrap();
        let own = Endpoint { address: own.into(), tls };
        let named = named.iter().map(|&address| address.to_owned()).collect();
        Brokers::open(&keys(folder), own, Arc::new(named)).unwrap()
    }

    fn goes_to(brokers: &Brokers, address: &str) -> Option<String> {
        let space = SpaceUri::new(address, MemberId::from_bytes([1; 16])).unwrap();
        brokers.endpoint(&space).map(|endpoint| endpoint.address)
    }

    #[test]
    fn every_address_that_the_own_broker_had_leads_to_where_it_is_now() {
        let folder = tempfile::tempdir().unwrap();
        for own in ["tls://127.0.0.1:1", "tls://127.0.0.1:2", "tls://127.0.0.1:1", "tls://127.0.0.1:3"] {
            brokers(folder.path(), own, &[]);
        }
        let moved = brokers(folder.path(), "tls://127.0.0.1:2", &[]);
        for address in ["tls://127.0.0.1:1", "tls://127.0.0.1:2", "tls://127.0.0.1:3"] {
            assert_eq!(goes_to(&moved, address).as_deref(), Some("tls://127.0.0.1:2"), "{address}");
        }
        let kept = std::fs::read(folder.path().join("vaults/broker-addresses.kept")).unwrap();
        assert!(!kept.windows(9).any(|window| window == b"127.0.0.1"));
    }

    #[test]
    fn no_address_of_a_peer_is_gone_to() {
        let folder = tempfile::tempdir().unwrap();
        brokers(folder.path(), "tls://127.0.0.1:1", &[]);
        let moved = brokers(folder.path(), "tls://127.0.0.1:2", &["tls://ms.example:4222"]);
        assert_eq!(goes_to(&moved, "tls://ms.example:4222").as_deref(), Some("tls://ms.example:4222"));
        for address in ["tls://127.0.0.1:4", "tls://127.0.0.1", "nats://127.0.0.1:1", "tls://ms.example:4223"] {
            assert_eq!(goes_to(&moved, address), None, "{address}");
        }
    }

    #[test]
    fn what_the_operator_names_is_another_broker_although_the_own_one_was_there_once() {
        let folder = tempfile::tempdir().unwrap();
        brokers(folder.path(), "tls://127.0.0.1:1", &[]);
        let moved = brokers(folder.path(), "tls://127.0.0.1:2", &["tls://127.0.0.1:1"]);
        assert_eq!(goes_to(&moved, "tls://127.0.0.1:1").as_deref(), Some("tls://127.0.0.1:1"));
    }

    #[test]
    fn the_oldest_addresses_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        for port in 1..=MOST_FORMER {
            brokers(folder.path(), &format!("tls://127.0.0.1:{port}"), &[]);
        }
        let moved = brokers(folder.path(), "tls://127.0.0.1:999", &[]);
        assert_eq!(goes_to(&moved, "tls://127.0.0.1:1"), None);
        assert_eq!(goes_to(&moved, "tls://127.0.0.1:2").as_deref(), Some("tls://127.0.0.1:999"));
    }
}

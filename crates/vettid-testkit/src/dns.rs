//! A real small DNS server for one zone on this machine, whose text records a test changes while it runs.

use anyhow::{Context as _, Result, ensure};
use hickory_server::Server;
use hickory_server::proto::rr::rdata::{SOA, TXT};
use hickory_server::proto::rr::{Name, RData, Record, RecordType, RrKey};
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneHandler, ZoneType};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UdpSocket};

const TTL_SECONDS: u32 = 300;
const LOOPBACK: &str = "127.0.0.1:0";

/// Tries for a port that is free for both protocols.
const TRIES: usize = 8;

/// A running server.
pub struct DnsServer {
    zone: Arc<InMemoryZoneHandler>,
    server: Server<Catalog>,
    address: SocketAddr,
}

impl std::fmt::Debug for DnsServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DnsServer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl DnsServer {
    /// A server with authority over this zone, such as `example.org`, by UDP and TCP.
    ///
    /// # Errors
    /// If it cannot listen, or the name is none.
    pub async fn start(zone: &str) -> Result<Self> {
        let origin = Name::from_ascii(format!("{zone}."))?;
        let handler = InMemoryZoneHandler::empty(origin.clone(), ZoneType::Primary, AxfrPolicy::Deny);
        let soa = SOA::new(origin.clone(), origin.clone(), 1, 3600, 600, 86_400, TTL_SECONDS);
        let soa = Record::from_rdata(origin.clone(), TTL_SECONDS, RData::SOA(soa));
        ensure!(handler.upsert(soa, 1).await, "the zone cannot be made");
        let handler = Arc::new(handler);
        let mut catalog = Catalog::new();
        catalog.upsert(origin.into(), vec![handler.clone() as Arc<dyn ZoneHandler>]);
        let (listener, socket, address) = sockets().await?;
        let mut server = Server::new(catalog);
        server.register_socket(socket);
        server.register_listener(listener, Duration::from_secs(5), 4096);
        Ok(Self { zone: handler, server, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The name has these text records from now on, each of one text, and no others.
    ///
    /// # Errors
    /// If the name is none, or not in the zone.
    pub async fn set(&self, name: &str, texts: &[&str]) -> Result<()> {
        let name = Name::from_ascii(format!("{name}."))?;
        self.zone.records_mut().await.remove(&RrKey::new(name.clone().into(), RecordType::TXT));
        for text in texts {
            let data = RData::TXT(TXT::new(vec![(*text).to_owned()]));
            let record = Record::from_rdata(name.clone(), TTL_SECONDS, data);
            ensure!(self.zone.upsert(record, 1).await, "{name} is not in the zone");
        }
        Ok(())
    }

    /// Ends the server: whoever asks gets no answer any more.
    ///
    /// # Errors
    /// If it did not end in order.
    pub async fn stop(mut self) -> Result<()> {
        Ok(self.server.shutdown_gracefully().await?)
    }
}

/// A port that is free for TCP may be taken for UDP by whoever asks another server at the moment; then another one is taken.
async fn sockets() -> Result<(TcpListener, UdpSocket, SocketAddr)> {
    let mut taken = None;
    for _ in 0..TRIES {
        let listener = TcpListener::bind(LOOPBACK).await?;
        let address = listener.local_addr()?;
        match UdpSocket::bind(address).await {
            Ok(socket) => return Ok((listener, socket, address)),
            Err(error) => taken = Some(error),
        }
    }
    Err(taken.context("nothing was tried")?).context("no port is free for tcp and udp")
}

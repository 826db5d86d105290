//! Looking up text records, behind a port: one implementation asks each of several DNS servers by itself, so that no single one can say what
//! is not so. Must never take a failure for an answer.

use futures_util::future::join_all;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::RData;
use hickory_resolver::{TokioResolver, system_conf};
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;
use vettid_wire::directory::Finding;

/// How long one server may take for one try.
const TIME_LIMIT: Duration = Duration::from_secs(3);
/// Tries for each server.
const TRIES: usize = 2;
/// Most texts that one answer is read for.
const MAX_TEXTS: usize = 64;

/// Where records are looked up.
pub trait Resolver: Send + Sync {
    /// Whether there is a text record of this name with exactly this text.
    fn find<'a>(&'a self, name: &'a str, text: &'a str) -> Pin<Box<dyn Future<Output = Finding> + Send + 'a>>;
}

/// Why there is no resolver.
#[derive(Debug, thiserror::Error)]
pub enum ResolverError {
    /// The system does not say which servers it uses, and none are configured.
    #[error("the system names no dns servers: configure `dns_servers`")]
    System(#[source] NetError),
    /// The library gives none.
    #[error("a resolver cannot be made")]
    Make(#[source] NetError),
}

/// Real DNS servers, each asked by itself; most of them must say the same.
#[derive(Debug)]
pub struct DnsServers(Vec<TokioResolver>);

impl DnsServers {
    /// No server: nothing is ever found out.
    #[must_use]
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// These servers; if there are none, those of the system, which count as one.
    ///
    /// # Errors
    /// [`ResolverError`].
    pub fn new(servers: &[SocketAddr]) -> Result<Self, ResolverError> {
        if servers.is_empty() {
            let (config, _) = system_conf::read_system_conf().map_err(ResolverError::System)?;
            return Ok(Self(vec![resolver(ResolverConfig::from_parts(None, vec![], config.name_servers))?]));
        }
        servers.iter().map(|server| resolver(only(*server))).collect::<Result<_, _>>().map(Self)
    }
}

/// One server alone, by UDP, and TCP where an answer is long.
fn only(server: SocketAddr) -> ResolverConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = server.port();
    }
    let server = NameServerConfig::new(server.ip(), true, connections);
    ResolverConfig::from_parts(None, vec![], vec![server])
}

fn resolver(config: ResolverConfig) -> Result<TokioResolver, ResolverError> {
    let mut options = ResolverOpts::default();
    options.timeout = TIME_LIMIT;
    options.attempts = TRIES;
    // A record that was there yesterday says nothing about today.
    options.cache_size = 0;
    let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    builder.with_options(options).build().map_err(ResolverError::Make)
}

impl Resolver for DnsServers {
    fn find<'a>(&'a self, name: &'a str, text: &'a str) -> Pin<Box<dyn Future<Output = Finding> + Send + 'a>> {
        Box::pin(async move { agreed(&join_all(self.0.iter().map(|server| ask(server, name, text))).await) })
    }
}

/// What more than half of the servers say; those that failed said nothing.
fn agreed(findings: &[Finding]) -> Finding {
    let most = |wanted: Finding| findings.iter().filter(|found| **found == wanted).count() * 2 > findings.len();
    [Finding::Confirmed, Finding::Absent].into_iter().find(|wanted| most(*wanted)).unwrap_or(Finding::Unknown)
}

async fn ask(server: &TokioResolver, name: &str, text: &str) -> Finding {
    // With the dot no search list of the system is tried.
    match server.txt_lookup(format!("{name}.")).await {
        Ok(lookup) => {
            let texts = lookup.answers().iter().take(MAX_TEXTS).filter_map(|record| match &record.data {
                RData::TXT(txt) => Some(txt.txt_data.concat()),
                _ => None,
            });
            let found = texts.into_iter().any(|found| found == text.as_bytes());
            if found { Finding::Confirmed } else { Finding::Absent }
        }
        Err(NetError::Dns(DnsError::NoRecordsFound(_))) => Finding::Absent,
        Err(error) => {
            tracing::warn!(%error, "a dns server did not answer");
            Finding::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Finding::{Absent, Confirmed, Unknown};

    #[test]
    fn more_than_half_of_the_servers_must_say_the_same() {
        for (said, outcome) in [
            (vec![Confirmed], Confirmed),
            (vec![Absent], Absent),
            (vec![Unknown], Unknown),
            (vec![], Unknown),
            (vec![Confirmed, Absent], Unknown),
            (vec![Confirmed, Unknown], Unknown),
            (vec![Confirmed, Confirmed, Absent], Confirmed),
            (vec![Confirmed, Absent, Absent], Absent),
            (vec![Confirmed, Absent, Unknown], Unknown),
        ] {
            assert_eq!(agreed(&said), outcome, "{said:?}");
        }
    }
}

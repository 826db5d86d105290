//! Services as a member, an app and a host meet them: the real broker, the real API, and a host that answers commands.

#![expect(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod action;
pub(crate) mod host;
pub(crate) mod letter;
pub(crate) mod member;

use host::TestHost;
use member::{App, Member};
use reqwest::{Client, Method};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;
use vettid_nats::connection::Endpoint;
use vettid_nats::tls::ClientTls;
use vettid_services::config::{Config, Dns, Limits};
use vettid_services::services::Services;
use vettid_wire::contract::Rate;
use vettid_wire::enrolment::{HostJoined, JoinHost};

/// Much more than any test asks for.
const PLENTY: Rate = Rate { count: 10_000, per_seconds: 60 };

/// Running services in a folder of their own.
pub(crate) struct World {
    pub(crate) services: Services,
    pub(crate) client: Client,
    pub(crate) folder: TempDir,
    limits: Limits,
    dns: Dns,
}

/// An answer of the API.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) headers: reqwest::header::HeaderMap,
}

impl Answer {
    /// The body of a success.
    pub(crate) fn ok<T: DeserializeOwned>(self) -> T {
        assert_eq!(self.status, 200, "{:?}", self.body);
        serde_json::from_value(self.body).unwrap()
    }

    /// The status and the code of a refusal.
    pub(crate) fn refusal(&self) -> (u16, &str) {
        (self.status, self.body["error"]["code"].as_str().unwrap_or_default())
    }
}

/// Reads an answer.
pub(crate) async fn answer(response: reqwest::Response) -> Answer {
    assert_eq!(response.headers()["cache-control"], "no-store");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = response.bytes().await.unwrap();
    Answer { status, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null), headers }
}

impl World {
    /// Services that nobody has used yet.
    pub(crate) async fn start() -> Self {
        Self::with_limits(Limits { open: PLENTY, enrolments: PLENTY, directory: PLENTY }).await
    }

    /// The same with limits.
    pub(crate) async fn with_limits(limits: Limits) -> Self {
        Self::with_dns(limits, Dns::default()).await
    }

    /// The same with DNS servers of its own.
    pub(crate) async fn with_dns(limits: Limits, dns: Dns) -> Self {
        let folder = TempDir::new().unwrap();
        let services = Services::start(with(config(&folder, limits), &dns)).await.unwrap();
        let client = client(services.authority_pem());
        Self { services, client, folder, limits, dns }
    }

    /// Stops services and starts them on the same folder.
    pub(crate) async fn restart(self) -> Self {
        self.restart_after(|| {}).await
    }

    /// The same, with something done to the folder in between.
    pub(crate) async fn restart_after(self, between: impl FnOnce()) -> Self {
        let Self { services, client, folder, limits, dns } = self;
        services.stop().await.unwrap();
        between();
        let services = Services::start(with(config(&folder, limits), &dns)).await.unwrap();
        Self { services, client, folder, limits, dns }
    }

    /// The configuration of this folder.
    pub(crate) fn config(&self) -> Config {
        with(config(&self.folder, self.limits), &self.dns)
    }

    pub(crate) async fn call(&self, method: Method, path: &str, token: Option<&str>, body: Option<Vec<u8>>) -> Answer {
        let mut request = self.client.request(method, format!("{}{path}", self.services.url()));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        answer(request.send().await.unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, token: Option<&str>, body: &impl Serialize) -> Answer {
        self.call(Method::POST, path, token, Some(serde_json::to_vec(body).unwrap())).await
    }

    pub(crate) async fn get(&self, path: &str, token: Option<&str>) -> Answer {
        self.call(Method::GET, path, token, None).await
    }

    /// A fresh member.
    pub(crate) async fn member(&self, name: &str) -> Member {
        Member::open(self, name).await
    }

    /// A member with an enrolled app, on a host of its own.
    pub(crate) async fn enrolled(&self, name: &str) -> (TestHost, Member, App) {
        let host = self.host(&format!("host-of-{name}")).await;
        let member = self.member(name).await;
        let app = member.app(self).await;
        let (token, _) = app.connected(self).await;
        assert_eq!(app.finalize(self, &token).await.status, 200);
        (host, member, app)
    }

    /// A host that has joined and answers commands.
    pub(crate) async fn host(&self, name: &str) -> TestHost {
        TestHost::join(self, name).await
    }

    pub(crate) async fn join(&self, request: &JoinHost) -> Answer {
        self.post("/v1/hosts", Some(&self.services.host_token()), request).await
    }

    /// The broker, for whoever has a credential.
    pub(crate) fn endpoint(&self) -> Endpoint {
        let tls = ClientTls::trusting(self.services.authority_pem()).unwrap();
        Endpoint { address: self.services.nats_endpoint(), tls }
    }

    pub(crate) fn endpoint_of(&self, joined: &HostJoined) -> Endpoint {
        assert_eq!(joined.nats_endpoint, self.services.nats_endpoint());
        self.endpoint()
    }
}

/// The configuration of a folder.
pub(crate) fn config(folder: &TempDir, limits: Limits) -> Config {
    Config {
        data_dir: folder.path().join("data"),
        key_file: folder.path().join("services.key"),
        nats_server: nats_server(),
        listen: "127.0.0.1:0".parse().unwrap(),
        public_url: None,
        certificate_names: vec!["vettid.test".to_owned()],
        websocket_origins: Vec::new(),
        broker_disk_bytes: 1 << 30,
        limits,
        dns: Dns::default(),
    }
}

/// With DNS servers, and room for several services.
fn with(config: Config, dns: &Dns) -> Config {
    let broker_disk_bytes = if dns.servers.is_empty() { config.broker_disk_bytes } else { 8 << 30 };
    Config { dns: dns.clone(), broker_disk_bytes, ..config }
}

fn nats_server() -> PathBuf {
    vettid_testkit::program::nats_server().unwrap()
}

fn roots(authority_pem: &str) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority_pem.as_bytes()).unwrap()).unwrap();
    roots
}

/// A TLS client that trusts this authority alone, for these versions.
pub(crate) fn tls(authority_pem: &str, versions: &[&'static rustls::SupportedProtocolVersion]) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots(authority_pem))
        .with_no_client_auth()
}

fn client(authority_pem: &str) -> Client {
    let tls = tls(authority_pem, &[&rustls::version::TLS13]);
    Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap()
}
